/* The judge of files that workers hand over to be mapped: may the broker, and a guest, have this one under their feet?
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct shmem_file {
        uint64_t dev, ino;
};

/* Is [offset, offset + len) of `fd` fit to be mapped? Never waits, whoever serves the file, and reads and writes no byte.
 *
 * -EMEDIUMTYPE: neither a regular file of a local file system from a list (a fault on FUSE or NFS waits for somebody else, for
 * ever if he likes), nor a memfd that is sealed against shrinking; or the descriptor is O_PATH.
 *
 * -EACCES: it is not open for reading, or it is not open for writing and `writable` is asked for. Or it is, and `writable` is
 * not: over vhost-user a VMM is handed this very descriptor, and maps it with all the rights that it has (QEMU 11 does, whatever
 * it is told). So what a guest must not write needs a descriptor of its own, opened read-only; a memfd, which has but
 * one, F_SEAL_FUTURE_WRITE, or F_SEAL_WRITE (which Linux maps at all from 6.7 on). The broker cannot open it anew: it has no /proc.
 *
 * -ENXIO: the file ends before. The page in which it ends counts as a whole: behind the end are zeros, and what is written there
 * is lost.
 *
 * Or what fcntl, statx or fstatfs said. What becomes of the file afterwards is survived, not prevented. */
int shmem_file_judge(int fd, uint64_t offset, uint64_t len, bool writable, struct shmem_file *ret_file);

/* The same for a region in which files may end (device_region.h): how long it is is not asked, nor whether memory is sealed. */
int shmem_file_judge_ending(int fd, bool writable, struct shmem_file *ret_file);
