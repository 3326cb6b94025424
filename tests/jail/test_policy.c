/* Policies: the tables are in order, and the compiled filters allow what the tables say, nothing more,
 * nothing less. The oracle here reads the rows; the simulator runs what libseccomp has built from them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "sandbox/policy.h"
#include "tests/jail/bpf_sim.h"

#if defined(__x86_64__)
#define NATIVE  AUDIT_ARCH_X86_64
#define HAS_X32 true
#elif defined(__aarch64__)
#define NATIVE  AUDIT_ARCH_AARCH64
#define HAS_X32 false /* such a number is one that no row names */
#endif

#define SYSCALLS 1024u
#define X32_BIT  0x40000000u
#define ROUNDS   20000u /* of random arguments, a filter */

static const struct policy_layout layouts[] = {
    {.n_lanes = 1, .n_resources = 0, .binary_fd = 7, .report_fd = 8, .go_fd = 9, .self = 4242},
    {.n_lanes = 1,
     .n_resources = 1,
     .resources_rw = 1,
     .binary_fd = 8,
     .report_fd = 9,
     .go_fd = -1,
     .self = 1},
    {.n_lanes = 4, .n_resources = 1, .binary_fd = 14, .report_fd = 15, .go_fd = -1, .self = 99999},
    {.n_lanes = 16, .n_resources = 8, .resources_rw = 0xa5, .binary_fd = 45, .report_fd = 46, .go_fd = 47},
    {.n_lanes = 2,
     .n_resources = 1,
     .binary_fd = 10,
     .report_fd = 11,
     .go_fd = -1,
     .self = 5,
     .only_log = true},
    {.n_lanes = 2,
     .n_resources = 2,
     .resources_rw = 1,
     .resource_kinds = {RESOURCE_FILE, RESOURCE_EVENT},
     .binary_fd = 11,
     .report_fd = 12,
     .go_fd = -1,
     .self = 6},
    {.n_lanes = 2,
     .n_resources = LIMIT_RESOURCES,
     .resources_rw = 0xfff0fff1,
     .resource_kinds = {RESOURCE_FILE, RESOURCE_LISTENER, RESOURCE_STREAM, RESOURCE_TAP, RESOURCE_FOLDER,
                        RESOURCE_EVENT, RESOURCE_FILE, RESOURCE_LISTENER, RESOURCE_STREAM, RESOURCE_TAP,
                        RESOURCE_FOLDER},
     .n_born = POLICY_BORN_MAX,
     .binary_fd = 41,
     .report_fd = 42,
     .go_fd = 43,
     .self = 7},
};

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_u64(void)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

/* ---- the oracle ---- */

/* Resources stand behind the lanes: 0, 1 and 2, control, two of each lane. */
static bool test_matches(const struct policy_test *test, const struct policy_layout *layout, uint64_t value)
{
        if (test->op == POLICY_RESOURCE_EQ)
                return test->value < layout->n_resources && value == 4 + 2 * layout->n_lanes + test->value;
        return test->op == POLICY_EQ ? value == test->value : (value & test->mask) == test->value;
}

static bool tests_match(const struct policy_row *row, const struct policy_layout *layout,
                        const struct seccomp_data *data)
{
        for (size_t i = 0; i < POLICY_TESTS && row->tests[i].op != POLICY_END; i++)
                if (!test_matches(&row->tests[i], layout, data->args[row->tests[i].arg]))
                        return false;
        return true;
}

static bool row_matches(const struct policy_row *row, const struct policy_layout *layout,
                        const struct seccomp_data *data)
{
        uint64_t values[POLICY_SUBJECT_VALUES];
        size_t n;

        if (row->nr != data->nr || !tests_match(row, layout, data))
                return false;
        if (row->subject == POLICY_ANY)
                return true;
        n = policy_subject_values(row->subject, layout, values);
        for (size_t i = 0; i < n; i++)
                if (values[i] == data->args[0])
                        return true;
        return false;
}

static uint32_t expected(const struct policy *policy, enum policy_gate gate,
                         const struct policy_layout *layout, const struct seccomp_data *data)
{
        const struct policy_row *row;

        if (data->arch != NATIVE)
                return SECCOMP_RET_KILL_PROCESS; /* in every mode */
        for (size_t i = 0; (row = policy_row_at(policy, gate, i)); i++)
                if (row_matches(row, layout, data))
                        return row->deny_errno ? SECCOMP_RET_ERRNO | (uint32_t)row->deny_errno
                                               : SECCOMP_RET_ALLOW;
        return layout->only_log ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
}

