/* The loader's messages, and the space that it writes to.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/base/checked.h"
#include "proto/control.h"
#include "proto/lane.h"
#include "schema/lane.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

#define GIB (UINT64_C(1) << 30)

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];

static int setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

/* ---- Configure ---- */

static struct control_to_worker *configure(void)
{
        static struct control_to_worker message;

        message = (struct control_to_worker){.kind = CONTROL_CONFIGURE,
                                             .configure = {.name = "loader",
                                                           .n_lanes = 1,
                                                           .max_payload = LIMIT_FRAME_PAYLOAD,
                                                           .type = DEVICE_TYPE_LOADER,
                                                           .boot = {.arch = BOOT_ARCH_X86_64,
                                                                    .n_vcpus = 2,
                                                                    .n_ram = 2,
                                                                    .ram = {{0, 3 * GIB}, {4 * GIB, GIB}},
                                                                    .devices_start = 0xd0000000,
                                                                    .n_devices = 2,
                                                                    .interrupt = {5, 23},
                                                                    .cmdline = "console=ttyS0"}}};
        return &message;
}

static int judge_configure(const struct control_to_worker *sent)
{
        static struct control_to_worker got;
        ssize_t n = control_make_to_worker(sent, buf, sizeof(buf));
        int r;

        if (n < 0)
                return (int)n;
        memset(&got, 0, sizeof(got));
        r = control_check_to_worker(&arena, buf, (size_t)n, &got);
        if (r == 0)
                assert_memory_equal(&got, sent, sizeof(got));
        return r;
}

#define CONFIGURE_IS(expected, field, value)                                                                 \
        do {                                                                                                 \
                struct control_to_worker *m_ = configure();                                                  \
                m_->configure.field = (value);                                                               \
                assert_int_equal(judge_configure(m_), expected);                                             \
        } while (0)

static void a_loader_is_configured_without_queues_and_with_one_lane(void **state)
{
        (void)state;
        assert_int_equal(judge_configure(configure()), 0);
        CONFIGURE_IS(-EPROTO, n_queues, 1);
        CONFIGURE_IS(-EPROTO, n_lanes, 0);
        CONFIGURE_IS(-EPROTO, n_lanes, 2);
}

static void a_machine_is_judged_at_its_edges(void **state)
{
        (void)state;
        CONFIGURE_IS(-EPROTO, boot.arch, 0);
        CONFIGURE_IS(-EPROTO, boot.arch, 3);
        CONFIGURE_IS(-EPROTO, boot.gic, 2);
        CONFIGURE_IS(-EPROTO, boot.n_vcpus, 0);
        CONFIGURE_IS(0, boot.n_vcpus, LIMIT_VCPUS);
        CONFIGURE_IS(-EPROTO, boot.n_vcpus, LIMIT_VCPUS + 1);
        CONFIGURE_IS(0, boot.interrupt[1], LIMIT_BOOT_INTERRUPT - 1);
        CONFIGURE_IS(-EPROTO, boot.interrupt[1], LIMIT_BOOT_INTERRUPT);
        CONFIGURE_IS(-EPROTO, boot.devices_start, 0xd0000001);
        CONFIGURE_IS(-EPROTO, boot.devices_start, UINT64_MAX - 0xfff);
        CONFIGURE_IS(0, boot.n_devices, LIMIT_DEVICES);
        CONFIGURE_IS(-E2BIG, boot.n_devices, LIMIT_DEVICES + 1);
        CONFIGURE_IS(-E2BIG, boot.n_ram, LIMIT_BOOT_RAM + 1);
        CONFIGURE_IS(-EPROTO, boot.n_ram, 0);
}

