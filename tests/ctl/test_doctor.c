/* What doctor finds: facts out of the kernel's files, rows out of facts, kernels by their first bytes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/doctor_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/ctl/kernel_kind.h"
#include "proto/base/checked.h"
#include "proto/device/net.h"

/* A host that has everything. */
static const struct doctor_facts whole = {
    .release = "6.18.1",
    .machine = "x86_64",
    .major = 6,
    .minor = 18,
    .landlock_abi = 6,
    .seccomp = true,
    .mdwe = true,
    .keyring = true,
    .mapped_mounts = true,
    .mapped_tmpfs = true,
    .spec_store = true,
    .spec_branch = true,
    .seals = true,
    .noexec_seal = true,
    .yama = -1,
    .cgroup = 2,
    .controllers = 15,
    .cgroup_writable = true,
    .files = 184,
    .huge_free = 0,
    .huge_size_kib = 2048,
    .kvm_opened = true,
    .cpu_virtualizes = true,
    .host = {.fd = -1,
             .width = 48,
             .width_known = true,
             .max_vcpus = 4,
             .max_memslots = 509,
             .vcpu_mmap_size = 12288,
             .kind = "kvm_amd",
             .memory = UINT64_C(64) << 30},
};

static struct doctor_facts facts;

/* ---- rows out of facts ---- */

struct wanted {
        const char *check;
        enum doctor_verdict verdict;
        const char *found, *remedy;
        unsigned seen, other; /* rows of that name; rows that are not ok beside it */
};

static int look(void *context, const struct doctor_row *row)
{
        struct wanted *wanted = context;

        assert_true(row->found[0] != '\0');
        assert_null(strchr(row->found, '\n'));
        assert_null(strchr(row->remedy, '\n'));
        if (row->verdict == DOCTOR_OK)
                assert_string_equal(row->remedy, "");
        if (row->verdict == DOCTOR_MISSING || row->verdict == DOCTOR_WEAKER)
                assert_true(row->remedy[0] != '\0' || strchr(row->found, ';') || strchr(row->found, ':'));
        if (strcmp(row->check, wanted->check) != 0) {
                wanted->other += row->verdict != DOCTOR_OK && row->verdict != DOCTOR_UNKNOWN;
                return 0;
        }
        wanted->seen++;
        if (row->verdict != wanted->verdict || !strstr(row->found, wanted->found) ||
            !strstr(row->remedy, wanted->remedy))
                fail_msg("%s: %s, \"%s\", \"%s\"", row->check, doctor_verdict_name(row->verdict), row->found,
                         row->remedy);
        return 0;
}

/* Exactly this row changes, and to this; the next test begins with a whole host. */
static void finds(const char *check, enum doctor_verdict verdict, const char *found, const char *remedy)
{
        struct wanted wanted = {.check = check, .verdict = verdict, .found = found, .remedy = remedy};

        assert_int_equal(doctor_rules_apply(&facts, look, &wanted), 0);
        assert_int_equal(wanted.seen, 1);
        assert_int_equal(wanted.other, 0);
        facts = whole;
}

static int begin(void **state)
{
        (void)state;
        facts = whole;
        return 0;
}

static void a_whole_host_lacks_nothing(void **state)
{
        (void)state;
        finds("kernel", DOCTOR_OK, "Linux 6.18.1, x86_64", "");
        finds("control groups", DOCTOR_OK, "version 2: memory, pids, cpu, io", "");
        finds("KVM", DOCTOR_OK, "kvm_amd, API 12, 4 vCPUs and 509 memory slots", "");
        finds("address width", DOCTOR_OK, "48 bits", "");
}

