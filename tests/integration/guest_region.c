/* A driver of the sample device in the guest's user space: starts the device by hand, finds its shared memory region by the
 * PCI capability, puts records into the ring there and holds what the device says of them against its own sum. Runs inside the
 * guest, statically linked, built by packaging/guest-image. Owns the device while it runs; what it finds goes to stdout as
 * `name=value` words. TRUST: its own command line; it is here to doubt the device.
 * SPDX-License-Identifier: Apache-2.0 *
 *   guest_region PCI COMMAND...   one after the other:
 *     find     which region there is
 *     run=N    reset, start, RECORDS records, so many times; the device is left running
 *     records  RECORDS records more
 *     peek     what is in the region's place, at its beginning and its end
 *     reset    reset
 *     wait     for a line on stdin
 *
 * PCI: a folder of /sys/bus/pci/devices. Exit status: 0 all right, 1 something is wrong, 2 a wrong command line. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/device/sample.h"

#define PAGE       4096u
#define BARS       6u
#define RECORDS    100u
#define RECORD_LEN 40u
#define DEADLINE_S 20

struct region {
        volatile uint8_t *at;
        uint64_t len;
        unsigned bar, shmid, n; /* n: of all the regions that were found */
};

struct pci {
        const char *folder;
        volatile uint8_t *bars[BARS];
        uint64_t bar_len[BARS];
        volatile struct virtio_pci_common_cfg *common;
        volatile uint8_t *notify;
        uint32_t notify_multiplier;
        struct region region;
};

/* What the device reads and writes: a page each, whose physical address the kernel tells us. */
enum page {
        PAGE_DESC = 0,
        PAGE_AVAIL,
        PAGE_USED,
        PAGE_BYTES,
        PAGE_COUNT_,
};
static uint8_t *pages[PAGE_COUNT_];
static uint64_t physical[PAGE_COUNT_];

static struct {
        uint64_t sum, records;
} own, device;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf(" errno=%d\n", errno);
        exit(1);
}

static int open_in(const struct pci *pci, const char *name, int flags)
{
        char path[256];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", pci->folder, name);
        fd = open(path, flags | O_CLOEXEC);
        if (fd < 0)
                fail("cannot open %s", path);
        return fd;
}

static uint64_t config_read(const struct pci *pci, uint32_t at, unsigned len)
{
        uint64_t value = 0;
        int fd = open_in(pci, "config", O_RDONLY);

        if (pread(fd, &value, len, at) != (ssize_t)len)
                fail("cannot read config at=%u", at);
        close(fd);
        return le64toh(value);
}

/* Memory and bus master: what the kernel's driver would do. */
static void device_enable(const struct pci *pci)
{
        uint16_t command =
            (uint16_t)(config_read(pci, PCI_COMMAND, 2) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        int fd = open_in(pci, "config", O_WRONLY);

        if (pwrite(fd, &command, 2, PCI_COMMAND) != 2)
                fail("cannot write config");
        close(fd);
}

static volatile uint8_t *bar_at(struct pci *pci, unsigned bar, uint64_t offset, uint64_t len)
{
        if (bar >= BARS)
                fail("no such bar=%u", bar);
        if (!pci->bars[bar]) {
                char name[16];
                struct stat st;
                void *mapped;
                int fd;

                snprintf(name, sizeof(name), "resource%u", bar);
                fd = open_in(pci, name, O_RDWR);
                if (fstat(fd, &st) < 0)
                        fail("cannot stat %s", name);
                mapped = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                if (mapped == MAP_FAILED)
                        fail("cannot map %s", name);
                pci->bars[bar] = mapped;
                pci->bar_len[bar] = (uint64_t)st.st_size;
                close(fd);
        }
        if (offset > pci->bar_len[bar] || len > pci->bar_len[bar] - offset)
                fail("capability outside of bar=%u offset=%" PRIu64 " len=%" PRIu64, bar, offset, len);
        return pci->bars[bar] + offset;
}

static void take_capability(struct pci *pci, uint32_t at)
{
        unsigned type = (unsigned)config_read(pci, at + offsetof(struct virtio_pci_cap, cfg_type), 1);
        unsigned bar = (unsigned)config_read(pci, at + offsetof(struct virtio_pci_cap, bar), 1);
        uint64_t offset = config_read(pci, at + offsetof(struct virtio_pci_cap, offset), 4);
        uint64_t len = config_read(pci, at + offsetof(struct virtio_pci_cap, length), 4);

        if (type == VIRTIO_PCI_CAP_COMMON_CFG)
                pci->common = (volatile void *)bar_at(pci, bar, offset, len);
        if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
                pci->notify = bar_at(pci, bar, offset, len);
                pci->notify_multiplier = (uint32_t)config_read(pci, at + sizeof(struct virtio_pci_cap), 4);
        }
        if (type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG) {
                offset |= config_read(pci, at + sizeof(struct virtio_pci_cap), 4) << 32;
                len |= config_read(pci, at + sizeof(struct virtio_pci_cap) + 4, 4) << 32;
                pci->region.at = bar_at(pci, bar, offset, len);
                pci->region.len = len;
                pci->region.bar = bar;
                pci->region.shmid = (unsigned)config_read(pci, at + 5, 1); /* virtio 1.3, 4.1.4: id */
                pci->region.n++;
        }
}

