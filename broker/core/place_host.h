/* The host's CPUs, as placement needs them: which ones the broker may use, and how idle each is.
 *
 * Both are asked for before the broker's jail closes: afterwards there is no path to /proc and no need to ask again. What
 * is read later is one descriptor of /proc/stat, at a few times a second, by lanes that are confined.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

struct place_host {
        cpu_set_t all;                   /* that the broker may use: what "free" means */
        uint16_t cpus[LIMIT_PLACE_CPUS]; /* the first ones of them */
        unsigned n_cpus;
        int stat_fd; /* owned */
};

/* Before the broker's jail closes; once. 0, or negative errno: then nothing is ever placed. */
int place_host_open(void);
void place_host_close(void);

/* NULL: it is not open, or there is but one CPU. */
const struct place_host *place_host(void);

/* How long each of `cpus` has been idle since the host's start. 0 or negative errno: then ret_idle_ns is untouched. */
int place_host_idle(const struct place_host *host, uint64_t *ret_idle_ns);

/* The same from the text of /proc/stat (proc(5)); `tick_ns` is what it counts in. A CPU without a line, or with one that is
 * not understood: -EPROTO. */
int place_host_parse(const struct place_host *host, const char *text, size_t len, uint64_t tick_ns,
                     uint64_t *ret_idle_ns);
