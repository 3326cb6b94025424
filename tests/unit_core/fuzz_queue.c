/* Fuzz target of the ring walker: a memory image and a list of calls.
 *
 * Input: one byte of options (the layout is one of them), one of layout, two of base index, one count of calls, the calls (two bytes
 * each), and the rest is laid over guest memory from its start. Whatever comes: no access outside the regions
 * (address sanitizer sees the copies), no chain that breaks a promise of chain.h, a broken queue stays
 * broken, heads are counted right.
 *
 * In the adversarial mode every byte that was read from guest memory changes right after it was read. A chain
 * must then be the same as with memory that stands still: a difference is a double fetch. (Not judged with
 * indirect tables, which may lie over the rings, and whose windows may overlap.)
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/core/queue.h"

#define PAGE    4096u
#define N_PAGES 6u
#define ORIGIN                                                                                               \
        UINT64_C(0x1000) /* pages 0 to 1, then 2 to 3 adjacent but elsewhere on the host; 4 is a hole */
#define READONLY (ORIGIN + 5 * PAGE)

#define OPTION_INDIRECT  1u
#define OPTION_EVENT     2u
#define OPTION_ADVERSARY 4u
#define OPTION_TIGHT     8u /* few segments */
#define OPTION_PACKED    16u
#define OPTION_BIG       32u /* a split ring in big endian */

#define MUST(condition)                                                                                      \
        do {                                                                                                 \
                if (!(condition))                                                                            \
                        __builtin_trap();                                                                    \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t __real_fault_safe_copy(void *to, const void *from, size_t n);
size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n);
int __real_fault_safe_load16(const void *at, uint16_t *ret_value);
int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value);
int __real_fault_safe_load32(const void *at, uint32_t *ret_value);
int __wrap_fault_safe_load32(const void *at, uint32_t *ret_value);
int __real_fault_safe_load64(const void *at, uint64_t *ret_value);
int __wrap_fault_safe_load64(const void *at, uint64_t *ret_value);

static uint8_t *image; /* the guest's own view */
static struct guest_memory *whole, *partial;
static bool adversary;

/* Where the broker has mapped the guest: only reads from there are foreign. */
static uint8_t *views[3];
static const size_t view_pages[3] = {2, 2, 1};

static bool is_foreign(const uint8_t *at)
{
        for (size_t i = 0; i < 3; i++) {
                if (at >= views[i] && at < views[i] + view_pages[i] * PAGE)
                        return true;
        }
        return false;
}

static uint8_t *own_view(const uint8_t *at)
{
        static const size_t first_page[3] = {2, 0, 5};

        for (size_t i = 0; i < 3; i++) {
                if (at >= views[i] && at < views[i] + view_pages[i] * PAGE)
                        return image + first_page[i] * PAGE + (at - views[i]);
        }
        return NULL;
}

static void change_behind(const uint8_t *from, size_t n)
{
        for (size_t i = 0; adversary && i < n; i++)
                if (is_foreign(from + i))
                        *own_view(from + i) ^= (uint8_t)(0x5a + i);
}

size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n)
{
        size_t left = __real_fault_safe_copy(to, from, n);

        change_behind(from, n - left);
        return left;
}

int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value)
{
        int r = __real_fault_safe_load16(at, ret_value);

        if (r == 0)
                change_behind(at, sizeof(*ret_value));
        return r;
}

int __wrap_fault_safe_load32(const void *at, uint32_t *ret_value)
{
        int r = __real_fault_safe_load32(at, ret_value);

        if (r == 0)
                change_behind(at, sizeof(*ret_value));
        return r;
}

int __wrap_fault_safe_load64(const void *at, uint64_t *ret_value)
{
        int r = __real_fault_safe_load64(at, ret_value);

        if (r == 0)
                change_behind(at, sizeof(*ret_value));
        return r;
}

static struct guest_memory *add(struct guest_memory *memory, int fd, unsigned view, uint64_t start,
                                uint64_t page, bool writable)
{
        struct guest_mapping *mapping;
        struct guest_memory *with;
        struct guest_region region = {
            .start = GPA(start), .len = view_pages[view] * PAGE, .writable = writable};

        MUST(guest_mapping_new(fd, page * PAGE, region.len, writable, &mapping) == 0);
        region.mapping = mapping;
        MUST(guest_memory_with(memory, &region, &with) == 0);
        views[view] = guest_memory_ring(with, GPA(start), region.len, 1, false);
        MUST(views[view]);
        (void)guest_mapping_unref(mapping);
        (void)guest_memory_unref(memory);
        return with;
}

