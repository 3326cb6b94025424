/* A simulated device: the guest's driver and memory, the front end, the worker, and the model that knows of
 * each request what must become of it. One struct; each file of tests/sim plays one part of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"
#include "broker/core/device_life.h"
#include "proto/base/fd.h"
#include "proto/control.h"
#include "proto/lane.h"
#include "tests/sim/iommu.h"
#include "tests/sim/odds.h"
#include "tests/sim/ram.h"

#define SIM_DEVICES  2u
#define SIM_QUEUES   4u
#define SIM_LANES    3u
#define SIM_RING     128u /* descriptors of the largest ring */
#define SIM_SEGMENTS 6u   /* of one request */
#define SIM_POSTINGS (SIM_QUEUES * SIM_RING)
#define SIM_FIELDS   3u /* of the config space: the last two are writable */
#define SIM_BUCKETS  64u

/* A worker does not take such a value of a config field. */
#define CONFIG_REFUSED 200u

/* A ring's place in the first region, and its parts there. */
#define SIM_RING_BYTES 0x8000u
#define SIM_AVAIL_AT   0x1000u
#define SIM_RING_COPY  0x1400u
#define SIM_USED_AT    0x2000u

/* ---- requests ---- */

struct sim_segment {
        struct cell cell;
        uint64_t at;
        uint32_t len;
        bool write, table; /* table: indirect descriptors */
};

/* One chain that the guest has posted, until it has it back or it is explained why it has not. */
struct posting {
        uint64_t serial; /* 0: this place is free */
        unsigned queue;
        uint16_t head, position; /* position: in the available ring */
        unsigned n_segments;
        struct sim_segment segments[SIM_SEGMENTS + 1];
        uint32_t readable, writable;
        bool bad;        /* breaks its queue */
        bool shaky;      /* memory under it went away: no byte of it is checked */
        bool poison;     /* kills whoever looks at it */
        uint64_t config; /* writes of the driver's that came before it */
        /* what workers know of it */
        bool seen;
        uint64_t id, taken; /* taken: its place among all of its lane, in the order of first sight */
        unsigned lane, incarnation, first_incarnation, sights;
        uint32_t attempt, must_fail;
        struct posting *next; /* in its bucket */
        bool answered;        /* the last worker has sent its Complete whole */
        bool unused;          /* it was lent when its queue stopped: it may come back empty */
        uint32_t written;     /* by that worker: what the used length must be */
        uint8_t *bytes;       /* the writable part as it must be, up to `written` */
};

/* ---- rings ---- */

enum queue_phase {
        QUEUE_DOWN = 0,  /* no driver uses it, or not again after a reset */
        QUEUE_SERVED,    /* started at the device */
        QUEUE_STOPPING,  /* the device was asked to stop it and has not said so yet */
        QUEUE_SUSPENDED, /* stopped; the driver goes on posting */
};

struct sim_queue {
        enum queue_phase phase;
        uint16_t size;
        struct queue_layout layout;
        bool event_idx, indirect;
        /* the driver's */
        uint16_t avail_index, used_seen, free_head, n_free;
        uint16_t next[SIM_RING], n_descriptors[SIM_RING];
        struct posting *by_head[SIM_RING];
        bool kick_due; /* published, and the device's wish not yet looked at */
        uint16_t kick_from;
        bool reaping; /* interrupts are off */
        int kick, call;
        /* the model's */
        struct posting *by_position[SIM_RING]; /* that no worker has seen */
        uint16_t bytes_gone;                   /* bytes before it came back unused since the start */
        uint16_t taken;                        /* position of the first of them */
        uint16_t start_base, start_used;       /* when it was last started */
        bool frozen;                           /* the used index must stay where it is */
        uint16_t frozen_used;
        bool may_break, must_break, broken;
        uint8_t copy[SIM_RING_COPY]; /* what the driver has written: descriptors and available ring */
        bool spawner_mute;           /* while it was being stopped: nobody comes to finish its requests */
        bool gave_up;                /* requests were forgotten: only a reset helps the driver */
        uint16_t stop_base;          /* what the stop said */
        uint64_t stop_ms;
};

/* ---- the worker ---- */

enum process_state {
        PROCESS_NONE = 0,
        PROCESS_ALIVE,
        PROCESS_KILLED, /* does nothing any more, but is not gone */
        PROCESS_GONE,   /* its pidfd says so */
};

