/* What a device says without being asked.
 * Borrows the control link and Hello, whose fields are the config space as the worker has it. Called by devices, and by
 * worker.c when the driver has written a field. TRUST: values and state are the device's own; what it makes of guest bytes is
 * its business, and hostile to its successor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_say.h"

#include "proto/frame.h"
#include "workers/runtime/trap.h"

#define SAY_HEADER (LIMIT_STATE_BYTES + 64u) /* bytes of the longer message; 256 fields have 2,048 */

static struct link *say_control;
static struct control_hello *say_hello;

void worker_say_init(struct link *control, struct control_hello *hello)
{
        say_control = control;
        say_hello = hello;
}

static void say(const struct control_to_broker *message)
{
        static uint8_t frame[FRAME_HEAD_BYTES + SAY_HEADER];
        ssize_t len = control_make_to_broker(message, frame + FRAME_HEAD_BYTES, SAY_HEADER);

        if (!say_control || len <= 0)
                worker_trap();
        link_send(say_control, frame, (uint32_t)len, NULL, 0);
}

void worker_config_set(uint32_t field, uint64_t value)
{
        struct control_field *f;

        if (!say_hello || field >= say_hello->n_fields)
                worker_trap();
        f = &say_hello->fields[field];
        if (f->width < 8 && value >> (8 * f->width))
                worker_trap();
        f->value = value;
}

uint64_t worker_config_get(uint32_t field)
{
        if (!say_hello || field >= say_hello->n_fields)
                worker_trap();
        return say_hello->fields[field].value;
}

void worker_config_push(void)
{
        uint64_t values[LIMIT_CONFIG_FIELDS];
        struct control_to_broker message = {.kind = CONTROL_CONFIG_SPACE,
                                            .config_space = {.n = say_hello->n_fields, .value = values}};

        for (uint32_t i = 0; i < say_hello->n_fields; i++)
                values[i] = say_hello->fields[i].value;
        say(&message);
}

void worker_say_counts(const uint64_t *counters, unsigned n)
{
        const struct control_to_broker message = {.kind = CONTROL_STATS,
                                                  .stats = {.n = n, .counter = counters}};

        say(&message);
}

void worker_state_put(const void *bytes, size_t len)
{
        struct control_to_broker message = {.kind = CONTROL_PUT_STATE,
                                            .put_state = {.bytes = bytes, .len = len}};

        if (len > LIMIT_STATE_BYTES)
                worker_trap();
        say(&message);
}
