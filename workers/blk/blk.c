/* virtio-blk on a raw image (virtio 1.3, 5.2).
 * Owns the disk's state; called by the runtime. TRUST: a request's bytes and lengths are the guest's:
 * blk_req_check judges them first, and what it has made is not judged again.
 *
 * The cache, as the guest sees it (5.2.6.2): what a write has put into the host's page cache is volatile.
 * *Writeback*: it is stable after the guest's flush. *Writethrough*: each write, discard and write-zeroes is
 * stable before its answer. Writethrough holds when the driver accepted neither FLUSH nor CONFIG_WCE, and
 * when it accepted CONFIG_WCE and wrote 0 to the field `writeback`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/device/blk.h"
#include "workers/blk/blk_answer.h"
#include "workers/blk/blk_config.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_watch.h"

static int blk_fail(int error, const char *text)
{
        worker_log(LOG_LEVEL_ERROR, "%s: errno=%d", text, -error);
        return error;
}

/* ---- the cache ---- */

static bool blk_writethrough(const struct blk *blk)
{
        if (blk->features & BLK_F_CONFIG_WCE)
                return !blk->writeback_field;
        return !(blk->features & BLK_F_FLUSH);
}

static int blk_flush(struct blk *blk)
{
        bool first = blk->file.flush_error == 0;
        int r = blk_file_flush(&blk->file);

        if (r < 0 && first)
                blk_fail(r, "flush failed, and fails until the worker is replaced: the image's storage is "
                            "losing data");
        return r;
}

static int blk_settle(void *state)
{
        struct blk *blk = state;

        return blk_writethrough(blk) ? blk_flush(blk) : 0;
}

static void blk_set_features(void *state, uint64_t features)
{
        struct blk *blk = state;

        blk->features = features;
}

/* Nothing is under way any more. */
static void blk_quiesce(struct blk *blk)
{
        if (blk->is_direct)
                blk_direct_drain(&blk->direct);
}

/* What was written before under writeback becomes stable with the change. */
static int blk_config_write(void *state, uint32_t field, uint64_t value)
{
        struct blk *blk = state;

        if (field != BLK_FIELD_WRITEBACK || value > 1)
                return -EINVAL;
        blk_quiesce(blk);
        blk->writeback_field = value == 1;
        return blk_settle(blk);
}

/* ---- start ---- */

/* Whole blocks: a driver that is told 4096 asks for no less. A direct image takes no less. */
static int blk_measure(struct blk *blk, const struct blk_options *options)
{
        uint32_t block_sectors = options->block_size / BLK_SECTOR;
        uint64_t blocks = blk->file.size / options->block_size;

        if (blocks == 0)
                return blk_fail(
                    -EINVAL, "image is empty or shorter than a block: give it its full size (truncate -s)");
        blk->disk = (struct blk_disk){.capacity = blocks * block_sectors,
                                      .read_only = options->read_only,
                                      .block_mask = options->direct ? block_sectors - 1 : 0};
        return 0;
}

static void blk_ends_have_come(void *state, int event_fd, short events)
{
        struct blk *blk = state;

        (void)event_fd;
        (void)events;
        blk_direct_reap(&blk->direct);
}

static int blk_start_direct(struct blk *blk, int event_fd)
{
        int r = blk_direct_init(&blk->direct, &blk->file, event_fd, blk_settle, blk);

        if (r == -EAGAIN)
                return blk_fail(r, "no room for asynchronous transfers on this host: raise fs.aio-max-nr, or "
                                   "say direct: false");
        if (r < 0)
                return blk_fail(r, "asynchronous transfers cannot be set up: say direct: false");
        worker_watch_add(event_fd, POLLIN, blk_ends_have_come);
        return 0;
}

