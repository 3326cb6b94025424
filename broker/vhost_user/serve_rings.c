/* Handlers: memory regions and rings.
 * Owns nothing; called by the dispatch of table.c, which has judged length, descriptors, state and agreed
 * features. TRUST: the payload is the front end's, ring numbers and addresses are the guest's behind it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/serve_rings.h"

#include <errno.h>

#include "broker/vhost_user/session.h"
#include "proto/base/checked.h"

#define RING_SIZE_MAX                                                                                        \
        32768u /* virtio 1.3, 2.7: no split ring is larger; what is served is the device's to say */

/* ---- memory ---- */

/* Returns when every lane has left the old snapshot: only then is the change acknowledged. */
static int memory_changed(struct session *session)
{
        return device_set_memory(session->device, session->memory.memory);
}

/* REPLY_ACK: one descriptor for each region, in order. */
int serve_set_mem_table(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        const struct vhost_user_memory_table *table = &m->payload.memory_table;
        struct session *session = context;
        int r;

        if (table->n_regions > LIMIT_VHOST_USER_FDS || table->n_regions != m->fds.n ||
            m->header.size != offsetof(struct vhost_user_memory_table, regions) +
                                  table->n_regions * sizeof(table->regions[0]))
                return -EPROTO;
        if (table->n_regions == 0)
                session_tell_unshared(session);
        r = memory_table_replace(&session->memory, table->regions, table->n_regions, m->fds.fds);
        return r < 0 ? r : memory_changed(session);
}

/* A constant: it must never shrink, not even from one connection to the next. */
int serve_get_max_mem_slots(void *context, const void *message)
{
        (void)message;
        return session_answer_u64(context, LIMIT_REGIONS);
}

/* QEMU has a device of its own for each group of queues (a pair of a network device), and before 8.0 each of them says its
 * regions on the session that they share: the first has told us all. */
static bool is_one_of_many(const struct session *session)
{
        return device_queue_groups(session->device) > 1;
}

int serve_add_mem_reg(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;
        int r = memory_table_add(&session->memory, &m->payload.single_region.region, m->fds.fds[0]);

        if (r == -EALREADY)
                return is_one_of_many(session) ? SERVED : -EEXIST;
        return r < 0 ? r : memory_changed(session);
}

int serve_rem_mem_reg(void *context, const void *message)
{
        const struct vhost_user_message *m = message;
        struct session *session = context;
        int r = memory_table_remove(&session->memory, &m->payload.single_region.region);

        if (r == -ENOENT && is_one_of_many(session))
                return SERVED;
        return r < 0 ? r : memory_changed(session);
}

/* ---- the ring's numbers: written down, judged when it starts ---- */

/* NULL: there is no such ring, or it runs. */
static struct ring *ring_at_rest(struct session *session, uint64_t index)
{
        struct ring *ring = rings_find(&session->rings, index);

        return ring && ring->state == RING_IDLE ? ring : NULL;
}

int serve_set_vring_num(void *context, const void *message)
{
        const struct vhost_user_vring_state *state =
            &((const struct vhost_user_message *)message)->payload.vring_state;
        struct ring *ring = ring_at_rest(context, state->index);

        if (!ring || state->num == 0 || state->num > RING_SIZE_MAX)
                return -EPROTO;
        ring->num = state->num;
        return SERVED;
}

int serve_set_vring_addr(void *context, const void *message)
{
        const struct vhost_user_vring_addr *addr =
            &((const struct vhost_user_message *)message)->payload.vring_addr;
        struct ring *ring = ring_at_rest(context, addr->index);

        if (!ring || addr->flags != 0) /* LOG: no dirty log was offered */
                return -EPROTO;
        ring->desc = addr->descriptor;
        ring->avail = addr->available;
        ring->used = addr->used;
        ring->has_addr = true;
        return SERVED;
}

int serve_set_vring_base(void *context, const void *message)
{
        const struct vhost_user_vring_state *state =
            &((const struct vhost_user_message *)message)->payload.vring_state;
        struct session *session = context;
        struct ring *ring = ring_at_rest(session, state->index);

        /* Two places and their wrap counters of a packed ring, held against its size when it starts. */
        if (!ring || (state->num > UINT16_MAX && !session->rings.packed))
                return -EPROTO;
        ring_set_base(ring, state->num);
        return SERVED;
}

