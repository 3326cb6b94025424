/* What the kernel says lies in a window of our address space.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/core/shmem.h"
#include "tests/core/own_fds.h"

/* An entry of /proc/self/maps. */
struct map_line {
        uintptr_t start, end;
        char rights[5];
        uint64_t offset, ino;
        unsigned major, minor;
};

struct map_lines {
        size_t n;
        struct map_line *lines;
};

struct map_lines map_lines_read(void);
void map_lines_free(struct map_lines *maps);

/* Fails the test unless each mapping of the device is there as its ledger says, in rights, file and offset, and all else of its
 * windows is without rights and of no file. */
void assert_windows(const struct map_lines *maps, const struct shmem *shmem);

/* The same, with a reading of its own. */
void assert_maps(const struct shmem *shmem);

/* The window of a region, by its length and the address of a mapping in it, has nothing in it. */
void assert_empty(const struct map_lines *maps, uintptr_t start, uint64_t len);

/* How many entries have a byte of a range. */
size_t map_lines_within(const struct map_lines *maps, uintptr_t start, uint64_t len);
