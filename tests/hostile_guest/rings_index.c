/* Indices: of descriptors, heads and rings; the words beside them that ask for signals. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define BROKEN OUTCOME_BROKEN
#define SERVED OUTCOME_SERVED

/* ---- indices of descriptors ---- */

static const struct {
        uint16_t value;
        const char *name;
} outside[] = {{RING_SIZE, "size"}, {RING_SIZE + 1, "size_plus_1"},
               {0x100, "256"},      {0x7fff, "7fff"},
               {0x8000, "8000"},    {0xffff, "ffff"}};

/* Behind the table lies what a device that does not judge its indices would serve: the rest of a request at index
 * `arg` of the table at table_at. */
static void plant_rest(struct attack *attack, const struct ring_case *c)
{
        uint64_t table = c->table_at ? c->table_at : RING(0);

        attack_table(attack, table, (unsigned)c->arg, &(struct desc_row){DATA, SECTOR_BYTES + 1, W, 0});
}

/* The same for a head: a whole request begins there. */
static void plant_head(struct attack *attack, const struct ring_case *c)
{
        bool is_blk = attack->target == TARGET_BLK;

        attack_desc(attack, 0, 0, &(struct desc_row){DATA, SECTOR_BYTES + 1, W, 0});
        attack_desc(attack, 0, (unsigned)c->arg,
                    is_blk ? &(struct desc_row){HEADER, 16, N, 0} : &(struct desc_row){DATA, 64, W, 0});
}

static void list_outside(struct ring_list *list)
{
        for (size_t i = 0; i < array_size(outside); i++) {
                uint16_t value = outside[i].value;
                struct ring_case next = {.group = "next",
                                         .target = TARGET_BOTH,
                                         .expect = BROKEN,
                                         .write = plant_rest,
                                         .arg = value,
                                         DESC({HEADER, 16, N, value})};
                const struct ring_case head = {.group = "head",
                                               .target = TARGET_BOTH,
                                               .expect = BROKEN,
                                               .write = plant_head,
                                               .arg = value,
                                               HEADS(value)};
                struct ring_case table = {.group = "next",
                                          .target = TARGET_BOTH,
                                          .expect = BROKEN,
                                          .write = plant_rest,
                                          .arg = value,
                                          DESC({TABLE, 32, I, 0}),
                                          TABLE_ROWS({HEADER, 16, N, value}),
                                          .table_at = TABLE};

                ring_list_add_named(list, &next, "next_is_%s", outside[i].name);
                ring_list_add_named(list, &head, "head_is_%s", outside[i].name);
                ring_list_add_named(list, &table, "next_of_a_table_is_%s", outside[i].name);
        }
        ring_list_add_named(list,
                            &(struct ring_case){.group = "next",
                                                .target = TARGET_BOTH,
                                                .expect = BROKEN,
                                                .write = plant_rest,
                                                .arg = 2,
                                                DESC({TABLE, 32, I, 0}),
                                                TABLE_ROWS({HEADER, 16, N, 2}),
                                                .table_at = TABLE},
                            "next_of_a_table_is_its_length");
}

/* ---- words of the rings ---- */

static uint16_t *avail_words(struct attack *attack)
{
        return guest_map_at(attack->map, attack->ring[0].avail, 6 + 2 * (size_t)attack->ring[0].size);
}

static uint16_t *used_words(struct attack *attack)
{
        return guest_map_at(attack->map, attack->ring[0].used, 6 + 8 * (size_t)attack->ring[0].size);
}

static void write_request(struct attack *attack, unsigned first)
{
        if (attack->target == TARGET_RNG) {
                attack_desc(attack, 0, first, &(struct desc_row){DATA, 64, W, 0});
                return;
        }
        attack_desc(attack, 0, first, &(struct desc_row){HEADER, 16, N, (uint16_t)(first + 1)});
        attack_desc(attack, 0, first + 1,
                    &(struct desc_row){DATA, SECTOR_BYTES, N | W, (uint16_t)(first + 2)});
        attack_desc(attack, 0, first + 2, &(struct desc_row){STATUS, 1, W, 0});
}

