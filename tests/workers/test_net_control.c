/* workers/net: the control queue, the link, what a successor is told, and the capture.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/net_rig.h"
#include "workers/net/net_filter.h"

#define STATUS 6u /* the field: of Hello, and of what is pushed */

static const uint8_t mine[NET_MAC] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static struct net_rig rig;
static uint8_t frame[NET_FRAME_MAX], got[NET_FRAME_MAX];

static void start(void)
{
        rig = (struct net_rig){.carrier = NET_CARRIER_STREAM, .n_queues = 3, .mac = "52:54:00:12:34:56"};
        rig_start(&rig);
}

static void make_frame(const uint8_t *to, uint32_t len)
{
        rig_frame(frame, len, len);
        memcpy(frame, to, NET_MAC);
}

/* The next of that kind on the control channel. */
static void await_control(enum control_kind_to_broker kind, struct control_to_broker *ret_said)
{
        do
                assert_true(fake_next_control(&rig.broker, ret_said));
        while (ret_said->kind != kind);
}

static void config_says_what_was_configured(void **state)
{
        const struct control_hello *hello = &rig.broker.hello;

        (void)state;
        start();
        assert_int_equal(hello->features & NET_F_MAC, NET_F_MAC);
        for (unsigned i = 0; i < NET_MAC; i++) {
                assert_int_equal(hello->fields[i].offset, i);
                assert_int_equal(hello->fields[i].value, mine[i]);
        }
        assert_int_equal(hello->fields[STATUS].offset, 6);
        assert_int_equal(hello->fields[STATUS].value, 1);
        assert_int_equal(hello->fields[8].offset, 10);
        assert_int_equal(hello->fields[8].value, 1500);
        rig_end(&rig);
}

static void a_driver_gets_what_it_wants(void **state)
{
        static const uint8_t other[NET_MAC] = {2, 9, 9, 9, 9, 9};
        unsigned lent;

        (void)state;
        start();
        assert_int_equal(rig_command(&rig, "\0\0\0", 3), NET_ACK_OK); /* promiscuous no more */
        lent = rig_lend(&rig, 0, 2, 2048);
        make_frame(other, 100);
        rig_feed_stream(&rig, frame, 100);
        make_frame(mine, 101);
        rig_feed_stream(&rig, frame, 101);
        rig_came(&rig, lent, frame, 101);
        assert_int_equal(rig_command(&rig, "\0\0\1", 3), NET_ACK_OK);
        make_frame(other, 102);
        rig_feed_stream(&rig, frame, 102);
        rig_came(&rig, lent + 1, frame, 102);
        rig_end(&rig);
}

static void bad_commands_are_answered_so(void **state)
{
        static uint8_t long_one[LIMIT_NET_CONTROL + 1] = {1, 0};

        (void)state;
        start();
        assert_int_equal(rig_command(&rig, "", 0), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\0", 1), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\0\0\2", 3), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\11\0\0", 3), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\4\0\1\0", 4), NET_ACK_ERR); /* MQ is not offered */
        assert_int_equal(rig_command(&rig, long_one, sizeof(long_one)), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\0\0\1", 3), NET_ACK_OK);
        rig_end(&rig);
}

static void a_command_without_room_for_an_answer_breaks_the_device(void **state)
{
        struct fake_request request = {
            .id = 1, .queue = 2, .readable = (const uint8_t *)"\0\0\1", .n_readable = 3, .inlined = 3};

        (void)state;
        start();
        fake_send_requests(&rig.broker, 0, &request, 1);
        fake_drain(&rig.broker, 0);
        assert_int_equal(request.status, WIRE_STATUS_PROTOCOL);
        rig_end(&rig);
}

/* ---- the link ---- */

static void the_operator_pulls_the_cable_and_puts_it_back(void **state)
{
        struct control_to_broker said;
        unsigned lent;

        (void)state;
        start();
        lent = rig_lend(&rig, 0, 2, 2048);
        assert_int_equal(rig_set(&rig, SETTING_LINK, 0, 0), 0);
        make_frame(mine, 100);
        rig_feed_stream(&rig, frame, 100); /* what comes now is lost */
        rig_send(&rig, 1, NULL, frame, 100);
        rig_settle(&rig);
        rig_settle(&rig);
        assert_false(rig.lent[lent].done);
        assert_int_equal(rig_set(&rig, SETTING_LINK, 0, 1), 0);
        make_frame(mine, 101);
        rig_feed_stream(&rig, frame, 101);
        rig_came(&rig, lent, frame, 101);
        rig_send(&rig, 1, NULL, frame, 101);
        assert_int_equal(rig_take_stream(&rig, got), 101);
        assert_int_equal(rig_set(&rig, SETTING_SIZE, 0, 0x10001), -EOPNOTSUPP);
        assert_int_equal(rig_command(&rig, "\3\0", 2), NET_ACK_OK);
        await_control(CONTROL_CONFIG_SPACE, &said);
        assert_int_equal(said.config_space.value[STATUS], 1);
        rig_end(&rig);
}

