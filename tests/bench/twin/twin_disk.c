/* A block request, carried out straight in guest memory.
 * Owns the image's descriptor; called by the rings and by the device. TRUST: the chain is judged by the walk,
 * its header by blk_req_check, as a worker does.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/twin_disk.h"
#include "tests/harness/blk_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker/core/memory_service.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/blk/blk_config.h"

#define TWIN_SPANS 256u /* of one system call: more than a chain has segments; a region's edge adds one */

static const char serial[BLK_SERIAL_BYTES] = "all-mapped twin";

int twin_disk_open(struct twin_disk *disk, const char *path, unsigned n_queues, bool map_image)
{
        struct control_configure configure = {.n_queues = n_queues, .options = BLK_PLAIN};
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        *disk = (struct twin_disk){.writeback_field = true};
        r = blk_file_open(&disk->file, fd, false);
        if (r < 0)
                return r;
        if (map_image)
                blk_file_map(&disk->file);
        disk->disk.capacity = disk->file.size / BLK_SECTOR;
        if (disk->disk.capacity == 0)
                return -EINVAL;
        blk_config_hello(&configure, &disk->disk, &disk->hello);
        take_fd(&fd);
        return 0;
}

void twin_disk_close(struct twin_disk *disk)
{
        cleanup_close(&disk->file.fd);
        disk->file.fd = -1;
}

/* ---- the cache: as in workers/blk/blk.c ---- */

static bool writethrough(const struct twin_disk *disk)
{
        if (disk->features & BLK_F_CONFIG_WCE)
                return !disk->writeback_field;
        return !(disk->features & BLK_F_FLUSH);
}

static int settle(struct twin_disk *disk)
{
        return writethrough(disk) ? blk_file_flush(&disk->file) : 0;
}

int twin_disk_set_writeback(struct twin_disk *disk, bool writeback)
{
        disk->writeback_field = writeback;
        return settle(disk);
}

/* ---- bytes ---- */

typedef int64_t (*spans_of)(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                            uint32_t len, struct iovec *iov, size_t max, size_t *n);
typedef ssize_t (*host_call)(struct blk_file *file, const struct iovec *iov, size_t n, size_t len,
                             uint64_t offset);

/* Without a call, as a worker does, if the image is mapped. */
static ssize_t host_read(struct blk_file *file, const struct iovec *iov, size_t n, size_t len,
                         uint64_t offset)
{
        ssize_t done;

        if (blk_map_read(&file->map, iov, (unsigned)n, len, offset))
                return (ssize_t)len;
        done = preadv(file->fd, iov, (int)n, (off_t)offset);
        if (done > 0)
                blk_map_warm(&file->map, (size_t)done, offset);
        return done;
}

static ssize_t host_write(struct blk_file *file, const struct iovec *iov, size_t n, size_t len,
                          uint64_t offset)
{
        (void)len;
        return pwritev(file->fd, iov, (int)n, (off_t)offset);
}

/* The whole range in as few host calls as there can be: one, but for a short transfer. `at`: where the data
 * begin in their part of the chain. */
static int transfer(struct twin_disk *disk, const struct guest_memory *memory, const struct request *request,
                    uint32_t at, const struct blk_range *range, spans_of spans, host_call call)
{
        struct iovec iov[TWIN_SPANS];
        unsigned tries = 0;
        uint32_t done = 0;

        while (done < range->len) {
                size_t n_iov = 0;
                int64_t r =
                    spans(memory, request, at + done, (uint32_t)range->len - done, iov, TWIN_SPANS, &n_iov);
                ssize_t n;

                if (r < 0)
                        return (int)r;
                n = call(&disk->file, iov, n_iov, (size_t)r, range->offset + done);
                if (n > 0)
                        done += (uint32_t)n;
                else if (n == 0)
                        return -EIO;
                else if (errno != EINTR || ++tries > LIMIT_IO_RETRIES)
                        return -errno;
        }
        return 0;
}

/* By messages bytes rest here on their way, a message's worth at a time. */
static int transfer_bounced(struct twin_disk *disk, const struct twin_reach *reach,
                            const struct request *request, uint32_t at, const struct blk_range *range,
                            bool write)
{
        int r = 0;

        for (uint32_t done = 0, n; done < range->len && r == 0; done += n) {
                n = MIN((uint32_t)range->len - done, DMA_MESSAGE_BYTES);
                r = write ? twin_reach_load(reach, request, at + done, reach->bounce, n)
                          : blk_file_read(&disk->file, reach->bounce, n, range->offset + done);
                if (r < 0)
                        return r;
                r = write ? blk_file_write(&disk->file, reach->bounce, n, range->offset + done)
                          : twin_reach_store(reach, request, at + done, reach->bounce, n);
        }
        return r;
}

