/* A guest of a console and the people at its sockets, for tests: a whole worker in a process of its own, behind a scripted
 * broker. Every wait has a deadline.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/workers/fake_broker.h"
#include "workers/console/console_config.h"
#include "workers/console/console_talk.h"

#define GUEST_PORTS 3u
#define GUEST_ROOMS 64u  /* buffers lent of one queue, in one test */
#define GUEST_ROOM  512u /* bytes of each */

struct console_guest {
        struct fake_broker broker;
        char dir[64];                   /* of the sockets */
        int resources[3 * GUEST_PORTS]; /* listeners, and logs if there are any, as a worker gets them */
        unsigned n_resources;
        uint64_t features;
        uint8_t state[CONSOLE_STATE_BYTES]; /* the last that the worker has left */
        size_t state_len;
        unsigned n_states, n_config_spaces;
        uint64_t config[CONSOLE_FIELD_COUNT_];
        /* Room that was lent, by queue, and how many of it were looked at. */
        struct fake_request rooms[2 * GUEST_PORTS + 2][GUEST_ROOMS];
        uint8_t bytes[2 * GUEST_PORTS + 2][GUEST_ROOMS][GUEST_ROOM];
        unsigned n_rooms[2 * GUEST_PORTS + 2], n_seen[2 * GUEST_PORTS + 2];
};

/* Sockets, logs of `log_max` bytes (0: none), a worker, its queues started, and no room lent. */
void guest_begin(struct console_guest *guest, uint64_t features, uint32_t log_max);
void guest_end(struct console_guest *guest);

/* The worker dies; another one goes on with what it has left. Everything that was lent is lent again. */
void guest_die(struct console_guest *guest);
void guest_go_on(struct console_guest *guest);

/* Lends room, `len` bytes each. */
void guest_lend_len(struct console_guest *guest, uint32_t queue, unsigned n, uint32_t len);
void guest_lend(struct console_guest *guest, uint32_t queue, unsigned n);

/* Waits until the next room of the queue has been filled: its bytes. */
const uint8_t *guest_came(struct console_guest *guest, uint32_t queue, uint32_t *ret_len);

/* Everything sent so far has been acted on; then: has nothing come there? */
void guest_settle(struct console_guest *guest);
bool guest_nothing_came(struct console_guest *guest, uint32_t queue);

/* Says a word and waits until it is answered: its status. */
uint32_t guest_say(struct console_guest *guest, uint32_t port, uint16_t event, uint16_t value);

/* Waits for `words`, as "A0 A1 C0 N0 O0", small o for closed, and asserts that there are no more. */
void guest_told(struct console_guest *guest, const char *words);

/* All of a driver's greeting, with room for 32 words; both ends of the named ports are closed. */
void guest_greet(struct console_guest *guest);

/* Output: sends, and waits until it is answered. */
void guest_send(struct console_guest *guest, struct fake_request *request, uint32_t queue, const void *bytes,
                uint32_t len);
void guest_await(struct console_guest *guest, const struct fake_request *request);
void guest_print(struct console_guest *guest, uint32_t queue, const char *text);

/* Exactly this comes into the next room; the log of a port holds exactly this. */
void guest_came_text(struct console_guest *guest, uint32_t queue, const char *text);
void guest_log_holds(const struct console_guest *guest, uint32_t port, const char *text);

/* Port 1, with somebody at both ends: the host's. */
int guest_open_agent(struct console_guest *guest);

/* A control message, and the error of its answer. */
int guest_ask(struct console_guest *guest, struct control_to_worker *message);

/* Somebody at a port: connected, with a deadline on each call. */
int host_connect(const struct console_guest *guest, uint32_t port);
void host_send(int fd, const char *text);
void host_hears(int fd, const char *text); /* exactly this comes next */
void host_hears_end(int fd);