/* ---- comparisons ---- */

struct subject {
        const struct policy *policy;
        enum policy_gate gate;
        const struct policy_layout *layout;
        struct policy_program program;
};

static void compare(const struct subject *subject, const struct seccomp_data *data)
{
        uint32_t want = expected(subject->policy, subject->gate, subject->layout, data), got = 0;

        assert_int_equal(bpf_sim_run(subject->program.filter, subject->program.n, data, &got), 0);
        if (got != want)
                fail_msg("policy %s gate %d: call %d arch %x args %llx %llx %llx %llx %llx: %x, wanted %x",
                         subject->policy->type, subject->gate, data->nr, data->arch,
                         (unsigned long long)data->args[0], (unsigned long long)data->args[1],
                         (unsigned long long)data->args[2], (unsigned long long)data->args[3],
                         (unsigned long long)data->args[4], got, want);
}

/* Fills args so that the row matches: bits that no test looks at are random. False: the row has vanished. */
static bool satisfy(const struct policy_row *row, const struct policy_layout *layout,
                    struct seccomp_data *data)
{
        for (size_t i = 0; i < 6; i++)
                data->args[i] = random_u64();
        for (size_t i = 0; i < POLICY_TESTS && row->tests[i].op != POLICY_END; i++) {
                const struct policy_test *test = &row->tests[i];
                __u64 *arg = &data->args[test->arg];
                uint64_t value;

                if (!policy_test_value(test, layout, &value))
                        return false;
                *arg = test->op == POLICY_MASKED_EQ ? (*arg & ~test->mask) | value : value;
        }
        return true;
}

static void compare_all_flips(const struct subject *subject, const struct seccomp_data *good)
{
        for (size_t arg = 0; arg < 6; arg++)
                for (unsigned bit = 0; bit < 64; bit++) {
                        struct seccomp_data data = *good;

                        data.args[arg] ^= UINT64_C(1) << bit;
                        compare(subject, &data);
                }
}

static void compare_row_at(const struct subject *subject, const struct policy_row *row, const uint64_t *first)
{
        struct seccomp_data data = {.nr = row->nr, .arch = NATIVE};
        uint32_t want = row->deny_errno ? SECCOMP_RET_ERRNO | (uint32_t)row->deny_errno : SECCOMP_RET_ALLOW;
        uint32_t got = 0;

        if (!satisfy(row, subject->layout, &data))
                return;
        if (first)
                data.args[0] = *first;
        assert_int_equal(bpf_sim_run(subject->program.filter, subject->program.n, &data, &got), 0);
        assert_int_equal(got, want);
        compare_all_flips(subject, &data);
        if (first) {
                data.args[0]++;
                compare(subject, &data);
                data.args[0] -= 2;
                compare(subject, &data);
        }
}

static void compare_row(const struct subject *subject, const struct policy_row *row)
{
        uint64_t values[POLICY_SUBJECT_VALUES];
        size_t n;

        if (row->subject == POLICY_ANY) {
                compare_row_at(subject, row, NULL);
                return;
        }
        n = policy_subject_values(row->subject, subject->layout, values);
        for (size_t i = 0; i < n; i++)
                compare_row_at(subject, row, &values[i]);
}

static void for_each_filter(void (*check)(const struct subject *subject))
{
        const struct policy *policy;

        for (size_t p = 0; (policy = policy_at(p)); p++)
                for (size_t l = 0; l < array_size(layouts); l++)
                        for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++) {
                                struct subject subject = {policy, (enum policy_gate)gate, &layouts[l], {0}};

                                assert_int_equal(
                                    policy_compile(policy, subject.gate, subject.layout, &subject.program),
                                    0);
                                check(&subject);
                                policy_program_done(&subject.program);
                        }
}

/* ---- every filter ---- */

static void check_rows(const struct subject *subject)
{
        const struct policy_row *row;

        for (size_t i = 0; (row = policy_row_at(subject->policy, subject->gate, i)); i++)
                compare_row(subject, row);
}

