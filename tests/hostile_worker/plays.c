/* Attempts that take more than one command: sweeps, another device's requests, resets, stops, leftovers.
 * Owns nothing beyond a call; called by stage_try. TRUST: as stage.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/policy.h"
#include "tests/hostile_worker/stage.h"

#define HOLD_MS       20000u
#define BUSY          32u /* commands while the worker does not read */
#define TURNS         30u /* of the neighbour, while the target gets going */
#define CONFIG_WRITES 1000u
#define TRAFFIC       20u /* commands and more before a search, for there to be something to search */

/* Where a step that fails says what harm that is. */
#define WHY outcome->harm, sizeof(outcome->harm)

static void __attribute__((format(printf, 2, 3))) set_harm(struct outcome *outcome, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(outcome->harm, sizeof(outcome->harm), format, args);
        va_end(args);
}

/* ---- another's requests ---- */

/* Asks twice, so that the id of the request after those is known: it must turn out to be that. */
static int predict_id(struct stage *stage, struct guest *guest, uint64_t *ret_id, char *why, size_t why_size)
{
        uint64_t ids[2] = {0};

        for (unsigned i = 0; i < array_size(ids); i++) {
                struct hostile_report report;
                int slot = stage_post(stage, guest, "hello", 0);
                int r = slot < 0 ? slot : stage_await(stage, guest, (unsigned)slot, &report, why, why_size);

                if (r < 0)
                        return r;
                ids[i] = report.request_id;
        }
        *ret_id = ids[1] + (ids[1] - ids[0]);
        return 0;
}

/* Both hold a request; the target names the neighbour's. */
static void play_other_id(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report, held;
        uint64_t id, own;
        int slot;

        /* The ids of two lanes must not be the same by chance. */
        if (predict_id(stage, &stage->target, &own, WHY) < 0)
                return;
        do {
                if (predict_id(stage, &stage->neighbour, &id, WHY) < 0)
                        return;
        } while (id == own);
        slot = stage_post(stage, &stage->neighbour, "never-read", 1000);
        vm_log_mark(&stage->vm);
        stage_post(stage, &stage->target, attempt->key, id);
        if (slot < 0 || stage_await(stage, &stage->neighbour, (unsigned)slot, &held, WHY) < 0)
                return;
        if (held.request_id != id || held.state != REPORT_ANSWERED) {
                set_harm(outcome, "the neighbour's request was %llx, not %llx, or was not its own any more",
                         (unsigned long long)held.request_id, (unsigned long long)id);
                return;
        }
        if (stage_ask(stage, "hello", 0, &report, WHY) == 0)
                stage_judge_death(stage, outcome);
}

/* What the incarnation before the reset held, named by the one after it. */
static void play_after_reset(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;
        uint64_t id;

        (void)attempt;
        if (predict_id(stage, &stage->target, &id, WHY) < 0 ||
            stage_post(stage, &stage->target, "never-read", HOLD_MS) < 0 ||
            stage_reset_target(stage, WHY) < 0)
                return;
        if (stage_ask(stage, "hello", 0, &report, WHY) < 0)
                return;
        vm_log_mark(&stage->vm);
        if (report.request_id == id || stage_ask(stage, "complete-other-id", id, &report, WHY) < 0)
                return;
        stage_judge_death(stage, outcome);
}

/* ---- plans ---- */

static void play_plan(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;

        if (stage_ask(stage, attempt->key, attempt->number, &report, WHY) == 0)
                stage_judge_death(stage, outcome);
}

/* ---- time ---- */

static void bounded(struct outcome *outcome, const char *said)
{
        outcome->end = END_BOUNDED;
        snprintf(outcome->said, sizeof(outcome->said), "%s", said);
}

static void play_never_read(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;
        int slots[BUSY + 1];

        slots[0] = stage_post(stage, &stage->target, attempt->key, attempt->number);
        for (unsigned i = 1; i <= BUSY; i++)
                slots[i] = stage_post(stage, &stage->target, "hello", 0);
        for (unsigned i = 0; i <= BUSY; i++)
                if (slots[i] < 0 || stage_await(stage, &stage->target, (unsigned)slots[i], &report, WHY) < 0)
                        return;
        bounded(outcome, "its guest waits, nobody else does");
}

