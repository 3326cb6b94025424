/* What a worker is told never says where anything lies in the broker: every byte of its sockets, and every byte that is copied into
 * its memory, is compared with all that this process has mapped.
 *
 * How it works: an address is 8 bytes of either order, or a varint as protobuf has them, anywhere in a stream, also over the
 * edges of reads; it is one if the kernel says that something is mapped there. What the guest and the workers say here are
 * letters and zeros: no 8 of those are an address.
 *
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_world.h"

#define STREAMS    (2u + LIMIT_LANES) /* control, lanes, area */
#define AREA       (1u + LIMIT_LANES)
#define LONGEST    10u /* bytes of a varint */
#define RANGES     4096u
#define LOWEST     (UINT64_C(1) << 32) /* below are small numbers */
#define HIGHEST    (UINT64_C(1) << 63) /* above is the kernel's */
#define AREA_LEN   ((size_t)LIMIT_AREA)
#define PATTERN    'A'
#define REQUEST    1000u
#define LONG       65536u /* is copied into the worker, where it has lent memory */
#define FILE_PAGES 16u
#define PATIENCE_S 60u

static struct shmem_world self;
static uint8_t *area;

/* ---- what is mapped ---- */

/* All that ever was, in a test: what is gone may be there again. */
static struct {
        uint64_t start, end;
} ranges[RANGES];
static size_t n_ranges;
static uint64_t highest; /* end of all */

static bool is_known(uint64_t start, uint64_t end)
{
        for (size_t i = 0; i < n_ranges; i++)
                if (ranges[i].start <= start && end <= ranges[i].end)
                        return true;
        return false;
}

static void learn_ranges(void)
{
        struct map_lines maps = map_lines_read();

        for (size_t i = 0; i < maps.n; i++) {
                uint64_t start = maps.lines[i].start, end = maps.lines[i].end;

                if (start < LOWEST || start >= HIGHEST || is_known(start, end))
                        continue;
                assert_true(n_ranges < RANGES);
                ranges[n_ranges].start = start;
                ranges[n_ranges++].end = end;
                highest = MAX(highest, end);
        }
        map_lines_free(&maps);
}

static bool is_address(uint64_t value)
{
        if (value < LOWEST || value >= highest) /* most of what is said, and soon judged */
                return false;
        for (size_t i = 0; i < n_ranges; i++)
                if (value - ranges[i].start < ranges[i].end - ranges[i].start)
                        return true;
        return false;
}

/* ---- what is said ---- */

static struct stream {
        uint64_t n; /* bytes so far */
        uint8_t last[LONGEST];
        unsigned n_found; /* addresses */
        uint64_t found;   /* the last of them */
} streams[STREAMS];

static void judge_number(struct stream *stream, uint64_t value)
{
        if (!is_address(value))
                return;
        stream->n_found++;
        stream->found = value;
}

/* Varints that end here: their last byte alone is below 0x80. */
static void judge_varints(struct stream *stream)
{
        const uint8_t *end = stream->last + LONGEST;
        uint64_t value = end[-1];

        if (end[-1] >= 0x80)
                return;
        for (size_t n = 2; n <= LONGEST && n <= stream->n && *(end - n) >= 0x80; n++) {
                value = value << 7 | (*(end - n) & 0x7f);
                judge_number(stream, value);
        }
}

static void judge_bytes(struct stream *stream, const uint8_t *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                memmove(stream->last, stream->last + 1, LONGEST - 1);
                stream->last[LONGEST - 1] = bytes[i];
                stream->n++;
                if (stream->n >= 8) {
                        uint64_t value = bytes_load64(stream->last + LONGEST - 8);

                        judge_number(stream, value);
                        judge_number(stream, __builtin_bswap64(value));
                }
                judge_varints(stream);
        }
}

static void on_heard(unsigned stream, const uint8_t *bytes, size_t len)
{
        assert_true(stream < AREA);
        learn_ranges();
        judge_bytes(&streams[stream], bytes, len);
}

static void judge_area(void)
{
        learn_ranges();
        judge_bytes(&streams[AREA], area, LONG);
}

static unsigned n_found(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < STREAMS; i++)
                n += streams[i].n_found;
        return n;
}

static void assert_nothing_found(void)
{
        for (unsigned i = 0; i < STREAMS; i++)
                if (streams[i].n_found > 0)
                        fail_msg("stream %u: %u addresses, the last is %#llx", i, streams[i].n_found,
                                 (unsigned long long)streams[i].found);
}

/* ---- a device and its worker ---- */