static void each_row_is_allowed_and_each_flipped_bit_is_judged(void **state)
{
        (void)state;
        for_each_filter(check_rows);
}

static void check_numbers(const struct subject *subject)
{
        static const uint64_t fills[] = {0, 1, 3, 4, UINT32_MAX, UINT64_MAX};

        for (uint32_t nr = 0; nr < SYSCALLS; nr++)
                for (size_t f = 0; f < array_size(fills); f++) {
                        struct seccomp_data data = {.nr = (int)nr, .arch = NATIVE};

                        for (size_t i = 0; i < 6; i++)
                                data.args[i] = fills[f];
                        compare(subject, &data);
                }
}

static void no_number_beyond_the_table_is_allowed(void **state)
{
        (void)state;
        for_each_filter(check_numbers);
}

static void check_foreign(const struct subject *subject)
{
        static const uint32_t arches[] = {AUDIT_ARCH_I386, AUDIT_ARCH_X86_64,  AUDIT_ARCH_AARCH64,
                                          AUDIT_ARCH_ARM,  AUDIT_ARCH_RISCV64, 0,
                                          UINT32_MAX};

        for (uint32_t nr = 0; nr < SYSCALLS; nr++) {
                const struct policy_row *row;
                struct seccomp_data data = {.nr = (int)nr};
                uint32_t got = 0;

                /* arguments that a row of that number would accept */
                for (size_t i = 0; (row = policy_row_at(subject->policy, subject->gate, i)); i++)
                        if (row->nr == (int)nr)
                                (void)satisfy(row, subject->layout, &data);
                for (size_t a = 0; a < array_size(arches); a++) {
                        if (arches[a] == NATIVE)
                                continue;
                        data.arch = arches[a];
                        compare(subject, &data);
                }
                data.arch = NATIVE;
                data.nr = (int)(nr | X32_BIT);
                if (!HAS_X32) {
                        compare(subject, &data);
                        continue;
                }
                assert_int_equal(bpf_sim_run(subject->program.filter, subject->program.n, &data, &got), 0);
                assert_int_equal(got, SECCOMP_RET_KILL_PROCESS);
        }
}

static void foreign_architectures_and_x32_are_killed(void **state)
{
        (void)state;
        for_each_filter(check_foreign);
}

static void check_random(const struct subject *subject)
{
        size_t n = 0;

        while (policy_row_at(subject->policy, subject->gate, n))
                n++;
        for (unsigned i = 0; i < ROUNDS; i++) {
                const struct policy_row *a = policy_row_at(subject->policy, subject->gate, random_u64() % n);
                const struct policy_row *b = policy_row_at(subject->policy, subject->gate, random_u64() % n);
                struct seccomp_data data = {.nr = a->nr, .arch = NATIVE}, other = data;

                (void)satisfy(a, subject->layout, &data);
                (void)satisfy(b, subject->layout, &other);
                for (size_t arg = 0; arg < 6; arg++)
                        if (random_u64() & 1)
                                data.args[arg] = random_u64() & 1 ? other.args[arg] : random_u64() % 32;
                compare(subject, &data);
        }
}

static void mixed_arguments_are_judged_as_the_table_says(void **state)
{
        (void)state;
        for_each_filter(check_random);
}

/* ---- what is promised in words ---- */

static void assert_run_calls(const char *type, const int *calls, size_t n)
{
        const struct policy *policy = policy_find(type);
        const struct policy_row *row;

        assert_non_null(policy);
        assert_int_equal(policy_count_calls(policy, POLICY_GATE_RUN), n);
        for (size_t i = 0; (row = policy_row_at(policy, POLICY_GATE_RUN, i)); i++) {
                bool found = false;

                for (size_t c = 0; c < n; c++)
                        found |= row->nr == calls[c];
                assert_true(found);
        }
}

