/* A classic BPF machine for seccomp filters, written from the documentation of the instruction set alone: it
 * shares no code with libseccomp, so that it can judge what libseccomp has built.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the filter. 0 with the verdict, or -EINVAL: an instruction that seccomp would not have accepted, a
 * jump out of the program, or no return. */
int bpf_sim_run(const struct sock_filter *filter, size_t n, const struct seccomp_data *data,
                uint32_t *ret_verdict);
