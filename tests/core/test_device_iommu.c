/* An IOMMU of the VM's own, whose worker says what a device behind it reaches: two worlds, one each. The worker is a puppet, which says
 * right and wrong.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "broker/core/interval_map.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/core/iova_space.h"
#include "tests/core/world.h"

#define PAGE     LIMIT_IOTLB_PAGE
#define RW       (IOTLB_READ | IOTLB_WRITE)
#define STATUS   IOVA_BUFFERS
#define AT(i)    (IOVA_BUFFERS + UINT64_C(4096) * (i))
#define ENDPOINT 3u

static struct world iommu, world; /* the latter is of the device behind it */
static struct iova_space space;
static uint32_t next_id;

/* Serves, and has answered all that it was told: it may wait while the other world goes on. */
static void serve(struct world *one)
{
        world_serve(one);
        world_until(one, worker_link_pending(one->device->supervisor.link) == 0);
}

static void begin_as(bool persists)
{
        const struct device_front front = {.iotlb_persists = persists};

        next_id = 1;
        world_init_as(&iommu, 1, DEVICE_TYPE_IOMMU);
        serve(&iommu); /* before the other world counts what is open */
        world_init_with(&world, 1, DEVICE_TYPE_BLK, NULL, &front);
        device_put_behind(world.device, iommu.device, ENDPOINT);
        serve(&world);
        iova_space_init(&space, &world.guest, 7);
        assert_int_equal(device_translate(world.device, true), 0);
}

static void begin(void)
{
        begin_as(true);
}

static void end(void)
{
        world_stop_queues(&world);
        world_done(&world);
        world_done(&iommu);
}

/* ---- what the worker says ---- */

static uint32_t say(enum control_kind_to_broker kind, const struct control_iommu *what)
{
        struct control_to_broker message = {.kind = kind, .iommu = *what};

        message.iommu.id = next_id;
        iommu.puppet.n_answered[next_id % WORLD_LOG] = 0;
        world_send(&iommu, &message);
        return next_id++;
}

static int answer_of(uint32_t id)
{
        world_until(&iommu, iommu.puppet.n_answered[id % WORLD_LOG] == 1);
        return iommu.puppet.answer[id % WORLD_LOG];
}

static int map(uint64_t iova, uint64_t len, uint64_t gpa, unsigned rights)
{
        return answer_of(
            say(CONTROL_IOMMU_MAP,
                &(struct control_iommu){
                    .endpoint = ENDPOINT, .iova = iova, .len = len, .gpa = gpa, .rights = rights}));
}

static int unmap(uint64_t iova, uint64_t len)
{
        return answer_of(say(CONTROL_IOMMU_UNMAP,
                             &(struct control_iommu){.endpoint = ENDPOINT, .iova = iova, .len = len}));
}

static void map_page(uint64_t iova, unsigned rights)
{
        const struct iotlb_entry entry = iova_entry(&space, iova, rights);

        assert_int_equal(map(entry.iova, entry.len, entry.gpa, entry.rights), 0);
}

/* Rings, and the page of statuses. */
static void map_rings(void)
{
        for (uint64_t at = IOVA_RINGS; at < IOVA_RINGS + (MODEL_BUFFERS - MODEL_LOW); at += PAGE)
                map_page(at, RW);
        map_page(STATUS, RW);
}

static size_t n_entries(void)
{
        return iotlb_n(device_iotlb(world.device));
}

static unsigned n_faults(void)
{
        return world_told(&iommu, CONTROL_IOMMU_FAULT);
}

static const struct control_to_worker *last_fault(void)
{
        for (unsigned i = iommu.puppet.n_messages; i-- > 0;)
                if (iommu.puppet.messages[i].kind == CONTROL_IOMMU_FAULT)
                        return &iommu.puppet.messages[i];
        fail();
        return NULL;
}

static void start(void)
{
        const struct model_queue *model = &world.guest.queues[0];
        const struct queue_layout layout = iova_layout(&space, 0);

        world.guest.queues[0].event_idx = true;
        assert_int_equal(device_queue_start(world.device, 0, &layout, 0, model->kick, model->call), 0);
}

static void post(uint64_t at, uint32_t len)
{
        model_post(&world.guest, 0, (struct model_buffer[]){{at, len, false}, {STATUS, 1, true}}, 2);
}

/* ---- right ways ---- */

static void device_reaches_what_is_mapped_and_nothing_after_it_is_unmapped(void **state)
{
        (void)state;
        begin();
        map_rings();
        map_page(AT(1), IOTLB_READ);
        start();
        post(AT(1), 64);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(*iova_at(&space, STATUS), 1);
        assert_int_equal(n_faults(), 0);
        assert_int_equal(unmap(AT(1), PAGE), 0);
        post(AT(1), 64);
        world_until(&world, world.n_broken == 1);
        world_until(&iommu, n_faults() == 1);
        assert_int_equal(last_fault()->iommu_fault.endpoint, ENDPOINT);
        assert_true(last_fault()->iommu_fault.iova == AT(1));
        assert_int_equal(last_fault()->iommu_fault.rights, IOTLB_READ);
        assert_int_equal(device_iotlb_misses(world.device).asked, 0); /* there is nobody */
        end();
}

