/* A disk that is read at queue depth 1. Owns its front end; called by tests. TRUST: completions are the broker's,
 * and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/measured_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "tests/harness/blk_front.h"

#define DEADLINE_MS 10000
#define BLOCK       4096u
#define BLOCKS      4096u

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        unsigned seed;
        uint64_t sample[MEASURED_SAMPLES];
} disk = {.front = {.wire = {.sock = -1}, .backend = -1}};

uint64_t measured_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void measured_disk_open(const char *socket)
{
        disk.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&disk.front.wire, socket), 0);
        assert_int_equal(front_end_negotiate(&disk.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&disk.ram, 4 << 20, UINT64_C(0x80000000)), 0);
        blk_front_init(&disk.blk, &disk.front, &disk.ram, 0, 64, 1, BLOCK, BLOCK);
        assert_int_equal(blk_front_start(&disk.blk, 0), 0);
}

void measured_disk_close(void)
{
        front_end_close(&disk.front);
        guest_ram_done(&disk.ram);
}

static uint64_t read_one(void)
{
        uint64_t block = (unsigned)rand_r(&disk.seed) % BLOCKS, start = measured_now_ns();

        assert_int_equal(blk_front_do(&disk.blk, BLK_IN, block * (BLOCK / 512), BLOCK, DEADLINE_MS), 0);
        return measured_now_ns() - start;
}

void measured_disk_read(unsigned n)
{
        while (n-- > 0)
                read_one();
}

static int by_size(const void *a, const void *b)
{
        const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

struct percentiles measured_disk_measure(void)
{
        for (unsigned i = 0; i < MEASURED_SAMPLES; i++)
                disk.sample[i] = read_one();
        qsort(disk.sample, MEASURED_SAMPLES, sizeof(disk.sample[0]), by_size);
        return (struct percentiles){.p50_us = (double)disk.sample[MEASURED_SAMPLES / 2] / 1000,
                                    .p99_us = (double)disk.sample[MEASURED_SAMPLES - MEASURED_SAMPLES / 100] /
                                              1000};
}

static int by_value(const void *a, const void *b)
{
        const double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

double measured_median(double *values, unsigned n)
{
        qsort(values, n, sizeof(values[0]), by_value);
        return values[n / 2];
}
