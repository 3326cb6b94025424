/* The worker that writes down what it does: what it and a test agree on.
 *
 * The test's image is longer than its disk. The worker of tests (recorder.c: the real one, its system calls
 * wrapped) sees the disk alone; behind it lie a control block and the log, which the worker reaches with the
 * calls that its policy allows anyway, and the test by a shared mapping.
 *
 *      0 .. RECORD_DISK         the disk
 *      RECORD_CONTROL           struct record_control
 *      RECORD_LOG .. the end    struct record, and the bytes of a write behind it; then the next
 *
 * A record is whole before `records` counts it, and stands there before the call that it announces is made.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define RECORD_DISK      (UINT64_C(4) << 20)
#define RECORD_CONTROL   RECORD_DISK
#define RECORD_LOG       (RECORD_CONTROL + 4096)
#define RECORD_LOG_BYTES (UINT64_C(512) << 20) /* sparse */
#define RECORD_IMAGE     (RECORD_LOG + RECORD_LOG_BYTES)
#define RECORD_MAGIC     UINT64_C(0x6472306365723121)

enum record_kind {
        RECORD_WRITE = 1,
        RECORD_ZERO,
        RECORD_SYNC,
};

enum record_phase {
        RECORD_BEGIN = 1, /* may happen from here on */
        RECORD_END,       /* has returned `result` */
};

struct record {
        uint64_t magic, number, generation;
        uint32_t kind, phase;
        uint64_t offset, len;
        int64_t result;
        uint64_t bytes; /* that follow: the data of a write's BEGIN */
};

/* Places where a worker can be made to stand still, to be killed there. */
enum record_point {
        POINT_NONE = 0,
        POINT_BEFORE_RECEIVE,
        POINT_AFTER_RECEIVE,
        POINT_BEFORE_SEND,
        POINT_AMID_SEND, /* half of the frame is out */
        POINT_AFTER_SEND,
        POINT_BEFORE_HOST,
        POINT_AMID_HOST, /* half of a write is done; a flush or a discard is not begun */
        POINT_AFTER_HOST,
        POINT_COUNT_,
};

/* Mistakes that the recorder makes on demand: what a worker must not do, to see that it is noticed. */
enum record_mistake {
        MISTAKE_NONE = 0,
        MISTAKE_NO_SYNC,     /* a flush is answered without having been made */
        MISTAKE_LATE_SYNC,   /* ... and made when the next request comes */
        MISTAKE_LATE_WRITE,  /* a write is answered, and made at the next host call */
        MISTAKE_LOST_WRITE,  /* one write in sixteen is never made */
        MISTAKE_TORN_SECTOR, /* a write stops inside a sector, and is begun again behind it */
        MISTAKE_STALE_WRITE, /* an earlier write is made a second time */
        MISTAKE_COUNT_,
};

/* Calls that the host may fail, as bits. */
enum record_call {
        CALL_PREAD = 1,
        CALL_PWRITE = 2,
        CALL_FDATASYNC = 4,
        CALL_FALLOCATE = 8,
        CALL_RECEIVE = 16,
        CALL_SEND = 32,
};

struct record_control {
        /* the test's */
        uint32_t recording; /* 0: nothing is logged */
        uint32_t mistake;
        uint64_t arm_generation;       /* whom the point is for */
        uint32_t arm_point, arm_count; /* stands still when it comes there for the arm_count-th time */
        uint64_t arm_serial;           /* changes with each arming */
        uint64_t seed;                 /* of pauses before host calls; 0: none */
        uint32_t fault_calls;          /* which calls fail */
        uint32_t fault_errno;          /* with what; 0: they do a part only, one to many bytes */
        uint32_t fault_every;          /* each so many-th of them; 0: none */
        uint32_t fault_count;          /* so often */
        uint64_t fault_serial;         /* changes with each order */
        /* the worker's */
        uint64_t generation; /* grows with each process */
        uint64_t stopped;    /* the generation that stands still */
        uint64_t records, log_end;
};