static int blk_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        const struct blk_options options = blk_options_read(&configure->options);
        struct blk *blk = state;
        int r;

        if (n_resources != (options.direct ? 2 : 1) || configure->n_queues < 1 ||
            configure->n_queues > LIMIT_QUEUES)
                return blk_fail(-EINVAL,
                                "want one image, an eventfd if it is direct, and at least one queue");
        r = blk_file_open(&blk->file, resources[0], options.read_only);
        if (r < 0)
                return blk_fail(r, "image is no regular file or block device opened as configured");
        r = blk_measure(blk, &options);
        if (r < 0)
                return r;
        memset(blk->serial, 0, sizeof(blk->serial));
        memcpy(blk->serial, options.serial, strnlen(options.serial, sizeof(blk->serial)));
        blk->features = 0;
        blk->run.n = 0;
        blk->is_direct = options.direct;
        blk->writeback_field = true;
        blk_config_hello(configure, &blk->disk, ret_hello);
        if (blk->is_direct)
                return blk_start_direct(blk, resources[1]);
        blk_file_map(&blk->file);
        return 0;
}

/* ---- answers ---- */

/* All pieces but the last, which leaves together with the status. */
static int blk_read_pieces(struct blk *blk, struct request *request, const struct blk_range *range,
                           uint32_t *ret_done)
{
        uint32_t done = 0;

        while (range->len - done > REQUEST_PIECE) {
                int r = blk_file_read(&blk->file, request_reserve(request, REQUEST_PIECE), REQUEST_PIECE,
                                      range->offset + done);

                if (r < 0)
                        return r;
                request_write(request, done, REQUEST_PIECE);
                done += REQUEST_PIECE;
        }
        *ret_done = done;
        return 0;
}

/* Where the broker fetches it from. False: there is no such place. */
static bool blk_read_placed(struct blk *blk, struct request *request, const struct blk_range *range)
{
        uint8_t *place = request_place(request);
        uint32_t len = (uint32_t)range->len;
        int r;

        if (!place)
                return false;
        r = blk_file_read(&blk->file, place, len, range->offset);
        if (r < 0)
                blk_answer(request, r);
        else
                blk_answer_placed(request, len);
        return true;
}

static void blk_read(struct blk *blk, struct request *request, const struct blk_range *range)
{
        uint32_t done, len;
        uint8_t *bytes;
        int r;

        if (blk_read_placed(blk, request, range))
                return;
        r = blk_read_pieces(blk, request, range, &done);
        if (r < 0) {
                blk_answer(request, r);
                return;
        }
        len = (uint32_t)(range->len - done);
        bytes = request_reserve(request, len + 1);
        r = blk_file_read(&blk->file, bytes, len, range->offset + done);
        if (r < 0) {
                blk_answer(request, r);
                return;
        }
        bytes[len] = BLK_STATUS_OK;
        request_complete(request, done, len + 1);
}

static int blk_write_pieces(struct blk *blk, struct request *request, const struct blk_range *range)
{
        uint64_t offset = range->offset;
        struct request_reader reader;
        const uint8_t *bytes;
        ssize_t n;
        int r = 0;

        request_reader_start(&reader, request, BLK_HEADER_BYTES, (uint32_t)range->len);
        while (r == 0 && (n = request_reader_next(&reader, &bytes)) != 0) {
                r = n < 0 ? (int)n : blk_file_write(&blk->file, bytes, (size_t)n, offset);
                offset += n < 0 ? 0 : (uint64_t)n;
        }
        request_reader_stop(&reader);
        return r;
}

static void blk_write(struct blk *blk, struct request *request, const struct blk_range *range)
{
        const uint8_t *bytes = blk_run_bytes(request);
        int r = bytes ? blk_file_write(&blk->file, bytes + BLK_HEADER_BYTES, range->len, range->offset)
                      : blk_write_pieces(blk, request, range);

        blk_answer(request, r < 0 ? r : blk_settle(blk));
}

/* ---- runs ---- */

