/* Every rule finds what is looser than the policy, and nothing else.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_rules.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static struct audit_vm vms[2];
static struct proc_facts self;
static struct audit_scene scene = {.vms = vms, .n_vms = 2, .self = &self};

static void fill_process(struct proc_facts *f, pid_t pid, uint32_t id, uint64_t ns)
{
        *f = (struct proc_facts){
            .pid = pid,
            .status = {.ppid = 100,
                       .uid = {id, id, id, id},
                       .gid = {id, id, id, id},
                       .threads = 1,
                       .no_new_privs = 1,
                       .seccomp = 2,
                       .seccomp_filters = 2},
            .root_read_only = true,
            .ids = {.first = id, .n = 1, .n_all = 1},
            .fds_null = 2,
            .fds_pipe = 3,
            .fds_socket = 1,
            .limits.memory_cgroup = 64 << 20,
            .limits.memory_rlimit = 64 << 20,
            .limits.pids_cgroup = 1,
            .limits.pids_rlimit = 0,
        };
        for (size_t i = 0; i < PROC_NS_COUNT_; i++)
                f->ns[i] = ns + i;
}

static void fill_vm(struct audit_vm *vm, pid_t base, uint32_t id)
{
        *vm = (struct audit_vm){.peer_pid = base, .guest_bytes = 1 << 30};
        vm->status = (struct admin_status){.broker_pid = (uint32_t)base + 1,
                                           .spawner_pid = (uint32_t)base,
                                           .spawner_alive = true,
                                           .n_devices = 2};
        fill_process(&vm->spawner, base, 0, 1000);
        vm->spawner.status.ppid = 1;
        fill_process(&vm->broker, base + 1, id, 1000);
        snprintf(vm->broker.program, sizeof(vm->broker.program), "bulkhead-broker");
        for (size_t i = 0; i < 2; i++) {
                struct admin_device *d = &vm->status.devices[i];

                d->pid = (uint32_t)base + 2 + (uint32_t)i;
                d->n_lanes = 1;
                d->resources.of[RESOURCE_FILE] = i == 0;
                snprintf(d->name, sizeof(d->name), "dev%zu", i);
                snprintf(d->type, sizeof(d->type), "%s", i == 0 ? "blk" : "rng");
                fill_process(&vm->workers[i], base + 2 + (pid_t)i, id + 1 + (uint32_t)i,
                             (uint64_t)base * 100 + 5000 * (i + 1));
                vm->workers[i].fds_file = i == 0;
                snprintf(vm->workers[i].program, sizeof(vm->workers[i].program), "bulkhead-worker-%.3s",
                         d->type);
        }
        strcpy(vm->status.devices[1].companion, "passt"); /* whatever its type is */
        fill_process(&vm->companions[1], base + 9, id + 9, (uint64_t)base * 100 + 40000);
        vm->companions[1].ns[PROC_NS_NET] = 1000 + PROC_NS_NET; /* the host's */
        vm->companions[1].status.ppid = base;
        vm->companions[1].status.seccomp_filters = 1;
        vm->companions[1].status.capabilities[PROC_CAP_BOUNDING] = 0x1ffffffffff;
        vm->companions[1].fds_socket = 4000;
        vm->companions[1].fds_other = 1;
        strcpy(vm->companions[1].program, "passt.avx2");
        vm->broker.status.ppid = base;
        vm->workers[0].status.ppid = vm->workers[1].status.ppid = base;
}

static int setup(void **state)
{
        (void)state;
        fill_process(&self, 7, 0, 1000);
        fill_vm(&vms[0], 100, 70000);
        fill_vm(&vms[1], 200, 70010);
        scene.n_vms = 2;
        return 0;
}

struct tally {
        size_t n, n_by_verdict[AUDIT_VERDICT_COUNT_];
        char facts[512]; /* of the failing rows, joined by ';' */
        char measured[1024];
        char rate[160]; /* what is shown of it */
};

