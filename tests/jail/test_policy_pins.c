/* What the filters must refuse whatever the tables say: the tables are not the oracle here, so a row that has
 * become too wide is seen.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "sandbox/policy.h"
#include "tests/jail/bpf_sim.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

#define DESCRIPTORS 64u /* numbers that are tried: all that a worker can have, and more */

static const struct policy_layout layout = {.n_lanes = 2,
                                            .n_resources = 1,
                                            .resources_rw = 1,
                                            .binary_fd = 10,
                                            .report_fd = 11,
                                            .go_fd = -1,
                                            .self = 4242};

static bool layout_allows(const struct policy_layout *of, const char *type, enum policy_gate gate,
                          const struct seccomp_data *data)
{
        struct policy_program program = {0};
        uint32_t verdict = 0;

        assert_int_equal(policy_compile(policy_find(type), gate, of, &program), 0);
        assert_int_equal(bpf_sim_run(program.filter, program.n, data, &verdict), 0);
        policy_program_done(&program);
        return verdict == SECCOMP_RET_ALLOW;
}

/* The same of many calls. */
static void compile(const char *type, enum policy_gate gate, struct policy_program *ret)
{
        *ret = (struct policy_program){0};
        assert_int_equal(policy_compile(policy_find(type), gate, &layout, ret), 0);
}

static bool passes(const struct policy_program *program, const struct seccomp_data *data)
{
        uint32_t verdict = 0;

        assert_int_equal(bpf_sim_run(program->filter, program->n, data, &verdict), 0);
        return verdict == SECCOMP_RET_ALLOW;
}

static bool allows(const char *type, enum policy_gate gate, const struct seccomp_data *data)
{
        return layout_allows(&layout, type, gate, data);
}

/* In no gate of any policy, the broker's included. */
static void assert_never(const struct seccomp_data *data)
{
        const struct policy *policy;

        for (size_t i = 0; (policy = policy_at(i)); i++)
                for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++)
                        if (allows(policy->type, (enum policy_gate)gate, data))
                                fail_msg("%s, gate %d: call %d is allowed", policy->type, gate, data->nr);
}

#define CALL(number, ...) ((struct seccomp_data){.nr = (number), .arch = NATIVE, .args = {__VA_ARGS__}})

static void memory_never_becomes_executable(void **state)
{
        (void)state;
        for (uint64_t prot = 0; prot < 8; prot++) {
                if (!(prot & PROT_EXEC))
                        continue;
                assert_never(&CALL(SYS_mprotect, 0x1000, 4096, prot));
                assert_never(&CALL(SYS_mmap, 0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, ~UINT64_C(0)));
                assert_never(&CALL(SYS_mmap, 0, 4096, prot, MAP_SHARED, 5));
        }
        assert_never(&CALL(SYS_pkey_mprotect, 0x1000, 4096, PROT_READ));
        assert_never(&CALL(SYS_remap_file_pages, 0x1000, 4096));
}

static void a_worker_maps_nothing_after_lockdown_and_no_file_before(void **state)
{
        static const char *const types[] = {"blk", "rng"};
        const uint64_t writable = PROT_READ | PROT_WRITE;

        (void)state;
        for (size_t i = 0; i < array_size(types); i++) {
                for (uint64_t fd = 0; fd < DESCRIPTORS; fd++)
                        assert_false(allows(types[i], POLICY_GATE_START,
                                            &CALL(SYS_mmap, 0, 4096, writable, MAP_PRIVATE, fd)));
                assert_false(allows(types[i], POLICY_GATE_START,
                                    &CALL(SYS_mmap, 0, 4096, writable, MAP_SHARED | MAP_ANONYMOUS, 0)));
                assert_true(allows(types[i], POLICY_GATE_START,
                                   &CALL(SYS_mmap, 0, 4096, writable, MAP_PRIVATE | MAP_ANONYMOUS, 0)));
                assert_false(allows(types[i], POLICY_GATE_RUN,
                                    &CALL(SYS_mmap, 0, 4096, writable, MAP_PRIVATE | MAP_ANONYMOUS, 0)));
        }
}

