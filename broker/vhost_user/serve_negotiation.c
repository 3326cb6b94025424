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
#define SHMEM_BIT     (UINT64_C(1) << VHOST_USER_PROTOCOL_F_SHMEM)
#define REPLY_BIT     (UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK)

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

/* Does the VMM translate? False, and words: it says so without that by which it is asked. */
static bool translation_check(const struct session *session, uint64_t features, bool *ret_wanted)
{
        bool wanted = features & FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT);
        bool bare = wanted && !protocol_features_may_translate(session->peer.agreed);

        if (bare)
                log_limited(
                    LOG_LEVEL_WARNING,
                    "the VMM agrees to ACCESS_PLATFORM without BACKEND_REQ and REPLY_ACK, by which it is "
                    "asked for translations: no ring starts dev=%s",
                    device_name(session->device));
        *ret_wanted = wanted && !bare;
        return !bare;
}

/* Front ends may send bits that were not offered, and a first set without the driver's bits at all; what was
 * not offered is never on, and a set without VERSION_1 only means that no ring can start with it. */
int serve_set_features(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;
        uint64_t features = m->payload.u64 & transport_features_offered(session->device);
        bool translating, ok;
        int r;

        heal(session);
        ok = translation_check(session, features, &translating);
        r = session_set_translating(session, translating);
        if (r < 0)
                return r;
        r = device_commit_features(session->device, features_for_device(features));
        if (r < 0 && r != -EPROTO)
                return r;
        session->features = features;
        device_show_features(session->device, guest_features_offered(session->device), features);
        session->rings.may_start = r == 0 && ok;
        session->rings.packed = r == 0 && (features & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT));
        session->rings.always_enabled = !(features & VHOST_USER_F_PROTOCOL_FEATURES);
        session_set_state(session, SESSION_CONFIGURED);
        r = session_start_rings(session, NULL);
        return r < 0 || ok ? r : REFUSED;
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
        return session_answer_u64(session,
                                  protocol_features_offered(session->device, session->family != NULL));
}

int serve_set_protocol_features(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;

        uint64_t agreed =
            m->payload.u64 & protocol_features_offered(session->device, session->family != NULL);
        bool bare = (agreed & SHMEM_BIT) && !protocol_features_may_map(agreed);
        int r;

        if (rings_any_running(&session->rings))
                return -EBUSY;
        if (session->translating && !protocol_features_may_translate(agreed))
                return -EPROTO;
        if (bare) {
                log_limited(
                    LOG_LEVEL_WARNING,
                    "the VMM agrees to shared memory regions without BACKEND_REQ and REPLY_ACK, by which "
                    "they are mapped: it gets none dev=%s",
                    device_name(session->device));
                agreed &= ~SHMEM_BIT;
        }
        session->peer.agreed = agreed;
        backend_channel_set_replies(session->channel, agreed & REPLY_BIT);
        r = session_set_views(session, agreed & SHMEM_BIT);
        return r < 0 ? r : bare ? REFUSED : SERVED;
}

/* Constants of the device's configuration: they never change while it lives. */
int serve_get_shmem_config(void *context, const void *message)
{
        struct session *session = context;
        const struct shmem *shmem = device_shmem(session->device);
        struct vhost_user_shmem_config answer = {.n_regions = shmem_n_regions(shmem)};

        (void)message;
        for (unsigned i = 0; i < answer.n_regions; i++)
                answer.sizes[shmem_region(shmem, i)->shmid] = shmem_region(shmem, i)->len;
        shmem_views_asked(session->views);
        return session_answer(session, &answer, sizeof(answer));
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
        bool with_replies = session->peer.agreed & REPLY_BIT;
        int fd = fd_set_take(&session->input.message.fds, 0);

        (void)message;
        return session_set_channel(session, fd, with_replies);
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
        (void)session_set_translating(session, false); /* nothing runs: it cannot fail */
        rings_reset(&session->rings);
        shmem_views_reset(session->views); /* they, too, are gone */
        session_update_speech(session);
        session->features = 0;
        session_set_state(session, SESSION_NEGOTIATING);
        return SERVED;
}
