/* What the instruction may touch at which a vCPU stands, and whether it has moved.
 * Owns nothing; called on the vCPU's own thread, through platform.h. TRUST: registers, code and page tables are the guest's:
 * whatever they say, so many sums are made and no more, and an address outside of the range goes nowhere.
 *
 * How it works: nothing is decoded. An instruction's operand lies at [base] + [index << 0 to 3] + displacement, by a segment; its
 * code at rip. So every such sum is made, with each part of the instruction's bytes that could be a displacement, and translated
 * by the guest's own tables. Nearly all of them lie nowhere, and who asks looks at what remains.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "broker/kvm/platform.h"
#include "proto/base/checked.h"

#define PAGE        4096u
#define INSTRUCTION 15u /* bytes of the longest */
#define ACCESS      63u /* from the first to the last byte of the widest access: it may end on another page */
#define N_REGISTERS 16u
#define N_BASES     (N_REGISTERS + 2u) /* and rip, and none */
#define N_SEGMENTS  5u
#define PUSHED      (-8) /* what goes onto a stack lies below its pointer: it may be on another page */
#define N_DISPLACED (2u + (INSTRUCTION - 1) + (INSTRUCTION - 4))
#define SEEN        1024u

struct reach {
        int fd;
        uint64_t start, len;
        bool (*each)(void *context, uint64_t gpa);
        void *context;
        uint64_t bases[N_BASES]; /* the first are what can be an index, too */
        uint64_t segments[N_SEGMENTS];
        unsigned n_segments;
        int64_t displaced[N_DISPLACED];
        uint64_t seen[SEEN]; /* numbers of linear pages that have been asked for lately; UINT64_MAX is none */
};

static bool linear_translate(int fd, uint64_t linear, uint64_t *ret_gpa)
{
        struct kvm_translation translation = {.linear_address = linear};

        if (ioctl(fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
                return false;
        *ret_gpa = translation.physical_address;
        return true;
}

static bool linear_try(struct reach *reach, uint64_t linear)
{
        uint64_t page = linear / PAGE, gpa, *seen = &reach->seen[page % SEEN];

        if (*seen == page || (uint64_t)((int64_t)(linear << 7) >> 7) != linear)
                return false;
        *seen = page;
        return linear_translate(reach->fd, linear, &gpa) && gpa - reach->start < reach->len &&
               reach->each(reach->context, gpa);
}

static bool sum_try(struct reach *reach, uint64_t sum)
{
        for (unsigned i = 0; i < reach->n_segments; i++) {
                uint64_t linear = sum + reach->segments[i];

                if (linear_try(reach, linear) || linear_try(reach, linear + ACCESS))
                        return true;
        }
        return false;
}

/* With one index, or with none: shift 0 of a register whose value is 0 would be the same. */
static bool indexed_try(struct reach *reach, uint64_t index)
{
        for (unsigned d = 0; d < N_DISPLACED; d++)
                for (unsigned base = 0; base < N_BASES; base++)
                        if (sum_try(reach, index + reach->bases[base] + (uint64_t)reach->displaced[d]))
                                return true;
        return false;
}

static void displaced_fill(struct reach *reach, const uint8_t bytes[static INSTRUCTION])
{
        unsigned n = 1; /* the first is 0 */

        reach->displaced[n++] = PUSHED;
        for (unsigned i = 1; i < INSTRUCTION; i++)
                reach->displaced[n++] = (int8_t)bytes[i];
        for (unsigned i = 1; i + 4 <= INSTRUCTION; i++) {
                int32_t word;

                memcpy(&word, bytes + i, sizeof(word));
                reach->displaced[n++] = word;
        }
}

/* As much as lies on its first page of RAM; what is missing displaces by nothing. */
static void instruction_read(const struct reach *reach, const struct guest_memory *memory, uint64_t linear,
                             uint8_t ret_bytes[static INSTRUCTION])
{
        uint64_t gpa;

        memset(ret_bytes, 0, INSTRUCTION);
        if (linear_translate(reach->fd, linear, &gpa))
                (void)guest_memory_read(memory, GPA(gpa), ret_bytes, MIN(INSTRUCTION, PAGE - gpa % PAGE));
}

static void segment_add(struct reach *reach, uint64_t base)
{
        for (unsigned i = 0; i < reach->n_segments; i++)
                if (reach->segments[i] == base)
                        return;
        reach->segments[reach->n_segments++] = base;
}

static bool registers_fill(struct reach *reach, const struct guest_memory *memory)
{
        uint8_t bytes[INSTRUCTION];
        struct kvm_regs r;
        struct kvm_sregs s;

        if (ioctl(reach->fd, KVM_GET_REGS, &r) < 0 || ioctl(reach->fd, KVM_GET_SREGS, &s) < 0)
                return false;
        memcpy(reach->bases,
               (uint64_t[N_BASES]){r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp, r.rbp, r.r8, r.r9, r.r10,
                                   r.r11, r.r12, r.r13, r.r14, r.r15, r.rip, 0},
               sizeof(reach->bases));
        segment_add(reach, 0);
        segment_add(reach, s.ds.base);
        segment_add(reach, s.es.base);
        segment_add(reach, s.fs.base);
        segment_add(reach, s.gs.base);
        instruction_read(reach, memory, s.cs.base + r.rip, bytes);
        displaced_fill(reach, bytes);
        return true;
}

bool kvm_platform_reach(int vcpu_fd, const struct guest_memory *memory, uint64_t start, uint64_t len,
                        bool (*each)(void *context, uint64_t gpa), void *context)
{
        struct reach reach = {.fd = vcpu_fd, .start = start, .len = len, .each = each, .context = context};

        memset(reach.seen, 0xff, sizeof(reach.seen));
        if (!registers_fill(&reach, memory))
                return false;
        if (indexed_try(&reach, 0))
                return true;
        for (unsigned index = 0; index < N_REGISTERS; index++)
                for (unsigned shift = 0; shift < 4; shift++)
                        if (indexed_try(&reach, reach.bases[index] << shift))
                                return true;
        return false;
}

bool kvm_platform_stand(int vcpu_fd, struct kvm_stand *ret_stand)
{
        struct kvm_mp_state state;
        struct kvm_regs registers;

        _Static_assert(sizeof(registers) == sizeof(ret_stand->words), "all of them, and no gap");
        if (ioctl(vcpu_fd, KVM_GET_MP_STATE, &state) < 0 || state.mp_state != KVM_MP_STATE_RUNNABLE ||
            ioctl(vcpu_fd, KVM_GET_REGS, &registers) < 0)
                return false;
        memcpy(ret_stand->words, &registers, sizeof(registers));
        return true;
}
