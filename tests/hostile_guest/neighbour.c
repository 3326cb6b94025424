/* The neighbour. Owns its session and memory. TRUST: data and statuses are the broker's, which is under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/neighbour.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/hostile_guest/disk_pattern.h"

#define BLOCK     4096u
#define SECTORS   (BLOCK / SECTOR)
#define DEPTH     8u
#define AT_A_TIME 3u /* two reads and a write */
#define DISK      2u
#define RAM_BYTES (UINT64_C(4) << 20)

static int write_block(struct neighbour *neighbour, unsigned block)
{
        int slot = blk_front_next(&neighbour->blk);

        if (slot < 0)
                return slot;
        disk_pattern_fill(blk_front_data(&neighbour->blk, (unsigned)slot), DISK, block * SECTORS,
                          ++neighbour->version[block], SECTORS);
        return blk_front_post(&neighbour->blk, BLK_OUT, block * SECTORS, BLOCK, NULL);
}

static int fill_disk(struct neighbour *neighbour, int deadline_ms)
{
        for (unsigned block = 0; block < NEIGHBOUR_BLOCKS; block++) {
                struct blk_done done;
                int r = write_block(neighbour, block);

                if (r >= 0)
                        r = blk_front_submit(&neighbour->blk);
                if (r == 0)
                        r = blk_front_wait(&neighbour->blk, deadline_ms, &done);
                if (r < 0 || done.status != BLK_S_OK)
                        return r < 0 ? r : -EIO;
        }
        return 0;
}

int neighbour_open(struct neighbour *neighbour, const char *path, int deadline_ms)
{
        int r;

        memset(neighbour, 0, sizeof(*neighbour));
        neighbour->front.wire = (struct wire){.sock = -1, .deadline_ms = deadline_ms};
        r = wire_connect(&neighbour->front.wire, path);
        if (r == 0)
                r = front_end_negotiate(&neighbour->front, FRONT_END_QEMU_7_2, true);
        if (r == 0)
                r = guest_ram_init(&neighbour->ram, RAM_BYTES, 0);
        if (r < 0)
                return r;
        blk_front_init(&neighbour->blk, &neighbour->front, &neighbour->ram, 0, 64, DEPTH, BLOCK, BLOCK);
        r = blk_front_start(&neighbour->blk, 0);
        return r < 0 ? r : fill_disk(neighbour, deadline_ms);
}

void neighbour_close(struct neighbour *neighbour)
{
        front_end_close(&neighbour->front);
        guest_ram_done(&neighbour->ram);
}

int neighbour_post(struct neighbour *neighbour)
{
        for (unsigned i = 0; i < AT_A_TIME; i++) {
                unsigned block = neighbour->next++ % NEIGHBOUR_BLOCKS;
                int r = i == 0 ? write_block(neighbour, block)
                               : blk_front_post(&neighbour->blk, BLK_IN, block * SECTORS, BLOCK, NULL);

                if (r < 0)
                        return r;
                neighbour->n_requests++;
        }
        return blk_front_submit(&neighbour->blk);
}

static int verify_one(struct neighbour *neighbour, const struct blk_done *done, char *why, size_t size)
{
        const struct blk_slot *slot = &neighbour->blk.slots[done->slot];
        unsigned block = (unsigned)(slot->sector / SECTORS);

        if (done->status != BLK_S_OK) {
                snprintf(why, size, "the neighbour's block %u: status %u", block, done->status);
                return -EIO;
        }
        if (slot->type == BLK_IN && !disk_pattern_is(blk_front_data(&neighbour->blk, done->slot), DISK,
                                                     slot->sector, neighbour->version[block], SECTORS)) {
                snprintf(why, size, "the neighbour's block %u holds something else", block);
                return -EIO;
        }
        return 0;
}

int neighbour_verify(struct neighbour *neighbour, int timeout_ms, char *why, size_t size)
{
        while (neighbour->blk.n_busy > 0) {
                struct blk_done done;
                int r = blk_front_wait(&neighbour->blk, timeout_ms, &done);

                if (r < 0) {
                        snprintf(why, size, "the neighbour is not served: %s", strerror(-r));
                        return r;
                }
                r = verify_one(neighbour, &done, why, size);
                if (r < 0)
                        return r;
        }
        return 0;
}
