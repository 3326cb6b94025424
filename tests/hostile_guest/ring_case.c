/* Runs named rings. Owns the list. TRUST: what became of a ring is the word of the broker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/ring_case.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/hostile_guest/disk_pattern.h"

#define IGNORED_MS 20 /* what does not happen by then does not happen */

_Static_assert(SECTOR_BYTES == SECTOR, "rows of tables are written in it");

static double now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

const char *outcome_name(enum outcome outcome)
{
        switch (outcome) {
        case OUTCOME_SERVED:
                return "served";
        case OUTCOME_BROKEN:
                return "ring broken";
        case OUTCOME_DROPPED:
                return "session dropped";
        case OUTCOME_REFUSED:
                return "refused";
        case OUTCOME_IGNORED:
                return "ignored";
        default:
                return "no verdict in time";
        }
}

/* ---- the list ---- */

static void add_one(struct ring_list *list, const struct ring_case *c, enum target target, const char *name)
{
        struct ring_case *added = &list->cases[list->n];

        if (list->n == RING_CASES_MAX)
                abort();
        snprintf(list->names[list->n], sizeof(list->names[0]), "%s.%s", target == TARGET_BLK ? "blk" : "rng",
                 name);
        *added = *c;
        added->target = target;
        added->name = list->names[list->n++];
}

void ring_list_add(struct ring_list *list, const struct ring_case *c)
{
        for (unsigned target = TARGET_BLK; target <= TARGET_RNG; target++)
                if (c->target & target)
                        add_one(list, c, (enum target)target, c->name);
}

void ring_list_add_named(struct ring_list *list, const struct ring_case *c, const char *format, ...)
{
        struct ring_case named = *c;
        char name[64];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(name, sizeof(name), format, arguments);
        va_end(arguments);
        named.name = name;
        ring_list_add(list, &named);
}

/* ---- writing ---- */

static void write_rows(struct attack *attack, const struct ring_case *c)
{
        uint64_t table = c->table_at ? c->table_at : TABLE;

        if (attack->target == TARGET_BLK) {
                *(uint8_t *)guest_map_at(attack->map, c->status_at ? c->status_at : STATUS, 1) = 0xff;
                attack_blk_header(attack, HEADER, BLK_IN, 0);
        }
        for (unsigned i = 0; i < c->n_desc; i++)
                attack_desc(attack, 0, i, &c->desc[i]);
        for (unsigned i = 0; i < c->n_table; i++)
                attack_table(attack, table, i, &c->table[i]);
        if (c->write)
                c->write(attack, c);
}

static void publish(struct attack *attack, const struct ring_case *c)
{
        for (unsigned i = 0; i < MAX(c->n_heads, 1u); i++)
                attack_offer(attack, 0, c->heads[i]);
        attack_show(attack, 0, c->show ? (uint16_t)(c->base + (uint16_t)c->show) : attack->offered[0]);
}

/* ---- what must be true of an outcome ---- */

static bool served_right(struct attack *attack, const struct ring_case *c, char *why, size_t size)
{
        const uint8_t *status = guest_map_at(attack->map, c->status_at ? c->status_at : STATUS, 1);
        uint32_t id, len;

        attack_used(attack, 0, &id, &len);
        if (attack_err_fired(attack, 0))
                snprintf(why, size, "served, and broken all the same");
        else if (c->used_len && len != c->used_len)
                snprintf(why, size, "%u bytes are said to be written, not %u", len, c->used_len);
        else if (attack->target == TARGET_BLK && *status != c->status)
                snprintf(why, size, "status %u, not %u", *status, c->status);
        else if ((c->flags & CASE_READS) && attack->target == TARGET_BLK &&
                 !disk_pattern_is(guest_map_at(attack->map, DATA, SECTOR), ORACLE_DISK, 0, 1, 1))
                snprintf(why, size, "the sector holds something else");
        else
                return true;
        return false;
}

/* What the device may write when it refuses: its used ring, and nothing else. */
static void take_image(const struct attack *attack, uint8_t *image)
{
        const struct ring_plan *ring = &attack->ring[0];

        memcpy(image, guest_map_at(attack->map, MAIN, SCRATCH), SCRATCH);
        if (ring->used >= MAIN && ring->used - MAIN <= SCRATCH - (6 + 8 * LIMIT_RING_SIZE))
                memset(image + (ring->used - MAIN), 0, 6 + 8 * (size_t)ring->size);
}

/* Only this ring is broken: the session answers, the device's other ring serves, and nobody spins. */
static bool only_this_ring(struct oracle *oracle, struct attack *attack, unsigned flags, char *why,
                           size_t size)
{
        struct ring_plan plan = ring_plan_at(1, 4);

        if (!attack_lives(attack)) {
                snprintf(why, size, "the session is gone, too");
                return false;
        }
        if (attack->target != TARGET_BLK || (flags & CASE_ALONE))
                return true;
        if (attack_start(attack, 1, &plan) < 0) {
                snprintf(why, size, "the device's other ring cannot start");
                return false;
        }
        return oracle_request(oracle, attack, 1, PARTNER, why, size);
}

