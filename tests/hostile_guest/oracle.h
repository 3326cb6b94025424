/* Judges the broker after a case: it lives, has what it had, its other devices serve, and so does this one for
 * the next who comes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/hostile_guest/attack.h"
#include "tests/hostile_guest/neighbour.h"
#include "tests/hostile_guest/process_view.h"

#define ORACLE_DISK    1u /* the pattern of the attacked disk, which is written once: version 1 */
#define ORACLE_SECTORS 128u

struct oracle {
        const char *run_dir, *vm;
        char paths[4][256]; /* by target */
        struct guest_map map;
        struct neighbour neighbour;
        pid_t broker;
        int broker_pidfd;
        struct process_view before;
        bool sanitized;
        uint64_t memory_bound; /* bytes of heap that may come and stay */
        int judge_ms, settle_ms;
        unsigned n_checks;
};

/* The broker of this VM. Brings all into the state that is compared with. 0, or negative errno and a sentence. */
int oracle_open(struct oracle *oracle, const char *run_dir, const char *vm, char *why, size_t size);
void oracle_close(struct oracle *oracle);

/* Before a case: the neighbour has requests on the way. */
bool oracle_before(struct oracle *oracle, char *why, size_t size);
/* After a case on this target, whose session is closed. False: one sentence in `why`; what there is now is then
 * what the next case is compared with, so that one leak is told once. */
bool oracle_after(struct oracle *oracle, enum target target, char *why, size_t size);

/* One ordinary client: connects, negotiates, and reads what must be there. */
bool oracle_client(struct oracle *oracle, enum target target, char *why, size_t size);

/* In a session that is configured: one request on this ring, which is running, with its bytes at `at`. */
bool oracle_request(struct oracle *oracle, struct attack *attack, unsigned ring, uint64_t at, char *why,
                    size_t size);

/* Does the broker spin, with a session that is broken and nothing to do? */
bool oracle_quiet(struct oracle *oracle, char *why, size_t size);
