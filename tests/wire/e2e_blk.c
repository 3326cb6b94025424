/* End to end: our own front end against a running broker with a jailed block worker behind it.
 *
 * BULKHEAD_BLK_SOCKET: the device's socket; without it everything is skipped. The image is overwritten.
 * BULKHEAD_PACKED: the driver takes packed rings.
 * BULKHEAD_KILL_PID: a shell command that prints the pid of that device's worker; without it the kill test
 * is skipped. BULKHEAD_BLK_IMAGE: the image's path, to shorten it.
 * TRUST: data and statuses are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/harness/blk_front.h"

#define BLOCK       4096u
#define BLOCKS_MAX  8192u /* 32 MiB are enough to be random in */
#define SLOT_BLOCKS 48u   /* three pieces of a worker: long enough to be copied directly */
#define DEADLINE_MS 10000
#define KILLS       50u
#define RAM_BYTES   (UINT64_C(64) << 20)

/* What should be on the disk: every block's content follows from its number and version. */
struct model {
        unsigned n_blocks;
        uint32_t version[BLOCKS_MAX]; /* 0: zeroes */
        bool busy[BLOCKS_MAX];        /* under a request: not touched by another */
        unsigned seed;
};

struct scene {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        struct model model;
};

static struct scene scene = {.front = {.wire = {.sock = -1}, .backend = -1}};

static const char *socket_path(void)
{
        return getenv("BULKHEAD_BLK_SOCKET");
}

static void connect_front(enum front_end_dialect dialect)
{
        scene.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&scene.front.wire, socket_path()), 0);
        assert_int_equal(front_end_negotiate(&scene.front, dialect, true), 0);
        scene.front.wants_packed = getenv("BULKHEAD_PACKED") != NULL;
}

static void open_scene(enum front_end_dialect dialect, unsigned depth)
{
        uint64_t capacity = 0;

        connect_front(dialect);
        assert_int_equal(front_end_get_config(&scene.front, 0, sizeof(capacity), &capacity), 0);
        assert_int_equal(guest_ram_init(&scene.ram, RAM_BYTES, UINT64_C(0x80000000)), 0);
        blk_front_init(&scene.blk, &scene.front, &scene.ram, 0, 256, depth, SLOT_BLOCKS * BLOCK, BLOCK);
        assert_int_equal(scene.blk.packed, scene.front.wants_packed);
        assert_int_equal(blk_front_start(&scene.blk, blk_front_base(&scene.blk)), 0);
        scene.model.n_blocks = (unsigned)MIN(capacity * 512 / BLOCK, BLOCKS_MAX);
        scene.model.seed = 42;
}

static void close_scene(void)
{
        front_end_close(&scene.front);
        guest_ram_done(&scene.ram);
}

/* Also after a failure: the next test needs the device's one session. */
static int teardown(void **state)
{
        (void)state;
        close_scene();
        return 0;
}

/* ---- the model ---- */

static void fill_block(uint8_t *bytes, unsigned block, uint32_t version)
{
        uint64_t word = ((uint64_t)block << 32 | version) * UINT64_C(0x9e3779b97f4a7c15) + 1;

        if (version == 0) {
                memset(bytes, 0, BLOCK);
                return;
        }
        for (unsigned i = 0; i < BLOCK; i += 8) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                memcpy(bytes + i, &word, 8);
        }
}

static unsigned pick(unsigned below)
{
        return (unsigned)rand_r(&scene.model.seed) % below;
}

/* A run of blocks that no request is working on. */
static bool pick_range(unsigned *ret_block, unsigned *ret_n)
{
        unsigned n = 1 + pick(SLOT_BLOCKS), block = pick(scene.model.n_blocks - n);

        for (unsigned i = block; i < block + n; i++)
                if (scene.model.busy[i])
                        return false;
        *ret_block = block;
        *ret_n = n;
        return true;
}

static void mark(unsigned block, unsigned n, bool busy)
{
        for (unsigned i = block; i < block + n; i++)
                scene.model.busy[i] = busy;
}

