/* virtio-vsock: streams between programs of the guest and Unix sockets of the host (virtio 1.3, 5.10). One resource: the socket
 * to the proxy (workers/vsock_proxy), which makes all socket calls.
 * Owns the state of the device; called by the runtime. TRUST: see the files that are called.
 *
 * When a worker dies, the proxy ends all of its streams, and tells the successor which they were; it sends the guest an RST for
 * each, and where it has the event queue the guest is also told that all is lost (TRANSPORT_RESET). When the proxy dies, the
 * worker tells the guest the same of its own connections, and ends: its successor is given a socket to the next proxy.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/device/vsock.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"
#include "workers/runtime/worker_watch.h"
#include "workers/vsock/vsock_config.h"
#include "workers/vsock/vsock_device.h"

#define EVENT_TRANSPORT_RESET 0u
#define EVENT_BYTES           4u
#define STATE_VERSION         1u
#define TICKS                 2u /* of LIMIT_VSOCK_HALF_OPEN_MS */
#define EXIT_PROXY_GONE       3

static struct vsock the_vsock;

/* ---- what is looked at ---- */

static void vsock_tick(void *state);

/* It ends when the guest has all its resets, and has had time to see them go; or has had time enough. */
static void vsock_farewell_turn(struct vsock *vsock)
{
        vsock_guest_resume(vsock);
        vsock_feed(vsock);
        if (vsock->replies.n == 0 && !vsock->told)
                worker_timer_set(LIMIT_VSOCK_RETRY_MS, vsock_tick);
        vsock->told |= vsock->replies.n == 0;
}

/* The guest is told, and then there is nothing left to do here. */
static void vsock_farewell(struct vsock *vsock)
{
        vsock->farewell = true;
        worker_watch_remove(vsock->link.fd);
        for (uint32_t i = 0; i < VSOCK_FRAME_IDS; i++) {
                struct vsock_conn *conn = &vsock->conns.rows[i];

                if (conn->state != CONN_FREE && conn->state != CONN_LINGERING)
                        vsock_conn_reset(vsock, conn);
        }
        worker_log(LOG_LEVEL_WARNING, "the proxy is gone: %u connections are reset", vsock->replies.n);
        worker_timer_set(LIMIT_VSOCK_FAREWELL_MS, vsock_tick);
        vsock_farewell_turn(vsock);
}

/* Bytes are looked for when there is a buffer for them, room for frames when some are owed. */
static void vsock_settle(struct vsock *vsock)
{
        short events = 0;

        if (vsock->link.gone) {
                vsock_farewell(vsock);
                return;
        }
        if (supply_first(VSOCK_QUEUE_RX))
                events |= POLLIN;
        if (vsock->link.full)
                events |= POLLOUT;
        worker_watch_set(vsock->link.fd, events);
        if (vsock->conns.n_offered > 0 && !vsock->timer) {
                vsock->timer = true;
                worker_timer_set(LIMIT_VSOCK_HALF_OPEN_MS / TICKS, vsock_tick);
        }
}

/* All that can be done now. What is owed to the proxy comes from the guest and from the proxy itself. */
static void vsock_turn(struct vsock *vsock)
{
        if (vsock->farewell) {
                vsock_farewell_turn(vsock);
                return;
        }
        vsock_host_flush(vsock);
        vsock_feed(vsock);
        vsock_host_flush(vsock);
        vsock_settle(vsock);
}

static void vsock_on_link(void *state, int fd, short events)
{
        struct vsock *vsock = state;

        (void)fd;
        if (events & POLLOUT)
                vsock->link.full = false;
        if ((events & (POLLHUP | POLLERR)) && !supply_first(VSOCK_QUEUE_RX))
                vsock->link.gone = true; /* what it has sent before is for connections that end now */
        if (!vsock->link.full)
                vsock_guest_resume(vsock);
        vsock_turn(vsock);
}

