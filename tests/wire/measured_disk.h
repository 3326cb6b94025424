/* A disk that is read at queue depth 1, and how long that takes: what neighbours of an attacker feel.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define MEASURED_SAMPLES 2000u

struct percentiles {
        double p50_us, p99_us;
};

/* One at a time. A failure fails the test. */
void measured_disk_open(const char *socket);
void measured_disk_close(void);

/* So many random blocks. */
void measured_disk_read(unsigned n);

/* Of MEASURED_SAMPLES of them. */
struct percentiles measured_disk_measure(void);

/* Sorts the values. */
double measured_median(double *values, unsigned n);

uint64_t measured_now_ns(void);
