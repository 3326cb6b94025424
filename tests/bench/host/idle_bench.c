/* A driver on each of many devices, that does nothing most of the time: what idle workers cost is measured from
 * outside meanwhile.
 *
 *      bulkhead-bench-idle BYTES REQUESTS blk=SOCKET|rng=SOCKET...
 *
 * Attaches to all, has each serve so many requests of so many bytes (a disk: written and read in turn), says
 * "ready" on stdout, and keeps its drivers attached until its stdin ends. TRUST: its devices are judged by their
 * answers alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/harness/front_ring.h"

#define DEVICES_MAX   256u
#define DEPTH         16u
#define PIECE         65536u /* bytes of one descriptor */
#define RING_SIZE     64u
#define DEADLINE_MS   20000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define ROOM          65536u /* rings, tables, headers and alignment */

struct driver {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front *blk;  /* of a disk; else NULL */
        struct split_ring ring; /* of entropy, and its one buffer */
        uint64_t buffer;
};

static struct driver drivers[DEVICES_MAX];

static _Noreturn void give_up(const char *what, int error)
{
        fprintf(stderr, "bulkhead-bench-idle: %s: %s\n", what, strerror(-error));
        exit(1);
}

/* ---- a disk ---- */

static int blk_start(struct driver *driver, uint32_t bytes)
{
        driver->blk = calloc(1, sizeof(*driver->blk));
        if (!driver->blk)
                return -ENOMEM;
        blk_front_init(driver->blk, &driver->front, &driver->ram, 0, RING_SIZE, DEPTH, bytes, PIECE);
        return blk_front_start(driver->blk, 0);
}

static int blk_load(struct driver *driver, uint32_t bytes, unsigned n)
{
        unsigned posted = 0;

        for (unsigned done = 0; done < n; done++) {
                struct blk_done answer;
                int r = 0;

                while (posted < n && r >= 0) {
                        r = blk_front_post(driver->blk, posted % 2 ? BLK_IN : BLK_OUT, 0, bytes, NULL);
                        posted += r >= 0;
                }
                r = blk_front_submit(driver->blk);
                if (r == 0)
                        r = blk_front_wait(driver->blk, DEADLINE_MS, &answer);
                if (r < 0 || answer.status != BLK_S_OK)
                        return r < 0 ? r : -EIO;
        }
        return 0;
}

/* ---- entropy ---- */

static int rng_start(struct driver *driver, uint32_t bytes)
{
        int r;

        split_ring_init(&driver->ring, &driver->ram, RING_SIZE, driver->front.offered & 1u << 28,
                        driver->front.offered & 1u << 29);
        driver->buffer = guest_ram_alloc(&driver->ram, bytes, 64);
        r = front_end_start(&driver->front, RING_FEATURES, &driver->ram);
        return r == 0 ? front_end_start_ring(&driver->front, 0, &driver->ring, 0) : r;
}

static int rng_once(struct driver *driver, uint32_t bytes)
{
        const struct split_segment segment = {driver->buffer, bytes};
        int r = split_ring_add(&driver->ring, &segment, 0, 1, driver);
        uint32_t len;
        void *cookie;

        if (r == 0)
                r = front_ring_show(&driver->front, 0, &driver->ring);
        return r < 0 ? r : front_ring_await(&driver->front, 0, &driver->ring, &cookie, &len);
}

static int rng_load(struct driver *driver, uint32_t bytes, unsigned n)
{
        int r = 0;

        for (unsigned i = 0; i < n && r == 0; i++)
                r = rng_once(driver, bytes);
        return r;
}

/* ---- all ---- */

static int driver_start(struct driver *driver, const char *path, bool is_blk, uint32_t bytes)
{
        uint64_t size = ((uint64_t)(is_blk ? DEPTH : 1) * (bytes + 8192u) + ROOM + 4095) & ~UINT64_C(4095);
        int r;

        driver->front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        r = wire_connect(&driver->front.wire, path);
        if (r == 0)
                r = front_end_negotiate(&driver->front, FRONT_END_QEMU_7_2, is_blk);
        if (r == 0)
                r = guest_ram_init(&driver->ram, size, 0);
        if (r < 0)
                return r;
        return is_blk ? blk_start(driver, bytes) : rng_start(driver, bytes);
}

static void driver_run(struct driver *driver, const char *name, uint32_t bytes, unsigned n)
{
        bool is_blk = strncmp(name, "blk=", 4) == 0;
        int r = driver_start(driver, name + 4, is_blk, bytes);

        if (r == 0)
                r = is_blk ? blk_load(driver, bytes, n) : rng_load(driver, bytes, n);
        if (r < 0)
                give_up(name, r);
}

int main(int argc, char **argv)
{
        uint32_t bytes = argc > 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
        unsigned n = argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
        char byte;

        if (bytes == 0 || bytes % 512 != 0 || argc - 3 > (int)DEVICES_MAX) {
                fprintf(stderr, "usage: bulkhead-bench-idle BYTES REQUESTS blk=SOCKET|rng=SOCKET...\n");
                return 2;
        }
        for (int i = 3; i < argc; i++) {
                if (strncmp(argv[i], "blk=", 4) != 0 && strncmp(argv[i], "rng=", 4) != 0)
                        give_up(argv[i], -EINVAL);
                driver_run(&drivers[i - 3], argv[i], bytes, n);
        }
        printf("ready\n");
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        return 0;
}
