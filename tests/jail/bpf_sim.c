/* A classic BPF machine for seccomp filters.
 * Owns nothing; called by the policy tests. TRUST: the program under test may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/jail/bpf_sim.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct bpf_machine {
        uint32_t a, x, memory[BPF_MEMWORDS];
        const struct seccomp_data *data;
};

/* seccomp allows loads of whole, aligned 32-bit words of its data only. */
static int sim_load(const struct bpf_machine *machine, uint32_t offset, uint32_t *ret_word)
{
        if (offset % 4 != 0 || offset > sizeof(*machine->data) - 4)
                return -EINVAL;
        memcpy(ret_word, (const char *)machine->data + offset, 4);
        return 0;
}

static int sim_ld(struct bpf_machine *machine, const struct sock_filter *insn)
{
        switch (insn->code) {
        case BPF_LD | BPF_W | BPF_ABS:
                return sim_load(machine, insn->k, &machine->a);
        case BPF_LD | BPF_IMM:
                machine->a = insn->k;
                return 0;
        case BPF_LD | BPF_MEM:
                if (insn->k >= BPF_MEMWORDS)
                        return -EINVAL;
                machine->a = machine->memory[insn->k];
                return 0;
        case BPF_LDX | BPF_W | BPF_IMM:
                machine->x = insn->k;
                return 0;
        case BPF_LDX | BPF_W | BPF_MEM:
                if (insn->k >= BPF_MEMWORDS)
                        return -EINVAL;
                machine->x = machine->memory[insn->k];
                return 0;
        case BPF_ST:
        case BPF_STX:
                if (insn->k >= BPF_MEMWORDS)
                        return -EINVAL;
                machine->memory[insn->k] = insn->code == BPF_ST ? machine->a : machine->x;
                return 0;
        default:
                return -EINVAL;
        }
}

static int sim_alu(struct bpf_machine *machine, const struct sock_filter *insn)
{
        uint32_t operand = BPF_SRC(insn->code) == BPF_X ? machine->x : insn->k;

        switch (BPF_OP(insn->code)) {
        case BPF_AND:
                machine->a &= operand;
                return 0;
        case BPF_OR:
                machine->a |= operand;
                return 0;
        case BPF_XOR:
                machine->a ^= operand;
                return 0;
        case BPF_ADD:
                machine->a += operand;
                return 0;
        case BPF_SUB:
                machine->a -= operand;
                return 0;
        case BPF_LSH:
                machine->a = operand < 32 ? machine->a << operand : 0;
                return 0;
        case BPF_RSH:
                machine->a = operand < 32 ? machine->a >> operand : 0;
                return 0;
        default:
                return -EINVAL;
        }
}

/* How far to jump beyond the next instruction. */
static int sim_jump(const struct bpf_machine *machine, const struct sock_filter *insn, uint32_t *ret_skip)
{
        uint32_t operand = BPF_SRC(insn->code) == BPF_X ? machine->x : insn->k;
        bool taken;

        switch (BPF_OP(insn->code)) {
        case BPF_JA:
                *ret_skip = insn->k;
                return 0;
        case BPF_JEQ:
                taken = machine->a == operand;
                break;
        case BPF_JGT:
                taken = machine->a > operand;
                break;
        case BPF_JGE:
                taken = machine->a >= operand;
                break;
        case BPF_JSET:
                taken = (machine->a & operand) != 0;
                break;
        default:
                return -EINVAL;
        }
        *ret_skip = taken ? insn->jt : insn->jf;
        return 0;
}

int bpf_sim_run(const struct sock_filter *filter, size_t n, const struct seccomp_data *data,
                uint32_t *ret_verdict)
{
        struct bpf_machine machine = {.data = data};

        for (size_t pc = 0; pc < n; pc++) {
                const struct sock_filter *insn = &filter[pc];
                uint32_t skip = 0;
                int r = 0;

                switch (BPF_CLASS(insn->code)) {
                case BPF_RET:
                        *ret_verdict = BPF_RVAL(insn->code) == BPF_A ? machine.a : insn->k;
                        return 0;
                case BPF_ALU:
                        r = sim_alu(&machine, insn);
                        break;
                case BPF_JMP:
                        r = sim_jump(&machine, insn, &skip);
                        break;
                case BPF_MISC:
                        if (BPF_MISCOP(insn->code) == BPF_TAX)
                                machine.x = machine.a;
                        else
                                machine.a = machine.x;
                        break;
                default:
                        r = sim_ld(&machine, insn);
                }
                if (r < 0 || skip >= n - pc)
                        return -EINVAL;
                pc += skip;
        }
        return -EINVAL;
}
