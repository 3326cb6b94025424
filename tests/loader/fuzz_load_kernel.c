/* libFuzzer target: any bytes as a kernel file. The input is u8 architecture, u8 MiB of RAM, u8 pages of initrd (0: none), then
 * the file. fake_world.c holds every step against what a loader may do.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tests/loader/fake_world.h"

#define FUZZ_PREFIX 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fake_world *world;
        uint8_t *kernel;

        if (size < FUZZ_PREFIX)
                return 0;
        kernel = malloc(size - FUZZ_PREFIX + 1); /* its own block, so that one byte too far is seen */
        if (!kernel)
                return 0;
        memcpy(kernel + 1, data + FUZZ_PREFIX, size - FUZZ_PREFIX);
        world = world_reset(data[0] & 1 ? BOOT_ARCH_ARM64 : BOOT_ARCH_X86_64, ((uint64_t)data[1] + 1) << 20);
        if (data[0] & 2)
                world->fail_read_at = size / 2;
        world_set_kernel(kernel + 1, size - FUZZ_PREFIX);
        if (data[2] > 0)
                world_set_initrd(NULL, (size_t)data[2] * BOOT_PAGE - 1);
        world_load();
        free(kernel);
        return 0;
}
