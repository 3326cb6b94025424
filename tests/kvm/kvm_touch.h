/* A guest that writes the last bytes of its memory: proof that the addresses are there, not only accepted.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "broker/core/guest_memory.h"
#include "broker/kvm/layout.h"

/* Makes a vCPU that writes the four bytes before layout->end, which are `last` here, and leaves by an access to no
 * memory. `words`: "ok", what went wrong, or "not here" (x86_64: code without paging reaches no more than 4 GiB). The
 * vCPU is gone afterwards. */
void kvm_touch(int vm_fd, size_t run_size, const struct guest_memory *memory, const struct kvm_layout *layout,
               const uint32_t *last, char *words, size_t size);
