/* A guest of arm64 as small as can be: it writes the last bytes of its RAM, reads them, says so and ends.
 * Owns its VM. Made by test_arm64.py, an Image (Linux, Documentation/arch/arm64/booting.rst) with
 *   LAST   the address of the last eight bytes of RAM
 *   REGION the address of a device, and
 *   LEN    the length of its shared memory region 0, which begins with MARK: it is found, read and written; REGION 0: there is none
 *   HOW    the function of PSCI that it ends by; 0: an access to a device by an instruction that KVM does not decode
 * TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#define SERIAL 0x09000000
#define IMAGE_BYTES 4096
#define SHM_SEL 0xac /* virtio 1.3, 4.2.2 */
#define SHM_LEN 0xb0
#define SHM_BASE 0xb8
#define MARK 0x6b72616d20656874

        .text
        b       begin
        .long   0
        .quad   0 /* its place in 2 MiB */
        .quad   IMAGE_BYTES
        .quad   0, 0, 0, 0
        .ascii  "ARM\x64"
        .long   0

begin:
        ldr     x5, =SERIAL
        ldr     x1, =LAST
        ldr     x2, =0x62756c6b68656164
        str     x2, [x1]
        ldr     x3, [x1]
        cmp     x2, x3
        adr     x4, wrong
        adr     x6, right
        csel    x4, x6, x4, eq
        ldr     x8, =REGION
        cbz     x8, next
        cmp     x4, x6
        b.ne    next
        bl      region
next:
        ldrb    w7, [x4], #1
        cbz     w7, end
        str     w7, [x5]
        b       next
end:
        ldr     w0, =HOW
        cbz     w0, undecoded
        hvc     #0
undecoded:
        ldp     x1, x2, [x5]
        b       undecoded

/* x4: what is to be said; x6, unless all of it is right. */
region:
        adr     x4, elsewhere
        mov     w9, #1 /* one that is not there */
        str     w9, [x8, #SHM_SEL]
        ldr     w10, [x8, #SHM_LEN]
        cmn     w10, #1
        b.ne    found
        str     wzr, [x8, #SHM_SEL]
        ldr     w10, [x8, #SHM_LEN]
        ldr     w11, [x8, #SHM_LEN + 4]
        orr     x10, x10, x11, lsl #32
        ldr     x11, =LEN
        cmp     x10, x11
        b.ne    found
        ldr     w12, [x8, #SHM_BASE]
        ldr     w11, [x8, #SHM_BASE + 4]
        orr     x12, x12, x11, lsl #32
        ldr     x10, [x12]
        ldr     x11, =MARK
        cmp     x10, x11
        b.ne    found
        str     x11, [x12, #8]
        adr     x4, seen
found:
        ret

right:  .asciz  "LAST ok\n"
seen:   .asciz  "LAST ok, REGION ok\n"
elsewhere: .asciz "REGION wrong\n"
wrong:  .asciz  "LAST wrong\n"
        .balign 8
        .ltorg
        .section .note.GNU-stack, "", %progbits
