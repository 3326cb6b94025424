/* workers/fs/fs_req: what a guest may say to a shared directory, byte by byte; and the same said to a worker, which must live.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_req.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fs_guest.h"
#include "tests/workers/fs_malformed.h"

static uint8_t bytes[MALFORMED_MAX], out[MALFORMED_MAX];

/* Every call is given a copy of its own size, so that a byte too far is seen; and must leave its output alone when it fails. */
static int check(uint32_t readable, uint32_t writable, const uint8_t *request, struct fs_req *ret_req)
{
        uint8_t *copy = malloc(readable + (readable == 0));
        struct fs_req req, before;
        int r;

        assert_non_null(copy);
        memset(&req, 0x5a, sizeof(req));
        before = req;
        memcpy(copy, request, readable);
        r = fs_req_check(readable, writable, copy, readable, &req);
        if (r < 0)
                assert_memory_equal(&before, &req, sizeof(req));
        if (r == 0 && req.opcode == FUSE_SETXATTR)
                assert_in_range((uintptr_t)req.value + req.value_len, (uintptr_t)copy,
                                (uintptr_t)copy + readable);
        free(copy);
        if (r == 0 && ret_req)
                *ret_req = req;
        return r;
}

/* ---- good requests of each kind ---- */

struct good {
        uint32_t opcode, fixed;
        const char *first, *second;
        uint32_t answer;
};

static const struct good goods[] = {
    {FUSE_LOOKUP, 0, "a", NULL, 128},      {FUSE_FORGET, 8, NULL, NULL, 0},
    {FUSE_GETATTR, 16, NULL, NULL, 104},   {FUSE_SETATTR, 88, NULL, NULL, 104},
    {FUSE_READLINK, 0, NULL, NULL, 0},     {FUSE_SYMLINK, 0, "a", "b", 128},
    {FUSE_MKNOD, 16, "a", NULL, 128},      {FUSE_MKDIR, 8, "a", NULL, 128},
    {FUSE_UNLINK, 0, "a", NULL, 0},        {FUSE_RMDIR, 0, "a", NULL, 0},
    {FUSE_RENAME, 8, "a", "b", 0},         {FUSE_LINK, 8, "a", NULL, 128},
    {FUSE_OPEN, 8, NULL, NULL, 16},        {FUSE_READ, 40, NULL, NULL, 0},
    {FUSE_WRITE, 40, NULL, NULL, 8},       {FUSE_STATFS, 0, NULL, NULL, 80},
    {FUSE_RELEASE, 24, NULL, NULL, 0},     {FUSE_FSYNC, 16, NULL, NULL, 0},
    {FUSE_SETXATTR, 8, "user.a", NULL, 0}, {FUSE_GETXATTR, 8, "user.a", NULL, 8},
    {FUSE_LISTXATTR, 8, NULL, NULL, 8},    {FUSE_REMOVEXATTR, 0, "user.a", NULL, 0},
    {FUSE_FLUSH, 24, NULL, NULL, 0},       {FUSE_OPENDIR, 8, NULL, NULL, 16},
    {FUSE_READDIR, 40, NULL, NULL, 0},     {FUSE_RELEASEDIR, 24, NULL, NULL, 0},
    {FUSE_FSYNCDIR, 16, NULL, NULL, 0},    {FUSE_SYNCFS, 8, NULL, NULL, 0},
    {FUSE_GETLK, 48, NULL, NULL, 24},      {FUSE_SETLK, 48, NULL, NULL, 0},
    {FUSE_SETLKW, 48, NULL, NULL, 0},      {FUSE_CREATE, 16, "a", NULL, 144},
    {FUSE_INTERRUPT, 8, NULL, NULL, 0},    {FUSE_DESTROY, 0, NULL, NULL, 0},
    {FUSE_BATCH_FORGET, 8, NULL, NULL, 0}, {FUSE_FALLOCATE, 32, NULL, NULL, 0},
    {FUSE_READDIRPLUS, 40, NULL, NULL, 0}, {FUSE_RENAME2, 16, "a", "b", 0},
    {FUSE_LSEEK, 24, NULL, NULL, 8},       {FUSE_COPY_FILE_RANGE, 56, NULL, NULL, 8},
};

static uint32_t make(const struct good *good, uint8_t *at)
{
        const struct malformed row = {.opcode = good->opcode,
                                      .body = BODY_TEXTS,
                                      .n = good->fixed,
                                      .first = good->first,
                                      .second = good->second};

        return malformed_make(&row, at);
}

