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

#include "broker/ctl/audit_companion.h"
#include "broker/ctl/audit_owners.h"
#include "broker/ctl/audit_row.h"
#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/device_type.h"

#define BROKER_FILTERS 1u

/* Measured, not claimed: whose process is the spawner on this host? */
static bool is_rootless(const struct audit_vm *vm)
{
        return vm->spawner.error == 0 && vm->spawner.status_error == 0 && vm->spawner.status.uid[1] != 0;
}

/* A worker with a folder for its root. */
static bool serves_share(const struct audit_subject *s)
{
        return s->role == AUDIT_WORKER && audit_type(s) == &device_types[DEVICE_TYPE_FS];
}

/* NULL: it is none, or none that we know. */
static const struct companion_rule *companion_of(const struct audit_subject *s)
{
        return s->role == AUDIT_COMPANION && s->device ? companion_rule_find(s->device->companion) : NULL;
}

static void rule_capabilities(const struct audit_subject *s, struct audit_row *row)
{
        static const char *const names[] = {"inheritable", "permitted", "effective", "bounding", "ambient"};
        const bool unbound = companion_of(s) && companion_of(s)->own_namespace;
        size_t used = 0;

        audit_wanted(row, "0 in %d sets", unbound ? 4 : 5);
        audit_measured(row, "0 in %d sets", unbound ? 4 : 5);
        for (size_t i = 0; i < PROC_CAP_COUNT_ && used < sizeof(row->measured); i++)
                if (s->facts->status.capabilities[i] != 0 && !(unbound && i == PROC_CAP_BOUNDING))
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s 0x%" PRIx64, used ? ", " : "", names[i],
                                                 s->facts->status.capabilities[i]);
        audit_judge(row, s->facts->status_error, used == 0);
        if (serves_share(s) && s->facts->status_error == 0 && used > 0 &&
            audit_owners_capabilities(s->facts, row->measured, sizeof(row->measured)))
                audit_excuse(row, true);
}

/* Who else's files can it come to own? Nobody's, but those of a range that its share belongs to. */
static void rule_ids(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_ids *ids = &s->facts->ids;

        audit_wanted(row, "its own alone");
        audit_measured(row, "its own alone");
        if (ids->n_all != 1)
                audit_measured(row, "%" PRIu64 ", of them %u+%u", ids->n_all, ids->first, ids->n);
        audit_judge(row, s->facts->ids_error, ids->n_all == 1);
        if (serves_share(s) && audit_owners_range(s->facts)) {
                audit_measured(row, "its own, and %u+%u: owners", ids->first, ids->n);
                audit_excuse(row, true);
        }
}

static void rule_seccomp_mode(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "2 (filter)");
        audit_measured(row, "%u", s->facts->status.seccomp);
        if (s->facts->status.seccomp == 2)
                audit_measured(row, "2 (filter)");
        audit_judge(row, s->facts->status_error, s->facts->status.seccomp == 2);
}

static void rule_seccomp_filters(const struct audit_subject *s, struct audit_row *row)
{
        const struct companion_rule *companion = companion_of(s);
        const uint32_t wanted = companion                 ? companion->filters
                                : s->role == AUDIT_WORKER ? WORKER_FILTERS
                                                          : BROKER_FILTERS;

        audit_wanted(row, "%u or more", wanted);
        audit_measured(row, "%u", s->facts->status.seccomp_filters);
        audit_judge(row, s->facts->status_error, s->facts->status.seccomp_filters >= wanted);
}

/* No file of /proc shows these; a tracer could read the filter, but nobody can trace these processes gently.
 */
