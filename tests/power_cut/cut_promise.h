/* What the guest has been promised, by what it has asked and seen alone (virtio 1.3, 5.2.6.2).
 *
 * A write is *stable* once a flush that was sent after the write's completion has completed; under
 * writethrough once it has completed itself. A sector may hold any write's bytes that no later stable write
 * has replaced: "later" means sent after the other had completed; of two that were under way at once either
 * may be the last. A discarded sector may hold zeros or what was there.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum guest_event_kind {
        GUEST_POST = 1, /* `write` was shown to the device */
        GUEST_DONE,     /* `write` came back with OK */
        GUEST_STABLE,   /* all writes that had completed before event number `since` are stable */
};

/* In the order in which the guest did and saw things; `at` is the number of records of the log then. */
struct guest_event {
        enum guest_event_kind kind;
        uint64_t at;
        uint32_t write;
        uint64_t since;
        bool through; /* of GUEST_DONE: stable by that alone */
};

struct guest_write {
        uint32_t id; /* stamp; STAMP_ZERO for zeros */
        uint32_t sector, n;
        bool may_stay;         /* a discard: what was there may stay */
        uint64_t posted, done; /* numbers of events; done UINT64_MAX: not yet */
        bool stable;
};

struct promise_sector {
        uint32_t *writes; /* whose bytes it may hold */
        unsigned n, room;
};

struct promise {
        struct guest_write *writes; /* number 0: the zeros at the beginning */
        size_t n_writes, room;
        uint64_t n_events;
        uint32_t *unstable; /* have completed and are not yet stable */
        size_t n_unstable;
        struct promise_sector *sectors;
        uint32_t n_sectors;
};

#define PROMISE_FIRST_EVENT 2u /* number of the first event after promise_init */

void promise_init(struct promise *promise, uint32_t n_sectors);
void promise_done(struct promise *promise);

/* A write that will be posted. Returns its number. */
uint32_t promise_add(struct promise *promise, const struct guest_write *write);

/* The next event. */
void promise_apply(struct promise *promise, const struct guest_event *event);

/* May the sector hold this stamp? */
bool promise_allows(const struct promise *promise, uint32_t sector, uint32_t id);
