/* The test guest's first instructions: PVH (32-bit, ebx = hvm_start_info), or 64-bit with the same in rsi, as a further
 * processor (16-bit, from a page that main has copied); and the gates of its traps. All meet in long mode with the tables
 * below, where ring 0 sets itself up (guest_ring0) and the body runs in ring 3.
 * SPDX-License-Identifier: Apache-2.0 */

#define PRESENT_WRITE_USER 0x7
#define LARGE 0x80

/* 5 GiB mapped to themselves by 2 MiB, for ring 3 too: behind the fourth lie shared memory regions. \p: e or r, as the mode's
 * addresses are. */
        .macro tables p
        movl    $(pdpt + PRESENT_WRITE_USER), pml4
        movl    $pdpt, %edi
        movl    $(directories + PRESENT_WRITE_USER), %eax
        movl    $5, %ecx
1:      movl    %eax, (%\p\()di)
        addl    $0x1000, %eax
        addl    $8, %edi
        decl    %ecx
        jnz     1b
        movl    $directories, %edi
        movl    $(PRESENT_WRITE_USER | LARGE), %eax
        xorl    %edx, %edx
        movl    $2560, %ecx
2:      movl    %eax, (%\p\()di)
        movl    %edx, 4(%\p\()di)
        addl    $0x200000, %eax
        adcl    $0, %edx
        addl    $8, %edi
        decl    %ecx
        jnz     2b
        .endm

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long entry32

        .text
        .code32
        .globl entry32
entry32:
        cli
        movl    %ebx, %esi
        tables  e
        xorl    %ebp, %ebp /* processor 0 */

/* Protected mode, flat: to long mode, with esi and ebp kept. */
enter_long:
        lgdt    gdt_pointer
        movl    %cr4, %eax
        orl     $0x20, %eax /* PAE */
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax /* LME */
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax
        movl    %eax, %cr0
        ljmp    $0x08, $long_mode

        .code64
        .globl entry64
entry64:
        cli
        tables  r
        movl    $pml4, %eax
        movq    %rax, %cr3
        lgdt    gdt_pointer
        xorl    %ebp, %ebp
        movl    $stacks + 0x4000, %esp
        pushq   $0x08
        pushq   $long_mode
        lretq

/* esi: the argument; ebp: the processor's number. */
long_mode:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %ebp, %eax
        incl    %eax
        shll    $14, %eax /* 16 KiB of ring 0 stack each */
        leaq    stacks(%rax), %rsp
        movl    %esi, %edi
        movl    %ebp, %esi
        call    guest_ring0 /* returns the top of the ring 3 stack */
        pushq   $0x23 /* ss */
        pushq   %rax
        pushq   $0x202 /* interrupts on */
        pushq   $0x1b /* cs */
        pushq   $guest_body
        movl    %ebp, %edi
        iretq

/* ---- a further processor: real mode, at the page that it was sent to ---- */
        .globl further, further_end, further_number
        .code16
further:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   further_gdt - further
        movl    $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x28, $further32
further_gdt:
        .word   gdt_end - gdt - 1
        .long   gdt
further_end:
        .code32
further32:
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %esi, %esi
        movl    further_number, %ebp
        jmp     enter_long

/* ---- traps: every vector pushes an error code (or 0) and its number ---- */
        .code64
        .altmacro
        .macro gate n
        .balign 16
        .if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
        .else
        pushq   $0
        .endif
        pushq   $\n
        jmp     trap_entry
        .endm

        .balign 16
        .globl gates
gates:
        .set    i, 0
        .rept   64
        gate    %i
        .set    i, i + 1
        .endr

trap_entry:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        call    guest_trap
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

        .data
        .balign 16
        .globl gdt
gdt:
        .quad   0
        .quad   0x00af9b000000ffff /* 0x08 ring 0 code, 64-bit */
        .quad   0x00cf93000000ffff /* 0x10 ring 0 data */
        .quad   0x00affb000000ffff /* 0x18 ring 3 code, 64-bit */
        .quad   0x00cff3000000ffff /* 0x20 ring 3 data */
        .quad   0x00cf9b000000ffff /* 0x28 ring 0 code, 32-bit */
        .fill   16, 8, 0           /* 0x30 task states, two entries each */
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .quad   gdt
further_number:
        .long   0

        .bss
        .balign 4096
pml4:   .fill   4096
pdpt:   .fill   4096
directories:
        .fill   5 * 4096
stacks: .fill   8 * 16384 /* one a processor */