static void rule_claimed(const struct audit_subject *s, struct audit_row *row)
{
        struct resource_counts counts;

        audit_wanted(row, "policy %s",
                     s->role == AUDIT_WORKER ? device_types[0].name
                     : s->vm->n_vcpus > 0    ? "broker-kvm"
                                             : "broker");
        audit_count_resources(s, &counts);
        if (audit_type(s))
                audit_wanted(row, "policy %s%s", audit_type(s)->name,
                             counts.of[RESOURCE_EVENT] > 0 ? "-direct" : "");
        if (companion_of(s))
                audit_wanted(row, "%s", companion_of(s)->policy);
        audit_measured(row, "not visible from outside");
        row->verdict = AUDIT_CLAIMED;
        if (!s->device || s->role != AUDIT_WORKER || !s->device->seccomp_log)
                return;
        audit_measured(row, "ONLY LOGS what it forbids (run --seccomp)");
        row->verdict = AUDIT_LOOSE;
}

/* Not a right of the worker's, and none that it lacks: how the broker reaches it. */
static void rule_copy(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "direct or socket");
        audit_measured(row, "%s", s->device && s->device->direct ? "direct" : "socket");
        row->verdict = AUDIT_CLAIMED;
}

static void rule_no_new_privs(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "1");
        audit_measured(row, "%u", s->facts->status.no_new_privs);
        audit_judge(row, s->facts->status_error, s->facts->status.no_new_privs == 1);
}

static bool is_in(const struct proc_facts *other, const struct audit_subject *s, size_t ns)
{
        return other != s->facts && other->pid != 0 && other->ns_error == 0 &&
               other->ns[ns] == s->facts->ns[ns];
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
                        if (is_in(&vm->workers[i], s, ns) || is_in(&vm->companions[i], s, ns))
                                return vm->status.devices[i].name;
        }
        return NULL;
}

static void rule_namespaces(const struct audit_subject *s, struct audit_row *row)
{
        const bool host_network = companion_of(s) && companion_of(s)->host_network;
        int error = s->facts->ns_error;
        size_t used = 0;

        if (error == 0 && s->scene->self->ns_error < 0)
                error = s->scene->self->ns_error; /* nothing to compare with */
        if (error == 0 && s->vm->broker.ns_error < 0)
                error = s->vm->broker.ns_error;
        audit_wanted(row, "%d of its own%s", PROC_NS_COUNT_ - host_network,
                     host_network ? ", the host's net" : "");
        audit_measured(row, "%d of its own", PROC_NS_COUNT_ - host_network);
        for (size_t ns = 0; error == 0 && ns < PROC_NS_COUNT_ && used < sizeof(row->measured); ns++) {
                const char *sharer = host_network && ns == PROC_NS_NET ? NULL : find_sharer(s, ns);

                if (sharer)
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s with %s",
                                                 used ? ", " : "shared: ", proc_namespace_names[ns], sharer);
        }
        audit_judge(row, error, used == 0);
}

/* Nothing; or, of a worker that serves a folder, that folder. */
static void rule_root(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_facts *f = s->facts;
        struct resource_counts counts;

        audit_count_resources(s, &counts);
        if (companion_of(s) ? companion_of(s)->has_folder : counts.of[RESOURCE_FOLDER] > 0) {
                audit_wanted(row, "its folder, nosuid, nodev");
                audit_measured(row, "%u entries, %s, %s", f->root_entries,
                               f->root_read_only ? "read-only" : "writable",
                               f->root_inert ? "nosuid, nodev" : "not nosuid and nodev");
                audit_judge(row, f->root_error == -EACCES ? 0 : f->root_error, f->root_inert);
                return;
        }
        audit_wanted(row, "0 entries, read-only");
        audit_measured(row, "%u entries, %s", f->root_entries, f->root_read_only ? "read-only" : "writable");
        audit_judge(row, f->root_error, f->root_entries == 0 && f->root_read_only);
}

static bool is_within(uint32_t measured, uint32_t granted, uint32_t born)
{
        return measured >= granted && measured - granted <= born;
}

/* Kinds that most workers have none of are named where there is one. */
static void add_kind(char *text, size_t size, uint32_t n, const char *name)
{
        size_t used = strlen(text);

        if (n > 0)
                snprintf(text + used, size - used, ", %u %s%s", n, name, n == 1 ? "" : "s");
}

