/* What the test guest does with the shared memory region of the sample device, and a disk with buffers in it.
 * Owns the sample's ring; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define MAGIC     0x646165686b6c7562ull /* the sample's layout: proto/device/sample.h */
#define TAIL      16u
#define RING      4096u
#define RECORD    16u /* bytes of one with eight */
#define APPENDED  2u
#define BLK_IOERR 1u
#define SPIN_MAX  20000000000ull /* far longer than a worker takes, whatever else the host does */

static struct virtio_ring ring __attribute__((aligned(4096)));

static volatile uint64_t *word_at(uint64_t at)
{
        return (volatile uint64_t *)at;
}

/* The first sample device and its region. */
static bool find(const char *name, struct virtio *ret_device, uint64_t *ret_at, uint64_t *ret_len)
{
        if (!virtio_find(VIRTIO_TYPE_SAMPLE, 0, ret_device)) {
                fail(name, "no sample device", 0);
                return false;
        }
        if (virtio_region(ret_device, 0, ret_at, ret_len))
                return true;
        fail(name, "it has no region", *ret_at);
        return false;
}

/* After a reset the region is there at once, in zeros, and what its worker says of it when that has come. False: something else
 * is there. */
static bool await_magic(const char *name, uint64_t at)
{
        uint64_t word = 0;

        for (uint64_t spin = 0; word == 0 && spin < SPIN_MAX; spin++)
                word = *word_at(at);
        if (word != MAGIC)
                fail(name, "its first word", word);
        return word == MAGIC;
}

/* ---- the device's own ---- */

/* The driver puts a record into the region, and the worker takes it. */
static bool append(struct virtio *device, uint64_t at, uint64_t len, uint64_t n)
{
        uint64_t request[2] = {APPENDED, *word_at(at + TAIL) + RECORD};
        uint64_t place = at + RING + *word_at(at + TAIL) % (len - RING);
        static uint64_t answer[3];
        const struct virtio_part parts[] = {{request, sizeof(request), false},
                                            {answer, sizeof(answer), true}};

        *word_at(place) = 8;
        *word_at(place + 8) = n;
        if (virtio_do(device, "region", parts, 2) != sizeof(answer))
                return false;
        if ((answer[0] & 0xff) == 0 && answer[1] == n && *word_at(at + TAIL) == request[1])
                return true;
        fail("region", "not the record that was put there", answer[0]);
        return false;
}

/* Behind the region and before the next large page nothing is mapped. */
static bool hole(uint64_t at)
{
        *word_at(at) = 0x5eed;
        if (*word_at(at) == UINT64_MAX && mmio_read(at + 4) == UINT32_MAX)
                return true;
        fail("region", "a hole reads as", *word_at(at));
        return false;
}

static bool others_are_absent(const struct virtio *device)
{
        static const uint8_t absent[] = {1, 2, 127, 255};
        uint64_t at, len;

        for (uint32_t i = 0; i < sizeof(absent); i++) {
                if (virtio_region(device, absent[i], &at, &len) || at != UINT64_MAX) {
                        fail("region", "one that is not there", absent[i]);
                        return false;
                }
        }
        return true;
}

/* region=N: so many records by way of the region; both sides see what the other writes. */
void test_region(void)
{
        uint64_t n = option("region", 1), at, len;
        struct virtio device;

        if (!find("region", &device, &at, &len) || !others_are_absent(&device) ||
            !virtio_begin(&device, "region", 0, &ring) || !await_magic("region", at))
                return;
        if (*word_at(at + 8) != len - RING) {
                fail("region", "its second word", *word_at(at + 8));
                return;
        }
        for (uint64_t i = 1; i <= n; i++)
                if (!append(&device, at, len, i))
                        return;
        if (hole(at + len) && virtio_reset(&device, "region"))
                pass("region", n);
}

/* region_resets=N: after each its memory is fresh. */
void test_region_resets(void)
{
        uint64_t n = option("region_resets", 10), at, len;
        struct virtio device;

        if (!find("region_resets", &device, &at, &len))
                return;
        for (uint64_t i = 0; i < n; i++) {
                if (!virtio_begin(&device, "region_resets", 0, &ring) || !await_magic("region_resets", at))
                        return;
                *word_at(at + len - 8) = 0x5eed + i;
                if (!virtio_reset(&device, "region_resets"))
                        return;
                if (*word_at(at + len - 8) != 0) {
                        fail("region_resets", "what was there before", *word_at(at + len - 8));
                        return;
                }
        }
        pass("region_resets", n);
}

