/* libFuzzer: a front end that keeps translations, in any order and with any mistake, before one session over the fake device.
 *
 * Input: records of four bytes {what, a, b, c}, see `steps`; the session translates when they begin, and two rings run. Beside it
 * a model knows what each I/O virtual page must stand for; the core's table (iotlb.h) is told what the device was told, and must say
 * the same. Each IOTLB_MSG has one answer, the one that the model gives; each question is asked once, while it is open and no ring
 * is being drained; a reply ends its own question and no other; nothing is open when no ring runs. At the end the lowest free
 * descriptor must be what it was. TRUST: the input is hostile; it goes to the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/core/interval_map.h"
#include "broker/vhost_user/session.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/fake_device.h"
#include "tests/wire/messages.h"

#define RECORD_LEN 4u
#define PAGE       UINT64_C(4096)
#define PAGES      256u /* I/O virtual, and of user addresses; the model has no others */
#define IOVA(page) (UINT64_C(0xffff0000000) + (page)*PAGE)
#define USER(page) (UINT64_C(0x7f0000000000) + (page)*PAGE)
#define RINGS      2u
#define FEATURES   (UINT64_C(1) << 33 | UINT64_C(1) << 32 | UINT64_C(1) << 30)
#define NEED_REPLY 9u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* User addresses go on from the first to the second, guest addresses do not; then there is a hole. */
static const struct vhost_user_memory_region regions[] = {
    {0x40 * PAGE, 64 * PAGE, USER(0), 0},
    {UINT64_C(0x100000000), 64 * PAGE, USER(64), 64 * PAGE},
    {0x100 * PAGE, 64 * PAGE, USER(160), 128 * PAGE},
};

static uv_loop_t loop;
static struct device device;
static struct session *session;
static int sock, channel = -1; /* our ends */
static int memory = -1, event = -1;
static unsigned has_region; /* bit i: it is in the session's table */

struct question {
        uint64_t iova;
        bool over; /* answered, or void: the reply tells nothing */
};

static struct model {
        struct iotlb table; /* the core's, of what the device was told */
        struct {
                uint64_t gpa;
                unsigned rights; /* 0: nothing */
        } pages[PAGES];
        unsigned n_entries, n_invalidations; /* of the device, that the table has seen */
        struct question asked[LIMIT_IOTLB_MISSES];
        unsigned n_asked;
        unsigned n_answers; /* to IOTLB_MSG, since the last step */
        unsigned n_resets;
        bool ran;
        uint64_t answer;
} model;

/* ---- the session's surroundings ---- */

static void on_ended(void *context)
{
        (void)context;
        session = NULL;
}

static void on_miss(void *context, uint64_t iova, unsigned rights)
{
        (void)context;
        if (session)
                session_iotlb_miss(session, iova, rights);
}

static void once(void)
{
        static bool done;

        if (done)
                return;
        done = true;
        log_init("fuzz", LOG_LEVEL_ERROR);
        uv_loop_init(&loop);
        memory = message_fd_new(MESSAGE_FD_MEMORY);
        event = message_fd_new(MESSAGE_FD_EVENT);
        assert(memory >= 0 && event >= 0 && ftruncate(memory, (off_t)(192 * PAGE)) == 0);
}

static bool is_open(uint64_t iova)
{
        for (unsigned i = 0; i < device.iotlb.n_open; i++)
                if (device.iotlb.open[i] == iova)
                        return true;
        return false;
}

static bool any_draining(void)
{
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                if (device.queues[i].stopped)
                        return true;
        return false;
}

/* ---- what comes from the session ---- */

