/* One virtqueue, split or packed (virtio 1.3, 2.7 and 2.8): taking chains off it, giving them back, and when to
 * signal.
 *
 * Geometry, layout and features are latched when the queue starts; nothing that the guest does later changes them.
 * Every value in ring memory is loaded once, fault-safely, and only the local is judged. A guest that breaks
 * the rules breaks the queue: from then on every call returns the same error until the next start. A queue
 * belongs to one lane's thread. It holds no file descriptor.
 *
 * In translated memory (iotlb.h) what is missing is nobody's mistake. A queue that misses a byte of its rings or of the next
 * chain is *parked*: it takes nothing and asks for no kicks, `miss` says what it waits for, and it goes on by itself with the first
 * snapshot that has it (queue_rebind). Without its rings it cannot give anything back either.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/chain.h"
#include "broker/core/guest_memory.h"
#include "broker/core/miss_list.h"
#include "broker/core/ring_view.h"
#include "proto/base/limits.h"

/* Where the three parts of a ring are. A packed ring is one ring, which the device writes too, and two event
 * areas: `avail` is the driver's, `used` the device's. */
struct queue_layout {
        uint16_t size; /* 1 .. LIMIT_RING_SIZE; of a split ring a power of two */
        gpa_t desc;    /* 16-byte aligned, 16 x size bytes */
        gpa_t avail;   /* split: 2-byte aligned, 6 + 2 x size; packed: 4-byte aligned, 4 */
        gpa_t used;    /* split: 4-byte aligned, 6 + 8 x size; packed: 4-byte aligned, 4 */
};

/* Where a packed ring that nobody has used yet begins (see queue_start). */
#define QUEUE_PACKED_BASE UINT32_C(0x80008000)

struct queue_features {
        bool indirect;  /* VIRTIO_F_INDIRECT_DESC */
        bool event_idx; /* VIRTIO_F_EVENT_IDX */
        bool packed;    /* VIRTIO_F_RING_PACKED */
        bool
            big_endian; /* rings, tables and indices are (virtio 1.3, 2.7.3: the legacy interface); never packed ones */
};

/* What follows of layout and order, asked once a call. */
enum queue_form {
        QUEUE_SPLIT = 0,
        QUEUE_SPLIT_BIG,
        QUEUE_PACKED,
};

/* Where the used ring of a split queue is by the legacy interface, which has one address for all three parts: behind the others, at
 * the next multiple of `align`, a power of two (virtio 1.3, 2.7.2). False: it ends behind the last address. */
bool queue_legacy_layout(uint16_t size, gpa_t desc, uint32_t align, struct queue_layout *ret_layout);

enum queue_part {
        QUEUE_DESC = 0,
        QUEUE_AVAIL,
        QUEUE_USED,
        QUEUE_PARTS_,
};

/* How long the three parts of a ring are. */
struct queue_bytes {
        uint64_t desc, avail, used;
};
struct queue_bytes queue_bytes(uint16_t size, bool packed);

enum queue_fault {
        QUEUE_FAULT_NONE = 0,
        QUEUE_FAULT_MEMORY, /* a ring is not, or no longer, in guest memory */
        QUEUE_FAULT_SCATTERED, /* ... or is translated to pages that cannot be put side by side here (ring_view.h) */
        QUEUE_FAULT_AVAIL,     /* the driver ran ahead by more than the ring */
        QUEUE_FAULT_HEAD,      /* a head or buffer id outside the ring */
        QUEUE_FAULT_DUPLICATE, /* a head that is outstanding already */
        QUEUE_FAULT_NEXT,      /* a next outside the table, or not available */
        QUEUE_FAULT_LOOP,      /* more descriptors than the ring has */
        QUEUE_FAULT_ORDER,     /* a readable descriptor behind a writable one */
        QUEUE_FAULT_INDIRECT,  /* not negotiated, nested, with NEXT, empty, not in 16s, or too long */
        QUEUE_FAULT_LENGTH,    /* a zero-length descriptor, a sum over LIMIT_CHAIN_BYTES, or an empty chain */
        QUEUE_FAULT_SEGMENTS,  /* more segments than the device takes */
        QUEUE_FAULT_ADDRESS,   /* a buffer outside guest memory or in a read-only region */
        QUEUE_FAULT_WINDOW,    /* a buffer outside of the windows that the device is held to */
        QUEUE_FAULT_DEVICE,    /* the device's own protocol was broken (a worker said so) */
        QUEUE_FAULT_CALL,      /* its interrupt cannot be signaled without waiting for the front end */
        QUEUE_FAULT_COUNT_,
};
const char *queue_fault_name(enum queue_fault fault);

