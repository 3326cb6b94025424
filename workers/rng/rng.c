/* virtio-rng: the kernel's random bytes (virtio 1.3, 5.4). No features, no configuration, no resources.
 * Owns nothing; called by the runtime. TRUST: the guest chooses how much it asks for, and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/random.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_log.h"

#define RNG_PIECE   256u /* the kernel does not interrupt, cut or fail what is not longer (getrandom(2)) */
#define RNG_CREDITS 64u  /* requests: Linux keeps one in flight */

_Static_assert(LIMIT_RNG_BYTES <= REQUEST_RESERVE, "an answer is one piece");

/* Fills up to `len` bytes and returns how many: all of them unless the kernel has failed. */
static uint32_t rng_fill(uint8_t *bytes, uint32_t len)
{
        uint32_t done = 0;

        while (done < len) {
                ssize_t n = getrandom(bytes + done, MIN(len - done, RNG_PIECE), 0);

                if (n <= 0)
                        break;
                done += (uint32_t)n;
        }
        return done;
}

static int rng_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        uint8_t probe;

        (void)state;
        (void)resources;
        if (configure->n_queues != 1 || n_resources != 0)
                return -EINVAL;
        if (rng_fill(&probe, sizeof(probe)) != sizeof(probe)) {
                worker_log(LOG_LEVEL_ERROR, "getrandom fails on this host");
                return -EIO;
        }
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_RNG].virtio_id,
            .n_queues = 1,
            .queue_kind = {QUEUE_WORK},
            .queue_replay = {REPLAY_IDEMPOTENT},
            .max_segments = LIMIT_CHAIN_SEGMENTS,
            .credit_requests = RNG_CREDITS,
        };
        return 0;
}

/* At least one byte is owed unless the request is to fail, and fewer than asked for are allowed (5.4.6.2). */
static void rng_handle(void *state, struct request *request)
{
        uint32_t len = MIN(request_writable(request), LIMIT_RNG_BYTES);

        (void)state;
        if (len == 0) {
                request_refuse(request);
                return;
        }
        if (request_must_fail(request))
                len = 0;
        else
                len = rng_fill(request_reserve(request, len), len);
        request_complete(request, 0, len);
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_RNG,
    .init = rng_init,
    .handle = rng_handle,
};
