/* workers/iommu/iommu_req: what is a request, and what is answered with which status (virtio 1.3, 5.13.6).
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/iommu/iommu_req.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"

static uint8_t bytes[IOMMU_REQ_BYTES];

static void put_map(uint64_t start, uint64_t end, uint64_t phys, uint32_t flags)
{
        memset(bytes, 0, sizeof(bytes));
        bytes[0] = IOMMU_MAP;
        bytes_store32(bytes + 4, 7);
        bytes_store64(bytes + 8, start);
        bytes_store64(bytes + 16, end);
        bytes_store64(bytes + 24, phys);
        bytes_store32(bytes + 32, flags);
}

static void put_unmap(uint64_t start, uint64_t end)
{
        put_map(start, end, 0, 0);
        bytes[0] = IOMMU_UNMAP;
}

static void put_attach(enum iommu_op op)
{
        memset(bytes, 0, sizeof(bytes));
        bytes[0] = (uint8_t)op;
        bytes_store32(bytes + 4, 7);
        bytes_store32(bytes + 8, 0x80000003);
}

static void good_requests_are_understood(void **state)
{
        struct iommu_req req;

        (void)state;
        put_attach(IOMMU_ATTACH);
        assert_int_equal(iommu_req_check(bytes, 20, 4, &req), IOMMU_OK);
        assert_true(req.op == IOMMU_ATTACH && req.domain == 7 && req.endpoint == 0x80000003);
        put_attach(IOMMU_DETACH);
        assert_int_equal(iommu_req_check(bytes, 20, 4, &req), IOMMU_OK);
        assert_int_equal(req.op, IOMMU_DETACH);
        put_map(0x1000, 0x2fff, 0x5000, 3);
        assert_int_equal(iommu_req_check(bytes, 36, 4, &req), IOMMU_OK);
        assert_true(req.op == IOMMU_MAP && req.domain == 7 && req.start == 0x1000 && req.end == 0x2fff &&
                    req.phys == 0x5000 && req.flags == 3);
        put_unmap(0x1000, UINT64_MAX);
        assert_int_equal(iommu_req_check(bytes, 28, 4, &req), IOMMU_OK);
        assert_true(req.op == IOMMU_UNMAP && req.end == UINT64_MAX);
        memset(bytes, 0, sizeof(bytes));
        bytes[0] = IOMMU_PROBE;
        bytes[4] = 9;
        assert_int_equal(iommu_req_check(bytes, 72, 68, &req), IOMMU_OK);
        assert_true(req.op == IOMMU_PROBE && req.endpoint == 9);
}

static void ranges_are_whole_pages_that_do_not_wrap(void **state)
{
        static const struct {
                uint64_t start, end, phys;
                enum iommu_status status;
        } rows[] = {
            {0, 0xfff, 0, IOMMU_OK},
            {UINT64_MAX - 0xfff, UINT64_MAX, 0, IOMMU_OK},
            {0x1000, UINT64_MAX, 0, IOMMU_OK},
            {0, 0xfff, UINT64_MAX - 0x1fff, IOMMU_OK}, /* ends before the last page */
            {0, 0xfff, UINT64_MAX - 0xfff, IOMMU_RANGE},
            {0, 0x1fff, UINT64_MAX - 0x1fff, IOMMU_RANGE},
            {0, UINT64_MAX, 0, IOMMU_RANGE},
            {1, 0xfff, 0, IOMMU_RANGE},
            {0, 0x1000, 0, IOMMU_RANGE},
            {0, 0xffe, 0, IOMMU_RANGE},
            {0, 0xfff, 1, IOMMU_RANGE},
            {0x2000, 0x1fff, 0, IOMMU_RANGE}, /* nothing, or all round */
            {0x2000, 0xfff, 0, IOMMU_RANGE},
        };
        struct iommu_req req;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                put_map(rows[i].start, rows[i].end, rows[i].phys, 1);
                assert_int_equal(iommu_req_check(bytes, 36, 4, &req), rows[i].status);
        }
}

