/* End to end: a lane and its worker under a load, and which CPUs the kernel lets them use.
 *
 * BULKHEAD_BLK_SOCKET, BULKHEAD_BROKER_PID, BULKHEAD_KILL_PID: as for e2e_blk. PLACEMENT=free: the disk's is. TRUST: what is
 * judged are the kernel's words about the processes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "tests/harness/slice_of.h"
#include "tests/wire/measured_disk.h"

#define DEADLINE_NS UINT64_C(10000000000)
#define SOME_READS  40u /* between two looks: a window of a trial is longer */

struct masks {
        unsigned n_narrow; /* threads of the broker that may use one CPU only */
        unsigned n_brief;  /* ... that have short turns */
        cpu_set_t lane;    /* of the last of them */
        cpu_set_t worker;
};

static cpu_set_t all;

static pid_t pid_of(const char *variable)
{
        FILE *out = popen(getenv(variable), "re");
        int pid = 0;

        assert_non_null(out);
        if (fscanf(out, "%d", &pid) != 1)
                pid = 0;
        pclose(out);
        return pid;
}

static void look_at_broker(pid_t broker, struct masks *masks)
{
        char path[64];
        DIR *tasks;

        snprintf(path, sizeof(path), "/proc/%d/task", broker);
        tasks = opendir(path);
        assert_non_null(tasks);
        for (struct dirent *entry; (entry = readdir(tasks));) {
                cpu_set_t set;

                if (entry->d_name[0] == '.' || sched_getaffinity(atoi(entry->d_name), sizeof(set), &set) < 0)
                        continue;
                masks->n_brief += slice_of(atoi(entry->d_name)) == LIMIT_SLICE_NS;
                if (CPU_EQUAL(&set, &all))
                        continue;
                assert_int_equal(CPU_COUNT(&set), 1);
                masks->n_narrow++;
                masks->lane = set;
        }
        closedir(tasks);
}

/* False: there is no worker just now. */
static bool look(pid_t broker, pid_t worker, struct masks *ret_masks)
{
        *ret_masks = (struct masks){0};
        if (worker <= 0 || sched_getaffinity(worker, sizeof(ret_masks->worker), &ret_masks->worker) < 0)
                return false;
        look_at_broker(broker, ret_masks);
        return true;
}

static bool all_are_free(pid_t broker, pid_t worker)
{
        struct masks masks;

        return look(broker, worker, &masks) && masks.n_narrow == 0 && masks.n_brief == 0 &&
               CPU_EQUAL(&masks.worker, &all);
}

static bool both_are_confined(pid_t broker, pid_t worker)
{
        struct masks masks;

        return look(broker, worker, &masks) && masks.n_narrow == 1 && CPU_EQUAL(&masks.worker, &masks.lane);
}

static void wait_until_free(pid_t broker, const char *worker_variable)
{
        const uint64_t end = measured_now_ns() + DEADLINE_NS;

        while (!all_are_free(broker, pid_of(worker_variable)))
                if (measured_now_ns() > end)
                        fail_msg("somebody is still confined to a CPU");
}

static bool skipped;

/* Reads until both have been seen on one CPU. False: this machine is too slow or too busy for a load to be worth it. */
static bool load_until_confined(pid_t broker, pid_t worker)
{
        const uint64_t end = measured_now_ns() + DEADLINE_NS;

        do {
                measured_disk_read(SOME_READS);
                if (both_are_confined(broker, worker))
                        return true;
        } while (measured_now_ns() < end);
        print_message("skipped: ten seconds of reading were no load that is placed here\n");
        skipped = true;
        return false;
}

static void after_a_load_lane_and_worker_are_as_free_as_before(void **state)
{
        pid_t broker = pid_of("BULKHEAD_BROKER_PID"), worker = pid_of("BULKHEAD_KILL_PID");

        (void)state;
        assert_true(all_are_free(broker, worker));
        if (slice_of(0) > 0)
                assert_int_equal(slice_of(worker), LIMIT_SLICE_NS); /* always */
        measured_disk_open(getenv("BULKHEAD_BLK_SOCKET"));
        if (!load_until_confined(broker, worker))
                skip();
        wait_until_free(broker, "BULKHEAD_KILL_PID"); /* nobody has closed anything */
        measured_disk_close();
}

static void the_death_of_a_worker_that_is_placed_leaves_all_free(void **state)
{
        pid_t broker = pid_of("BULKHEAD_BROKER_PID"), worker = pid_of("BULKHEAD_KILL_PID");

        (void)state;
        measured_disk_open(getenv("BULKHEAD_BLK_SOCKET"));
        if (!load_until_confined(broker, worker))
                skip();
        assert_int_equal(kill(worker, SIGKILL), 0);
        measured_disk_read(1); /* its successor answers */
        wait_until_free(broker, "BULKHEAD_KILL_PID");
        assert_int_not_equal(pid_of("BULKHEAD_KILL_PID"), worker);
        if (!load_until_confined(broker, pid_of("BULKHEAD_KILL_PID")))
                skip();
        measured_disk_close();
        wait_until_free(broker, "BULKHEAD_KILL_PID");
}

static void who_is_to_be_free_is_never_moved(void **state)
{
        pid_t broker = pid_of("BULKHEAD_BROKER_PID"), worker = pid_of("BULKHEAD_KILL_PID");

        (void)state;
        measured_disk_open(getenv("BULKHEAD_BLK_SOCKET"));
        for (unsigned i = 0; i < 100; i++) {
                measured_disk_read(SOME_READS);
                assert_true(all_are_free(broker, worker));
        }
        assert_int_equal(slice_of(worker), slice_of(0));
        measured_disk_close();
}

int main(void)
{
        const struct CMUnitTest placed[] = {
            cmocka_unit_test(after_a_load_lane_and_worker_are_as_free_as_before),
            cmocka_unit_test(the_death_of_a_worker_that_is_placed_leaves_all_free),
        };
        const struct CMUnitTest free_ones[] = {cmocka_unit_test(who_is_to_be_free_is_never_moved)};
        const char *placement = getenv("PLACEMENT");
        int r;

        if (!getenv("BULKHEAD_BLK_SOCKET") || sched_getaffinity(0, sizeof(all), &all) < 0 ||
            CPU_COUNT(&all) < 2) {
                fprintf(stderr, "skipped: BULKHEAD_BLK_SOCKET is not set, or this host has one CPU\n");
                return 77;
        }
        if (placement && strcmp(placement, "free") == 0)
                return cmocka_run_group_tests_name("placement: free", free_ones, NULL, NULL);
        r = cmocka_run_group_tests_name("placement: auto", placed, NULL, NULL);
        return r == 0 && skipped ? 77 : r;
}
