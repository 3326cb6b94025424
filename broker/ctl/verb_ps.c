/* bulkhead ps: every VM, its devices and their workers, as the brokers say.
 * Owns the table or the JSON tree while it runs; called by ctl_main.c.
 * TRUST: answers are judged by admin_client.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/ctl.h"
#include "broker/ctl/ps_maps.h"
#include "broker/ctl/table.h"
#include "broker/ctl/vm_scan.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/device_type.h"

DEFINE_CLEANUP(struct table, table, table_free)

struct ps {
        struct table *table; /* NULL: JSON */
        json_t *vms;
        bool maps; /* what lies in shared memory regions, and nothing else */
        char run_dir[PATH_MAX];
        size_t n_vms, n_unknown; /* unknown: neither answered nor dead */
};

enum { CELL = 32 };

static const struct table_column columns[] = {
    {"VM", false},      {"DEVICE", false},   {"TYPE", false},    {"STATE", false}, {"SECCOMP", false},
    {"PID", true},      {"UID", true},       {"RESTARTS", true}, {"QUEUES", true}, {"INFLIGHT", true},
    {"REQUESTS", true}, {"THROTTLED", true}, {"DROPPED", true},  {"IN", true},     {"OUT", true},
};

/* Three digits and a unit: 17, 4.2K, 130M. */
static const char *human(uint64_t bytes, char out[static CELL])
{
        static const char units[] = "BKMGTPE";
        double value = (double)bytes;
        size_t unit = 0;

        for (; value >= 1024 && unit + 2 < sizeof(units); unit++)
                value /= 1024;
        snprintf(out, CELL, unit > 0 && value < 10 ? "%.1f%c" : "%.0f%c", value, units[unit]);
        return out;
}

static const char *number(uint64_t value, char out[static CELL])
{
        snprintf(out, CELL, "%" PRIu64, value);
        return out;
}

static uint64_t sum_counters(const struct admin_device *d)
{
        uint64_t sum = 0;

        for (uint32_t i = 0; i < d->n_counters; i++)
                if (__builtin_add_overflow(sum, d->counters[i], &sum))
                        return UINT64_MAX;
        return sum;
}

static int table_device(struct table *table, const char *vm, const struct admin_device *d)
{
        char text[10][CELL];
        const char *const cells[array_size(columns)] = {
            vm,
            d->name,
            d->type,
            admin_state_name(d->state),
            d->seccomp_log ? "LOGS-ONLY" : "kills",
            d->pid ? number(d->pid, text[0]) : "-",
            d->pid ? number(d->uid, text[1]) : "-",
            number(d->restarts, text[2]),
            number(d->queues_running, text[3]),
            number(d->outstanding, text[4]),
            number(d->requests, text[5]),
            d->rate_ops || d->rate_bytes ? number(d->throttled, text[6]) : "-",
            d->n_counters > 0 ? number(sum_counters(d), text[9]) : "-",
            human(d->bytes_from_guest, text[7]),
            human(d->bytes_to_guest, text[8]),
        };

        return table_add(table, cells);
}

/* Its name behind the device's, whose work it does. */
static int table_companion(struct table *table, const char *vm, const struct admin_device *d)
{
        char name[2 * LIMIT_NAME], text[3][CELL];
        const char *const cells[array_size(columns)] = {
            vm,
            name,
            "-",
            d->companion_pid ? "running" : "restarting",
            "kills",
            d->companion_pid ? number(d->companion_pid, text[0]) : "-",
            d->companion_pid ? number(d->companion_uid, text[1]) : "-",
            number(d->companion_starts > 0 ? d->companion_starts - 1 : 0, text[2]),
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
        };

        snprintf(name, sizeof(name), "%s:%s", d->name, d->companion);
        return d->companion[0] == '\0' ? 0 : table_add(table, cells);
}

/* A VM of the broker's own has a row of its own: how far it is, and what its loader has put into it. */
static int table_own(struct table *table, const char *vm, const struct admin_status *status)
{
        char pid[CELL], loaded[CELL];
        const char *const cells[array_size(columns)] = {vm,
                                                        "-",
                                                        "kvm",
                                                        admin_stage_name(status->stage),
                                                        "kills",
                                                        number(status->broker_pid, pid),
                                                        "-",
                                                        "-",
                                                        "-",
                                                        "-",
                                                        "-",
                                                        "-",
                                                        "-",
                                                        "-",
                                                        human(status->loaded, loaded)};

        return status->stage == ADMIN_SERVING ? 0 : table_add(table, cells);
}

