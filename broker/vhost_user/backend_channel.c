/* The channel on which the back-end speaks first.
 * Owns its socket and poll handle, and the descriptor of a message that the socket has not taken yet; called by the session.
 * TRUST: replies are the front end's; a bad one closes this channel and nothing else, as does end of file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/backend_channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/vhost_user/assembly.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

/* One message on its way to a peer that may not read. */
struct outgoing {
        uint8_t bytes[sizeof(struct vhost_user_header) + sizeof(struct vhost_user_mmap)];
        size_t len, done;
        int fd; /* rides on the first byte, our own; -1: none */
};

/* Each miss, and one other message. */
#define ASKED_MAX (LIMIT_IOTLB_MISSES + 1u)

/* Requests whose replies have not come, the oldest first. */
struct asked {
        uint8_t request[ASKED_MAX];
        unsigned first, n;
};

struct backend_channel {
        uv_poll_t poll;
        int fd; /* -1: closed */
        bool with_replies;
        bool held;
        bool changed; /* the config space, and nobody has been told */
        bool busy;    /* one of the asked is no miss */
        struct asked asked;
        struct backend_owner owner;
        struct assembly input;
        struct outgoing output;
};

static void channel_event(uv_poll_t *poll, int status, int events);

/* ---- the end ---- */

static void channel_free(uv_handle_t *handle)
{
        free(handle->data);
}

static void outgoing_clear(struct outgoing *output)
{
        cleanup_close(&output->fd);
        *output = (struct outgoing){.fd = -1};
}

/* The object stays with its session, and says nothing any more. */
static void channel_shut(struct backend_channel *channel)
{
        if (channel->fd < 0)
                return;
        uv_poll_stop(&channel->poll);
        assembly_clear(&channel->input);
        outgoing_clear(&channel->output);
        cleanup_close(&channel->fd);
        channel->fd = -1;
        channel->asked.n = 0;
        channel->busy = false;
}

/* The peer's end or mistake. */
static void channel_fail(struct backend_channel *channel)
{
        if (channel->fd < 0)
                return;
        channel_shut(channel);
        if (channel->owner.closed)
                channel->owner.closed(channel->owner.context);
}

struct backend_channel *backend_channel_close(struct backend_channel *channel)
{
        if (!channel)
                return NULL;
        channel_shut(channel);
        uv_close((uv_handle_t *)&channel->poll, channel_free);
        return NULL;
}

/* ---- what is under way ---- */

static void asked_add(struct backend_channel *channel, uint32_t request)
{
        struct asked *asked = &channel->asked;

        assert(asked->n < ASKED_MAX);
        asked->request[(asked->first + asked->n) % ASKED_MAX] = (uint8_t)request;
        asked->n++;
        channel->busy |= request != VHOST_USER_BACKEND_IOTLB_MSG;
}

static void asked_take(struct backend_channel *channel, uint32_t request)
{
        struct asked *asked = &channel->asked;

        asked->first = (asked->first + 1) % ASKED_MAX;
        asked->n--;
        channel->busy &= request == VHOST_USER_BACKEND_IOTLB_MSG;
}

/* ---- sending ---- */

static bool output_waits(const struct backend_channel *channel)
{
        return channel->output.done < channel->output.len;
}

static int channel_watch(struct backend_channel *channel)
{
        int events = UV_READABLE | (output_waits(channel) ? UV_WRITABLE : 0);

        return uv_poll_start(&channel->poll, events, channel_event);
}

/* What the socket takes. Not by O_NONBLOCK: of a channel that the peer gave, the peer can clear it. */
static int channel_flush(struct backend_channel *channel)
{
        struct outgoing *output = &channel->output;

        while (output_waits(channel)) {
                struct iovec iov = {.iov_base = output->bytes + output->done,
                                    .iov_len = output->len - output->done};
                ssize_t n = fd_pass_send_now(channel->fd, &iov, 1, &output->fd, output->fd >= 0);

                if (n == -EAGAIN)
                        return 0;
                if (n < 0)
                        return (int)n;
                output->done += (size_t)n;
                cleanup_close(&output->fd);
                output->fd = -1;
        }
        return 0;
}

static int channel_send(struct backend_channel *channel, uint32_t request, const void *payload, uint32_t len,
                        int fd)
{
        struct vhost_user_header header = {.request = request,
                                           .flags = VHOST_USER_VERSION |
                                                    (channel->with_replies ? VHOST_USER_NEED_REPLY : 0),
                                           .size = len};
        struct outgoing *output = &channel->output;
        int r;

        assert(sizeof(header) + len <= sizeof(output->bytes));
        memcpy(output->bytes, &header, sizeof(header));
        if (len > 0)
                memcpy(output->bytes + sizeof(header), payload, len);
        output->len = sizeof(header) + len;
        output->done = 0;
        output->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd >= 0 && output->fd < 0)
                return -errno;
        if (channel->with_replies)
                asked_add(channel, request);
        r = channel_flush(channel);
        return r < 0 ? r : channel_watch(channel);
}

