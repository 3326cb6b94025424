/* workers/iommu/iommu_domain: what is attached and mapped, at its limits, and what a successor makes of a predecessor's word.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/iommu/iommu_domain.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct iommu_memory memory;

static struct iommu_req page(uint32_t domain, uint64_t number)
{
        return (struct iommu_req){.op = IOMMU_MAP,
                                  .domain = domain,
                                  .start = number * IOMMU_PAGE,
                                  .end = number * IOMMU_PAGE + IOMMU_PAGE - 1,
                                  .phys = 0x100000,
                                  .flags = 3};
}

static struct iommu_req pages(uint32_t domain, uint64_t first, uint64_t last)
{
        struct iommu_req req = page(domain, first);

        req.end = (last + 1) * IOMMU_PAGE - 1;
        return req;
}

static int setup(void **state)
{
        (void)state;
        memset(&memory, 0, sizeof(memory));
        iommu_domain_clear(&memory);
        iommu_domain_enter(&memory, 1, 0);
        return 0;
}

static void map(const struct iommu_req *req)
{
        assert_int_equal(iommu_domain_may_map(&memory, req), IOMMU_OK);
        iommu_domain_map(&memory, req);
}

static unsigned count(uint32_t domain)
{
        unsigned n = 0;

        for (uint32_t i = 0; (i = iommu_domain_next(&memory, domain, i)) != IOMMU_NO_SLOT; i++)
                n++;
        return n;
}

static void domain_is_there_while_an_endpoint_is_attached(void **state)
{
        const struct iommu_req req = page(1, 4);

        (void)state;
        iommu_domain_enter(&memory, 1, 1);
        map(&req);
        iommu_domain_leave(&memory, 0);
        assert_true(iommu_domain_exists(&memory, 1));
        assert_int_equal(count(1), 1);
        iommu_domain_enter(&memory, 2, 1); /* the last moves on */
        assert_false(iommu_domain_exists(&memory, 1));
        assert_int_equal(count(1), 0);
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_NOENT);
        assert_int_equal(iommu_domain_may_unmap(&memory, &req), IOMMU_NOENT);
        assert_true(iommu_domain_has(&memory, 2, 1));
}

static void nothing_is_mapped_twice_in_one_domain(void **state)
{
        const struct iommu_req has = pages(1, 4, 7);

        (void)state;
        map(&has);
        for (uint64_t first = 0; first < 12; first++)
                for (uint64_t last = first; last < 12; last++) {
                        const struct iommu_req req = pages(1, first, last);
                        bool overlap = first <= 7 && last >= 4;

                        assert_int_equal(iommu_domain_may_map(&memory, &req),
                                         overlap ? IOMMU_INVAL : IOMMU_OK);
                        assert_int_equal(iommu_domain_is_mapped(&memory, &req), first == 4 && last == 7);
                }
        iommu_domain_enter(&memory, 2, 1);
        assert_int_equal(
            iommu_domain_may_map(
                &memory, &(struct iommu_req){.domain = 2, .start = has.start, .end = has.end, .flags = 1}),
            IOMMU_OK);
}

static void mappings_are_unmapped_whole_or_not_at_all(void **state)
{
        const struct iommu_req has = pages(1, 4, 7);

        (void)state;
        for (uint64_t first = 0; first < 12; first++)
                for (uint64_t last = first; last < 12; last++) {
                        const struct iommu_req req = pages(1, first, last);
                        bool whole = first <= 4 && last >= 7, none = first > 7 || last < 4;

                        iommu_domain_clear(&memory);
                        iommu_domain_enter(&memory, 1, 0);
                        map(&has);
                        assert_int_equal(iommu_domain_may_unmap(&memory, &req),
                                         whole || none ? IOMMU_OK : IOMMU_RANGE);
                        if (!whole && !none)
                                continue;
                        iommu_domain_unmap(&memory, &req);
                        assert_int_equal(count(1), none);
                }
}

