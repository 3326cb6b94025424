/* A driver of a sample device over vhost-user.
 * Owns the connection, guest memory and the region's mapping. Called by the bench. TRUST: answers are the device's, which is
 * under test: each count and sum is held against our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/shmem/sample_session.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/device/sample.h"
#include "tests/harness/front_ring.h"

#define DEADLINE_MS   10000
#define RING_SIZE     64u
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define REQUEST_BYTES sizeof(struct sample_request)
#define ANSWER_BYTES  sizeof(struct sample_answer)
#define RECORDS_BYTES (SESSION_BATCH_MAX * (uint64_t)(SAMPLE_RECORD_MAX + 8))
#define RAM_BYTES     (UINT64_C(4) << 20)
static_assert(SESSION_DEPTH * (RECORDS_BYTES + 8192) + 65536 <= RAM_BYTES, "rings and slots have room");

/* ---- the region ---- */

static int region_map(struct sample_session *session, const struct wire_message *message, int fd)
{
        struct vhost_user_mmap place;
        void *at;

        memcpy(&place, message->payload, sizeof(place));
        if (place.shmid != SAMPLE_SHMID || place.shm_offset != 0 || place.len != session->region_len ||
            place.flags != VHOST_USER_MMAP_RW)
                return -EPROTO;
        at = mmap(NULL, place.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                  (off_t)place.fd_offset);
        if (at == MAP_FAILED)
                return -errno;
        session->region = at;
        return 0;
}

static int region_await(struct sample_session *session)
{
        struct fd_set_owned fds;
        struct wire_message message;
        uint64_t answer = 0;
        int r = wire_receive_fds(&session->backend, &message, &fds);

        if (r < 0)
                return r;
        r = -EPROTO;
        if (message.request == VHOST_USER_BACKEND_SHMEM_MAP &&
            message.size == sizeof(struct vhost_user_mmap) && fds.n == 1)
                r = region_map(session, &message, fds.fds[0]);
        fd_set_close(&fds);
        return r < 0 ? r
                     : wire_send(&session->backend, message.request, WIRE_VERSION | WIRE_REPLY, &answer,
                                 sizeof(answer), NULL, 0);
}

static uint64_t region_load(const struct sample_session *session, size_t at)
{
        return bytes_load64(session->region + at);
}

/* The worker has written there before the region was shown. */
static int ring_open(struct sample_session *session)
{
        uint64_t len = region_load(session, offsetof(struct sample_region, ring_len));

        if (region_load(session, offsetof(struct sample_region, magic)) != SAMPLE_MAGIC ||
            len != session->region_len - SAMPLE_RING_AT || len < SESSION_DEPTH * RECORDS_BYTES)
                return -EPROTO;
        session->head = region_load(session, offsetof(struct sample_region, tail));
        session->place = (struct records_place){
            .base = session->region + SAMPLE_RING_AT, .at = session->head % len, .len = len};
        return 0;
}

/* ---- requests ---- */

static int answer_check(struct sample_session *session, const struct session_slot *slot, uint32_t len)
{
        const uint8_t *answer = session->ram.base + slot->answer;

        if (len != ANSWER_BYTES || answer[offsetof(struct sample_answer, status)] != SAMPLE_OK)
                return -EIO;
        return bytes_load64(answer + offsetof(struct sample_answer, records)) == slot->count &&
                       bytes_load64(answer + offsetof(struct sample_answer, sum)) == slot->sum
                   ? 0
                   : -EBADMSG;
}

/* They come in their order: a sum is of all that came before, too. */
static int take_one(struct sample_session *session)
{
        struct session_slot *slot = &session->slots[session->done % SESSION_DEPTH];
        uint32_t len;
        void *cookie;
        int r = front_ring_await(&session->front, 0, &session->ring, &cookie, &len);

        if (r < 0)
                return r;
        session->done++;
        return cookie == slot ? answer_check(session, slot, len) : -EPROTO;
}

static int post(struct sample_session *session, struct session_slot *slot, enum sample_op op,
                uint64_t records_len)
{
        const struct split_segment segments[] = {{slot->request, (uint32_t)(REQUEST_BYTES + records_len)},
                                                 {slot->answer, ANSWER_BYTES}};
        uint8_t *request = session->ram.base + slot->request;
        int r;

        memset(session->ram.base + slot->answer, 0xff, ANSWER_BYTES);
        bytes_store32(request + offsetof(struct sample_request, op), op);
        bytes_store32(request + offsetof(struct sample_request, reserved), 0);
        bytes_store64(request + offsetof(struct sample_request, head), session->head);
        slot->count = session->records.count;
        slot->sum = session->records.sum;
        r = split_ring_add(&session->ring, segments, 1, 1, slot);
        if (r < 0)
                return r;
        session->posted++;
        return front_ring_show(&session->front, 0, &session->ring);
}

int sample_session_finish(struct sample_session *session)
{
        int r = 0;

        while (r == 0 && session->done != session->posted)
                r = take_one(session);
        return r;
}

