/* Rows of audit.
 * Owns nothing; called by audit_rules.c and audit_memory.c. TRUST: of the broker's word only the number of resources is used,
 * inside what the device type may have at most.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_row.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

void audit_measured(struct audit_row *row, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(row->measured, sizeof(row->measured), format, args);
        va_end(args);
}

void audit_wanted(struct audit_row *row, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(row->wanted, sizeof(row->wanted), format, args);
        va_end(args);
}

void audit_judge(struct audit_row *row, int error, bool good)
{
        row->verdict = good ? AUDIT_OK : AUDIT_LOOSE;
        if (error == 0)
                return;
        row->verdict = AUDIT_UNKNOWN;
        audit_measured(row, "unknown: %s", strerror(-error));
}

void audit_excuse(struct audit_row *row, bool excused)
{
        if (row->verdict == AUDIT_LOOSE && excused)
                row->verdict = AUDIT_WEAKER;
}

const struct device_type *audit_type(const struct audit_subject *s)
{
        if (s->device == &s->vm->loader_device)
                return &device_types[DEVICE_TYPE_LOADER];
        return s->device ? device_type_find(s->device->type) : NULL;
}

void audit_count_resources(const struct audit_subject *s, struct resource_counts *ret_counts)
{
        const struct device_type *type = audit_type(s);
        const struct resource_counts *most;

        *ret_counts = (struct resource_counts){0};
        if (!type)
                return;
        most = device_resources_most((enum device_type_id)(type - device_types));
        for (unsigned kind = 0; kind < RESOURCE_KIND_COUNT_; kind++)
                ret_counts->of[kind] = MIN(s->device->resources.of[kind], most->of[kind]);
        ret_counts->born = MIN(s->device->resources.born, most->born);
}
