/* Made-up hosts for placement.
 * Owns nothing; TRUST: sees its own numbers only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/placement_bench.h"

#include <stdlib.h>

#include "proto/base/checked.h"

static const uint16_t cpus[LIMIT_PLACE_CPUS] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

static void pass(struct host *h, uint64_t ns)
{
        int place = h->placement.place;

        h->now_ns += ns;
        h->at_ns[place != PLACE_FREE] += ns;
        if (place != PLACE_FREE)
                *(place_is_alone(place) ? &h->tried_alone : &h->tried) |= UINT64_C(1) << place_cpu(place);
}

/* How long the next PLACE_LOOK requests take. */
static uint64_t step_ns(struct host *h)
{
        uint64_t rate = h->rate(h->placement.place, h->now_ns);
        uint64_t percent = 100;

        if (rate == 0)
                return UINT64_MAX;
        if (h->noise_percent > 0)
                percent += (unsigned)rand_r(&h->seed) % (2 * h->noise_percent + 1) - h->noise_percent;
        return PLACE_LOOK * SECOND * 100 / (rate * percent);
}

void host_begin(struct host *h, unsigned n_cpus, uint64_t (*rate)(int place, uint64_t now_ns))
{
        *h = (struct host){.rate = rate, .now_ns = 1000 * SECOND, .seed = 1};
        placement_init(&h->placement, cpus, n_cpus);
        h->left_ns = step_ns(h);
        h->next_tick_ns = h->now_ns;
}

static uint64_t first_of(uint64_t a, uint64_t b)
{
        return MIN(a, b);
}

static void tick(struct host *h, bool idle)
{
        h->next_tick_ns = h->now_ns + LIMIT_PLACE_TICK_MS * MS;
        if (h->placement.place != PLACE_FREE)
                placement_tick(&h->placement, h->now_ns, h->requests, h->requests * BLOCK, idle);
}

void host_step(struct host *h, uint64_t end_ns)
{
        uint64_t ns = first_of(first_of(h->left_ns, h->next_tick_ns - h->now_ns), end_ns - h->now_ns);
        int before = h->placement.place;

        pass(h, ns);
        h->left_ns -= h->left_ns == UINT64_MAX ? 0 : ns;
        if (h->now_ns == h->next_tick_ns)
                tick(h, false);
        if (h->left_ns == 0) {
                h->requests += PLACE_LOOK;
                placement_look(&h->placement, h->now_ns, h->requests, h->requests * BLOCK);
        }
        if (h->left_ns == 0 || h->placement.place != before)
                h->left_ns = step_ns(h);
        h->n_moves += h->placement.place != before;
}

void host_load(struct host *h, uint64_t ns)
{
        const uint64_t end_ns = h->now_ns + ns;

        while (h->now_ns < end_ns)
                host_step(h, end_ns);
}

void host_rest(struct host *h, uint64_t ns)
{
        for (uint64_t i = 0; i < ns / (LIMIT_PLACE_TICK_MS * MS); i++) {
                pass(h, LIMIT_PLACE_TICK_MS * MS);
                tick(h, true);
        }
}

uint64_t host_done_in(struct host *h, uint64_t ns)
{
        uint64_t before = h->requests;

        host_load(h, ns);
        return h->requests - before;
}
