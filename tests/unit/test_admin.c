/* Messages of the admin socket: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/admin.h"

#include <errno.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/admin.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit_arena.h"

/* Of status_of's devices: one of the first kind, two of the next. */
#define OTHER_RESOURCES (RESOURCE_KIND_COUNT_ * (RESOURCE_KIND_COUNT_ + 1) / 2 - 1)

static uint8_t buf[LIMIT_FRAME_HEADER];

static struct admin_to_client status_of(size_t n_devices)
{
        struct admin_to_client message = {.kind = ADMIN_STATUS};
        struct admin_status *status = &message.status;

        snprintf(status->vm, sizeof(status->vm), "demo");
        snprintf(status->version, sizeof(status->version), "0.1.0");
        status->broker_pid = 100;
        status->spawner_pid = 99;
        status->spawner_alive = true;
        status->stage = (enum admin_stage)(1 + n_devices % 3);
        status->loaded = UINT64_MAX - 3;
        status->n_devices = n_devices;
        for (size_t i = 0; i < n_devices && i < LIMIT_DEVICES; i++) {
                struct admin_device *device = &status->devices[i];

                memset(device->name, 'n', LIMIT_NAME - 3);
                snprintf(device->name + LIMIT_NAME - 3, 3, "%02zu", i);
                snprintf(device->type, sizeof(device->type), "blk");
                device->state = (enum admin_device_state)(1 + i % 6);
                device->pid = (uint32_t)i;
                device->uid = 1879048192u + (uint32_t)i;
                device->restarts = device->outstanding = UINT32_MAX;
                device->queues_running = LIMIT_QUEUES;
                device->requests = device->bytes_from_guest = device->bytes_to_guest = device->features =
                    UINT64_MAX;
                device->attached = i % 2;
                device->seccomp_log = i % 3 == 0;
                device->direct = i % 5 == 0;
                for (unsigned kind = 0; kind < RESOURCE_KIND_COUNT_; kind++)
                        device->resources.of[kind] = kind + 1;
                device->resources.born = UINT32_MAX;
                device->n_lanes = LIMIT_LANES;
                memset(device->companion, 'c', LIMIT_NAME - 1);
                device->companion_pid = INT32_MAX;
                device->companion_uid = device->companion_starts = UINT32_MAX;
                device->throttled = UINT64_MAX - 1;
                device->rate_ops = UINT32_MAX;
                device->rate_bytes = UINT64_MAX - 2;
                device->n_counters = LIMIT_COUNTERS;
                for (unsigned k = 0; k < LIMIT_COUNTERS; k++)
                        device->counters[k] = UINT64_MAX - k;
                memset(device->why, '~', LIMIT_WHY - 1);
                device->sets = (struct admin_feature_sets){UINT64_MAX - 4, UINT64_MAX - 5, UINT64_MAX - 6};
                device->windows = (struct admin_windows){LIMIT_WINDOWS, UINT64_MAX, UINT64_MAX - 1, true};
                device->translations = (struct admin_translations){
                    true,       true,           LIMIT_IOTLB_ENTRIES, LIMIT_IOTLB_MISSES,
                    UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2,      UINT64_MAX - 3};
        }
        return message;
}

static int to_client(const struct admin_to_client *message, struct admin_to_client *ret)
{
        ssize_t n = admin_make_to_client(message, buf, sizeof(buf));

        assert_true(n > 0);
        return admin_check_to_client(&arena, buf, (size_t)n, ret);
}

static void questions_come_back_as_they_were(void **state)
{
        struct admin_to_broker sent = {.kind = ADMIN_GET_STATUS}, got = {0};
        ssize_t n = admin_make_to_broker(&sent, buf, sizeof(buf));

        (void)state;
        assert_true(n > 0);
        assert_int_equal(admin_check_to_broker(&arena, buf, (size_t)n, &got), 0);
        assert_int_equal(got.kind, ADMIN_GET_STATUS);
}

static int set_and_check(const struct admin_to_broker *sent, struct admin_to_broker *ret)
{
        ssize_t n = admin_make_to_broker(sent, buf, sizeof(buf));

        assert_true(n > 0);
        return admin_check_to_broker(&arena, buf, (size_t)n, ret);
}

