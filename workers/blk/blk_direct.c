/* Reads and writes past the page cache, many under way at once.
 *
 * How it works: a request is a transfer, in pieces that fit an answer; a read that has a place is one piece, which goes
 * there.
 *     take     a piece gets staged pages; the bytes of a write are copied there, since inlined ones are not
 * aligned and may move. When there is no room, ends of other pieces are waited for: some must come, because room
 * is held by pieces under way alone
 *     queue    pieces are gathered, and begun by one call: at the end of a batch, when there are many, and
 * before any wait
 *     land     an end has come. What the host has done a part of, or could not begin, is done by a call that waits:
 * its verdict counts
 *     answer   pieces of a read leave in order, the last with the status; a write is answered when its last piece
 * has landed and, under writethrough, one flush has covered all that have landed with it
 *
 * Owns pieces, transfers and the staged pages; called by blk.c. TRUST: ranges are judged; bytes are not looked at;
 * the host may fail any piece at any time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_direct.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "workers/blk/blk_answer.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_memory.h"

int blk_direct_init(struct blk_direct *direct, struct blk_file *file, int event_fd,
                    int (*settle)(void *state), void *state)
{
        uint8_t *bytes = worker_memory((size_t)BLK_STAGING_PAGES * BLK_STAGING_PAGE);
        int r;

        if (!bytes)
                return -ENOMEM;
        *direct = (struct blk_direct){.file = file, .event_fd = event_fd, .settle = settle, .state = state};
        r = aio_setup(BLK_DIRECT_DEPTH, &direct->context);
        if (r < 0)
                return r;
        blk_staging_init(&direct->staging, bytes);
        for (unsigned i = BLK_DIRECT_DEPTH; i-- > 0;) {
                direct->pieces[i].next = direct->free_pieces;
                direct->free_pieces = &direct->pieces[i];
                direct->transfers[i].next = direct->free_transfers;
                direct->free_transfers = &direct->transfers[i];
        }
        return 0;
}

/* ---- transfers ---- */

static void transfer_free(struct blk_direct *direct, struct blk_transfer *transfer)
{
        *transfer = (struct blk_transfer){.next = direct->free_transfers};
        direct->free_transfers = transfer;
}

static void transfer_unlink(struct blk_direct *direct, struct blk_transfer *transfer)
{
        if (transfer->previous)
                transfer->previous->next = transfer->next;
        else
                direct->under_way = transfer->next;
        if (transfer->next)
                transfer->next->previous = transfer->previous;
}

static void piece_free(struct blk_direct *direct, struct blk_piece *piece)
{
        if (piece->staged)
                blk_staging_give(&direct->staging, piece->bytes, piece->len);
        *piece = (struct blk_piece){.next = direct->free_pieces};
        direct->free_pieces = piece;
}

/* A piece of a read goes to the guest. */
static void piece_answer(struct blk_transfer *transfer, const struct blk_piece *piece)
{
        bool is_last = piece->at + piece->len == transfer->range.len;
        uint8_t *to;

        if (!piece->staged) {
                blk_answer_placed(transfer->request, piece->len);
                transfer->request = NULL;
                return;
        }
        to = request_reserve(transfer->request, piece->len + is_last);
        memcpy(to, piece->bytes, piece->len);
        if (!is_last) {
                request_write(transfer->request, piece->at, piece->len);
                return;
        }
        to[piece->len] = BLK_STATUS_OK;
        request_complete(transfer->request, piece->at, piece->len + 1);
        transfer->request = NULL;
}

static void transfer_end(struct blk_direct *direct, struct blk_transfer *transfer)
{
        transfer_unlink(direct, transfer);
        if (transfer->is_write && transfer->error == 0) {
                transfer->next = direct->written;
                direct->written = transfer;
                return;
        }
        if (transfer->request)
                blk_answer(transfer->request, transfer->error);
        transfer_free(direct, transfer);
}

/* Takes the landed pieces from its front; ends it behind the last. */
static void transfer_advance(struct blk_direct *direct, struct blk_transfer *transfer)
{
        struct blk_piece *piece;

        while ((piece = transfer->first) && piece->landed) {
                if (transfer->error == 0)
                        transfer->error = piece->error;
                if (transfer->error == 0 && !transfer->is_write)
                        piece_answer(transfer, piece);
                transfer->first = piece->next;
                piece_free(direct, piece);
        }
        if (transfer->issued && !transfer->first)
                transfer_end(direct, transfer);
}

