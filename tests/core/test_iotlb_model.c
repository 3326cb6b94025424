/* Random updates, invalidations and accesses against a model that knows each page; and lanes that go on reading and writing while
 * pages are taken from them. BULKHEAD_IOTLB_STEPS of the former, 10^6 unless said otherwise.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "broker/core/guest_memory.h"
#include "broker/core/interval_map.h"
#include "broker/core/iotlb.h"
#include "broker/core/ring_view.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define PAGE  ((uint64_t)LIMIT_IOTLB_PAGE)
#define STEPS 1000000u
#define RW    (IOTLB_READ | IOTLB_WRITE)

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t n)
{
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (random_state >> 33) % n;
}

static void replace(struct guest_memory **memory, struct guest_memory *by)
{
        (void)guest_memory_unref(*memory);
        *memory = by;
}

/* ---- a guest: pages in regions of which some follow each other, some cannot be written, and between which is nothing ---- */

#define GUEST_PAGES 64u

static const struct {
        unsigned first, n, file_page;
        bool writable;
} regions[] = {
    {0, 20, 0, true}, {20, 10, 20, true}, {32, 8, 50, true}, {40, 6, 32, false}, {50, 12, 4, true}};

struct guest {
        int fd;
        uint8_t *file;
        struct guest_memory *memory;
        int file_page[GUEST_PAGES]; /* -1: no memory is there */
        bool writable[GUEST_PAGES];
};

static void guest_add(struct guest *guest, unsigned region)
{
        struct guest_mapping *mapping;
        struct guest_memory *with;
        struct guest_region is = {.start = GPA(regions[region].first * PAGE),
                                  .len = regions[region].n * PAGE,
                                  .offset = regions[region].file_page * PAGE,
                                  .writable = regions[region].writable};

        assert_int_equal(guest_mapping_new(guest->fd, 0, GUEST_PAGES * PAGE, is.writable, &mapping), 0);
        is.mapping = mapping;
        assert_int_equal(guest_memory_with(guest->memory, &is, &with), 0);
        (void)guest_mapping_unref(mapping);
        replace(&guest->memory, with);
        for (unsigned i = 0; i < regions[region].n; i++) {
                guest->file_page[regions[region].first + i] = (int)(regions[region].file_page + i);
                guest->writable[regions[region].first + i] = is.writable;
        }
}

