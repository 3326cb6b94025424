/* What becomes of a jail whose stage fails: no worker, and the stage is named.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "sandbox/lockdown.h"
#include "sandbox/process_rights.h"
#include "tests/harness/slice_of.h"
#include "tests/jail/jail_fixture.h"

/* ---- failures ---- */

static void assert_no_worker(struct jail_spec *spec, const char *stage, int error)
{
        struct jail_failure failure = {0};
        struct jail_child child = {.pid = 77, .pidfd = 78};
        unsigned before = fixture_count_fds();

        assert_int_equal(jail_spawn(spec, &child, &failure), error);
        assert_int_equal(failure.error, error);
        assert_string_equal(failure.stage, stage);
        assert_int_equal(child.pid, 77); /* untouched */
        assert_int_equal(fixture_count_fds(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
        assert_int_equal(errno, ECHILD);
        assert_int_equal(geteuid(), 0);
}

static void drop_spec(const struct jail_spec *spec, struct probe *probe, struct probe_theirs *theirs)
{
        fixture_close(spec, theirs);
        fixture_close_ours(probe);
}

static void each_stage_that_fails_means_no_worker_and_is_named(void **state)
{
        const char *stage;
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        for (size_t i = 0; (stage = jail_stage_name(i)); i++) {
                spec.fail_stage = stage;
                assert_no_worker(&spec, stage, -EIO);
        }
        drop_spec(&spec, &probe, &theirs);
}

static void each_stage_has_its_reason_and_a_name_of_its_own(void **state)
{
        uint32_t may_miss = 0;

        (void)state;
        for (size_t i = 0; jail_stage_name(i); i++) {
                assert_true(strlen(jail_stage_reason(i)) > 8);
                assert_int_equal(may_miss & jail_stage_may_miss(i), 0);
                may_miss |= jail_stage_may_miss(i);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(jail_stage_name(i), jail_stage_name(j));
        }
        for (unsigned i = JAIL_LAYER_CGROUP_MEMORY; i < JAIL_LAYER_COUNT_; i++)
                may_miss |= JAIL_LAYER_BIT(i);
        assert_int_equal(may_miss, JAIL_LAYER_BIT(JAIL_LAYER_COUNT_) - 1);
        assert_null(jail_stage_name(1000));
        assert_null(jail_stage_reason(1000));
}

static void program_that_is_none_fails_at_exec(void **state)
{
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        close(spec.binary_fd);
        spec.binary_fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        assert_no_worker(&spec, "exec", -EACCES);
        close(spec.binary_fd);
        spec.binary_fd = open("/bin/sh", O_RDONLY | O_CLOEXEC); /* its loader is not in the empty root */
        assert_no_worker(&spec, "exec", -EACCES);
        drop_spec(&spec, &probe, &theirs);
}

static void descriptor_that_is_closed_fails_at_fds(void **state)
{
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;
        struct fd_duplex bad;

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        spec.lanes = &bad;
        bad = (struct fd_duplex){.in = 999, .out = theirs.lane.out};
        assert_no_worker(&spec, "fds", -EBADF);
        bad = (struct fd_duplex){.in = theirs.lane.in, .out = 999};
        assert_no_worker(&spec, "fds", -EBADF);
        drop_spec(&spec, &probe, &theirs);
}

static void assert_no_worker_of(struct jail_spec *spec, uid_t uid, uid_t owner)
{
        spec->uid = uid;
        spec->owner_uid = owner;
        assert_no_worker(spec, "prepare", -EINVAL);
}

static void lanes_resources_and_uids_beyond_the_limits_are_refused(void **state)
{
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        spec.n_lanes = LIMIT_LANES + 1;
        assert_no_worker(&spec, "prepare", -EINVAL);
        spec.n_lanes = 1;
        spec.n_resources = LIMIT_RESOURCES + 1;
        assert_no_worker(&spec, "prepare", -EINVAL);
        spec.n_resources = 0;
        assert_no_worker_of(&spec, 0, FIXTURE_OWNER);
        assert_no_worker_of(&spec, FIXTURE_WORKER, 0);
        assert_no_worker_of(&spec, FIXTURE_OWNER, FIXTURE_OWNER);
        drop_spec(&spec, &probe, &theirs);
}

static void worker_with_all_lanes_and_resources_starts(void **state)
{
        const uint64_t first = (uint64_t)worker_fd_resource(LIMIT_LANES, 0);
        int resources[LIMIT_RESOURCES], image = fixture_image();
        struct fd_duplex lanes[LIMIT_LANES];
        struct probe_theirs theirs;
        struct jail_spec spec;
        struct probe probe;

        (void)state;
        fixture_spec(&spec, policy_find("blk"), &probe, &theirs);
        for (size_t i = 0; i < LIMIT_LANES; i++)
                lanes[i] = theirs.lane;
        for (size_t i = 0; i < LIMIT_RESOURCES; i++)
                resources[i] = image;
        spec.lanes = lanes;
        spec.n_lanes = LIMIT_LANES;
        spec.resource_fds = resources;
        spec.n_resources = LIMIT_RESOURCES;
        spec.resources_rw = 0x80;
        spec.file_size_max = 8192;
        probe_start_spec(&probe, &spec, &theirs);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        assert_int_equal(probe_ask(&probe, PROBE_PREAD, first, 512, 0, 0), 512);
        assert_int_equal(probe_ask(&probe, PROBE_PWRITE, first + 7, 512, 0, 0), 512);
        assert_int_equal(probe_ask(&probe, PROBE_PWRITE, first + 6, 512, 0, 0), PROBE_DEAD);
        probe_stop(&probe);
        close(image);
}

/* The address layout is drawn at each execution: siblings share nothing that one could learn from the other.
 */
static void each_worker_has_an_address_layout_of_its_own(void **state)
{
        uint64_t addresses[16];

        (void)state;
        for (size_t i = 0; i < array_size(addresses); i++) {
                struct probe probe;

                probe_start(&probe, policy_find("rng"));
                addresses[i] = (uint64_t)probe_ask(&probe, PROBE_BUFFER, 0, 0, 0, 0);
                probe_stop(&probe);
                for (size_t j = 0; j < i; j++)
                        assert_int_not_equal(addresses[i], addresses[j]);
        }
}

/* Asked for or not: no child of ours has another's, and none of them ours. */
static void turns_are_short_where_that_is_asked_for_and_last_over_exec(void **state)
{
        const uint64_t own_ns = slice_of(0);

        (void)state;
        if (own_ns == 0)
                skip(); /* Linux < 6.12 */
        for (int brief = 0; brief < 2; brief++) {
                struct jail_spec spec;
                struct probe probe;
                struct probe_theirs theirs;

                fixture_spec(&spec, policy_find("blk"), &probe, &theirs);
                spec.short_turns = brief;
                probe_start_spec(&probe, &spec, &theirs);
                assert_int_equal(slice_of(probe.child.pid), brief ? LIMIT_SLICE_NS : own_ns);
                assert_int_equal(slice_of(0), own_ns);
                probe_stop(&probe);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_stage_that_fails_means_no_worker_and_is_named),
            cmocka_unit_test(each_stage_has_its_reason_and_a_name_of_its_own),
            cmocka_unit_test(program_that_is_none_fails_at_exec),
            cmocka_unit_test(descriptor_that_is_closed_fails_at_fds),
            cmocka_unit_test(lanes_resources_and_uids_beyond_the_limits_are_refused),
            cmocka_unit_test(worker_with_all_lanes_and_resources_starts),
            cmocka_unit_test(each_worker_has_an_address_layout_of_its_own),
            cmocka_unit_test(turns_are_short_where_that_is_asked_for_and_last_over_exec),
        };

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
