/* Three devices beneath the front end's memory in a VM of the real /dev/kvm.
 * Owns all of it. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/front_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <errno.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/own_fds.h"

struct real_vm real;
struct real_vcpu vcpu;
uv_loop_t loop;
struct kvm_bus *bus;
static struct kvm_calls *calls;
static struct kvm_ending ending;
struct front_memory *memory;
struct front_fault fault;
struct device devices[DEVICES];
struct front_device fronts[DEVICES];
struct shmem_mapping mappings[LIMIT_KVM_SLOTS + 1];
static unsigned fds_before;
int file;

struct front_told shown, failed, ended;
struct front_placed placed[8];
unsigned n_placed;

const struct kvm_regions regions = {.n = 3,
                                    .at = {{.device = A, .shmid = 7, .start = A_AT, .len = A_LEN},
                                           {.device = A, .shmid = 200, .start = A_SECOND, .len = 2 * MIB},
                                           {.device = C, .shmid = 1, .start = C_AT, .len = 2 * MIB}}};

/* What a front end tells a device. */
void __wrap_device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error);
void __wrap_device_shmem_failed(struct device *device, struct shmem_mapping *mapping);
void __wrap_device_shmem_ended(struct device *device, struct shmem_mapping *mapping);
void __wrap_device_place_region(struct device *device, uint8_t shmid, uint64_t gpa);

void __wrap_device_place_region(struct device *device, uint8_t shmid, uint64_t gpa)
{
        assert_true(n_placed < array_size(placed));
        placed[n_placed].device = device;
        placed[n_placed].shmid = shmid;
        placed[n_placed++].gpa = gpa;
}

void __wrap_device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error)
{
        shown.device = device;
        shown.mapping = mapping;
        shown.error = error;
        shown.n++;
}

void __wrap_device_shmem_failed(struct device *device, struct shmem_mapping *mapping)
{
        failed.device = device;
        failed.mapping = mapping;
        failed.n++;
}

void __wrap_device_shmem_ended(struct device *device, struct shmem_mapping *mapping)
{
        ended.device = device;
        ended.mapping = mapping;
        ended.n++;
}

static void on_ended(void *context, enum kvm_end end, const char *why)
{
        (void)context;
        (void)end;
        fail_msg("the VM has ended: %s", why);
}

static bool on_missing(void *context, uint64_t gpa)
{
        (void)context;
        return front_fault_missing(&fault, gpa);
}

/* ---- life ---- */

void open_device(unsigned i)
{
        const struct front_place place = {.vm = real.vm,
                                          .bus = bus,
                                          .calls = calls,
                                          .memory = memory,
                                          .index = i,
                                          .refuses = i == C,
                                          .address = kvm_layout_device(&real.layout, i),
                                          .gsi = kvm_layout_gsi(&real.layout, i)};

        fake_device_init(&devices[i]);
        assert_int_equal(front_device_open(&fronts[i], &devices[i], &place), 0);
}

int front_setup(void **state)
{
        struct front_memory_place place = {.bus = bus = kvm_bus_new(),
                                           .ending = &ending,
                                           .layout = &real.layout,
                                           .regions = &regions,
                                           .missing = on_missing};

        (void)state;
        assert_int_equal(uv_loop_init(&loop), 0);
        fds_before = count_fds();
        file = memfd_create("region", MFD_CLOEXEC);
        assert_int_equal(ftruncate(file, FILE_LEN), 0);
        real_vm_init(&real);
        real.layout.n_devices = DEVICES;
        real.layout.shmem = (struct kvm_range){SHMEM, SHMEM_LEN};
        ending = (struct kvm_ending){.ended = on_ended};
        assert_int_equal(ioctl(kvm_vm_fd(real.vm), KVM_CREATE_IRQCHIP, 0ul), 0);
        real_vcpu_init(&vcpu, &real);
        assert_int_equal(kvm_calls_new(&loop, &calls), 0);
        place.loop = &loop;
        place.vm = real.vm;
        place.calls = calls;
        assert_int_equal(front_memory_new(&place, &memory), 0);
        fault = (struct front_fault){
            .memory = memory, .calls = calls, .ram = kvm_vm_memory(real.vm), .range = real.layout.shmem};
        n_placed = 0;
        for (unsigned i = 0; i < DEVICES; i++)
                open_device(i);
        memset(&shown, 0, sizeof(shown));
        memset(&failed, 0, sizeof(failed));
        memset(&ended, 0, sizeof(ended));
        return 0;
}

int front_teardown(void **state)
{
        (void)state;
        for (unsigned i = 0; i < DEVICES; i++) {
                front_device_close(&fronts[i]);
                fake_device_done(&devices[i]);
        }
        memory = front_memory_free(memory);
        kvm_calls_free(calls);
        uv_run(&loop, UV_RUN_DEFAULT);
        bus = kvm_bus_free(bus);
        real_vcpu_done(&vcpu);
        real_vm_done(&real);
        close(file);
        assert_int_equal(count_fds(), fds_before);
        return uv_loop_close(&loop);
}

