/* What a worker has to say on one lane.
 * Owns nothing but its columns; called by request.c and worker_lane.c. TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/outbox.h"

#include "proto/base/status.h"
#include "workers/runtime/trap.h"

void outbox_init(struct outbox *outbox, struct link *link, uint8_t *payload)
{
        outbox->link = link;
        outbox->space = LANE_SPACE_CHAIN;
        outbox->payload = payload;
        outbox->n = 0;
        outbox->many_wait = false;
        outbox->start = outbox->used = outbox->reserved = 0;
}

void outbox_expect(struct outbox *outbox, uint32_t n_waiting)
{
        outbox->many_wait = n_waiting > OUTBOX_MANY;
}

static uint32_t outbox_make(const struct lane_to_broker *message, uint8_t *frame)
{
        ssize_t len = lane_make_to_broker(message, frame + FRAME_HEAD_BYTES, OUTBOX_HEADER);

        if (len <= 0)
                worker_trap();
        return (uint32_t)len;
}

static void outbox_send(struct outbox *outbox, const struct lane_to_broker *message, uint32_t payload_len)
{
        uint32_t len = outbox_make(message, outbox->frame);

        link_send(outbox->link, outbox->frame, len, outbox->payload + outbox->start, payload_len);
}

static struct lane_to_broker outbox_gathered(const struct outbox *outbox)
{
        struct lane_to_broker message = {.kind = outbox->kind};

        if (outbox->kind == LANE_COMPLETE)
                message.complete = (struct lane_complete){.n = outbox->n,
                                                          .id = outbox->id,
                                                          .status = outbox->status,
                                                          .offset = outbox->offset,
                                                          .len = outbox->len};
        else
                message.mem_write = (struct lane_mem_write){.space = outbox->space,
                                                            .n = outbox->n,
                                                            .id = outbox->id,
                                                            .offset = outbox->offset,
                                                            .len = outbox->len};
        return message;
}

static void outbox_send_gathered(struct outbox *outbox)
{
        struct lane_to_broker message = outbox_gathered(outbox);

        outbox_send(outbox, &message, outbox->used - outbox->start);
        outbox->n = 0;
        outbox->start = outbox->used;
}

void outbox_flush(struct outbox *outbox)
{
        if (outbox->n > 0)
                outbox_send_gathered(outbox);
        else
                link_settle(outbox->link);
        outbox->start = outbox->used = outbox->reserved = 0;
}

uint8_t *outbox_reserve(struct outbox *outbox, uint32_t len)
{
        if (len > OUTBOX_PAYLOAD)
                worker_trap();
        if (len > OUTBOX_PAYLOAD - outbox->used)
                outbox_flush(outbox);
        outbox->reserved = len;
        return outbox->payload + outbox->used;
}

static bool outbox_is_full(const struct outbox *outbox)
{
        return outbox->n == OUTBOX_MANY || (outbox->n == OUTBOX_BATCH && !outbox->many_wait) ||
               outbox->used - outbox->start >= OUTBOX_FULL;
}

/* What is gathered is of one kind. A reservation behind it stays where it is. */
static void outbox_gather(struct outbox *outbox, enum lane_kind_to_broker kind, uint64_t id, uint32_t status,
                          uint32_t offset, uint32_t len)
{
        if (len > outbox->reserved)
                worker_trap();
        if (outbox->n > 0 && outbox->kind != kind)
                outbox_send_gathered(outbox);
        outbox->kind = kind;
        outbox->id[outbox->n] = id;
        outbox->status[outbox->n] = status;
        outbox->offset[outbox->n] = offset;
        outbox->len[outbox->n] = len;
        outbox->n++;
        outbox->used += len;
        outbox->reserved -= len;
        if (!outbox_is_full(outbox))
                return;
        if (outbox->reserved > 0)
                outbox_send_gathered(outbox);
        else
                outbox_flush(outbox);
}

void outbox_complete(struct outbox *outbox, uint64_t id, uint32_t status, uint32_t offset, uint32_t len)
{
        outbox_gather(outbox, LANE_COMPLETE, id, status, offset, len);
}

void outbox_write(struct outbox *outbox, uint64_t id, uint32_t offset, uint32_t len)
{
        if (len == 0)
                worker_trap();
        outbox_gather(outbox, LANE_MEM_WRITE, id, 0, offset, len);
}

/* Sends what is gathered, and then a frame whose payload is a file's. */
static int outbox_send_file(struct outbox *outbox, const struct lane_to_broker *message,
                            const struct link_file *file)
{
        struct link_frame before = {.frame = NULL};
        uint32_t header_len = outbox_make(message, outbox->frame);

        if (file->len == 0 || file->tail > LINK_TAIL || file->len > OUTBOX_FILE - file->tail)
                worker_trap();
        if (outbox->n > 0) {
                struct lane_to_broker gathered = outbox_gathered(outbox);

                before = (struct link_frame){.frame = outbox->before,
                                             .header_len = outbox_make(&gathered, outbox->before),
                                             .payload = outbox->payload + outbox->start,
                                             .payload_len = outbox->used - outbox->start};
        }
        outbox->n = 0;
        outbox->start = outbox->used = outbox->reserved = 0;
        return link_send_file(outbox->link, &before, outbox->frame, header_len, file);
}

int outbox_write_file(struct outbox *outbox, uint64_t id, uint32_t offset, const struct link_file *file)
{
        uint32_t len = file->len;
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.space = outbox->space, .n = 1, .id = &id, .offset = &offset, .len = &len}};

        if (file->tail > 0)
                worker_trap();
        return outbox_send_file(outbox, &message, file);
}

int outbox_complete_file(struct outbox *outbox, uint64_t id, uint32_t offset, const struct link_file *file,
                         uint8_t **ret_tail)
{
        uint32_t len = file->len + file->tail, status = WIRE_STATUS_OK;
        struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &id, .status = &status, .offset = &offset, .len = &len}};

        *ret_tail = outbox->link->tail;
        return outbox_send_file(outbox, &message, file);
}

void outbox_ask(struct outbox *outbox, uint32_t seq, uint64_t id, uint32_t offset, uint32_t len)
{
        struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = seq, .n = 1, .id = &id, .offset = &offset, .len = &len, .total = len}};

        outbox_flush(outbox);
        outbox_send(outbox, &message, 0);
}
