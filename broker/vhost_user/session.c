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

#include "broker/core/features.h"
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

static void session_say(struct session *session, enum views_speech speech)
{
        shmem_views_speech(session->views, speech);
        backend_channel_hold(session->channel, speech != VIEWS_SPEAKING);
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
        /* What the device takes back now the front end takes back by itself. */
        session_say(session, VIEWS_SUSPENDED);
        if (session->touched)
                device_reset(session->device);
        session_drop_translations(session);
        session->touched = false;
        session->broken = false;
}

/* The device may take mappings back in the middle of it, and they must hear of that. */
static void session_close_views(struct session *session)
{
        session->views = shmem_views_close(session->views);
}

/* The device forgets this front end; nothing here waits for anybody. */
static void session_leave_device(struct session *session)
{
        session_reset_device(session);
        (void)session_set_translating(session, false); /* nothing runs: it cannot fail */
        session->misses = iotlb_misses_close(session->misses);
        if (session->memory.memory)
                (void)device_set_memory(session->device, NULL); /* likewise */
        rings_done(&session->rings);
        memory_table_done(&session->memory);
}

void session_end(struct session *session, int error)
{
        if (session->state == SESSION_ENDED)
                return;
        session_log_end(session, error);
        session_close_views(session); /* first: a worker may wait for it */
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

static const char *why_refused(const struct session *session)
{
        if (session->rings.may_start)
                return "bad geometry";
        if (!(session->features & FEATURE_BIT(VIRTIO_F_VERSION_1_BIT)))
                return "its driver has not accepted VERSION_1, and drivers of the legacy interface are "
                       "served by "
                       "no vhost-user device";
        return "the VMM cannot be asked for translations";
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
        session_update_speech(session);
        if (start == RING_START_UNSHARED)
                session_tell_unshared(session);
        if (start == RING_START_REFUSED)
                log_limited(LOG_LEVEL_WARNING, "ring cannot start: %s dev=%s", why_refused(session),
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

void session_update_speech(struct session *session)
{
        enum views_speech speech = session->draining                    ? VIEWS_DRAINING
                                   : rings_any_running(&session->rings) ? VIEWS_SPEAKING
                                                                        : VIEWS_SUSPENDED;

        session_say(session, speech);
}

static void channel_answered(void *context, uint64_t value)
{
        struct session *session = context;

        shmem_views_answered(session->views, value);
}

static void channel_miss_answered(void *context, uint64_t value)
{
        struct session *session = context;

        iotlb_misses_answered(session->misses, value);
}

/* Misses first: a guest waits for them. */
static void channel_idle(void *context)
{
        struct session *session = context;

        iotlb_misses_idle(session->misses);
        shmem_views_idle(session->views);
}

static void channel_closed(void *context)
{
        struct session *session = context;

        iotlb_misses_closed(session->misses);
        shmem_views_closed(session->views);
}

int session_set_channel(struct session *session, int fd, bool with_replies)
{
        const struct backend_owner owner = {.context = session,
                                            .answered = channel_answered,
                                            .miss_answered = channel_miss_answered,
                                            .idle = channel_idle,
                                            .closed = channel_closed};
        int r;

        session->channel = backend_channel_close(session->channel);
        r = backend_channel_new(session->poll.loop, fd, with_replies, &owner, &session->channel);
        shmem_views_set_channel(session->views, session->channel);
        iotlb_misses_set_channel(session->misses, session->channel);
        session_update_speech(session);
        return r;
}

int session_set_views(struct session *session, bool wanted)
{
        int r;

        if (!wanted) {
                session_close_views(session);
                return 0;
        }
        if (session->views)
                return 0;
        r = shmem_views_new(session->poll.loop, session->device, &session->memory, &session->views);
        if (r < 0)
                return r;
        shmem_views_set_channel(session->views, session->channel);
        session_update_speech(session);
        return 0;
}

bool session_shmem_show(struct session *session, struct shmem_mapping *mapping)
{
        return !session->views || shmem_views_show(session->views, mapping);
}

void session_shmem_hide(struct session *session, struct shmem_mapping *mapping)
{
        if (session->views)
                shmem_views_hide(session->views, mapping);
}

/* Questions outlive the translating: the channel may still owe replies to them. */
static int session_new_misses(struct session *session)
{
        int r;

        if (session->misses)
                return 0;
        r = iotlb_misses_new(session->poll.loop, session->device, &session->misses);
        if (r == 0)
                iotlb_misses_set_channel(session->misses, session->channel);
        return r;
}

int session_set_translating(struct session *session, bool wanted)
{
        int r;

        if (wanted == session->translating)
                return 0;
        r = wanted ? session_new_misses(session) : 0;
        if (r == 0)
                r = device_translate(session->device, wanted);
        if (r < 0)
                return r;
        session->translating = session->rings.translated = wanted;
        iotlb_misses_drop(session->misses);
        return 0;
}

void session_drop_translations(struct session *session)
{
        if (!session->translating)
                return;
        (void)device_iotlb_invalidate(session->device, 0, 0); /* of all: it cannot fail */
        iotlb_misses_drop(session->misses);
}

void session_iotlb_miss(struct session *session, uint64_t iova, unsigned rights)
{
        iotlb_misses_ask(session->misses, iova, rights);
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

/* Of a file in its memory table. */
static enum memory_kind session_memory_kind(void *context, uint64_t dev, uint64_t ino)
{
        const struct session *session = context;

        return vhost_user_family_kind(session->family, session->device, dev, ino);
}

bool session_shows(const struct session *session, uint64_t dev, uint64_t ino)
{
        return session->views && shmem_views_have(session->views, dev, ino);
}

int session_new(uv_loop_t *loop, struct device *device, int fd, const struct vhost_user_family *family,
                void (*ended)(void *context), void *ended_context, struct session **ret_session)
{
        _cleanup_close_ int owned = fd;
        struct session *session = calloc(1, sizeof(*session));
        const struct memory_judge judge = {.kind = session_memory_kind, .context = session};
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
        session->family = family;
        session->ended = ended;
        session->ended_context = ended_context;
        assembly_init(&session->input, false);
        memory_table_init(&session->memory, family ? &judge : NULL);
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