static void a_domain_has_as_many_mappings_as_it_may_have(void **state)
{
        struct iommu_req req;

        (void)state;
        for (uint32_t i = 0; i < LIMIT_IOMMU_DOMAIN; i++) {
                req = page(1, i);
                iommu_domain_map(&memory, &req);
        }
        req = page(1, LIMIT_IOMMU_DOMAIN);
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_NOMEM);
        iommu_domain_enter(&memory, 2, 1);
        req.domain = 2;
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_OK);
        req = page(1, 77);
        iommu_domain_unmap(&memory, &req);
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_OK);
        iommu_domain_map(&memory, &req);
        assert_int_equal(memory.used, LIMIT_IOMMU_DOMAIN); /* in the slot that had become free */
}

static void all_domains_together_have_as_many_as_there_are_slots(void **state)
{
        struct iommu_req req = page(3, 0);

        (void)state;
        iommu_domain_enter(&memory, 3, 2);
        memory.used = LIMIT_IOMMU_MAPPINGS;
        for (uint32_t i = 0; i < LIMIT_IOMMU_MAPPINGS; i++)
                memory.mappings[i] = (struct iommu_mapping){.end = 0xfff, .domain = 9, .flags = 1};
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_NOMEM);
        memory.mappings[5].flags = 0;
        assert_int_equal(iommu_domain_may_map(&memory, &req), IOMMU_OK);
        iommu_domain_map(&memory, &req);
        assert_int_equal(iommu_domain_next(&memory, 3, 0), 5);
}

static void what_a_predecessor_has_left_out_of_shape_is_not_there(void **state)
{
        static const struct iommu_mapping bad[] = {
            {1, 0x1fff, 0, 1, 1},
            {0, 0x1000, 0, 1, 1},
            {0x2000, 0xfff, 0, 1, 1},
            {0, 0xfff, 1, 1, 1},
            {0, 0xfff, UINT64_MAX - 0xfff, 1, 1},
            {0, UINT64_MAX, 0, 1, 1},
            {0, 0xfff, 0, 1, 4},
            {0, 0xfff, 0, 1, UINT32_MAX},
        };
        const struct iommu_req good = page(1, 40);

        (void)state;
        map(&good);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                memory.mappings[1 + i] = bad[i];
        memory.used = UINT32_MAX;
        memory.endpoints[9].attached = 77;
        iommu_domain_adopt(&memory);
        assert_int_equal(count(1), 1);
        assert_true(iommu_domain_is_mapped(&memory, &good));
        assert_int_equal(memory.used, LIMIT_IOMMU_MAPPINGS);
        assert_int_equal(memory.endpoints[9].attached, 1);
}

static void memory_that_can_become_shorter_is_refused(void **state)
{
        struct iommu_memory *got = NULL;
        int fd = memfd_create("iommu", MFD_ALLOW_SEALING);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, LIMIT_IOMMU_MEMORY), 0);
        assert_int_equal(iommu_memory_open(fd, &got), -EINVAL);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        assert_int_equal(iommu_memory_open(fd, &got), 0);
        assert_int_equal(munmap(got, sizeof(*got)), 0);
        close(fd);
        fd = memfd_create("iommu", MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, sizeof(struct iommu_memory) - 1), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        assert_int_equal(iommu_memory_open(fd, &got), -EINVAL);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(domain_is_there_while_an_endpoint_is_attached, setup),
            cmocka_unit_test_setup(nothing_is_mapped_twice_in_one_domain, setup),
            cmocka_unit_test_setup(mappings_are_unmapped_whole_or_not_at_all, setup),
            cmocka_unit_test_setup(a_domain_has_as_many_mappings_as_it_may_have, setup),
            cmocka_unit_test_setup(all_domains_together_have_as_many_as_there_are_slots, setup),
            cmocka_unit_test_setup(what_a_predecessor_has_left_out_of_shape_is_not_there, setup),
            cmocka_unit_test(memory_that_can_become_shorter_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