static void ram_is_whole_pages_ascending_and_apart(void **state)
{
        (void)state;
        CONFIGURE_IS(-EPROTO, boot.ram[0].len, 3 * GIB + 1);
        CONFIGURE_IS(-EPROTO, boot.ram[0].start, 1);
        CONFIGURE_IS(-EPROTO, boot.ram[0].len, 0);
        CONFIGURE_IS(0, boot.ram[0].len, 4 * GIB); /* touches the next */
        CONFIGURE_IS(-EPROTO, boot.ram[0].len, 4 * GIB + 4096);
        CONFIGURE_IS(0, boot.ram[1].len, UINT64_MAX - 4 * GIB - 0xfff);
        CONFIGURE_IS(-EPROTO, boot.ram[1].len, UINT64_MAX - 0xfff);
}

/* Two devices of three are held to a pool each, at both ends of RAM's second piece. */
static struct control_to_worker *with_pools(void)
{
        struct control_to_worker *m = configure();
        struct boot_options *boot = &m->configure.boot;

        boot->arch = BOOT_ARCH_ARM64;
        boot->gic = 3;
        boot->n_devices = 3;
        boot->interrupt[2] = 24;
        boot->n_pools = 2;
        boot->pool[0] = (struct boot_range){4 * GIB, 2 << 20};
        boot->pool[1] = (struct boot_range){5 * GIB - (4 << 20), 4 << 20};
        boot->device_pool[0] = 2;
        boot->device_pool[2] = 1;
        return m;
}

#define POOLS_ARE(expected, field, value)                                                                    \
        do {                                                                                                 \
                struct control_to_worker *m_ = with_pools();                                                 \
                m_->configure.boot.field = (value);                                                          \
                assert_int_equal(judge_configure(m_), expected);                                             \
        } while (0)

static void pools_lie_in_ram_and_each_is_some_device_s(void **state)
{
        (void)state;
        assert_int_equal(judge_configure(with_pools()), 0);
        POOLS_ARE(0, device_pool[1], 2);       /* shared */
        POOLS_ARE(-EPROTO, device_pool[1], 3); /* there is none */
        POOLS_ARE(-EPROTO, device_pool[2], 2); /* and the first is nobody's */
        POOLS_ARE(-EPROTO, n_pools, 1);        /* a device has one that is not there */
        POOLS_ARE(-EPROTO, n_pools, 4);        /* more than devices */
        POOLS_ARE(-E2BIG, n_pools, LIMIT_DEVICES + 1);
        POOLS_ARE(-EPROTO, pool[0].start, 4 * GIB + 4096);
        POOLS_ARE(-EPROTO, pool[0].len, 4096);
        POOLS_ARE(-EPROTO, pool[0].len, 0);
        POOLS_ARE(-EPROTO, pool[0].start, 4 * GIB - (2 << 20)); /* where no RAM is */
        POOLS_ARE(-EPROTO, pool[1].len, 6 << 20);               /* behind its end */
        POOLS_ARE(-EPROTO, pool[1].len, UINT64_MAX - (2 << 20) + 1);
        POOLS_ARE(0, pool[0].len, GIB - (4 << 20)); /* they touch */
        POOLS_ARE(-EPROTO, pool[0].len, GIB - (2 << 20));
        POOLS_ARE(-EPROTO, arch, BOOT_ARCH_X86_64);
}

static void an_arm64_machine_has_a_gic_of_version_2_or_3(void **state)
{
        static const int expected[] = {-EPROTO, -EPROTO, 0, 0, -EPROTO};

        (void)state;
        for (uint32_t gic = 0; gic < array_size(expected); gic++) {
                struct control_to_worker *m = configure();

                m->configure.boot.arch = BOOT_ARCH_ARM64;
                m->configure.boot.gic = gic;
                assert_int_equal(judge_configure(m), expected[gic]);
        }
}

static void a_command_line_has_2047_bytes_at_most(void **state)
{
        struct control_to_worker *m = configure();

        (void)state;
        memset(m->configure.boot.cmdline, 'c', LIMIT_CMDLINE - 1);
        assert_int_equal(judge_configure(m), 0);
        m->configure.boot.cmdline[LIMIT_CMDLINE - 1] = '\0';
        assert_int_equal(judge_configure(m), 0);
}

