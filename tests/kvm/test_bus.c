/* The bus: who is asked, and what nobody answers.
 * Owns a bus a test. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "broker/kvm/bus.h"
#include "broker/kvm/ending.h"
#include "proto/base/limits.h"

struct seen {
        unsigned n;
        uint64_t offset;
        uint32_t len;
        bool write;
        uint8_t bytes[8];
};

static void handler(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct seen *seen = context;

        seen->n++;
        seen->offset = offset;
        seen->len = len;
        seen->write = write;
        if (write)
                memcpy(seen->bytes, bytes, len);
        else
                bytes[0] = 0x5a;
}

static void access_goes_to_the_range_that_holds_it(void **state)
{
        struct kvm_bus *bus = kvm_bus_new();
        struct seen low = {0}, high = {0}, port = {0};
        uint8_t bytes[8] = {0};

        (void)state;
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_MMIO, 0x3000, 0x1000, "high", handler, &high), 0);
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_MMIO, 0x1000, 0x1000, "low", handler, &low), 0);
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_PIO, 0x1000, 8, "port", handler, &port), 0);

        kvm_bus_access(bus, KVM_SPACE_MMIO, 0x1004, 4, false, bytes);
        assert_int_equal(low.n, 1);
        assert_int_equal(low.offset, 4);
        assert_memory_equal(bytes, "\x5a\xff\xff\xff\x00\x00\x00\x00", 8);
        memcpy(bytes, "abcdefgh", 8);
        kvm_bus_access(bus, KVM_SPACE_MMIO, 0x3ff8, 8, true, bytes);
        assert_int_equal(high.offset, 0xff8);
        assert_true(high.write);
        assert_memory_equal(high.bytes, "abcdefgh", 8);
        kvm_bus_access(bus, KVM_SPACE_PIO, 0x1007, 1, false, bytes);
        assert_int_equal(port.offset, 7);
        assert_int_equal(low.n + high.n + port.n, 3);
        assert_int_equal(kvm_bus_unknown(bus, KVM_SPACE_MMIO) + kvm_bus_unknown(bus, KVM_SPACE_PIO), 0);
        kvm_bus_free(bus);
}

static void nobody_reads_as_ones_and_hears_no_write(void **state)
{
        static const struct {
                uint64_t address;
                uint32_t len;
        } cases[] = {{0, 1},      {0xfff, 1},  {0xfff, 2},          {0x1ffd, 4},    {0x1fff, 8},
                     {0x2000, 1}, {0x2ffc, 4}, {UINT64_MAX - 3, 4}, {UINT64_MAX, 1}};
        struct kvm_bus *bus = kvm_bus_new();
        struct seen seen = {0};

        (void)state;
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_MMIO, 0x1000, 0x1000, "only", handler, &seen), 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint8_t bytes[9] = {0};

                kvm_bus_access(bus, KVM_SPACE_MMIO, cases[i].address, cases[i].len, false, bytes);
                for (uint32_t b = 0; b < sizeof(bytes); b++)
                        assert_int_equal(bytes[b], b < cases[i].len ? 0xff : 0);
                kvm_bus_access(bus, KVM_SPACE_MMIO, cases[i].address, cases[i].len, true, bytes);
                assert_int_equal(kvm_bus_unknown(bus, KVM_SPACE_MMIO), 2 * (i + 1));
        }
        assert_int_equal(seen.n, 0);
        kvm_bus_free(bus);
}

static void ranges_do_not_overlap_wrap_or_vanish(void **state)
{
        static const struct {
                uint64_t start, len;
                int result;
        } cases[] = {
            {0x1000, 0, -EINVAL},    {UINT64_MAX, 2, -EINVAL}, {0x1000, UINT64_MAX, -EINVAL},
            {0x1000, 1, -EEXIST},    {0x0800, 0x801, -EEXIST}, {0x1fff, 1, -EEXIST},
            {0x1800, 0x10, -EEXIST}, {0x0, 0x10000, -EEXIST},  {0x0800, 0x800, 0},
            {0x2000, 0x1000, 0},     {0x2fff, 1, -EEXIST},     {UINT64_MAX - 1, 1, 0},
        };
        struct kvm_bus *bus = kvm_bus_new();
        struct seen seen = {0};

        (void)state;
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_MMIO, 0x1000, 0x1000, "first", handler, &seen), 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_int_equal(
                    kvm_bus_add(bus, KVM_SPACE_MMIO, cases[i].start, cases[i].len, "other", handler, &seen),
                    cases[i].result);
        kvm_bus_free(bus);
}

static void bus_holds_its_limit_of_ranges_and_no_more(void **state)
{
        struct kvm_bus *bus = kvm_bus_new();
        struct seen seen[LIMIT_BUS_RANGES + 1];
        uint8_t byte = 0;

        (void)state;
        memset(seen, 0, sizeof(seen));
        for (unsigned i = 0; i < LIMIT_BUS_RANGES; i++) {
                unsigned at = i * 37 % LIMIT_BUS_RANGES; /* in no order */

                assert_int_equal(
                    kvm_bus_add(bus, KVM_SPACE_MMIO, at * 0x1000ull, 0x200, "one", handler, &seen[at]), 0);
        }
        assert_int_equal(kvm_bus_add(bus, KVM_SPACE_MMIO, 0x800, 1, "more", handler, &seen[0]), -E2BIG);
        for (unsigned i = 0; i < LIMIT_BUS_RANGES; i++) {
                kvm_bus_access(bus, KVM_SPACE_MMIO, i * 0x1000ull + 0x1ff, 1, true, &byte);
                assert_int_equal(seen[i].n, 1);
        }
        kvm_bus_free(bus);
}

/* ---- the end of a VM ---- */

static unsigned n_ends;

static void on_ended(void *context, enum kvm_end end, const char *why)
{
        n_ends++;
        assert_int_equal(end, KVM_END_RESET);
        assert_string_equal(why, "first");
        assert_null(context);
}

static void first_reason_counts(void **state)
{
        struct kvm_ending ending = {.ended = on_ended};

        (void)state;
        assert_false(kvm_ending_reported(&ending));
        kvm_ending_report(&ending, KVM_END_RESET, "first");
        kvm_ending_report(&ending, KVM_END_CRASH, "second");
        assert_true(kvm_ending_reported(&ending));
        assert_int_equal(n_ends, 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(access_goes_to_the_range_that_holds_it),
            cmocka_unit_test(nobody_reads_as_ones_and_hears_no_write),
            cmocka_unit_test(ranges_do_not_overlap_wrap_or_vanish),
            cmocka_unit_test(bus_holds_its_limit_of_ranges_and_no_more),
            cmocka_unit_test(first_reason_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
