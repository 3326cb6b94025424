/* virtio-console with several ports (virtio 1.3, 5.3).
 * Owns the console's state; called by the runtime. TRUST: the guest's words and the sizes of its buffers are judged by
 * console_req.h; a predecessor's state by console_talk.h.
 *
 * How a successor knows: what driver and device have told each other is left with the broker, LIMIT_CONSOLE_STATE_MS after
 * it has changed. Not at once: a guest may change it for ever, and a worker that says too much is ended; and what the guest is
 * told is in its memory only when this turn of the loop has ended. The driver's words are answered afterwards: a worker that
 * dies before it has saved them leaves them to its successor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/console.h"
#include "workers/console/console_config.h"
#include "workers/console/console_req.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_say.h"

static struct console the_console;

/* ---- what the guest is told ---- */

static void console_changed(struct console *console)
{
        console_time_set(&console->times, CONSOLE_TIME_SAVE, LIMIT_CONSOLE_STATE_MS);
}

/* The console itself is always open, as a serial line is; the others are when somebody is there. */
static bool console_is_open(const struct console *console, uint32_t port)
{
        return port == 0 || (console->ports[port].client.fd >= 0 && !console->hung_up[port]);
}

static bool console_next_word(const struct console *console, struct console_message *ret_message)
{
        for (uint32_t i = 0; i < console->talk.n_ports; i++) {
                struct console_facts facts = {.name = console->names[i],
                                              .is_console = i == 0,
                                              .open = console_is_open(console, i),
                                              .size = i == 0 ? console->size : 0};

                if (console_talk_next(&console->talk, i, &facts, ret_message))
                        return true;
        }
        return false;
}

static void console_say(struct console *console, struct request *request,
                        const struct console_message *message)
{
        uint8_t bytes[CONSOLE_MESSAGE_BYTES];
        uint32_t len = console_message_make(message, bytes);

        memcpy(request_reserve(request, len), bytes, len);
        request_complete(request, 0, len);
        console_talk_told(&console->talk, message);
        console->hung_up[message->port] &= console->talk.lines[message->port].open;
        console_changed(console);
}

/* Input of a port flows when the guest has opened it and knows that this client has. */
static void console_listen(struct console *console)
{
        for (uint32_t i = 0; i < console->talk.n_ports; i++) {
                const struct console_line *line = &console->talk.lines[i];
                bool listens =
                    console->multiport ? line->guest_open && line->open && !console->hung_up[i] : i == 0;

                if (console->ports[i].listens == listens)
                        continue;
                console->ports[i].listens = listens;
                console_port_input(&console->ports[i]);
        }
}

/* Says what is to be said, as far as there is room for it. A buffer without room for our words is no driver's. */
static void console_tell(struct console *console)
{
        struct console_message message;
        struct request *request;

        for (uint32_t i = 0; i < console->talk.n_ports; i++)
                console->hung_up[i] &= console->talk.lines[i].open;
        while (console->multiport && (request = supply_first(CONSOLE_QUEUE_CONTROL_IN)) &&
               console_next_word(console, &message)) {
                if (console_input_ok(request_readable(request), request_writable(request)) &&
                    request_writable(request) >= CONSOLE_MESSAGE_BYTES)
                        console_say(console, request, &message);
                else
                        request_refuse(request);
        }
        console_listen(console);
}

static void console_port_changed(struct console_port *port)
{
        if (port->client.fd < 0)
                the_console.hung_up[port->index] =
                    the_console.talk.lines[port->index].open && port->index > 0;
        console_tell(&the_console);
}

/* ---- what the guest says ---- */

static void console_hear(struct console *console, struct request *request)
{
        uint8_t bytes[CONSOLE_CONTROL_BYTES];
        uint32_t len = MIN(request_readable(request), CONSOLE_CONTROL_BYTES);
        struct console_waiting *heard = &console->heard;
        struct console_req req;
        int r = -EINVAL;

        if (!request_must_fail(request) && console->multiport && request_read(request, 0, bytes, len) == 0)
                r = console_req_check(console->talk.n_ports, request_readable(request),
                                      request_writable(request), bytes, len, &req);
        if (r == -EPROTO) {
                request_refuse(request);
                return;
        }
        if (r < 0 || !console_talk_hear(&console->talk, &req)) {
                request_complete(request, 0, 0);
                return;
        }
        heard->requests[heard->n++] = request;
        console_changed(console);
        console_tell(console);
}

/* Of ports that the guest has closed. Only now: what it said before, on another queue, has been served meanwhile. */
static void console_see_closed(struct console *console)
{
        for (uint32_t i = 1; i < console->talk.n_ports; i++) {
                const bool open = console->talk.lines[i].guest_open;
                const bool closed = console->was_open[i] && !open;

                console->was_open[i] = open;
                console->ports[i].left = !open && (closed || console->ports[i].left);
                if (closed)
                        console_port_output(&console->ports[i]);
        }
}

/* At most as many as there are credits wait, so there is room in `heard`. */
static void console_save(struct console *console)
{
        uint8_t bytes[CONSOLE_STATE_BYTES];

        worker_state_put(bytes, console_talk_save(&console->talk, bytes));
        console_see_closed(console);
        for (uint32_t i = 0; i < console->heard.n; i++)
                request_complete(console->heard.requests[i], 0, 0);
        console->heard.n = 0;
}

/* ---- times ---- */

