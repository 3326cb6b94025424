/* What a process may be, against what it was measured to be.
 * Owns nothing; called by verb_audit.c. TRUST: facts are the kernel's word. Of the broker's word only the
 * number of lanes and resources is used, inside what the device type may have at most.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/device_type.h"

/* What a worker of each type may hold: files that its configuration can name, and then an eventfd for asynchronous
 * transfers. */
static const struct {
        uint32_t files, events;
} max_resources[WORKER_TYPE_COUNT_] = {
    [DEVICE_TYPE_BLK] = {.files = 1, .events = 1},
    [DEVICE_TYPE_RNG] = {.files = 0, .events = 0},
    [DEVICE_TYPE_LOADER] = {.files = 2, .events = 0}, /* kernel and initrd */
};

#define RING_BYTES 65536u /* of the ends of 256 transfers, and the kernel's rounding */

#define BROKER_FILTERS 1u

static void set_measured(struct audit_row *row, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void set_wanted(struct audit_row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_measured(struct audit_row *row, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(row->measured, sizeof(row->measured), format, args);
        va_end(args);
}

static void set_wanted(struct audit_row *row, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(row->wanted, sizeof(row->wanted), format, args);
        va_end(args);
}

/* The two ways a row gets its verdict. An error outranks everything: what was not measured is not good. */
static void judge(struct audit_row *row, int error, bool good)
{
        row->verdict = good ? AUDIT_OK : AUDIT_LOOSE;
        if (error == 0)
                return;
        row->verdict = AUDIT_UNKNOWN;
        set_measured(row, "unknown: %s", strerror(-error));
}

static void excuse(struct audit_row *row, bool excused)
{
        if (row->verdict == AUDIT_LOOSE && excused)
                row->verdict = AUDIT_WEAKER;
}

/* Measured, not claimed: whose process is the spawner on this host? */
static bool is_rootless(const struct audit_vm *vm)
{
        return vm->spawner.error == 0 && vm->spawner.status_error == 0 && vm->spawner.status.uid[1] != 0;
}

static void rule_guest_memory(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "0 bytes mapped");
        set_measured(row, "%" PRIu64 " bytes mapped", s->facts->guest_bytes);
        judge(row, s->facts->maps_error, s->facts->guest_bytes == 0);
}

static void rule_broker_memory(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "what its guest lends");
        set_measured(row, "%" PRIu64 " bytes mapped", s->vm->guest_bytes);
        if (s->vm->n_vcpus > 0) {
                set_wanted(row, "its own guest's");
                set_measured(row, "%" PRIu64 " bytes mapped, %u vCPUs", s->vm->guest_bytes, s->vm->n_vcpus);
        }
        judge(row, s->facts->maps_error, true);
}

static void rule_guest_fds(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "0 descriptors");
        set_measured(row, "%u descriptors", s->facts->fds_guest);
        judge(row, s->facts->fds_guest_error, s->facts->fds_guest == 0);
}

/* NULL: none that we know. No broker can name a device a loader. */
static const struct device_type *type_of(const struct audit_subject *s)
{
        if (s->device == &s->vm->loader_device)
                return &device_types[DEVICE_TYPE_LOADER];
        return s->device ? device_type_find(s->device->type) : NULL;
}

/* Files and eventfds that the device may hold; the broker cannot ask for more than its type has. */
static void count_resources(const struct audit_subject *s, uint32_t *ret_files, uint32_t *ret_events)
{
        const struct device_type *type = type_of(s);
        const uint32_t n = type ? s->device->n_resources : 0;

        *ret_files = type ? MIN(n, max_resources[type - device_types].files) : 0;
        *ret_events = type ? MIN(n - *ret_files, max_resources[type - device_types].events) : 0;
}