static void a_disk_worker_punches_and_zeroes_and_does_nothing_else_to_its_file(void **state)
{
        const uint64_t image = (uint64_t)worker_fd_resource(layout.n_lanes, 0);

        (void)state;
        for (uint64_t mode = 0; mode < 256; mode++)
                assert_int_equal(allows("blk", POLICY_GATE_RUN, &CALL(SYS_fallocate, image, mode, 0, 4096)),
                                 mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
                                     mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE));
        assert_false(allows("blk", POLICY_GATE_RUN, &CALL(SYS_ftruncate, image, 0)));
        assert_false(allows("blk", POLICY_GATE_START, &CALL(SYS_ftruncate, image, 0)));
}

/* Two lanes: of each the first is read and the second is written. */
static void a_worker_speaks_on_its_own_descriptors_only(void **state)
{
        static const struct {
                int call;
                bool writes;
        } calls[] = {{SYS_read, false}, {SYS_readv, false}, {SYS_write, true}, {SYS_writev, true}};
        static const char *const types[] = {"blk", "rng", "loader"};

        (void)state;
        assert_int_equal(layout.n_lanes, 2);
        for (size_t t = 0; t < array_size(types); t++) {
                struct policy_program program;

                compile(types[t], POLICY_GATE_RUN, &program);
                for (size_t i = 0; i < array_size(calls); i++)
                        for (uint64_t fd = 0; fd < DESCRIPTORS; fd++) {
                                const bool in = fd == 4 || fd == 6, out = fd == 5 || fd == 7 || fd == 2;

                                assert_int_equal(passes(&program, &CALL(calls[i].call, fd)),
                                                 fd == WORKER_FD_CONTROL || (calls[i].writes ? out : in));
                        }
                policy_program_done(&program);
        }
}

/* Both sides could change a pipe's size, and one could fill it with pages that still change. */
static void a_lane_is_read_or_written_and_nothing_else(void **state)
{
        static const int never[] = {SYS_splice, SYS_tee, SYS_vmsplice, SYS_dup3, SYS_ioctl, SYS_recvmsg};
        static const uint64_t commands[] = {F_SETFL, F_SETPIPE_SZ, F_SETOWN, F_SETSIG, F_DUPFD};
        const uint64_t end = (uint64_t)worker_fd_resource(layout.n_lanes, 0);
        struct policy_program program;
        const struct policy *policy;

        (void)state;
        for (size_t p = 0; (policy = policy_at(p)); p++) {
                if (strncmp(policy->type, "broker", 6) == 0 || strcmp(policy->type, "vsock-proxy") == 0)
                        continue; /* they have no lanes */
                compile(policy->type, POLICY_GATE_RUN, &program);
                for (uint64_t fd = WORKER_FD_LANE; fd < end; fd++) {
                        for (size_t i = 0; i < array_size(never); i++)
                                assert_false(passes(&program, &CALL(never[i], fd)));
                        for (size_t i = 0; i < array_size(commands); i++)
                                assert_false(passes(&program, &CALL(SYS_fcntl, fd, commands[i], 4096)));
                        assert_false(passes(&program, &CALL(SYS_sendmsg, fd, 0x1000, MSG_NOSIGNAL)));
                }
                policy_program_done(&program);
        }
        compile("loader", POLICY_GATE_RUN, &program);
        for (uint64_t to = 0; to < DESCRIPTORS; to++)
                for (uint64_t from = 0; from < DESCRIPTORS; from++)
                        assert_int_equal(passes(&program, &CALL(SYS_sendfile, to, from, 0x1000, 4096)),
                                         (to == 5 || to == 7) && from == end); /* one resource: no initrd */
        policy_program_done(&program);
}

/* Who maps files says which on control, where they go beside. */
static void descriptors_go_beside_control_only(void **state)
{
        (void)state;
        for (uint64_t fd = 0; fd < DESCRIPTORS; fd++) {
                assert_int_equal(
                    allows("pmem", POLICY_GATE_RUN, &CALL(SYS_sendmsg, fd, 0x1000, MSG_NOSIGNAL)),
                    fd == WORKER_FD_CONTROL);
                assert_int_equal(allows("sample", POLICY_GATE_START, &CALL(SYS_recvmsg, fd, 0x1000, 0)),
                                 fd == WORKER_FD_CONTROL);
        }
}

