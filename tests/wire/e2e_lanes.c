/* End to end: a disk with several queues, each with a driver thread of its own, on as many lanes as the configuration
 * says. Every read is compared with what was last written there; at the end each queue reads what another one has
 * written, which has passed through another lane.
 *
 * BULKHEAD_BLK_SOCKET: the device's socket; the image is overwritten. BULKHEAD_KILL_PID: a shell command that prints
 * the pid of that device's worker. Without them everything is skipped. TRUST: data and statuses are the broker's, and
 * are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"

#define QUEUES_MAX  4u
#define BLOCK       4096u
#define BLOCKS      1024u /* of each queue's own part of the disk */
#define SLOT_BLOCKS 8u
#define DEPTH       16u
#define DEADLINE_MS 10000
#define KILLS       25u
#define LOAD        400u /* requests of a queue at a time */

/* One queue, its part of the disk and what should be there. */
struct driver {
        unsigned index;
        struct blk_front blk;
        uint32_t version[BLOCKS];
        bool busy[BLOCKS]; /* under a request: not touched by another */
        unsigned seed;
        unsigned left;       /* of the load that it runs */
        const char *mistake; /* of its thread; NULL: none */
        pthread_t thread;
};

static struct {
        struct front_end front;
        struct guest_ram ram;
        unsigned n_queues;
        struct driver drivers[QUEUES_MAX];
} scene = {.front = {.wire = {.sock = -1}, .backend = -1}};

/* ---- one queue; runs in its thread ---- */

static void fill_block(uint8_t *bytes, uint64_t block, uint32_t version)
{
        uint64_t word = (block << 32 | version) * UINT64_C(0x9e3779b97f4a7c15) + 1;

        for (unsigned i = 0; i < BLOCK; i += 8) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                memcpy(bytes + i, &word, 8);
        }
}

static uint64_t disk_block(const struct driver *driver, unsigned block)
{
        return (uint64_t)driver->index * BLOCKS + block;
}

static void mark(struct driver *driver, unsigned block, unsigned n, bool busy)
{
        for (unsigned i = block; i < block + n; i++)
                driver->busy[i] = busy;
}

static bool pick_range(struct driver *driver, unsigned *ret_block, unsigned *ret_n)
{
        unsigned n = 1 + (unsigned)rand_r(&driver->seed) % SLOT_BLOCKS;
        unsigned block = (unsigned)rand_r(&driver->seed) % (BLOCKS - n);

        for (unsigned i = block; i < block + n; i++)
                if (driver->busy[i])
                        return false;
        *ret_block = block;
        *ret_n = n;
        return true;
}

/* False: nothing can be posted now. */
static bool post(struct driver *driver)
{
        int slot = blk_front_next(&driver->blk);
        bool write = (unsigned)rand_r(&driver->seed) % 2;
        unsigned block, n;

        if (slot < 0 || !pick_range(driver, &block, &n))
                return false;
        for (unsigned i = block; write && i < block + n; i++)
                fill_block(blk_front_data(&driver->blk, (unsigned)slot) + (i - block) * BLOCK,
                           disk_block(driver, i), ++driver->version[i]);
        if (blk_front_post(&driver->blk, write ? BLK_OUT : BLK_IN, disk_block(driver, block) * (BLOCK / 512),
                           n * BLOCK, NULL) < 0)
                return false;
        mark(driver, block, n, true);
        return true;
}

static const char *judge(struct driver *driver, const struct blk_done *done)
{
        const struct blk_slot *slot = &driver->blk.slots[done->slot];
        unsigned first = (unsigned)(slot->sector / (BLOCK / 512) - disk_block(driver, 0));
        unsigned n = slot->len / BLOCK;
        uint8_t expected[BLOCK];

        if (done->status != BLK_S_OK)
                return "a request failed";
        for (unsigned i = first; slot->type == BLK_IN && i < first + n; i++) {
                fill_block(expected, disk_block(driver, i), driver->version[i]);
                if (memcmp(expected, blk_front_data(&driver->blk, done->slot) + (i - first) * BLOCK, BLOCK) !=
                    0)
                        return "a block is not what was last written to it";
        }
        mark(driver, first, n, false);
        return NULL;
}

static const char *wait_one(struct driver *driver)
{
        struct blk_done done;

        if (blk_front_wait(&driver->blk, DEADLINE_MS, &done) < 0)
                return "no answer in time";
        return judge(driver, &done);
}

