/* A named ring: what the guest writes into it, and what may become of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/hostile_guest/attack.h"
#include "tests/hostile_guest/oracle.h"

#define RING_CASE_ROWS 6u
#define RING_CASES_MAX 2048u
#define RING_SIZE      16u /* unless the case says otherwise */

/* Flags of a case. */
#define CASE_NO_INDIRECT 1u  /* the driver does not take INDIRECT_DESC */
#define CASE_EVENT_IDX   2u  /* the driver takes EVENT_IDX */
#define CASE_DIRTY       4u  /* memory may change although the ring breaks: something was served before */
#define CASE_READS       8u  /* blk: the sector that was asked for is in DATA */
#define CASE_ALONE       32u /* the device's other ring has nothing left to run in */
#define CASE_PACKED      64u /* the driver takes RING_PACKED */
#define CASE_EARLY       16u /* nothing is said before `run`: no features, no memory */

#define SHOW(n) (0x10000u | (n)) /* of an available index, which may be 0 */

struct ring_case {
        const char *group, *name;
        enum target target; /* BOTH: once on each */
        unsigned expect;    /* outcomes */
        unsigned flags;
        uint32_t size; /* of the ring; 0: RING_SIZE */
        uint16_t base; /* where the available ring begins */

        /* What is written: descriptors of the ring, of a table at table_at (0: TABLE), then `write`. */
        unsigned n_desc, n_table;
        struct desc_row desc[RING_CASE_ROWS], table[RING_CASE_ROWS];
        uint64_t table_at;
        void (*prepare)(struct attack *attack, const struct ring_case *c); /* before the ring is started */
        void (*write)(struct attack *attack, const struct ring_case *c);
        uint64_t arg;

        unsigned n_heads; /* 0: one, which is 0 */
        uint16_t heads[RING_CASE_ROWS];
        uint32_t show; /* 0: as many as there are heads */

        /* What must be there when it is served. */
        unsigned n_used;    /* heads that come back; 0: n_heads */
        uint32_t used_len;  /* of the newest; 0: not looked at */
        uint8_t status;     /* blk */
        uint64_t status_at; /* 0: STATUS */

        /* Instead of all that: does it and says what became of it. */
        enum outcome (*run)(struct oracle *oracle, struct attack *attack, const struct ring_case *c);
};

#define DESC(...)                                                                                            \
        .desc = {__VA_ARGS__}, .n_desc = sizeof((struct desc_row[]){__VA_ARGS__}) / sizeof(struct desc_row)
#define TABLE_ROWS(...)                                                                                      \
        .table = {__VA_ARGS__}, .n_table = sizeof((struct desc_row[]){__VA_ARGS__}) / sizeof(struct desc_row)
#define HEADS(...) .heads = {__VA_ARGS__}, .n_heads = sizeof((uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)

/* Ordinary requests: a sector to DATA, 64 bytes to DATA. */
#define N DESC_NEXT
#define W DESC_WRITE
#define I DESC_INDIRECT
#define BLK_READ                                                                                             \
        {HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2},                                                  \
        {                                                                                                    \
                STATUS, 1, W, 0                                                                              \
        }
#define RNG_FILL                                                                                             \
        {                                                                                                    \
                DATA, 64, W, 0                                                                               \
        }
#define SECTOR_BYTES 512u

struct ring_list {
        struct ring_case cases[RING_CASES_MAX];
        char names[RING_CASES_MAX][64];
        unsigned n;
};

/* Adds a copy with a name of its own; a case for both targets becomes two. */
void ring_list_add(struct ring_list *list, const struct ring_case *c);
void ring_list_add_named(struct ring_list *list, const struct ring_case *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The cases, by file. */
void rings_chain_list(struct ring_list *list);
void rings_index_list(struct ring_list *list);
void rings_indirect_list(struct ring_list *list);
void rings_address_list(struct ring_list *list);
void rings_blk_list(struct ring_list *list);
void rings_geometry_list(struct ring_list *list);
void rings_state_list(struct ring_list *list);
void rings_moving_list(struct ring_list *list);
/* Last: also the packed twins of what is in the list. */
void rings_packed_list(struct ring_list *list);

/* Runs one; true when what became of it is permitted. The outcome's words, the time to the verdict, and what is
 * wrong go to the outputs. */
struct verdict {
        enum outcome outcome;
        double ms;
        char why[512];
};
bool ring_case_run(struct oracle *oracle, const struct ring_case *c, struct verdict *ret_verdict);

const char *outcome_name(enum outcome outcome);