struct held {
        struct posting *posting;
        uint64_t serial, id;
        uint32_t inlined, queue;
        bool reading, read;
};

/* A Complete whose last byte has not been sent yet. */
struct answer {
        uint64_t end, serial;
        struct posting *posting;
};

#define LANE_BUFFER  (3u << 20)
#define LANE_ANSWERS 1024u
#define STALE_IDS    16u

struct sim_lane {
        struct fd_duplex ends; /* the worker's; -1: none */
        uint8_t *rx, *tx;
        size_t rx_pos, rx_len, tx_pos, tx_len;
        uint64_t sent;
        struct held held[LIMIT_CREDITS];
        unsigned n_held;
        uint32_t held_bytes;
        struct answer answers[LANE_ANSWERS];
        unsigned answer_first, n_answers;
        uint64_t last_taken; /* order of replay */
        unsigned n_early;    /* requests of the frame that is coming, taken before its payload */
        struct {
                const struct posting *posting;
                uint64_t serial, key;
                uint32_t inlined;
        } early[LIMIT_WIRE_COLUMN];
        bool offended; /* nothing that it says is taken any more */
        bool stays;    /* more has been promised here */
        uint32_t read_seq;
        struct {
                uint32_t seq, offset, len;
                uint64_t serial, id;
        } reads[LIMIT_MEM_READS];
        unsigned read_first, n_reads;
        /* beyond one incarnation */
        uint64_t next_taken;
        struct posting *buckets[SIM_BUCKETS];
        uint64_t stale[STALE_IDS]; /* ids of the past */
        unsigned n_stale;
};

struct sim_worker {
        enum process_state state;
        unsigned incarnation;
        uint32_t pid;
        int control, exit_pipe;
        uint64_t pidfd_inode;
        uint64_t born_ms, exit_ms;
        bool greeted, configured;
        bool silent, liar, deaf, hung, drip; /* what is wrong with this one */
        uint64_t wake_ms;                    /* slow: does nothing before */
        int64_t bytes_left;                  /* dies when it has sent so many; negative: never */
        uint64_t offended_ms;                /* has said what nobody may say; 0: not */
        uint8_t rx[32768], tx[16384];
        size_t rx_len, tx_pos, tx_len;
        uint64_t features;
        uint64_t last_taken[SIM_QUEUES]; /* order of replay */
        bool features_told, queue_told[SIM_QUEUES];
        uint16_t queue_size[SIM_QUEUES];
        uint64_t values[SIM_FIELDS];
        uint64_t config; /* the driver's writes that it has been told */
};

/* ---- the whole ---- */

struct sim_device {
        unsigned index;
        char name[8];
        struct device_config config;
        struct control_hello hello;
        struct device *device;
        const struct odds *odds;
        bool freed;
        uint64_t born_ms, n_taken; /* requests that count for its rate */
        /* the guest */
        struct ram ram;
        struct sim_iommu iommu;
        struct sim_queue queues[SIM_QUEUES];
        unsigned n_queues, n_lanes;
        struct posting postings[SIM_POSTINGS];
        uint16_t free_postings[SIM_POSTINGS];
        unsigned n_free;
        uint64_t next_serial;
        unsigned outstanding;
        bool paused; /* its memory table is being changed */
        bool quiet;  /* posts nothing more */
        uint64_t n_posted, n_completed, n_explained;
        /* the front end */
        bool attached, ready, committed, broken, quarantined;
        bool rings_went;   /* their memory, since the last reset: may have broken them */
        uint64_t features; /* agreed */
        uint64_t not_before_ms, broken_ms, patience_ms; /* a broken device is reset after a while */
        unsigned deed;                                  /* what the front end does next */
        uint64_t drain_ms;                              /* since when some queue is stopping */
        uint64_t config_writes;                         /* that the driver has made since the last reset */
        bool config_busy;
        uint64_t values[SIM_FIELDS], value_before;
        unsigned config_field;
        unsigned resets;
        /* the worker and its state that outlives it */
        struct sim_worker worker;
        struct sim_lane lanes[SIM_LANES];
        unsigned incarnations;
        uint64_t put_states, restored_least; /* PutState: last number sent; the oldest that may be restored */
};

/* The simulated devices of this run. */
extern struct sim_device sim_devices[SIM_DEVICES];
extern unsigned n_sim_devices;