static void make_memory(void)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        MUST(fd >= 0 && ftruncate(fd, N_PAGES * PAGE) == 0 && fault_safe_install() == 0);
        image = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        MUST(image != MAP_FAILED);
        partial = add(guest_memory_new(), fd, 0, ORIGIN, 2, true);
        whole = add(guest_memory_ref(partial), fd, 1, ORIGIN + 2 * PAGE, 0, true);
        whole = add(whole, fd, 2, READONLY, 5, false);
        close(fd);
}

/* The image as the guest sees it: in the order of its addresses. */
static void lay_image(const uint8_t *data, size_t size)
{
        memset(image, 0, N_PAGES * PAGE);
        for (size_t i = 0; i < size && i < 4 * PAGE; i++)
                image[i < 2 * PAGE ? 2 * PAGE + i : i - 2 * PAGE] = data[i];
        for (size_t i = 0; i < 16 && i < size; i++)
                image[5 * PAGE + i] = data[i];
}

static void check_chain(const struct queue *queue, const struct chain *chain)
{
        uint64_t readable = 0, writable = 0;
        unsigned n = (unsigned)chain->n_readable + chain->n_writable;

        MUST(chain->head < queue->layout.size && n > 0 && n <= queue->layout.size &&
             n <= chain->max_segments);
        MUST((queue->heads[chain->head / 64] >> (chain->head % 64) & 1) == 1);
        for (unsigned i = 0; i < n; i++) {
                bool write = i >= chain->n_readable;

                MUST(chain->segments[i].len > 0);
                MUST(
                    guest_memory_covers(queue->memory, chain->segments[i].at, chain->segments[i].len, write));
                *(write ? &writable : &readable) += chain->segments[i].len;
        }
        MUST(readable == chain->readable && writable == chain->writable &&
             readable + writable <= LIMIT_CHAIN_BYTES);
}

/* What is outstanding lies between the two places, which are never more than a ring apart. */
static void check_packed(const struct queue *queue)
{
        uint32_t size = queue->layout.size, held = 0;
        uint32_t between = (queue->avail_wrap == queue->used_wrap ? 0 : size) + queue->last_avail -
                           (uint32_t)queue->used_next;

        for (uint32_t id = 0; id < size; id++)
                held += (queue->heads[id / 64] >> (id % 64) & 1) ? queue->taken[id] : 0;
        MUST(queue->last_avail < size && queue->used_next < size && between <= size && held <= between);
        MUST(between + queue->n_pushed <= size && (queue->n_pushed == 0 || queue->first_at < size));
}

static void check_queue(const struct queue *queue)
{
        unsigned n = 0;

        for (size_t i = 0; i < LIMIT_RING_SIZE / 64; i++)
                n += (unsigned)__builtin_popcountll(queue->heads[i]);
        MUST(n == queue->outstanding);
        if (queue->started && queue->features.packed)
                check_packed(queue);
}

struct run {
        struct queue queue;
        struct queue_layout layout;
        struct queue_features features;
        uint16_t max_segments;
        uint16_t last_head;
};

/* What queue_pop does when memory stands still; the guest's memory and the queue are as before. */
static int pop_still(const struct run *run, struct queue *ret_queue, struct chain *chain)
{
        static uint8_t before[N_PAGES * PAGE];
        int r;

        *ret_queue = run->queue;
        memcpy(before, image, sizeof(before));
        adversary = false;
        r = queue_pop(ret_queue, chain);
        adversary = true;
        memcpy(image, before, sizeof(before));
        return r;
}

/* The same queue and the same chain, whatever changed behind the reads. */
static void pop_compared(struct run *run)
{
        struct segment still_segments[LIMIT_RING_SIZE], segments[LIMIT_RING_SIZE];
        struct chain still_chain = {.segments = still_segments, .max_segments = run->max_segments};
        struct chain chain = {.segments = segments, .max_segments = run->max_segments};
        struct queue still;
        int r = pop_still(run, &still, &still_chain);

        if (r != 1) /* a loop is read again and again */
                return;
        MUST(queue_pop(&run->queue, &chain) == 1);
        MUST(memcmp(&still, &run->queue, sizeof(still)) == 0);
        MUST(chain.head == still_chain.head && chain.n_readable == still_chain.n_readable &&
             chain.n_writable == still_chain.n_writable);
        for (unsigned i = 0; i < (unsigned)chain.n_readable + chain.n_writable; i++)
                MUST(segments[i].at.v == still_segments[i].at.v && segments[i].len == still_segments[i].len);
        run->last_head = chain.head;
}

