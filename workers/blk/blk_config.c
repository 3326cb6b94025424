/* What a block device says of itself.
 * Owns nothing; called by blk.c. TRUST: the operator's options, judged by the broker, and the image's size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_config.h"

#include "proto/base/checked.h"
#include "proto/device/blk.h"
#include "workers/runtime/request.h"

#define BLK_F_SIZE_MAX     (UINT64_C(1) << 1)
#define BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define BLK_F_RO           (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define BLK_F_TOPOLOGY     (UINT64_C(1) << 10)
#define BLK_F_MQ           (UINT64_C(1) << 12)
#define BLK_F_DISCARD      (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

#define BLK_SEG_MAX 126u /* a ring of 128, QEMU's default, less header and status */
#define BLK_SIZE_MAX                                                                                         \
        262144u                /* so that no request of BLK_SEG_MAX segments is over LIMIT_CHAIN_BYTES       \
                                */
#define BLK_MAX_SEGMENTS 130u  /* of any request: header, data and status, and a little */
#define BLK_PHYSICAL     4096u /* bytes of the blocks that a host file is made of */

#define BLK_CREDIT_BYTES (1u << 20)                         /* seven of the largest that are inlined */
#define BLK_MAX_INLINE   (BLK_HEADER_BYTES + REQUEST_PIECE) /* a write of one piece needs no question */

_Static_assert(BLK_SEG_MAX *BLK_SIZE_MAX + BLK_HEADER_BYTES + 1 <= LIMIT_CHAIN_BYTES,
               "no driver can go beyond");

/* Values that differ from disk to disk are filled in by blk_config_hello. Geometry is not offered. */
static const struct control_field blk_fields[BLK_FIELD_COUNT_] = {
    [BLK_FIELD_CAPACITY] = {.offset = 0, .width = 8},
    [BLK_FIELD_SIZE_MAX] = {.offset = 8, .width = 4, .value = BLK_SIZE_MAX},
    [BLK_FIELD_SEG_MAX] = {.offset = 12, .width = 4, .value = BLK_SEG_MAX},
    [BLK_FIELD_CYLINDERS] = {.offset = 16, .width = 2},
    [BLK_FIELD_HEADS] = {.offset = 18, .width = 1},
    [BLK_FIELD_SECTORS] = {.offset = 19, .width = 1},
    [BLK_FIELD_BLK_SIZE] = {.offset = 20, .width = 4},
    [BLK_FIELD_PHYSICAL_BLOCK_EXP] = {.offset = 24, .width = 1},
    [BLK_FIELD_ALIGNMENT_OFFSET] = {.offset = 25, .width = 1},
    [BLK_FIELD_MIN_IO_SIZE] = {.offset = 26, .width = 2},
    [BLK_FIELD_OPT_IO_SIZE] = {.offset = 28, .width = 4},
    [BLK_FIELD_WRITEBACK] = {.offset = 32, .width = 1, .value = 1},
    [BLK_FIELD_UNUSED_0] = {.offset = 33, .width = 1},
    [BLK_FIELD_NUM_QUEUES] = {.offset = 34, .width = 2},
    [BLK_FIELD_MAX_DISCARD_SECTORS] = {.offset = 36, .width = 4, .value = LIMIT_BLK_DISCARD},
    [BLK_FIELD_MAX_DISCARD_SEG] = {.offset = 40, .width = 4, .value = LIMIT_BLK_RANGES},
    [BLK_FIELD_DISCARD_SECTOR_ALIGNMENT] = {.offset = 44, .width = 4, .value = BLK_PHYSICAL / BLK_SECTOR},
    [BLK_FIELD_MAX_WRITE_ZEROES_SECTORS] = {.offset = 48, .width = 4, .value = LIMIT_BLK_ZEROES},
    [BLK_FIELD_MAX_WRITE_ZEROES_SEG] = {.offset = 52, .width = 4, .value = 1},
    [BLK_FIELD_WRITE_ZEROES_MAY_UNMAP] = {.offset = 56, .width = 1, .value = 1},
    [BLK_FIELD_UNUSED_1] = {.offset = 57, .width = 1},
    [BLK_FIELD_UNUSED_2] = {.offset = 58, .width = 1},
    [BLK_FIELD_UNUSED_3] = {.offset = 59, .width = 1},
};

static uint64_t blk_features(const struct control_configure *configure, const struct blk_options *options)
{
        uint64_t features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY | BLK_F_FLUSH;

        if (configure->n_queues > 1)
                features |= BLK_F_MQ;
        if (options->read_only)
                return features | BLK_F_RO;
        return features | BLK_F_CONFIG_WCE | BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
}

static void blk_fill_fields(const struct control_configure *configure, const struct blk_options *options,
                            const struct blk_disk *disk, struct control_field *fields)
{
        uint32_t blocks = BLK_PHYSICAL / options->block_size; /* 8 or 1 */

        for (uint32_t i = 0; i < BLK_FIELD_COUNT_; i++)
                fields[i] = blk_fields[i];
        fields[BLK_FIELD_CAPACITY].value = disk->capacity;
        fields[BLK_FIELD_BLK_SIZE].value = options->block_size;
        fields[BLK_FIELD_PHYSICAL_BLOCK_EXP].value = (uint64_t)__builtin_ctz(blocks);
        fields[BLK_FIELD_MIN_IO_SIZE].value = blocks;
        fields[BLK_FIELD_WRITEBACK].writable = !options->read_only;
        fields[BLK_FIELD_NUM_QUEUES].value = configure->n_queues;
}

void blk_config_hello(const struct control_configure *configure, const struct blk_disk *disk,
                      struct control_hello *ret_hello)
{
        const struct blk_options options = blk_options_read(&configure->options);

        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_BLK].virtio_id,
            .features = blk_features(configure, &options),
            .n_queues = configure->n_queues,
            .max_segments = BLK_MAX_SEGMENTS,
            .credit_requests = LIMIT_CREDITS,
            .credit_bytes = BLK_CREDIT_BYTES,
            .max_inline = BLK_MAX_INLINE,
            .area = {.lead = BLK_HEADER_BYTES, /* what is written to the file begins with a line, or, */
                     .dense = !options.direct, /* where it goes past the page cache, with a page, */
                     .out = true},             /* as what is read from it does */
            .n_fields = BLK_FIELD_COUNT_,
        };
        for (uint32_t i = 0; i < configure->n_queues; i++) {
                ret_hello->queue_kind[i] = QUEUE_WORK;
                ret_hello->queue_replay[i] = REPLAY_IDEMPOTENT;
        }
        blk_fill_fields(configure, &options, disk, ret_hello->fields);
}
