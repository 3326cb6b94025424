/* What a host lacks for bulkhead: the table of checks, over facts. Pure.
 * Owns nothing; called by `doctor`.
 * TRUST: facts are the kernel's answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/doctor_rules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/open_files.h"
#include "proto/base/checked.h"
#include "sandbox/landlock.h"

#define KERNEL_MAJOR 5 /* clone3, pidfds, and close_range that sets close-on-exec */
#define KERNEL_MINOR 11
#define GROUP_MAY    0060 /* the file mode's read and write of the group */
#define YAMA_NOBODY  3    /* ptrace_scope: not even the owner of the namespace */

static void say(char text[static DOCTOR_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(char text[static DOCTOR_TEXT], const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(text, DOCTOR_TEXT, format, args);
        va_end(args);
}

void doctor_say_why(struct doctor_row *row, const char *why)
{
        const char *cut = strstr(why, "; ");

        if (!cut && (cut = strrchr(why, ':')) && cut[1] != ' ')
                cut = NULL;
        say(row->found, "%.*s", (int)(cut ? (size_t)(cut - why) : strlen(why)), why);
        if (cut)
                say(row->remedy, "%s", cut + 2);
}

static void check_kernel(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "Linux %s, %s", f->release, f->machine);
        if (strcmp(f->machine, "x86_64") != 0 && strcmp(f->machine, "aarch64") != 0) {
                row->verdict = DOCTOR_MISSING;
                say(row->remedy, "bulkhead runs on x86_64 and arm64");
        } else if (f->major < KERNEL_MAJOR || (f->major == KERNEL_MAJOR && f->minor < KERNEL_MINOR)) {
                row->verdict = DOCTOR_MISSING;
                say(row->remedy, "use Linux %d.%d or later", KERNEL_MAJOR, KERNEL_MINOR);
        }
}

static void check_user(const struct doctor_facts *f, struct doctor_row *row)
{
        if (f->uid == 0) {
                say(row->found, "root: each process gets a uid of its own");
                return;
        }
        row->verdict = DOCTOR_WEAKER;
        say(row->found, "uid %u: all processes share it", (unsigned)f->uid);
        say(row->remedy, "start as root for a uid of its own for each process");
}

static void check_userns(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "can be made");
        if (f->userns == 0)
                return;
        row->verdict = DOCTOR_MISSING;
        doctor_say_why(row, f->userns_why);
}

static void check_seccomp(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "filters that kill the process");
        if (f->seccomp)
                return;
        row->verdict = DOCTOR_MISSING;
        say(row->found, "no filters");
        say(row->remedy, "use a kernel with CONFIG_SECCOMP_FILTER");
}

static void check_landlock(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "ABI %d", f->landlock_abi);
        if (f->landlock_abi >= LANDLOCK_ABI_SCOPE)
                return;
        row->verdict = DOCTOR_WEAKER;
        if (f->landlock_abi == 0) {
                say(row->found, "none");
                say(row->remedy, "use Linux 5.13 or later, with landlock in the kernel's lsm= list");
        } else {
                say(row->found, "ABI %d, without %sscopes", f->landlock_abi,
                    f->landlock_abi < LANDLOCK_ABI_NET ? "network rules and " : "");
                say(row->remedy, "use Linux 6.12 or later");
        }
}

static void check_mapped_mounts(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "with other ids, tmpfs too");
        if (f->mapped_tmpfs)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->found, "%s",
            f->mapped_mounts ? "with other ids, but not of tmpfs" : "with their own ids only");
        say(row->remedy,
            "use Linux %s or later; else %s worker is its owner itself, and owners cannot be had",
            f->mapped_mounts ? "6.3" : "5.12", f->mapped_mounts ? "such a folder's" : "a shared folder's");
}

static void check_mdwe(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "%s", f->mdwe ? "can be had" : "none");
        if (f->mdwe)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->remedy, "use Linux 6.3 or later; filters refuse such memory all the same");
}

static void check_speculation(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "store bypass and indirect branches can be held, or need not be");
        if (f->spec_store && f->spec_branch)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->found, "no control of %s%s%s", f->spec_store ? "" : "store bypass",
            f->spec_store || f->spec_branch ? "" : " and ", f->spec_branch ? "" : "indirect branches");
        say(row->remedy,
            "it is the processor's and the kernel's (spec_store_bypass_disable=, spectre_v2_user=)");
}

