/* Times that were measured, and what is said of them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t samples_now_ns(void); /* CLOCK_MONOTONIC */

/* Sorts. n > 0. */
void samples_sort(uint64_t *ns, size_t n);
/* Of sorted ones: the smallest that so many percent are not above. */
uint64_t samples_percentile(const uint64_t *ns, size_t n, unsigned percent);

/* , "NAME": {"p50": 1.2345, "p99": ..., "longest": ...} in milliseconds, to stdout; sorts. */
void samples_print_json(const char *name, uint64_t *ns, size_t n);