static int visit(void *context, const struct audit_row *row)
{
        struct tally *tally = context;
        size_t used = strlen(tally->facts), measured = strlen(tally->measured);

        tally->n++;
        tally->n_by_verdict[row->verdict]++;
        if (strcmp(row->fact, "rate") == 0)
                snprintf(tally->rate, sizeof(tally->rate), "%s", row->measured);
        assert_true(strlen(row->measured) > 0);
        assert_true(strlen(row->wanted) > 0);
        if (row->verdict != AUDIT_OK && row->verdict != AUDIT_CLAIMED) {
                snprintf(tally->facts + used, sizeof(tally->facts) - used, "%s;", row->fact);
                snprintf(tally->measured + measured, sizeof(tally->measured) - measured, "%s;",
                         row->measured);
        }
        return 0;
}

/* What is measured of the broker's memory, and what is wanted of its filter. */
static int keep_broker(void *context, const struct audit_row *row)
{
        char *const *texts = context;

        if (strcmp(row->fact, "guest memory") == 0)
                snprintf(texts[0], 160, "%s", row->measured);
        if (strcmp(row->fact, "seccomp content") == 0)
                snprintf(texts[1], 160, "%s", row->wanted);
        return 0;
}

static struct tally judge(enum audit_role role, size_t worker)
{
        struct audit_subject subject = {
            .role = role, .vm = &vms[0], .scene = &scene, .facts = &vms[0].broker};
        struct tally tally = {0};

        if (role == AUDIT_SPAWNER)
                subject.facts = &vms[0].spawner;
        if (role == AUDIT_COMPANION) {
                subject.facts = &vms[0].companions[1];
                subject.device = &vms[0].status.devices[1];
        }
        if (role == AUDIT_WORKER) {
                subject.facts = &vms[0].workers[worker];
                subject.device = &vms[0].status.devices[worker];
        }
        assert_int_equal(audit_rules_apply(&subject, visit, &tally), 0);
        return tally;
}

static size_t failures(const struct tally *t)
{
        return t->n_by_verdict[AUDIT_LOOSE] + t->n_by_verdict[AUDIT_UNKNOWN];
}

static void a_vm_as_it_should_be_has_no_findings(void **state)
{
        (void)state;
        for (int role = 0; role < AUDIT_ROLE_COUNT_; role++) {
                struct tally t = judge((enum audit_role)role, 0);

                assert_string_equal(t.facts, "");
                assert_true(t.n > 2);
                assert_int_equal(t.n_by_verdict[AUDIT_CLAIMED], role == AUDIT_SPAWNER  ? 0
                                                                : role == AUDIT_WORKER ? 5
                                                                                       : 1);
        }
        assert_string_equal(judge(AUDIT_WORKER, 1).facts, "");
}

