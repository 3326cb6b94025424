/* How vCPU 0 begins: one row a boot mode.
 * Owns nothing; called by platform.c on the main thread, before the vCPU's first instruction. TRUST: entry and argument
 * are a loader's words and go into registers; where the guest then fails is its own matter.
 *
 *   Linux, 64-bit (Documentation/x86/boot.rst): long mode, the first 4 GiB mapped to themselves, CS 0x10 and DS 0x18
 *                 flat, interrupts off, rsi = boot_params
 *   PVH (Xen's docs/misc/pvh.pandoc): 32-bit protected mode, no paging, flat segments, ebx = hvm_start_info
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/x86/start.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "proto/base/checked.h"

/* In the first RAM: the GDT's page, then the tables. */
#define GDT           (KVM_X86_BOOT_START)
#define PML4          (GDT + 0x1000u)
#define PDPT          (PML4 + 0x1000u)
#define DIRECTORY     (PDPT + 0x1000u)
#define N_DIRECTORIES 4u /* of 1 GiB each */
static_assert(DIRECTORY + N_DIRECTORIES * 0x1000u <= KVM_X86_BOOT_END, "what the loader keeps free");

#define ENTRIES     512u
#define PAGE_TABLE  0x03u /* present, writable */
#define PAGE_LARGE  0x83u /* ... of 2 MiB */
#define LARGE_BYTES 0x200000u

#define CR0_PE   0x1u
#define CR0_ET   0x10u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define RFLAGS   0x2u

enum {
        SELECTOR_CODE = 0x10,
        SELECTOR_DATA = 0x18,
        SELECTOR_TASK = 0x20,
        N_DESCRIPTORS = 6, /* the task's takes two in long mode */
};

enum {
        TYPE_DATA = 0x3,
        TYPE_CODE = 0xb,
        TYPE_TASK = 0xb, /* busy; not .s */
};

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool wide)
{
        return (struct kvm_segment){.selector = selector,
                                    .limit = 0xffffffff,
                                    .type = type,
                                    .present = 1,
                                    .s = 1,
                                    .g = 1,
                                    .l = wide,
                                    .db = !wide};
}

/* The descriptor of a segment as the processor would load it (Intel SDM 3A, 3.4.5). */
static uint64_t descriptor(const struct kvm_segment *segment)
{
        uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
        uint64_t access = segment->type | (uint64_t)segment->s << 4 | (uint64_t)segment->dpl << 5 |
                          (uint64_t)segment->present << 7 | (uint64_t)segment->l << 13 |
                          (uint64_t)segment->db << 14 | (uint64_t)segment->g << 15;

        return (limit & 0xffff) | (segment->base & 0xffffff) << 16 | access << 40 |
               (limit >> 16 & 0xf) << 48 | (segment->base >> 24 & 0xff) << 56;
}

static int write_gdt(struct guest_memory *memory, const struct kvm_sregs *sregs)
{
        uint64_t gdt[N_DESCRIPTORS] = {0};

        gdt[SELECTOR_CODE / 8] = descriptor(&sregs->cs);
        gdt[SELECTOR_DATA / 8] = descriptor(&sregs->ds);
        gdt[SELECTOR_TASK / 8] = descriptor(&sregs->tr);
        return guest_memory_write(memory, GPA(GDT), gdt, sizeof(gdt));
}

/* One page of entries: entry i is first + i * step, for i < n. */
static int write_table(struct guest_memory *memory, uint64_t at, uint64_t first, uint64_t step, unsigned n)
{
        uint64_t table[ENTRIES] = {0};

        for (unsigned i = 0; i < n; i++)
                table[i] = first + i * step;
        return guest_memory_write(memory, GPA(at), table, sizeof(table));
}

static int write_tables(struct guest_memory *memory)
{
        int r = write_table(memory, PML4, PDPT | PAGE_TABLE, 0, 1);

        if (r == 0)
                r = write_table(memory, PDPT, DIRECTORY | PAGE_TABLE, 0x1000, N_DIRECTORIES);
        for (unsigned i = 0; r == 0 && i < N_DIRECTORIES; i++)
                r = write_table(memory, DIRECTORY + i * 0x1000ull,
                                (uint64_t)i * ENTRIES * LARGE_BYTES | PAGE_LARGE, LARGE_BYTES, ENTRIES);
        return r;
}

static void set_segments(struct kvm_sregs *sregs, bool wide)
{
        sregs->cs = flat(SELECTOR_CODE, TYPE_CODE, wide);
        sregs->ds = flat(SELECTOR_DATA, TYPE_DATA, false);
        sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
        sregs->tr =
            (struct kvm_segment){.selector = SELECTOR_TASK, .limit = 0x67, .type = TYPE_TASK, .present = 1};
        sregs->gdt.base = GDT;
        sregs->gdt.limit = N_DESCRIPTORS * 8 - 1;
        sregs->idt.base = 0;
        sregs->idt.limit = 0;
}

static int linux64(struct guest_memory *memory, const struct kvm_boot *boot, struct kvm_sregs *sregs,
                   struct kvm_regs *regs)
{
        set_segments(sregs, true);
        sregs->cr0 = CR0_PE | CR0_ET | CR0_PG;
        sregs->cr3 = PML4;
        sregs->cr4 = CR4_PAE;
        sregs->efer = EFER_LME | EFER_LMA;
        regs->rsi = boot->arg;
        return write_tables(memory);
}

static int pvh(struct guest_memory *memory, const struct kvm_boot *boot, struct kvm_sregs *sregs,
               struct kvm_regs *regs)
{
        (void)memory;
        set_segments(sregs, false);
        sregs->cr0 = CR0_PE | CR0_ET;
        sregs->cr4 = 0;
        sregs->efer = 0;
        regs->rbx = boot->arg;
        return 0;
}

static const struct mode_row {
        enum kvm_boot_mode mode;
        int (*make)(struct guest_memory *memory, const struct kvm_boot *boot, struct kvm_sregs *sregs,
                    struct kvm_regs *regs);
} modes[] = {
    {KVM_BOOT_LINUX64, linux64},
    {KVM_BOOT_PVH, pvh},
};

int start_vcpu(int vcpu_fd, struct guest_memory *memory, const struct kvm_boot *boot)
{
        struct kvm_regs regs = {.rip = boot->entry, .rflags = RFLAGS};
        struct kvm_sregs sregs;
        const struct mode_row *mode = NULL;
        int r;

        for (size_t i = 0; i < array_size(modes); i++) {
                if (modes[i].mode == boot->mode)
                        mode = &modes[i];
        }
        if (!mode)
                return -EINVAL;
        if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
                return -errno;
        r = mode->make(memory, boot, &sregs, &regs);
        if (r == 0)
                r = write_gdt(memory, &sregs);
        if (r == 0 && (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0))
                r = -errno;
        return r;
}
