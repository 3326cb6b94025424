/* Rights that a process takes from itself.
 * Owns nothing; called by the jail's stages between fork and exec, and by broker_confine. TRUST: sees no
 * foreign bytes.
 *
 * libcap-ng reads /proc and allocates, so it cannot be used between fork and exec: capabilities are dropped
 * by raw system calls here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/process_rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_GET_MDWE              66
#define PR_MDWE_REFUSE_EXEC_GAIN 1UL
#endif

#define CAPABILITY_NUMBERS 64 /* bits of a capability set; the kernel's last one is found by asking */

#define LOCKED_SECUREBITS                                                                                    \
        (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |     \
         SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

int rights_set_gid(gid_t gid)
{
        gid_t r, e, s;

        if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_getresgid, &r, &e, &s) < 0)
                return -errno;
        return r == gid && e == gid && s == gid ? 0 : -EPERM;
}

int rights_set_uid(uid_t uid)
{
        uid_t r, e, s;

        if (syscall(SYS_setresuid, uid, uid, uid) < 0 || syscall(SYS_getresuid, &r, &e, &s) < 0)
                return -errno;
        return r == uid && e == uid && s == uid ? 0 : -EPERM;
}

int rights_drop_groups(void)
{
        if (syscall(SYS_setgroups, (size_t)0, NULL) < 0)
                return -errno;
        return syscall(SYS_getgroups, 0, NULL) == 0 ? 0 : -EPERM;
}

/* /proc, because it is there: the spawner has just used it. Only the place matters, for two calls. */
int rights_empty_root(void)
{
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return -errno;
        if (mount("none", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "mode=0,size=4096,nr_inodes=1") < 0)
                return -errno;
        if (chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
                return -errno;
        /* The old root now lies over the new one. */
        if (umount2(".", MNT_DETACH) < 0 || chroot(".") < 0)
                return -errno;
        return chdir("/") < 0 ? -errno : 0;
}

int rights_lock_securebits(void)
{
        if (prctl(PR_SET_SECUREBITS, LOCKED_SECUREBITS, 0, 0, 0) < 0)
                return -errno;
        return prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == LOCKED_SECUREBITS ? 0 : -EPERM;
}

static bool rights_keeps(uint64_t kept, unsigned long cap)
{
        return cap < CAPABILITY_NUMBERS && (kept >> cap & 1) != 0;
}

static int rights_empty_bounding(uint64_t kept)
{
        for (unsigned long cap = 0; cap < CAPABILITY_NUMBERS; cap++) {
                if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
                        return errno == EINVAL && cap > 0 ? 0 : -errno;
                if (!rights_keeps(kept, cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        return -errno;
        }
        return 0;
}

static int rights_set_capabilities(uint64_t permitted, uint64_t inheritable)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        for (unsigned i = 0; i < 2; i++) {
                data[i].permitted = data[i].effective = (uint32_t)(permitted >> (32 * i));
                data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
        }
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int rights_get_permitted(uint64_t *ret_permitted)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        *ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
        return 0;
}

int rights_make_ambient(uint64_t kept)
{
        uint64_t permitted;
        int r = rights_get_permitted(&permitted);

        if (r == 0)
                r = rights_set_capabilities(permitted, kept);
        for (unsigned long cap = 0; r == 0 && cap < CAPABILITY_NUMBERS; cap++)
                if (rights_keeps(kept, cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
                        r = -errno;
        return r;
}

static bool rights_capabilities_are(uint64_t kept)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &header, data) < 0)
                return false;
        for (unsigned i = 0; i < 2; i++) {
                uint32_t part = (uint32_t)(kept >> (32 * i));

                if (data[i].effective != part || data[i].permitted != part || data[i].inheritable != part)
                        return false;
        }
        for (unsigned long cap = 0; cap < CAPABILITY_NUMBERS; cap++)
                if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0 && !rights_keeps(kept, cap))
                        return false;
        return true;
}

int rights_drop_capabilities(uint64_t kept)
{
        int r = rights_empty_bounding(kept);

        if (r < 0)
                return r;
        if (kept == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        r = rights_set_capabilities(kept, kept); /* what is ambient shrinks with these */
        if (r < 0)
                return r;
        return rights_capabilities_are(kept) ? 0 : -EPERM;
}

int rights_no_new_privs(void)
{
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int rights_not_dumpable(void)
{
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int rights_refuse_exec_gain(void)
{
        if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0)
                return 0;
        /* A kernel without it knows neither of the two. */
        if (errno == EINVAL && prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0 && errno == EINVAL)
                return 1;
        return -errno;
}

int rights_no_speculation(unsigned long kind)
{
        int got = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
        unsigned long state = (unsigned long)got;

        if (got < 0)
                return errno == EINVAL || errno == ENODEV ? 1 : -errno;
        if (state == PR_SPEC_NOT_AFFECTED || (state & PR_SPEC_FORCE_DISABLE) || state == PR_SPEC_DISABLE)
                return 0; /* not needed, done, or the host has switched it off for all */
        if (!(state & PR_SPEC_PRCTL))
                return 1;
        return prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0) < 0 ? -errno : 0;
}

int rights_limit(int resource, uint64_t value)
{
        struct rlimit64 limit;

        if (syscall(SYS_prlimit64, 0, resource, NULL, &limit) < 0)
                return -errno;
        if (value < limit.rlim_max)
                limit.rlim_max = value;
        limit.rlim_cur = limit.rlim_max;
        return syscall(SYS_prlimit64, 0, resource, &limit, NULL) < 0 ? -errno : 0;
}

int rights_load_filter(const struct policy_program *program)
{
        struct sock_fprog fprog = {.len = program->n, .filter = program->filter};

        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0 ? -errno : 0;
}
