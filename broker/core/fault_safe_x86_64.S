/* The fault-safe accesses on x86_64, and the table that tells the signal handler where each of them resumes.
 * Called through broker/core/fault_safe.h; the table is read by fault_safe.c. TRUST: either address may be a
 * page that is gone; the lengths are the caller's.
 *
 * How a copy counts exactly: the quick paths read and write up to sixteen bytes at a time without saying how
 * far they came, so a fault in one of them starts the rest again byte by byte (rep movsb), and the second
 * fault leaves the exact count in rcx. Recopying bytes is harmless: no caller looks before the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __x86_64__

/* The checked build (address sanitizer) puts a C wrapper of the plain name around each of these. */
#ifdef FAULT_SAFE_CHECKED
#define NAME(x) x##_raw
#else
#define NAME(x) x
#endif

#define EFAULT 14

.macro FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 5
\name:
        .cfi_startproc
        endbr64
.endm

.macro END name
        .cfi_endproc
        .size   \name, . - \name
.endm

/* A fault from `start` up to `end` goes on at `resume`. Offsets, so that nothing is relocated at start. */
.macro RESUME start, end, resume
        .pushsection .rodata.fault_safe, "a"
        .long   \start - .
        .long   \end - .
        .long   \resume - .
        .popsection
.endm

        .pushsection .rodata.fault_safe, "a"
        .globl  fault_safe_ranges
        .hidden fault_safe_ranges
        .p2align 2
fault_safe_ranges:
        .popsection

        .text

/* size_t fault_safe_copy(void *to: rdi, const void *from: rsi, size_t n: rdx) */
FUNCTION NAME(fault_safe_copy)
        cmpq    $64, %rdx
        ja      .Lcopy_words
.Lcopy_short:
        cmpl    $16, %edx
        ja      .Lcopy_17_64
        cmpl    $8, %edx
        jae     .Lcopy_8_16
        cmpl    $4, %edx
        jae     .Lcopy_4_7
        testl   %edx, %edx
        je      .Lcopy_all
        movl    %edx, %r8d              /* 1 to 3: first, middle and last may be the same byte */
        shrl    $1, %r8d
        movzbl  (%rsi), %eax
        movzbl  (%rsi, %r8), %ecx
        movzbl  -1(%rsi, %rdx), %r9d
        movb    %al, (%rdi)
        movb    %cl, (%rdi, %r8)
        movb    %r9b, -1(%rdi, %rdx)
.Lcopy_all:
        xorl    %eax, %eax
        ret
.Lcopy_4_7:
        movl    (%rsi), %eax
        movl    -4(%rsi, %rdx), %ecx
        movl    %eax, (%rdi)
        movl    %ecx, -4(%rdi, %rdx)
        xorl    %eax, %eax
        ret
.Lcopy_8_16:
        movq    (%rsi), %rax
        movq    -8(%rsi, %rdx), %rcx
        movq    %rax, (%rdi)
        movq    %rcx, -8(%rdi, %rdx)
        xorl    %eax, %eax
        ret
.Lcopy_17_64:
        movups  (%rsi), %xmm0
        movups  -16(%rsi, %rdx), %xmm1
        cmpl    $32, %edx
        ja      .Lcopy_33_64
        movups  %xmm0, (%rdi)
        movups  %xmm1, -16(%rdi, %rdx)
        xorl    %eax, %eax
        ret
.Lcopy_33_64:
        movups  16(%rsi), %xmm2
        movups  -32(%rsi, %rdx), %xmm3
        movups  %xmm0, (%rdi)
        movups  %xmm2, 16(%rdi)
        movups  %xmm3, -32(%rdi, %rdx)
        movups  %xmm1, -16(%rdi, %rdx)
        xorl    %eax, %eax
        ret
.Lcopy_short_end:
        RESUME  .Lcopy_short, .Lcopy_short_end, .Lcopy_bytes

        /* Words, not bytes: as fast where the CPU has fast strings (ERMS), far faster where it has not. */
.Lcopy_words:
        movq    %rdx, %rcx
        shrq    $3, %rcx
        andl    $7, %edx
.Lcopy_words_access:
        rep movsq
.Lcopy_tail:                            /* 0 to 7 bytes left: take the last eight of all again */
        movq    -8(%rsi, %rdx), %rax
        movq    %rax, -8(%rdi, %rdx)
.Lcopy_tail_end:
        xorl    %eax, %eax
        ret
        RESUME  .Lcopy_words_access, .Lcopy_tail, .Lcopy_words_faulted
        RESUME  .Lcopy_tail, .Lcopy_tail_end, .Lcopy_bytes

.Lcopy_words_faulted:
        leaq    (%rdx, %rcx, 8), %rdx
.Lcopy_bytes:
        movq    %rdx, %rcx
.Lcopy_bytes_access:
        rep movsb
.Lcopy_end:
        movq    %rcx, %rax
        ret
        RESUME  .Lcopy_bytes_access, .Lcopy_end, .Lcopy_end
END NAME(fault_safe_copy)

/* size_t fault_safe_zero(void *to: rdi, size_t n: rsi) */
FUNCTION NAME(fault_safe_zero)
        xorl    %eax, %eax
        movq    %rsi, %rcx
        shrq    $3, %rcx
        andl    $7, %esi
.Lzero_words_access:
        rep stosq
.Lzero_words_end:
        movl    %esi, %ecx
.Lzero_bytes_access:
        rep stosb
.Lzero_end:
        movq    %rcx, %rax
        ret
.Lzero_words_faulted:
        leaq    (%rsi, %rcx, 8), %rcx
        jmp     .Lzero_bytes_access
        RESUME  .Lzero_words_access, .Lzero_words_end, .Lzero_words_faulted
        RESUME  .Lzero_bytes_access, .Lzero_end, .Lzero_end
END NAME(fault_safe_zero)

/* Loads and stores: x86 gives every plain one acquire and release order. Only the foreign access is in a
 * range: a bad ret_value is our own bug and must kill. */
.Lfaulted:
        movl    $-EFAULT, %eax
        ret

/* int fault_safe_loadN(const void *at: rdi, uintN_t *ret_value: rsi) */
.macro LOAD name, load, store, register
FUNCTION \name
1:      \load   (%rdi), \register
2:      \store  \register, (%rsi)
        xorl    %eax, %eax
        ret
        RESUME  1b, 2b, .Lfaulted
END \name
.endm

/* int fault_safe_storeN(void *at: rdi, uintN_t value: rsi) */
.macro STORE name, store, register
FUNCTION \name
1:      \store  \register, (%rdi)
2:      xorl    %eax, %eax
        ret
        RESUME  1b, 2b, .Lfaulted
END \name
.endm

LOAD    NAME(fault_safe_load16), movw, movw, %ax
LOAD    NAME(fault_safe_load32), movl, movl, %eax
LOAD    NAME(fault_safe_load64), movq, movq, %rax
STORE   NAME(fault_safe_store16), movw, %si
STORE   NAME(fault_safe_store32), movl, %esi
STORE   NAME(fault_safe_store64), movq, %rsi

        .pushsection .rodata.fault_safe, "a"
        .globl  fault_safe_ranges_end
        .hidden fault_safe_ranges_end
fault_safe_ranges_end:
        .popsection

/* This file keeps the promises of -fcf-protection (indirect branches land on endbr64, no return address is
 * touched); without the note the linker would drop them for the whole program. */
        .section .note.gnu.property, "a"
        .p2align 3
        .long   4, 16, 5                /* name, description, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 3, 0     /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT and SHSTK */

#endif

        .section .note.GNU-stack, "", @progbits
