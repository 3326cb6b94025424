/* Writes the seeds of fuzz_frame_wire: one good frame of every message, and a few bombs. Run by hand after a
 * schema changes: build/tests/seed_frame_wire tests/fuzz/corpus/frame_wire
 * Owns nothing; called by nobody.
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/admin.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/control.h"
#include "proto/frame.h"
#include "proto/lane.h"
#include "proto/spawn.h"
#include "proto/vm_config.h"
#include "tests/harness/blk_set.h"
#include "tests/harness/good_config.h"

/* The order of the target's channels. */
enum {
        LANE_UP,
        LANE_DOWN,
        CONTROL_UP,
        CONTROL_DOWN,
        SPAWN_UP,
        SPAWN_DOWN,
        ADMIN_UP,
        ADMIN_DOWN,
        CONFIG,
};

static const char *folder;
static uint8_t header[LIMIT_FRAME_HEADER];

static void seed(const char *name, uint8_t channel, ssize_t header_len, uint32_t payload_len)
{
        uint8_t head[FRAME_HEAD_BYTES];
        char path[4096];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "we");
        if (!file || header_len < 0) {
                fprintf(stderr, "%s: cannot be written\n", path);
                exit(EXIT_FAILURE);
        }
        frame_head_make(&(struct frame_head){(uint32_t)header_len, payload_len}, head);
        fwrite(&channel, 1, 1, file);
        fwrite(head, 1, sizeof(head), file);
        fwrite(header, 1, (size_t)header_len, file);
        fclose(file);
}

static void seed_lanes(void)
{
        const uint64_t id[3] = {1, UINT64_C(1) << 40, 3}, zero64[3] = {0};
        const uint32_t zero[3] = {0}, some[3] = {512, 4096, 1}, at[3] = {0, 512, 1 << 20}, ok[3] = {0, 10, 0};
        const uint32_t places[3] = {0, 1, 2048};
        const struct lane_to_broker up[] = {
            {.kind = LANE_MEM_READ, .mem_read = {7, 3, id, at, some, 0}},
            {.kind = LANE_MEM_WRITE, .mem_write = {3, id, at, some}},
            {.kind = LANE_COMPLETE, .complete = {3, id, ok, at, some}},
            {.kind = LANE_MEM_WRITE, .mem_write = {3, zero64, at, some, LANE_SPACE_BOOT}},
            {.kind = LANE_COMPLETE, .complete = {3, id, ok, at, some, places}},
            {.kind = LANE_ASK_REST},
            {.kind = LANE_RAW_READ, .raw = {7, 3, id, some, 0}},
            {.kind = LANE_RAW_WRITE, .raw = {0, 3, id, some, 0}},
            {.kind = LANE_TAKEN, .taken = {1, 513}},
        };
        const struct lane_to_worker requests = {.kind = LANE_REQUESTS,
                                                .requests = {3, id, zero, some, at, some, zero, zero}};
        const struct lane_to_worker reply = {.kind = LANE_MEM_READ_REPLY, .mem_read_reply = {7, 3, ok}};
        const struct lane_to_worker placed = {.kind = LANE_REQUESTS,
                                              .requests = {3, id, zero, some, at, some, zero, zero, places}};
        const struct lane_to_worker lent = {
            .kind = LANE_REQUESTS, .requests = {3, id, zero, some, at, some, zero, zero, NULL, places}};
        const struct lane_to_worker rest = {.kind = LANE_MAY_REST};
        const struct lane_to_worker wake = {.kind = LANE_WAKE};
        const struct lane_to_worker recall = {.kind = LANE_RECALL, .recall = {.queue = 1}};
        const uint32_t back[3] = {13, 13, 13};
        const struct lane_to_broker unused = {.kind = LANE_COMPLETE, .complete = {3, id, back, zero, zero}};

        seed("lane_recall", LANE_DOWN, lane_make_to_worker(&recall, header, sizeof(header)), 0);
        seed("lane_complete_unused", LANE_UP, lane_make_to_broker(&unused, header, sizeof(header)), 0);
        seed("lane_requests_placed", LANE_DOWN, lane_make_to_worker(&placed, header, sizeof(header)), 512);
        seed("lane_requests_lent", LANE_DOWN, lane_make_to_worker(&lent, header, sizeof(header)), 4609);
        seed("lane_may_rest", LANE_DOWN, lane_make_to_worker(&rest, header, sizeof(header)), 0);
        seed("lane_wake", LANE_DOWN, lane_make_to_worker(&wake, header, sizeof(header)), 0);
        seed("lane_complete_placed", LANE_UP, lane_make_to_broker(&up[4], header, sizeof(header)), 4609);
        seed("lane_ask_rest", LANE_UP, lane_make_to_broker(&up[5], header, sizeof(header)), 0);
        seed("lane_raw_read", LANE_UP, lane_make_to_broker(&up[6], header, sizeof(header)), 0);
        seed("lane_raw_write", LANE_UP, lane_make_to_broker(&up[7], header, sizeof(header)), 4609);
        seed("lane_taken", LANE_UP, lane_make_to_broker(&up[8], header, sizeof(header)), 0);
        seed("lane_mem_read", LANE_UP, lane_make_to_broker(&up[0], header, sizeof(header)), 0);
        seed("lane_mem_write", LANE_UP, lane_make_to_broker(&up[1], header, sizeof(header)), 4609);
        seed("lane_mem_write_boot", LANE_UP, lane_make_to_broker(&up[3], header, sizeof(header)), 4609);
        seed("lane_complete", LANE_UP, lane_make_to_broker(&up[2], header, sizeof(header)), 4609);
        seed("lane_requests", LANE_DOWN, lane_make_to_worker(&requests, header, sizeof(header)), 4609);
        seed("lane_mem_read_reply", LANE_DOWN, lane_make_to_worker(&reply, header, sizeof(header)), 4609);
}