static void good_requests_of_each_kind_are_taken(void **state)
{
        struct fs_req req;

        (void)state;
        for (size_t i = 0; i < array_size(goods); i++) {
                uint32_t len = make(&goods[i], bytes), room = FS_ANSWER_BYTES + goods[i].answer;

                assert_int_equal(check(len, room, bytes, &req), 0);
                assert_int_equal(req.opcode, goods[i].opcode);
                assert_int_equal(req.unique, 4711);
                assert_int_equal(req.nodeid, FUSE_ROOT_ID);
                if (!req.silent)
                        assert_int_not_equal(check(len, room - 1, bytes, NULL), 0);
        }
}

/* Whatever is cut off, and whatever is appended: with the length that was, and with one that fits. */
static void no_request_is_taken_that_is_shorter_or_longer(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(goods); i++) {
                uint32_t len = make(&goods[i], bytes);

                for (uint32_t cut = 0; cut < len + 64; cut++) {
                        if (cut == len)
                                continue;
                        assert_int_not_equal(check(cut, 4096, bytes, NULL), 0);
                        memcpy(bytes, &cut, sizeof(cut));
                        assert_int_not_equal(check(cut, 4096, bytes, NULL), 0);
                        memcpy(bytes, &len, sizeof(len));
                }
        }
}

static void no_flipped_bit_leads_out_of_bounds(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(goods); i++) {
                uint32_t len = make(&goods[i], bytes);

                for (uint32_t bit = 0; bit < 8 * len; bit++) {
                        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        (void)check(len, 4096, bytes, NULL);
                        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                }
        }
}

static void limits_are_taken_and_one_more_is_not(void **state)
{
        static const struct {
                struct malformed row;
                int at, over; /* what is said to `a` (or b), and to one more */
                bool is_b;
        } rows[] = {
            {{"name", FUSE_LOOKUP, BODY_LONG, .a = LIMIT_FS_NAME}, 0, -ENAMETOOLONG, false},
            {{"link", FUSE_SYMLINK, BODY_LONG, .first = "a", .a = LIMIT_FS_LINK}, 0, -ENAMETOOLONG, false},
            {{"xattr", FUSE_REMOVEXATTR, BODY_LONG, .a = LIMIT_FS_NAME}, 0, -ERANGE, false},
            {{"write", FUSE_WRITE, BODY_WRITE, .a = INT64_MAX - 5, .b = 5, .n = 5}, 0, -EINVAL, false},
            {{"read", FUSE_READ, BODY_READ, .b = LIMIT_FS_TRANSFER, .writable = MALFORMED_MAX},
             0,
             -EINVAL,
             true},
            {{"read", FUSE_READ, BODY_READ, .b = 4096 - FS_ANSWER_BYTES}, 0, -EINVAL, true},
            {{"lock", FUSE_SETLK, BODY_LOCK, .b = INT64_MAX}, 0, -EINVAL, true},
            {{"space", FUSE_FALLOCATE, BODY_SPACE, .b = INT64_MAX}, 0, -EINVAL, true},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct malformed row = rows[i].row;

                assert_int_equal(check(malformed_make(&row, bytes), malformed_writable(&row), bytes, NULL),
                                 rows[i].at);
                if (rows[i].is_b)
                        row.b++;
                else
                        row.a++;
                assert_int_equal(check(malformed_make(&row, bytes), malformed_writable(&row), bytes, NULL),
                                 rows[i].over);
        }
}

static void lists_and_values_are_taken_up_to_their_limits(void **state)
{
        struct malformed forgets = {"forgets", FUSE_BATCH_FORGET, BODY_FORGETS, .b = LIMIT_FS_FORGETS,
                                    .n = LIMIT_FS_FORGETS};
        struct malformed value = {"value",           FUSE_SETXATTR,       BODY_VALUE,
                                  .first = "user.a", .b = LIMIT_FS_XATTR, .n = LIMIT_FS_XATTR};
        struct malformed data = {"data", FUSE_WRITE, BODY_WRITE, .b = LIMIT_FS_TRANSFER,
                                 .n = LIMIT_FS_TRANSFER};

        (void)state;
        assert_int_equal(check(malformed_make(&forgets, bytes), 0, bytes, NULL), 0);
        assert_int_equal(check(malformed_make(&value, bytes), 4096, bytes, NULL), 0);
        assert_int_equal(check(malformed_make(&data, bytes), 4096, bytes, NULL), 0);
        forgets.b = ++forgets.n;
        value.b = ++value.n;
        data.b = ++data.n;
        assert_int_equal(check(malformed_make(&forgets, bytes), 0, bytes, NULL), -EINVAL);
        assert_int_equal(check(malformed_make(&value, bytes), 4096, bytes, NULL), -E2BIG);
        assert_int_equal(check(malformed_make(&data, bytes), 4096, bytes, NULL), -EINVAL);
}