/* One step beyond the policy in each fact of a worker, and the rule that must see it. */
static void loosen(unsigned i, const char **ret_fact)
{
        struct proc_facts *f = &vms[0].workers[0];

        switch (i) {
#define STEP(number, fact, change)                                                                           \
        case number:                                                                                         \
                change;                                                                                      \
                *ret_fact = fact ";";                                                                        \
                return;
                STEP(0, "guest memory", f->guest_bytes = 1)
                STEP(1, "shared mappings", f->shared_bytes = 1)
                STEP(2, "guest memory files", f->fds_guest = 1)
                STEP(3, "capabilities", f->status.capabilities[PROC_CAP_INHERITABLE] = 1)
                STEP(4, "capabilities", f->status.capabilities[PROC_CAP_PERMITTED] = 1)
                STEP(5, "capabilities", f->status.capabilities[PROC_CAP_EFFECTIVE] = 1ull << 40)
                STEP(6, "capabilities", f->status.capabilities[PROC_CAP_BOUNDING] = 1)
                STEP(7, "capabilities", f->status.capabilities[PROC_CAP_AMBIENT] = 1)
                STEP(8, "seccomp mode", f->status.seccomp = 0)
                STEP(9, "seccomp mode", f->status.seccomp = 1)
                STEP(10, "seccomp filters", f->status.seccomp_filters = 1)
                STEP(11, "no_new_privs", f->status.no_new_privs = 0)
                STEP(12, "namespaces", f->ns[PROC_NS_USER] = self.ns[PROC_NS_USER])
                STEP(13, "namespaces", f->ns[PROC_NS_CGROUP] = vms[0].broker.ns[PROC_NS_CGROUP])
                STEP(14, "namespaces", f->ns[PROC_NS_NET] = vms[0].workers[1].ns[PROC_NS_NET])
                STEP(15, "namespaces", f->ns[PROC_NS_IPC] = vms[1].workers[1].ns[PROC_NS_IPC])
                STEP(16, "root", f->root_entries = 1)
                STEP(17, "root", f->root_read_only = false)
                STEP(18, "descriptors", f->fds_file = 2)
                STEP(19, "descriptors", f->fds_socket = 2)
                STEP(20, "descriptors", f->fds_other = 1)
                STEP(21, "descriptors", f->fds_null = 3)
                STEP(22, "uid", f->status.uid[3] = 0)
                STEP(23, "uid", memcpy(f->status.uid, vms[0].broker.status.uid, sizeof(f->status.uid)))
                STEP(24, "uid", memcpy(f->status.uid, vms[1].workers[0].status.uid, sizeof(f->status.uid)))
                STEP(25, "uid", memset(f->status.uid, 0, sizeof(f->status.uid)))
                STEP(26, "uid", f->status.gid[1] = 0)
                STEP(27, "groups", f->status.n_groups = 1)
                STEP(28, "threads", f->status.threads = 2)
                STEP(29, "parent", f->status.ppid = 1)
                STEP(30, "program", f->program[0] = 'B')
                STEP(31, "memory limit", f->limits.memory_cgroup = f->limits.memory_rlimit = PROC_NO_LIMIT)
                STEP(32, "process limit", f->limits.pids_cgroup = 2)
                STEP(33, "process limit", f->limits.pids_cgroup = f->limits.pids_rlimit = PROC_NO_LIMIT)
                STEP(34, "tracer", f->status.tracer = 999)
                STEP(35, "tracer", f->status.tracer = vms[1].status.spawner_pid)
                STEP(36, "other resources", f->limits.not_zero = "core file size")
                STEP(37, "descriptors", f->fds_pipe = 4)
                STEP(38, "descriptors", f->fds_pipe = 2)
                STEP(39, "seccomp content", vms[0].status.devices[0].seccomp_log = true)
                STEP(40, "descriptors", f->fds_event = 1)
                STEP(41, "shared mappings", f->ring_bytes = 4096)
                STEP(42, "ids", f->ids.n_all = 2)
                STEP(43, "ids", f->ids.n = 65536; f->ids.n_all = 65537; f->ids.root_is_mapped = true)
        default:
                *ret_fact = NULL;
        }
}

static void each_step_beyond_the_policy_is_found_by_its_rule(void **state)
{
        const char *fact = "";

        for (unsigned i = 0;; i++) {
                struct tally t;

                setup(state);
                loosen(i, &fact);
                if (!fact) {
                        assert_int_equal(i, 44);
                        return;
                }
                t = judge(AUDIT_WORKER, 0);
                assert_string_equal(t.facts, fact);
                assert_int_equal(t.n_by_verdict[AUDIT_LOOSE], 1);
        }
}

