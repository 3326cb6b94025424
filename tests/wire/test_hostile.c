/* Hostile front ends, generated: every request number in every malformation. Each one loses its session at
 * once and leaves nothing behind, and the next front end is served. TRUST: this is the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/wire/fixture.h"
#include "tests/wire/messages.h"

#define ALL_FEATURES UINT64_C(0x40ffff)
#define DRIVER       (UINT64_C(1) << 32 | VHOST_USER_F_PROTOCOL_FEATURES)

enum variant {
        VARIANT_GOOD = 0,
        VARIANT_SHORT,
        VARIANT_LONG,
        VARIANT_OVER_LIMIT,
        VARIANT_4_GIB,
        VARIANT_VERSION_0,
        VARIANT_VERSION_2,
        VARIANT_VERSION_3,
        VARIANT_REPLY,
        VARIANT_UNKNOWN_FLAG,
        VARIANT_HIGHEST_FLAG,
        VARIANT_NO_FD,
        VARIANT_ONE_FD_MORE,
        VARIANT_8_FDS,
        VARIANT_9_FDS,
        VARIANT_32_FDS,
        VARIANT_LATE_FD,
        VARIANT_PIPE,
        VARIANT_SOCKET,
        VARIANT_DIRECTORY,
        VARIANT_DEVICE,
        VARIANT_O_PATH,
        VARIANT_FILE,
        VARIANT_EVENT,
        VARIANT_TOO_EARLY,
        VARIANT_FEATURE_MISSING,
        VARIANT_COUNT_,
};

enum fate {
        FATE_SKIP = 0, /* the variant makes no sense for the message */
        FATE_LIVES,
        FATE_DROPPED,
};

/* What is sent, before a variant spoils it. */
struct shot {
        uint32_t request, flags, size; /* size: what the header says */
        uint8_t payload[8192];
        uint32_t len; /* what is sent */
        int fds[40];
        unsigned n_fds;
        int late_fd;
};

static void set_u64(struct wire *wire, uint32_t request, uint64_t value)
{
        assert_int_equal(wire_send(wire, request, 1, &value, sizeof(value), NULL, 0), 0);
}

static void send_example(struct wire *wire, uint32_t request)
{
        const struct message_example *example = message_example_find(request);
        int fd = message_fd_new(example->fd);

        assert_int_equal(wire_send(wire, request, 1, example->payload, example->len, &fd, fd >= 0), 0);
        if (fd >= 0)
                close(fd);
}

/* A session that the message of this request may be sent to. */
static void open_session(struct fixture *fixture, struct wire *wire, uint32_t request, enum variant variant)
{
        fixture_connect(fixture, wire);
        if (variant != VARIANT_FEATURE_MISSING)
                set_u64(wire, VHOST_USER_SET_PROTOCOL_FEATURES, ALL_FEATURES);
        if (variant != VARIANT_TOO_EARLY)
                set_u64(wire, VHOST_USER_SET_FEATURES, DRIVER);
        if (request == VHOST_USER_REM_MEM_REG && variant != VARIANT_FEATURE_MISSING)
                send_example(wire, VHOST_USER_ADD_MEM_REG);
}

static void send_region(struct wire *wire, uint32_t request, int fd)
{
        const struct message_example *example = message_example_find(request);

        assert_int_equal(wire_send(wire, request, 1, example->payload, example->len, &fd,
                                   request == VHOST_USER_ADD_MEM_REG),
                         0);
}

/* Is the session alive? Everything that it answers before the barrier's answer is read and thrown away. */
static bool session_lives(struct wire *wire)
{
        struct wire_message answer = {0};

        if (wire_send(wire, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0, NULL, 0) < 0)
                return false;
        for (int i = 0; i < 3; i++) {
                if (wire_receive(wire, &answer) < 0)
                        return false;
                if (answer.request == VHOST_USER_GET_PROTOCOL_FEATURES)
                        return true;
        }
        return false;
}

/* ---- the variants ---- */

static int foreign_fd(enum variant variant)
{
        int pair[2];

        switch (variant) {
        case VARIANT_PIPE:
                assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
                close(pair[0]);
                return pair[1];
        case VARIANT_SOCKET:
                return message_fd_new(MESSAGE_FD_SOCKET);
        case VARIANT_DIRECTORY:
                return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        case VARIANT_DEVICE:
                return open("/dev/null", O_RDWR | O_CLOEXEC);
        case VARIANT_O_PATH:
                return open("/dev/null", O_PATH | O_CLOEXEC);
        case VARIANT_FILE:
                return message_fd_new(MESSAGE_FD_MEMORY);
        default:
                return message_fd_new(MESSAGE_FD_EVENT);
        }
}

