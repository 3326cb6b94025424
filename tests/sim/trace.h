/* What happened in a run, as text for a person and as a hash for the comparison of two runs; and the end of a
 * run that found something.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A new run. `print`: every event becomes a line on stdout. `replay` is what a person types to see it again.
 */
void trace_start(const char *replay, bool print);
void trace_set_step(uint64_t step);

/* An event of the schedule or of the model: part of the hash. */
void trace_event(const char *what, unsigned device, uint64_t a, uint64_t b);

/* For a person only. */
void trace_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t trace_hash(void);

/* The model is contradicted: says what, where and how to see it again; the process ends with status 1. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define sim_check(condition, ...)                                                                            \
        do {                                                                                                 \
                if (!(condition))                                                                            \
                        sim_fail(__VA_ARGS__);                                                               \
        } while (0)
