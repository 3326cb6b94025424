/* The hostile guest's memory. Owns the memfds and mappings. TRUST: its bytes are written by the test and by the
 * device under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/guest_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"

#define PAGE 4096u

static const struct {
        uint64_t start, size;
} layout[REGION_COUNT_] = {
    [REGION_MAIN] = {MAIN, MAIN_SIZE},    [REGION_NEXT] = {NEXT, NEXT_SIZE},
    [REGION_FIXED] = {FIXED, FIXED_SIZE}, [REGION_LARGE] = {LARGE, LARGE_SIZE},
    [REGION_HIGH] = {HIGH, HIGH_SIZE},
};

/* Replaces a region's descriptor by one of the same file that cannot write. */
static int make_read_only(struct guest_ram *ram)
{
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", ram->fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        close(ram->fd);
        ram->fd = fd;
        return 0;
}

int guest_map_init(struct guest_map *map)
{
        memset(map, 0, sizeof(*map));
        for (unsigned i = 0; i < REGION_COUNT_; i++) {
                int r = guest_ram_init(&map->regions[i], layout[i].size, layout[i].start);

                if (r < 0)
                        return r;
        }
        /* Neighbours for the guest, strangers for the front end. */
        map->regions[REGION_NEXT].user_address += UINT64_C(0x200000000);
        return make_read_only(&map->regions[REGION_FIXED]);
}

void guest_map_done(struct guest_map *map)
{
        for (unsigned i = 0; i < REGION_COUNT_; i++)
                guest_ram_done(&map->regions[i]);
}

static const struct guest_ram *region_find(const struct guest_map *map, uint64_t address, size_t len)
{
        for (unsigned i = 0; i < REGION_COUNT_; i++) {
                const struct guest_ram *ram = &map->regions[i];

                if (address >= ram->guest_address &&
                    range_inside(address - ram->guest_address, len, ram->size))
                        return ram;
        }
        return NULL;
}

bool guest_map_has(const struct guest_map *map, uint64_t address, size_t len)
{
        return region_find(map, address, len) != NULL;
}

static const struct guest_ram *region_of(const struct guest_map *map, uint64_t address, size_t len)
{
        const struct guest_ram *ram = region_find(map, address, len);

        if (ram)
                return ram;
        fprintf(stderr, "no region holds %#llx + %zu\n", (unsigned long long)address, len);
        abort();
}

void *guest_map_at(const struct guest_map *map, uint64_t address, size_t len)
{
        const struct guest_ram *ram = region_of(map, address, len);

        return ram->base + (address - ram->guest_address);
}

uint64_t guest_map_user(const struct guest_map *map, uint64_t address)
{
        const struct guest_ram *ram = region_of(map, address, 1);

        return ram->user_address + (address - ram->guest_address);
}

void guest_map_clear(struct guest_map *map)
{
        memset(map->regions[REGION_MAIN].base, 0, SCRATCH);
        for (unsigned i = 0; i < REGION_COUNT_; i++)
                memset(map->regions[i].base + map->regions[i].size - PAGE, 0, PAGE);
}