static void rule_shared_mappings(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_facts *f = s->facts;
        uint32_t files, events;

        count_resources(s, &files, &events);
        set_wanted(row, "0 bytes");
        set_measured(row, "%" PRIu64 " bytes", f->shared_bytes);
        if (events > 0)
                set_wanted(row, "0 bytes, a ring of transfers");
        if (f->ring_bytes > 0)
                set_measured(row, "%" PRIu64 " bytes, a ring of %" PRIu64, f->shared_bytes, f->ring_bytes);
        judge(row, f->maps_error, f->shared_bytes == 0 && f->ring_bytes <= (events > 0 ? RING_BYTES : 0));
}

static void rule_capabilities(const struct audit_subject *s, struct audit_row *row)
{
        static const char *const names[] = {"inheritable", "permitted", "effective", "bounding", "ambient"};
        size_t used = 0;

        set_wanted(row, "0 in 5 sets");
        set_measured(row, "0 in 5 sets");
        for (size_t i = 0; i < PROC_CAP_COUNT_ && used < sizeof(row->measured); i++)
                if (s->facts->status.capabilities[i] != 0)
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s 0x%" PRIx64, used ? ", " : "", names[i],
                                                 s->facts->status.capabilities[i]);
        judge(row, s->facts->status_error, used == 0);
}

static void rule_seccomp_mode(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "2 (filter)");
        set_measured(row, "%u", s->facts->status.seccomp);
        if (s->facts->status.seccomp == 2)
                set_measured(row, "2 (filter)");
        judge(row, s->facts->status_error, s->facts->status.seccomp == 2);
}

static void rule_seccomp_filters(const struct audit_subject *s, struct audit_row *row)
{
        const uint32_t wanted = s->role == AUDIT_WORKER ? WORKER_FILTERS : BROKER_FILTERS;

        set_wanted(row, "%u or more", wanted);
        set_measured(row, "%u", s->facts->status.seccomp_filters);
        judge(row, s->facts->status_error, s->facts->status.seccomp_filters >= wanted);
}

/* No file of /proc shows these; a tracer could read the filter, but nobody can trace these processes gently.
 */
static void rule_claimed(const struct audit_subject *s, struct audit_row *row)
{
        uint32_t files, events;

        set_wanted(row, "policy %s",
                   s->role == AUDIT_WORKER ? device_types[0].name
                   : s->vm->n_vcpus > 0    ? "broker-kvm"
                                           : "broker");
        count_resources(s, &files, &events);
        if (type_of(s))
                set_wanted(row, "policy %s%s", type_of(s)->name, events > 0 ? "-direct" : "");
        set_measured(row, "not visible from outside");
        row->verdict = AUDIT_CLAIMED;
        if (!s->device || !s->device->seccomp_log)
                return;
        set_measured(row, "ONLY LOGS what it forbids (run --seccomp)");
        row->verdict = AUDIT_LOOSE;
}

/* Not a right of the worker's, and none that it lacks: how the broker reaches it. */
static void rule_copy(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "direct or socket");
        set_measured(row, "%s", s->device && s->device->direct ? "direct" : "socket");
        row->verdict = AUDIT_CLAIMED;
}

static void rule_no_new_privs(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "1");
        set_measured(row, "%u", s->facts->status.no_new_privs);
        judge(row, s->facts->status_error, s->facts->status.no_new_privs == 1);
}

/* Who else lives in this namespace? NULL: nobody that we look at. */
static const char *find_sharer(const struct audit_subject *s, size_t ns)
{
        const uint64_t own = s->facts->ns[ns];

        if (s->scene->self->ns_error == 0 && s->scene->self->ns[ns] == own)
                return "the host";
        for (size_t v = 0; v < s->scene->n_vms; v++) {
                const struct audit_vm *vm = &s->scene->vms[v];

                if (vm->error < 0)
                        continue;
                if (vm->broker.ns_error == 0 && vm->broker.ns[ns] == own)
                        return "a broker";
                if (vm->spawner.error == 0 && vm->spawner.ns_error == 0 && vm->spawner.ns[ns] == own)
                        return "a spawner";
                for (size_t i = 0; i < vm->status.n_devices; i++)
                        if (&vm->workers[i] != s->facts && vm->workers[i].pid != 0 &&
                            vm->workers[i].ns_error == 0 && vm->workers[i].ns[ns] == own)
                                return vm->status.devices[i].name;
        }
        return NULL;
}