static void write_one(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        write_request(attack, 0);
}

static void write_avail_flags(struct attack *attack, const struct ring_case *c)
{
        write_request(attack, 0);
        avail_words(attack)[0] = (uint16_t)c->arg;
}

static void write_used_event(struct attack *attack, const struct ring_case *c)
{
        write_request(attack, 0);
        avail_words(attack)[2 + attack->ring[0].size] = (uint16_t)c->arg;
}

/* The device's own words are the guest's to overwrite. */
static void write_device_words(struct attack *attack, const struct ring_case *c)
{
        write_request(attack, 0);
        used_words(attack)[0] = (uint16_t)c->arg;
        used_words(attack)[2 + 4 * attack->ring[0].size] = (uint16_t)c->arg;
}

static void prepare_used_index(struct attack *attack, const struct ring_case *c)
{
        used_words(attack)[1] = (uint16_t)c->arg;
}

static void prepare_garbage(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        memset(guest_map_at(attack->map, RING_USED(0), 6 + 8 * RING_SIZE), 0xa5, 6 + 8 * RING_SIZE);
}

/* ---- many requests ---- */

/* `arg` good requests one after the other, shown one by one and kicked; then one step more that the case shows. */
static void write_after_some(struct attack *attack, const struct ring_case *c)
{
        for (unsigned i = 0; i < c->arg; i++) {
                write_request(attack, 0);
                attack_offer(attack, 0, 0);
                attack_show(attack, 0, attack->offered[0]);
                if (attack_kick(attack, 0) < 0 ||
                    attack_judge(attack, 0, i + 1, ATTACK_JUDGE_MS) != OUTCOME_SERVED)
                        return; /* the verdict will say it */
        }
}

/* The whole ring at once: requests that share their buffers. */
static void write_full(struct attack *attack, const struct ring_case *c)
{
        unsigned step = attack->target == TARGET_BLK ? 3 : 1;

        if (attack->target == TARGET_BLK) { /* each an indirect descriptor to the one table */
                attack_table(attack, TABLE, 0, &(struct desc_row){HEADER, 16, N, 1});
                attack_table(attack, TABLE, 1, &(struct desc_row){DATA, SECTOR_BYTES, N | W, 2});
                attack_table(attack, TABLE, 2, &(struct desc_row){STATUS, 1, W, 0});
        }
        for (uint16_t i = 0; i < RING_SIZE; i++) {
                attack_desc(attack, 0, i,
                            step == 3 ? &(struct desc_row){TABLE, 48, I, 0}
                                      : &(struct desc_row){DATA, 64, W, 0});
                attack_offer(attack, 0, i);
        }
        attack->offered[0] = (uint16_t)c->base; /* the first head is offered again, in its place */
}

/* Two heads whose chains end in the same descriptors. */
static void write_shared_tail(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        write_request(attack, 0);
        if (attack->target == TARGET_BLK)
                attack_desc(attack, 0, 5, &(struct desc_row){HEADER, 16, N, 1});
        else
                attack_desc(attack, 0, 5, &(struct desc_row){DATA + 64, 64, N | W, 0});
}

