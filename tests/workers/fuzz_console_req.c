/* libFuzzer target: any bytes as words of a guest to a console, and as a predecessor's state. The input is a row of words (u8
 * readable, u8 writable, 8 bytes), or, if its first byte is odd, a state. What is accepted must be sound.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/console/console_req.h"
#include "workers/console/console_talk.h"

#define FUZZ_PORTS 3u
#define FUZZ_WORD  10u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

/* Says all that is to be said: at most every word once a port. */
static void tell(struct console_talk *talk)
{
        struct console_message message;
        unsigned n = 0;

        for (uint32_t i = 0; i < FUZZ_PORTS; i++) {
                struct console_facts facts = {.name = i == 1 ? "" : "a name of thirty-one characters",
                                              .is_console = i == 0,
                                              .open = i == 0};

                while (console_talk_next(talk, i, &facts, &message)) {
                        uint8_t bytes[CONSOLE_MESSAGE_BYTES];

                        require(console_message_make(&message, bytes) <= sizeof(bytes));
                        require(++n <= 5 * FUZZ_PORTS);
                        console_talk_told(talk, &message);
                }
        }
}

/* What was saved is what is restored. */
static void require_kept(const struct console_talk *talk)
{
        uint8_t bytes[CONSOLE_STATE_BYTES], again[CONSOLE_STATE_BYTES];
        struct console_talk restored = {.n_ports = FUZZ_PORTS};
        size_t len = console_talk_save(talk, bytes);

        require(console_talk_restore(&restored, bytes, len) == 0);
        require(console_talk_save(&restored, again) == len && memcmp(bytes, again, len) == 0);
}

static void hear(struct console_talk *talk, const uint8_t *data)
{
        uint32_t readable = data[0], writable = data[1] & 1;
        size_t len = MIN(readable, CONSOLE_CONTROL_BYTES);
        uint8_t *bytes = malloc(len + 1); /* its own block, so that one byte too far is seen */
        struct console_req req;

        if (!bytes)
                return;
        memcpy(bytes, data + 2, len);
        if (console_req_check(FUZZ_PORTS, readable, writable, bytes, len, &req) == 0) {
                require(readable >= CONSOLE_CONTROL_BYTES && writable == 0 && req.port < FUZZ_PORTS);
                require(req.event == CONSOLE_DEVICE_READY || req.event == CONSOLE_PORT_READY ||
                        req.event == CONSOLE_PORT_OPEN);
                (void)console_talk_hear(talk, &req);
                tell(talk);
                require_kept(talk);
        }
        free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct console_talk talk = {.n_ports = FUZZ_PORTS};

        if (size > 0 && (data[0] & 1)) {
                if (console_talk_restore(&talk, data + 1, size - 1) == 0) {
                        require_kept(&talk);
                        tell(&talk);
                        require_kept(&talk);
                }
                return 0;
        }
        for (size_t at = 0; at + FUZZ_WORD <= size; at += FUZZ_WORD)
                hear(&talk, data + at);
        return 0;
}
