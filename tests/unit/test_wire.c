/* The pre-scan, and protobuf-c behind it. A recursive message, which no schema of ours has, shows the depth
 * limit.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <errno.h>
#include <malloc.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "schema/admin.pb-c.h"
#include "schema/config.pb-c.h"
#include "schema/control.pb-c.h"
#include "schema/lane.pb-c.h"
#include "schema/spawn.pb-c.h"
#include "tests/unit/unit.h"

/* ---- a message of every kind of field, which may hold itself; scanned only, never unpacked ---- */

static const ProtobufCMessageDescriptor zoo;

#define FIELD(number, l, t, f, q)                                                                            \
        {                                                                                                    \
                .name = #number, .id = number, .label = PROTOBUF_C_LABEL_##l, .type = PROTOBUF_C_TYPE_##t,   \
                .flags = f, .quantifier_offset = q, .descriptor = &zoo                                       \
        }

enum {
        SELF = 1,
        MANY = 2,
        COLUMN32 = 3,
        COLUMN64 = 4,
        TEXT = 5,
        BLOB = 6,
        FLAG = 7,
        KIND = 8,
        FIXED = 9,
        LONG = 10,
        EITHER = 11,
        OR = 12,
        TEXTS = 13,
        FAR = 600
};

static const ProtobufCFieldDescriptor zoo_fields[] = {
    FIELD(SELF, NONE, MESSAGE, 0, 0),
    FIELD(MANY, REPEATED, MESSAGE, 0, 0),
    FIELD(COLUMN32, REPEATED, FIXED32, 0, 0),
    FIELD(COLUMN64, REPEATED, FIXED64, 0, 0),
    FIELD(TEXT, NONE, STRING, 0, 0),
    FIELD(BLOB, NONE, BYTES, 0, 0),
    FIELD(FLAG, NONE, BOOL, 0, 0),
    FIELD(KIND, NONE, ENUM, 0, 0),
    FIELD(FIXED, NONE, FIXED64, 0, 0),
    FIELD(LONG, NONE, UINT64, 0, 0),
    FIELD(EITHER, NONE, MESSAGE, PROTOBUF_C_FIELD_FLAG_ONEOF, 8),
    FIELD(OR, NONE, FIXED32, PROTOBUF_C_FIELD_FLAG_ONEOF, 8),
    FIELD(TEXTS, REPEATED, STRING, 0, 0),
    FIELD(FAR, NONE, FIXED32, 0, 0),
};

static const ProtobufCMessageDescriptor zoo = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "zoo",
    .n_fields = array_size(zoo_fields),
    .fields = zoo_fields,
};

/* ---- a message under construction ---- */

struct bytes {
        uint8_t at[2u << 20];
        size_t len;
};
static struct bytes b;

enum { VARINT = 0, BITS64 = 1, PREFIXED = 2, GROUP = 3, GROUP_END = 4, BITS32 = 5 };

static void put(const void *bytes, size_t len)
{
        assert_true(len <= sizeof(b.at) - b.len);
        memcpy(b.at + b.len, bytes, len);
        b.len += len;
}

static void put_varint(uint64_t v)
{
        do {
                uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

                put(&byte, 1);
                v >>= 7;
        } while (v);
}

static void put_tag(uint32_t field, unsigned wire_type)
{
        put_varint((uint64_t)field << 3 | wire_type);
}

/* A length-prefixed field of `len` bytes, each `fill`. */
static void put_filled(uint32_t field, size_t len, uint8_t fill)
{
        put_tag(field, PREFIXED);
        put_varint(len);
        assert_true(len <= sizeof(b.at) - b.len);
        memset(b.at + b.len, fill, len);
        b.len += len;
}

/* `depth` messages inside each other, the innermost empty. */
static void put_nested(uint32_t field, unsigned depth)
{
        uint8_t inner[64 * 1024];
        size_t len = 0;

        b.len = 0;
        for (unsigned i = 1; i < depth; i++) {
                memcpy(inner, b.at, b.len);
                len = b.len;
                b.len = 0;
                put_tag(field, PREFIXED);
                put_varint(len);
                put(inner, len);
        }
}

static int scan(void)
{
        uint8_t *exact = malloc(b.len);
        int r;

        if (b.len > 0)
                memcpy(exact, b.at, b.len);
        r = wire_scan(&zoo, exact, b.len);
        free(exact);
        b.len = 0;
        return r;
}

/* ---- claims ---- */

static void an_empty_message_is_a_message(void **state)
{
        (void)state;
        b.len = 0;
        assert_int_equal(scan(), 0);
}

