/* System call policies: tables of rows, each with the function that needs it, compiled to seccomp filters.
 *
 * Two gates. The *start* filter is loaded before exec and lets a static-pie program initialise itself; it
 * holds the start rows and the run rows. The *run* filter holds the run rows alone; the worker loads it over
 * the first one before it says Hello, so before the first guest byte. What neither names kills the process.
 *
 * Tests are EQ and MASKED_EQ only: libseccomp 2.5.4 and 2.6.1 build filters that let too much through for
 * some sets of ordered 64-bit comparisons.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"
#include "proto/device_resource.h"

#define POLICY_TESTS      6u    /* arguments of a system call */
#define POLICY_GROUPS     5u    /* row groups of one gate: what all share, what some share, what is its own */
#define POLICY_FILTER_MAX 4096u /* BPF_MAXINSNS: the kernel takes no longer program */
#define POLICY_BORN_MAX   32u   /* a rule each: a connection a port of a console */
#define POLICY_REASON_MIN 8u    /* a reason is at least a word and a half */

enum policy_op {
        POLICY_END = 0,   /* no test here, and none after it */
        POLICY_EQ,        /* argument == value, all 64 bits */
        POLICY_MASKED_EQ, /* (argument & mask) == value */
        POLICY_RESOURCE_EQ, /* argument == the descriptor of resource number `value`; without one the row vanishes */
};

struct policy_test {
        uint8_t arg; /* 0..5; each argument is tested at most once in a row */
        enum policy_op op;
        uint64_t value;
        uint64_t mask; /* POLICY_MASKED_EQ only */
};

/* What argument 0 must be: a symbol that becomes one EQ rule for each actual descriptor or number. */
enum policy_subject {
        POLICY_ANY = 0,     /* argument 0 is not bound by this */
        POLICY_CONTROL,     /* the control descriptor */
        POLICY_CHANNEL_IN,  /* control, and of every lane what is read */
        POLICY_CHANNEL_OUT, /* control, and of every lane what is written */
        POLICY_LANE_OUT,    /* of every lane what is written */
        POLICY_OUTPUT,      /* standard error: the pipe to the broker */
        POLICY_RESOURCE,    /* resources that are files or block devices */
        POLICY_RESOURCE_RW, /* of these, what the configuration lets it write: none on a read-only disk */
        POLICY_EVENT,       /* resources that are eventfds */
        POLICY_LISTENER,    /* resources that are listening sockets */
        POLICY_STREAM,      /* resources that are connected sockets */
        POLICY_TAP,         /* resources that are queues of a tap interface */
        POLICY_FOLDER,      /* resources that are folders */
        POLICY_BORN, /* what arises after lock-down: the numbers behind the resources, up to RLIMIT_NOFILE */
        POLICY_RUN_POLICY, /* the descriptor of the run filter */
        POLICY_BINARY,     /* the program to execute; closed by the execution itself */
        POLICY_REPORT,     /* the jail's error pipe; closed by the execution itself */
        POLICY_GO,         /* the jail's pipe of permissions; closed by the execution itself */
        POLICY_TRACEABLE,  /* PR_SET_DUMPABLE, for a worker that is going to be traced; else nothing */
        POLICY_SELF,       /* the process id of the filtered process (broker only) */
        POLICY_SUBJECT_COUNT_,
};

struct policy_row {
        int nr;
        enum policy_subject subject;
        int deny_errno; /* 0: allowed. Else the call fails with this errno instead of killing (one use:
                           clone3) */
        struct policy_test tests[POLICY_TESTS];
        const char *reason; /* the function that needs it, and why it may */
};

struct policy_rows {
        const struct policy_row *rows;
        size_t n;
};

/* That a process keeps, over its own user namespace alone. */
struct policy_capability {
        unsigned capability;
        const char *reason;
};

#define POLICY_CAPABILITIES 8u /* of one policy */

struct policy {
        const char *type;
        struct policy_capability
            capabilities[POLICY_CAPABILITIES]; /* none as a rule; a NULL reason ends them */
        struct policy_rows start[POLICY_GROUPS];
        struct policy_rows run[POLICY_GROUPS];
        unsigned max_run_calls; /* distinct system calls that the run gate may allow: a test holds it */
};

enum policy_gate {
        POLICY_GATE_START,
        POLICY_GATE_RUN,
};

/* The actual numbers behind the subjects. */
struct policy_layout {
        unsigned n_lanes, n_resources;
        uint8_t resource_kinds[LIMIT_RESOURCES]; /* enum resource_kind; all zeros: files */
        uint32_t resources_rw;                   /* bit i: resource i is a file that may be written */
        unsigned n_born;          /* POLICY_BORN; at most POLICY_BORN_MAX: who has more tests no numbers */
        int binary_fd, report_fd; /* start gate only; -1: none */
        int go_fd;                /* likewise; -1 also for a worker that is not traced */
        pid_t self;               /* POLICY_SELF only */
        bool
            only_log; /* development: what no row names is logged by the kernel and done; foreign architectures
                          are killed all the same */
};

/* A compiled filter. Empty: {NULL, 0}. */
struct policy_program {
        struct sock_filter *filter;
        unsigned short n;
};

/* By device type name, and "broker", "broker-kvm". NULL when there is none: such a worker cannot start. */
const struct policy *policy_find(const char *type);

/* All policies, for audits and tests; NULL behind the last. */
const struct policy *policy_at(size_t i);

/* Is the table itself in order: a reason in every row, subjects and tests well formed, no row twice in a
 * gate, no more run calls than it promises? 0 or -EINVAL with one sentence in `why`. */
int policy_check(const struct policy *policy, char *why, size_t why_size);

/* Row i of everything that a gate allows: the run rows, and before the run gate the start rows too. NULL: no
 * more. */
const struct policy_row *policy_row_at(const struct policy *policy, enum policy_gate gate, size_t i);

/* Its capabilities: bits of their numbers. */
uint64_t policy_capabilities(const struct policy *policy);

/* Number of distinct system calls that a gate allows (deny_errno rows do not count). */
unsigned policy_count_calls(const struct policy *policy, enum policy_gate gate);

/* The values that argument 0 may have under `subject`; `ret_values` has room for POLICY_SUBJECT_VALUES.
 * Returns how many; 0 means that the row vanishes. POLICY_ANY is not asked. */
#define POLICY_SUBJECT_VALUES (1u + LIMIT_LANES + LIMIT_RESOURCES)
size_t policy_subject_values(enum policy_subject subject, const struct policy_layout *layout,
                             uint64_t *ret_values);

/* What the argument of an EQ or a RESOURCE_EQ test must be. False: there is no such resource. */
bool policy_test_value(const struct policy_test *test, const struct policy_layout *layout,
                       uint64_t *ret_value);

/* Compiles by libseccomp; default KILL_PROCESS, also for every foreign architecture (i386, x32). Allocates;
 * not for use between fork and exec. -EINVAL: policy_check refuses the table. The caller frees with
 * policy_program_done. */
int policy_compile(const struct policy *policy, enum policy_gate gate, const struct policy_layout *layout,
                   struct policy_program *ret_program);
void policy_program_done(struct policy_program *program);

/* A memfd that holds the instructions and can be neither written, grown, shrunk nor executed. CLOEXEC, offset
 * 0. */
int policy_program_seal(const struct policy_program *program, int *ret_fd);
