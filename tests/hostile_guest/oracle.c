/* The judge of the broker. Owns the memory of all sessions, the neighbour and a pidfd of the broker. TRUST: sees
 * the kernel's and the broker's words about the broker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/oracle.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broker/ctl/admin_client.h"
#include "proto/base/checked.h"
#include "tests/hostile_guest/disk_pattern.h"

#define SETTLE_MS              5000 /* until a worker is replaced and everything closed */
#define LOOK_MS                1
#define LOOKS_THE_SAME         20u
#define QUIET_MS               12
#define QUIET_CPU_US           6000
#define WARM_UP                6u /* clients of each kind before the first view: what is made once is made */
#define MEMORY_BOUND           (1u << 20)
#define MEMORY_BOUND_SANITIZED (64u << 20) /* what is freed stays in quarantine for a while */
#define RNG_BYTES              64u

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int stretched(int ms)
{
        const char *factor = getenv("BULKHEAD_TIME_FACTOR");

        return factor ? (int)(ms * strtod(factor, NULL)) : ms;
}

static bool explain(char *why, size_t size, const char *what, int r)
{
        snprintf(why, size, "%s: %s", what, strerror(-r));
        return false;
}

/* ---- one request ---- */

static const char *const target_names[] = {
    [TARGET_BLK] = "disk0", [TARGET_RNG] = "rng0", [TARGET_BOTH] = "disk1"};

static void post_blk(struct attack *attack, unsigned ring, uint64_t at)
{
        attack_blk_header(attack, at, BLK_IN, 8);
        *(uint8_t *)guest_map_at(attack->map, at + 16, 1) = 0xff;
        attack_desc(attack, ring, 0, &(struct desc_row){at, 16, DESC_NEXT, 1});
        attack_desc(attack, ring, 1, &(struct desc_row){at + 4096, 8 * SECTOR, DESC_NEXT | DESC_WRITE, 2});
        attack_desc(attack, ring, 2, &(struct desc_row){at + 16, 1, DESC_WRITE, 0});
}

static void post_rng(struct attack *attack, unsigned ring, uint64_t at)
{
        memset(guest_map_at(attack->map, at, RNG_BYTES), 0, RNG_BYTES);
        attack_desc(attack, ring, 0, &(struct desc_row){at, RNG_BYTES, DESC_WRITE, 0});
}

static bool answer_is_right(const struct attack *attack, uint64_t at, uint32_t len)
{
        static const uint8_t zeroes[RNG_BYTES];

        if (attack->target == TARGET_RNG)
                return len == RNG_BYTES &&
                       memcmp(guest_map_at(attack->map, at, RNG_BYTES), zeroes, RNG_BYTES) != 0;
        return len == 8 * SECTOR + 1 && *(uint8_t *)guest_map_at(attack->map, at + 16, 1) == BLK_S_OK &&
               disk_pattern_is(guest_map_at(attack->map, at + 4096, 8 * SECTOR), ORACLE_DISK, 8, 1, 8);
}

bool oracle_request(struct oracle *oracle, struct attack *attack, unsigned ring, uint64_t at, char *why,
                    size_t size)
{
        uint32_t id, len;
        uint16_t used = attack_used(attack, ring, &id, &len);
        enum outcome outcome;

        if (attack->target == TARGET_BLK)
                post_blk(attack, ring, at);
        else
                post_rng(attack, ring, at);
        attack_offer(attack, ring, 0);
        attack_show(attack, ring, attack->offered[ring]);
        if (attack_kick(attack, ring) < 0)
                return explain(why, size, "kick", -errno);
        outcome = attack_judge(attack, ring, used + 1u, oracle->settle_ms);
        attack_used(attack, ring, &id, &len);
        if (outcome == OUTCOME_SERVED && id == 0 && answer_is_right(attack, at, len))
                return true;
        snprintf(why, size, "a good request of %s is not answered as it should: outcome %d, %u bytes",
                 target_names[attack->target], outcome, len);
        return false;
}

static bool client_served(struct oracle *oracle, struct attack *attack, char *why, size_t size)
{
        struct ring_plan plan = ring_plan_at(0, 16);
        int r = attack_configure(attack, FEATURE_VERSION_1 | FEATURE_PROTOCOL);

        if (r == 0)
                r = attack_start(attack, 0, &plan);
        if (r < 0)
                return explain(why, size, "the next client cannot start", r);
        return oracle_request(oracle, attack, 0, PARTNER, why, size);
}

bool oracle_client(struct oracle *oracle, enum target target, char *why, size_t size)
{
        struct attack attack;
        bool good;
        int r;

        guest_map_clear(&oracle->map);
        r = attack_connect(&attack, &oracle->map, target, oracle->paths[target], oracle->settle_ms);
        good = r < 0 ? explain(why, size, "the next client cannot connect", r)
                     : client_served(oracle, &attack, why, size);
        attack_close(&attack);
        return good;
}

