/* One VM with its guests: setting up, asking, and trying one thing.
 * Owns the VM and both guests; called by the runner. TRUST: reports are the hostile worker's own words; what has
 * stopped it is taken from the broker's log, and what it has done from the broker's process and the neighbour.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/leftovers.h"

#define TURN_MS   2    /* between two looks at the target, for the neighbour's turn */
#define SETTLE_MS 3000 /* in which the broker has put everything away */

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- set up ---- */

static void fill_command(struct stage *stage)
{
        struct hostile_command *command = &stage->command;

        *command = (struct hostile_command){.magic = COMMAND_MAGIC,
                                            .broker_pid = (uint64_t)stage->vm.broker,
                                            .broker_uid = 1879100000u,
                                            .image_bytes = VM_IMAGE_BYTES};
        command->sibling_pid = (uint64_t)vm_worker(&stage->vm, "blk", "disk1");
        snprintf(command->image, sizeof(command->image), "%s",
                 stage->kind->is_disk ? vm_image(&stage->vm, stage->kind->device)
                                      : vm_path(&stage->vm, OUTSIDE_SECRET));
        memcpy(command->abstract, stage->vm.outside.abstract, sizeof(command->abstract));
        command->relay = stage->kind->is_companion;
        snprintf(command->socket, sizeof(command->socket), "%s", vm_socket(&stage->vm, "admin"));
        for (unsigned i = 0; i < COMMAND_SECRET; i++)
                command->secret[i] = (uint8_t)stage->vm.secret[i] ^ COMMAND_SECRET_XOR;
        command->n_ranges = facts_ranges(stage->vm.broker, command->ranges);
        command->broker_address = facts_still_bytes(stage->vm.broker) ^ COMMAND_RANGE_XOR;
}

static int open_target(struct stage *stage)
{
        return guest_open(&stage->target, vm_socket(&stage->vm, stage->kind->device), stage->kind,
                          stage->vm.secret);
}

/* A first time of everything that an attack may end in, so that what is allocated once is there. */
static int warm_up(struct stage *stage, char *why, size_t why_size)
{
        static const char *const keys[] = {"hello", "crash", "second-hello", "hello"};
        static const char *const of_companion[] = {"hello"};
        struct hostile_report report;
        const char *const *all = stage->kind->is_companion ? of_companion : keys;
        size_t n = stage->kind->is_companion ? array_size(of_companion) : array_size(keys);
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = stage_ask(stage, all[i], 0, &report, why, why_size);
        if (r < 0)
                return r;
        r = facts_measure(stage->vm.broker, &stage->before);
        if (r < 0)
                snprintf(why, why_size, "the broker cannot be looked at: %s", strerror(-r));
        return r;
}

int stage_open(struct stage *stage, const struct vm_programs *programs, enum layer_set set,
               const struct kind *kind, char *why, size_t why_size)
{
        int r;

        memset(stage, 0, sizeof(*stage));
        stage->target.front.wire.sock = stage->neighbour.front.wire.sock = -1;
        stage->kind = kind;
        r = vm_start(&stage->vm, programs, set, kind, why, why_size);
        if (r < 0)
                return r;
        r = open_target(stage);
        if (r == 0)
                r = guest_open(&stage->neighbour, vm_socket(&stage->vm, "disk1"), &kind_neighbour,
                               stage->vm.secret);
        if (r < 0)
                snprintf(why, why_size, "the guest cannot use its devices: %s", strerror(-r));
        fill_command(stage);
        if (r == 0)
                r = warm_up(stage, why, why_size);
        if (r < 0) {
                char more[128];

                stage_close(stage, more, sizeof(more));
        }
        return r;
}

bool stage_close(struct stage *stage, char *why, size_t why_size)
{
        struct leftovers leftovers;

        leftovers_note(&leftovers, stage->vm.spawner);
        guest_close(&stage->target);
        guest_close(&stage->neighbour);
        if (!vm_stop(&stage->vm)) {
                snprintf(why, why_size, "the VM did not end in good order");
                return false;
        }
        return !leftovers_found(&leftovers, stage->vm.name, why, why_size);
}