static bool blk_read_at_once(struct blk *blk, const struct blk_run *run)
{
        struct iovec iov[BLK_RUN_REQUESTS];
        uint8_t *room = request_reserve(run->requests[0], blk_run_room(run));

        blk_run_scatter(run, room, iov);
        if (blk_file_readv(&blk->file, iov, run->n, run->len, run->offset) < 0)
                return false;
        for (uint32_t i = 0; i < run->n; i++) {
                bool placed = request_place(run->requests[i]) != NULL;

                room += placed ? 0 : run->lens[i];
                *room++ = BLK_STATUS_OK;
                if (placed)
                        request_complete_placed(run->requests[i], run->lens[i], 1);
                else
                        request_complete(run->requests[i], 0, run->lens[i] + 1);
        }
        return true;
}

static bool blk_write_at_once(struct blk *blk, const struct blk_run *run)
{
        struct iovec iov[BLK_RUN_REQUESTS];
        int r;

        blk_run_gather(run, iov);
        if (blk_file_writev(&blk->file, iov, run->n, run->len, run->offset) < 0)
                return false;
        r = blk_settle(blk);
        for (uint32_t i = 0; i < run->n; i++)
                blk_answer(run->requests[i], r);
        return true;
}

/* Carries out what waits. What did not go well at once is done one by one: each request has a verdict of its
 * own, and a write that is done twice has written the same. */
static void blk_finish_run(struct blk *blk)
{
        struct blk_run *run = &blk->run;
        bool is_read = run->op == BLK_OP_READ;

        if (run->n > 1 && (is_read ? blk_read_at_once(blk, run) : blk_write_at_once(blk, run)))
                run->n = 0;
        for (uint32_t i = 0; i < run->n; i++) {
                struct blk_range range = blk_run_range(run, i);

                if (is_read)
                        blk_read(blk, run->requests[i], &range);
                else
                        blk_write(blk, run->requests[i], &range);
        }
        run->n = 0;
}

/* ---- one request ---- */

static void blk_do_read(struct blk *blk, struct request *request, const struct blk_req *req)
{
        if (blk->is_direct && req->range.len > 0)
                blk_direct_read(&blk->direct, request, &req->range);
        else
                blk_read(blk, request, &req->range);
}

static void blk_do_write(struct blk *blk, struct request *request, const struct blk_req *req)
{
        if (blk->is_direct && req->range.len > 0)
                blk_direct_write(&blk->direct, request, &req->range);
        else
                blk_write(blk, request, &req->range);
}

static void blk_do_flush(struct blk *blk, struct request *request, const struct blk_req *req)
{
        (void)req;
        blk_quiesce(blk);
        request_push(request);
        blk_answer(request, blk_flush(blk));
}

static void blk_do_get_id(struct blk *blk, struct request *request, const struct blk_req *req)
{
        uint8_t *bytes = request_reserve(request, req->id_len);

        if (request_writable(request) > req->id_len + 1) {
                memcpy(bytes, blk->serial, req->id_len);
                request_write(request, 0, req->id_len);
                blk_answer(request, 0);
                return;
        }
        bytes = request_reserve(request, req->id_len + 1);
        memcpy(bytes, blk->serial, req->id_len);
        bytes[req->id_len] = BLK_STATUS_OK;
        request_complete(request, 0, req->id_len + 1);
}

static void blk_do_discard(struct blk *blk, struct request *request, const struct blk_req *req)
{
        int r = 0;

        blk_quiesce(blk);
        request_push(request);
        for (uint32_t i = 0; i < req->n_ranges && r == 0; i++)
                r = blk_file_discard(&blk->file, req->ranges[i].offset, req->ranges[i].len);
        blk_answer(request, r < 0 ? r : blk_settle(blk));
}

static void blk_do_write_zeroes(struct blk *blk, struct request *request, const struct blk_req *req)
{
        const struct blk_range *range = &req->ranges[0];
        int r;

        blk_quiesce(blk);
        request_push(request);
        r = blk_file_zero(&blk->file, range->offset, range->len, range->unmap);
        blk_answer(request, r < 0 ? r : blk_settle(blk));
}

typedef void (*blk_do_op)(struct blk *blk, struct request *request, const struct blk_req *req);

