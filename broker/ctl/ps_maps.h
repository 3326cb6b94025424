/* bulkhead ps --shmem: what lies in the shared memory regions of devices, as the brokers say.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "broker/ctl/table.h"
#include "proto/admin.h"

#define PS_MAP_COLUMNS 9u
extern const struct table_column ps_map_columns[PS_MAP_COLUMNS];

/* Asks for each device of the VM that has a region, and adds a row a mapping to the table, or an object to the list where that is
 * NULL. 0 or -ENOMEM; of a broker that does not answer nothing is added, and it is said. */
int ps_maps_of_vm(const char *run_dir, const char *vm, const struct admin_status *status, struct table *table,
                  json_t *list);
