/* Arithmetic on numbers that others chose. Every function returns false instead of wrapping and writes its
 * result only on success.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/param.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
        uint64_t sum;

        if (__builtin_add_overflow(a, b, &sum))
                return false;
        *ret_sum = sum;
        return true;
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *ret_product)
{
        uint64_t product;

        if (__builtin_mul_overflow(a, b, &product))
                return false;
        *ret_product = product;
        return true;
}

static inline bool checked_u32(uint64_t v, uint32_t *ret_narrow)
{
        if (v > UINT32_MAX)
                return false;
        *ret_narrow = (uint32_t)v;
        return true;
}

/* Is [offset, offset + len) inside [0, size)? By subtraction, so that no sum can wrap. An empty range is
 * inside up to and including offset == size. */
static inline bool range_inside(uint64_t offset, uint64_t len, uint64_t size)
{
        return len <= size && offset <= size - len;
}

/* Is [start, start + len) inside [outer, outer + outer_len)? outer + outer_len must not exceed 2^64. */
static inline bool range_within(uint64_t start, uint64_t len, uint64_t outer, uint64_t outer_len)
{
        return start >= outer && range_inside(start - outer, len, outer_len);
}

static inline bool is_power_of_2(uint64_t v)
{
        return v != 0 && (v & (v - 1)) == 0;
}

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

/* libuv brings those of sys/param.h, which evaluate an argument twice. */
#undef MIN
#undef MAX
#define MIN(a, b)                                                                                            \
        ({                                                                                                   \
                __typeof__(a) min_a_ = (a);                                                                  \
                __typeof__(b) min_b_ = (b);                                                                  \
                min_a_ < min_b_ ? min_a_ : min_b_;                                                           \
        })
#define MAX(a, b)                                                                                            \
        ({                                                                                                   \
                __typeof__(a) max_a_ = (a);                                                                  \
                __typeof__(b) max_b_ = (b);                                                                  \
                max_a_ > max_b_ ? max_a_ : max_b_;                                                           \
        })