/* What arises after lock-down is of a kind: connections where something listens, and what lies in its folder. */
static bool fds_are_granted(const struct proc_facts *f, uint32_t pipes, uint32_t sockets,
                            const struct resource_counts *c)
{
        const uint32_t files = c->of[RESOURCE_FOLDER] > 0 ? c->born : 0;
        const uint32_t connections = c->of[RESOURCE_LISTENER] > 0 ? c->born : 0;

        return f->fds_null == 2 && f->fds_pipe == pipes && f->fds_other == 0 &&
               is_within(f->fds_socket, sockets, connections) &&
               is_within(f->fds_file, c->of[RESOURCE_FILE] + c->of[RESOURCE_MEMORY], files) &&
               is_within(f->fds_folder, c->of[RESOURCE_FOLDER], files) &&
               f->fds_event == c->of[RESOURCE_EVENT] && f->fds_tap == c->of[RESOURCE_TAP];
}

static void rule_fds(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_facts *f = s->facts;
        struct resource_counts c;
        uint32_t pipes = 1, sockets = 1, *lanes; /* its output, and control */

        audit_count_resources(s, &c);
        lanes = f->fds_pipe > 1 ? &pipes : &sockets; /* its configuration chooses: `copy` */
        *lanes += 2 * s->device->n_lanes;
        sockets += c.of[RESOURCE_LISTENER] + c.of[RESOURCE_STREAM];
        audit_wanted(row, "2 null, %u pipes, %u sockets, %u files", pipes, sockets,
                     c.of[RESOURCE_FILE] + c.of[RESOURCE_MEMORY]);
        add_kind(row->wanted, sizeof(row->wanted), c.of[RESOURCE_EVENT], "eventfd");
        add_kind(row->wanted, sizeof(row->wanted), c.of[RESOURCE_TAP], "tap");
        add_kind(row->wanted, sizeof(row->wanted), c.of[RESOURCE_FOLDER], "folder");
        add_kind(row->wanted, sizeof(row->wanted), c.born, "later one");
        audit_measured(row, "%u null, %u pipes, %u sockets, %u files", f->fds_null, f->fds_pipe,
                       f->fds_socket, f->fds_file);
        add_kind(row->measured, sizeof(row->measured), f->fds_event, "eventfd");
        add_kind(row->measured, sizeof(row->measured), f->fds_tap, "tap");
        add_kind(row->measured, sizeof(row->measured), f->fds_folder, "folder");
        add_kind(row->measured, sizeof(row->measured), f->fds_other, "other");
        audit_judge(row, f->fds_error, fds_are_granted(f, pipes, sockets, &c));
}

/* Its sockets come and go; what a companion never holds is a file, a tap or somebody's memory. */
static void rule_companion_fds(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_facts *f = s->facts;
        const uint32_t folders = companion_of(s) && companion_of(s)->has_folder ? 1 : 0;

        audit_wanted(row, "sockets; 0 files, 0 taps");
        audit_measured(row, "%u sockets, %u files, %u taps", f->fds_socket, f->fds_file, f->fds_tap);
        add_kind(row->measured, sizeof(row->measured), f->fds_folder, "folder");
        audit_judge(row, f->fds_error, f->fds_file == 0 && f->fds_tap == 0 && f->fds_folder <= folders);
}

static bool has_uid(const struct proc_facts *other, const struct audit_subject *s)
{
        return other != s->facts && other->pid != 0 && other->status_error == 0 &&
               other->status.uid[1] == s->facts->status.uid[1];
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
                        if (has_uid(&vm->workers[i], s) || has_uid(&vm->companions[i], s))
                                return true;
        }
        return false;
}

/* What lies in its folder belongs to who it seems to: so the worker is that owner itself. */
static bool is_owner_itself(const struct audit_subject *s)
{
        return serves_share(s) && s->facts->ids_error == 0 && !s->facts->ids.root_is_mapped &&
               !is_rootless(s->vm);
}

