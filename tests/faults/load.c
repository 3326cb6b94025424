/* A verified load. Owns the front end, its memory and the model of the disk. Called by the tests of faults.
 * TRUST: data, statuses and used lengths are those of the broker under test, and are judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"

#define RAM_BYTES   (UINT64_C(64) << 20)
#define RAM_ADDRESS UINT64_C(0x80000000)
#define SECTORS     (LOAD_BLOCK / 512u)

uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int fail(struct load *load, int error, const char *what, unsigned block)
{
        if (load->why[0] == '\0')
                snprintf(load->why, sizeof(load->why), "%s (block %u): %s", what, block, strerror(-error));
        return error;
}

/* ---- attach ---- */

static int attach(struct load *load, const char *socket)
{
        int r;

        load->front.wire = (struct wire){.sock = -1, .deadline_ms = LOAD_DEADLINE_MS};
        r = wire_connect(&load->front.wire, socket);
        if (r == 0)
                r = front_end_negotiate(&load->front, load->dialect, true);
        return r < 0 ? fail(load, r, "no session", 0) : 0;
}

int load_open(struct load *load, const char *socket, enum front_end_dialect dialect, unsigned depth,
              unsigned n_blocks)
{
        int r;

        load->dialect = dialect;
        load->n_blocks = MIN(n_blocks, LOAD_BLOCKS_MAX);
        r = attach(load, socket);
        if (r == 0 && (r = guest_ram_init(&load->ram, RAM_BYTES, RAM_ADDRESS)) == 0) {
                blk_front_init(&load->blk, &load->front, &load->ram, 0, 256, depth,
                               LOAD_SLOT_BLOCKS * LOAD_BLOCK, LOAD_BLOCK);
                r = blk_front_start(&load->blk, 0);
        }
        return r < 0 ? fail(load, r, "cannot attach", 0) : 0;
}

void load_close(struct load *load)
{
        front_end_close(&load->front);
        guest_ram_done(&load->ram);
}

/* ---- the model ---- */

static void fill_block(uint8_t *bytes, unsigned block, uint32_t version)
{
        uint64_t word = ((uint64_t)block << 32 | version) * UINT64_C(0x9e3779b97f4a7c15) + 1;

        for (unsigned i = 0; i < LOAD_BLOCK; i += 8) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                memcpy(bytes + i, &word, 8);
        }
        if (version == 0)
                memset(bytes, 0, LOAD_BLOCK);
}

static bool block_is(const uint8_t *bytes, unsigned block, uint32_t version)
{
        uint8_t expected[LOAD_BLOCK];

        fill_block(expected, block, version);
        return memcmp(bytes, expected, LOAD_BLOCK) == 0;
}

static unsigned pick(struct load *load, unsigned below)
{
        return (unsigned)rand_r(&load->seed) % below;
}

/* A run of blocks that no request is working on. */
static bool pick_range(struct load *load, unsigned *ret_block, unsigned *ret_n)
{
        unsigned n = 1 + pick(load, LOAD_SLOT_BLOCKS), block = pick(load, load->n_blocks - n);

        for (unsigned i = block; i < block + n; i++)
                if (load->busy[i])
                        return false;
        *ret_block = block;
        *ret_n = n;
        return true;
}

/* ---- requests ---- */

static void set_busy(struct load *load, unsigned block, unsigned n, bool busy)
{
        for (unsigned i = block; i < block + n; i++)
                load->busy[i] = busy;
}

static bool post_range(struct load *load, uint32_t type, unsigned block, unsigned n)
{
        int slot = blk_front_next(&load->blk);

        if (slot < 0)
                return false;
        for (unsigned i = 0; type == BLK_OUT && i < n; i++)
                fill_block(blk_front_data(&load->blk, (unsigned)slot) + i * LOAD_BLOCK, block + i,
                           ++load->version[block + i]);
        load->marked[slot] = false;
        set_busy(load, block, n, true);
        return blk_front_post(&load->blk, type, (uint64_t)block * SECTORS, n * LOAD_BLOCK, NULL) >= 0;
}

static bool post_flush(struct load *load)
{
        int slot = blk_front_next(&load->blk);

        if (slot < 0)
                return false;
        load->marked[slot] = false;
        return blk_front_post(&load->blk, BLK_FLUSH, 0, 0, NULL) >= 0;
}

static bool post_random(struct load *load)
{
        unsigned block, n;

        if (pick(load, 32) == 0)
                return post_flush(load);
        return pick_range(load, &block, &n) && post_range(load, pick(load, 2) ? BLK_OUT : BLK_IN, block, n);
}

static int judge_read(struct load *load, const struct blk_done *done, unsigned block, unsigned n)
{
        if (done->used_len != n * LOAD_BLOCK + 1)
                return fail(load, -EBADMSG, "used length of a read", block);
        for (unsigned i = 0; i < n; i++)
                if (!block_is(blk_front_data(&load->blk, done->slot) + i * LOAD_BLOCK, block + i,
                              load->version[block + i]))
                        return fail(load, -EILSEQ, "not what was written last", block + i);
        return 0;
}