static void each_step_of_a_companion_is_found_too(void **state)
{
        static const char *const facts[] = {"program;",
                                            "tracer;",
                                            "parent;",
                                            "guest memory;",
                                            "guest memory files;",
                                            "capabilities;",
                                            "seccomp mode;",
                                            "seccomp filters;",
                                            "no_new_privs;",
                                            "namespaces;",
                                            "root;",
                                            "descriptors;",
                                            "uid;",
                                            "groups;",
                                            "threads;",
                                            "memory limit;",
                                            "process limit;",
                                            "descriptors;",
                                            "namespaces;",
                                            "program;"};

        for (unsigned i = 0; i < array_size(facts); i++) {
                struct proc_facts *f = &vms[0].companions[1];

                setup(state);
                assert_string_equal(judge(AUDIT_COMPANION, 0).facts, "");
                f->program[0] = i == 0 ? 'P' : f->program[0];
                f->status.tracer = i == 1 ? 999 : 0;
                f->status.ppid -= i == 2;
                f->guest_bytes = i == 3;
                f->fds_guest = i == 4;
                f->status.capabilities[PROC_CAP_PERMITTED] = i == 5;
                f->status.seccomp = i == 6 ? 0 : 2;
                f->status.seccomp_filters -= i == 7;
                f->status.no_new_privs -= i == 8;
                f->ns[PROC_NS_PID] = i == 9 ? self.ns[PROC_NS_PID] : f->ns[PROC_NS_PID];
                f->root_entries = i == 10;
                f->fds_file = i == 11;
                if (i == 12)
                        memcpy(f->status.uid, vms[0].workers[1].status.uid, sizeof(f->status.uid));
                f->status.n_groups = i == 13;
                f->status.threads += i == 14;
                if (i == 15)
                        f->limits.memory_cgroup = f->limits.memory_rlimit = PROC_NO_LIMIT;
                f->limits.pids_cgroup += i == 16;
                f->fds_tap = i == 17;
                f->ns[PROC_NS_MNT] = i == 18 ? vms[0].workers[1].ns[PROC_NS_MNT] : f->ns[PROC_NS_MNT];
                if (i == 19) /* the broker's word for what there is not */
                        strcpy(f->program, "sh");
                if (strcmp(judge(AUDIT_COMPANION, 0).facts, facts[i]) != 0)
                        fail_msg("step %u: %s", i, judge(AUDIT_COMPANION, 0).facts);
        }
        setup(state);
        strcpy(vms[0].status.devices[1].companion,
               "gpu"); /* nothing that we know: a worker's rules, and no program is right */
        assert_non_null(strstr(judge(AUDIT_COMPANION, 0).facts, "program;"));
        assert_non_null(strstr(judge(AUDIT_COMPANION, 0).facts, "namespaces;"));
}

static void a_broker_cannot_ask_for_more_files_than_the_type_has(void **state)
{
        (void)state;
        vms[0].status.devices[1].resources.of[RESOURCE_FILE] = 1; /* says the broker: rng has none */
        vms[0].workers[1].fds_file = 1;
        assert_string_equal(judge(AUDIT_WORKER, 1).facts, "descriptors;");
        snprintf(vms[0].status.devices[1].type, LIMIT_NAME, "gpu");
        vms[0].workers[1].fds_file = 0;
        assert_string_equal(judge(AUDIT_WORKER, 1).facts, "program;");
}

static void a_rate_is_shown_as_the_broker_claims_it(void **state)
{
        struct admin_device *d = &vms[0].status.devices[0];

        (void)state;
        assert_string_equal(judge(AUDIT_WORKER, 0).rate, "none");
        d->rate_ops = 1000;
        d->throttled = 12;
        assert_string_equal(judge(AUDIT_WORKER, 0).rate, "ops 1000, throttled 12");
        d->rate_bytes = 10 << 20;
        assert_string_equal(judge(AUDIT_WORKER, 0).rate, "ops 1000, bytes 10M, throttled 12");
        d->rate_ops = 0;
        assert_string_equal(judge(AUDIT_WORKER, 0).rate, "bytes 10M, throttled 12");
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "");
}

static void a_direct_disk_has_an_eventfd_and_a_ring_and_no_more(void **state)
{
        struct proc_facts *f = &vms[0].workers[0];

        (void)state;
        vms[0].status.devices[0].resources.of[RESOURCE_EVENT] = 1;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "descriptors;");
        f->fds_event = 1;
        f->ring_bytes = 65536;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "");
        f->ring_bytes++;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "shared mappings;");
        f->ring_bytes = 0;
        f->fds_event = 2;
        vms[0].status.devices[0].resources.of[RESOURCE_EVENT] = 2;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "descriptors;");
        f->fds_event = 0;
        f->fds_other = 1;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "descriptors;");
        vms[0].status.devices[1].resources.of[RESOURCE_EVENT] = 1; /* rng has neither */
        vms[0].workers[1].fds_event = 1;
        vms[0].workers[1].ring_bytes = 4096;
        assert_string_equal(judge(AUDIT_WORKER, 1).facts, "shared mappings;descriptors;");
}