static void find(struct pci *pci)
{
        uint32_t at = (uint32_t)config_read(pci, PCI_CAPABILITY_LIST, 1);

        for (int i = 0; at != 0 && i < 48; i++) {
                if (config_read(pci, at, 1) == PCI_CAP_ID_VNDR)
                        take_capability(pci, at);
                at = (uint32_t)config_read(pci, at + 1, 1);
        }
        if (!pci->common || !pci->notify)
                fail("no virtio device");
        if (pci->region.n == 0)
                fail("regions=0");
}

/* ---- the ring ---- */

static void pages_make(void)
{
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

        for (unsigned i = 0; i < PAGE_COUNT_; i++) {
                uint64_t entry;
                void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

                if (page == MAP_FAILED)
                        fail("no memory");
                memset(page, 0, PAGE);
                if (pread(fd, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) != 8 || !(entry >> 63))
                        fail("no physical address");
                pages[i] = page;
                physical[i] = (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
        }
        close(fd);
}

static bool late(time_t end)
{
        return time(NULL) > end;
}

static void status_set(struct pci *pci, uint8_t status)
{
        pci->common->device_status = status;
        if ((pci->common->device_status & status) != status)
                fail("status=%u", pci->common->device_status);
}

static void device_reset(struct pci *pci)
{
        time_t end = time(NULL) + DEADLINE_S;

        pci->common->device_status = 0;
        while (pci->common->device_status != 0)
                if (late(end))
                        fail("the device does not reset");
}

static void address_set(volatile uint32_t *lo, volatile uint32_t *hi, enum page page)
{
        *lo = (uint32_t)physical[page];
        *hi = (uint32_t)(physical[page] >> 32);
}

static void device_start(struct pci *pci)
{
        volatile struct virtio_pci_common_cfg *common = pci->common;

        status_set(pci, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
        common->guest_feature_select = 1;
        common->guest_feature = 1u << (VIRTIO_F_VERSION_1 - 32);
        common->guest_feature_select = 0;
        common->guest_feature = 0;
        status_set(pci, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
        common->queue_select = 0;
        common->queue_size = 16;
        address_set(&common->queue_desc_lo, &common->queue_desc_hi, PAGE_DESC);
        address_set(&common->queue_avail_lo, &common->queue_avail_hi, PAGE_AVAIL);
        address_set(&common->queue_used_lo, &common->queue_used_hi, PAGE_USED);
        common->queue_enable = 1;
        status_set(pci, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
                            VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- records ---- */

static volatile uint64_t *region_word(const struct pci *pci, uint64_t at)
{
        return (volatile uint64_t *)(uintptr_t)(pci->region.at + at);
}

static void ring_put(const struct pci *pci, uint64_t *head, uint64_t word)
{
        uint64_t ring_len = pci->region.len - SAMPLE_RING_AT;

        *region_word(pci, SAMPLE_RING_AT + *head % ring_len) = htole64(word);
        *head += 8;
        own.sum = (own.sum << 1 | own.sum >> 63) + word;
}

static void request(struct pci *pci, uint64_t head)
{
        struct vring_desc *desc = (struct vring_desc *)pages[PAGE_DESC];
        struct vring_avail *avail = (struct vring_avail *)pages[PAGE_AVAIL];
        volatile struct vring_used *used = (struct vring_used *)pages[PAGE_USED];
        struct sample_request ask = {.op = htole32(SAMPLE_APPENDED), .head = htole64(head)};
        struct sample_answer answer;
        uint16_t before = used->idx;
        time_t end = time(NULL) + DEADLINE_S;

        memcpy(pages[PAGE_BYTES], &ask, sizeof(ask));
        desc[0] = (struct vring_desc){physical[PAGE_BYTES], sizeof(ask), VRING_DESC_F_NEXT, 1};
        desc[1] = (struct vring_desc){physical[PAGE_BYTES] + 1024, sizeof(answer), VRING_DESC_F_WRITE, 0};
        avail->ring[avail->idx % 16] = 0;
        __sync_synchronize();
        avail->idx++;
        __sync_synchronize();
        *(volatile uint16_t *)(pci->notify + pci->common->queue_notify_off * pci->notify_multiplier) = 0;
        while (used->idx == before)
                if (late(end))
                        fail("no answer");
        memcpy(&answer, pages[PAGE_BYTES] + 1024, sizeof(answer));
        if (answer.status != SAMPLE_OK)
                fail("answer=%u", answer.status);
        device.sum = le64toh(answer.sum);
        device.records = le64toh(answer.records);
}

/* The front end maps the region when it has heard of the driver: it appears some time after. */
static void region_wait(const struct pci *pci)
{
        time_t end = time(NULL) + DEADLINE_S;

        while (le64toh(*region_word(pci, offsetof(struct sample_region, magic))) != SAMPLE_MAGIC)
                if (late(end))
                        fail("the region does not appear: %" PRIx64, *region_word(pci, 0));
}

/* The first answer tells what others have summed up before us. */
static void records(struct pci *pci)
{
        uint64_t head = le64toh(*region_word(pci, offsetof(struct sample_region, tail)));

        request(pci, head);
        own.sum = device.sum;
        own.records = device.records;
        for (unsigned i = 0; i < RECORDS; i++) {
                ring_put(pci, &head, RECORD_LEN);
                for (unsigned word = 0; word < RECORD_LEN / 8; word++)
                        ring_put(pci, &head, (uint64_t)i * 0x9e3779b97f4a7c15 + word);
        }
        own.records += RECORDS;
        request(pci, head);
        if (device.sum != own.sum || device.records != own.records)
                fail("the device has sum=%" PRIx64 " records=%" PRIu64 ", we have sum=%" PRIx64
                     " records=%" PRIu64,
                     device.sum, device.records, own.sum, own.records);
        if (le64toh(*region_word(pci, offsetof(struct sample_region, tail))) != head)
                fail("the device's place is another than ours");
}

static void run(struct pci *pci, unsigned rounds)
{
        for (unsigned i = 0; i < rounds; i++) {
                device_reset(pci);
                for (unsigned page = 0; page < PAGE_COUNT_; page++)
                        memset(pages[page], 0, PAGE);
                device_start(pci);
                region_wait(pci);
                records(pci);
        }
        printf("rounds=%u records=%" PRIu64 "\n", rounds, device.records);
}

static void peek(const struct pci *pci)
{
        printf("first=%" PRIx64 " last=%" PRIx64 "\n", *region_word(pci, 0),
               *region_word(pci, pci->region.len - 8));
}

static void wait_for_line(void)
{
        for (char c = 0; c != '\n';)
                if (read(0, &c, 1) != 1)
                        fail("nobody says anything");
}

static bool command(struct pci *pci, const char *word)
{
        if (strcmp(word, "find") == 0)
                printf("regions=%u bar=%u shmid=%u len=%" PRIu64 "\n", pci->region.n, pci->region.bar,
                       pci->region.shmid, pci->region.len);
        else if (strncmp(word, "run=", 4) == 0)
                run(pci, (unsigned)atoi(word + 4));
        else if (strcmp(word, "records") == 0)
                records(pci);
        else if (strcmp(word, "peek") == 0)
                peek(pci);
        else if (strcmp(word, "reset") == 0)
                device_reset(pci);
        else if (strcmp(word, "wait") == 0)
                wait_for_line();
        else
                return false;
        printf("done=%s\n", word);
        return true;
}

int main(int argc, char **argv)
{
        struct pci pci = {.folder = argc > 1 ? argv[1] : ""};

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc < 3)
                return 2;
        device_enable(&pci);
        find(&pci);
        pages_make();
        for (int i = 2; i < argc; i++)
                if (!command(&pci, argv[i]))
                        return 2;
        return 0;
}
