/* A Landlock domain that denies everything but what is named.
 * Owns nothing afterwards; called by the jail's landlock stage and by lockdown_worker. TRUST: sees no foreign
 * bytes.
 *
 * The numbers of the later ABIs are spelt out here, because a program built with old kernel headers must
 * still deny all that the running kernel can.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"

#define RULESET_VERSION   1u /* flag of create_ruleset: answer with the ABI */
#define RULE_PATH_BENEATH 1
#define ACCESS_FS_EXECUTE 1u
#define ACCESS_FS_READ    4u /* execution opens its file for reading too */
#define ACCESS_FS_NEVER                                                                                      \
        (1u | 1u << 6 | 1u << 11 | 1u << 15) /* execute, make_char, make_block, ioctl on devices */

struct ruleset {
        uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_rule {
        uint64_t allowed;
        int32_t fd;
};

/* What an ABI can deny, and how much of struct ruleset it knows. */
struct abi_row {
        uint64_t fs, net, scoped;
        size_t size;
};

static const struct abi_row abis[] = {
    {0, 0, 0, 0},                                 /* none */
    {(1u << 13) - 1, 0, 0, sizeof(uint64_t)},     /* 1: execute .. make_sym */
    {(1u << 14) - 1, 0, 0, sizeof(uint64_t)},     /* 2: refer */
    {(1u << 15) - 1, 0, 0, sizeof(uint64_t)},     /* 3: truncate */
    {(1u << 15) - 1, 3, 0, 2 * sizeof(uint64_t)}, /* 4: TCP bind and connect */
    {(1u << 16) - 1, 3, 0, 2 * sizeof(uint64_t)}, /* 5: ioctl on devices */
    {(1u << 16) - 1, 3, 3, 3 * sizeof(uint64_t)}, /* 6: abstract Unix sockets, signals */
};

int landlock_abi(void)
{
        long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, RULESET_VERSION);

        return abi < 0 ? 0 : (int)abi;
}

static int landlock_allow(int ruleset_fd, int fd, uint64_t allowed)
{
        struct path_rule rule = {.allowed = allowed, .fd = fd};

        return syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static const struct abi_row *landlock_row(int abi)
{
        return &abis[MIN((size_t)abi, array_size(abis) - 1)];
}

int landlock_deny_scope(void)
{
        int abi = landlock_abi();
        struct ruleset ruleset = {.scoped = landlock_row(abi)->scoped};
        int fd, r = 0;

        if (ruleset.scoped == 0)
                return abi;
        fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, landlock_row(abi)->size, 0);
        if (fd < 0)
                return -errno;
        if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                r = -errno;
        close(fd);
        return r < 0 ? r : abi;
}

int landlock_deny_all(int exec_fd, int folder_fd)
{
        int abi = landlock_abi();
        const struct abi_row *row = landlock_row(abi);
        struct ruleset ruleset = {row->fs, row->net, row->scoped};
        int fd, r = 0;

        if (abi == 0)
                return 0;
        fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, row->size, 0);
        if (fd < 0)
                return -errno;
        if (exec_fd >= 0)
                r = landlock_allow(fd, exec_fd, ACCESS_FS_EXECUTE | ACCESS_FS_READ);
        if (r == 0 && folder_fd >= 0)
                r = landlock_allow(fd, folder_fd, row->fs & ~(uint64_t)ACCESS_FS_NEVER);
        if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                r = -errno;
        close(fd);
        return r < 0 ? r : abi;
}
