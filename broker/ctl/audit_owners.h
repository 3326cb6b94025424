/* A worker whose share belongs to a range of owners, or that is the owner itself: what it may be beyond other workers.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/ctl/proc_facts.h"

/* Has it a range of ids, in a root of which others have none? */
bool audit_owners_range(const struct proc_facts *facts);

/* Are its capabilities, in all sets, those that such a worker keeps and no others? Then `out` names them, and whom they reach. */
bool audit_owners_capabilities(const struct proc_facts *facts, char *out, size_t size);

/* Are all its ids one, but for the one that files are made by, which may be of its range? */
bool audit_owners_ids(const struct proc_facts *facts);
