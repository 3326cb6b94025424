/* Random maps, unmaps, deaths and resets of several devices against a model that knows each page; and what the kernel says
 * against both. BULKHEAD_SHMEM_STEPS of them, 10^6 unless said otherwise.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_maps.h"

#define PAGE       ((uint64_t)LIMIT_SHMEM_PAGE)
#define DEVICES    4u
#define FILES      6u
#define FILE_PAGES 24u /* of the shortest; each has some more than the one before */
#define N_REGIONS  3u
#define PAGES_MOST 96u /* of a region */
#define STEPS      1000000u
#define LOOK_EVERY 5000u
#define MAPPINGS   20u
#define BYTES      (150 * PAGE)

static const struct device_region regions[N_REGIONS] = {
    {.shmid = 1, .len = 40 * PAGE, .source = REGION_FILES},
    {.shmid = 2, .len = 8 * PAGE, .source = REGION_MEMORY},
    {.shmid = 255, .len = PAGES_MOST * PAGE, .source = REGION_FILES},
};

/* A file, and what the judge is to say of it. */
static struct pool_file {
        int fd;
        uint64_t pages;
        bool writable; /* what alone is allowed */
        int refused;   /* for its kind */
} files[FILES];

struct model_mapping {
        unsigned region, file;
        uint64_t first, n, file_page;
        bool orphan;
        struct shmem_mapping *is;
};

/* A page belongs to a mapping, by its index + 1, or to none: 0. */
static struct model {
        struct shmem *shmem;
        struct model_mapping mappings[MAPPINGS];
        unsigned n;
        uint8_t pages[N_REGIONS][PAGES_MOST];
} models[DEVICES];

static uint64_t seed = 0x5eed5eed5eedull;
static unsigned outcomes[4]; /* of maps: made, adopted, refused; and how many unmaps */

static uint32_t below(uint32_t n)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)((seed >> 16) % n);
}

/* ---- files ---- */

static char named[] = "/dev/shm/bulkhead-model.XXXXXX";

static int remove_named(void **state)
{
        (void)state;
        return unlink(named);
}

