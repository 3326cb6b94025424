/* workers/net/net_req: good and bad frames and commands by name, and every length and bit of them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "workers/net/net_req.h"

#define ALL_FEATURES UINT64_MAX
#define MTU          1500u
#define PAIRS        4u

static const struct net_promise all = {.features = ALL_FEATURES, .mtu = MTU, .n_pairs = PAIRS};

/* ---- frames ---- */

#define LEAST (NET_HEADER + NET_ETHERNET)
#define USUAL (NET_HEADER + MTU + NET_ENVELOPE)

/* A header as it travels: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, n_buffers. */
static void put_header(uint8_t *bytes, const struct net_header *header)
{
        net_header_store(header, bytes);
}

static enum net_drop check_frame(const struct net_promise *promise, const struct net_header *header,
                                 uint32_t readable, uint32_t writable)
{
        uint8_t *bytes = malloc(NET_HEADER); /* its own block, so that one byte too far is seen */
        struct net_header got, before;
        enum net_drop drop;

        put_header(bytes, header);
        memset(&got, 0x5a, sizeof(got));
        before = got;
        drop = net_req_check_frame(promise, bytes, readable, writable, &got);
        if (drop != NET_DROP_NONE)
                assert_memory_equal(&before, &got, sizeof(got));
        free(bytes);
        return drop;
}

static const struct bad_frame {
        const char *name;
        enum net_drop want;
        uint32_t readable, writable;
        uint64_t without; /* features that were not agreed */
        struct net_header header;
} bad_frames[] = {
    {"no byte at all", NET_DROP_SHORT, 0, 0, 0, {0}},
    {"one byte", NET_DROP_SHORT, 1, 0, 0, {0}},
    {"a header less a byte", NET_DROP_SHORT, NET_HEADER - 1, 0, 0, {0}},
    {"a header and no frame", NET_DROP_SHORT, NET_HEADER, 0, 0, {0}},
    {"a frame of one byte", NET_DROP_SHORT, NET_HEADER + 1, 0, 0, {0}},
    {"addresses and half a type", NET_DROP_SHORT, LEAST - 1, 0, 0, {0}},
    {"a byte over the MTU", NET_DROP_LONG, USUAL + 1, 0, 0, {0}},
    {"64 KiB without segmentation", NET_DROP_LONG, NET_BUFFER, 0, 0, {0}},
    {"32 MiB", NET_DROP_LONG, 32u << 20, 0, 0, {0}},
    {"the largest length there is", NET_DROP_LONG, UINT32_MAX, 0, 0, {0}},
    {"a byte over the longest segment", NET_DROP_LONG, NET_BUFFER + 1, 0, 0, {1, 1, 54, 1448, 34, 16, 0}},
    {"room for an answer", NET_DROP_HEADER, USUAL, 1, 0, {0}},
    {"room for the largest answer", NET_DROP_HEADER, USUAL, UINT32_MAX, 0, {0}},
    {"nothing to read and room", NET_DROP_HEADER, 0, 100, 0, {0}},
    {"a sum that was not agreed", NET_DROP_OFFLOAD, USUAL, 0, NET_F_CSUM, {1, 0, 0, 0, 34, 16, 0}},
    {"a sum at the frame's last byte", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 0, 0, 0, 37, 16, 0}},
    {"a sum right behind the frame", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 0, 0, 0, 54, 0, 0}},
    {"a sum far behind the frame", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 0, 0, 0, 65535, 65535, 0}},
    {"a sum whose offset leads out", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 0, 0, 0, 34, 65535, 0}},
    {"a sum over the addresses", NET_DROP_HEADER, USUAL, 0, 0, {1, 0, 0, 0, 0, 16, 0}},
    {"a sum over half the type", NET_DROP_HEADER, USUAL, 0, 0, {1, 0, 0, 0, 13, 16, 0}},
    {"segments of IPv4 that were not agreed",
     NET_DROP_OFFLOAD,
     USUAL,
     0,
     NET_F_HOST_TSO4,
     {1, 1, 54, 100, 34, 16, 0}},
    {"segments of IPv6 that were not agreed",
     NET_DROP_OFFLOAD,
     USUAL,
     0,
     NET_F_HOST_TSO6,
     {1, 4, 74, 100, 54, 16, 0}},
    {"congestion bits that were not agreed",
     NET_DROP_OFFLOAD,
     USUAL,
     0,
     NET_F_HOST_ECN,
     {1, 0x81, 54, 100, 34, 16, 0}},
    {"congestion bits without segments", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 0x80, 54, 100, 34, 16, 0}},
    {"UDP fragments", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 3, 42, 100, 34, 6, 0}},
    {"UDP segments", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 5, 42, 100, 34, 6, 0}},
    {"a kind of segment that nobody knows", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 2, 54, 100, 34, 16, 0}},
    {"another one", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 0x7f, 54, 100, 34, 16, 0}},
    {"both kinds of TCP", NET_DROP_OFFLOAD, USUAL, 0, 0, {1, 1 | 4, 54, 100, 34, 16, 0}},
    {"segments without a sum", NET_DROP_HEADER, USUAL, 0, 0, {0, 1, 54, 100, 34, 16, 0}},
    {"segments of no length", NET_DROP_HEADER, USUAL, 0, 0, {1, 1, 54, 0, 34, 16, 0}},
    {"headers longer than the frame", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 1, 55, 100, 34, 16, 0}},
    {"headers of 64 KiB", NET_DROP_HEADER, USUAL, 0, 0, {1, 4, 65535, 100, 54, 16, 0}},
    {"segments whose sum is outside", NET_DROP_HEADER, LEAST + 40, 0, 0, {1, 1, 54, 100, 53, 0, 0}},
};

