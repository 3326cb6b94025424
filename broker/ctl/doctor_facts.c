/* What this host has for bulkhead, asked and looked up, not judged.
 * Owns nothing beyond a call; called by `doctor`. Changes nothing: no group is made and no module loaded; what has to
 * be tried (a user namespace) is tried in a child.
 * TRUST: answers and files of the kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/doctor_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/ctl/config_value.h"
#include "broker/ctl/proc_file.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "sandbox/landlock.h"
#include "sandbox/rootless.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

/* A whole text file below `root`; NULL: none. The caller frees. */
static char *read_below(const char *root, const char *path)
{
        char whole[PATH_MAX], *text;
        size_t len;

        if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= (int)sizeof(whole))
                return NULL;
        return proc_file_read(AT_FDCWD, whole, &text, &len) < 0 ? NULL : text;
}

static long number_below(const char *root, const char *path, long otherwise)
{
        _cleanup_free_ char *text = read_below(root, path);
        char *end;
        long value;

        if (!text)
                return otherwise;
        value = strtol(text, &end, 10);
        return end == text ? otherwise : value;
}

static void ask_kernel(struct doctor_facts *facts)
{
        struct utsname name = {0};

        if (uname(&name) < 0)
                return;
        snprintf(facts->release, sizeof(facts->release), "%s", name.release);
        snprintf(facts->machine, sizeof(facts->machine), "%s", name.machine);
        if (sscanf(name.release, "%u.%u", &facts->major, &facts->minor) != 2)
                facts->major = facts->minor = 0;
        /* Only who may mount could try it. */
        facts->mapped_mounts = facts->major > 5 || (facts->major == 5 && facts->minor >= 12);
        facts->mapped_tmpfs = facts->major > 6 || (facts->major == 6 && facts->minor >= 3);
}

/* As the spawner does it, who leaves a chroot first. */
static int try_namespace(char *why, size_t why_size)
{
        int r = rootless_probe(why, why_size);

        if (r != -EPERM || geteuid() != 0 || rootless_leave_chroot() < 0)
                return r;
        return rootless_probe(why, why_size);
}

/* In a child, because leaving a chroot cannot be undone. */
static void ask_namespaces(struct doctor_facts *facts)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(-try_namespace(facts->userns_why, sizeof(facts->userns_why)));
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                facts->userns = -errno;
        else
                facts->userns = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
        if (facts->userns < 0)
                rootless_explain(facts->userns, facts->userns_why, sizeof(facts->userns_why));
}

static bool spec_ok(unsigned long what)
{
        int r = prctl(PR_GET_SPECULATION_CTRL, what, 0, 0, 0);

        return r == PR_SPEC_NOT_AFFECTED ||
               (r >= 0 && ((unsigned)r & (PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE)));
}

