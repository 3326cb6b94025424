/* Which device a guest's access goes to: ranges of guest-physical addresses (MMIO) and of x86 I/O ports.
 *
 * The table is filled before the first vCPU runs and never changes afterwards, so that vCPU threads look things up
 * without a lock. An access to nothing, or over the end of a range, reads as all ones and writes nothing; it is
 * counted, never logged: a guest makes as many as it likes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum kvm_space { KVM_SPACE_MMIO, KVM_SPACE_PIO, KVM_N_SPACES };

/* One access, on the thread of the vCPU that made it: several may be under way at once. `offset` is inside the range
 * and `offset + len` not behind its end; len is 1 to 8 and may be any of them (an access over the end of a page
 * arrives in two pieces). A read fills `bytes`, which are all ones before. Must not wait for a worker. */
typedef void kvm_bus_handler(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes);

struct kvm_bus;

struct kvm_bus *kvm_bus_new(void);                 /* NULL: out of memory */
struct kvm_bus *kvm_bus_free(struct kvm_bus *bus); /* returns NULL; accepts NULL */

/* -EINVAL: empty or wraps; -EEXIST: overlaps another; -E2BIG: LIMIT_BUS_RANGES. `name` is not copied. */
int kvm_bus_add(struct kvm_bus *bus, enum kvm_space space, uint64_t start, uint64_t len, const char *name,
                kvm_bus_handler *handler, void *context);

/* len 1 to 8, as KVM reports them. */
void kvm_bus_access(struct kvm_bus *bus, enum kvm_space space, uint64_t address, uint32_t len, bool write,
                    uint8_t *bytes);

/* Whose range an address is in, for words; "nothing" where none is. Any thread. */
const char *kvm_bus_name(const struct kvm_bus *bus, enum kvm_space space, uint64_t address);

/* Accesses to nothing so far; any thread. */
uint64_t kvm_bus_unknown(const struct kvm_bus *bus, enum kvm_space space);