static void rule_uid(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_status *status = &s->facts->status;
        const bool plain = audit_owners_ids(s->facts) && status->uid[0] != 0 && status->gid[0] != 0;
        const bool shared = uid_is_elsewhere(s), rootless = is_rootless(s->vm), owner = is_owner_itself(s);

        audit_wanted(row, "its own, not 0");
        audit_measured(row, "%u%s", status->uid[1],
                       !plain     ? ", not the same in all ids, or 0"
                       : owner    ? ", its folder's owner's: no id-mapped mount there"
                       : !shared  ? ""
                       : rootless ? ", shared: rootless"
                                  : ", shared");
        audit_judge(row, s->facts->status_error, plain && !shared && !owner);
        audit_excuse(row, plain && (rootless || owner));
}

static void rule_groups(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "0");
        audit_measured(row, "%u%s", s->facts->status.n_groups,
                       s->facts->status.n_groups > 0 && is_rootless(s->vm) ? ", kept: rootless" : "");
        audit_judge(row, s->facts->status_error, s->facts->status.n_groups == 0);
        audit_excuse(row, is_rootless(s->vm));
}

static void rule_threads(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "1");
        audit_measured(row, "%u", s->facts->status.threads);
        audit_judge(row, s->facts->status_error, s->facts->status.threads == 1);
}

static void rule_parent(const struct audit_subject *s, struct audit_row *row)
{
        const pid_t spawner = (pid_t)s->vm->status.spawner_pid;

        audit_wanted(row, "spawner %d", (int)spawner);
        audit_measured(row, "%d", (int)s->facts->status.ppid);
        audit_judge(row, s->facts->status_error, s->facts->status.ppid == spawner && spawner > 0);
        audit_excuse(row, !s->vm->status.spawner_alive); /* it is the reaper's child then */
}

static bool is_child(const struct audit_subject *s)
{
        return s->role == AUDIT_WORKER || s->role == AUDIT_COMPANION;
}

/* A tracer may do anything to it. Its spawner is one to see how it dies. */
static void rule_tracer(const struct audit_subject *s, struct audit_row *row)
{
        const uint32_t tracer = s->facts->status.tracer;
        const bool spawner =
            tracer != 0 && tracer == s->vm->status.spawner_pid && s->vm->status.spawner_alive;

        audit_wanted(row, is_child(s) ? "spawner or none" : "none");
        if (tracer == 0 || spawner)
                audit_measured(row, "%s", spawner ? "spawner" : "none");
        else
                audit_measured(row, "%u", tracer);
        audit_judge(row, s->facts->status_error, tracer == 0 || (spawner && is_child(s)));
}

static void rule_companion_program(const struct audit_subject *s, struct audit_row *row)
{
        const struct companion_rule *rule = companion_of(s);
        bool good = false;

        for (size_t i = 0; rule && i < array_size(rule->programs) && rule->programs[i]; i++)
                good |= strcmp(s->facts->program, rule->programs[i]) == 0;
        audit_wanted(row, "%s", rule ? rule->programs[0] : "a known companion");
        log_escape(s->facts->program, strlen(s->facts->program), row->measured, sizeof(row->measured));
        audit_judge(row, s->facts->program_error, good);
}

static void rule_program(const struct audit_subject *s, struct audit_row *row)
{
        const struct device_type *type = audit_type(s);
        const char *wanted =
            s->role == AUDIT_WORKER ? (type ? type->program : "a known type") : "bulkhead-broker";

        if (s->role == AUDIT_COMPANION) {
                rule_companion_program(s, row);
                return;
        }
        audit_wanted(row, "%s", wanted);
        log_escape(s->facts->program, strlen(s->facts->program), row->measured, sizeof(row->measured));
        audit_judge(row, s->facts->program_error, strcmp(s->facts->program, wanted) == 0);
}

/* A group's limit above what a configuration can ask for is some container's around us, not the worker's own.
 */
