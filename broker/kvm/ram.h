/* The files behind a VM's RAM: one sealed memfd a piece.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* A memfd of `len` bytes (a multiple of 4096) that can neither shrink nor grow, and whose seals are final; where
 * the kernel knows it, not executable either. So no access to RAM ever meets a missing page, and whoever is given
 * the descriptor cannot change that. Pages come with the first touch. 0 and a descriptor that is the caller's, or
 * negative errno. */
int kvm_ram_open(const char *name, uint64_t len, int *ret_fd);
