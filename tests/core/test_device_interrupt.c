/* The interrupt status word of a front end: what was used is told in it before the interrupt is signaled.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/world.h"

static struct world world;
static atomic_uint word;
static ino_t interrupt; /* of the pipe that plays the queues' interrupt: eventfds share one inode */
static atomic_uint n_signals, n_early;

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
        struct stat st;

        if (interrupt != 0 && fstat(fd, &st) == 0 && st.st_ino == interrupt) {
                atomic_fetch_add(&n_signals, 1);
                if (!(atomic_load(&word) & 1))
                        atomic_fetch_add(&n_early, 1);
        }
        return __real_write(fd, bytes, len);
}

static void begin(atomic_uint *status, int call[2])
{
        struct stat st;

        world_init(&world, 2);
        device_attach(world.device, &(struct device_front){.interrupt_status = status});
        world_serve(&world);
        assert_int_equal(pipe2(call, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(fstat(call[1], &st), 0);
        interrupt = st.st_ino;
        atomic_store(&n_signals, 0);
        atomic_store(&n_early, 0);
        for (unsigned i = 0; i < 2; i++) {
                const struct model_queue *model = &world.guest.queues[i];

                assert_int_equal(device_queue_start(world.device, i, &model->layout, 0, model->kick, call[1]),
                                 0);
                world.guest.queues[i].event_idx = true;
        }
}

static void end(const int call[2])
{
        interrupt = 0;
        close(call[0]);
        close(call[1]);
        world_done(&world);
}

static void one_interrupt(unsigned queue)
{
        unsigned before = atomic_load(&n_signals);

        world_post(&world, queue, 5);
        world_until(&world, world_answered(&world, queue));
        world_until(&world, atomic_load(&n_signals) > before);
}

static void what_was_used_is_told_before_each_interrupt(void **state)
{
        int call[2];

        (void)state;
        atomic_store(&word, 2);
        begin(&word, call);
        for (unsigned i = 0; i < 40; i++) {
                one_interrupt(i % 2);
                assert_int_equal(atomic_load(&word), 3); /* the other bits are not the lanes' */
                atomic_store(&word, 2);
        }
        assert_int_equal(atomic_load(&n_early), 0);
        end(call);
}

static void a_word_is_of_the_queues_that_start_after_it_was_given(void **state)
{
        int call[2];

        (void)state;
        atomic_store(&word, 0);
        begin(NULL, call);
        device_attach(world.device, &(struct device_front){.interrupt_status = &word});
        one_interrupt(0);
        assert_int_equal(atomic_load(&word), 0);
        device_queue_stop(world.device, 1, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(device_queue_start(world.device, 1, &world.guest.queues[1].layout, world.base,
                                            world.guest.queues[1].kick, call[1]),
                         0);
        one_interrupt(1);
        assert_int_equal(atomic_load(&word), 1);
        end(call);
}

static void nothing_is_told_of_a_queue_after_its_reset(void **state)
{
        int call[2];

        (void)state;
        atomic_store(&word, 0);
        begin(&word, call);
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        device_reset(world.device);
        atomic_store(&word, 0);
        world.idle = false;
        world_wait(&world, 20);
        assert_int_equal(atomic_load(&word), 0);
        end(call);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_was_used_is_told_before_each_interrupt),
            cmocka_unit_test(a_word_is_of_the_queues_that_start_after_it_was_given),
            cmocka_unit_test(nothing_is_told_of_a_queue_after_its_reset),
        };

        return cmocka_run_group_tests_name("device_interrupt", tests, NULL, NULL);
}
