/* What a worker has to say on one lane.
 * Owns nothing but its columns; called by request.c and worker_lane.c. TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/outbox.h"

#include "proto/base/status.h"
#include "workers/runtime/trap.h"

/* One element of what is gathered. */
struct outbox_element {
        uint64_t id;
        uint32_t status, offset, len, placed;
};

void outbox_init(struct outbox *outbox, struct link *link, uint8_t *payload)
{
        outbox->link = link;
        outbox->space = LANE_SPACE_CHAIN;
        outbox->payload = payload;
        outbox->n = 0;
        outbox->placed_len = 0;
        outbox->moves = outbox->moved = 0;
        outbox->many_wait = outbox->longer = false;
        outbox->together = 0;
        outbox->start = outbox->used = outbox->reserved = 0;
}

void outbox_expect(struct outbox *outbox, uint32_t n_waiting)
{
        outbox->many_wait = n_waiting > OUTBOX_MANY;
}

void outbox_set_longer(struct outbox *outbox, bool longer)
{
        outbox->longer = longer;
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
                message.complete =
                    (struct lane_complete){.n = outbox->n,
                                           .id = outbox->id,
                                           .status = outbox->status,
                                           .offset = outbox->offset,
                                           .len = outbox->len,
                                           .placed = outbox->placed_len > 0 ? outbox->placed : NULL};
        else if (outbox->kind == LANE_RAW_WRITE)
                message.raw = (struct lane_raw){.n = outbox->n, .at = outbox->id, .len = outbox->len};
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
        outbox->placed_len = 0;
        outbox->moved = 0;
        outbox->start = outbox->used;
}

void outbox_flush(struct outbox *outbox)
{
        if (outbox->together > 0)
                worker_trap();
        if (outbox->n > 0)
                outbox_send_gathered(outbox);
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

void outbox_together(struct outbox *outbox, uint32_t n)
{
        if (n == 0 || n > OUTBOX_TOGETHER || outbox->together > 0)
                worker_trap();
        if (outbox->n > OUTBOX_TOGETHER - n)
                outbox_send_gathered(outbox);
        outbox->together = n;
}

/* What has passed OUTBOX_BATCH because many waited goes on to OUTBOX_MANY; what belongs together may jump over either. */
static bool outbox_is_full(const struct outbox *outbox, bool together)
{
        bool batch = (together ? outbox->n >= OUTBOX_BATCH : outbox->n == OUTBOX_BATCH) ||
                     outbox->moved >= OUTBOX_MOVED;

        return outbox->n >= OUTBOX_MANY || (batch && !outbox->many_wait && !outbox->longer) ||
               outbox->used - outbox->start >= OUTBOX_FULL || outbox->placed_len >= OUTBOX_PLACED;
}

/* What is gathered is of one kind. A reservation behind it stays where it is. */
static void outbox_gather(struct outbox *outbox, enum lane_kind_to_broker kind,
                          const struct outbox_element *element)
{
        const bool together = outbox->together > 0;

        if (element->len > outbox->reserved || (together && kind != LANE_COMPLETE))
                worker_trap();
        if (outbox->n > 0 && outbox->kind != kind)
                outbox_send_gathered(outbox);
        outbox->kind = kind;
        outbox->id[outbox->n] = element->id;
        outbox->status[outbox->n] = element->status;
        outbox->offset[outbox->n] = element->offset;
        outbox->len[outbox->n] = element->len;
        outbox->placed[outbox->n] = element->placed;
        outbox->placed_len += element->placed;
        outbox->moved += outbox->moves;
        outbox->moves = 0;
        outbox->n++;
        outbox->used += element->len;
        outbox->reserved -= element->len;
        if (together && --outbox->together > 0)
                return;
        if (!outbox_is_full(outbox, together))
                return;
        if (outbox->reserved > 0)
                outbox_send_gathered(outbox);
        else
                outbox_flush(outbox);
}

void outbox_moved(struct outbox *outbox, uint64_t bytes)
{
        outbox->moves = bytes;
}

void outbox_complete(struct outbox *outbox, uint64_t id, uint32_t status, uint32_t offset, uint32_t len)
{
        outbox_gather(outbox, LANE_COMPLETE,
                      &(struct outbox_element){.id = id, .status = status, .offset = offset, .len = len});
}

void outbox_complete_placed(struct outbox *outbox, uint64_t id, uint32_t placed, uint32_t len)
{
        outbox_gather(
            outbox, LANE_COMPLETE,
            &(struct outbox_element){
                .id = id, .status = WIRE_STATUS_OK, .offset = placed, .len = len, .placed = placed});
}

void outbox_write(struct outbox *outbox, uint64_t id, uint32_t offset, uint32_t len)
{
        if (len == 0)
                worker_trap();
        outbox_gather(outbox, LANE_MEM_WRITE,
                      &(struct outbox_element){.id = id, .offset = offset, .len = len});
}

int outbox_write_file(struct outbox *outbox, uint64_t id, uint32_t offset, const struct link_file *file)
{
        uint32_t len = file->len;
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.space = outbox->space, .n = 1, .id = &id, .offset = &offset, .len = &len}};

        if (file->len == 0 || file->len > OUTBOX_FILE)
                worker_trap();
        outbox_flush(outbox);
        return link_send_file(outbox->link, outbox->frame, outbox_make(&message, outbox->frame), file);
}

void outbox_ask(struct outbox *outbox, uint32_t seq, uint64_t id, uint32_t offset, uint32_t len)
{
        struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = seq, .n = 1, .id = &id, .offset = &offset, .len = &len, .total = len}};

        outbox_flush(outbox);
        outbox_send(outbox, &message, 0);
}

void outbox_write_raw(struct outbox *outbox, uint64_t at, uint32_t len)
{
        if (len == 0)
                worker_trap();
        outbox_gather(outbox, LANE_RAW_WRITE, &(struct outbox_element){.id = at, .len = len});
}

void outbox_ask_raw(struct outbox *outbox, const struct lane_raw *read)
{
        const struct lane_to_broker message = {.kind = LANE_RAW_READ, .raw = *read};

        outbox_flush(outbox);
        outbox_send(outbox, &message, 0);
}

void outbox_taken(struct outbox *outbox, uint32_t queue, uint32_t next)
{
        const struct lane_to_broker message = {.kind = LANE_TAKEN, .taken = {.queue = queue, .next = next}};

        outbox_flush(outbox);
        outbox_send(outbox, &message, 0);
}

void outbox_ask_rest(struct outbox *outbox)
{
        const struct lane_to_broker message = {.kind = LANE_ASK_REST};

        outbox_flush(outbox);
        outbox_send(outbox, &message, 0);
}
