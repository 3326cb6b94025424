/* Fairness between the queues of one lane.
 * Owns nothing; called by lane.c and lane_batch.c. TRUST: sizes are of judged chains, so no sum here can wrap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fair.h"

#include <assert.h>

#include "proto/base/checked.h"

void fair_init(struct fair *fair, unsigned n)
{
        assert(n >= 1 && n <= LIMIT_QUEUES);
        *fair = (struct fair){.n = n, .turn = n - 1, .credits = LIMIT_CREDITS};
}

void fair_set_credits(struct fair *fair, uint32_t credits)
{
        fair->credits = credits;
        fair->reserve = credits / (LIMIT_FAIR_RESERVE * fair->n);
}

void fair_set_supply(struct fair *fair, unsigned queue, bool supply)
{
        fair->queues[queue].supply = supply;
}

static bool is_active(const struct fair *fair, const struct fair_queue *queue)
{
        return (queue->requests > 0 && !queue->supply) ||
               (queue->took_ms > 0 && fair->now_ms - queue->took_ms <= LIMIT_FAIR_ACTIVE_MS);
}

void fair_begin(struct fair *fair, uint64_t now_ms)
{
        fair->now_ms = now_ms;
        fair->n_active = 0;
        for (unsigned i = 0; i < fair->n; i++) {
                fair->queues[i].dry = fair->queues[i].waits = false;
                fair->queues[i].active = is_active(fair, &fair->queues[i]);
                fair->n_active += fair->queues[i].active;
        }
}

/* What is kept of the worker's credit for the other queues and not used by them. */
static uint32_t kept_for_others(const struct fair *fair, const struct fair_queue *queue)
{
        uint32_t kept = 0;

        for (unsigned i = 0; i < fair->n; i++)
                if (&fair->queues[i] != queue && fair->queues[i].requests < fair->reserve)
                        kept += fair->reserve - fair->queues[i].requests;
        return kept;
}

static bool may_take(const struct fair *fair, const struct fair_queue *queue)
{
        if (queue->dry || queue->waits)
                return false;
        if (queue->held >= LIMIT_FAIR_WINDOW && !queue->supply &&
            fair->n_active > queue->active) /* others are active */
                return false;
        return queue->requests == 0 || fair->requests + kept_for_others(fair, queue) < fair->credits;
}

/* All who could take are in debt: as many turns pass as the first of them needs. False: nobody could. */
static bool let_turns_pass(struct fair *fair)
{
        int64_t least = INT64_MAX;

        for (unsigned i = 0; i < fair->n; i++)
                if (may_take(fair, &fair->queues[i]))
                        least = MIN(least, -fair->queues[i].balance);
        if (least == INT64_MAX)
                return false;
        for (unsigned i = 0; i < fair->n; i++)
                if (may_take(fair, &fair->queues[i]))
                        fair->queues[i].balance += least;
        return true;
}

/* Goes round once, until somebody's new turn is worth something. */
static bool pass_turn(struct fair *fair)
{
        for (unsigned i = 0; i < fair->n; i++) {
                struct fair_queue *queue;

                fair->turn = (fair->turn + 1) % fair->n;
                queue = &fair->queues[fair->turn];
                if (!may_take(fair, queue))
                        continue;
                queue->balance =
                    MIN(queue->balance + (int64_t)LIMIT_FAIR_QUANTUM, (int64_t)LIMIT_FAIR_QUANTUM);
                if (queue->balance > 0)
                        return true;
        }
        return false;
}

int fair_next_of_many(struct fair *fair)
{
        const struct fair_queue *queue = &fair->queues[fair->turn];

        if (queue->balance > 0 && may_take(fair, queue))
                return (int)fair->turn;
        if (!pass_turn(fair) && (!let_turns_pass(fair) || !pass_turn(fair)))
                return -1;
        return (int)fair->turn;
}

void fair_none(struct fair *fair, unsigned queue)
{
        struct fair_queue *q = &fair->queues[queue];

        q->dry = true;
        q->balance = MIN(q->balance, 0);
}

void fair_wait(struct fair *fair, unsigned queue)
{
        fair->queues[queue].waits = true;
}

void fair_took(struct fair *fair, unsigned queue, uint32_t readable, uint32_t writable)
{
        struct fair_queue *q = &fair->queues[queue];
        uint64_t cost = fair_cost(readable, writable);

        q->balance -= (int64_t)cost;
        q->held += cost;
        q->requests++;
        q->took_ms = fair->now_ms;
        fair->n_active += !q->active;
        q->active = true;
        fair->requests++;
}

void fair_gave(struct fair *fair, unsigned queue, uint32_t readable, uint32_t writable)
{
        struct fair_queue *q = &fair->queues[queue];

        q->held -= fair_cost(readable, writable);
        q->requests--;
        fair->requests--;
}