/* ---- what a device does ---- */

struct shmem_mapping *mapping_made(uint8_t shmid, uint64_t offset, uint64_t len, bool writable)
{
        struct shmem_mapping *mapping = mappings;

        while (mapping->window)
                mapping++;
        *mapping = (struct shmem_mapping){.shmid = shmid,
                                          .writable = writable,
                                          .offset = offset,
                                          .len = len,
                                          .fd = file,
                                          .fd_offset = offset};
        assert_int_equal(guest_mapping_new(file, 0, FILE_LEN, true, &mapping->window), 0);
        mapping->host = (uint8_t *)guest_mapping_base(mapping->window) + offset;
        return mapping;
}

void unmap(struct shmem_mapping *mapping)
{
        mapping->window = guest_mapping_unref(mapping->window);
}

struct shmem_mapping *show(unsigned device, uint8_t shmid, uint64_t offset, uint64_t len, bool writable)
{
        struct shmem_mapping *mapping = mapping_made(shmid, offset, len, writable);
        const struct device_front *front = &devices[device].front;

        assert_true(front->shmem_show(front->context, mapping));
        return mapping;
}

void hide(unsigned device, struct shmem_mapping *mapping)
{
        const struct device_front *front = &devices[device].front;

        front->shmem_hide(front->context, mapping);
        unmap(mapping);
}

uint8_t file_byte(uint64_t at)
{
        uint8_t byte;

        assert_int_equal(pread(file, &byte, 1, (off_t)at), 1);
        return byte;
}

void file_put(uint64_t at, uint8_t byte)
{
        assert_int_equal(pwrite(file, &byte, 1, (off_t)at), 1);
}

bool reaches(unsigned device, uint64_t at, bool write)
{
        uint8_t byte = 0;

        return write ? guest_memory_write(devices[device].memory, GPA(at), &byte, 1) == 0
                     : guest_memory_read(devices[device].memory, GPA(at), &byte, 1) == 0;
}

/* ---- what a guest does ---- */

/* As vCPU threads do, to the end of one access. Returns the last exit. */
static int serve_exits(void)
{
        int reason = 0;

        while ((reason = real_vcpu_run(&vcpu)) != KVM_EXIT_IO) {
                if (reason == KVM_EXIT_MMIO)
                        kvm_bus_access(bus, KVM_SPACE_MMIO, vcpu.run->mmio.phys_addr, vcpu.run->mmio.len,
                                       vcpu.run->mmio.is_write, vcpu.run->mmio.data);
                else if (reason != -EFAULT || !front_fault_serve(&fault, vcpu.fd, NULL))
                        break;
        }
        return reason;
}

static uv_async_t done;
static int last_exit;

static void on_done(uv_async_t *async)
{
        uv_close((uv_handle_t *)async, NULL);
}

static void (*vcpu_does)(void);

static void vcpu_main(void *argument)
{
        (void)argument;
        vcpu_does();
        uv_async_send(&done);
}

void on_thread(void (*function)(void))
{
        uv_thread_t thread;

        vcpu_does = function;
        assert_int_equal(uv_async_init(&loop, &done, on_done), 0);
        assert_int_equal(uv_thread_create(&thread, vcpu_main, NULL), 0);
        while (!uv_is_closing((uv_handle_t *)&done))
                uv_run(&loop, UV_RUN_ONCE);
        uv_thread_join(&thread);
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void serve_access(void)
{
        last_exit = serve_exits();
}

static void run_access(void)
{
        on_thread(serve_access);
        assert_int_equal(last_exit, KVM_EXIT_IO);
        assert_int_equal(vcpu.run->io.port, DONE_PORT);
}

uint8_t guest_read(uint32_t at)
{
        real_vcpu_load(&vcpu, &real, CODE_READ8, at, 0);
        run_access();
        return *((uint8_t *)vcpu.run + vcpu.run->io.data_offset);
}

void guest_write(uint32_t at, uint8_t byte)
{
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, at, byte);
        run_access();
}

uint64_t guest_register(unsigned device, uint32_t low)
{
        uint8_t bytes[8] = {0};
        uint64_t value = 0;

        virtio_mmio_access(fronts[device].mmio, low, 4, false, bytes);
        virtio_mmio_access(fronts[device].mmio, low + 4, 4, false, bytes + 4);
        for (unsigned i = 8; i-- > 0;)
                value = value << 8 | bytes[i];
        return value;
}

void guest_select(unsigned device, uint8_t shmid)
{
        uint8_t bytes[8] = {shmid};

        virtio_mmio_access(fronts[device].mmio, VIRTIO_MMIO_SHM_SEL, 4, true, bytes);
}
