/* One row of work: what is asked, how much at a time, how many at once.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bench_op {
        BENCH_READ = 0,
        BENCH_WRITE,
        BENCH_MIXED, /* seven reads to three writes */
        BENCH_OP_COUNT_,
};

#define BENCH_DEPTH_MAX  256u
#define BENCH_QUEUES_MAX 16u
#define BENCH_BLOCK_MAX  (4u << 20)

struct bench_case {
        enum bench_op op;
        uint32_t block;  /* bytes of one request: a multiple of 512 */
        unsigned depth;  /* requests outstanding on each queue */
        unsigned queues; /* a thread of the client's each */
        bool sequential, packed;
};

/* "read:4k:32" with any of ":seq", ":queues=N", ":packed". 0; -EINVAL, and *ret_why says what is wrong with it. */
int bench_case_parse(const char *words, struct bench_case *ret_case, const char **ret_why);

/* The same words again, in one spelling: the row's name in tables and files. */
void bench_case_name(const struct bench_case *work, char *name, size_t size);

/* "4k", "1M", "512". False: no such size. */
bool bench_size_parse(const char *words, uint64_t *ret_size);
