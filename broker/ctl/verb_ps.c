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
#include "broker/ctl/table.h"
#include "broker/ctl/vm_scan.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

DEFINE_CLEANUP(struct table, table, table_free)

struct ps {
        struct table *table; /* NULL: JSON */
        json_t *vms;
        size_t n_vms, n_unknown; /* unknown: neither answered nor dead */
};

enum { CELL = 32 };

static const struct table_column columns[] = {
    {"VM", false},      {"DEVICE", false},   {"TYPE", false},    {"STATE", false}, {"SECCOMP", false},
    {"PID", true},      {"UID", true},       {"RESTARTS", true}, {"QUEUES", true}, {"INFLIGHT", true},
    {"REQUESTS", true}, {"THROTTLED", true}, {"IN", true},       {"OUT", true},
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

static int table_device(struct table *table, const char *vm, const struct admin_device *d)
{
        char text[9][CELL];
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
            human(d->bytes_from_guest, text[7]),
            human(d->bytes_to_guest, text[8]),
        };

        return table_add(table, cells);
}

/* A VM of the broker's own has a row of its own: how far it is, and what its loader has put into it. */
static int table_own(struct table *table, const char *vm, const struct admin_status *status)
{
        char pid[CELL], loaded[CELL];
        const char *const cells[array_size(columns)] = {vm,      "-",
                                                        "kvm",   admin_stage_name(status->stage),
                                                        "kills", number(status->broker_pid, pid),
                                                        "-",     "-",
                                                        "-",     "-",
                                                        "-",     "-",
                                                        "-",     human(status->loaded, loaded)};

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

                if (d->why[0] != '\0')
                        fprintf(stderr, "bulkhead: ps: VM %s: %s is quarantined: %s\n", vm, d->name, d->why);
                r = table_device(table, vm, d);
        }
        return r;
}

static json_t *json_device(const struct admin_device *d)
{
        char features[CELL];

        snprintf(features, sizeof(features), "0x%016" PRIx64, d->features);
        return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, "
                         "s:I, s:I, s:I, s:s, s:s}",
                         "device", d->name, "type", d->type, "state", admin_state_name(d->state), "seccomp",
                         d->seccomp_log ? "log" : "kill", "attached", (int)d->attached, "pid",
                         (json_int_t)d->pid, "uid", (json_int_t)d->uid, "restarts", (json_int_t)d->restarts,
                         "queues_running", (json_int_t)d->queues_running, "inflight",
                         (json_int_t)d->outstanding, "requests", (json_int_t)d->requests, "bytes_from_guest",
                         (json_int_t)d->bytes_from_guest, "bytes_to_guest", (json_int_t)d->bytes_to_guest,
                         "features", features, "lanes", (json_int_t)d->n_lanes, "resources",
                         (json_int_t)d->n_resources, "rate_ops", (json_int_t)d->rate_ops, "rate_bytes",
                         (json_int_t)d->rate_bytes, "throttled", (json_int_t)d->throttled, "why", d->why,
                         "copy", d->direct ? "direct" : "socket");
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
        struct ps ps = {.vms = json_array()};
        char run_dir[PATH_MAX], why[512] = "out of memory";
        int r = ps.vms ? 0 : -ENOMEM;

        if (r == 0 && !args->option[CTL_OPTION_JSON]) {
                table = table_new(columns, array_size(columns));
                ps.table = table;
                r = table ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = vm_scan(args, run_dir, visit, &ps, why, sizeof(why));
        if (r == 0 && !table)
                r = print_json(run_dir, ps.vms);
        else if (r == 0 && ps.n_vms == 0)
                fprintf(stderr, "bulkhead: ps: no VM under %s\n", run_dir);
        else if (r == 0)
                r = table_print(table);
        json_decref(ps.vms);
        if (r < 0)
                fprintf(stderr, "bulkhead: ps: %s\n", why);
        return r < 0 || ps.n_unknown > 0 ? CTL_FAILED : CTL_OK;
}
