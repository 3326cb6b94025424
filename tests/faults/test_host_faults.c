/* The host changes under a running broker: disks fill up, images shrink and grow, file systems become
 * read-only, guest memory is cut off, indices and clocks wrap.
 *
 * Mounts are made in a mount namespace of the test's own. TRUST: statuses and data are the broker's, and are
 * what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/process.h"
#include "tests/faults/stack.h"

#define BLOCKS  1024u
#define DEPTH   16u
#define SECTORS (LOAD_BLOCK / 512u)
#define SAID_MS 10000
#define EDGE    65530u /* ring indices have 16 bits */

static const char *bin;
static bool own_mounts;
static struct stack stack;
static struct load load;
static pid_t worker;

static void require(int r, const char *what)
{
        if (r >= 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: %s; %s", what, strerror(-r), load.why);
}

static void start(const char *parent, uint64_t image_bytes, unsigned blocks)
{
        require(stack_make(&stack, bin, parent, image_bytes), "a stack");
        require(stack_start(&stack), "the broker");
        memset(&load, 0, sizeof(load));
        load.seed = 3;
        require(load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, blocks), "a session");
        worker = stack_worker(&stack, "blk");
}

static int teardown(void **state)
{
        (void)state;
        load_close(&load);
        stack_done(&stack);
        return 0;
}

static void attach_again(void)
{
        load_close(&load);
        memset(&load.front, 0, sizeof(load.front));
        memset(load.busy, 0, sizeof(load.busy));
        require(load_open(&load, stack.socket, FRONT_END_QEMU_11_1, DEPTH, load.n_blocks), "a new session");
        require(load_clear(&load), "a new session");
        require(load_run(&load, 100), "a new session");
        require(load_drain(&load), "a new session");
}

static void kill_worker(void)
{
        if (stack_kill_worker(&stack, "blk") == 0)
                require(-ESRCH, "a worker");
}

static int do_at(uint32_t type, unsigned block)
{
        return blk_front_do(&load.blk, type, (uint64_t)block * SECTORS, type == BLK_FLUSH ? 0 : LOAD_BLOCK,
                            LOAD_DEADLINE_MS);
}

static void resize(const char *file, uint64_t bytes)
{
        assert_int_equal(truncate(file, (off_t)bytes), 0);
}

static uint64_t capacity(void)
{
        uint64_t sectors = 0;

        require(front_end_get_config(&load.front, 0, sizeof(sectors), &sectors), "the capacity");
        return sectors;
}

/* ---- the disk ---- */

/* The first block whose write fails. */
static unsigned fill_up(void)
{
        unsigned block = 0;
        int status = BLK_S_OK;

        while (block < load.n_blocks && (status = do_at(BLK_OUT, block)) == BLK_S_OK)
                block++;
        if (block < load.n_blocks)
                assert_int_equal(status, BLK_S_IOERR);
        return block;
}