static void rule_memory_limit(const struct audit_subject *s, struct audit_row *row)
{
        const bool group = s->facts->limits.memory_cgroup <= UINT32_MAX;
        const bool own = s->facts->limits.memory_rlimit <= UINT32_MAX;
        char size[32];

        audit_wanted(row, "its control group's");
        config_value_size_text(group ? s->facts->limits.memory_cgroup : s->facts->limits.memory_rlimit, size,
                               sizeof(size));
        if (group || own)
                audit_measured(row, "%s by %s", size, group ? "control group" : "its own limit alone");
        else
                audit_measured(row, "none");
        audit_judge(row, s->facts->limits_error, group);
        audit_excuse(row, own);
}

static void rule_process_limit(const struct audit_subject *s, struct audit_row *row)
{
        const bool own = s->facts->limits.pids_rlimit <= 1;

        audit_wanted(row, "1 by control group");
        if (s->facts->limits.pids_cgroup != PROC_NO_LIMIT)
                audit_measured(row, "%" PRIu64 " by control group", s->facts->limits.pids_cgroup);
        else if (own)
                audit_measured(row, "%" PRIu64 " by its own limit alone", s->facts->limits.pids_rlimit);
        else
                audit_measured(row, "none");
        audit_judge(row, s->facts->limits_error, s->facts->limits.pids_cgroup <= 1);
        audit_excuse(row, own && s->facts->limits.pids_cgroup == PROC_NO_LIMIT);
}

/* What its configuration says is not ours to know; but nobody has more than what is measured. */
static void rule_cpu_limit(const struct audit_subject *s, struct audit_row *row)
{
        const struct proc_limits *l = &s->facts->limits;

        audit_wanted(row, "as configured");
        audit_measured(row, "none");
        if (l->cpu_quota_us != PROC_NO_LIMIT && l->cpu_period_us != PROC_NO_LIMIT && l->cpu_period_us > 0)
                audit_measured(row, "%" PRIu64 "%% of a CPU by control group",
                               l->cpu_quota_us * 100 / l->cpu_period_us);
        audit_judge(row, s->facts->limits_error, true);
}

static void rule_disk_limits(const struct audit_subject *s, struct audit_row *row)
{
        static const char *const names[PROC_IO_COUNT_] = {"read_bps", "write_bps", "read_iops", "write_iops"};
        size_t used = 0;

        audit_wanted(row, "as configured");
        audit_measured(row, "none");
        for (size_t i = 0; i < PROC_IO_COUNT_ && used < sizeof(row->measured); i++)
                if (s->facts->limits.io[i] != PROC_NO_LIMIT)
                        used += (size_t)snprintf(row->measured + used, sizeof(row->measured) - used,
                                                 "%s%s %" PRIu64, used ? ", " : "", names[i],
                                                 s->facts->limits.io[i]);
        audit_judge(row, s->facts->limits_error, true);
}

/* The broker's own doing: nothing in /proc shows it. */
static void rule_rate(const struct audit_subject *s, struct audit_row *row)
{
        const struct admin_device *d = s->device;
        char size[32];

        audit_wanted(row, "as configured");
        audit_measured(row, "none");
        if (d->rate_ops > 0 && d->rate_bytes > 0)
                audit_measured(row, "ops %" PRIu64 ", bytes %s, throttled %" PRIu64, d->rate_ops,
                               config_value_size_text(d->rate_bytes, size, sizeof(size)), d->throttled);
        else if (d->rate_ops > 0)
                audit_measured(row, "ops %" PRIu64 ", throttled %" PRIu64, d->rate_ops, d->throttled);
        else if (d->rate_bytes > 0)
                audit_measured(row, "bytes %s, throttled %" PRIu64,
                               config_value_size_text(d->rate_bytes, size, sizeof(size)), d->throttled);
        row->verdict = AUDIT_CLAIMED;
}

static void rule_resource_limits(const struct audit_subject *s, struct audit_row *row)
{
        const char *open = s->facts->limits.not_zero;

        audit_wanted(row, "none of eight");
        audit_measured(row, "none of eight");
        if (open)
                audit_measured(row, "%s", open);
        audit_judge(row, s->facts->limits_error, !open);
}