/* By number alone: what a transfer does is not in its arguments. */
static void only_direct_disks_begin_asynchronous_transfers(void **state)
{
        static const int calls[] = {SYS_io_setup,  SYS_io_destroy,   SYS_io_submit,
                                    SYS_io_cancel, SYS_io_getevents, SYS_io_pgetevents};
        const struct policy *policy;
        const struct policy_row *row;

        (void)state;
        for (size_t p = 0; (policy = policy_at(p)); p++)
                for (size_t r = 0; (row = policy_row_at(policy, POLICY_GATE_START, r)); r++)
                        for (size_t i = 0; i < array_size(calls); i++)
                                assert_true(row->nr != calls[i] || strcmp(policy->type, "blk-direct") == 0);
        assert_true(allows("blk-direct", POLICY_GATE_START, &CALL(SYS_io_setup, 256, 0x1000)));
        assert_false(allows("blk-direct", POLICY_GATE_START, &CALL(SYS_io_setup, 257, 0x1000)));
        assert_false(allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_setup, 256, 0x1000)));
        assert_false(allows("blk-direct", POLICY_GATE_START, &CALL(SYS_io_destroy, 0x1000)));
        assert_true(allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_submit, 0x1000, 63, 0x1000)));
        assert_false(allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_submit, 0x1000, 64, 0x1000)));
        assert_false(
            allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_getevents, 0x1000, 2, 64, 0x1000, 0)));
        assert_false(
            allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_getevents, 0x1000, 1, 65, 0x1000, 0)));
        assert_false(
            allows("blk-direct", POLICY_GATE_RUN, &CALL(SYS_io_getevents, 0x1000, 1, 64, 0x1000, 8)));
}

/* No filter can tell one descriptor from another: the spawner says which is which. */
static void each_kind_of_resource_has_a_subject_of_its_own(void **state)
{
        static const struct {
                enum policy_subject subject;
                unsigned first, second, n; /* numbers of resources */
        } kinds[] = {
            {POLICY_LISTENER, 1, 7, 2},
            {POLICY_STREAM, 2, 8, 2},
            {POLICY_TAP, 3, 9, 2},
            {POLICY_FOLDER, 4, 10, 2},
            {POLICY_EVENT, 5, 5, 1},
            {POLICY_RESOURCE, 0, 6, 2 + 21},
            {POLICY_RESOURCE_RW, 0, 6, 2 + 5 + 12},
        };
        const struct policy_layout all = {.n_lanes = 2,
                                          .n_resources = LIMIT_RESOURCES,
                                          .resources_rw = 0xfff0fff1,
                                          .resource_kinds = {RESOURCE_FILE, RESOURCE_LISTENER,
                                                             RESOURCE_STREAM, RESOURCE_TAP, RESOURCE_FOLDER,
                                                             RESOURCE_EVENT, RESOURCE_FILE, RESOURCE_LISTENER,
                                                             RESOURCE_STREAM, RESOURCE_TAP, RESOURCE_FOLDER},
                                          .n_born = POLICY_BORN_MAX};
        uint64_t v[POLICY_SUBJECT_VALUES];

        (void)state;
        for (size_t i = 0; i < array_size(kinds); i++) {
                assert_int_equal(policy_subject_values(kinds[i].subject, &all, v), kinds[i].n);
                assert_int_equal(v[0], 4 + 2 * 2 + kinds[i].first);
                if (kinds[i].n > 1)
                        assert_int_equal(v[1], 4 + 2 * 2 + kinds[i].second);
        }
        assert_int_equal(policy_subject_values(POLICY_BORN, &all, v), POLICY_BORN_MAX);
        assert_int_equal(v[0], worker_fd_policy(2, LIMIT_RESOURCES));
        assert_int_equal(v[POLICY_BORN_MAX - 1], v[0] + POLICY_BORN_MAX - 1);
}

