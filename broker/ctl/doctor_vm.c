/* The rows of one VM: what its configuration asks of this host, most of it if it is one of the broker's own.
 * Owns nothing beyond a call; called by `doctor`. The same questions, by the same functions, as `run` asks.
 * TRUST: the configuration has been judged; of the kernel's file a few bytes are looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/ctl/config_value.h"
#include "broker/ctl/doctor_rules.h"
#include "broker/ctl/kernel_elf.h"
#include "broker/ctl/kernel_kind.h"
#include "broker/ctl/open_files.h"
#include "broker/kvm/layout.h"
#include "broker/kvm/regions.h"
#include "broker/kvm/width.h"
#include "broker/kvm/windows.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "proto/device_resource.h"

struct doctor_vm {
        const struct doctor_facts *facts;
        const struct vm_config *config;
        bool laid_out;
        struct kvm_layout layout;
};

static void say_missing(struct doctor_row *row, const char *why)
{
        row->verdict = DOCTOR_MISSING;
        doctor_say_why(row, why);
}

static void check_layout(struct doctor_vm *vm, struct doctor_row *row)
{
        char why[DOCTOR_TEXT], size[32];
        const struct vm_config *config = vm->config;
        size_t held;

        if (kvm_layout_make(KVM_ARCH_HERE, config->kvm.memory, config->kvm.vcpus, (unsigned)config->n_devices,
                            kvm_regions_len(config), &vm->layout, why, sizeof(why)) < 0) {
                say_missing(row, why);
                return;
        }
        if (kvm_windows_judge(config, &vm->layout, &held, why, sizeof(why)) < 0) {
                say_missing(row, why);
                return;
        }
        vm->laid_out = true;
        snprintf(row->found, sizeof(row->found), "%u vCPUs, %s of memory, %zu devices", config->kvm.vcpus,
                 config_value_size_text(config->kvm.memory, size, sizeof(size)), config->n_devices);
}

/* Without a layout or without KVM there is nothing to compare. */
static bool is_known(const struct doctor_vm *vm, struct doctor_row *row)
{
        if (vm->laid_out && vm->facts->kvm == 0)
                return true;
        row->verdict = DOCTOR_UNKNOWN;
        snprintf(row->found, sizeof(row->found), "not known without what is missing above");
        return false;
}

static void check_host(struct doctor_vm *vm, struct doctor_row *row)
{
        char why[DOCTOR_TEXT];

        if (!is_known(vm, row))
                return;
        if (kvm_host_judge(&vm->facts->host, &vm->layout, why, sizeof(why)) < 0)
                say_missing(row, why);
        else
                snprintf(row->found, sizeof(row->found),
                         "vCPUs, memory and slots are within what this host has");
}

static void check_width(struct doctor_vm *vm, struct doctor_row *row)
{
        char what[DOCTOR_TEXT / 2], why[DOCTOR_TEXT];
        unsigned bits;

        if (!is_known(vm, row))
                return;
        if (kvm_width_judge(&vm->layout, vm->facts->host.width, vm->facts->host.width_known, &bits, why,
                            sizeof(why)) < 0)
                say_missing(row, why);
        else
                snprintf(row->found, sizeof(row->found), "%u bits needed: %s",
                         kvm_width_needed(&vm->layout, what, sizeof(what)), what);
}

static void check_kernel(struct doctor_vm *vm, struct doctor_row *row)
{
        _cleanup_close_ int fd = open(vm->config->boot.kernel, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        uint8_t head[KERNEL_HEAD];
        struct stat st;
        ssize_t n = fd < 0 || fstat(fd, &st) < 0 ? -1 : pread(fd, head, sizeof(head), 0);

        if (n < 0) { /* the configuration's reader has looked a moment ago, and said more */
                say_missing(row, strerror(errno));
                snprintf(row->remedy, sizeof(row->remedy), "correct the path");
        } else if (!kernel_kind(KVM_ARCH_HERE, head, (size_t)n, (uint64_t)st.st_size, row->found,
                                sizeof(row->found))) {
                row->verdict = DOCTOR_MISSING;
        } else if (kernel_is_elf(head,
                                 (size_t)n)) { /* it may be a guest that is made for a KVM in software */
                if (!kernel_elf_boots(fd, (uint64_t)st.st_size, row->found, sizeof(row->found)))
                        row->verdict = DOCTOR_MISSING;
        } else if (vm->facts->host.software) {
                row->verdict = DOCTOR_MISSING;
                snprintf(row->remedy, sizeof(row->remedy),
                         "this KVM (%s) cannot run Linux; use a host with vmx or svm", vm->facts->host.kind);
        }
}

static void check_files(struct doctor_vm *vm, struct doctor_row *row)
{
        char why[DOCTOR_TEXT];

        if (open_files_judge(vm->facts->files, vm->config, why, sizeof(why)) < 0)
                say_missing(row, why);
        else
                snprintf(row->found, sizeof(row->found), "%u at most", vm_config_files(vm->config));
}

static bool has_passt(const struct vm_config *config)
{
        for (size_t i = 0; i < config->n_devices; i++) {
                const char *companion = device_companion(&config->devices[i]);

                if (companion && strcmp(companion, "passt") == 0)
                        return true;
        }
        return false;
}

static void check_buffers(struct doctor_vm *vm, struct doctor_row *row)
{
        if (vm->facts->wmem_max == 0) { /* of a network namespace of our own */
                snprintf(row->found, sizeof(row->found), "not known: net.core.wmem_max cannot be read here");
                return;
        }
        snprintf(row->found, sizeof(row->found), "net.core.wmem_max is %llu",
                 (unsigned long long)vm->facts->wmem_max);
        if (vm->facts->wmem_max >= LIMIT_PASST_SOCKET)
                return;
        row->verdict = DOCTOR_WEAKER;
        snprintf(row->remedy, sizeof(row->remedy),
                 "downloads by passt may slow down: sysctl -w net.core.wmem_max=%u", LIMIT_PASST_SOCKET);
}

static const struct {
        const char *check;
        enum doctor_need need;
        void (*judge)(struct doctor_vm *vm, struct doctor_row *row);
        bool (*applies)(const struct vm_config *config); /* NULL: to every VM */
} checks[] = {
    {"its open files", DOCTOR_NEED_ALL, check_files, NULL},
    {"its socket buffers", DOCTOR_NEED_ALL, check_buffers, has_passt},
    {"this VM", DOCTOR_NEED_KVM, check_layout, NULL},
    {"its place on this host", DOCTOR_NEED_KVM, check_host, NULL},
    {"its address width", DOCTOR_NEED_KVM, check_width, NULL},
    {"its kernel", DOCTOR_NEED_KVM, check_kernel, NULL},
};

int doctor_vm_apply(const struct doctor_facts *facts, const struct vm_config *config,
                    int (*visit)(void *context, const struct doctor_row *row), void *context)
{
        struct doctor_vm vm = {.facts = facts, .config = config};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < array_size(checks); i++) {
                struct doctor_row row = {.check = checks[i].check, .need = checks[i].need};

                if (row.need == DOCTOR_NEED_KVM && config->frontend != VM_FRONTEND_KVM)
                        continue;
                if (checks[i].applies && !checks[i].applies(config))
                        continue;
                checks[i].judge(&vm, &row);
                r = visit(context, &row);
        }
        return r < 0 ? r : 0;
}