static bool fd_fits(enum message_fd kind, enum variant variant)
{
        return (kind == MESSAGE_FD_SOCKET && variant == VARIANT_SOCKET) ||
               (kind == MESSAGE_FD_MEMORY && variant == VARIANT_FILE) ||
               (kind == MESSAGE_FD_EVENT && variant == VARIANT_EVENT);
}

static void set_fds(struct shot *shot, unsigned n)
{
        while (shot->n_fds < n)
                shot->fds[shot->n_fds++] = message_fd_new(MESSAGE_FD_EVENT);
        while (shot->n_fds > n)
                close(shot->fds[--shot->n_fds]);
}

static enum fate spoil_fds(struct shot *shot, const struct message_example *example, enum variant variant)
{
        unsigned permitted = example->fd != MESSAGE_FD_NONE || example->fd_tolerated;

        switch (variant) {
        case VARIANT_NO_FD:
                set_fds(shot, 0);
                return example->fd == MESSAGE_FD_NONE ? FATE_SKIP : FATE_DROPPED;
        case VARIANT_ONE_FD_MORE:
                set_fds(shot, permitted + 1);
                return FATE_DROPPED;
        case VARIANT_8_FDS:
                set_fds(shot, 8);
                return FATE_DROPPED;
        case VARIANT_9_FDS:
                set_fds(shot, 9);
                return FATE_DROPPED;
        case VARIANT_32_FDS:
                set_fds(shot, 32);
                return FATE_DROPPED;
        case VARIANT_LATE_FD: /* on the first byte of the payload */
                if (shot->len == 0)
                        return FATE_SKIP;
                shot->late_fd = message_fd_new(MESSAGE_FD_EVENT);
                return FATE_DROPPED;
        default:
                if (example->fd == MESSAGE_FD_NONE || fd_fits(example->fd, variant))
                        return FATE_SKIP;
                set_fds(shot, 0);
                shot->fds[shot->n_fds++] = foreign_fd(variant);
                return FATE_DROPPED;
        }
}

static enum fate spoil_header(struct shot *shot, enum variant variant)
{
        switch (variant) {
        case VARIANT_SHORT:
                if (shot->len == 0)
                        return FATE_SKIP;
                shot->size = --shot->len;
                return FATE_DROPPED;
        case VARIANT_LONG:
                shot->size = ++shot->len;
                return FATE_DROPPED;
        case VARIANT_OVER_LIMIT:
                shot->size = shot->len = LIMIT_VHOST_USER_PAYLOAD + 1;
                return FATE_DROPPED;
        case VARIANT_4_GIB:
                shot->size = UINT32_MAX;
                return FATE_DROPPED;
        case VARIANT_VERSION_0:
                shot->flags = 0;
                return FATE_DROPPED;
        case VARIANT_VERSION_2:
                shot->flags = 2;
                return FATE_DROPPED;
        case VARIANT_VERSION_3:
                shot->flags = 3;
                return FATE_DROPPED;
        case VARIANT_REPLY:
                shot->flags = 5;
                return FATE_DROPPED;
        case VARIANT_UNKNOWN_FLAG:
                shot->flags = 0x11;
                return FATE_DROPPED;
        default: /* VARIANT_HIGHEST_FLAG */
                shot->flags = 0x80000001;
                return FATE_DROPPED;
        }
}

static enum fate spoil(struct shot *shot, const struct message_example *example, enum variant variant)
{
        static const struct message_example unknown = {0};
        enum fate fate;

        if (variant == VARIANT_GOOD)
                return example ? FATE_LIVES : FATE_DROPPED;
        if (variant == VARIANT_TOO_EARLY)
                return example && !example->needs_setup ? FATE_LIVES : FATE_DROPPED;
        if (variant == VARIANT_FEATURE_MISSING)
                return example && !example->needs_feature ? FATE_LIVES : FATE_DROPPED;
        fate = variant >= VARIANT_NO_FD ? spoil_fds(shot, example ? example : &unknown, variant)
                                        : spoil_header(shot, variant);
        return fate;
}

static struct shot shot_at(uint32_t request, const struct message_example *example)
{
        struct shot shot = {.request = request, .flags = 1, .late_fd = -1};

        if (!example)
                return shot;
        shot.size = shot.len = example->len;
        memcpy(shot.payload, example->payload, sizeof(example->payload));
        if (example->fd != MESSAGE_FD_NONE)
                shot.fds[shot.n_fds++] = message_fd_new(example->fd);
        return shot;
}

