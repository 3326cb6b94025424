/* workers/net/net_offload: sums and segments, against arithmetic of its own.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "workers/net/net_offload.h"

#define PAYLOAD 10000u
#define SIZE    1448u

static uint8_t frame[NET_FRAME_MAX], piece[NET_FRAME_MAX];

static uint32_t get(const uint8_t *bytes, unsigned n)
{
        uint32_t value = 0;

        while (n-- > 0)
                value = value << 8 | *bytes++;
        return value;
}

static void put(uint8_t *bytes, uint32_t value, unsigned n)
{
        while (n-- > 0) {
                bytes[n] = (uint8_t)value;
                value >>= 8;
        }
}

/* Ones' complement of 16-bit words, one by one: 0xffff when the sum in it is right. */
static uint32_t ones(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
        for (uint32_t i = 0; i < len; i++) {
                sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
                sum = (sum & 0xffff) + (sum >> 16);
        }
        return sum;
}

static bool v6;
static uint32_t ip_at, tcp_at, payload_at;

static uint32_t pseudo(const uint8_t *of, uint32_t len)
{
        uint32_t sum = ones(0, of + ip_at + (v6 ? 8 : 12), v6 ? 32 : 8);

        sum += 6 + len - tcp_at;
        return (sum & 0xffff) + (sum >> 16);
}

/* A long segment of TCP as a tap hands it over. `extra`: bytes of options, of IP (or extension headers) and of TCP. */
static uint32_t make(bool six, uint32_t tag, uint32_t extra_ip, uint32_t extra_tcp,
                     struct net_header *ret_header)
{
        uint32_t len;

