/* Which files are guest memory.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/memory_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"

static void shared_files_count_once_and_private_ones_not(void **state)
{
        static const char maps[] = "1000-2000 rw-p 00000000 fe:00 5    /lib\n"
                                   "3000-5000 rw-s 00000000 00:01 7    /memfd:ram (deleted)\n"
                                   "5000-6000 r--s 00002000 00:01 7    /memfd:ram (deleted)\n"
                                   "6000-7000 rw-s 00000000 00:01 8    /dev/zero (deleted)\n"
                                   "8000-9000 rw-s 00000000 00:00 0 \n";
        struct memory_files files;

        (void)state;
        assert_int_equal(memory_files_collect(maps, strlen(maps), &files), 0);
        assert_int_equal(files.n, 2);
        assert_true(files.bytes == 0x4000);
        assert_true(memory_files_have(&files, 0, 1, 7));
        assert_true(memory_files_have(&files, 0, 1, 8));
        assert_false(memory_files_have(&files, 0, 2, 7)); /* the same inode elsewhere */
        assert_false(memory_files_have(&files, 1, 1, 7));
        assert_false(memory_files_have(&files, 0xfe, 0, 5));
        memory_files_done(&files);
        assert_null(files.list);
}

/* All eventfds have the inode of a vCPU's record: a worker that holds one holds no guest memory. */
static void records_of_vcpus_are_counted_and_are_no_memory(void **state)
{
        static const char maps[] = "3000-5000 rw-s 00000000 00:01 7    /memfd:ram (deleted)\n"
                                   "5000-6000 rw-s 00000000 00:10 1030    anon_inode:kvm-vcpu:0\n"
                                   "6000-7000 rw-s 00000000 00:10 1030    anon_inode:kvm-vcpu:1\n"
                                   "7000-8000 rw-s 00000000 00:10 1031    anon_inode:[io_uring]\n"
                                   "8000-9000 rw-s 00000000 fe:10 1032    /tmp/anon_inode:kvm-vcpu:0\n";
        struct memory_files files;

        (void)state;
        assert_int_equal(memory_files_collect(maps, strlen(maps), &files), 0);
        assert_int_equal(files.n_vcpus, 2);
        assert_int_equal(files.n, 3);
        assert_true(files.bytes == 0x4000);
        assert_false(memory_files_have(&files, 0, 0x10, 1030));
        assert_true(memory_files_have(&files, 0, 0x10, 1031));
        assert_true(memory_files_have(&files, 0xfe, 0x10, 1032));
        memory_files_done(&files);
}

static int collect_n(size_t n, struct memory_files *files)
{
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        int r;

        assert_non_null(out);
        for (size_t i = 0; i < n; i++)
                fprintf(out, "1000-2000 rw-s 00000000 00:01 %zu /m\n", i + 1);
        fclose(out);
        r = memory_files_collect(text, len, files);
        free(text);
        return r;
}

static void more_files_than_the_limit_are_an_error(void **state)
{
        struct memory_files files = {.n = 4711};

        (void)state;
        assert_int_equal(collect_n(LIMIT_PROC_FILES + 1, &files), -E2BIG);
        assert_int_equal(files.n, 4711);
        assert_int_equal(collect_n(LIMIT_PROC_FILES, &files), 0);
        assert_int_equal(files.n, LIMIT_PROC_FILES);
        memory_files_done(&files);
}

static void a_cut_text_gives_nothing(void **state)
{
        struct memory_files files = {.n = 4711};

        (void)state;
        assert_int_equal(memory_files_collect("1000-2000 rw-s 0 00:01 7\n1000-", 30, &files), -EPROTO);
        assert_int_equal(files.n, 4711);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(shared_files_count_once_and_private_ones_not),
            cmocka_unit_test(records_of_vcpus_are_counted_and_are_no_memory),
            cmocka_unit_test(more_files_than_the_limit_are_an_error),
            cmocka_unit_test(a_cut_text_gives_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
