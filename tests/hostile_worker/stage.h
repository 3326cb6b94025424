/* One VM with its guests: the device under attack, and a disk beside it that must be served all the while.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/hostile_worker/attempt.h"
#include "tests/hostile_worker/facts.h"
#include "tests/hostile_worker/guest.h"
#include "tests/hostile_worker/vm.h"

struct stage {
        struct vm vm;
        const struct kind *kind;
        struct guest target, neighbour;
        struct facts before;
        struct hostile_command command; /* what every command has in common */
        uint64_t incarnation;           /* of the worker that answered last */
        uint64_t neighbour_turns;
};

/* How one attempt has ended. */
struct outcome {
        unsigned end;   /* the END_ bits that this end may be called */
        bool worked;    /* the attack got what it wanted: for the negative control */
        char said[192]; /* what stopped it, or what it got */
        char harm[192]; /* what it has done to others; empty: nothing */
};

/* 0 or negative errno with a sentence in `why`; then nothing is left. */
int stage_open(struct stage *stage, const struct vm_programs *programs, enum layer_set set,
               const struct kind *kind, char *why, size_t why_size);
/* False: the VM did not end well, or something of it is left: a clause in `why`. */
bool stage_close(struct stage *stage, char *why, size_t why_size);

/* The target's guest goes away and another comes: a reset. */
int stage_reset_target(struct stage *stage, char *why, size_t why_size);

/* Gives the target a command and waits for its answer, while the neighbour is at work. 0 or negative errno with
 * a clause in `why`. */
int stage_ask(struct stage *stage, const char *key, uint64_t number, struct hostile_report *ret_report,
              char *why, size_t why_size);
/* The halves of it. */
int stage_post(struct stage *stage, struct guest *guest, const char *key, uint64_t number);
int stage_await(struct stage *stage, struct guest *guest, unsigned slot, struct hostile_report *ret_report,
                char *why, size_t why_size);

/* So many turns of the neighbour. */
int stage_busy(struct stage *stage, unsigned turns, char *why, size_t why_size);

/* What a worker that lives on has answered. */
void stage_say_result(const struct hostile_report *report, struct outcome *outcome);

/* One attempt from a fresh worker to a fresh worker. */
void stage_try(struct stage *stage, const struct attempt *attempt, struct outcome *ret_outcome);

/* Why has a worker died since the log's mark? Fills end, worked and said. */
void stage_judge_death(struct stage *stage, struct outcome *outcome);
/* Is everything but the target as it was? Fills harm. */
void stage_look_around(struct stage *stage, struct outcome *outcome);

/* plays.c: an attempt that takes more than one command. False: there is no such play. */
bool stage_play(struct stage *stage, const struct attempt *attempt, struct outcome *outcome);
