/* Bytes that follow from a number: what is in a buffer is known without keeping it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, first. */
void bytes_start(void);

/* The bytes at `at` of the stream that belongs to this key. */
void bytes_fill(uint64_t key, uint64_t at, uint8_t *ret_bytes, size_t len);
bool bytes_are(uint64_t key, uint64_t at, const uint8_t *bytes, size_t len);
uint8_t byte_of(uint64_t key, uint64_t at);

/* Memory that nobody may write holds the canary of its place. */
void canary_fill(uint64_t at, uint8_t *ret_bytes, size_t len);
bool canary_is(uint64_t at, const uint8_t *bytes, size_t len);
