/* The stages that a worker's process goes through between fork and exec. Used by jail.c only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sandbox/jail.h"

/* What crosses the report pipe, once when all stages are done and once more when one (or the execution)
 * fails. */
struct jail_report {
        uint32_t stage;   /* index of the failed stage; or one of those below: none has failed */
        int32_t error;    /* negative errno of that stage */
        uint32_t missing; /* JAIL_LAYER_BIT */
};

#define JAIL_REPORT_READY UINT32_MAX
#define JAIL_REPORT_TRACE (UINT32_MAX - 1) /* trace me now, then one more byte, please */

/* One child on its way. Everything in it was made before the fork: nothing is allocated after. */
struct jail_run {
        const struct jail_spec *spec;
        const struct policy_program *start_filter;
        int go_fd, report_fd; /* the child's ends; they and binary_fd move in the fds stage */
        int binary_fd;
        int policy_fd;
        const int *cgroup_fds; /* what to write "0" to; none: the spawner has moved us */
        unsigned n_cgroup_fds;
        char n_lanes[12], n_resources[12]; /* argv[1], argv[2] */
        uint32_t missing;
};

/* Numbers of the descriptors that only the execution needs. */
int jail_fd_count(const struct jail_spec *spec);
static inline int jail_fd_binary(const struct jail_spec *spec)
{
        return jail_fd_count(spec);
}
static inline int jail_fd_report(const struct jail_spec *spec)
{
        return jail_fd_count(spec) + 1;
}
static inline int jail_fd_go(const struct jail_spec *spec)
{
        return jail_fd_count(spec) + 2;
}

/* Runs every stage and executes the worker. Never returns. Async-signal-safe. */
_Noreturn void jail_stages_run(struct jail_run *run);