/* ---- answers ---- */

static int judge_up(const struct control_to_broker *sent)
{
        static struct control_to_broker got;
        ssize_t n = control_make_to_broker(sent, buf, sizeof(buf));
        int r;

        if (n < 0)
                return (int)n;
        memset(&got, 0, sizeof(got));
        r = control_check_to_broker(&arena, buf, (size_t)n, &got);
        if (r == 0)
                assert_memory_equal(&got, sent, sizeof(got));
        return r;
}

static void booted_names_a_known_mode(void **state)
{
        static const int expected[] = {-EPROTO, 0, 0, 0, -EPROTO};

        (void)state;
        for (int mode = 0; mode < (int)array_size(expected); mode++) {
                static struct control_to_broker sent;

                sent = (struct control_to_broker){.kind = CONTROL_BOOTED};
                sent.booted.entry = (struct boot_entry){(enum kvm_boot_mode)mode, UINT64_MAX, UINT64_MAX};
                sent.booted.kernel_len = sent.booted.initrd_len = UINT64_MAX;
                assert_int_equal(judge_up(&sent), expected[mode]);
        }
}

static void a_refusal_has_a_reason_of_bounded_length(void **state)
{
        static struct control_to_broker sent;

        (void)state;
        sent = (struct control_to_broker){.kind = CONTROL_BOOT_FAILED};
        assert_int_equal(judge_up(&sent), -EPROTO);
        memset(sent.boot_failed.reason, 'r', LIMIT_BOOT_REASON - 1);
        assert_int_equal(judge_up(&sent), 0);
        sent.boot_failed.reason[LIMIT_BOOT_REASON - 1] = 'r';
        assert_int_equal(judge_up(&sent), -E2BIG);
}

/* What has no virtio id takes no requests and has no config space. */
static void a_hello_of_no_device_says_nothing_else(void **state)
{
        static struct control_to_broker sent;

        (void)state;
        sent = (struct control_to_broker){.kind = CONTROL_HELLO};
        assert_int_equal(judge_up(&sent), 0);
#define PLAIN_IS(expected, field, value)                                                                     \
        do {                                                                                                 \
                sent = (struct control_to_broker){.kind = CONTROL_HELLO};                                    \
                sent.hello.field = (value);                                                                  \
                assert_int_equal(judge_up(&sent), expected);                                                 \
        } while (0)
        PLAIN_IS(-EPROTO, features, 1);
        PLAIN_IS(-EPROTO, n_queues, 1);
        PLAIN_IS(-EPROTO, max_segments, 1);
        PLAIN_IS(-EPROTO, credit_requests, 1);
        PLAIN_IS(-EPROTO, credit_bytes, 1);
        PLAIN_IS(-EPROTO, max_inline, 1);
        PLAIN_IS(-EPROTO, n_fields, 1);
        PLAIN_IS(-EPROTO, area.at, LIMIT_AREA_PAGE);
        PLAIN_IS(-EPROTO, area.len, LIMIT_AREA_PAGE);
        PLAIN_IS(-EPROTO, area.lead, 1);
        PLAIN_IS(-EPROTO, area.out, true);
        PLAIN_IS(-EPROTO, area.dense, true);
}

/* ---- MemWrite ---- */

static int judge_write(uint32_t offset, uint32_t len, enum lane_space space)
{
        const uint64_t id = 1;
        const struct lane_to_broker sent = {.kind = LANE_MEM_WRITE,
                                            .mem_write = {1, &id, &offset, &len, space}};
        struct lane_to_broker got;
        ssize_t n = lane_make_to_broker(&sent, buf, sizeof(buf));
        int r;

        assert_true(n > 0);
        r = lane_check_to_broker(&arena, buf, (size_t)n, len, &got);
        if (r == 0) {
                assert_int_equal(got.mem_write.space, space);
                assert_true(judged_lane_to_broker(&got, len));
        }
        return r;
}

