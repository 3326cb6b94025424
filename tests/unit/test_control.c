/* Control messages: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/control.pb-c.h"
#include "tests/harness/blk_set.h"
#include "tests/unit/judged.h"
#include "tests/unit/same_options.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[LIMIT_FRAME_HEADER];

/* A block device as a worker describes it: capacity, a few geometries, one writable field. */
static struct control_to_broker hello(void)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO};

        message.hello = (struct control_hello){
            .device_type = 2,
            .features = 0x246,
            .n_queues = 2,
            .queue_kind = {QUEUE_WORK, QUEUE_SUPPLY},
            .queue_replay = {REPLAY_IDEMPOTENT, REPLAY_AT_MOST_ONCE},
            .max_segments = 126,
            .credit_requests = 128,
            .credit_bytes = 65536,
            .max_inline = 4096,
            .n_fields = 4,
            .fields = {{0, 8, false, UINT64_MAX},
                       {8, 4, false, UINT32_MAX},
                       {12, 2, false, 0xffff},
                       {32, 1, true, 255}},
            .area = {.at = 0x7f0000200000, .len = LIMIT_AREA, .lead = 16},
        };
        return message;
}

static struct control_to_worker configure_blk(void)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE};

        message.configure = (struct control_configure){
            .name = "disk0",
            .n_queues = 4,
            .n_lanes = 2,
            .max_payload = LIMIT_FRAME_PAYLOAD,
            .poll_us = 7,
            .type = DEVICE_TYPE_BLK,
            .options = BLK_SET(.read_only = true, .serial = "12345678901234567890", .block_size = 4096,
                               .direct = true),
            .area_len = LIMIT_AREA,
        };
        return message;
}

static struct control_to_worker configure_rng(void)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE};

        message.configure = (struct control_configure){
            .name = "rng0", .n_queues = 1, .n_lanes = 1, .max_payload = 1, .type = DEVICE_TYPE_RNG};
        return message;
}

static int to_broker(const struct control_to_broker *message, struct control_to_broker *ret)
{
        ssize_t n = control_make_to_broker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_broker(&arena, buf, (size_t)n, ret);
}

static int to_worker(const struct control_to_worker *message, struct control_to_worker *ret)
{
        ssize_t n = control_make_to_worker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_worker(&arena, buf, (size_t)n, ret);
}

