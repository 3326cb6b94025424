/* The bus: a sorted table of ranges a space, and a search by halves.
 * Owns the table, not what its handlers serve; called by the front end (before vCPUs run) and by vCPU threads. TRUST:
 * address, length and bytes are the guest's, and only looked up here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/bus.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

struct range {
        uint64_t start, len;
        const char *name;
        kvm_bus_handler *handler;
        void *context;
};

struct table {
        struct range ranges[LIMIT_BUS_RANGES]; /* by start; they do not overlap */
        unsigned n;
        atomic_uint_fast64_t unknown;
};

struct kvm_bus {
        struct table tables[KVM_N_SPACES];
};

struct kvm_bus *kvm_bus_new(void)
{
        return calloc(1, sizeof(struct kvm_bus));
}

struct kvm_bus *kvm_bus_free(struct kvm_bus *bus)
{
        free(bus);
        return NULL;
}

/* The first range that starts behind the address. */
static unsigned table_upper(const struct table *table, uint64_t address)
{
        unsigned low = 0, high = table->n;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (table->ranges[middle].start <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int kvm_bus_add(struct kvm_bus *bus, enum kvm_space space, uint64_t start, uint64_t len, const char *name,
                kvm_bus_handler *handler, void *context)
{
        struct table *table = &bus->tables[space];
        unsigned at = table_upper(table, start);
        uint64_t end;

        if (len == 0 || !checked_add_u64(start, len, &end))
                return -EINVAL;
        if (table->n == LIMIT_BUS_RANGES)
                return -E2BIG;
        if (at > 0 && start - table->ranges[at - 1].start < table->ranges[at - 1].len)
                return -EEXIST;
        if (at < table->n && end > table->ranges[at].start)
                return -EEXIST;
        memmove(&table->ranges[at + 1], &table->ranges[at], (table->n - at) * sizeof(struct range));
        table->ranges[at] = (struct range){start, len, name, handler, context};
        table->n++;
        return 0;
}

static const struct range *table_find(const struct table *table, uint64_t address, uint32_t len)
{
        unsigned above = table_upper(table, address);
        const struct range *range;

        if (above == 0)
                return NULL;
        range = &table->ranges[above - 1];
        return range_inside(address - range->start, len, range->len) ? range : NULL;
}

void kvm_bus_access(struct kvm_bus *bus, enum kvm_space space, uint64_t address, uint32_t len, bool write,
                    uint8_t *bytes)
{
        struct table *table = &bus->tables[space];
        const struct range *range = table_find(table, address, len);

        if (!write)
                memset(bytes, 0xff, len);
        if (range)
                range->handler(range->context, address - range->start, len, write, bytes);
        else
                atomic_fetch_add_explicit(&table->unknown, 1, memory_order_relaxed);
}

const char *kvm_bus_name(const struct kvm_bus *bus, enum kvm_space space, uint64_t address)
{
        const struct range *range = table_find(&bus->tables[space], address, 1);

        return range ? range->name : "nothing";
}

uint64_t kvm_bus_unknown(const struct kvm_bus *bus, enum kvm_space space)
{
        return atomic_load_explicit(&bus->tables[space].unknown, memory_order_relaxed);
}