static void page_that_is_mapped_to_be_read_is_not_written(void **state)
{
        (void)state;
        begin();
        map_rings();
        map_page(AT(1), IOTLB_READ);
        start();
        model_post(&world.guest, 0, &(struct model_buffer){AT(1), 64, true}, 1);
        world_until(&world, world.n_broken == 1);
        world_until(&iommu, n_faults() == 1);
        assert_int_equal(last_fault()->iommu_fault.rights, IOTLB_WRITE);
        end();
}

/* When the answer to an unmap is there, nothing of the range is in the table that lanes see. */
static void unmapped_means_gone(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(0x10000, 4 * PAGE, MODEL_BUFFERS, RW), 0);
        assert_int_equal(n_entries(), 1);
        assert_int_equal(unmap(0x11000, PAGE), 0);
        assert_int_equal(n_entries(), 2);
        assert_false(interval_map_overlaps(device_iotlb(world.device)->entries, 0x11000, PAGE));
        assert_false(world.device->iotlb.changed); /* lanes have it */
        assert_int_equal(unmap(0, 0), 0);
        assert_int_equal(n_entries(), 0);
        end();
}

/* ---- the broker's judgement ---- */

static void only_memory_of_the_guest_s_can_be_mapped(void **state)
{
        static const struct {
                uint64_t gpa, len;
        } rows[] = {
            {MODEL_END, PAGE},
            {MODEL_END - PAGE, 2 * PAGE}, /* its end alone */
            {MODEL_END + 0x1000000, PAGE},
            {UINT64_C(1) << 52, PAGE},
            {0, UINT64_C(1) << 62},
        };

        (void)state;
        begin();
        for (size_t i = 0; i < array_size(rows); i++)
                assert_int_equal(map(0x10000, rows[i].len, rows[i].gpa, IOTLB_READ), -EFAULT);
        assert_int_equal(n_entries(), 0);
        assert_int_equal(map(0x10000, PAGE, MODEL_END - PAGE, RW), 0);
        assert_int_equal(iommu.n_spawns, 1);
        end();
}

static void who_names_a_device_that_is_not_behind_it_is_killed(void **state)
{
        static const uint32_t endpoints[] = {0, ENDPOINT - 1, ENDPOINT + 1, LIMIT_DEVICES - 1};

        (void)state;
        begin();
        assert_int_equal(map(0x10000, PAGE, MODEL_BUFFERS, RW), 0);
        for (unsigned i = 0; i < array_size(endpoints); i++) {
                const struct control_iommu what = {.endpoint = endpoints[i],
                                                   .iova = 0x20000,
                                                   .len = PAGE,
                                                   .gpa = MODEL_BUFFERS,
                                                   .rights = RW};

                (void)say(i % 2 ? CONTROL_IOMMU_UNMAP : CONTROL_IOMMU_MAP, &what);
                world_until(&iommu, iommu.n_spawns == 2 + i && world_state(&iommu) == WORKER_SERVING);
        }
        assert_int_equal(n_entries(), 1); /* as its driver knows it, whoever serves */
        end();
}

static void who_is_no_iommu_is_killed(void **state)
{
        const struct control_to_broker messages[] = {
            {.kind = CONTROL_IOMMU_MAP,
             .iommu = {.endpoint = ENDPOINT, .iova = 0, .len = PAGE, .gpa = MODEL_BUFFERS, .rights = RW}},
            {.kind = CONTROL_IOMMU_UNMAP, .iommu = {.endpoint = ENDPOINT}},
        };

        (void)state;
        begin();
        assert_int_equal(map(0x10000, PAGE, MODEL_BUFFERS, RW), 0);
        for (unsigned i = 0; i < array_size(messages); i++) {
                world_send(&world, &messages[i]);
                world_until(&world, world.n_spawns == 2 + i && world_state(&world) == WORKER_SERVING);
        }
        assert_int_equal(n_entries(), 1);
        assert_int_equal(iommu.n_spawns, 1);
        end();
}

