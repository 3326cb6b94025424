/* A file system of one file, whose writes end when the test says so: what is under way stays under way. It speaks to
 * the kernel's FUSE itself, in a thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOW_DISK_HELD 256u

struct slow_disk {
        char file[96]; /* its path */
        char dir[64];
        int fd; /* /dev/fuse */
        bool is_mounted;
        uint8_t *bytes;
        size_t size;
        pthread_t server;
        pthread_mutex_t mutex;
        bool holds;
        unsigned n_held;
        struct {
                uint64_t unique; /* of the kernel's request */
                uint64_t offset;
                uint32_t len;
                uint8_t *bytes;
        } held[SLOW_DISK_HELD];
};

/* Mounts it, below /tmp. -ENODEV, -EPERM: not on this host. 0 or negative errno. */
int slow_disk_start(struct slow_disk *disk, size_t size);
/* Accepts one that is zero. */
void slow_disk_stop(struct slow_disk *disk);

/* From here on writes stay under way; the file does not have them. */
void slow_disk_hold(struct slow_disk *disk);
unsigned slow_disk_held(struct slow_disk *disk);

/* All of them are done, and those that come. */
void slow_disk_release(struct slow_disk *disk);
