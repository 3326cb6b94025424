/* The memory of one simulated guest: regions that come, go and move, and cells in which buffers lie between
 * guard bytes.
 *
 * Guest addresses are adjacent, the pieces of the file behind them are not: a cell that straddles two regions
 * has two spans. Each region has two pieces; one is in use, the other holds nothing but canary, and whoever
 * still writes there has kept an old memory table.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"

#define RAM_REGIONS      6u /* the first holds the rings */
#define RAM_REGION_BYTES 0x20000u
#define RAM_START        UINT64_C(0x40000000)
#define RAM_END          (RAM_START + RAM_REGIONS * RAM_REGION_BYTES)

enum cell_class {
        CELL_SMALL = 0, /* 256 bytes */
        CELL_MEDIUM,    /* 4 KiB */
        CELL_LARGE,     /* 48 KiB: more than one read of the broker */
        CELL_CLASSES,
};

#define CELL_GUARD 16u /* bytes on both sides of a buffer, at least */
#define CELLS_MAX  1024u

struct ram {
        int fd;
        uint8_t *bytes; /* the whole file */
        struct guest_memory *memory;
        bool present[RAM_REGIONS];
        unsigned piece[RAM_REGIONS], spare[RAM_REGIONS]; /* of the file */
        uint16_t n_free[CELL_CLASSES];
        uint16_t free_cells[CELL_CLASSES][CELLS_MAX];
};

struct cell {
        enum cell_class class;
        uint16_t index;
};

void ram_init(struct ram *ram);
void ram_done(struct ram *ram);

/* ---- regions ---- */

unsigned ram_region_of(uint64_t at);
/* Where the guest sees this byte; the region's rest lies behind it. */
uint8_t *ram_at(const struct ram *ram, uint64_t at);

/* Builds the next table; the old one stays with whoever holds it. `ram->memory` is the new one. */
void ram_remove(struct ram *ram, unsigned region);
void ram_restore(struct ram *ram, unsigned region);
void ram_remap(struct ram *ram, unsigned region); /* the same bytes, mapped anew */

/* The region's bytes are copied to its other piece, which is the one in use from now on. */
void ram_move(struct ram *ram, unsigned region);
/* Nobody uses the old piece any more: bytes that came there since the copy are carried over, where `range`
 * (the writable parts of what the guest has not taken back) says so; then it is all canary. */
void ram_carry(struct ram *ram, unsigned region, uint64_t at, uint64_t len);
void ram_move_end(struct ram *ram, unsigned region);

/* ---- bytes ---- */

void ram_write(const struct ram *ram, uint64_t at, const uint8_t *bytes, uint64_t len);
void ram_read(const struct ram *ram, uint64_t at, uint8_t *ret_bytes, uint64_t len);
void ram_make_canary(const struct ram *ram, uint64_t at, uint64_t len);
bool ram_is_canary(const struct ram *ram, uint64_t at, uint64_t len);

/* ---- cells ---- */

uint32_t cell_bytes(enum cell_class class);
uint64_t cell_start(struct cell cell);
/* A random free one whose regions are present. False: none. */
bool ram_take_cell(struct ram *ram, enum cell_class class, struct cell *ret_cell);
void ram_give_cell(struct ram *ram, struct cell cell); /* all canary again */

/* Whatever is in no cell in use must be canary. Fails the run with `when`. */
void ram_check(const struct ram *ram, const char *when);
