/* Too much, too slowly, or nothing at all. Floods are counted, not timed: a worker in its jail has no clock.
 * Owns nothing; read by hostile_ops.c. TRUST: counts are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"
#include "proto/lane.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define DRIP_MS     100
#define MEMORY_STEP (16ul << 20)
#define MEMORY_MOST 256u /* steps: 4 GiB, which no worker is granted */
#define FORKS_MOST  8u   /* without a jail this host must not suffer */
#define FDS_MOST    512u

static uint8_t bytes[LIMIT_FRAME_HEADER];

static int64_t flood_control(struct hostile *hostile, const struct control_to_broker *message)
{
        ssize_t len = control_make_to_broker(message, bytes, sizeof(bytes));

        for (uint64_t i = 0; len > 0 && i < hostile->command.number; i++) {
                int r = hostile_send(WORKER_FD_CONTROL, bytes, (size_t)len, NULL, 0);

                if (r < 0)
                        return r;
        }
        return len < 0 ? len : (int64_t)hostile->command.number;
}

static int64_t flood_stats(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_STATS};

        return flood_control(hostile, &message);
}

static int64_t flood_state(struct hostile *hostile)
{
        static uint8_t state[LIMIT_STATE_BYTES];
        struct control_to_broker message = {.kind = CONTROL_PUT_STATE,
                                            .put_state = {.bytes = state, .len = sizeof(state)}};

        return flood_control(hostile, &message);
}

static int64_t flood_log(struct hostile *hostile)
{
        static char text[LIMIT_LOG_LINE];
        struct control_to_broker message = {.kind = CONTROL_LOG, .log = {.text = text}};

        memset(text, 'B', sizeof(text) - 1);
        return flood_control(hostile, &message);
}

/* Every other one changes a value, so each would interrupt the guest. */
static int64_t flood_config(struct hostile *hostile)
{
        static uint64_t values[LIMIT_CONFIG_FIELDS];
        struct control_to_broker message = {.kind = CONTROL_CONFIG_SPACE,
                                            .config_space = {.n = hostile_hello.n_fields, .value = values}};

        for (uint32_t i = 0; i < hostile_hello.n_fields; i++)
                values[i] = hostile_hello.fields[i].value;
        for (uint64_t i = 0; i < hostile->command.number; i++) {
                ssize_t len;
                int r;

                values[0] ^= 1;
                len = control_make_to_broker(&message, bytes, sizeof(bytes));
                r = len < 0 ? (int)len : hostile_send(WORKER_FD_CONTROL, bytes, (size_t)len, NULL, 0);
                if (r < 0)
                        return r;
        }
        return (int64_t)hostile->command.number;
}

/* Reads of its own request, each answered: honest in form, too many in number. */
static int64_t flood_reads(struct hostile *hostile)
{
        uint8_t answer[64];

        for (uint64_t i = 0; i < hostile->command.number; i++) {
                int r = request_read(hostile->request, hostile->readable - 64, answer, sizeof(answer));

                if (r < 0)
                        return r;
        }
        return (int64_t)hostile->command.number;
}

static int64_t flood_writes(struct hostile *hostile)
{
        uint32_t offset = (uint32_t)sizeof(hostile->report), len = 64;
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = 1, .id = &hostile->request_id, .offset = &offset, .len = &len}};
        static const uint8_t data[64];

        for (uint64_t i = 0; i < hostile->command.number; i++) {
                ssize_t n = lane_make_to_broker(&message, bytes, sizeof(bytes));
                int r = n < 0 ? (int)n
                              : hostile_send(worker_fd_lane_out(0), bytes, (size_t)n, data, sizeof(data));

                if (r < 0)
                        return r;
        }
        return (int64_t)hostile->command.number;
}

/* One frame, a byte at a time. */
static int64_t drip(struct hostile *hostile)
{
        static const uint8_t frame[] = {2, 0, 0, 0, 0, 0, 0, 0, 0x32, 0x00}; /* an empty Stats */

        (void)hostile;
        for (size_t i = 0; i < sizeof(frame); i++) {
                if (write(WORKER_FD_CONTROL, frame + i, 1) != 1)
                        return -errno;
                hostile_linger(DRIP_MS);
        }
        return 0;
}

