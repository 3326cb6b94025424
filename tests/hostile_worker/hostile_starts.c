/* Attacks before and with Hello: no command can come then, so the incarnation before leaves a plan in the last
 * sector of its image, where it may write, and the next one finds it there.
 * Owns that sector; called by hostile_ops.c at init and on command. TRUST: the plan is its own kind's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"
#include "workers/runtime/trap.h"

#define PLAN_BYTES 512

struct plan {
        uint64_t magic, what, times;
};

enum plan_kind {
        PLAN_NONE = 0,
        PLAN_EARLY_DONE,
        PLAN_EARLY_STATE,
        PLAN_EARLY_CONFIG,
        PLAN_EARLY_COMPLETE,
        PLAN_OTHER_TYPE,
        PLAN_OTHER_FEATURES,
        PLAN_RING_FEATURES,
        PLAN_OTHER_QUEUES,
        PLAN_OTHER_CREDITS,
        PLAN_OTHER_FIELDS,
        PLAN_CRASH,
        PLAN_SILENT,
};

static uint64_t plan_offset(void)
{
        struct stat st;

        return fstat(hostile_resource, &st) < 0 ? 0 : (uint64_t)st.st_size - PLAN_BYTES;
}

/* After lock-down there is no fstat: the runner tells the size. */
static int plan_write(uint64_t offset, const struct plan *plan)
{
        return syscall(SYS_pwrite64, hostile_resource, plan, sizeof(*plan), (long)offset) < 0 ? -errno : 0;
}

static int64_t plan_next(struct hostile *hostile)
{
        struct plan plan = {.magic = COMMAND_MAGIC,
                            .what = hostile->command.number & 0xff,
                            .times = hostile->command.number >> 8};
        int r = plan_write(hostile->command.image_bytes - PLAN_BYTES, &plan);

        if (r == 0)
                syscall(SYS_exit_group, 0);
        return r;
}

static void send_early(enum plan_kind what)
{
        uint8_t bytes[256];
        static const uint8_t state[8];
        uint64_t value = 0;
        struct control_to_broker message = {.kind = CONTROL_DONE, .done = {.seq = 1}};
        ssize_t len;

        if (what == PLAN_EARLY_STATE)
                message = (struct control_to_broker){.kind = CONTROL_PUT_STATE,
                                                     .put_state = {.bytes = state, .len = sizeof(state)}};
        if (what == PLAN_EARLY_CONFIG)
                message = (struct control_to_broker){.kind = CONTROL_CONFIG_SPACE,
                                                     .config_space = {.n = 1, .value = &value}};
        len = control_make_to_broker(&message, bytes, sizeof(bytes));
        if (len > 0)
                hostile_send(WORKER_FD_CONTROL, bytes, (size_t)len, NULL, 0);
}

static void change_hello(enum plan_kind what, struct control_hello *hello)
{
        switch (what) {
        case PLAN_OTHER_TYPE:
                hello->device_type = 1;
                break;
        case PLAN_OTHER_FEATURES:
                hello->features ^= 1u << 9;
                break;
        case PLAN_RING_FEATURES:
                hello->features |= UINT64_C(1) << 33;
                break;
        case PLAN_OTHER_QUEUES:
                hello->queue_kind[hello->n_queues] = QUEUE_WORK;
                hello->queue_replay[hello->n_queues++] = REPLAY_IDEMPOTENT;
                break;
        case PLAN_OTHER_CREDITS:
                hello->credit_requests--;
                break;
        case PLAN_OTHER_FIELDS:
                hello->fields[0].writable = !hello->fields[0].writable;
                break;
        default:
                break;
        }
}

void hostile_obey_plan(struct control_hello *hello)
{
        struct plan plan = {0};
        uint64_t offset;

        if (HOSTILE_TYPE != DEVICE_TYPE_BLK || hostile_resource < 0)
                return;
        offset = plan_offset();
        if (pread(hostile_resource, &plan, sizeof(plan), (off_t)offset) != (ssize_t)sizeof(plan) ||
            plan.magic != COMMAND_MAGIC || plan.times == 0)
                return;
        plan.times--;
        if (plan_write(offset, &plan) < 0)
                return;
        if (plan.what == PLAN_CRASH)
                worker_trap();
        if (plan.what == PLAN_SILENT)
                for (;;)
                        hostile_linger(1000);
        if (plan.what >= PLAN_EARLY_DONE && plan.what <= PLAN_EARLY_CONFIG)
                send_early((enum plan_kind)plan.what);
        if (plan.what == PLAN_EARLY_COMPLETE)
                hostile_send(worker_fd_lane_out(0), "\x1a\x00", 2, NULL, 0);
        change_hello((enum plan_kind)plan.what, hello);
}

static const struct hostile_attack rows[] = {
    {"plan", plan_next, 0},
};

const struct hostile_attacks hostile_starts = {rows, array_size(rows)};