static void each_lack_is_one_row_with_a_remedy(void **state)
{
        (void)state;
        facts.major = 5, facts.minor = 10;
        finds("kernel", DOCTOR_MISSING, "Linux", "use Linux 5.11 or later");
        facts.major = 5, facts.minor = 11;
        finds("kernel", DOCTOR_OK, "Linux", "");
        facts.major = 4, facts.minor = 20;
        finds("kernel", DOCTOR_MISSING, "Linux", "5.11");
        strcpy(facts.machine, "riscv64");
        finds("kernel", DOCTOR_MISSING, "riscv64", "x86_64 and arm64");
        facts.uid = 1000;
        finds("user", DOCTOR_WEAKER, "uid 1000", "start as root");
        facts.userns = -EPERM;
        strcpy(facts.userns_why, "user namespaces are not available (no), and no worker runs: set a sysctl");
        finds("user namespaces", DOCTOR_MISSING, "not available (no), and no worker runs", "set a sysctl");
        facts.seccomp = false;
        finds("seccomp", DOCTOR_MISSING, "no filters", "CONFIG_SECCOMP_FILTER");
        facts.seals = false;
        finds("memfds", DOCTOR_MISSING, "cannot be sealed", "use");
        facts.noexec_seal = false;
        finds("memfds", DOCTOR_WEAKER, "can be made executable", "Linux 6.3");
        facts.mapped_tmpfs = false;
        finds("mounts of folders", DOCTOR_WEAKER, "not of tmpfs", "Linux 6.3");
        facts.mapped_mounts = facts.mapped_tmpfs = false;
        finds("mounts of folders", DOCTOR_WEAKER, "own ids only", "owners cannot be had");
        facts.mdwe = false;
        finds("memory deny write execute", DOCTOR_WEAKER, "none", "Linux 6.3");
        facts.keyring = false;
        finds("keyring", DOCTOR_WEAKER, "none", "CONFIG_KEYS");
        facts.spec_store = false;
        finds("speculation", DOCTOR_WEAKER, "no control of store bypass", "spec_store_bypass_disable");
        facts.spec_branch = false;
        finds("speculation", DOCTOR_WEAKER, "no control of indirect branches", "spectre_v2_user");
        facts.yama = 2;
        finds("direct copy", DOCTOR_OK, "ptrace_scope is 2", "");
        facts.yama = 3;
        finds("direct copy", DOCTOR_WEAKER, "ptrace_scope is 3", "with the messages");
        facts.files = 183;
        finds("open files", DOCTOR_MISSING, "183 open files are allowed, and a VM may need 184",
              "ulimit -Hn 184");
        facts.files = UINT64_MAX;
        finds("open files", DOCTOR_OK, "without a limit", "");
        facts.huge_free = -1;
        finds("huge pages", DOCTOR_OK, "none; not needed", "");
}

static void what_landlock_lacks_is_named(void **state)
{
        (void)state;
        facts.landlock_abi = 0;
        finds("Landlock", DOCTOR_WEAKER, "none", "lsm=");
        facts.landlock_abi = 3;
        finds("Landlock", DOCTOR_WEAKER, "ABI 3, without network rules and scopes", "Linux 6.12");
        facts.landlock_abi = 5;
        finds("Landlock", DOCTOR_WEAKER, "ABI 5, without scopes", "Linux 6.12");
        facts.landlock_abi = 6;
        finds("Landlock", DOCTOR_OK, "ABI 6", "");
}

static void what_control_groups_lack_is_named(void **state)
{
        (void)state;
        facts.cgroup = 0;
        facts.controllers = 0;
        finds("control groups", DOCTOR_WEAKER, "no controllers", "mount cgroup2");
        facts.controllers = 1u << DOCTOR_MEMORY | 1u << DOCTOR_PIDS;
        finds("control groups", DOCTOR_WEAKER, "version 2: memory, pids; no cpu, io", "that need cpu, io");
        facts.cgroup = 1;
        facts.cgroup_writable = false;
        finds("control groups", DOCTOR_WEAKER, "version 1: memory, pids, cpu, io; not ours", "Delegate=yes");
}

static void no_kvm_is_told_with_what_the_processor_says(void **state)
{
        (void)state;
        facts.kvm_opened = false;
        facts.kvm = -ENOENT;
        strcpy(facts.kvm_why, "there is no /dev/kvm; load it");
        finds("/dev/kvm", DOCTOR_MISSING, "there is no /dev/kvm", "modprobe kvm_intel, or kvm_amd");
        facts.kvm_opened = facts.cpu_virtualizes = false;
        facts.kvm = -ENOENT;
        strcpy(facts.kvm_why, "there is no /dev/kvm; load it");
        finds("/dev/kvm", DOCTOR_MISSING, "there is no /dev/kvm", "does not say vmx or svm");
        facts.kvm_opened = false;
        facts.kvm = -EACCES;
        facts.kvm_mode = S_IFCHR | 0660;
        strcpy(facts.kvm_group, "kvm");
        strcpy(facts.kvm_why, "no permission to open /dev/kvm for user 5; so");
        finds("/dev/kvm", DOCTOR_MISSING, "no permission to open /dev/kvm for user 5",
              "join its group (kvm)");
        facts.kvm_opened = false;
        facts.kvm = -EACCES;
        facts.kvm_mode = S_IFCHR | 0600;
        strcpy(facts.kvm_why, "no permission; so");
        finds("/dev/kvm", DOCTOR_MISSING, "no permission", "chgrp kvm and chmod 0660");
        facts.kvm_opened = false;
        facts.kvm = -EBUSY;
        strcpy(facts.kvm_why, "/dev/kvm is busy; stop the other");
        finds("/dev/kvm", DOCTOR_MISSING, "busy", "stop the other");
}