static void ask_memfd(struct doctor_facts *facts)
{
        _cleanup_close_ int plain = memfd_create("bulkhead-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        _cleanup_close_ int noexec =
            memfd_create("bulkhead-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        int fd = noexec >= 0 ? noexec : plain;

        facts->noexec_seal = noexec >= 0;
        facts->seals =
            fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

static void ask_layers(struct doctor_facts *facts)
{
        uint32_t action = SECCOMP_RET_KILL_PROCESS;

        facts->seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
        facts->landlock_abi = landlock_abi();
        facts->mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
        facts->keyring =
            syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) >= 0 || errno != ENOSYS;
        facts->spec_store = spec_ok(PR_SPEC_STORE_BYPASS);
        facts->spec_branch = spec_ok(PR_SPEC_INDIRECT_BRANCH);
        ask_memfd(facts);
}

static const struct {
        const char *v1, *v2;
} controllers[DOCTOR_CONTROLLER_COUNT_] = {
    [DOCTOR_MEMORY] = {"memory", "memory"},
    [DOCTOR_PIDS] = {"pids", "pids"},
    [DOCTOR_CPU] = {"cpu", "cpu"},
    [DOCTOR_IO] = {"blkio", "io"},
};

/* Is `word` one of a list separated by any of `separators`? */
static bool list_has(const char *list, const char *separators, const char *word)
{
        while (*list) {
                size_t len = strcspn(list, separators);

                if (len == strlen(word) && strncmp(list, word, len) == 0)
                        return true;
                list += len;
                list += strspn(list, separators);
        }
        return false;
}

/* One line of mountinfo (proc(5)): where, what, and with which options. */
static bool parse_mount(const char *line, char point[static PATH_MAX], char type[static 32],
                        char options[static 256])
{
        const char *tail = strstr(line, " - ");

        return tail && sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
               sscanf(tail, " - %31s %*s %255s", type, options) == 2;
}

/* Controllers that version 2 hands to our group, and whether groups can be made there. */
static void look_at_v2(const char *root, const char *point, const char *own, struct doctor_facts *facts)
{
        const char *line = strncmp(own, "0::", 3) == 0 ? own : strstr(own, "\n0::");
        char group[PATH_MAX] = "", path[2 * PATH_MAX + 32];
        _cleanup_free_ char *have = NULL;

        if (line)
                (void)sscanf(strstr(line, "::") + 2, "%4095[^\n]", group);
        snprintf(path, sizeof(path), "%s%s/cgroup.controllers", point, group);
        have = read_below(root, path);
        if (!have) { /* our group is not shown here: a container's mount */
                group[0] = '\0';
                snprintf(path, sizeof(path), "%s/cgroup.controllers", point);
                have = read_below(root, path);
        }
        for (unsigned i = 0; have && i < DOCTOR_CONTROLLER_COUNT_; i++)
                if (list_has(have, " \n", controllers[i].v2))
                        facts->controllers |= 1u << i;
        if (facts->controllers == 0)
                return; /* mounted for its names only */
        facts->cgroup = 2;
        snprintf(path, sizeof(path), "%.2000s%.2000s%.4000s", root, point, group);
        facts->cgroup_writable = access(path, W_OK) == 0;
}

static void look_at_v1(const char *root, const char *point, const char *options, struct doctor_facts *facts)
{
        char path[2 * PATH_MAX];

        for (unsigned i = 0; i < DOCTOR_CONTROLLER_COUNT_; i++) {
                if (!list_has(options, ",", controllers[i].v1))
                        continue;
                facts->cgroup = 1;
                facts->controllers |= 1u << i;
                snprintf(path, sizeof(path), "%s%s", root, point);
                facts->cgroup_writable = access(path, W_OK) == 0;
        }
}

void doctor_facts_cgroups(const char *root, const char *mountinfo, const char *own,
                          struct doctor_facts *facts)
{
        char point[PATH_MAX], type[32], options[256];

        facts->cgroup = 0;
        facts->controllers = 0;
        facts->cgroup_writable = false;
        for (unsigned version = 2; version > 0 && facts->cgroup == 0; version--)
                for (const char *line = mountinfo; line && *line;
                     line = strchr(line, '\n'), line += line != NULL) {
                        if (!parse_mount(line, point, type, options))
                                continue;
                        if (version == 2 && strcmp(type, "cgroup2") == 0)
                                look_at_v2(root, point, own, facts);
                        else if (version == 1 && strcmp(type, "cgroup") == 0)
                                look_at_v1(root, point, options, facts);
                }
}

bool doctor_facts_cpu(const char *cpuinfo)
{
        const char *flags = strstr(cpuinfo, "\nflags");
        char line[8192];

        if (!flags)
                return false;
        snprintf(line, sizeof(line), "%.*s", (int)MIN(strcspn(flags + 1, "\n"), sizeof(line) - 1), flags + 1);
        return list_has(line, " \t:", "vmx") || list_has(line, " \t:", "svm");
}

static void look_at_files(const char *root, struct doctor_facts *facts)
{
        _cleanup_free_ char *mountinfo = read_below(root, "/proc/self/mountinfo");
        _cleanup_free_ char *own = read_below(root, "/proc/self/cgroup");
        _cleanup_free_ char *cpuinfo = read_below(root, "/proc/cpuinfo");
        _cleanup_free_ char *meminfo = read_below(root, "/proc/meminfo");
        const char *huge = meminfo ? strstr(meminfo, "\nHugePages_Free:") : NULL;
        const char *size = meminfo ? strstr(meminfo, "\nHugepagesize:") : NULL;

        doctor_facts_cgroups(root, mountinfo ? mountinfo : "", own ? own : "", facts);
        facts->yama = (int)number_below(root, "/proc/sys/kernel/yama/ptrace_scope", -1);
        facts->wmem_max = (uint64_t)number_below(root, "/proc/sys/net/core/wmem_max", 0);
        facts->cpu_virtualizes = cpuinfo && doctor_facts_cpu(cpuinfo);
        facts->huge_free = facts->huge_size_kib = -1;
        if (huge && size) {
                (void)sscanf(huge, "\nHugePages_Free: %ld", &facts->huge_free);
                (void)sscanf(size, "\nHugepagesize: %ld kB", &facts->huge_size_kib);
        }
}

static void ask_kvm(struct doctor_facts *facts)
{
        _cleanup_close_ int fd = kvm_host_open(facts->kvm_why, sizeof(facts->kvm_why));

        struct stat st;

        facts->kvm = fd;
        if (stat(KVM_HOST_DEVICE, &st) == 0) {
                facts->kvm_mode = st.st_mode;
                config_value_group_text(st.st_gid, facts->kvm_group, sizeof(facts->kvm_group));
        }
        if (fd < 0)
                return;
        facts->kvm_opened = true;
        facts->kvm = kvm_host_probe(fd, &facts->host, facts->kvm_why, sizeof(facts->kvm_why));
        facts->host.fd = -1;
}

static void ask_files(struct doctor_facts *facts)
{
        struct rlimit limit;

        facts->files = getrlimit(RLIMIT_NOFILE, &limit) < 0 ? UINT64_MAX : limit.rlim_max;
}

void doctor_facts_measure(const char *root, struct doctor_facts *ret_facts)
{
        struct doctor_facts facts = {.uid = geteuid()};

        ask_kernel(&facts);
        ask_namespaces(&facts);
        ask_layers(&facts);
        look_at_files(root, &facts);
        ask_files(&facts);
        ask_kvm(&facts);
        *ret_facts = facts;
}
