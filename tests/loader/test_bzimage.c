/* What a bzImage's head may say.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/bzimage.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "tests/loader/kernels.h"
#include "tests/unit/unit.h"
#include "proto/base/bytes.h"

#define MIB (1u << 20)

static uint8_t kernel[KERNEL_BYTES];
static size_t size;

static int make(void **state)
{
        (void)state;
        size = kernel_make_bzimage(kernel);
        return 0;
}

static int check(struct bzimage *ret, const char **ret_why)
{
        return bzimage_check(kernel, MIN(size, (size_t)4096), size, ret, ret_why);
}

static void good(void)
{
        struct bzimage image;
        const char *why = "";

        if (check(&image, &why) < 0)
                fail_msg("refused: %s", why);
}

static void bad(const char *words)
{
        struct bzimage image = {.load = 77};
        const char *why = NULL;

        assert_int_equal(check(&image, &why), -EINVAL);
        assert_int_equal(image.load, 77);
        if (!strstr(why, words))
                fail_msg("\"%s\" does not say \"%s\"", why, words);
        size = kernel_make_bzimage(kernel);
}

static void a_good_head_is_understood(void **state)
{
        struct bzimage image;
        const char *why;

        (void)state;
        assert_int_equal(check(&image, &why), 0);
        assert_int_equal(image.body_at, 5 * 512);
        assert_int_equal(image.body_len, 16000);
        assert_int_equal(image.load, 16 * MIB);
        assert_int_equal(image.init_len, 8 * MIB);
        assert_int_equal(image.initrd_max, 0x7fffffff);
        assert_int_equal(image.cmdline_max, 2047);
        assert_int_equal(image.header_end, 0x202 + 0x6a);
}

static void other_kinds_of_kernel_are_told_apart(void **state)
{
        (void)state;
        kernel[0x1fe] = 0;
        bad("is no bzImage");
        kernel[0x203] = 'x';
        bad("is no bzImage");
        bytes_store16(kernel + 0x206, 0x020b);
        bad("older than 2.12");
        bytes_store16(kernel + 0x206, 0x020c);
        good();
        kernel[0x211] = 0;
        bad("zImage");
        bytes_store16(kernel + 0x236, 0xfffe);
        bad("32-bit kernel");
}

static void sizes_are_judged_at_their_edges(void **state)
{
        (void)state;
        kernel[0x1f1] = 0; /* means four */
        good();
        kernel[0x1f1] = 65;
        bad("more setup code");
        bytes_store32(kernel + 0x1f4, 1001);
        bad("cut short");
        size -= 15;
        good();
        size -= 1;
        bad("cut short");
        bytes_store32(kernel + 0x1f4, 0);
        size = 5 * 512 + 1;
        good();
        size = 5 * 512;
        bad("cut short");
        bytes_store32(kernel + 0x260, 16000);
        good();
        bytes_store32(kernel + 0x260, 15999);
        bad("cannot be");
}

static void places_are_judged_at_their_edges(void **state)
{
        (void)state;
        bytes_store64(kernel + 0x258, MIB);
        good();
        bytes_store64(kernel + 0x258, MIB - 4096);
        bad("cannot be");
        bytes_store64(kernel + 0x258, MIB + 1);
        bad("cannot be");
        bytes_store64(kernel + 0x258, UINT64_C(0xfffff000));
        good();
        bytes_store64(kernel + 0x258, UINT64_C(0x100000000));
        bad("cannot be");
        kernel[0x201] = 0x62;
        good();
        kernel[0x201] = 0x61; /* ends before init_size does */
        bad("header that cannot be");
        kernel[0x201] = 0xff; /* beyond what the zero page has room for: cut */
        good();
}

static void judge(const uint8_t *bytes, size_t len, void *context)
{
        struct bzimage image;
        const char *why = NULL;

        (void)context;
        if (bzimage_check(bytes, MIN(len, (size_t)4096), len, &image, &why) < 0) {
                assert_non_null(why);
                return;
        }
        assert_true(range_inside(image.body_at, image.body_len, len));
        assert_true(image.body_len <= image.init_len && image.load >= MIB && image.load <= UINT32_MAX);
        assert_true(image.header_end <= BZIMAGE_HEADER_END && image.header_end <= len);
}

static void no_flip_and_no_truncation_breaks_a_promise(void **state)
{
        (void)state;
        unit_sweep(kernel, 0x300, judge, NULL); /* the head is all that is looked at */
        for (size_t n = 0; n < size; n += 17)
                unit_sweep_one(kernel, n, judge, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_good_head_is_understood, make),
            cmocka_unit_test_setup(other_kinds_of_kernel_are_told_apart, make),
            cmocka_unit_test_setup(sizes_are_judged_at_their_edges, make),
            cmocka_unit_test_setup(places_are_judged_at_their_edges, make),
            cmocka_unit_test_setup(no_flip_and_no_truncation_breaks_a_promise, make),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