static void a_kvm_that_will_not_do_is_told(void **state)
{
        (void)state;
        facts.kvm = -EOPNOTSUPP;
        strcpy(facts.kvm_why, "this KVM lacks KVM_CAP_IRQFD: interrupts; use a newer kernel");
        finds("KVM", DOCTOR_MISSING, "lacks KVM_CAP_IRQFD: interrupts", "use a newer kernel");
        facts.host.software = true;
        strcpy(facts.host.kind, "kvm_pvm: software");
        finds("KVM", DOCTOR_WEAKER, "kvm_pvm: software", "runs no ordinary Linux");
        facts.host.width_known = false;
        finds("address width", DOCTOR_OK, "by default: the kernel does not say", "");
}

static int stop_at_once(void *context, const struct doctor_row *row)
{
        (void)row;
        ++*(unsigned *)context;
        return -ENOSPC;
}

static void a_visitor_that_fails_stops_it(void **state)
{
        unsigned n = 0;

        (void)state;
        assert_int_equal(doctor_rules_apply(&facts, stop_at_once, &n), -ENOSPC);
        assert_int_equal(n, 1);
}

/* ---- one VM ---- */

static struct vm_config config;
static struct device_config devices[LIMIT_DEVICES + 1];

static void vm_finds(const char *check, enum doctor_verdict verdict, const char *found)
{
        struct wanted wanted = {.check = check, .verdict = verdict, .found = found, .remedy = ""};

        assert_int_equal(doctor_vm_apply(&facts, &config, look, &wanted), 0);
        assert_int_equal(wanted.seen, 1);
}

static void begin_vm(const char *kernel)
{
        facts = whole;
        facts.files = 1024;
        for (size_t i = 0; i < array_size(devices); i++)
                devices[i] = (struct device_config){.n_queues = 1, .n_lanes = 1};
        config = (struct vm_config){.frontend = VM_FRONTEND_KVM,
                                    .kvm = {.vcpus = 2, .memory = UINT64_C(1) << 30},
                                    .devices = devices,
                                    .n_devices = 2};
        snprintf(config.boot.kernel, sizeof(config.boot.kernel), "%s", kernel);
}

static uint8_t head[KERNEL_HEAD];

static void make_bzimage(unsigned version, unsigned xloadflags)
{
        memset(head, 0, sizeof(head));
        memcpy(head + 0x202, "HdrS", 4);
        head[0x206] = (uint8_t)version, head[0x207] = (uint8_t)(version >> 8);
        head[0x236] = (uint8_t)xloadflags;
}

/* In a file, and a VM that boots it. */
static void make_kernel(bool elf)
{
        char path[] = "/tmp/bulkhead-test-XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        make_bzimage(0x020f, 1);
        head[0x1f1] = 1; /* so that something lies behind the setup code */
        if (elf)
                memcpy(head, "\177ELF\2\1", 6);
        head[0x12] = 62;
        assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
        assert_int_equal(ftruncate(fd, 4096), 0);
        close(fd);
        begin_vm(path);
}

