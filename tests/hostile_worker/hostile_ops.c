/* The device of the hostile worker: the real one, and before it a look for commands.
 * Owns the command under way; called by the runtime. TRUST: commands come from a guest that this worker is in
 * league with; they are of fixed size and nothing in them is followed but by the attack they name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/jail/probe.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_lane.h"
#include "workers/runtime/worker_watch.h"

#define COMMAND_ARGS 4u /* of a probe */

extern const struct device_ops real_device_ops; /* the shipped device's, under another name */

void __real_worker_watch_serve(void *state, const struct pollfd *fds, unsigned n);
void __wrap_worker_watch_serve(void *state, const struct pollfd *fds, unsigned n);
void __real_worker_timer_serve(void *state);
void __wrap_worker_timer_serve(void *state);

int hostile_resource = -1;
unsigned hostile_lanes = 1, hostile_resources;
struct control_hello hostile_hello;

static void *heap_sample;

static const struct hostile_attacks *const files[] = {
    &hostile_probes, &hostile_kernel, &hostile_files,   &hostile_processes,
    &hostile_shared, &hostile_grants, &hostile_places,  &hostile_messages,
    &hostile_floods, &hostile_leaks,  &hostile_starts,  &hostile_share,
    &hostile_left,   &hostile_net,    &hostile_console, &hostile_region,
};

static const struct hostile_attack *find_attack(const char *key)
{
        for (size_t i = 0; i < array_size(files); i++)
                for (size_t j = 0; j < files[i]->n; j++)
                        if (strcmp(files[i]->rows[j].key, key) == 0)
                                return &files[i]->rows[j];
        return NULL;
}

static uint64_t incarnation(void)
{
        uint64_t words[2];

        memcpy(words, (const void *)getauxval(AT_RANDOM), sizeof(words));
        return words[0] ^ words[1];
}

static void fill_report(struct hostile *hostile, enum report_state state, int64_t result)
{
        hostile->report.magic = COMMAND_MAGIC;
        hostile->report.state = (uint32_t)state;
        hostile->report.result = result;
        hostile->report.attempt = request_attempt(hostile->request);
        hostile->report.incarnation = incarnation();
        hostile->report.request_id = hostile->request_id;
        hostile->report.layout[0] = (uintptr_t)find_attack;
        hostile->report.layout[1] = (uintptr_t)&state;
        hostile->report.layout[2] = (uintptr_t)heap_sample;
}

static void send_report(struct hostile *hostile)
{
        uint8_t *bytes = request_reserve(hostile->request, sizeof(hostile->report));

        memcpy(bytes, &hostile->report, sizeof(hostile->report));
        request_complete(hostile->request, 0, sizeof(hostile->report));
        hostile->request = NULL;
}

void hostile_report_now(struct hostile *hostile, int64_t result)
{
        struct outbox *outbox = &hostile->request->lane->outbox;

        fill_report(hostile, REPORT_ANSWERED, result);
        send_report(hostile);
        outbox_flush(outbox);
}

static int64_t run_attack(const struct hostile_attack *attack, struct hostile *hostile)
{
        const struct hostile_command *command = &hostile->command;
        const uint64_t args[COMMAND_ARGS] = {command->broker_pid, command->broker_uid};

        return attack->run ? attack->run(hostile) : probe_attack(attack->probe, args);
}

/* What its companion has answered is said as if by itself. */
static void pass_on(struct hostile *hostile)
{
        struct hostile_report answer;

        hostile_relay(&hostile->command, &answer);
        fill_report(hostile, (enum report_state)answer.state, answer.result);
        send_report(hostile);
}

static void obey(struct hostile *hostile)
{
        const struct hostile_attack *attack = find_attack(hostile->command.key);
        int64_t result = 0;
        enum report_state state = REPORT_ANSWERED;

        if (hostile->command.relay && request_attempt(hostile->request) == 0 &&
            strcmp(hostile->command.key, "leave") != 0) {
                pass_on(hostile);
                return;
        }
        if (request_attempt(hostile->request) > 0)
                state = REPORT_SUCCESSOR;
        else if (!attack)
                state = REPORT_UNKNOWN;
        else
                result = run_attack(attack, hostile);
        if (!hostile->request)
                return; /* it has reported itself */
        fill_report(hostile, state, result);
        send_report(hostile);
}

