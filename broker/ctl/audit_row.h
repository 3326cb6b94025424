/* What the rules of audit share: how a row is filled in, and what its subject is.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "broker/ctl/audit_rules.h"
#include "proto/device_resource.h"
#include "proto/device_type.h"

void audit_measured(struct audit_row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));
void audit_wanted(struct audit_row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The two ways a row gets its verdict. An error outranks everything: what was not measured is not good. */
void audit_judge(struct audit_row *row, int error, bool good);
void audit_excuse(struct audit_row *row, bool excused);

/* NULL: none that we know. No broker can name a device a loader. */
const struct device_type *audit_type(const struct audit_subject *s);

/* What the device may hold; the broker cannot ask for more than its type has. */
void audit_count_resources(const struct audit_subject *s, struct resource_counts *ret_counts);

/* ---- audit_memory.c: the rules of memory that processes have in common ---- */

void audit_rule_guest_memory(const struct audit_subject *s, struct audit_row *row);
void audit_rule_broker_memory(const struct audit_subject *s, struct audit_row *row);
void audit_rule_guest_fds(const struct audit_subject *s, struct audit_row *row);
void audit_rule_shared_mappings(const struct audit_subject *s, struct audit_row *row);
void audit_rule_regions(const struct audit_subject *s, struct audit_row *row);
void audit_rule_windows(const struct audit_subject *s, struct audit_row *row);
