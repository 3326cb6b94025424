/* Frames between the worker of a vsock device and its proxy: each row at its edges.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vsock_frame.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/unit/unit.h"

#define WORKER VSOCK_SIDE_WORKER
#define PROXY  VSOCK_SIDE_PROXY
#define OURS   (LIMIT_VSOCK_STREAMS - 1) /* the highest that the worker gives */
#define THEIRS (VSOCK_FRAME_IDS - 1)     /* ... and the proxy */

static uint8_t bytes[VSOCK_FRAME_MAX + 1];

static int check(enum vsock_frame_side to, struct vsock_frame frame)
{
        struct vsock_frame judged = {.a = 0x77};
        int r;

        vsock_frame_make(&frame, bytes);
        r = vsock_frame_check(to, bytes, VSOCK_FRAME_BYTES + frame.len, &judged);
        if (r < 0)
                assert_int_equal(judged.a, 0x77);
        else
                assert_memory_equal(&judged, &frame, sizeof(frame));
        return r;
}

static const struct {
        unsigned to;
        struct vsock_frame frame;
} good[] = {
    {PROXY, {.kind = VSOCK_FRAME_HELLO, .a = UINT32_MAX, .b = UINT32_MAX}},
    {WORKER, {.kind = VSOCK_FRAME_WELCOME, .a = UINT32_MAX, .b = UINT32_MAX}},
    {WORKER, {.kind = VSOCK_FRAME_LOST, .len = VSOCK_LOST_BYTES}},
    {WORKER, {.kind = VSOCK_FRAME_LOST, .len = VSOCK_LOST_BYTES * VSOCK_LOST_MAX}},
    {PROXY, {.kind = VSOCK_FRAME_OPEN, .flags = VSOCK_FRAME_SEQPACKET, .stream = OURS, .a = 1, .b = 2}},
    {WORKER, {.kind = VSOCK_FRAME_OPENED, .stream = OURS}},
    {WORKER, {.kind = VSOCK_FRAME_OFFER, .flags = VSOCK_FRAME_SEQPACKET, .stream = THEIRS, .a = 1, .b = 2}},
    {PROXY, {.kind = VSOCK_FRAME_ACCEPT, .stream = THEIRS}},
    {WORKER | PROXY, {.kind = VSOCK_FRAME_DATA, .flags = VSOCK_FRAME_EOM, .stream = THEIRS, .len = 1}},
    {WORKER | PROXY, {.kind = VSOCK_FRAME_DATA, .stream = 0, .len = VSOCK_FRAME_PAYLOAD}},
    {PROXY, {.kind = VSOCK_FRAME_CREDIT, .stream = THEIRS, .a = UINT32_MAX, .b = 1}},
    {WORKER, {.kind = VSOCK_FRAME_CONSUMED, .stream = THEIRS, .a = UINT32_MAX}},
    {WORKER | PROXY,
     {.kind = VSOCK_FRAME_SHUT, .flags = VSOCK_FRAME_NO_SEND | VSOCK_FRAME_NO_TAKE, .stream = OURS}},
    {WORKER | PROXY, {.kind = VSOCK_FRAME_END, .stream = THEIRS}},
};

static void frames_are_little_endian(void **state)
{
        const uint8_t expected[VSOCK_FRAME_BYTES] = {8, 0, 2,    0,    0x06, 0x05, 0,    0,    0x0a, 0x09,
                                                     0, 0, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21};

        (void)state;
        vsock_frame_make(&(struct vsock_frame){.kind = VSOCK_FRAME_DATA,
                                               .flags = 2,
                                               .len = 0x0506,
                                               .stream = 0x090a,
                                               .a = 0x11121314,
                                               .b = 0x21222324},
                         bytes);
        assert_memory_equal(bytes, expected, sizeof(expected));
}

static void each_kind_comes_back_as_it_was_and_to_its_side_alone(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                assert_int_equal(check(WORKER, good[i].frame), good[i].to & WORKER ? 0 : -EPROTO);
                assert_int_equal(check(PROXY, good[i].frame), good[i].to & PROXY ? 0 : -EPROTO);
        }
}

static void a_frame_is_as_long_as_it_says(void **state)
{
        struct vsock_frame judged;

        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                size_t size = VSOCK_FRAME_BYTES + good[i].frame.len;
                enum vsock_frame_side to = good[i].to & WORKER ? WORKER : PROXY;

                vsock_frame_make(&good[i].frame, bytes);
                for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 997)
                        assert_int_equal(vsock_frame_check(to, bytes, cut, &judged), -EPROTO);
                assert_int_equal(vsock_frame_check(to, bytes, size, &judged), 0);
                assert_int_equal(vsock_frame_check(to, bytes, size + 1, &judged), -EPROTO);
        }
}

