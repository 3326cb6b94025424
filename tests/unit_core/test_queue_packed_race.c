/* A packed ring with a driver on another thread: one that plays by the rules, to whom nothing gets lost, and one
 * that writes while we read, whatever it does.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/harness/packed_ring.h"
#include "tests/unit_core/packed_pen.h"

#define SIZE        8u
#define ROUNDS      60000u
#define N_CHAINS    60000u
#define DEADLINE_MS 20000
#define SLOT_BYTES  64u

/* ---- two sides that play by the rules ---- */

struct play {
        struct guest *guest;
        struct guest_ram ram; /* the guest's large region, as the driver sees it */
        struct packed_ring ring;
        uint64_t slots;
        int kick, call;
        atomic_bool failed;
        uint32_t n_taken, n_back;
};

/* Sleeps until the other side writes; false: it never does. */
static bool wait_event(int fd)
{
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t count;

        return poll(&wait, 1, DEADLINE_MS) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void write_event(int fd)
{
        uint64_t one = 1;

        (void)!write(fd, &one, sizeof(one));
}

/* One to three segments; the first four bytes of its slot are the chain's number. */
static int post(struct play *play, uint32_t number, uint64_t *seed)
{
        uint64_t at = play->slots + (number % play->ring.size) * SLOT_BYTES;
        struct split_segment segments[3] = {{at, 4}, {at + 8, 8}, {at + 16, 8}};
        unsigned n = 1 + random_below(seed, 3);

        if (play->ring.n_free < n)
                return -ENOSPC;
        memcpy(play->ram.base + at, &number, 4);
        return packed_ring_add(&play->ring, segments, 1, n - 1, (void *)(uintptr_t)number);
}

/* Used lengths are the numbers again. */
static bool reap(struct play *play)
{
        void *cookie;
        uint32_t len;
        int r;

        while ((r = packed_ring_take(&play->ring, &cookie, &len)) == 1) {
                if (len != (uint32_t)(uintptr_t)cookie)
                        return false;
                play->n_back++;
        }
        return r == 0;
}

static void *drive(void *argument)
{
        struct play *play = argument;
        uint64_t seed = 11;
        uint32_t n = 0;

        while (play->n_back < N_CHAINS) {
                unsigned batch = 1 + random_below(&seed, 6);

                for (unsigned i = 0; i < batch && n < N_CHAINS && n - play->n_back < play->ring.size; i++)
                        if (post(play, n, &seed) == 0)
                                n++;
                if (packed_ring_publish(&play->ring))
                        write_event(play->kick);
                if (!reap(play) || atomic_load(&play->failed)) {
                        atomic_store(&play->failed, true);
                        return play;
                }
                if ((n == N_CHAINS || random_below(&seed, 4) == 0) && n > play->n_back &&
                    !packed_ring_want_call(&play->ring) && !wait_event(play->call)) {
                        atomic_store(&play->failed, true);
                        return play;
                }
        }
        return NULL;
}

static bool serve_one(struct play *play)
{
        uint32_t number;

        if (guest_memory_read(play->guest->memory, play->guest->segments[0].at, &number, 4) < 0 ||
            number != play->n_taken)
                return false;
        play->n_taken++;
        return queue_push(&play->guest->queue, play->guest->chain.head, number) == 0;
}

/* False: something is wrong. */
static bool serve(struct play *play)
{
        struct queue *queue = &play->guest->queue;
        uint64_t seed = 5;

        while (play->n_taken < N_CHAINS && !atomic_load(&play->failed)) {
                int r;

                (void)queue_no_kicks(queue);
                while ((r = guest_pop(play->guest, 3)) == 1) {
                        if (!serve_one(play))
                                return false;
                        if (random_below(&seed, 4) == 0 && queue_publish(queue) == 1)
                                write_event(play->call);
                }
                if (queue_publish(queue) == 1)
                        write_event(play->call);
                if (r < 0 || play->n_taken == N_CHAINS)
                        break;
                if (queue_want_kicks(queue) == 0 && !wait_event(play->kick))
                        return false;
        }
        return play->n_taken == N_CHAINS;
}

static void play_by_the_rules(uint16_t size, bool event_idx)
{
        struct play play = {.guest = guest_new(), .kick = eventfd(0, 0), .call = eventfd(0, 0)};
        pthread_t thread;
        void *failed = &play;
        bool served;

        play.ram = (struct guest_ram){.base = guest_at(play.guest, LARGE),
                                      .size = UINT64_C(1) << 20,
                                      .guest_address = LARGE,
                                      .iova = LARGE};
        packed_ring_init(&play.ring, &play.ram, size, false, event_idx);
        play.slots = guest_ram_alloc(&play.ram, size * SLOT_BYTES, 64);
        play.guest->features = (struct queue_features){.packed = true, .event_idx = event_idx};
        play.guest->layout = (struct queue_layout){.size = size,
                                                   .desc = GPA(LARGE + play.ring.desc),
                                                   .avail = GPA(LARGE + play.ring.driver),
                                                   .used = GPA(LARGE + play.ring.device)};
        assert_int_equal(queue_start(&play.guest->queue, play.guest->memory, &play.guest->layout,
                                     &play.guest->features, QUEUE_PACKED_BASE),
                         0);
        assert_int_equal(pthread_create(&thread, NULL, drive, &play), 0);
        served = serve(&play);
        if (!served)
                atomic_store(&play.failed, true);
        write_event(play.call);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_true(served);
        assert_null(failed);
        assert_int_equal(play.n_back, N_CHAINS);
        close(play.kick);
        close(play.call);
        guest_free(play.guest);
}

static void nothing_is_lost_or_seen_early_with_event_places(void **state)
{
        (void)state;
        play_by_the_rules(64, true);
        play_by_the_rules(7, true);
}

static void nothing_is_lost_or_seen_early_with_flags(void **state)
{
        (void)state;
        play_by_the_rules(64, false);
        play_by_the_rules(7, false);
}

/* ---- one that does not ---- */

/* Writes one value of `width` bytes, then the other, until it is stopped. */
struct flipper {
        void *at;
        unsigned width;
        uint64_t values[2];
        atomic_bool stop;
        pthread_t thread;
};

/* Ring memory is a race by design; only the reader is under test. */
__attribute__((no_sanitize("thread"))) static void *flip(void *argument)
{
        struct flipper *flipper = argument;

        for (unsigned i = 0; !atomic_load_explicit(&flipper->stop, memory_order_relaxed); i++) {
                uint64_t value = flipper->values[i & 1];

                if (flipper->width == 2)
                        *(volatile uint16_t *)flipper->at = (uint16_t)value;
                else if (flipper->width == 4)
                        *(volatile uint32_t *)flipper->at = (uint32_t)value;
                else
                        *(volatile uint64_t *)flipper->at = value;
        }
        return NULL;
}

/* Descriptor 0 has two readings, one of which is 16 good bytes with id 0; a second one follows it. */
static void flip_and_pop(uint64_t offset, unsigned width, uint64_t good, uint64_t bad,
                         bool (*fits)(const struct guest *guest))
{
        struct guest *guest = guest_new();
        struct flipper flipper = {.width = width, .values = {good, bad}};

        packed_start_fresh(guest, SIZE);
        for (uint16_t id = 0; id < 2; id++)
                packed_add(guest, BUFFERS, 16, 0, id);
        flipper.at = guest_at(guest, PACKED_DESC + offset);
        assert_int_equal(pthread_create(&flipper.thread, NULL, flip, &flipper), 0);
        for (unsigned i = 0; i < ROUNDS; i++) {
                int r = guest_pop(guest, SIZE);

                assert_true(r == 0 || r == -EPROTO || fits(guest));
                assert_true(guest->queue.outstanding == (r == 1));
                queue_stop(&guest->queue);
                queue_forget(&guest->queue);
                assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features,
                                             QUEUE_PACKED_BASE),
                                 0);
        }
        atomic_store(&flipper.stop, true);
        assert_int_equal(pthread_join(flipper.thread, NULL), 0);
        guest_free(guest);
}

