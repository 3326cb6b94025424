/* Where a worker's memory lies.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/runtime/worker_memory.h"

#define PAGE   4096u
#define SECTOR 512u
#define SLOW   32u   /* a copy is that lies less behind its source, modulo a page */
#define HEADER 2056u /* bytes of the longest frame before its payload */

static void assert_fast(uintptr_t to, uintptr_t from)
{
        uintptr_t behind = (to - from) % PAGE;

        assert_true(behind == 0 || behind >= SLOW);
}

static void a_payload_is_copied_at_the_full_pace(void **state)
{
        const size_t lens[] = {1, PAGE - SECTOR, PAGE, 131072 + 512};

        (void)state;
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                uint8_t *bytes = worker_memory_apart(lens[i]);
                size_t in_page = (uintptr_t)bytes % PAGE;

                assert_non_null(bytes);
                assert_int_equal(in_page % SECTOR, 0);
                assert_fast(in_page, 0); /* of a host file, which is in pages */
                for (uintptr_t at = 0; at <= HEADER; at++)
                        assert_fast(at, in_page); /* in a pipe's page */
                assert_int_equal(bytes[0] | bytes[lens[i] - 1], 0);
                memset(bytes, 0xff, lens[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_payload_is_copied_at_the_full_pace),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
