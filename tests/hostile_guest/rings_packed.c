/* Packed rings: twins of the cases of split rings where they mean something, and what only a packed ring has.
 * TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define SERVED  OUTCOME_SERVED
#define BROKEN  OUTCOME_BROKEN
#define REFUSED OUTCOME_REFUSED
#define DROPPED OUTCOME_DROPPED
#define IGNORED OUTCOME_IGNORED

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- twins ---- */

/* Groups that are about chains, requests and life, not about the words of a split ring. */
static const struct {
        const char *group, *packed;
} twins[] = {
    {"loop", "packed_loop"},         {"length", "packed_length"},
    {"order", "packed_order"},       {"flags", "packed_flags"},
    {"head", "packed_head"},         {"duplicate", "packed_duplicate"},
    {"indirect", "packed_indirect"}, {"address", "packed_address"},
    {"sum", "packed_sum"},           {"header", "packed_header"},
    {"status", "packed_status"},     {"request", "packed_request"},
    {"overlap", "packed_overlap"},   {"state", "packed_state"},
    {"memory", "packed_memory"},     {"descriptor", "packed_descriptor"},
};

/* Where the layouts differ. 0: the case means nothing in a packed ring, whose descriptors do not name the next. */
static const struct {
        const char *group, *name;
        unsigned expect;
} others[] = {
    {"loop", "in_a_table", 0},
    {"loop", "two_in_a_table", 0},
    {"indirect", "jumps_over_16_entries", 0},
    {"indirect", "jumps_over_1000_entries", 0},
    {"indirect", "in_the_ring_itself", 0},
    {"indirect", "larger_than_its_chain", BROKEN}, /* a table is taken whole: the rest is of no length */
    {"indirect", "1_direct_then_a_table", BROKEN}, /* one or the other: virtio 1.3, 2.8.8 */
    {"indirect", "8_direct_then_a_table", BROKEN},
    {"indirect", "15_direct_then_a_table", BROKEN},
    {"memory", "available_ring_s_file_is_cut",
     SERVED | BROKEN}, /* its event area: the answer was shown before */
};

/* What is permitted of the twin; 0: there is none. */
static unsigned expect_of(const struct ring_case *c)
{
        const char *name = strchr(c->name, '.') + 1;

        if (c->prepare)
                return 0;
        for (size_t i = 0; i < array_size(others); i++)
                if (strcmp(others[i].group, c->group) == 0 && strcmp(others[i].name, name) == 0)
                        return others[i].expect;
        return c->expect;
}

static void list_twins(struct ring_list *list)
{
        unsigned n = list->n;

        for (unsigned i = 0; i < n; i++)
                for (size_t k = 0; k < array_size(twins); k++) {
                        struct ring_case twin = list->cases[i];

                        if (strcmp(twin.group, twins[k].group) != 0 || expect_of(&twin) == 0)
                                continue;
                        twin.expect = expect_of(&twin);
                        twin.group = twins[k].packed;
                        twin.flags |= CASE_PACKED;
                        ring_list_add_named(list, &twin, "%s", strchr(list->cases[i].name, '.') + 1);
                }
}

/* ---- a request, and where it goes ---- */

/* Three descriptors, for both devices. */
static void write_request(struct attack *attack, bool in_table)
{
        static const struct desc_row rows[] = {BLK_READ};
        static const struct desc_row of_rng = {DATA + SECTOR_BYTES, 16, N | W, 1};

        attack_blk_header(attack, HEADER, BLK_IN, 0);
        *(uint8_t *)guest_map_at(attack->map, STATUS, 1) = 0xff;
        for (unsigned i = 0; i < array_size(rows); i++) {
                const struct desc_row *row = i == 0 && attack->target == TARGET_RNG ? &of_rng : &rows[i];

                if (in_table)
                        attack_table(attack, TABLE, i, row);
                else
                        attack_desc(attack, 0, i, row);
        }
        if (in_table)
                attack_desc(attack, 0, 0, &(struct desc_row){TABLE, 48, I, 0});
}

static enum outcome send_request(struct attack *attack, int timeout_ms)
{
        uint32_t id, len;
        unsigned used = attack_used(attack, 0, &id, &len);

        attack_offer(attack, 0, 0);
        attack_show(attack, 0, attack->offered[0]);
        if (attack_kick(attack, 0) < 0)
                return OUTCOME_NOTHING;
        return attack_judge(attack, 0, used + 1, timeout_ms);
}

