/* What a kernel file is, by its first bytes: for a sentence before anything runs. The kernel's loader, in its jail,
 * is the one who reads it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/kvm/layout.h"

#define KERNEL_HEAD 0x240u /* bytes that are looked at: x86's setup header, up to xloadflags */

bool kernel_is_elf(const uint8_t *head, size_t len);

/* `head` is the first `len` bytes of a file of `file_size`. True: it looks like a kernel that a VM of this architecture
 * boots, and `text` says which kind. False: `text` is what it is, with the remedy behind a colon. */
bool kernel_kind(enum kvm_arch arch, const uint8_t *head, size_t len, uint64_t file_size, char *text,
                 size_t size);
