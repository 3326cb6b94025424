/* The broker of one VM.
 *
 * How it works: STARTING waits until every device's worker has said Hello, so that a wrong configuration ends
 * at once with one message and no front end ever meets a device that is not there. SERVING opens the
 * listeners. ENDING closes everything and lets the loop run dry; workers die with the broker.
 *
 * Owns the loop, the devices, their listeners, the admin server and the channel to the spawner; called by
 * main. TRUST: none of its own: front ends, workers and clients are judged below.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "broker/admin/admin_server.h"
#include "broker/core/device.h"
#include "broker/core/device_life.h"
#include "broker/core/fault_safe.h"
#include "broker/core/place_host.h"
#include "broker/core/supervisor.h"
#include "broker/vhost_user/listener.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/vm_config_memory.h"
#include "sandbox/broker_jail.h"

enum broker_state {
        /* to SERVING when each device is ready or its workers crash, to ENDING when one cannot be started */
        BROKER_STARTING = 0,
        BROKER_SERVING, /* to ENDING on request */
        BROKER_ENDING,
};

struct broker {
        uv_loop_t loop;
        enum broker_state state;
        const struct broker_start *start;
        struct spawner_client *spawner;
        struct admin_server *admin;
        uv_signal_t terminated;
        pid_t spawner_pid;
        struct device *devices[LIMIT_DEVICES];
        struct vhost_user_listener *listeners[LIMIT_DEVICES];
        struct vhost_user_family family;     /* of listeners */
        size_t n_devices, n_ready, n_failed; /* the last two: while starting */
        bool crashed[LIMIT_DEVICES];         /* some worker of it was ended by a signal */
        int exit_code;
};

/* ---- ending ---- */

static void device_gone(void *context)
{
        (void)context; /* the loop ends by itself when the last handle has closed */
}

/* No guest can reach a device any more. */
static void broker_end_devices(void *context)
{
        struct broker *broker = context;

        for (size_t i = 0; i < broker->n_devices; i++)
                device_free(broker->devices[i], device_gone, broker);
        broker->n_devices = 0;
        spawner_client_stop(broker->spawner);
        broker->spawner = spawner_client_free(broker->spawner);
        uv_close((uv_handle_t *)&broker->terminated, NULL);
}

static void broker_end(struct broker *broker, int exit_code)
{
        if (broker->state == BROKER_ENDING)
                return;
        broker->state = BROKER_ENDING;
        broker->exit_code = exit_code;
        for (size_t i = 0; i < broker->n_devices; i++) {
                if (broker->listeners[i])
                        vhost_user_listener_close(broker->listeners[i], NULL, NULL);
                broker->listeners[i] = NULL;
        }
        broker->admin = admin_server_free(broker->admin);
        if (broker->start->kvm)
                kvm_front_stop(broker->start->kvm, &broker->loop, broker_end_devices, broker);
        else
                broker_end_devices(broker);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
        struct broker *broker = handle->data;

        (void)signal_number;
        broker_end(broker, EXIT_SUCCESS);
}

/* ---- from the spawner ---- */

/* Behind the devices the spawner counts the loader of a VM of our own. */
static bool is_loader(const struct broker *broker, uint32_t index)
{
        return index == broker->start->config->n_devices;
}

static void on_spawned(void *context, uint32_t device, struct spawned_worker *worker)
{
        struct broker *broker = context;

        if (is_loader(broker, device)) {
                kvm_front_spawned(broker->start->kvm, worker);
                return;
        }
        supervisor_spawned(device_supervisor(broker->devices[device]), worker);
}

static void on_spawn_failed(void *context, uint32_t device, int error, const char *reason)
{
        struct broker *broker = context;

        if (is_loader(broker, device)) {
                kvm_front_spawn_failed(broker->start->kvm, error, reason);
                return;
        }
        supervisor_spawn_failed(device_supervisor(broker->devices[device]), error, reason);
}

static void on_exited(void *context, uint32_t device, const struct spawn_to_broker *exited)
{
        struct broker *broker = context;

        if (is_loader(broker, device)) {
                kvm_front_exited(broker->start->kvm, exited);
                return;
        }
        broker->crashed[device] |= exited->signaled;
        supervisor_exited(device_supervisor(broker->devices[device]), exited);
}

static void on_companion(void *context, uint32_t device, const struct spawn_to_broker *companion)
{
        struct broker *broker = context;

        if (!is_loader(broker, device))
                device_companion_is(broker->devices[device], companion);
}

static void on_renewed(void *context, uint32_t device)
{
        struct broker *broker = context;

        if (!is_loader(broker, device))
                supervisor_renew(device_supervisor(broker->devices[device]));
}

static void on_terminate(void *context)
{
        broker_end(context, EXIT_SUCCESS);
}

static void on_spawner_gone(void *context)
{
        struct broker *broker = context;

        log_error(
            "the spawner is dead: the VM goes on, but no worker can be restarted; restart the broker soon");
        for (size_t i = 0; i < broker->n_devices; i++)
                device_spawner_gone(broker->devices[i]);
        if (broker->start->kvm)
                kvm_front_spawner_gone(broker->start->kvm);
}

