/* The hostile worker: the runtime and a real device, whose requests are looked at first: a command is obeyed, any
 * other request is served as ever. So what attacks stands where a device stands that its guest has taken over:
 * behind both gates of the jail, in the middle of a request, with everything in hand that a device has.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/control.h"
#include "tests/hostile_worker/command.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/request.h"

struct hostile {
        struct request *request; /* the command's own; NULL: it has been completed */
        uint64_t request_id;
        uint32_t readable, writable;
        struct hostile_command command;
        struct hostile_report report;
};

/* Negative errno: refused, or nothing found. Else: it has worked. */
typedef int64_t hostile_fn(struct hostile *hostile);

struct hostile_attack {
        const char *key;
        hostile_fn *run; /* NULL: `probe` of tests/jail/probe.h */
        unsigned probe;
};

struct hostile_attacks {
        const struct hostile_attack *rows;
        size_t n;
};

/* One a file. */
extern const struct hostile_attacks hostile_probes, hostile_kernel, hostile_files, hostile_processes,
    hostile_shared, hostile_grants, hostile_places, hostile_messages, hostile_floods, hostile_leaks,
    hostile_starts, hostile_share, hostile_left, hostile_net, hostile_console, hostile_reach, hostile_region;

/* The device as it was at init. */
extern int hostile_resource; /* its first: the image, the tap, a socket, the folder; -1: none */
extern unsigned hostile_lanes, hostile_resources; /* how many it has */
extern struct control_hello hostile_hello;

/* ---- hostile_channel.c: bytes to the broker behind the runtime's back ---- */

/* A frame with this header and payload, by plain writes. 0 or negative errno. */
int hostile_send(int fd, const void *header, size_t header_len, const void *payload, size_t payload_len);
/* The same with a head that says something else. */
int hostile_send_as(int fd, uint32_t head_header, uint32_t head_payload, const void *header,
                    size_t header_len, const void *payload, size_t payload_len);

/* Completes the command with the report as it is; what comes after is not reported. */
void hostile_report_now(struct hostile *hostile, int64_t result);

/* A broker that kills does so while this waits for bytes that never come: 0 when it has waited `ms`. */
int64_t hostile_linger(int ms);

/* ---- hostile_relay.c ---- */

/* A command goes on to the companion, by the socket that both have, and what that answers becomes this report. */
void hostile_relay(const struct hostile_command *command, struct hostile_report *ret_report);

/* ---- hostile_starts.c ---- */

/* Obeys what the incarnation before has planned, before or with Hello. */
void hostile_obey_plan(struct control_hello *hello);

/* ---- hostile_leaks.c ---- */

/* Everything that the runtime has read from the broker passes here. */
void hostile_received(const void *bytes, size_t len);
