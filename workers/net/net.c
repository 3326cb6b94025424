/* virtio-net: frames between a driver and the host's network (virtio 1.3, 5.1).
 * Owns the device's state; called by the runtime. TRUST: a request's bytes and lengths are the guest's, frames from the
 * host anybody's on its network: net_req.c judges both.
 *
 * How it works: queue 2n is lent buffers for input, queue 2n + 1 is asked to send, and the last one, where their number
 * is odd, takes commands; on a vhost-user front end the VMM has that one itself. What carries frames is a row of
 * `net_backend`; where they come from is an ear, which is listened to only while there is room for what it hears.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/net.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/worker_count.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"
#include "workers/runtime/worker_watch.h"

#define NET_TELL_MS 5000u /* between two lines about frames that went nowhere */

#define NET_GONE                                                                                             \
        POLLRDHUP /* a peer that says nothing more leaves a socket that is readable for ever; a tap has none */

/* ---- what goes nowhere ---- */

_Static_assert((int)NET_COUNTER_IN_LOST + 1 == (int)NET_DROP_LOST, "in the order of enum net_drop");
_Static_assert((int)NET_COUNTER_OUT_SHORT == (int)NET_DROP_COUNT_ - 1, "in before out");
_Static_assert((int)NET_COUNTER_COUNT_ == 2 * ((int)NET_DROP_COUNT_ - 1), "a counter a way and a reason");

void net_count(struct net *net, enum net_way way, enum net_drop drop)
{
        unsigned counter = way * (NET_DROP_COUNT_ - 1u) + drop - 1u;

        net->drops[counter]++;
        worker_count(counter, 1);
        if (drop != NET_DROP_FILTERED && drop != NET_DROP_LINK)
                net_clock_set(net, NET_DUE_TELL, net->told > 0 ? NET_TELL_MS : 0);
}

void net_tell_due(struct net *net)
{
        char text[WORKER_LOG_TEXT] = "";
        size_t at = 0;

        for (unsigned i = 0; i < NET_COUNTER_COUNT_; i++)
                if (net->drops[i] > 0 && at < sizeof(text))
                        at += (size_t)snprintf(text + at, sizeof(text) - at, " %s=%llu", net_counter_names[i],
                                               (unsigned long long)net->drops[i]);
        net->told++;
        worker_log(LOG_LEVEL_WARNING, "frames dropped so far:%s", text);
}

/* ---- ears ---- */

void net_watch(struct net *net, unsigned ear)
{
        struct net_ear *e = &net->ears[ear];
        short events = e->full ? NET_GONE | POLLOUT : NET_GONE;

        if (e->fd < 0)
                return;
        if (!e->mute && (net_rx_ready(net, ear) || net->link_off))
                events |= POLLIN;
        worker_watch_set(e->fd, events);
}

static void net_watch_all(struct net *net)
{
        for (unsigned i = 0; i < net->n_ears; i++)
                net_watch(net, i);
}

void net_lose_link(struct net *net, const char *why)
{
        if (net->link_lost)
                return;
        net->link_lost = true;
        worker_log(LOG_LEVEL_ERROR, "%s: the link is down until this worker is replaced", why);
        for (unsigned i = 0; i < net->n_ears; i++) {
                worker_watch_remove(net->ears[i].fd);
                net->ears[i].fd = -1;
        }
        net_control_show_link(net);
        if (net->backend->flush)
                net->backend->flush(net);
}

static void net_ready(void *state, int fd, short events)
{
        struct net *net = state;
        unsigned ear = 0;

        while (ear < net->n_ears && net->ears[ear].fd != fd)
                ear++;
        if (ear == net->n_ears)
                return;
        if (events & (POLLIN | POLLHUP | POLLERR))
                net->backend->receive(net, ear);
        if (events & (POLLHUP | POLLERR | NET_GONE))
                net_lose_link(net, "the host's end is gone");
        if ((events & POLLOUT) && net->backend->flush)
                net->backend->flush(net);
        net_watch(net, ear);
}

/* ---- start ---- */

static int net_fail(int error, const char *text)
{
        worker_log(LOG_LEVEL_ERROR, "%s", text);
        return error;
}

