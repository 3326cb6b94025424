/* Says what this host's KVM can do, and whether VMs of given sizes can be made on it; makes each, and lets a guest write
 * its last bytes.
 *
 *      kvm_probe [memory=MIB[,shmem=MIB]]...
 *
 * One line for the host, one for each VM, "done" at the end. As the first process of a machine it switches that off
 * afterwards: it is static and needs /dev/kvm and a console, so that it can be all there is of a machine's user space.
 * Owns each VM while it is looked at. Called by tests/kvm/test_widths.py, and by hand.
 * TRUST: its arguments are its caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "broker/kvm/vm.h"
#include "broker/kvm/width.h"
#include "tests/kvm/kvm_touch.h"

#define MIB (UINT64_C(1) << 20)

struct shape {
        uint64_t memory, shmem_len;
};

static bool shape_parse(const char *text, struct shape *ret_shape)
{
        unsigned long long memory, shmem = 0;

        if (sscanf(text, "memory=%llu,shmem=%llu", &memory, &shmem) < 1)
                return false;
        *ret_shape = (struct shape){.memory = memory * MIB, .shmem_len = shmem * MIB};
        return true;
}

/* What KVM itself says of a page right behind the last address that the VM was made for. */
static const char *beyond_try(const struct kvm_vm *vm, unsigned bits, void *page, uint64_t page_size)
{
        struct kvm_userspace_memory_region region = {.slot = 100,
                                                     .guest_phys_addr = 1ull << bits,
                                                     .memory_size = page_size,
                                                     .userspace_addr = (uintptr_t)page};

        return ioctl(kvm_vm_fd(vm), KVM_SET_USER_MEMORY_REGION, &region) < 0 ? strerrorname_np(errno)
                                                                             : "accepted";
}

/* The VM's last bytes: those of RAM, or of a page at the end of the shared memory regions. */
static int last_bytes(struct kvm_vm *vm, const struct kvm_layout *layout, uint8_t *page, uint64_t page_size,
                      const uint32_t **ret_last)
{
        uint32_t slot;

        if (layout->shmem.len > 0) {
                *ret_last = (const uint32_t *)(const void *)(page + page_size - 4);
                return kvm_vm_slot_add(vm, layout->end - page_size, page_size, page, 0, &slot);
        }
        /* x86_64: with little memory, what ends last is the platform. */
        *ret_last = guest_memory_ring(kvm_vm_memory(vm), GPA(layout->end - 4), 4, 4, false);
        return 0;
}

static void vm_try(struct kvm_vm *vm, const struct kvm_host *host, const struct kvm_layout *layout,
                   unsigned bits)
{
        uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
        uint8_t *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const uint32_t *last = NULL;
        char touched[96];
        int r;

        if (page == MAP_FAILED) {
                printf(" no memory\n");
                return;
        }
        r = last_bytes(vm, layout, page, page_size, &last);
        kvm_touch(kvm_vm_fd(vm), host->vcpu_mmap_size, kvm_vm_memory(vm), layout, last, touched,
                  sizeof(touched));
        printf(" slot=%s touch=%s beyond=%s\n", r < 0 ? strerrorname_np(-r) : "ok", touched,
               beyond_try(vm, bits, page, page_size));
        /* The page stays mapped until the VM is gone. */
}

static void shape_try(const struct kvm_host *host, const struct shape *shape)
{
        struct kvm_layout layout;
        struct kvm_vm *vm;
        char why[256];
        unsigned bits;

        printf("memory=%" PRIu64 " shmem=%" PRIu64, shape->memory / MIB, shape->shmem_len / MIB);
        if (kvm_layout_make(KVM_ARCH_HERE, shape->memory, 1, 1, shape->shmem_len, &layout, why, sizeof(why)) <
            0) {
                printf(" senseless: %s\n", why);
                return;
        }
        printf(" end=0x%" PRIx64, layout.end);
        if (kvm_width_judge(&layout, host->width, host->width_known, &bits, why, sizeof(why)) < 0) {
                printf(" refused: %s\n", why);
                return;
        }
        printf(" bits=%u", bits);
        if (kvm_vm_new(host, &layout, bits, &vm, why, sizeof(why)) < 0) {
                printf(" failed: %s\n", why);
                return;
        }
        printf(" made");
        vm_try(vm, host, &layout, bits);
        (void)kvm_vm_free(vm);
}

static int probe(int argc, char **argv)
{
        struct kvm_host host;
        char why[256];
        int fd = kvm_host_open(why, sizeof(why));

        if (fd < 0 || kvm_host_probe(fd, &host, why, sizeof(why)) < 0) {
                printf("kvm_probe: %s\n", why);
                return 1;
        }
        printf("kvm_probe: kind=\"%s\" width=%u known=%d vcpus=%u slots=%u memory=%" PRIu64 "\n", host.kind,
               host.width, host.width_known, host.max_vcpus, host.max_memslots, host.memory / MIB);
        for (int i = 1; i < argc; i++) {
                struct shape shape;

                if (!shape_parse(argv[i], &shape)) {
                        printf("kvm_probe: what is \"%s\"? memory=MIB[,shmem=MIB]\n", argv[i]);
                        return 2;
                }
                shape_try(&host, &shape);
        }
        close(fd);
        printf("kvm_probe: done\n");
        return 0;
}

int main(int argc, char **argv)
{
        int status = probe(argc, argv);

        fflush(stdout);
        if (getpid() == 1)
                (void)reboot(RB_POWER_OFF);
        return status;
}