static void rule_namespaces(const struct audit_subject *s, struct audit_row *row)
{
        int error = s->facts->ns_error;
        size_t used = 0;

        if (error == 0 && s->scene->self->ns_error < 0)
                error = s->scene->self->ns_error; /* nothing to compare with */
        if (error == 0 && s->vm->broker.ns_error < 0)
                error = s->vm->broker.ns_error;
        set_wanted(row, "%d of its own", PROC_NS_COUNT_);
        set_measured(row, "%d of its own", PROC_NS_COUNT_);
        for (size_t ns = 0; error == 0 && ns < PROC_NS_COUNT_ && used < sizeof(row->measured); ns++) {
                const char *sharer = find_sharer(s, ns);

                if (sharer)
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s with %s",
                                                 used ? ", " : "shared: ", proc_namespace_names[ns], sharer);
        }
        judge(row, error, used == 0);
}

static void rule_root(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "0 entries, read-only");
        set_measured(row, "%u entries, %s", s->facts->root_entries,
                     s->facts->root_read_only ? "read-only" : "writable");
        judge(row, s->facts->root_error, s->facts->root_entries == 0 && s->facts->root_read_only);
}

static void rule_fds(const struct audit_subject *s, struct audit_row *row)
{
        const uint32_t sockets = 1 + s->device->n_lanes; /* control and lanes */
        const struct proc_facts *f = s->facts;
        uint32_t files, events;

        count_resources(s, &files, &events);
        set_wanted(row, "2 null, 1 output, %u sockets, %u files%s", sockets, files,
                   events > 0 ? ", 1 eventfd" : "");
        set_measured(row, "%u null, %u output, %u sockets, %u files", f->fds_null, f->fds_pipe, f->fds_socket,
                     f->fds_file);
        if (f->fds_other > 0 || f->fds_event > 0)
                set_measured(row, "%u null, %u output, %u sockets, %u files, %u eventfds, %u others",
                             f->fds_null, f->fds_pipe, f->fds_socket, f->fds_file, f->fds_event,
                             f->fds_other);
        judge(row, f->fds_error,
              f->fds_null == 2 && f->fds_pipe == 1 && f->fds_socket == sockets && f->fds_file == files &&
                  f->fds_event == events && f->fds_other == 0);
}

static bool uid_is_elsewhere(const struct audit_subject *s)
{
        const uid_t own = s->facts->status.uid[1];

        for (size_t v = 0; v < s->scene->n_vms; v++) {
                const struct audit_vm *vm = &s->scene->vms[v];

                if (vm->error < 0)
                        continue;
                if (&vm->broker != s->facts && vm->broker.status_error == 0 &&
                    vm->broker.status.uid[1] == own)
                        return true;
                for (size_t i = 0; i < vm->status.n_devices; i++)
                        if (&vm->workers[i] != s->facts && vm->workers[i].pid != 0 &&
                            vm->workers[i].status_error == 0 && vm->workers[i].status.uid[1] == own)
                                return true;
        }
        return false;
}

static bool all_equal(const uint32_t ids[static 4])
{
        return ids[0] == ids[1] && ids[1] == ids[2] && ids[2] == ids[3];
}

static void rule_uid(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_status *status = &s->facts->status;
        const bool plain =
            all_equal(status->uid) && all_equal(status->gid) && status->uid[0] != 0 && status->gid[0] != 0;
        const bool shared = uid_is_elsewhere(s), rootless = is_rootless(s->vm);

        set_wanted(row, "its own, not 0");
        set_measured(row, "%u%s", status->uid[1],
                     !plain     ? ", not the same in all ids, or 0"
                     : !shared  ? ""
                     : rootless ? ", shared: rootless"
                                : ", shared");
        judge(row, s->facts->status_error, plain && !shared);
        excuse(row, plain && rootless);
}

