/* A lane in lock-step with a real worker.
 * Owns guest memory, ring, lane and the worker's process; called by micro_bench.c. TRUST: it plays guest,
 * front end and clock; the worker is ours, and its answers are judged by the lane.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/micro/micro_lane.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "tests/bench/micro/micro_gate.h"
#include "tests/harness/blk_set.h"

#define RAM_BYTES   (UINT64_C(16) << 20)
#define RAM_ADDRESS UINT64_C(0x80000000)
#define RING_SIZE   128u /* QEMU's default */
#define SEGMENTS    3u   /* header, data, status */
#define TURNS       64u  /* a batch needs two or three */

struct header { /* virtio 1.3, 5.2.6 */
        uint32_t type, reserved;
        uint64_t sector;
};

static _Noreturn void give_up(const char *what, int error)
{
        fprintf(stderr, "bulkhead-bench-micro: %s: %s\n", what, strerror(error < 0 ? -error : error));
        exit(1);
}

static void must(int r, const char *what)
{
        if (r < 0)
                give_up(what, r);
}

/* ---- the clock ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);

/* It stands still: what a lane does may depend on how fast its requests come, and under callgrind that is chance. */
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        (void)id;
        *ret_time = (struct timespec){.tv_sec = 1000};
        return 0;
}

/* ---- the worker ---- */

static void start_worker(struct micro_lane *micro, const char *program, int image)
{
        struct control_configure configure = {
            .name = "micro", .n_queues = 1, .type = DEVICE_TYPE_BLK, .options = BLK_PLAIN};
        int pair[2];

        must(fd_stream_pair(pair), "no socket");
        fake_start_program(&micro->worker, program, 1, &image, 1, pair[1]);
        close(pair[1]);
        micro->gate = pair[0];
        fake_configure(&micro->worker, &configure);
        must(fake_set_features(&micro->worker, micro->worker.hello.features), "features");
        must(fake_start_queue(&micro->worker, 0), "queue");
}

static void await_back(const struct micro_lane *micro)
{
        char byte = 0;

        if (fd_read_all(micro->gate, &byte, 1) < 0 || byte != GATE_BACK)
                give_up("the worker has ended", EPIPE);
}

/* Lets the worker run until nothing is left for it to read. */
static void worker_turn(const struct micro_lane *micro, bool count)
{
        char order = count ? GATE_COUNT : GATE_RUN;

        must(fd_write_all(micro->gate, &order, 1), "the worker has ended");
        await_back(micro);
}

/* ---- the guest ---- */

static struct guest_memory *map_ram(const struct guest_ram *ram)
{
        struct guest_memory *empty = guest_memory_new(), *memory;
        struct guest_region region = {.start = GPA(ram->guest_address), .len = ram->size, .writable = true};

        if (!empty)
                give_up("guest memory", ENOMEM);
        must(guest_mapping_new(ram->fd, 0, ram->size, true, &region.mapping), "guest memory");
        must(guest_memory_with(empty, &region, &memory), "guest memory");
        guest_mapping_unref(region.mapping);
        guest_memory_unref(empty);
        return memory;
}

static void make_guest(struct micro_lane *micro, uint32_t data_bytes, bool packed)
{
        must(guest_ram_init(&micro->ram, RAM_BYTES, RAM_ADDRESS), "guest memory");
        must(blk_ring_init(&micro->ring, &micro->ram, blk_ring_features(packed), packed, RING_SIZE, SEGMENTS),
             "ring");
        micro->data_bytes = data_bytes;
        for (unsigned i = 0; i < MICRO_DEPTH; i++)
                micro->slots[i] =
                    (struct micro_slot){.header = guest_ram_alloc(&micro->ram, sizeof(struct header), 16),
                                        .data = guest_ram_alloc(&micro->ram, data_bytes, 4096),
                                        .status = guest_ram_alloc(&micro->ram, 1, 1)};
}

static void post(struct micro_lane *micro, const struct micro_slot *slot, uint32_t type, uint64_t sector)
{
        const struct header header = {.type = type, .sector = sector};
        const struct split_segment segments[] = {
            {slot->header, sizeof(header)}, {slot->data, micro->data_bytes}, {slot->status, 1}};
        unsigned n_out = type == 0 ? 1 : 2;

        memcpy(micro->ram.base + slot->header, &header, sizeof(header));
        micro->ram.base[slot->status] = 0xff;
        must(blk_ring_add(&micro->ring, segments, n_out, 3 - n_out, (void *)slot), "the ring is full");
}

static unsigned reap(struct micro_lane *micro)
{
        unsigned n = 0;

        for (;; n++) {
                uint32_t len;
                void *slot;
                int r = blk_ring_take(&micro->ring, &slot, &len);

                must(r, "the used ring");
                if (r == 0)
                        return n;
                if (micro->ram.base[((struct micro_slot *)slot)->status] != 0)
                        give_up("a request failed", EIO);
        }
}

/* ---- the lane ---- */

static void on_fault(void *context, const char *why)
{
        (void)context;
        give_up(why, EPROTO);
}

