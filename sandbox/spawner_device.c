/* One device's process: spawn, look, reap.
 * Owns the worker's pidfd and, as long as it exists, its cgroup; called by spawner.c. TRUST: the broker has
 * chosen the device number, which was judged; everything else comes from the configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_device.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "proto/device/blk.h"
#include "proto/device/fs.h"
#include "proto/frame.h"
#include "sandbox/jail.h"
#include "sandbox/policy.h"
#include "sandbox/policy_explain.h"
#include "sandbox/resource.h"
#include "sandbox/rootless.h"

#define DEVICE_SLICE_MS 1 /* a killed worker is at its end in less */

_Static_assert(1 + 2 * LIMIT_LANES + 2 <= LIMIT_PASS_FDS, "all that goes with Spawned");

/* What connects it with the broker, to which the first of each pair goes; and the pipe behind its standard error. */
struct spawner_channels {
        int control[2]; /* and output: 0: none yet */
        int output_r, output_w;
        struct fd_duplex ours[LIMIT_LANES], theirs[LIMIT_LANES];
        unsigned n_lanes;
};

static void cleanup_channels(struct spawner_channels *channels)
{
        for (unsigned i = 0; i < channels->n_lanes; i++) {
                fd_duplex_close(&channels->ours[i]);
                fd_duplex_close(&channels->theirs[i]);
        }
        if (channels->control[0] > 0) {
                close(channels->control[0]);
                close(channels->control[1]);
        }
        if (channels->output_r > 0) {
                close(channels->output_r);
                close(channels->output_w);
        }
}

const struct device_config *spawner_worker(const struct spawner *spawner, uint32_t i)
{
        return i < spawner->config->n_devices ? &spawner->config->devices[i] : &spawner->loader;
}

/* Pipes are quicker with short messages, a socket with long ones: which they are where all bytes go with them. */
static int lane_make(const struct device_config *config, struct fd_duplex ret_ends[static 2])
{
        int pair[2];
        int r;

        if (config->copy != DEVICE_COPY_SOCKET)
                return fd_pipe_pair(ret_ends);
        r = fd_stream_pair(pair);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < 2; i++) {
                ret_ends[i] = (struct fd_duplex){.in = pair[i], .out = pair[i]};
                if (r == 0)
                        r = fd_set_send_buffer(pair[i], LIMIT_LANE_SOCKET);
        }
        if (r == 0)
                return 0;
        fd_duplex_close(&ret_ends[0]);
        fd_duplex_close(&ret_ends[1]);
        return r;
}

static int channels_make(struct spawner_channels *channels, const struct device_config *config)
{
        int output[2];
        int r = fd_stream_pair(channels->control);

        if (r < 0)
                return r;
        if (pipe2(output, O_CLOEXEC) < 0)
                return -errno;
        channels->output_r = output[0];
        channels->output_w = output[1];
        while (channels->n_lanes < config->n_lanes) {
                struct fd_duplex ends[2];

                r = lane_make(config, ends);
                if (r < 0)
                        return r;
                channels->ours[channels->n_lanes] = ends[0];
                channels->theirs[channels->n_lanes++] = ends[1];
        }
        return 0;
}

int spawner_send(const struct spawner *spawner, const struct spawn_to_broker *message, const int *fds,
                 unsigned n_fds)
{
        uint8_t head_bytes[FRAME_HEAD_BYTES], body[1024];
        struct frame_head head = {0};
        struct iovec iov[2] = {{head_bytes, sizeof(head_bytes)}, {body, 0}};
        ssize_t len = spawn_make_to_broker(message, body, sizeof(body)), sent;

        if (len < 0)
                return (int)len;
        head.header_len = (uint32_t)len;
        frame_head_make(&head, head_bytes);
        iov[1].iov_len = (size_t)len;
        sent = fd_pass_send(spawner->channel, iov, 2, fds, n_fds);
        if (sent < 0)
                return (int)sent;
        return (size_t)sent == sizeof(head_bytes) + (size_t)len ? 0 : -ENOBUFS;
}

static int device_failed(const struct spawner *spawner, uint32_t device, int error, const char *why)
{
        struct spawn_to_broker message = {.kind = SPAWN_FAILED, .device = device, .error = error};

        snprintf(message.reason, sizeof(message.reason), "%.255s", why);
        return spawner_send(spawner, &message, NULL, 0);
}