/* ---- a disk's buffers in it ---- */

struct foreign {
        struct virtio disk;
        uint64_t at, len; /* the region */
};

static bool foreign_begin(const char *name, struct foreign *ret)
{
        struct virtio sample;

        if (!find(name, &sample, &ret->at, &ret->len) || !virtio_begin(&sample, name, 0, &ring) ||
            !await_magic(name, ret->at))
                return false;
        if (!virtio_find(VIRTIO_TYPE_BLK, 0, &ret->disk)) {
                fail(name, "no disk", 0);
                return false;
        }
        return blk_begin(&ret->disk);
}

static bool expect(const char *name, uint32_t status, uint32_t wanted)
{
        if (status != wanted)
                fail(name, "status", status);
        return status == wanted;
}

/* From one place of the region to the disk, and from there to another. */
static bool copy_by_disk(struct foreign *foreign, uint64_t round)
{
        uint64_t from = foreign->at + foreign->len / 4, to = foreign->at + foreign->len / 2;

        for (uint64_t i = 0; i < BLK_BLOCK; i += 8) {
                *word_at(from + i) = round << 32 | i;
                *word_at(to + i) = 0;
        }
        if (!expect("foreign", blk_move(&foreign->disk, true, 0, from), 0) ||
            !expect("foreign", blk_move(&foreign->disk, false, 0, to), 0))
                return false;
        for (uint64_t i = 0; i < BLK_BLOCK; i += 8) {
                if (*word_at(to + i) != (round << 32 | i)) {
                        fail("foreign", "another word", *word_at(to + i));
                        return false;
                }
        }
        return true;
}

/* The second half of the block has no memory: an error, both ways, and the disk is as before. */
static bool over_the_end(struct foreign *foreign)
{
        uint64_t edge = foreign->at + foreign->len - BLK_BLOCK / 2;

        return expect("foreign", blk_move(&foreign->disk, true, 1, edge), BLK_IOERR) &&
               expect("foreign", blk_move(&foreign->disk, false, 1, edge), BLK_IOERR) &&
               expect("foreign", blk_move(&foreign->disk, false, 1, foreign->at + foreign->len), BLK_IOERR) &&
               expect("foreign", blk_move(&foreign->disk, true, 1, foreign->at + foreign->len), BLK_IOERR);
}

/* foreign=N: so many rounds. */
void test_foreign(void)
{
        uint64_t n = option("foreign", 1);
        struct foreign foreign;

        if (!foreign_begin("foreign", &foreign))
                return;
        for (uint64_t i = 1; i <= n; i++) {
                if (!copy_by_disk(&foreign, i) || !over_the_end(&foreign))
                        return;
                if (i == 1)
                        put_text("foreign\n"); /* both devices' workers are those after the reset */
        }
        if (blk_round(&foreign.disk, 1, 4))
                pass("foreign", n);
}

void test_foreign_refused(void)
{
        struct foreign foreign;

        if (!foreign_begin("foreign_refused", &foreign))
                return;
        *word_at(foreign.at + foreign.len / 2) = 0x5eed;
        if (!expect("foreign_refused", blk_move(&foreign.disk, true, 0, foreign.at), BLK_IOERR) ||
            !expect("foreign_refused", blk_move(&foreign.disk, false, 0, foreign.at + foreign.len / 2),
                    BLK_IOERR))
                return;
        if (*word_at(foreign.at + foreign.len / 2) != 0x5eed)
                fail("foreign_refused", "bytes have changed", *word_at(foreign.at + foreign.len / 2));
        else if (blk_round(&foreign.disk, 1, 4))
                pass("foreign_refused", 0);
}

/* A ring there: the disk needs a reset, and then works on. */
void test_foreign_ring(void)
{
        struct foreign foreign;

        if (!foreign_begin("foreign_ring", &foreign))
                return;
        (void)virtio_begin(&foreign.disk, "foreign_ring", 0,
                           (struct virtio_ring *)(foreign.at + foreign.len / 2));
        if (!(mmio_read(foreign.disk.at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET))
                fail("foreign_ring", "status", mmio_read(foreign.disk.at + VIRTIO_STATUS));
        else if (blk_works(&foreign.disk, 2))
                pass("foreign_ring", 0);
}