/* ---- the broker's own word ---- */

static int read_status(const struct oracle *oracle, struct admin_status *ret_status, char *why, size_t size)
{
        struct admin_answer answer;
        char words[256];
        int r = admin_client_status(oracle->run_dir, oracle->vm, (unsigned)oracle->settle_ms, &answer, words,
                                    sizeof(words));

        if (r < 0)
                snprintf(why, size, "the admin socket: %s", words);
        else
                *ret_status = answer.status;
        return r;
}

/* Everything where it is when nobody attacks: the attacked devices wait, the neighbour runs. */
static bool devices_rest(const struct admin_status *status)
{
        for (size_t i = 0; i < status->n_devices; i++) {
                const struct admin_device *device = &status->devices[i];
                bool neighbour = strcmp(device->name, target_names[TARGET_BOTH]) == 0;

                if (device->state != (neighbour ? ADMIN_RUNNING : ADMIN_READY) ||
                    device->attached != neighbour)
                        return false;
        }
        return true;
}

/* A guest may end its own device, never its worker: each restart here was a worker that died. */
static bool workers_lived(const struct admin_status *status, char *why, size_t size)
{
        for (size_t i = 0; i < status->n_devices; i++) {
                const struct admin_device *device = &status->devices[i];

                if (device->restarts == 0)
                        continue;
                snprintf(why, size, "the worker of %s died (%u times)", device->name, device->restarts);
                return false;
        }
        return true;
}

/* ---- rest ---- */

static bool broker_died(const struct oracle *oracle, int wait_ms)
{
        struct pollfd exit = {.fd = oracle->broker_pidfd, .events = POLLIN};

        return poll(&exit, 1, wait_ms) > 0;
}

/* A sanitizer maps as it likes; the guest's memory is counted by itself. */
static int take_view(const struct oracle *oracle, struct process_view *ret_view)
{
        int r = process_view_take(oracle->broker, ret_view);

        if (r == 0 && oracle->sanitized)
                ret_view->maps = 0;
        return r;
}

/* Waits until nobody is attached and every worker waits. */
static bool devices_settle(struct oracle *oracle, int64_t deadline, char *why, size_t size)
{
        struct admin_status status;

        for (;;) {
                if (broker_died(oracle, LOOK_MS)) {
                        snprintf(why, size, "the broker is dead");
                        return false;
                }
                if (read_status(oracle, &status, why, size) < 0 || !workers_lived(&status, why, size))
                        return false;
                if (devices_rest(&status))
                        return true;
                if (now_ms() >= deadline) {
                        snprintf(why, size, "the devices do not come to rest");
                        return false;
                }
        }
}

/* Then until the broker has what it had `before`; NULL: until it has the same for some time, since the question
 * before this has a descriptor of its own for a moment. */
static bool settle(struct oracle *oracle, const struct process_view *before, struct process_view *ret_now,
                   char *why, size_t size)
{
        int64_t deadline = now_ms() + oracle->settle_ms;
        struct process_view last = {0};
        unsigned same = 0;

        if (!devices_settle(oracle, deadline, why, size))
                return false;
        while (take_view(oracle, ret_now) == 0) {
                same = process_view_equal(&last, ret_now) ? same + 1 : 0;
                if (before ? process_view_equal(before, ret_now) : same == LOOKS_THE_SAME)
                        return true;
                if (broker_died(oracle, LOOK_MS))
                        break;
                if (now_ms() >= deadline) {
                        process_view_explain(before ? before : &last, ret_now, why, size);
                        return false;
                }
                last = *ret_now;
        }
        snprintf(why, size, "the broker is dead");
        return false;
}

bool oracle_quiet(struct oracle *oracle, char *why, size_t size)
{
        int64_t before = process_cpu_us(oracle->broker), spent;

        if (broker_died(oracle, QUIET_MS)) {
                snprintf(why, size, "the broker is dead");
                return false;
        }
        spent = process_cpu_us(oracle->broker) - before;
        if (spent <= QUIET_CPU_US)
                return true;
        snprintf(why, size, "the broker spins: %d us of processor time in %d ms", (int)spent, QUIET_MS);
        return false;
}

bool oracle_before(struct oracle *oracle, char *why, size_t size)
{
        int r = neighbour_post(&oracle->neighbour);

        guest_map_clear(&oracle->map);
        return r == 0 || explain(why, size, "the neighbour's requests cannot be posted", r);
}