static void rng_has_seven_calls_blk_thirteen_and_console_fourteen(void **state)
{
        static const int rng[] = {SYS_read,  SYS_write,      SYS_readv,    SYS_writev,
                                  SYS_ppoll, SYS_exit_group, SYS_getrandom};
        static const int blk[] = {SYS_read,       SYS_write,   SYS_readv,    SYS_writev,    SYS_ppoll,
                                  SYS_exit_group, SYS_pread64, SYS_pwrite64, SYS_fdatasync, SYS_fallocate,
                                  SYS_preadv,     SYS_pwritev, SYS_madvise};
        static const int direct[] = {SYS_read,      SYS_write,        SYS_readv,   SYS_writev,
                                     SYS_ppoll,     SYS_exit_group,   SYS_pread64, SYS_pwrite64,
                                     SYS_fdatasync, SYS_fallocate,    SYS_preadv,  SYS_pwritev,
                                     SYS_io_submit, SYS_io_getevents, SYS_madvise};
        static const int console[] = {SYS_read,      SYS_write,        SYS_readv,   SYS_writev,
                                      SYS_ppoll,     SYS_exit_group,   SYS_accept4, SYS_recvfrom,
                                      SYS_sendto,    SYS_close,        SYS_pread64, SYS_pwrite64,
                                      SYS_ftruncate, SYS_clock_gettime};

        (void)state;
        assert_run_calls("rng", rng, array_size(rng));
        assert_run_calls("blk", blk, array_size(blk));
        assert_run_calls("blk-direct", direct, array_size(direct));
        assert_run_calls("console", console, array_size(console));
        assert_true(policy_find("rng")->max_run_calls <= 8);
        assert_true(policy_find("blk")->max_run_calls <= 13);
}

/* By number alone, whatever the arguments: no worker's gate has them, before or after lock-down. */
static void workers_never_have_these_calls(void **state)
{
        static const int never[] = {
            SYS_socket,
            SYS_connect,
            SYS_accept4,
            SYS_sendmsg,
            SYS_recvmsg,
            SYS_clone,
            SYS_clone3,
            SYS_execve,
            SYS_openat,
            SYS_openat2,
            SYS_ptrace,
            SYS_kill,
            SYS_tgkill,
            SYS_mount,
            SYS_unshare,
            SYS_setns,
            SYS_bpf,
            SYS_keyctl,
            SYS_io_uring_setup,
            SYS_userfaultfd,
            SYS_process_vm_readv,
            SYS_process_vm_writev,
            SYS_memfd_create,
            SYS_setresuid,
            SYS_capset,
            SYS_pidfd_open,
            SYS_pidfd_getfd,
            SYS_dup3,
            SYS_ioctl,
            SYS_perf_event_open,
            SYS_mremap,
            SYS_shmat,
            SYS_personality,
            SYS_chroot,
            SYS_pivot_root,
        };
        static const char *const types[] = {"rng", "blk", "blk-direct", "console"};

        (void)state;
        for (size_t t = 0; t < array_size(types); t++)
                for (size_t i = 0; i < array_size(never); i++) {
                        const struct policy_row *row;

                        if (never[i] == SYS_accept4 && strcmp(types[t], "console") == 0)
                                continue; /* of its own listening sockets: policy_pins */
                        for (size_t r = 0; (row = policy_row_at(policy_find(types[t]), POLICY_GATE_START, r));
                             r++)
                                assert_int_not_equal(row->nr, never[i]);
                }
}

static void broker_cannot_make_processes_sockets_or_open_paths(void **state)
{
        static const int never[] = {
            SYS_execve,      SYS_execveat,   SYS_socket,      SYS_socketpair,      SYS_connect,
            SYS_bind,        SYS_openat,     SYS_openat2,     SYS_unlinkat,        SYS_ptrace,
            SYS_kill,        SYS_mount,      SYS_unshare,     SYS_setns,           SYS_bpf,
            SYS_keyctl,      SYS_setresuid,  SYS_capset,      SYS_seccomp,         SYS_io_uring_setup,
            SYS_userfaultfd, SYS_pidfd_open, SYS_pidfd_getfd, SYS_perf_event_open, SYS_personality,
            SYS_linkat,      SYS_renameat2,
        };

        static const char *const types[] = {"broker", "broker-kvm"};

        (void)state;
        for (size_t t = 0; t < array_size(types); t++)
                for (size_t i = 0; i < array_size(never); i++) {
                        const struct policy_row *row;

                        for (size_t r = 0; (row = policy_row_at(policy_find(types[t]), POLICY_GATE_START, r));
                             r++)
                                assert_int_not_equal(row->nr, never[i]);
                }
}