static void settings_come_back_as_they_were_or_not_at_all(void **state)
{
        struct admin_to_broker sent = {.kind = ADMIN_SET,
                                       .device = "net0",
                                       .set = {.setting = {SETTING_SIZE, LIMIT_PORTS - 1, 80 | 25 << 16}}};
        struct admin_to_broker got = {0};

        (void)state;
        assert_int_equal(set_and_check(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent.set.setting.index++;
        assert_int_equal(set_and_check(&sent, &got), -EPROTO);
        sent.set.setting = (struct control_setting){SETTING_LINK, 0, 2};
        assert_int_equal(set_and_check(&sent, &got), -EPROTO);
        sent.set.setting = (struct control_setting){SETTING_END_, 0, 0};
        assert_int_equal(set_and_check(&sent, &got), -EPROTO);
        sent.set.setting = (struct control_setting){SETTING_LINK, 0, 1};
        assert_int_equal(set_and_check(&sent, &got), 0);
        sent.device[0] = '.';
        assert_int_equal(set_and_check(&sent, &got), -EPROTO);
        memset(sent.device, 'd', LIMIT_NAME - 1);
        assert_int_equal(set_and_check(&sent, &got), 0);
}

/* ---- shared memory regions ---- */

static int answer_and_check(const struct admin_to_client *sent, struct admin_to_client *ret)
{
        ssize_t n = admin_make_to_client(sent, buf, sizeof(buf));

        assert_true(n > 0);
        return admin_check_to_client(&arena, buf, (size_t)n, ret);
}

static void mappings_come_back_as_they_were(void **state)
{
        static struct admin_to_client sent, got;

        (void)state;
        sent = (struct admin_to_client){.kind = ADMIN_SHMEM, .shmem = {.n = ADMIN_MAPS}};
        for (unsigned i = 0; i < ADMIN_MAPS; i++)
                sent.shmem.maps[i] = (struct admin_map){.shmid = (uint8_t)i,
                                                        .writable = i & 1,
                                                        .memory = i & 2,
                                                        .orphan = i & 4,
                                                        .shown = i & 8,
                                                        .offset = UINT64_MAX - i,
                                                        .len = i,
                                                        .fd_offset = 4096 * i,
                                                        .dev = i + 1,
                                                        .ino = UINT64_MAX};
        assert_int_equal(answer_and_check(&sent, &got), 0);
        assert_int_equal(got.shmem.n, ADMIN_MAPS);
        for (unsigned i = 0; i < ADMIN_MAPS; i++) {
                const struct admin_map *a = &got.shmem.maps[i], *b = &sent.shmem.maps[i];

                assert_true(a->shmid == b->shmid && a->writable == b->writable && a->memory == b->memory &&
                            a->orphan == b->orphan && a->shown == b->shown);
                assert_true(a->offset == b->offset && a->len == b->len && a->fd_offset == b->fd_offset &&
                            a->dev == b->dev && a->ino == b->ino);
        }
        sent.shmem.n = ADMIN_MAPS + 1;
        assert_int_equal(admin_make_to_client(&sent, buf, sizeof(buf)), -E2BIG);
}

static void mappings_are_asked_for_by_a_device_s_name(void **state)
{
        struct admin_to_broker sent = {.kind = ADMIN_GET_SHMEM, .device = "pmem0"}, got = {0};

        (void)state;
        assert_int_equal(set_and_check(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent.device[0] = '.';
        assert_int_equal(set_and_check(&sent, &got), -EPROTO);
}

static void regions_that_cannot_be_are_refused(void **state)
{
        static const struct admin_regions bad[] = {
            {.n = LIMIT_SHMEM_REGIONS + 1, .bytes = 4096},
            {.n = 1, .mappings = ADMIN_MAPS + 1, .bytes = 4096},
            {.n = 1, .bytes = 4096, .memory_bytes = 4097},
            {.n = 1, .bytes = 4096, .mapped_bytes = 4097},
        };
        static struct admin_to_client sent, got;

        (void)state;
        sent = status_of(1);
        sent.status.devices[0].regions = (struct admin_regions){.n = LIMIT_SHMEM_REGIONS,
                                                                .mappings = ADMIN_MAPS,
                                                                .bytes = 4096,
                                                                .memory_bytes = 4096,
                                                                .mapped_bytes = 4096,
                                                                .foreign_refused = true};
        assert_int_equal(answer_and_check(&sent, &got), 0);
        assert_true(got.status.devices[0].regions.n == LIMIT_SHMEM_REGIONS &&
                    got.status.devices[0].regions.mappings == ADMIN_MAPS &&
                    got.status.devices[0].regions.mapped_bytes == 4096 &&
                    got.status.devices[0].regions.foreign_refused);
        for (size_t i = 0; i < array_size(bad); i++) {
                sent.status.devices[0].regions = bad[i];
                assert_int_equal(answer_and_check(&sent, &got), -EPROTO);
        }
}

static void windows_that_cannot_be_are_refused(void **state)
{
        static struct admin_to_client sent, got;

        (void)state;
        sent = status_of(2);
        sent.status.devices[1].windows = (struct admin_windows){0};
        assert_int_equal(answer_and_check(&sent, &got), 0);
        assert_true(got.status.devices[0].windows.n == LIMIT_WINDOWS &&
                    got.status.devices[0].windows.bytes == UINT64_MAX &&
                    got.status.devices[0].windows.refused == UINT64_MAX - 1 &&
                    got.status.devices[0].windows.raw);
        assert_int_equal(got.status.devices[1].windows.n, 0);
        sent.status.devices[0].windows.n = LIMIT_WINDOWS + 1;
        assert_int_equal(answer_and_check(&sent, &got), -EPROTO);
}

static void translations_that_cannot_be_are_refused(void **state)
{
        static const struct admin_translations bad[] = {
            {true, true, LIMIT_IOTLB_ENTRIES + 1, 0, 0, 0, 0, 0},
            {true, true, 0, LIMIT_IOTLB_MISSES + 1, 0, 0, 0, 0},
            {true, false, 1, 0, 0, 0, 0, 0},
            {true, false, 0, 1, 0, 0, 0, 0},
        };
        static struct admin_to_client sent, got;

        (void)state;
        sent = status_of(3);
        sent.status.devices[1].translations = (struct admin_translations){0};
        sent.status.devices[2].translations = (struct admin_translations){.may = true, .asked = 5};
        assert_int_equal(answer_and_check(&sent, &got), 0);
        for (size_t i = 0; i < 3; i++)
                assert_memory_equal(&got.status.devices[i].translations, &sent.status.devices[i].translations,
                                    sizeof(struct admin_translations));
        for (size_t i = 0; i < array_size(bad); i++) {
                sent.status.devices[2].translations = bad[i];
                assert_int_equal(answer_and_check(&sent, &got), -EPROTO);
        }
}

static void a_vm_full_of_devices_comes_back_as_it_was(void **state)
{
        static struct admin_to_client sent, got;

        (void)state;
        sent = status_of(LIMIT_DEVICES);
        assert_int_equal(to_client(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent = status_of(0);
        assert_int_equal(to_client(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent.status.n_devices = LIMIT_DEVICES + 1;
        assert_int_equal(admin_make_to_client(&sent, buf, sizeof(buf)), -E2BIG);
}

#define IS(expected, member, number)                                                                         \
        do {                                                                                                 \
                static struct admin_to_client sent_, got_, before_;                                          \
                sent_ = status_of(2);                                                                        \
                memset(&got_, 0x7e, sizeof(got_));                                                           \
                before_ = got_;                                                                              \
                sent_.status.member = (number);                                                              \
                assert_int_equal(to_client(&sent_, &got_), (expected));                                      \
                if ((expected) != 0)                                                                         \
                        assert_memory_equal(&got_, &before_, sizeof(got_));                                  \
        } while (0)

static void numbers_and_names_end_at_their_limits(void **state)
{
        (void)state;
        IS(-EPROTO, vm[0], '\0');
        IS(-EPROTO, vm[1], '/');
        IS(-EPROTO, version[0], '\0');
        IS(-EPROTO, version[1], ' ');
        IS(-EPROTO, version[1], '\x1b');
        IS(-EPROTO, version[1], (char)0xff);
        IS(0, broker_pid, INT32_MAX);
        IS(-EPROTO, broker_pid, (uint32_t)INT32_MAX + 1);
        IS(-EPROTO, spawner_pid, UINT32_MAX);
        IS(-EPROTO, stage, (enum admin_stage)0);
        IS(0, stage, ADMIN_SERVING);
        IS(0, stage, ADMIN_GUEST_RUNS);
        IS(-EPROTO, stage, (enum admin_stage)4);
        IS(-EPROTO, devices[1].name[0], '.');
        IS(-EPROTO, devices[1].type[0], '\0');
        IS(-EPROTO, devices[1].type[1], '\n');
        IS(-EPROTO, devices[1].state, (enum admin_device_state)0);
        IS(-EPROTO, devices[1].state, (enum admin_device_state)7);
        IS(-EPROTO, devices[1].pid, UINT32_MAX);
        IS(-EPROTO, devices[1].queues_running, LIMIT_QUEUES + 1);
        IS(0, devices[1].resources.of[RESOURCE_FILE], LIMIT_RESOURCES - OTHER_RESOURCES);
        IS(-EPROTO, devices[1].resources.of[RESOURCE_FILE], LIMIT_RESOURCES - OTHER_RESOURCES + 1);
        IS(-EPROTO, devices[1].resources.of[RESOURCE_FOLDER], UINT32_MAX);
        IS(-EPROTO, devices[1].n_lanes, LIMIT_LANES + 1);
        IS(0, devices[1].companion[0], '\0');
        IS(-EPROTO, devices[1].companion[1], '\n');
        IS(0, devices[1].companion_pid, 0);
        IS(-EPROTO, devices[1].companion_pid, UINT32_MAX);
        IS(0, devices[1].why[0], '\0');
        IS(0, devices[1].why[0], ' ');
        IS(-EPROTO, devices[1].why[3], '\n');
        IS(-EPROTO, devices[1].why[3], '\x7f');
        IS(-EPROTO, devices[1].why[3], (char)0xc3);
}

static int forged_status(Bulkhead__Admin__Status *body)
{
        static struct admin_to_client got;
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        ssize_t n;

        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_STATUS;
        wire.status = body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return admin_check_to_client(&arena, buf, (size_t)n, &got);
}

static void flags_and_counts_are_refused_even_when_forged(void **state)
{
        Bulkhead__Admin__Status body = BULKHEAD__ADMIN__STATUS__INIT;
        Bulkhead__Admin__Device device = BULKHEAD__ADMIN__DEVICE__INIT;
        Bulkhead__Admin__Device *rows[LIMIT_DEVICES + 1];
        uint32_t resources[RESOURCE_KIND_COUNT_ + 1] = {0};
        uint64_t counters[LIMIT_COUNTERS + 1] = {0}, sets[ADMIN_FEATURE_SETS + 1] = {0};

        (void)state;
        device.features = sets;
        device.n_features = ADMIN_FEATURE_SETS;
        device.counter = counters;
        device.n_counter = LIMIT_COUNTERS;
        device.name = device.type = (char[]){"d"};
        device.state = BULKHEAD__ADMIN__DEVICE_STATE__DEVICE_STATE_READY;
        device.resource = resources;
        device.n_resource = RESOURCE_KIND_COUNT_;
        for (size_t i = 0; i < array_size(rows); i++)
                rows[i] = &device;
        body.vm = body.version = (char[]){"v"};
        body.stage = BULKHEAD__ADMIN__STAGE__STAGE_RUNNING;
        body.device = rows;
        body.n_device = LIMIT_DEVICES;
        assert_int_equal(forged_status(&body), 0);
        device.n_resource++; /* a kind that we do not know */
        assert_int_equal(forged_status(&body), -EPROTO);
        device.n_resource -= 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.n_resource++;
        device.n_features++; /* a set that we do not know */
        assert_int_equal(forged_status(&body), -EPROTO);
        device.n_features -= 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.n_features++;
        device.n_counter++;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.n_counter--;
        body.n_device++;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.n_device = 1;
        body.rootless = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.rootless = 0;
        body.spawner_alive = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.spawner_alive = 1;
        device.attached = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.attached = 1;
        device.seccomp_log = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.seccomp_log = 1;
        device.direct = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.direct = 1;
        assert_int_equal(forged_status(&body), 0);
}

static void errors_carry_a_status_and_a_reason(void **state)
{
        static struct admin_to_client sent, got;
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Error body = BULKHEAD__ADMIN__ERROR__INIT;
        char reason[sizeof(sent.error.reason) + 1];
        ssize_t n;

        (void)state;
        sent = (struct admin_to_client){.kind = ADMIN_ERROR, .error = {-EACCES, "no"}};
        assert_int_equal(to_client(&sent, &got), 0);
        assert_int_equal(got.error.error, -EACCES);
        assert_string_equal(got.error.reason, "no");
        memset(reason, 'x', sizeof(reason));
        reason[sizeof(reason) - 1] = '\0';
        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_ERROR;
        wire.error = &body;
        for (uint32_t s = 0; s <= WIRE_STATUS_COUNT_; s++) {
                body.status = s;
                body.reason = reason + 1; /* 255 bytes */
                n = wire_pack(&wire.base, buf, sizeof(buf));
                assert_int_equal(admin_check_to_client(&arena, buf, (size_t)n, &got),
                                 s > 0 && s < WIRE_STATUS_COUNT_ ? 0 : -EPROTO);
        }
        body.status = WIRE_STATUS_IO;
        body.reason = reason; /* 256 */
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(admin_check_to_client(&arena, buf, (size_t)n, &got), -EPROTO);
}

static void messages_of_no_kind_are_refused(void **state)
{
        static struct admin_to_client client = {.kind = (enum admin_kind_to_client)9};
        struct admin_to_broker broker = {.kind = (enum admin_kind_to_broker)9};

        (void)state;
        assert_int_equal(admin_check_to_broker(&arena, NULL, 0, &broker), -EPROTO);
        assert_int_equal(admin_check_to_client(&arena, NULL, 0, &client), -EPROTO);
        assert_int_equal(admin_make_to_broker(&broker, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(admin_make_to_client(&client, buf, sizeof(buf)), -EINVAL);
}

static void every_state_has_a_name(void **state)
{
        (void)state;
        assert_string_equal(admin_state_name(ADMIN_STARTING), "starting");
        assert_string_equal(admin_state_name(ADMIN_QUARANTINED), "quarantined");
        for (int s = ADMIN_STARTING; s <= ADMIN_QUARANTINED; s++)
                assert_string_not_equal(admin_state_name((enum admin_device_state)s), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state)0), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state)7), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state) - 1), "unknown");
}

static unsigned accepted;

static void sweep_to_client(const uint8_t *bytes, size_t n, void *context)
{
        static struct admin_to_client got;
        int r = admin_check_to_client(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_admin_to_client(&got));
}

static void sweep_to_broker(const uint8_t *bytes, size_t n, void *context)
{
        struct admin_to_broker got;
        int r = admin_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
        assert_true(r < 0 || judged_admin_to_broker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static struct admin_to_client sent;
        struct admin_to_broker question = {.kind = ADMIN_GET_STATUS};
        const struct admin_to_broker wish = {
            .kind = ADMIN_SET, .device = "net0", .set = {.setting = {SETTING_SIZE, 1, 80 | 25 << 16}}};

        (void)state;
        sent = status_of(2);
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_client(&sent, buf, sizeof(buf)), sweep_to_client, NULL);
        assert_true(accepted >= 64);
        sent = (struct admin_to_client){.kind = ADMIN_ERROR, .error = {-EACCES, "no"}};
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_client(&sent, buf, sizeof(buf)), sweep_to_client, NULL);
        assert_true(accepted >= 1);
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_broker(&question, buf, sizeof(buf)), sweep_to_broker, NULL);
        assert_int_equal(accepted, 1);
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_broker(&wish, buf, sizeof(buf)), sweep_to_broker, NULL);
        assert_true(accepted >= 16);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(questions_come_back_as_they_were),
            UNIT_ARENA_TEST(settings_come_back_as_they_were_or_not_at_all),
            UNIT_ARENA_TEST(mappings_come_back_as_they_were),
            UNIT_ARENA_TEST(mappings_are_asked_for_by_a_device_s_name),
            UNIT_ARENA_TEST(regions_that_cannot_be_are_refused),
            UNIT_ARENA_TEST(windows_that_cannot_be_are_refused),
            UNIT_ARENA_TEST(translations_that_cannot_be_are_refused),
            UNIT_ARENA_TEST(a_vm_full_of_devices_comes_back_as_it_was),
            UNIT_ARENA_TEST(numbers_and_names_end_at_their_limits),
            UNIT_ARENA_TEST(flags_and_counts_are_refused_even_when_forged),
            UNIT_ARENA_TEST(errors_carry_a_status_and_a_reason),
            UNIT_ARENA_TEST(messages_of_no_kind_are_refused),
            UNIT_ARENA_TEST(every_state_has_a_name),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
