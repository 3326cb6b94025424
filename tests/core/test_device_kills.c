/* A useful worker is killed again and again under load: nothing is lost, wrong or doubled, nothing is left
 * behind, and nobody gives up. BULKHEAD_KILLS says how often (1000; 200 under a sanitizer).
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/core/world.h"

#define WARM_UP 30u /* kills before the first look at what the process holds */
#define DEPTH   6u  /* requests that each queue has outstanding */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct world world;

/* One a queue: what is outstanding, by head. */
static struct load {
        bool out[LIMIT_RING_SIZE];
        unsigned n_out;
        uint64_t n_answered;
} loads[2];

static uint64_t slot_of(unsigned queue, unsigned head)
{
        return MODEL_HIGH + queue * LIMIT_RING_SIZE + head;
}

/* Requests are told apart by head, and each has a status byte of its own: where it will be is known only
 * once it is posted, so that is asked of the model's free list. */
static void load_post(unsigned queue)
{
        struct load *load = &loads[queue];
        uint16_t head = world.guest.queues[queue].free_head;
        uint64_t at = slot_of(queue, head);

        *model_at(&world.guest, at) = 0x55;
        assert_int_equal(model_post(&world.guest, queue,
                                    (struct model_buffer[]){{MODEL_BUFFERS, 64, false}, {at, 1, true}}, 2),
                         head);
        assert_false(load->out[head]);
        load->out[head] = true;
        load->n_out++;
}

/* Takes what has been answered; each answer must be of something outstanding, and right. */
static void load_reap(unsigned queue)
{
        struct load *load = &loads[queue];
        uint16_t head;
        uint32_t len;

        while (model_reap(&world.guest, queue, &head, &len)) {
                assert_true(load->out[head]);
                assert_int_equal(len, 1);
                assert_int_equal(*model_at(&world.guest, slot_of(queue, head)), 1);
                load->out[head] = false;
                load->n_out--;
                load->n_answered++;
        }
}

static uint64_t answered(void)
{
        load_reap(0);
        load_reap(1);
        return loads[0].n_answered + loads[1].n_answered;
}

static void load_fill(void)
{
        (void)answered();
        for (unsigned queue = 0; queue < 2; queue++)
                while (loads[queue].n_out < DEPTH)
                        load_post(queue);
}

static unsigned count_maps(void)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        unsigned n = 0;

        assert_non_null(maps);
        for (int c = fgetc(maps); c != EOF; c = fgetc(maps))
                n += c == '\n';
        fclose(maps);
        return n;
}

static long resident_kib(void)
{
        FILE *statm = fopen("/proc/self/statm", "re");
        long size, resident;

        assert_non_null(statm);
        assert_int_equal(fscanf(statm, "%ld %ld", &size, &resident), 2);
        fclose(statm);
        return resident * 4;
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static bool is_idle(void)
{
        (void)answered();
        return loads[0].n_out + loads[1].n_out == 0;
}

/* Kills the worker in the middle of its work, and says how long the guest then had no answer. */
static uint64_t kill_and_measure(void)
{
        unsigned spawns = world.n_spawns;
        uint64_t start, before;

        load_fill();
        world_kill_worker(&world);
        start = uv_hrtime();
        world_until(&world, world.n_spawns > spawns);
        before = answered(); /* what the dead one had sent still */
        world_until(&world, answered() > before);
        world.n_seen = 0;
        return uv_hrtime() - start;
}

/* A request that LIMIT_POISON_ATTEMPTS workers have died with is sent alone, and one more death is its own: so whoever kills
 * lets all be answered by then, on both queues. */
static uint64_t one_kill(unsigned i)
{
        uint64_t outage = kill_and_measure();

        if (i % LIMIT_POISON_ATTEMPTS == LIMIT_POISON_ATTEMPTS - 1)
                world_until(&world, is_idle());
        return outage;
}

static unsigned kills_wanted(void)
{
        const char *text = getenv("BULKHEAD_KILLS");
        unsigned n = text ? (unsigned)strtoul(text, NULL, 10) : SANITIZED ? 200 : 1000;

        return MAX(n, 1u);
}

static void a_worker_killed_a_thousand_times_costs_nothing(void **state)
{
        unsigned n = kills_wanted(), fds, maps;
        uint64_t *outage = calloc(n, sizeof(*outage));
        long resident;

        (void)state;
        assert_non_null(outage);
        world_init(&world, 2);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        load_fill();
        for (unsigned i = 0; i < WARM_UP; i++)
                (void)one_kill(i);
        fds = count_fds();
        maps = count_maps();
        resident = resident_kib();
        for (unsigned i = 0; i < n; i++)
                outage[i] = one_kill(i);
        assert_int_equal(count_fds(), fds);
        if (!SANITIZED) {
                assert_true(count_maps() <= maps + 2); /* malloc's arenas of the lanes */
                assert_true(resident_kib() <= resident + 1024);
        }
        world_until(&world, is_idle());
        world_wait(&world, 20);
        (void)answered(); /* nothing more: it would not be outstanding */
        assert_int_equal(world.n_quarantined, 0);
        assert_int_equal(world.n_broken, 0);
        assert_int_equal(device_supervisor(world.device)->restarts, n + WARM_UP);
        qsort(outage, n, sizeof(*outage), by_size);
        printf("%u kills, %llu requests: kill to first answer of the successor p50 %.1f ms, p99 %.1f ms; "
               "resident %+ld KiB\n",
               n, (unsigned long long)(loads[0].n_answered + loads[1].n_answered),
               (double)outage[n / 2] / 1e6, (double)outage[(uint64_t)n * 99 / 100] / 1e6,
               resident_kib() - resident);
        free(outage);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_worker_killed_a_thousand_times_costs_nothing),
        };

        return cmocka_run_group_tests_name("device_kills", tests, NULL, NULL);
}
