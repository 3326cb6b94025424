/* bulkhead audit: measure every process, compare with its policy.
 * Owns the facts of all VMs while it runs; called by ctl_main.c.
 *
 * How it works: first every VM is asked and measured, then all are judged, because namespaces and uids are
 * compared across VMs; then rows are printed. A VM whose processes change while they are measured is asked
 * again.
 *
 * TRUST: answers are judged by admin_client.c and only say where to look.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/ctl/audit_rules.h"
#include "broker/ctl/ctl.h"
#include "broker/ctl/table.h"
#include "broker/ctl/vm_scan.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define MEASURE_ATTEMPTS                                                                                     \
        25u /* half a second: passt shuts itself in after its start; who changes for longer is a finding */

DEFINE_CLEANUP(struct table, table, table_free)

struct audit {
        char run_dir[PATH_MAX];
        struct audit_vm *vms;
        size_t n_vms, n_failed, n_rows;
        struct table *table; /* NULL: JSON */
        json_t *json_vms;    /* array */
        json_t *json_rows;   /* of the subject at work; borrowed */
        const char *vm;
        char process[2 * LIMIT_NAME]; /* of the subject at work */
};

static const struct table_column columns[] = {
    {"VM", false},       {"PROCESS", false}, {"FACT", false},
    {"MEASURED", false}, {"WANTED", false},  {"VERDICT", false},
};

static int measure_again(struct audit *audit, struct audit_vm *vm, const struct admin_answer *first)
{
        _cleanup_free_ struct admin_answer *answer = malloc(sizeof(*answer));
        int r;

        if (!answer)
                return -ENOMEM;
        *answer = *first;
        for (unsigned i = 0; i < MEASURE_ATTEMPTS; i++) {
                struct timespec pause = {.tv_nsec = 20000000}; /* a restart takes a few ms */

                r = audit_measure(answer, vm);
                if (r != -ESRCH)
                        return r;
                nanosleep(&pause, NULL);
                r = admin_client_status(audit->run_dir, vm->name, LIMIT_CTL_ANSWER_MS, answer, vm->why,
                                        sizeof(vm->why));
                if (r < 0) {
                        vm->error = r;
                        return r == -ENOMEM ? r : 0;
                }
        }
        return 0; /* the rows say which process is gone */
}

static int visit_vm(void *context, const char *name, int error, const struct admin_answer *answer,
                    const char *why)
{
        struct audit *audit = context;
        struct audit_vm *vms = reallocarray(audit->vms, audit->n_vms + 1, sizeof(*vms));
        struct audit_vm *vm;

        if (!vms)
                return -ENOMEM;
        audit->vms = vms;
        vm = &vms[audit->n_vms++];
        *vm = (struct audit_vm){.error = error};
        snprintf(vm->name, sizeof(vm->name), "%s", name);
        snprintf(vm->why, sizeof(vm->why), "%s", why);
        return answer ? measure_again(audit, vm, answer) : 0;
}

static int visit_row(void *context, const struct audit_row *row)
{
        struct audit *audit = context;
        const char *const cells[array_size(columns)] = {audit->vm,   audit->process,
                                                        row->fact,   row->measured,
                                                        row->wanted, audit_verdict_name(row->verdict)};

        audit->n_rows++;
        if (audit_verdict_fails(row->verdict))
                audit->n_failed++;
        if (audit->table)
                return table_add(audit->table, cells);
        return json_array_append_new(audit->json_rows,
                                     json_pack("{s:s, s:s, s:s, s:s}", "fact", row->fact, "measured",
                                               row->measured, "wanted", row->wanted, "verdict",
                                               audit_verdict_name(row->verdict))) < 0
                   ? -ENOMEM
                   : 0;
}

/* Rows of one process, in the table or as {role, process, pid, rows} at the end of `processes`. */
static int judge_subject(struct audit *audit, const struct audit_subject *subject, json_t *processes)
{
        const char *role = audit_role_name(subject->role);
        json_t *object;

        audit->vm = subject->vm->name;
        snprintf(audit->process, sizeof(audit->process), "%s%s%s",
                 subject->device ? subject->device->name : role, subject->role == AUDIT_COMPANION ? ":" : "",
                 subject->role == AUDIT_COMPANION ? subject->device->companion : "");
        if (!audit->table) {
                object = json_pack("{s:s, s:s, s:I, s:[]}", "role", role, "process", audit->process, "pid",
                                   (json_int_t)subject->facts->pid, "rows");
                audit->json_rows = json_object_get(object, "rows");
                if (json_array_append_new(processes, object) < 0)
                        return -ENOMEM;
        }
        if (subject->device && subject->facts->pid == 0) {
                struct audit_row row = {.fact = "process", .wanted = "none or jailed", .verdict = AUDIT_OK};

                snprintf(row.measured, sizeof(row.measured), "none: %s",
                         subject->role == AUDIT_WORKER ? admin_state_name(subject->device->state)
                                                       : "restarting");
                return visit_row(audit, &row);
        }
        return audit_rules_apply(subject, visit_row, audit);
}

