/* The admin socket.
 *
 * How it works: a status is answered at once. A setting is answered when the device's worker has said what it makes of it;
 * until then its client has a wish under way and may ask for nothing else. A wish may outlive its client, and this server.
 *
 * Owns the listening socket, its retry timer, the clients' channels and their wishes; called by broker.c. TRUST: clients are
 * users of the socket's group; what is not a question is answered by hanging up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin/admin_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/core/channel.h"
#include "proto/base/log.h"

#define ADMIN_ANSWER 65536u /* bytes of the largest answer: LIMIT_DEVICES devices at about 410 bytes */

struct admin_client {
        struct admin_server *server;
        struct channel *channel; /* NULL: this place is free */
        struct admin_wish *wish; /* under way; NULL: none */
};

/* A setting on its way to a worker. Freed by its answer. */
struct admin_wish {
        struct admin_client *client; /* NULL: has gone */
        struct admin_to_broker question;
};

struct admin_server {
        uv_poll_t listener;
        uv_timer_t retry;
        unsigned open_handles;
        int fd;
        const struct admin_ops *ops;
        void *context;
        struct arena arena;
        struct admin_client clients[ADMIN_CLIENTS];
};

static void on_connection(uv_poll_t *poll, int status, int events);

static struct admin_client *find_place(struct admin_server *server)
{
        for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
                if (!server->clients[i].channel)
                        return &server->clients[i];
        return NULL;
}

static void on_retry(uv_timer_t *timer);

/* Listens only while there is a place. */
static void server_listen(struct admin_server *server)
{
        if (!find_place(server))
                uv_poll_stop(&server->listener);
        else if (uv_poll_start(&server->listener, UV_READABLE, on_connection) < 0)
                uv_timer_start(&server->retry, on_retry, LIMIT_ACCEPT_RETRY_MS, 0);
}

static void on_retry(uv_timer_t *timer)
{
        server_listen(timer->data);
}

static int client_send(struct admin_client *client, const struct admin_to_client *answer)
{
        uint8_t *buf = malloc(ADMIN_ANSWER);
        ssize_t len = -ENOMEM;

        if (buf)
                len = admin_make_to_client(answer, buf, ADMIN_ANSWER);
        if (len > 0)
                len = channel_send(client->channel, buf, (size_t)len);
        free(buf);
        return (int)len;
}

static int client_send_status(struct admin_client *client)
{
        struct admin_server *server = client->server;
        struct admin_to_client *answer = calloc(1, sizeof(*answer));
        int r = -ENOMEM;

        if (answer) {
                answer->kind = ADMIN_STATUS;
                server->ops->status(server->context, &answer->status);
                r = client_send(client, answer);
        }
        free(answer);
        return r;
}

/* ---- settings ---- */

static const char *why_not_set(int error)
{
        switch (error) {
        case -ENOENT:
                return "there is no such device: bulkhead ps lists them";
        case -EBUSY:
                return "another setting is under way or has just been made: try again";
        case -EAGAIN:
                return "no worker of the device serves now: try again";
        case -EOPNOTSUPP:
                return "the device has no such setting";
        case -EINVAL:
                return "the device does not take this value";
        default:
                return strerror(-error);
        }
}

static int client_send_set(struct admin_client *client, const struct admin_to_broker *question, int error)
{
        struct admin_to_client *answer = calloc(1, sizeof(*answer));
        int r = -ENOMEM;

        if (answer && error == 0) {
                answer->kind = ADMIN_TAKEN;
        } else if (answer) {
                answer->kind = ADMIN_ERROR;
                answer->error.error = error == -EAGAIN ? -EBUSY : error;
                snprintf(answer->error.reason, sizeof(answer->error.reason), "%s: %s: %s", question->device,
                         control_setting_name(question->set.setting.id), why_not_set(error));
        }
        if (answer)
                r = client_send(client, answer);
        free(answer);
        return r;
}

static void client_ended(void *context, int error);

static void on_set(void *context, int error)
{
        struct admin_wish *wish = context;
        struct admin_client *client = wish->client;
        int r = 0;

        if (client) {
                client->wish = NULL;
                r = client_send_set(client, &wish->question, error);
        }
        free(wish);
        if (r < 0)
                client_ended(client, r);
}

static int client_set(struct admin_client *client, const struct admin_to_broker *question)
{
        struct admin_server *server = client->server;
        struct admin_wish *wish = malloc(sizeof(*wish));
        int r;

        if (!wish)
                return -ENOMEM;
        *wish = (struct admin_wish){.client = client, .question = *question};
        r = server->ops->set(server->context, wish->question.device, &wish->question.set.setting, on_set,
                             wish);
        if (r == 0) {
                client->wish = wish;
                return 0;
        }
        free(wish);
        return client_send_set(client, question, r);
}

