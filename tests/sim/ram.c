/* The memory of one simulated guest.
 * Owns its file, the table of its regions and the cells; called by the driver and the front end. TRUST: it is
 * the guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/ram.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/sim/bytes.h"
#include "tests/sim/chance.h"
#include "tests/sim/trace.h"

#define PIECES (2u * RAM_REGIONS)

/* Where the cells of a class lie: shifted, so that some straddle two regions. */
static const struct cell_span {
        uint64_t start;
        uint32_t bytes, n;
} spans[CELL_CLASSES] = {
    [CELL_SMALL] = {RAM_START + RAM_REGION_BYTES + 128, 256, 2 * RAM_REGION_BYTES / 256 - 1},
    [CELL_MEDIUM] = {RAM_START + 3 * RAM_REGION_BYTES + 2048, 4096, RAM_REGION_BYTES / 4096},
    [CELL_LARGE] = {RAM_START + 4 * RAM_REGION_BYTES + 2048, 49152, 5},
};

static uint64_t piece_offset(unsigned piece)
{
        return (uint64_t)piece * RAM_REGION_BYTES;
}

static uint64_t region_start(unsigned region)
{
        return RAM_START + (uint64_t)region * RAM_REGION_BYTES;
}

unsigned ram_region_of(uint64_t at)
{
        sim_check(at >= RAM_START && at < RAM_END, "the simulation uses memory that is none");
        return (unsigned)((at - RAM_START) / RAM_REGION_BYTES);
}

static uint64_t file_offset(const struct ram *ram, uint64_t at)
{
        return piece_offset(ram->piece[ram_region_of(at)]) + (at - RAM_START) % RAM_REGION_BYTES;
}

uint8_t *ram_at(const struct ram *ram, uint64_t at)
{
        return ram->bytes + file_offset(ram, at);
}

static uint8_t before_move[RAM_REGION_BYTES]; /* the region's bytes when its move began: one at a time */

/* Bytes from here to the end of the region, at most len. */
static uint64_t in_region(uint64_t at, uint64_t len)
{
        return MIN(len, RAM_REGION_BYTES - (at - RAM_START) % RAM_REGION_BYTES);
}

/* ---- tables ---- */

static void use(struct ram *ram, struct guest_memory *memory)
{
        guest_memory_unref(ram->memory);
        ram->memory = memory;
}

static void without(struct ram *ram, unsigned region)
{
        struct guest_memory *memory;

        sim_check(guest_memory_without(ram->memory, GPA(region_start(region)), RAM_REGION_BYTES, &memory) ==
                      0,
                  "a region cannot be removed");
        use(ram, memory);
}

static void with(struct ram *ram, unsigned region)
{
        struct guest_mapping *mapping;
        struct guest_memory *memory;

        sim_check(guest_mapping_new(ram->fd, piece_offset(ram->piece[region]), RAM_REGION_BYTES, true,
                                    &mapping) == 0,
                  "a region cannot be mapped");
        sim_check(guest_memory_with(ram->memory,
                                    &(struct guest_region){.start = GPA(region_start(region)),
                                                           .len = RAM_REGION_BYTES,
                                                           .mapping = mapping,
                                                           .writable = true},
                                    &memory) == 0,
                  "a region cannot be added");
        guest_mapping_unref(mapping);
        use(ram, memory);
}

void ram_remove(struct ram *ram, unsigned region)
{
        without(ram, region);
        ram->present[region] = false;
}

void ram_restore(struct ram *ram, unsigned region)
{
        with(ram, region);
        ram->present[region] = true;
}

void ram_remap(struct ram *ram, unsigned region)
{
        without(ram, region);
        with(ram, region);
}

void ram_move(struct ram *ram, unsigned region)
{
        unsigned old = ram->piece[region];

        sim_check(canary_is(0, ram->bytes + piece_offset(ram->spare[region]), RAM_REGION_BYTES),
                  "memory of a region was written after it had moved away");
        without(ram, region);
        ram->piece[region] = ram->spare[region];
        ram->spare[region] = old;
        memcpy(before_move, ram->bytes + piece_offset(old), RAM_REGION_BYTES);
        memcpy(ram->bytes + piece_offset(ram->piece[region]), before_move, RAM_REGION_BYTES);
        with(ram, region);
}

void ram_carry(struct ram *ram, unsigned region, uint64_t at, uint64_t len)
{
        for (uint64_t n; len > 0; at += n, len -= n) {
                uint64_t within = (at - RAM_START) % RAM_REGION_BYTES;
                uint8_t *to = ram_at(ram, at);
                const uint8_t *from = ram->bytes + piece_offset(ram->spare[region]) + within;

                n = in_region(at, len);
                for (uint64_t i = 0; i < n && ram_region_of(at) == region; i++)
                        if (to[i] == before_move[within + i])
                                to[i] = from[i];
        }
}

void ram_move_end(struct ram *ram, unsigned region)
{
        canary_fill(0, ram->bytes + piece_offset(ram->spare[region]), RAM_REGION_BYTES);
}

/* ---- bytes ---- */