static const struct counted {
        enum resource_kind kind;
        size_t fact; /* where it is counted */
} counted[] = {
    {RESOURCE_FILE, offsetof(struct proc_facts, fds_file)},
    {RESOURCE_EVENT, offsetof(struct proc_facts, fds_event)},
    {RESOURCE_LISTENER, offsetof(struct proc_facts, fds_socket)},
    {RESOURCE_STREAM, offsetof(struct proc_facts, fds_socket)},
    {RESOURCE_TAP, offsetof(struct proc_facts, fds_tap)},
    {RESOURCE_FOLDER, offsetof(struct proc_facts, fds_folder)},
};

/* However much a broker claims. */
static void a_worker_holds_what_its_type_is_entitled_to_of_each_kind(void **state)
{
        for (size_t i = 0; i < array_size(counted); i++) {
                uint32_t *measured;

                setup(state);
                measured = (uint32_t *)((char *)&vms[0].workers[0] + counted[i].fact);
                *measured += 1;
                assert_string_equal(judge(AUDIT_WORKER, 0).facts, "descriptors;");
                vms[0].status.devices[0].resources.of[counted[i].kind] += 1;
                assert_string_equal(judge(AUDIT_WORKER, 0).facts,
                                    counted[i].kind == RESOURCE_EVENT ? "" : "descriptors;");
        }
}

static void what_cannot_be_measured_is_a_failure_with_its_reason(void **state)
{
        struct proc_facts *f = &vms[0].workers[0];
        struct tally t;

        (void)state;
        f->maps_error = f->status_error = f->ns_error = f->root_error = f->fds_error = f->fds_guest_error =
            f->limits_error = f->program_error = f->ids_error = -EACCES;
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(t.n_by_verdict[AUDIT_UNKNOWN], t.n - 5); /* all but the claimed ones */
        assert_non_null(strstr(t.measured, "unknown: Permission denied"));
        setup(state);
        self.ns_error = -EACCES; /* nothing to compare with */
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "namespaces;");
}

static void an_unknown_is_never_excused(void **state)
{
        (void)state;
        for (size_t i = 0; i < 4; i++)
                vms[0].spawner.status.uid[i] = 1000; /* rootless */
        vms[0].workers[0].status_error = -EACCES;
        assert_true(judge(AUDIT_WORKER, 0).n_by_verdict[AUDIT_UNKNOWN] > 0);
        assert_int_equal(judge(AUDIT_WORKER, 0).n_by_verdict[AUDIT_WEAKER], 0);
}

static void rootless_is_measured_and_said_and_not_failed(void **state)
{
        struct tally t;

        (void)state;
        vms[0].status.rootless = true; /* the broker's word alone excuses nothing */
        memcpy(vms[0].workers[0].status.uid, vms[0].broker.status.uid, sizeof(vms[0].broker.status.uid));
        vms[0].workers[0].status.n_groups = 3;
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(t.n_by_verdict[AUDIT_LOOSE], 2);
        for (size_t i = 0; i < 4; i++)
                vms[0].spawner.status.uid[i] = 70000;
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(failures(&t), 0);
        assert_string_equal(t.facts, "uid;groups;");
        assert_int_equal(t.n_by_verdict[AUDIT_WEAKER], 2);
        assert_non_null(strstr(t.measured, "shared: rootless"));
}

static void without_control_groups_its_own_limits_count_less(void **state)
{
        struct proc_facts *f = &vms[0].workers[0];
        struct tally t;

        (void)state;
        f->limits.memory_cgroup = f->limits.pids_cgroup = PROC_NO_LIMIT;
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(failures(&t), 0);
        assert_string_equal(t.facts, "memory limit;process limit;");
        f->limits.memory_cgroup = 1ull << 32; /* some container's around us */
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(t.n_by_verdict[AUDIT_WEAKER], 2);
        f->limits.memory_cgroup = UINT32_MAX;
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "process limit;");
}

