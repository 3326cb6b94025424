/* Which ids a process has in its user namespace, and whose the files of its root are to it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc_ids {
        uint32_t first, n;   /* the widest run of the host's ids that it has there */
        uint64_t n_all;      /* of all of them: 1 is its own alone */
        bool root_is_mapped; /* the owner of what lies in its root is not who it seems (an id-mapped mount) */
};

/* /proc/PID/uid_map. 0 or -EPROTO. */
int proc_ids_parse_map(const char *text, size_t len, struct proc_ids *ids);

/* /proc/PID/mountinfo: the mount that is the root. 0; -EPROTO: there is none. */
int proc_ids_parse_root(const char *text, size_t len, struct proc_ids *ids);

/* Both, of the process whose folder in /proc this is. A process whose groups are others' than its users is -EPROTO. 0 or negative
 * errno. */
int proc_ids_measure(int folder_fd, struct proc_ids *ret_ids);
