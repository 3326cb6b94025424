/* Direct copy: bytes go from guest memory to the worker's own memory, or back, by one system call of the broker, and nothing
 * is shared. The broker hands out pages of the worker's area (control.h) to requests; a worker names requests, and never an
 * address.
 *
 * How it works: with a request whose readable part is long enough come pages for it, until it is completed. The bytes are put
 * there before the worker is told of the request, those of a whole frame by one call. A worker that has asked for it gets pages
 * for writable parts, too: what it puts there is fetched when it completes the request (direct_fetch.h). No pages left, or no
 * right to copy: bytes go with the messages, as short ones do.
 *
 * Places for readable parts are taken from the area's beginning, the lowest first, and pages for writable ones from its end;
 * where the ones would meet the others, there are none left. So short requests of one kind lie next to each other: the kernel
 * looks up one range of the worker for many of them.
 *
 * The pid is good for as long as the worker is attached: nobody reaps it before the supervisor has said so, which it does
 * when the lanes have let go (supervisor.c).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/core/area.h"
#include "broker/core/guest_memory.h"
#include "broker/core/request_table.h"
#include "proto/control.h"

#define DIRECT_MIN                                                                                           \
        4096u /* bytes of a readable part that is worth it: it takes whole places, whatever its length */
#define DIRECT_LEND_MIN                                                                                      \
        4096u /* ... and of a writable part: one call fetches those of a whole frame, so shorter ones pay */
#define DIRECT_SINGLE_MIN                                                                                    \
        8192u /* ... either way, of the only request under way: one call for it alone costs more than the pipe */
#define DIRECT_RANGES                                                                                        \
        63u /* ranges of the worker that one call names, either way: what the broker's filter lets through (sandbox/policy/broker.c) */
#define DIRECT_SPANS                                                                                         \
        256u /* spans of the guest's in one call: a frame's parts in four each, or 1 MiB in pages */

struct direct_peer {
        uint32_t pid;
        struct control_area area; /* of this lane alone; len 0: it has none */
};

struct direct_copy {
        struct direct_peer peer;
        bool open;        /* pages are handed out */
        struct area ins;  /* places for readable parts, from the area's beginning on (control_area_step) */
        struct area outs; /* pages for writable parts, from its end on: number 0 is the last */
        struct iovec local[DIRECT_SPANS], remote[DIRECT_RANGES]; /* of the call that is being made */
};

/* May this process copy to that one and from it? 0, or negative errno: -EPERM no, -ESRCH it is gone. */
int direct_probe(uint32_t pid);

/* A worker is attached; NULL: one without an area. All pages are free. And: it is not there any more, and its pages are
 * nobody's; what requests hold is forgotten with direct_forget. */
void direct_open(struct direct_copy *direct, const struct direct_peer *peer);
void direct_close(struct direct_copy *direct);
void direct_forget(struct request *request);

/* No more pages from now on. What is handed out stays good. */
void direct_end(struct direct_copy *direct);

/* Is a readable part of this length pushed, if there is room? `single`: it is the only request under way. */
bool direct_takes(const struct direct_copy *direct, uint32_t len, bool single);

/* Takes pages for the readable part (request->in). False: there are none. */
bool direct_take(struct direct_copy *direct, struct request *request);

/* Copies the readable parts of n requests to the pages that they have; a request without any is passed over. 0: they are
 * there, but for requests whose memory in the guest is gone: those have no pages any more, and must fail. -ESRCH: no way
 * there, and no more pages from now on; -EIO: the worker's memory is gone, and it is at fault: none of these may be sent, and
 * the caller releases their pages. */
int direct_push(struct direct_copy *direct, const struct guest_memory *memory,
                struct request *const *requests, size_t n);

/* Pages for the writable part (request->out), if the worker wants any for it, it is long enough and there are any. `single`: as
 * above. */
void direct_lend(struct direct_copy *direct, struct request *request, bool single);

/* Do `len` bytes of its writable part lie in pages that it has been lent? */
bool direct_may_fetch(const struct request *request, uint32_t len);

/* The places of its two parts, as a message says them: a number and one, from the area's beginning; 0: it has none. */
uint32_t direct_place_in(const struct request *request);
uint32_t direct_place_out(const struct direct_copy *direct, const struct request *request);

/* Where the place of its writable part lies: good for nothing but to be handed to the kernel, as an address of the worker's. */
uint64_t direct_out_address(const struct direct_copy *direct, const struct request *request);

/* The request is answered: its pages go to others. */
void direct_release(struct direct_copy *direct, struct request *request);
