/* What the kernel says lies in a window of our address space.
 * TRUST: the bytes it judges are the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/shmem_maps.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

struct map_lines map_lines_read(void)
{
        FILE *file = fopen("/proc/self/maps", "re");
        struct map_lines maps = {0};
        char line[4608];

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                struct map_line *at;

                maps.lines = reallocarray(maps.lines, maps.n + 1, sizeof(*maps.lines));
                assert_non_null(maps.lines);
                at = &maps.lines[maps.n++];
                assert_int_equal(sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %x:%x %" SCNu64,
                                        &at->start, &at->end, at->rights, &at->offset, &at->major, &at->minor,
                                        &at->ino),
                                 7);
        }
        (void)fclose(file);
        return maps;
}

void map_lines_free(struct map_lines *maps)
{
        free(maps->lines);
        *maps = (struct map_lines){0};
}

/* The line that holds an address; NULL: nothing is mapped there. Lines are in order. */
static const struct map_line *line_at(const struct map_lines *maps, uintptr_t at)
{
        size_t low = 0, high = maps->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (maps->lines[middle].end <= at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < maps->n && maps->lines[low].start <= at ? &maps->lines[low] : NULL;
}

void assert_empty(const struct map_lines *maps, uintptr_t start, uint64_t len)
{
        for (uintptr_t at = start; at < start + len;) {
                const struct map_line *line = line_at(maps, at);

                if (!line || strcmp(line->rights, "---p") != 0 || line->ino != 0)
                        fail_msg("a hole at %#" PRIxPTR " has %s", at, line ? line->rights : "no mapping");
                at = line->end;
        }
}

static void assert_mapping(const struct map_lines *maps, const struct shmem_mapping *mapping)
{
        uintptr_t start = (uintptr_t)mapping->host;

        for (uintptr_t at = start; at < start + mapping->len;) {
                const struct map_line *line = line_at(maps, at);

                assert_non_null(line);
                assert_string_equal(line->rights, mapping->writable ? "rw-s" : "r--s");
                assert_int_equal(line->ino, mapping->ino);
                assert_int_equal(makedev(line->major, line->minor), mapping->dev);
                assert_int_equal(line->offset + (at - line->start), mapping->fd_offset + (at - start));
                at = line->end;
        }
}

/* The mapping of this region that begins first at or behind `from`. */
static const struct shmem_mapping *next_mapping(const struct shmem *shmem, uint8_t shmid, uint64_t from)
{
        const struct shmem_mapping *next = NULL;

        for (size_t i = 0; i < shmem_n_mappings(shmem); i++) {
                const struct shmem_mapping *mapping = shmem_mapping_at(shmem, i);

                if (mapping->shmid == shmid && mapping->offset >= from &&
                    (!next || mapping->offset < next->offset))
                        next = mapping;
        }
        return next;
}

void assert_windows(const struct map_lines *maps, const struct shmem *shmem)
{
        for (unsigned i = 0; i < shmem_n_regions(shmem); i++) {
                const struct device_region *region = shmem_region(shmem, i);
                uintptr_t base = (uintptr_t)guest_mapping_base(shmem_window(shmem, i));
                const struct shmem_mapping *mapping;
                uint64_t from = 0;

                while ((mapping = next_mapping(shmem, region->shmid, from))) {
                        assert_empty(maps, base + from, mapping->offset - from);
                        assert_ptr_equal(mapping->host, base + mapping->offset);
                        assert_mapping(maps, mapping);
                        from = mapping->offset + mapping->len;
                }
                assert_empty(maps, base + from, region->len - from);
        }
}

void assert_maps(const struct shmem *shmem)
{
        struct map_lines maps = map_lines_read();

        assert_windows(&maps, shmem);
        map_lines_free(&maps);
}

size_t map_lines_within(const struct map_lines *maps, uintptr_t start, uint64_t len)
{
        size_t n = 0;

        for (size_t i = 0; i < maps->n; i++)
                n += maps->lines[i].start < start + len && start < maps->lines[i].end;
        return n;
}