static void nothing_is_put_out_to_make_room(void **state)
{
        (void)state;
        begin();
        for (uint64_t i = 0; i < LIMIT_IOTLB_ENTRIES; i++) {
                const struct iotlb_entry entry = {
                    .iova = 2 * i * PAGE, .len = PAGE, .gpa = MODEL_BUFFERS, .rights = RW};

                assert_int_equal(device_iotlb_update(world.device, &entry), 0);
                if (i % 512 == 0)
                        world_step(&iommu); /* nobody is to be taken for hung */
        }
        assert_int_equal(map(UINT64_C(1) << 40, PAGE, MODEL_BUFFERS, RW), -ENOSPC);
        world_wait(&world, 50);
        assert_int_equal(n_entries(), LIMIT_IOTLB_ENTRIES);
        assert_int_equal(unmap(0, PAGE), 0);
        assert_int_equal(map(UINT64_C(1) << 40, PAGE, MODEL_BUFFERS, RW), 0);
        end();
}

/* ---- lives ---- */

static void mappings_outlive_workers_and_a_reset_of_the_device_but_not_one_of_the_iommu(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(0x10000, PAGE, MODEL_BUFFERS, RW), 0);
        world_kill_worker(&iommu);
        world_until(&iommu, iommu.n_spawns == 2 && world_state(&iommu) == WORKER_SERVING);
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(n_entries(), 1);
        device_reset(world.device);
        assert_int_equal(n_entries(), 1);
        device_reset(iommu.device);
        assert_int_equal(n_entries(), 0);
        world_until(&iommu, iommu.n_spawns == 3 && world_state(&iommu) == WORKER_SERVING);
        end();
}

static void mappings_go_with_a_reset_where_they_do_not_persist(void **state)
{
        (void)state;
        begin_as(false);
        assert_int_equal(map(0x10000, PAGE, MODEL_BUFFERS, RW), 0);
        device_reset(world.device);
        assert_int_equal(n_entries(), 0);
        end();
}

static void a_device_that_is_not_translated_has_nothing_mapped(void **state)
{
        (void)state;
        begin();
        assert_int_equal(device_translate(world.device, false), 0);
        assert_int_equal(map(0x10000, PAGE, MODEL_BUFFERS, RW), -EACCES);
        assert_int_equal(unmap(0, 0), 0);
        assert_int_equal(device_translate(world.device, true), 0);
        assert_int_equal(n_entries(), 0);
        end();
}

/* ---- floods ---- */

static void faults_beyond_their_rate_are_counted_and_not_told(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 4 * LIMIT_IOMMU_FAULT_BURST; i++)
                device_iommu_fault(world.device, i * PAGE, IOTLB_READ);
        assert_int_equal(iommu.device->iommu.n_untold, 3 * LIMIT_IOMMU_FAULT_BURST);
        world_until(&iommu, n_faults() == LIMIT_IOMMU_FAULT_BURST);
        world_wait(&iommu, 20);
        assert_int_equal(n_faults(), LIMIT_IOMMU_FAULT_BURST);
        device_iommu_fault(world.device, 0, IOTLB_READ); /* in the 20 ms its rate has room again */
        world_until(&iommu, n_faults() == LIMIT_IOMMU_FAULT_BURST + 1);
        assert_int_equal(iommu.device->iommu.n_untold, 3 * LIMIT_IOMMU_FAULT_BURST);
        end();
}

static void a_guest_that_maps_and_unmaps_for_ever_kills_no_worker(void **state)
{
        uint32_t id = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < 3 * LIMIT_CONTROL_IOMMU_BURST / LIMIT_IOMMU_PENDING; i++) {
                for (unsigned k = 0; k < LIMIT_IOMMU_PENDING; k++)
                        id = say(k % 2 ? CONTROL_IOMMU_UNMAP : CONTROL_IOMMU_MAP,
                                 &(struct control_iommu){.endpoint = ENDPOINT,
                                                         .iova = 0x10000,
                                                         .len = PAGE,
                                                         .gpa = MODEL_BUFFERS,
                                                         .rights = RW});
                assert_int_equal(answer_of(id), 0);
        }
        assert_int_equal(iommu.n_spawns, 1);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(device_reaches_what_is_mapped_and_nothing_after_it_is_unmapped),
            cmocka_unit_test(page_that_is_mapped_to_be_read_is_not_written),
            cmocka_unit_test(unmapped_means_gone),
            cmocka_unit_test(only_memory_of_the_guest_s_can_be_mapped),
            cmocka_unit_test(who_names_a_device_that_is_not_behind_it_is_killed),
            cmocka_unit_test(who_is_no_iommu_is_killed),
            cmocka_unit_test(nothing_is_put_out_to_make_room),
            cmocka_unit_test(mappings_outlive_workers_and_a_reset_of_the_device_but_not_one_of_the_iommu),
            cmocka_unit_test(mappings_go_with_a_reset_where_they_do_not_persist),
            cmocka_unit_test(a_device_that_is_not_translated_has_nothing_mapped),
            cmocka_unit_test(faults_beyond_their_rate_are_counted_and_not_told),
            cmocka_unit_test(a_guest_that_maps_and_unmaps_for_ever_kills_no_worker),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
