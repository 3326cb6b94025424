/* A proxy in a process of its own, in a directory of its own; and what stands around it: a scripted worker, clients and listeners
 * of the host. Every wait has a deadline; reaching it fails the test.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/vsock_frame.h"

#define STAGE_NAME       "v.sock"
#define STAGE_DEADLINE_S 20

struct proxy_stage {
        char folder[64];
        pid_t pid;
        int worker; /* the worker's end */
        int proxy;  /* the proxy's, for the next one; -1 when it is to be told of an end of file */
        uint8_t payload[VSOCK_FRAME_PAYLOAD + 1]; /* of the last frame */
};

/* The proxy listens when it returns. */
void stage_start(struct proxy_stage *stage);

/* Kills the proxy, and removes the directory. */
void stage_end(struct proxy_stage *stage);

/* ---- the worker ---- */

void stage_send(struct proxy_stage *stage, struct vsock_frame frame, const void *payload);

/* The next frame, well formed; its payload is in the stage. False: end of file. */
bool stage_next(struct proxy_stage *stage, struct vsock_frame *ret_frame);

/* Waits for a frame of that kind and stream; CONSUMED ones of any are passed over unless it is one, and SHUT before an END. */
struct vsock_frame stage_expect(struct proxy_stage *stage, enum vsock_frame_kind kind, uint32_t stream);

/* HELLO, and all that comes until WELCOME. Returns how many streams are told to be lost. */
void stage_hello(struct proxy_stage *stage, uint32_t number);

/* Nothing comes, as far as can be told: what was sent before has been served. */
void stage_expect_silence(struct proxy_stage *stage);

/* ---- the host ---- */

/* Of type SOCK_STREAM or SOCK_SEQPACKET, in the directory; blocking, with a deadline. */
int stage_listen(const struct proxy_stage *stage, const char *name, int type);
int stage_connect(const struct proxy_stage *stage, const char *name, int type);
int stage_accept(int listener);

/* All of it, or the test fails. */
void stage_say(int fd, const char *text);
void stage_hear(int fd, const char *text);
bool stage_is_closed(int fd);

/* ---- both ---- */

/* A connection of the guest to a listener of port 52, with credit: what the host has of it. */
int stage_open(struct proxy_stage *stage, uint32_t stream, int listener, bool seqpacket);

/* One of a client to port 7 of the guest, likewise; *ret_stream is its number. */
int stage_offer(struct proxy_stage *stage, bool seqpacket, uint32_t *ret_stream);