static void a_vm_is_held_against_its_host(void **state)
{
        (void)state;
        begin_vm("/dev/null");
        vm_finds("this VM", DOCTOR_OK, "2 vCPUs, 1G of memory, 2 devices");
        vm_finds("its place on this host", DOCTOR_OK, "within");
        vm_finds("its address width", DOCTOR_OK, "bits needed");
        vm_finds("its kernel", DOCTOR_MISSING, "no kernel");
        config.kvm.vcpus = 5;
        vm_finds("its place on this host", DOCTOR_MISSING, "vcpus is 5 and this host's KVM allows 4");
        config.kvm.vcpus = 1;
        config.kvm.memory = UINT64_C(65) << 30;
        vm_finds("its place on this host", DOCTOR_MISSING, "memory is 66560 MiB and this host has 65536 MiB");
        facts.host.memory = 0;
        facts.host.width = 36;
        vm_finds("its address width", DOCTOR_MISSING, "36");
        facts.kvm = -ENOENT;
        vm_finds("its place on this host", DOCTOR_UNKNOWN, "not known");
        vm_finds("its address width", DOCTOR_UNKNOWN, "not known");
        begin_vm("/dev/null");
        config.n_devices = LIMIT_DEVICES + 1;
        vm_finds("this VM", DOCTOR_MISSING, "devices");
        begin_vm("/no/such/kernel");
        vm_finds("its kernel", DOCTOR_MISSING, "No such file");
        make_kernel(false);
        vm_finds("its kernel", DOCTOR_OK, "bzImage");
        facts.host.software = true;
        vm_finds("its kernel", DOCTOR_MISSING, "bzImage");
        unlink(config.boot.kernel);
        make_kernel(true);
        facts.host.software = true;
        vm_finds("its kernel", DOCTOR_MISSING, "ELF, but no program"); /* not that it is no guest of ours */
        unlink(config.boot.kernel);
}

static int count(void *context, const struct doctor_row *row)
{
        (void)row;
        ++*(unsigned *)context;
        return 0;
}

static void a_vm_of_another_front_end_has_one_row(void **state)
{
        unsigned n = 0;

        (void)state;
        begin_vm("/dev/null");
        config.frontend = VM_FRONTEND_VHOST_USER;
        assert_int_equal(doctor_vm_apply(&facts, &config, count, &n), 0);
        assert_int_equal(n, 1);
        vm_finds("its open files", DOCTOR_OK, "240 at most"); /* 128, and 56 a device */
        facts.files = 239;
        vm_finds("its open files", DOCTOR_MISSING, "239 open files are allowed, and this VM may need 240");
        devices[1].n_queues = LIMIT_QUEUES;
        devices[1].n_lanes = LIMIT_LANES;
        facts.files = 1024;
        vm_finds("its open files", DOCTOR_MISSING, "this VM may need 1368");
        config.frontend = VM_FRONTEND_KVM;
        vm_finds("its open files", DOCTOR_MISSING, "1024 open files are allowed");
}

static void passt_has_a_row_for_its_socket(void **state)
{
        unsigned n = 0;

        (void)state;
        begin_vm("/dev/null");
        config.frontend = VM_FRONTEND_VHOST_USER;
        devices[1].type = DEVICE_TYPE_NET;
        for (size_t i = 0; i < LIMIT_OPTIONS; i++)
                devices[1].options.value[i].text = "";
        facts.wmem_max = LIMIT_PASST_SOCKET;
        vm_finds("its socket buffers", DOCTOR_OK, "net.core.wmem_max is 4194304");
        facts.wmem_max--;
        vm_finds("its socket buffers", DOCTOR_WEAKER, "net.core.wmem_max is 4194303");
        facts.wmem_max = 0;
        vm_finds("its socket buffers", DOCTOR_OK, "not known: net.core.wmem_max cannot be read here");
        devices[1].options.value[NET_OPTION_BACKEND].number = NET_CARRIER_TAP;
        assert_int_equal(doctor_vm_apply(&facts, &config, count, &n), 0);
        assert_int_equal(n, 1);
}

/* ---- kernels ---- */

static uint64_t file_size = 1 << 20; /* of the file that begins with `head` */

static void kernel_is(enum kvm_arch arch, size_t len, bool good, const char *words)
{
        char text[DOCTOR_TEXT];

        assert_int_equal(kernel_kind(arch, head, len, file_size, text, sizeof(text)), good);
        if (!strstr(text, words))
                fail_msg("\"%s\" does not say \"%s\"", text, words);
        if (!good)
                assert_non_null(strchr(text, ':'));
}