static void on_queue(void *context, unsigned queue)
{
        (void)context;
        (void)queue;
}

static int event_new(void)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        must(fd < 0 ? -errno : 0, "eventfd");
        return fd;
}

static struct queue_layout layout_of(const struct blk_ring *ring)
{
        if (ring->is_packed)
                return (struct queue_layout){.size = ring->packed.size,
                                             .desc = GPA(RAM_ADDRESS + ring->packed.desc),
                                             .avail = GPA(RAM_ADDRESS + ring->packed.driver),
                                             .used = GPA(RAM_ADDRESS + ring->packed.device)};
        return (struct queue_layout){.size = ring->split.size,
                                     .desc = GPA(RAM_ADDRESS + ring->split.desc),
                                     .avail = GPA(RAM_ADDRESS + ring->split.avail),
                                     .used = GPA(RAM_ADDRESS + ring->split.used)};
}

static void start_lane(struct micro_lane *micro)
{
        const struct lane_events events = {.context = micro,
                                           .worker_fault = on_fault,
                                           .queue_broken = on_queue,
                                           .queue_drained = on_queue,
                                           .queue_suspicious = on_queue};
        const struct queue_features features = {
            .indirect = true, .event_idx = true, .packed = micro->ring.is_packed};
        const struct queue_layout layout = layout_of(&micro->ring);
        struct guest_memory *memory = map_ram(&micro->ram);

        must(fcntl(micro->worker.lanes[0].out, F_SETPIPE_SZ, GATE_ROOM) < 0 ? -errno : 0, "the lane's pipe");
        must(lane_init(&micro->lane, &events, 0, 1, 1), "lane");
        must(lane_configure(&micro->lane, &micro->worker.hello), "lane");
        lane_set_memory(&micro->lane, memory);
        guest_memory_unref(memory);
        must(lane_queue_start(&micro->lane, &micro->lane.queues[0], &layout, &features,
                              micro->ring.is_packed ? QUEUE_PACKED_BASE : 0, event_new(), event_new()),
             "queue");
        lane_attach(&micro->lane, fd_duplex_take(&micro->worker.lanes[0]), NULL);
}

/* What the lane's thread does when a pipe is ready, without the loop around it. */
static bool lane_step(struct lane *lane, bool count)
{
        struct pollfd fds[] = {{.fd = lane->ends.in, .events = POLLIN},
                               {.fd = lane_wants_write(lane) ? lane->ends.out : -1, .events = POLLOUT}};

        if (poll(fds, array_size(fds), 0) <= 0)
                return false;
        if (count)
                CALLGRIND_TOGGLE_COLLECT;
        if (fds[0].revents)
                lane_readable(lane);
        else
                lane_turn(lane);
        if (count)
                CALLGRIND_TOGGLE_COLLECT;
        return true;
}

static void lane_kick(struct lane *lane, bool count)
{
        if (count)
                CALLGRIND_TOGGLE_COLLECT;
        lane_kicked(lane, &lane->queues[0], 1);
        if (count)
                CALLGRIND_TOGGLE_COLLECT;
}

/* ---- both ---- */

void micro_lane_open(struct micro_lane *micro, const char *program, int image, uint32_t data_bytes,
                     bool packed)
{
        must(fault_safe_install(), "fault handlers");
        *micro = (struct micro_lane){.gate = -1};
        start_worker(micro, program, image);
        worker_turn(micro, false); /* from here on it waits for its turns */
        make_guest(micro, data_bytes, packed);
        start_lane(micro);
}

void micro_lane_close(struct micro_lane *micro)
{
        lane_done(&micro->lane);
        guest_ram_done(&micro->ram);
        close(take_fd(&micro->gate));
        (void)fake_end(&micro->worker);
}

void micro_lane_do(struct micro_lane *micro, uint32_t type, const uint64_t *sectors, unsigned n, bool count)
{
        unsigned done = 0;

        for (unsigned i = 0; i < n; i++)
                post(micro, &micro->slots[i], type, sectors[i]);
        if (!blk_ring_publish(&micro->ring))
                give_up("the lane sleeps and wants no kick", EPROTO);
        lane_kick(&micro->lane, count);
        for (unsigned turn = 0; done < n; turn++) {
                if (turn == TURNS)
                        give_up("a batch does not end", ETIMEDOUT);
                worker_turn(micro, count);
                while (lane_step(&micro->lane, count))
                        ;
                done += reap(micro);
        }
        (void)blk_ring_want_call(&micro->ring);
}

void micro_lane_dump(struct micro_lane *micro, const char *name)
{
        char text[1 + GATE_NAME + 2];
        int len = snprintf(text + 2, sizeof(text) - 2, "worker/%s", name);

        text[0] = GATE_DUMP;
        text[1] = (char)len;
        must(fd_write_all(micro->gate, text, 2 + (size_t)len), "the worker has ended");
        await_back(micro);
        (void)snprintf(text, sizeof(text), "broker/%s", name);
        CALLGRIND_DUMP_STATS_AT(text);
}