static void seed_control_up(void)
{
        static const char *const names[] = {
            "control_hello",     "control_done",        "control_config_space", "control_put_state",
            "control_log",       "control_stats",       "control_booted",       "control_boot_failed",
            "control_shmem_map", "control_shmem_unmap", "control_iommu_map",    "control_iommu_unmap"};
        const uint64_t values[3] = {1, 2, 3};
        static struct control_to_broker up[12];

        up[0].kind = CONTROL_HELLO;
        up[0].hello =
            (struct control_hello){.device_type = 2,
                                   .features = 0x246,
                                   .n_queues = 2,
                                   .queue_kind = {QUEUE_WORK, QUEUE_SUPPLY},
                                   .queue_replay = {REPLAY_IDEMPOTENT, REPLAY_AT_MOST_ONCE},
                                   .max_segments = 126,
                                   .credit_requests = 128,
                                   .credit_bytes = 65536,
                                   .max_inline = 4096,
                                   .n_fields = 3,
                                   .fields = {{0, 8, false, 2048}, {8, 4, false, 9}, {32, 1, true, 1}},
                                   .area = {0x7f0000200000, 1 << 20, 16, true, true}};
        up[1] = (struct control_to_broker){.kind = CONTROL_DONE, .done = {1, 0}};
        up[2] = (struct control_to_broker){.kind = CONTROL_CONFIG_SPACE, .config_space = {3, values}};
        up[3] =
            (struct control_to_broker){.kind = CONTROL_PUT_STATE, .put_state = {(const uint8_t *)"st", 2}};
        up[4] = (struct control_to_broker){.kind = CONTROL_LOG, .log = {1, "text"}};
        up[5] = (struct control_to_broker){.kind = CONTROL_STATS, .stats = {3, values}};
        up[6] = (struct control_to_broker){
            .kind = CONTROL_BOOTED,
            .booted = {.entry = {KVM_BOOT_PVH, 1 << 20, 4096}, .kernel_len = 9 << 20, .initrd_len = 1}};
        up[7] = (struct control_to_broker){.kind = CONTROL_BOOT_FAILED,
                                           .boot_failed = {"not a kernel: name another one"}};
        up[8] = (struct control_to_broker){.kind = CONTROL_SHMEM_MAP,
                                           .shmem = {7, 1, true, 2 << 20, 2 << 20, 4096, -1}};
        up[9] = (struct control_to_broker){.kind = CONTROL_SHMEM_UNMAP,
                                           .shmem = {.id = 8, .shmid = 1, .offset = 2 << 20, .len = 2 << 20}};
        up[10] = (struct control_to_broker){.kind = CONTROL_IOMMU_MAP,
                                            .iommu = {9, 3, 0xfffff000, 8192, 1 << 20, 3}};
        up[11] = (struct control_to_broker){
            .kind = CONTROL_IOMMU_UNMAP, .iommu = {.id = 10, .endpoint = 3, .iova = 0xfffff000, .len = 4096}};
        for (size_t i = 0; i < array_size(up); i++)
                seed(names[i], CONTROL_UP, control_make_to_broker(&up[i], header, sizeof(header)), 0);
}