/* The other side may close at any byte: errors are part of it. */
static void fire(struct wire *wire, const struct shot *shot)
{
        uint32_t header[3] = {shot->request, shot->flags, shot->size};
        uint8_t bytes[sizeof(header) + sizeof(shot->payload)];

        memcpy(bytes, header, sizeof(header));
        memcpy(bytes + sizeof(header), shot->payload, shot->len);
        if (shot->late_fd < 0) {
                (void)wire_send_bytes(wire, bytes, sizeof(header) + shot->len, shot->fds, shot->n_fds);
                return;
        }
        (void)wire_send_bytes(wire, bytes, sizeof(header), shot->fds, shot->n_fds);
        (void)wire_send_bytes(wire, bytes + sizeof(header), shot->len, &shot->late_fd, 1);
}

static void shot_done(struct shot *shot)
{
        set_fds(shot, 0);
        if (shot->late_fd >= 0)
                close(shot->late_fd);
}

static void one_case(struct fixture *fixture, uint32_t request, enum variant variant, unsigned *n_cases)
{
        const struct message_example *example = message_example_find(request);
        struct shot shot = shot_at(request, example);
        enum fate fate = spoil(&shot, example, variant);
        struct wire wire;

        if (fate != FATE_SKIP) {
                bool lives;

                open_session(fixture, &wire, request, variant);
                fire(&wire, &shot);
                lives =
                    fate == FATE_LIVES ? session_lives(&wire) : wire_wait_closed(&wire, FIXTURE_DROP_MS) < 0;
                if (lives != (fate == FATE_LIVES))
                        fail_msg("request %u variant %d: %s", request, variant,
                                 lives ? "lives" : "was dropped");
                wire_close(&wire);
                fixture_settle(fixture);
                (*n_cases)++;
        }
        shot_done(&shot);
}

static void every_request_in_every_malformation(void **state)
{
        struct fixture *fixture = *state;
        unsigned fds = count_fds(), maps = count_maps(), n_cases = 0;

        for (uint32_t request = 0; request <= 64; request++)
                for (int variant = 0; variant < VARIANT_COUNT_; variant++) {
                        one_case(fixture, request, (enum variant)variant, &n_cases);
                        if (count_fds() != fds || count_maps() != maps)
                                fail_msg("request %u variant %d leaks", request, variant);
                        assert_null(fixture->device.memory);
                }
        one_case(fixture, 0x7fffffff, VARIANT_GOOD, &n_cases);
        one_case(fixture, UINT32_MAX, VARIANT_GOOD, &n_cases);
        one_case(fixture, 0x100, VARIANT_GOOD, &n_cases);
        one_case(fixture, 0x10001, VARIANT_GOOD, &n_cases);
        print_message("%u cases\n", n_cases);
        assert_true(n_cases > 1100);
}

static void every_message_cut_at_every_byte(void **state)
{
        struct fixture *fixture = *state;
        unsigned fds = count_fds(), maps = count_maps();

        for (size_t i = 0; i < n_message_examples; i++) {
                const struct message_example *example = &message_examples[i];

                for (uint32_t cut = 1; cut < 12 + example->len; cut++) {
                        struct shot shot = shot_at(example->request, example);
                        uint32_t header[3] = {shot.request, shot.flags, shot.size};
                        uint8_t bytes[12 + sizeof(shot.payload)];
                        struct wire wire;

                        memcpy(bytes, header, 12);
                        memcpy(bytes + 12, shot.payload, shot.len);
                        open_session(fixture, &wire, shot.request, VARIANT_GOOD);
                        assert_int_equal(wire_send_bytes(&wire, bytes, cut, shot.fds, shot.n_fds), 0);
                        fixture_turn(fixture);
                        assert_true(vhost_user_listener_attached(fixture->listener)); /* more may come */
                        shutdown(wire.sock, SHUT_WR);
                        assert_int_equal(wire_wait_closed(&wire, FIXTURE_DROP_MS), 0);
                        wire_close(&wire);
                        fixture_settle(fixture);
                        shot_done(&shot);
                }
                assert_int_equal(count_fds(), fds);
                assert_int_equal(count_maps(), maps);
        }
}

static bool may_be_repeated(uint32_t request)
{
        return request != VHOST_USER_ADD_MEM_REG && request != VHOST_USER_REM_MEM_REG &&
               request != VHOST_USER_SET_VRING_KICK;
}