static int64_t never_read(struct hostile *hostile)
{
        return hostile_linger((int)hostile->command.number);
}

/* ---- resources ---- */

static int64_t alloc_all(struct hostile *hostile)
{
        unsigned got = 0;

        (void)hostile;
        while (got < MEMORY_MOST && (long)syscall(SYS_mmap, NULL, MEMORY_STEP, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0ul) > 0)
                got++;
        return got == MEMORY_MOST ? (int64_t)got : -errno;
}

static int64_t fork_bomb(struct hostile *hostile)
{
        unsigned got = 0;

        (void)hostile;
        while (got < FORKS_MOST) {
                long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

                if (pid == 0)
                        syscall(SYS_exit_group, 0);
                if (pid < 0)
                        return -errno;
                got++;
        }
        return got;
}

static int64_t fd_bomb(struct hostile *hostile)
{
        (void)hostile;
        for (unsigned i = 0; i < FDS_MOST; i++)
                if (syscall(SYS_dup, 0) < 0)
                        return -errno;
        return FDS_MOST;
}

static int64_t stack_bomb(struct hostile *hostile)
{
        volatile char piece[65536];

        piece[0] = (char)hostile->command.number;
        if (hostile->command.number-- == 0)
                return piece[0];
        return stack_bomb(hostile) + piece[0];
}

static int64_t spin(struct hostile *hostile)
{
        for (volatile uint64_t i = 0; i < hostile->command.number; i++)
                continue;
        return 0;
}

static int64_t lock_memory(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_mlockall, MCL_CURRENT);
}

/* ---- the disk ---- */

static int64_t sync_storm(struct hostile *hostile)
{
        for (uint64_t i = 0; i < hostile->command.number; i++)
                if (syscall(SYS_fdatasync, hostile_resource) < 0)
                        return -errno;
        return (int64_t)hostile->command.number;
}

/* All of it, again: a hole becomes blocks, and then there is no more. */
static int64_t fill_disk(struct hostile *hostile)
{
        uint64_t at = 0;
        int64_t r = 0;

        while (at < hostile->command.image_bytes && r >= 0) {
                r = CALL(SYS_pwrite64, hostile_resource, bytes, sizeof(bytes), (long)at);
                at += sizeof(bytes);
        }
        return r < 0 ? r : CALL(SYS_pwrite64, hostile_resource, bytes, sizeof(bytes), (long)at);
}

/* ---- the end ---- */

static int64_t crash(struct hostile *hostile)
{
        (void)hostile;
        __builtin_trap();
}

static int64_t null_pointer(struct hostile *hostile)
{
        (void)hostile;
        return *(volatile int64_t *)(uintptr_t)hostile->command.number;
}

static int64_t leave(struct hostile *hostile)
{
        syscall(SYS_exit_group, (int)hostile->command.number);
        return 0;
}

static int64_t hello(struct hostile *hostile)
{
        (void)hostile;
        return 0;
}

static const struct hostile_attack rows[] = {
    {"flood-stats", flood_stats, 0},
    {"flood-state", flood_state, 0},
    {"flood-log", flood_log, 0},
    {"flood-config", flood_config, 0},
    {"flood-reads", flood_reads, 0},
    {"flood-writes", flood_writes, 0},
    {"drip", drip, 0},
    {"never-read", never_read, 0},
    {"alloc-all", alloc_all, 0},
    {"fork-bomb", fork_bomb, 0},
    {"fd-bomb", fd_bomb, 0},
    {"stack-bomb", stack_bomb, 0},
    {"spin", spin, 0},
    {"mlock", lock_memory, 0},
    {"sync-storm", sync_storm, 0},
    {"fill-disk", fill_disk, 0},
    {"crash", crash, 0},
    {"null-pointer", null_pointer, 0},
    {"leave", leave, 0},
    {"hello", hello, 0},
};

const struct hostile_attacks hostile_floods = {rows, array_size(rows)};