static int table_vm(struct table *table, const char *vm, int error, const struct admin_answer *answer)
{
        const char *const cells[array_size(columns)] = {vm, "-", "-", vm_is_dead(error) ? "dead" : "unknown"};
        int r;

        if (!answer)
                return table_add(table, cells);
        r = table_own(table, vm, &answer->status);
        for (size_t i = 0; i < answer->status.n_devices && r == 0; i++) {
                const struct admin_device *d = &answer->status.devices[i];

                if (d->windows.refused > 0)
                        fprintf(stderr,
                                "bulkhead: ps: VM %s: %s has refused %" PRIu64
                                " queues for what lies outside of its windows\n",
                                vm, d->name, d->windows.refused);
                if (d->translations.refused > 0)
                        fprintf(stderr,
                                "bulkhead: ps: VM %s: %s has missed %" PRIu64
                                " pages that nobody translates\n",
                                vm, d->name, d->translations.refused);
                if (d->windows.raw)
                        fprintf(stderr,
                                "bulkhead: ps: VM %s: %s reaches %" PRIu64
                                " bytes of guest memory by address (memory: raw)\n",
                                vm, d->name, d->windows.bytes);
                if (d->why[0] != '\0')
                        fprintf(stderr, "bulkhead: ps: VM %s: %s is quarantined: %s\n", vm, d->name, d->why);
                r = table_device(table, vm, d);
                if (r == 0)
                        r = table_companion(table, vm, d);
        }
        return r;
}

/* By the names that its type's row has here: a broker of another version may have others. */
static json_t *json_counters(const struct admin_device *d)
{
        const struct device_type *type = device_type_find(d->type);
        json_t *counters = json_object();

        for (uint32_t i = 0; counters && type && i < MIN(d->n_counters, type->n_counters); i++)
                if (json_object_set_new(counters, type->counters[i],
                                        json_integer((json_int_t)MIN(d->counters[i], (uint64_t)INT64_MAX))) <
                    0) {
                        json_decref(counters);
                        return NULL;
                }
        return counters;
}

/* null: no front end may translate for it. */
static json_t *json_translations(const struct admin_translations *t)
{
        if (!t->may)
                return json_null();
        return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "translating", (int)t->on, "held",
                         (json_int_t)t->held, "open", (json_int_t)t->open, "asked",
                         (json_int_t)MIN(t->asked, (uint64_t)INT64_MAX), "refused",
                         (json_int_t)MIN(t->refused, (uint64_t)INT64_MAX), "updates",
                         (json_int_t)MIN(t->n_updates, (uint64_t)INT64_MAX), "invalidations",
                         (json_int_t)MIN(t->n_invalidations, (uint64_t)INT64_MAX));
}

static json_t *json_device(const struct admin_device *d)
{
        const uint64_t sets[] = {d->features, d->sets.offered, d->sets.agreed, d->sets.worker};
        char features[array_size(sets)][CELL];

        for (size_t i = 0; i < array_size(sets); i++)
                snprintf(features[i], sizeof(features[i]), "0x%016" PRIx64, sets[i]);
        return json_pack(
            "{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:I, "
            "s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}",
            "device", d->name, "type", d->type, "state", admin_state_name(d->state), "seccomp",
            d->seccomp_log ? "log" : "kill", "attached", (int)d->attached, "pid", (json_int_t)d->pid, "uid",
            (json_int_t)d->uid, "restarts", (json_int_t)d->restarts, "queues_running",
            (json_int_t)d->queues_running, "inflight", (json_int_t)d->outstanding, "requests",
            (json_int_t)d->requests, "bytes_from_guest", (json_int_t)d->bytes_from_guest, "bytes_to_guest",
            (json_int_t)d->bytes_to_guest, "features", features[0], "features_offered", features[1],
            "features_agreed", features[2], "features_worker", features[3], "lanes", (json_int_t)d->n_lanes,
            "resources", (json_int_t)resource_counts_total(&d->resources), "rate_ops",
            (json_int_t)d->rate_ops, "rate_bytes", (json_int_t)d->rate_bytes, "throttled",
            (json_int_t)d->throttled, "why", d->why, "copy", d->direct ? "direct" : "socket", "companion",
            d->companion, "companion_pid", (json_int_t)d->companion_pid, "companion_uid",
            (json_int_t)d->companion_uid, "companion_starts", (json_int_t)d->companion_starts, "regions",
            (json_int_t)d->regions.n, "region_bytes", (json_int_t)d->regions.bytes, "mappings",
            (json_int_t)d->regions.mappings, "mapped_bytes", (json_int_t)d->regions.mapped_bytes, "windows",
            (json_int_t)d->windows.n, "window_bytes", (json_int_t)MIN(d->windows.bytes, (uint64_t)INT64_MAX),
            "window_refused", (json_int_t)d->windows.refused, "window_raw", (int)d->windows.raw, "iotlb",
            json_translations(&d->translations), "counters", json_counters(d));
}