static void every_field_once_is_accepted(void **state)
{
        (void)state;
        put_filled(SELF, 0, 0);
        put_filled(MANY, 0, 0);
        put_filled(MANY, 0, 0);
        put_filled(COLUMN32, 8, 1);
        put_filled(COLUMN64, 16, 1);
        put_filled(TEXT, 3, 'x');
        put_filled(BLOB, 3, 0);
        put_tag(FLAG, VARINT);
        put_varint(1);
        put_tag(KIND, VARINT);
        put_varint(UINT32_MAX);
        put_tag(FIXED, BITS64);
        put("12345678", 8);
        put_tag(LONG, VARINT);
        put_varint(UINT64_MAX);
        put_filled(EITHER, 0, 0);
        put_filled(TEXTS, 1, 'x');
        put_tag(FAR, BITS32);
        put("1234", 4);
        assert_int_equal(scan(), 0);
}

static void unknown_fields_are_refused(void **state)
{
        static const uint32_t unknown[] = {0, 14, 15, 599, 601, (1u << 29) - 1};

        (void)state;
        for (size_t i = 0; i < array_size(unknown); i++) {
                put_tag(unknown[i], VARINT);
                put_varint(1);
                assert_int_equal(scan(), -EPROTO);
                put_filled(unknown[i], 0, 0);
                assert_int_equal(scan(), -EPROTO);
        }
}

static void tags_that_would_be_a_known_field_after_cutting_are_refused(void **state)
{
        (void)state;
        put_varint((uint64_t)FIXED << 3 | BITS64 | UINT64_C(1) << 32);
        put("12345678", 8);
        assert_int_equal(scan(), -EPROTO);
        put_varint((uint64_t)FIXED << 3 | BITS64 | UINT64_C(1) << 35);
        put("12345678", 8);
        assert_int_equal(scan(), -EPROTO);
}

static void every_wire_type_but_the_fields_own_is_refused(void **state)
{
        static const unsigned own[] = {
            [SELF] = PREFIXED, [MANY] = PREFIXED, [COLUMN32] = PREFIXED, [COLUMN64] = PREFIXED,
            [TEXT] = PREFIXED, [BLOB] = PREFIXED, [FLAG] = VARINT,       [KIND] = VARINT,
            [FIXED] = BITS64,  [LONG] = VARINT,   [EITHER] = PREFIXED,   [OR] = BITS32,
            [TEXTS] = PREFIXED};

        (void)state;
        for (uint32_t field = SELF; field <= TEXTS; field++) {
                for (unsigned type = 0; type < 8; type++) {
                        const bool column = field == COLUMN32 || field == COLUMN64;

                        put_tag(field, type);
                        if (type == PREFIXED && column)
                                put("\10\0\0\0\0\0\0\0\0", 9); /* 8 bytes */
                        else
                                put("\0\0\0\0\0\0\0\0", type == BITS64 ? 8 : type == BITS32 ? 4 : 1);
                        assert_int_equal(scan(), type == own[field] ? 0 : -EPROTO);
                }
        }
}

static void groups_are_refused(void **state)
{
        (void)state;
        put_tag(SELF, GROUP);
        put_tag(SELF, GROUP_END);
        assert_int_equal(scan(), -EPROTO);
}