static void seed_control_down(void)
{
        static const char *const names[] = {"control_configure_blk",     "control_configure_rng",
                                            "control_set_features",      "control_config_write",
                                            "control_start_queue",       "control_restore_state",
                                            "control_shutdown",          "control_set",
                                            "control_configure_boot",    "control_shmem_answer",
                                            "control_configure_regions", "control_start_queue_raw",
                                            "control_configure_iommu",   "control_iommu_answer",
                                            "control_iommu_fault"};
        const struct control_to_worker down[] = {
            {.kind = CONTROL_CONFIGURE,
             .configure = {.name = "disk0",
                           .n_queues = 2,
                           .n_lanes = 2,
                           .max_payload = 1 << 20,
                           .type = DEVICE_TYPE_BLK,
                           .options = BLK_SET(.read_only = true, .serial = "serial"),
                           .area_len = 1 << 20}},
            {.kind = CONTROL_CONFIGURE,
             .configure = {.name = "rng0",
                           .n_queues = 1,
                           .n_lanes = 1,
                           .max_payload = 1 << 20,
                           .type = DEVICE_TYPE_RNG}},
            {.kind = CONTROL_SET_FEATURES, .seq = 1, .set_features = {0x246}},
            {.kind = CONTROL_CONFIG_WRITE, .seq = 2, .config_write = {2, 1}},
            {.kind = CONTROL_START_QUEUE, .seq = 3, .start_queue = {1, 256}},
            {.kind = CONTROL_RESTORE_STATE, .seq = 4, .restore_state = {(const uint8_t *)"st", 2}},
            {.kind = CONTROL_SHUTDOWN},
            {.kind = CONTROL_SET, .seq = 5, .set = {SETTING_SIZE, 3, 80 | 25 << 16}},
            {.kind = CONTROL_CONFIGURE,
             .configure = {.name = "loader",
                           .n_lanes = 1,
                           .max_payload = 1 << 20,
                           .type = DEVICE_TYPE_LOADER,
                           .boot = {.arch = BOOT_ARCH_X86_64,
                                    .n_vcpus = 2,
                                    .n_ram = 2,
                                    .ram = {{0, 3u << 30}, {UINT64_C(4) << 30, 1u << 30}},
                                    .devices_start = 0xd0000000,
                                    .n_devices = 3,
                                    .interrupt = {5, 6, 7},
                                    .iommu = 1,
                                    .endpoints = 6,
                                    .cmdline = "console=ttyS0"}}},
            {.kind = CONTROL_SHMEM_ANSWER, .shmem_answer = {7, -EEXIST}},
            {.kind = CONTROL_CONFIGURE,
             .configure = {.name = "sample0",
                           .n_queues = 1,
                           .n_lanes = 1,
                           .max_payload = 1 << 20,
                           .type = DEVICE_TYPE_SAMPLE,
                           .options = {{{.number = 1 << 20}}},
                           .n_regions = 2,
                           .regions = {{0, 1 << 20, REGION_MEMORY}, {9, 4096, REGION_FILES}},
                           .raw = {1 << 20, 4 << 20}}},
            {.kind = CONTROL_START_QUEUE, .seq = 6, .start_queue = {0, 64, 0x100000, 0x100400, 0x100500, 9}},
            {.kind = CONTROL_CONFIGURE,
             .configure = {.name = "iommu0",
                           .n_queues = 2,
                           .n_lanes = 1,
                           .max_payload = 1 << 20,
                           .type = DEVICE_TYPE_IOMMU,
                           .endpoints = 0xa}},
            {.kind = CONTROL_IOMMU_ANSWER, .iommu_answer = {9, -EFAULT}},
            {.kind = CONTROL_IOMMU_FAULT, .iommu_fault = {3, 0xfffff000, 2}},
        };

        _Static_assert(array_size(names) == array_size(down), "one name a message");
        for (size_t i = 0; i < array_size(down); i++)
                seed(names[i], CONTROL_DOWN, control_make_to_worker(&down[i], header, sizeof(header)), 0);
}

static void seed_spawn(void)
{
        static const char *const names_up[] = {"spawn_spawned",   "spawn_failed",    "spawn_exited",
                                               "spawn_terminate", "spawn_companion", "spawn_renewed"};
        static const char *const names_down[] = {"spawn_spawn", "spawn_reap", "spawn_stop"};
        const struct spawn_to_broker up[] = {
            {.kind = SPAWN_SPAWNED, .device = 1, .pid = 4711, .uid = 1879048193},
            {.kind = SPAWN_FAILED, .device = 1, .error = -16, .reason = "in use"},
            {.kind = SPAWN_EXITED, .device = 1, .pid = 4711, .code = 9, .signaled = true},
            {.kind = SPAWN_TERMINATE},
            {.kind = SPAWN_COMPANION, .device = 1, .pid = 4712, .uid = 1879048194, .starts = 2},
            {.kind = SPAWN_RENEWED, .device = 1},
        };

        for (size_t i = 0; i < array_size(up); i++)
                seed(names_up[i], SPAWN_UP, spawn_make_to_broker(&up[i], header, sizeof(header)), 0);
        for (unsigned i = 0; i < array_size(names_down); i++) {
                struct spawn_to_spawner down = {.kind = (enum spawn_kind_to_spawner)(SPAWN_SPAWN + i),
                                                .device = 1};

                seed(names_down[i], SPAWN_DOWN, spawn_make_to_spawner(&down, header, sizeof(header)), 0);
        }
}