static int client_send_shmem(struct admin_client *client, const struct admin_to_broker *question)
{
        struct admin_server *server = client->server;
        struct admin_to_client *answer = calloc(1, sizeof(*answer));
        int r = -ENOMEM;

        if (answer) {
                answer->kind = ADMIN_SHMEM;
                r = server->ops->shmem(server->context, question->device, &answer->shmem);
                if (r < 0) {
                        answer->kind = ADMIN_ERROR;
                        answer->error.error = r;
                        snprintf(answer->error.reason, sizeof(answer->error.reason), "%s: %s",
                                 question->device, why_not_set(r));
                }
                r = client_send(client, answer);
        }
        free(answer);
        return r;
}

/* ---- clients ---- */

static int client_frame(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds)
{
        struct admin_client *client = context;
        struct admin_to_broker question;
        int r = admin_check_to_broker(&client->server->arena, header, len, &question);

        (void)fds;
        if (r < 0 || client->wish) /* one question at a time, or answers would change places */
                return r < 0 ? r : -EPROTO;
        switch (question.kind) {
        case ADMIN_GET_STATUS:
                return client_send_status(client);
        case ADMIN_SET:
                return client_set(client, &question);
        case ADMIN_GET_SHMEM:
                return client_send_shmem(client, &question);
        }
        return -EPROTO;
}

static void client_close(struct admin_client *client)
{
        if (client->wish)
                client->wish->client = NULL;
        client->wish = NULL;
        client->channel = channel_free(client->channel);
}

static void client_ended(void *context, int error)
{
        struct admin_client *client = context;

        if (error < 0 && error != -ECONNRESET)
                log_limited(LOG_LEVEL_WARNING, "admin client dropped errno=%d", -error);
        client_close(client);
        server_listen(client->server);
}

static const struct channel_ops client_ops = {.max_fds = 0, .frame = client_frame, .ended = client_ended};

static int server_accept(struct admin_server *server)
{
        struct admin_client *client = find_place(server);
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        client->server = server;
        r = channel_new(server->listener.loop, fd, &client_ops, client, &client->channel);
        if (r < 0)
                close(fd);
        return r;
}

/* Without descriptors or memory the connection stays where it is, and the socket readable: to look again at
 * once would be a busy loop. */
static void on_connection(uv_poll_t *poll, int status, int events)
{
        struct admin_server *server = poll->data;
        int r = status < 0 ? status : server_accept(server);

        (void)events;
        if (r == 0 || r == -EAGAIN || r == -EINTR || r == -ECONNABORTED) {
                server_listen(server);
                return;
        }
        log_limited(LOG_LEVEL_WARNING, "cannot accept an admin client: %s", strerror(-r));
        uv_poll_stop(&server->listener);
        uv_timer_start(&server->retry, on_retry, LIMIT_ACCEPT_RETRY_MS, 0);
}

int admin_server_new(uv_loop_t *loop, int listen_fd, const struct admin_ops *ops, void *context,
                     struct admin_server **ret_server)
{
        struct admin_server *server = calloc(1, sizeof(*server));
        int r = -ENOMEM;

        if (server) {
                r = arena_init(&server->arena, LIMIT_ARENA);
                if (r == 0)
                        r = uv_poll_init(loop, &server->listener, listen_fd);
        }
        if (r < 0) {
                close(listen_fd);
                if (server)
                        arena_done(&server->arena);
                free(server);
                return r;
        }
        uv_timer_init(loop, &server->retry);
        server->listener.data = server->retry.data = server;
        server->open_handles = 2;
        server->fd = listen_fd;
        server->ops = ops;
        server->context = context;
        server_listen(server);
        *ret_server = server;
        return 0;
}

static void on_closed(uv_handle_t *handle)
{
        struct admin_server *server = handle->data;

        if (--server->open_handles > 0)
                return;
        close(server->fd);
        arena_done(&server->arena);
        free(server);
}

struct admin_server *admin_server_free(struct admin_server *server)
{
        if (!server)
                return NULL;
        for (unsigned i = 0; i < ADMIN_CLIENTS; i++)
                client_close(&server->clients[i]);
        uv_close((uv_handle_t *)&server->listener, on_closed);
        uv_close((uv_handle_t *)&server->retry, on_closed);
        return NULL;
}