static bool post_random(void)
{
        unsigned block, n;
        bool write = pick(2);
        int slot = blk_front_next(&scene.blk);

        if (slot < 0 || !pick_range(&block, &n))
                return false;
        if (pick(32) == 0) {
                assert_true(blk_front_post(&scene.blk, BLK_FLUSH, 0, 0, NULL) >= 0);
                return true;
        }
        for (unsigned i = 0; write && i < n; i++)
                fill_block(blk_front_data(&scene.blk, (unsigned)slot) + i * BLOCK, block + i,
                           ++scene.model.version[block + i]);
        if (blk_front_post(&scene.blk, write ? BLK_OUT : BLK_IN, (uint64_t)block * (BLOCK / 512), n * BLOCK,
                           NULL) < 0)
                fail_msg("the ring is full below its depth");
        mark(block, n, true);
        return true;
}

static void check_done(const struct blk_done *done)
{
        const struct blk_slot *slot = &scene.blk.slots[done->slot];
        unsigned block = (unsigned)(slot->sector / (BLOCK / 512)), n = slot->len / BLOCK;
        uint8_t expected[BLOCK];

        if (done->status != BLK_S_OK)
                fail_msg("request type %u at block %u: status %u", slot->type, block, done->status);
        if (slot->type == BLK_IN)
                assert_int_equal(done->used_len, slot->len + 1);
        for (unsigned i = 0; slot->type == BLK_IN && i < n; i++) {
                fill_block(expected, block + i, scene.model.version[block + i]);
                if (memcmp(expected, blk_front_data(&scene.blk, done->slot) + i * BLOCK, BLOCK) != 0)
                        fail_msg("block %u is not version %u", block + i, scene.model.version[block + i]);
        }
        if (slot->type == BLK_IN || slot->type == BLK_OUT)
                mark(block, n, false);
}

static void wait_one(void)
{
        struct blk_done done;

        assert_int_equal(blk_front_wait(&scene.blk, DEADLINE_MS, &done), 0);
        check_done(&done);
}

static void wait_all(void)
{
        while (scene.blk.n_busy > 0)
                wait_one();
}

/* n requests at the depth of the scene, each result checked; the queue is left as full as it is. */
static void run_load(unsigned n)
{
        for (unsigned posted = 0; posted < n;) {
                bool any = false;

                while (posted < n && post_random()) {
                        posted++;
                        any = true;
                }
                if (any)
                        assert_int_equal(blk_front_submit(&scene.blk), 0);
                if (scene.blk.n_busy > 0)
                        wait_one();
        }
}

/* The whole range to a known state. */
static void clear_disk(void)
{
        for (unsigned block = 0; block + SLOT_BLOCKS <= scene.model.n_blocks; block += SLOT_BLOCKS) {
                int slot = blk_front_next(&scene.blk);

                assert_true(slot >= 0);
                for (unsigned i = 0; i < SLOT_BLOCKS; i++) {
                        scene.model.version[block + i] = 1;
                        fill_block(blk_front_data(&scene.blk, (unsigned)slot) + i * BLOCK, block + i, 1);
                }
                assert_int_equal(blk_front_do(&scene.blk, BLK_OUT, block * (BLOCK / 512), SLOT_BLOCKS * BLOCK,
                                              DEADLINE_MS),
                                 BLK_S_OK);
        }
        scene.model.n_blocks -= scene.model.n_blocks % SLOT_BLOCKS;
        memset(scene.model.busy, 0, sizeof(scene.model.busy));
}

/* Where a ring from which nothing is missing goes on: as the device has published it, or, packed, where both
 * sides are at the same place. */
static uint32_t settled_base(uint32_t base)
{
        uint16_t index;

        if (scene.blk.packed)
                return (base & 0xffff) | base << 16;
        memcpy(&index, scene.ram.base + scene.blk.ring.used + 2, sizeof(index));
        return index;
}

/* ---- tests ---- */

static void data_is_right_at_every_queue_depth(void **state)
{
        static const unsigned depths[] = {1, 2, 7, 16, 64};

        (void)state;
        open_scene(FRONT_END_QEMU_7_2, 1);
        clear_disk();
        close_scene();
        for (size_t i = 0; i < array_size(depths); i++) {
                struct model model = scene.model;

                open_scene((enum front_end_dialect)(i % FRONT_END_DIALECT_COUNT_), depths[i]);
                model.seed += (unsigned)i;
                scene.model = model;
                run_load(4000);
                wait_all();
                close_scene();
        }
}

