/* How long a worker may hold a request.
 * Owns nothing; called by lane_thread.c when its timer is due. TRUST: none: times are our own.
 *
 * The table is in the guest's order, not in the order of sending (what a dead worker held is sent again), so
 * it is searched; that happens once in an age limit, not once a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_age.h"

#include <stdio.h>
#include <time.h>

#include "broker/core/lane.h"
#include "proto/base/checked.h"

uint64_t lane_clock_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t lane_clock_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The words are made here, because they are read by the main thread when the report arrives there. */
void lane_set_max_age(struct lane *lane, uint64_t max_age_ms)
{
        lane->max_age_ms = max_age_ms;
        snprintf(lane->age_why, sizeof(lane->age_why), "has held a request for %u s",
                 (unsigned)((max_age_ms + 999) / 1000));
}

bool lane_ages(const struct lane *lane)
{
        return lane_is_attached(lane) && !lane->faulted && lane->n_aging > 0;
}

uint64_t lane_check_age(struct lane *lane, uint64_t now_ms)
{
        uint64_t oldest = now_ms;

        if (!lane_ages(lane))
                return 0;
        if (lane->rx.parked) /* nobody listens to what it says */
                return lane->max_age_ms;
        for (const struct request *request = lane->requests.oldest; request; request = request->newer)
                if (request->state == REQUEST_SENT && request->is_work && !request->waits)
                        oldest = MIN(oldest, request->sent_ms);
        if (now_ms - oldest < lane->max_age_ms)
                return lane->max_age_ms - (now_ms - oldest);
        lane_worker_fault(lane, lane->age_why);
        return 0;
}
