/* workers/runtime/link: real bytes to a reader in a process of its own, which sends every frame back.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fake_broker.h"
#include "workers/runtime/link.h"
#include "workers/runtime/trap.h"

static struct fake_broker broker;

/* Sends back what comes, frame by frame. */
static void echo(struct fd_duplex ends)
{
        static uint8_t stage[LINK_STAGE], frame[FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER],
            payload[LIMIT_FRAME_PAYLOAD];
        struct link link;

        link_init(&link, ends, stage, LIMIT_FRAME_PAYLOAD);
        for (;;) {
                struct frame_head head;
                const uint8_t *header;

                link_next(&link, &head, &header);
                memcpy(frame + FRAME_HEAD_BYTES, header, head.header_len);
                link_payload(&link, payload, head.payload_len / 3);
                link_payload(&link, payload + head.payload_len / 3, head.payload_len - head.payload_len / 3);
                link_send(&link, frame, head.header_len, payload, head.payload_len);
        }
}

static void forget_payload(struct fd_duplex ends)
{
        static uint8_t stage[LINK_STAGE];
        struct frame_head head;
        const uint8_t *header;
        struct link link;

        link_init(&link, ends, stage, LIMIT_FRAME_PAYLOAD);
        link_next(&link, &head, &header);
        link_next(&link, &head, &header);
}

static void take_too_much(struct fd_duplex ends)
{
        static uint8_t stage[LINK_STAGE];
        struct frame_head head;
        const uint8_t *header;
        struct link link;
        uint8_t buf[8];

        link_init(&link, ends, stage, LIMIT_FRAME_PAYLOAD);
        link_next(&link, &head, &header);
        link_payload(&link, buf, head.payload_len + 1);
}

static uint8_t *noise(size_t len)
{
        uint8_t *p = malloc(len + 1);

        assert_non_null(p);
        for (size_t i = 0; i < len; i++)
                p[i] = (uint8_t)rand();
        return p;
}

static void expect_echo(const uint8_t *header, uint32_t header_len, const uint8_t *payload,
                        uint32_t payload_len)
{
        static uint8_t got[LIMIT_FRAME_HEADER];
        struct frame_head head;
        uint8_t *bytes = NULL;

        assert_true(fake_next_frame(broker.lanes[0], &head, got, &bytes));
        assert_int_equal(head.header_len, header_len);
        assert_int_equal(head.payload_len, payload_len);
        assert_memory_equal(got, header, header_len);
        assert_memory_equal(bytes, payload, payload_len);
        free(bytes);
}