/* Refused with the session alive, dropped, or used for a request. */
static enum outcome start_and_use(struct oracle *oracle, struct attack *attack, const struct ring_plan *plan)
{
        int r = attack_start(attack, 0, plan);

        if (r == -EIO)
                return attack_err_fired(attack, 0) && attack_lives(attack) ? REFUSED : OUTCOME_NOTHING;
        if (r < 0)
                return r == -EPIPE || r == -ECONNRESET ? DROPPED : OUTCOME_NOTHING;
        write_request(attack, true);
        return send_request(attack, oracle->judge_ms);
}

/* ---- sizes, bases and places ---- */

static enum outcome run_size(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, (uint32_t)c->arg);

        return start_and_use(oracle, attack, &plan);
}

static void list_sizes(struct ring_list *list)
{
        static const struct {
                uint32_t size;
                unsigned expect; /* the table of a request has three descriptors */
        } sizes[] = {{0, DROPPED},      {1, BROKEN},       {2, BROKEN},          {3, SERVED},
                     {5, SERVED},       {17, SERVED},      {1000, SERVED},       {1023, SERVED},
                     {1024, SERVED},    {1025, REFUSED},   {2048, REFUSED},      {0x7fff, REFUSED},
                     {0x8000, REFUSED}, {0x8001, DROPPED}, {0x80000003, DROPPED}};

        for (size_t i = 0; i < array_size(sizes); i++)
                ring_list_add_named(list,
                                    &(struct ring_case){.group = "packed_size",
                                                        .target = TARGET_BOTH,
                                                        .expect = sizes[i].expect,
                                                        .flags = CASE_PACKED,
                                                        .run = run_size,
                                                        .arg = sizes[i].size},
                                    "size_%u", sizes[i].size);
}

static enum outcome run_base(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        plan.base = (uint32_t)c->arg;
        attack->packed[0]->raw_base = true;
        return start_and_use(oracle, attack, &plan);
}

static void list_bases(struct ring_list *list)
{
        static const struct {
                uint32_t base;
                unsigned expect;
        } bases[] = {
            {0x80008000, SERVED},  {0x00000000, SERVED},  {0x800f800f, SERVED},  {0x000f000f, SERVED},
            {0x80038005, SERVED},  {0x00058003, SERVED},  {0x80050003, SERVED},  {0x80108010, REFUSED},
            {0x80008010, REFUSED}, {0x80108000, REFUSED}, {0x80058003, REFUSED}, {0x80030005, REFUSED},
            {0x7fff7fff, REFUSED}, {0xffffffff, REFUSED}, {0x00008000, BROKEN},  {0x80000000, BROKEN}};

        for (size_t i = 0; i < array_size(bases); i++)
                ring_list_add_named(list,
                                    &(struct ring_case){.group = "packed_base",
                                                        .target = TARGET_BOTH,
                                                        .expect = bases[i].expect,
                                                        .flags = CASE_PACKED,
                                                        .run = run_base,
                                                        .arg = bases[i].base},
                                    "base_%08x", bases[i].base);
}

/* Places for the ring (0), the driver's (1) and the device's (2) event area. */
static const struct {
        const char *name;
        unsigned part;
        uint64_t at;
        enum outcome expect;
} places[] = {
    {"ring_misaligned_by_1", 0, RING(0) + 1, REFUSED},
    {"ring_aligned_to_half", 0, RING(0) + 8, REFUSED},
    {"ring_over_two_regions", 0, NEXT - 16, REFUSED},
    {"ring_over_the_edge", 0, HOLE - 16 * RING_SIZE + 16, REFUSED},
    {"ring_at_the_edge", 0, HOLE - 16 * RING_SIZE, SERVED},
    {"ring_below_2_64", 0, HIGH_END - 16 * RING_SIZE, SERVED},
    {"ring_in_read_only_memory", 0, FIXED + 0x1000, REFUSED},
    {"driver_area_misaligned_by_1", 1, RING_AVAIL(0) + 1, REFUSED},
    {"driver_area_aligned_to_half", 1, RING_AVAIL(0) + 2, REFUSED},
    {"driver_area_at_the_edge", 1, HOLE - 4, SERVED},
    {"driver_area_below_2_64", 1, HIGH_END - 4, SERVED},
    {"driver_area_in_read_only_memory", 1, FIXED + 0x2000, SERVED},
    {"device_area_misaligned_by_1", 2, RING_USED(0) + 1, REFUSED},
    {"device_area_aligned_to_half", 2, RING_USED(0) + 2, REFUSED},
    {"device_area_at_the_edge", 2, HOLE - 4, SERVED},
    {"device_area_below_2_64", 2, HIGH_END - 4, SERVED},
    {"device_area_in_read_only_memory", 2, FIXED + 0x3000, REFUSED},
    {"areas_in_one_place", 2, RING_AVAIL(0), SERVED},
};