static void stop_and_resume_under_load(void **state)
{
        (void)state;
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                open_scene((enum front_end_dialect)dialect, 32);
                clear_disk();
                for (int i = 0; i < 20; i++) {
                        uint32_t base;

                        run_load(200);
                        assert_int_equal(blk_front_stop(&scene.blk, &base), 0);
                        /* what was taken has come back, the rest waits */
                        assert_int_equal(base, settled_base(base));
                        assert_int_equal(blk_front_start(&scene.blk, base), 0);
                }
                wait_all();
                close_scene();
        }
}

static void reconnect_after_leaving_requests_behind(void **state)
{
        (void)state;
        open_scene(FRONT_END_QEMU_7_2, 32);
        clear_disk();
        for (int i = 0; i < 10; i++) {
                run_load(200);
                wait_all();
                for (int n = 0; n < 16; n++) /* reads that nobody waits for */
                        assert_true(blk_front_post(&scene.blk, BLK_IN, 0, BLOCK, NULL) >= 0);
                assert_int_equal(blk_front_submit(&scene.blk), 0);
                front_end_close(&scene.front);
                connect_front((enum front_end_dialect)(i % FRONT_END_DIALECT_COUNT_));
                blk_front_forget(&scene.blk);
                assert_int_equal(blk_front_start(&scene.blk, blk_front_base(&scene.blk)), 0);
        }
        close_scene();
}

static void device_reset_forgets_requests_and_nothing_else(void **state)
{
        (void)state;
        open_scene(FRONT_END_QEMU_11_1, 32);
        clear_disk();
        for (int i = 0; i < 5; i++) {
                uint32_t base;

                run_load(200);
                wait_all();
                assert_int_equal(blk_front_stop(&scene.blk, &base), 0);
                assert_int_equal(front_end_reset_device(&scene.front), 0);
                blk_front_forget(&scene.blk);
                assert_int_equal(blk_front_start(&scene.blk, blk_front_base(&scene.blk)),
                                 0); /* memory is not sent again */
        }
        run_load(200);
        wait_all();
        close_scene();
}

/* Reads on another queue, posted before and reaped after. */
static void other_queue_reads(struct blk_front *other, bool post)
{
        for (unsigned i = 0; post && i < other->depth; i++)
                assert_true(blk_front_post(other, BLK_IN, i * 8, BLOCK, NULL) >= 0);
        if (post)
                assert_int_equal(blk_front_submit(other), 0);
        while (!post && other->n_busy > 0) {
                struct blk_done done;

                assert_int_equal(blk_front_wait(other, DEADLINE_MS, &done), 0);
                assert_int_equal(done.status, BLK_S_OK);
        }
}

/* What a driver does that resets one queue: stop, another ring of another size, start. */
static void one_queue_is_set_up_anew_while_the_other_works(void **state)
{
        static const uint16_t sizes[] = {16, 256, 64, 32, 128};
        struct blk_front *other = calloc(1, sizeof(*other));

        (void)state;
        assert_non_null(other);
        open_scene(FRONT_END_QEMU_7_2, 16);
        scene.blk.piece = 4 * BLOCK; /* the longest chain is not longer than the shortest ring */
        clear_disk();
        blk_front_init(other, &scene.front, &scene.ram, 1, 64, 8, BLOCK, BLOCK);
        assert_int_equal(blk_front_start(other, blk_front_base(other)), 0);
        for (size_t i = 0; i < 4 * array_size(sizes); i++) {
                uint32_t base;

                run_load(100);
                wait_all();
                other_queue_reads(other, true);
                assert_int_equal(blk_front_stop(&scene.blk, &base), 0);
                other_queue_reads(other, false);
                other_queue_reads(other, true);
                blk_front_renew_ring(&scene.blk, sizes[i % array_size(sizes)]);
                assert_int_equal(blk_front_start(&scene.blk, blk_front_base(&scene.blk)), 0);
                run_load(20);
                wait_all();
                other_queue_reads(other, false);
        }
        close_scene();
        free(other);
}

