/* Finding the request that kills workers.
 * Owns nothing; called by lane.c, lane_tx.c and device_calls.c. TRUST: none: it counts deaths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_isolate.h"

#include "broker/core/lane.h"

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

bool lane_may_send(const struct lane *lane, const struct request *request)
{
        if (lane->isolation == LANE_OPEN)
                return true;
        return lane->isolation == LANE_ISOLATES && lane->used_requests == 0 && request->is_work;
}

void lane_isolate_step(struct lane *lane)
{
        if (lane->isolation != LANE_ISOLATES || lane->used_requests > 0 || lane_suspects(lane) > 0)
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
