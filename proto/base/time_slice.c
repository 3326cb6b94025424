/* Short turns on a CPU for a thread that is woken often and does little.
 *
 * Why: a request wakes a lane twice and its worker once. Where a driver's threads run on the same CPU, who is woken waits for the
 * end of their turn, unless its own are shorter (EEVDF).
 *
 * Owns nothing; called by lane_place.c in the lane's thread, and by jail_stages.c in the child that becomes a worker, so only
 * async-signal-safe calls are made here. TRUST: no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/time_slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/limits.h"

/* struct sched_attr, version 0 (sched_setattr(2)): <linux/sched/types.h> cannot be had beside <sched.h>. */
struct slice_attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

_Static_assert(sizeof(struct slice_attr) == LIMIT_SLICE_ATTR, "the policy pins it");

void time_slice_set(bool brief)
{
        struct slice_attr attr = {0};

        if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 || attr.policy != SCHED_OTHER)
                return;
        attr.runtime_ns = brief ? LIMIT_SLICE_NS : 0;
        (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