static void a_full_disk_is_an_io_error_until_there_is_space_again(void **state)
{
        char parent[] = "/tmp/bulkhead-full.XXXXXX", ballast[160];
        unsigned full;

        (void)state;
        if (!own_mounts)
                skip();
        assert_non_null(mkdtemp(parent));
        assert_int_equal(mount("full", parent, "tmpfs", 0, "size=4m,mode=755"), 0);
        start(parent, (uint64_t)BLOCKS * 4 * LOAD_BLOCK, BLOCKS * 4);
        snprintf(ballast, sizeof(ballast), "%s/ballast", stack.dir);
        close(open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        resize(ballast, 0);
        assert_int_equal(posix_fallocate(open(ballast, O_WRONLY | O_CLOEXEC), 0, 1 << 20), 0);
        full = fill_up();
        assert_true(full > 0 && full < BLOCKS);
        assert_int_equal(do_at(BLK_OUT, full + 1), BLK_S_IOERR);
        assert_int_equal(do_at(BLK_IN, 0), BLK_S_OK);
        assert_int_equal(do_at(BLK_OUT, 0), BLK_S_OK); /* it has its space */
        resize(ballast, 0);
        assert_int_equal(do_at(BLK_OUT, full), BLK_S_OK);
        assert_true(fill_up() > full);
        assert_int_equal(do_at(BLK_DISCARD, 1), BLK_S_OK); /* gives a page back */
        assert_int_equal(do_at(BLK_OUT, 1), BLK_S_OK);
        assert_int_equal(stack_worker(&stack, "blk"), worker);
        teardown(NULL);
        assert_int_equal(umount2(parent, MNT_DETACH), 0);
        assert_int_equal(rmdir(parent), 0);
}

static void an_image_cut_short_is_an_io_error_where_it_is_missing(void **state)
{
        (void)state;
        start(NULL, (uint64_t)BLOCKS * LOAD_BLOCK, BLOCKS);
        require(load_clear(&load), "all is there");
        resize(stack.image, (uint64_t)BLOCKS / 2 * LOAD_BLOCK);
        assert_int_equal(do_at(BLK_IN, BLOCKS / 2 - 1), BLK_S_OK);
        assert_int_equal(do_at(BLK_IN, BLOCKS / 2), BLK_S_IOERR);
        assert_int_equal(do_at(BLK_IN, BLOCKS - 1), BLK_S_IOERR);
        resize(stack.image, 0);
        assert_int_equal(do_at(BLK_IN, 0), BLK_S_IOERR);
        assert_int_equal(do_at(BLK_FLUSH, 0), BLK_S_OK);
        assert_int_equal(do_at(BLK_OUT, BLOCKS - 1), BLK_S_OK); /* up to its size it may grow again, */
        assert_int_equal(do_at(BLK_IN, BLOCKS - 1), BLK_S_OK);
        require(load_clear(&load), "all is there again");
        require(load_run(&load, 200), "all is there again");
        require(load_drain(&load), "all is there again");
        assert_int_equal(stack_worker(&stack, "blk"), worker); /* and no signal of a limit came */
}

/* The size is measured when a worker starts; a guest that looks again sees it. */
static void a_new_worker_serves_the_size_that_the_image_has_now(void **state)
{
        (void)state;
        start(NULL, (uint64_t)BLOCKS * LOAD_BLOCK, BLOCKS);
        resize(stack.image, (uint64_t)BLOCKS * 2 * LOAD_BLOCK);
        assert_int_equal(do_at(BLK_OUT, BLOCKS), BLK_S_IOERR); /* not yet */
        kill_worker();
        assert_int_equal(do_at(BLK_IN, 0), BLK_S_OK);
        assert_int_equal(capacity(), BLOCKS * 2 * SECTORS);
        assert_int_equal(do_at(BLK_OUT, BLOCKS * 2 - 1), BLK_S_OK);
        resize(stack.image, (uint64_t)BLOCKS / 2 * LOAD_BLOCK);
        kill_worker();
        assert_int_equal(do_at(BLK_IN, 0), BLK_S_OK);
        assert_int_equal(capacity(), BLOCKS / 2 * SECTORS);
        assert_int_equal(do_at(BLK_OUT, BLOCKS / 2), BLK_S_IOERR);
        assert_int_equal(do_at(BLK_OUT, BLOCKS / 2 - 1), BLK_S_OK);
}

static void a_file_system_that_became_read_only_is_said_with_its_remedy(void **state)
{
        size_t mark;

        (void)state;
        if (!own_mounts)
                skip();
        start(NULL, (uint64_t)BLOCKS * LOAD_BLOCK, BLOCKS);
        require(load_clear(&load), "before");
        mark = stack_log_mark(&stack);
        assert_int_equal(mount(stack.image, stack.image, NULL, MS_BIND, NULL), 0);
        assert_int_equal(mount(NULL, stack.image, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
        assert_int_equal(do_at(BLK_OUT, 0), BLK_S_OK); /* what is open stays open */
        kill_worker();
        assert_true(stack_wait_log(&stack, mark, "lies on a read-only file system", SAID_MS));
        assert_int_equal(umount2(stack.image, MNT_DETACH), 0);
        attach_again();
        assert_int_equal(process_child(stack.spawner, "bulkhead-broker"), stack.broker);
}

/* ---- guest memory ---- */

/* The ring breaks, which is said on its error descriptor; session, worker and broker live. */
static void ring_breaks_alone(const char *what)
{
        uint64_t count, features;

        require(wire_wait_event(&load.front.wire, load.front.rings[0].err, LOAD_DEADLINE_MS, &count), what);
        assert_int_equal(front_end_get_u64(&load.front, 1, &features), 0); /* GET_FEATURES */
        assert_int_equal(stack_worker(&stack, "blk"), worker);
        attach_again();
        worker = stack_worker(&stack, "blk");
        assert_int_equal(process_child(stack.spawner, "bulkhead-broker"), stack.broker);
}

/* A read into memory that has gone is that request's error; where even its status has gone, or the ring, the ring breaks. The other slots are
 * kept back, so that the last one is used. */
static void guest_memory_that_goes_is_the_error_of_who_uses_it(void **state)
{
        unsigned last = DEPTH - 1;
        const struct blk_slot *slot = &load.blk.slots[last];

        (void)state;
        start(NULL, (uint64_t)BLOCKS * LOAD_BLOCK, BLOCKS);
        require(load_clear(&load), "before");
        for (unsigned i = 0; i < last; i++)
                load.blk.slots[i].busy = true;
        assert_int_equal(ftruncate(load.ram.fd, (off_t)slot->data), 0);
        assert_int_equal(do_at(BLK_IN, 0), BLK_S_IOERR);
        assert_int_equal(do_at(BLK_FLUSH, 0), BLK_S_OK);
        assert_int_equal(stack_worker(&stack, "blk"), worker);
        assert_int_equal(blk_front_post(&load.blk, BLK_IN, 0, LOAD_BLOCK, NULL), last);
        assert_int_equal(ftruncate(load.ram.fd, (off_t)(slot->header & ~UINT64_C(4095))), 0);
        require(blk_front_submit(&load.blk), "into a hole");
        ring_breaks_alone("into a hole");
        assert_int_equal(ftruncate(load.ram.fd, 0), 0);
        require(front_end_kick(&load.front, 0), "a ring that has gone");
        ring_breaks_alone("a ring that has gone");
}

/* ---- wraps ---- */

static void put16(uint64_t at, uint16_t value)
{
        memcpy(load.ram.base + at, &value, sizeof(value));
}

static void ring_indices_wrap_while_workers_die(void **state)
{
        struct split_ring *ring = &load.blk.ring;
        uint32_t base;

        (void)state;
        start(NULL, (uint64_t)BLOCKS * LOAD_BLOCK, BLOCKS);
        require(load_clear(&load), "before");
        require(blk_front_stop(&load.blk, &base), "stop");
        ring->avail_next = ring->avail_kicked = ring->used_seen = EDGE;
        put16(ring->avail + 2, EDGE);
        put16(ring->used + 2, EDGE);
        require(blk_front_start(&load.blk, EDGE), "start near the edge");
        for (unsigned i = 0; i < 10; i++) {
                require(load_run(&load, 40), "over the edge");
                kill_worker();
        }
        require(load_drain(&load), "over the edge");
        require(load_check(&load), "over the edge");
        require(blk_front_stop(&load.blk, &base), "stop");
        assert_int_equal(base, ring->used_seen);
        assert_true(base < EDGE);
}

/* The broker's clock passes `edge_ms` while workers die and are started. */
static void pass_edge(uint64_t edge_ms)
{
        uint64_t lead_ns = UINT64_C(3000000000), end;
        char seconds[32];
        const char *const words[] = {"unshare", "-T", "-f", "--kill-child", "--monotonic", seconds, NULL};

        snprintf(seconds, sizeof(seconds), "%llu",
                 (unsigned long long)((edge_ms * 1000000u - now_ns() - lead_ns) / 1000000000u));
        end = now_ns() + lead_ns + UINT64_C(1500000000);
        require(stack_make(&stack, bin, NULL, (uint64_t)BLOCKS * LOAD_BLOCK), "a stack");
        stack.wrapper = words;
        require(stack_start(&stack), "in a time namespace");
        memset(&load, 0, sizeof(load));
        require(load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS), "a session");
        require(load_clear(&load), "before the edge");
        while (now_ns() < end) {
                kill_worker();
                require(load_run(&load, 200), "over the edge");
        }
        require(load_drain(&load), "over the edge");
        require(load_check(&load), "over the edge");
        teardown(NULL);
}

static void the_monotonic_clock_may_pass_2_31_and_2_32_milliseconds(void **state)
{
        (void)state;
        if (unshare(CLONE_NEWTIME) < 0)
                skip();
        pass_edge(UINT64_C(1) << 31);
        pass_edge(UINT64_C(1) << 32);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
#define FAULT_TEST(name) cmocka_unit_test_teardown(name, teardown)
            FAULT_TEST(a_full_disk_is_an_io_error_until_there_is_space_again),
            FAULT_TEST(an_image_cut_short_is_an_io_error_where_it_is_missing),
            FAULT_TEST(a_new_worker_serves_the_size_that_the_image_has_now),
            FAULT_TEST(a_file_system_that_became_read_only_is_said_with_its_remedy),
            FAULT_TEST(guest_memory_that_goes_is_the_error_of_who_uses_it),
            FAULT_TEST(ring_indices_wrap_while_workers_die),
            FAULT_TEST(the_monotonic_clock_may_pass_2_31_and_2_32_milliseconds),
        };

        if (argc != 2)
                return 2;
        bin = argv[1];
        own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        if (!own_mounts && getenv("MUST_RUN")) {
                fprintf(stderr, "needs root, for mounts\n");
                return 1;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
