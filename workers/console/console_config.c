/* What a console says of itself.
 * Owns nothing; called by console.c. TRUST: the operator's options, judged by the broker.
 *
 * Kinds of its queues: output of the console is work, always answered in good time (console_port.h). Output of any other port
 * is lent, since it may wait for its reader without an end, and nobody may call that a hang.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_config.h"

#include "proto/device/console.h"
#include "proto/device_type.h"
#include "workers/console/console_port.h"

#define CONSOLE_INLINE                                                                                       \
        4096u /* a page: what Linux writes to a port at once, unless it is told to write more */
#define CONSOLE_SEGMENTS 64u /* of any buffer: Linux has one, and 9 where pages are passed on */
#define CONSOLE_COLS     80u /* of a terminal that nobody has told the size of */
#define CONSOLE_ROWS     24u

/* So what waits for a client is never in the way of another port. */
_Static_assert(LIMIT_CREDITS *CONSOLE_INLINE <= LIMIT_FRAME_PAYLOAD, "bytes for all requests at once");

static const struct control_field console_fields[CONSOLE_FIELD_COUNT_] = {
    [CONSOLE_FIELD_COLS] = {.offset = 0, .width = 2, .value = CONSOLE_COLS},
    [CONSOLE_FIELD_ROWS] = {.offset = 2, .width = 2, .value = CONSOLE_ROWS},
    [CONSOLE_FIELD_MAX_PORTS] = {.offset = 4, .width = 4},
    [CONSOLE_FIELD_EMERG_WR] = {.offset = 8, .width = 4},
};

static void say_queue(struct control_hello *hello, uint32_t queue, enum queue_kind kind,
                      enum replay_class replay)
{
        hello->queue_kind[queue] = kind;
        hello->queue_replay[queue] = replay;
}

void console_config_hello(uint32_t n_ports, struct control_hello *ret_hello)
{
        *ret_hello = (struct control_hello){.device_type = device_types[DEVICE_TYPE_CONSOLE].virtio_id,
                                            .features = CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT,
                                            .n_queues = console_n_queues(n_ports),
                                            .max_segments = CONSOLE_SEGMENTS,
                                            .credit_requests = LIMIT_CREDITS,
                                            .credit_bytes = LIMIT_CREDITS * CONSOLE_INLINE,
                                            .max_inline = CONSOLE_INLINE,
                                            .n_fields = CONSOLE_FIELD_COUNT_};
        for (uint32_t i = 0; i < n_ports; i++) {
                say_queue(ret_hello, console_input_queue(i), QUEUE_SUPPLY, REPLAY_IDEMPOTENT);
                say_queue(ret_hello, console_output_queue(i), i == 0 ? QUEUE_WORK : QUEUE_SUPPLY,
                          REPLAY_AT_MOST_ONCE);
        }
        say_queue(ret_hello, CONSOLE_QUEUE_CONTROL_IN, QUEUE_SUPPLY, REPLAY_IDEMPOTENT);
        say_queue(ret_hello, CONSOLE_QUEUE_CONTROL_OUT, QUEUE_WORK, REPLAY_IDEMPOTENT);
        for (uint32_t i = 0; i < CONSOLE_FIELD_COUNT_; i++)
                ret_hello->fields[i] = console_fields[i];
        ret_hello->fields[CONSOLE_FIELD_MAX_PORTS].value = n_ports;
}