static json_t *json_vm(const char *vm, int error, const struct admin_answer *answer, const char *why)
{
        const struct admin_status *status;
        json_t *devices;

        if (!answer)
                return json_pack("{s:s, s:s, s:s}", "vm", vm, "state", vm_is_dead(error) ? "dead" : "unknown",
                                 "reason", why);
        status = &answer->status;
        devices = json_array();
        for (size_t i = 0; devices && i < status->n_devices; i++)
                if (json_array_append_new(devices, json_device(&status->devices[i])) < 0) {
                        json_decref(devices);
                        return NULL;
                }
        return json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:b, s:b, s:o}", "vm", vm, "state", "alive",
                         "stage", admin_stage_name(status->stage), "loaded", (json_int_t)status->loaded,
                         "version", status->version, "broker_pid", (json_int_t)status->broker_pid,
                         "spawner_pid", (json_int_t)status->spawner_pid, "spawner_alive",
                         (int)status->spawner_alive, "rootless", (int)status->rootless, "devices", devices);
}

static int visit(void *context, const char *vm, int error, const struct admin_answer *answer, const char *why)
{
        struct ps *ps = context;

        ps->n_vms++;
        if (!answer && !vm_is_dead(error))
                ps->n_unknown++;
        if (ps->maps)
                return answer ? ps_maps_of_vm(ps->run_dir, vm, &answer->status, ps->table, ps->vms) : 0;
        if (!ps->table)
                return json_array_append_new(ps->vms, json_vm(vm, error, answer, why)) < 0 ? -ENOMEM : 0;
        if (!answer)
                fprintf(stderr, "bulkhead: ps: VM %s: %s\n", vm, why);
        return table_vm(ps->table, vm, error, answer);
}

static int print_json(const char *run_dir, json_t *vms)
{
        json_t *root = json_pack("{s:s, s:O}", "run_dir", run_dir, "vms", vms);
        int r = root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 ? 0 : -ENOMEM;

        printf("\n");
        json_decref(root);
        return r;
}

int verb_ps(const struct ctl_args *args)
{
        _cleanup_(cleanup_table) struct table *table = NULL;
        struct ps ps = {.vms = json_array(), .maps = args->option[CTL_OPTION_SHMEM]};
        char why[512] = "out of memory";
        int r = ps.vms ? 0 : -ENOMEM;

        if (r == 0 && !args->option[CTL_OPTION_JSON]) {
                table = ps.maps ? table_new(ps_map_columns, PS_MAP_COLUMNS)
                                : table_new(columns, array_size(columns));
                ps.table = table;
                r = table ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = vm_scan(args, ps.run_dir, visit, &ps, why, sizeof(why));
        if (r == 0 && !table)
                r = print_json(ps.run_dir, ps.vms);
        else if (r == 0 && ps.n_vms == 0)
                fprintf(stderr, "bulkhead: ps: no VM under %s\n", ps.run_dir);
        else if (r == 0)
                r = table_print(table);
        json_decref(ps.vms);
        if (r < 0)
                fprintf(stderr, "bulkhead: ps: %s\n", why);
        return r < 0 || ps.n_unknown > 0 ? CTL_FAILED : CTL_OK;
}