int backend_channel_ask(struct backend_channel *channel, enum vhost_user_backend_request request,
                        const struct vhost_user_mmap *mmap, int fd)
{
        int r;

        assert(backend_channel_idle(channel) && channel->with_replies);
        r = channel_send(channel, request, mmap, sizeof(*mmap), fd);
        if (r < 0)
                channel_shut(channel);
        return r;
}

int backend_channel_miss(struct backend_channel *channel, const struct vhost_user_iotlb *miss)
{
        int r;

        assert(backend_channel_may_miss(channel));
        r = channel_send(channel, VHOST_USER_BACKEND_IOTLB_MSG, miss, sizeof(*miss), -1);
        if (r < 0)
                channel_shut(channel);
        return r;
}

bool backend_channel_is_closed(const struct backend_channel *channel)
{
        return !channel || channel->fd < 0;
}

static bool may_speak(const struct backend_channel *channel)
{
        return !backend_channel_is_closed(channel) && !channel->held && !output_waits(channel);
}

bool backend_channel_idle(const struct backend_channel *channel)
{
        return may_speak(channel) && !channel->busy;
}

/* The last place is another message's. */
bool backend_channel_may_miss(const struct backend_channel *channel)
{
        return may_speak(channel) && channel->with_replies &&
               channel->asked.n - channel->busy < LIMIT_IOTLB_MISSES;
}

/* Who is next. */
static void channel_next(struct backend_channel *channel)
{
        if (!may_speak(channel))
                return;
        if (channel->changed && !channel->busy) {
                channel->changed = false;
                if (channel_send(channel, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, -1) < 0)
                        channel_fail(channel);
        }
        if (may_speak(channel) && channel->owner.idle)
                channel->owner.idle(channel->owner.context);
}

void backend_channel_hold(struct backend_channel *channel, bool held)
{
        if (!channel)
                return;
        channel->held = held;
        channel_next(channel);
}

void backend_channel_set_replies(struct backend_channel *channel, bool with_replies)
{
        if (channel)
                channel->with_replies = with_replies;
}

void backend_channel_config_changed(struct backend_channel *channel)
{
        if (!channel)
                return;
        channel->changed = true;
        channel_next(channel);
}

/* ---- answers ---- */

/* Not before the whole question has gone. */
static bool is_due(const struct backend_channel *channel, uint32_t request)
{
        const struct asked *asked = &channel->asked;

        return asked->n > (output_waits(channel) ? 1 : 0) && asked->request[asked->first] == request;
}

/* 1: one whole reply, to what was asked first. The value of the answer to a change does not matter: the front end has been told. */
static int channel_receive(struct backend_channel *channel, uint32_t *ret_request, uint64_t *ret_value)
{
        const struct vhost_user_message *message = &channel->input.message;
        int r = assembly_receive(&channel->input, channel->fd);

        if (r <= 0)
                return r;
        if (!is_due(channel, message->header.request) || message->header.flags != VHOST_USER_REPLY_FLAGS ||
            message->header.size != sizeof(uint64_t) || message->fds.n > 0)
                return -EPROTO;
        *ret_request = message->header.request;
        *ret_value = message->payload.u64;
        assembly_clear(&channel->input);
        asked_take(channel, *ret_request);
        return 1;
}

static void channel_tell(const struct backend_channel *channel, uint32_t request, uint64_t value)
{
        const struct backend_owner *owner = &channel->owner;

        if (request == VHOST_USER_BACKEND_IOTLB_MSG && owner->miss_answered)
                owner->miss_answered(owner->context, value);
        else if ((request == VHOST_USER_BACKEND_SHMEM_MAP || request == VHOST_USER_BACKEND_SHMEM_UNMAP) &&
                 owner->answered)
                owner->answered(owner->context, value);
}

static void channel_event(uv_poll_t *poll, int status, int events)
{
        struct backend_channel *channel = poll->data;
        uint32_t request = 0;
        uint64_t value = 0;
        int r = status;

        if (r == 0 && (events & UV_WRITABLE))
                r = channel_flush(channel);
        if (r == 0 && (events & UV_READABLE))
                r = channel_receive(channel, &request, &value);
        if (r >= 0 && channel_watch(channel) < 0)
                r = -EIO;
        if (r < 0) {
                channel_fail(channel);
                return;
        }
        if (r == 1)
                channel_tell(channel, request, value);
        channel_next(channel);
}

/* ---- the beginning ---- */

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

int backend_channel_new(uv_loop_t *loop, int fd, bool with_replies, const struct backend_owner *owner,
                        struct backend_channel **ret_channel)
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
        channel->held = true;
        channel->owner = *owner;
        channel->output.fd = -1;
        assembly_init(&channel->input, true);
        if (channel_watch(channel) < 0)
                channel_shut(channel);
        *ret_channel = channel;
        return 0;
}