static void pop(struct run *run)
{
        /* Of exact size, so that one segment too many is seen. */
        struct segment *segments = malloc(sizeof(*segments) * run->max_segments);
        struct chain chain = {.segments = segments, .max_segments = run->max_segments};
        enum queue_fault before = run->queue.fault;
        int r;

        MUST(segments);
        r = queue_pop(&run->queue, &chain);
        MUST(r == 0 || r == 1 || r == -EPROTO);
        MUST((r == -EPROTO) == (run->queue.fault != QUEUE_FAULT_NONE));
        MUST(before == QUEUE_FAULT_NONE || run->queue.fault == before);
        if (r == 1) {
                check_chain(&run->queue, &chain);
                run->last_head = chain.head;
        }
        free(segments);
}

/* The guest posts: its available index goes up, or the next descriptor is marked. */
static void post(struct run *run, uint8_t with)
{
        uint8_t *at = image + 2 * PAGE;

        if (!run->features.packed) {
                at[(run->layout.avail.v - ORIGIN) % (2 * PAGE - 4) + 2 + run->features.big_endian] += with;
                return;
        }
        at += 16u * run->queue.last_avail + 14;
        at[0] = (uint8_t)((with & 0x7f) | (run->queue.avail_wrap ? 0x80 : 0));
        at[1] = run->queue.avail_wrap ? 0 : 0x80;
}

static void restart(struct run *run)
{
        uint32_t base = queue_stop(&run->queue);

        (void)queue_start(&run->queue, whole, &run->layout, &run->features, base);
}

static void call(struct run *run, uint8_t what, uint8_t with)
{
        switch (what % 10) {
        case 0:
        case 1:
                pop(run);
                break;
        case 2:
                if (adversary && !run->features.indirect)
                        pop_compared(run);
                else
                        pop(run);
                break;
        case 3:
                (void)queue_push(&run->queue, run->last_head, with);
                break;
        case 4:
                (void)queue_push(&run->queue, (uint16_t)(with * 17u), with);
                break;
        case 5:
                (void)queue_publish(&run->queue);
                break;
        case 6:
                (void)(with & 1 ? queue_want_kicks(&run->queue) : queue_no_kicks(&run->queue));
                break;
        case 7:
                (void)queue_rebind(&run->queue, with & 3 ? whole : partial);
                break;
        case 8:
                restart(run);
                break;
        default:
                post(run, with);
                break;
        }
        check_queue(&run->queue);
}

/* Rings of 1 to 128, packed ones also a little smaller, close together, so that small inputs fill them. */
static void lay_out(struct run *run, uint8_t layout)
{
        bool packed = run->features.packed;
        struct queue_bytes bytes;

        run->layout.size = (uint16_t)(1u << (layout % 8));
        if (packed && run->layout.size > 4)
                run->layout.size = (uint16_t)(run->layout.size - (layout >> 3 & 3));
        bytes = queue_bytes(run->layout.size, packed);
        run->layout.desc = GPA(ORIGIN);
        run->layout.avail = GPA(ORIGIN + bytes.desc);
        run->layout.used = GPA((run->layout.avail.v + bytes.avail + 3u) & ~UINT64_C(3));
        if (layout & 0x80) /* across the regions: refused; not so a packed ring's four bytes */
                run->layout.used = GPA(ORIGIN + 2 * PAGE - 4);
}

/* Mostly one that starts: both sides at the same place. */
static uint32_t packed_base(const struct run *run, uint8_t place, uint8_t wraps)
{
        uint32_t base = (uint32_t)(place % run->layout.size) | (wraps & 1 ? 0x8000u : 0);

        return base | (wraps & 2 ? (uint32_t)wraps << 16 : base << 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct run run = {.max_segments = LIMIT_RING_SIZE};
        size_t n_calls;

        if (size < 5)
                return 0;
        if (!image)
                make_memory();
        n_calls = data[4] % 64;
        if (size < 5 + 2 * n_calls)
                return 0;
        adversary = false;
        lay_image(data + 5 + 2 * n_calls, size - 5 - 2 * n_calls);
        run.features.indirect = (data[0] & OPTION_INDIRECT) != 0;
        run.features.event_idx = (data[0] & OPTION_EVENT) != 0;
        if (data[0] & OPTION_TIGHT)
                run.max_segments = 3;
        run.features.packed = (data[0] & OPTION_PACKED) != 0;
        run.features.big_endian = !run.features.packed && (data[0] & OPTION_BIG) != 0;
        lay_out(&run, data[1]);
        queue_init(&run.queue);
        adversary = (data[0] & OPTION_ADVERSARY) != 0;
        (void)queue_start(&run.queue, whole, &run.layout, &run.features,
                          run.features.packed ? packed_base(&run, data[2], data[3])
                                              : (uint32_t)(data[2] | data[3] << 8));
        for (size_t i = 0; i < n_calls; i++)
                call(&run, data[5 + 2 * i], data[6 + 2 * i]);
        adversary = false;
        queue_done(&run.queue);
        return 0;
}
