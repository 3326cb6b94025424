/* workers/vsock/vsock_req: packets of the guest, each field at its edges, cut at every byte, and every bit of a good one.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_req.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define CID UINT64_C(52)

static const struct vsock_self self = {.guest_cid = CID, .seqpacket = true};
static const struct vsock_self plain = {.guest_cid = CID, .seqpacket = false};

/* A packet of the guest is one to it with its addresses the other way round. */
static void make(const struct vsock_packet *packet, uint64_t src_cid, uint64_t dst_cid, uint8_t *header)
{
        const struct vsock_self peer = {.guest_cid = dst_cid};
        struct vsock_packet turned = *packet;

        turned.host_cid = src_cid;
        turned.guest_port = packet->host_port;
        turned.host_port = packet->guest_port;
        vsock_packet_make(&peer, &turned, header);
}

static struct vsock_packet good(uint16_t op)
{
        return (struct vsock_packet){.guest_port = 1025,
                                     .host_port = 52,
                                     .len = op == VSOCK_OP_RW ? 100 : 0,
                                     .type = VSOCK_TYPE_STREAM,
                                     .op = op,
                                     .flags = op == VSOCK_OP_SHUTDOWN ? 3 : 0,
                                     .buf_alloc = 262144,
                                     .fwd_cnt = 7};
}

static enum vsock_verdict judge(const struct vsock_self *by, const struct vsock_packet *packet,
                                struct vsock_req *ret_req)
{
        uint8_t header[VSOCK_HEADER_BYTES];

        make(packet, CID, VSOCK_CID_HOST, header);
        return vsock_req_check(by, VSOCK_HEADER_BYTES + packet->len, 0, header, sizeof(header), ret_req);
}

static void each_op_is_served(void **state)
{
        (void)state;
        for (uint16_t op = VSOCK_OP_REQUEST; op < VSOCK_OP_COUNT_; op++) {
                struct vsock_packet packet = good(op);
                struct vsock_req req;

                assert_int_equal(judge(&self, &packet, &req), VSOCK_SERVE);
                assert_int_equal(req.op, op);
                assert_int_equal(req.guest_port, 1025);
                assert_int_equal(req.host_port, 52);
                assert_int_equal(req.host_cid, VSOCK_CID_HOST);
                assert_int_equal(req.type, VSOCK_TYPE_STREAM);
                assert_int_equal(req.len, packet.len);
                assert_int_equal(req.flags, packet.flags);
                assert_int_equal(req.buf_alloc, 262144);
                assert_int_equal(req.fwd_cnt, 7);
        }
}

static void a_header_cut_anywhere_is_refused(void **state)
{
        struct vsock_packet packet = good(VSOCK_OP_REQUEST);
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req = {.op = 99};

        (void)state;
        make(&packet, CID, VSOCK_CID_HOST, header);
        for (uint32_t len = 0; len < VSOCK_HEADER_BYTES; len++) {
                uint8_t *cut = malloc(len + 1);

                assert_non_null(cut);
                memcpy(cut, header, len);
                assert_int_equal(vsock_req_check(&self, len, 0, cut, len, &req), VSOCK_REFUSE);
                assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 0, cut, len, &req), VSOCK_REFUSE);
                free(cut);
        }
        assert_int_equal(req.op, 99);
        assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 0, header, sizeof(header), &req),
                         VSOCK_SERVE);
}

static void room_for_an_answer_is_refused(void **state)
{
        struct vsock_packet packet = good(VSOCK_OP_REQUEST);
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req;

        (void)state;
        make(&packet, CID, VSOCK_CID_HOST, header);
        assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 1, header, sizeof(header), &req),
                         VSOCK_REFUSE);
}

static void a_payload_is_all_there_or_refused(void **state)
{
        static const uint32_t lens[] = {
            1, 2, 43, 44, 4095, 4096, 65535, 65536, 65537, 1u << 31, UINT32_MAX - 44, UINT32_MAX};
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req;

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++) {
                struct vsock_packet packet = good(VSOCK_OP_RW);
                uint32_t there = lens[i] < (32u << 20) ? lens[i] : 4096;

                packet.len = lens[i];
                make(&packet, CID, VSOCK_CID_HOST, header);
                assert_int_equal(
                    vsock_req_check(&self, VSOCK_HEADER_BYTES + there - 1, 0, header, sizeof(header), &req),
                    VSOCK_REFUSE);
                assert_int_equal(
                    vsock_req_check(&self, VSOCK_HEADER_BYTES + there, 0, header, sizeof(header), &req),
                    there == lens[i] ? VSOCK_SERVE : VSOCK_REFUSE);
        }
}

/* More than it says is there: vhost takes such packets, too. */
static void bytes_behind_the_payload_are_nobodys(void **state)
{
        struct vsock_packet packet = good(VSOCK_OP_RW);
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req;

        (void)state;
        make(&packet, CID, VSOCK_CID_HOST, header);
        assert_int_equal(vsock_req_check(&self, 9999, 0, header, sizeof(header), &req), VSOCK_SERVE);
        assert_int_equal(req.len, 100);
}

static void who_is_not_the_guest_gets_no_answer(void **state)
{
        static const uint64_t cids[] = {0, 1, 2, CID - 1, CID + 1, CID | UINT64_C(1) << 32, UINT64_MAX};
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req = {.op = 99};

        (void)state;
        for (size_t i = 0; i < array_size(cids); i++) {
                struct vsock_packet packet = good(VSOCK_OP_REQUEST);

                make(&packet, cids[i], VSOCK_CID_HOST, header);
                assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 0, header, sizeof(header), &req),
                                 VSOCK_IGNORE);
        }
        assert_int_equal(req.op, 99);
}

