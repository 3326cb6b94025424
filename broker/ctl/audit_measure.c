/* Measuring all processes of one VM.
 * Owns nothing beyond a call; called by verb_audit.c. TRUST: pids are the broker's word and only say where to
 * look: who a process is, is measured (parent, program, uid), and processes that were left out are looked
 * for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/process_tree.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/device_type.h"

/* What the broker has mapped, from its own maps. Unreadable: then nobody's guest memory can be told. */
static int collect_files(pid_t broker, struct memory_files *ret_files)
{
        _cleanup_(proc_process_close) struct proc_process process = PROC_PROCESS_NONE;
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r = proc_process_open(broker, &process);

        if (r == 0)
                r = proc_file_read(process.folder_fd, "maps", &text, &len);
        if (r == 0)
                r = memory_files_collect(text, len, ret_files);
        return r;
}

/* Is it the one child of the spawner that is no device's? It lives for as long as a VM of our own boots. */
static bool is_loader(const struct audit_vm *vm, pid_t pid)
{
        const struct memory_files none = {0};
        struct proc_facts facts;

        proc_facts_measure(pid, &none, &facts);
        return vm->n_vcpus > 0 && facts.program_error == 0 && facts.status_error == 0 &&
               facts.status.ppid == (pid_t)vm->status.spawner_pid &&
               strcmp(facts.program, device_types[DEVICE_TYPE_LOADER].program) == 0;
}

static int find_strangers(struct audit_vm *vm)
{
        _cleanup_(process_tree_done) struct process_tree tree = {0};
        const pid_t spawner = (pid_t)vm->status.spawner_pid;
        pid_t known[1 + LIMIT_WORKERS + LIMIT_DEVICES];
        size_t n = 0;
        int r = process_tree_read(&tree);

        if (r < 0)
                return r;
        known[n++] = (pid_t)vm->status.broker_pid;
        for (size_t i = 0; i < vm->status.n_devices; i++) {
                if (vm->status.devices[i].pid > 0)
                        known[n++] = (pid_t)vm->status.devices[i].pid;
                if (vm->status.devices[i].companion_pid > 0)
                        known[n++] = (pid_t)vm->status.devices[i].companion_pid;
        }
        vm->loader = 0;
        vm->n_strangers = process_tree_strangers(&tree, spawner, known, n, &vm->stranger);
        if (vm->n_strangers == 0 || !is_loader(vm, vm->stranger))
                return 0;
        vm->loader = known[n++] = vm->stranger;
        vm->n_strangers = process_tree_strangers(&tree, spawner, known, n, &vm->stranger);
        return 0;
}

/* Without knowing the broker's files we still know this: who maps no file and holds none, maps and holds none
 * of them. */
static void measure_one(uint32_t pid, const struct memory_files *files, int files_error,
                        struct proc_facts *facts)
{
        proc_facts_measure((pid_t)pid, files, facts);
        if (files_error == 0)
                return;
        if (facts->maps_error == 0 && facts->file_bytes + facts->shared_bytes > 0)
                facts->maps_error = files_error;
        if (facts->fds_guest_error == 0 && facts->fds_file + facts->fds_other > 0)
                facts->fds_guest_error = files_error;
}

/* -ESRCH: it has ended. */
static int measure_device(uint32_t pid, const struct memory_files *files, int files_error,
                          struct proc_facts *facts)
{
        *facts = (struct proc_facts){0};
        if (pid == 0)
                return 0;
        measure_one(pid, files, files_error, facts);
        return facts->error == -ESRCH ? -ESRCH : 0;
}

/* A companion does that itself, in the first milliseconds of its life; it is looked at again. One that never does is
 * reported: nobody looks for ever. */
static bool is_shut_in(const struct proc_facts *facts)
{
        return facts->pid == 0 || facts->status_error < 0 || facts->status.seccomp_filters > 0;
}

/* It is a worker like any other but for its short life, and that the broker does not name it: it holds a kernel, and an
 * initrd if there is one. -ESRCH: it has ended, or has not shut itself in yet, and will be another when it is looked at
 * again. */
static int measure_loader(struct audit_vm *vm, const struct memory_files *files, int files_error)
{
        struct admin_device *device = &vm->loader_device;

        uint32_t n_files;

        measure_one((uint32_t)vm->loader, files, files_error, &vm->loader_facts);
        n_files = MAX(vm->loader_facts.fds_file, 1u);
        if (vm->loader_facts.error == -ESRCH ||
            (vm->loader_facts.status_error == 0 && vm->loader_facts.status.seccomp_filters < WORKER_FILTERS))
                return -ESRCH;
        *device = (struct admin_device){.state = ADMIN_RUNNING,
                                        .pid = (uint32_t)vm->loader,
                                        .n_lanes = 1,
                                        .resources = {.of = {[RESOURCE_FILE] = n_files}}};
        strcpy(device->name, device_types[DEVICE_TYPE_LOADER].name);
        strcpy(device->type, device_types[DEVICE_TYPE_LOADER].name);
        return 0;
}

int audit_measure(const struct admin_answer *answer, struct audit_vm *vm)
{
        _cleanup_(memory_files_done) struct memory_files files = {0};
        int files_error;

        vm->status = answer->status;
        vm->peer_pid = answer->peer_pid;
        files_error = collect_files((pid_t)vm->status.broker_pid, &files);
        if (files_error == -ESRCH || files_error == -ENOMEM)
                return files_error;
        vm->guest_bytes = files.bytes;
        vm->n_vcpus = files.n_vcpus;
        measure_one(vm->status.broker_pid, &files, files_error, &vm->broker);
        if (vm->status.spawner_alive)
                measure_one(vm->status.spawner_pid, &files, files_error, &vm->spawner);
        else
                vm->spawner = (struct proc_facts){.pid = (pid_t)vm->status.spawner_pid, .error = -ESRCH};
        for (size_t i = 0; i < vm->status.n_devices; i++)
                if (measure_device(vm->status.devices[i].pid, &files, files_error, &vm->workers[i]) < 0 ||
                    measure_device(vm->status.devices[i].companion_pid, &files, files_error,
                                   &vm->companions[i]) < 0 ||
                    !is_shut_in(&vm->companions[i]))
                        return -ESRCH;
        if (vm->status.spawner_alive)
                vm->strangers_error = find_strangers(vm);
        if (vm->loader > 0 && measure_loader(vm, &files, files_error) < 0)
                return -ESRCH;
        if (vm->status.stage == ADMIN_BOOTING && vm->n_strangers > 0)
                return -ESRCH; /* a loader before it has its program */
        return vm->broker.error == -ESRCH ? -ESRCH : 0;
}