/* Down; up, and would the driver please announce itself; and then it has. */
static void the_guest_sees_each_change_once(void **state)
{
        static const uint64_t want[] = {0, 3, 1};
        struct control_to_broker said;

        (void)state;
        start();
        for (unsigned i = 0; i < array_size(want); i++) {
                struct control_to_worker set = {
                    .kind = CONTROL_SET, .seq = 50 + i, .set = {.id = SETTING_LINK, .value = i}};

                if (i < 2)
                        fake_send_control(&rig.broker, &set);
                else
                        assert_int_equal(rig_command(&rig, "\3\0", 2), NET_ACK_OK);
                await_control(CONTROL_CONFIG_SPACE, &said);
                assert_int_equal(said.config_space.value[STATUS], want[i]);
                if (i < 2) {
                        await_control(CONTROL_DONE, &said);
                        fake_send_control(&rig.broker, &set); /* again changes nothing */
                        assert_true(fake_next_control(&rig.broker, &said));
                        assert_int_equal(said.kind, CONTROL_DONE);
                }
        }
        rig_end(&rig);
}

/* ---- successors ---- */

static int restore(const void *bytes, size_t len)
{
        const struct control_to_worker message = {
            .kind = CONTROL_RESTORE_STATE, .seq = 70, .restore_state = {.bytes = bytes, .len = len}};
        struct control_to_broker said;

        fake_send_control(&rig.broker, &message);
        await_control(CONTROL_DONE, &said);
        return said.done.error;
}

static void a_successor_knows_what_the_driver_has_said(void **state)
{
        static const uint8_t other[NET_MAC] = {2, 9, 9, 9, 9, 9};
        uint8_t left[LIMIT_STATE_BYTES];
        struct control_to_broker said;
        size_t len;
        unsigned lent;

        (void)state;
        start();
        assert_int_equal(rig_command(&rig, "\0\0\0", 3), NET_ACK_OK);
        await_control(CONTROL_PUT_STATE, &said);
        len = said.put_state.len;
        memcpy(left, said.put_state.bytes, len);
        rig_kill(&rig);
        rig_start(&rig);
        assert_int_equal(restore(left, len), 0);
        lent = rig_lend(&rig, 0, 1, 2048);
        make_frame(other, 100);
        rig_feed_stream(&rig, frame, 100);
        make_frame(mine, 101);
        rig_feed_stream(&rig, frame, 101);
        rig_came(&rig, lent, frame, 101);
        rig_end(&rig);
}

static void a_successor_does_not_believe_everything(void **state)
{
        struct net_filter left;

        (void)state;
        start();
        net_filter_init(&left, mine);
        assert_int_equal(restore(&left, sizeof(left) - 1), -EINVAL);
        rig_end(&rig);
        start();
        left.n_pairs = 2;
        assert_int_equal(restore(&left, sizeof(left)), -EINVAL);
        rig_end(&rig);
}

/* A guest that says a lot makes its worker say little: 1,024 a second would end it. */
static void a_flood_of_commands_is_told_together(void **state)
{
        struct control_to_broker said;
        unsigned n = 0;

        (void)state;
        start();
        for (unsigned i = 0; i < 3000; i++)
                assert_int_equal(rig_command(&rig, i % 2 ? "\0\0\0" : "\0\0\1", 3), NET_ACK_OK);
        assert_int_equal(rig_command(&rig, "\0\1\1", 3), NET_ACK_OK);
        do {
                struct net_filter left;

                await_control(CONTROL_PUT_STATE, &said);
                memcpy(&left, said.put_state.bytes, sizeof(left));
                n++;
                if (left.allmulti)
                        break;
        } while (true);
        assert_in_range(n, 1, 1000);
        rig_end(&rig);
}

/* ---- the capture ---- */