static void *driver_main(void *argument)
{
        struct driver *driver = argument;

        while (driver->left > 0 && !driver->mistake) {
                bool any = false;

                while (driver->left > 0 && post(driver)) {
                        driver->left--;
                        any = true;
                }
                if (any && blk_front_submit(&driver->blk) < 0)
                        driver->mistake = "cannot kick";
                if (driver->blk.n_busy > 0 && !driver->mistake)
                        driver->mistake = wait_one(driver);
        }
        return NULL;
}

/* ---- all queues ---- */

static void check_mistakes(void)
{
        for (unsigned q = 0; q < scene.n_queues; q++)
                if (scene.drivers[q].mistake)
                        fail_msg("queue %u: %s", q, scene.drivers[q].mistake);
}

static void begin_load(unsigned n)
{
        for (unsigned q = 0; q < scene.n_queues; q++) {
                struct driver *driver = &scene.drivers[q];

                driver->left = n;
                assert_int_equal(pthread_create(&driver->thread, NULL, driver_main, driver), 0);
        }
}

/* The queues are left as full as they are. */
static void end_load(void)
{
        for (unsigned q = 0; q < scene.n_queues; q++)
                assert_int_equal(pthread_join(scene.drivers[q].thread, NULL), 0);
        check_mistakes();
}

static void run_load(unsigned n)
{
        begin_load(n);
        end_load();
}

static void wait_all(void)
{
        for (unsigned q = 0; q < scene.n_queues; q++)
                while (scene.drivers[q].blk.n_busy > 0 && !scene.drivers[q].mistake)
                        scene.drivers[q].mistake = wait_one(&scene.drivers[q]);
        check_mistakes();
}

static void start_queues(const uint32_t *bases)
{
        for (unsigned q = 0; q < scene.n_queues; q++)
                assert_int_equal(blk_front_start(&scene.drivers[q].blk, bases ? bases[q] : 0), 0);
}

static void stop_queues(uint32_t *ret_bases)
{
        for (unsigned q = 0; q < scene.n_queues; q++) {
                const struct split_ring *ring = &scene.drivers[q].blk.ring;
                uint16_t used;

                assert_int_equal(blk_front_stop(&scene.drivers[q].blk, &ret_bases[q]), 0);
                memcpy(&used, scene.ram.base + ring->used + 2, sizeof(used));
                assert_int_equal(ret_bases[q], used); /* what was taken has come back, the rest waits */
        }
}

/* Every block of every part to a known state. */
static void clear_disk(void)
{
        for (unsigned q = 0; q < scene.n_queues; q++) {
                struct driver *driver = &scene.drivers[q];

                for (unsigned block = 0; block < BLOCKS; block += SLOT_BLOCKS) {
                        uint8_t *data = blk_front_data(&driver->blk, 0);

                        for (unsigned i = 0; i < SLOT_BLOCKS; i++)
                                fill_block(data + i * BLOCK, disk_block(driver, block + i), 1);
                        assert_int_equal(blk_front_do(&driver->blk, BLK_OUT,
                                                      disk_block(driver, block) * (BLOCK / 512),
                                                      SLOT_BLOCKS * BLOCK, DEADLINE_MS),
                                         BLK_S_OK);
                }
                for (unsigned i = 0; i < BLOCKS; i++)
                        driver->version[i] = 1;
                memset(driver->busy, 0, sizeof(driver->busy));
        }
}

/* Each queue reads what its neighbour has written. */
static void read_each_others(void)
{
        for (unsigned q = 0; q < scene.n_queues; q++) {
                struct driver *reader = &scene.drivers[(q + 1) % scene.n_queues];
                const struct driver *writer = &scene.drivers[q];
                uint8_t expected[BLOCK];

                for (unsigned block = 0; block < BLOCKS; block++) {
                        assert_int_equal(blk_front_do(&reader->blk, BLK_IN,
                                                      disk_block(writer, block) * (BLOCK / 512), BLOCK,
                                                      DEADLINE_MS),
                                         BLK_S_OK);
                        fill_block(expected, disk_block(writer, block), writer->version[block]);
                        assert_memory_equal(expected, blk_front_data(&reader->blk, 0), BLOCK);
                }
        }
}