static void every_message_a_thousand_times(void **state)
{
        struct fixture *fixture = *state;

        for (size_t i = 0; i < n_message_examples; i++) {
                const struct message_example *example = &message_examples[i];
                unsigned fds = count_fds(), maps = count_maps();
                struct wire wire;

                if (!may_be_repeated(example->request))
                        continue;
                open_session(fixture, &wire, example->request, VARIANT_GOOD);
                for (int n = 0; n < 1000; n++) {
                        struct shot shot = shot_at(example->request, example);

                        fire(&wire, &shot);
                        shot_done(&shot);
                        if (!session_lives(&wire))
                                fail_msg("%s: dropped after %d", example->name, n);
                        assert_true(count_fds() <= fds + 4); /* both sockets, and one that is kept */
                        assert_true(count_maps() <= maps + 1);
                }
                wire_close(&wire);
                fixture_settle(fixture);
                assert_int_equal(count_fds(), fds);
                assert_int_equal(count_maps(), maps);
        }
}

/* Any order of well-formed messages, with small random changes: the session lives or not, nothing leaks, and
 * the device never keeps a queue or memory of a session that is gone. */
static void random_walk(void **state)
{
        struct fixture *fixture = *state;
        unsigned fds = count_fds(), maps = count_maps(), seed = 7, sessions = 0;
        struct wire wire = {.sock = -1};

        for (int step = 0; step < 60000; step++) {
                const struct message_example *example =
                    &message_examples[(unsigned)rand_r(&seed) % n_message_examples];
                struct shot shot = shot_at(example->request, example);

                if (wire.sock < 0) {
                        open_session(fixture, &wire, 0, VARIANT_GOOD);
                        sessions++;
                }
                if (rand_r(&seed) % 16 == 0 && shot.len > 0)
                        shot.payload[(unsigned)rand_r(&seed) % shot.len] ^=
                            (uint8_t)(1 << (rand_r(&seed) % 8));
                if (rand_r(&seed) % 4 == 0)
                        shot.flags |= VHOST_USER_NEED_REPLY;
                fire(&wire, &shot);
                shot_done(&shot);
                if (session_lives(&wire))
                        continue;
                wire_close(&wire);
                fixture_settle(fixture);
                assert_false(fake_device_any_running(&fixture->device));
                assert_null(fixture->device.memory);
                assert_int_equal(count_fds(), fds);
                assert_int_equal(count_maps(), maps);
        }
        wire_close(&wire);
        fixture_settle(fixture);
        assert_true(sessions > 10);
}

static void random_bytes(void **state)
{
        struct fixture *fixture = *state;
        unsigned fds = count_fds(), seed = 3;

        for (int i = 0; i < 2000; i++) {
                uint8_t bytes[64];
                struct wire wire;

                for (size_t at = 0; at < sizeof(bytes); at++)
                        bytes[at] = (uint8_t)rand_r(&seed);
                fixture_connect(fixture, &wire);
                (void)wire_send_bytes(&wire, bytes, sizeof(bytes), NULL, 0);
                assert_int_equal(wire_wait_closed(&wire, FIXTURE_DROP_MS), 0);
                wire_close(&wire);
                fixture_settle(fixture);
        }
        assert_int_equal(count_fds(), fds);
}

static void events_of_other_kinds_are_refused_for_every_ring_message(void **state)
{
        static const uint64_t bad[] = {VHOST_USER_VRING_NOFD /* with an fd */,
                                       FAKE_QUEUES,
                                       0xff,
                                       0x200,
                                       0x10000,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX};
        static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
                                            VHOST_USER_SET_VRING_ERR};
        struct fixture *fixture = *state;

        for (size_t i = 0; i < array_size(requests); i++)
                for (size_t j = 0; j < array_size(bad); j++) {
                        int fd = message_fd_new(MESSAGE_FD_EVENT);
                        struct wire wire;

                        open_session(fixture, &wire, 0, VARIANT_GOOD);
                        assert_int_equal(wire_send(&wire, requests[i], 1, &bad[j], 8, &fd, 1), 0);
                        assert_int_equal(wire_wait_closed(&wire, FIXTURE_DROP_MS), 0);
                        wire_close(&wire);
                        fixture_settle(fixture);
                        close(fd);
                }
}

