/* The ring itself: sizes and places that no ring may have. A ring that cannot start is refused and its err
 * descriptor fires; the session lives. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define SERVED  OUTCOME_SERVED
#define REFUSED OUTCOME_REFUSED
#define DROPPED OUTCOME_DROPPED

/* What a ring_plan cannot say, since it names guest addresses: the user addresses as they go over the wire. */
struct ring_words {
        uint32_t size, flags;
        uint64_t desc, avail, used;
};

static int set_state(struct attack *attack, uint32_t request, uint32_t num)
{
        struct vhost_user_vring_state state = {.num = num};

        return front_end_set(&attack->front, request, &state, sizeof(state), NULL, 0, true);
}

static int announce(struct attack *attack, const struct ring_words *words)
{
        struct vhost_user_vring_addr addr = {
            .flags = words->flags, .descriptor = words->desc, .available = words->avail, .used = words->used};
        uint64_t index = 0;
        int r = set_state(attack, VHOST_USER_SET_VRING_NUM, words->size);

        if (r == 0)
                r = front_end_set(&attack->front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0,
                                  true);
        if (r == 0)
                r = front_end_set(&attack->front, VHOST_USER_SET_VRING_KICK, &index, sizeof(index),
                                  &attack->front.rings[0].kick, 1, true);
        return r < 0 ? r : set_state(attack, VHOST_USER_SET_VRING_ENABLE, 1);
}

/* Refused with the session alive, or dropped. */
static enum outcome refusal(struct attack *attack, int r)
{
        if (r == -EIO)
                return attack_err_fired(attack, 0) && attack_lives(attack) ? REFUSED : OUTCOME_NOTHING;
        return r == -EPIPE || r == -ECONNRESET ? DROPPED : OUTCOME_NOTHING;
}

/* One request on the ring as it now is: through a table where the ring is too small for its descriptors. */
static enum outcome use_ring(struct oracle *oracle, struct attack *attack)
{
        static const struct desc_row blk[] = {BLK_READ}, rng[] = {RNG_FILL};
        bool is_blk = attack->target == TARGET_BLK;

        attack_blk_header(attack, HEADER, BLK_IN, 0);
        for (unsigned i = 0; i < (is_blk ? array_size(blk) : array_size(rng)); i++)
                attack_table(attack, TABLE, i, is_blk ? &blk[i] : &rng[i]);
        attack_desc(attack, 0, 0, &(struct desc_row){TABLE, is_blk ? 48 : 16, I, 0});
        attack_offer(attack, 0, 0);
        attack_show(attack, 0, attack->offered[0]);
        if (attack_kick(attack, 0) < 0)
                return OUTCOME_NOTHING;
        return attack_judge(attack, 0, 1, oracle->judge_ms);
}

static enum outcome start_and_use(struct oracle *oracle, struct attack *attack, const struct ring_plan *plan)
{
        int r = attack_start(attack, 0, plan);

        return r < 0 ? refusal(attack, r) : use_ring(oracle, attack);
}

/* ---- sizes ---- */

static enum outcome run_size(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, (uint32_t)c->arg);

        return start_and_use(oracle, attack, &plan);
}

static enum outcome run_base(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        plan.base = (uint32_t)c->arg;
        return start_and_use(oracle, attack, &plan);
}

static void list_sizes(struct ring_list *list)
{
        static const struct {
                uint32_t size;
                unsigned expect; /* a disk's request is longer than the smallest rings, its table too */
        } sizes[] = {{0, DROPPED},
                     {1, SERVED | OUTCOME_BROKEN},
                     {2, SERVED | OUTCOME_BROKEN},
                     {3, REFUSED},
                     {5, REFUSED},
                     {15, REFUSED},
                     {17, REFUSED},
                     {512, SERVED},
                     {1023, REFUSED},
                     {1024, SERVED},
                     {1025, REFUSED},
                     {2048, REFUSED},
                     {0x4000, REFUSED},
                     {0x7fff, REFUSED},
                     {0x8000, REFUSED},
                     {0x8001, DROPPED},
                     {0xffff, DROPPED},
                     {0x10000, DROPPED},
                     {0x10010, DROPPED},
                     {0x80000000, DROPPED},
                     {0xffffffff, DROPPED}};

        for (size_t i = 0; i < array_size(sizes); i++) {
                const struct ring_case c = {.group = "size",
                                            .target = TARGET_BOTH,
                                            .expect = sizes[i].expect,
                                            .run = run_size,
                                            .arg = sizes[i].size};

                ring_list_add_named(list, &c, "size_%u", sizes[i].size);
        }
}

