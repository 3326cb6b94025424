/* What attacks in a shared folder have in common: files by no rule at all, so that only the root and the mount hold.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>

#include "tests/hostile_worker/hostile_call.h"

#define FOLDER_NAME "attacked"
#define SIZE_OF_HOW 24ul /* as the policy has it */

static inline int64_t open_with(int dir, const char *path, uint64_t flags)
{
        struct open_how how = {.flags = flags, .mode = flags & O_CREAT ? 0666 : 0};

        return CALL(SYS_openat2, dir, path, &how, SIZE_OF_HOW);
}

static inline int64_t open_free(const char *path, uint64_t flags)
{
        return open_with(AT_FDCWD, path, flags);
}

/* A file of its own, and away with it. */
static inline int64_t make(void)
{
        return open_free(FOLDER_NAME, O_RDWR | O_CREAT);
}

static inline int64_t unmake(int64_t r)
{
        syscall(SYS_unlinkat, AT_FDCWD, FOLDER_NAME, 0);
        return r;
}
