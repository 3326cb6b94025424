/* Memory that changes between two reads: a thread of the guest's flips one word of a ring, a table or a request as
 * fast as it can while requests come. Each must end as one of the two states would. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/disk_pattern.h"
#include "tests/hostile_guest/ring_case.h"

#define SERVED OUTCOME_SERVED
#define BROKEN OUTCOME_BROKEN

#define MOVING_MS    50
#define GOOD_PER_BAD 64u
#define NO_STATUS    0xffu

/* What is flipped: `width` bytes at a guest address, between two values. */
struct mutation {
        const char *name;
        bool in_table; /* the request lies in an indirect table */
        uint64_t at;
        unsigned width;
        uint64_t one, other;
        uint16_t base; /* where the available ring begins */
};

struct mutator {
        pthread_t thread;
        void *at;
        const struct mutation *mutation;
        atomic_bool stop;
};

/* Fields of a descriptor. */
#define ROW_AT(table, i)    ((table) + 16 * (i))
#define ROW_LEN(table, i)   (ROW_AT(table, i) + 8)
#define ROW_FLAGS(table, i) (ROW_AT(table, i) + 12)
#define ROW_NEXT(table, i)  (ROW_AT(table, i) + 14)

#define USED_EVENT       (RING_AVAIL(0) + 4 + 2 * RING_SIZE)
#define AVAIL_INDEX(i)   (RING_AVAIL(i) + 2)
#define AVAIL_ELEMENT(n) (RING_AVAIL(0) + 4 + 2 * (n))

/* clang-format off */
static const struct mutation mutations[] = {
    {"length_and_ffffffff", false, ROW_LEN(RING(0), 1), 4, SECTOR_BYTES, 0xffffffff},
    {"length_and_0", false, ROW_LEN(RING(0), 1), 4, SECTOR_BYTES, 0},
    {"length_and_twice", false, ROW_LEN(RING(0), 1), 4, SECTOR_BYTES, 2 * SECTOR_BYTES},
    {"address_and_the_hole", false, ROW_AT(RING(0), 1), 8, DATA, HOLE},
    {"address_and_the_last_byte", false, ROW_AT(RING(0), 1), 8, DATA, HOLE - 1},
    {"address_and_2_64", false, ROW_AT(RING(0), 1), 8, DATA, UINT64_MAX},
    {"flags_and_readable", false, ROW_FLAGS(RING(0), 1), 2, N | W, N},
    {"flags_and_indirect", false, ROW_FLAGS(RING(0), 1), 2, N | W, I},
    {"flags_and_everything", false, ROW_FLAGS(RING(0), 1), 2, N | W, 0xffff},
    {"next_and_ffff", false, ROW_NEXT(RING(0), 1), 2, 2, 0xffff},
    {"next_and_itself", false, ROW_NEXT(RING(0), 1), 2, 2, 1},
    {"head_and_ffff", false, AVAIL_ELEMENT(0), 2, 0, 0xffff},
    {"head_and_the_next", false, AVAIL_ELEMENT(0), 2, 0, 1},
    {"available_index_00ff_and_0100", false, AVAIL_INDEX(0), 2, 0x00ff, 0x0100, .base = 0xff},
    {"available_index_and_8000", false, AVAIL_INDEX(0), 2, 0, 0x8000},
    {"available_index_and_one_more", false, AVAIL_INDEX(0), 2, 0, 1},
    {"table_s_length_and_8", true, ROW_LEN(RING(0), 0), 4, 48, 8},
    {"table_s_length_and_one_entry", true, ROW_LEN(RING(0), 0), 4, 48, 16},
    {"table_s_address_and_the_hole", true, ROW_AT(RING(0), 0), 8, TABLE, HOLE},
    {"table_s_flags_and_next", true, ROW_FLAGS(RING(0), 0), 2, I, I | N},
    {"table_and_a_plain_buffer", true, ROW_FLAGS(RING(0), 0), 2, I, W},
    {"in_a_table_length_and_ffffffff", true, ROW_LEN(TABLE, 1), 4, SECTOR_BYTES, 0xffffffff},
    {"in_a_table_address_and_the_hole", true, ROW_AT(TABLE, 1), 8, DATA, HOLE},
    {"in_a_table_flags_and_indirect", true, ROW_FLAGS(TABLE, 1), 2, N | W, I},
    {"in_a_table_next_and_ffff", true, ROW_NEXT(TABLE, 1), 2, 2, 0xffff},
    {"in_a_table_next_and_itself", true, ROW_NEXT(TABLE, 1), 2, 2, 1},
    {"type_and_write", false, HEADER, 4, BLK_IN, BLK_OUT},
    {"type_and_nonsense", false, HEADER, 4, BLK_IN, 0xffffffff},
    {"sector_and_another", false, HEADER + 8, 8, 0, 16},
    {"sector_and_2_55", false, HEADER + 8, 8, 0, UINT64_C(1) << 55},
    {"used_event", false, USED_EVENT, 2, 0, 0xffff},
    {"used_element", false, RING_USED(0) + 4, 4, 0, 0xffffffff},
    {"used_flags", false, RING_USED(0), 2, 0, 0xffff},
};
/* clang-format on */

