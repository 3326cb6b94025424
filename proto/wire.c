/* The pre-scan, and protobuf-c behind it.
 *
 * protobuf-c accepts any nesting, any repetition and any amount of unknown fields, and pays for them with
 * stack and heap. So a message is walked first with the same descriptors, without allocating, and everything
 * that our own packer never writes is refused. What is left is small and flat, and is unpacked into a capped
 * arena.
 *
 * Owns nothing; called by the *_check and *_make files of proto/.
 * TRUST: every byte is the peer's; the descriptors are ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define WIRE_VARINT_BYTES 10u /* 64 bits in groups of seven */
#define WIRE_TAG_BYTES    5u  /* 32 bits; protobuf-c reads no more, of tags and of lengths */

/* The bytes that are left of one message. */
struct wire_cursor {
        const uint8_t *at;
        size_t left;
};

/* What has been seen of one message: bit and counter by field index. */
struct wire_seen {
        uint32_t fields;
        uint8_t count[LIMIT_WIRE_FIELDS];
};
_Static_assert(LIMIT_WIRE_FIELDS <= 32, "seen.fields has 32 bits");
_Static_assert(LIMIT_WIRE_REPEATED < UINT8_MAX, "seen.count has 8 bits");

static int wire_scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
                             unsigned depth);

static int cursor_varint(struct wire_cursor *cursor, unsigned max_bytes, uint64_t *ret_value)
{
        uint64_t value = 0;

        for (unsigned i = 0; i < max_bytes && i < cursor->left; i++) {
                uint64_t group = cursor->at[i] & 0x7fu;

                if (i == WIRE_VARINT_BYTES - 1 && group > 1)
                        return -EPROTO; /* the 65th bit */
                value |= group << (7u * i);
                if (cursor->at[i] & 0x80u)
                        continue;
                cursor->at += i + 1;
                cursor->left -= i + 1;
                *ret_value = value;
                return 0;
        }
        return -EPROTO;
}

static int cursor_skip(struct wire_cursor *cursor, size_t len)
{
        if (len > cursor->left)
                return -EPROTO;
        cursor->at += len;
        cursor->left -= len;
        return 0;
}

/* A length-prefixed value: *ret_value is the bytes inside it. */
static int cursor_bytes(struct wire_cursor *cursor, struct wire_cursor *ret_value)
{
        uint64_t len;
        int r;

        r = cursor_varint(cursor, WIRE_TAG_BYTES, &len);
        if (r < 0)
                return r;
        if (len > cursor->left)
                return -EPROTO;
        *ret_value = (struct wire_cursor){.at = cursor->at, .left = (size_t)len};
        return cursor_skip(cursor, (size_t)len);
}

/* Bytes of one element of a fixed-width type; 0 for every other type. */
static size_t wire_fixed_width(ProtobufCType type)
{
        switch (type) {
        case PROTOBUF_C_TYPE_FIXED32:
        case PROTOBUF_C_TYPE_SFIXED32:
        case PROTOBUF_C_TYPE_FLOAT:
                return 4;
        case PROTOBUF_C_TYPE_FIXED64:
        case PROTOBUF_C_TYPE_SFIXED64:
        case PROTOBUF_C_TYPE_DOUBLE:
                return 8;
        default:
                return 0;
        }
}

static bool wire_is_bytes(ProtobufCType type)
{
        return type == PROTOBUF_C_TYPE_MESSAGE || type == PROTOBUF_C_TYPE_STRING ||
               type == PROTOBUF_C_TYPE_BYTES;
}

static ProtobufCWireType wire_type_of(const ProtobufCFieldDescriptor *field)
{
        if (field->label == PROTOBUF_C_LABEL_REPEATED || wire_is_bytes(field->type))
                return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        switch (wire_fixed_width(field->type)) {
        case 4:
                return PROTOBUF_C_WIRE_TYPE_32BIT;
        case 8:
                return PROTOBUF_C_WIRE_TYPE_64BIT;
        default:
                return PROTOBUF_C_WIRE_TYPE_VARINT;
        }
}

/* protobuf-c cuts a varint to the width of its field, silently; so a wider one is refused. */
static int wire_scan_varint(ProtobufCType type, struct wire_cursor *cursor)
{
        uint64_t value, max;
        int r;

        r = cursor_varint(cursor, WIRE_VARINT_BYTES, &value);
        if (r < 0)
                return r;
        switch (type) {
        case PROTOBUF_C_TYPE_BOOL:
                max = 1;
                break;
        case PROTOBUF_C_TYPE_UINT64:
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_SINT64:
                max = UINT64_MAX;
                break;
        default:
                max = UINT32_MAX;
                break;
        }
        return value <= max ? 0 : -EPROTO;
}

static int wire_scan_column(const ProtobufCFieldDescriptor *field, const struct wire_cursor *value)
{
        size_t width = wire_fixed_width(field->type);

        assert(width != 0); /* our schemas have columns of fixed width only */
        if (value->left == 0 || value->left % width != 0 || value->left / width > LIMIT_WIRE_COLUMN)
                return -EPROTO;
        return 0;
}