/* Is it a command, and room for its report? */
static bool take_command(struct request *request, struct hostile *ret_hostile)
{
        uint64_t magic = 0;

        if (request_readable(request) < sizeof(ret_hostile->command) ||
            request_writable(request) < sizeof(ret_hostile->report) ||
            request_read(request, 0, &magic, sizeof(magic)) < 0 || magic != COMMAND_MAGIC)
                return false;
        memset(ret_hostile, 0, sizeof(*ret_hostile));
        if (request_read(request, 0, &ret_hostile->command, sizeof(ret_hostile->command)) < 0)
                return false;
        ret_hostile->command.key[COMMAND_KEY - 1] = '\0';
        ret_hostile->command.image[sizeof(ret_hostile->command.image) - 1] = '\0';
        ret_hostile->command.socket[sizeof(ret_hostile->command.socket) - 1] = '\0';
        ret_hostile->request = request;
        ret_hostile->request_id = request->id;
        ret_hostile->readable = request->readable;
        ret_hostile->writable = request->writable;
        return true;
}

static void hostile_batch_end(void *state)
{
        (void)state;
        if (real_device_ops.batch_end)
                real_device_ops.batch_end(real_device_ops.state);
}

/* Nothing of the real device waits while a command is obeyed. */
static void hostile_handle(void *state, struct request *request)
{
        static struct hostile hostile;

        hostile_batch_end(NULL);
        if (take_command(request, &hostile))
                obey(&hostile);
        else
                real_device_ops.handle(state, request);
}

static int hostile_init(void *state, const struct control_configure *configure, const int *resources,
                        unsigned n_resources, struct control_hello *ret_hello)
{
        int r = real_device_ops.init(real_device_ops.state, configure, resources, n_resources, ret_hello);

        (void)state;
        if (r < 0)
                return r;
        heap_sample = malloc(64);
        hostile_resource = n_resources > 0 ? resources[0] : -1;
        hostile_resources = n_resources;
        hostile_obey_plan(ret_hello);
        hostile_hello = *ret_hello;
        return 0;
}

static void hostile_set_features(void *state, uint64_t features)
{
        (void)state;
        if (real_device_ops.set_features)
                real_device_ops.set_features(real_device_ops.state, features);
}

static int hostile_config_write(void *state, uint32_t field, uint64_t value)
{
        (void)state;
        return real_device_ops.config_write
                   ? real_device_ops.config_write(real_device_ops.state, field, value)
                   : -EOPNOTSUPP;
}

static int hostile_restore_state(void *state, const uint8_t *bytes, size_t len)
{
        (void)state;
        (void)bytes;
        (void)len;
        return 0; /* what its predecessor has put there to burden it */
}

static void hostile_handle_real_state(void *state, struct request *request)
{
        (void)state;
        hostile_handle(real_device_ops.state, request);
}

static void hostile_map(void *state)
{
        (void)state;
        if (real_device_ops.map)
                real_device_ops.map(real_device_ops.state);
}

static void hostile_mapped(void *state, uint32_t id, int error)
{
        (void)state;
        if (real_device_ops.mapped)
                real_device_ops.mapped(real_device_ops.state, id, error);
}

static int hostile_set(void *state, const struct control_setting *setting)
{
        (void)state;
        return real_device_ops.set ? real_device_ops.set(real_device_ops.state, setting) : -EOPNOTSUPP;
}

static void hostile_supplied(void *state, uint32_t queue)
{
        (void)state;
        if (real_device_ops.supplied)
                real_device_ops.supplied(real_device_ops.state, queue);
}

static void hostile_recalled(void *state, uint32_t queue)
{
        (void)state;
        if (real_device_ops.recalled)
                real_device_ops.recalled(real_device_ops.state, queue);
}

/* What the real device waits for is its own state's business (the program is linked so that both come here). */
void __wrap_worker_watch_serve(void *state, const struct pollfd *fds, unsigned n)
{
        (void)state;
        __real_worker_watch_serve(real_device_ops.state, fds, n);
}

void __wrap_worker_timer_serve(void *state)
{
        (void)state;
        __real_worker_timer_serve(real_device_ops.state);
}

const struct device_ops device_ops = {
    .type = HOSTILE_TYPE,
    .init = hostile_init,
    .set_features = hostile_set_features,
    .config_write = hostile_config_write,
    .restore_state = hostile_restore_state,
    .map = hostile_map,
    .mapped = hostile_mapped,
    .set = hostile_set,
    .supplied = hostile_supplied,
    .recalled = hostile_recalled,
    .handle = hostile_handle_real_state,
    .batch_end = hostile_batch_end,
};
