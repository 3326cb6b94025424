/* Ring 0 of the test guest: descriptor tables, traps, and the two services that the body asks for.
 * Owns the tables and stacks; called by entry.S. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/guest.h"

#include <stddef.h>

#define USER_STACK 16384u
#define N_GATES    64u
#define UD2        6u

struct frame {
        uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
        uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Ports are open to ring 3: an interrupt map of zeros, and the byte of ones behind it. */
struct task {
        uint32_t reserved;
        uint64_t rsp[3];
        uint64_t rest[8];
        uint16_t reserved_too, io_map;
        uint8_t ports[8192];
        uint8_t end;
} __attribute__((packed));

extern uint64_t gdt[];
extern const uint8_t gates[];
void guest_body(uint32_t processor);
uint64_t guest_ring0(uint64_t start_info, uint32_t processor);
void guest_trap(struct frame *frame);

volatile uint32_t interrupts[N_GATES];
uint64_t guest_start_info;

static uint64_t idt[N_GATES][2];
static struct task tasks[GUEST_CPUS];
static uint8_t trap_stacks[GUEST_CPUS][16384] __attribute__((aligned(16)));
static uint8_t user_stacks[GUEST_CPUS][USER_STACK] __attribute__((aligned(16)));

static void make_gates(void)
{
        for (uint32_t i = 0; i < N_GATES; i++) {
                uint64_t at = (uint64_t)gates + i * 16;

                /* Present, ring 0 may be entered from ring 0 and by the processor, trap gate, selector 8. */
                idt[i][0] = (at & 0xffff) | 0x08ull << 16 | 0x8full << 40 | (at >> 16 & 0xffff) << 48;
                idt[i][1] = at >> 32;
        }
}

static void load_task(uint32_t processor)
{
        struct task *task = &tasks[processor];
        uint64_t base = (uint64_t)task, limit = sizeof(*task) - 1;
        uint64_t *slot = &gdt[6 + 2 * processor];

        task->rsp[0] = (uint64_t)trap_stacks[processor] + sizeof(trap_stacks[0]);
        task->io_map = (uint16_t)offsetof(struct task, ports);
        task->end = 0xff;
        slot[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
        slot[1] = base >> 32;
        __asm__ volatile("ltr %0" : : "r"((uint16_t)((6 + 2 * processor) * 8)));
}

uint64_t guest_ring0(uint64_t start_info, uint32_t processor)
{
        struct {
                uint16_t limit;
                uint64_t base;
        } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

        if (processor == 0) {
                guest_start_info = start_info;
                make_gates();
        }
        __asm__ volatile("lidt %0" : : "m"(pointer));
        load_task(processor);
        /* As after a call: the ABI's alignment. */
        return (uint64_t)user_stacks[processor] + USER_STACK - 8;
}

static void unexpected(const struct frame *frame)
{
        put_text("FAIL trap: vector ");
        put_number(frame->vector);
        put_text(" error ");
        put_hex(frame->error);
        put_text(" rip ");
        put_hex(frame->rip);
        put_char('\n');
        out8(0x600, 0x34);
        for (;;)
                __asm__ volatile("hlt");
}

/* rdi: the word, rsi: the value it has while there is something to wait for. */
static void serve_wait(struct frame *frame)
{
        volatile uint32_t *word = (volatile uint32_t *)frame->rdi;

        __asm__ volatile("cli" : : : "memory");
        if (*word == (uint32_t)frame->rsi)
                __asm__ volatile("sti; hlt" : : : "memory");
        else
                __asm__ volatile("sti" : : : "memory");
        frame->rip += 2;
}

/* No table of gates: the first fault has no handler, nor has the second, nor the third. */
static void serve_triple_fault(void)
{
        static const uint8_t none[10];

        __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* ---- services that lead the processor where nothing is ---- */

static void serve_tables(const struct frame *frame)
{
        __asm__ volatile("mov %0, %%cr3" : : "r"(frame->rdi) : "memory");
}

static void serve_stack(const struct frame *frame)
{
        __asm__ volatile("mov %0, %%rsp; push %%rax; pop %%rax; ud2" : : "r"(frame->rdi) : "memory");
}

static void serve_gates(const struct frame *frame)
{
        struct {
                uint16_t limit;
                uint64_t base;
        } __attribute__((packed)) pointer = {4095, frame->rdi};

        __asm__ volatile("lidt %0; ud2" : : "m"(pointer));
}

static void serve(struct frame *frame)
{
        switch (frame->rax) {
        case SERVICE_TRIPLE_FAULT:
                serve_triple_fault();
                break;
        case SERVICE_TABLES:
                serve_tables(frame);
                break;
        case SERVICE_STACK:
                serve_stack(frame);
                break;
        case SERVICE_GATES:
                serve_gates(frame);
                break;
        default:
                serve_wait(frame);
        }
}

void guest_trap(struct frame *frame)
{
        if (frame->vector == UD2 && frame->cs == 0x1b) {
                serve(frame);
        } else if (frame->vector >= 32) {
                __atomic_fetch_add(&interrupts[frame->vector], 1, __ATOMIC_SEQ_CST);
                mmio_write(0xfee000b0, 0); /* end of interrupt */
        } else {
                unexpected(frame);
        }
}