int stage_reset_target(struct stage *stage, char *why, size_t why_size)
{
        int r;

        guest_close(&stage->target);
        r = open_target(stage);
        if (r < 0)
                snprintf(why, why_size, "no new session after the reset");
        return r;
}

/* ---- ask ---- */

int stage_post(struct stage *stage, struct guest *guest, const char *key, uint64_t number)
{
        snprintf(stage->command.key, sizeof(stage->command.key), "%s", key);
        stage->command.number = number;
        return guest_post(guest, &stage->command);
}

static int neighbour_turn(struct stage *stage, char *why, size_t why_size)
{
        int r = guest_disk_turn(&stage->neighbour, false);

        stage->neighbour_turns++;
        if (r < 0)
                snprintf(why, why_size, "the disk beside it %s",
                         r == -EILSEQ ? "gave back other bytes" : "was not served");
        return r;
}

int stage_busy(struct stage *stage, unsigned turns, char *why, size_t why_size)
{
        int r = 0;

        for (unsigned i = 0; i < turns && r == 0; i++)
                r = neighbour_turn(stage, why, why_size);
        return r;
}

int stage_await(struct stage *stage, struct guest *guest, unsigned slot, struct hostile_report *ret_report,
                char *why, size_t why_size)
{
        uint64_t deadline = now_ms() + GUEST_WAIT_MS;

        for (;;) {
                int r = guest_poll(guest, slot);

                if (r == 1)
                        break;
                if (r < 0) {
                        snprintf(why, why_size, "the used ring makes no sense");
                        return r;
                }
                vm_log_take(&stage->vm);
                if (guest != &stage->neighbour) {
                        r = neighbour_turn(stage, why, why_size);
                        if (r < 0)
                                return r;
                }
                guest_wait(guest, TURN_MS);
                if (now_ms() > deadline) {
                        snprintf(why, why_size, "its device did not answer any more");
                        return -ETIMEDOUT;
                }
        }
        guest_take(guest, slot, ret_report);
        if (ret_report->magic != COMMAND_MAGIC) {
                snprintf(why, why_size, "its device answered with something else");
                return -EILSEQ;
        }
        if (guest == &stage->target)
                stage->incarnation = ret_report->incarnation;
        vm_log_take(&stage->vm);
        return 0;
}

int stage_ask(struct stage *stage, const char *key, uint64_t number, struct hostile_report *ret_report,
              char *why, size_t why_size)
{
        int slot = stage_post(stage, &stage->target, key, number);

        if (slot < 0) {
                snprintf(why, why_size, "a request could not be posted");
                return slot;
        }
        return stage_await(stage, &stage->target, (unsigned)slot, ret_report, why, why_size);
}

/* ---- judge ---- */

/* The clause of "worker <clause>: killed dev=..." that is not about hanging up. */
static bool find_verdict(const struct vm *vm, char *out, size_t size)
{
        for (const char *line = vm->log; line && *line; line = strchr(line, '\n')) {
                const char *worker, *killed, *end;

                line += *line == '\n';
                end = line + strcspn(line, "\n");
                worker = strstr(line, "worker ");
                killed = strstr(line, ": killed");
                if (!worker || !killed || worker > killed || killed > end ||
                    strncmp(worker, "worker hung up", strlen("worker hung up")) == 0)
                        continue;
                worker += strlen("worker ");
                snprintf(out, size, "%.*s", (int)(killed - worker), worker);
                return true;
        }
        return false;
}

void stage_judge_death(struct stage *stage, struct outcome *outcome)
{
        char verdict[128];

        if (vm_log_has(&stage->vm, "system call") || vm_log_has(&stage->vm, "signal=31")) {
                outcome->end = END_SIGSYS;
                snprintf(outcome->said, sizeof(outcome->said), "killed by the kernel: not in its policy");
        } else if (find_verdict(&stage->vm, verdict, sizeof(verdict))) {
                outcome->end = END_BROKER;
                snprintf(outcome->said, sizeof(outcome->said), "killed by the broker: it %s", verdict);
        } else {
                outcome->end = END_CRASH;
                outcome->worked = true;
                snprintf(outcome->said, sizeof(outcome->said), "it ended");
        }
}