static const blk_do_op blk_table[BLK_OP_COUNT_] = {
    [BLK_OP_READ] = blk_do_read,       [BLK_OP_WRITE] = blk_do_write,
    [BLK_OP_FLUSH] = blk_do_flush,     [BLK_OP_GET_ID] = blk_do_get_id,
    [BLK_OP_DISCARD] = blk_do_discard, [BLK_OP_WRITE_ZEROES] = blk_do_write_zeroes,
};

/* ---- requests ---- */

/* What did not come inlined is copied first. */
static int blk_load_rest(struct blk *blk, struct request *request, struct blk_req *ret_req)
{
        uint32_t readable = request_readable(request), len;
        uint8_t bytes[BLK_JUDGED_BYTES] _uninitialized_; /* nearly always 16 of them are used */
        int r;

        r = request_read(request, 0, bytes, BLK_HEADER_BYTES);
        if (r < 0)
                return r;
        len = blk_req_judged_len(bytes, readable);
        r = request_read(request, BLK_HEADER_BYTES, bytes + BLK_HEADER_BYTES, len - BLK_HEADER_BYTES);
        if (r < 0)
                return r;
        return blk_req_check(&blk->disk, readable, request_writable(request), bytes, len, ret_req);
}

/* Inlined bytes are our copy already: they are judged where they are. */
static int blk_load(struct blk *blk, struct request *request, struct blk_req *ret_req)
{
        uint32_t readable = request_readable(request), have, len;
        const uint8_t *bytes = request_inlined(request, &have);

        if (readable < BLK_HEADER_BYTES)
                return -EPROTO;
        if (have < BLK_HEADER_BYTES)
                return blk_load_rest(blk, request, ret_req);
        len = blk_req_judged_len(bytes, readable);
        if (have < len)
                return blk_load_rest(blk, request, ret_req);
        return blk_req_check(&blk->disk, readable, request_writable(request), bytes, len, ret_req);
}

static int blk_judge(struct blk *blk, struct request *request, struct blk_req *ret_req)
{
        if (request_writable(request) == 0)
                return -EPROTO;
        return request_must_fail(request) ? -EIO : blk_load(blk, request, ret_req);
}

static void blk_do(struct blk *blk, struct request *request, int error, const struct blk_req *req)
{
        if (error == -EPROTO)
                request_refuse(request);
        else if (error < 0)
                blk_answer(request, error);
        else
                blk_table[req->op](blk, request, req);
}

/* Past the page cache all is under way at once: there is nothing to wait for. */
static bool blk_may_wait(const struct blk *blk, struct request *request, const struct blk_req *req)
{
        return !blk->is_direct && blk_run_can_hold(request, req);
}

/* A request waits for company while all that follows continues it. What does not is carried out after it, as if
 * nothing had waited: so a flush covers the writes before it, and of two that overlap the later one wins. */
static void blk_handle(void *state, struct request *request)
{
        struct blk *blk = state;
        struct blk_req req _uninitialized_; /* blk_judge fills it in, or nobody reads it */
        int r = blk_judge(blk, request, &req);
        bool waits = r == 0 && blk_may_wait(blk, request, &req);

        if (waits && blk_run_add(&blk->run, request, &req))
                return;
        blk_finish_run(blk);
        if (waits)
                blk_run_add(&blk->run, request, &req);
        else
                blk_do(blk, request, r, &req);
}

static void blk_batch_end(void *state)
{
        struct blk *blk = state;

        blk_finish_run(blk);
        if (blk->is_direct)
                blk_direct_submit(&blk->direct);
}

static void blk_rest(void *state)
{
        const struct blk *blk = state;

        blk_map_rest(&blk->file.map);
}

static struct blk blk_state;

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_BLK,
    .state = &blk_state,
    .init = blk_init,
    .set_features = blk_set_features,
    .config_write = blk_config_write,
    .handle = blk_handle,
    .batch_end = blk_batch_end,
    .rest = blk_rest,
};