static void take_answers(void)
{
        uint32_t header[3];
        uint8_t payload[4096];

        while (recv(sock, header, sizeof(header), MSG_DONTWAIT) == sizeof(header)) {
                assert(header[1] == VHOST_USER_REPLY_FLAGS && header[2] <= sizeof(payload));
                assert(recv(sock, payload, header[2], MSG_DONTWAIT) == (ssize_t)header[2]);
                if (header[0] != VHOST_USER_IOTLB_MSG)
                        continue;
                assert(header[2] == sizeof(uint64_t));
                model.n_answers++;
                memcpy(&model.answer, payload, sizeof(uint64_t));
        }
}

static void take_questions(void)
{
        struct {
                uint32_t header[3];
                struct vhost_user_iotlb miss;
        } __attribute__((packed)) message;

        while (channel >= 0 && recv(channel, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
                const struct vhost_user_iotlb taken = message.miss, *miss = &taken;

                assert(message.header[0] == VHOST_USER_BACKEND_IOTLB_MSG && message.header[1] == NEED_REPLY);
                assert(miss->type == VHOST_USER_IOTLB_MISS && miss->size == PAGE && miss->iova % PAGE == 0);
                assert(miss->rights >= 1 && miss->rights <= 3 && is_open(miss->iova));
                assert(!any_draining() && model.n_asked < LIMIT_IOTLB_MISSES);
                for (unsigned i = 0; i < model.n_asked; i++)
                        assert(model.asked[i].iova != miss->iova || model.asked[i].over);
                model.asked[model.n_asked++] = (struct question){.iova = miss->iova};
        }
}

static void model_forget(void)
{
        memset(model.pages, 0, sizeof(model.pages));
        for (unsigned i = 0; i < model.n_asked; i++)
                model.asked[i].over = true;
}

/* What the device was told is told to the core's table. One message is at most one invalidation, and that comes last. */
static void tell_table(void)
{
        const struct fake_iotlb *told = &device.iotlb;

        if (!told->on || device.resets != model.n_resets)
                iotlb_clear(&model.table);
        if (told->n_entries < model.n_entries)
                model.n_entries = 0; /* all was forgotten */
        assert(told->n_entries - model.n_entries <= array_size(regions));
        for (; told->on && model.n_entries < told->n_entries; model.n_entries++)
                assert(iotlb_update(&model.table, &told->entries[model.n_entries % FAKE_ENTRIES]) == 0);
        if (told->n_invalidations != model.n_invalidations)
                assert(iotlb_invalidate(&model.table, told->last_iova, told->last_len) == 0);
        model.n_entries = told->n_entries;
        model.n_invalidations = told->n_invalidations;
}

/* Of all translations: nobody would tell of theirs. */
static void see_ends(void)
{
        bool runs = device.iotlb.on && fake_device_any_running(&device);

        if (!device.iotlb.on || (model.ran && !runs) || model.n_resets != device.resets)
                model_forget();
        model.ran = runs;
        model.n_resets = device.resets;
}

static void everything_holds(void)
{
        assert(model.ran || device.iotlb.n_open == 0);
        for (unsigned i = 0; device.iotlb.on && i < PAGES; i++) {
                const struct interval *item = interval_map_find(model.table.entries, IOVA(i));

                assert((item ? item->rights : 0) == model.pages[i].rights);
                assert(!item || item->base + (IOVA(i) - item->start) == model.pages[i].gpa);
        }
        for (unsigned i = 0; i < model.n_asked; i++)
                assert(model.asked[i].over || is_open(model.asked[i].iova));
}

static void turn(void)
{
        model.n_answers = 0;
        for (int i = 0; i < 3; i++) {
                uv_run(&loop, UV_RUN_NOWAIT);
                fake_device_turn(&device);
        }
        take_answers();
        tell_table();
        see_ends();
        take_questions();
}

/* ---- what the front end says ---- */

static void say_with(uint32_t request, uint32_t flags, const void *payload, uint32_t len, int fd)
{
        uint32_t header[3] = {request, flags, len};
        struct iovec iov[2] = {{header, sizeof(header)}, {(void *)payload, len}};

        /* Whoever waits for a ring reads nothing: it is let go first. */
        device.hold = false;
        turn();
        (void)fd_pass_send(sock, iov, 2, &fd, fd >= 0);
}

static void say(uint32_t request, const void *payload, uint32_t len, int fd)
{
        say_with(request, VHOST_USER_VERSION, payload, len, fd);
        turn();
}

static void say_u64(uint32_t request, uint64_t value, int fd)
{
        say(request, &value, sizeof(value), fd);
}

/* The guest page of a user address as the table is now; false: there is none. */
static bool model_page(uint64_t user, uint64_t *ret_gpa)
{
        for (unsigned i = 0; i < array_size(regions); i++) {
                if (!(has_region & 1u << i) || user < regions[i].user_address ||
                    user - regions[i].user_address >= regions[i].size)
                        continue;
                *ret_gpa = regions[i].guest_address + (user - regions[i].user_address);
                return true;
        }
        return false;
}

/* How many bytes the first pieces have, each in a region of its own. */
static uint64_t model_pieces(const struct vhost_user_iotlb *update, unsigned n_pieces)
{
        uint64_t at = 0, gpa, last = 0;

        for (; at < update->size && model_page(update->user_address + at, &gpa); at += PAGE, last = gpa)
                if ((at == 0 || gpa != last + PAGE) && n_pieces-- == 0)
                        break;
        return at;
}

static void model_answered(uint64_t iova, uint64_t len)
{
        for (unsigned i = 0; i < model.n_asked; i++)
                model.asked[i].over |= model.asked[i].iova >= iova && model.asked[i].iova - iova < len;
}

static void model_cut(uint64_t iova, uint64_t len)
{
        for (unsigned i = 0; i < PAGES; i++)
                if (IOVA(i) + (PAGE - 1) >= iova && (len == 0 || IOVA(i) < iova || IOVA(i) - iova < len))
                        memset(&model.pages[i], 0, sizeof(model.pages[i]));
}

/* What is well-formed, from a few bytes: within the model's pages. */
static void step_update(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        struct vhost_user_iotlb update = {.iova = IOVA(a),
                                          .size = MIN(1u + b % 80u, PAGES - a) * PAGE,
                                          .user_address = USER(c),
                                          .rights = (uint8_t)(what >> 4 & 3),
                                          .type = VHOST_USER_IOTLB_UPDATE};
        uint64_t gpa;
        unsigned n_before;
        bool right;

        device.hold = false;
        turn();
        everything_holds();
        n_before = device.iotlb.n_updates;
        right = device.iotlb.on && update.rights != 0;
        for (uint64_t at = 0; at < update.size; at += PAGE)
                right = right && model_page(update.user_address + at, &gpa);
        if (what & 0x80) { /* the device cannot keep it */
                device.iotlb.update_error = -28;
                device.iotlb.update_error_at = device.iotlb.n_updates + (what >> 6 & 1);
        }
        say_with(VHOST_USER_IOTLB_MSG, NEED_REPLY, &update, sizeof(update), -1);
        turn();
        device.iotlb.update_error = 0;
        if (!session)
                return;
        assert(model.n_answers == 1);
        if (!right) {
                assert(model.answer == 1);
                return;
        }
        /* Up to the piece that cannot be kept: the others were never told. */
        model_answered(update.iova, model_pieces(&update, device.iotlb.n_updates - n_before));
        for (uint64_t at = 0; at < update.size; at += PAGE) {
                unsigned page = a + (unsigned)(at / PAGE);

                (void)model_page(update.user_address + at, &gpa);
                model.pages[page].gpa = gpa;
                model.pages[page].rights = model.answer == 0 ? update.rights : 0;
        }
        assert(model.answer == 0 || (what & 0x80));
}

static void step_invalidate(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        const struct vhost_user_iotlb invalidation = {.iova = IOVA(a) + (what & 0x10 ? c * 16u : 0),
                                                      .size = b * PAGE + (what & 0x20 ? c : 0),
                                                      .rights = c,
                                                      .type = VHOST_USER_IOTLB_INVALIDATE};

        say_with(VHOST_USER_IOTLB_MSG, NEED_REPLY, &invalidation, sizeof(invalidation), -1);
        turn();
        if (!session)
                return;
        assert(model.n_answers == 1 && model.answer == 0);
        model_cut(invalidation.size == 0 ? 0 : invalidation.iova, invalidation.size);
}

/* Any bytes that name no page of the model's. */
static void step_raw(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        struct vhost_user_iotlb raw = {.iova = UINT64_MAX - (uint64_t)a * 1024 + 1,
                                       .size = UINT64_MAX >> (b & 63),
                                       .user_address = UINT64_MAX << (c & 63),
                                       .rights = c,
                                       .type = (uint8_t)(what >> 4)};

        if (raw.type == VHOST_USER_IOTLB_UPDATE || raw.iova == 0)
                raw.size |= 1;
        say_with(VHOST_USER_IOTLB_MSG, b & 0x80 ? VHOST_USER_VERSION : NEED_REPLY, &raw, sizeof(raw), -1);
        turn();
        assert(!session || model.n_answers == 1);
        if (session && raw.type == VHOST_USER_IOTLB_INVALIDATE && raw.iova == 0)
                model_cut(0, raw.size);
        assert(!session || (model.answer == 0) == (raw.type == VHOST_USER_IOTLB_INVALIDATE));
}

static void step_miss(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        (void)what;
        for (unsigned n = 0; n <= c % 80u && fake_device_any_running(&device); n++)
                (void)fake_device_miss(&device, IOVA((a + n) % PAGES), 1 + b % 3u);
        turn();
}

/* To the oldest question; or what nobody has asked for. */
static void step_reply(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        uint32_t reply[5] = {VHOST_USER_BACKEND_IOTLB_MSG, VHOST_USER_REPLY_FLAGS, 8, c, 0};
        struct question question = model.asked[0];
        unsigned n_open = device.iotlb.n_open;

        if (channel < 0 || (model.n_asked == 0 && a < 0xf0))
                return;
        if (what & 0x10)
                reply[b % 3u] ^= a;
        if (model.n_asked > 0)
                memmove(&model.asked[0], &model.asked[1], --model.n_asked * sizeof(model.asked[0]));
        (void)send(channel, reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
        turn();
        if (what & 0x10) {
                model.n_asked = 0; /* perhaps it is closed: then all that was asked is void */
                close(channel);
                channel = -1;
                turn();
                assert(device.iotlb.n_open == 0);
                return;
        }
        assert(question.over ? device.iotlb.n_open == n_open : !is_open(question.iova));
}

static void step_stop(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        const struct vhost_user_vring_state state = {.index = a % RINGS};

        say_with(VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, &state, sizeof(state), -1);
        device.hold = what & 0x10;
        turn();
        if (device.hold)
                step_miss(0, b, c, c); /* nobody looks at the channel: take_questions says so */
}

static void step_start(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        const struct vhost_user_vring_state size = {.index = a % RINGS, .num = 64},
                                            on = {.index = a % RINGS, .num = 1};
        const struct vhost_user_vring_addr addresses = {
            .index = a % RINGS, .descriptor = IOVA(b), .used = IOVA(c), .available = IOVA(b) + 2048};

        (void)what;
        say(VHOST_USER_SET_VRING_NUM, &size, sizeof(size), -1);
        say(VHOST_USER_SET_VRING_ADDR, &addresses, sizeof(addresses), -1);
        say_u64(VHOST_USER_SET_VRING_KICK, a % RINGS, event);
        say(VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on), -1);
}

static void step_memory(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        struct vhost_user_memory_table table = {.n_regions = 0};
        uint32_t header[3] = {VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 0};
        struct iovec iov[2] = {{header, sizeof(header)}, {&table, 0}};
        int fds[array_size(regions)];

        (void)what, (void)b, (void)c;
        device.hold = false;
        turn();
        for (unsigned i = 0; i < array_size(regions); i++) {
                fds[i] = memory;
                if (a & 1u << i)
                        table.regions[table.n_regions++] = regions[i];
        }
        header[2] = (uint32_t)(8 + table.n_regions * sizeof(table.regions[0]));
        iov[1].iov_len = header[2];
        (void)fd_pass_send(sock, iov, 2, fds, table.n_regions);
        has_region = a;
        turn();
}

/* Another one, or the end of the one that there is: what it was asked is nobody's then. */
static void step_channel(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        int pair[2];

        (void)a, (void)b, (void)c;
        if (channel >= 0)
                close(channel);
        channel = -1;
        model.n_asked = 0;
        turn();
        assert(device.iotlb.n_open == 0 || any_draining());
        if ((what & 0x10) || fd_stream_pair(pair) < 0)
                return;
        channel = pair[0];
        say(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
        close(pair[1]);
}

static void step_features(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        (void)a, (void)b, (void)c;
        say_u64(VHOST_USER_SET_FEATURES, what & 0x10 ? FEATURES : FEATURES & ~(UINT64_C(1) << 33), -1);
}

static void step_reset(uint8_t what, uint8_t a, uint8_t b, uint8_t c)
{
        (void)what, (void)a, (void)b, (void)c;
        say(VHOST_USER_RESET_DEVICE, NULL, 0, -1);
}

static void (*const steps[])(uint8_t what, uint8_t a, uint8_t b, uint8_t c) = {
    step_update, step_update, step_update, step_invalidate, step_invalidate, step_miss,
    step_miss,   step_reply,  step_reply,  step_channel,    step_features,   step_memory,
    step_raw,    step_stop,   step_start,  step_reset,
};

/* ---- one input ---- */

static void begin(void)
{
        int pair[2];

        fake_device_init(&device);
        device.may_translate = true;
        device.front.iotlb_miss = on_miss;
        model = (struct model){.n_asked = 0};
        assert(iotlb_init(&model.table) == 0);
        assert(fd_stream_pair(pair) == 0 && fd_set_nonblock(pair[0]) == 0 && fd_set_nonblock(pair[1]) == 0);
        sock = pair[0];
        assert(session_new(&loop, &device, pair[1], NULL, on_ended, NULL, &session) == 0);
        say(VHOST_USER_SET_OWNER, NULL, 0, -1);
        say_u64(VHOST_USER_SET_PROTOCOL_FEATURES, 1u << 3 | 1u << 5 | 1u << 13, -1);
        step_channel(0, 0, 0, 0);
        step_memory(0, 7, 0, 0);
        step_features(0x10, 0, 0, 0);
        for (uint8_t i = 0; i < RINGS; i++)
                step_start(0, i, i, 8);
        assert(session && device.iotlb.on && fake_device_any_running(&device));
}

static void end(void)
{
        close(sock);
        device.hold = false;
        for (int i = 0; session && i < 1000; i++) {
                uv_run(&loop, UV_RUN_NOWAIT);
                fake_device_turn(&device);
        }
        assert(!session && !device.iotlb.on && device.iotlb.n_open == 0);
        if (channel >= 0)
                close(channel);
        channel = -1;
        iotlb_done(&model.table);
        fake_device_done(&device);
        uv_run(&loop, UV_RUN_NOWAIT);
        assert(!uv_loop_alive(&loop));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int lowest, after;

        once();
        lowest = dup(0);
        close(lowest);
        begin();
        for (; size >= RECORD_LEN && session; data += RECORD_LEN, size -= RECORD_LEN) {
                steps[data[0] & 15](data[0], data[1], data[2], data[3]);
                if (session)
                        everything_holds();
        }
        end();
        after = dup(0);
        close(after);
        assert(after == lowest);
        return 0;
}