static void flags_and_reserved_bytes_that_nobody_knows_are_refused(void **state)
{
        struct iommu_req req;

        (void)state;
        for (uint32_t flags = 0; flags != 0x10; flags++) {
                put_map(0, 0xfff, 0, flags);
                assert_int_equal(iommu_req_check(bytes, 36, 4, &req),
                                 flags >= 1 && flags <= 3 ? IOMMU_OK : IOMMU_INVAL);
        }
        for (unsigned i = 12; i < 20; i++) {
                put_attach(i % 2 ? IOMMU_ATTACH : IOMMU_DETACH);
                bytes[i] = 1;
                assert_int_equal(iommu_req_check(bytes, 20, 4, &req), IOMMU_INVAL);
        }
        put_unmap(0, 0xfff);
        bytes[27] = 1;
        assert_int_equal(iommu_req_check(bytes, 28, 4, &req), IOMMU_INVAL);
        memset(bytes, 0, sizeof(bytes));
        bytes[0] = IOMMU_PROBE;
        bytes[71] = 1;
        assert_int_equal(iommu_req_check(bytes, 72, 68, &req), IOMMU_INVAL);
}

static void requests_that_are_too_short_or_unknown_are_refused(void **state)
{
        static const struct {
                enum iommu_op op;
                uint32_t readable, writable;
        } rows[] = {
            {IOMMU_ATTACH, 20, 4}, {IOMMU_DETACH, 20, 4}, {IOMMU_UNMAP, 28, 4}, {IOMMU_PROBE, 72, 68}};
        struct iommu_req req = {.domain = 1};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                memset(bytes, 0, sizeof(bytes));
                bytes[0] = (uint8_t)rows[i].op;
                bytes[17] = rows[i].op == IOMMU_UNMAP ? 0xf : 0;
                bytes[16] = rows[i].op == IOMMU_UNMAP ? 0xff : 0;
                assert_int_equal(iommu_req_check(bytes, rows[i].readable, rows[i].writable, &req), IOMMU_OK);
                for (uint32_t len = 4; len < rows[i].readable; len++)
                        assert_int_equal(iommu_req_check(bytes, len, rows[i].writable, &req), IOMMU_INVAL);
        }
        assert_int_equal(iommu_req_check(bytes, 72, 67, &req), IOMMU_INVAL); /* no room for properties */
        for (uint32_t len = 0; len < 4; len++)
                assert_int_equal(iommu_req_check(bytes, len, 4, &req), IOMMU_INVAL);
        for (unsigned op = 0; op < 256; op++) {
                bytes[0] = (uint8_t)op;
                if (op < IOMMU_ATTACH || op > IOMMU_PROBE)
                        assert_int_equal(iommu_req_check(bytes, 72, 68, &req), IOMMU_UNSUPP);
        }
}

static void fault_says_what_where_and_why(void **state)
{
        uint8_t fault[IOMMU_FAULT_BYTES];

        (void)state;
        memset(fault, 0xee, sizeof(fault));
        iommu_fault_make(fault, 5, 0xffff123000, 2, true);
        assert_int_equal(bytes_load32(fault), 2); /* reason MAPPING; reserved */
        assert_int_equal(bytes_load32(fault + 4), 0x102);
        assert_int_equal(bytes_load32(fault + 8), 5);
        assert_int_equal(bytes_load32(fault + 12), 0);
        assert_true(bytes_load64(fault + 16) == 0xffff123000);
        iommu_fault_make(fault, 5, 0, 1, false);
        assert_int_equal(fault[0], 1); /* DOMAIN */
        assert_int_equal(bytes_load32(fault + 4), 0x101);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(good_requests_are_understood),
            cmocka_unit_test(ranges_are_whole_pages_that_do_not_wrap),
            cmocka_unit_test(flags_and_reserved_bytes_that_nobody_knows_are_refused),
            cmocka_unit_test(requests_that_are_too_short_or_unknown_are_refused),
            cmocka_unit_test(fault_says_what_where_and_why),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