static void kernels_are_told_by_their_first_bytes(void **state)
{
        (void)state;
        make_bzimage(0x020f, 0x7f);
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "bzImage of boot protocol 2.15");
        kernel_is(KVM_ARCH_X86_64, sizeof(head) - 1, false, "no kernel");
        kernel_is(KVM_ARCH_ARM64, sizeof(head), false, "a kernel of x86");
        make_bzimage(0x020c, 1);
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "2.12");
        make_bzimage(0x020b, 1);
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "2.11: use a kernel from Linux 3.8 on");
        make_bzimage(0x020f, 0x7e);
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "of 32 bits");
        memset(head, 0, sizeof(head));
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "no kernel");
        kernel_is(KVM_ARCH_ARM64, sizeof(head), false, "name an Image");
        kernel_is(KVM_ARCH_X86_64, 0, false, "no kernel");
        memcpy(head, "\177ELF\2\1", 6);
        head[0x12] = 62;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "PVH");
        head[0x4] = 1;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "another architecture");
        head[0x12] = 3;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "ELF of 32 bits, which boots by its PVH note");
        head[0x5] = 2;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "another architecture");
        memcpy(head, "\177ELF\2\1", 6);
        head[0x12] = 183;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "another architecture");
        memset(head, 0, sizeof(head));
        memcpy(head + 0x38, "ARM\x64", 4);
        kernel_is(KVM_ARCH_ARM64, sizeof(head), true, "Image of arm64");
        kernel_is(KVM_ARCH_ARM64, 0x3b, false, "no kernel of arm64");
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "a kernel of arm64");
        memcpy(head, "\x1f\x8b", 2);
        kernel_is(KVM_ARCH_ARM64, sizeof(head), false, "gunzip");
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "gzip");
        memcpy(head, "MZ\0\0zimg", 8);
        kernel_is(KVM_ARCH_ARM64, sizeof(head), false, "zboot");
}

static void bzimage_that_is_cut_short_is_told(void **state)
{
        (void)state;
        make_bzimage(0x020f, 0x7f);
        head[0x1f1] = 3;
        head[0x1f4] = 1; /* 0x010001 units of 16 bytes behind four sectors */
        head[0x1f6] = 1;
        file_size = 4 * 512 + 0x10000 * 16 + 1;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "bzImage of");
        file_size--;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "cut short: copy the kernel again");
        head[0x1f1] = 0; /* means 4 */
        file_size += 512;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "cut short");
        file_size++;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), true, "bzImage of");
        memset(head + 0x1f1, 0, 7);
        file_size = 5 * 512;
        kernel_is(KVM_ARCH_X86_64, sizeof(head), false, "cut short"); /* nothing behind the setup code */
        file_size = 1 << 20;
}

/* ---- facts ---- */

static void processors_that_virtualize_say_so(void **state)
{
        (void)state;
        assert_true(doctor_facts_cpu("processor\t: 0\nflags\t\t: fpu vmx sse\nbugs\t: x\n"));
        assert_true(doctor_facts_cpu("a\nflags\t\t: fpu svm"));
        assert_false(doctor_facts_cpu("processor\t: 0\nflags\t\t: fpu vmxx sse\nbugs\t: vmx svm\n"));
        assert_false(doctor_facts_cpu("Features\t: fp asimd\n"));
        assert_false(doctor_facts_cpu(""));
}

static char tree[] = "/tmp/bulkhead-test-XXXXXX";