static enum outcome run_place(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        uint64_t *const parts[] = {&plan.desc, &plan.avail, &plan.used};

        *parts[places[c->arg].part] = places[c->arg].at;
        return start_and_use(oracle, attack, &plan);
}

static void list_places(struct ring_list *list)
{
        for (unsigned i = 0; i < array_size(places); i++)
                ring_list_add_named(list,
                                    &(struct ring_case){.group = "packed_place",
                                                        .target = TARGET_BOTH,
                                                        .expect = places[i].expect,
                                                        .flags = CASE_PACKED,
                                                        .run = run_place,
                                                        .arg = i},
                                    "%s", places[i].name);
}

/* ---- flags that make descriptors available ---- */

static void put_flags(struct attack *attack, unsigned place, uint16_t flags)
{
        uint16_t *at = guest_map_at(attack->map, RING(0) + 16 * (uint64_t)place + 14, 2);

        __atomic_store_n(at, flags, __ATOMIC_SEQ_CST);
}

/* A buffer of 64 bytes, as it is. */
static void put_desc(struct attack *attack, unsigned place, uint16_t id, uint16_t flags)
{
        uint64_t at = RING(0) + 16 * (uint64_t)place;

        *(uint64_t *)guest_map_at(attack->map, at, 8) = DATA;
        *(uint32_t *)guest_map_at(attack->map, at + 8, 4) = 64;
        *(uint16_t *)guest_map_at(attack->map, at + 12, 2) = id;
        put_flags(attack, place, flags);
}

/* A chain whose second descriptor has the flags `arg`: it is not the driver's to give. */
static enum outcome run_stale(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        if (attack_start(attack, 0, &plan) < 0)
                return OUTCOME_NOTHING;
        put_desc(attack, 1, 0, (uint16_t)c->arg);
        put_desc(attack, 0, 0, W | N | PACKED_AVAIL);
        if (attack_kick(attack, 0) < 0)
                return OUTCOME_NOTHING;
        return attack_judge(attack, 0, 0, c->expect == BROKEN ? oracle->judge_ms : 20);
}

/* First flags that say nothing is there. */
static enum outcome run_nothing(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        (void)oracle;
        if (attack_start(attack, 0, &plan) < 0)
                return OUTCOME_NOTHING;
        put_flags(attack, 0, (uint16_t)c->arg);
        if (attack_kick(attack, 0) < 0 || attack_judge(attack, 0, 1, 20) != OUTCOME_NOTHING)
                return OUTCOME_NOTHING;
        return attack_lives(attack) ? IGNORED : DROPPED;
}

/* The whole ring again and again, marked for each turn as soon as it can be: faster than anything comes back. */
static enum outcome run_ahead(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        uint16_t flags = W | PACKED_AVAIL;

        (void)c;
        if (attack_start(attack, 0, &plan) < 0)
                return OUTCOME_NOTHING;
        for (int64_t end = now_ms() + oracle->judge_ms; now_ms() < end; flags ^= PACKED_AVAIL | PACKED_USED) {
                for (unsigned i = RING_SIZE; i-- > 0;)
                        put_desc(attack, i, (uint16_t)i, flags);
                if (attack_kick(attack, 0) < 0)
                        return OUTCOME_NOTHING;
                if (attack_err_fired(attack, 0))
                        return BROKEN;
        }
        return OUTCOME_NOTHING;
}

/* ---- event areas ---- */

/* `arg`: what is in the area, and which (bit 32: the device's). A request or three must be served all the same. */
static enum outcome run_events(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        uint32_t *at = guest_map_at(attack->map, c->arg >> 32 ? plan.used : plan.avail, 4);
        enum outcome outcome = SERVED;

        if (attack_start(attack, 0, &plan) < 0)
                return OUTCOME_NOTHING;
        write_request(attack, false);
        for (unsigned i = 0; i < 12 && outcome == SERVED; i++) {
                __atomic_store_n(at, (uint32_t)c->arg, __ATOMIC_SEQ_CST);
                outcome = send_request(attack, oracle->judge_ms);
        }
        return outcome;
}