static void frames_of_every_size_at_the_edges_come_through(void **state)
{
        static const uint32_t headers[] = {1, 100, LINK_AHEAD - 8, LIMIT_FRAME_HEADER - 1,
                                           LIMIT_FRAME_HEADER};
        static const uint32_t payloads[] = {0,
                                            1,
                                            LINK_AHEAD - 1,
                                            LINK_AHEAD,
                                            LINK_AHEAD + 1,
                                            200000,
                                            LIMIT_FRAME_PAYLOAD - 1,
                                            LIMIT_FRAME_PAYLOAD};

        (void)state;
        fake_start_function(&broker, echo);
        for (size_t i = 0; i < array_size(headers); i++)
                for (size_t j = 0; j < array_size(payloads); j++) {
                        uint8_t *header = noise(headers[i]), *payload = noise(payloads[j]);

                        fake_send_frame(broker.lanes[0], header, headers[i], payload, payloads[j]);
                        expect_echo(header, headers[i], payload, payloads[j]);
                        free(header);
                        free(payload);
                }
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void many_frames_in_one_write_come_through(void **state)
{
        uint8_t bytes[200 * (FRAME_HEAD_BYTES + 5 + 7)];
        size_t len = 0;

        (void)state;
        for (uint8_t i = 0; i < 200; i++) {
                struct frame_head head = {.header_len = 1 + i % 5u, .payload_len = i % 7u};

                frame_head_make(&head, bytes + len);
                memset(bytes + len + FRAME_HEAD_BYTES, i, head.header_len + head.payload_len);
                len += FRAME_HEAD_BYTES + head.header_len + head.payload_len;
        }
        fake_start_function(&broker, echo);
        fake_send_bytes(broker.lanes[0], bytes, len);
        for (uint8_t i = 0; i < 200; i++) {
                uint8_t want[8];

                memset(want, i, sizeof(want));
                expect_echo(want, 1 + i % 5u, want, i % 7u);
        }
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_frame_in_single_bytes_comes_through(void **state)
{
        uint8_t bytes[FRAME_HEAD_BYTES + 40];
        struct frame_head head = {.header_len = 10, .payload_len = 30};

        (void)state;
        frame_head_make(&head, bytes);
        for (uint8_t i = 0; i < 40; i++)
                bytes[FRAME_HEAD_BYTES + i] = i;
        fake_start_function(&broker, echo);
        for (size_t i = 0; i < sizeof(bytes); i++)
                fake_send_bytes(broker.lanes[0], bytes + i, 1);
        expect_echo(bytes + FRAME_HEAD_BYTES, 10, bytes + FRAME_HEAD_BYTES + 10, 30);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_frame_cut_short_by_the_end_is_an_end(void **state)
{
        uint8_t bytes[FRAME_HEAD_BYTES + 40] = {10, 0, 0, 0, 30, 0, 0, 0};

        (void)state;
        for (size_t cut = 0; cut < sizeof(bytes); cut++) {
                fake_start_function(&broker, echo);
                fake_send_bytes(broker.lanes[0], bytes, cut);
                assert_true(fake_exited(fake_end(&broker), 0));
        }
}

static void a_head_out_of_bounds_traps(void **state)
{
        static const struct frame_head heads[] = {
            {.header_len = 0, .payload_len = 1},
            {.header_len = LIMIT_FRAME_HEADER + 1, .payload_len = 0},
            {.header_len = 1, .payload_len = LIMIT_FRAME_PAYLOAD + 1},
            {.header_len = UINT32_MAX, .payload_len = UINT32_MAX},
        };

        (void)state;
        for (size_t i = 0; i < array_size(heads); i++) {
                uint8_t bytes[FRAME_HEAD_BYTES];

                frame_head_make(&heads[i], bytes);
                fake_start_function(&broker, echo);
                fake_send_bytes(broker.lanes[0], bytes, sizeof(bytes));
                assert_true(fake_trapped(fake_await(&broker)));
        }
}

static void a_payload_that_is_not_taken_exactly_traps(void **state)
{
        (void)state;
        fake_start_function(&broker, forget_payload);
        fake_send_frame(broker.lanes[0], "x", 1, "y", 1);
        fake_send_frame(broker.lanes[0], "x", 1, "y", 1);
        assert_true(fake_trapped(fake_await(&broker)));
        fake_start_function(&broker, take_too_much);
        fake_send_frame(broker.lanes[0], "x", 1, "yy", 2);
        fake_send_frame(broker.lanes[0], "x", 1, "y", 1);
        assert_true(fake_trapped(fake_await(&broker)));
}

#define FILE_BYTES 20000u

/* A frame of one byte of message and FILE_BYTES of a file. What the call said. */
static int send_file(struct fd_duplex ends, int file, uint64_t offset)
{
        static uint8_t stage[LINK_STAGE];
        uint8_t frame[FRAME_HEAD_BYTES + 1] = {[FRAME_HEAD_BYTES] = 'f'};
        struct link link;

        link_init(&link, ends, stage, LIMIT_FRAME_PAYLOAD);
        return link_send_file(&link, frame, 1, &(struct link_file){file, offset, FILE_BYTES});
}

static void expect_bytes(int pipe, const void *want, size_t len)
{
        uint8_t *got = malloc(len);
        size_t done = 0;

        assert_non_null(got);
        while (done < len) {
                ssize_t n = read(pipe, got + done, len - done);

                assert_true(n > 0);
                done += (size_t)n;
        }
        assert_memory_equal(got, want, len);
        free(got);
}

static void expect_file_frame(int pipe, const uint8_t *payload)
{
        uint8_t head[FRAME_HEAD_BYTES];

        frame_head_make(&(struct frame_head){.header_len = 1, .payload_len = FILE_BYTES}, head);
        expect_bytes(pipe, head, sizeof(head));
        expect_bytes(pipe, "f", 1);
        expect_bytes(pipe, payload, FILE_BYTES);
}

static void a_file_is_a_payload_and_what_it_lacks_is_zeros(void **state)
{
        struct fd_duplex ends[2];
        int file = memfd_create("file", MFD_CLOEXEC);
        uint8_t *bytes = noise(FILE_BYTES + 100);

        (void)state;
        assert_int_equal(fd_pipe_pair(ends), 0);
        assert_int_equal(fd_set_nonblock(ends[1].in), 0);
        assert_int_equal(write(file, bytes, FILE_BYTES + 100), FILE_BYTES + 100);
        assert_int_equal(send_file(ends[0], file, 0), 0);
        expect_file_frame(ends[1].in, bytes);

        assert_int_equal(send_file(ends[0], file, 100), 0);
        expect_file_frame(ends[1].in, bytes + 100);

        assert_int_equal(send_file(ends[0], file, 150), -EIO); /* it ends 50 bytes too early */
        memmove(bytes, bytes + 150, FILE_BYTES - 50);
        memset(bytes + FILE_BYTES - 50, 0, 50);
        expect_file_frame(ends[1].in, bytes);

        assert_int_equal(send_file(ends[0], ends[0].in, 0), -ESPIPE); /* a pipe is no file */
        memset(bytes, 0, FILE_BYTES);
        expect_file_frame(ends[1].in, bytes);
        assert_int_equal(read(ends[1].in, bytes, 1), -1);
        free(bytes);
        close(file);
        fd_duplex_close(&ends[0]);
        fd_duplex_close(&ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(frames_of_every_size_at_the_edges_come_through),
            cmocka_unit_test(many_frames_in_one_write_come_through),
            cmocka_unit_test(a_frame_in_single_bytes_comes_through),
            cmocka_unit_test(a_frame_cut_short_by_the_end_is_an_end),
            cmocka_unit_test(a_head_out_of_bounds_traps),
            cmocka_unit_test(a_payload_that_is_not_taken_exactly_traps),
            cmocka_unit_test(a_file_is_a_payload_and_what_it_lacks_is_zeros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