/* Two ports with logs, one lane: 6 and 9 listen, 7, 8, 10 and 11 are files, and 12 to 14 are who connects. */
static void a_console_accepts_reads_writes_and_does_nothing_else_to_sockets(void **state)
{
        static const struct policy_layout two = {.n_lanes = 1,
                                                 .n_resources = 6,
                                                 .resources_rw = 0x36,
                                                 .resource_kinds = {RESOURCE_LISTENER, RESOURCE_FILE,
                                                                    RESOURCE_FILE, RESOURCE_LISTENER,
                                                                    RESOURCE_FILE, RESOURCE_FILE},
                                                 .n_born = 3,
                                                 .binary_fd = 13,
                                                 .report_fd = 14,
                                                 .go_fd = -1};
        static const int never[] = {SYS_socket,     SYS_connect,  SYS_bind,        SYS_listen,
                                    SYS_accept,     SYS_sendmsg,  SYS_recvmsg,     SYS_getsockopt,
                                    SYS_setsockopt, SYS_shutdown, SYS_getpeername, SYS_dup,
                                    SYS_fcntl,      SYS_ioctl};

        (void)state;
        for (uint64_t fd = 0; fd < DESCRIPTORS; fd++) {
                const bool listens = fd == 6 || fd == 9, connected = fd >= 12 && fd <= 14;
                const bool file = fd == 7 || fd == 8 || fd == 10 || fd == 11;
                const enum policy_gate gate = POLICY_GATE_RUN;
                const uint64_t quiet = MSG_DONTWAIT | MSG_NOSIGNAL;

#define IS(want, ...) assert_int_equal(layout_allows(&two, "console", gate, &CALL(__VA_ARGS__)), want)
                IS(listens, SYS_accept4, fd, 0, 0, SOCK_CLOEXEC);
                IS(false, SYS_accept4, fd, 0x1000, 0x2000, SOCK_CLOEXEC);
                IS(false, SYS_accept4, fd, 0, 0, 0);
                IS(connected, SYS_recvfrom, fd, 0x1000, 9, MSG_DONTWAIT, 0, 0);
                IS(connected, SYS_recvfrom, fd, 0x1000, 9, MSG_DONTWAIT | MSG_PEEK, 0, 0);
                IS(false, SYS_recvfrom, fd, 0x1000, 9, 0, 0, 0);
                IS(false, SYS_recvfrom, fd, 0x1000, 9, MSG_DONTWAIT, 0x2000, 0x3000);
                IS(connected, SYS_sendto, fd, 0x1000, 9, quiet, 0, 0);
                IS(false, SYS_sendto, fd, 0x1000, 9, MSG_DONTWAIT, 0, 0);
                IS(false, SYS_sendto, fd, 0x1000, 9, quiet, 0x2000, 110);
                IS(connected, SYS_close, fd);
                IS(file, SYS_pwrite64, fd, 0x1000, 9, 0);
                IS(file, SYS_ftruncate, fd, 0);
                for (size_t i = 0; i < array_size(never); i++)
                        IS(false, never[i], fd);
#undef IS
        }
}

/* No filter can tell an eventfd from a file: the spawner says which is which. */
static void an_eventfd_is_read_and_nothing_else(void **state)
{
        static const int calls[] = {SYS_read,     SYS_write,  SYS_readv,   SYS_writev,    SYS_pread64,
                                    SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_fdatasync, SYS_fallocate};
        const struct policy_layout direct = {.n_lanes = 1,
                                             .n_resources = 2,
                                             .resources_rw = 3,
                                             .resource_kinds = {RESOURCE_FILE, RESOURCE_EVENT},
                                             .binary_fd = -1,
                                             .report_fd = -1};
        const uint64_t image = (uint64_t)worker_fd_resource(direct.n_lanes, 0), event = image + 1;

        (void)state;
        for (size_t i = 0; i < array_size(calls); i++) {
                assert_int_equal(
                    layout_allows(&direct, "blk-direct", POLICY_GATE_RUN, &CALL(calls[i], event)),
                    calls[i] == SYS_read);
                assert_false(calls[i] == SYS_read &&
                             layout_allows(&direct, "blk-direct", POLICY_GATE_RUN, &CALL(calls[i], image)));
        }
}