static bool is_the_good_one(const struct guest *guest)
{
        return guest->chain.head == 0 && guest->chain.n_readable == 1 && guest->chain.n_writable == 0 &&
               guest->segments[0].at.v == BUFFERS && guest->segments[0].len == 16;
}

/* With NEXT the second one belongs to it, and its id is the chain's. */
static bool is_one_or_both(const struct guest *guest)
{
        bool both = guest->chain.n_readable == 2;

        return guest->chain.n_writable == 0 && guest->chain.head == (both ? 1 : 0) &&
               guest->chain.readable == (both ? 32u : 16u);
}

static bool is_readable_or_writable(const struct guest *guest)
{
        return guest->chain.n_readable + guest->chain.n_writable == 1 &&
               guest->chain.readable + guest->chain.writable == 16;
}

static void what_flips_is_one_or_the_other(void **state)
{
        (void)state;
        flip_and_pop(0, 8, BUFFERS, HOLE, is_the_good_one);
        flip_and_pop(8, 4, 16, UINT32_MAX, is_the_good_one);
        flip_and_pop(12, 2, 0, 0xffff, is_the_good_one);
        flip_and_pop(14, 2, DESC_AVAIL, 0, is_the_good_one);
        flip_and_pop(14, 2, DESC_AVAIL, DESC_AVAIL | NEXT, is_one_or_both);
        flip_and_pop(14, 2, DESC_AVAIL, DESC_AVAIL | WRITE, is_readable_or_writable);
        flip_and_pop(14, 2, DESC_AVAIL, DESC_AVAIL | INDIRECT, is_the_good_one);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_is_lost_or_seen_early_with_event_places),
            cmocka_unit_test(nothing_is_lost_or_seen_early_with_flags),
            cmocka_unit_test(what_flips_is_one_or_the_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