/* Who answered us? The kernel remembers who called listen: spawner or broker, whatever the answer says. */
static void rule_peer(const struct audit_subject *s, struct audit_row *row)
{
        const pid_t broker = (pid_t)s->vm->status.broker_pid, spawner = (pid_t)s->vm->status.spawner_pid;

        audit_wanted(row, "broker or spawner");
        audit_measured(row, "%d", (int)s->vm->peer_pid);
        audit_judge(row, s->vm->peer_pid == 0 ? -ESRCH : 0,
                    s->vm->peer_pid == broker || s->vm->peer_pid == spawner);
        audit_excuse(row, !s->vm->status.spawner_alive);
}

static void rule_spawner_alive(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "alive");
        audit_measured(row, s->facts->error == 0 ? "alive" : "gone: no restarts");
        row->verdict = s->facts->error == 0 ? AUDIT_OK : AUDIT_WEAKER;
        if (s->vm->status.spawner_alive && s->facts->error < 0)
                audit_judge(row, s->facts->error, false);
}

static void rule_strangers(const struct audit_subject *s, struct audit_row *row)
{
        audit_wanted(row, "0 not listed");
        audit_measured(row, "%zu not listed", s->vm->n_strangers);
        if (s->vm->loader > 0)
                audit_measured(row, "%zu not listed, beside the kernel's loader %d", s->vm->n_strangers,
                               (int)s->vm->loader);
        if (s->vm->n_strangers > 0)
                audit_measured(row, "%zu not listed, one is %d", s->vm->n_strangers, (int)s->vm->stranger);
        audit_judge(row, s->vm->strangers_error, s->vm->n_strangers == 0);
}

#define WORKER    (1u << AUDIT_WORKER)
#define COMPANION (1u << AUDIT_COMPANION)
#define BROKER    (1u << AUDIT_BROKER)
#define SPAWNER   (1u << AUDIT_SPAWNER)

static const struct {
        const char *fact;
        uint32_t roles;
        void (*judge)(const struct audit_subject *subject, struct audit_row *row);
} rules[] = {
    {"spawner", SPAWNER, rule_spawner_alive},
    {"admin socket", BROKER, rule_peer},
    {"program", WORKER | BROKER | COMPANION, rule_program},
    {"tracer", WORKER | BROKER | SPAWNER | COMPANION, rule_tracer},
    {"parent", WORKER | BROKER | COMPANION, rule_parent},
    {"guest memory", WORKER | SPAWNER | COMPANION, audit_rule_guest_memory},
    {"guest memory", BROKER, audit_rule_broker_memory},
    {"guest memory files", WORKER | COMPANION, audit_rule_guest_fds},
    {"shared mappings", WORKER | SPAWNER, audit_rule_shared_mappings},
    {"capabilities", WORKER | BROKER | COMPANION, rule_capabilities},
    {"seccomp mode", WORKER | BROKER | COMPANION, rule_seccomp_mode},
    {"seccomp filters", WORKER | BROKER | COMPANION, rule_seccomp_filters},
    {"seccomp content", WORKER | BROKER | COMPANION, rule_claimed},
    {"copy", WORKER, rule_copy},
    {"no_new_privs", WORKER | BROKER | COMPANION, rule_no_new_privs},
    {"namespaces", WORKER | COMPANION, rule_namespaces},
    {"root", WORKER | COMPANION, rule_root},
    {"descriptors", WORKER, rule_fds},
    {"descriptors", COMPANION, rule_companion_fds},
    {"uid", WORKER | BROKER | COMPANION, rule_uid},
    {"ids", WORKER, rule_ids},
    {"groups", WORKER | BROKER | COMPANION, rule_groups},
    {"threads", WORKER | COMPANION, rule_threads},
    {"memory limit", WORKER | COMPANION, rule_memory_limit},
    {"process limit", WORKER | COMPANION, rule_process_limit},
    {"cpu limit", WORKER, rule_cpu_limit},
    {"disk limits", WORKER, rule_disk_limits},
    {"rate", WORKER, rule_rate},
    {"regions", WORKER, audit_rule_regions},
    {"DMA windows", WORKER, audit_rule_windows},
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
