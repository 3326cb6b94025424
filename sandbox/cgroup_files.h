/* One value in one file of a control group. Used by cgroup.c and cgroup_host.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "sandbox/cgroup.h"

/* 0 or negative errno. */
int cgroup_write(const char *dir, const char *file, const char *text);

/* NUL-terminated, cut at size - 1. 0 or negative errno. */
int cgroup_read(const char *dir, const char *file, char *ret_text, size_t size);
