/* What an arm64 Image's head may say.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/arm64_image.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "tests/loader/kernels.h"
#include "tests/unit/unit.h"
#include "proto/base/bytes.h"

static uint8_t kernel[KERNEL_BYTES];
static size_t size;

static int make(void **state)
{
        (void)state;
        size = kernel_make_arm64(kernel);
        return 0;
}

static void expect(const char *words)
{
        struct arm64_image image = {.memory_len = 77};
        const char *why = "";
        int r = arm64_image_check(kernel, MIN(size, (size_t)4096), size, &image, &why);

        if (!words)
                assert_int_equal(r, 0);
        else
                assert_true(r == -EINVAL && image.memory_len == 77 && strstr(why, words));
        size = kernel_make_arm64(kernel);
}

static void heads_are_judged_at_their_edges(void **state)
{
        (void)state;
        expect(NULL);
        kernel[56] = 'a';
        expect("is no arm64 Image");
        size = 63;
        expect("is no arm64 Image");
        bytes_store64(kernel + 16, 0);
        expect("Linux 3.17");
        bytes_store64(kernel + 24, 1);
        expect("big endian");
        bytes_store64(kernel + 24, 0xa);
        expect(NULL);
        bytes_store64(kernel + 16, size);
        expect(NULL);
        bytes_store64(kernel + 16, size - 1);
        expect("cannot be");
        bytes_store64(kernel + 16, UINT64_C(0x100000000));
        expect(NULL);
        bytes_store64(kernel + 16, UINT64_C(0x100000001));
        expect("cannot be");
        bytes_store64(kernel + 8, 0x80000);
        expect(NULL);
        bytes_store64(kernel + 8, 0x1ff000);
        expect(NULL);
        bytes_store64(kernel + 8, 0x200000);
        expect("cannot be");
        bytes_store64(kernel + 8, 0x80001);
        expect("cannot be");
}

static void judge(const uint8_t *bytes, size_t len, void *context)
{
        struct arm64_image image;
        const char *why = NULL;

        (void)context;
        if (arm64_image_check(bytes, len, len, &image, &why) < 0) {
                assert_non_null(why);
                return;
        }
        assert_true(image.memory_len >= len && image.memory_len <= UINT64_C(1) << 32);
        assert_true(image.text_offset < ARM64_IMAGE_ALIGN);
}

static void no_flip_and_no_truncation_breaks_a_promise(void **state)
{
        (void)state;
        unit_sweep(kernel, 100, judge, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(heads_are_judged_at_their_edges, make),
            cmocka_unit_test_setup(no_flip_and_no_truncation_breaks_a_promise, make),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
