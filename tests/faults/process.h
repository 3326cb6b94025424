/* What /proc says of a process that a test looks after.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Does its title begin with `title`? Not when it is gone. */
bool process_has_title(pid_t pid, const char *title);

/* A child whose title begins with `title`. 0: none. */
pid_t process_child(pid_t parent, const char *title);

/* What it holds. 0 when it is gone. */
unsigned process_fds(pid_t pid);
unsigned process_maps(pid_t pid);
unsigned process_children(pid_t pid);
unsigned process_threads(pid_t pid);
long process_rss_kib(pid_t pid);
