/* Workers that wait for their lane alone.
 * Owns nothing; called by lane.c, lane_batch.c and lane_thread.c, lane_stay_told by the main thread. TRUST: no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_stay.h"

#include "broker/core/lane.h"
#include "proto/base/limits.h"
#include "proto/lane.h"

void lane_stay_init(struct lane_stay *stay, unsigned n_lanes)
{
        *stay = (struct lane_stay){.may = n_lanes == 1};
}

bool lane_stay_promise(struct lane_stay *stay, uint64_t now_ms)
{
        if (now_ms - stay->last_ms > LIMIT_STAY_GAP_MS)
                stay->frames = 0;
        stay->last_ms = now_ms;
        if (stay->frames < LIMIT_STAY_FRAMES)
                stay->frames++;
        stay->promised = stay->may && stay->frames == LIMIT_STAY_FRAMES;
        stay->kept = true;
        return stay->promised;
}

void lane_stay_told(struct lane *lane)
{
        atomic_store_explicit(&lane->told, true, memory_order_release);
}

bool lane_stay_look(struct lane *lane)
{
        return atomic_load_explicit(&lane->told, memory_order_relaxed) &&
               atomic_exchange_explicit(&lane->told, false, memory_order_acquire);
}

bool lane_stays(const struct lane *lane)
{
        return lane->stay.promised && !lane->stay.wake && lane_is_attached(lane) && !lane->faulted;
}

void lane_stay_check(struct lane *lane)
{
        if (!lane_stays(lane))
                return;
        if (lane->stay.kept) {
                lane->stay.kept = false;
                return;
        }
        lane->stay.wake = true;
        lane_turn(lane);
}

bool lane_stay_wake(struct lane *lane)
{
        const struct lane_to_worker message = {.kind = LANE_WAKE};

        if (!lane->stay.wake)
                return false;
        lane->stay.wake = lane->stay.promised = false;
        lane->tx.n_iov = 1;
        lane_tx_begin(lane, &message, 0);
        return true;
}

void lane_stay_end(struct lane_stay *stay)
{
        *stay = (struct lane_stay){.may = stay->may};
}
