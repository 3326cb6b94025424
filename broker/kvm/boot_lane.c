/* What a loader writes, on its way into guest memory.
 * Owns its buffer and arena; called by boot.c. TRUST: every byte is the loader's, which has read a hostile file. It can reach
 * the ranges of RAM that the VM has, by number and offset, and can write no more than they hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/boot_lane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define READS_A_TURN                                                                                         \
        64u       /* system calls before other events of the loop get a look in: 20 MiB of an honest loader */
#define SPANS 16u /* of one call: a range of RAM is one mapping */

int boot_lane_init(struct boot_lane *lane, int fd, const struct boot_options *options,
                   struct guest_memory *memory)
{
        *lane = (struct boot_lane){.fd = fd, .options = options, .memory = memory};
        for (uint32_t i = 0; i < options->n_ram; i++)
                lane->budget += options->ram[i].len;
        lane->buf = malloc(FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER);
        if (!lane->buf || arena_init(&lane->arena, LIMIT_ARENA) < 0) {
                free(lane->buf);
                lane->buf = NULL;
                return -ENOMEM;
        }
        return 0;
}

void boot_lane_done(struct boot_lane *lane)
{
        if (!lane->buf)
                return;
        free(lane->buf);
        lane->buf = NULL;
        arena_done(&lane->arena);
}

bool boot_lane_is_whole(const struct boot_lane *lane)
{
        return lane->state == BOOT_LANE_HEAD && lane->have == 0;
}

/* ---- judging ---- */

static int judge_head(struct boot_lane *lane, const char **ret_why)
{
        *ret_why = "sent a frame over its limits";
        if (frame_head_check(lane->buf, LIMIT_FRAME_PAYLOAD, &lane->head) < 0)
                return -EPROTO;
        *ret_why = "writes more than the VM has memory";
        if (lane->head.payload_len > lane->budget)
                return -EDQUOT;
        lane->budget -= lane->head.payload_len;
        return 0;
}

static bool segment_ok(const struct boot_lane *lane, size_t i)
{
        const struct lane_mem_write *write = &lane->write;

        return write->id[i] < lane->options->n_ram &&
               range_inside(write->offset[i], write->len[i], lane->options->ram[write->id[i]].len);
}

static int judge_header(struct boot_lane *lane, const char **ret_why)
{
        struct lane_to_broker message;

        *ret_why = "sent a malformed lane message";
        if (lane_check_to_broker(&lane->arena, lane->buf + FRAME_HEAD_BYTES, lane->head.header_len,
                                 lane->head.payload_len, &message) < 0)
                return -EPROTO;
        *ret_why = "sent what is no MemWrite of a loader";
        if (message.kind != LANE_MEM_WRITE || message.mem_write.space != LANE_SPACE_BOOT)
                return -EPROTO;
        *ret_why = "sent a MemWrite outside the VM's memory";
        lane->write = message.mem_write;
        for (size_t i = 0; i < lane->write.n; i++)
                if (!segment_ok(lane, i))
                        return -EPROTO;
        lane->segment = 0;
        lane->done = 0;
        return 0;
}

/* ---- receiving ---- */

/* Bytes, or negative errno: -EPIPE at the end of the stream. */
static ssize_t receive(const struct boot_lane *lane, struct iovec *iov, size_t n_iov)
{
        ssize_t n;

        do
                n = readv(lane->fd, iov, (int)n_iov);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;
        return n == 0 ? -EPIPE : n;
}

/* More of a frame's head and header, and not a byte beyond. 1: `want` bytes are there; 0: not yet; or negative errno. */
static int fill(struct boot_lane *lane, size_t want)
{
        struct iovec iov = {.iov_base = lane->buf + lane->have, .iov_len = want - lane->have};
        ssize_t n = receive(lane, &iov, 1);

        if (n < 0)
                return (int)n;
        lane->have += (size_t)n;
        return lane->have == want;
}

/* 1: the frame's last byte has landed; 0: not yet; or negative errno. */
static int land(struct boot_lane *lane, const char **ret_why)
{
        const struct boot_range *ram = &lane->options->ram[lane->write.id[lane->segment]];
        uint32_t left = lane->write.len[lane->segment] - lane->done;
        gpa_t at = {ram->start + lane->write.offset[lane->segment] + lane->done};
        struct iovec iov[SPANS];
        size_t n_iov = 0;
        ssize_t n;

        *ret_why = "wrote to memory that cannot be had";
        if (guest_memory_iovec(lane->memory, at, left, true, iov, SPANS, &n_iov) <= 0)
                return -EFAULT;
        n = receive(lane, iov, n_iov);
        if (n < 0)
                return (int)n;
        lane->done += (uint32_t)n;
        lane->loaded += (uint64_t)n;
        if (lane->done < lane->write.len[lane->segment])
                return 0;
        lane->segment++;
        lane->done = 0;
        return lane->segment == lane->write.n;
}

/* One system call, and what follows from it. 0 or negative errno. */
static int step(struct boot_lane *lane, const char **ret_why)
{
        int r = 0;

        switch (lane->state) {
        case BOOT_LANE_HEAD:
                r = fill(lane, FRAME_HEAD_BYTES);
                if (r == 1 && (r = judge_head(lane, ret_why)) == 0)
                        lane->state = BOOT_LANE_HEADER;
                break;
        case BOOT_LANE_HEADER:
                r = fill(lane, FRAME_HEAD_BYTES + (size_t)lane->head.header_len);
                if (r == 1 && (r = judge_header(lane, ret_why)) == 0)
                        lane->state = BOOT_LANE_PAYLOAD;
                break;
        case BOOT_LANE_PAYLOAD:
                r = land(lane, ret_why);
                if (r == 1) {
                        lane->state = BOOT_LANE_HEAD;
                        lane->have = 0;
                        r = 0;
                }
                break;
        }
        return r;
}

int boot_lane_run(struct boot_lane *lane, const char **ret_why)
{
        *ret_why = "broke its lane";
        for (unsigned i = 0; i < READS_A_TURN; i++) {
                int r = step(lane, ret_why);

                if (r == -EAGAIN)
                        return 0;
                if (r < 0)
                        return r;
        }
        return 1;
}
