/* A sample worker that has been taken over: linked with --wrap, so that before it walks its ring it obeys a command of its guest's, and reads
 * or writes by address what it is told to, without asking whether it may. All else is the worker as it is.
 * Owns nothing; called by sample.c in a worker that only tests start. TRUST: the command is the test's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/bytes.h"
#include "tests/integration/workers/reaching.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/worker_lane.h"
#include "workers/sample/sample_walk.h"

bool __real_sample_walk_kick(struct sample_walk *walk, struct request *kick, sample_walk_serve serve,
                             void *context);
bool __wrap_sample_walk_kick(struct sample_walk *walk, struct request *kick, sample_walk_serve serve,
                             void *context);

static void reach(struct request *kick, const uint8_t *command)
{
        static uint8_t bytes[1u << 20];
        const uint32_t what = bytes_load32(command), len = bytes_load32(command + 4);
        const uint64_t at = bytes_load64(command + 8);

        if (what == REACHING_READ) {
                worker_lane_ask_raw(kick->lane, &(struct lane_raw){.n = 1, .at = &at, .len = &len});
                (void)worker_lane_await_many(kick->lane, bytes, len, 1);
        } else {
                (void)outbox_reserve(&kick->lane->outbox, len);
                outbox_write_raw(&kick->lane->outbox, at, len);
                outbox_flush(&kick->lane->outbox);
        }
}

/* Once: its successor serves. */
bool __wrap_sample_walk_kick(struct sample_walk *walk, struct request *kick, sample_walk_serve serve,
                             void *context)
{
        const struct walk_range range = {REACHING_COMMAND, REACHING_BYTES};
        uint8_t command[REACHING_BYTES];
        const uint8_t none[4] = {0};

        if (walk_read(kick, &range, 1, command) == 0 && bytes_load32(command) != 0) {
                walk_write(kick, REACHING_COMMAND, none, sizeof(none));
                request_push(kick); /* in a frame of its own: one is judged whole */
                reach(kick, command);
        }
        return __real_sample_walk_kick(walk, kick, serve, context);
}