/* A length-prefixed value: message, string, bytes or column. */
static int wire_scan_bytes(const ProtobufCFieldDescriptor *field, struct wire_cursor *cursor, unsigned depth)
{
        struct wire_cursor value;
        int r;

        r = cursor_bytes(cursor, &value);
        if (r < 0)
                return r;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                return wire_scan_message(field->descriptor, value.at, value.left, depth + 1);
        if (!wire_is_bytes(field->type))
                return wire_scan_column(field, &value);
        if (value.left > LIMIT_WIRE_STRING)
                return -EPROTO;
        if (field->type == PROTOBUF_C_TYPE_STRING && memchr(value.at, 0, value.left))
                return -EPROTO;
        return 0;
}

/* Marks field `i`, and with it every other member of its oneof. -EPROTO: it may not come (again). */
static int wire_mark(const ProtobufCMessageDescriptor *descriptor, unsigned i, struct wire_seen *seen)
{
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED && wire_is_bytes(field->type))
                return seen->count[i]++ < LIMIT_WIRE_REPEATED ? 0 : -EPROTO;
        if (seen->fields & (1u << i))
                return -EPROTO;
        seen->fields |= 1u << i;
        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
                return 0;
        for (unsigned k = 0; k < descriptor->n_fields; k++) {
                const ProtobufCFieldDescriptor *other = &descriptor->fields[k];

                if ((other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                    other->quantifier_offset == field->quantifier_offset)
                        seen->fields |= 1u << k;
        }
        return 0;
}

/* Reads a tag and finds its field; the wire type must be the field's own. */
static int wire_scan_tag(const ProtobufCMessageDescriptor *descriptor, struct wire_cursor *cursor,
                         unsigned *ret_i)
{
        uint64_t tag;
        int r;

        r = cursor_varint(cursor, WIRE_TAG_BYTES, &tag);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < descriptor->n_fields; i++) {
                if (descriptor->fields[i].id != tag >> 3)
                        continue;
                if ((tag & 7u) != (unsigned)wire_type_of(&descriptor->fields[i]))
                        return -EPROTO;
                *ret_i = i;
                return 0;
        }
        return -EPROTO;
}

static int wire_scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
                             unsigned depth)
{
        struct wire_cursor cursor = {.at = bytes, .left = len};
        struct wire_seen seen = {0};

        if (depth > LIMIT_WIRE_DEPTH)
                return -EPROTO;
        assert(descriptor->n_fields <= LIMIT_WIRE_FIELDS);
        while (cursor.left > 0) {
                const ProtobufCFieldDescriptor *field;
                unsigned i;
                int r;

                r = wire_scan_tag(descriptor, &cursor, &i);
                if (r < 0)
                        return r;
                r = wire_mark(descriptor, i, &seen);
                if (r < 0)
                        return r;
                field = &descriptor->fields[i];
                switch (wire_type_of(field)) {
                case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
                        r = wire_scan_bytes(field, &cursor, depth);
                        break;
                case PROTOBUF_C_WIRE_TYPE_VARINT:
                        r = wire_scan_varint(field->type, &cursor);
                        break;
                default:
                        r = cursor_skip(&cursor, wire_fixed_width(field->type));
                        break;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

int wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len)
{
        if (len > LIMIT_FRAME_HEADER)
                return -EPROTO;
        return wire_scan_message(descriptor, bytes, len, 1);
}

/* The arena as protobuf-c's allocator. Remembers whether the cap was the reason:
 * -ENOMEM, not -EPROTO. */
struct wire_heap {
        struct arena *arena;
        bool exhausted;
};

static void *wire_heap_alloc(void *data, size_t size)
{
        struct wire_heap *heap = data;
        void *p = arena_alloc(heap->arena, size);

        if (!p)
                heap->exhausted = true;
        return p;
}

/* The arena is emptied at once, by its next message. */
static void wire_heap_free(void *data, void *p)
{
        (void)data;
        (void)p;
}

int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena, const uint8_t *bytes,
                size_t len, ProtobufCMessage **ret_message)
{
        struct wire_heap heap = {.arena = arena};
        ProtobufCAllocator allocator = {
            .alloc = wire_heap_alloc, .free = wire_heap_free, .allocator_data = &heap};
        ProtobufCMessage *message;
        int r;

        arena_reset(arena);
        r = wire_scan(descriptor, bytes, len);
        if (r < 0)
                return r;
        message = protobuf_c_message_unpack(descriptor, &allocator, len, bytes);
        if (!message)
                return heap.exhausted ? -ENOMEM : -EPROTO;
        *ret_message = message;
        return 0;
}

ssize_t wire_pack(const ProtobufCMessage *message, uint8_t *buf, size_t size)
{
        if (protobuf_c_message_get_packed_size(message) > MIN(size, (size_t)LIMIT_FRAME_HEADER))
                return -E2BIG;
        return (ssize_t)protobuf_c_message_pack(message, buf);
}

int wire_copy_string(const char *text, char *ret_text, size_t size)
{
        size_t len = strnlen(text, size);

        if (len >= size)
                return -EPROTO;
        memset(ret_text, 0, size);
        memcpy(ret_text, text, len);
        return 0;
}

int wire_flag(uint32_t number, bool *ret_flag)
{
        if (number > 1)
                return -EPROTO;
        *ret_flag = number == 1;
        return 0;
}
