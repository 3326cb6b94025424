/* Owns /dev/kvm until the VM is made, then the VM and all that stands in it. Called by main.c and broker.c. TRUST: the
 * configuration was judged; what guests and loaders say is judged by bus, virtio_mmio.c and boot.c.
 *
 * How it works: a VM ends when somebody reports it (ending.h), on any thread; the first reason is kept and the main
 * loop woken. To stop, calls are closed first, so that no vCPU waits for the main thread, then the vCPUs are asked to
 * leave; when the last one has said so, the loop is woken and everything is taken down in the order in which it was
 * built.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/kvm_front.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kvm/boot.h"
#include "broker/kvm/bus.h"
#include "broker/kvm/calls.h"
#include "broker/kvm/front_device.h"
#include "broker/kvm/front_fault.h"
#include "broker/kvm/front_memory.h"
#include "broker/kvm/host.h"
#include "broker/kvm/layout.h"
#include "broker/kvm/platform.h"
#include "broker/kvm/regions.h"
#include "broker/kvm/vcpu.h"
#include "broker/kvm/vm.h"
#include "broker/kvm/width.h"
#include "broker/kvm/windows.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/vm_config_memory.h"

#define STATUS_DRIVER_OK 4u /* virtio 1.3, 2.1 */

#define WHY_BYTES 512u /* registers of a crashed vCPU included */

enum front_state {
        FRONT_PREPARED = 0, /* create leaves it */
        FRONT_CREATED,      /* start leaves it */
        FRONT_LOADING,      /* until the loader is dead */
        FRONT_RUNNING,      /* until stop */
        FRONT_STOPPING,     /* until no vCPU is left */
        FRONT_STOPPED,
};

struct kvm_front {
        const struct vm_config *config;
        enum front_state state;
        int kvm_fd; /* until the VM is made */
        struct kvm_host host;
        struct kvm_layout layout;
        struct kvm_regions regions;
        unsigned width_bits;
        struct kvm_vm *vm;
        struct kvm_bus *bus;
        struct kvm_platform *platform;
        struct kvm_vcpus *vcpus;
        struct kvm_ending ending;
        struct kvm_front_start start;
        struct kvm_calls *calls;
        struct front_memory *memory;
        struct front_fault fault;                  /* of vCPU threads */
        struct front_search searches[LIMIT_VCPUS]; /* each its vCPU's thread's */
        struct boot *boot;
        uv_async_t woken;     /* by a report, or by the last vCPU that leaves */
        atomic_bool left;     /* no vCPU's thread will do anything more */
        atomic_bool reported; /* end and why are there */
        enum kvm_end end;
        char why[WHY_BYTES];
        bool awake; /* `woken` exists */
        bool told;  /* `ended` has been called */
        bool down;  /* nothing stands any more */
        void (*stopped)(void *context);
        void *stopped_context;
        struct front_device devices[LIMIT_DEVICES];
};

/* ---- before there is a VM ---- */

static int front_judge(struct kvm_front *front, char *why, size_t size)
{
        const struct vm_config *config = front->config;
        size_t held;
        int r = kvm_host_probe(front->kvm_fd, &front->host, why, size);

        if (r == 0)
                r = kvm_layout_make(KVM_ARCH_HERE, config->kvm.memory, config->kvm.vcpus,
                                    (unsigned)config->n_devices, kvm_regions_len(config), &front->layout, why,
                                    size);
        if (r == 0)
                r = kvm_windows_judge(config, &front->layout, &held, why, size);
        if (r == 0)
                r = kvm_width_judge(&front->layout, front->host.width, front->host.width_known,
                                    &front->width_bits, why, size);
        if (r == 0)
                r = kvm_host_judge(&front->host, &front->layout, why, size);
        if (r == 0)
                kvm_regions_place(config, &front->layout, &front->regions);
        return r;
}

int kvm_front_prepare(const struct vm_config *config, struct kvm_front **ret_front, char *why, size_t size)
{
        struct kvm_front *front = calloc(1, sizeof(*front));
        int r;

        if (!front) {
                snprintf(why, size, "out of memory");
                return -ENOMEM;
        }
        front->config = config;
        front->kvm_fd = r = kvm_host_open(why, size);
        if (r >= 0)
                r = front_judge(front, why, size);
        if (r < 0) {
                kvm_front_free(front);
                return r;
        }
        *ret_front = front;
        return 0;
}

/* ---- from vCPU threads ---- */

static void on_report(void *context, enum kvm_end end, const char *why)
{
        struct kvm_front *front = context;

        front->end = end;
        snprintf(front->why, sizeof(front->why), "%s", why);
        atomic_store(&front->reported, true);
        uv_async_send(&front->woken);
}

