/* The test guest's body: one row a test, chosen by a word of the command line.
 * Owns nothing; called by entry.S in ring 3, on each processor. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/guest.h"

#include <stddef.h>

#define SPIN_MAX 2000000000u
#define APIC_ID  0xfee00020u

void guest_body(uint32_t processor);

static volatile uint32_t arrived; /* further processors, so far */
static volatile uint32_t sum;     /* of what all have counted */

static void hello(void)
{
        uint32_t words[4];

        cpuid(1, 0, words);
        if (!(words[2] & 1u << 31))
                fail("hello", "no hypervisor in CPUID", words[2]);
        else if (!(words[3] & 1u << 9))
                fail("hello", "no local APIC in CPUID", words[3]);
        else
                pass("hello", option("hello", 0));
}

/* Starts the others; each counts, and all have different ids. */
static void cpus(void)
{
        uint32_t n = (uint32_t)option("cpus", 1);

        apic_enable();
        for (uint32_t i = 1; i < n; i++) {
                apic_start(i);
                for (uint32_t spin = 0; arrived < i; spin++) {
                        if (spin == SPIN_MAX) {
                                fail("cpus", "processor does not come", i);
                                return;
                        }
                }
        }
        for (uint32_t spin = 0; sum < 1000 * (n - 1); spin++) {
                if (spin == SPIN_MAX) {
                        fail("cpus", "they have counted to", sum);
                        return;
                }
        }
        pass("cpus", n);
}

static void count_and_compare(uint32_t processor)
{
        uint32_t words[4];

        if (mmio_read(APIC_ID) >> 24 != processor)
                fail("cpus", "another's APIC id", mmio_read(APIC_ID) >> 24);
        /* Without help of the processor, KVM leaves CPUID in ring 3 to the host's processor of the moment. */
        cpuid(1, 0, words);
        if (option("real", 0) && words[1] >> 24 != processor)
                fail("cpus", "another's APIC id in CPUID 1", words[1] >> 24);
        cpuid(0xb, 0, words);
        if (option("real", 0) && words[3] != processor)
                fail("cpus", "another's APIC id in CPUID 11", words[3]);
        __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
        for (uint32_t i = 0; i < 1000; i++)
                __atomic_fetch_add(&sum, 1, __ATOMIC_SEQ_CST);
}

static void further_body(uint32_t processor)
{
        if (processor_jobs[processor])
                processor_jobs[processor]();
        else
                count_and_compare(processor);
        for (volatile uint32_t never = 0;;)
                wait_while(&never, 0);
}

/* An eventfd of the host's raises GSI `gsi` so many times, each after a write to the doorbell. */
static void doorbell(void)
{
        uint32_t n = (uint32_t)option("doorbells", 1);
        volatile uint32_t *came = &interrupts[VECTOR_CALL];

        apic_enable();
        apic_route((uint32_t)option("gsi", 5), VECTOR_CALL);
        for (uint32_t i = 0; i < n; i++) {
                mmio_write(option("doorbell", 0xd0000050), 0);
                while (*came == i)
                        wait_while(came, i);
        }
        if (*came != n)
                fail("doorbells", "more than asked for", *came);
        else
                pass("doorbells", n);
}

/* All of the bus that nobody serves reads as ones. */
static void nothing(void)
{
        uint32_t word = mmio_read(0xd8000000);
        uint8_t byte = in8(0x3e0);

        mmio_write(0xd8000000, 1);
        out8(0x3e0, 1);
        if (word != 0xffffffff || byte != 0xff)
                fail("nothing", "not all ones", word & byte);
        else
                pass("nothing", 0);
}

/* Says so, then gives back each byte that is typed until a full stop. */
static void echo(void)
{
        uint32_t n = 0;
        char c = 0;

        put_text("echo\n");
        while (c != '.') {
                c = get_char();
                put_char(c);
                n++;
        }
        out8(0x3f9, 0);
        put_char('\n');
        pass("echo", n);
}

static void spin(void)
{
        put_text("spinning\n");
        for (;;)
                __asm__ volatile("pause");
}

/* Memory at `at`, read and then written. */
static void touch(void)
{
        uint64_t at = option("touch", 0);
        uint32_t word = mmio_read(at);

        put_text("read ");
        put_hex(word);
        put_char('\n');
        mmio_write(at, 0x5eed);
        pass("touch", 0);
}

static void triple_fault(void)
{
        __asm__ volatile("ud2" : : "a"(SERVICE_TRIPLE_FAULT));
}

static void reset(void)
{
        out8(0x64, 0xfe);
}

static void reset_acpi(void)
{
        out8(0x604, 1);
}

static const struct {
        const char *word;
        void (*run)(void);
} tests[] = {
    {"hello", hello},
    {"nothing", nothing},
    {"cpus", cpus},
    {"doorbells", doorbell},
    {"echo", echo},
    {"touch", touch},
    {"blk", test_blk},
    {"say", test_say},
    {"rng", test_rng},
    {"region", test_region},
    {"region_resets", test_region_resets},
    {"window", test_window},
    {"window_ring", test_window_ring},
    {"legacy", test_legacy},
    {"legacy_big", test_legacy_big},
    {"config_old", test_config_old},
    {"config_new", test_config_new},
    {"iommu", test_iommu},
    {"pmem", test_pmem},
    {"pmem_cut", test_pmem_cut},
    {"pmem_medium", test_pmem_medium},
    {"pmem_long", test_pmem_long},
    {"pmem_full", test_pmem_full},
    {"foreign", test_foreign},
    {"foreign_refused", test_foreign_refused},
    {"foreign_ring", test_foreign_ring},
    {"registers", test_registers},
    {"race", test_race},
    {"scribble", test_scribble},
    {"chaos", test_chaos},
    {"flood", test_flood},
    {"storm", test_storm},
    {"odd", test_odd},
    {"lost", test_lost},
    {"babble", test_babble},
    {"rings", test_rings},
    {"spin", spin},
    {"triple", triple_fault},
    {"reset", reset},
    {"reset_acpi", reset_acpi},
};

void guest_body(uint32_t processor)
{
        if (processor > 0)
                further_body(processor);
        for (uint32_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
                if (option(tests[i].word, UINT64_MAX) != UINT64_MAX)
                        tests[i].run();
        }
        put_text("end\n");
        out8(0x600, 0x34);
        for (volatile uint32_t never = 0;;)
                wait_while(&never, 0);
}
