/* bulkhead ps --shmem.
 * Owns nothing beyond a call; called by verb_ps.c. TRUST: answers are judged by admin_client.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/ps_maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "broker/ctl/admin_client.h"
#include "proto/base/cleanup.h"

enum { CELL = 48 };

const struct table_column ps_map_columns[PS_MAP_COLUMNS] = {
    {"VM", false},     {"DEVICE", false}, {"SHMID", true},       {"OFFSET", true}, {"LENGTH", true},
    {"RIGHTS", false}, {"FILE", false},   {"FILE OFFSET", true}, {"STATE", false},
};

/* "8:1 131074" as in /proc/PID/maps, or "memory": the broker's own. */
static const char *file_text(const struct admin_map *map, char out[static CELL])
{
        if (map->memory)
                return "memory";
        snprintf(out, CELL, "%x:%x %" PRIu64, major(map->dev), minor(map->dev), map->ino);
        return out;
}

static const char *state_text(const struct admin_map *map)
{
        if (map->orphan)
                return "left behind";
        return map->shown ? "mapped" : "no guest";
}

static int add_row(struct table *table, const char *vm, const char *device, const struct admin_map *map)
{
        char shmid[CELL], offset[CELL], len[CELL], file[CELL], fd_offset[CELL];
        const char *const cells[PS_MAP_COLUMNS] = {vm,
                                                   device,
                                                   shmid,
                                                   offset,
                                                   len,
                                                   map->writable ? "read, write" : "read",
                                                   file_text(map, file),
                                                   fd_offset,
                                                   state_text(map)};

        snprintf(shmid, sizeof(shmid), "%u", map->shmid);
        snprintf(offset, sizeof(offset), "0x%" PRIx64, map->offset);
        snprintf(len, sizeof(len), "0x%" PRIx64, map->len);
        snprintf(fd_offset, sizeof(fd_offset), "0x%" PRIx64, map->fd_offset);
        return table_add(table, cells);
}

static int add_object(json_t *list, const char *vm, const char *device, const struct admin_map *map)
{
        char file[CELL];
        json_t *object =
            json_pack("{s:s, s:s, s:i, s:I, s:I, s:b, s:s, s:I, s:s}", "vm", vm, "device", device, "shmid",
                      (int)map->shmid, "offset", (json_int_t)map->offset, "length", (json_int_t)map->len,
                      "writable", (int)map->writable, "file", file_text(map, file), "file_offset",
                      (json_int_t)map->fd_offset, "state", state_text(map));

        return json_array_append_new(list, object) < 0 ? -ENOMEM : 0;
}

int ps_maps_of_vm(const char *run_dir, const char *vm, const struct admin_status *status, struct table *table,
                  json_t *list)
{
        _cleanup_free_ struct admin_shmem *shmem = calloc(1, sizeof(*shmem));
        char why[512];
        int r = shmem ? 0 : -ENOMEM;

        for (size_t i = 0; i < status->n_devices && r == 0; i++) {
                const char *device = status->devices[i].name;

                if (status->devices[i].regions.n == 0)
                        continue;
                if (admin_client_shmem(run_dir, vm, device, shmem, why, sizeof(why)) < 0) {
                        fprintf(stderr, "bulkhead: ps: VM %s: %s: %s\n", vm, device, why);
                        continue;
                }
                for (size_t k = 0; k < shmem->n && r == 0; k++)
                        r = table ? add_row(table, vm, device, &shmem->maps[k])
                                  : add_object(list, vm, device, &shmem->maps[k]);
        }
        return r;
}
