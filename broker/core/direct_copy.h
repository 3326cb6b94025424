/* Direct copy: bytes go from guest memory to the worker's own memory, or back, by one system call of the broker, and nothing
 * is shared. The broker hands out pages of the worker's area (control.h) to requests; a worker names requests, and never an
 * address.
 *
 * How it works: with a request whose readable part is long enough come pages for it, until it is completed. The bytes are put
 * there before the worker is told of the request. A worker that has asked for it gets pages for writable parts, too: what it
 * puts there is fetched when it completes the request (direct_fetch.h). No pages left, or no right to copy: bytes go through
 * the socket, as short ones do.
 *
 * The pid is good for as long as the worker is attached: nobody reaps it before the supervisor has said so, which it does
 * when the lanes have let go (supervisor.c).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/area.h"
#include "broker/core/guest_memory.h"
#include "broker/core/request_table.h"
#include "proto/control.h"

#define DIRECT_MIN                                                                                           \
        32768u /* bytes of a readable part that is worth it: below, a copy through the socket costs no more */
#define DIRECT_LEND_MIN                                                                                      \
        4096u /* ... and of a writable part: one call fetches those of a whole frame, so shorter ones pay */

struct direct_peer {
        uint32_t pid;
        struct control_area area; /* of this lane alone; len 0: it has none */
};

struct direct_copy {
        struct direct_peer peer;
        bool open; /* pages are handed out */
        struct area area;
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

/* Is a readable part of this length pushed, if there is room? */
bool direct_takes(const struct direct_copy *direct, uint32_t len);

/* Copies the readable part to pages for it (request->in). 0; -ENOSPC: no pages, -ESRCH: no way there: nothing has happened;
 * -EFAULT: the guest's memory is gone; -EIO: the worker's is, and it is at fault. */
int direct_push(struct direct_copy *direct, const struct guest_memory *memory, struct request *request);

/* Pages for the writable part (request->out), if the worker wants any for it, it is long enough and there are any. */
void direct_lend(struct direct_copy *direct, struct request *request);

/* Do `len` bytes of its writable part lie in pages that it has been lent? */
bool direct_may_fetch(const struct request *request, uint32_t len);

/* Where pages lie: good for nothing but to be handed to the kernel, as an address of the worker's. */
uint64_t direct_address(const struct direct_copy *direct, const struct area_span *span);

/* The request is answered: its pages go to others. */
void direct_release(struct direct_copy *direct, struct request *request);
