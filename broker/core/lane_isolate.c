/* Finding the request that kills workers.
 * Owns nothing; called by lane.c, lane_batch.c and device_calls.c. TRUST: none: it counts deaths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_isolate.h"

#include "broker/core/lane.h"
#include "broker/core/lane_wait.h"

static bool is_suspect(const struct request *request)
{
        return request->is_work && request->attempt >= LIMIT_POISON_ATTEMPTS;
}

uint32_t lane_suspects(const struct lane *lane)
{
        uint32_t n = 0;

        for (const struct request *request = lane->requests.oldest; request; request = request->newer)
                n += is_suspect(request);
        return n;
}

void lane_isolate(struct lane *lane, enum lane_isolation isolation)
{
        lane->isolation = isolation;
        lane_turn(lane);
}

void lane_pardon(struct lane *lane)
{
        if (lane->isolation == LANE_ISOLATES)
                lane->isolation = LANE_WAITS;
}

/* What must fail for a stop is not held up but by older ones of its queue: the guest is frozen until it is answered, and it kills nobody.
 * Should it do so all the same, nobody was alone, and nobody is blamed (device_call_detach). */
static bool is_for_a_stop(struct lane *lane, const struct request *request)
{
        return request->must_fail && lane_queue_find(lane, request->queue)->draining;
}

bool lane_may_send(struct lane *lane, const struct request *request)
{
        if (lane->isolation == LANE_OPEN || is_for_a_stop(lane, request))
                return true;
        return lane->isolation == LANE_ISOLATES && lane_n_busy(lane) == 0 && request->is_work;
}

void lane_isolate_step(struct lane *lane)
{
        if (lane->isolation != LANE_ISOLATES || lane_n_busy(lane) > 0 || lane_suspects(lane) > 0)
                return;
        lane->isolation = LANE_WAITS;
        lane->events.isolated(lane->events.context);
}

void lane_blame(struct lane *lane, struct request *request)
{
        if (lane->isolation != LANE_ISOLATES)
                return;
        if (request->must_fail)
                request->failures++;
        request->must_fail = true;
        lane->events.poison(lane->events.context, request, request->failures >= LIMIT_POISON_FAILURES);
}