static void memory_tables_that_do_not_add_up(void **state)
{
        static const struct {
                uint32_t n_regions, len;
                unsigned n_fds;
        } bad[] = {{1, 40, 0}, {2, 40, 1}, {2, 40, 2}, {0, 40, 1}, {0, 8, 1},           {9, 296, 8},
                   {1, 72, 1}, {1, 8, 1},  {1, 39, 1}, {2, 72, 1}, {UINT32_MAX, 40, 1}, {0x08000001, 40, 1}};
        struct fixture *fixture = *state;
        unsigned maps = count_maps();

        for (size_t i = 0; i < array_size(bad); i++) {
                uint8_t payload[512] = {0};
                int fd = message_fd_new(MESSAGE_FD_MEMORY), fds[8];
                struct wire wire;

                memcpy(payload, message_example_find(VHOST_USER_SET_MEM_TABLE)->payload, 40);
                memcpy(payload, &bad[i].n_regions, 4);
                for (size_t j = 0; j < array_size(fds); j++)
                        fds[j] = fd;
                open_session(fixture, &wire, 0, VARIANT_GOOD);
                assert_int_equal(
                    wire_send(&wire, VHOST_USER_SET_MEM_TABLE, 1, payload, bad[i].len, fds, bad[i].n_fds), 0);
                if (wire_wait_closed(&wire, FIXTURE_DROP_MS) < 0)
                        fail_msg("case %zu lives", i);
                wire_close(&wire);
                fixture_settle(fixture);
                close(fd);
                assert_int_equal(count_maps(), maps);
        }
}

static void descriptors_that_run_out_end_the_session_only(void **state)
{
        struct fixture *fixture = *state;
        struct rlimit before;
        int hogs[128];
        unsigned n = 0, fds = count_fds();
        struct wire wire;
        int event = message_fd_new(MESSAGE_FD_EVENT);
        uint64_t index = 0;

        open_session(fixture, &wire, 0, VARIANT_GOOD);
        assert_true(session_lives(&wire));
        getrlimit(RLIMIT_NOFILE, &before);
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = array_size(hogs), .rlim_max = before.rlim_max});
        while (n < array_size(hogs) && (hogs[n] = dup(event)) >= 0)
                n++;
        assert_true(n < array_size(hogs));
        assert_int_equal(wire_send(&wire, VHOST_USER_SET_VRING_CALL, 1, &index, 8, &event, 1), 0);
        assert_int_equal(wire_wait_closed(&wire, FIXTURE_DROP_MS), 0);
        while (n > 0)
                close(hogs[--n]);
        setrlimit(RLIMIT_NOFILE, &before);
        wire_close(&wire);
        close(event);
        fixture_settle(fixture);
        assert_int_equal(count_fds(), fds);
        open_session(fixture, &wire, 0, VARIANT_GOOD);
        assert_true(session_lives(&wire));
        wire_close(&wire);
}

/* QEMU before 8.0 says each region once for each pair of a network device, and takes it back as often. */
static void memory_may_be_said_again_by_each_of_many_devices_of_a_front_end(void **state)
{
        struct fixture *fixture = *state;
        int fd = message_fd_new(MESSAGE_FD_MEMORY);

        for (unsigned groups = 1; groups <= 2; groups++) {
                struct wire wire;
                unsigned changes;

                fixture->device.groups = groups;
                for (unsigned removal = 0; removal < 2; removal++) {
                        uint32_t request = removal ? VHOST_USER_REM_MEM_REG : VHOST_USER_ADD_MEM_REG;

                        open_session(fixture, &wire, request, VARIANT_FEATURE_MISSING);
                        set_u64(&wire, VHOST_USER_SET_PROTOCOL_FEATURES, ALL_FEATURES);
                        send_region(&wire, VHOST_USER_ADD_MEM_REG, fd);
                        if (removal)
                                send_region(&wire, VHOST_USER_REM_MEM_REG, fd);
                        assert_true(session_lives(&wire));
                        changes = fixture->device.memory_changes;
                        send_region(&wire, request, fd);
                        assert_int_equal(session_lives(&wire), groups > 1);
                        if (groups > 1)
                                assert_int_equal(fixture->device.memory_changes, changes);
                        wire_close(&wire);
                        fixture_settle(fixture);
                }
        }
        close(fd);
}

/* With all that may be asked for. */
static int hostile_setup(void **state)
{
        int r = fixture_setup(state);

        fake_device_add_regions(&((struct fixture *)*state)->device);
        return r;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, hostile_setup, fixture_teardown)
            WIRE_TEST(every_request_in_every_malformation),
            WIRE_TEST(every_message_cut_at_every_byte),
            WIRE_TEST(every_message_a_thousand_times),
            WIRE_TEST(random_walk),
            WIRE_TEST(random_bytes),
            WIRE_TEST(events_of_other_kinds_are_refused_for_every_ring_message),
            WIRE_TEST(memory_tables_that_do_not_add_up),
            WIRE_TEST(memory_may_be_said_again_by_each_of_many_devices_of_a_front_end),
            WIRE_TEST(descriptors_that_run_out_end_the_session_only),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