static void on_left(void *context)
{
        struct kvm_front *front = context;

        atomic_store(&front->left, true);
        uv_async_send(&front->woken);
}

/* RAM is the VM's own sealed files, which cannot shrink; what a shared memory region shows can. */
static bool on_memory_fault(void *context, int vcpu_fd, const uint64_t *gpa)
{
        struct kvm_front *front = context;

        return front_fault_serve(&front->fault, vcpu_fd, gpa);
}

static void on_stuck(void *context, unsigned index, int vcpu_fd, unsigned looks)
{
        struct kvm_front *front = context;

        front_fault_look(&front->fault, &front->searches[index], vcpu_fd, looks);
}

static bool on_missing(void *context, uint64_t gpa)
{
        struct kvm_front *front = context;

        return front_fault_missing(&front->fault, gpa);
}

/* ---- making the VM ---- */

static int front_make_vcpus(struct kvm_front *front, char *why, size_t size)
{
        const struct kvm_vcpus_options options = {.kvm_fd = front->kvm_fd,
                                                  .vm_fd = kvm_vm_fd(front->vm),
                                                  .n = front->layout.n_vcpus,
                                                  .platform = front->platform,
                                                  .bus = front->bus,
                                                  .ending = &front->ending,
                                                  .context = front,
                                                  .memory_fault = on_memory_fault,
                                                  .stuck = on_stuck,
                                                  .left = on_left};

        return kvm_vcpus_new(&options, &front->vcpus, why, size);
}

static int front_make_platform(struct kvm_front *front, char *why, size_t size)
{
        const bool stdio = front->config->kvm.serial == VM_SERIAL_STDIO;
        const struct kvm_platform_options options = {.kvm_fd = front->kvm_fd,
                                                     .vm_fd = kvm_vm_fd(front->vm),
                                                     .n_vcpus = front->layout.n_vcpus,
                                                     .memory = kvm_vm_memory(front->vm),
                                                     .bus = front->bus,
                                                     .ending = &front->ending,
                                                     .serial_out = stdio ? STDOUT_FILENO : -1,
                                                     .serial_in = stdio ? STDIN_FILENO : -1};

        return kvm_platform_new(&options, &front->platform, why, size);
}

int kvm_front_create(struct kvm_front *front, char *why, size_t size)
{
        int r;

        assert(front->state == FRONT_PREPARED);
        front->ending.ended = on_report;
        front->ending.context = front;
        front->bus = kvm_bus_new();
        if (!front->bus) {
                snprintf(why, size, "out of memory");
                return -ENOMEM;
        }
        r = kvm_vm_new(&front->host, &front->layout, front->width_bits, &front->vm, why, size);
        if (r == 0)
                r = front_make_platform(front, why, size);
        if (r == 0)
                r = front_make_vcpus(front, why, size);
        if (r < 0)
                return r;
        cleanup_close(&front->kvm_fd);
        front->kvm_fd = -1;
        front->state = FRONT_CREATED;
        return 0;
}

/* ---- the kernel, then the vCPUs ---- */

static void front_tell_end(struct kvm_front *front, enum vm_exit exit, const char *why)
{
        if (front->told || front->state >= FRONT_STOPPING)
                return;
        front->told = true;
        front->start.ended(front->start.context, exit, why);
}

static enum vm_exit front_exit(enum kvm_end end)
{
        switch (end) {
        case KVM_END_SHUTDOWN:
                return VM_EXIT_OK;
        case KVM_END_RESET:
                return VM_EXIT_RESET;
        case KVM_END_CRASH:
                break;
        }
        return VM_EXIT_CRASHED;
}

/* Without a processor's help KVM emulates a kernel, and not all of it: Linux hangs before its first word. What is no Linux
 * may have been made for that. */
static bool front_can_run(const struct kvm_front *front, enum kvm_boot_mode mode, char *why, size_t size)
{
        if (!front->host.software)
                return true;
        if (mode == KVM_BOOT_PVH) {
                log_warning("this KVM (%s) runs guests that are made for it, and no ordinary Linux vm=%s",
                            front->host.kind, front->config->name);
                return true;
        }
        snprintf(why, size,
                 "this KVM (%s) cannot run Linux; use a host whose processor has vmx or svm, or frontend: "
                 "vhost-user",
                 front->host.kind);
        return false;
}

static void on_booted(void *context, const struct boot_entry *entry)
{
        struct kvm_front *front = context;
        const struct kvm_boot boot = {.mode = entry->mode, .entry = entry->entry, .arg = entry->arg};
        char why[WHY_BYTES];
        int r;

        if (!front_can_run(front, entry->mode, why, sizeof(why))) {
                front_tell_end(front, VM_EXIT_FAILED, why);
                return;
        }
        front->state = FRONT_RUNNING;
        r = kvm_vcpus_start(front->vcpus, &boot, why, sizeof(why));
        if (r < 0)
                front_tell_end(front, VM_EXIT_FAILED, why);
        else
                front->start.running(front->start.context);
}

