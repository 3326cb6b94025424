/* The channel on which the back-end speaks first.
 * Owns its socket and poll handle; called by the session. TRUST: replies are the front end's; a bad one
 * closes this channel and nothing else, as does end of file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/backend_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "broker/vhost_user/assembly.h"
#include "broker/vhost_user/output.h"
#include "proto/base/cleanup.h"

struct backend_channel {
        uv_poll_t poll;
        int fd; /* -1: closed */
        bool with_replies;
        bool outstanding; /* sent, and the reply has not come */
        bool changed;     /* again, since it was sent */
        struct assembly input;
        struct output output;
};

static void channel_event(uv_poll_t *poll, int status, int events);

static void channel_free(uv_handle_t *handle)
{
        free(handle->data);
}

/* The peer's end or mistake: the object stays with its session, and says nothing any more. */
static void channel_shut(struct backend_channel *channel)
{
        if (channel->fd < 0)
                return;
        uv_poll_stop(&channel->poll);
        assembly_clear(&channel->input);
        cleanup_close(&channel->fd);
        channel->fd = -1;
}

struct backend_channel *backend_channel_close(struct backend_channel *channel)
{
        if (!channel)
                return NULL;
        channel_shut(channel);
        uv_close((uv_handle_t *)&channel->poll, channel_free);
        return NULL;
}

static void channel_watch(struct backend_channel *channel)
{
        int events = UV_READABLE | (output_pending(&channel->output) ? UV_WRITABLE : 0);

        if (channel->fd >= 0 && uv_poll_start(&channel->poll, events, channel_event) < 0)
                channel_shut(channel);
}

static void channel_send(struct backend_channel *channel)
{
        struct vhost_user_header header = {.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
                                           .flags = VHOST_USER_VERSION |
                                                    (channel->with_replies ? VHOST_USER_NEED_REPLY : 0)};

        if (output_put(&channel->output, &header, sizeof(header), NULL, 0) < 0 ||
            output_flush(&channel->output, channel->fd) < 0) {
                channel_shut(channel);
                return;
        }
        channel->changed = false;
        channel->outstanding = channel->with_replies;
        channel_watch(channel);
}

void backend_channel_config_changed(struct backend_channel *channel)
{
        if (!channel || channel->fd < 0)
                return;
        channel->changed = true;
        if (!channel->outstanding && !output_pending(&channel->output))
                channel_send(channel);
}

/* The answer's value does not matter: the front end has been told. 1: one whole reply. */
static int channel_receive(struct backend_channel *channel)
{
        const struct vhost_user_header *header = &channel->input.message.header;
        int r = assembly_receive(&channel->input, channel->fd);

        if (r <= 0)
                return r;
        if (!channel->outstanding || header->request != VHOST_USER_BACKEND_CONFIG_CHANGE_MSG ||
            header->flags != VHOST_USER_REPLY_FLAGS || header->size != sizeof(uint64_t) ||
            channel->input.message.fds.n > 0)
                return -EPROTO;
        assembly_clear(&channel->input);
        channel->outstanding = false;
        return 1;
}

static void channel_event(uv_poll_t *poll, int status, int events)
{
        struct backend_channel *channel = poll->data;

        if (status < 0 || ((events & UV_READABLE) && channel_receive(channel) < 0) ||
            output_flush(&channel->output, channel->fd) < 0) {
                channel_shut(channel);
                return;
        }
        if (channel->changed && !channel->outstanding && !output_pending(&channel->output))
                channel_send(channel);
        else
                channel_watch(channel);
}

static int channel_check(int fd)
{
        int type, domain;
        socklen_t len = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
                return -EBADF;
        len = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
                return -EBADF;
        return fd_set_nonblock(fd);
}

int backend_channel_new(uv_loop_t *loop, int fd, bool with_replies, struct backend_channel **ret_channel)
{
        _cleanup_close_ int owned = fd;
        struct backend_channel *channel;
        int r = channel_check(owned);

        if (r < 0)
                return r;
        channel = calloc(1, sizeof(*channel));
        if (!channel)
                return -ENOMEM;
        r = uv_poll_init(loop, &channel->poll, owned);
        if (r < 0) {
                free(channel);
                return r;
        }
        channel->poll.data = channel;
        channel->fd = take_fd(&owned);
        channel->with_replies = with_replies;
        assembly_init(&channel->input, true);
        channel_watch(channel);
        *ret_channel = channel;
        return 0;
}
