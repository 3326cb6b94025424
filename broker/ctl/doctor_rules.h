/* What a host lacks for bulkhead, one row a thing.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "broker/ctl/doctor_facts.h"
#include "proto/vm_config.h"

enum doctor_verdict {
        DOCTOR_OK,
        DOCTOR_WEAKER,  /* things go on, with less */
        DOCTOR_MISSING, /* what needs it does not start */
        DOCTOR_UNKNOWN, /* because of something that is missing, which counts */
        DOCTOR_VERDICT_COUNT_,
};

enum doctor_need {
        DOCTOR_NEED_ALL, /* every VM */
        DOCTOR_NEED_KVM, /* VMs of the broker's own */
};

struct doctor_row {
        const char *check;
        enum doctor_need need;
        enum doctor_verdict verdict;
        char found[DOCTOR_TEXT];
        char remedy[DOCTOR_TEXT]; /* "" with DOCTOR_OK */
};

/* A sentence of another room, "what; what to do" or "what: what to do", cut into the row's two halves. */
void doctor_say_why(struct doctor_row *row, const char *why);

const char *doctor_verdict_name(enum doctor_verdict verdict);

/* Calls `visit` with each row of the host, in a fixed order. Stops with what `visit` returns below 0. */
int doctor_rules_apply(const struct doctor_facts *facts,
                       int (*visit)(void *context, const struct doctor_row *row), void *context);

/* The rows of one VM on this host: what its configuration asks for. Of one with another front end than the broker's own
 * that is its open files. The kernel's first bytes are read. */
int doctor_vm_apply(const struct doctor_facts *facts, const struct vm_config *config,
                    int (*visit)(void *context, const struct doctor_row *row), void *context);