static int judge(struct load *load, const struct blk_done *done)
{
        const struct blk_slot *slot = &load->blk.slots[done->slot];
        unsigned block = (unsigned)(slot->sector / SECTORS), n = slot->len / LOAD_BLOCK;

        load->n_done++;
        if (load->marked[done->slot]) {
                load->marked[done->slot] = false;
                load->n_marked--;
                if (load->first_marked_ns == 0)
                        load->first_marked_ns = now_ns();
        }
        if (done->status != BLK_S_OK)
                return fail(load, -EIO, "status is not OK", block);
        set_busy(load, block, n, false);
        return slot->type == BLK_IN ? judge_read(load, done, block, n) : 0;
}

static int wait_one(struct load *load)
{
        uint64_t end = now_ns() + (uint64_t)LOAD_DEADLINE_MS * 1000000u;
        struct blk_done done;
        int r;

        do {
                r = blk_front_wait(&load->blk, load->tick ? load->tick_ms : LOAD_DEADLINE_MS, &done);
                if (r == 0)
                        return judge(load, &done);
                if (load->tick && load->tick(load->tick_context))
                        return -ECANCELED;
        } while (r == -ETIMEDOUT && now_ns() < end);
        return fail(load, r, "a completion is lost, or one came twice", 0);
}

int load_take(struct load *load)
{
        struct blk_done done;
        int r;

        while (load->blk.n_busy > 0 && (r = blk_front_wait(&load->blk, 0, &done)) != -ETIMEDOUT) {
                r = r < 0 ? fail(load, r, "one completion came twice", 0) : judge(load, &done);
                if (r < 0)
                        return r;
        }
        return 0;
}

void load_mark(struct load *load)
{
        load->n_marked = 0;
        load->first_marked_ns = 0;
        for (unsigned i = 0; i < load->blk.depth; i++) {
                load->marked[i] = load->blk.slots[i].busy;
                load->n_marked += load->marked[i];
        }
}

/* ---- loads ---- */

int load_drain(struct load *load)
{
        int r = 0;

        while (r == 0 && load->blk.n_busy > 0)
                r = wait_one(load);
        return r;
}

int load_run(struct load *load, unsigned n)
{
        int r = 0;

        for (unsigned posted = 0; r == 0 && posted < n;) {
                unsigned before = posted;

                while (posted < n && post_random(load))
                        posted++;
                if (posted > before)
                        r = blk_front_submit(&load->blk);
                if (r == 0 && load->blk.n_busy > 0)
                        r = wait_one(load);
        }
        return r;
}

static int run_all(struct load *load, uint32_t type)
{
        int r = 0;

        for (unsigned block = 0; r == 0 && block < load->n_blocks;) {
                unsigned n = MIN(LOAD_SLOT_BLOCKS, load->n_blocks - block);

                if (post_range(load, type, block, n))
                        block += n;
                else
                        r = wait_one(load);
                if (r == 0)
                        r = blk_front_submit(&load->blk);
        }
        return r == 0 ? load_drain(load) : r;
}

int load_clear(struct load *load)
{
        return run_all(load, BLK_OUT);
}

int load_check(struct load *load)
{
        return run_all(load, BLK_IN);
}

/* ---- after a broker ---- */

/* Every sector is one of the two versions. */
static bool block_is_between(const uint8_t *bytes, unsigned block, uint32_t version)
{
        uint8_t old[LOAD_BLOCK], new[LOAD_BLOCK];

        fill_block(old, block, version - 1);
        fill_block(new, block, version);
        for (unsigned at = 0; at < LOAD_BLOCK; at += 512)
                if (memcmp(bytes + at, old + at, 512) != 0 && memcmp(bytes + at, new + at, 512) != 0)
                        return false;
        return true;
}

/* What does the block hold? What was acknowledged is in the host's page cache, and no broker's death takes it
 * from there; only a write that was outstanding may be missing, whole or in part. Then it is written again. */
static int find_block(struct load *load, unsigned block)
{
        const uint8_t *bytes = blk_front_data(&load->blk, 0);
        uint64_t sector = (uint64_t)block * SECTORS;

        if (blk_front_do(&load->blk, BLK_IN, sector, LOAD_BLOCK, LOAD_DEADLINE_MS) != BLK_S_OK)
                return fail(load, -EIO, "cannot be read after the broker's death", block);
        if (block_is(bytes, block, load->version[block]))
                return 0;
        if (!load->busy[block] || load->version[block] == 0 ||
            !block_is_between(bytes, block, load->version[block]))
                return fail(load, -EILSEQ, "acknowledged data is gone with the broker", block);
        fill_block(blk_front_data(&load->blk, 0), block, load->version[block]);
        return blk_front_do(&load->blk, BLK_OUT, sector, LOAD_BLOCK, LOAD_DEADLINE_MS) == BLK_S_OK
                   ? 0
                   : fail(load, -EIO, "cannot be written after the broker's death", block);
}

int load_reopen(struct load *load, const char *socket)
{
        int r;

        front_end_close(&load->front);
        r = attach(load, socket);
        if (r < 0)
                return r;
        blk_front_forget(&load->blk);
        r = blk_front_start(&load->blk, 0);
        for (unsigned i = 0; r == 0 && i < load->n_blocks; i++)
                r = find_block(load, i);
        memset(load->busy, 0, sizeof(load->busy));
        return r < 0 ? fail(load, r, "cannot attach again", 0) : 0;
}
