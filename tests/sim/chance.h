/* The one source of chance: every choice of a simulation comes from its seed, in order.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void chance_seed(uint64_t seed);
uint64_t chance_next(void);

/* 0 .. n - 1; n > 0. */
uint32_t chance_below(uint32_t n);
uint32_t chance_between(uint32_t low, uint32_t high); /* both included */

/* True once in n times on average; never when n is 0. */
bool chance_one_in(uint32_t n);

/* An index, each as often as its weight says; their sum is not 0. */
unsigned chance_weighted(const uint32_t *weights, unsigned n);
