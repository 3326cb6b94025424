/* A guest of arm64 as small as can be: it writes the last bytes of its RAM, reads them, says so and ends.
 * Owns its VM. Made by test_arm64.py, an Image (Linux, Documentation/arch/arm64/booting.rst) with
 *   LAST   the address of the last eight bytes of RAM
 *   HOW    the function of PSCI that it ends by; 0: an access to a device by an instruction that KVM does not decode
 * TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#define SERIAL 0x09000000
#define IMAGE_BYTES 4096

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

right:  .asciz  "LAST ok\n"
wrong:  .asciz  "LAST wrong\n"
        .balign 8
        .ltorg
        .section .note.GNU-stack, "", %progbits