static void who_is_not_the_host_is_answered_for(void **state)
{
        static const uint64_t cids[] = {0, 1, 3, CID, UINT64_C(2) | UINT64_C(1) << 32, UINT64_MAX};
        uint8_t header[VSOCK_HEADER_BYTES];
        struct vsock_req req;

        (void)state;
        for (size_t i = 0; i < array_size(cids); i++) {
                struct vsock_packet packet = good(VSOCK_OP_REQUEST);

                make(&packet, CID, cids[i], header);
                assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 0, header, sizeof(header), &req),
                                 VSOCK_RESET);
                assert_true(req.host_cid == cids[i]);
                packet.op = VSOCK_OP_RST;
                make(&packet, CID, cids[i], header);
                assert_int_equal(vsock_req_check(&self, VSOCK_HEADER_BYTES, 0, header, sizeof(header), &req),
                                 VSOCK_IGNORE);
        }
}

static void only_agreed_types_are_served(void **state)
{
        static const uint16_t types[] = {0, 3, 4, 255, 256, 257, 65535};
        struct vsock_packet packet = good(VSOCK_OP_REQUEST);
        struct vsock_req req;

        (void)state;
        for (size_t i = 0; i < array_size(types); i++) {
                packet.type = types[i];
                assert_int_equal(judge(&self, &packet, &req), VSOCK_RESET);
                assert_int_equal(req.type, types[i]);
        }
        packet.type = VSOCK_TYPE_SEQPACKET;
        assert_int_equal(judge(&self, &packet, &req), VSOCK_SERVE);
        assert_int_equal(judge(&plain, &packet, &req), VSOCK_RESET);
}

static void ops_outside_of_the_table_are_reset(void **state)
{
        static const uint16_t ops[] = {0, 8, 9, 255, 256, 257, 32768, 65535};
        struct vsock_packet packet = good(VSOCK_OP_REQUEST);
        struct vsock_req req;

        (void)state;
        for (size_t i = 0; i < array_size(ops); i++) {
                packet.op = ops[i];
                assert_int_equal(judge(&self, &packet, &req), VSOCK_RESET);
        }
}

static void flags_that_mean_nothing_are_reset(void **state)
{
        (void)state;
        for (uint16_t op = VSOCK_OP_REQUEST; op < VSOCK_OP_COUNT_; op++)
                for (unsigned bit = 0; bit < 32; bit++) {
                        struct vsock_packet packet = good(op);
                        bool known = op == VSOCK_OP_SHUTDOWN && bit < 2;
                        struct vsock_req req;

                        packet.flags = 1u << bit;
                        assert_int_equal(judge(&self, &packet, &req), known ? VSOCK_SERVE : VSOCK_RESET);
                        packet.type = VSOCK_TYPE_SEQPACKET;
                        known |= op == VSOCK_OP_RW && bit < 2;
                        assert_int_equal(judge(&self, &packet, &req), known ? VSOCK_SERVE : VSOCK_RESET);
                }
}

static void only_rw_has_a_payload(void **state)
{
        (void)state;
        for (uint16_t op = VSOCK_OP_REQUEST; op < VSOCK_OP_COUNT_; op++) {
                struct vsock_packet packet = good(op);
                struct vsock_req req;

                packet.len = 1;
                assert_int_equal(judge(&self, &packet, &req), op == VSOCK_OP_RW ? VSOCK_SERVE : VSOCK_RESET);
        }
}

/* Whatever bit of it is another: what is served is sound, and what is not leaves no request behind. */
static void a_packet_with_any_bit_turned_is_judged(void **state)
{
        (void)state;
        for (uint16_t op = VSOCK_OP_REQUEST; op < VSOCK_OP_COUNT_; op++)
                for (unsigned bit = 0; bit < VSOCK_HEADER_BYTES * 8; bit++) {
                        struct vsock_packet packet = good(op);
                        uint8_t header[VSOCK_HEADER_BYTES];
                        struct vsock_req req = {.op = 99};
                        enum vsock_verdict verdict;

                        make(&packet, CID, VSOCK_CID_HOST, header);
                        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        verdict =
                            vsock_req_check(&self, VSOCK_HEADER_BYTES + 100, 0, header, sizeof(header), &req);
                        if (verdict == VSOCK_REFUSE || (verdict == VSOCK_IGNORE && bit < 64))
                                assert_int_equal(req.op, 99);
                        if (verdict != VSOCK_SERVE)
                                continue;
                        assert_true(req.op >= VSOCK_OP_REQUEST && req.op < VSOCK_OP_COUNT_);
                        assert_true(req.type == VSOCK_TYPE_STREAM || req.type == VSOCK_TYPE_SEQPACKET);
                        assert_true(req.len <= 100 && (req.len == 0 || req.op == VSOCK_OP_RW));
                        assert_true(req.host_cid == VSOCK_CID_HOST);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_op_is_served),
            cmocka_unit_test(a_header_cut_anywhere_is_refused),
            cmocka_unit_test(room_for_an_answer_is_refused),
            cmocka_unit_test(a_payload_is_all_there_or_refused),
            cmocka_unit_test(bytes_behind_the_payload_are_nobodys),
            cmocka_unit_test(who_is_not_the_guest_gets_no_answer),
            cmocka_unit_test(who_is_not_the_host_is_answered_for),
            cmocka_unit_test(only_agreed_types_are_served),
            cmocka_unit_test(ops_outside_of_the_table_are_reset),
            cmocka_unit_test(flags_that_mean_nothing_are_reset),
            cmocka_unit_test(only_rw_has_a_payload),
            cmocka_unit_test(a_packet_with_any_bit_turned_is_judged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
