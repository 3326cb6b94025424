/* The fault-safe accesses on aarch64, and the table that tells the signal handler where each of them
 * resumes. Called through broker/core/fault_safe.h; the table is read by fault_safe.c. TRUST: either address
 * may be a page that is gone; the lengths are the caller's.
 *
 * How a copy counts exactly: x0, x1 and x2 always say what is left to do and move only behind a finished
 * block, so a fault in a quick path starts the rest again byte by byte, and the second fault leaves the
 * exact count in x2. Recopying bytes is harmless: no caller looks before the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __aarch64__

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
        .type   \name, %function
        .p2align 5
\name:
        .cfi_startproc
        hint    #34                     /* bti c */
.endm

.macro END name
        .cfi_endproc
        .size   \name, . - \name
.endm

/* A fault from `start` up to `end` goes on at `resume`. Offsets, so that nothing is relocated at start. */
.macro RESUME start, end, resume
        .pushsection .rodata.fault_safe, "a"
        .word   \start - .
        .word   \end - .
        .word   \resume - .
        .popsection
.endm

        .pushsection .rodata.fault_safe, "a"
        .globl  fault_safe_ranges
        .hidden fault_safe_ranges
        .p2align 2
fault_safe_ranges:
        .popsection

        .text

/* size_t fault_safe_copy(void *to: x0, const void *from: x1, size_t n: x2) */
FUNCTION NAME(fault_safe_copy)
.Lcopy_blocks:
        cmp     x2, #64
        b.lo    .Lcopy_quads
        ldp     q0, q1, [x1]
        ldp     q2, q3, [x1, #32]
        stp     q0, q1, [x0]
        stp     q2, q3, [x0, #32]
        add     x1, x1, #64
        add     x0, x0, #64
        sub     x2, x2, #64
        b       .Lcopy_blocks
.Lcopy_quads:
        cmp     x2, #16
        b.lo    .Lcopy_word
        ldp     x3, x4, [x1]
        stp     x3, x4, [x0]
        add     x1, x1, #16
        add     x0, x0, #16
        sub     x2, x2, #16
        b       .Lcopy_quads
.Lcopy_word:
        tbz     x2, #3, .Lcopy_bytes
        ldr     x3, [x1]
        str     x3, [x0]
        add     x1, x1, #8
        add     x0, x0, #8
        sub     x2, x2, #8
.Lcopy_bytes:
        cbz     x2, .Lcopy_end
.Lcopy_byte:
        ldrb    w3, [x1]
        strb    w3, [x0]
        add     x1, x1, #1
        add     x0, x0, #1
        sub     x2, x2, #1
        cbnz    x2, .Lcopy_byte
.Lcopy_end:
        mov     x0, x2
        ret
        RESUME  .Lcopy_blocks, .Lcopy_bytes, .Lcopy_bytes
        RESUME  .Lcopy_bytes, .Lcopy_end, .Lcopy_end
END NAME(fault_safe_copy)

/* size_t fault_safe_zero(void *to: x0, size_t n: x1) */
FUNCTION NAME(fault_safe_zero)
.Lzero_quads:
        cmp     x1, #16
        b.lo    .Lzero_bytes
        stp     xzr, xzr, [x0]
        add     x0, x0, #16
        sub     x1, x1, #16
        b       .Lzero_quads
.Lzero_bytes:
        cbz     x1, .Lzero_end
.Lzero_byte:
        strb    wzr, [x0]
        add     x0, x0, #1
        sub     x1, x1, #1
        cbnz    x1, .Lzero_byte
.Lzero_end:
        mov     x0, x1
        ret
        RESUME  .Lzero_quads, .Lzero_bytes, .Lzero_bytes
        RESUME  .Lzero_bytes, .Lzero_end, .Lzero_end
END NAME(fault_safe_zero)

/* Only the foreign access is in a range: a bad ret_value is our own bug and must kill. */
.Lfaulted:
        mov     w0, #-EFAULT
        ret

/* int fault_safe_loadN(const void *at: x0, uintN_t *ret_value: x1) */
.macro LOAD name, load, store, register
FUNCTION \name
1:      \load   \register, [x0]
2:      \store  \register, [x1]
        mov     w0, #0
        ret
        RESUME  1b, 2b, .Lfaulted
END \name
.endm

/* int fault_safe_storeN(void *at: x0, uintN_t value: x1) */
.macro STORE name, store, register
FUNCTION \name
1:      \store  \register, [x0]
2:      mov     w0, #0
        ret
        RESUME  1b, 2b, .Lfaulted
END \name
.endm

LOAD    NAME(fault_safe_load16), ldarh, strh, w2
LOAD    NAME(fault_safe_load32), ldar, str, w2
LOAD    NAME(fault_safe_load64), ldar, str, x2
STORE   NAME(fault_safe_store16), stlrh, w1
STORE   NAME(fault_safe_store32), stlr, w1
STORE   NAME(fault_safe_store64), stlr, x1

        .pushsection .rodata.fault_safe, "a"
        .globl  fault_safe_ranges_end
        .hidden fault_safe_ranges_end
fault_safe_ranges_end:
        .popsection

/* Branch protection holds for this file: without the note the linker would drop it for the whole program. */
        .section .note.gnu.property, "a"
        .p2align 3
        .word   4, 16, 5                /* name, description, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000, 4, 3, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI and PAC */

#endif

        .section .note.GNU-stack, "", %progbits
