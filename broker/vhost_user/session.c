/* One front end's connection.
 * Owns the socket, the message that is being read, the memory table, the rings' descriptors and the back-end
 * channel; called by the listener and by the loop. It is an edge: it logs, one limited line for each session
 * that is dropped. TRUST: all input is the front end's; it is judged by assembly.c, by the table, then by the
 * handler.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/vhost_user/table.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static const uint8_t session_next[SESSION_STATE_COUNT_] = {
    [SESSION_NEGOTIATING] = 1u << SESSION_CONFIGURED | 1u << SESSION_WAITING | 1u << SESSION_ENDED,
    [SESSION_CONFIGURED] = 1u << SESSION_NEGOTIATING | 1u << SESSION_WAITING | 1u << SESSION_ENDED,
    [SESSION_WAITING] = 1u << SESSION_NEGOTIATING | 1u << SESSION_CONFIGURED | 1u << SESSION_ENDED,
};

void session_set_state(struct session *session, enum session_state state)
{
        if (session->state == state)
                return;
        assert(session_next[session->state] & (1u << state));
        session->state = state;
}

/* ---- the end ---- */

static void session_free(uv_handle_t *handle)
{
        free(handle->data);
}

static void session_log_end(const struct session *session, int error)
{
        const struct vhost_user_header *header = &session->input.message.header;
        const char *name = error == 0 ? "0" : strerrorname_np(-error);

        if (error == -EPIPE || error == 0) {
                log_limited(LOG_LEVEL_INFO, "front end detached dev=%s", device_name(session->device));
                return;
        }
        log_limited(LOG_LEVEL_WARNING,
                    "front end dropped dev=%s message=%s request=%u size=%u fds=%u state=%d error=%s",
                    device_name(session->device), rpc_name(&message_table, header->request), header->request,
                    header->size, session->input.message.fds.n, session->state, name ? name : "unknown");
}

void session_reset_device(struct session *session)
{
        if (session->touched)
                device_reset(session->device);
        session->touched = false;
        session->broken = false;
}

/* The device forgets this front end; nothing here waits for anybody. */
static void session_leave_device(struct session *session)
{
        session_reset_device(session);
        if (session->memory.memory)
                (void)device_set_memory(session->device, NULL); /* nothing runs: it cannot fail */
        rings_done(&session->rings);
        memory_table_done(&session->memory);
}

void session_end(struct session *session, int error)
{
        if (session->state == SESSION_ENDED)
                return;
        session_log_end(session, error);
        session_leave_device(session);
        session->channel = backend_channel_close(session->channel);
        assembly_clear(&session->input);
        session_set_state(session, SESSION_ENDED);
        uv_close((uv_handle_t *)&session->poll, session_free);
        cleanup_close(&session->fd);
        session->fd = -1;
        session->ended(session->ended_context);
}

/* ---- answers ---- */

int session_answer(struct session *session, const void *payload, size_t len)
{
        struct vhost_user_header header = {.request = session->input.message.header.request,
                                           .flags = VHOST_USER_REPLY_FLAGS,
                                           .size = (uint32_t)len};

        return output_put(&session->output, &header, sizeof(header), payload, len);
}

int session_answer_u64(struct session *session, uint64_t value)
{
        return session_answer(session, &value, sizeof(value));
}

/* An acknowledgement is owed only where one was agreed, is asked for, and the message has no answer of its
 * own. */
static int session_acknowledge(struct session *session, int result)
{
        const struct vhost_user_header *header = &session->input.message.header;

        if (!(session->peer.agreed & UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK) ||
            !(header->flags & VHOST_USER_NEED_REPLY) || message_table.rows[header->request].answers)
                return 0;
        return session_answer_u64(session, result == SERVED ? 0 : 1);
}

/* ---- reading ---- */

static void session_event(uv_poll_t *poll, int status, int events);

static int session_watch(struct session *session)
{
        int events = session->state == SESSION_WAITING ? UV_DISCONNECT : UV_READABLE;

        if (output_pending(&session->output))
                events |= UV_WRITABLE;
        return uv_poll_start(&session->poll, events, session_event);
}

/* The message has been served: acknowledge it and make room for the next. */
static int session_finish(struct session *session, int result)
{
        int r = session_acknowledge(session, result);

        if (r < 0)
                return r;
        assembly_clear(&session->input);
        return output_flush(&session->output, session->fd);
}

static int session_serve(struct session *session)
{
        const struct vhost_user_message *message = &session->input.message;
        int r = rpc_dispatch(&message_table, &session->peer, session->state, message->header.request,
                             message->header.size, message->fds.n, session, message);

        if (r < 0 || session->state == SESSION_WAITING)
                return r;
        return session_finish(session, r);
}

