/* Chance from a seed (splitmix64).
 * Owns the state; called by everything in tests/sim, on one thread. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/chance.h"

static uint64_t state;

void chance_seed(uint64_t seed)
{
        state = seed * UINT64_C(0xd1342543de82ef95) + 1;
}

uint64_t chance_next(void)
{
        uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

uint32_t chance_below(uint32_t n)
{
        return (uint32_t)((chance_next() >> 32) * n >> 32);
}

uint32_t chance_between(uint32_t low, uint32_t high)
{
        return low + chance_below(high - low + 1);
}

bool chance_one_in(uint32_t n)
{
        return n > 0 && chance_below(n) == 0;
}

unsigned chance_weighted(const uint32_t *weights, unsigned n)
{
        uint32_t sum = 0, at;
        unsigned i = 0;

        for (unsigned k = 0; k < n; k++)
                sum += weights[k];
        at = chance_below(sum);
        while (at >= weights[i])
                at -= weights[i++];
        return i;
}
