/* Whether an ELF kernel of x86 has what it boots by.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `fd`: a file of `file_size` whose first bytes kernel_kind has called an ELF of x86; its place is not moved. True: it has
 * an entry for PVH. False: `text` is what the kernel's loader will find wrong, with the remedy behind a colon. */
bool kernel_elf_boots(int fd, uint64_t file_size, char *text, size_t size);