/* Without a jail it is touched. */
static bool look_outside(struct stage *stage, struct outcome *outcome)
{
        if (stage->kind->on & (ON_BOTH | ON_RO))
                return false;
        if (stage->vm.set == LAYERS_NONE)
                outside_renew(&stage->vm.outside);
        return stage->vm.set != LAYERS_NONE &&
               outside_is_touched(&stage->vm.outside, outcome->harm, sizeof(outcome->harm));
}

/* Everything is as it was, at the latest after a while. */
void stage_look_around(struct stage *stage, struct outcome *outcome)
{
        uint64_t deadline = now_ms() + SETTLE_MS;
        const char *fault;
        struct facts now;
        bool equal;
        int r;

        do {
                r = facts_measure(stage->vm.broker, &now);
                equal = r == 0 && facts_equal(&stage->before, &now, outcome->harm, sizeof(outcome->harm));
                if (r == 0 && neighbour_turn(stage, outcome->harm, sizeof(outcome->harm)) < 0)
                        return;
        } while (r == 0 && !equal && now_ms() < deadline);
        if (r < 0) {
                snprintf(outcome->harm, sizeof(outcome->harm), "the broker is gone, or another (%s)",
                         strerror(-r));
                return;
        }
        if (!equal)
                return;
        outcome->harm[0] = '\0';
        if (look_outside(stage, outcome))
                return;
        vm_log_take(&stage->vm);
        fault = vm_log_fault(&stage->vm);
        if (fault)
                snprintf(outcome->harm, sizeof(outcome->harm), "a line of the log is not the broker's");
}

void stage_say_result(const struct hostile_report *report, struct outcome *outcome)
{
        outcome->worked = report->result >= 0;
        outcome->end = outcome->worked ? END_IGNORED | END_BOUNDED | END_OWN : END_ERRNO;
        if (outcome->worked)
                snprintf(outcome->said, sizeof(outcome->said), "done (%lld)", (long long)report->result);
        else if (report->result == -ENODATA)
                snprintf(outcome->said, sizeof(outcome->said), "nothing found");
        else
                snprintf(outcome->said, sizeof(outcome->said), "refused: %s",
                         strerrorname_np((int)-report->result));
}

/* Has the worker that gave this answer died of what it did afterwards? Leaves a fresh worker in any case. */
static int find_survivor(struct stage *stage, uint64_t incarnation, struct outcome *outcome)
{
        struct hostile_report report;
        int r = stage_ask(stage, "hello", 0, &report, outcome->harm, sizeof(outcome->harm));

        if (r < 0)
                return r;
        if (report.incarnation != incarnation || report.state == REPORT_SUCCESSOR) {
                stage_judge_death(stage, outcome);
                return 0;
        }
        vm_restore_image(&stage->vm, stage->target.device);
        return stage_ask(stage, "leave", 0, &report, outcome->harm, sizeof(outcome->harm));
}

void stage_try(struct stage *stage, const struct attempt *attempt, struct outcome *ret_outcome)
{
        struct hostile_report report;
        int r;

        *ret_outcome = (struct outcome){0};
        vm_log_mark(&stage->vm);
        if (attempt->flags & ATTEMPT_PLAY) {
                if (!stage_play(stage, attempt, ret_outcome))
                        snprintf(ret_outcome->harm, sizeof(ret_outcome->harm), "there is no play %s",
                                 attempt->key);
                if (!ret_outcome->harm[0])
                        stage_look_around(stage, ret_outcome);
                return;
        }
        r = stage_ask(stage, attempt->key, attempt->number, &report, ret_outcome->harm,
                      sizeof(ret_outcome->harm));
        if (r == 0 && report.state == REPORT_UNKNOWN) {
                snprintf(ret_outcome->harm, sizeof(ret_outcome->harm), "the worker has no attack %s",
                         attempt->key);
                return;
        }
        if (r == 0 && report.state == REPORT_SUCCESSOR) {
                stage_judge_death(stage, ret_outcome);
        } else if (r == 0) {
                stage_say_result(&report, ret_outcome);
                r = find_survivor(stage, report.incarnation, ret_outcome);
        }
        if (r == 0)
                stage_look_around(stage, ret_outcome);
}
