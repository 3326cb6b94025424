/* The broker's own confinement.
 * Owns nothing; called once by the broker's main. TRUST: runs before the first foreign byte.
 *
 * How it works: the stages of the table at the end, in order. The broker keeps its address space and its
 * descriptors (its sockets are bound already); what it loses is every right and every path to more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/broker_jail.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/jail.h"
#include "sandbox/policy.h"
#include "sandbox/process_rights.h"

struct broker_stage {
        const char *name;
        int (*run)(const struct broker_jail *jail, uint32_t *missing);
        const char *not_earlier;
};

static int stage_rlimits(const struct broker_jail *jail, uint32_t *missing)
{
        const struct {
                int resource;
                uint64_t value;
        } limits[] = {
            {RLIMIT_NOFILE, jail->nofile},
            {RLIMIT_CORE, 0},
            {RLIMIT_MSGQUEUE, 0},
            {RLIMIT_LOCKS, 0},
            {RLIMIT_RTPRIO, 0},
            {RLIMIT_NICE, 0},
        };

        (void)missing;
        for (size_t i = 0; i < array_size(limits); i++) {
                int r = rights_limit(limits[i].resource, limits[i].value);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* No user and no pid namespace: it must be the owner of its workers' user namespaces, and name them by their pids. */
static int stage_namespaces(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ? -errno : 0;
}

static int stage_root(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return rights_empty_root();
}

static int stage_groups(const struct broker_jail *jail, uint32_t *missing)
{
        if (!jail->rootless)
                return rights_drop_groups();
        *missing |= JAIL_LAYER_BIT(JAIL_LAYER_NO_GROUPS);
        return 0;
}

static int stage_gid(const struct broker_jail *jail, uint32_t *missing)
{
        (void)missing;
        return rights_set_gid(jail->rootless ? getegid() : jail->gid);
}

static int stage_uid(const struct broker_jail *jail, uint32_t *missing)
{
        if (jail->rootless)
                *missing |= JAIL_LAYER_BIT(JAIL_LAYER_UNIQUE_UID);
        if (jail->uid == 0 && !jail->rootless)
                return -EINVAL; /* root without capabilities still owns the host's files */
        return rights_set_uid(jail->rootless ? geteuid() : jail->uid);
}

static int stage_securebits(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return rights_lock_securebits();
}

static int stage_capabilities(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return rights_drop_capabilities(0);
}

static int stage_keyring(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) >= 0)
                return 0;
        if (errno != ENOSYS)
                return -errno;
        *missing |= JAIL_LAYER_BIT(JAIL_LAYER_KEYRING);
        return 0;
}

static int stage_no_new_privs(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return rights_no_new_privs();
}

static int stage_mdwe(const struct broker_jail *jail, uint32_t *missing)
{
        int r = rights_refuse_exec_gain();

        (void)jail;
        if (r == 1)
                *missing |= JAIL_LAYER_BIT(JAIL_LAYER_MDWE);
        return r < 0 ? r : 0;
}

static int stage_dumpable(const struct broker_jail *jail, uint32_t *missing)
{
        (void)jail;
        (void)missing;
        return rights_not_dumpable();
}

/* Else malloc gives threads arenas of their own, and from the ninth on it opens a file of /sys to count the
 * processors, which the filter kills. A lane allocates when it is made, not when it works: one arena will do. */
static void use_one_arena(void)
{
        (void)mallopt(M_ARENA_MAX, 1); /* a sanitizer's malloc does not know it, and opens nothing */
}

static int stage_seccomp(const struct broker_jail *jail, uint32_t *missing)
{
        struct policy_layout layout = {.binary_fd = -1, .report_fd = -1, .go_fd = -1, .self = getpid()};
        struct policy_program program = {0};
        int r = policy_compile(policy_find(jail->kvm ? "broker-kvm" : "broker"), POLICY_GATE_RUN, &layout,
                               &program);

        (void)missing;
        if (r < 0)
                return r;
        use_one_arena();
        r = rights_load_filter(&program);
        policy_program_done(&program);
        return r;
}

static const struct broker_stage stages[] = {
    {"rlimits", stage_rlimits, "needs nothing; lowered only"},
    {"namespaces", stage_namespaces, "while CAP_SYS_ADMIN is held; sockets stay where they were bound"},
    {"root", stage_root, "in the mount namespace of our own"},
    {"groups", stage_groups, "while CAP_SETGID is held; before the uid"},
    {"gid", stage_gid, "after the groups; before the uid, so that no uid ever has foreign groups"},
    {"securebits", stage_securebits,
     "needs CAP_SETPCAP; before the uid, whose change would drop it on the way"},
    {"uid", stage_uid, "after groups and gid, which need capabilities over them"},
    {"keyring", stage_keyring, "after the uid: a keyring counts against its owner"},
    {"capabilities", stage_capabilities, "after every step that needs one"},
    {"no_new_privs", stage_no_new_privs, "seccomp must not need a capability"},
    {"mdwe", stage_mdwe, "after the last library was loaded"},
    {"dumpable", stage_dumpable, "after the last change of ids, which resets it"},
    {"seccomp", stage_seccomp, "bars the calls of all the stages before it"},
};

int broker_confine(const struct broker_jail *jail, uint32_t *ret_missing, const char **ret_stage)
{
        uint32_t missing = 0;

        for (size_t i = 0; i < array_size(stages); i++) {
                bool fail = jail->fail_stage && strcmp(jail->fail_stage, stages[i].name) == 0;
                int r = fail ? -EIO : stages[i].run(jail, &missing);

                if (r < 0) {
                        *ret_stage = stages[i].name;
                        return r;
                }
        }
        *ret_missing = missing;
        return 0;
}