static void rule_groups(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "0");
        set_measured(row, "%u%s", s->facts->status.n_groups,
                     s->facts->status.n_groups > 0 && is_rootless(s->vm) ? ", kept: rootless" : "");
        judge(row, s->facts->status_error, s->facts->status.n_groups == 0);
        excuse(row, is_rootless(s->vm));
}

static void rule_threads(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "1");
        set_measured(row, "%u", s->facts->status.threads);
        judge(row, s->facts->status_error, s->facts->status.threads == 1);
}

static void rule_parent(const struct audit_subject *s, struct audit_row *row)
{
        const pid_t spawner = (pid_t)s->vm->status.spawner_pid;

        set_wanted(row, "spawner %d", (int)spawner);
        set_measured(row, "%d", (int)s->facts->status.ppid);
        judge(row, s->facts->status_error, s->facts->status.ppid == spawner && spawner > 0);
        excuse(row, !s->vm->status.spawner_alive); /* it is the reaper's child then */
}

/* A tracer may do anything to it. Its spawner is one to see how it dies. */
static void rule_tracer(const struct audit_subject *s, struct audit_row *row)
{
        const uint32_t tracer = s->facts->status.tracer;
        const bool spawner =
            tracer != 0 && tracer == s->vm->status.spawner_pid && s->vm->status.spawner_alive;

        set_wanted(row, s->role == AUDIT_WORKER ? "spawner or none" : "none");
        if (tracer == 0 || spawner)
                set_measured(row, "%s", spawner ? "spawner" : "none");
        else
                set_measured(row, "%u", tracer);
        judge(row, s->facts->status_error, tracer == 0 || (spawner && s->role == AUDIT_WORKER));
}

static void rule_program(const struct audit_subject *s, struct audit_row *row)
{
        const struct device_type *type = type_of(s);
        const char *wanted =
            s->role == AUDIT_WORKER ? (type ? type->program : "a known type") : "bulkhead-broker";

        set_wanted(row, "%s", wanted);
        log_escape(s->facts->program, strlen(s->facts->program), row->measured, sizeof(row->measured));
        judge(row, s->facts->program_error, strcmp(s->facts->program, wanted) == 0);
}

/* A group's limit above what a configuration can ask for is some container's around us, not the worker's own.
 */
static void rule_memory_limit(const struct audit_subject *s, struct audit_row *row)
{
        const bool group = s->facts->limits.memory_cgroup <= UINT32_MAX;
        const bool own = s->facts->limits.memory_rlimit <= UINT32_MAX;
        char size[32];

        set_wanted(row, "its control group's");
        config_value_size_text(group ? s->facts->limits.memory_cgroup : s->facts->limits.memory_rlimit, size,
                               sizeof(size));
        if (group || own)
                set_measured(row, "%s by %s", size, group ? "control group" : "its own limit alone");
        else
                set_measured(row, "none");
        judge(row, s->facts->limits_error, group);
        excuse(row, own);
}

static void rule_process_limit(const struct audit_subject *s, struct audit_row *row)
{
        const bool own = s->facts->limits.pids_rlimit <= 1;

        set_wanted(row, "1 by control group");
        if (s->facts->limits.pids_cgroup != PROC_NO_LIMIT)
                set_measured(row, "%" PRIu64 " by control group", s->facts->limits.pids_cgroup);
        else if (own)
                set_measured(row, "%" PRIu64 " by its own limit alone", s->facts->limits.pids_rlimit);
        else
                set_measured(row, "none");
        judge(row, s->facts->limits_error, s->facts->limits.pids_cgroup <= 1);
        excuse(row, own && s->facts->limits.pids_cgroup == PROC_NO_LIMIT);
}

