/* How often things happen in one run. A run switches a random part of them off, and gives the rest random
 * weights: what is rare in one run is the rule in another.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "one in n" each; 0: never */
struct odds {
        /* the guest */
        uint32_t patient;       /* 1: posts only when all it has posted before has come back */
        uint32_t burst;         /* chains posted at once, at most */
        uint32_t medium, large; /* one buffer in n */
        uint32_t indirect;      /* one chain in n */
        uint32_t bad_chain;     /* breaks the queue */
        uint32_t poison;        /* kills its worker */
        uint32_t poll;          /* looks at the ring without an interrupt */
        /* the worker */
        uint32_t gulp, spew; /* one read or write in n takes few bytes only */
        uint32_t scatter;    /* one answer in n is written in pieces, out of order */
        uint32_t mem_read;   /* reads by message what it could do without */
        uint32_t batch;      /* completes so many at once, at most */
        uint32_t slow;       /* one turn in n is followed by a rest */
        uint32_t put_state;
        uint32_t eager;         /* answers before all bytes have come that it was sent or has asked for */
        uint32_t small_buffers; /* one worker in n has pipes that take little */
        /* what befalls a worker, in steps of the schedule */
        uint32_t kill, kill_mid_frame, hang, offend, protocol_error, stuck_exit;
        /* at birth */
        uint32_t silent, liar, deaf, die_young, refuse_config;
        /* the spawner */
        uint32_t spawn_fails, spawn_late;
        /* the front end, in steps */
        uint32_t stop, stop_all, reset, reconnect, set_call, config_write, config_push;
        uint32_t remove_region, remove_used_region, move_region, remap_region;
        uint32_t iommu; /* 0: there is none; takes something back, in steps */
        /* the configuration: requests a second, and MiB */
        uint32_t rate_ops, rate_mib;
        /* the machine */
        uint32_t preempt, race, short_io, again, interrupt;
        uint32_t breath;      /* a front end does several things at once */
        uint32_t time_passes; /* in steps */
};

/* Odds from the seed. */
void odds_choose(struct odds *ret_odds);

/* The same, without anything that hurts. */
void odds_heal(struct odds *odds);