/* The limits as groups have them. A disk that is not found stays 0, and its limits are not set: that shows. */
static void device_limits_make(const struct spawner *spawner, const struct device_config *config,
                               const struct resources *resources, struct cgroup_limits *ret_limits)
{
        const struct device_limits *limits = &config->limits;
        uint64_t shared; /* whoever touches it first pays */

        (void)device_regions_memory(config, &shared);
        *ret_limits = (struct cgroup_limits){.memory_max = vm_config_memory(spawner->config, config) + shared,
                                             .pids_max = 1,
                                             .cpu_max = (uint32_t)limits->cpu,
                                             .cpu_weight = (uint32_t)limits->cpu_weight,
                                             .io_weight = (uint32_t)limits->io_weight,
                                             .read_bps = limits->read_bps,
                                             .write_bps = limits->write_bps,
                                             .read_iops = limits->read_iops,
                                             .write_iops = limits->write_iops};
        (void)cgroup_find_disk("", resources->device, &ret_limits->disk);
}

/* What was asked for and cannot be had is no limit that is left out: there is no worker. */
static int device_cgroup(const struct spawner *spawner, const char *vm, const struct device_config *config,
                         const struct resources *resources, struct cgroup *ret, char *why, size_t why_size)
{
        struct cgroup_limits limits;
        uint32_t missing;

        device_limits_make(spawner, config, resources, &limits);
        cgroup_open(&spawner->cgroup_host, vm, config->name, &limits, ret);
        missing = cgroup_demanded(&limits) & ~ret->present;
        if (missing == 0)
                return 0;
        cgroup_close(ret);
        if (missing & (1u << CGROUP_CPU))
                snprintf(why, why_size,
                         "limits: cpu cannot be limited here: give us a control group with the cpu "
                         "controller, or remove cpu and cpu_weight");
        else if (spawner->cgroup_host.parent[CGROUP_IO][0] != '\0' && limits.disk == 0)
                snprintf(why, why_size,
                         "limits: the image's file system has no disk of its own: remove read_bps, "
                         "write_bps, read_iops and write_iops, or move the image");
        else
                snprintf(why, why_size,
                         "limits: io cannot be limited here: give us a control group with the io "
                         "controller, or remove its limits");
        return -EOPNOTSUPP;
}

int spawner_device_try_limits(const struct spawner *spawner, uint32_t device, char *why, size_t why_size)
{
        const struct device_config *config = spawner_worker(spawner, device);
        _cleanup_(resources_close) struct resources resources = {0};
        char trial[CGROUP_NAME];
        struct cgroup group;
        int r;

        cgroup_name_trial(trial);
        r = resources_open(config, NULL, &resources, why, why_size);
        if (r == 0)
                r = device_cgroup(spawner, trial, config, &resources, &group, why, why_size);
        if (r == 0)
                cgroup_close(&group);
        cgroup_sweep(&spawner->cgroup_host, trial);
        return r;
}

/* While one worker starts, the others may live, stop and die. */
static void device_wake(void *context)
{
        struct spawner *spawner = context;

        spawner_take_signals(spawner);
        spawner_device_serve_all(spawner);
}

static const struct policy *device_policy_fs(const struct device_config *config)
{
        static const char *const names[][2] = {
            {"fs", "fs-read-only"}, {"fs-owners", "fs-owners-read-only"}, {"fs-dax", "fs-dax-read-only"}};
        const struct fs_options options = fs_options_read(&config->options);

        return policy_find(names[options.dax_window > 0 ? 2 : options.n_owners > 0][options.read_only]);
}

static const struct policy *device_policy(const struct device_config *config)
{
        if (config->type == DEVICE_TYPE_BLK && blk_options_read(&config->options).direct)
                return policy_find("blk-direct");
        if (config->type == DEVICE_TYPE_FS)
                return device_policy_fs(config);
        return policy_find(device_types[config->type].name);
}

/* The mount is in the spawner's hands; and where its owner cannot be exchanged, the worker is the owner. One with a range of
 * owners has them in its namespace. */
static void device_spec_folder(const struct device_config *config, const struct resources *held,
                               const struct resources *resources, struct jail_spec *spec)
{
        if (config->type == DEVICE_TYPE_FS) {
                const struct fs_options options = fs_options_read(&config->options);

                spec->first_id = options.first_owner;
                spec->n_ids = options.n_owners;
        }

        for (unsigned i = 0; i < resources->n; i++)
                if (resources->kinds[i] == RESOURCE_FOLDER)
                        spec->root_fd = resources->fds[i];
        if (held->as_owner) {
                spec->uid = held->uid;
                spec->gid = held->gid;
        }
}