/* ---- stop and start ---- */

static int answer_base(struct session *session, struct ring *ring)
{
        struct vhost_user_vring_state state = {.index = rings_index(&session->rings, ring),
                                               .num = ring_base(&session->rings, ring)};

        (void)ring_set_kick(ring, -1); /* stopped: the next start brings its own */
        return session_answer(session, &state, sizeof(state));
}

static void ring_drain(struct session *session, struct ring *ring,
                       void (*stopped)(void *context, uint32_t base))
{
        session_wait(session, ring);
        ring_stopping(ring);
        session_update_speech(session); /* who waits for a mapping must not hold the ring up */
        device_queue_stop(session->device, rings_index(&session->rings, ring), stopped, session);
}

/* The ring that was drained; the session goes on. */
static struct ring *ring_drained(struct session *session, uint32_t base)
{
        struct ring *ring = session->draining;

        session_wait_end(session);
        ring_stopped(ring, base);
        session_update_speech(session);
        if (!rings_any_running(&session->rings))
                session_drop_translations(session); /* nobody would tell of an invalidation */
        return ring;
}

static void stopped_for_base(void *context, uint32_t base)
{
        struct session *session = context;
        struct ring *ring = ring_drained(session, base);

        session_resume(session, answer_base(session, ring));
}

int serve_get_vring_base(void *context, const void *message)
{
        const struct vhost_user_vring_state *state =
            &((const struct vhost_user_message *)message)->payload.vring_state;
        struct session *session = context;
        struct ring *ring = rings_find(&session->rings, state->index);

        if (!ring)
                return -EPROTO;
        if (ring->state == RING_IDLE)
                return answer_base(session, ring);
        ring_drain(session, ring, stopped_for_base);
        return SERVED;
}

static void stopped_for_enable(void *context, uint32_t base)
{
        (void)ring_drained(context, base);
        session_resume(context, SERVED);
}

/* Kept for rings that were never set up, too: some front ends enable first. */
int serve_set_vring_enable(void *context, const void *message)
{
        const struct vhost_user_vring_state *state =
            &((const struct vhost_user_message *)message)->payload.vring_state;
        struct session *session = context;
        struct ring *ring = rings_find(&session->rings, state->index);

        if (!ring || state->num > 1)
                return -EPROTO;
        ring->enabled = state->num == 1;
        if (ring->enabled)
                return session_start_rings(session, ring);
        if (ring->state == RING_RUNNING && !session->rings.always_enabled)
                ring_drain(session, ring, stopped_for_enable);
        return SERVED;
}

/* ---- the ring's descriptors ---- */

/* The ring that the message names and its descriptor (-1: "none" is said). The number of descriptors must be
 * what the message says. */
static struct ring *ring_with_fd(struct session *session, const struct vhost_user_message *m, int *ret_fd)
{
        uint64_t value = m->payload.u64;
        struct ring *ring = rings_find(&session->rings, value & VHOST_USER_VRING_INDEX_MASK);

        if (!ring || (value & ~(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD)))
                return NULL;
        if (m->fds.n != ((value & VHOST_USER_VRING_NOFD) ? 0 : 1))
                return NULL;
        *ret_fd = fd_set_take(&session->input.message.fds, 0);
        return ring;
}

/* Without a descriptor the ring would have to be polled: not served. */
int serve_set_vring_kick(void *context, const void *message)
{
        struct session *session = context;
        int fd = -1, r;
        struct ring *ring = ring_with_fd(session, message, &fd);

        if (!ring || fd < 0)
                return -EPROTO;
        if (ring->state != RING_IDLE) {
                close(fd);
                return -EPROTO;
        }
        r = ring_set_kick(ring, fd);
        return r < 0 ? r : session_start_rings(session, ring);
}

int serve_set_vring_call(void *context, const void *message)
{
        struct session *session = context;
        int fd = -1;
        struct ring *ring = ring_with_fd(session, message, &fd);

        return ring ? rings_set_call(&session->rings, ring, fd) : -EPROTO;
}

int serve_set_vring_err(void *context, const void *message)
{
        int fd = -1;
        struct ring *ring = ring_with_fd(context, message, &fd);

        return ring ? ring_set_err(ring, fd) : -EPROTO;
}