/* ---- the same to a worker ---- */

static struct guest guest;

static int begin(void **state)
{
        (void)state;
        guest_init(&guest, true);
        guest_begin(&guest);
        return 0;
}

static int end(void **state)
{
        (void)state;
        guest_done(&guest);
        return 0;
}

static void expect_answer(const struct malformed *row, uint32_t inlined)
{
        uint32_t len = malformed_make(row, bytes);
        struct fake_request request = {.id = ++guest.unique,
                                       .queue = 1,
                                       .readable = bytes,
                                       .n_readable = len,
                                       .writable = out,
                                       .n_writable = malformed_writable(row),
                                       .inlined = inlined};
        struct fuse_out_header header;

        request.inlined = inlined == FAKE_INLINE_ALL ? inlined : MIN(inlined, len);
        fake_send_requests(&guest.broker, 0, &request, 1);
        fake_drain(&guest.broker, 0);
        if (row->want == MALFORMED_REFUSED) {
                assert_int_equal(request.status, WIRE_STATUS_PROTOCOL);
                return;
        }
        assert_int_equal(request.status, WIRE_STATUS_OK);
        assert_int_equal(request.used, row->want == MALFORMED_SILENT ? 0 : sizeof(header));
        if (row->want == MALFORMED_SILENT)
                return;
        memcpy(&header, out, sizeof(header));
        assert_int_equal(header.len, sizeof(header));
        assert_int_equal(header.unique, 4711);
        assert_int_equal(header.error, row->want);
}

static void every_malformed_request_is_answered_and_the_worker_lives(void **state)
{
        static const uint32_t inlined[] = {FAKE_INLINE_ALL, 0, 1, 39, 40, 41, 79, 80};
        struct fuse_attr attr;

        (void)state;
        assert_in_range(n_malformed, 40, 1000);
        for (size_t i = 0; i < n_malformed; i++) {
                for (size_t k = 0; k < array_size(inlined); k++)
                        expect_answer(&malformed[i], inlined[k]);
                assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
        }
}

static void nothing_is_served_before_the_first_request_of_a_mount(void **state)
{
        (void)state;
        assert_int_equal(guest_ask(&guest, FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL), 0);
        for (size_t i = 0; i < array_size(goods); i++) {
                struct malformed row = {.name = "early",
                                        .opcode = goods[i].opcode,
                                        .body = BODY_TEXTS,
                                        .n = goods[i].fixed,
                                        .first = goods[i].first,
                                        .second = goods[i].second,
                                        .want = -EIO};
                struct fs_req req;

                assert_int_equal(check(malformed_make(&row, bytes), 4096, bytes, &req), 0);
                if (req.silent) {
                        row.want = MALFORMED_SILENT;
                        row.roomless = true;
                }
                expect_answer(&row, FAKE_INLINE_ALL);
        }
}

static void a_flood_of_forgets_is_taken(void **state)
{
        static struct fake_request requests[100];
        struct malformed row = {"flood", FUSE_FORGET, BODY_BYTES, .n = 8, .roomless = true};
        struct fuse_attr attr;

        (void)state;
        for (unsigned round = 0; round < 200; round++) {
                row.node = round * 0x10001u;
                for (size_t i = 0; i < array_size(requests); i++)
                        requests[i] = (struct fake_request){.id = ++guest.unique,
                                                            .readable = bytes,
                                                            .n_readable = malformed_make(&row, bytes),
                                                            .inlined = FAKE_INLINE_ALL};
                fake_send_requests(&guest.broker, 0, requests, array_size(requests));
                fake_drain(&guest.broker, 0);
        }
        assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(good_requests_of_each_kind_are_taken),
            cmocka_unit_test(no_request_is_taken_that_is_shorter_or_longer),
            cmocka_unit_test(no_flipped_bit_leads_out_of_bounds),
            cmocka_unit_test(limits_are_taken_and_one_more_is_not),
            cmocka_unit_test(lists_and_values_are_taken_up_to_their_limits),
            cmocka_unit_test_setup_teardown(every_malformed_request_is_answered_and_the_worker_lives, begin,
                                            end),
            cmocka_unit_test_setup_teardown(nothing_is_served_before_the_first_request_of_a_mount, begin,
                                            end),
            cmocka_unit_test_setup_teardown(a_flood_of_forgets_is_taken, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