static void make_file(unsigned i)
{
        struct pool_file *file = &files[i];

        file->pages = FILE_PAGES + i * 3;
        file->writable = i != 1;
        file->refused = i == 2 ? -EMEDIUMTYPE : 0; /* unsealed */
        file->fd =
            i == 3 ? mkostemp(named, O_CLOEXEC) : memfd_create("model", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_true(file->fd >= 0);
        assert_int_equal(ftruncate(file->fd, (off_t)(file->pages * PAGE - 7)), 0);
        for (uint64_t page = 0; page < file->pages; page++) {
                uint64_t stamp = (uint64_t)(i + 1) << 32 | page;

                assert_int_equal(pwrite(file->fd, &stamp, sizeof(stamp), (off_t)(page * PAGE)),
                                 sizeof(stamp));
        }
        if (i == 1)
                assert_int_equal(fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE), 0);
        else if (i > 3 || i == 0)
                assert_int_equal(fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
}

/* ---- the model ---- */

static uint64_t region_pages(unsigned region)
{
        return regions[region].len / PAGE;
}

static uint64_t model_bytes(const struct model *model)
{
        uint64_t pages = 0;

        for (unsigned i = 0; i < model->n; i++)
                pages += model->mappings[i].n;
        return pages * PAGE;
}

static bool model_overlaps(const struct model *model, const struct model_mapping *wanted)
{
        for (uint64_t i = 0; i < wanted->n; i++)
                if (model->pages[wanted->region][wanted->first + i])
                        return true;
        return false;
}

static int model_file(const struct model_mapping *wanted, bool writable)
{
        const struct pool_file *file = &files[wanted->file];

        if (file->refused)
                return file->refused;
        if (file->writable != writable)
                return -EACCES;
        return wanted->file_page + wanted->n <= file->pages ? 0 : -ENXIO;
}

static struct model_mapping *model_orphan(struct model *model, const struct model_mapping *wanted)
{
        for (unsigned i = 0; i < model->n; i++) {
                struct model_mapping *mapping = &model->mappings[i];

                if (mapping->orphan && mapping->region == wanted->region && mapping->first == wanted->first &&
                    mapping->n == wanted->n)
                        return mapping;
        }
        return NULL;
}

/* What is to become of a map; *ret_orphan is who is adopted. */
static int model_expect(struct model *model, const struct model_mapping *wanted, bool writable,
                        struct model_mapping **ret_orphan)
{
        struct model_mapping *orphan;
        int r = model_file(wanted, writable);

        if (regions[wanted->region].source != REGION_FILES || wanted->n == 0 ||
            wanted->first + wanted->n > region_pages(wanted->region))
                return -EINVAL;
        orphan = model_orphan(model, wanted);
        if (orphan && r < 0)
                return r;
        if (orphan && orphan->file == wanted->file && orphan->file_page == wanted->file_page)
                *ret_orphan = orphan;
        else if (model_overlaps(model, wanted))
                return -EEXIST;
        else if (model->n == MAPPINGS || model_bytes(model) + wanted->n * PAGE > BYTES)
                return -E2BIG;
        return r;
}

static void model_mark(struct model *model, unsigned i, uint8_t mark)
{
        const struct model_mapping *mapping = &model->mappings[i];

        memset(&model->pages[mapping->region][mapping->first], mark, mapping->n);
}

static void model_add(struct model *model, const struct model_mapping *made)
{
        model->mappings[model->n++] = *made;
        model_mark(model, model->n - 1, (uint8_t)model->n);
}

static void model_remove(struct model *model, unsigned i)
{
        model_mark(model, i, 0);
        model->mappings[i] = model->mappings[--model->n];
        if (i < model->n)
                model_mark(model, i, (uint8_t)(i + 1));
}

/* ---- steps ---- */

static void step_map(struct model *model, struct model_mapping wanted, bool writable)
{
        const struct shmem_request request = {.shmid = regions[wanted.region].shmid,
                                              .writable = writable,
                                              .offset = wanted.first * PAGE,
                                              .len = wanted.n * PAGE,
                                              .fd_offset = wanted.file_page * PAGE};
        struct model_mapping *orphan = NULL;
        int expected = model_expect(model, &wanted, writable, &orphan);

        assert_int_equal(shmem_map(model->shmem, &request, files[wanted.file].fd, &wanted.is), expected);
        outcomes[expected < 0 ? 2 : orphan ? 1 : 0]++;
        if (expected < 0)
                return;
        if (orphan) {
                assert_ptr_equal(orphan->is, wanted.is);
                orphan->orphan = false;
        } else {
                model_add(model, &wanted);
        }
        assert_false(wanted.is->orphan);
}

static void step_map_random(struct model *model)
{
        struct model_mapping wanted = {.region = below(N_REGIONS), .file = below(FILES), .n = below(9)};
        bool writable = below(16) ? files[wanted.file].writable : !files[wanted.file].writable;

        wanted.first = below((uint32_t)region_pages(wanted.region) + 2);
        wanted.file_page = below((uint32_t)files[wanted.file].pages + 1);
        if (below(4) == 0) /* so that one file goes on where it ends: the kernel makes one area of both */
                wanted.file_page = wanted.first % files[wanted.file].pages;
        step_map(model, wanted, writable);
}

/* As it was, or nearly. */
static void step_map_again(struct model *model)
{
        struct model_mapping wanted;

        if (model->n == 0)
                return;
        wanted = model->mappings[below(model->n)];
        wanted.orphan = false;
        if (below(8) == 0)
                wanted.file_page++;
        else if (below(8) == 0)
                wanted.file = below(FILES);
        else if (below(8) == 0)
                wanted.n++;
        step_map(model, wanted, files[wanted.file].writable);
}

static void step_unmap(struct model *model)
{
        struct model_mapping *mapping;
        unsigned i;

        if (model->n == 0)
                return;
        i = below(model->n);
        mapping = &model->mappings[i];
        assert_ptr_equal(shmem_find(model->shmem, regions[mapping->region].shmid, mapping->first * PAGE,
                                    mapping->n * PAGE),
                         mapping->is);
        shmem_unmap(model->shmem, mapping->is);
        model_remove(model, i);
        outcomes[3]++;
}

/* Any place that may or may not be one. */
static void step_find(struct model *model)
{
        unsigned region = below(2) * 2; /* of files */
        uint64_t first = below((uint32_t)region_pages(region)), n = below(9);
        const struct shmem_mapping *found = shmem_find(model->shmem, regions[region].shmid, first * PAGE,
                                                       n * PAGE),
                                   *expected = NULL;

        for (unsigned i = 0; i < model->n; i++)
                if (model->mappings[i].region == region && model->mappings[i].first == first &&
                    model->mappings[i].n == n)
                        expected = model->mappings[i].is;
        assert_ptr_equal(found, expected);
}

/* Its worker dies, and sometimes the successor has done with adopting. */
static void step_death(struct model *model)
{
        shmem_orphan(model->shmem);
        for (unsigned i = 0; i < model->n; i++)
                model->mappings[i].orphan = true;
        for (unsigned turns = below(30); turns > 0; turns--)
                step_map_again(model);
        for (unsigned i = model->n; i-- > 0;) {
                assert_int_equal(model->mappings[i].is->orphan, model->mappings[i].orphan);
                if (model->mappings[i].orphan) {
                        shmem_unmap(model->shmem, model->mappings[i].is);
                        model_remove(model, i);
                }
        }
}

static void step_reset(struct model *model)
{
        while (shmem_n_mappings(model->shmem) > 0)
                shmem_unmap(model->shmem, shmem_mapping_at(model->shmem, 0));
        while (model->n > 0)
                model_remove(model, model->n - 1);
        assert_int_equal(shmem_make_memory(model->shmem), 0);
}

static void step(struct model *model)
{
        uint32_t kind = below(1000);

        if (kind < 500)
                step_map_random(model);
        else if (kind < 560)
                step_map_again(model);
        else if (kind < 850)
                step_unmap(model);
        else if (kind < 994)
                step_find(model);
        else if (kind < 998)
                step_death(model);
        else
                step_reset(model);
        assert_int_equal(shmem_n_mappings(model->shmem), model->n + 1); /* and its memory */
        assert_int_equal(shmem_bytes(model->shmem), model_bytes(model) + regions[1].len);
}

/* ---- looks ---- */

/* Each page of a region: of the file that the model says, or not there. */
static void look_at_bytes(const struct model *model, unsigned region)
{
        uint8_t *base = guest_mapping_base(shmem_window(model->shmem, region));

        for (uint64_t page = 0; page < region_pages(region); page++) {
                uint8_t mark = model->pages[region][page];
                uint64_t stamp = 0;
                int r = fault_safe_load64(base + page * PAGE, &stamp);

                if (mark) {
                        const struct model_mapping *mapping = &model->mappings[mark - 1];

                        assert_int_equal(r, 0);
                        assert_int_equal(stamp, (uint64_t)(mapping->file + 1) << 32 |
                                                    (mapping->file_page + page - mapping->first));
                } else {
                        assert_int_equal(r, -EFAULT);
                }
        }
}

static void look_at_ledger(const struct model *model)
{
        for (unsigned i = 0; i < model->n; i++) {
                const struct model_mapping *mapping = &model->mappings[i];

                assert_int_equal(mapping->is->shmid, regions[mapping->region].shmid);
                assert_int_equal(mapping->is->offset, mapping->first * PAGE);
                assert_int_equal(mapping->is->len, mapping->n * PAGE);
                assert_int_equal(mapping->is->fd_offset, mapping->file_page * PAGE);
                assert_int_equal(mapping->is->writable, files[mapping->file].writable);
        }
}

static void look(void)
{
        struct map_lines maps = map_lines_read();

        for (unsigned i = 0; i < DEVICES; i++) {
                assert_windows(&maps, models[i].shmem);
                look_at_ledger(&models[i]);
                look_at_bytes(&models[i], 0);
                look_at_bytes(&models[i], 2);
        }
        map_lines_free(&maps);
}

static unsigned long steps_wanted(void)
{
        const char *said = getenv("BULKHEAD_SHMEM_STEPS");

        return said ? strtoul(said, NULL, 10) : STEPS;
}

static void mappings_are_what_their_workers_asked_for_and_nothing_else(void **state)
{
        const struct shmem_limits limits = {.mappings = MAPPINGS, .bytes = BYTES};
        unsigned fds = count_fds();

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* over cmocka's own handlers */
        for (unsigned i = 0; i < FILES; i++)
                make_file(i);
        for (unsigned i = 0; i < DEVICES; i++) {
                assert_int_equal(shmem_new(regions, N_REGIONS, &limits, &models[i].shmem), 0);
                assert_int_equal(shmem_make_memory(models[i].shmem), 0);
        }
        for (unsigned long i = 0, n = steps_wanted(); i < n; i++) {
                step(&models[below(DEVICES)]);
                if (i % LOOK_EVERY == 0 || i == n - 1)
                        look();
        }
        for (unsigned i = 0; i < DEVICES; i++)
                models[i].shmem = shmem_free(models[i].shmem);
        for (unsigned i = 0; i < FILES; i++)
                close(files[i].fd);
        assert_int_equal(count_fds(), fds);
        print_message("%u made, %u adopted, %u refused, %u unmapped\n", outcomes[0], outcomes[1], outcomes[2],
                      outcomes[3]);
        for (size_t i = 0; i < array_size(outcomes); i++)
                assert_true(outcomes[i] > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(mappings_are_what_their_workers_asked_for_and_nothing_else,
                                      remove_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
