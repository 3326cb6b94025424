/* Fairness between the queues of one lane: whose turn it is to give the worker a chain. Pure arithmetic.
 *
 * How it works: a worker serves a lane in the order of sending, so whatever a queue has with it is what the others
 * wait for. Three rules, of which a lane with one queue needs none:
 *
 *     turns    deficit round robin: a turn is worth LIMIT_FAIR_QUANTUM, a request costs its bytes and LIMIT_FAIR_REQUEST.
 *              What a large request costs beyond its queue's turn is paid by later turns; a queue that has nothing to
 *              take saves nothing. When all who could take are in debt, they go on.
 *     window   while another queue is active, a queue begins nothing more when it has LIMIT_FAIR_WINDOW with the
 *              worker. Turns alone would not do: they decide who enters next, not how many have entered before.
 *     share    a part of the worker's credit is kept for each other queue, active or not, so that its first
 *              request need not wait for an answer to somebody else's.
 *
 * Who is stopped by window or share has requests with the worker: an answer is the next event.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

struct fair_queue {
        int64_t balance;   /* may be taken in this turn; below 0: was taken in advance */
        uint64_t held;     /* cost of its requests that are outstanding */
        uint32_t requests; /* so many */
        uint64_t took_ms;  /* when it last took one */
        bool dry;          /* has had nothing to take since fair_begin */
        bool waits;        /* may take nothing until the next fair_begin, whatever it has */
        bool active;       /* had something to do lately, as of fair_begin */
        bool supply;       /* what it has with the worker waits for the host */
};

struct fair {
        unsigned n, turn; /* turn: whose it is */
        unsigned n_active;
        uint32_t credits, requests, reserve;
        uint64_t now_ms;
        struct fair_queue queues[LIMIT_QUEUES];
};

/* 1 .. LIMIT_QUEUES queues. */
void fair_init(struct fair *fair, unsigned n);

/* How many requests the worker takes, of all queues together. */
void fair_set_credits(struct fair *fair, uint32_t credits);

/* This queue lends buffers for input: nobody waits for what it has with the worker, so for it there is no window, and it is
 * active only when it has lent some lately. Its share is bounded as everyone's. */
void fair_set_supply(struct fair *fair, unsigned queue, bool supply);

/* What a request costs. */
static inline uint64_t fair_cost(uint32_t readable, uint32_t writable)
{
        return (uint64_t)readable + writable + LIMIT_FAIR_REQUEST;
}

/* Chains are going to be taken: every queue may have some. */
void fair_begin(struct fair *fair, uint64_t now_ms);

/* The queue that the next chain is taken off; -1: none may. Then fair_took, fair_none or fair_wait. */
int fair_next_of_many(struct fair *fair);
static inline int fair_next(struct fair *fair)
{
        return fair->n > 1 ? fair_next_of_many(fair) : -(int)(fair->queues[0].dry || fair->queues[0].waits);
}

/* This queue has nothing to take until the next fair_begin. */
void fair_none(struct fair *fair, unsigned queue);

/* It must not take until the next fair_begin, and is left with what it has. */
void fair_wait(struct fair *fair, unsigned queue);

/* A request of this queue is outstanding; and: is so no more. Once each, with the same sizes. */
void fair_took(struct fair *fair, unsigned queue, uint32_t readable, uint32_t writable);
void fair_gave(struct fair *fair, unsigned queue, uint32_t readable, uint32_t writable);

/* Was it left with chains that it may not take yet? As of the last fair_next that said -1. */
static inline bool fair_left(const struct fair *fair, unsigned queue)
{
        return !fair->queues[queue].dry;
}