static void bad_frames_go_nowhere(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(bad_frames); i++) {
                const struct bad_frame *bad = &bad_frames[i];
                struct net_promise promise = all;

                promise.features &= ~bad->without;
                if (check_frame(&promise, &bad->header, bad->readable, bad->writable) != bad->want)
                        fail_msg("%s", bad->name);
        }
}

static void good_frames_are_what_they_were(void **state)
{
        static const struct {
                uint32_t readable;
                struct net_header header;
        } good[] = {
            {LEAST, {0}},
            {USUAL, {0}},
            {LEAST + 40, {1, 0, 0, 0, 34, 16, 0}},
            {LEAST + 2, {1, 0, 0, 0, 14, 0, 0}}, /* a sum of nothing but itself */
            {NET_BUFFER, {1, 1, 54, 1448, 34, 16, 0}},
            {NET_BUFFER, {1, 4, 74, 1428, 54, 16, 0}},
            {NET_BUFFER, {1, 0x81, 54, 1448, 34, 16, 0}},
            {LEAST + 40, {1, 1, 54, 1, 34, 16, 0}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                uint8_t bytes[NET_HEADER];
                struct net_header got;

                put_header(bytes, &good[i].header);
                assert_int_equal(net_req_check_frame(&all, bytes, good[i].readable, 0, &got), NET_DROP_NONE);
                assert_memory_equal(&got, &good[i].header, sizeof(got));
        }
}

static void flags_that_nobody_knows_are_ignored(void **state)
{
        const struct net_header header = {.flags = 0xfe, .n_buffers = 77};
        uint8_t bytes[NET_HEADER];
        struct net_header got;

        (void)state;
        put_header(bytes, &header);
        assert_int_equal(net_req_check_frame(&all, bytes, USUAL, 0, &got), NET_DROP_NONE);
        assert_int_equal(got.flags, 0);
        assert_int_equal(got.n_buffers, 0);
}

/* Whatever the header and the length: what is accepted is inside. */
static void no_bit_of_a_header_leads_out_of_the_frame(void **state)
{
        const struct net_header header = {1, 1, 54, 100, 34, 16, 0};
        uint8_t good[NET_HEADER], bytes[NET_HEADER];

        (void)state;
        put_header(good, &header);
        for (uint32_t readable = 0; readable < 200; readable++) {
                for (unsigned bit = 0; bit < 8 * NET_HEADER; bit++) {
                        struct net_header got;

                        memcpy(bytes, good, sizeof(bytes));
                        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                        if (net_req_check_frame(&all, bytes, readable, 0, &got) != NET_DROP_NONE)
                                continue;
                        assert_true(readable >= LEAST);
                        if (got.flags & NET_NEEDS_CSUM)
                                assert_true(got.csum_start + got.csum_offset + 2u <= readable - NET_HEADER);
                        if (got.gso_type != NET_GSO_NONE)
                                assert_true(got.gso_size > 0 && got.hdr_len <= readable - NET_HEADER);
                }
        }
}

static void frames_of_the_host_need_not_have_been_agreed(void **state)
{
        const struct net_promise none = {.mtu = MTU, .n_pairs = 1};
        const struct net_header header = {3, 1, 54, 100, 34, 16, 0};
        uint8_t bytes[NET_HEADER];
        struct net_header got;

        (void)state;
        put_header(bytes, &header);
        assert_int_equal(net_req_check_host_frame(&none, bytes, USUAL, &got), NET_DROP_NONE);
        assert_int_equal(got.flags, NET_NEEDS_CSUM | NET_DATA_VALID);
        assert_int_equal(got.n_buffers, 1);
        assert_int_equal(net_req_check_host_frame(&none, bytes, LEAST - 1, &got), NET_DROP_SHORT);
        assert_int_equal(net_req_check_host_frame(&none, bytes, LEAST, &got), NET_DROP_HEADER);
        put_header(bytes, &(struct net_header){0});
        assert_int_equal(net_req_check_host_frame(&none, bytes, USUAL + 1, &got), NET_DROP_LONG);
        put_header(bytes, &(struct net_header){1, 5, 54, 100, 34, 16, 0});
        assert_int_equal(net_req_check_host_frame(&none, bytes, USUAL, &got), NET_DROP_OFFLOAD);
}

static void buffers_are_writable_and_hold_a_header(void **state)
{
        (void)state;
        assert_true(net_req_buffer_ok(0, NET_HEADER));
        assert_false(net_req_buffer_ok(0, NET_HEADER - 1));
        assert_false(net_req_buffer_ok(0, 0));
        assert_false(net_req_buffer_ok(1, NET_BUFFER));
        assert_true(net_req_buffer_ok(0, UINT32_MAX));
}

/* ---- commands ---- */

static int check_control(const struct net_promise *promise, const void *bytes, size_t len,
                         struct net_control *ret_control)
{
        uint8_t *copy = malloc(len + 1); /* its own block */
        struct net_control before;
        int r;

        memset(ret_control, 0x5a, sizeof(*ret_control));
        before = *ret_control;
        memcpy(copy, bytes, len);
        copy = realloc(copy, len > 0 ? len : 1);
        r = net_req_check_control(promise, copy, len, ret_control);
        if (r < 0)
                assert_memory_equal(&before, ret_control, sizeof(before));
        free(copy);
        return r;
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static const struct bad_control {
        const char *name;
        const uint8_t *bytes;
        size_t len;
        uint64_t without;
} bad_controls[] = {
    {"no byte", BYTES(0), 0}, /* its length is set to 0 below */
    {"a class alone", BYTES(0), 0},
    {"a class that nobody knows", BYTES(9, 0, 1), 0},
    {"a class of offloads, which were not offered", BYTES(5, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0},
    {"a mode that nobody knows", BYTES(0, 6, 1), 0},
    {"a mode without its value", BYTES(0, 0), 0},
    {"a mode with a value of two bytes", BYTES(0, 0, 1, 0), 0},
    {"a mode that is neither on nor off", BYTES(0, 0, 2), 0},
    {"a mode of 255", BYTES(0, 1, 255), 0},
    {"a mode that was not agreed", BYTES(0, 0, 1), NET_F_CTRL_RX},
    {"a mode of those beyond, that was not agreed", BYTES(0, 4, 1), NET_F_CTRL_RX_EXTRA},
    {"a table without a number", BYTES(1, 0), 0},
    {"a table with half a number", BYTES(1, 0, 0, 0), 0},
    {"a table with one list", BYTES(1, 0, 0, 0, 0, 0), 0},
    {"a table whose second number is cut", BYTES(1, 0, 0, 0, 0, 0, 0, 0, 0), 0},
    {"a table that promises an address", BYTES(1, 0, 1, 0, 0, 0, 0, 0, 0, 0), 0},
    {"a table that promises 2^32 - 1 addresses", BYTES(1, 0, 255, 255, 255, 255, 0, 0, 0, 0), 0},
    {"a table whose product wraps", BYTES(1, 0, 0xab, 0xaa, 0xaa, 0xaa, 0, 0, 0, 0), 0},
    {"a table with a byte behind it", BYTES(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0},
    {"a table whose last address is cut", BYTES(1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5), 0},
    {"a table that was not agreed", BYTES(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), NET_F_CTRL_RX},
    {"an address of five bytes", BYTES(1, 1, 2, 0, 0, 0, 0), 0},
    {"an address of seven bytes", BYTES(1, 1, 2, 0, 0, 0, 0, 0, 0), 0},
    {"an address of a group", BYTES(1, 1, 1, 0, 0, 0, 0, 1), 0},
    {"an address of all", BYTES(1, 1, 255, 255, 255, 255, 255, 255), 0},
    {"an address that was not agreed", BYTES(1, 1, 2, 0, 0, 0, 0, 1), NET_F_CTRL_MAC_ADDR},
    {"a VLAN without its number", BYTES(2, 0), 0},
    {"a VLAN with half a number", BYTES(2, 0, 1), 0},
    {"a VLAN of 13 bits", BYTES(2, 0, 0, 0x10), 0},
    {"a VLAN of 65535 to be forgotten", BYTES(2, 1, 255, 255), 0},
    {"a VLAN that was not agreed", BYTES(2, 0, 1, 0), NET_F_CTRL_VLAN},
    {"a VLAN neither added nor removed", BYTES(2, 2, 1, 0), 0},
    {"an announcement with a byte", BYTES(3, 0, 1), 0},
    {"an announcement that was not agreed", BYTES(3, 0), NET_F_GUEST_ANNOUNCE},
    {"no pair", BYTES(4, 0, 0, 0), 0},
    {"a pair too many", BYTES(4, 0, PAIRS + 1, 0), 0},
    {"32768 pairs", BYTES(4, 0, 0, 0x80), 0},
    {"pairs of one byte", BYTES(4, 0, 1), 0},
    {"pairs that were not agreed", BYTES(4, 0, 1, 0), NET_F_MQ},
    {"receive side scaling, which was not offered", BYTES(4, 1, 0, 0), 0},
};

static void bad_commands_are_refused(void **state)
{
        struct net_control control;

        (void)state;
        for (size_t i = 0; i < array_size(bad_controls); i++) {
                const struct bad_control *bad = &bad_controls[i];
                struct net_promise promise = all;

                promise.features &= ~bad->without;
                if (check_control(&promise, bad->bytes, i == 0 ? 0 : bad->len, &control) != -EINVAL)
                        fail_msg("%s", bad->name);
        }
}

static void each_command_is_understood(void **state)
{
        struct net_control control;

        (void)state;
        for (uint8_t i = 0; i < 6; i++) {
                const uint8_t on[] = {0, i, 1}, off[] = {0, i, 0};

                assert_int_equal(check_control(&all, on, sizeof(on), &control), 0);
                assert_int_equal(control.command, NET_COMMAND_PROMISC + i);
                assert_true(control.on);
                assert_int_equal(check_control(&all, off, sizeof(off), &control), 0);
                assert_false(control.on);
        }
        assert_int_equal(check_control(&all, BYTES(1, 1, 2, 3, 4, 5, 6, 7), &control), 0);
        assert_int_equal(control.command, NET_COMMAND_MAC_ADDR);
        assert_memory_equal(control.mac, ((const uint8_t[]){2, 3, 4, 5, 6, 7}), NET_MAC);
        assert_int_equal(check_control(&all, BYTES(2, 0, 0xff, 0x0f), &control), 0);
        assert_int_equal(control.command, NET_COMMAND_VLAN_ADD);
        assert_int_equal(control.number, 4095);
        assert_int_equal(check_control(&all, BYTES(2, 1, 1, 0), &control), 0);
        assert_int_equal(control.command, NET_COMMAND_VLAN_DEL);
        assert_int_equal(check_control(&all, BYTES(3, 0), &control), 0);
        assert_int_equal(control.command, NET_COMMAND_ANNOUNCE_ACK);
        assert_int_equal(check_control(&all, BYTES(4, 0, PAIRS, 0), &control), 0);
        assert_int_equal(control.command, NET_COMMAND_PAIRS);
        assert_int_equal(control.number, PAIRS);
}

/* So many addresses of each kind; address i ends with i. */
static size_t put_table(uint8_t *bytes, uint32_t unicast, uint32_t multicast)
{
        const uint32_t n[2] = {unicast, multicast};
        size_t at = 2;

        bytes[0] = 1;
        bytes[1] = 0;
        for (unsigned list = 0; list < 2; list++) {
                for (unsigned i = 0; i < 4; i++)
                        bytes[at++] = (uint8_t)(n[list] >> (8 * i));
                for (uint32_t i = 0; i < n[list]; i++, at += NET_MAC) {
                        memset(bytes + at, list == 0 ? 2 : 3, NET_MAC);
                        bytes[at + 5] = (uint8_t)i;
                }
        }
        return at;
}

static void a_table_holds_its_limit_and_more_means_all(void **state)
{
        static uint8_t bytes[LIMIT_NET_CONTROL + 16];
        struct net_control control;
        size_t len = put_table(bytes, LIMIT_NET_MACS, 1);

        (void)state;
        assert_int_equal(check_control(&all, bytes, len, &control), 0);
        assert_int_equal(control.table.unicast.n, LIMIT_NET_MACS);
        assert_false(control.table.unicast.overflow);
        assert_int_equal(control.table.unicast.mac[LIMIT_NET_MACS - 1][5], LIMIT_NET_MACS - 1);
        assert_int_equal(control.table.multicast.n, 1);
        len = put_table(bytes, 2, LIMIT_NET_MACS + 1);
        assert_int_equal(check_control(&all, bytes, len, &control), 0);
        assert_int_equal(control.table.unicast.n, 2);
        assert_true(control.table.multicast.overflow);
        assert_int_equal(control.table.multicast.n, 0);
}

static void a_command_is_as_long_as_its_limit(void **state)
{
        static uint8_t bytes[LIMIT_NET_CONTROL + 16];
        const uint32_t n = (LIMIT_NET_CONTROL - 10) / NET_MAC;
        struct net_control control;

        (void)state;
        assert_int_equal(check_control(&all, bytes, put_table(bytes, n, 0), &control), 0);
        assert_true(put_table(bytes, n + 1, 0) > LIMIT_NET_CONTROL);
        assert_int_equal(check_control(&all, bytes, put_table(bytes, n + 1, 0), &control), -EINVAL);
}

static void no_part_of_a_table_is_a_table(void **state)
{
        uint8_t bytes[256];
        struct net_control control;
        size_t len = put_table(bytes, 3, 4);

        (void)state;
        for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(check_control(&all, bytes, cut, &control), -EINVAL);
        for (size_t bit = 16; bit < 48; bit++) { /* of the first number */
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                assert_int_equal(check_control(&all, bytes, len, &control), -EINVAL);
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        assert_int_equal(check_control(&all, bytes, len, &control), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bad_frames_go_nowhere),
            cmocka_unit_test(good_frames_are_what_they_were),
            cmocka_unit_test(flags_that_nobody_knows_are_ignored),
            cmocka_unit_test(no_bit_of_a_header_leads_out_of_the_frame),
            cmocka_unit_test(frames_of_the_host_need_not_have_been_agreed),
            cmocka_unit_test(buffers_are_writable_and_hold_a_header),
            cmocka_unit_test(bad_commands_are_refused),
            cmocka_unit_test(each_command_is_understood),
            cmocka_unit_test(a_table_holds_its_limit_and_more_means_all),
            cmocka_unit_test(a_command_is_as_long_as_its_limit),
            cmocka_unit_test(no_part_of_a_table_is_a_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
