/* What one chain costs: pop, push and publish of a ring full of three-descriptor chains. Prints nanoseconds a
 * chain.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/core/queue.h"

#define SIZE   256u
#define CHAINS (SIZE / 4)
#define BYTES  (1u << 20)
#define ROUNDS 40000u /* or the argument: few for callgrind, which counts the same each time */

struct wire {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
};

static uint8_t *memory_bytes;
static unsigned rounds = ROUNDS;

static void describe(uint64_t table, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
        struct wire wire = {htole64(addr), htole32(len), htole16(flags), htole16(next)};

        memcpy(memory_bytes + table + 16 * i, &wire, sizeof(wire));
}

/* The shape of a disk read: a header, a page, a status byte. */
static void describe_chain(uint64_t table, uint32_t i)
{
        describe(table, i, 0x10000, 16, 1, (uint16_t)(i + 1));
        describe(table, i + 1, 0x20000, 4096, 3, (uint16_t)(i + 2));
        describe(table, i + 2, 0x30000, 1, 2, 0);
}

static void post_all(uint16_t *index)
{
        uint16_t *avail = (uint16_t *)(void *)(memory_bytes + 0x4000);

        for (uint16_t i = 0; i < CHAINS; i++, ++*index)
                avail[2 + (*index & (SIZE - 1))] = htole16((uint16_t)(4 * i));
        __atomic_store_n(&avail[1], htole16(*index), __ATOMIC_RELEASE);
}

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int run(const char *name, struct guest_memory *memory, bool each)
{
        const struct queue_layout layout = {
            .size = SIZE, .desc = GPA(0), .avail = GPA(0x4000), .used = GPA(0x5000)};
        const struct queue_features features = {.indirect = true, .event_idx = true};
        struct segment segments[8];
        struct chain chain = {.segments = segments, .max_segments = 8};
        struct queue queue;
        uint64_t spent = 0, best = UINT64_MAX;
        uint16_t index = 0;

        memset(memory_bytes + 0x4000, 0, 0x4000);
        queue_init(&queue);
        if (queue_start(&queue, memory, &layout, &features, 0) < 0)
                return -1;
        for (unsigned round = 0; round < rounds; round++) {
                uint64_t start;

                post_all(&index);
                start = now_ns();
                while (queue_pop(&queue, &chain) == 1) {
                        (void)queue_push(&queue, chain.head, chain.writable);
                        if (each)
                                (void)queue_publish(&queue);
                }
                (void)queue_publish(&queue);
                start = now_ns() - start;
                spent += start;
                if (start < best)
                        best = start;
        }
        printf("%-32s %6.1f ns a chain, at best %6.1f (%s)\n", name,
               (double)spent / ((double)rounds * CHAINS), (double)best / CHAINS,
               queue_fault_name(queue.fault));
        queue_done(&queue);
        return 0;
}

static void copies(void)
{
        static const size_t lens[] = {8, 16, 48, 64, 96, 256, 512, 4096, 65536};
        uint8_t *from = malloc(65536 + 64), *to = malloc(65536 + 64);

        if (!from || !to)
                exit(1);
        memset(from, 1, 65536 + 64);
        memset(to, 1, 65536 + 64);
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                unsigned n = (unsigned)(20000000 / (lens[i] / 16 + 10));
                uint64_t start = now_ns(), safe, plain;

                for (unsigned k = 0; k < n; k++)
                        (void)fault_safe_copy(to + (k & 32), from, lens[i]);
                safe = now_ns() - start;
                start = now_ns();
                for (unsigned k = 0; k < n; k++) {
                        memcpy(to + (k & 32), from, lens[i]);
                        __asm__ volatile("" ::: "memory");
                }
                plain = now_ns() - start;
                printf("copy of %5zu bytes %8.1f ns, memcpy %8.1f ns\n", lens[i], (double)safe / n,
                       (double)plain / n);
        }
        free(from);
        free(to);
}

int main(int argc, char **argv)
{
        int fd = memfd_create("bench", MFD_CLOEXEC);
        struct guest_memory *empty = guest_memory_new(), *memory;
        struct guest_mapping *mapping;

        if (fault_safe_install() < 0 || fd < 0 || ftruncate(fd, BYTES) < 0 || !empty ||
            guest_mapping_new(fd, 0, BYTES, true, &mapping) < 0 ||
            guest_memory_with(empty,
                              &(struct guest_region){.len = BYTES, .mapping = mapping, .writable = true},
                              &memory) < 0)
                return 1;
        if (argc > 1)
                rounds = (unsigned)strtoul(argv[1], NULL, 10);
        memory_bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory_bytes == MAP_FAILED)
                return 1;
        for (uint32_t i = 0; i < CHAINS; i++)
                describe_chain(0, 4 * i);
        run("direct, publish each", memory, true);
        run("direct, publish each ring", memory, false);
        for (uint32_t i = 0; i < CHAINS; i++) {
                describe_chain(0x40000 + 64 * i, 0);
                describe(0, 4 * i, 0x40000 + 64 * i, 48, 4, 0);
        }
        run("indirect, publish each", memory, true);
        run("indirect, publish each ring", memory, false);
        if (argc == 1)
                copies();
        return 0;
}