/* Before its execution, which closes that pipe and makes it dumpable in any case; never behind lock-down. */
static void only_a_worker_that_will_be_traced_waits_and_is_dumpable(void **state)
{
        static const enum policy_gate gates[] = {POLICY_GATE_START, POLICY_GATE_RUN};
        struct policy_layout traced = layout;

        (void)state;
        traced.go_fd = 12;
        for (size_t i = 0; i < array_size(gates); i++) {
                enum policy_gate gate = gates[i];
                const struct seccomp_data dumpable = CALL(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
                const struct seccomp_data wait = CALL(SYS_read, 12, 0x1000, 1);

                assert_int_equal(layout_allows(&traced, "rng", gate, &dumpable), gate == POLICY_GATE_START);
                assert_int_equal(layout_allows(&traced, "rng", gate, &wait), gate == POLICY_GATE_START);
                assert_false(allows("rng", gate, &dumpable));
                assert_false(allows("rng", gate, &wait));
        }
}

static void a_worker_can_only_narrow_itself(void **state)
{
        (void)state;
        for (uint64_t option = 0; option < 80; option++)
                for (uint64_t value = 0; value < 3; value++)
                        assert_int_equal(
                            allows("rng", POLICY_GATE_START, &CALL(SYS_prctl, option, value, 0, 0, 0)),
                            option == PR_SET_DUMPABLE && value == 0);
        for (uint64_t resource = 0; resource < RLIM_NLIMITS; resource++)
                assert_false(allows("rng", POLICY_GATE_START, &CALL(SYS_prlimit64, 0, resource, 0x1000, 0)));
        for (uint64_t flags = 0; flags < 16; flags++)
                assert_int_equal(allows("rng", POLICY_GATE_RUN, &CALL(SYS_getrandom, 0x1000, 64, flags)),
                                 flags == 0);
}

/* Nobody but the broker moves anything to another CPU; a worker cannot choose even its own. */
static void only_the_broker_chooses_cpus(void **state)
{
        const int call = SYS_sched_setaffinity;

        (void)state;
        for (uint64_t len = 0; len < 1025; len++)
                assert_int_equal(allows("broker", POLICY_GATE_RUN, &CALL(call, 4711, len, 0x1000)),
                                 len == sizeof(cpu_set_t));
        for (uint64_t offset = 0; offset < 64; offset++)
                assert_int_equal(allows("broker", POLICY_GATE_RUN, &CALL(SYS_pread64, 3, 0x1000, 64, offset)),
                                 offset == 0);
        for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++) {
                assert_false(
                    allows("blk", (enum policy_gate)gate, &CALL(call, 0, sizeof(cpu_set_t), 0x1000)));
                assert_false(
                    allows("rng", (enum policy_gate)gate, &CALL(call, 0, sizeof(cpu_set_t), 0x1000)));
        }
}

/* The broker asks for the length of its own threads' turns, of nobody else's; a worker for none. */
static void only_the_broker_chooses_turns_and_its_own_alone(void **state)
{
        static const char *const workers[] = {"blk", "blk-direct", "rng", "loader"};

        (void)state;
        assert_true(allows("broker", POLICY_GATE_RUN, &CALL(SYS_sched_setattr, 0, 0x1000, 0)));
        assert_true(allows("broker", POLICY_GATE_RUN, &CALL(SYS_sched_getattr, 0, 0x1000, 48, 0)));
        for (unsigned bit = 0; bit < 64; bit++) {
                const uint64_t other = UINT64_C(1) << bit;

                assert_never(&CALL(SYS_sched_setattr, other, 0x1000, 0));
                assert_never(&CALL(SYS_sched_setattr, 0, 0x1000, other));
                assert_never(&CALL(SYS_sched_getattr, other, 0x1000, 48, 0));
                assert_never(&CALL(SYS_sched_getattr, 0, 0x1000, 48 ^ other, 0));
                assert_never(&CALL(SYS_sched_getattr, 0, 0x1000, 48, other));
        }
        for (size_t w = 0; w < array_size(workers); w++)
                for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++) {
                        assert_false(allows(workers[w], (enum policy_gate)gate,
                                            &CALL(SYS_sched_setattr, 0, 0x1000, 0)));
                        assert_false(allows(workers[w], (enum policy_gate)gate,
                                            &CALL(SYS_sched_getattr, 0, 0x1000, 48, 0)));
                }
}

/* The broker copies to 63 ranges of one process at most, and from as many; nobody else to or from any. */
static void copies_between_processes_are_the_brokers_and_plain(void **state)
{
        static const int calls[] = {SYS_process_vm_writev, SYS_process_vm_readv};
        static const char *const workers[] = {"blk", "blk-direct", "rng", "loader"};

        (void)state;
        for (size_t i = 0; i < array_size(calls); i++) {
                const int call = calls[i];

                for (uint64_t n = 0; n < 1025; n++)
                        assert_int_equal(
                            allows("broker", POLICY_GATE_RUN, &CALL(call, 4711, 0x1000, 7, 0x2000, n, 0)),
                            n <= 63);
                for (unsigned bit = 6; bit < 64; bit++)
                        assert_never(&CALL(call, 4711, 0x1000, 7, 0x2000, (UINT64_C(1) << bit) + 1, 0));
                for (unsigned bit = 0; bit < 64; bit++)
                        assert_never(&CALL(call, 4711, 0x1000, 1, 0x2000, 1, UINT64_C(1) << bit));
                for (size_t w = 0; w < array_size(workers); w++)
                        for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++)
                                assert_false(allows(workers[w], (enum policy_gate)gate,
                                                    &CALL(call, 4711, 0x1000, 1, 0x2000, 1, 0)));
        }
}

