/* Writes the kept inputs of fuzz_load_kernel: one of each format. Run by hand when a test kernel changes.
 *
 *     seed_load_kernel FOLDER
 *
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/loader/kernels.h"

static int seed(const char *folder, const char *name, uint8_t arch, size_t (*make)(uint8_t *), size_t most)
{
        static uint8_t bytes[KERNEL_BYTES];
        const uint8_t prefix[3] = {arch, 63, 2};
        size_t len = make(bytes);
        char path[4096];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "wb");
        if (!file)
                return -1;
        fwrite(prefix, 1, sizeof(prefix), file);
        fwrite(bytes, 1, len < most ? len : most, file);
        return fclose(file);
}

int main(int argc, char **argv)
{
        if (argc != 2 || seed(argv[1], "bzimage", 0, kernel_make_bzimage, 18560) < 0 ||
            seed(argv[1], "elf64", 0, kernel_make_elf64, 14336) < 0 ||
            seed(argv[1], "elf32", 0, kernel_make_elf32, 14336) < 0 ||
            seed(argv[1], "arm64", 1, kernel_make_arm64, 300) < 0 ||
            seed(argv[1], "elf64_cut", 0, kernel_make_elf64, 0x280) < 0 ||
            seed(argv[1], "bzimage_cut", 2, kernel_make_bzimage, 0x2000) < 0)
                return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
