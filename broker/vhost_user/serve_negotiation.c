/* Handlers: features, ownership, config space, back-end channel, reset.
 * Owns nothing; called by the dispatch of table.c, which has judged length, descriptors, state and agreed
 * features. TRUST: the payload is the front end's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/serve_negotiation.h"

#include <errno.h>
#include <string.h>

#include "broker/core/features.h"
#include "broker/vhost_user/features.h"
#include "broker/vhost_user/session.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"

#define CONFIG_HEADER offsetof(struct vhost_user_config, bytes)

int serve_get_features(void *context, const void *message)
{
        struct session *session = context;

        (void)message;
        return session_answer_u64(session, transport_features_offered(session->device));
}

/* A broken device stays so until it is reset, and not every front end says RESET_DEVICE (QEMU 7.2 for blk,
 * all for rng): features for a device without running rings are a start from the beginning. */
static void heal(struct session *session)
{
        if (session->broken && !rings_any_running(&session->rings))
                session_reset_device(session);
}

/* Front ends may send bits that were not offered, and a first set without the driver's bits at all; what was
 * not offered is never on, and a set without VERSION_1 only means that no ring can start with it. */
int serve_set_features(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;
        uint64_t features = m->payload.u64 & transport_features_offered(session->device);
        int r;

        heal(session);
        r = device_commit_features(session->device, features & ~VHOST_USER_F_PROTOCOL_FEATURES);

        if (r < 0 && r != -EPROTO)
                return r;
        session->features = features;
        session->rings.may_start = r == 0;
        session->rings.packed = r == 0 && (features & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT));
        session->rings.always_enabled = !(features & VHOST_USER_F_PROTOCOL_FEATURES);
        session_set_state(session, SESSION_CONFIGURED);
        return session_start_rings(session, NULL);
}

int serve_ignored(void *context, const void *message)
{
        (void)context;
        (void)message;
        return SERVED;
}

int serve_get_protocol_features(void *context, const void *message)
{
        struct session *session = context;

        (void)message;
        return session_answer_u64(session, protocol_features_offered(session->device));
}

int serve_set_protocol_features(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;

        if (rings_any_running(&session->rings))
                return -EBUSY;
        session->peer.agreed = m->payload.u64 & protocol_features_offered(session->device);
        return SERVED;
}

int serve_get_queue_num(void *context, const void *message)
{
        struct session *session = context;

        (void)message;
        return session_answer_u64(session, session->rings.n);
}

int serve_set_backend_req_fd(void *context, const void *message)
{
        struct session *session = context;
        bool with_replies = session->peer.agreed & UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK;
        int fd = fd_set_take(&session->input.message.fds, 0);

        (void)message;
        session->channel = backend_channel_close(session->channel);
        return backend_channel_new(session->poll.loop, fd, with_replies, &session->channel);
}

/* The payload is the header alone, or the header and as many bytes as it names. */
static bool config_whole(const struct vhost_user_message *m, bool bytes_needed)
{
        const struct vhost_user_config *config = &m->payload.config;

        if (m->header.size == CONFIG_HEADER && !bytes_needed)
                return true;
        return config->size == m->header.size - CONFIG_HEADER;
}

/* Any offset and size inside the largest config space; an answer without payload means "no". */
int serve_get_config(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        const struct vhost_user_config *asked = &m->payload.config;
        struct session *session = context;
        struct vhost_user_config answer = {
            .offset = asked->offset, .size = asked->size, .flags = asked->flags};

        if (!config_whole(m, false))
                return -EPROTO;
        if (!range_inside(asked->offset, asked->size, LIMIT_CONFIG_BYTES) ||
            device_config_read(session->device, asked->offset, asked->size, answer.bytes) < 0)
                return session_answer(session, NULL, 0);
        return session_answer(session, &answer, CONFIG_HEADER + asked->size);
}

static void config_written(void *context, int error)
{
        struct session *session = context;

        session_wait_end(session);
        session_resume(session, error == 0 ? SERVED : REFUSED);
}

/* Flags: 0 is the driver's write; 1 is a migration's, which may not overwrite what the device says of itself.
 */
int serve_set_config(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        const struct vhost_user_config *config = &m->payload.config;
        struct session *session = context;

        if (!config_whole(m, true))
                return -EPROTO;
        if (config->flags != 0 || !range_inside(config->offset, config->size, LIMIT_CONFIG_BYTES))
                return REFUSED;
        session_wait(session, NULL);
        if (device_config_write(session->device, config->offset, config->size, config->bytes, config_written,
                                session) < 0) {
                session_wait_end(session);
                return REFUSED;
        }
        return SERVED;
}

/* Memory table, protocol features and back-end channel survive: a front end does not send them again. */
int serve_reset_device(void *context, const void *message)
{
        struct session *session = context;

        (void)message;
        session_reset_device(session);
        rings_reset(&session->rings);
        session->features = 0;
        session_set_state(session, SESSION_NEGOTIATING);
        return SERVED;
}