static void seed_admin(void)
{
        static struct admin_to_client status = {
            .kind = ADMIN_STATUS,
            .status = {.vm = "demo",
                       .version = "0.1.0",
                       .broker_pid = 2,
                       .n_devices = 2,
                       .devices = {{.name = "disk0",
                                    .type = "blk",
                                    .state = ADMIN_RUNNING,
                                    .pid = 3,
                                    .translations = {.may = true, .on = true, .held = 9, .asked = 5}},
                                   {.name = "pmem0",
                                    .type = "pmem",
                                    .state = ADMIN_BROKEN,
                                    .regions = {.n = 1, .bytes = 2 << 20}}}}};
        static struct admin_to_client error = {.kind = ADMIN_ERROR, .error = {-13, "not you"}};
        static const struct admin_to_client taken = {.kind = ADMIN_TAKEN};
        static const struct admin_to_client shmem = {
            .kind = ADMIN_SHMEM,
            .shmem = {.n = 1, .maps = {{.shmid = 1, .writable = true, .len = 4096, .ino = 9}}}};
        const struct admin_to_broker get_shmem = {.kind = ADMIN_GET_SHMEM, .device = "p"};
        const struct admin_to_broker question = {.kind = ADMIN_GET_STATUS};
        const struct admin_to_broker wish = {
            .kind = ADMIN_SET, .device = "c", .set = {.setting = {SETTING_SIZE, 3, 80 | 25 << 16}}};

        seed("admin_get_status", ADMIN_UP, admin_make_to_broker(&question, header, sizeof(header)), 0);
        seed("admin_set", ADMIN_UP, admin_make_to_broker(&wish, header, sizeof(header)), 0);
        seed("admin_taken", ADMIN_DOWN, admin_make_to_client(&taken, header, sizeof(header)), 0);
        seed("admin_status", ADMIN_DOWN, admin_make_to_client(&status, header, sizeof(header)), 0);
        seed("admin_get_shmem", ADMIN_UP, admin_make_to_broker(&get_shmem, header, sizeof(header)), 0);
        seed("admin_shmem", ADMIN_DOWN, admin_make_to_client(&shmem, header, sizeof(header)), 0);
        seed("admin_error", ADMIN_DOWN, admin_make_to_client(&error, header, sizeof(header)), 0);
}

static void seed_config(void)
{
        static struct device_config devices[2] = {
            {.name = "disk0", .type = DEVICE_TYPE_BLK, .n_queues = 4, .n_lanes = 2, .request_timeout = 60},
            {.name = "rng0", .type = DEVICE_TYPE_RNG, .n_queues = 1, .n_lanes = 1}};
        static struct vm_config config = GOOD_VM_CONFIG(devices, 2);

        devices[0].options = BLK_SET(.path = "/demo.img", .direct = true, .serial = "serial");
        seed("config_vm", CONFIG, vm_config_make(&config, header, sizeof(header)), 0);
        config.n_devices = 0;
        seed("config_vm_empty", CONFIG, vm_config_make(&config, header, sizeof(header)), 0);
}

/* What protobuf-c alone would swallow: nesting, unknown fields, repetition, a wrapped length. */
static void seed_bombs(void)
{
        memset(header, 0x0a, 4096); /* field 1, length 10, again and again */
        seed("bomb_nested", CONTROL_UP, 4096, 0);
        for (size_t i = 0; i < 4096; i += 2)
                memcpy(header + i, "\x78\x01", 2); /* field 15, a varint */
        seed("bomb_unknown", CONTROL_UP, 4096, 0);
        for (size_t i = 0; i < 1024; i += 2)
                memcpy(header + i, "\x4a\x00", 2); /* field 9, empty: a device of a configuration */
        seed("bomb_repeated", CONFIG, 1024, 0);
        memcpy(header, "\x0a\xff\xff\xff\xff\x0f", 6);
        seed("bomb_length", LANE_UP, 6, 0);
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "usage: seed_frame_wire FOLDER\n");
                return EXIT_FAILURE;
        }
        folder = argv[1];
        seed_lanes();
        seed_control_up();
        seed_control_down();
        seed_spawn();
        seed_admin();
        seed_config();
        seed_bombs();
        return EXIT_SUCCESS;
}