static int visit_for(void *context, const struct audit_row *row)
{
        struct audit_row *wanted = context;

        if (strcmp(row->fact, wanted->fact) == 0)
                *wanted = *row;
        return 0;
}

static const char *measured_of(const char *fact)
{
        static struct audit_row row;
        struct audit_subject subject = {.role = AUDIT_WORKER,
                                        .vm = &vms[0],
                                        .scene = &scene,
                                        .facts = &vms[0].workers[0],
                                        .device = &vms[0].status.devices[0]};

        row = (struct audit_row){.fact = fact};
        assert_int_equal(audit_rules_apply(&subject, visit_for, &row), 0);
        assert_int_equal(row.verdict, AUDIT_OK);
        return row.measured;
}

static void limits_are_shown_as_they_are_in_force(void **state)
{
        struct proc_limits *l = &vms[0].workers[0].limits;

        (void)state;
        *l = PROC_LIMITS_NONE;
        assert_string_equal(measured_of("cpu limit"), "none");
        assert_string_equal(measured_of("disk limits"), "none");
        l->cpu_quota_us = 2500;
        l->cpu_period_us = 10000;
        l->io[PROC_IO_READ_BPS] = UINT64_C(5) << 30;
        l->io[PROC_IO_WRITE_IOPS] = 10;
        assert_string_equal(measured_of("cpu limit"), "25% of a CPU by control group");
        assert_string_equal(measured_of("disk limits"), "read_bps 5368709120, write_iops 10");
        l->cpu_period_us = 0;
        assert_string_equal(measured_of("cpu limit"), "none");
        for (size_t i = 0; i < PROC_IO_COUNT_; i++)
                l->io[i] = UINT64_MAX - 1;
        assert_true(strlen(measured_of("disk limits")) < sizeof(((struct audit_row *)0)->measured));
}

static void windows_are_shown_as_the_broker_says(void **state)
{
        struct audit_row row = {.fact = "DMA windows"};
        struct audit_subject subject = {.role = AUDIT_WORKER,
                                        .vm = &vms[0],
                                        .scene = &scene,
                                        .facts = &vms[0].workers[0],
                                        .device = &vms[0].status.devices[0]};

        (void)state;
        assert_int_equal(audit_rules_apply(&subject, visit_for, &row), 0);
        assert_string_equal(row.measured, "all that is posted");
        vms[0].status.devices[0].windows = (struct admin_windows){2, 8192, 3};
        assert_int_equal(audit_rules_apply(&subject, visit_for, &row), 0);
        assert_string_equal(row.measured, "2, 8192 bytes, 3 refused");
        assert_int_equal(row.verdict, AUDIT_CLAIMED);
        vms[0].status.devices[0].windows = (struct admin_windows){1, UINT64_MAX, UINT64_MAX, true};
        assert_int_equal(audit_rules_apply(&subject, visit_for, &row), 0);
        assert_string_equal(row.measured,
                            "ALL of 18446744073709551615 bytes BY ADDRESS, 18446744073709551615 refused");
        assert_int_equal(row.verdict, AUDIT_CLAIMED);
}

static void brokers_are_judged_too(void **state)
{
        (void)state;
        vms[0].broker.status.capabilities[PROC_CAP_BOUNDING] = 1;
        vms[0].broker.status.seccomp_filters = 0;
        vms[0].peer_pid = 4711;
        assert_string_equal(judge(AUDIT_BROKER, 0).facts, "admin socket;capabilities;seccomp filters;");
        setup(state);
        memcpy(vms[0].broker.status.uid, vms[1].workers[1].status.uid, sizeof(vms[0].broker.status.uid));
        assert_string_equal(judge(AUDIT_BROKER, 0).facts, "uid;");
}