static void console_due(void *state, enum console_time time)
{
        struct console *console = state;

        switch (time) {
        case CONSOLE_TIME_SAVE:
                console_save(console);
                break;
        case CONSOLE_TIME_STALL:
                console_port_stalled(&console->ports[0]);
                break;
        case CONSOLE_TIME_ACCEPT:
                for (uint32_t i = 0; i < console->talk.n_ports; i++)
                        console_port_listen(&console->ports[i]);
                break;
        case CONSOLE_TIME_RETURN:
                for (uint32_t i = 0; i < console->talk.n_ports; i++)
                        console_port_expect_no_more(&console->ports[i]);
                break;
        case CONSOLE_TIME_COUNT_:
                break;
        }
}

static void console_wake(void *state)
{
        struct console *console = state;

        console_times_serve(&console->times, console);
}

/* ---- start ---- */

static int console_fail(int error, const char *text)
{
        worker_log(LOG_LEVEL_ERROR, "%s: errno=%d", text, -error);
        return error;
}

/* Listeners and logs, in the order of the ports. */
static int console_open_port(struct console *console, uint32_t index, const int *resources, bool logs,
                             uint64_t log_max)
{
        struct console_port *port = &console->ports[index];
        const int *fds = resources + index * (logs ? 3 : 1);
        int r = 0;

        *port = (struct console_port){.index = index,
                                      .listener = fds[0],
                                      .log = {.fd = -1},
                                      .times = &console->times,
                                      .changed = console_port_changed};
        if (logs)
                r = console_log_open(&port->log, fds[1], fds[2], log_max);
        return r < 0 ? r : console_port_open(port);
}

static int console_init(void *state, const struct control_configure *configure, const int *resources,
                        unsigned n_resources, struct control_hello *ret_hello)
{
        struct console_options options = console_options_read(&configure->options);
        struct console *console = state;

        if (options.n_ports < 1 || options.n_ports > LIMIT_CONSOLE_PORTS ||
            configure->n_queues != console_n_queues(options.n_ports))
                return console_fail(-EINVAL, "want two queues a port, and two more");
        if (n_resources != options.n_ports && n_resources != 3 * options.n_ports)
                return console_fail(-EINVAL,
                                    "want a listening socket a port, and two files of a log or none");
        *console = (struct console){.talk = {.n_ports = options.n_ports},
                                    .times = {.wake = console_wake, .due = console_due}};
        for (uint32_t i = 0; i < options.n_ports; i++) {
                int r =
                    console_open_port(console, i, resources, n_resources > options.n_ports, options.log_max);

                if (r < 0)
                        return console_fail(r, "a port cannot be opened");
                snprintf(console->names[i], sizeof(console->names[i]), "%s", options.names[i]);
        }
        console_config_hello(options.n_ports, ret_hello);
        return 0;
}

static void console_set_features(void *state, uint64_t features)
{
        struct console *console = state;

        console->multiport = features & CONSOLE_F_MULTIPORT;
        console_tell(console);
}

/* Clients of a predecessor have lost their connection, and are given time to come back before output to them is lost. Whoever
 * was there, the guest is told that it has gone; also where it may not know of anybody, since what was told last may not have
 * been saved. */
static int console_restore(void *state, const uint8_t *bytes, size_t len)
{
        struct console *console = state;
        int r = console_talk_restore(&console->talk, bytes, len);

        if (r < 0)
                return r;
        for (uint32_t i = 1; i < console->talk.n_ports; i++) {
                struct console_line *line = &console->talk.lines[i];

                line->open = line->ready;
                console->hung_up[i] = line->open;
                console->ports[i].expects = line->open && console->ports[i].client.fd < 0;
        }
        console_time_set(&console->times, CONSOLE_TIME_RETURN, LIMIT_CONSOLE_RETURN_MS);
        console_tell(console);
        return 0;
}

/* ---- the operator ---- */

static int console_set(void *state, const struct control_setting *setting)
{
        struct console *console = state;

        if (setting->id != SETTING_SIZE || setting->index != 0)
                return -EOPNOTSUPP;
        console->size = (uint32_t)setting->value;
        worker_config_set(CONSOLE_FIELD_COLS, console->size & 0xffff);
        worker_config_set(CONSOLE_FIELD_ROWS, console->size >> 16);
        worker_config_push();
        console_tell(console);
        return 0;
}

/* ---- queues ---- */

/* Input: 0, 4, 6, ...; output: 1, 5, 7, ... */
static uint32_t console_port_index(uint32_t queue)
{
        return queue < 2 ? 0 : queue / 2 - 1;
}

static void console_handle(void *state, struct request *request)
{
        struct console *console = state;

        if (request_queue(request) == CONSOLE_QUEUE_CONTROL_OUT)
                console_hear(console, request);
        else
                console_port_add(&console->ports[0], request);
}

static void console_supplied(void *state, uint32_t queue)
{
        struct console *console = state;
        struct console_port *port = &console->ports[console_port_index(queue)];

        if (queue == CONSOLE_QUEUE_CONTROL_IN)
                console_tell(console);
        else if (queue == console_input_queue(port->index))
                console_port_input(port);
        else
                console_port_output(port);
}

static void console_recalled(void *state, uint32_t queue)
{
        struct console *console = state;
        struct console_port *port = &console->ports[console_port_index(queue)];

        if (queue != CONSOLE_QUEUE_CONTROL_IN && queue == console_output_queue(port->index))
                console_port_stash(port);
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_CONSOLE,
    .state = &the_console,
    .init = console_init,
    .set_features = console_set_features,
    .set = console_set,
    .restore_state = console_restore,
    .handle = console_handle,
    .supplied = console_supplied,
    .recalled = console_recalled,
};