/* A request ends with the longest chain; a range of RAM may be as long as 32 bits say. */
static void offsets_end_where_their_space_ends(void **state)
{
        (void)state;
        assert_int_equal(judge_write(LIMIT_CHAIN_BYTES - 1, 1, LANE_SPACE_CHAIN), 0);
        assert_int_equal(judge_write(LIMIT_CHAIN_BYTES, 1, LANE_SPACE_CHAIN), -EPROTO);
        assert_int_equal(judge_write(LIMIT_CHAIN_BYTES, 1, LANE_SPACE_BOOT), 0);
        assert_int_equal(judge_write(UINT32_MAX, 1, LANE_SPACE_BOOT), 0);
        assert_int_equal(judge_write(UINT32_MAX, 2, LANE_SPACE_BOOT), -EPROTO);
        assert_int_equal(judge_write(0, 0, LANE_SPACE_BOOT), -EPROTO);
}

static void other_spaces_are_refused(void **state)
{
        static const uint32_t spaces[] = {0, 4, UINT32_MAX}; /* 3: test_lane_raw */
        uint64_t id = 0;
        uint32_t offset = 0, len = 1;

        (void)state;
        for (size_t i = 0; i < array_size(spaces); i++) {
                Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
                Bulkhead__Lane__MemWrite body = BULKHEAD__LANE__MEM_WRITE__INIT;
                struct lane_to_broker got;
                size_t n;

                body.space = (Bulkhead__Lane__Space)spaces[i];
                body.n_id = body.n_offset = body.n_len = 1;
                body.id = &id, body.offset = &offset, body.len = &len;
                wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE;
                wire.mem_write = &body;
                n = bulkhead__lane__to_broker__pack(&wire, buf);
                assert_int_equal(lane_check_to_broker(&arena, buf, n, 1, &got), -EPROTO);
        }
}

/* ---- sweeps ---- */

static unsigned accepted;

static void sweep_up(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_broker got;
        int r = control_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
        if (r == 0)
                assert_true(judged_control_to_broker(&got));
}

static void sweep_down(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_worker got;
        int r = control_check_to_worker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
        if (r == 0)
                assert_true(judged_control_to_worker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static struct control_to_broker up;

        (void)state;
        unit_sweep(buf, (size_t)control_make_to_worker(configure(), buf, sizeof(buf)), sweep_down, NULL);
        assert_true(accepted >= 1);
        accepted = 0;
        up = (struct control_to_broker){.kind = CONTROL_BOOTED, .booted = {.entry = {KVM_BOOT_PVH, 1, 2}}};
        unit_sweep(buf, (size_t)control_make_to_broker(&up, buf, sizeof(buf)), sweep_up, NULL);
        assert_true(accepted >= 1);
        accepted = 0;
        up = (struct control_to_broker){.kind = CONTROL_BOOT_FAILED, .boot_failed = {"why: what to do"}};
        unit_sweep(buf, (size_t)control_make_to_broker(&up, buf, sizeof(buf)), sweep_up, NULL);
        assert_true(accepted >= 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_loader_is_configured_without_queues_and_with_one_lane),
            cmocka_unit_test(a_machine_is_judged_at_its_edges),
            cmocka_unit_test(ram_is_whole_pages_ascending_and_apart),
            cmocka_unit_test(pools_lie_in_ram_and_each_is_some_device_s),
            cmocka_unit_test(an_arm64_machine_has_a_gic_of_version_2_or_3),
            cmocka_unit_test(a_command_line_has_2047_bytes_at_most),
            cmocka_unit_test(booted_names_a_known_mode),
            cmocka_unit_test(a_refusal_has_a_reason_of_bounded_length),
            cmocka_unit_test(a_hello_of_no_device_says_nothing_else),
            cmocka_unit_test(offsets_end_where_their_space_ends),
            cmocka_unit_test(other_spaces_are_refused),
            cmocka_unit_test(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