static int net_open_ears(struct net *net, const int *fds, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                uint8_t *kept = worker_memory(NET_BUFFER);

                if (!kept)
                        return -ENOMEM;
                net->ears[i] = (struct net_ear){.fd = fds[i], .kept = kept};
                worker_watch_add(fds[i], NET_GONE, net_ready);
        }
        net->n_ears = n;
        net->scratch = worker_memory(NET_BUFFER);
        return net->scratch ? net->backend->open(net) : -ENOMEM;
}

static int net_open(struct net *net, const struct net_options *options, const int *resources,
                    unsigned n_resources)
{
        unsigned n_ears = net->backend->one_for_all ? 1 : net->promise.n_pairs;
        int r;

        if (n_resources != n_ears && n_resources != n_ears + 1)
                return net_fail(-EINVAL, "want one descriptor a queue pair of a tap, one of a stream, and a "
                                         "capture if there is one");
        r = net_open_ears(net, resources, n_ears);
        if (r < 0)
                return r;
        r = net_pcap_open(&net->pcap, n_resources > n_ears ? resources[n_ears] : -1, options->pcap_max);
        return r < 0 ? net_fail(r, "the capture file is of another kind, or cannot be written: remove it")
                     : 0;
}

static struct net_shape net_shape(const struct net *net, const struct net_options *options)
{
        struct net_shape shape = {.n_pairs = net->promise.n_pairs,
                                  .has_control = net->has_control,
                                  .offloads = net->backend->offloads,
                                  .has_mac = options->has_mac,
                                  .mtu = options->mtu};

        memcpy(shape.mac, options->mac, NET_MAC);
        return shape;
}

static int net_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        const struct net_options options = net_options_read(&configure->options);
        uint32_t n_pairs = configure->n_queues / 2;
        struct net *net = state;
        struct net_shape shape;
        int r;

        if (n_pairs < 1 || n_pairs > LIMIT_NET_PAIRS)
                return net_fail(-EINVAL, "want two queues a pair, and one more for commands");
        *net = (struct net){.promise = {.mtu = options.mtu, .n_pairs = n_pairs},
                            .has_control = configure->n_queues % 2 == 1,
                            .backend = options.carrier == NET_CARRIER_TAP ? &net_tap : &net_stream};
        net_filter_init(&net->filter, options.has_mac ? options.mac : NULL);
        r = net_open(net, &options, resources, n_resources);
        if (r < 0)
                return r;
        shape = net_shape(net, &options);
        net_config_hello(&shape, ret_hello);
        return 0;
}

/* ---- calls of the runtime ---- */

static void net_set_features(void *state, uint64_t features)
{
        struct net *net = state;

        net->promise.features = features;
}

static int net_set(void *state, const struct control_setting *setting)
{
        if (setting->id != SETTING_LINK || setting->index != 0)
                return -EOPNOTSUPP;
        net_control_set_link(state, setting->value == 1);
        return 0;
}

static int net_restore(void *state, const uint8_t *bytes, size_t len)
{
        return net_control_restore(state, bytes, len);
}

static void net_handle(void *state, struct request *request)
{
        struct net *net = state;

        if (request_queue(request) == 2 * net->promise.n_pairs)
                net_control_handle(net, request);
        else
                net_tx(net, request);
}

static void net_batch_end(void *state)
{
        struct net *net = state;

        if (net->backend->flush)
                net->backend->flush(net);
}

static void net_supplied(void *state, uint32_t queue)
{
        struct net *net = state;

        net->lent |= 1u << (queue / 2);
        net_rx_supplied(net, queue);
        net_watch_all(net);
}

static void net_recalled(void *state, uint32_t queue)
{
        struct net *net = state;

        net->lent &= ~(1u << (queue / 2));
        net_rx_recalled(net, queue);
        net_watch_all(net);
}

static struct net net_device;

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_NET,
    .state = &net_device,
    .init = net_init,
    .set_features = net_set_features,
    .set = net_set,
    .restore_state = net_restore,
    .handle = net_handle,
    .supplied = net_supplied,
    .recalled = net_recalled,
    .batch_end = net_batch_end,
};