static void device_spec(struct spawner *spawner, uint32_t device, const struct spawner_channels *channels,
                        const struct resources *resources, const char *title, struct jail_spec *ret_spec)
{
        const struct device_config *config = spawner_worker(spawner, device);
        uid_t broker = spawner_broker_uid(spawner);
        uid_t uid = spawner->claims ? spawner->claims[device].uid : broker;
        gid_t gid = spawner->claims ? (gid_t)uid : getegid();
        struct resource_counts counts;
        uint64_t shared;

        *ret_spec = (struct jail_spec){
            .policy = device_policy(config),
            .filters = &spawner->filters,
            .title = title,
            .uid = uid,
            .gid = gid,
            .owner_uid = broker,
            .owner_gid = spawner_broker_gid(spawner),
            .rootless = spawner->rootless,
            .binary_fd = spawner->program_fds[config->type],
            .null_fd = spawner->null_fd,
            .output_fd = channels->output_w,
            .control_fd = channels->control[1],
            .lanes = channels->theirs,
            .n_lanes = channels->n_lanes,
            .resource_fds = resources->fds,
            .n_resources = resources->n,
            .resources_rw = resources->rw,
            .memory_max = vm_config_memory(spawner->config, config),
            .mapped_max = resources->mapped_max,
            .file_size_max = resources->size_max,
            .cgroup = &spawner->devices[device].cgroup,
            .seccomp_log = config->seccomp_log,
            .trace = spawner->trace,
            .wake_fd = spawner->signal_fd,
            .wake = device_wake,
            .wake_context = spawner,
            .short_turns = device_types[config->type].turns && device_config_may_place(config),
        };
        device_resources_count(config, &counts);
        ret_spec->n_born = counts.born;
        ret_spec->n_lent = device_regions_memory(config, &shared);
        ret_spec->memory_max += shared;
        device_spec_folder(config, &spawner->devices[device].held, resources, ret_spec);
        memcpy(ret_spec->resource_kinds, resources->kinds, sizeof(ret_spec->resource_kinds));
}

/* Once a device: what the host does not give. */
static void device_tell_layers(struct spawner *spawner, uint32_t device, uint32_t missing)
{
        struct spawner_device *state = &spawner->devices[device];
        char text[256];

        if (missing & ~state->layers_told)
                log_warning("jail without: %s dev=%s", jail_layers_text(missing, text, sizeof(text)),
                            spawner_worker(spawner, device)->name);
        state->layers_told |= missing;
}

/* Once. */
static void device_tell_trace(struct spawner *spawner, int error)
{
        if (error == 0 || spawner->trace_told)
                return;
        spawner->trace_told = true;
        log_warning("workers cannot be traced (%s): a forbidden system call will be logged without its "
                    "arguments; is a debugger attached to the spawner, or kernel.yama.ptrace_scope 3?",
                    strerror(-error));
}

static int device_tell_spawned(struct spawner *spawner, uint32_t device, uid_t uid,
                               const struct spawner_channels *channels, const struct jail_child *child)
{
        struct spawn_to_broker message = {
            .kind = SPAWN_SPAWNED, .device = device, .pid = (uint32_t)child->pid, .uid = uid};
        int fds[1 + 2 * LIMIT_LANES + 2];
        unsigned n = 0;

        fds[n++] = channels->control[0];
        for (unsigned i = 0; i < channels->n_lanes; i++) {
                fds[n++] = channels->ours[i].in;
                fds[n++] = channels->ours[i].out;
        }
        fds[n++] = child->pidfd;
        fds[n++] = channels->output_r;
        return spawner_send(spawner, &message, fds, n);
}

static int device_jail_failed(const struct spawner *spawner, uint32_t device,
                              const struct jail_failure *failure)
{
        char why[256];
        size_t len = (size_t)snprintf(why, sizeof(why), "jail stage %s: ", failure->stage);

        if (strcmp(failure->stage, "clone") == 0)
                rootless_explain(failure->error, why + len, sizeof(why) - len);
        else
                snprintf(why + len, sizeof(why) - len, "%s", strerror(-failure->error));
        return device_failed(spawner, device, failure->error, why);
}

