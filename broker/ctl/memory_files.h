/* The files behind a broker's shared mappings: guest memory, by device and inode.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_file {
        uint32_t major, minor;
        uint64_t inode;
};

/* Zero is a valid start. */
struct memory_files {
        struct memory_file *list;
        size_t n;
        uint64_t bytes; /* mapped from them by the broker */
        uint32_t
            n_vcpus; /* that it runs itself: one record of each is mapped, which is no memory of a guest's */
};

/* From the text of the broker's /proc/PID/maps. Every shared mapping of a file counts: the broker has no
 * other use for one, and a file too many only makes the audit stricter. Records of vCPUs are counted apart: the kernel
 * gives them the inode that every eventfd has too. 0, -EPROTO, -E2BIG
 * (LIMIT_PROC_FILES), -ENOMEM. */
int memory_files_collect(const char *maps, size_t len, struct memory_files *ret_files);
bool memory_files_have(const struct memory_files *files, uint32_t major, uint32_t minor, uint64_t inode);
void memory_files_done(struct memory_files *files);