static int session_read(struct session *session)
{
        for (unsigned i = 0; i < LIMIT_VHOST_USER_TURN; i++) {
                int r = assembly_receive(&session->input, session->fd);

                if (r <= 0)
                        return r;
                r = session_serve(session);
                if (r < 0 || session->state == SESSION_WAITING)
                        return r;
        }
        return 0;
}

static void session_event(uv_poll_t *poll, int status, int events)
{
        struct session *session = poll->data;
        int r = status;

        if (r == 0 && (events & UV_WRITABLE))
                r = output_flush(&session->output, session->fd);
        if (r == 0 && session->state == SESSION_WAITING && (events & UV_DISCONNECT))
                r = -EPIPE;
        if (r == 0 && session->state != SESSION_WAITING && (events & UV_READABLE))
                r = session_read(session);
        if (r == 0)
                r = session_watch(session);
        if (r < 0)
                session_end(session, r);
}

/* ---- waiting ---- */

void session_wait(struct session *session, struct ring *draining)
{
        session->draining = draining;
        session->touched = true;
        session->state_behind = session->state;
        session_set_state(session, SESSION_WAITING);
}

void session_wait_end(struct session *session)
{
        session->draining = NULL;
        session_set_state(session, session->state_behind);
}

void session_resume(struct session *session, int result)
{
        int r = result < 0 ? result : session_finish(session, result);

        if (r == 0)
                r = session_watch(session);
        if (r < 0)
                session_end(session, r);
}

/* ---- rings and the device's word ---- */

void session_tell_unshared(struct session *session)
{
        if (session->told_unshared)
                return;
        session->told_unshared = true;
        log_limited(
            LOG_LEVEL_WARNING,
            "the VMM has not shared the guest's memory: give QEMU \"-object "
            "memory-backend-memfd,id=mem,size=<RAM>,share=on\" and \"-machine memory-backend=mem\" dev=%s",
            device_name(session->device));
}

static void session_ring_started(struct session *session)
{
        session->touched = true;
        if (session->config_deferred)
                session_config_changed(session);
}

int session_start_rings(struct session *session, struct ring *ring)
{
        enum ring_start start;
        int r = ring ? rings_try_start(&session->rings, ring, &start)
                     : rings_try_start_all(&session->rings, &start);

        if (r < 0)
                return r;
        if (rings_any_running(&session->rings))
                session_ring_started(session);
        if (start == RING_START_UNSHARED)
                session_tell_unshared(session);
        if (start == RING_START_REFUSED)
                log_limited(LOG_LEVEL_WARNING, "ring cannot start: bad geometry or features dev=%s",
                            device_name(session->device));
        return start == RING_START_UNSHARED || start == RING_START_REFUSED ? REFUSED : SERVED;
}

void session_config_changed(struct session *session)
{
        /* A suspended back-end says nothing to its front end. */
        session->config_deferred = !rings_any_running(&session->rings);
        if (!session->config_deferred)
                backend_channel_config_changed(session->channel);
}

/* The device has logged it. */
void session_ring_broken(struct session *session, unsigned queue)
{
        struct ring *ring = rings_find(&session->rings, queue);

        session->broken = true;
        if (ring)
                ring_tell_error(&session->rings, ring);
}

void session_ring_suspicious(struct session *session, unsigned queue)
{
        (void)queue;
        session_tell_unshared(session);
}

/* ---- the beginning ---- */

int session_new(uv_loop_t *loop, struct device *device, int fd, void (*ended)(void *context),
                void *ended_context, struct session **ret_session)
{
        _cleanup_close_ int owned = fd;
        struct session *session = calloc(1, sizeof(*session));
        int r;

        if (!session)
                return -ENOMEM;
        r = uv_poll_init(loop, &session->poll, owned);
        if (r < 0) {
                free(session);
                return r;
        }
        session->poll.data = session;
        session->fd = take_fd(&owned);
        session->device = device;
        session->ended = ended;
        session->ended_context = ended_context;
        assembly_init(&session->input, false);
        memory_table_init(&session->memory);
        rings_init(&session->rings, device, &session->memory);
        r = session_watch(session);
        if (r < 0) {
                uv_close((uv_handle_t *)&session->poll, session_free);
                cleanup_close(&session->fd);
                return r;
        }
        log_limited(LOG_LEVEL_INFO, "front end attached dev=%s", device_name(device));
        *ret_session = session;
        return 0;
}