static void make_file(const char *path, const char *text)
{
        char place[256];
        FILE *file;

        snprintf(place, sizeof(place), "%s%s", tree, path);
        for (char *slash = strchr(place + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                mkdir(place, 0755);
                *slash = '/';
        }
        file = fopen(place, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

static int tree_setup(void **state)
{
        facts = (struct doctor_facts){0};
        (void)state;
        return mkdtemp(tree) ? 0 : -1;
}

static int tree_teardown(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -r %s", tree);
        if (system(command) != 0)
                return -1;
        memcpy(tree + strlen(tree) - 6, "XXXXXX", 6);
        return 0;
}

#define MOUNT_V2 "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1                                                                                             \
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                                  \
        "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"                                \
        "37 31 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"

static void version_2_has_what_our_group_is_given(void **state)
{
        (void)state;
        make_file("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        make_file("/sys/fs/cgroup/user.slice/cgroup.controllers", "memory pids\n");
        doctor_facts_cgroups(tree, MOUNT_V2, "0::/user.slice\n", &facts);
        assert_int_equal(facts.cgroup, 2);
        assert_int_equal(facts.controllers, 1u << DOCTOR_MEMORY | 1u << DOCTOR_PIDS);
        assert_true(facts.cgroup_writable);
        doctor_facts_cgroups(tree, MOUNT_V2, "0::/\n", &facts);
        assert_int_equal(facts.controllers, 15);
        doctor_facts_cgroups(tree, MOUNT_V2, "5:x:/a\n0::/not/shown\n", &facts);
        assert_int_equal(facts.controllers, 15);
}

static void version_1_is_used_where_version_2_has_no_controllers(void **state)
{
        (void)state;
        make_file("/sys/fs/cgroup/memory/tasks", "");
        make_file("/sys/fs/cgroup/cpu/tasks", "");
        make_file("/sys/fs/cgroup/blkio/tasks", "");
        doctor_facts_cgroups(tree, MOUNT_V1 MOUNT_V2, "4:memory:/\n0::/\n", &facts);
        assert_int_equal(facts.cgroup, 1);
        assert_int_equal(facts.controllers, 1u << DOCTOR_MEMORY | 1u << DOCTOR_CPU | 1u << DOCTOR_IO);
        assert_true(facts.cgroup_writable);
        doctor_facts_cgroups(tree, "", "", &facts);
        assert_int_equal(facts.cgroup, 0);
        assert_int_equal(facts.controllers, 0);
        doctor_facts_cgroups(tree, "no mount\n - \n\n", "::", &facts);
        assert_int_equal(facts.cgroup, 0);
}

static void files_are_looked_up_below_the_root(void **state)
{
        (void)state;
        make_file("/proc/sys/kernel/yama/ptrace_scope", "3\n");
        make_file("/proc/sys/net/core/wmem_max", "212992\n");
        make_file("/proc/meminfo",
                  "MemTotal: 1 kB\nHugePages_Total:  9\nHugePages_Free:  7\nHugepagesize:  2048 kB\n");
        make_file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: svm\n");
        make_file("/proc/self/mountinfo", MOUNT_V2);
        make_file("/proc/self/cgroup", "0::/\n");
        make_file("/sys/fs/cgroup/cgroup.controllers", "io\n");
        doctor_facts_measure(tree, &facts);
        assert_int_equal(facts.yama, 3);
        assert_int_equal(facts.wmem_max, 212992);
        assert_int_equal(facts.huge_free, 7);
        assert_int_equal(facts.huge_size_kib, 2048);
        assert_true(facts.cpu_virtualizes);
        assert_int_equal(facts.controllers, 1u << DOCTOR_IO);
        assert_true(facts.major > 0);
        assert_int_equal(facts.uid, geteuid());
        doctor_facts_measure("/nowhere", &facts);
        assert_int_equal(facts.yama, -1);
        assert_int_equal(facts.huge_free, -1);
        assert_int_equal(facts.cgroup, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_whole_host_lacks_nothing, begin),
            cmocka_unit_test_setup(each_lack_is_one_row_with_a_remedy, begin),
            cmocka_unit_test_setup(what_landlock_lacks_is_named, begin),
            cmocka_unit_test_setup(what_control_groups_lack_is_named, begin),
            cmocka_unit_test_setup(no_kvm_is_told_with_what_the_processor_says, begin),
            cmocka_unit_test_setup(a_kvm_that_will_not_do_is_told, begin),
            cmocka_unit_test_setup(a_visitor_that_fails_stops_it, begin),
            cmocka_unit_test(a_vm_is_held_against_its_host),
            cmocka_unit_test(a_vm_of_another_front_end_has_one_row),
            cmocka_unit_test(passt_has_a_row_for_its_socket),
            cmocka_unit_test(kernels_are_told_by_their_first_bytes),
            cmocka_unit_test(bzimage_that_is_cut_short_is_told),
            cmocka_unit_test(processors_that_virtualize_say_so),
            cmocka_unit_test_setup_teardown(version_2_has_what_our_group_is_given, tree_setup, tree_teardown),
            cmocka_unit_test_setup_teardown(version_1_is_used_where_version_2_has_no_controllers, tree_setup,
                                            tree_teardown),
            cmocka_unit_test_setup_teardown(files_are_looked_up_below_the_root, tree_setup, tree_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