static void varints_end_within_ten_bytes_and_sixty_four_bits(void **state)
{
        (void)state;
        put_tag(LONG, VARINT);
        put("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
        assert_int_equal(scan(), 0);
        put_tag(LONG, VARINT);
        put("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10); /* bit 64 */
        assert_int_equal(scan(), -EPROTO);
        put_tag(LONG, VARINT);
        put("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
        assert_int_equal(scan(), -EPROTO);
        put_tag(LONG, VARINT);
        put("\x80\x80", 2); /* cut short */
        assert_int_equal(scan(), -EPROTO);
}

static void varints_wider_than_their_field_are_refused(void **state)
{
        (void)state;
        put_tag(FLAG, VARINT);
        put_varint(2);
        assert_int_equal(scan(), -EPROTO);
        put_tag(KIND, VARINT);
        put_varint(UINT64_C(1) << 32);
        assert_int_equal(scan(), -EPROTO);
        put_tag(KIND, VARINT);
        put_varint(UINT64_MAX); /* -1 */
        assert_int_equal(scan(), -EPROTO);
}

static void lengths_end_inside_the_message(void **state)
{
        (void)state;
        put_filled(TEXT, 3, 'x');
        b.len--;
        assert_int_equal(scan(), -EPROTO);
        put_tag(TEXT, PREFIXED);
        put_varint(UINT32_MAX);
        assert_int_equal(scan(), -EPROTO);
        put_tag(TEXT, PREFIXED);
        put("\x80\x80\x80\x80\x80\x00", 6); /* zero, in more bytes than protobuf-c reads */
        assert_int_equal(scan(), -EPROTO);
        put_tag(TEXT, PREFIXED);
        assert_int_equal(scan(), -EPROTO);
        put_tag(FIXED, BITS64);
        put("1234567", 7);
        assert_int_equal(scan(), -EPROTO);
        put_tag(OR, BITS32);
        put("123", 3);
        assert_int_equal(scan(), -EPROTO);
}

static void an_inner_field_never_reaches_out_of_its_message(void **state)
{
        (void)state;
        put_tag(SELF, PREFIXED);
        put_varint(3); /* tag, length, one byte: but the length says two */
        put_tag(TEXT, PREFIXED);
        put_varint(2);
        put("ab", 2);
        assert_int_equal(scan(), -EPROTO);
}

static void singular_fields_come_once(void **state)
{
        static const uint32_t prefixed[] = {SELF, COLUMN32, COLUMN64, TEXT, BLOB, EITHER};

        (void)state;
        for (size_t i = 0; i < array_size(prefixed); i++) {
                put_filled(prefixed[i], 0, 0);
                put_filled(prefixed[i], 0, 0);
                assert_int_equal(scan(), -EPROTO);
        }
        for (uint32_t field = FLAG; field <= KIND; field++) {
                for (int twice = 0; twice < 2; twice++) {
                        put_tag(field, VARINT);
                        put_varint(1);
                }
                assert_int_equal(scan(), -EPROTO);
        }
}

static void a_oneof_is_set_once(void **state)
{
        (void)state;
        put_tag(OR, BITS32);
        put("1234", 4);
        assert_int_equal(scan(), 0);
        put_filled(EITHER, 0, 0);
        put_tag(OR, BITS32);
        put("1234", 4);
        assert_int_equal(scan(), -EPROTO);
        put_tag(OR, BITS32);
        put("1234", 4);
        put_filled(EITHER, 0, 0);
        assert_int_equal(scan(), -EPROTO);
}

static void nesting_ends_at_its_limit(void **state)
{
        static const uint32_t fields[] = {SELF, MANY, EITHER};

        (void)state;
        for (size_t i = 0; i < array_size(fields); i++) {
                put_nested(fields[i], LIMIT_WIRE_DEPTH - 1);
                assert_int_equal(scan(), 0);
                put_nested(fields[i], LIMIT_WIRE_DEPTH);
                assert_int_equal(scan(), 0);
                put_nested(fields[i], LIMIT_WIRE_DEPTH + 1);
                assert_int_equal(scan(), -EPROTO);
        }
}

static void ten_thousand_levels_are_refused_at_the_fifth(void **state)
{
        (void)state;
        put_nested(SELF, 10000);
        assert_true(b.len > 30000 && b.len < LIMIT_FRAME_HEADER);
        assert_int_equal(scan(), -EPROTO);
}

static void repeated_fields_end_at_their_limit(void **state)
{
        static const uint32_t fields[] = {MANY, TEXTS};

        (void)state;
        for (size_t i = 0; i < array_size(fields); i++) {
                for (unsigned over = 0; over < 2; over++) {
                        for (unsigned n = 0; n < LIMIT_WIRE_REPEATED + over; n++)
                                put_filled(fields[i], 0, 0);
                        assert_int_equal(scan(), over ? -EPROTO : 0);
                }
                for (unsigned n = 0; n < 0x10001; n++) /* a counter that wraps would come round to 1 */
                        put_filled(fields[i], 0, 0);
                b.len = LIMIT_FRAME_HEADER;
                assert_int_equal(scan(), -EPROTO);
        }
}

static void columns_are_whole_and_end_at_their_limit(void **state)
{
        static const struct {
                uint32_t field;
                size_t width;
        } columns[] = {{COLUMN32, 4}, {COLUMN64, 8}};

        (void)state;
        for (size_t i = 0; i < array_size(columns); i++) {
                put_filled(columns[i].field, 0, 0); /* no packer writes it, and protobuf-c copies from NULL */
                assert_int_equal(scan(), -EPROTO);
                put_filled(columns[i].field, (LIMIT_WIRE_COLUMN - 1) * columns[i].width, 0);
                assert_int_equal(scan(), 0);
                put_filled(columns[i].field, LIMIT_WIRE_COLUMN * columns[i].width, 0);
                assert_int_equal(scan(), 0);
                put_filled(columns[i].field, (LIMIT_WIRE_COLUMN + 1) * columns[i].width, 0);
                assert_int_equal(scan(), -EPROTO);
                put_filled(columns[i].field, columns[i].width - 1, 0);
                assert_int_equal(scan(), -EPROTO);
                put_filled(columns[i].field, columns[i].width + 1, 0);
                assert_int_equal(scan(), -EPROTO);
        }
}

static void strings_end_at_their_limit_and_have_no_nul(void **state)
{
        static const uint32_t fields[] = {TEXT, TEXTS, BLOB};

        (void)state;
        for (size_t i = 0; i < array_size(fields); i++) {
                put_filled(fields[i], LIMIT_WIRE_STRING, 'x');
                assert_int_equal(scan(), 0);
                put_filled(fields[i], LIMIT_WIRE_STRING + 1, 'x');
                assert_int_equal(scan(), -EPROTO);
                put_filled(fields[i], 5, 'x');
                b.at[b.len - 1] = '\0';
                assert_int_equal(scan(), fields[i] == BLOB ? 0 : -EPROTO);
        }
}

static void a_message_ends_at_the_largest_header(void **state)
{
        (void)state;
        for (unsigned over = 0; over < 2; over++) {
                for (unsigned n = 0; n < 15; n++)
                        put_filled(TEXTS, LIMIT_WIRE_STRING, 'x'); /* each and 3 bytes of tag and length */
                put_filled(TEXTS, LIMIT_WIRE_STRING - 15 * 3 - 3 + over, 'x');
                assert_int_equal(b.len, LIMIT_FRAME_HEADER + over);
                assert_int_equal(scan(), over ? -EPROTO : 0);
        }
}

static void a_mebibyte_of_unknown_fields_costs_no_byte(void **state)
{
        size_t heap_before;
        struct arena arena;
        ProtobufCMessage *message = NULL;

        (void)state;
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        for (size_t len = 1u << 20; len >= 1u << 14; len >>= 1) { /* also below the largest header */
                b.len = 0;
                while (b.len + 2 <= len) {
                        put_tag(15, VARINT);
                        put_varint(1);
                }
                heap_before = mallinfo2().uordblks;
                assert_int_equal(
                    wire_unpack(&bulkhead__control__to_broker__descriptor, &arena, b.at, b.len, &message),
                    -EPROTO);
                assert_int_equal(mallinfo2().uordblks, heap_before);
                assert_int_equal(arena.used, 0);
                assert_null(message);
        }
        b.len = 0;
        arena_done(&arena);
}

static void the_arenas_cap_is_another_error_than_a_bad_message(void **state)
{
        uint32_t column[LIMIT_WIRE_COLUMN] = {0};
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;
        Bulkhead__Lane__MemReadReply reply = BULKHEAD__LANE__MEM_READ_REPLY__INIT;
        ProtobufCMessage *message = NULL;
        bool fitted = false;
        ssize_t len;

        (void)state;
        reply.status = column;
        reply.n_status = LIMIT_WIRE_COLUMN;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_MEM_READ_REPLY;
        wire.mem_read_reply = &reply;
        len = wire_pack(&wire.base, b.at, sizeof(b.at));
        assert_true(len > 0);
        for (size_t size = 16; size < 2048; size += 16) { /* fails at each allocation once, then fits */
                struct arena arena;
                int r;

                assert_int_equal(arena_init(&arena, size), 0);
                r = wire_unpack(&bulkhead__lane__to_worker__descriptor, &arena, b.at, (size_t)len, &message);
                assert_true(r == 0 || (r == -ENOMEM && !fitted && !message));
                fitted |= r == 0;
                arena_done(&arena);
        }
        assert_true(fitted);
}

static void packing_needs_exactly_its_room(void **state)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__SetFeatures body = BULKHEAD__CONTROL__SET_FEATURES__INIT;
        uint8_t buf[64];
        ssize_t len;

        (void)state;
        body.seq = 7;
        body.features = 3;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_SET_FEATURES;
        wire.set_features = &body;
        len = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(len, 2 + 5 + 9);
        memset(buf, 0x7e, sizeof(buf));
        assert_int_equal(wire_pack(&wire.base, buf, (size_t)len - 1), -E2BIG);
        assert_int_equal(buf[0], 0x7e);
        assert_int_equal(wire_pack(&wire.base, buf, (size_t)len), len);
        assert_int_equal(buf[len], 0x7e);
}

static void strings_are_copied_whole_or_not_at_all(void **state)
{
        char place[4] = "###";

        (void)state;
        assert_int_equal(wire_copy_string("abcd", place, sizeof(place)), -EPROTO);
        assert_string_equal(place, "###");
        assert_int_equal(wire_copy_string("abc", place, sizeof(place)), 0);
        assert_string_equal(place, "abc");
        assert_int_equal(wire_copy_string("", place, sizeof(place)), 0);
        assert_memory_equal(place, "\0\0\0\0", 4);
}

static void flags_are_zero_or_one(void **state)
{
        bool flag = true;

        (void)state;
        assert_int_equal(wire_flag(0, &flag), 0);
        assert_false(flag);
        assert_int_equal(wire_flag(1, &flag), 0);
        assert_true(flag);
        assert_int_equal(wire_flag(2, &flag), -EPROTO);
        assert_int_equal(wire_flag(UINT32_MAX, &flag), -EPROTO);
        assert_true(flag);
}

/* The deepest nesting below a descriptor; fails on a schema that the pre-scan was not made for. */
static unsigned judge_schema(const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
        unsigned deepest = depth;

        assert_true(depth <= LIMIT_WIRE_DEPTH); /* also ends a recursion */
        assert_true(descriptor->n_fields <= LIMIT_WIRE_FIELDS);
        for (unsigned i = 0; i < descriptor->n_fields; i++) {
                const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

                if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                        deepest = MAX(deepest, judge_schema(field->descriptor, depth + 1));
                else if (field->label == PROTOBUF_C_LABEL_REPEATED)
                        assert_true(field->type == PROTOBUF_C_TYPE_FIXED32 ||
                                    field->type == PROTOBUF_C_TYPE_FIXED64);
        }
        return deepest;
}

static void our_schemas_are_flat_and_columnar(void **state)
{
        unsigned deepest = 0;
        static const ProtobufCMessageDescriptor *const roots[] = {
            &bulkhead__lane__to_broker__descriptor,    &bulkhead__lane__to_worker__descriptor,
            &bulkhead__control__to_broker__descriptor, &bulkhead__control__to_worker__descriptor,
            &bulkhead__spawn__to_broker__descriptor,   &bulkhead__spawn__to_spawner__descriptor,
            &bulkhead__admin__to_broker__descriptor,   &bulkhead__admin__to_client__descriptor,
            &bulkhead__config__vm__descriptor,
        };

        (void)state;
        for (size_t i = 0; i < array_size(roots); i++)
                deepest = MAX(deepest, judge_schema(roots[i], 1));
        assert_int_equal(deepest, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_empty_message_is_a_message),
            cmocka_unit_test(every_field_once_is_accepted),
            cmocka_unit_test(unknown_fields_are_refused),
            cmocka_unit_test(tags_that_would_be_a_known_field_after_cutting_are_refused),
            cmocka_unit_test(every_wire_type_but_the_fields_own_is_refused),
            cmocka_unit_test(groups_are_refused),
            cmocka_unit_test(varints_end_within_ten_bytes_and_sixty_four_bits),
            cmocka_unit_test(varints_wider_than_their_field_are_refused),
            cmocka_unit_test(lengths_end_inside_the_message),
            cmocka_unit_test(an_inner_field_never_reaches_out_of_its_message),
            cmocka_unit_test(singular_fields_come_once),
            cmocka_unit_test(a_oneof_is_set_once),
            cmocka_unit_test(nesting_ends_at_its_limit),
            cmocka_unit_test(ten_thousand_levels_are_refused_at_the_fifth),
            cmocka_unit_test(repeated_fields_end_at_their_limit),
            cmocka_unit_test(columns_are_whole_and_end_at_their_limit),
            cmocka_unit_test(strings_end_at_their_limit_and_have_no_nul),
            cmocka_unit_test(a_message_ends_at_the_largest_header),
            cmocka_unit_test(a_mebibyte_of_unknown_fields_costs_no_byte),
            cmocka_unit_test(the_arenas_cap_is_another_error_than_a_bad_message),
            cmocka_unit_test(packing_needs_exactly_its_room),
            cmocka_unit_test(strings_are_copied_whole_or_not_at_all),
            cmocka_unit_test(flags_are_zero_or_one),
            cmocka_unit_test(our_schemas_are_flat_and_columnar),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