static int read_data(struct twin_disk *disk, const struct twin_reach *reach, const struct request *request,
                     const struct blk_range *range)
{
        if (!reach->memory)
                return transfer_bounced(disk, reach, request, 0, range, false);
        return transfer(disk, reach->memory, request, 0, range, memory_service_iovec_writable, host_read);
}

static int write_data(struct twin_disk *disk, const struct twin_reach *reach, const struct request *request,
                      const struct blk_range *range)
{
        if (!reach->memory)
                return transfer_bounced(disk, reach, request, BLK_HEADER_BYTES, range, true);
        return transfer(disk, reach->memory, request, BLK_HEADER_BYTES, range, memory_service_iovec_readable,
                        host_write);
}

/* ---- requests ---- */

static int judge(const struct twin_disk *disk, const struct twin_reach *reach, const struct request *request,
                 struct blk_req *ret_req)
{
        uint8_t bytes[BLK_JUDGED_BYTES];
        uint32_t readable = request->chain.readable, len;
        int r;

        if (readable < BLK_HEADER_BYTES)
                return -EPROTO;
        r = twin_reach_load(reach, request, 0, bytes, BLK_HEADER_BYTES);
        if (r < 0)
                return r;
        len = blk_req_judged_len(bytes, readable);
        if (len > BLK_HEADER_BYTES)
                r = twin_reach_load(reach, request, BLK_HEADER_BYTES, bytes + BLK_HEADER_BYTES,
                                    len - BLK_HEADER_BYTES);
        if (r < 0)
                return r;
        return blk_req_check(&disk->disk, readable, request->chain.writable, bytes, len, ret_req);
}

static int discard(struct twin_disk *disk, const struct blk_req *req)
{
        int r = 0;

        for (uint32_t i = 0; i < req->n_ranges && r == 0; i++)
                r = blk_file_discard(&disk->file, req->ranges[i].offset, req->ranges[i].len);
        return r;
}

static int carry_out(struct twin_disk *disk, const struct twin_reach *reach, const struct request *request,
                     const struct blk_req *req)
{
        const struct blk_range *range = req->ranges;
        int r = 0;

        switch (req->op) {
        case BLK_OP_READ:
                return read_data(disk, reach, request, &req->range);
        case BLK_OP_WRITE:
                r = write_data(disk, reach, request, &req->range);
                break;
        case BLK_OP_FLUSH:
                return blk_file_flush(&disk->file);
        case BLK_OP_GET_ID:
                return twin_reach_store(reach, request, 0, serial, req->id_len);
        case BLK_OP_DISCARD:
                r = discard(disk, req);
                break;
        default:
                r = blk_file_zero(&disk->file, range->offset, range->len, range->unmap);
                break;
        }
        return r < 0 ? r : settle(disk);
}

/* The status is the last writable byte: the end of the last segment. */
static int store_status(const struct twin_reach *reach, const struct chain *chain, int error)
{
        const struct segment *last = &chain->segments[chain->n_readable + chain->n_writable - 1];
        uint8_t status = error == 0             ? BLK_STATUS_OK
                         : error == -EOPNOTSUPP ? BLK_STATUS_UNSUPP
                                                : BLK_STATUS_IOERR;

        return twin_reach_store_byte(reach, GPA(last->at.v + last->len - 1), status);
}

int twin_request_init(struct request *request, uint16_t max_segments)
{
        *request = (struct request){.chain.max_segments = max_segments,
                                    .chain.segments = calloc(max_segments, sizeof(struct segment))};
        return request->chain.segments ? 0 : -ENOMEM;
}

void twin_request_done(struct request *request)
{
        free(take_ptr(request->chain.segments));
}

int twin_disk_serve(struct twin_disk *disk, const struct twin_reach *reach, const struct request *request)
{
        struct blk_req req;
        int r;

        if (request->chain.writable == 0)
                return -EPROTO;
        r = judge(disk, reach, request, &req);
        if (r == -EPROTO)
                return r;
        if (r == 0)
                r = carry_out(disk, reach, request, &req);
        return store_status(reach, &request->chain, r);
}