static void check_keyring(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "%s", f->keyring ? "one for each process" : "the kernel has none");
        if (f->keyring)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->remedy, "nothing is lost that processes could share; CONFIG_KEYS");
}

static void check_seals(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "sealed, never executable");
        if (f->seals && f->noexec_seal)
                return;
        row->verdict = f->seals ? DOCTOR_WEAKER : DOCTOR_MISSING;
        say(row->found, "%s", f->seals ? "sealed, but they can be made executable" : "cannot be sealed");
        say(row->remedy, "use %s", f->seals ? "Linux 6.3 or later" : "a kernel with CONFIG_MEMFD_CREATE");
}

static const char *const controller_names[DOCTOR_CONTROLLER_COUNT_] = {
    [DOCTOR_MEMORY] = "memory",
    [DOCTOR_PIDS] = "pids",
    [DOCTOR_CPU] = "cpu",
    [DOCTOR_IO] = "io",
};

static void list_controllers(uint32_t set, char text[static 64])
{
        size_t used = 0;

        text[0] = '\0';
        for (unsigned i = 0; i < DOCTOR_CONTROLLER_COUNT_; i++)
                if (set & (1u << i))
                        used += (size_t)snprintf(text + used, 64 - used, "%s%s", used ? ", " : "",
                                                 controller_names[i]);
}

static void check_cgroups(const struct doctor_facts *f, struct doctor_row *row)
{
        const uint32_t all = (1u << DOCTOR_CONTROLLER_COUNT_) - 1;
        char have[64], lack[64];

        list_controllers(f->controllers, have);
        list_controllers(all & ~f->controllers, lack);
        say(row->found, "version %d: %s", f->cgroup, have);
        if (f->cgroup != 0 && f->controllers == all && f->cgroup_writable)
                return;
        row->verdict = DOCTOR_WEAKER;
        if (f->cgroup == 0) {
                say(row->found, "no controllers");
                say(row->remedy, "mount cgroup2; until then limits: has memory alone, held by rlimits");
        } else if (!f->cgroup_writable) {
                say(row->found, "version %d: %s; not ours to use", f->cgroup, have);
                say(row->remedy,
                    "start as root, or in a unit with Delegate=yes; until then limits: has memory "
                    "alone, held by rlimits");
        } else {
                say(row->found, "version %d: %s; no %s", f->cgroup, have, lack);
                say(row->remedy, "keys of limits: that need %s are refused at start", lack);
        }
}

static void check_copy(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, f->yama < 0 ? "allowed; no Yama" : "allowed; ptrace_scope is %d", f->yama);
        if (f->yama < YAMA_NOBODY)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->found, "kernel.yama.ptrace_scope is %d", f->yama);
        say(row->remedy,
            "bytes go with the messages: say `copy: socket` for disks, or boot with a smaller ptrace_scope");
}

static void check_files(const struct doctor_facts *f, struct doctor_row *row)
{
        char why[DOCTOR_TEXT];

        if (f->files == UINT64_MAX)
                say(row->found, "without a limit");
        else
                say(row->found, "%llu at most", (unsigned long long)f->files);
        if (open_files_judge(f->files, NULL, why, sizeof(why)) == 0)
                return;
        row->verdict = DOCTOR_MISSING;
        doctor_say_why(row, why);
}

/* Nothing of ours asks for them: told because a host's memory may be bound in them. */
static void check_huge(const struct doctor_facts *f, struct doctor_row *row)
{
        if (f->huge_free < 0 || f->huge_size_kib <= 0)
                say(row->found, "the kernel has none; not needed");
        else
                say(row->found, "%ld of %ld KiB reserved and free; not needed", f->huge_free,
                    f->huge_size_kib);
}

