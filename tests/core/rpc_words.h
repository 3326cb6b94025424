/* What the input of fuzz_rpc_state says: its bytes one by one, and the words of a worker that they stand for.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/core/stage.h"

/* Bytes that are not there are zeros. */
void rpc_input(const uint8_t *bytes, size_t len);
bool rpc_is_more(void);
uint8_t rpc_next(void);
uint32_t rpc_below(uint32_t n);

/* 0: as it should be; else with one thing that no successor may say, or no worker of a disk. */
void rpc_say_hello(struct stage *stage, unsigned device, uint8_t twist);

struct rpc_words {
        unsigned n;
        bool fair; /* it names what it holds, inside, each once */
        uint64_t id[4];
        uint32_t offset[4], len[4], status[4];
        uint32_t total;
        unsigned index[4]; /* in held */
};

/* One to four segments of the writable parts, or of the readable ones. */
struct rpc_words rpc_choose(const struct stage *stage, unsigned device, bool write);

/* Empty segments are no segments. */
bool rpc_has_empty(const struct rpc_words *words);
