/* What can be measured of one process from outside.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/ctl/memory_files.h"
#include "broker/ctl/proc_file.h"
#include "broker/ctl/proc_ids.h"
#include "broker/ctl/proc_limits.h"
#include "broker/ctl/proc_parse.h"

enum proc_namespace {
        PROC_NS_USER,
        PROC_NS_PID,
        PROC_NS_MNT,
        PROC_NS_NET,
        PROC_NS_IPC,
        PROC_NS_UTS,
        PROC_NS_CGROUP,
        PROC_NS_COUNT_,
};

extern const char *const proc_namespace_names[PROC_NS_COUNT_];

/* Each group has an error of its own: 0, or the negative errno that says why it is unknown. */
struct proc_facts {
        pid_t pid;
        int error; /* of the process as a whole: -ESRCH, it is gone */
        int status_error;
        struct proc_status status;
        int program_error;
        char program[LIMIT_NAME]; /* base name of the executed file; a longer one is cut */
        int maps_error;
        uint64_t guest_bytes;  /* mapped from files that are the broker's guest memory */
        uint64_t shared_bytes; /* mapped MAP_SHARED, of whatever */
        uint64_t ring_bytes;   /* not among these: the ring of its asynchronous transfers */
        uint64_t file_bytes;   /* mapped from any file but its own program */
        int ns_error;
        uint64_t ns[PROC_NS_COUNT_]; /* inode of each namespace */
        int root_error;
        uint32_t root_entries;           /* in the root directory */
        bool root_read_only, root_inert; /* inert: no device nodes and no set-uid programs there */
        int fds_error;
        uint32_t fds_null, fds_socket, fds_pipe, fds_file, fds_event, fds_tap, fds_folder,
            fds_other; /* by kind: /dev/null, socket, pipe, file or block device, eventfd, tap, directory */
        int fds_guest_error;
        uint32_t fds_guest; /* of these, files that are guest memory */
        int ids_error;
        struct proc_ids ids;
        int limits_error;
        struct proc_limits limits;
};

/* Measures. `files` may be empty. Never fails as a whole: errors are in the facts. */
void proc_facts_measure(pid_t pid, const struct memory_files *files, struct proc_facts *ret_facts);
