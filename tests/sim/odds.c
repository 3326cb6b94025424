/* How often things happen in one run (swarm testing).
 * Owns nothing; called at the start of a run. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/odds.h"

#include <stddef.h>

#include "proto/base/checked.h"
#include "tests/sim/chance.h"

#define CROWDED 6u /* one run in so many */

/* One row a kind of event: in how many of four runs it happens at all, and between which odds. */
static const struct odds_row {
        size_t offset;
        uint8_t runs_in_four;
        uint32_t low, high;
        bool hurts;
} rows[] = {
#define ROW(field, runs, low, high, hurts)                                                                   \
        {                                                                                                    \
                offsetof(struct odds, field), runs, low, high, hurts                                         \
        }
    ROW(patient, 1, 1, 1, false),
    ROW(burst, 4, 1, 24, false),
    ROW(medium, 3, 4, 60, false),
    ROW(large, 2, 30, 800, false),
    ROW(indirect, 3, 1, 6, false),
    ROW(bad_chain, 1, 100, 5000, true),
    ROW(poison, 1, 100, 5000, true),
    ROW(poll, 2, 4, 100, false),
    ROW(gulp, 2, 2, 60, false),
    ROW(spew, 2, 2, 60, true), /* who sends in drips may be killed for it */
    ROW(scatter, 3, 2, 40, false),
    ROW(mem_read, 2, 3, 40, false),
    ROW(batch, 4, 1, 48, false),
    ROW(slow, 2, 5, 300, false),
    ROW(put_state, 2, 20, 500, false),
    ROW(eager, 2, 2, 30, false),
    ROW(small_buffers, 2, 1, 6, false),
    ROW(kill, 3, 30, 1500, true),
    ROW(kill_mid_frame, 3, 30, 1500, true),
    ROW(hang, 1, 200, 4000, true),
    ROW(offend, 1, 60, 1500, true),
    ROW(protocol_error, 1, 500, 10000, true),
    ROW(stuck_exit, 1, 3, 20, true),
    ROW(silent, 1, 3, 30, true),
    ROW(liar, 1, 3, 30, true),
    ROW(deaf, 1, 3, 30, true),
    ROW(die_young, 1, 2, 12, true),
    ROW(refuse_config, 2, 2, 8, false),
    ROW(spawn_fails, 1, 2, 12, true),
    ROW(spawn_late, 2, 2, 12, false),
    ROW(stop, 3, 30, 800, false),
    ROW(stop_all, 2, 60, 1500, false),
    ROW(reset, 2, 100, 2000, false),
    ROW(reconnect, 1, 150, 2500, false),
    ROW(set_call, 2, 60, 1000, false),
    ROW(config_write, 2, 30, 600, false),
    ROW(config_push, 1, 30, 600, false),
    ROW(remove_region, 2, 60, 800, false),
    ROW(remove_used_region, 1, 200, 3000, true),
    ROW(move_region, 2, 30, 600, false),
    ROW(remap_region, 2, 30, 600, false),
    ROW(iommu, 1, 20, 1000, false),
    ROW(rate_ops, 1, 500, 20000, false),
    ROW(rate_mib, 1, 4, 200, false),
    ROW(preempt, 3, 2, 8, false),
    ROW(race, 3, 4, 200, false),
    ROW(breath, 2, 2, 6, false),
    ROW(short_io, 2, 3, 60, false),
    ROW(again, 2, 4, 60, false),
    ROW(interrupt, 1, 8, 60, false),
    ROW(time_passes, 3, 20, 500, false),
#undef ROW
};

/* A crowded run: deaths, stops and lost memory at once, and often. What takes three kinds of trouble is met in no other. */
static const struct {
        size_t offset;
        uint32_t low, high;
} crowd[] = {
    {offsetof(struct odds, kill), 20, 100},   {offsetof(struct odds, poison), 20, 200},
    {offsetof(struct odds, stop), 20, 200},   {offsetof(struct odds, remove_used_region), 20, 200},
    {offsetof(struct odds, hang), 100, 1000},
};

static void choose(struct odds *odds, size_t offset, uint32_t low, uint32_t high)
{
        *(uint32_t *)(void *)((uint8_t *)odds + offset) = chance_between(low, high);
}

void odds_choose(struct odds *ret_odds)
{
        *ret_odds = (struct odds){0};
        for (size_t i = 0; i < array_size(rows); i++)
                if (chance_below(4) < rows[i].runs_in_four)
                        choose(ret_odds, rows[i].offset, rows[i].low, rows[i].high);
        for (size_t i = 0, n = chance_one_in(CROWDED) ? array_size(crowd) : 0; i < n; i++)
                choose(ret_odds, crowd[i].offset, crowd[i].low, crowd[i].high);
}

void odds_heal(struct odds *odds)
{
        for (size_t i = 0; i < array_size(rows); i++)
                if (rows[i].hurts)
                        *(uint32_t *)(void *)((uint8_t *)odds + rows[i].offset) = 0;
}