#define OF_DEVICE(value) (UINT64_C(1) << 32 | (value))

/* clang-format off */
static const struct ring_case cases[] = {
    {"packed_next", "next_is_not_marked", TARGET_BOTH, BROKEN, CASE_PACKED | CASE_DIRTY, .run = run_stale, .arg = W},
    {"packed_next", "next_is_of_the_turn_before", TARGET_BOTH, BROKEN, CASE_PACKED | CASE_DIRTY, .run = run_stale,
     .arg = W | PACKED_USED},
    {"packed_next", "next_is_used", TARGET_BOTH, BROKEN, CASE_PACKED | CASE_DIRTY, .run = run_stale,
     .arg = W | PACKED_AVAIL | PACKED_USED},
    {"packed_avail", "marked_for_the_turn_before", TARGET_BOTH, IGNORED, CASE_PACKED, .run = run_nothing,
     .arg = W | PACKED_USED},
    {"packed_avail", "marked_as_used", TARGET_BOTH, IGNORED, CASE_PACKED, .run = run_nothing,
     .arg = W | PACKED_AVAIL | PACKED_USED},
    {"packed_avail", "all_other_flags", TARGET_BOTH, IGNORED, CASE_PACKED, .run = run_nothing, .arg = 0x7f7f},
    {"packed_avail", "everything_available_all_the_time", TARGET_BOTH, BROKEN, CASE_PACKED | CASE_DIRTY,
     .run = run_ahead},
    {"packed_events", "no_interrupt", TARGET_BOTH, SERVED, CASE_PACKED, .run = run_events, .arg = 0x10000},
    {"packed_events", "place_without_its_feature", TARGET_BOTH, SERVED, CASE_PACKED, .run = run_events, .arg = 0x20005},
    {"packed_events", "place_outside_the_ring", TARGET_BOTH, SERVED, CASE_PACKED | CASE_EVENT_IDX, .run = run_events,
     .arg = 0x27fff},
    {"packed_events", "place_of_the_other_turn", TARGET_BOTH, SERVED, CASE_PACKED | CASE_EVENT_IDX, .run = run_events,
     .arg = 0x28000},
    {"packed_events", "reserved_wish", TARGET_BOTH, SERVED, CASE_PACKED | CASE_EVENT_IDX, .run = run_events,
     .arg = 0x30000},
    {"packed_events", "all_ones", TARGET_BOTH, SERVED, CASE_PACKED | CASE_EVENT_IDX, .run = run_events,
     .arg = 0xffffffff},
    {"packed_events", "device_s_area_overwritten", TARGET_BOTH, SERVED, CASE_PACKED, .run = run_events,
     .arg = OF_DEVICE(0xffffffff)},
    {"packed_events", "device_s_place_overwritten", TARGET_BOTH, SERVED, CASE_PACKED | CASE_EVENT_IDX, .run = run_events,
     .arg = OF_DEVICE(0x10000)},
};
/* clang-format on */

/* ---- memory that changes between two reads ---- */

#define MOVING_MS    50
#define MOVING_SIZE  3u /* a request is one turn of the ring: its descriptors stay where they are */
#define GOOD_PER_BAD 64u

/* clang-format off */
static const struct {
        const char *name;
        bool in_table;
        uint64_t at;
        unsigned width;
        uint64_t one, other;
} mutations[] = {
    {"length_and_ffffffff", false, RING(0) + 16 + 8, 4, SECTOR_BYTES, 0xffffffff},
    {"length_and_0", false, RING(0) + 16 + 8, 4, SECTOR_BYTES, 0},
    {"address_and_the_hole", false, RING(0) + 16, 8, DATA, HOLE},
    {"address_and_2_64", false, RING(0) + 16, 8, DATA, UINT64_MAX},
    {"id_and_ffff", false, RING(0) + 32 + 12, 2, 0, 0xffff},
    {"id_and_the_next", false, RING(0) + 32 + 12, 2, 0, 1},
    {"first_flags_of_two_turns", false, RING(0) + 14, 2, N | PACKED_AVAIL, N | PACKED_USED},
    {"second_flags_of_two_turns", false, RING(0) + 16 + 14, 2, N | W | PACKED_AVAIL, N | W | PACKED_USED},
    {"first_flags_and_indirect", false, RING(0) + 14, 2, N | PACKED_AVAIL, I | PACKED_AVAIL},
    {"in_a_table_length_and_ffffffff", true, TABLE + 16 + 8, 4, SECTOR_BYTES, 0xffffffff},
    {"in_a_table_address_and_the_hole", true, TABLE + 16, 8, DATA, HOLE},
    {"in_a_table_flags_and_indirect", true, TABLE + 16 + 14, 2, W, I},
    {"driver_area", false, RING_AVAIL(0), 4, 0, 0xffffffff},
    {"device_area", false, RING_USED(0), 4, 0, 0xffffffff},
};
/* clang-format on */