static void refused_by_broker(const struct control_to_broker *message)
{
        static struct control_to_broker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(to_broker(message, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

static void refused_by_worker(const struct control_to_worker *message)
{
        struct control_to_worker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(to_worker(message, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

static void hello_comes_back_as_it_was(void **state)
{
        static struct control_to_broker sent, got;

        (void)state;
        sent = hello();
        assert_int_equal(to_broker(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent.hello.n_fields = 0;
        memset(sent.hello.fields, 0, sizeof(sent.hello.fields));
        assert_int_equal(to_broker(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
}

/* One field of Hello set to a value: accepted or refused. */
#define HELLO_IS(expected, member, number)                                                                   \
        do {                                                                                                 \
                static struct control_to_broker sent_, got_;                                                 \
                sent_ = hello();                                                                             \
                sent_.hello.member = (number);                                                               \
                if ((expected) == 0)                                                                         \
                        assert_int_equal(to_broker(&sent_, &got_), 0);                                       \
                else                                                                                         \
                        refused_by_broker(&sent_);                                                           \
        } while (0)

static void hello_numbers_end_at_their_limits(void **state)
{
        (void)state;
        HELLO_IS(0, device_type, 4);
        HELLO_IS(-1, device_type, 0);
        HELLO_IS(-1, device_type, 99);
        HELLO_IS(-1, max_segments, 0);
        HELLO_IS(0, max_segments, 1);
        HELLO_IS(0, max_segments, LIMIT_CHAIN_SEGMENTS);
        HELLO_IS(-1, max_segments, LIMIT_CHAIN_SEGMENTS + 1);
        HELLO_IS(-1, credit_requests, 0);
        HELLO_IS(0, credit_requests, 1);
        HELLO_IS(0, credit_requests, LIMIT_CREDITS);
        HELLO_IS(-1, credit_requests, LIMIT_CREDITS + 1);
        HELLO_IS(0, max_inline, 0);
        HELLO_IS(0, max_inline, 65536);  /* credit_bytes */
        HELLO_IS(-1, max_inline, 65537); /* more than it will hold */
        HELLO_IS(0, credit_bytes, 4096);
        HELLO_IS(-1, credit_bytes, 4095);
        HELLO_IS(0, credit_bytes, LIMIT_FRAME_PAYLOAD);
        HELLO_IS(-1, credit_bytes, LIMIT_FRAME_PAYLOAD + 1);
        HELLO_IS(-1, credit_bytes, UINT32_MAX);
        HELLO_IS(-1, queue_kind[1], (enum queue_kind)0);
        HELLO_IS(-1, queue_kind[1], (enum queue_kind)3);
        HELLO_IS(-1, queue_replay[1], (enum replay_class)0);
        HELLO_IS(-1, queue_replay[1], (enum replay_class)3);
}

static void one_request_may_inline_the_largest_payload(void **state)
{
        static struct control_to_broker sent, got;

        (void)state;
        sent = hello();
        sent.hello.max_inline = sent.hello.credit_bytes = LIMIT_FRAME_PAYLOAD;
        assert_int_equal(to_broker(&sent, &got), 0);
        sent.hello.max_inline = sent.hello.credit_bytes = LIMIT_FRAME_PAYLOAD + 1;
        refused_by_broker(&sent);
}

static void hello_offers_bits_of_the_device_only(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++)
                HELLO_IS(bit >= 24 && bit <= 49 ? -1 : 0, features, UINT64_C(1) << bit);
}

static void hello_fields_ascend_and_stay_inside(void **state)
{
        (void)state;
        HELLO_IS(-1, fields[1].offset, 7); /* overlaps its predecessor */
        HELLO_IS(0, fields[2].offset, 13);
        HELLO_IS(-1, fields[1].offset, 0);  /* the same again */
        HELLO_IS(-1, fields[1].offset, 11); /* overlaps its successor */
        HELLO_IS(0, fields[3].offset, LIMIT_CONFIG_BYTES - 1);
        HELLO_IS(-1, fields[3].offset, LIMIT_CONFIG_BYTES);
        HELLO_IS(-1, fields[3].offset, UINT16_MAX);
}

static void hello_fields_have_widths_of_machine_words_and_hold_their_values(void **state)
{
        (void)state;
        for (unsigned width = 0; width < 256; width++)
                HELLO_IS(width == 1 || width == 2 || width == 4 || width == 8 ? 0 : -1, fields[3].width,
                         (uint8_t)width);
        HELLO_IS(-1, fields[1].value, UINT64_C(1) << 32);
        HELLO_IS(-1, fields[2].value, 0x10000);
        HELLO_IS(-1, fields[3].value, 256);
        HELLO_IS(-1, fields[3].value, UINT64_MAX);
}

static void hello_has_one_to_the_most_queues(void **state)
{
        static struct control_to_broker sent, got;

        (void)state;
        sent = hello();
        for (size_t i = 0; i < LIMIT_QUEUES; i++) {
                sent.hello.queue_kind[i] = QUEUE_WORK;
                sent.hello.queue_replay[i] = REPLAY_IDEMPOTENT;
        }
        sent.hello.n_queues = LIMIT_QUEUES;
        assert_int_equal(to_broker(&sent, &got), 0);
        assert_int_equal(got.hello.n_queues, LIMIT_QUEUES);
        sent.hello.n_queues = LIMIT_QUEUES + 1;
        assert_int_equal(control_make_to_broker(&sent, buf, sizeof(buf)), -E2BIG);
        sent.hello.n_queues = 0;
        refused_by_broker(&sent);
}

static void hello_may_fill_the_whole_config_space(void **state)
{
        static struct control_to_broker sent, got;

        (void)state;
        sent = hello();
        sent.hello.n_fields = LIMIT_CONFIG_FIELDS;
        for (size_t i = 0; i < LIMIT_CONFIG_FIELDS; i++)
                sent.hello.fields[i] = (struct control_field){.offset = (uint16_t)i, .width = 1};
        assert_int_equal(to_broker(&sent, &got), 0);
        assert_true(arena.used < LIMIT_ARENA / 8);
        sent.hello.n_fields++;
        assert_int_equal(control_make_to_broker(&sent, buf, sizeof(buf)), -E2BIG);
}

/* ---- what control_make would not say ---- */

static Bulkhead__Control__Hello forged_body;
static uint32_t ones[LIMIT_WIRE_COLUMN + 1];
static uint32_t offsets[LIMIT_WIRE_COLUMN + 1];
static uint64_t zeros64[LIMIT_WIRE_COLUMN + 1];

static void forge_hello(void)
{
        bulkhead__control__hello__init(&forged_body);
        for (uint32_t i = 0; i < array_size(ones); i++) {
                ones[i] = 1;
                offsets[i] = i;
        }
        forged_body.protocol_version = CONTROL_PROTOCOL_VERSION;
        forged_body.device_type = 2;
        forged_body.max_segments = forged_body.credit_requests = 1;
        forged_body.n_queue_kind = forged_body.n_queue_replay = 2;
        forged_body.queue_kind = forged_body.queue_replay = ones;
        forged_body.n_field_offset = forged_body.n_field_width = 2;
        forged_body.n_field_writable = forged_body.n_field_value = 2;
        forged_body.field_offset = offsets;
        forged_body.field_width = forged_body.field_writable = ones;
        forged_body.field_value = zeros64;
}

static int check_forged(void)
{
        static struct control_to_broker got;
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        ssize_t n;

        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_HELLO;
        wire.hello = &forged_body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return control_check_to_broker(&arena, buf, (size_t)n, &got);
}

static void hello_columns_are_of_equal_length(void **state)
{
        size_t *counts[] = {&forged_body.n_queue_kind,     &forged_body.n_queue_replay,
                            &forged_body.n_field_offset,   &forged_body.n_field_width,
                            &forged_body.n_field_writable, &forged_body.n_field_value};

        (void)state;
        forge_hello();
        assert_int_equal(check_forged(), 0);
        for (size_t i = 0; i < array_size(counts); i++) {
                for (size_t n = 0; n < 4; n++) {
                        forge_hello();
                        *counts[i] = n;
                        assert_int_equal(check_forged(), n == 2 ? 0 : -EPROTO);
                }
        }
}

static void hello_over_its_limits_is_refused_even_when_forged(void **state)
{
        (void)state;
        forge_hello();
        forged_body.n_queue_kind = forged_body.n_queue_replay = LIMIT_QUEUES + 1;
        assert_int_equal(check_forged(), -EPROTO);
        forge_hello();
        forged_body.protocol_version = CONTROL_PROTOCOL_VERSION + 1;
        assert_int_equal(check_forged(), -EPROTO);
        forge_hello();
        offsets[1] = 0x10000; /* the struct has 16 bits for it */
        assert_int_equal(check_forged(), -EPROTO);
        offsets[1] = UINT32_MAX; /* the sum wraps to 0 */
        assert_int_equal(check_forged(), -EPROTO);
        forge_hello();
        ones[1] = 2; /* as a kind: fine; as a writable flag: not */
        assert_int_equal(check_forged(), -EPROTO);
        forge_hello();
        ones[1] = 0x101; /* 8 bits for the width */
        assert_int_equal(check_forged(), -EPROTO);
}

static void configure_comes_back_as_it_was(void **state)
{
        struct control_to_worker sent = configure_blk(), got;

        (void)state;
        assert_int_equal(to_worker(&sent, &got), 0);
        assert_same_options(DEVICE_TYPE_BLK, &got.configure.options, &sent.configure.options);
        got.configure.options = sent.configure.options;
        assert_memory_equal(&got, &sent, sizeof(got));
        sent = configure_rng();
        assert_int_equal(to_worker(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
}

static void configure_has_options_of_a_type(void **state)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__Configure body = BULKHEAD__CONTROL__CONFIGURE__INIT;
        struct control_to_worker got;
        ssize_t n;

        (void)state;
        body.protocol_version = CONTROL_PROTOCOL_VERSION;
        body.name = (char[]){"rng0"};
        body.n_queues = body.n_lanes = body.max_payload = 1;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIGURE;
        wire.configure = &body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(control_check_to_worker(&arena, buf, (size_t)n, &got), -EPROTO);
        body.type = (char[]){"rng"};
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(control_check_to_worker(&arena, buf, (size_t)n, &got), 0);
        body.protocol_version++;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(control_check_to_worker(&arena, buf, (size_t)n, &got), -EPROTO);
}

#define CONFIGURE_IS(expected, from, member, number)                                                         \
        do {                                                                                                 \
                struct control_to_worker sent_ = (from), got_;                                               \
                sent_.configure.member = (number);                                                           \
                if ((expected) == 0)                                                                         \
                        assert_int_equal(to_worker(&sent_, &got_), 0);                                       \
                else                                                                                         \
                        refused_by_worker(&sent_);                                                           \
        } while (0)

static void configure_numbers_end_at_their_limits(void **state)
{
        (void)state;
        CONFIGURE_IS(0, configure_blk(), n_queues, device_types[DEVICE_TYPE_BLK].max_queues);
        CONFIGURE_IS(-1, configure_blk(), n_queues, device_types[DEVICE_TYPE_BLK].max_queues + 1);
        CONFIGURE_IS(-1, configure_rng(), n_queues, 2);
        CONFIGURE_IS(-1, configure_rng(), n_queues, 0);
        CONFIGURE_IS(-1, configure_blk(), n_lanes, 0);
        CONFIGURE_IS(0, configure_blk(), n_lanes, 4);
        CONFIGURE_IS(-1, configure_blk(), n_lanes, 5); /* more than queues */
        CONFIGURE_IS(-1, configure_blk(), max_payload, 0);
        CONFIGURE_IS(0, configure_blk(), max_payload, 1);
        CONFIGURE_IS(-1, configure_blk(), max_payload, LIMIT_FRAME_PAYLOAD + 1);
        CONFIGURE_IS(0, configure_blk(), area_len, 0);
        CONFIGURE_IS(-1, configure_blk(), area_len, LIMIT_AREA + LIMIT_AREA_PAGE);
        CONFIGURE_IS(-1, configure_blk(), area_len, LIMIT_AREA_PAGE - 1);
        CONFIGURE_IS(0, configure_blk(), poll_us, 0);
        CONFIGURE_IS(0, configure_blk(), poll_us, LIMIT_POLL_US);
        CONFIGURE_IS(-1, configure_blk(), poll_us, LIMIT_POLL_US + 1);
        CONFIGURE_IS(0, configure_blk(), options.value[BLK_OPTION_BLOCK_SIZE].number, 0);
        CONFIGURE_IS(-1, configure_blk(), options.value[BLK_OPTION_BLOCK_SIZE].number, 2);
        CONFIGURE_IS(-1, configure_blk(), options.value[BLK_OPTION_SERIAL].text, "123\n");
        CONFIGURE_IS(0, configure_blk(), options.value[BLK_OPTION_SERIAL].text, "");
        CONFIGURE_IS(-1, configure_blk(), name[0], '\0');
        CONFIGURE_IS(-1, configure_blk(), name[1], '/');
}

static void small_messages_to_the_worker_come_back_and_end_at_their_limits(void **state)
{
        struct control_to_worker got, m = {.kind = CONTROL_SET_FEATURES, .seq = 5};

        (void)state;
        m.set_features.features = CONTROL_DEVICE_FEATURES;
        assert_int_equal(to_worker(&m, &got), 0);
        assert_memory_equal(&got, &m, sizeof(got));
        for (unsigned bit = 24; bit <= 49; bit++) {
                m.set_features.features = UINT64_C(1) << bit;
                refused_by_worker(&m);
        }
        m = (struct control_to_worker){.kind = CONTROL_CONFIG_WRITE, .seq = 6};
        m.config_write.field = LIMIT_CONFIG_FIELDS - 1;
        m.config_write.value = UINT64_MAX;
        assert_int_equal(to_worker(&m, &got), 0);
        assert_memory_equal(&got, &m, sizeof(got));
        m.config_write.field++;
        refused_by_worker(&m);
        m = (struct control_to_worker){.kind = CONTROL_START_QUEUE, .seq = 7};
        m.start_queue.queue = LIMIT_QUEUES - 1;
        m.start_queue.size = LIMIT_RING_SIZE;
        assert_int_equal(to_worker(&m, &got), 0);
        assert_memory_equal(&got, &m, sizeof(got));
        m.start_queue.size++;
        refused_by_worker(&m);
        m.start_queue.size = 0;
        refused_by_worker(&m);
        m.start_queue.size = 1;
        m.start_queue.queue++;
        refused_by_worker(&m);
        m = (struct control_to_worker){.kind = CONTROL_SHUTDOWN};
        assert_int_equal(to_worker(&m, &got), 0);
        assert_memory_equal(&got, &m, sizeof(got));
}

static void blobs_come_back_whole_up_to_their_limit(void **state)
{
        static uint8_t blob[LIMIT_STATE_BYTES + 1];
        struct control_to_worker down = {.kind = CONTROL_RESTORE_STATE, .seq = 3}, got;
        static struct control_to_broker up, got_up;

        (void)state;
        for (size_t i = 0; i < sizeof(blob); i++)
                blob[i] = (uint8_t)(i * 7);
        for (size_t len = 0; len <= LIMIT_STATE_BYTES; len += LIMIT_STATE_BYTES / 2) {
                down.restore_state = (struct control_blob){blob, len};
                assert_int_equal(to_worker(&down, &got), 0);
                assert_int_equal(got.seq, 3);
                assert_int_equal(got.restore_state.len, len);
                if (len > 0)
                        assert_memory_equal(got.restore_state.bytes, blob, len);
                up = (struct control_to_broker){.kind = CONTROL_PUT_STATE, .put_state = {blob, len}};
                assert_int_equal(to_broker(&up, &got_up), 0);
                assert_int_equal(got_up.put_state.len, len);
                assert_non_null(got.restore_state.bytes);
                assert_non_null(got_up.put_state.bytes);
        }
        down.restore_state.len = up.put_state.len = LIMIT_STATE_BYTES + 1;
        assert_int_equal(control_make_to_worker(&down, buf, sizeof(buf)), -E2BIG);
        assert_int_equal(control_make_to_broker(&up, buf, sizeof(buf)), -E2BIG);
}

static void log_text_may_be_anything_but_too_long(void **state)
{
        static struct control_to_broker m, got;
        char text[LIMIT_LOG_LINE + 1];
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Log body = BULKHEAD__CONTROL__LOG__INIT;
        ssize_t n;

        (void)state;
        memset(text, '\x1b', sizeof(text));
        text[LIMIT_LOG_LINE - 1] = '\0';
        m = (struct control_to_broker){.kind = CONTROL_LOG, .log = {LOG_LEVEL_DEBUG, text}};
        assert_int_equal(to_broker(&m, &got), 0);
        assert_string_equal(got.log.text, text);
        m.log.level = LOG_LEVEL_DEBUG + 1;
        refused_by_broker(&m);
        m.log.level = LOG_LEVEL_ERROR;
        m.log.text = "";
        assert_int_equal(to_broker(&m, &got), 0);
        text[LIMIT_LOG_LINE - 1] = 'x';
        text[LIMIT_LOG_LINE] = '\0';
        m.log.text = text;
        assert_int_equal(control_make_to_broker(&m, buf, sizeof(buf)), -E2BIG);
        body.text = text;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_LOG;
        wire.log = &body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(control_check_to_broker(&arena, buf, (size_t)n, &got), -EPROTO);
}

static void small_messages_to_the_broker_come_back_and_end_at_their_limits(void **state)
{
        static struct control_to_broker m, got;
        uint64_t values[LIMIT_CONFIG_FIELDS] = {[3] = UINT64_MAX};

        (void)state;
        m = (struct control_to_broker){.kind = CONTROL_DONE, .done = {UINT32_MAX, -ENOSPC}};
        assert_int_equal(to_broker(&m, &got), 0);
        assert_true(got.done.seq == UINT32_MAX);
        assert_int_equal(got.done.error, -ENOSPC);
        m = (struct control_to_broker){.kind = CONTROL_CONFIG_SPACE,
                                       .config_space = {LIMIT_CONFIG_FIELDS, values}};
        assert_int_equal(to_broker(&m, &got), 0);
        assert_int_equal(got.config_space.n, LIMIT_CONFIG_FIELDS);
        assert_memory_equal(got.config_space.value, values, sizeof(values));
        m.config_space.n = 1;
        assert_int_equal(to_broker(&m, &got), 0);
        m.config_space.n = 0;
        refused_by_broker(&m);
        m.config_space.n = LIMIT_CONFIG_FIELDS + 1;
        assert_int_equal(control_make_to_broker(&m, buf, sizeof(buf)), -E2BIG);
}

static void done_carries_known_statuses_only(void **state)
{
        static struct control_to_broker got;
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Done body = BULKHEAD__CONTROL__DONE__INIT;

        (void)state;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_DONE;
        wire.done = &body;
        for (uint32_t s = 0; s < WIRE_STATUS_COUNT_ + 2; s++) {
                ssize_t n;

                body.status = s;
                n = wire_pack(&wire.base, buf, sizeof(buf));
                assert_int_equal(control_check_to_broker(&arena, buf, (size_t)n, &got),
                                 s < WIRE_STATUS_COUNT_ ? 0 : -EPROTO);
        }
}

static void messages_of_no_kind_are_refused(void **state)
{
        static struct control_to_broker up = {.kind = CONTROL_TO_BROKER_COUNT_};
        struct control_to_worker down = {.kind = (enum control_kind_to_worker)0};

        (void)state;
        assert_int_equal(control_check_to_broker(&arena, NULL, 0, &up), -EPROTO);
        assert_int_equal(control_check_to_worker(&arena, NULL, 0, &down), -EPROTO);
        assert_int_equal(control_make_to_broker(&up, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(control_make_to_worker(&down, buf, sizeof(buf)), -EINVAL);
        down = configure_rng();
        down.configure.type = WORKER_TYPE_COUNT_;
        assert_int_equal(control_make_to_worker(&down, buf, sizeof(buf)), -EINVAL);
}

#define UNEQUAL(member)                                                                                      \
        do {                                                                                                 \
                b = a;                                                                                       \
                b.member ^= 1;                                                                               \
                assert_false(control_hello_equal(&a, &b));                                                   \
                assert_false(control_hello_equal(&b, &a));                                                   \
        } while (0)

static void hellos_are_equal_up_to_their_fields_values(void **state)
{
        static struct control_hello a, b;

        (void)state;
        a = b = hello().hello;
        assert_true(control_hello_equal(&a, &b));
        b.fields[0].value++;
        b.fields[4].width = 8;             /* beyond n_fields */
        b.queue_kind[2] = QUEUE_WORK;      /* beyond n_queues */
        b.area = (struct control_area){0}; /* another process, other addresses */
        assert_true(control_hello_equal(&a, &b));
        UNEQUAL(device_type);
        UNEQUAL(features);
        UNEQUAL(n_queues);
        UNEQUAL(queue_kind[1]);
        UNEQUAL(queue_replay[1]);
        UNEQUAL(max_segments);
        UNEQUAL(credit_requests);
        UNEQUAL(credit_bytes);
        UNEQUAL(max_inline);
        UNEQUAL(n_fields);
        UNEQUAL(fields[3].offset);
        UNEQUAL(fields[3].width);
        UNEQUAL(fields[3].writable);
}

static unsigned accepted;

static void sweep_to_broker(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_broker got;
        static uint8_t again[LIMIT_FRAME_HEADER];
        ssize_t again_len;
        int r = control_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_control_to_broker(&got));
        again_len = control_make_to_broker(&got, again, sizeof(again));
        assert_true(again_len > 0);
        assert_int_equal(control_check_to_broker(&arena, again, (size_t)again_len, &got), 0);
}

static void sweep_to_worker(const uint8_t *bytes, size_t n, void *context)
{
        struct control_to_worker got;
        uint8_t again[8192];
        ssize_t again_len;
        int r = control_check_to_worker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_control_to_worker(&got));
        again_len = control_make_to_worker(&got, again, sizeof(again));
        assert_true(again_len > 0);
        assert_int_equal(control_check_to_worker(&arena, again, (size_t)again_len, &got), 0);
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static const uint64_t values[3] = {1, 2, 3};
        static struct control_to_broker up[6];
        const struct control_to_worker down[] = {
            configure_blk(),
            configure_rng(),
            {.kind = CONTROL_SET_FEATURES, .seq = 1, .set_features = {0xff}},
            {.kind = CONTROL_CONFIG_WRITE, .seq = 2, .config_write = {3, 4}},
            {.kind = CONTROL_START_QUEUE, .seq = 3, .start_queue = {1, 256}},
            {.kind = CONTROL_RESTORE_STATE, .seq = 4, .restore_state = {(const uint8_t *)"blob", 4}},
            {.kind = CONTROL_SHUTDOWN},
            {.kind = CONTROL_SET, .seq = 5, .set = {SETTING_SIZE, 3, 80 | 25 << 16}},
        };

        (void)state;
        up[0] = hello();
        up[1] = (struct control_to_broker){.kind = CONTROL_DONE, .done = {1, -EIO}};
        up[2] = (struct control_to_broker){.kind = CONTROL_CONFIG_SPACE, .config_space = {3, values}};
        up[3] =
            (struct control_to_broker){.kind = CONTROL_PUT_STATE, .put_state = {(const uint8_t *)"blob", 4}};
        up[4] = (struct control_to_broker){.kind = CONTROL_LOG, .log = {LOG_LEVEL_INFO, "hello"}};
        up[5] = (struct control_to_broker){.kind = CONTROL_STATS, .stats = {3, values}};
        for (size_t i = 0; i < array_size(up); i++) {
                accepted = 0;
                unit_sweep(buf, (size_t)control_make_to_broker(&up[i], buf, sizeof(buf)), sweep_to_broker,
                           NULL);
                assert_true(accepted >= 1);
        }
        for (size_t i = 0; i < array_size(down); i++) {
                accepted = 0;
                unit_sweep(buf, (size_t)control_make_to_worker(&down[i], buf, sizeof(buf)), sweep_to_worker,
                           NULL);
                assert_true(accepted >= 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(hello_comes_back_as_it_was),
            UNIT_ARENA_TEST(hello_numbers_end_at_their_limits),
            UNIT_ARENA_TEST(one_request_may_inline_the_largest_payload),
            UNIT_ARENA_TEST(hello_offers_bits_of_the_device_only),
            UNIT_ARENA_TEST(hello_fields_ascend_and_stay_inside),
            UNIT_ARENA_TEST(hello_fields_have_widths_of_machine_words_and_hold_their_values),
            UNIT_ARENA_TEST(hello_has_one_to_the_most_queues),
            UNIT_ARENA_TEST(hello_may_fill_the_whole_config_space),
            UNIT_ARENA_TEST(hello_columns_are_of_equal_length),
            UNIT_ARENA_TEST(hello_over_its_limits_is_refused_even_when_forged),
            UNIT_ARENA_TEST(configure_comes_back_as_it_was),
            UNIT_ARENA_TEST(configure_has_options_of_a_type),
            UNIT_ARENA_TEST(configure_numbers_end_at_their_limits),
            UNIT_ARENA_TEST(small_messages_to_the_worker_come_back_and_end_at_their_limits),
            UNIT_ARENA_TEST(blobs_come_back_whole_up_to_their_limit),
            UNIT_ARENA_TEST(log_text_may_be_anything_but_too_long),
            UNIT_ARENA_TEST(small_messages_to_the_broker_come_back_and_end_at_their_limits),
            UNIT_ARENA_TEST(done_carries_known_statuses_only),
            UNIT_ARENA_TEST(messages_of_no_kind_are_refused),
            UNIT_ARENA_TEST(hellos_are_equal_up_to_their_fields_values),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