static bool check_after(struct oracle *oracle, enum target target, struct process_view *ret_now, char *why,
                        size_t size)
{
        if (broker_died(oracle, 0)) {
                snprintf(why, size, "the broker is dead");
                return false;
        }
        if (neighbour_verify(&oracle->neighbour, oracle->judge_ms, why, size) < 0 ||
            !oracle_client(oracle, target, why, size) || !settle(oracle, &oracle->before, ret_now, why, size))
                return false;
        if (ret_now->anonymous <= oracle->before.anonymous + oracle->memory_bound)
                return true;
        process_view_explain(&oracle->before, ret_now, why, size);
        return false;
}

bool oracle_after(struct oracle *oracle, enum target target, char *why, size_t size)
{
        struct process_view now = oracle->before;

        oracle->n_checks++;
        if (check_after(oracle, target, &now, why, size))
                return true;
        oracle->before = now;
        return false;
}

/* ---- beginning and end ---- */

static int write_disk(struct oracle *oracle)
{
        struct front_end front = {.wire = {.sock = -1, .deadline_ms = oracle->settle_ms}, .backend = -1};
        struct guest_ram ram = {.fd = -1};
        struct blk_front blk;
        int r = wire_connect(&front.wire, oracle->paths[TARGET_BLK]);

        if (r == 0)
                r = front_end_negotiate(&front, FRONT_END_QEMU_7_2, true);
        if (r == 0)
                r = guest_ram_init(&ram, 1 << 20, 0);
        if (r == 0) {
                blk_front_init(&blk, &front, &ram, 0, 16, 1, ORACLE_SECTORS * SECTOR,
                               ORACLE_SECTORS * SECTOR);
                r = blk_front_start(&blk, 0);
        }
        if (r == 0) {
                disk_pattern_fill(blk_front_data(&blk, 0), ORACLE_DISK, 0, 1, ORACLE_SECTORS);
                r = blk_front_do(&blk, BLK_OUT, 0, ORACLE_SECTORS * SECTOR, oracle->settle_ms);
        }
        front_end_close(&front);
        guest_ram_done(&ram);
        return r;
}

static bool warm_up(struct oracle *oracle, char *why, size_t size)
{
        for (unsigned i = 0; i < WARM_UP; i++)
                if (neighbour_post(&oracle->neighbour) < 0 || !oracle_client(oracle, TARGET_BLK, why, size) ||
                    !oracle_client(oracle, TARGET_RNG, why, size) ||
                    neighbour_verify(&oracle->neighbour, oracle->settle_ms, why, size) < 0)
                        return false;
        return settle(oracle, NULL, &oracle->before, why, size);
}

static int find_broker(struct oracle *oracle, char *why, size_t size)
{
        struct admin_status status;
        int r = read_status(oracle, &status, why, size);

        if (r < 0)
                return r;
        oracle->broker = (pid_t)status.broker_pid;
        oracle->broker_pidfd = (int)syscall(SYS_pidfd_open, oracle->broker, 0);
        if (oracle->broker_pidfd < 0) {
                explain(why, size, "the broker's process", -errno);
                return -ESRCH;
        }
        return 0;
}

int oracle_open(struct oracle *oracle, const char *run_dir, const char *vm, char *why, size_t size)
{
        int r;

        memset(oracle, 0, sizeof(*oracle));
        oracle->run_dir = run_dir;
        oracle->vm = vm;
        oracle->broker_pidfd = -1;
        oracle->judge_ms = stretched(ATTACK_JUDGE_MS);
        oracle->settle_ms = stretched(SETTLE_MS);
        oracle->sanitized = getenv("BULKHEAD_SANITIZED") != NULL;
        oracle->memory_bound = oracle->sanitized ? MEMORY_BOUND_SANITIZED : MEMORY_BOUND;
        for (unsigned i = TARGET_BLK; i <= TARGET_BOTH; i++)
                snprintf(oracle->paths[i], sizeof(oracle->paths[i]), "%s/%s/%s.sock", run_dir, vm,
                         target_names[i]);
        r = find_broker(oracle, why, size);
        if (r < 0)
                return r;
        r = guest_map_init(&oracle->map);
        if (r == 0)
                r = write_disk(oracle);
        if (r == 0)
                r = neighbour_open(&oracle->neighbour, oracle->paths[TARGET_BOTH], oracle->settle_ms);
        if (r != 0) {
                explain(why, size, "the disks cannot be written", r < 0 ? r : -EIO);
                return -EIO;
        }
        return warm_up(oracle, why, size) ? 0 : -EIO;
}

void oracle_close(struct oracle *oracle)
{
        neighbour_close(&oracle->neighbour);
        guest_map_done(&oracle->map);
        if (oracle->broker_pidfd >= 0)
                close(oracle->broker_pidfd);
}