/* ---- pieces ---- */

static int piece_rest(const struct blk_direct *direct, const struct blk_piece *piece, size_t done)
{
        uint64_t offset = piece->transfer->range.offset + piece->at + done;

        if (piece->transfer->is_write)
                return blk_file_write(direct->file, piece->bytes + done, piece->len - done, offset);
        return blk_file_read(direct->file, piece->bytes + done, piece->len - done, offset);
}

/* `result`: how many bytes, or negative errno. */
static void piece_land(struct blk_direct *direct, struct blk_piece *piece, int64_t result)
{
        if (result > (int64_t)piece->len)
                worker_trap();
        if (result >= 0)
                piece->error = piece_rest(direct, piece, (size_t)result);
        else if (result == -EINTR || result == -EAGAIN)
                piece->error = piece_rest(direct, piece, 0);
        else
                piece->error = (int)result;
        piece->landed = true;
        transfer_advance(direct, piece->transfer);
}

/* Takes ends: `min` of them are waited for. Returns how many. */
static int direct_take_ends(struct blk_direct *direct, long min)
{
        struct io_event events[AIO_EVENTS];
        int n = aio_getevents(direct->context, min, events);

        if (n == -EINTR)
                return 0;
        if (n < 0 || (unsigned)n > direct->n_flying)
                worker_trap();
        direct->n_flying -= (unsigned)n;
        for (int i = 0; i < n; i++)
                piece_land(direct, (struct blk_piece *)(uintptr_t)events[i].data, events[i].res);
        return n;
}

static void direct_settle(struct blk_direct *direct)
{
        struct blk_transfer *transfer;
        int r;

        if (!direct->written)
                return;
        r = direct->settle(direct->state);
        while ((transfer = direct->written)) {
                direct->written = transfer->next;
                blk_answer(transfer->request, r);
                transfer_free(direct, transfer);
        }
}

void blk_direct_submit(struct blk_direct *direct)
{
        unsigned n = direct->n_queued, done = 0;

        direct->n_queued = 0;
        while (done < n) {
                int r = aio_submit(direct->context, (long)(n - done), direct->queued + done);

                if (r > 0) {
                        direct->n_flying += (unsigned)r;
                        done += (unsigned)r;
                } else { /* the first could not be begun */
                        piece_land(direct, (struct blk_piece *)(uintptr_t)direct->queued[done]->aio_data,
                                   -EAGAIN);
                        done++;
                }
        }
        direct_settle(direct);
}

/* Until something has landed that was under way. */
static void direct_wait(struct blk_direct *direct)
{
        blk_direct_submit(direct);
        if (direct->n_flying > 0)
                direct_take_ends(direct, 1);
        direct_settle(direct);
}

void blk_direct_drain(struct blk_direct *direct)
{
        while (direct->under_way)
                direct_wait(direct);
}

void blk_direct_reap(struct blk_direct *direct)
{
        uint64_t count;

        if (read(direct->event_fd, &count, sizeof(count)) < 0 && errno != EINTR)
                worker_trap();
        while (direct_take_ends(direct, 0) == AIO_EVENTS)
                continue;
        direct_settle(direct);
}

/* ---- requests ---- */

static bool direct_collides(const struct blk_direct *direct, const struct blk_range *range, bool is_write)
{
        for (const struct blk_transfer *t = direct->under_way; t; t = t->next)
                if ((is_write || t->is_write) && range->offset < t->range.offset + t->range.len &&
                    t->range.offset < range->offset + range->len)
                        return true;
        return false;
}

static struct blk_transfer *transfer_begin(struct blk_direct *direct, struct request *request,
                                           const struct blk_range *range, bool is_write)
{
        struct blk_transfer *transfer;

        while (!direct->free_transfers || direct_collides(direct, range, is_write)) {
                request_push(request);
                direct_wait(direct);
        }
        transfer = direct->free_transfers;
        direct->free_transfers = transfer->next;
        *transfer = (struct blk_transfer){
            .request = request, .range = *range, .is_write = is_write, .next = direct->under_way};
        if (direct->under_way)
                direct->under_way->previous = transfer;
        direct->under_way = transfer;
        return transfer;
}

