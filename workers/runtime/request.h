/* What the author of a device works with: requests. A request is bytes that the guest has lent for reading
 * (its readable part) and for writing (its writable part), both counted from 0. There are no rings and no
 * addresses.
 *
 * No call fails because of the broker: when it is gone the process ends. Ranges outside a part are the
 * device's own bug and trap: judge what the guest chose before.
 *
 *     inlined bytes    request_inlined: they came with the request
 *     other bytes      request_read for a few, request_reader for many
 *     an answer        p = request_reserve(n); fill p; then one of
 *                          request_write(offset, n)      more is to follow
 *                          request_complete(offset, n)   that was all; the request is gone
 *     a long answer    p = request_place(): where the broker fetches it from, if there is such a place; fill it from its
 *                      beginning on, and then request_complete_placed
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "workers/runtime/outbox.h"

struct request;

#define REQUEST_PIECE    OUTBOX_PIECE   /* bytes of a large transfer's pieces */
#define REQUEST_RESERVE  OUTBOX_PAYLOAD /* most that can be reserved: a piece, and a status behind it */
#define REQUEST_TOGETHER OUTBOX_TOGETHER
#define REQUEST_AHEAD    4u /* pieces asked for and not yet come: one is used while others are on their way */

uint32_t request_queue(const struct request *request);
uint32_t request_readable(const struct request *request);
uint32_t request_writable(const struct request *request);

/* Incarnations of this worker that were sent the request before. */
uint32_t request_attempt(const struct request *request);

/* Compose the device's own error and do nothing else. */
bool request_must_fail(const struct request *request);

/* The first *ret_len readable bytes, valid until the next call that takes this or any other request (reading
 * may move them). */
const uint8_t *request_inlined(const struct request *request, uint32_t *ret_len);

/* Copies [offset, offset + len) of the readable part. For headers and lists. 0, or negative errno: the
 * guest's memory could not be read. */
int request_read(struct request *request, uint32_t offset, void *buf, uint32_t len);

/* A run of readable bytes in pieces: what is inlined first, while the rest is on its way. One reader at a
 * time. */
struct request_reader {
        struct request *request;
        uint32_t at, asked, end; /* [at, asked) has been asked for or is inlined */
        uint32_t inlined;        /* [at, inlined) is taken from the request itself */
        unsigned open;           /* questions without an answer */
};

void request_reader_start(struct request_reader *reader, struct request *request, uint32_t offset,
                          uint32_t len);

/* The next piece: its length (at most REQUEST_PIECE, or all that is inlined), 0 at the end, or negative
 * errno: the guest's memory could not be read. *ret_bytes is valid until the next call that takes this or any
 * other request. */
ssize_t request_reader_next(struct request_reader *reader, const uint8_t **ret_bytes);

/* Must be called after request_reader_start, also at the end and after an error: answers that are still on
 * their way are taken. */
void request_reader_stop(struct request_reader *reader);

/* Room for `len` (at most REQUEST_RESERVE) bytes, until the next call that takes this or any other request;
 * except that the answers of several requests of one lane, directly behind each other, may use it up. */
uint8_t *request_reserve(struct request *request, uint32_t len);

/* The next `len` reserved bytes, at least one, go to [offset, offset + len) of the writable part. */
void request_write(struct request *request, uint32_t offset, uint32_t len);

/* As request_write, but `len` may be 0; and the request is done: it must not be used any more. The used
 * length is what has been written, up to the highest byte. */
void request_complete(struct request *request, uint32_t offset, uint32_t len);

/* The next n (1 to REQUEST_TOGETHER) calls for this request's lane are request_complete, and the guest is shown all of these
 * requests at once; if the worker dies before, none of them. Their bytes have been reserved by one call, as one. */
void request_together(struct request *request, uint32_t n);

/* Room for the whole writable part in memory that the broker fetches bytes from, at the beginning of a page, until the request
 * is done; or NULL: its bytes have to be reserved. What is there belongs to nobody. */
uint8_t *request_place(const struct request *request);

/* The first `placed` bytes of the place, and behind them the next `len` reserved bytes, are the answer: the request is done. */
void request_complete_placed(struct request *request, uint32_t placed, uint32_t len);

/* The request, of a work queue, waits for somebody who may never come: no age limit holds for it any more. Once a request; it is
 * completed later as any other is. When its queue is to stop, device_ops.recalled is called, and all of that queue that wait must
 * be completed before that returns: as an error, if nothing better can be said. */
void request_wait(struct request *request);

/* The guest has broken the protocol of its device in a way that no answer can tell it: the device becomes
 * broken. */
void request_refuse(struct request *request);

/* Sends the answers that have been gathered. To be called before a host call that may take long. */
void request_push(struct request *request);