/* ---- places ---- */

enum part { PART_DESC = 0, PART_AVAIL, PART_USED, PART_COUNT_ };

static const char *const part_names[PART_COUNT_] = {"descriptors", "available", "used"};

static uint64_t *part_of(struct ring_plan *plan, unsigned part)
{
        return part == PART_DESC ? &plan->desc : part == PART_AVAIL ? &plan->avail : &plan->used;
}

static uint64_t part_bytes(unsigned part)
{
        return part == PART_DESC    ? 16 * RING_SIZE
               : part == PART_AVAIL ? 6 + 2 * RING_SIZE
                                    : 6 + 8 * RING_SIZE;
}

/* A place for a part, in guest addresses; the part and the place are the case's argument. */
enum place {
        PLACE_MISALIGNED = 0,
        PLACE_HALF_ALIGNED,
        PLACE_OVER_TWO_REGIONS,
        PLACE_OVER_THE_EDGE,
        PLACE_ENDS_AT_THE_EDGE,
        PLACE_HIGH,
        PLACE_READ_ONLY,
        PLACE_COUNT_
};

static const struct {
        const char *name;
        enum outcome expect[PART_COUNT_];
} places[PLACE_COUNT_] = {
    [PLACE_MISALIGNED] = {"misaligned_by_1", {REFUSED, REFUSED, REFUSED}},
    [PLACE_HALF_ALIGNED] = {"aligned_to_half", {REFUSED, REFUSED, REFUSED}},
    [PLACE_OVER_TWO_REGIONS] = {"over_two_regions", {REFUSED, REFUSED, REFUSED}},
    [PLACE_OVER_THE_EDGE] = {"over_the_edge", {REFUSED, REFUSED, REFUSED}},
    [PLACE_ENDS_AT_THE_EDGE] = {"at_the_edge", {SERVED, SERVED, SERVED}},
    [PLACE_HIGH] = {"below_2_64", {SERVED, SERVED, SERVED}},
    [PLACE_READ_ONLY] = {"in_read_only_memory", {SERVED, SERVED, REFUSED}},
};

static uint64_t address_of(unsigned place, unsigned part, uint64_t ordinary)
{
        static const uint64_t align[] = {16, 2, 4};
        uint64_t whole = (part_bytes(part) + align[part] - 1) & ~(align[part] - 1);

        switch (place) {
        case PLACE_MISALIGNED:
                return ordinary + 1;
        case PLACE_HALF_ALIGNED:
                return ordinary + align[part] / 2;
        case PLACE_OVER_TWO_REGIONS:
                return NEXT - align[part];
        case PLACE_OVER_THE_EDGE:
                return HOLE - whole + align[part];
        case PLACE_ENDS_AT_THE_EDGE:
                return HOLE - whole;
        case PLACE_HIGH:
                return HIGH_END - whole;
        default:
                return FIXED + 0x1000 * (part + 1);
        }
}

static enum outcome run_place(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        unsigned place = (unsigned)c->arg / PART_COUNT_, part = (unsigned)c->arg % PART_COUNT_;

        *part_of(&plan, part) = address_of(place, part, *part_of(&plan, part));
        if (place == PLACE_READ_ONLY && part == PART_AVAIL)
                *(uint16_t *)guest_map_at(attack->map, plan.avail + 2, 2) = 0; /* of the case before */
        return start_and_use(oracle, attack, &plan);
}

static void list_places(struct ring_list *list)
{
        for (unsigned place = 0; place < PLACE_COUNT_; place++)
                for (unsigned part = 0; part < PART_COUNT_; part++) {
                        const struct ring_case c = {.group = "place",
                                                    .target = TARGET_BOTH,
                                                    .expect = places[place].expect[part],
                                                    .run = run_place,
                                                    .arg = place * PART_COUNT_ + part};

                        /* Half of an alignment of 2 is the same as off by one. */
                        if (place != PLACE_HALF_ALIGNED || part != PART_AVAIL)
                                ring_list_add_named(list, &c, "%s_%s", part_names[part], places[place].name);
                }
}

