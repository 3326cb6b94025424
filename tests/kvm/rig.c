/* A VM for tests of the machine alone.
 * Owns the VM and all around it; called by tests on their one thread, and by vCPU threads with what they report. TRUST:
 * the guest is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/kvm/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define START_INFO 0x90000u
#define CMDLINE    0x91000u

/* Xen's hvm_start_info, version 1. */
struct start_info {
        uint32_t magic, version, flags, n_modules;
        uint64_t modules, cmdline, rsdp, memory_map;
        uint32_t n_memory_map, reserved;
};

const char *rig_missing(void)
{
        static char why[96];
        int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

        if (fd < 0) {
                snprintf(why, sizeof(why), "no /dev/kvm: %s", strerror(errno));
                return why;
        }
        close(fd);
        return NULL;
}

/* ---- what vCPUs report ---- */

static void on_ended(void *context, enum kvm_end end, const char *why)
{
        struct rig *rig = context;

        pthread_mutex_lock(&rig->mutex);
        rig->ended = true;
        rig->end = end;
        snprintf(rig->why, sizeof(rig->why), "%s", why);
        pthread_cond_broadcast(&rig->changed);
        pthread_mutex_unlock(&rig->mutex);
}

static void on_paused(void *context)
{
        struct rig *rig = context;

        pthread_mutex_lock(&rig->mutex);
        rig->n_paused++;
        pthread_cond_broadcast(&rig->changed);
        pthread_mutex_unlock(&rig->mutex);
}

static void on_left(void *context)
{
        struct rig *rig = context;

        pthread_mutex_lock(&rig->mutex);
        rig->left = true;
        pthread_cond_broadcast(&rig->changed);
        pthread_mutex_unlock(&rig->mutex);
}

static bool on_memory_fault(void *context, int vcpu_fd, const uint64_t *gpa)
{
        struct rig *rig = context;

        (void)vcpu_fd;
        return rig->memory_fault && rig->memory_fault(context, gpa);
}

static void on_stuck(void *context, unsigned index, int vcpu_fd, unsigned looks)
{
        struct rig *rig = context;

        (void)index;
        (void)vcpu_fd;
        if (looks == 0)
                fail_msg("nobody has stood yet");
        atomic_fetch_add(&rig->n_stuck, 1);
}

/* ---- life ---- */

static void must(int r, const char *what)
{
        if (r < 0)
                fail_msg("%s: %s", what, strerror(-r));
}

