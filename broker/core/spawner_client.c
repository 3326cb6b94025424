/* The broker's side of the channel to the spawner.
 * Owns the channel; called by the supervisors and by main. TRUST: the spawner is our own process, judged all
 * the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/spawner_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/channel.h"
#include "proto/base/cleanup.h"

#define SPAWNED_FDS 3u /* beside the lanes: control, pidfd, output */

struct spawner_client {
        struct channel *channel; /* NULL: the spawner is gone */
        const struct spawner_client_ops *ops;
        void *context;
        struct arena arena;
        unsigned n_devices;
        unsigned n_lanes[LIMIT_WORKERS];
};

static int client_spawned(struct spawner_client *client, const struct spawn_to_broker *message,
                          struct fd_set_owned *fds)
{
        unsigned n_lanes = client->n_lanes[message->device];
        struct spawned_worker worker = {.pid = message->pid, .uid = message->uid, .n_lanes = n_lanes};

        if (fds->n != 2 * n_lanes + SPAWNED_FDS)
                return -EPROTO;
        worker.control_fd = fd_set_take(fds, 0);
        for (unsigned i = 0; i < n_lanes; i++)
                worker.lanes[i] =
                    (struct fd_duplex){.in = fd_set_take(fds, 1 + 2 * i), .out = fd_set_take(fds, 2 + 2 * i)};
        worker.pidfd = fd_set_take(fds, 1 + 2 * n_lanes);
        worker.output_fd = fd_set_take(fds, 2 + 2 * n_lanes);
        client->ops->spawned(client->context, message->device, &worker);
        cleanup_close(&worker.control_fd);
        cleanup_close(&worker.pidfd);
        cleanup_close(&worker.output_fd);
        for (unsigned i = 0; i < n_lanes; i++)
                fd_duplex_close(&worker.lanes[i]);
        return 0;
}

static int client_frame(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds)
{
        struct spawner_client *client = context;
        struct spawn_to_broker message;
        int r = spawn_check_to_broker(&client->arena, header, len, &message);

        if (r < 0)
                return r;
        if (message.kind == SPAWN_TERMINATE) {
                client->ops->terminate(client->context);
                return 0;
        }
        if (message.device >= client->n_devices)
                return -EPROTO;
        switch (message.kind) {
        case SPAWN_SPAWNED:
                return client_spawned(client, &message, fds);
        case SPAWN_FAILED:
                client->ops->failed(client->context, message.device, message.error, message.reason);
                return 0;
        case SPAWN_EXITED:
                client->ops->exited(client->context, message.device, &message);
                return 0;
        case SPAWN_COMPANION:
                if (client->ops->companion)
                        client->ops->companion(client->context, message.device, &message);
                return 0;
        case SPAWN_RENEWED:
                if (client->ops->renewed)
                        client->ops->renewed(client->context, message.device);
                return 0;
        case SPAWN_TERMINATE:
        case SPAWN_TO_BROKER_COUNT_:
                break;
        }
        return -EPROTO;
}

static void client_ended(void *context, int error)
{
        struct spawner_client *client = context;

        (void)error;
        client->channel = channel_free(client->channel);
        client->ops->gone(client->context);
}

static const struct channel_ops client_channel_ops = {
    .max_fds = 2 * LIMIT_LANES + SPAWNED_FDS,
    .frame = client_frame,
    .ended = client_ended,
};

int spawner_client_new(uv_loop_t *loop, int fd, const unsigned *n_lanes, unsigned n_devices,
                       const struct spawner_client_ops *ops, void *context,
                       struct spawner_client **ret_client)
{
        struct spawner_client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return -ENOMEM;
        client->ops = ops;
        client->context = context;
        client->n_devices = n_devices;
        assert(n_devices <= LIMIT_WORKERS);
        memcpy(client->n_lanes, n_lanes, n_devices * sizeof(n_lanes[0]));
        r = arena_init(&client->arena, LIMIT_ARENA);
        if (r == 0)
                r = channel_new(loop, fd, &client_channel_ops, client, &client->channel);
        if (r < 0) {
                arena_done(&client->arena);
                free(client);
                return r;
        }
        *ret_client = client;
        return 0;
}

struct spawner_client *spawner_client_free(struct spawner_client *client)
{
        if (!client)
                return NULL;
        channel_free(client->channel);
        arena_done(&client->arena);
        free(client);
        return NULL;
}

static int client_send(struct spawner_client *client, enum spawn_kind_to_spawner kind, uint32_t device)
{
        struct spawn_to_spawner message = {.kind = kind, .device = device};
        uint8_t buf[64];
        ssize_t len = spawn_make_to_spawner(&message, buf, sizeof(buf));

        if (len < 0)
                return (int)len;
        return client->channel ? channel_send(client->channel, buf, (size_t)len) : -EPIPE;
}

int spawner_client_spawn(struct spawner_client *client, uint32_t device)
{
        return client_send(client, SPAWN_SPAWN, device);
}

int spawner_client_reap(struct spawner_client *client, uint32_t device)
{
        return client_send(client, SPAWN_REAP, device);
}

int spawner_client_stop(struct spawner_client *client)
{
        return client_send(client, SPAWN_STOP, 0);
}

bool spawner_client_alive(const struct spawner_client *client)
{
        return client->channel != NULL;
}