/* The kernel's own header is the oracle, and every number that it could have with any size and direction. */
static void only_a_broker_with_a_vm_commands_kvm_and_makes_none(void **state)
{
        static const uint64_t needed[] = {
                KVM_RUN,
                KVM_SET_USER_MEMORY_REGION,
                KVM_GET_DIRTY_LOG,
                KVM_IRQFD,
                KVM_IOEVENTFD,
#if defined(__x86_64__)
                KVM_GET_REGS,
                KVM_SET_REGS,
                KVM_GET_SREGS,
                KVM_SET_SREGS,
                KVM_GET_MP_STATE,
                KVM_TRANSLATE
#else
                KVM_GET_ONE_REG,
                KVM_SET_ONE_REG
#endif
        };
        static const uint64_t never[] = {KVM_CREATE_VM,         KVM_CREATE_VCPU,     KVM_CHECK_EXTENSION,
                                         KVM_GET_API_VERSION,   KVM_CREATE_DEVICE,   KVM_SET_DEVICE_ATTR,
                                         KVM_ENABLE_CAP,        KVM_SIGNAL_MSI,      KVM_SET_GSI_ROUTING,
                                         KVM_SET_SIGNAL_MASK,   KVM_GET_DEVICE_ATTR, KVM_IRQ_LINE,
                                         KVM_GET_VCPU_MMAP_SIZE};
        struct policy_program kvm = {0}, plain = {0};
        uint32_t verdict = 0;

        (void)state;
        assert_int_equal(policy_compile(policy_find("broker-kvm"), POLICY_GATE_RUN, &layout, &kvm), 0);
        assert_int_equal(policy_compile(policy_find("broker"), POLICY_GATE_RUN, &layout, &plain), 0);
        for (uint64_t command = 0; command < 256; command++)
                for (uint64_t size = 0; size < 1024; size++)
                        for (uint64_t direction = 0; direction < 4; direction++) {
                                uint64_t nr = direction << 30 | size << 16 | (uint64_t)KVMIO << 8 | command;
                                bool wanted = false;

                                for (size_t i = 0; i < array_size(needed); i++)
                                        wanted |= needed[i] == nr;
                                assert_int_equal(
                                    bpf_sim_run(kvm.filter, kvm.n, &CALL(SYS_ioctl, 7, nr), &verdict), 0);
                                assert_int_equal(verdict == SECCOMP_RET_ALLOW, wanted);
                                assert_int_equal(
                                    bpf_sim_run(plain.filter, plain.n, &CALL(SYS_ioctl, 7, nr), &verdict), 0);
                                assert_int_not_equal(verdict, SECCOMP_RET_ALLOW);
                        }
        policy_program_done(&kvm);
        policy_program_done(&plain);
        for (size_t i = 0; i < array_size(never); i++)
                assert_never(&CALL(SYS_ioctl, 7, never[i]));
        for (size_t i = 0; i < array_size(needed); i++)
                assert_never(&CALL(SYS_ioctl, 7, needed[i] | UINT64_C(1) << 32));
}

/* Who writes to a worker's memory must never wait for that worker: no page of it is one that somebody serves. */
static void a_worker_has_no_memory_that_makes_its_writer_wait(void **state)
{
        static const char *const types[] = {"blk", "rng"};
        const uint64_t shared_or_file[] = {MAP_SHARED, MAP_SHARED_VALIDATE, MAP_PRIVATE,
                                           MAP_SHARED | MAP_ANONYMOUS};

        (void)state;
        assert_never(&CALL(SYS_userfaultfd, 0));
        assert_never(&CALL(SYS_remap_file_pages, 0x1000, 4096, 0, 0, 0));
        for (size_t t = 0; t < array_size(types); t++)
                for (int gate = POLICY_GATE_START; gate <= POLICY_GATE_RUN; gate++)
                        for (size_t i = 0; i < array_size(shared_or_file); i++)
                                for (uint64_t fd = 0; fd < DESCRIPTORS; fd++)
                                        assert_false(allows(types[t], (enum policy_gate)gate,
                                                            &CALL(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
                                                                  shared_or_file[i], fd)));
}