void ram_write(const struct ram *ram, uint64_t at, const uint8_t *bytes, uint64_t len)
{
        for (uint64_t n; len > 0; at += n, bytes += n, len -= n) {
                n = in_region(at, len);
                memcpy(ram_at(ram, at), bytes, n);
        }
}

void ram_read(const struct ram *ram, uint64_t at, uint8_t *ret_bytes, uint64_t len)
{
        for (uint64_t n; len > 0; at += n, ret_bytes += n, len -= n) {
                n = in_region(at, len);
                memcpy(ret_bytes, ram_at(ram, at), n);
        }
}

void ram_make_canary(const struct ram *ram, uint64_t at, uint64_t len)
{
        for (uint64_t n; len > 0; at += n, len -= n) {
                n = in_region(at, len);
                canary_fill(at - RAM_START, ram_at(ram, at), n);
        }
}

bool ram_is_canary(const struct ram *ram, uint64_t at, uint64_t len)
{
        for (uint64_t n; len > 0; at += n, len -= n) {
                n = in_region(at, len);
                if (!canary_is(at - RAM_START, ram_at(ram, at), n))
                        return false;
        }
        return true;
}

/* ---- cells ---- */

uint32_t cell_bytes(enum cell_class class)
{
        return spans[class].bytes;
}

uint64_t cell_start(struct cell cell)
{
        return spans[cell.class].start + (uint64_t)cell.index * spans[cell.class].bytes;
}

static bool cell_present(const struct ram *ram, struct cell cell)
{
        uint64_t start = cell_start(cell);

        return ram->present[ram_region_of(start)] &&
               ram->present[ram_region_of(start + cell_bytes(cell.class) - 1)];
}

bool ram_take_cell(struct ram *ram, enum cell_class class, struct cell *ret_cell)
{
        uint16_t *cells = ram->free_cells[class];
        uint16_t n = ram->n_free[class];

        for (unsigned tries = 0; n > 0 && tries < 4; tries++) {
                uint32_t pick = chance_below(n);
                struct cell cell = {class, cells[pick]};

                if (!cell_present(ram, cell))
                        continue;
                cells[pick] = cells[n - 1];
                ram->n_free[class]--;
                *ret_cell = cell;
                return true;
        }
        return false;
}

void ram_give_cell(struct ram *ram, struct cell cell)
{
        ram_make_canary(ram, cell_start(cell), cell_bytes(cell.class));
        ram->free_cells[cell.class][ram->n_free[cell.class]++] = cell.index;
}

static void check_class(const struct ram *ram, enum cell_class class, const char *when)
{
        for (unsigned i = 0; i < ram->n_free[class]; i++) {
                struct cell cell = {class, ram->free_cells[class][i]};

                sim_check(ram_is_canary(ram, cell_start(cell), cell_bytes(class)),
                          "%s: a buffer that nobody has posted was written: cell %llx", when,
                          (unsigned long long)cell_start(cell));
        }
}

void ram_check(const struct ram *ram, const char *when)
{
        uint64_t at = RAM_START + RAM_REGION_BYTES;

        for (enum cell_class class = 0; class < CELL_CLASSES; class ++) {
                check_class(ram, class, when);
                sim_check(ram_is_canary(ram, at, spans[class].start - at), "%s: memory between buffers",
                          when);
                at = spans[class].start + (uint64_t)spans[class].bytes * spans[class].n;
        }
        sim_check(ram_is_canary(ram, at, RAM_END - at), "%s: memory behind the last buffer", when);
        for (unsigned i = 0; i < RAM_REGIONS; i++)
                sim_check(canary_is(0, ram->bytes + piece_offset(ram->spare[i]), RAM_REGION_BYTES),
                          "%s: memory of an old table was written: region %u", when, i);
}

/* ---- life ---- */

void ram_init(struct ram *ram)
{
        *ram = (struct ram){.fd = memfd_create("sim-ram", MFD_CLOEXEC)};
        sim_check(ram->fd >= 0 && ftruncate(ram->fd, (off_t)piece_offset(PIECES)) == 0, "no memory file");
        ram->bytes =
            mmap(NULL, piece_offset(PIECES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ram->fd, 0);
        sim_check(ram->bytes != MAP_FAILED, "no memory for a guest");
        for (unsigned i = 0; i < PIECES; i++)
                canary_fill(0, ram->bytes + piece_offset(i), RAM_REGION_BYTES);
        ram->memory = guest_memory_new();
        sim_check(ram->memory, "no memory table");
        for (unsigned i = 0; i < RAM_REGIONS; i++) {
                ram->piece[i] = (i * 5 + 3) % PIECES; /* adjacent for the guest, apart in the file */
                ram->spare[i] = ((i + RAM_REGIONS) * 5 + 3) % PIECES;
                ram_restore(ram, i);
        }
        for (enum cell_class class = 0; class < CELL_CLASSES; class ++)
                for (unsigned i = 0; i < spans[class].n; i++)
                        ram->free_cells[class][ram->n_free[class]++] = (uint16_t)i;
}

void ram_done(struct ram *ram)
{
        ram->memory = guest_memory_unref(ram->memory);
        munmap(ram->bytes, piece_offset(PIECES));
        close(ram->fd);
}