static void identity_discard_and_write_zeroes(void **state)
{
        uint8_t zeroes[BLOCK] = {0};

        (void)state;
        open_scene(FRONT_END_QEMU_7_2, 4);
        clear_disk();
        assert_int_equal(blk_front_do(&scene.blk, BLK_GET_ID, 0, 20, DEADLINE_MS), BLK_S_OK);
        if (scene.front.features & UINT64_C(1) << BLK_F_WRITE_ZEROES) {
                assert_int_equal(blk_front_do(&scene.blk, BLK_WRITE_ZEROES, 8, BLOCK, DEADLINE_MS), BLK_S_OK);
                assert_int_equal(blk_front_do(&scene.blk, BLK_IN, 8, BLOCK, DEADLINE_MS), BLK_S_OK);
                assert_memory_equal(blk_front_data(&scene.blk, 0), zeroes, BLOCK);
        }
        if (scene.front.features & UINT64_C(1) << BLK_F_DISCARD)
                assert_int_equal(blk_front_do(&scene.blk, BLK_DISCARD, 16, BLOCK, DEADLINE_MS), BLK_S_OK);
        assert_int_equal(blk_front_do(&scene.blk, 77, 0, 512, DEADLINE_MS), BLK_S_UNSUP);
        close_scene();
}

