/* Local APIC, I/O APIC and the other processors.
 * Owns nothing; called by the bodies of tests, in ring 3: the registers are memory. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/guest.h"

#define APIC          0xfee00000u
#define APIC_EOI      (APIC + 0xb0)
#define APIC_SPURIOUS (APIC + 0xf0)
#define APIC_ICR      (APIC + 0x300)
#define APIC_ICR_TO   (APIC + 0x310)
#define ICR_PENDING   0x1000u
#define ICR_INIT      0x4500u
#define ICR_STARTUP   0x4600u
#define ICR_ASSERT    0x4000u

#define IOAPIC     0xfec00000u
#define START_PAGE 0x8000u /* below 1 MiB, and nobody else's */

extern const uint8_t further[], further_end[];
extern uint32_t further_number;

void (*volatile processor_jobs[GUEST_CPUS])(void);

/* The old controllers, which a virtual wire connects, are masked. */
void apic_enable(void)
{
        out8(0x21, 0xff);
        out8(0xa1, 0xff);
        mmio_write(APIC_SPURIOUS, 0x13f);
}

void apic_route(uint32_t gsi, uint32_t vector)
{
        mmio_write(IOAPIC, 0x11 + 2 * gsi);
        mmio_write(IOAPIC + 0x10, 0); /* processor 0 */
        mmio_write(IOAPIC, 0x10 + 2 * gsi);
        mmio_write(IOAPIC + 0x10, vector);
}

static void command(uint32_t processor, uint32_t word)
{
        mmio_write(APIC_ICR_TO, processor << 24);
        mmio_write(APIC_ICR, word);
        while (mmio_read(APIC_ICR) & ICR_PENDING)
                ;
}

void apic_send(uint32_t processor, uint32_t vector)
{
        command(processor, ICR_ASSERT | vector);
}

void apic_start(uint32_t processor)
{
        volatile uint8_t *page = (volatile uint8_t *)(uint64_t)START_PAGE;

        for (uint32_t i = 0; further + i < further_end; i++)
                page[i] = further[i];
        __atomic_store_n(&further_number, processor, __ATOMIC_SEQ_CST);
        command(processor, ICR_INIT);
        command(processor, ICR_STARTUP | START_PAGE >> 12);
}

void processor_run(uint32_t processor, void (*job)(void))
{
        processor_jobs[processor] = job;
        apic_start(processor);
}

void wait_while(volatile uint32_t *word, uint32_t old)
{
        __asm__ volatile("ud2" : : "a"(SERVICE_WAIT), "D"(word), "S"(old) : "memory");
}
