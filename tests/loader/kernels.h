/* Kernels that hold nothing but what makes them kernels. Each is made into a caller's buffer of KERNEL_BYTES, and returns
 * the file's length.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KERNEL_BYTES 65536u

/* 64-bit entry, to 16 MiB, 8 MiB long when it runs; its bytes behind the setup code count up. */
size_t kernel_make_bzimage(uint8_t *bytes);

/* ELF with a PVH entry at 16 MiB + 0x40; two segments, the second with 0x5000 bytes of which the file has 0x800. */
size_t kernel_make_elf64(uint8_t *bytes);
size_t kernel_make_elf32(uint8_t *bytes);

/* text_offset 0, 4 MiB long when it runs. */
size_t kernel_make_arm64(uint8_t *bytes);
