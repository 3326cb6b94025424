/* Claims of bytes that lie in places of the worker's memory, and lies about that memory. Each ends in waiting for the broker's
 * kill; that it returns means that the broker has let it pass.
 * Owns nothing; read by hostile_ops.c. TRUST: ids are those of the worker's own request, and guesses.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/lane.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"
#include "workers/runtime/worker_lane.h"

#define KILL_MS 3000 /* the broker's time to kill: it needs less than one */

static int64_t claim_n(size_t n, const uint64_t *id, uint32_t placed)
{
        static uint8_t header[256];
        const uint32_t zero[2] = {0}, all[2] = {placed, placed};
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = n, .id = id, .status = zero, .offset = zero, .len = zero, .placed = all}};
        ssize_t len = lane_make_to_broker(&message, header, sizeof(header));
        int64_t r = len < 0 ? len : hostile_send(worker_fd_lane_out(0), header, (size_t)len, NULL, 0);

        return r < 0 ? r : hostile_linger(KILL_MS);
}

static int64_t claim(uint64_t id, uint32_t placed)
{
        return claim_n(1, &id, placed);
}

static int64_t place_longer(struct hostile *hostile)
{
        return claim(hostile->request_id, hostile->writable + 1);
}

/* Up to the end of its last page, which is behind the guest's buffer. */
static int64_t place_whole_pages(struct hostile *hostile)
{
        return claim(hostile->request_id, (hostile->writable / HOSTILE_PAGE + 1) * HOSTILE_PAGE);
}

static int64_t place_most(struct hostile *hostile)
{
        return claim(hostile->request_id, UINT32_MAX);
}

static int64_t place_other_id(struct hostile *hostile)
{
        return claim(hostile->request_id + 1, 64);
}

static int64_t place_twice_at_once(struct hostile *hostile)
{
        const uint64_t ids[2] = {hostile->request_id, hostile->request_id};

        return claim_n(2, ids, 64);
}

static int64_t place_after_complete(struct hostile *hostile)
{
        uint64_t id = hostile->request_id;

        hostile_report_now(hostile, 0);
        return claim(id, 64);
}

/* Of a worker that has been lent nothing. */
static int64_t place_unlent(struct hostile *hostile)
{
        return claim(hostile->request_id, 1);
}

/* What it names is not there any more. */
static int64_t place_unmapped(struct hostile *hostile)
{
        const struct inbox_area *area = &hostile->request->lane->inbox.area;
        int64_t r = CALL(SYS_munmap, area->bytes, (unsigned long)area->len);

        return r < 0 ? r : claim(hostile->request_id, 64);
}

/* Two questions in one write: the second comes while the first has no answer. */
static int64_t rest_twice(struct hostile *hostile)
{
        static const uint8_t frames[] = {2, 0, 0, 0, 0, 0, 0, 0, 0x22, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x22, 0};
        int64_t r;

        request_push(hostile->request);
        r = CALL(SYS_write, worker_fd_lane_out(0), frames, sizeof(frames));
        return r < 0 ? r : hostile_linger(KILL_MS);
}

static const struct hostile_attack rows[] = {
    {"place-longer", place_longer, 0},
    {"place-whole-pages", place_whole_pages, 0},
    {"place-most", place_most, 0},
    {"place-other-id", place_other_id, 0},
    {"place-twice-at-once", place_twice_at_once, 0},
    {"place-after-complete", place_after_complete, 0},
    {"place-unlent", place_unlent, 0},
    {"place-unmapped", place_unmapped, 0},
    {"rest-twice", rest_twice, 0},
};

const struct hostile_attacks hostile_places = {rows, array_size(rows)};
