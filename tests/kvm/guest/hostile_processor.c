/* Accesses that no compiler makes, and a processor that is led into its devices.
 * Owns nothing that outlives a test; called by body.c, in ring 3. TRUST: it is the guest, and means harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/hostile.h"

#define PAGE         4096u
#define SCRATCH_PORT 0x3ffu /* the serial port's register for nothing */

/* ---- accesses ---- */

static void copy_bytes(uint64_t to, uint64_t from, uint64_t n)
{
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void copy_words(uint64_t to, uint64_t from, uint64_t n)
{
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void ports_out(uint16_t port, uint64_t from, uint64_t n)
{
        __asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(port) : "memory");
}

static void ports_in(uint64_t to, uint16_t port, uint64_t n)
{
        __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

static void ports_in_words(uint64_t to, uint16_t port, uint64_t n)
{
        __asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

/* Strings of the registers to memory, to themselves, and from a port to them. */
static uint64_t strings(uint64_t at)
{
        copy_bytes(SCRATCH, at, PAGE);
        copy_words(SCRATCH, at, PAGE / 8);
        copy_bytes(at + 0x80, at, 0x80);
        copy_words(at + 8, at, 0x1f);
        copy_bytes(at + 0x100, SCRATCH, 0x100);
        ports_in(at + 0x80, SCRATCH_PORT, 0x40);
        ports_in(SCRATCH, SCRATCH_PORT, 0x200);
        ports_out(SCRATCH_PORT, SCRATCH, 0x200);
        ports_out(SCRATCH_PORT, at, 0x100);
        ports_in_words(SCRATCH, 0x3f8, 0x400);
        ports_in_words(SCRATCH, 0x5fe, 0x400);
        return 11;
}

/* Read, changed and written, in one. */
static uint64_t changes(uint64_t at)
{
        for (uint32_t offset = 0; offset < 0x110; offset += 4) {
                volatile uint32_t *word = (volatile uint32_t *)(at + offset);

                __atomic_fetch_or(word, 0x10, __ATOMIC_SEQ_CST);
                (void)__atomic_exchange_n(word, 0x10, __ATOMIC_SEQ_CST);
                *word += 0x100;
        }
        return 3ull * 0x110 / 4;
}

static bool odd(struct virtio *disks, uint32_t n_disks, uint64_t *ret_n)
{
        (void)n_disks;
        *ret_n = strings(disks[0].at) + changes(disks[0].at);
        return true;
}

/* odd: strings, and reads that are writes. */
void test_odd(void)
{
        hostile_test("odd", odd);
}

/* ---- the end of a processor ---- */

/* lost=N at=ADDRESS: 0 goes on there, 1 has its page tables, 2 its stack, 3 its gates there. It does not come back. */
void test_lost(void)
{
        uint64_t at = option("at", 0xd0001000);

        put_text("lost\n");
        switch (option("lost", 0)) {
        case 0:
                __asm__ volatile("jmp *%0" : : "r"(at));
                break;
        case 1:
                ask_ring0(SERVICE_TABLES, at);
                break;
        case 2:
                ask_ring0(SERVICE_STACK, at + 0x100);
                break;
        default:
                ask_ring0(SERVICE_GATES, at);
        }
        fail("lost", "it came back", at);
}

/* ---- words without end ---- */

static volatile uint32_t n_babbling;

static void babble_for_ever(void)
{
        __atomic_fetch_add(&n_babbling, 1, __ATOMIC_SEQ_CST);
        for (;;)
                put_text("and so on ");
}

/* babble=N: N processors print and do not end. */
void test_babble(void)
{
        for (uint32_t i = 1; i < option("babble", 1); i++) {
                processor_run(i, babble_for_ever);
                while (n_babbling < i)
                        __asm__ volatile("pause");
        }
        babble_for_ever();
}
