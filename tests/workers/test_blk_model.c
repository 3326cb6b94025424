/* workers/blk: random work against a model of the disk.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/blk_disk.h"

#define BATCH 24u

struct step {
        struct io io;
        uint8_t *want; /* of a read: as the disk was */
        uint64_t at;   /* of the first byte, both */
        uint32_t len;
};

static uint32_t random_sectors(void)
{
        return rand() % 8 == 0 ? (uint32_t)rand() % 1200 : (uint32_t)rand() % 20;
}

static uint8_t *step_keep(struct step *step, uint64_t sector, uint32_t n)
{
        uint8_t *bytes = malloc(n * 512 + 1);

        assert_non_null(bytes);
        step->at = sector * 512;
        step->len = n * 512;
        memcpy(bytes, disk + step->at, step->len);
        return bytes;
}

static void step_write(struct step *step, uint64_t sector, uint32_t n)
{
        for (uint32_t i = 0; i < n * 512; i++)
                disk[sector * 512 + i] = (uint8_t)rand();
        io_init(&step->io, T_OUT, sector, disk + sector * 512, n * 512, 1);
}

static void step_read(struct step *step, uint64_t sector, uint32_t n)
{
        step->want = step_keep(step, sector, n);
        io_init(&step->io, T_IN, sector, NULL, 0, step->len + 1);
}

static void step_ranges(struct step *step, uint32_t type, uint64_t sector, uint32_t n)
{
        struct {
                uint64_t sector;
                uint32_t n, flags;
        } range = {htole64(sector), htole32(n), htole32(type == T_WRITE_ZEROES ? (uint32_t)rand() % 2 : 0)};

        memset(disk + sector * 512, 0, n * 512); /* a punched hole reads as zeros here, too */
        io_init(&step->io, type, 0, &range, sizeof(range), 1);
}

/* Half of the steps go on where the one before ended, with the same kind: requests that become runs. */
static void step_make(struct step *step)
{
        static uint64_t next;
        static unsigned kind;
        uint32_t n = random_sectors();
        bool goes_on = rand() % 2 && next + n < SECTORS;
        uint64_t sector = goes_on ? next : (uint64_t)rand() % (SECTORS - n);

        *step = (struct step){0};
        next = sector + n;
        if (!goes_on)
                kind = (unsigned)rand() % 8;
        switch (kind) {
        case 0:
        case 1:
        case 2:
                step_write(step, sector, n);
                break;
        case 3:
                step_ranges(step, T_WRITE_ZEROES, sector, n);
                break;
        case 4:
                step_ranges(step, T_DISCARD, sector, n);
                break;
        case 5:
                io_init(&step->io, T_FLUSH, 0, NULL, 0, 1);
                break;
        default:
                step_read(step, sector, n);
        }
        if (rand() % 3 == 0)
                step->io.request.inlined = (uint32_t)rand() % MIN(step->io.request.n_readable + 1, 20000u);
        else
                step->io.request.inlined = MIN(step->io.request.n_readable, 20000u);
}

/* Requests that are under way together have no order (virtio 1.3, 5.2.6); the worker keeps the driver's all the same. */
static void steps_check(struct step *steps, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(io_status(&steps[i].io), BLK_STATUS_OK);
                if (steps[i].want)
                        assert_memory_equal(steps[i].io.writable, steps[i].want, steps[i].len);
        }
        for (unsigned i = 0; i < n; i++) {
                free(steps[i].want);
                io_done(&steps[i].io);
        }
}

static void agree_with_the_model(void)
{
        static struct fake_request requests[BATCH];
        static struct step steps[BATCH];
        const char *rounds = getenv("BLK_ROUNDS");

        for (int round = rounds ? atoi(rounds) : 400; round > 0; round--) {
                unsigned n = 1 + (unsigned)rand() % BATCH, first = (unsigned)rand() % (n + 1);

                broker.lend = rand() % 2;
                for (unsigned i = 0; i < n; i++) {
                        step_make(&steps[i]);
                        requests[i] = steps[i].io.request;
                }
                if (first > 0)
                        fake_send_requests(&broker, 0, requests, first);
                if (first < n)
                        fake_send_requests(&broker, 0, requests + first, n - first);
                fake_drain(&broker, 0);
                for (unsigned i = 0; i < n; i++)
                        steps[i].io.request = requests[i];
                steps_check(steps, n);
        }
        assert_true(broker.n_placed > 0);
        finish();
}

static void random_work_agrees_with_the_model(void **state)
{
        (void)state;
        srand(20);
        start();
        agree_with_the_model();
}

static void random_work_past_the_page_cache_agrees_with_the_model(void **state)
{
        (void)state;
        srand(21);
        start_direct(512);
        host_control->backwards = true;
        agree_with_the_model();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(random_work_agrees_with_the_model),
            cmocka_unit_test(random_work_past_the_page_cache_agrees_with_the_model),
        };

        return cmocka_run_group_tests(tests, setup_group, NULL);
}