static void vsock_tick(void *state)
{
        struct vsock *vsock = state;

        if (vsock->farewell)
                _exit(EXIT_PROXY_GONE);
        vsock->timer = false;
        for (uint32_t i = LIMIT_VSOCK_STREAMS; i < VSOCK_FRAME_IDS; i++) {
                struct vsock_conn *conn = &vsock->conns.rows[i];

                if (conn->state == CONN_OFFERED && conn->age++ == TICKS)
                        vsock_conn_reset(vsock, conn);
        }
        vsock_turn(vsock);
}

/* ---- device_ops ---- */

static int vsock_start(struct vsock *vsock, int fd)
{
        int r;

        vsock->bounce = worker_memory(LIMIT_VSOCK_BUFFER);
        if (!vsock->bounce)
                return -ENOMEM;
        if (getrandom(&vsock->hello, sizeof(vsock->hello), GRND_NONBLOCK) != sizeof(vsock->hello))
                return -EIO;
        vsock_conns_init(&vsock->conns, (uint32_t)(vsock->hello >> 16));
        r = vsock_link_init(&vsock->link, fd);
        if (r < 0)
                return r;
        vsock->hello_owed = true;
        worker_watch_add(fd, 0, vsock_on_link);
        vsock_host_flush(vsock);
        return 0;
}

static int vsock_init(void *state, const struct control_configure *configure, const int *resources,
                      unsigned n_resources, struct control_hello *ret_hello)
{
        struct vsock *vsock = state;
        int r;

        if (n_resources != 1 || configure->n_queues < VSOCK_QUEUE_EVENT ||
            configure->n_queues > VSOCK_QUEUE_COUNT)
                return -EINVAL;
        vsock->self.guest_cid = vsock_options_read(&configure->options).cid;
        r = vsock_start(vsock, resources[0]);
        if (r < 0) {
                worker_log(LOG_LEVEL_ERROR, "cannot use the socket to the proxy: errno=%d", -r);
                return r;
        }
        vsock_config_hello(vsock->self.guest_cid, configure->n_queues, ret_hello);
        return 0;
}

static void vsock_set_features(void *state, uint64_t features)
{
        struct vsock *vsock = state;

        vsock->self.seqpacket = features & VSOCK_F_SEQPACKET;
}

static int vsock_restore_state(void *state, const uint8_t *bytes, size_t len)
{
        struct vsock *vsock = state;

        if (len != 1 || bytes[0] != STATE_VERSION)
                return -EINVAL;
        vsock->reset_owed = true;
        return 0;
}

static void vsock_handle(void *state, struct request *request)
{
        vsock_guest_packet(state, request);
}

static void vsock_batch_end(void *state)
{
        vsock_turn(state);
}

static void vsock_event(struct vsock *vsock)
{
        struct request *request = supply_first(VSOCK_QUEUE_EVENT);

        if (!request || !vsock->reset_owed)
                return;
        if (request_readable(request) != 0 || request_writable(request) < EVENT_BYTES) {
                request_refuse(request);
                return;
        }
        bytes_store32(request_reserve(request, EVENT_BYTES), EVENT_TRANSPORT_RESET);
        request_complete(request, 0, EVENT_BYTES);
        vsock->reset_owed = false;
}

static void vsock_supplied(void *state, uint32_t queue)
{
        struct vsock *vsock = state;

        if (queue == VSOCK_QUEUE_EVENT)
                vsock_event(vsock);
        else
                vsock_turn(vsock);
}

static void vsock_recalled(void *state, uint32_t queue)
{
        struct vsock *vsock = state;

        if (queue == VSOCK_QUEUE_RX && !vsock->farewell)
                worker_watch_set(vsock->link.fd, vsock->link.full ? POLLOUT : 0);
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_VSOCK,
    .state = &the_vsock,
    .init = vsock_init,
    .set_features = vsock_set_features,
    .restore_state = vsock_restore_state,
    .handle = vsock_handle,
    .supplied = vsock_supplied,
    .recalled = vsock_recalled,
    .batch_end = vsock_batch_end,
};