int spawner_device_spawn(struct spawner *spawner, uint32_t device)
{
        const struct device_config *config = spawner_worker(spawner, device);
        struct spawner_device *state = &spawner->devices[device];
        _cleanup_(cleanup_channels) struct spawner_channels channels = {0};
        _cleanup_(resources_close) struct resources resources = {0};
        struct jail_failure failure;
        struct jail_child child;
        struct jail_spec spec;
        char text[256];
        int r;

        if (state->state != SPAWNER_IDLE)
                return -EPROTO;
        r = resources_open(config, &state->held, &resources, text, sizeof(text));
        if (r < 0)
                return device_failed(spawner, device, r, text);
        r = channels_make(&channels, config);
        if (r < 0)
                return device_failed(spawner, device, r, "no sockets and pipes for its channels");
        r = device_cgroup(spawner, spawner->cgroup_vm, config, &resources, &state->cgroup, text,
                          sizeof(text));
        if (r < 0)
                return device_failed(spawner, device, r, text);
        snprintf(text, sizeof(text), "%s: %s/%s", device_types[config->type].program, spawner->config->name,
                 config->name);
        device_spec(spawner, device, &channels, &resources, text, &spec);
        if (jail_spawn(&spec, &child, &failure) < 0) {
                cgroup_close(&state->cgroup);
                return device_jail_failed(spawner, device, &failure);
        }
        state->state = SPAWNER_RUNNING;
        state->pid = child.pid;
        state->pidfd = child.pidfd;
        state->trace = child.trace;
        device_tell_trace(spawner, child.trace_error);
        device_tell_layers(spawner, device, child.layers_missing);
        return device_tell_spawned(spawner, device, spec.uid, &channels, &child);
}

void spawner_device_serve_all(struct spawner *spawner)
{
        siginfo_t info;

        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                if (spawner->devices[i].state == SPAWNER_RUNNING)
                        (void)trace_look(&spawner->devices[i].trace, spawner->devices[i].pidfd, &info);
                companion_serve(&spawner->devices[i].companion);
        }
}

int spawner_device_renewed(const struct spawner *spawner, uint32_t device)
{
        const struct spawn_to_broker message = {.kind = SPAWN_RENEWED, .device = device};

        if (spawner->devices[device].state != SPAWNER_RUNNING)
                return 0;
        return spawner_send(spawner, &message, NULL, 0);
}

static void device_explain(const struct spawner *spawner, uint32_t device, struct spawn_to_broker *exited)
{
        const struct device_config *config = spawner_worker(spawner, device);

        exited->cause = spawner->devices[device].trace.cause;
        exited->cause.oom = exited->signaled && exited->code == SIGKILL &&
                            cgroup_oom_killed(&spawner->devices[device].cgroup);
        if (exited->signaled && exited->code == SIGSYS && spawner->devices[device].trace.signal != SIGSYS)
                policy_explain(device_policy(config), &exited->cause);
}

int spawner_device_look(struct spawner *spawner, uint32_t device)
{
        struct spawner_device *state = &spawner->devices[device];
        struct spawn_to_broker message = {
            .kind = SPAWN_EXITED, .device = device, .pid = (uint32_t)state->pid};
        siginfo_t info;
        int r;

        if (state->state != SPAWNER_RUNNING)
                return 0;
        r = trace_look(&state->trace, state->pidfd, &info);
        if (r <= 0)
                return r;
        state->state = SPAWNER_EXITED;
        message.signaled = info.si_code != CLD_EXITED;
        message.code = (uint32_t)info.si_status;
        device_explain(spawner, device, &message);
        return spawner_send(spawner, &message, NULL, 0);
}

static void device_forget(struct spawner_device *state)
{
        siginfo_t info;

        waitid(P_PIDFD, (id_t)state->pidfd, &info, WEXITED | WNOHANG);
        close(state->pidfd);
        state->pidfd = -1;
        state->pid = 0;
        state->trace = (struct trace){0};
        state->state = SPAWNER_IDLE;
        cgroup_close(&state->cgroup);
}

/* The broker may have seen the exit before we did: its pidfd is as fast as our signal. */
int spawner_device_reap(struct spawner *spawner, uint32_t device)
{
        struct spawner_device *state = &spawner->devices[device];
        int r = spawner_device_look(spawner, device);

        if (r < 0)
                return r;
        if (state->state != SPAWNER_EXITED)
                return -EPROTO;
        device_forget(state);
        return 0;
}

/* A traced one stands before us once more at its end. */
static bool device_await_end(struct spawner_device *state)
{
        struct pollfd pfd = {.fd = state->pidfd, .events = POLLIN};
        siginfo_t info;

        for (unsigned i = 0; i < LIMIT_KILL_MS / DEVICE_SLICE_MS; i++)
                if (trace_look(&state->trace, state->pidfd, &info) != 0 || poll(&pfd, 1, DEVICE_SLICE_MS) > 0)
                        return true;
        return false;
}

void spawner_device_end(struct spawner *spawner, uint32_t device)
{
        struct spawner_device *state = &spawner->devices[device];

        if (state->state == SPAWNER_IDLE)
                return;
        syscall(SYS_pidfd_send_signal, state->pidfd, SIGKILL, NULL, 0);
        if (!device_await_end(state))
                log_error("worker does not die dev=%s pid=%d", spawner_worker(spawner, device)->name,
                          (int)state->pid);
        device_forget(state);
}
