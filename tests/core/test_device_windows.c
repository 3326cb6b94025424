/* A device that is held to windows: what its driver posts there works, and what it posts elsewhere breaks it, is counted, and is told
 * with its place.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_windows.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/admin.h"
#include "tests/core/world.h"

/* The first holds the rings and 512 KiB of buffers, the second 64 KiB to both sides of where the host's spans change. */
#define FIRST      MODEL_LOW
#define FIRST_LEN  UINT64_C(0x100000)
#define SECOND     (MODEL_HIGH - 0x10000)
#define SECOND_LEN UINT64_C(0x20000)
#define STATUS     (FIRST + FIRST_LEN - 1) /* the last byte inside */

static struct world world;

static void configure(struct device_config *config)
{
        config->memory =
            (struct device_memory){.n_windows = 2, .windows = {{SECOND, SECOND_LEN}, {FIRST, FIRST_LEN}}};
}

static void serving(void)
{
        world_init_with(&world, 1, DEVICE_TYPE_BLK, configure, &(struct device_front){0});
        world_serve(&world);
        world_start_queue(&world, 0, 0);
}

static struct admin_windows windows(void)
{
        static struct admin_device status;

        device_status(world.device, &status);
        return status.windows;
}

static void post(uint64_t at, uint32_t len)
{
        model_post(&world.guest, 0, (struct model_buffer[]){{at, len, false}, {STATUS, 1, true}}, 2);
}

static void works(uint64_t at, uint32_t len)
{
        uint16_t head;
        uint32_t used;

        post(at, len);
        world_until(&world, model_reap(&world.guest, 0, &head, &used));
        assert_int_equal(world.n_broken, 0);
}

/* The world's log while this goes on, in a memfd. */
static struct {
        int fd, before;
        char text[4096];
} ear;

static void ear_open(void)
{
        ear.fd = memfd_create("bulkhead-test-log", MFD_CLOEXEC);
        ear.before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_true(ear.fd >= 0 && ear.before >= 0 && dup2(ear.fd, STDERR_FILENO) >= 0);
}

static const char *ear_close(void)
{
        ssize_t n = pread(ear.fd, ear.text, sizeof(ear.text) - 1, 0);

        dup2(ear.before, STDERR_FILENO);
        close(ear.before);
        close(ear.fd);
        assert_true(n >= 0);
        ear.text[n] = '\0';
        return ear.text;
}

static void assert_heard(const char *words)
{
        if (!strstr(ear.text, words))
                fail_msg("\"%s\" is not in \"%s\"", words, ear.text);
}

static void what_lies_in_a_window_works(void **state)
{
        (void)state;
        serving();
        works(MODEL_BUFFERS, 4096);
        works(STATUS - 4095, 4096); /* up to its last byte */
        works(SECOND, 1);           /* from the first of the next, ... */
        works(SECOND, SECOND_LEN);  /* ... to its last, over both parts */
        assert_int_equal(windows().n, 2);
        assert_int_equal(windows().bytes, FIRST_LEN + SECOND_LEN);
        assert_int_equal(windows().refused, 0);
        world_done(&world);
}

static void what_does_not_breaks_the_device_and_is_told(void **state)
{
        static const struct {
                uint64_t at;
                uint32_t len;
                const char *words;
        } rows[] = {
            {FIRST + FIRST_LEN, 4096, "at=0x200000 len=4096 windows=0x4f0000-0x50ffff,0x100000-0x1fffff"},
            {FIRST + FIRST_LEN - 4095, 4096, "at=0x1ff001 len=4096"}, /* by its last byte */
            {SECOND - 1, 2, "at=0x4effff len=2"},                     /* by its first */
            {FIRST, MODEL_PART, "at=0x100000 len=4194304"}, /* with another window behind what is between */
            {MODEL_END, 1, "at=0x900000 len=1"},            /* no memory anywhere */
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                serving();
                works(MODEL_BUFFERS, 100);
                ear_open();
                post(rows[i].at, rows[i].len);
                world_until(&world, world.n_broken == 1);
                ear_close();
                assert_heard("the guest has posted a buffer outside of the device's windows: dev=");
                assert_heard(rows[i].words);
                assert_heard("device is broken by its guest: buffer outside of the device's windows");
                assert_int_equal(windows().refused, 1);
                world_done(&world);
        }
}

static void it_works_again_after_a_reset_and_the_count_stays(void **state)
{
        (void)state;
        serving();
        for (unsigned i = 1; i <= 3; i++) {
                post(SECOND + SECOND_LEN, 1);
                world_until(&world, world.n_broken == i);
                assert_int_equal(windows().refused, i);
                device_reset(world.device);
                model_queue_reset(&world.guest, 0);
                world_until(&world, world_state(&world) == WORKER_SERVING);
                assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
                world_start_queue(&world, 0, 0);
                post(MODEL_BUFFERS, 100);
                world_until(&world, world_answered(&world, 0));
        }
        world_done(&world);
}

