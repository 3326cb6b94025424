/* What the disk may hold when the power goes, by the log of host calls alone.
 *
 * A sector holds what it held at the last fdatasync that has returned, or anything that was written to it
 * since: the kernel writes back when and in which order it likes. What a worker had begun when it was killed
 * may have been done or not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power_cut/record.h"

#define CUT_SECTORS 1024u /* under test: the first of the disk, few, so that writes meet */

struct cut_version {
        const uint8_t *bytes;  /* of one sector */
        uint64_t begun, ended; /* numbers of records; ended UINT64_MAX: not known to be done */
};

struct cut_sector {
        struct cut_version *versions; /* since the last fdatasync, in the order of the log */
        unsigned n, room;
};

struct cut_disk {
        uint8_t stable[CUT_SECTORS * 512u];
        struct cut_sector sectors[CUT_SECTORS];
        uint64_t open; /* number of the record that has begun last */
        void **merged; /* sectors put together from two writes */
        size_t n_merged;
        unsigned n_writes, n_zeroes, n_syncs;
};

/* All zeros. */
void cut_disk_init(struct cut_disk *disk);
void cut_disk_done(struct cut_disk *disk);

/* The next record of the log; `bytes` are a write's and outlive the disk. */
void cut_disk_apply(struct cut_disk *disk, const struct record *record, const uint8_t *bytes);

/* Versions a sector may have: at least one, the stable one, which is number 0. */
unsigned cut_disk_choices(const struct cut_disk *disk, uint32_t sector);
const uint8_t *cut_disk_version(const struct cut_disk *disk, uint32_t sector, unsigned choice);

/* Is this what the page cache may hold of the sector at the end of the log? */
bool cut_disk_may_be(const struct cut_disk *disk, uint32_t sector, const uint8_t *bytes);