static void requests_outside_the_disk_fail_alone(void **state)
{
        uint64_t capacity = 0;

        (void)state;
        open_scene(FRONT_END_QEMU_7_2, 4);
        assert_int_equal(front_end_get_config(&scene.front, 0, 8, &capacity), 0);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, capacity, 512, DEADLINE_MS), BLK_S_IOERR);
        assert_int_equal(blk_front_do(&scene.blk, BLK_OUT, capacity - 1, 1024, DEADLINE_MS), BLK_S_IOERR);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, UINT64_MAX - 1, 1024, DEADLINE_MS), BLK_S_IOERR);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, 0, 512, DEADLINE_MS), BLK_S_OK);
        close_scene();
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A front end shares its eventfds with the broker, and may make them block again and fill them. */
static void eventfd_that_holds_its_writer_delays_no_stop(void **state)
{
        uint64_t full = UINT64_MAX - 1, before, took;
        uint32_t base;
        int call;

        (void)state;
        open_scene(FRONT_END_QEMU_11_1, 16);
        clear_disk();
        call = scene.front.rings[0].call;
        (void)!read(call, &before, sizeof(before));
        assert_int_equal(write(call, &full, sizeof(full)), sizeof(full));
        assert_int_equal(fcntl(call, F_SETFL, fcntl(call, F_GETFL) & ~O_NONBLOCK), 0);
        for (unsigned i = 0; i < 8; i++)
                assert_true(blk_front_post(&scene.blk, BLK_IN, i * 8, BLOCK, NULL) >= 0);
        (void)blk_front_want_call(&scene.blk);
        assert_int_equal(blk_front_submit(&scene.blk), 0);
        before = now_ms();
        assert_int_equal(blk_front_stop(&scene.blk, &base), 0);
        took = now_ms() - before;
        assert_true(took >= LIMIT_LANE_CALL_MS / 2); /* it was held */
        assert_true(took < 1000);
        assert_int_equal(fcntl(call, F_SETFL, fcntl(call, F_GETFL) | O_NONBLOCK), 0);
        assert_int_equal(read(call, &full, sizeof(full)), sizeof(full));
        close_scene();
        open_scene(FRONT_END_QEMU_11_1, 16);
        clear_disk();
        run_load(200);
        wait_all();
        close_scene();
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

/* While requests keep coming it waits for its lane alone (broker/core/lane_stay.h); a start is said on control. */
static void a_start_behind_a_load_reaches_its_worker(void **state)
{
        pid_t pid;

        (void)state;
        if (!getenv("BULKHEAD_KILL_PID"))
                skip();
        open_scene(FRONT_END_QEMU_7_2, 1);
        clear_disk();
        pid = worker_pid();
        assert_true(pid > 0);
        for (int i = 0; i < 20; i++) {
                uint32_t base;

                run_load(200);
                wait_all();
                assert_int_equal(blk_front_stop(&scene.blk, &base), 0);
                assert_int_equal(blk_front_start(&scene.blk, base), 0);
        }
        run_load(1);
        wait_all();
        assert_int_equal(worker_pid(), pid); /* nobody has waited for its answer in vain */
        close_scene();
}

static void worker_is_killed_under_load_and_no_byte_is_wrong(void **state)
{
        unsigned kills = 0;
        pid_t before = 0;

        (void)state;
        if (!getenv("BULKHEAD_KILL_PID"))
                skip();
        open_scene(FRONT_END_QEMU_7_2, 16);
        clear_disk();
        while (kills < KILLS) {
                pid_t pid = worker_pid();

                run_load(200); /* leaves requests with the worker, and makes it complete something */
                if (pid > 0 && pid != before && kill(pid, SIGKILL) == 0) {
                        before = pid;
                        kills++;
                }
        }
        wait_all();
        close_scene();
}

/* The worker's own pages of the image, in KiB: smaps. */
static unsigned long worker_maps_kib(pid_t pid, const char *image)
{
        unsigned long total = 0, kib;
        bool ours = false;
        char path[64], line[512];
        FILE *smaps;

        snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
        smaps = fopen(path, "re");
        assert_non_null(smaps);
        while (fgets(line, sizeof(line), smaps)) {
                if (strchr(line, '/'))
                        ours = strstr(line, image) != NULL;
                else if (ours && sscanf(line, "Rss: %lu", &kib) == 1)
                        total += kib;
        }
        fclose(smaps);
        return total;
}

/* What is read often is read from the image's mapping, whose pages go with the image's end. */
static void an_image_cut_short_fails_its_requests_and_kills_nobody(void **state)
{
        const char *image = getenv("BULKHEAD_BLK_IMAGE");
        uint64_t capacity = 0;
        pid_t pid;

        (void)state;
        if (!image || !getenv("BULKHEAD_KILL_PID"))
                skip();
        open_scene(FRONT_END_QEMU_7_2, 4);
        clear_disk();
        assert_int_equal(front_end_get_config(&scene.front, 0, 8, &capacity), 0);
        for (unsigned i = 0; i < 64; i++) /* sixteen times what is read at once has room for */
                assert_int_equal(blk_front_do(&scene.blk, BLK_IN, i % 4 * 256, 32 * BLOCK, DEADLINE_MS),
                                 BLK_S_OK);
        pid = worker_pid();
        assert_true(pid > 0);
        assert_true(worker_maps_kib(pid, image) >= 4 * 32 * BLOCK / 1024);
        assert_int_equal(truncate(image, 0), 0);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, 0, 32 * BLOCK, DEADLINE_MS), BLK_S_IOERR);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, 0, BLOCK, DEADLINE_MS), BLK_S_IOERR);
        assert_int_equal(truncate(image, (off_t)(capacity * 512)), 0);
        assert_int_equal(blk_front_do(&scene.blk, BLK_IN, 0, 32 * BLOCK, DEADLINE_MS), BLK_S_OK);
        assert_int_equal(worker_pid(), pid);
        close_scene();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define E2E_TEST(name) cmocka_unit_test_teardown(name, teardown)
            E2E_TEST(data_is_right_at_every_queue_depth),
            E2E_TEST(stop_and_resume_under_load),
            E2E_TEST(reconnect_after_leaving_requests_behind),
            E2E_TEST(device_reset_forgets_requests_and_nothing_else),
            E2E_TEST(one_queue_is_set_up_anew_while_the_other_works),
            E2E_TEST(identity_discard_and_write_zeroes),
            E2E_TEST(requests_outside_the_disk_fail_alone),
            E2E_TEST(eventfd_that_holds_its_writer_delays_no_stop),
            E2E_TEST(a_start_behind_a_load_reaches_its_worker),
            E2E_TEST(an_image_cut_short_fails_its_requests_and_kills_nobody),
            E2E_TEST(worker_is_killed_under_load_and_no_byte_is_wrong),
        };

        if (!socket_path()) {
                fprintf(stderr, "skipped: BULKHEAD_BLK_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