/* The guest is stopped as for a pause: its VMM waits for this answer. */
static void play_hold(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        const char *key = strcmp(attempt->key, "hold") == 0 ? "never-read" : attempt->key;
        struct hostile_report report;

        if (stage_post(stage, &stage->target, key, HOLD_MS) < 0 || stage_busy(stage, TURNS, WHY) < 0)
                return;
        if (guest_stop(&stage->target) < 0) {
                set_harm(outcome, "the stop was not answered");
                return;
        }
        if (stage_reset_target(stage, WHY) == 0 && stage_ask(stage, "hello", 0, &report, WHY) == 0)
                bounded(outcome, "the stop was answered in time");
}

/* Its guest is told that it has broken the protocol: the device is broken, and whole again after a reset. */
static void play_blame(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;

        if (stage_post(stage, &stage->target, attempt->key, 0) < 0 || stage_busy(stage, TURNS, WHY) < 0)
                return;
        if (stage_reset_target(stage, WHY) == 0 && stage_ask(stage, "hello", 0, &report, WHY) == 0)
                bounded(outcome, "its own device, until its guest resets it");
}

/* The guest goes on writing its configuration while the worker takes nothing from its control channel. */
static void play_deaf(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;
        int slot = stage_post(stage, &stage->target, "never-read", attempt->number);
        int r = slot;

        for (unsigned i = 0; i < CONFIG_WRITES && r >= 0; i++)
                r = guest_write_config(&stage->target, (uint8_t)(i & 1));
        if (r < 0) {
                set_harm(outcome, "its guest's writes were not taken: %s", strerror(-r));
                return;
        }
        if (stage_await(stage, &stage->target, (unsigned)slot, &report, WHY) < 0)
                return;
        if (report.state == REPORT_SUCCESSOR)
                stage_judge_death(stage, outcome);
        else
                bounded(outcome, "what it has not read waits, bounded");
        stage_ask(stage, "leave", 0, &report, WHY);
}

static void play_log(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;

        if (stage_ask(stage, attempt->key, 0, &report, WHY) < 0)
                return;
        if (!vm_log_has(&stage->vm, "FORGED-LINE")) {
                set_harm(outcome, "its line is not in the log at all");
                return;
        }
        if (!vm_log_fault(&stage->vm))
                bounded(outcome, "one line, escaped, with its name in front");
        stage_ask(stage, "leave", 0, &report, WHY);
}

/* ---- sweeps ---- */

/* Would its policy let it through with all arguments 0? Tests of a descriptor do not: none of its own is 0. */
static bool allows_zeros(const struct policy_row *row)
{
        if (row->subject != POLICY_ANY || row->deny_errno != 0)
                return false;
        for (size_t i = 0; i < POLICY_TESTS && row->tests[i].op != POLICY_END; i++)
                if (row->tests[i].op == POLICY_RESOURCE_EQ || row->tests[i].value != 0)
                        return false;
        return true;
}

static bool is_left_out(const struct kind *kind, unsigned nr)
{
        const struct policy *policy = policy_find(kind->policy);
        const struct policy_row *row;

        for (size_t i = 0; policy && (row = policy_row_at(policy, POLICY_GATE_RUN, i)); i++)
                if (row->nr == (int)nr && allows_zeros(row))
                        return true;
        return false;
}

/* Outside of seccomp on x86_64: the kernel's own trampolines, which fail or crash out of place. */
static bool is_unfiltered(unsigned nr)
{
        return nr == 335 || nr == 336;
}

static bool sweep_one(struct stage *stage, const char *key, unsigned nr, struct outcome *outcome)
{
        struct hostile_report report;

        vm_log_mark(&stage->vm);
        if (stage_ask(stage, key, nr, &report, WHY) < 0)
                return false;
        if (is_unfiltered(nr))
                return true;
        if (vm_log_has(&stage->vm, "signal=") && !vm_log_has(&stage->vm, "signal=31")) {
                set_harm(outcome, "call %u killed it otherwise", nr);
                return false;
        }
        if (report.state == REPORT_SUCCESSOR)
                return true;
        set_harm(outcome, "call %u was not killed: %lld", nr, (long long)report.result);
        return false;
}

/* Each in a fresh worker, for the first that is made kills it. The log of so many deaths is not whole, so the
 * death is what counts; test_policy knows that there is no other reason for one. */