/* ---- user addresses in no region ---- */

static const struct {
        uint64_t value;
        const char *name;
} strangers[] = {{0, "0"},
                 {UINT64_MAX, "2_64_minus_1"},
                 {UINT64_MAX - 15, "2_64_minus_16"},
                 {UINT64_C(1) << 63, "2_63"},
                 {RING(0), "a_guest_address"},
                 {UINT64_C(0x7e0000000000) + MAIN - 16, "16_before_a_region"}};

static enum outcome run_stranger(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_words words = {.size = RING_SIZE,
                                   .desc = guest_map_user(attack->map, RING(0)),
                                   .avail = guest_map_user(attack->map, RING_AVAIL(0)),
                                   .used = guest_map_user(attack->map, RING_USED(0))};
        uint64_t *parts[] = {&words.desc, &words.avail, &words.used};

        (void)oracle;
        *parts[c->arg % PART_COUNT_] = strangers[c->arg / PART_COUNT_].value;
        return refusal(attack, announce(attack, &words));
}

static void list_strangers(struct ring_list *list)
{
        for (unsigned i = 0; i < array_size(strangers) * PART_COUNT_; i++) {
                /* The judge is the same for every device: each address once. */
                const struct ring_case c = {.group = "place",
                                            .target = i % 2 ? TARGET_RNG : TARGET_BLK,
                                            .expect = REFUSED,
                                            .run = run_stranger,
                                            .arg = i};

                ring_list_add_named(list, &c, "%s_at_%s", part_names[i % PART_COUNT_],
                                    strangers[i / PART_COUNT_].name);
        }
}

static enum outcome run_logged(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_words words = {.size = RING_SIZE,
                                   .flags = (uint32_t)c->arg,
                                   .desc = guest_map_user(attack->map, RING(0)),
                                   .avail = guest_map_user(attack->map, RING_AVAIL(0)),
                                   .used = guest_map_user(attack->map, RING_USED(0))};

        (void)oracle;
        return refusal(attack, announce(attack, &words));
}

/* ---- rings that overlap ---- */

static enum outcome run_overlap(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        enum outcome outcome;

        switch (c->arg) {
        case 0: /* the device writes over the guest's indices */
                plan.used = plan.avail;
                break;
        case 1:
                plan.used = plan.desc;
                break;
        case 2:
                plan.avail = plan.desc;
                break;
        case 3: /* one into the other by a few bytes */
                plan.used = plan.avail + 32;
                break;
        case 4:
                plan.used = DATA;
                break;
        default: /* all in one place */
                plan.avail = plan.used = plan.desc;
                break;
        }
        outcome = start_and_use(oracle, attack, &plan);
        /* What both sides write over each other may also be a ring in which nothing is new. */
        return outcome == OUTCOME_NOTHING && attack_lives(attack) ? OUTCOME_IGNORED : outcome;
}

#define EITHER (SERVED | OUTCOME_BROKEN | OUTCOME_IGNORED)

/* clang-format off */
static const struct ring_case cases[] = {
    {"base", "base_ffff", TARGET_BOTH, SERVED, .run = run_base, .arg = 0xffff},
    {"base", "base_10000", TARGET_BOTH, DROPPED, .run = run_base, .arg = 0x10000},
    {"base", "base_ffffffff", TARGET_BOTH, DROPPED, .run = run_base, .arg = 0xffffffff},
    {"base", "base_80000001_that_is_for_packed_rings", TARGET_BOTH, DROPPED, .run = run_base, .arg = 0x80000001},
    {"place", "with_a_dirty_log", TARGET_BLK, DROPPED, .run = run_logged, .arg = 1},
    {"place", "with_unknown_flags", TARGET_RNG, DROPPED, .run = run_logged, .arg = 0x80000000},
    {"overlap", "used_over_available", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 0},
    {"overlap", "used_over_descriptors", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 1},
    {"overlap", "available_over_descriptors", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 2},
    {"overlap", "used_into_available", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 3},
    {"overlap", "used_over_the_data", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 4},
    {"overlap", "all_in_one_place", TARGET_BOTH, EITHER, CASE_DIRTY, .run = run_overlap, .arg = 5},
};
/* clang-format on */

void rings_geometry_list(struct ring_list *list)
{
        list_sizes(list);
        list_places(list);
        list_strangers(list);
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