        v6 = six;
        ip_at = NET_ETHERNET + tag;
        tcp_at = ip_at + (v6 ? 40 : 20) + extra_ip;
        payload_at = tcp_at + 20 + extra_tcp;
        len = payload_at + PAYLOAD;
        for (uint32_t i = 0; i < len; i++)
                frame[i] = (uint8_t)(i * 7 + i / 251);
        put(frame + 12, tag ? 0x8100 : v6 ? 0x86dd : 0x0800, 2);
        if (v6) {
                frame[ip_at] = 0x60;
                put(frame + ip_at + 4, len - ip_at - 40, 2);
        } else {
                frame[ip_at] = (uint8_t)(0x40 | (20 + extra_ip) / 4);
                put(frame + ip_at + 2, len - ip_at, 2);
                put(frame + ip_at + 4, 0xfffe, 2);
                frame[ip_at + 9] = 6;
        }
        put(frame + tcp_at + 4, 0xfffff000, 4);
        frame[tcp_at + 12] = (uint8_t)((20 + extra_tcp) / 4 << 4);
        frame[tcp_at + 13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR ACK PSH FIN */
        put(frame + tcp_at + 16, pseudo(frame, len), 2);
        *ret_header = (struct net_header){.flags = NET_NEEDS_CSUM,
                                          .gso_type = v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
                                          .hdr_len = (uint16_t)payload_at,
                                          .gso_size = SIZE,
                                          .csum_start = (uint16_t)tcp_at,
                                          .csum_offset = 16};
        return len;
}

static void require_piece(uint32_t n, uint32_t done, uint32_t len, bool last)
{
        const uint8_t *tcp = piece + tcp_at;

        assert_memory_equal(piece, frame, ip_at);
        assert_memory_equal(piece + payload_at, frame + payload_at + done, len - payload_at);
        if (v6) {
                assert_int_equal(get(piece + ip_at + 4, 2), len - ip_at - 40);
        } else {
                assert_int_equal(get(piece + ip_at + 2, 2), len - ip_at);
                assert_int_equal(get(piece + ip_at + 4, 2), (0xfffe + n) & 0xffff);
                assert_int_equal(ones(0, piece + ip_at, tcp_at - ip_at), 0xffff);
        }
        assert_int_equal(get(tcp + 4, 4), 0xfffff000 + done);
        assert_int_equal(tcp[13], 0x10 | (n == 0 ? 0x80 : 0) | (last ? 0x09 : 0));
        assert_int_equal(ones(pseudo(piece, len), tcp, len - tcp_at), 0xffff);
}

static void require_cut(bool six, uint32_t tag, uint32_t extra_ip, uint32_t extra_tcp)
{
        struct net_header header;
        uint32_t total = make(six, tag, extra_ip, extra_tcp, &header), len, done = 0, n = 0;
        struct net_cut cut;

        assert_true(net_cut_start(&cut, &header, frame, total));
        for (; (len = net_cut_len(&cut)) > 0; n++) {
                memset(piece, 0xee, sizeof(piece));
                net_cut_next(&cut, piece);
                require_piece(n, done, len, done + len - payload_at == PAYLOAD);
                assert_int_equal(piece[len], 0xee);
                done += len - payload_at;
        }
        assert_int_equal(done, PAYLOAD);
        assert_int_equal(n, (PAYLOAD + SIZE - 1) / SIZE);
}

static void segments_of_ipv4_are_cut(void **state)
{
        (void)state;
        require_cut(false, 0, 0, 0);
        require_cut(false, 0, 0, 12);
        require_cut(false, 0, 8, 40);
        require_cut(false, 4, 40, 0);
}

static void segments_of_ipv6_are_cut(void **state)
{
        (void)state;
        require_cut(true, 0, 0, 0);
        require_cut(true, 0, 0, 12);
        require_cut(true, 4, 8, 40);
}

static void what_is_no_segment_is_not_cut(void **state)
{
        struct net_header header, good;
        uint32_t len = make(false, 0, 0, 0, &good);
        struct net_cut cut;

        (void)state;
        header = good;
        header.csum_start = 33;
        assert_false(net_cut_start(&cut, &header, frame, len));
        header.csum_start = 35;
        assert_false(net_cut_start(&cut, &header, frame, len));
        header = good;
        header.gso_size = 0;
        assert_false(net_cut_start(&cut, &header, frame, len));
        header = good;
        header.gso_type = NET_GSO_TCPV6;
        assert_false(net_cut_start(&cut, &header, frame, len));
        assert_false(net_cut_start(&cut, &good, frame, payload_at));
        assert_true(net_cut_start(&cut, &good, frame, payload_at + 1));
        for (uint32_t cut_at = 0; cut_at < payload_at; cut_at++)
                assert_false(net_cut_start(&cut, &good, frame, cut_at));
        frame[tcp_at + 12] = 0x40; /* 16 bytes of TCP */
        assert_false(net_cut_start(&cut, &good, frame, len));
        make(false, 0, 0, 0, &good);
        frame[ip_at + 9] = 17;
        assert_false(net_cut_start(&cut, &good, frame, len));
        make(false, 0, 0, 0, &good);
        frame[ip_at] = 0x46;
        assert_false(net_cut_start(&cut, &good, frame, len));
}

static void a_sum_is_completed(void **state)
{
        for (uint32_t len = 36; len < 200; len++) {
                const struct net_header header = {
                    .flags = NET_NEEDS_CSUM, .csum_start = 14, .csum_offset = 6};

                (void)state;
                for (uint32_t i = 0; i < len; i++)
                        frame[i] = (uint8_t)(i * 31 + len);
                put(frame + 20, 0, 2);
                net_offload_sum(&header, frame, len);
                assert_int_equal(ones(0, frame + 14, len - 14), 0xffff);
        }
}

/* UDP says with 0 that there is none. */
static void a_sum_of_0_is_not_said(void **state)
{
        const struct net_header header = {.flags = NET_NEEDS_CSUM, .csum_start = 14, .csum_offset = 0};

        (void)state;
        memset(frame, 0, 60);
        put(frame + 16, 0xffff, 2);
        net_offload_sum(&header, frame, 60);
        assert_int_equal(get(frame + 14, 2), 0xffff);
}

static void only_what_was_not_agreed_is_finished(void **state)
{
        static const struct {
                struct net_header header;
                uint64_t features;
        } rows[] = {
            {{.flags = NET_NEEDS_CSUM}, NET_F_GUEST_CSUM},
            {{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4}, NET_F_GUEST_CSUM | NET_F_GUEST_TSO4},
            {{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV6}, NET_F_GUEST_CSUM | NET_F_GUEST_TSO6},
            {{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4 | NET_GSO_ECN},
             NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_ECN},
        };
        const struct net_header plain = {.flags = NET_DATA_VALID};

        (void)state;
        assert_false(net_offload_needed(0, &plain));
        for (size_t i = 0; i < array_size(rows); i++) {
                assert_false(net_offload_needed(rows[i].features, &rows[i].header));
                for (unsigned bit = 0; bit < 64; bit++)
                        if (rows[i].features >> bit & 1)
                                assert_true(net_offload_needed(~(UINT64_C(1) << bit), &rows[i].header));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(segments_of_ipv4_are_cut),
            cmocka_unit_test(segments_of_ipv6_are_cut),
            cmocka_unit_test(what_is_no_segment_is_not_cut),
            cmocka_unit_test(a_sum_is_completed),
            cmocka_unit_test(a_sum_of_0_is_not_said),
            cmocka_unit_test(only_what_was_not_agreed_is_finished),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