static uint32_t broker_verdict(int nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
        struct policy_program program = {0};
        struct seccomp_data data = {.nr = nr, .arch = NATIVE, .args = {a0, a1, a2}};
        uint32_t verdict = 0;

        assert_int_equal(policy_compile(policy_find("broker"), POLICY_GATE_RUN, &layouts[0], &program), 0);
        assert_int_equal(bpf_sim_run(program.filter, program.n, &data, &verdict), 0);
        policy_program_done(&program);
        return verdict;
}

static void broker_signals_and_threads_are_pinned(void **state)
{
        (void)state;
        assert_int_equal(broker_verdict(SYS_clone3, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
        assert_int_equal(broker_verdict(SYS_clone, 0x3d0f00, 0, 0), SECCOMP_RET_ALLOW);
        assert_int_equal(broker_verdict(SYS_clone, 0x3d0f00 | 0x10000000, 0, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(broker_verdict(SYS_clone, 17, 0, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(broker_verdict(SYS_pidfd_send_signal, 5, 9, 0), SECCOMP_RET_ALLOW);
        assert_int_equal(broker_verdict(SYS_pidfd_send_signal, 5, 19, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(broker_verdict(SYS_tgkill, 4242, 4243, 6), SECCOMP_RET_ALLOW);
        assert_int_equal(broker_verdict(SYS_tgkill, 4241, 4243, 6), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(broker_verdict(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE), SECCOMP_RET_ALLOW);
        assert_int_equal(broker_verdict(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(broker_verdict(SYS_mprotect, 0, 4096, PROT_EXEC), SECCOMP_RET_KILL_PROCESS);
}

static void read_only_disk_has_no_way_to_write(void **state)
{
        struct policy_layout layout = {.n_lanes = 1, .n_resources = 1, .binary_fd = -1, .report_fd = -1};
        struct policy_program program = {0};

        (void)state;
        assert_int_equal(policy_compile(policy_find("blk"), POLICY_GATE_RUN, &layout, &program), 0);
        for (uint64_t fd = 0; fd < 16; fd++) {
                struct seccomp_data data = {.nr = SYS_pwrite64, .arch = NATIVE, .args = {fd}};
                uint32_t verdict = 0;

                assert_int_equal(bpf_sim_run(program.filter, program.n, &data, &verdict), 0);
                assert_int_equal(verdict, SECCOMP_RET_KILL_PROCESS);
                data.nr = SYS_pread64;
                assert_int_equal(bpf_sim_run(program.filter, program.n, &data, &verdict), 0);
                assert_int_equal(verdict, fd == 6 ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS);
        }
        policy_program_done(&program);
}

static void subjects_stand_for_the_descriptors_a_worker_is_born_with(void **state)
{
        const struct policy_layout *layout = &layouts[3]; /* 16 lanes, 8 resources, rw 0xa5 */
        uint64_t v[POLICY_SUBJECT_VALUES], out[POLICY_SUBJECT_VALUES];

        (void)state;
        assert_int_equal(policy_subject_values(POLICY_CONTROL, layout, v), 1);
        assert_int_equal(v[0], 3);
        assert_int_equal(policy_subject_values(POLICY_CHANNEL_IN, layout, v), 17);
        assert_int_equal(policy_subject_values(POLICY_CHANNEL_OUT, layout, out), 17);
        assert_true(v[0] == 3 && out[0] == 3);
        for (unsigned i = 1; i < 17; i++)
                assert_true(v[i] == 2 + 2 * i && out[i] == 3 + 2 * i);
        assert_int_equal(policy_subject_values(POLICY_LANE_OUT, layout, v), 16);
        assert_memory_equal(v, out + 1, 16 * sizeof(v[0]));
        assert_int_equal(policy_subject_values(POLICY_RESOURCE, layout, v), 8);
        assert_int_equal(v[0], 36);
        assert_int_equal(v[7], 43);
        assert_int_equal(policy_subject_values(POLICY_RESOURCE_RW, layout, v), 4);
        assert_int_equal(v[1], 38);
        assert_int_equal(policy_subject_values(POLICY_RUN_POLICY, layout, v), 1);
        assert_int_equal(v[0], 44);
        assert_int_equal(policy_subject_values(POLICY_BINARY, &(struct policy_layout){.binary_fd = -1}, v),
                         0);
        assert_int_equal(policy_subject_values(POLICY_SELF, &(struct policy_layout){.self = 0}, v), 0);
        assert_int_equal(policy_subject_values(POLICY_BORN, layout, v), 0);
}

/* ---- tables that are refused ---- */

#define OF(rows_)                                                                                            \
        {                                                                                                    \
                .type = "bad", .run = {{rows_, array_size(rows_)}}, .max_run_calls = 2                       \
        }

static void assert_refused(const struct policy *policy, const char *word)
{
        struct policy_program program = {0};
        char why[200] = "";

        assert_int_equal(policy_check(policy, why, sizeof(why)), -EINVAL);
        if (!strstr(why, word))
                fail_msg("\"%s\" does not say \"%s\"", why, word);
        assert_int_equal(policy_compile(policy, POLICY_GATE_RUN, &layouts[0], &program), -EINVAL);
        assert_null(program.filter);
}

static void bad_tables_are_refused(void **state)
{
        static const struct policy_row
            no_reason[] = {{SYS_read}},
            short_reason[] = {{SYS_read, .reason = "because"}}, no_call[] = {{-1, .reason = "some reason"}},
            high_call[] = {{1024, .reason = "some reason"}},
            twice[] = {{SYS_read, .reason = "some reason"}, {SYS_read, .reason = "another reason"}},
            same_test[] = {{SYS_read, POLICY_CONTROL, .reason = "some reason"},
                           {SYS_read, POLICY_CONTROL, .reason = "another reason"}},
            plain_beside[] = {{SYS_read, POLICY_CONTROL, .reason = "some reason"},
                              {SYS_read, .reason = "another reason"}},
            arg_twice[] = {{SYS_read, POLICY_CONTROL, .tests = {{0, POLICY_EQ, 1}}, .reason = "some reason"}},
            arg_six[] = {{SYS_read, .tests = {{6, POLICY_EQ, 1}}, .reason = "some reason"}},
            gap[] = {{SYS_read, .tests = {{0}, {1, POLICY_EQ, 1}}, .reason = "some reason"}},
            wrong_op[] = {{SYS_read, .tests = {{1, (enum policy_op)7, 1}}, .reason = "some reason"}},
            no_mask[] = {{SYS_read, .tests = {{1, POLICY_MASKED_EQ, 0, 0}}, .reason = "some reason"}},
            value_outside[] = {{SYS_read, .tests = {{1, POLICY_MASKED_EQ, 4, 3}}, .reason = "some reason"}},
            subject[] = {{SYS_read, POLICY_SUBJECT_COUNT_, .reason = "some reason"}},
            both[] = {{SYS_read, POLICY_CONTROL, .reason = "some reason"},
                      {SYS_read, POLICY_CHANNEL_IN, .deny_errno = 1, .reason = "some reason"}},
            many[] = {{SYS_read, .reason = "some reason"},
                      {SYS_write, .reason = "some reason"},
                      {SYS_readv, .reason = "some reason"}};
        const struct policy policies[] = {
            OF(no_reason),     OF(short_reason), OF(no_call), OF(high_call), OF(twice),    OF(same_test),
            OF(plain_beside),  OF(arg_twice),    OF(arg_six), OF(gap),       OF(wrong_op), OF(no_mask),
            OF(value_outside), OF(subject),      OF(both),    OF(many)};
        static const char *const words[] = {
            "no reason", "no reason",       "no system call", "no system call",  "twice",       "twice",
            "void",      "twice",           "does not exist", "behind the last", "no equality", "mask",
            "mask",      "unknown subject", "denies",         "promised"};

        (void)state;
        assert_int_equal(array_size(words), array_size(policies));
        for (size_t i = 0; i < array_size(policies); i++)
                assert_refused(&policies[i], words[i]);
}

static void all_our_tables_are_in_order(void **state)
{
        const struct policy *policy;
        char why[200];

        (void)state;
        for (size_t i = 0; (policy = policy_at(i)); i++)
                if (policy_check(policy, why, sizeof(why)) != 0)
                        fail_msg("%s", why);
        assert_null(policy_find("nosuch"));
}

static void layouts_beyond_the_limits_are_refused(void **state)
{
        struct policy_program program = {0};
        struct policy_layout layout = {
            .n_lanes = LIMIT_LANES, .n_resources = LIMIT_RESOURCES, .binary_fd = -1};

        (void)state;
        assert_int_equal(policy_compile(policy_find("blk"), POLICY_GATE_RUN, &layout, &program), 0);
        policy_program_done(&program);
        layout.n_lanes++;
        assert_int_equal(policy_compile(policy_find("blk"), POLICY_GATE_RUN, &layout, &program), -EINVAL);
        layout.n_lanes--;
        layout.n_resources++;
        assert_int_equal(policy_compile(policy_find("blk"), POLICY_GATE_RUN, &layout, &program), -EINVAL);
        layout.n_resources--;
        layout.n_born = POLICY_BORN_MAX + 1;
        assert_int_equal(policy_compile(policy_find("blk"), POLICY_GATE_RUN, &layout, &program), -EINVAL);
        assert_null(program.filter);
}

/* ---- the sealed copy ---- */

static void sealed_filter_is_the_filter_and_cannot_be_changed(void **state)
{
        struct policy_program program = {0};
        struct sock_filter copy[POLICY_FILTER_MAX];
        ssize_t size;
        int fd = -1;

        (void)state;
        assert_int_equal(policy_compile(policy_find("rng"), POLICY_GATE_RUN, &layouts[0], &program), 0);
        assert_int_equal(policy_program_seal(&program, &fd), 0);
        size = (ssize_t)(program.n * sizeof(copy[0]));
        assert_int_equal(read(fd, copy, sizeof(copy)), size);
        assert_memory_equal(copy, program.filter, (size_t)size);
        assert_int_equal(pwrite(fd, copy, 8, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(ftruncate(fd, size + 8), -1);
        assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        policy_program_done(&program);
        assert_null(program.filter);
}

/* ---- the simulator itself ---- */

static void simulator_refuses_what_seccomp_would_refuse(void **state)
{
        static const struct sock_filter far_jump[] = {BPF_STMT(BPF_JMP | BPF_JA, 1),
                                                      BPF_STMT(BPF_RET | BPF_K, 0)},
                                        odd_load[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2),
                                                      BPF_STMT(BPF_RET | BPF_K, 0)},
                                        past_load[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64),
                                                       BPF_STMT(BPF_RET | BPF_K, 0)},
                                        byte_load[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
                                                       BPF_STMT(BPF_RET | BPF_K, 0)},
                                        no_return[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
        struct seccomp_data data = {0};
        uint32_t verdict = 77;

        (void)state;
        assert_int_equal(bpf_sim_run(far_jump, 2, &data, &verdict), -EINVAL);
        assert_int_equal(bpf_sim_run(odd_load, 2, &data, &verdict), -EINVAL);
        assert_int_equal(bpf_sim_run(past_load, 2, &data, &verdict), -EINVAL);
        assert_int_equal(bpf_sim_run(byte_load, 2, &data, &verdict), -EINVAL);
        assert_int_equal(bpf_sim_run(no_return, 1, &data, &verdict), -EINVAL);
        assert_int_equal(verdict, 77);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(simulator_refuses_what_seccomp_would_refuse),
            cmocka_unit_test(all_our_tables_are_in_order),
            cmocka_unit_test(bad_tables_are_refused),
            cmocka_unit_test(layouts_beyond_the_limits_are_refused),
            cmocka_unit_test(subjects_stand_for_the_descriptors_a_worker_is_born_with),
            cmocka_unit_test(rng_has_seven_calls_blk_thirteen_and_console_fourteen),
            cmocka_unit_test(workers_never_have_these_calls),
            cmocka_unit_test(broker_cannot_make_processes_sockets_or_open_paths),
            cmocka_unit_test(broker_signals_and_threads_are_pinned),
            cmocka_unit_test(read_only_disk_has_no_way_to_write),
            cmocka_unit_test(each_row_is_allowed_and_each_flipped_bit_is_judged),
            cmocka_unit_test(no_number_beyond_the_table_is_allowed),
            cmocka_unit_test(foreign_architectures_and_x32_are_killed),
            cmocka_unit_test(mixed_arguments_are_judged_as_the_table_says),
            cmocka_unit_test(sealed_filter_is_the_filter_and_cannot_be_changed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