static int judge_answered(struct audit *audit, const struct audit_vm *vm, const struct audit_scene *scene,
                          json_t *processes)
{
        struct audit_subject subject = {
            .role = AUDIT_SPAWNER, .vm = vm, .facts = &vm->spawner, .scene = scene};
        int r = judge_subject(audit, &subject, processes);

        subject.role = AUDIT_BROKER;
        subject.facts = &vm->broker;
        if (r == 0)
                r = judge_subject(audit, &subject, processes);
        subject.role = AUDIT_WORKER;
        for (size_t i = 0; r == 0 && i < vm->status.n_devices; i++) {
                subject.facts = &vm->workers[i];
                subject.device = &vm->status.devices[i];
                r = judge_subject(audit, &subject, processes);
        }
        subject.role = AUDIT_COMPANION;
        for (size_t i = 0; r == 0 && i < vm->status.n_devices; i++) {
                subject.facts = &vm->companions[i];
                subject.device = &vm->status.devices[i];
                if (subject.device->companion[0] != '\0')
                        r = judge_subject(audit, &subject, processes);
        }
        subject.role = AUDIT_WORKER;
        if (r == 0 && vm->loader > 0) {
                subject.facts = &vm->loader_facts;
                subject.device = &vm->loader_device;
                r = judge_subject(audit, &subject, processes);
        }
        return r;
}

static int judge_vm(struct audit *audit, const struct audit_vm *vm, const struct audit_scene *scene)
{
        json_t *object = NULL, *processes = NULL;

        if (vm->error < 0 && !vm_is_dead(vm->error))
                audit->n_failed++;
        if (!audit->table) {
                object = json_pack("{s:s, s:s, s:s, s:[]}", "vm", vm->name, "state",
                                   vm->error == 0          ? "alive"
                                   : vm_is_dead(vm->error) ? "dead"
                                                           : "unknown",
                                   "reason", vm->why, "processes");
                processes = json_object_get(object, "processes");
                if (json_array_append_new(audit->json_vms, object) < 0)
                        return -ENOMEM;
        } else if (vm->error < 0) {
                fprintf(stderr, "bulkhead: audit: VM %s: %s\n", vm->name, vm->why);
        }
        return vm->error < 0 ? 0 : judge_answered(audit, vm, scene, processes);
}

static int judge_all(struct audit *audit)
{
        const struct memory_files none = {0};
        struct proc_facts self;
        const struct audit_scene scene = {.vms = audit->vms, .n_vms = audit->n_vms, .self = &self};
        int r = 0;

        proc_facts_measure(getpid(), &none, &self);
        for (size_t i = 0; r == 0 && i < audit->n_vms; i++)
                r = judge_vm(audit, &audit->vms[i], &scene);
        return r;
}

static int print(const struct audit *audit)
{
        json_t *root;
        int r;

        if (audit->table) {
                if (audit->n_vms == 0)
                        fprintf(stderr, "bulkhead: audit: no VM under %s\n", audit->run_dir);
                if (audit->n_rows == 0)
                        return 0;
                r = table_print(audit->table);
                printf(audit->n_failed == 0 ? "\nNothing is looser than its policy.\n"
                                            : "\n%zu findings: looser than policy, or not to be measured.\n",
                       audit->n_failed);
                return r;
        }
        root = json_pack("{s:s, s:b, s:I, s:O}", "run_dir", audit->run_dir, "ok", audit->n_failed == 0,
                         "findings", (json_int_t)audit->n_failed, "vms", audit->json_vms);
        r = root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 ? 0 : -ENOMEM;
        printf("\n");
        json_decref(root);
        return r;
}

int verb_audit(const struct ctl_args *args)
{
        _cleanup_(cleanup_table) struct table *table = NULL;
        struct audit audit = {.json_vms = json_array()};
        char why[512] = "out of memory";
        int r = audit.json_vms ? 0 : -ENOMEM;

        if (r == 0 && !args->option[CTL_OPTION_JSON]) {
                table = table_new(columns, array_size(columns));
                audit.table = table;
                r = table ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = vm_scan(args, audit.run_dir, visit_vm, &audit, why, sizeof(why));
        if (r == 0)
                r = judge_all(&audit);
        if (r == 0)
                r = print(&audit);
        json_decref(audit.json_vms);
        free(audit.vms);
        if (r < 0)
                fprintf(stderr, "bulkhead: audit: %s\n", why);
        return r < 0 || audit.n_failed > 0 ? CTL_FAILED : CTL_OK;
}