/* What a broker puts in place of something else is a file that was mapped before, or nothing at all. */
static void a_broker_maps_over_nothing_but_a_window(void **state)
{
        static const char *const types[] = {"broker", "broker-kvm"};
        const uint64_t none = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

        (void)state;
        for (size_t t = 0; t < array_size(types); t++) {
                for (uint64_t prot = 0; prot < 8; prot++)
                        for (unsigned bit = 0; bit < 32; bit++) {
                                uint64_t flags = (none ^ UINT64_C(1) << bit) | MAP_FIXED;

                                assert_int_equal(allows(types[t], POLICY_GATE_RUN,
                                                        &CALL(SYS_mmap, 0x1000, 4096, prot, flags)),
                                                 prot == PROT_NONE && flags == (none | MAP_FIXED));
                        }
                assert_true(allows(types[t], POLICY_GATE_RUN,
                                   &CALL(SYS_mremap, 0x1000, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED)));
                assert_true(
                    allows(types[t], POLICY_GATE_RUN,
                           &CALL(SYS_mremap, 0x1000, 0, 4096, MREMAP_MAYMOVE))); /* a second mapping */
                assert_false(
                    allows(types[t], POLICY_GATE_RUN,
                           &CALL(SYS_mremap, 0x1000, 4096, 4096, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */)));
        }
}

/* Memory that a broker makes for others keeps its size, and a worker's file is looked at as it is known here. */
static void a_broker_makes_sealed_memory_and_asks_no_file_server(void **state)
{
        const uint64_t all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
                       make = MFD_CLOEXEC | MFD_ALLOW_SEALING;

        (void)state;
        for (uint64_t seals = 0; seals < 64; seals++)
                assert_int_equal(allows("broker", POLICY_GATE_RUN, &CALL(SYS_fcntl, 5, F_ADD_SEALS, seals)),
                                 seals == all);
        for (uint64_t flags = 0; flags < 64; flags++)
                assert_int_equal(allows("broker", POLICY_GATE_RUN, &CALL(SYS_memfd_create, 0x1000, flags)),
                                 (flags & ~UINT64_C(8) /* MFD_NOEXEC_SEAL */) == make);
        assert_true(
            allows("broker", POLICY_GATE_RUN, &CALL(SYS_statx, 5, 0, AT_EMPTY_PATH | AT_STATX_DONT_SYNC)));
        assert_false(allows("broker", POLICY_GATE_RUN, &CALL(SYS_statx, 5, 0, AT_EMPTY_PATH)));
        assert_false(
            allows("broker", POLICY_GATE_RUN, &CALL(SYS_statx, 5, 0, AT_EMPTY_PATH | AT_STATX_FORCE_SYNC)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_broker_maps_over_nothing_but_a_window),
            cmocka_unit_test(a_broker_makes_sealed_memory_and_asks_no_file_server),
            cmocka_unit_test(each_kind_of_resource_has_a_subject_of_its_own),
            cmocka_unit_test(a_console_accepts_reads_writes_and_does_nothing_else_to_sockets),
            cmocka_unit_test(only_the_broker_chooses_cpus),
            cmocka_unit_test(only_the_broker_chooses_turns_and_its_own_alone),
            cmocka_unit_test(copies_between_processes_are_the_brokers_and_plain),
            cmocka_unit_test(only_a_broker_with_a_vm_commands_kvm_and_makes_none),
            cmocka_unit_test(a_worker_has_no_memory_that_makes_its_writer_wait),
            cmocka_unit_test(memory_never_becomes_executable),
            cmocka_unit_test(a_worker_maps_nothing_after_lockdown_and_no_file_before),
            cmocka_unit_test(a_disk_worker_punches_and_zeroes_and_does_nothing_else_to_its_file),
            cmocka_unit_test(a_worker_speaks_on_its_own_descriptors_only),
            cmocka_unit_test(a_lane_is_read_or_written_and_nothing_else),
            cmocka_unit_test(descriptors_go_beside_control_only),
            cmocka_unit_test(only_direct_disks_begin_asynchronous_transfers),
            cmocka_unit_test(an_eventfd_is_read_and_nothing_else),
            cmocka_unit_test(only_a_worker_that_will_be_traced_waits_and_is_dumpable),
            cmocka_unit_test(a_worker_can_only_narrow_itself),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