static void what_a_row_does_not_use_is_zero(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                enum vsock_frame_side to = good[i].to & WORKER ? WORKER : PROXY;
                struct vsock_frame odd = good[i].frame;

                odd.flags |= 0x8000;
                assert_int_equal(check(to, odd), -EPROTO);
                odd = good[i].frame;
                odd.stream = VSOCK_FRAME_IDS;
                assert_int_equal(check(to, odd), -EPROTO);
                odd = good[i].frame;
                odd.a = 5;
                assert_int_equal(check(to, odd), good[i].frame.a != 0 ? 0 : -EPROTO);
                odd = good[i].frame;
                odd.b = 5;
                assert_int_equal(check(to, odd), good[i].frame.b != 0 ? 0 : -EPROTO);
        }
}

static void kinds_outside_of_the_table_are_refused(void **state)
{
        (void)state;
        for (unsigned kind = 0; kind <= UINT16_MAX; kind++) {
                if (kind >= 1 && kind < VSOCK_FRAME_KIND_COUNT_)
                        continue;
                assert_int_equal(check(WORKER, (struct vsock_frame){.kind = (enum vsock_frame_kind)kind}),
                                 -EPROTO);
                assert_int_equal(check(PROXY, (struct vsock_frame){.kind = (enum vsock_frame_kind)kind}),
                                 -EPROTO);
        }
}

static void a_stream_is_given_by_one_side(void **state)
{
        (void)state;
        assert_int_equal(check(PROXY, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = OURS + 1}),
                         -EPROTO);
        assert_int_equal(check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_OPENED, .stream = OURS + 1}),
                         -EPROTO);
        assert_int_equal(check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_OFFER, .stream = OURS}),
                         -EPROTO);
        assert_int_equal(check(PROXY, (struct vsock_frame){.kind = VSOCK_FRAME_ACCEPT, .stream = OURS}),
                         -EPROTO);
        assert_int_equal(check(PROXY, (struct vsock_frame){.kind = VSOCK_FRAME_ACCEPT, .stream = OURS + 1}),
                         0);
}

static void lengths_of_payloads_have_edges(void **state)
{
        (void)state;
        assert_int_equal(check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_DATA, .len = 0}), -EPROTO);
        assert_int_equal(
            check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_DATA, .len = VSOCK_FRAME_PAYLOAD + 1}),
            -EPROTO);
        assert_int_equal(check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_LOST, .len = 0}), -EPROTO);
        assert_int_equal(
            check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_LOST, .len = VSOCK_LOST_BYTES + 1}),
            -EPROTO);
        assert_int_equal(check(WORKER, (struct vsock_frame){.kind = VSOCK_FRAME_LOST,
                                                            .len = VSOCK_LOST_BYTES * (VSOCK_LOST_MAX + 1)}),
                         -EPROTO);
        assert_int_equal(check(PROXY, (struct vsock_frame){.kind = VSOCK_FRAME_SHUT}), -EPROTO);
}

static void a_lost_stream_comes_back_as_it_was(void **state)
{
        const struct vsock_lost lost = {.guest_port = 0x01020304, .host_port = UINT32_MAX, .seqpacket = true};
        struct vsock_lost judged = {0};
        uint8_t element[VSOCK_LOST_BYTES];

        (void)state;
        vsock_lost_make(&lost, element);
        assert_int_equal(vsock_lost_check(element, &judged), 0);
        assert_int_equal(judged.guest_port, lost.guest_port);
        assert_int_equal(judged.host_port, lost.host_port);
        assert_true(judged.seqpacket);
        element[8] = 2;
        assert_int_equal(vsock_lost_check(element, &judged), -EPROTO);
        element[8] = 1;
        element[11] = 1;
        assert_int_equal(vsock_lost_check(element, &judged), -EPROTO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(frames_are_little_endian),
            cmocka_unit_test(each_kind_comes_back_as_it_was_and_to_its_side_alone),
            cmocka_unit_test(a_frame_is_as_long_as_it_says),
            cmocka_unit_test(what_a_row_does_not_use_is_zero),
            cmocka_unit_test(kinds_outside_of_the_table_are_refused),
            cmocka_unit_test(a_stream_is_given_by_one_side),
            cmocka_unit_test(lengths_of_payloads_have_edges),
            cmocka_unit_test(a_lost_stream_comes_back_as_it_was),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
