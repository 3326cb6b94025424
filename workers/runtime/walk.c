/* Guest memory by address, for devices that walk their own rings.
 * Owns nothing but where the window is; called by the devices. TRUST: guest bytes pass through and are not looked at; ranges come
 * from the device, which has judged them; the window is the broker's word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/walk.h"

#include <string.h>

#include "proto/base/checked.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_lane.h"

static struct control_raw window;

void walk_init(const struct control_configure *configure)
{
        window = configure->raw;
}

bool walk_is_on(void)
{
        return window.size > 0;
}

bool walk_reaches(uint64_t at, uint32_t len)
{
        return range_inside(at - window.start, len, window.size); /* what lies before it is far behind it */
}

int walk_read(struct request *kick, const struct walk_range *ranges, uint32_t n, void *buf)
{
        uint64_t at[LIMIT_MEM_SEGMENTS];
        uint32_t len[LIMIT_MEM_SEGMENTS], total = 0;
        const struct lane_raw read = {.n = n, .at = at, .len = len};

        if (n < 1 || n > LIMIT_MEM_SEGMENTS)
                worker_trap();
        for (uint32_t i = 0; i < n; i++) {
                if (!walk_reaches(ranges[i].at, ranges[i].len) || ranges[i].len > LIMIT_FRAME_PAYLOAD - total)
                        worker_trap();
                at[i] = ranges[i].at;
                len[i] = ranges[i].len;
                total += len[i];
        }
        worker_lane_ask_raw(kick->lane, &read);
        return worker_lane_await_many(kick->lane, buf, total, n);
}

void walk_write(struct request *kick, uint64_t at, const void *bytes, uint32_t len)
{
        struct outbox *outbox = &kick->lane->outbox;

        if (len == 0 || len > OUTBOX_PIECE || !walk_reaches(at, len))
                worker_trap();
        memcpy(outbox_reserve(outbox, len), bytes, len);
        outbox_write_raw(outbox, at, len);
}

void walk_taken(struct request *kick, uint16_t next)
{
        outbox_taken(&kick->lane->outbox, kick->queue, next);
}