static void open_scene(enum front_end_dialect dialect)
{
        scene.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&scene.front.wire, getenv("BULKHEAD_BLK_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&scene.front, dialect, true), 0);
        assert_int_equal(guest_ram_init(&scene.ram, UINT64_C(16) << 20, UINT64_C(0x80000000)), 0);
        scene.n_queues = MIN(scene.front.n_used, QUEUES_MAX);
        for (unsigned q = 0; q < scene.n_queues; q++) {
                struct driver *driver = &scene.drivers[q];

                *driver = (struct driver){.index = q, .seed = 42 + q};
                blk_front_init(&driver->blk, &scene.front, &scene.ram, q, 64, DEPTH, SLOT_BLOCKS * BLOCK,
                               BLOCK);
        }
        start_queues(NULL);
        clear_disk();
}

static int teardown(void **state)
{
        (void)state;
        front_end_close(&scene.front);
        guest_ram_done(&scene.ram);
        return 0;
}

/* ---- tests ---- */

static void queues_on_all_lanes_write_and_read_what_is_right(void **state)
{
        (void)state;
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                open_scene((enum front_end_dialect)dialect);
                run_load(4 * LOAD);
                wait_all();
                read_each_others();
                teardown(NULL);
        }
}

static void all_lanes_stop_and_go_on_under_load(void **state)
{
        uint32_t bases[QUEUES_MAX];

        (void)state;
        open_scene(FRONT_END_QEMU_7_2);
        for (unsigned i = 0; i < 20; i++) {
                run_load(LOAD);
                stop_queues(bases);
                start_queues(bases);
        }
        wait_all();
        read_each_others();
}

/* The VMM pauses one queue only, while the others are at work. */
static void one_queue_stops_while_other_lanes_work(void **state)
{
        (void)state;
        open_scene(FRONT_END_QEMU_7_2);
        for (unsigned i = 0; i < 20; i++) {
                struct driver *driver = &scene.drivers[i % scene.n_queues];
                uint32_t base;

                begin_load(LOAD);
                assert_int_equal(pthread_join(driver->thread, NULL), 0);
                assert_int_equal(blk_front_stop(&driver->blk, &base), 0);
                assert_int_equal(
                    front_end_start_ring(&scene.front, driver->index, &driver->blk.ring, (uint16_t)base), 0);
                for (unsigned q = 0; q < scene.n_queues; q++)
                        if (&scene.drivers[q] != driver)
                                assert_int_equal(pthread_join(scene.drivers[q].thread, NULL), 0);
                check_mistakes();
        }
        wait_all();
}

static void a_reset_forgets_the_requests_of_all_lanes(void **state)
{
        uint32_t bases[QUEUES_MAX];

        (void)state;
        open_scene(FRONT_END_QEMU_11_1);
        for (unsigned i = 0; i < 5; i++) {
                run_load(LOAD);
                wait_all();
                stop_queues(bases);
                assert_int_equal(front_end_reset_device(&scene.front), 0);
                for (unsigned q = 0; q < scene.n_queues; q++)
                        blk_front_forget(&scene.drivers[q].blk);
                start_queues(NULL);
        }
        run_load(LOAD);
        wait_all();
        read_each_others();
}

static pid_t worker_pid(void)
{
        FILE *out = popen(getenv("BULKHEAD_KILL_PID"), "re");
        int pid = 0;

        assert_non_null(out);
        if (fscanf(out, "%d", &pid) != 1)
                pid = 0;
        pclose(out);
        return pid;
}

static void a_killed_worker_is_replaced_on_all_lanes_and_no_byte_is_wrong(void **state)
{
        unsigned kills = 0;
        pid_t before = 0;

        (void)state;
        open_scene(FRONT_END_QEMU_7_2);
        while (kills < KILLS) {
                pid_t pid;

                begin_load(LOAD);
                pid = worker_pid();
                if (pid > 0 && pid != before && kill(pid, SIGKILL) == 0) {
                        before = pid;
                        kills++;
                }
                end_load();
        }
        wait_all();
        read_each_others();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define E2E_TEST(name) cmocka_unit_test_teardown(name, teardown)
            E2E_TEST(queues_on_all_lanes_write_and_read_what_is_right),
            E2E_TEST(all_lanes_stop_and_go_on_under_load),
            E2E_TEST(one_queue_stops_while_other_lanes_work),
            E2E_TEST(a_reset_forgets_the_requests_of_all_lanes),
            E2E_TEST(a_killed_worker_is_replaced_on_all_lanes_and_no_byte_is_wrong),
        };

        if (!getenv("BULKHEAD_BLK_SOCKET") || !getenv("BULKHEAD_KILL_PID")) {
                fprintf(stderr, "skipped: BULKHEAD_BLK_SOCKET or BULKHEAD_KILL_PID is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
