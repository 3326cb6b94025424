/* The control queue: what the driver says of the frames and pairs that it wants, and that it has announced itself
 * (virtio 1.3, 5.1.6.5).
 * Owns nothing; called by net.c. TRUST: a command's bytes are the guest's, judged by net_req.c; what a predecessor has
 * left is judged by net_filter.c.
 *
 * What was said is left to a successor after each command, but at most once in NET_SAVE_MS: a guest says as much as it
 * likes, and a worker must not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/base/checked.h"
#include "workers/net/net.h"
#include "workers/runtime/worker_say.h"

#define NET_SAVE_MS         20u
#define NET_STATUS_LINK_UP  1u
#define NET_STATUS_ANNOUNCE 2u

static void save(struct net *net)
{
        if (net->save_waits) {
                net->save_again = true;
                return;
        }
        worker_state_put(&net->filter, sizeof(net->filter));
        net->save_waits = true;
        net_clock_set(net, NET_DUE_SAVE, NET_SAVE_MS);
}

void net_control_save_due(struct net *net)
{
        bool again = net->save_again;

        net->save_waits = net->save_again = false;
        if (again)
                save(net);
}

int net_control_restore(struct net *net, const uint8_t *bytes, size_t len)
{
        return net_filter_restore(&net->filter, net->promise.n_pairs, bytes, len) ? 0 : -EINVAL;
}

void net_control_show_link(struct net *net)
{
        uint64_t status =
            (net_link_is_up(net) ? NET_STATUS_LINK_UP : 0u) | (net->announce ? NET_STATUS_ANNOUNCE : 0u);

        if (worker_config_get(NET_FIELD_STATUS) == status)
                return;
        worker_config_set(NET_FIELD_STATUS, status);
        worker_config_push();
}

void net_control_set_link(struct net *net, bool on)
{
        bool was_up = net_link_is_up(net);

        net->link_off = !on;
        if (!was_up && net_link_is_up(net) && (net->promise.features & NET_F_GUEST_ANNOUNCE) &&
            net->has_control)
                net->announce = true; /* it may be another network by now */
        net_control_show_link(net);
        for (unsigned i = 0; i < net->n_ears; i++)
                net_watch(net, i);
}

static void obey(struct net *net, const struct net_control *control)
{
        if (control->command == NET_COMMAND_ANNOUNCE_ACK) {
                net->announce = false;
                net_control_show_link(net);
                return;
        }
        net_filter_apply(&net->filter, control);
        save(net);
        if (control->command == NET_COMMAND_PAIRS)
                for (unsigned i = 0; i < net->n_ears; i++)
                        net_watch(net, i);
}

static int load(struct request *request, uint8_t *bytes)
{
        if (request_readable(request) > LIMIT_NET_CONTROL)
                return -EINVAL;
        return request_read(request, 0, bytes, request_readable(request));
}

void net_control_handle(struct net *net, struct request *request)
{
        static uint8_t bytes[LIMIT_NET_CONTROL];
        struct net_control control;
        int r;

        if (request_writable(request) == 0) {
                request_refuse(request);
                return;
        }
        r = request_must_fail(request) ? -EIO : load(request, bytes);
        if (r == 0)
                r = net_req_check_control(&net->promise, bytes, request_readable(request), &control);
        if (r == 0)
                obey(net, &control);
        *request_reserve(request, 1) = (uint8_t)(r == 0 ? NET_ACK_OK : NET_ACK_ERR);
        request_complete(request, 0, 1);
}