/* A piece with room for `len` bytes, of no transfer yet: at `place`, or staged, if that is NULL. */
static struct blk_piece *piece_take(struct blk_direct *direct, struct request *request, uint8_t *place,
                                    uint32_t len)
{
        struct blk_piece *piece;
        uint8_t *bytes;

        while (!direct->free_pieces || !(bytes = place ? place : blk_staging_take(&direct->staging, len))) {
                request_push(request);
                direct_wait(direct);
        }
        piece = direct->free_pieces;
        direct->free_pieces = piece->next;
        *piece = (struct blk_piece){.bytes = bytes, .len = len, .staged = !place};
        return piece;
}

static void piece_shrink(struct blk_direct *direct, struct blk_piece *piece, uint32_t len)
{
        uint32_t keep = (len + BLK_STAGING_PAGE - 1) / BLK_STAGING_PAGE * BLK_STAGING_PAGE;

        if (keep < piece->len)
                blk_staging_give(&direct->staging, piece->bytes + keep, piece->len - keep);
        piece->len = len;
}

static void piece_queue(struct blk_direct *direct, struct blk_transfer *transfer, struct blk_piece *piece,
                        uint32_t at)
{
        piece->transfer = transfer;
        piece->at = at;
        piece->iocb = (struct iocb){
            .aio_data = (uintptr_t)piece,
            .aio_lio_opcode = transfer->is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
            .aio_fildes = (uint32_t)direct->file->fd,
            .aio_buf = (uintptr_t)piece->bytes,
            .aio_nbytes = piece->len,
            .aio_offset = (int64_t)(transfer->range.offset + at),
            .aio_flags = IOCB_FLAG_RESFD,
            .aio_resfd = (uint32_t)direct->event_fd,
        };
        if (transfer->first)
                transfer->last->next = piece;
        else
                transfer->first = piece;
        transfer->last = piece;
        direct->queued[direct->n_queued++] = &piece->iocb;
        if (direct->n_queued == BLK_DIRECT_SUBMIT)
                blk_direct_submit(direct);
}

/* No piece is to follow; perhaps all have landed. */
static void transfer_issued(struct blk_direct *direct, struct blk_transfer *transfer)
{
        transfer->issued = true;
        if (!transfer->first) {
                transfer_advance(direct, transfer);
                direct_settle(direct);
        }
}

void blk_direct_read(struct blk_direct *direct, struct request *request, const struct blk_range *range)
{
        struct blk_transfer *transfer = transfer_begin(direct, request, range, false);
        uint8_t *place = request_place(request);
        uint64_t most = place ? range->len : REQUEST_PIECE;

        for (uint32_t done = 0; done < range->len && transfer->error == 0;) {
                uint32_t len = (uint32_t)MIN(range->len - done, most);
                struct blk_piece *piece = piece_take(direct, request, place, len);

                piece_queue(direct, transfer, piece, done);
                done += len;
        }
        transfer_issued(direct, transfer);
}

void blk_direct_write(struct blk_direct *direct, struct request *request, const struct blk_range *range)
{
        struct blk_transfer *transfer = transfer_begin(direct, request, range, true);
        struct request_reader reader;

        request_reader_start(&reader, request, BLK_HEADER_BYTES, (uint32_t)range->len);
        for (uint32_t done = 0; done < range->len && transfer->error == 0;) {
                struct blk_piece *piece = piece_take(
                    direct, request, NULL, (uint32_t)MIN(range->len - done, (uint64_t)REQUEST_PIECE));
                const uint8_t *bytes;
                ssize_t n = request_reader_next(&reader, &bytes);

                if (n < 0) {
                        transfer->error = (int)n;
                        piece_free(direct, piece);
                        break;
                }
                memcpy(piece->bytes, bytes, (size_t)n);
                piece_shrink(direct, piece, (uint32_t)n);
                piece_queue(direct, transfer, piece, done);
                done += (uint32_t)n;
        }
        request_reader_stop(&reader);
        transfer_issued(direct, transfer);
}
