/* The admin socket.
 * Owns the listening socket, its retry timer and the clients' channels; called by broker.c. TRUST: clients are users of the
 * socket's group; what is not a question is answered by hanging up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin/admin_server.h"

#include <errno.h>
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
};

struct admin_server {
        uv_poll_t listener;
        uv_timer_t retry;
        unsigned open_handles;
        int fd;
        void (*status)(void *context, struct admin_status *ret_status);
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

static int client_answer(struct admin_client *client)
{
        struct admin_server *server = client->server;
        struct admin_to_client *answer = calloc(1, sizeof(*answer));
        uint8_t *buf = malloc(ADMIN_ANSWER);
        ssize_t len = -ENOMEM;

        if (answer && buf) {
                answer->kind = ADMIN_STATUS;
                server->status(server->context, &answer->status);
                len = admin_make_to_client(answer, buf, ADMIN_ANSWER);
        }
        if (len > 0)
                len = channel_send(client->channel, buf, (size_t)len);
        free(buf);
        free(answer);
        return (int)len;
}

static int client_frame(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds)
{
        struct admin_client *client = context;
        struct admin_to_broker question;
        int r = admin_check_to_broker(&client->server->arena, header, len, &question);

        (void)fds;
        return r < 0 ? r : client_answer(client);
}

static void client_ended(void *context, int error)
{
        struct admin_client *client = context;

        if (error < 0 && error != -ECONNRESET)
                log_limited(LOG_LEVEL_WARNING, "admin client dropped errno=%d", -error);
        client->channel = channel_free(client->channel);
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

int admin_server_new(uv_loop_t *loop, int listen_fd,
                     void (*status)(void *context, struct admin_status *ret_status), void *context,
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
        server->status = status;
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
                server->clients[i].channel = channel_free(server->clients[i].channel);
        uv_close((uv_handle_t *)&server->listener, on_closed);
        uv_close((uv_handle_t *)&server->retry, on_closed);
        return NULL;
}
