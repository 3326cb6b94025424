/* The requests that a worker holds on one lane, and their inlined bytes, in memory that was there before the
 * first of them. What Hello granted is what fits: a broker that goes beyond its credits is out of order. For
 * the runtime; devices see request.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/lane.h"

struct worker_lane;

struct request {
        uint64_t id;
        uint32_t queue, readable, writable;
        uint32_t inlined;   /* the first so many readable bytes are here: */
        uint32_t inline_at; /* at this place in the inbox's bytes, */
        const uint8_t *in;  /* or here in the area, if not NULL */
        uint8_t *out;       /* room for the writable part, in the area; NULL: none */
        uint32_t attempt;
        bool must_fail;
        bool recalled; /* to be given back unused */
        bool waits;    /* the broker has been told so */
        bool lent;     /* is in the list of its supply queue (supply.h): */
        struct request *lent_before, *lent_next;
        struct worker_lane *lane;
        struct request *older, *newer; /* in order of arrival; `newer` also links the free ones */
};

/* One lane's part of the memory that the broker copies to and from; it hands out the pages. */
struct inbox_area {
        uint8_t *bytes; /* NULL: none */
        uint32_t len;
        uint32_t step,
            shift; /* from one place for a readable part to the next, and how far behind it the part begins (control.h) */
};

struct inbox {
        struct request *requests; /* n_requests of them */
        struct request *free;
        struct request *oldest, *newest;
        struct request *waiting; /* the first that the device has not been given; NULL: none */
        uint32_t n_requests, n_held, n_waiting;
        uint8_t *bytes;
        uint32_t size; /* of `bytes`: credit_bytes */
        uint32_t end;  /* bytes[end, size) has not been used since the last compaction */
        uint32_t held; /* inlined bytes of held requests */
        struct inbox_area area;
        bool area_used;  /* since it was last asked whether it may be given back, if ever */
        bool rest_asked; /* ... and there is no answer yet */
        bool area_doubt; /* what is said to lie there may have been put there before it was given back */
};

/* `requests`, `bytes` and the area are the caller's and outlive the inbox. `area` NULL: none. */
void inbox_init(struct inbox *inbox, struct worker_lane *lane, struct request *requests, uint32_t n_requests,
                uint8_t *bytes, uint32_t size, const struct inbox_area *area);

/* Files a judged batch behind what waits. *ret_bytes is where its payload of `payload_len` bytes is to be
 * put; inlined bytes of other requests may have moved. -EPROTO: over the credits, or a place outside of the area; nothing
 * was filed. */
int inbox_add(struct inbox *inbox, const struct lane_requests *batch, uint32_t payload_len,
              uint8_t **ret_bytes);

/* Its inlined bytes; good until the next inbox_add. */
const uint8_t *inbox_inlined(const struct inbox *inbox, const struct request *request);

/* The next request that the device has not been given, or NULL. It stays held until it is removed. */
struct request *inbox_next(struct inbox *inbox);

/* The device is done with it. */
void inbox_remove(struct inbox *inbox, struct request *request);

/* Has the area been used, is no request held, and no question open? */
bool inbox_wants_rest(const struct inbox *inbox);

/* The broker is asked whether the area may be given back. */
void inbox_ask_rest(struct inbox *inbox);

/* Its answer has come: gives the area back to the host, unless it has been used since the question. From then on it is in
 * doubt: a request whose bytes are said to lie there is filed as if none had come with it, and they must be asked for. */
void inbox_may_rest(struct inbox *inbox);

/* The answer to a question that was asked after inbox_rest has come. No doubt any more. */
void inbox_trust(struct inbox *inbox);
