/* The rules of memory that processes have in common: none, but for what a configuration asks for.
 * Owns nothing; called by audit_rules.c. TRUST: facts are the kernel's word; of the broker's, the bytes of a device's regions are
 * used, of a type that has any.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "broker/ctl/audit_row.h"
#include "proto/base/checked.h"

#define RING_BYTES 65536u /* of the ends of 256 transfers, and the kernel's rounding */

/* Of a device's regions, the memory that its worker has in common with the guest. It is what `shmem: map` asks for, and its
 * broker may not name more than the type has. */
static uint64_t common_memory(const struct audit_subject *s)
{
        const struct device_type *type =
            s->role == AUDIT_WORKER && s->device ? device_type_find(s->device->type) : NULL;

        return type && type->regions ? s->device->regions.memory_bytes : 0;
}

void audit_rule_guest_memory(const struct audit_subject *s, struct audit_row *row)
{
        const uint64_t common = common_memory(s);

        audit_wanted(row, "0 bytes mapped");
        if (common > 0)
                audit_wanted(row, "%" PRIu64 " of its region", common);
        audit_measured(row, "%" PRIu64 " bytes mapped", s->facts->guest_bytes);
        audit_judge(row, s->facts->maps_error, s->facts->guest_bytes <= common);
}

/* What the operator has allowed: nothing that /proc could show. */
void audit_rule_regions(const struct audit_subject *s, struct audit_row *row)
{
        const struct admin_regions *regions = &s->device->regions;

        audit_wanted(row, "as configured");
        if (regions->n == 0)
                audit_measured(row, "none");
        else
                audit_measured(row, "%u, %u mappings, %s", regions->n, regions->mappings,
                               regions->foreign_refused ? "own DMA" : "all DMA");
        row->verdict = AUDIT_CLAIMED;
}

/* Likewise. */
void audit_rule_windows(const struct audit_subject *s, struct audit_row *row)
{
        const struct admin_windows *windows = &s->device->windows;

        audit_wanted(row, "as configured");
        if (windows->n == 0)
                audit_measured(row, "all that is posted");
        else if (windows->raw)
                audit_measured(row, "ALL of %" PRIu64 " bytes BY ADDRESS, %" PRIu64 " refused",
                               windows->bytes, windows->refused);
        else
                audit_measured(row, "%u, %" PRIu64 " bytes, %" PRIu64 " refused", windows->n, windows->bytes,
                               windows->refused);
        row->verdict = AUDIT_CLAIMED;
}

void audit_rule_broker_memory(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "what its guest lends");
        audit_measured(row, "%" PRIu64 " bytes mapped", s->vm->guest_bytes);
        if (s->vm->n_vcpus > 0) {
                audit_wanted(row, "its own guest's");
                audit_measured(row, "%" PRIu64 " bytes mapped, %u vCPUs", s->vm->guest_bytes, s->vm->n_vcpus);
        }
        audit_judge(row, s->facts->maps_error, true);
}

void audit_rule_guest_fds(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "0 descriptors");
        audit_measured(row, "%u descriptors", s->facts->fds_guest);
        audit_judge(row, s->facts->fds_guest_error, s->facts->fds_guest == 0);
}

void audit_rule_shared_mappings(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_facts *f = s->facts;
        struct resource_counts counts;
        uint32_t events;

        audit_count_resources(s, &counts);
        events = counts.of[RESOURCE_EVENT];
        audit_wanted(row, "0 bytes");
        audit_measured(row, "%" PRIu64 " bytes", f->shared_bytes);
        if (counts.of[RESOURCE_MEMORY] > 0)
                audit_wanted(row, "what its successor is told");
        if (events > 0)
                audit_wanted(row, "0 bytes, a ring of transfers");
        if (f->ring_bytes > 0)
                audit_measured(row, "%" PRIu64 " bytes, a ring of %" PRIu64, f->shared_bytes, f->ring_bytes);
        if (common_memory(s) > 0)
                audit_wanted(row, "its region");
        audit_judge(row, f->maps_error,
                    f->shared_bytes <=
                            (uint64_t)counts.of[RESOURCE_MEMORY] * LIMIT_FS_MEMORY + common_memory(s) &&
                        f->ring_bytes <= (events > 0 ? RING_BYTES : 0));
}