/* The group is in the sentence of kvm_host_open; what the processor says is not. */
static void check_kvm_device(const struct doctor_facts *f, struct doctor_row *row)
{
        say(row->found, "there, and we may use it");
        if (f->kvm_opened || f->kvm == 0)
                return;
        row->verdict = DOCTOR_MISSING;
        doctor_say_why(row, f->kvm_why);
        if (f->kvm == -EACCES && !(f->kvm_mode & GROUP_MAY))
                say(row->remedy,
                    "its group may not either: chgrp kvm and chmod 0660, which udev does where there is a "
                    "group kvm");
        else if (f->kvm == -EACCES)
                say(row->remedy, "join its group (%s): usermod -aG, then log in again", f->kvm_group);
        if (f->kvm == -ENOENT && strcmp(f->machine, "x86_64") == 0 && f->cpu_virtualizes)
                say(row->remedy, "the processor can: modprobe kvm_intel, or kvm_amd");
        else if (f->kvm == -ENOENT && strcmp(f->machine, "x86_64") == 0)
                say(row->remedy,
                    "the processor does not say vmx or svm: switch virtualization on in the firmware, "
                    "or nested virtualization in the host of this VM, or use frontend: vhost-user");
}

static void check_kvm(const struct doctor_facts *f, struct doctor_row *row)
{
        if (f->kvm < 0 && !f->kvm_opened) {
                row->verdict = DOCTOR_UNKNOWN;
                say(row->found, "not known without /dev/kvm");
                return;
        }
        if (f->kvm < 0) {
                row->verdict = DOCTOR_MISSING;
                doctor_say_why(row, f->kvm_why);
                return;
        }
        say(row->found, "%s, API 12, %u vCPUs and %u memory slots a VM", f->host.kind, f->host.max_vcpus,
            f->host.max_memslots);
        if (!f->host.software)
                return;
        row->verdict = DOCTOR_WEAKER;
        say(row->remedy, "it runs no ordinary Linux, only guests made for it: use a host with vmx or svm");
}

static void check_width(const struct doctor_facts *f, struct doctor_row *row)
{
        if (f->kvm < 0) {
                row->verdict = DOCTOR_UNKNOWN;
                say(row->found, "not known without KVM");
                return;
        }
        say(row->found, f->host.width_known ? "%u bits" : "%u bits, by default: the kernel does not say",
            f->host.width);
}

static const struct {
        const char *check;
        enum doctor_need need;
        void (*judge)(const struct doctor_facts *facts, struct doctor_row *row);
} checks[] = {
    {"kernel", DOCTOR_NEED_ALL, check_kernel},
    {"user", DOCTOR_NEED_ALL, check_user},
    {"user namespaces", DOCTOR_NEED_ALL, check_userns},
    {"seccomp", DOCTOR_NEED_ALL, check_seccomp},
    {"memfds", DOCTOR_NEED_ALL, check_seals},
    {"Landlock", DOCTOR_NEED_ALL, check_landlock},
    {"mounts of folders", DOCTOR_NEED_ALL, check_mapped_mounts},
    {"memory deny write execute", DOCTOR_NEED_ALL, check_mdwe},
    {"speculation", DOCTOR_NEED_ALL, check_speculation},
    {"keyring", DOCTOR_NEED_ALL, check_keyring},
    {"control groups", DOCTOR_NEED_ALL, check_cgroups},
    {"direct copy", DOCTOR_NEED_ALL, check_copy},
    {"open files", DOCTOR_NEED_ALL, check_files},
    {"huge pages", DOCTOR_NEED_ALL, check_huge},
    {"/dev/kvm", DOCTOR_NEED_KVM, check_kvm_device},
    {"KVM", DOCTOR_NEED_KVM, check_kvm},
    {"address width", DOCTOR_NEED_KVM, check_width},
};

int doctor_rules_apply(const struct doctor_facts *facts,
                       int (*visit)(void *context, const struct doctor_row *row), void *context)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < array_size(checks); i++) {
                struct doctor_row row = {.check = checks[i].check, .need = checks[i].need};

                checks[i].judge(facts, &row);
                r = visit(context, &row);
        }
        return r < 0 ? r : 0;
}

const char *doctor_verdict_name(enum doctor_verdict verdict)
{
        static const char *const names[] = {[DOCTOR_OK] = "ok",
                                            [DOCTOR_WEAKER] = "weaker",
                                            [DOCTOR_MISSING] = "missing",
                                            [DOCTOR_UNKNOWN] = "unknown"};

        _Static_assert(array_size(names) == DOCTOR_VERDICT_COUNT_, "a name for each verdict");
        return (unsigned)verdict < array_size(names) ? names[verdict] : "?";
}