/* What its configuration says is not ours to know; but nobody has more than what is measured. */
static void rule_cpu_limit(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_limits *l = &s->facts->limits;

        set_wanted(row, "as configured");
        set_measured(row, "none");
        if (l->cpu_quota_us != PROC_NO_LIMIT && l->cpu_period_us != PROC_NO_LIMIT && l->cpu_period_us > 0)
                set_measured(row, "%" PRIu64 "%% of a CPU by control group",
                             l->cpu_quota_us * 100 / l->cpu_period_us);
        judge(row, s->facts->limits_error, true);
}

static void rule_disk_limits(const struct audit_subject *s, struct audit_row *row)
{
        static const char *const names[PROC_IO_COUNT_] = {"read_bps", "write_bps", "read_iops", "write_iops"};
        size_t used = 0;

        set_wanted(row, "as configured");
        set_measured(row, "none");
        for (size_t i = 0; i < PROC_IO_COUNT_ && used < sizeof(row->measured); i++)
                if (s->facts->limits.io[i] != PROC_NO_LIMIT)
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s %" PRIu64, used ? ", " : "", names[i],
                                                 s->facts->limits.io[i]);
        judge(row, s->facts->limits_error, true);
}

/* The broker's own doing: nothing in /proc shows it. */
static void rule_rate(const struct audit_subject *s, struct audit_row *row)
{
        const struct admin_device *d = s->device;
        char size[32];

        set_wanted(row, "as configured");
        set_measured(row, "none");
        if (d->rate_ops > 0 && d->rate_bytes > 0)
                set_measured(row, "ops %" PRIu64 ", bytes %s, throttled %" PRIu64, d->rate_ops,
                             config_value_size_text(d->rate_bytes, size, sizeof(size)), d->throttled);
        else if (d->rate_ops > 0)
                set_measured(row, "ops %" PRIu64 ", throttled %" PRIu64, d->rate_ops, d->throttled);
        else if (d->rate_bytes > 0)
                set_measured(row, "bytes %s, throttled %" PRIu64,
                             config_value_size_text(d->rate_bytes, size, sizeof(size)), d->throttled);
        row->verdict = AUDIT_CLAIMED;
}

static void rule_resource_limits(const struct audit_subject *s, struct audit_row *row)
{
        const char *open = s->facts->limits.not_zero;

        set_wanted(row, "none of eight");
        set_measured(row, "none of eight");
        if (open)
                set_measured(row, "%s", open);
        judge(row, s->facts->limits_error, !open);
}

/* Who answered us? The kernel remembers who called listen: spawner or broker, whatever the answer says. */
static void rule_peer(const struct audit_subject *s, struct audit_row *row)
{
        const pid_t broker = (pid_t)s->vm->status.broker_pid, spawner = (pid_t)s->vm->status.spawner_pid;

        set_wanted(row, "broker or spawner");
        set_measured(row, "%d", (int)s->vm->peer_pid);
        judge(row, s->vm->peer_pid == 0 ? -ESRCH : 0,
              s->vm->peer_pid == broker || s->vm->peer_pid == spawner);
        excuse(row, !s->vm->status.spawner_alive);
}

static void rule_spawner_alive(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "alive");
        set_measured(row, s->facts->error == 0 ? "alive" : "gone: no restarts");
        row->verdict = s->facts->error == 0 ? AUDIT_OK : AUDIT_WEAKER;
        if (s->vm->status.spawner_alive && s->facts->error < 0)
                judge(row, s->facts->error, false);
}