struct mutator {
        pthread_t thread;
        void *at;
        unsigned index;
        atomic_bool stop;
};

static void flip(void *at, unsigned width, uint64_t value)
{
        if (width == 2)
                *(volatile uint16_t *)at = (uint16_t)value;
        else if (width == 4)
                *(volatile uint32_t *)at = (uint32_t)value;
        else
                *(volatile uint64_t *)at = value;
}

static void *mutate(void *argument)
{
        struct mutator *mutator = argument;
        unsigned i = mutator->index;

        while (!atomic_load_explicit(&mutator->stop, memory_order_relaxed)) {
                for (unsigned n = 0; n < GOOD_PER_BAD; n++)
                        flip(mutator->at, mutations[i].width, mutations[i].one);
                flip(mutator->at, mutations[i].width, mutations[i].other);
        }
        return NULL;
}

static bool start_again(struct attack *attack)
{
        struct ring_plan plan = ring_plan_at(0, MOVING_SIZE);
        struct attack_patience patience = attack_be_patient(attack);
        uint16_t base;
        bool done = attack_stop(attack, 0, &base) == 0 && attack_start(attack, 0, &plan) == 0;

        return attack_was_in_time(attack, &patience) && done;
}

/* A request that the flipped flags have hidden, or that comes back with an id which the driver does not know, is no
 * fault; the ring begins afresh. */
static enum outcome run_requests(struct oracle *oracle, struct attack *attack, bool in_table, bool hidden)
{
        int64_t end = now_ms() + MOVING_MS;
        enum outcome outcome = SERVED;

        write_request(attack, in_table);
        while (now_ms() < end && (outcome == SERVED || outcome == BROKEN)) {
                outcome = send_request(attack, hidden ? 2 : oracle->judge_ms);
                if (outcome == OUTCOME_NOTHING && hidden)
                        outcome = BROKEN;
                if (outcome == BROKEN && !start_again(attack))
                        return DROPPED;
        }
        return outcome == BROKEN && !attack_err_fired(attack, 0) ? SERVED : outcome;
}

static enum outcome run_moving(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        unsigned i = (unsigned)c->arg;
        struct ring_plan plan = ring_plan_at(0, MOVING_SIZE);
        struct mutator mutator = {.index = i,
                                  .at = guest_map_at(attack->map, mutations[i].at, mutations[i].width)};
        bool hidden = mutations[i].at == RING(0) + 14 || mutations[i].at == RING(0) + 16 + 14 ||
                      mutations[i].other == 1;
        enum outcome outcome;

        attack->listens = true;
        if (attack_start(attack, 0, &plan) < 0 ||
            pthread_create(&mutator.thread, NULL, mutate, &mutator) != 0)
                return OUTCOME_NOTHING;
        outcome = run_requests(oracle, attack, mutations[i].in_table, hidden);
        atomic_store(&mutator.stop, true);
        pthread_join(mutator.thread, NULL);
        return outcome;
}

static void list_moving(struct ring_list *list)
{
        for (unsigned i = 0; i < array_size(mutations); i++)
                ring_list_add_named(
                    list,
                    &(struct ring_case){.group = "packed_moving",
                                        .target = TARGET_BOTH,
                                        .expect = SERVED | BROKEN,
                                        .flags = CASE_PACKED | CASE_DIRTY | (i % 2 ? CASE_EVENT_IDX : 0),
                                        .run = run_moving,
                                        .arg = i},
                    "%s", mutations[i].name);
}

void rings_packed_list(struct ring_list *list)
{
        list_twins(list);
        list_sizes(list);
        list_bases(list);
        list_places(list);
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
        list_moving(list);
}