static void guest_begin(struct guest *guest)
{
        assert_int_equal(fault_safe_install(), 0); /* over cmocka's own handlers */
        guest->fd = memfd_create("bulkhead-test-iotlb", MFD_CLOEXEC);
        assert_int_equal(ftruncate(guest->fd, (off_t)(GUEST_PAGES * PAGE)), 0);
        guest->file = mmap(NULL, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
        assert_ptr_not_equal(guest->file, MAP_FAILED);
        guest->memory = guest_memory_new();
        assert_non_null(guest->memory);
        memset(guest->file_page, 0xff, sizeof(guest->file_page));
        for (unsigned i = 0; i < array_size(regions); i++)
                guest_add(guest, i);
}

static void guest_end(struct guest *guest)
{
        replace(&guest->memory, NULL);
        (void)munmap(guest->file, GUEST_PAGES * PAGE);
        close(guest->fd);
}

/* ---- the model: what each page of a window of I/O virtual space stands for ---- */

#define WINDOW 48u

struct model {
        struct guest guest;
        struct iotlb iotlb;
        struct guest_memory *view;
        uint64_t origin; /* of the window; at the top it ends with the address space */
        struct {
                int gpa; /* the guest's page; -1: nothing */
                unsigned rights;
        } pages[WINDOW];
        struct ring_view ring; /* of what lies at ring_at, in each snapshot that has it, for a while */
        uint64_t ring_at, ring_len;
        unsigned long n_rings, n_kept;
};

/* The page of the file that may be reached there with this right, or -1. */
static int reaches(const struct model *model, uint64_t page, bool write)
{
        int gpa = page < WINDOW ? model->pages[page].gpa : -1;

        if (gpa < 0 || gpa >= (int)GUEST_PAGES ||
            !(model->pages[page].rights & (write ? IOTLB_WRITE : IOTLB_READ)) ||
            (write && !model->guest.writable[gpa]))
                return -1;
        return model->guest.file_page[gpa];
}

/* Wherever its pages are, a ring is one piece, and each page what it stands for now. */
static void look_at_ring_view(struct model *model)
{
        const uint64_t first = model->ring_at / PAGE, last = (model->ring_at + model->ring_len - 1) / PAGE;
        const uint64_t before = model->ring.n_made;
        const bool was = model->ring.window != NULL;
        const uint8_t *ring;

        for (uint64_t page = first; page <= last; page++) {
                if (reaches(model, page, true) < 0) {
                        ring_view_leave(&model->ring);
                        return;
                }
        }
        ring = ring_view_enter(&model->ring, model->view, GPA(model->origin + model->ring_at),
                               model->ring_len, 16, true);
        assert_non_null(ring);
        for (uint64_t page = first; page <= last; page++)
                assert_int_equal(page == first && model->ring_at % PAGE != 0
                                     ? ring[0]
                                     : ring[page * PAGE - model->ring_at],
                                 reaches(model, page, true));
        model->n_rings += model->ring.window != NULL;
        model->n_kept += was && model->ring.n_made == before;
}

static void new_ring(struct model *model)
{
        model->ring_len = 16 + random_below(16u * LIMIT_RING_SIZE / 16) * 16;
        model->ring_at = random_below((WINDOW * PAGE - model->ring_len) / 16 + 1) * 16;
}

static void new_view(struct model *model)
{
        struct guest_memory *view;

        assert_int_equal(guest_memory_translate(model->guest.memory, model->iotlb.entries, &view), 0);
        replace(&model->view, view);
        look_at_ring_view(model);
}

static uint64_t random_range(uint64_t *ret_n)
{
        uint64_t at = random_below(WINDOW);

        *ret_n = 1 + random_below(random_below(8) ? 4 : WINDOW);
        *ret_n = MIN(*ret_n, WINDOW - at);
        return at;
}

static void step_update(struct model *model)
{
        uint64_t n, at = random_range(&n);
        uint64_t gpa = random_below(GUEST_PAGES + 4); /* also outside of memory */
        struct iotlb_entry entry = {.iova = model->origin + at * PAGE,
                                    .len = n * PAGE,
                                    .gpa = gpa * PAGE,
                                    .rights = random_below(4) ? RW : 1 + (unsigned)random_below(2)};

        assert_int_equal(iotlb_update(&model->iotlb, &entry), 0);
        for (uint64_t i = 0; i < n; i++) {
                model->pages[at + i].gpa = (int)(gpa + i);
                model->pages[at + i].rights = entry.rights;
        }
        new_view(model);
}

static void step_invalidate(struct model *model)
{
        uint64_t n, at = random_range(&n);
        bool all = random_below(64) == 0;

        assert_int_equal(all ? iotlb_invalidate(&model->iotlb, 0, 0)
                             : iotlb_invalidate(&model->iotlb, model->origin + at * PAGE, n * PAGE),
                         0);
        for (uint64_t i = 0; i < WINDOW; i++)
                model->pages[i].gpa = all || (i >= at && i < at + n) ? -1 : model->pages[i].gpa;
        new_view(model);
}

/* A range of bytes of the window or over its end. */
struct range {
        uint64_t at, len;
        bool write, covered;
};

static struct range random_bytes(const struct model *model)
{
        struct range range = {.at = random_below(WINDOW * PAGE), .write = random_below(2)};

        range.len = 1 + random_below(random_below(4) ? PAGE : 6 * PAGE);
        range.covered = true;
        for (uint64_t page = range.at / PAGE; page <= (range.at + range.len - 1) / PAGE; page++)
                range.covered = range.covered && reaches(model, page, range.write) >= 0;
        return range;
}

/* The spans are the pages, in order. */
static void look_at_spans(const struct model *model, const struct range *range)
{
        struct iovec spans[2 * WINDOW];
        size_t n = 0;
        int64_t r = guest_memory_iovec(model->view, GPA(model->origin + range->at), range->len, range->write,
                                       spans, array_size(spans), &n);
        uint64_t done = 0;

        assert_int_equal(r, range->covered ? (int64_t)range->len : -EFAULT);
        for (size_t i = 0; i < n; done += spans[i++].iov_len) {
                for (uint64_t k = 0; k < spans[i].iov_len; k += PAGE) {
                        uint64_t page = (range->at + done + k) / PAGE;

                        /* The first byte of each page is its number, and every byte of it that is looked at. */
                        assert_int_equal(((uint8_t *)spans[i].iov_base)[k],
                                         reaches(model, page, range->write));
                }
        }
        assert_int_equal(done, range->covered ? range->len : 0);
}

static void look_at_missing(const struct model *model, const struct range *range)
{
        uint64_t len, first = range->at / PAGE, last = (range->at + range->len - 1) / PAGE, end;
        gpa_t at;

        if (model->origin + range->at + range->len - 1 < model->origin)
                return; /* nobody asks for what wraps */
        assert_int_equal(guest_memory_missing(model->view, GPA(model->origin + range->at), range->len,
                                              range->write, &at, &len),
                         !range->covered);
        if (range->covered)
                return;
        while (reaches(model, first, range->write) >= 0)
                first++;
        for (end = first; end <= last && reaches(model, end, range->write) < 0;)
                end++;
        assert_int_equal(at.v, model->origin + first * PAGE);
        assert_int_equal(len, (end - first) * PAGE);
}

/* A ring lies in pages that follow each other in the file, if their regions are one mapping in this process or lie side by side. */
static void look_at_ring(const struct model *model, const struct range *range)
{
        uint64_t at = range->at & ~(uint64_t)15;
        uint8_t *ring = guest_memory_ring(model->view, GPA(model->origin + at), range->len, 16, range->write);

        if (!ring)
                return; /* whether it must be there, test_guest_view says */
        for (uint64_t k = 0; k < range->len; k++) {
                if (k == 0 || (at + k) % PAGE == 0)
                        assert_int_equal(ring[k], reaches(model, (at + k) / PAGE, range->write));
        }
}

static void step_access(const struct model *model)
{
        struct range range = random_bytes(model);
        uint8_t bytes[6 * PAGE];
        int r;

        assert_int_equal(
            guest_memory_covers(model->view, GPA(model->origin + range.at), range.len, range.write),
            range.covered);
        look_at_missing(model, &range);
        look_at_spans(model, &range);
        look_at_ring(model, &range);
        if (range.write || range.len > PAGE)
                return; /* what was written here, the lanes show */
        r = guest_memory_read(model->view, GPA(model->origin + range.at), bytes, range.len);
        assert_int_equal(r, range.covered ? 0 : -EFAULT);
        if (r == 0) {
                assert_int_equal(bytes[0], reaches(model, range.at / PAGE, false));
                assert_int_equal(bytes[range.len - 1],
                                 reaches(model, (range.at + range.len - 1) / PAGE, false));
        }
}

static unsigned long steps_wanted(void)
{
        const char *said = getenv("BULKHEAD_IOTLB_STEPS");

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
        return said ? strtoul(said, NULL, 10) : STEPS / 4;
#else
        return said ? strtoul(said, NULL, 10) : STEPS;
#endif
}

static void walk(uint64_t origin, unsigned long steps)
{
        struct model model = {.origin = origin, .ring_len = 16};

        guest_begin(&model.guest);
        for (unsigned i = 0; i < GUEST_PAGES; i++)
                memset(model.guest.file + i * PAGE, (int)i, PAGE);
        for (unsigned i = 0; i < WINDOW; i++)
                model.pages[i].gpa = -1;
        assert_int_equal(iotlb_init(&model.iotlb), 0);
        new_view(&model);
        for (unsigned long i = 0; i < steps; i++) {
                uint64_t kind = random_below(8);

                if (i % 64 == 0)
                        new_ring(&model);
                if (kind < 2)
                        step_update(&model);
                else if (kind == 2)
                        step_invalidate(&model);
                else
                        step_access(&model);
        }
        assert_true(model.n_rings >= steps / 1000 && model.n_kept >= steps / 2000);
        ring_view_leave(&model.ring);
        iotlb_done(&model.iotlb);
        replace(&model.view, NULL);
        guest_end(&model.guest);
}

static void every_access_is_what_the_pages_say(void **state)
{
        unsigned long steps = steps_wanted();

        (void)state;
        walk(0, steps / 4);
        walk(UINT64_C(0x7f0000000000), steps / 4);
        walk(UINT64_MAX - WINDOW * PAGE + 1, steps / 2);
}

/* ---- lanes: threads that read and write by the view that they were shown last ---- */

#define LANES      3u
#define LANE_PAGES 32u /* of I/O virtual space */
#define LANE_IOVA  UINT64_C(0x7f0000000000)
#define LANE_STEPS (steps_wanted() / 100)
#define SECRET     UINT64_C(0x5ec2e7)

/* At the start of a guest page. */
struct stamp {
        uint64_t iova;    /* the page that stands for it; SECRET: none does, and no lane may see it */
        uint64_t written; /* by lanes: its iova, too; 0: by nobody since it was taken */
};

struct lane {
        pthread_t thread;
        struct guest_memory *view;
        _Atomic(struct guest_memory *) next; /* for the lane to take, with its reference */
        atomic_bool stop;
        uint64_t random;
        atomic_uint n_read, n_missed, n_wrong;
};

struct lanes {
        struct guest guest;
        struct iotlb iotlb;
        int gpa[LANE_PAGES]; /* what each page stands for; -1: nothing */
        bool taken[GUEST_PAGES];
        struct lane lanes[LANES];
};

static void lane_look(struct lane *lane)
{
        uint64_t page, iova, bytes;

        lane->random = lane->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        page = (lane->random >> 33) % LANE_PAGES;
        iova = LANE_IOVA + page * PAGE;
        if (guest_memory_read(lane->view, GPA(iova + offsetof(struct stamp, iova)), &bytes, sizeof(bytes)) <
            0) {
                atomic_fetch_add(&lane->n_missed, 1);
                return;
        }
        if (bytes != iova)
                atomic_fetch_add(&lane->n_wrong, 1);
        if (guest_memory_write(lane->view, GPA(iova + offsetof(struct stamp, written)), &iova, sizeof(iova)) <
            0)
                atomic_fetch_add(&lane->n_wrong, 1);
        atomic_fetch_add(&lane->n_read, 1);
}

static void *lane_run(void *context)
{
        struct lane *lane = context;

        while (!atomic_load(&lane->stop)) {
                struct guest_memory *next = atomic_load(&lane->next);

                for (unsigned i = 0; i < 16; i++)
                        lane_look(lane);
                if (next) {
                        replace(&lane->view, next);
                        atomic_store(&lane->next, NULL); /* the old one is left */
                }
                (void)sched_yield();
        }
        return NULL;
}

/* When it returns every lane has left the old view. */
static void show(struct lanes *lanes)
{
        struct guest_memory *view;

        assert_int_equal(guest_memory_translate(lanes->guest.memory, lanes->iotlb.entries, &view), 0);
        for (unsigned i = 0; i < LANES; i++)
                atomic_store(&lanes->lanes[i].next, guest_memory_ref(view));
        for (unsigned i = 0; i < LANES; i++) {
                while (atomic_load(&lanes->lanes[i].next))
                        (void)sched_yield();
        }
        (void)guest_memory_unref(view);
}

/* Of the guest's own pen: lanes may look at the same word at the same time. */
static void pen(const struct lanes *lanes, unsigned gpa, struct stamp stamp)
{
        struct stamp *is =
            (struct stamp *)(void *)(lanes->guest.file + (uint64_t)lanes->guest.file_page[gpa] * PAGE);

        __atomic_store_n(&is->iova, stamp.iova, __ATOMIC_SEQ_CST);
        __atomic_store_n(&is->written, stamp.written, __ATOMIC_SEQ_CST);
}

static uint64_t written(const struct lanes *lanes, unsigned gpa)
{
        struct stamp *is =
            (struct stamp *)(void *)(lanes->guest.file + (uint64_t)lanes->guest.file_page[gpa] * PAGE);

        return __atomic_load_n(&is->written, __ATOMIC_SEQ_CST);
}

/* Takes a page from the lanes: what was written to it is theirs, what is in it from now on is not for them. */
static void take(struct lanes *lanes, unsigned page)
{
        unsigned gpa = (unsigned)lanes->gpa[page];
        uint64_t by;

        assert_int_equal(iotlb_invalidate(&lanes->iotlb, LANE_IOVA + page * PAGE, PAGE), 0);
        show(lanes);
        by = written(lanes, gpa);
        assert_true(by == 0 || by == LANE_IOVA + page * PAGE);
        pen(lanes, gpa, (struct stamp){.iova = SECRET});
        lanes->gpa[page] = -1;
        lanes->taken[gpa] = false;
}

static void give(struct lanes *lanes, unsigned page)
{
        unsigned gpa;

        do
                gpa = (unsigned)random_below(30); /* the first two regions: all can be written */
        while (lanes->taken[gpa]);
        assert_int_equal(written(lanes, gpa), 0); /* since it was taken nobody has */
        pen(lanes, gpa, (struct stamp){.iova = LANE_IOVA + page * PAGE});
        assert_int_equal(iotlb_update(&lanes->iotlb, &(struct iotlb_entry){.iova = LANE_IOVA + page * PAGE,
                                                                           .len = PAGE,
                                                                           .gpa = gpa * PAGE,
                                                                           .rights = RW}),
                         0);
        lanes->gpa[page] = (int)gpa;
        lanes->taken[gpa] = true;
        show(lanes);
}

static void lanes_begin(struct lanes *lanes)
{
        guest_begin(&lanes->guest);
        for (unsigned gpa = 0; gpa < 30; gpa++)
                pen(lanes, gpa, (struct stamp){.iova = SECRET});
        memset(lanes->gpa, 0xff, sizeof(lanes->gpa));
        assert_int_equal(iotlb_init(&lanes->iotlb), 0);
        for (unsigned i = 0; i < LANES; i++) {
                lanes->lanes[i].random = i;
                assert_int_equal(
                    guest_memory_translate(lanes->guest.memory, lanes->iotlb.entries, &lanes->lanes[i].view),
                    0);
                assert_int_equal(pthread_create(&lanes->lanes[i].thread, NULL, lane_run, &lanes->lanes[i]),
                                 0);
        }
}

static void lanes_end(struct lanes *lanes)
{
        for (unsigned i = 0; i < LANES; i++) {
                struct lane *lane = &lanes->lanes[i];

                atomic_store(&lane->stop, true);
                assert_int_equal(pthread_join(lane->thread, NULL), 0);
                replace(&lane->view, NULL);
                assert_int_equal(atomic_load(&lane->n_wrong), 0);
                assert_true(atomic_load(&lane->n_read) > 0 && atomic_load(&lane->n_missed) > 0);
        }
        iotlb_done(&lanes->iotlb);
        guest_end(&lanes->guest);
}

static void page_that_was_taken_is_neither_read_nor_written_any_more(void **state)
{
        static struct lanes lanes;

        (void)state;
        lanes_begin(&lanes);
        for (unsigned long i = 0; i < LANE_STEPS; i++) {
                unsigned page = (unsigned)random_below(LANE_PAGES);
                unsigned n = 0;

                for (unsigned gpa = 0; gpa < 30; gpa++)
                        n += lanes.taken[gpa];
                if (lanes.gpa[page] >= 0)
                        take(&lanes, page);
                else if (n < 24)
                        give(&lanes, page);
        }
        lanes_end(&lanes);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_access_is_what_the_pages_say),
            cmocka_unit_test(page_that_was_taken_is_neither_read_nor_written_any_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
