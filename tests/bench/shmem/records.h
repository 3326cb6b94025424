/* Records for a sample device (proto/device/sample.h), and what it must say of them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Where words go one after the other: after the last of `len` bytes comes the first. */
struct records_place {
        uint8_t *base;
        uint64_t at, len; /* multiples of 8 */
};

/* All that were ever made. */
struct records {
        uint64_t count, sum;
        uint64_t word; /* the last one that was made up */
};

/* Bytes that a record of `len` bytes takes, with its head. */
uint32_t records_stride(uint32_t len);

/* Writes n more of `len` bytes each; no two words of them are alike. The place is moved behind them. */
void records_make(struct records *records, struct records_place *place, uint32_t len, unsigned n);
