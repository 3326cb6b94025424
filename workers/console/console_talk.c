/* What driver and device have told each other.
 * Owns nothing; called by console.c. TRUST: the guest's words are judged (console_req.h); a saved state is a stranger's, judged
 * here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_talk.h"

#include <errno.h>
#include <string.h>

#include "proto/base/bytes.h"

#define STATE_VERSION 1u

/* ---- the driver's words ---- */

/* A driver that says again that a port is ready has forgotten what it was told of it, as after a suspend. */
static void line_ready(struct console_line *line, bool yes)
{
        line->ready = yes;
        line->guest_open = line->guest_open && yes;
        line->console = line->named = line->open = false;
        line->size = 0;
}

/* A driver says once that it is ready, so that one that says it again is another one: after a reset that no front end told, as
 * with QEMU's vhost-user-test-device. It has heard nothing yet. */
static void talk_ready(struct console_talk *talk)
{
        *talk = (struct console_talk){.ready = true, .n_ports = talk->n_ports};
}

bool console_talk_hear(struct console_talk *talk, const struct console_req *req)
{
        struct console_talk before = *talk;
        struct console_line *line = &talk->lines[req->port];

        switch (req->event) {
        case CONSOLE_DEVICE_READY:
                if (req->yes)
                        talk_ready(talk);
                break;
        case CONSOLE_PORT_READY:
                if (line->added) /* of one that it has not heard of it can say nothing */
                        line_ready(line, req->yes);
                break;
        case CONSOLE_PORT_OPEN:
                line->guest_open = line->ready && req->yes;
                break;
        default:
                break;
        }
        return memcmp(&before, talk, sizeof(before)) != 0;
}

/* ---- ours ---- */

bool console_talk_next(const struct console_talk *talk, uint32_t port, const struct console_facts *facts,
                       struct console_message *ret_message)
{
        const struct console_line *line = &talk->lines[port];
        struct console_message message = {.port = port, .value = 1};

        if (!talk->ready)
                return false;
        if (!line->added)
                message.event = CONSOLE_DEVICE_ADD;
        else if (!line->ready)
                return false;
        else if (facts->is_console && !line->console)
                message.event = CONSOLE_CONSOLE_PORT;
        else if (facts->name[0] != '\0' && !line->named)
                message = (struct console_message){
                    .event = CONSOLE_PORT_NAME, .port = port, .value = 1, .name = facts->name};
        else if (facts->size != line->size)
                message =
                    (struct console_message){.event = CONSOLE_RESIZE, .port = port, .value = facts->size};
        else if (facts->open != line->open)
                message =
                    (struct console_message){.event = CONSOLE_PORT_OPEN, .port = port, .value = facts->open};
        else
                return false;
        *ret_message = message;
        return true;
}

void console_talk_told(struct console_talk *talk, const struct console_message *message)
{
        struct console_line *line = &talk->lines[message->port];

        switch (message->event) {
        case CONSOLE_DEVICE_ADD:
                line->added = true;
                break;
        case CONSOLE_CONSOLE_PORT:
                line->console = true;
                break;
        case CONSOLE_PORT_NAME:
                line->named = true;
                break;
        case CONSOLE_RESIZE:
                line->size = message->value;
                break;
        case CONSOLE_PORT_OPEN:
                line->open = message->value != 0;
                break;
        default:
                break;
        }
}

/* Columns before rows, as the specification has it and Linux since 2025; before, it took them for each other. The name comes
 * without its end (5.3.6.2). */
uint32_t console_message_make(const struct console_message *message,
                              uint8_t ret_bytes[static CONSOLE_MESSAGE_BYTES])
{
        bool resize = message->event == CONSOLE_RESIZE;
        size_t len = message->name ? strnlen(message->name, LIMIT_CONSOLE_NAME) : 0;

        bytes_store32(ret_bytes, message->port);
        bytes_store16(ret_bytes + 4, (uint16_t)message->event);
        bytes_store16(ret_bytes + 6, resize ? 0 : (uint16_t)message->value);
        if (message->name)
                memcpy(ret_bytes + CONSOLE_CONTROL_BYTES, message->name, len);
        if (resize) {
                bytes_store32(ret_bytes + CONSOLE_CONTROL_BYTES, message->value);
                len = sizeof(message->value);
        }
        return (uint32_t)(CONSOLE_CONTROL_BYTES + len);
}

/* ---- the state ---- */

enum {
        BIT_ADDED = 1,
        BIT_CONSOLE = 2,
        BIT_NAMED = 4,
        BIT_OPEN = 8,
        BIT_READY = 16,
        BIT_GUEST_OPEN = 32,
        BITS_ALL = 63,
};

static uint8_t line_bits(const struct console_line *line)
{
        return (uint8_t)((line->added ? BIT_ADDED : 0) | (line->console ? BIT_CONSOLE : 0) |
                         (line->named ? BIT_NAMED : 0) | (line->open ? BIT_OPEN : 0) |
                         (line->ready ? BIT_READY : 0) | (line->guest_open ? BIT_GUEST_OPEN : 0));
}

static struct console_line line_make(uint8_t bits, uint32_t size)
{
        return (struct console_line){.added = bits & BIT_ADDED,
                                     .console = bits & BIT_CONSOLE,
                                     .named = bits & BIT_NAMED,
                                     .open = bits & BIT_OPEN,
                                     .ready = bits & BIT_READY,
                                     .guest_open = bits & BIT_GUEST_OPEN,
                                     .size = size};
}

/* Version, whether the driver is ready, how many ports; and of each its bits, three of nothing, and its size. */
size_t console_talk_save(const struct console_talk *talk, uint8_t ret_bytes[static CONSOLE_STATE_BYTES])
{
        uint8_t *at = ret_bytes + 4;

        memset(ret_bytes, 0, CONSOLE_STATE_BYTES);
        ret_bytes[0] = STATE_VERSION;
        ret_bytes[1] = talk->ready;
        ret_bytes[2] = (uint8_t)talk->n_ports;
        for (uint32_t i = 0; i < talk->n_ports; i++, at += 8) {
                at[0] = line_bits(&talk->lines[i]);
                bytes_store32(at + 4, talk->lines[i].size);
        }
        return (size_t)(at - ret_bytes);
}

static bool bytes_are_zero(const uint8_t *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (bytes[i])
                        return false;
        return true;
}

/* Nothing can have been told of a port that is not there, nor heard before it was told. */
static bool line_possible(const struct console_line *line)
{
        bool heard = line->ready || line->guest_open;
        bool told = line->console || line->named || line->open || line->size;

        return (!heard || line->added) && (line->ready || (!told && !line->guest_open));
}

int console_talk_restore(struct console_talk *talk, const uint8_t *bytes, size_t len)
{
        struct console_talk made = {.n_ports = talk->n_ports};

        if (len != 4 + 8 * (size_t)talk->n_ports || bytes[0] != STATE_VERSION || bytes[1] > 1 ||
            bytes[2] != talk->n_ports || bytes[3] != 0)
                return -EPROTO;
        made.ready = bytes[1];
        for (uint32_t i = 0; i < talk->n_ports; i++) {
                const uint8_t *at = bytes + 4 + 8 * (size_t)i;

                made.lines[i] = line_make(at[0], bytes_load32(at + 4));
                if ((at[0] & ~BITS_ALL) || !bytes_are_zero(at + 1, 3) || !line_possible(&made.lines[i]) ||
                    (made.lines[i].added && !made.ready))
                        return -EPROTO;
        }
        *talk = made;
        return 0;
}
