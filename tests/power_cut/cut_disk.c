/* What the disk may hold when the power goes. Owns its versions' lists and the sectors that it has put
 * together. Called by power_cut.c. TRUST: the log is that of the worker under test; its offsets are judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power_cut/cut_disk.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/power_cut/cut_stamp.h"

static const uint8_t zero_sector[CUT_SECTOR];

void cut_disk_init(struct cut_disk *disk)
{
        memset(disk, 0, sizeof(*disk));
}

void cut_disk_done(struct cut_disk *disk)
{
        for (uint32_t i = 0; i < CUT_SECTORS; i++)
                free(disk->sectors[i].versions);
        for (size_t i = 0; i < disk->n_merged; i++)
                free(disk->merged[i]);
        free(disk->merged);
        cut_disk_init(disk);
}

static void *need(void *p)
{
        if (!p)
                abort();
        return p;
}

/* ---- versions ---- */

unsigned cut_disk_choices(const struct cut_disk *disk, uint32_t sector)
{
        return 1 + disk->sectors[sector].n;
}

const uint8_t *cut_disk_version(const struct cut_disk *disk, uint32_t sector, unsigned choice)
{
        if (choice == 0)
                return disk->stable + (size_t)sector * CUT_SECTOR;
        return disk->sectors[sector].versions[choice - 1].bytes;
}

bool cut_disk_may_be(const struct cut_disk *disk, uint32_t sector, const uint8_t *bytes)
{
        for (unsigned i = cut_disk_choices(disk, sector); i-- > 0;) {
                if (memcmp(cut_disk_version(disk, sector, i), bytes, CUT_SECTOR) == 0)
                        return true;
                if (i > 0 && disk->sectors[sector].versions[i - 1].ended != UINT64_MAX)
                        return false; /* it has hidden all that was before */
        }
        return false;
}

static void add_version(struct cut_disk *disk, uint32_t sector, const uint8_t *bytes)
{
        struct cut_sector *at = &disk->sectors[sector];

        if (at->n == at->room) {
                at->room = at->room * 2 + 4;
                at->versions = need(realloc(at->versions, at->room * sizeof(*at->versions)));
        }
        at->versions[at->n++] =
            (struct cut_version){.bytes = bytes, .begun = disk->open, .ended = UINT64_MAX};
}

/* A call that covers a part of a sector changes that part of what was there last. */
static const uint8_t *merge(struct cut_disk *disk, uint32_t sector, const uint8_t *bytes, size_t from,
                            size_t len)
{
        uint8_t *whole = need(malloc(CUT_SECTOR));

        disk->merged = need(realloc(disk->merged, (disk->n_merged + 1) * sizeof(void *)));
        disk->merged[disk->n_merged++] = whole;
        memcpy(whole, cut_disk_version(disk, sector, disk->sectors[sector].n), CUT_SECTOR);
        memcpy(whole + from, bytes, len);
        return whole;
}

/* ---- records ---- */

/* `bytes` NULL: zeros. */
static void begin_range(struct cut_disk *disk, uint64_t offset, uint64_t len, const uint8_t *bytes)
{
        uint64_t end = MIN(offset + len, (uint64_t)sizeof(disk->stable));

        for (uint64_t at = offset, next; at < end; at = next) {
                uint32_t sector = (uint32_t)(at / CUT_SECTOR);
                size_t from = (size_t)(at % CUT_SECTOR), n;
                const uint8_t *source = bytes ? bytes + (at - offset) : zero_sector;

                next = MIN((at / CUT_SECTOR + 1) * CUT_SECTOR, end);
                n = (size_t)(next - at);
                add_version(disk, sector, n == CUT_SECTOR ? source : merge(disk, sector, source, from, n));
        }
}

/* What has returned an error or less than all may have been done: it stays a version that is not sure. */
static void end_range(struct cut_disk *disk, const struct record *record)
{
        uint64_t end = MIN(record->offset + record->len, (uint64_t)sizeof(disk->stable));

        if (record->result < 0 || (record->kind == RECORD_WRITE && (uint64_t)record->result != record->len))
                return;
        for (uint64_t at = record->offset / CUT_SECTOR; at * CUT_SECTOR < end; at++) {
                struct cut_sector *sector = &disk->sectors[at];

                for (unsigned i = 0; i < sector->n; i++)
                        if (sector->versions[i].begun == disk->open)
                                sector->versions[i].ended = record->number;
        }
}

/* What had returned before the fdatasync was begun is stable now; of it the last counts. */
static void settle_sector(struct cut_disk *disk, uint32_t index, uint64_t begun)
{
        struct cut_sector *sector = &disk->sectors[index];
        unsigned settled = 0;

        for (unsigned i = 0; i < sector->n; i++)
                if (sector->versions[i].ended < begun)
                        settled = i + 1;
        if (settled == 0)
                return;
        memcpy(disk->stable + (size_t)index * CUT_SECTOR, sector->versions[settled - 1].bytes, CUT_SECTOR);
        sector->n -= settled;
        memmove(sector->versions, sector->versions + settled, sector->n * sizeof(*sector->versions));
}

void cut_disk_apply(struct cut_disk *disk, const struct record *record, const uint8_t *bytes)
{
        if (record->phase == RECORD_BEGIN) {
                disk->open = record->number;
                disk->n_writes += record->kind == RECORD_WRITE;
                disk->n_zeroes += record->kind == RECORD_ZERO;
                if (record->kind != RECORD_SYNC)
                        begin_range(disk, record->offset, record->len,
                                    record->kind == RECORD_WRITE ? bytes : NULL);
                return;
        }
        if (record->kind != RECORD_SYNC) {
                end_range(disk, record);
                return;
        }
        if (record->result < 0)
                return;
        disk->n_syncs++;
        for (uint32_t i = 0; i < CUT_SECTORS; i++)
                settle_sector(disk, i, disk->open);
}