static void ring_outside_is_not_started(void **state)
{
        struct queue_layout layout;
        const struct model_queue *model = &world.guest.queues[1];

        (void)state;
        serving();
        ear_open();
        layout = model->layout;
        layout.used = GPA(FIRST + FIRST_LEN);
        assert_int_equal(device_queue_start(world.device, 1, &layout, 0, model->kick, model->call), -EFAULT);
        layout = model->layout;
        layout.desc = GPA(SECOND + SECOND_LEN - 16); /* its first descriptor is inside */
        assert_int_equal(device_queue_start(world.device, 1, &layout, 0, model->kick, model->call), -EFAULT);
        ear_close();
        assert_heard("the guest has posted a ring outside of the device's windows: dev=");
        assert_heard("queue=1 at=0x200000 len=");
        assert_heard("queue=1 at=0x50fff0 len=");
        assert_int_equal(windows().refused, 2);
        assert_int_equal(world.n_broken, 0);
        world_start_queue(&world, 1, 0); /* where it belongs it is good */
        world_done(&world);
}

/* A VMM takes a part away and gives it back: windows hold in each snapshot. */
static void new_memory_is_held_to_the_windows_too(void **state)
{
        struct guest_memory *low;

        (void)state;
        serving();
        works(SECOND, SECOND_LEN);
        low = model_guest_snapshot(&world.guest, false);
        assert_int_equal(device_set_memory(world.device, low), 0);
        works(MODEL_BUFFERS, 4096);
        assert_int_equal(device_set_memory(world.device, world.guest.memory), 0);
        works(SECOND, SECOND_LEN);
        post(SECOND + SECOND_LEN, 1);
        world_until(&world, world.n_broken == 1);
        (void)guest_memory_unref(low);
        world_done(&world);
}

/* A driver that tries again and again: each is counted, and the log has as much of it as of anything that a guest can cause. */
static void a_burst_of_refusals_is_counted_and_fills_no_log(void **state)
{
        struct queue_layout layout;
        const struct model_queue *model = &world.guest.queues[1];
        unsigned lines = 0;

        (void)state;
        serving();
        layout = model->layout;
        layout.used = GPA(FIRST + FIRST_LEN);
        ear_open();
        for (unsigned i = 0; i < 500; i++)
                assert_int_equal(device_queue_start(world.device, 1, &layout, 0, model->kick, model->call),
                                 -EFAULT);
        for (const char *at = ear_close(); (at = strstr(at, "has posted a ring outside")); at++)
                lines++;
        assert_true(lines <= LIMIT_LOG_BURST);
        assert_int_equal(windows().refused, 500);
        world_done(&world);
}

/* What it is offered, has chosen and is told is shown until a reset; what was offered is the front end's to say. */
static void feature_sets_are_shown_until_a_reset(void **state)
{
        static struct admin_device status;
        uint64_t offered = 0, agreed = 0;

        (void)state;
        serving();
        offered = world_features(&world) | FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT);
        agreed = offered | FEATURE_BIT(VIRTIO_F_PROTOCOL_FEATURES_BIT);
        device_show_features(world.device, offered, agreed);
        device_status(world.device, &status);
        assert_int_equal(status.sets.offered, offered);
        assert_int_equal(status.sets.agreed, agreed);
        assert_int_equal(status.sets.worker, features_for_worker(world_features(&world)));
        assert_int_not_equal(status.sets.worker, 0);
        assert_int_equal(status.features, world_features(&world)); /* a front end's words turn nothing on */
        device_reset(world.device);
        device_status(world.device, &status);
        assert_int_equal(status.sets.offered, offered);
        assert_int_equal(status.sets.agreed, 0);
        assert_int_equal(status.sets.worker, 0);
        world_done(&world);
}

static void device_without_windows_reaches_all_of_memory(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        works(FIRST + FIRST_LEN, 4096);
        assert_int_equal(windows().n, 0);
        world_done(&world);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_lies_in_a_window_works),
            cmocka_unit_test(what_does_not_breaks_the_device_and_is_told),
            cmocka_unit_test(ring_outside_is_not_started),
            cmocka_unit_test(it_works_again_after_a_reset_and_the_count_stays),
            cmocka_unit_test(new_memory_is_held_to_the_windows_too),
            cmocka_unit_test(feature_sets_are_shown_until_a_reset),
            cmocka_unit_test(device_without_windows_reaches_all_of_memory),
            cmocka_unit_test(
                a_burst_of_refusals_is_counted_and_fills_no_log), /* the last: nothing is told after it */
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