static void a_process_that_nobody_named_is_found(void **state)
{
        struct tally t;

        (void)state;
        vms[0].n_strangers = 1;
        vms[0].stranger = 4711;
        t = judge(AUDIT_SPAWNER, 0);
        assert_string_equal(t.facts, "descendants;");
        assert_non_null(strstr(t.measured, "one is 4711"));
        vms[0].spawner.guest_bytes = 1;
        assert_string_equal(judge(AUDIT_SPAWNER, 0).facts, "guest memory;descendants;");
}

/* What the kernel shows of it: the records of its vCPUs. */
static void a_broker_with_a_vm_is_told_by_its_vcpus(void **state)
{
        struct audit_subject subject = {
            .role = AUDIT_BROKER, .vm = &vms[0], .scene = &scene, .facts = &vms[0].broker};
        char memory[160] = "", policy[160] = "";
        char *const wanted[2] = {memory, policy};

        (void)state;
        assert_int_equal(audit_rules_apply(&subject, keep_broker, (void *)wanted), 0);
        assert_string_equal(memory, "1073741824 bytes mapped");
        assert_string_equal(policy, "policy broker");
        vms[0].n_vcpus = 2;
        assert_int_equal(audit_rules_apply(&subject, keep_broker, (void *)wanted), 0);
        assert_string_equal(memory, "1073741824 bytes mapped, 2 vCPUs");
        assert_string_equal(policy, "policy broker-kvm");
        assert_string_equal(judge(AUDIT_BROKER, 0).facts, "");
}

static void the_loader_of_a_kernel_is_named_and_no_stranger(void **state)
{
        struct tally t;

        (void)state;
        vms[0].loader = 4712;
        assert_string_equal(judge(AUDIT_SPAWNER, 0).facts, "");
        vms[0].n_strangers = 1;
        vms[0].stranger = 4711;
        t = judge(AUDIT_SPAWNER, 0);
        assert_string_equal(t.facts, "descendants;");
        assert_non_null(strstr(t.measured, "one is 4711"));
}

/* By the rules of every worker. */
static void the_loader_of_a_kernel_is_measured_as_a_worker(void **state)
{
        struct audit_subject subject = {.role = AUDIT_WORKER,
                                        .vm = &vms[0],
                                        .facts = &vms[0].loader_facts,
                                        .device = &vms[0].loader_device,
                                        .scene = &scene};
        struct tally t = {0};

        (void)state;
        vms[0].loader_facts = vms[0].workers[0];
        vms[0].loader_facts.pid = vms[0].loader = 4712;
        vms[0].loader_device = vms[0].status.devices[0];
        strcpy(vms[0].loader_device.type, "blk"); /* what it is called counts for nothing */
        strcpy(vms[0].loader_facts.program, "bulkhead-worker-loader");
        vms[0].loader_device.n_lanes = 1;
        vms[0].loader_device.resources.of[RESOURCE_FILE] = vms[0].loader_facts.fds_file = 2;
        vms[0].loader_facts.fds_pipe = 1;
        vms[0].loader_facts.fds_socket = 3; /* its lane is a socket */
        for (size_t i = 0; i < PROC_NS_COUNT_; i++)
                vms[0].loader_facts.ns[i] += 1000;
        for (size_t i = 0; i < 4; i++)
                vms[0].loader_facts.status.uid[i] = 80000;
        assert_int_equal(audit_rules_apply(&subject, visit, &t), 0);
        assert_string_equal(t.facts, "");
        vms[0].loader_device.resources.of[RESOURCE_FILE] = vms[0].loader_facts.fds_file = 3;
        t = (struct tally){0};
        assert_int_equal(audit_rules_apply(&subject, visit, &t), 0);
        assert_string_equal(t.facts, "descriptors;");
        vms[0].loader_device.resources.of[RESOURCE_FILE] = vms[0].loader_facts.fds_file = 2;
        vms[0].loader_facts.fds_pipe = 3; /* and pipes, too */
        t = (struct tally){0};
        assert_int_equal(audit_rules_apply(&subject, visit, &t), 0);
        assert_string_equal(t.facts, "descriptors;");
        vms[0].loader_facts.fds_pipe = 1;
        vms[0].loader_facts.guest_bytes = 1;
        t = (struct tally){0};
        assert_int_equal(audit_rules_apply(&subject, visit, &t), 0);
        assert_string_equal(t.facts, "guest memory;");
}