static void play_sweep(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        const char *key = strcmp(attempt->key, "sweep") == 0       ? "call"
                          : strcmp(attempt->key, "sweep-x32") == 0 ? "call-x32"
                                                                   : "call-int80";
        unsigned first = (unsigned)(attempt->number & 0xffff), last = (unsigned)(attempt->number >> 16);
        unsigned tried = 0;

        if (last == 0)
                last = 470; /* the newest call there is, and some */
        for (unsigned nr = first; nr <= last; nr++)
                if (!(strcmp(key, "call") == 0 && is_left_out(stage->kind, nr))) {
                        if (!sweep_one(stage, key, nr, outcome))
                                return;
                        tried++;
                }
        outcome->end = END_SIGSYS;
        snprintf(outcome->said, sizeof(outcome->said), "%u calls, each killed by the kernel", tried);
}

/* ---- leaks ---- */

/* Among much that was received, not only the command. */
static void play_scan(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report report;

        for (unsigned i = 0; i < TRAFFIC; i++)
                if (stage_ask(stage, "read-inside", 0, &report, WHY) < 0 ||
                    (stage->target.is_disk && guest_disk_turn(&stage->target, stage->kind->read_only) < 0))
                        return;
        if (stage_ask(stage, attempt->key, 0, &report, WHY) == 0)
                stage_say_result(&report, outcome);
        stage_ask(stage, "leave", 0, &report, WHY);
}

static bool near(const struct hostile_report *a, const struct hostile_report *b)
{
        for (size_t i = 0; i < array_size(a->layout); i++)
                if (a->layout[i] == b->layout[i])
                        return true;
        return false;
}

static void play_layout(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        struct hostile_report own, next, other;
        int slot;

        (void)attempt;
        if (stage_ask(stage, "hello", 0, &own, WHY) < 0 || stage_ask(stage, "leave", 0, &next, WHY) < 0 ||
            stage_ask(stage, "hello", 0, &next, WHY) < 0)
                return;
        slot = stage_post(stage, &stage->neighbour, "hello", 0);
        if (slot < 0 || stage_await(stage, &stage->neighbour, (unsigned)slot, &other, WHY) < 0)
                return;
        outcome->worked = near(&own, &next) || near(&own, &other) || near(&next, &other);
        outcome->end = outcome->worked ? END_OWN : END_ERRNO;
        snprintf(outcome->said, sizeof(outcome->said), "%s",
                 outcome->worked ? "code, stack or heap are at the same place"
                                 : "nothing is at the same place");
}

/* Of one worker, as soon as its successor is there. What a whole VM leaves is looked for after each. */
static void play_leftovers(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        pid_t pid = vm_worker(&stage->vm, stage->kind->type, stage->target.device);
        struct hostile_report report;
        char path[64];

        (void)attempt;
        snprintf(path, sizeof(path), "/proc/%d", (int)pid);
        if (pid == 0 || stage_ask(stage, "leave", 0, &report, WHY) < 0) {
                set_harm(outcome, "there is no worker");
                return;
        }
        outcome->worked = access(path, F_OK) == 0;
        outcome->end = outcome->worked ? END_OWN : END_ERRNO;
        snprintf(outcome->said, sizeof(outcome->said), "%s",
                 outcome->worked ? "its process is left" : "nothing is left");
}

/* ---- the table ---- */

static const struct {
        const char *key;
        void (*play)(struct stage *stage, const struct attempt *attempt, struct outcome *outcome);
} plays[] = {
    {"sweep", play_sweep},
    {"sweep-x32", play_sweep},
    {"sweep-int80", play_sweep},
    {"write-other-id", play_other_id},
    {"read-other-id", play_other_id},
    {"complete-other-id", play_other_id},
    {"complete-after-reset", play_after_reset},
    {"plan", play_plan},
    {"never-read", play_never_read},
    {"hold", play_hold},
    {"half-payload", play_hold},
    {"half-frame", play_hold},
    {"blame-guest", play_blame},
    {"deaf", play_deaf},
    {"scan-received-addresses", play_scan},
    {"scan-received-secrets", play_scan},
    {"log-injection", play_log},
    {"layout", play_layout},
    {"leftovers", play_leftovers},
};

bool stage_play(struct stage *stage, const struct attempt *attempt, struct outcome *outcome)
{
        for (size_t i = 0; i < array_size(plays); i++)
                if (strcmp(plays[i].key, attempt->key) == 0) {
                        plays[i].play(stage, attempt, outcome);
                        return true;
                }
        return false;
}
