/* Raw system calls for attacks: no wrapper refuses before the kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOSTILE_PAGE 4096u

static inline int64_t hostile_answer(long r)
{
        return r < 0 ? -errno : r;
}

#define CALL(...) hostile_answer(syscall(__VA_ARGS__))