static void on_boot_failed(void *context, const char *why)
{
        front_tell_end(context, VM_EXIT_FAILED, why);
}

static void front_boot_options(const struct kvm_front *front, struct boot_options *ret_options)
{
        const struct kvm_layout *layout = &front->layout;

        *ret_options = (struct boot_options){.arch = layout->arch == KVM_ARCH_X86_64 ? BOOT_ARCH_X86_64
                                                                                     : BOOT_ARCH_ARM64,
                                             .n_vcpus = layout->n_vcpus,
                                             .n_ram = layout->n_ram,
                                             .devices_start = layout->devices_start,
                                             .n_devices = layout->n_devices,
                                             .gic = kvm_platform_gic(front->platform)};
        for (unsigned i = 0; i < layout->n_ram; i++)
                ret_options->ram[i] =
                    (struct boot_range){.start = layout->ram[i].start, .len = layout->ram[i].len};
        for (unsigned i = 0; i < layout->n_devices; i++)
                ret_options->interrupt[i] = kvm_layout_gsi(layout, i);
        kvm_windows_pools(front->config, layout, ret_options);
        ret_options->iommu = vm_config_iommu(front->config, &ret_options->endpoints);
        strcpy(ret_options->cmdline, front->config->boot.cmdline);
}

static int front_load(struct kvm_front *front)
{
        struct boot_options options;
        const struct boot_start start = {.loop = front->start.loop,
                                         .spawner = front->start.spawner,
                                         .index = front->start.loader,
                                         .name = front->config->name,
                                         .options = &options,
                                         .memory = kvm_vm_memory(front->vm),
                                         .context = front,
                                         .booted = on_booted,
                                         .failed = on_boot_failed};

        front_boot_options(front, &options);
        return boot_new(&start, &front->boot);
}

static const enum guest_format guest_formats[DEVICE_LEGACY_COUNT_] = {
    [DEVICE_LEGACY_OFF] = GUEST_MODERN,
    [DEVICE_LEGACY_ONLY] = GUEST_LEGACY_LITTLE,
    [DEVICE_LEGACY_ONLY_BIG] = GUEST_LEGACY_BIG,
};

/* One whose workers crashed at start is a hole in the bus: the VM has begun without it. */
static int front_open_devices(struct kvm_front *front)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < front->start.n_devices; i++) {
                if (!device_is_ready(front->start.devices[i]))
                        continue;
                const struct front_place place = {.vm = front->vm,
                                                  .bus = front->bus,
                                                  .calls = front->calls,
                                                  .memory = front->memory,
                                                  .index = (unsigned)i,
                                                  .refuses = front->config->devices[i].shmem.foreign_dma ==
                                                             FOREIGN_DMA_REFUSE,
                                                  .format = guest_formats[front->config->devices[i].legacy],
                                                  .confined = front->config->devices[i].memory.n_windows > 0,
                                                  .address = kvm_layout_device(&front->layout, (unsigned)i),
                                                  .gsi = kvm_layout_gsi(&front->layout, (unsigned)i)};

                r = front_device_open(&front->devices[i], front->start.devices[i], &place);
                if (r < 0)
                        log_error("the device cannot be put on its bus dev=%s: %s",
                                  device_name(front->start.devices[i]), strerror(-r));
        }
        return r;
}

/* ---- the end ---- */

static void on_woken_closed(uv_handle_t *handle)
{
        struct kvm_front *front = handle->data;

        front->state = FRONT_STOPPED;
        front->stopped(front->stopped_context);
}

static void on_looked(void *context)
{
        struct kvm_front *front = context;

        if (front->state == FRONT_RUNNING)
                kvm_vcpus_look(front->vcpus);
}

static int front_make_memory(struct kvm_front *front)
{
        const struct front_memory_place place = {.loop = front->start.loop,
                                                 .vm = front->vm,
                                                 .bus = front->bus,
                                                 .calls = front->calls,
                                                 .ending = &front->ending,
                                                 .layout = &front->layout,
                                                 .regions = &front->regions,
                                                 .context = front,
                                                 .looked = on_looked,
                                                 .missing = on_missing};
        int r = front_memory_new(&place, &front->memory);

        if (r == 0)
                front->fault = (struct front_fault){.memory = front->memory,
                                                    .calls = front->calls,
                                                    .ram = kvm_vm_memory(front->vm),
                                                    .range = front->layout.shmem};
        return r;
}