static void begin(enum device_type_id type, bool lends)
{
        n_ranges = highest = 0;
        memset(streams, 0, sizeof(streams));
        shmem_world_limits = (struct shmem_limits){0};
        area = mmap(NULL, AREA_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(area, MAP_FAILED);
        shmem_world_init(&self, type);
        self.world.heard = on_heard;
        self.world.config.request_timeout = PATIENCE_S; /* what is said takes time to be judged */
        self.world.hello.fields[0].writable = true;     /* 8 bytes */
        if (lends)
                self.world.hello.area =
                    (struct control_area){.at = (uintptr_t)area, .len = LIMIT_AREA, .lead = 0};
        world_serve(&self.world);
        model_fill(&self.world.guest, MODEL_BUFFERS, LONG, PATTERN);
        for (unsigned i = 0; i < self.world.hello.n_queues; i++)
                world_start_queue(&self.world, i, 0);
}

static void end(void)
{
        shmem_world_done(&self);
        munmap(area, AREA_LEN);
}

static void asks(unsigned queue, uint32_t len)
{
        world_post(&self.world, queue, len);
        world_until(&self.world, world_answered(&self.world, queue));
        judge_area();
}

/* The worker reads what was not sent with the request, and is done with it. */
static void asks_and_is_read(uint32_t len)
{
        unsigned n = self.world.n_seen;
        struct fake_worker *lane = &self.world.puppet.lanes[0];
        uint64_t before;

        self.world.idle = true;
        world_post(&self.world, 0, len);
        world_until(&self.world, self.world.n_seen > n);
        before = streams[1].n;
        fake_worker_read(lane, 1, self.world.seen[n].id, 0, len);
        world_until(&self.world, streams[1].n >= before + len);
        fake_worker_complete(lane, self.world.seen[n].id, 0, "\1", 1);
        world_until(&self.world, world_answered(&self.world, 0));
        self.world.idle = false;
}

/* Of the driver's. */
static void writes_config(uint64_t value)
{
        uint8_t bytes[8];

        bytes_store64(bytes, value);
        self.world.n_written = 0;
        assert_int_equal(
            device_config_write(self.world.device, 0, sizeof(bytes), bytes, world_written, &self.world), 0);
        world_until(&self.world, self.world.n_written == 1);
}

static void maps_and_unmaps(void)
{
        const struct shmem_request request = pages_of(3, 2), absent = pages_of(9, 1);
        int fd = sealed_pages(FILE_PAGES);

        assert_int_equal(map_answer(&self, &request, fd), 0);
        assert_true(map_answer(&self, &request, fd) < 0);
        assert_int_equal(unmap_answer(&self, &request), 0);
        assert_true(unmap_answer(&self, &absent) < 0);
        assert_int_equal(map_answer(&self, &request, fd), 0);
        close(fd);
}

static void dies_with_a_request(void)
{
        static const uint8_t text[] = "what a successor must know";
        const struct control_to_broker message = {.kind = CONTROL_PUT_STATE,
                                                  .put_state = {.bytes = text, .len = sizeof(text)}};
        unsigned n = self.world.n_seen, spawns = self.world.n_spawns;

        shmem_world_say(&self, &message, NULL, 0);
        self.world.idle = true;
        world_post(&self.world, 0, REQUEST);
        world_until(&self.world, self.world.n_seen > n);
        self.world.idle = false;
        world_kill_worker(&self.world);
        world_until(&self.world, self.world.n_spawns == spawns + 1 && world_answered(&self.world, 0));
        assert_int_equal(world_told(&self.world, CONTROL_RESTORE_STATE), 1);
}

/* All that a device and its driver do. */
static void lives(enum device_type_id type)
{
        for (unsigned round = 0; round < 2; round++) {
                for (unsigned i = 0; i < 10; i++)
                        asks(i % self.world.hello.n_queues, REQUEST + i);
                asks(0, LONG);
                asks_and_is_read(LONG);
                writes_config(0x4141 + round);
                if (type == DEVICE_TYPE_PMEM)
                        maps_and_unmaps();
                dies_with_a_request();
                device_reset(self.world.device);
                world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
                assert_int_equal(device_commit_features(self.world.device, world_features(&self.world)), 0);
                for (unsigned i = 0; i < self.world.hello.n_queues; i++) {
                        model_queue_reset(&self.world.guest, i);
                        world_start_queue(&self.world, i, 0);
                }
        }
}

/* ---- claims ---- */

static void no_byte_that_a_worker_is_told_is_of_an_address(void **state)
{
        static const struct {
                enum device_type_id type;
                bool lends;
        } rows[] = {{DEVICE_TYPE_BLK, false},
                    {DEVICE_TYPE_BLK, true},
                    {DEVICE_TYPE_PMEM, false},
                    {DEVICE_TYPE_SAMPLE, true}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin(rows[i].type, rows[i].lends);
                lives(rows[i].type);
                assert_nothing_found();
                assert_true(streams[0].n > 500); /* all of this was looked at */
                assert_true(streams[1].n > 2 * LONG);
                assert_true(memchr(area, PATTERN, LONG) != NULL || !rows[i].lends);
                end();
        }
}

/* ... because all that there is to name is known. */
static void what_must_not_be_named_is_known(void **state)
{
        const struct shmem_request request = pages_of(3, 2);
        struct shmem_mapping *mapping;
        int here = 0, fd;

        (void)state;
        begin(DEVICE_TYPE_PMEM, false);
        fd = sealed_pages(FILE_PAGES);
        assert_int_equal(map_answer(&self, &request, fd), 0);
        close(fd);
        mapping = mapping_at(&self, 3, 2);
        asks(0, REQUEST);
        assert_true(is_address((uintptr_t)model_at(&self.world.guest, MODEL_LOW)));     /* guest memory */
        assert_true(is_address((uintptr_t)model_at(&self.world.guest, MODEL_END - 1))); /* all of it */
        assert_true(is_address((uintptr_t)mapping->host + mapping->len - 1));           /* a mapping */
        assert_true(is_address((uintptr_t)mapping->host + mapping->len));               /* its window */
        assert_true(is_address((uintptr_t)self.world.device));                          /* heap */
        assert_true(is_address((uintptr_t)&here));                                      /* stack */
        assert_true(is_address((uintptr_t)&self));                                      /* data */
        assert_true(is_address((uintptr_t)device_reset));                               /* code */
        assert_false(is_address(0) || is_address(UINT64_MAX) || is_address(0x4141414141414141));
        end();
}

static size_t as_varint(uint64_t value, uint8_t *bytes)
{
        size_t n = 0;

        for (; value >= 0x80; value >>= 7)
                bytes[n++] = (uint8_t)(value | 0x80);
        bytes[n++] = (uint8_t)value;
        return n;
}

/* A driver that knows one says it: in each form, on each way. */
static void an_address_that_is_planted_is_found(void **state)
{
        uint64_t secret, swapped;
        uint8_t varint[LONGEST];
        const struct {
                const void *bytes;
                size_t len;
        } forms[] = {{&secret, 8}, {&swapped, 8}, {varint, 7}};

        (void)state;
        begin(DEVICE_TYPE_SAMPLE, true);
        secret = (uintptr_t)shmem_mapping_at(shmem_of(&self), 0)->host + 4711;
        swapped = __builtin_bswap64(secret);
        assert_int_equal(as_varint(secret, varint), 7);
        for (size_t i = 0; i < array_size(forms); i++) {
                memset(streams, 0, sizeof(streams));
                model_put(&self.world.guest, MODEL_BUFFERS + 500 + i, forms[i].bytes, forms[i].len);
                asks(0, REQUEST);
                assert_int_equal(streams[1].n_found, 1);
                asks(0, LONG);
                assert_int_equal(streams[AREA].n_found, 1);
                asks_and_is_read(LONG);
                assert_int_equal(streams[1].n_found, 2);
                memset(area, 0, LONG);
                model_fill(&self.world.guest, MODEL_BUFFERS, LONG, PATTERN);
        }
        assert_int_equal(streams[0].n_found, 0);
        writes_config(secret);
        assert_int_equal(streams[0].n_found, 1);
        assert_int_equal(streams[0].found, secret);
        assert_true(n_found() > 0);
        end();
}

/* A read ends anywhere. */
static void an_address_in_two_pieces_is_found(void **state)
{
        uint8_t bytes[8];

        (void)state;
        begin(DEVICE_TYPE_RNG, false);
        bytes_store64(bytes, (uintptr_t)&self);
        for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
                memset(streams, 0, sizeof(streams));
                on_heard(0, bytes, cut);
                assert_int_equal(n_found(), cut == sizeof(bytes));
                on_heard(0, bytes + cut, sizeof(bytes) - cut);
                assert_int_equal(n_found(), 1);
        }
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(no_byte_that_a_worker_is_told_is_of_an_address),
            cmocka_unit_test(what_must_not_be_named_is_known),
            cmocka_unit_test(an_address_that_is_planted_is_found),
            cmocka_unit_test(an_address_in_two_pieces_is_found),
        };

        return cmocka_run_group_tests_name("device_addresses", tests, NULL, NULL);
}