static int new_capture(void)
{
        int fd = memfd_create("capture", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        return fd;
}

static off_t length_of(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return st.st_size;
}

/* The frame at *at, which moves behind it; its bytes in `got`. 0: there is none. */
static uint32_t next_captured(int fd, off_t *at)
{
        uint32_t head[4];
        ssize_t n = pread(fd, head, sizeof(head), *at);

        if (n == 0)
                return 0;
        assert_int_equal(n, sizeof(head));
        assert_int_equal(head[2], head[3]);
        assert_true(head[1] < 1000000);
        assert_int_equal(pread(fd, got, head[2], *at + 16), head[2]);
        *at += 16 + head[2];
        return head[2];
}

static void start_capture(int fd, uint64_t max)
{
        rig = (struct net_rig){.carrier = NET_CARRIER_STREAM, .n_queues = 3, .pcap_fd = fd, .pcap_max = max};
        rig_start(&rig);
}

static void pass(uint32_t len)
{
        unsigned lent = rig_lend(&rig, 0, 1, 2048);

        make_frame(mine, len);
        rig_feed_stream(&rig, frame, len);
        rig_came(&rig, lent, frame, len);
}

static void frames_of_both_ways_are_captured(void **state)
{
        int fd = new_capture();
        uint32_t magic;
        off_t at = 24;

        (void)state;
        start_capture(fd, 0);
        pass(100);
        make_frame(mine, 200);
        rig_send(&rig, 1, NULL, frame, 200);
        rig_settle(&rig); /* what goes nowhere is not captured */
        pass(300);
        rig_end(&rig);
        assert_int_equal(pread(fd, &magic, 4, 0), 4);
        assert_int_equal(magic, 0xa1b2c3d4);
        for (uint32_t len = 100; len <= 300; len += 100) {
                assert_int_equal(next_captured(fd, &at), len);
                make_frame(mine, len);
                assert_memory_equal(got, frame, len);
        }
        assert_int_equal(next_captured(fd, &at), 0);
        close(fd);
}

static void a_capture_stops_at_its_size(void **state)
{
        const uint64_t max = 65536; /* the head, and 65 frames of 1,000 bytes less some */
        int fd = new_capture();
        off_t at = 24;
        unsigned n = 0;

        (void)state;
        start_capture(fd, max);
        for (unsigned i = 0; i < 80; i++)
                pass(1000);
        rig_end(&rig);
        assert_true(length_of(fd) <= (off_t)max && length_of(fd) > (off_t)max - 1016);
        while (next_captured(fd, &at) > 0)
                n++;
        assert_int_equal(n, (max - 24) / 1016);
        close(fd);
}

/* What fits without its head does not fit. */
static void a_capture_never_gets_longer_than_it_may(void **state)
{
        const uint64_t max = 65536;
        int fd = new_capture();
        off_t end;

        (void)state;
        start_capture(fd, max);
        for (unsigned i = 0; i < 64; i++)
                pass(1000);
        end = length_of(fd);
        assert_int_equal(end, 24 + 64 * 1016);
        pass((uint32_t)(max - (uint64_t)end) - 8);
        rig_end(&rig);
        assert_int_equal(length_of(fd), end);
        close(fd);
}

static void a_successor_cuts_off_the_frame_that_its_predecessor_died_in(void **state)
{
        static const size_t torn[] = {1, 15, 16, 17, 100, 115};
        const uint8_t half[116] = {1, 1, 1, 1, 1, 1, 1, 1, 100, 0, 0, 0, 100, 0, 0, 0};

        (void)state;
        for (unsigned i = 0; i < array_size(torn); i++) {
                int fd = new_capture();
                off_t at = 24, end;

                start_capture(fd, 0);
                pass(100);
                rig_kill(&rig);
                end = length_of(fd);
                assert_int_equal(end, 24 + 116);
                assert_int_equal(pwrite(fd, half, torn[i], end), torn[i]);
                rig_start(&rig);
                assert_int_equal(length_of(fd), end);
                pass(50);
                rig_end(&rig);
                assert_int_equal(next_captured(fd, &at), 100);
                assert_int_equal(next_captured(fd, &at), 50);
                assert_int_equal(next_captured(fd, &at), 0);
                close(fd);
        }
}

static void a_file_of_another_kind_is_no_capture(void **state)
{
        int fd = new_capture();

        (void)state;
        assert_int_equal(write(fd, "somebody's letters, which are not to be lost", 44), 44);
        rig = (struct net_rig){.carrier = NET_CARRIER_STREAM, .n_queues = 3, .pcap_fd = fd};
        rig_refused(&rig);
        assert_int_equal(length_of(fd), 44);
        close(fd);
}

static void a_capture_that_cannot_be_written_ends_and_frames_go_on(void **state)
{
        int fd = new_capture();

        (void)state;
        start_capture(fd, 0);
        pass(100);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
        pass(101);
        pass(102);
        rig_end(&rig);
        assert_int_equal(length_of(fd), 24 + 116);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(config_says_what_was_configured),
            cmocka_unit_test(a_driver_gets_what_it_wants),
            cmocka_unit_test(bad_commands_are_answered_so),
            cmocka_unit_test(a_command_without_room_for_an_answer_breaks_the_device),
            cmocka_unit_test(the_operator_pulls_the_cable_and_puts_it_back),
            cmocka_unit_test(the_guest_sees_each_change_once),
            cmocka_unit_test(a_successor_knows_what_the_driver_has_said),
            cmocka_unit_test(a_successor_does_not_believe_everything),
            cmocka_unit_test(a_flood_of_commands_is_told_together),
            cmocka_unit_test(frames_of_both_ways_are_captured),
            cmocka_unit_test(a_capture_stops_at_its_size),
            cmocka_unit_test(a_capture_never_gets_longer_than_it_may),
            cmocka_unit_test(a_successor_cuts_off_the_frame_that_its_predecessor_died_in),
            cmocka_unit_test(a_file_of_another_kind_is_no_capture),
            cmocka_unit_test(a_capture_that_cannot_be_written_ends_and_frames_go_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
