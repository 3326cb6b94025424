/* A stream of records (proto/device/sample.h), taken piece by piece. Pure: bytes in, sums out.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device/sample.h"

#define SAMPLE_WORD 8u /* a record begins at a multiple of it */

/* Zero is the beginning of a stream. */
struct sample_stream {
        uint8_t word[SAMPLE_WORD]; /* the beginning of one */
        uint32_t have;             /* so many bytes of it */
        uint32_t left;             /* words of the record that is being taken */
        bool bad;                  /* a record that cannot be has come: nothing behind it has a meaning */
        uint64_t records;          /* taken whole */
        uint64_t sum; /* of all words of all records, their heads too: shifted round by one, and added */
};

/* Takes bytes that somebody else may be changing: each is loaded once. */
void sample_stream_take(struct sample_stream *stream, const volatile uint8_t *bytes, uint64_t len);

/* Does the stream stand between two records, and is it good? */
bool sample_stream_is_whole(const struct sample_stream *stream);