int sample_session_append(struct sample_session *session, enum session_way way, uint32_t len, unsigned n)
{
        struct session_slot *slot = &session->slots[session->posted % SESSION_DEPTH];
        struct records_place message = {.base = session->ram.base + slot->request + REQUEST_BYTES,
                                        .len = RECORDS_BYTES};
        struct records_place *place = way == SESSION_BY_REGION ? &session->place : &message;
        uint8_t *last;
        int r = 0;

        if (n > SESSION_BATCH_MAX || len == 0 || len > SAMPLE_RECORD_MAX)
                return -EINVAL;
        if (way == SESSION_BY_REGION && session->by_messages)
                return -EOPNOTSUPP;
        while (r == 0 && session->posted - session->done >= session->depth)
                r = take_one(session);
        if (r < 0)
                return r;
        records_make(&session->records, place, len, n);
        last = place->base + (place->at ? place->at : place->len) - 1;
        *last = (uint8_t)(*last ^ session->spoil[way]);
        session->spoil[way] = false;
        if (way == SESSION_BY_MESSAGES)
                return post(session, slot, SAMPLE_APPEND, (uint64_t)n * records_stride(len));
        session->head += (uint64_t)n * records_stride(len);
        return post(session, slot, SAMPLE_APPENDED, 0); /* the records are written before its index is */
}

/* ---- a session ---- */

static int negotiate(struct sample_session *session, const char *path)
{
        struct front_end *front = &session->front;
        struct vhost_user_shmem_config config;
        struct wire_message answer;
        int r = wire_connect(&front->wire, path);

        if (r == 0)
                r = front_end_negotiate(front, FRONT_END_QEMU_11_1, false);
        if (r < 0 || session->by_messages)
                return r;
        if (!(front->protocol & UINT64_C(1) << VHOST_USER_PROTOCOL_F_SHMEM))
                r = -EOPNOTSUPP;
        session->backend = (struct wire){.sock = front->backend, .deadline_ms = DEADLINE_MS};
        if (r == 0)
                r = wire_send(&front->wire, VHOST_USER_GET_SHMEM_CONFIG, WIRE_VERSION, NULL, 0, NULL, 0);
        if (r == 0)
                r = wire_receive(&front->wire, &answer);
        if (r < 0)
                return r;
        if (answer.request != VHOST_USER_GET_SHMEM_CONFIG || answer.size != sizeof(config))
                return -EPROTO;
        memcpy(&config, answer.payload, sizeof(config));
        session->region_len = config.sizes[SAMPLE_SHMID];
        return 0;
}

/* Nothing is appended: it answers what it has had so far. */
static int learn_stream(struct sample_session *session)
{
        struct session_slot *slot = &session->slots[0];
        const uint8_t *answer = session->ram.base + slot->answer;
        int r = post(session, slot, SAMPLE_APPEND, 0);

        if (r == 0)
                r = take_one(session);
        if (r < 0 && r != -EBADMSG)
                return r;
        session->records.count = bytes_load64(answer + offsetof(struct sample_answer, records));
        session->records.sum = bytes_load64(answer + offsetof(struct sample_answer, sum));
        return 0;
}

static int start(struct sample_session *session)
{
        int r = guest_ram_init(&session->ram, RAM_BYTES, 0);

        if (r < 0)
                return r;
        split_ring_init_tables(&session->ring, &session->ram, RING_SIZE,
                               session->front.offered & 1u << 28 ? 4 : 0, session->front.offered & 1u << 29);
        for (unsigned i = 0; i < SESSION_DEPTH; i++) {
                session->slots[i].answer = guest_ram_alloc(&session->ram, ANSWER_BYTES, 64);
                session->slots[i].request =
                    guest_ram_alloc(&session->ram, REQUEST_BYTES + RECORDS_BYTES, 4096);
        }
        r = front_end_start(&session->front, RING_FEATURES, &session->ram);
        return r == 0 ? front_end_start_ring(&session->front, 0, &session->ring, 0) : r;
}

static int session_open(struct sample_session *session, const char *path, bool by_messages)
{
        int r;

        *session = (struct sample_session){.front.wire = {.sock = -1, .deadline_ms = DEADLINE_MS},
                                           .ram.fd = -1,
                                           .by_messages = by_messages,
                                           .depth = SESSION_DEPTH};
        r = negotiate(session, path);
        if (r == 0)
                r = start(session);
        if (r == 0 && !by_messages)
                r = region_await(session);
        if (r == 0 && !by_messages)
                r = ring_open(session);
        return r == 0 ? learn_stream(session) : r;
}

int sample_session_open(struct sample_session *session, const char *path)
{
        return session_open(session, path, false);
}

int sample_session_open_plain(struct sample_session *session, const char *path)
{
        return session_open(session, path, true);
}

void sample_session_close(struct sample_session *session)
{
        if (session->front.opened)
                front_end_close(&session->front);
        else
                wire_close(&session->front.wire);
        if (session->region)
                munmap(session->region, session->region_len);
        guest_ram_done(&session->ram);
        session->region = NULL;
}
