/* workers/blk/blk_staging: whole pages, taken and given back.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/blk/blk_staging.h"

#define SIZE ((size_t)BLK_STAGING_PAGES * BLK_STAGING_PAGE)

static struct blk_staging staging;
static uint8_t *const bytes = (uint8_t *)0x10000000; /* never touched */

static void all_of_it_can_be_taken_in_any_pieces(void **state)
{
        static const size_t lens[] = {1, 4096, 4097, 131072, SIZE};

        (void)state;
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                size_t pages = (lens[i] + 4095) / 4096, n = BLK_STAGING_PAGES / pages;

                blk_staging_init(&staging, bytes);
                for (size_t j = 0; j < n; j++)
                        assert_ptr_equal(blk_staging_take(&staging, lens[i]), bytes + j * pages * 4096);
                assert_null(blk_staging_take(&staging, lens[i]));
        }
}

static void what_comes_back_is_found_wherever_it_is(void **state)
{
        (void)state;
        for (size_t hole = 0; hole < BLK_STAGING_PAGES; hole++) {
                blk_staging_init(&staging, bytes);
                assert_non_null(blk_staging_take(&staging, SIZE));
                blk_staging_give(&staging, bytes + hole * 4096, 4096);
                if (hole + 1 < BLK_STAGING_PAGES) { /* and the search may begin anywhere */
                        assert_null(blk_staging_take(&staging, 8192));
                        assert_ptr_equal(blk_staging_take(&staging, 1), bytes + hole * 4096);
                        blk_staging_give(&staging, bytes + hole * 4096, 1);
                        blk_staging_give(&staging, bytes + (hole + 1) * 4096, 4096);
                        assert_ptr_equal(blk_staging_take(&staging, 8192), bytes + hole * 4096);
                } else {
                        assert_ptr_equal(blk_staging_take(&staging, 1), bytes + hole * 4096);
                }
                assert_null(blk_staging_take(&staging, 1));
        }
}

/* Against a list of what is out. */
static void nothing_is_given_out_twice(void **state)
{
        static struct {
                uint8_t *at;
                size_t len;
        } out[64];
        static uint8_t owner[BLK_STAGING_PAGES];

        (void)state;
        srand(3);
        blk_staging_init(&staging, bytes);
        for (unsigned round = 0; round < 100000; round++) {
                unsigned i = (unsigned)rand() % 64;
                size_t first, n = (out[i].len + 4095) / 4096;

                if (out[i].at) {
                        memset(owner + (out[i].at - bytes) / 4096, 0, n);
                        blk_staging_give(&staging, out[i].at, out[i].len);
                        out[i].at = NULL;
                        continue;
                }
                out[i].len = 1 + (size_t)rand() % 131072;
                out[i].at = blk_staging_take(&staging, out[i].len);
                if (!out[i].at)
                        continue;
                n = (out[i].len + 4095) / 4096;
                first = (size_t)(out[i].at - bytes) / 4096;
                assert_true(first + n <= BLK_STAGING_PAGES);
                for (size_t page = first; page < first + n; page++) {
                        assert_int_equal(owner[page], 0);
                        owner[page] = 1;
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(all_of_it_can_be_taken_in_any_pieces),
            cmocka_unit_test(what_comes_back_is_found_wherever_it_is),
            cmocka_unit_test(nothing_is_given_out_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
