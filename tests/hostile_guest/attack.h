/* One hostile session: a front end that writes whatever it likes into rings, and sees what becomes of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/harness/front_end.h"
#include "tests/hostile_guest/attack_packed.h"
#include "tests/hostile_guest/guest_map.h"

enum target {
        TARGET_BLK = 1,
        TARGET_RNG = 2,
        TARGET_BOTH = 3,
};

/* What may become of a case; a set of them is what a case permits. */
enum outcome {
        OUTCOME_NOTHING = 0,  /* not judged in time: never permitted */
        OUTCOME_SERVED = 1,   /* all requests come back */
        OUTCOME_BROKEN = 2,   /* the ring's err descriptor fires */
        OUTCOME_DROPPED = 4,  /* the session is closed */
        OUTCOME_REFUSED = 8,  /* the message is answered with 1 */
        OUTCOME_IGNORED = 16, /* nothing happens, and the session answers */
};

#define ATTACK_JUDGE_MS 250 /* a case is judged within this, times BULKHEAD_TIME_FACTOR */

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

#define FEATURE_INDIRECT  (UINT64_C(1) << 28)
#define FEATURE_EVENT_IDX (UINT64_C(1) << 29)
#define FEATURE_PROTOCOL  (UINT64_C(1) << 30)
#define FEATURE_VERSION_1 (UINT64_C(1) << 32)
#define FEATURE_PACKED    (UINT64_C(1) << 34)

/* A descriptor as a guest writes it. */
struct desc_row {
        uint64_t at;
        uint32_t len;
        uint16_t flags, next;
};

/* A ring as a front end announces it; guest addresses. */
struct ring_plan {
        uint32_t size, base;
        uint64_t desc, avail, used;
};

struct attack {
        struct guest_map *map;
        enum target target;
        struct front_end front;
        struct ring_plan ring[2];
        struct packed_view *packed[2]; /* NULL: the ring is split */
        uint16_t offered[2];           /* heads in the available ring */
        uint16_t used_first[2];        /* the used index when the ring was started */
        bool listens;     /* attack_judge empties the call descriptor: faster, where its state is no case */
        double judged_ms; /* the longest that attack_judge had to wait */
        pid_t
            broker; /* 0: attack_judge is strict. Else not counted: time in which its threads, or its workers', were not run */
};

/* All int functions: 0 or negative errno; -EPIPE and -ECONNRESET: the session was closed; -EIO: a message was
 * answered with 1. */

/* Connects and negotiates, up to the descriptors of the rings. */
int attack_connect(struct attack *attack, struct guest_map *map, enum target target, const char *path,
                   int deadline_ms);
/* From here on both rings are packed; the views are the caller's, two of them. */
void attack_pack(struct attack *attack, struct packed_view *views);
/* The driver's features and the whole memory map. */
int attack_configure(struct attack *attack, uint64_t features);
void attack_close(struct attack *attack);

/* The ordinary ring of that number, in MAIN. */
struct ring_plan ring_plan_at(unsigned ring, uint32_t size);
/* Announces and starts a ring; its memory is as the case wrote it. */
int attack_start(struct attack *attack, unsigned ring, const struct ring_plan *plan);
int attack_stop(struct attack *attack, unsigned ring, uint16_t *ret_base);

/* Writes: a descriptor of the ring; one of a table; the next element of the available ring, not shown yet; the
 * available index. */
void attack_desc(struct attack *attack, unsigned ring, unsigned index, const struct desc_row *row);
void attack_table(struct attack *attack, uint64_t table, unsigned index, const struct desc_row *row);
void attack_offer(struct attack *attack, unsigned ring, uint16_t head);
/* A descriptor of a table, as its 16 bytes are. */
void attack_row_bytes(const struct attack *attack, const struct desc_row *row, uint8_t *ret_bytes);
void attack_show(struct attack *attack, unsigned ring, uint16_t index);
int attack_kick(struct attack *attack, unsigned ring);

/* A block request's header, at a guest address. */
void attack_blk_header(struct attack *attack, uint64_t at, uint32_t type, uint64_t sector);

/* How many heads the device has given back since the ring was started; the id and length of the newest. */
uint16_t attack_used(const struct attack *attack, unsigned ring, uint32_t *ret_id, uint32_t *ret_len);

/* Waits until something has become of the ring: `wanted` heads came back, its err descriptor fired, or the
 * session was closed. OUTCOME_NOTHING at the deadline. */
enum outcome attack_judge(struct attack *attack, unsigned ring, unsigned wanted, int timeout_ms);

/* The messages between the two may each take longer than the deadline of the wire, but not all of them longer than twice that. Not
 * counted, as by attack_judge: time in which the broker's threads, or its workers', were not run. */
struct attack_patience {
        double start_ms;
        int64_t not_run_us;
        int deadline_ms;
};
struct attack_patience attack_be_patient(struct attack *attack);
bool attack_was_in_time(struct attack *attack, const struct attack_patience *patience);

/* Has the err descriptor of the ring fired (and not been seen)? */
bool attack_err_fired(struct attack *attack, unsigned ring);

/* Does the session still answer? */
bool attack_lives(struct attack *attack);
/* Closed within the time? */
bool attack_closed(struct attack *attack, int timeout_ms);
