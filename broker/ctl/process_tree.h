/* Who descends from whom on this host.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct process_row {
        pid_t pid, ppid;
};

/* Zero is a valid start. */
struct process_tree {
        struct process_row *rows;
        size_t n;
};

/* Reads all of /proc. Processes that end meanwhile are left out. 0 or negative errno. */
int process_tree_read(struct process_tree *ret_tree);
void process_tree_done(struct process_tree *tree);

/* How many processes descend from `ancestor` and are not in `known`; *ret_first is one of them (0: none). */
size_t process_tree_strangers(const struct process_tree *tree, pid_t ancestor, const pid_t *known,
                              size_t n_known, pid_t *ret_first);