static void a_dead_spawner_is_said_and_a_lost_one_is_unknown(void **state)
{
        struct tally t;

        (void)state;
        vms[0].spawner.error = -ESRCH;
        t = judge(AUDIT_SPAWNER, 0);
        assert_int_equal(t.n_by_verdict[AUDIT_UNKNOWN], 1); /* the broker says that it lives */
        vms[0].status.spawner_alive = false;
        t = judge(AUDIT_SPAWNER, 0);
        assert_int_equal(t.n, 1);
        assert_int_equal(t.n_by_verdict[AUDIT_WEAKER], 1);
        vms[0].workers[0].status.ppid = 1;
        t = judge(AUDIT_WORKER, 0);
        assert_int_equal(failures(&t), 0);
}

static void vms_that_did_not_answer_are_not_compared_with(void **state)
{
        (void)state;
        vms[1] = (struct audit_vm){.error = -ETIMEDOUT};
        vms[1].status.n_devices = 1;
        memcpy(&vms[1].workers[0], &vms[0].workers[0], sizeof(vms[0].workers[0]));
        assert_string_equal(judge(AUDIT_WORKER, 0).facts, "");
}

static int refuse(void *context, const struct audit_row *row)
{
        (void)row;
        ++*(int *)context;
        return -EIO;
}

static void the_visitors_error_ends_the_walk(void **state)
{
        struct audit_subject subject = {
            .role = AUDIT_BROKER, .vm = &vms[0], .scene = &scene, .facts = &vms[0].broker};
        int n = 0;

        (void)state;
        assert_int_equal(audit_rules_apply(&subject, refuse, &n), -EIO);
        assert_int_equal(n, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_vm_as_it_should_be_has_no_findings, setup),
            cmocka_unit_test_setup(each_step_beyond_the_policy_is_found_by_its_rule, setup),
            cmocka_unit_test_setup(a_broker_cannot_ask_for_more_files_than_the_type_has, setup),
            cmocka_unit_test_setup(a_rate_is_shown_as_the_broker_claims_it, setup),
            cmocka_unit_test_setup(a_direct_disk_has_an_eventfd_and_a_ring_and_no_more, setup),
            cmocka_unit_test_setup(each_step_of_a_companion_is_found_too, setup),
            cmocka_unit_test_setup(a_worker_holds_what_its_type_is_entitled_to_of_each_kind, setup),
            cmocka_unit_test_setup(what_cannot_be_measured_is_a_failure_with_its_reason, setup),
            cmocka_unit_test_setup(an_unknown_is_never_excused, setup),
            cmocka_unit_test_setup(rootless_is_measured_and_said_and_not_failed, setup),
            cmocka_unit_test_setup(without_control_groups_its_own_limits_count_less, setup),
            cmocka_unit_test_setup(limits_are_shown_as_they_are_in_force, setup),
            cmocka_unit_test_setup(windows_are_shown_as_the_broker_says, setup),
            cmocka_unit_test_setup(brokers_are_judged_too, setup),
            cmocka_unit_test_setup(a_broker_with_a_vm_is_told_by_its_vcpus, setup),
            cmocka_unit_test_setup(the_loader_of_a_kernel_is_named_and_no_stranger, setup),
            cmocka_unit_test_setup(the_loader_of_a_kernel_is_measured_as_a_worker, setup),
            cmocka_unit_test_setup(a_process_that_nobody_named_is_found, setup),
            cmocka_unit_test_setup(a_dead_spawner_is_said_and_a_lost_one_is_unknown, setup),
            cmocka_unit_test_setup(vms_that_did_not_answer_are_not_compared_with, setup),
            cmocka_unit_test_setup(the_visitors_error_ends_the_walk, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