static bool broken_right(struct oracle *oracle, struct attack *attack, const struct ring_case *c,
                         const uint8_t *before, char *why, size_t size)
{
        static uint8_t now[SCRATCH];

        if (!oracle_quiet(oracle, why, size)) /* and so much time for what must not happen */
                return false;
        take_image(attack, now);
        if (!c->run && !(c->flags & CASE_DIRTY) && memcmp(before, now, SCRATCH) != 0) {
                snprintf(why, size, "memory has changed that nobody may write");
                return false;
        }
        return only_this_ring(oracle, attack, c->flags, why, size);
}

/* ---- a case ---- */

static enum outcome run_rows(struct oracle *oracle, struct attack *attack, const struct ring_case *c,
                             uint8_t *image, double *ret_start)
{
        struct ring_plan plan = ring_plan_at(0, c->size ? c->size : RING_SIZE);
        unsigned n_used = c->n_used ? c->n_used : MAX(c->n_heads, 1u);
        enum outcome outcome;
        int r;

        plan.base = c->base;
        attack->ring[0] = plan;
        if (c->prepare)
                c->prepare(attack, c);
        r = attack_start(attack, 0, &plan);
        if (r < 0)
                return r == -EIO ? OUTCOME_REFUSED : OUTCOME_DROPPED;
        write_rows(attack, c);
        publish(attack, c);
        take_image(attack, image);
        *ret_start = now_ms();
        if (attack_kick(attack, 0) < 0)
                return OUTCOME_NOTHING;
        outcome =
            attack_judge(attack, 0, n_used, c->expect == OUTCOME_IGNORED ? IGNORED_MS : oracle->judge_ms);
        if (outcome == OUTCOME_NOTHING && (c->expect & OUTCOME_IGNORED) && attack_lives(attack))
                return OUTCOME_IGNORED;
        return outcome;
}

static uint64_t features_of(const struct ring_case *c)
{
        return FEATURE_VERSION_1 | FEATURE_PROTOCOL | (c->flags & CASE_NO_INDIRECT ? 0 : FEATURE_INDIRECT) |
               (c->flags & CASE_EVENT_IDX ? FEATURE_EVENT_IDX : 0) |
               (c->flags & CASE_PACKED ? FEATURE_PACKED : 0);
}

static bool judged_right(struct oracle *oracle, struct attack *attack, const struct ring_case *c,
                         const uint8_t *image, struct verdict *verdict)
{
        if (!(verdict->outcome & c->expect)) {
                snprintf(verdict->why, sizeof(verdict->why), "%s", outcome_name(verdict->outcome));
                return false;
        }
        if (verdict->outcome == OUTCOME_SERVED && !c->run)
                return served_right(attack, c, verdict->why, sizeof(verdict->why));
        if (verdict->outcome == OUTCOME_BROKEN)
                return broken_right(oracle, attack, c, image, verdict->why, sizeof(verdict->why));
        return true;
}

static bool run_session(struct oracle *oracle, struct attack *attack, const struct ring_case *c,
                        struct verdict *verdict)
{
        static uint8_t image[SCRATCH];
        static struct packed_view views[2];
        double start;
        int r = attack_connect(attack, &oracle->map, c->target, oracle->paths[c->target], oracle->settle_ms);

        attack->broker = oracle->broker;
        if (c->flags & CASE_PACKED)
                attack_pack(attack, views);
        if (r == 0 && !(c->flags & CASE_EARLY))
                r = attack_configure(attack, features_of(c));
        if (r < 0) {
                snprintf(verdict->why, sizeof(verdict->why), "no session: %s", strerror(-r));
                return false;
        }
        attack->front.wire.deadline_ms = oracle->judge_ms;
        start = now_ms();
        verdict->outcome = c->run ? c->run(oracle, attack, c) : run_rows(oracle, attack, c, image, &start);
        verdict->ms = c->run ? attack->judged_ms : now_ms() - start;
        attack->front.wire.deadline_ms = oracle->settle_ms;
        return judged_right(oracle, attack, c, image, verdict);
}

bool ring_case_run(struct oracle *oracle, const struct ring_case *c, struct verdict *ret_verdict)
{
        struct verdict verdict = {.outcome = OUTCOME_NOTHING};
        struct attack attack = {.front = {.wire = {.sock = -1}}};
        bool good = oracle_before(oracle, verdict.why, sizeof(verdict.why)) &&
                    run_session(oracle, &attack, c, &verdict);
        char after[sizeof(verdict.why) / 2];

        attack_close(&attack);
        if (!oracle_after(oracle, c->target, after, sizeof(after))) {
                size_t used = strlen(verdict.why);

                snprintf(verdict.why + used, sizeof(verdict.why) - used, "%safterwards: %s", used ? "; " : "",
                         after);
                good = false;
        }
        *ret_verdict = verdict;
        return good;
}
