/* The test guest: a kernel of our own for tests of the KVM front end. No C library, no 128-bit registers in ring 0.
 *
 * Its body runs in ring 3, which every KVM runs at full speed; ring 0 has the traps only (a KVM without help of the
 * processor emulates it). What it shall do is its command line; what it found it prints on the serial port: a line
 * "ok NAME ..." or "FAIL NAME ..." a test, and then it switches itself off.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GUEST_CPUS 8u

/* ---- words ---- */
void put_char(char c);
void put_text(const char *text);
void put_number(uint64_t value);
void put_hex(uint64_t value);
/* "FAIL NAME: what value", once a test. */
void fail(const char *name, const char *what, uint64_t value);
void pass(const char *name, uint64_t value);
/* The next byte that is typed; sleeps until then. Interrupts of the port come to processor 0 from the first call on. */
char get_char(void);

/* "name=123" or "name=0x1f" of the command line, else `otherwise`; "name" alone is 1. */
uint64_t option(const char *name, uint64_t otherwise);

/* ---- the processor ---- */
static inline void out8(uint16_t port, uint8_t value)
{
        __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
        uint8_t value;

        __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
        return value;
}

static inline uint64_t rdtsc(void)
{
        uint32_t low, high;

        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        return (uint64_t)high << 32 | low;
}

static inline void cpuid(uint32_t leaf, uint32_t index, uint32_t ret[4])
{
        __asm__ volatile("cpuid"
                         : "=a"(ret[0]), "=b"(ret[1]), "=c"(ret[2]), "=d"(ret[3])
                         : "a"(leaf), "c"(index));
}

static inline uint32_t mmio_read(uint64_t at)
{
        return *(volatile uint32_t *)at;
}

static inline void mmio_write(uint64_t at, uint32_t value)
{
        *(volatile uint32_t *)at = value;
}

/* ---- ring 0's services, asked for by ud2 (int does not work everywhere) ---- */
enum { SERVICE_WAIT, SERVICE_TRIPLE_FAULT, SERVICE_TABLES, SERVICE_STACK, SERVICE_GATES };

/* SERVICE_TABLES and on: ring 0 has its page tables, its stack or its gates at an address, from which it does not return. */
static inline void ask_ring0(uint64_t service, uint64_t at)
{
        __asm__ volatile("ud2" : : "a"(service), "D"(at) : "memory");
}

/* Sleeps until an interrupt has come, unless *word is not `old` any more; returns then. */
void wait_while(volatile uint32_t *word, uint32_t old);

/* ---- interrupts ---- */
#define VECTOR_DEVICES 40u /* device i */
#define N_DEVICES      16u
#define VECTOR_TIMER   32u
#define VECTOR_SERIAL  33u
#define VECTOR_CALL    34u /* from one processor to another */

extern volatile uint32_t interrupts[64];        /* how often each vector came */
void apic_enable(void);                         /* this processor's */
void apic_route(uint32_t gsi, uint32_t vector); /* to processor 0, an edge */
void apic_send(uint32_t processor, uint32_t vector);
void apic_start(uint32_t processor); /* INIT, SIPI: it runs guest_body(processor) */

/* Has a further processor leave what it does and call `job` once, in ring 3; guest_body does so. NULL: cpus. */
extern void (*volatile processor_jobs[GUEST_CPUS])(void);
void processor_run(uint32_t processor, void (*job)(void));

/* Tests in files of their own. */
void test_blk(void);
void test_say(void);
void test_rng(void);
void test_region(void);
void test_region_resets(void);
void test_window(void);
void test_window_ring(void);
void test_legacy(void);
void test_legacy_big(void);
void test_config_old(void);
void test_config_new(void);
void test_iommu(void);
void test_pmem(void);
void test_pmem_cut(void);
void test_pmem_medium(void);
void test_pmem_long(void);
void test_pmem_full(void);
void test_foreign(void);
void test_foreign_refused(void);
void test_foreign_ring(void);
void test_registers(void);
void test_race(void);
void test_scribble(void);
void test_chaos(void);
void test_flood(void);
void test_storm(void);
void test_odd(void);
void test_babble(void);
void test_lost(void);
void test_rings(void);