static const struct spawner_client_ops spawner_ops = {
    .spawned = on_spawned,
    .failed = on_spawn_failed,
    .exited = on_exited,
    .companion = on_companion,
    .renewed = on_renewed,
    .terminate = on_terminate,
    .gone = on_spawner_gone,
};

/* ---- from devices ---- */

static void fill_status(void *context, struct admin_status *ret_status)
{
        struct broker *broker = context;

        strcpy(ret_status->vm, broker->start->config->name);
        strcpy(ret_status->version, BULKHEAD_VERSION);
        ret_status->broker_pid = (uint32_t)getpid();
        ret_status->spawner_pid = (uint32_t)broker->spawner_pid;
        ret_status->spawner_alive = spawner_client_alive(broker->spawner);
        ret_status->rootless = broker->start->rootless;
        ret_status->stage = ADMIN_SERVING;
        if (broker->start->kvm)
                ret_status->stage = kvm_front_is_booting(broker->start->kvm, &ret_status->loaded)
                                        ? ADMIN_BOOTING
                                        : ADMIN_GUEST_RUNS;
        ret_status->n_devices = broker->n_devices;
        for (size_t i = 0; i < broker->n_devices; i++) {
                device_status(broker->devices[i], &ret_status->devices[i]);
                ret_status->devices[i].attached =
                    broker->start->kvm
                        ? kvm_front_driven(broker->start->kvm, i)
                        : broker->listeners[i] && vhost_user_listener_attached(broker->listeners[i]);
        }
}

static struct device *find_device(const struct broker *broker, const char *name)
{
        for (size_t i = 0; i < broker->n_devices; i++)
                if (strcmp(device_name(broker->devices[i]), name) == 0)
                        return broker->devices[i];
        return NULL;
}

static int set_device(void *context, const char *name, const struct control_setting *setting,
                      void (*done)(void *done_context, int error), void *done_context)
{
        struct device *device = find_device(context, name);

        return device ? device_set(device, setting, done, done_context) : -ENOENT;
}

static int list_shmem(void *context, const char *name, struct admin_shmem *ret_shmem)
{
        const struct device *device = find_device(context, name);

        if (!device)
                return -ENOENT;
        device_shmem_list(device, ret_shmem);
        return 0;
}

static const struct admin_ops admin_ops = {.status = fill_status, .set = set_device, .shmem = list_shmem};

/* ---- serving ---- */

static void on_vm_running(void *context)
{
        const struct broker *broker = context;
        const struct vm_config *config = broker->start->config;

        log_info("ready vm=%s devices=%zu vcpus=%u memory=%" PRIu64 "M", config->name, config->n_devices,
                 config->kvm.vcpus, config->kvm.memory >> 20);
}

static void on_vm_ended(void *context, enum vm_exit exit, const char *reason)
{
        if (exit == VM_EXIT_FAILED) /* before its first instruction */
                log_error("cannot boot: %s", reason);
        else if (vm_exit_is_guests((int)exit) && exit != VM_EXIT_CRASHED)
                log_info("the VM has ended: %s", reason);
        else
                log_error("the VM has ended: %s", reason);
        broker_end(context, (int)exit);
}

static int broker_serve_kvm(struct broker *broker)
{
        const struct kvm_front_start start = {.loop = &broker->loop,
                                              .devices = broker->devices,
                                              .n_devices = broker->n_devices,
                                              .spawner = broker->spawner,
                                              .loader = (uint32_t)broker->start->config->n_devices,
                                              .context = broker,
                                              .running = on_vm_running,
                                              .ended = on_vm_ended};

        return kvm_front_start(broker->start->kvm, &start);
}

static int broker_serve_vhost_user(struct broker *broker)
{
        const struct vm_config *config = broker->start->config;
        uint64_t bytes = 0;
        int r = 0;

        for (size_t i = 0; i < broker->n_devices; i++)
                bytes += device_regions_bytes(&config->devices[i]);
        for (size_t i = 0; r == 0 && i < broker->n_devices; i++) {
                r = vhost_user_listener_new(&broker->loop, broker->devices[i],
                                            take_fd(&broker->start->endpoints->device_fds[i]),
                                            &broker->listeners[i]);
                if (r == 0 && bytes > 0)
                        vhost_user_listener_set_family(broker->listeners[i], &broker->family,
                                                       config->devices[i].shmem.foreign_dma ==
                                                           FOREIGN_DMA_REFUSE);
        }
        if (r == 0)
                log_info("ready vm=%s devices=%zu sockets=%s/%s/", config->name, config->n_devices,
                         config->run_dir, config->name);
        return r;
}

static void broker_serve(struct broker *broker)
{
        int r;

        broker->state = BROKER_SERVING;
        r = admin_server_new(&broker->loop, take_fd(&broker->start->endpoints->admin_fd), &admin_ops, broker,
                             &broker->admin);
        if (r == 0)
                r = broker->start->kvm ? broker_serve_kvm(broker) : broker_serve_vhost_user(broker);
        if (r < 0) {
                log_error("cannot serve: %s", strerror(-r));
                broker_end(broker, EXIT_FAILURE);
        }
}