static void add_ram(struct rig *rig)
{
        struct guest_memory *empty = guest_memory_new();
        struct guest_region region = {.start = GPA(0), .len = RIG_RAM, .writable = true};
        struct kvm_userspace_memory_region slot = {.memory_size = RIG_RAM};
        int fd = memfd_create("ram", MFD_CLOEXEC);

        assert_int_equal(ftruncate(fd, RIG_RAM), 0);
        must(guest_mapping_new(fd, 0, RIG_RAM, true, &region.mapping), "mapping");
        close(fd);
        must(guest_memory_with(empty, &region, &rig->memory), "region");
        guest_mapping_unref(region.mapping);
        guest_memory_unref(empty);
        slot.userspace_addr = (uint64_t)guest_memory_ring(rig->memory, GPA(0), RIG_RAM, 1, true);
        must(ioctl(rig->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0, "slot");
}

/* BULKHEAD_TEST_GUEST: elsewhere than where it was built. */
static const char *guest_path(void)
{
        const char *elsewhere = getenv("BULKHEAD_TEST_GUEST");

        return elsewhere ? elsewhere : TEST_GUEST;
}

void rig_open(struct rig *rig, unsigned n_vcpus)
{
        struct kvm_platform_options platform = {.n_vcpus = n_vcpus};
        struct kvm_vcpus_options vcpus = {.n = n_vcpus,
                                          .memory_fault = on_memory_fault,
                                          .stuck = on_stuck,
                                          .paused = on_paused,
                                          .left = on_left};
        char why[256] = "";

        memset(rig, 0, sizeof(*rig));
        pthread_mutex_init(&rig->mutex, NULL);
        pthread_cond_init(&rig->changed, NULL);
        rig->ending = (struct kvm_ending){.ended = on_ended, .context = rig};
        assert_int_equal(pipe2(rig->to_guest, O_CLOEXEC), 0);
        assert_int_equal(pipe2(rig->from_guest, O_CLOEXEC), 0);
        rig->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        rig->vm_fd = ioctl(rig->kvm_fd, KVM_CREATE_VM, 0);
        assert_true(rig->vm_fd >= 0);
        add_ram(rig);
        must(elf_load(guest_path(), rig->memory, &rig->entries), guest_path());
        rig->bus = kvm_bus_new();
        platform.kvm_fd = vcpus.kvm_fd = rig->kvm_fd;
        platform.vm_fd = vcpus.vm_fd = rig->vm_fd;
        platform.memory = rig->memory;
        platform.bus = vcpus.bus = rig->bus;
        platform.ending = vcpus.ending = &rig->ending;
        platform.serial_out = rig->from_guest[1];
        platform.serial_in = rig->to_guest[0];
        must(kvm_platform_new(&platform, &rig->platform, why, sizeof(why)), why);
        vcpus.platform = rig->platform;
        vcpus.context = rig;
        must(kvm_vcpus_new(&vcpus, &rig->vcpus, why, sizeof(why)), why);
}

void rig_boot(struct rig *rig, enum kvm_boot_mode mode, const char *cmdline)
{
        struct start_info info = {.magic = 0x336ec578, .version = 1, .cmdline = CMDLINE};
        struct kvm_boot boot = {.mode = mode, .arg = START_INFO};
        char why[256] = "";

        boot.entry = mode == KVM_BOOT_PVH ? rig->entries.pvh : rig->entries.linux64;
        must(guest_memory_write(rig->memory, GPA(START_INFO), &info, sizeof(info)), "start info");
        must(guest_memory_write(rig->memory, GPA(CMDLINE), cmdline, strlen(cmdline) + 1), "command line");
        must(kvm_vcpus_start(rig->vcpus, &boot, why, sizeof(why)), why);
}

void rig_close(struct rig *rig)
{
        kvm_vcpus_free(rig->vcpus);
        kvm_platform_free(rig->platform);
        kvm_bus_free(rig->bus);
        close(rig->vm_fd);
        close(rig->kvm_fd);
        guest_memory_unref(rig->memory);
        for (unsigned i = 0; i < 2; i++) {
                close(rig->to_guest[i]);
                close(rig->from_guest[i]);
        }
        pthread_cond_destroy(&rig->changed);
        pthread_mutex_destroy(&rig->mutex);
}

/* ---- waiting ---- */

void rig_wait_output(struct rig *rig, const char *text)
{
        while (!strstr(rig->output, text)) {
                struct pollfd polled = {.fd = rig->from_guest[0], .events = POLLIN};
                ssize_t n;

                if (poll(&polled, 1, RIG_WAIT_S * 1000) <= 0)
                        fail_msg("waited for \"%s\", the guest said \"%s\"; %s", text, rig->output, rig->why);
                n = read(rig->from_guest[0], rig->output + rig->n_output, RIG_OUTPUT - 1 - rig->n_output);
                assert_true(n > 0);
                rig->n_output += (size_t)n;
                if (strstr(rig->output, "FAIL") && strchr(strstr(rig->output, "FAIL"), '\n'))
                        fail_msg("the guest says \"%s\"", rig->output);
        }
}

/* The mutex is held. */
static void wait_changed(struct rig *rig, const char *what)
{
        struct timespec at;

        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec += RIG_WAIT_S;
        if (pthread_cond_timedwait(&rig->changed, &rig->mutex, &at) != 0) {
                struct kvm_vcpus_stats stats;

                pthread_mutex_unlock(&rig->mutex);
                kvm_vcpus_stats(rig->vcpus, &stats);
                fail_msg("waited for %s in vain after %llu exits", what, (unsigned long long)stats.exits);
        }
}

void rig_wait_end(struct rig *rig, enum kvm_end end)
{
        pthread_mutex_lock(&rig->mutex);
        while (!rig->ended)
                wait_changed(rig, "an end");
        pthread_mutex_unlock(&rig->mutex);
        if (rig->end != end)
                fail_msg("ended otherwise: %s", rig->why);
}

void rig_wait_paused(struct rig *rig, unsigned times)
{
        pthread_mutex_lock(&rig->mutex);
        while (rig->n_paused < times)
                wait_changed(rig, "a pause");
        pthread_mutex_unlock(&rig->mutex);
}

void rig_wait_left(struct rig *rig)
{
        pthread_mutex_lock(&rig->mutex);
        while (!rig->left)
                wait_changed(rig, "the threads' end");
        pthread_mutex_unlock(&rig->mutex);
}