static void rule_strangers(const struct audit_subject *s, struct audit_row *row)
{
        set_wanted(row, "0 not listed");
        set_measured(row, "%zu not listed", s->vm->n_strangers);
        if (s->vm->loader > 0)
                set_measured(row, "%zu not listed, beside the kernel's loader %d", s->vm->n_strangers,
                             (int)s->vm->loader);
        if (s->vm->n_strangers > 0)
                set_measured(row, "%zu not listed, one is %d", s->vm->n_strangers, (int)s->vm->stranger);
        judge(row, s->vm->strangers_error, s->vm->n_strangers == 0);
}

#define WORKER  (1u << AUDIT_WORKER)
#define BROKER  (1u << AUDIT_BROKER)
#define SPAWNER (1u << AUDIT_SPAWNER)

static const struct {
        const char *fact;
        uint32_t roles;
        void (*judge)(const struct audit_subject *subject, struct audit_row *row);
} rules[] = {
    {"spawner", SPAWNER, rule_spawner_alive},
    {"admin socket", BROKER, rule_peer},
    {"program", WORKER | BROKER, rule_program},
    {"tracer", WORKER | BROKER | SPAWNER, rule_tracer},
    {"parent", WORKER | BROKER, rule_parent},
    {"guest memory", WORKER | SPAWNER, rule_guest_memory},
    {"guest memory", BROKER, rule_broker_memory},
    {"guest memory files", WORKER, rule_guest_fds},
    {"shared mappings", WORKER | SPAWNER, rule_shared_mappings},
    {"capabilities", WORKER | BROKER, rule_capabilities},
    {"seccomp mode", WORKER | BROKER, rule_seccomp_mode},
    {"seccomp filters", WORKER | BROKER, rule_seccomp_filters},
    {"seccomp content", WORKER | BROKER, rule_claimed},
    {"copy", WORKER, rule_copy},
    {"no_new_privs", WORKER | BROKER, rule_no_new_privs},
    {"namespaces", WORKER, rule_namespaces},
    {"root", WORKER, rule_root},
    {"descriptors", WORKER, rule_fds},
    {"uid", WORKER | BROKER, rule_uid},
    {"groups", WORKER | BROKER, rule_groups},
    {"threads", WORKER, rule_threads},
    {"memory limit", WORKER, rule_memory_limit},
    {"process limit", WORKER, rule_process_limit},
    {"cpu limit", WORKER, rule_cpu_limit},
    {"disk limits", WORKER, rule_disk_limits},
    {"rate", WORKER, rule_rate},
    {"other resources", WORKER, rule_resource_limits},
    {"descendants", SPAWNER, rule_strangers},
};

int audit_rules_apply(const struct audit_subject *subject,
                      int (*visit)(void *context, const struct audit_row *row), void *context)
{
        const bool only_first = subject->role == AUDIT_SPAWNER && subject->facts->error < 0;

        for (size_t i = 0; i < array_size(rules); i++) {
                struct audit_row row = {.fact = rules[i].fact};
                int r;

                if (!(rules[i].roles & (1u << subject->role)) || (only_first && i > 0))
                        continue;
                rules[i].judge(subject, &row);
                r = visit(context, &row);
                if (r < 0)
                        return r;
        }
        return 0;
}

const char *audit_role_name(enum audit_role role)
{
        static const char *const names[AUDIT_ROLE_COUNT_] = {
            [AUDIT_WORKER] = "worker", [AUDIT_BROKER] = "broker", [AUDIT_SPAWNER] = "spawner"};

        return names[role];
}

const char *audit_verdict_name(enum audit_verdict verdict)
{
        static const char *const names[AUDIT_VERDICT_COUNT_] = {[AUDIT_OK] = "ok",
                                                                [AUDIT_WEAKER] = "weaker",
                                                                [AUDIT_CLAIMED] = "claimed",
                                                                [AUDIT_UNKNOWN] = "unknown",
                                                                [AUDIT_LOOSE] = "loose"};

        return names[verdict];
}

bool audit_verdict_fails(enum audit_verdict verdict)
{
        return verdict == AUDIT_UNKNOWN || verdict == AUDIT_LOOSE;
}