static void flip(void *at, unsigned width, uint64_t value)
{
        switch (width) {
        case 2:
                *(volatile uint16_t *)at = (uint16_t)value;
                break;
        case 4:
                *(volatile uint32_t *)at = (uint32_t)value;
                break;
        default:
                *(volatile uint64_t *)at = value;
                break;
        }
}

static void *mutate(void *argument)
{
        struct mutator *mutator = argument;
        const struct mutation *mutation = mutator->mutation;

        while (!atomic_load_explicit(&mutator->stop, memory_order_relaxed)) {
                /* Mostly good: a bad value that comes first ends the ring, one that comes second is the attack. */
                for (unsigned i = 0; i < GOOD_PER_BAD; i++)
                        flip(mutator->at, mutation->width, mutation->one);
                flip(mutator->at, mutation->width, mutation->other);
        }
        return NULL;
}

/* ---- requests ---- */

/* All heads but those of the rest of the request, which they share: each walks over what is flipped. */
static const uint16_t heads[] = {0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void write_request(struct attack *attack, const struct mutation *mutation)
{
        static const struct desc_row rows[] = {BLK_READ};
        static const struct desc_row of_rng = {DATA + SECTOR_BYTES, 16, N | W, 1},
                                     to_table = {TABLE, 48, I, 0};
        const struct desc_row *first = attack->target == TARGET_BLK ? &rows[0] : &of_rng;
        uint64_t table = mutation->in_table ? TABLE : RING(0);

        attack_blk_header(attack, HEADER, BLK_IN, 0);
        for (unsigned i = 0; i < array_size(rows); i++)
                attack_table(attack, table, i, i == 0 ? first : &rows[i]);
        for (unsigned i = 0; i < array_size(heads); i++)
                attack_desc(attack, 0, heads[i], mutation->in_table ? &to_table : first);
        /* Where an index that is not judged leads: a status byte elsewhere. */
        attack_table(attack, table, 0xffff, &(struct desc_row){PARTNER, 1, W, 0});
}

/* Nothing has landed where no judged index leads. A disk has answered where it was asked to, and what it has read is
 * one of the two sectors, whole. */
static bool answer_is_one_of_both(const struct attack *attack, const struct mutation *mutation)
{
        const uint8_t *status = guest_map_at(attack->map, STATUS, 1);
        const uint8_t *data = guest_map_at(attack->map, DATA, SECTOR_BYTES);

        if (*(const uint8_t *)guest_map_at(attack->map, PARTNER, 1) != NO_STATUS)
                return false;
        if (attack->target != TARGET_BLK)
                return true;
        if (mutation->at != HEADER + 8 || *status != BLK_S_OK)
                return *status != NO_STATUS;
        return disk_pattern_is(data, ORACLE_DISK, mutation->one, 1, 1) ||
               disk_pattern_is(data, ORACLE_DISK, mutation->other, 1, 1);
}

/* One batch of requests; one that the flipped index has hidden is no fault. */
static enum outcome one_batch(struct oracle *oracle, struct attack *attack, const struct mutation *mutation)
{
        bool hidden = mutation->at == AVAIL_INDEX(0);
        uint32_t id, len;
        unsigned used = attack_used(attack, 0, &id, &len);
        enum outcome outcome;

        *(uint8_t *)guest_map_at(attack->map, STATUS, 1) = NO_STATUS;
        *(uint8_t *)guest_map_at(attack->map, PARTNER, 1) = NO_STATUS;
        for (unsigned i = 0; i < array_size(heads); i++)
                attack_offer(attack, 0, heads[i]);
        if (!hidden)
                attack_show(attack, 0, attack->offered[0]);
        if (attack_kick(attack, 0) < 0)
                return OUTCOME_NOTHING;
        outcome = attack_judge(attack, 0, used + array_size(heads), hidden ? 2 : oracle->judge_ms);
        if (outcome == OUTCOME_NOTHING && hidden)
                return SERVED;
        return outcome == SERVED && !answer_is_one_of_both(attack, mutation) ? OUTCOME_NOTHING : outcome;
}

static bool stop_and_start(struct attack *attack, const struct mutation *mutation)
{
        struct ring_plan plan = attack->ring[0];
        uint16_t base;

        if (attack_stop(attack, 0, &base) < 0)
                return false;
        memset(guest_map_at(attack->map, RING(0), 0x10000), 0, 0x10000);
        plan.base = mutation->base;
        write_request(attack, mutation);
        return attack_start(attack, 0, &plan) == 0;
}

/* A broken ring starts again, so that one flip does not end the case. */
static bool start_again(struct attack *attack, const struct mutation *mutation)
{
        struct attack_patience patience = attack_be_patient(attack);
        bool done = stop_and_start(attack, mutation);

        return attack_was_in_time(attack, &patience) && done;
}

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum outcome run_requests(struct oracle *oracle, struct attack *attack,
                                 const struct mutation *mutation)
{
        int64_t end = now_ms() + MOVING_MS;
        enum outcome outcome = SERVED;

        while (now_ms() < end && (outcome == SERVED || outcome == BROKEN)) {
                if (outcome == BROKEN && !start_again(attack, mutation))
                        return OUTCOME_DROPPED;
                outcome = one_batch(oracle, attack, mutation);
        }
        return outcome;
}

static enum outcome run_moving(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        const struct mutation *mutation = &mutations[c->arg];
        struct mutator mutator = {.mutation = mutation,
                                  .at = guest_map_at(attack->map, mutation->at, mutation->width)};
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        enum outcome outcome;

        plan.base = mutation->base;
        attack->listens = true;
        if (attack_start(attack, 0, &plan) < 0)
                return OUTCOME_NOTHING;
        write_request(attack, mutation);
        if (pthread_create(&mutator.thread, NULL, mutate, &mutator) != 0)
                return OUTCOME_NOTHING;
        outcome = run_requests(oracle, attack, mutation);
        atomic_store(&mutator.stop, true);
        pthread_join(mutator.thread, NULL);
        return outcome;
}

void rings_moving_list(struct ring_list *list)
{
        for (unsigned i = 0; i < array_size(mutations); i++) {
                bool of_blk = mutations[i].at == HEADER || mutations[i].at == HEADER + 8;
                const struct ring_case c = {.group = "moving",
                                            .target = of_blk ? TARGET_BLK : TARGET_BOTH,
                                            .expect = SERVED | BROKEN,
                                            .flags = mutations[i].at == USED_EVENT ? CASE_EVENT_IDX : 0,
                                            .run = run_moving,
                                            .arg = i};

                ring_list_add_named(list, &c, "%s", mutations[i].name);
        }
}