/* clang-format off */
static const struct ring_case cases[] = {
    {"duplicate", "head_twice_in_a_batch", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_one, HEADS(0, 0)},
    {"duplicate", "head_four_times_in_a_batch", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_one, HEADS(0, 0, 0, 0)},
    {"duplicate", "head_again_behind_another", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_shared_tail,
     HEADS(0, 5, 0)},
    {"duplicate", "head_again_when_it_has_come_back", TARGET_BOTH, SERVED, CASE_READS, .write = write_after_some,
     .arg = 1, .n_used = 2},
    {"duplicate", "two_heads_share_descriptors", TARGET_BOTH, SERVED, CASE_READS, .write = write_shared_tail,
     HEADS(0, 5)},
    {"duplicate", "head_in_the_middle_of_another_chain", TARGET_RNG, SERVED, .n_used = 2,
     DESC({DATA, 64, N | W, 1}, {DATA + 64, 64, W, 0}), HEADS(0, 1)},

    {"avail", "nothing_is_new", TARGET_BOTH, OUTCOME_IGNORED, .write = write_one, .show = SHOW(0)},
    {"avail", "size_plus_1", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(RING_SIZE + 1)},
    {"avail", "minus_1", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(0xffff)},
    {"avail", "plus_8000", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(0x8000)},
    {"avail", "plus_7fff", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(0x7fff)},
    {"avail", "plus_5000", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(5000)},
    {"avail", "plus_100", TARGET_BOTH, BROKEN, .write = write_full, .show = SHOW(0x100)},
    {"avail", "size_1_and_2_more", TARGET_RNG, BROKEN, .size = 1, .write = write_one, .show = SHOW(2)},
    {"avail", "back_by_one", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_after_some, .arg = 3, .show = SHOW(2)},
    {"avail", "back_to_0", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_after_some, .arg = 2, .show = SHOW(0)},
    {"avail", "size_plus_1_after_some", TARGET_BOTH, BROKEN, CASE_DIRTY, .write = write_after_some, .arg = 3,
     .show = SHOW(3 + RING_SIZE + 1)},
    {"avail", "size_plus_1_over_the_wrap", TARGET_BOTH, BROKEN, .base = 65530, .write = write_full,
     .show = SHOW(RING_SIZE + 1)},
    {"avail", "behind_the_base", TARGET_BOTH, BROKEN, .base = 100, .write = write_full, .show = SHOW(0xffff)},
    {"avail", "the_whole_ring_at_once", TARGET_BOTH, SERVED, .write = write_full, .n_used = RING_SIZE,
     .show = SHOW(RING_SIZE)},
    {"avail", "the_whole_ring_over_the_wrap", TARGET_BOTH, SERVED, .base = 65530, .write = write_full,
     .n_used = RING_SIZE, .show = SHOW(RING_SIZE)},
    {"avail", "one_by_one_over_the_wrap", TARGET_BOTH, SERVED, CASE_READS, .base = 65533, .write = write_after_some,
     .arg = 6, .n_used = 7},

    {"used", "index_in_the_middle", TARGET_BOTH, SERVED, CASE_READS, .prepare = prepare_used_index, .arg = 0x1234,
     .write = write_one},
    {"used", "index_before_the_wrap", TARGET_BOTH, SERVED, CASE_READS, .prepare = prepare_used_index, .arg = 0xffff,
     .write = write_one},
    {"used", "full_of_garbage", TARGET_BOTH, SERVED, CASE_READS, .prepare = prepare_garbage, .write = write_one},

    {"events", "no_interrupt", TARGET_BOTH, SERVED, CASE_READS, .write = write_avail_flags, .arg = 1},
    {"events", "unknown_avail_flags", TARGET_BOTH, SERVED, CASE_READS, .write = write_avail_flags, .arg = 0xffff},
    {"events", "used_event_ffff", TARGET_BOTH, SERVED, CASE_READS | CASE_EVENT_IDX, .write = write_used_event,
     .arg = 0xffff},
    {"events", "used_event_8000", TARGET_BOTH, SERVED, CASE_READS | CASE_EVENT_IDX, .write = write_used_event,
     .arg = 0x8000},
    {"events", "used_event_without_its_feature", TARGET_BOTH, SERVED, CASE_READS, .write = write_used_event,
     .arg = 0x5555},
    {"events", "used_flags_overwritten", TARGET_BOTH, SERVED, CASE_READS, .write = write_device_words, .arg = 0xffff},
    {"events", "avail_event_overwritten", TARGET_BOTH, SERVED, CASE_READS | CASE_EVENT_IDX,
     .write = write_device_words, .arg = 0x7fff},
};
/* clang-format on */

void rings_index_list(struct ring_list *list)
{
        list_outside(list);
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