struct queue {
        bool started;
        enum queue_fault fault;
        struct queue_layout layout;
        struct queue_features features;
        enum queue_form form;
        struct guest_memory *memory;  /* a reference while started */
        uint8_t *desc, *avail, *used; /* into memory, or a view; NULL when not started, or not translated */
        struct ring_view views[QUEUE_PARTS_]; /* without rings none is mapped */
        bool parked;                          /* waits for pages of its rings or of the next chain */
        struct segment outside;               /* QUEUE_FAULT_WINDOW: which one */
        bool entered;                         /* what its rings say of where to begin has been read */
        struct miss_list miss;                /* parked: these, or the first of them; else empty */
        struct segment miss_table;            /* ... of a chain whose table lies here; len 0: of none */
        uint16_t last_avail;                  /* next available index (packed: place) to take */
        uint16_t used_next;                   /* next used index (packed: place) to write */
        uint16_t used_published;              /* split: what the guest has been shown */
        uint16_t used_signaled;               /* split: used_published when a signal was last considered */
        bool signaled_valid;
        uint16_t outstanding;
        uint64_t n_taken;                     /* chains, without those that were taken back */
        uint64_t heads[LIMIT_RING_SIZE / 64]; /* bitmap of outstanding heads (packed: buffer ids) */

        /* Packed only. */
        bool avail_wrap, used_wrap;      /* wrap counters of last_avail and used_next */
        uint16_t n_pushed;               /* descriptors given back since the last publish ... */
        uint16_t first_at;               /* ... the first of which goes there ... */
        uint64_t first;                  /* ... and is this: len, id, flags; it is shown last */
        uint16_t taken[LIMIT_RING_SIZE]; /* descriptors of each outstanding buffer, by id */
};

/* Size and alignments are those of such a ring. */
bool queue_layout_ok(const struct queue_layout *layout, bool packed);

void queue_init(struct queue *queue);
void queue_done(struct queue *queue);

/* Latches and starts. `base` says where a suspended queue goes on. Split: the next available index; the used
 * index is what the ring says. Packed: bits 0 to 14 the place to take from and bit 15 its wrap counter, bits 16
 * to 31 the same for the used side (QUEUE_PACKED_BASE for a fresh ring). Requests may still be outstanding from
 * before (heads are then kept): only after a suspend, and only in the same layout. -EINVAL: geometry, base, or
 * a kept head is outside the ring; -EFAULT: a ring is not in memory; the queue is then not started. In translated memory it
 * is started, parked or broken. */
int queue_start(struct queue *queue, struct guest_memory *memory, const struct queue_layout *layout,
                const struct queue_features *features, uint32_t base);

/* Stops and lets the snapshot go; returns the base for the front end. Publish (and signal)
 * first: what was pushed since is shown, but nobody is told. A stopped queue pops nothing and takes no head
 * back with an answer. */
uint32_t queue_stop(struct queue *queue);

/* Forgets every outstanding head: their requests were dropped (a device reset), or no answer can come any
 * more. Without this a driver that starts afresh would be told that its first heads are duplicates. */
void queue_forget(struct queue *queue);

/* The memory table has changed: resolve the rings again in the new snapshot. A ring that is gone breaks the
 * queue, or, in translated memory, parks it; and a parked queue goes on, if what it waits for is there. Publish first. */
int queue_rebind(struct queue *queue, struct guest_memory *memory);

/* Takes the next chain: 1 and *chain is filled; 0: none, or it is parked; -EPROTO: the queue is (or already was) broken.
 * chain->segments and max_segments are the caller's; `chain` is undefined unless 1 is returned. */
int queue_pop(struct queue *queue, struct chain *chain);

/* Takes a chain back that was not used: the next queue_pop finds it again, if the guest leaves it there. Only the last that
 * was taken can be: false, and nothing has changed, when a younger one is outstanding or has been pushed. */
bool queue_unpop(struct queue *queue, const struct chain *chain);

/* Would queue_pop find anything: a chain, or something wrong? A look that judges and breaks nothing. */
bool queue_has_chain(const struct queue *queue);

/* Gives a head back with the bytes written; shown to the guest by queue_publish. -EPROTO: broken (the head is
 * no longer outstanding all the same), as by this when its rings are missing; -EINVAL: this head is not outstanding. */
int queue_push(struct queue *queue, uint16_t head, uint32_t len);

/* Shows the pushed elements together (one store) and says whether the guest wants a signal: 1, 0, or -EPROTO. */
int queue_publish(struct queue *queue);

/* A parked queue tells which bytes its next chain needs, of those that it can see: fills *chain as queue_pop does, but takes nothing.
 * False: it does not wait for a chain. */
bool queue_see_parked(struct queue *queue, struct chain *chain);

/* Kicks wanted or not (avail_event, VIRTQ_USED_F_NO_NOTIFY, or the device event area). queue_want_kicks looks again after asking: 1
 * when a chain came in between (pop again), 0 when it is safe to sleep, -EPROTO. */
int queue_want_kicks(struct queue *queue);
int queue_no_kicks(struct queue *queue);

/* Breaks the queue; the first fault stays. Always returns -EPROTO. */
int queue_break(struct queue *queue, enum queue_fault fault);

/* Is every byte of the available ring (packed: of the ring) zero? At the first kick of a ring that the driver has filled this means
 * that the VMM has not shared its memory. False when it cannot be read. */
bool queue_avail_is_zero(const struct queue *queue);