/* Every device has said Hello, or never will. */
static void broker_try_serving(struct broker *broker)
{
        if (broker->state == BROKER_STARTING && broker->n_ready > 0 &&
            broker->n_ready + broker->n_failed == broker->start->config->n_devices)
                broker_serve(broker);
}

static void on_device_ready(void *context, struct device *device)
{
        struct broker *broker = context;

        (void)device;
        broker->n_ready++;
        broker_try_serving(broker);
}

/* While starting: a device that cannot be started for a reason of its configuration ends us, with one message;
 * one whose worker crashes does not take the others with it, unless there are none. */
static void on_device_failed(void *context, struct device *device, bool quarantined, const char *why)
{
        struct broker *broker = context;
        size_t i = 0;

        (void)why; /* the supervisor has said it */
        if (!quarantined || broker->state != BROKER_STARTING)
                return;
        while (broker->devices[i] != device)
                i++;
        broker->n_failed++;
        if (!broker->crashed[i] || broker->n_failed == broker->start->config->n_devices) {
                broker_end(broker, EXIT_FAILURE);
                return;
        }
        log_error("the VM starts without one of its devices dev=%s", broker->start->config->devices[i].name);
        broker_try_serving(broker);
}

/* ---- starting ---- */

static int start_devices(struct broker *broker)
{
        const struct vm_config *config = broker->start->config;
        const struct device_owner owner = {
            .context = broker, .ready = on_device_ready, .failed = on_device_failed};

        for (size_t i = 0; i < config->n_devices; i++) {
                const struct device_config *device = &config->devices[i];
                int r = device_new(&broker->loop, device, vm_config_area(config, device), (uint32_t)i,
                                   broker->spawner, &owner, &broker->devices[i]);

                if (r < 0)
                        return r;
                broker->n_devices++;
        }
        return 0;
}

/* Before the loop runs, and so before any worker is greeted. */
static void put_behind_iommu(struct broker *broker)
{
        uint64_t endpoints;
        uint32_t iommu = vm_config_iommu(broker->start->config, &endpoints);

        for (uint32_t i = 0; iommu > 0 && i < broker->n_devices; i++)
                if (endpoints >> i & 1)
                        device_put_behind(broker->devices[i], broker->devices[iommu - 1], i);
}

static int confine(const struct broker_start *start)
{
        uint32_t missing;
        const char *stage;
        int r;

        r = broker_confine(&(struct broker_jail){.uid = start->uid,
                                                 .gid = start->uid,
                                                 .rootless = start->rootless,
                                                 .kvm = start->kvm != NULL,
                                                 .nofile = vm_config_files(start->config)},
                           &missing, &stage);
        if (r < 0)
                log_error("the broker cannot be confined, and will not run otherwise: stage %s: %s", stage,
                          strerror(-r));
        return r;
}

static int broker_start(struct broker *broker)
{
        const struct broker_start *start = broker->start;
        unsigned n_lanes[LIMIT_WORKERS], n_workers = (unsigned)start->config->n_devices;
        int r = fault_safe_install();

        if (r < 0)
                return r;
        broker->terminated.data = broker;
        r = uv_signal_init(&broker->loop, &broker->terminated);
        if (r == 0)
                r = uv_signal_start(&broker->terminated, on_signal, SIGTERM);
        if (r < 0)
                return r;
        for (size_t i = 0; i < start->config->n_devices; i++)
                n_lanes[i] = start->config->devices[i].n_lanes;
        if (start->kvm)
                n_lanes[n_workers++] = 1; /* the loader's */
        r = spawner_client_new(&broker->loop, start->spawner_fd, n_lanes, n_workers, &spawner_ops, broker,
                               &broker->spawner);
        if (r < 0)
                return r;
        r = start_devices(broker);
        if (r == 0)
                put_behind_iommu(broker);
        return r;
}

/* By the process that will run it, and before the filter, which allows no VM to be made. */
static int create_vm(const struct broker_start *start)
{
        char why[512];
        int r = kvm_front_create(start->kvm, why, sizeof(why));

        if (r < 0)
                log_error("the VM cannot be made: %s", why);
        return r;
}

int broker_run(const struct broker_start *start)
{
        struct broker broker = {.start = start, .spawner_pid = getppid()};
        int r;

        r = place_host_open();
        if (r < 0)
                log_warning("what others use of the CPUs cannot be seen (%s): placement is free",
                            strerror(-r));
        signal(SIGPIPE, SIG_IGN);
        signal(SIGINT, SIG_IGN); /* the terminal's is for the spawner, which tells us */
        if (uv_loop_init(&broker.loop) < 0 || (start->kvm && create_vm(start) < 0) || confine(start) < 0)
                return EXIT_FAILURE;
        r = broker_start(&broker);
        if (r < 0) {
                log_error("cannot start: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        uv_run(&broker.loop, UV_RUN_DEFAULT);
        r = uv_loop_close(&broker.loop);
        assert(r == 0);
        return broker.exit_code;
}