/* What this VM has cost: exits are for what the kernel could not do alone. */
static void front_log_counts(const struct kvm_front *front)
{
        struct kvm_vcpus_stats vcpus;

        kvm_vcpus_stats(front->vcpus, &vcpus);
        if (vcpus.exits == 0)
                return;
        log_info("exits=%" PRIu64 " mmio=%" PRIu64 " pio=%" PRIu64 " signals=%" PRIu64 " faults=%" PRIu64
                 " holes=%" PRIu64,
                 vcpus.exits, vcpus.mmio, vcpus.pio, vcpus.signals, vcpus.faults,
                 front_memory_holes(front->memory));
        for (size_t i = 0; i < front->start.n_devices; i++)
                front_device_log(&front->devices[i]);
}

static void front_take_down(struct kvm_front *front)
{
        front->down = true;
        front_log_counts(front);
        front->vcpus = kvm_vcpus_free(front->vcpus);
        for (size_t i = 0; i < front->start.n_devices; i++)
                front_device_close(&front->devices[i]);
        front->memory = front_memory_free(front->memory);
        front->calls = kvm_calls_free(front->calls);
        uv_close((uv_handle_t *)&front->woken, on_woken_closed);
}

static void on_woken(uv_async_t *handle)
{
        struct kvm_front *front = handle->data;

        if (atomic_load(&front->reported))
                front_tell_end(front, front_exit(front->end), front->why);
        if (front->state == FRONT_STOPPING && atomic_load(&front->left) && !front->down)
                front_take_down(front);
}

static int front_wake_by(struct kvm_front *front, uv_loop_t *loop)
{
        int r = uv_async_init(loop, &front->woken, on_woken);

        front->woken.data = front;
        front->awake = r == 0;
        return r;
}

int kvm_front_start(struct kvm_front *front, const struct kvm_front_start *start)
{
        int r;

        assert(front->state == FRONT_CREATED);
        front->start = *start;
        r = front_wake_by(front, start->loop);
        if (r == 0)
                r = kvm_calls_new(start->loop, &front->calls);
        if (r == 0)
                r = front_make_memory(front);
        if (r < 0)
                return r;
        front->state = FRONT_LOADING;
        r = front_open_devices(front);
        return r < 0 ? r : front_load(front);
}

/* Without vCPUs that run there is nothing to wait for, but `stopped` comes from the loop all the same. */
void kvm_front_stop(struct kvm_front *front, uv_loop_t *loop, void (*stopped)(void *context), void *context)
{
        bool runs = front->state == FRONT_RUNNING;

        assert(front->state < FRONT_STOPPING);
        front->stopped = stopped;
        front->stopped_context = context;
        front->state = FRONT_STOPPING;
        front->boot = boot_free(front->boot);
        if (!front->awake && front_wake_by(front, loop) < 0) {
                log_error("out of descriptors at the end");
                abort();
        }
        if (front->calls)
                kvm_calls_close(front->calls);
        if (runs)
                kvm_vcpus_stop(front->vcpus);
        else
                on_left(front);
}

struct kvm_front *kvm_front_free(struct kvm_front *front)
{
        if (!front)
                return NULL;
        assert(front->state <= FRONT_CREATED || front->state == FRONT_STOPPED);
        front->vcpus = kvm_vcpus_free(front->vcpus);
        front->platform = kvm_platform_free(front->platform);
        front->vm = kvm_vm_free(front->vm);
        front->bus = kvm_bus_free(front->bus);
        if (front->kvm_fd > 0)
                close(front->kvm_fd);
        free(front);
        return NULL;
}

/* ---- from the spawner ---- */

void kvm_front_spawned(struct kvm_front *front, struct spawned_worker *worker)
{
        if (front->boot)
                boot_spawned(front->boot, worker);
}

void kvm_front_spawn_failed(struct kvm_front *front, int error, const char *reason)
{
        (void)error;
        if (front->boot)
                boot_spawn_failed(front->boot, reason);
}

void kvm_front_exited(struct kvm_front *front, const struct spawn_to_broker *exited)
{
        if (front->boot)
                boot_exited(front->boot, exited);
}

void kvm_front_spawner_gone(struct kvm_front *front)
{
        if (front->boot)
                boot_spawner_gone(front->boot);
}

bool kvm_front_is_booting(const struct kvm_front *front, uint64_t *ret_loaded)
{
        *ret_loaded = front->boot ? boot_loaded(front->boot) : 0;
        return front->state < FRONT_RUNNING;
}

bool kvm_front_driven(const struct kvm_front *front, size_t device)
{
        struct virtio_mmio_counters counters;

        if (front->state != FRONT_RUNNING || device >= front->start.n_devices || !front->devices[device].mmio)
                return false;
        virtio_mmio_count(front->devices[device].mmio, &counters);
        return counters.status & STATUS_DRIVER_OK;
}
