/* Memory that is there and cannot be had: its file has been cut (SIGBUS), or this process may not touch it any more (SIGSEGV, as where a
 * hypervisor keeps a guest's memory from its host). Each place that a lane touches, in plain memory and behind windows: buffers are an
 * error of their request, rings and tables break the ring, and nothing else is touched by it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/interval_map.h"
#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define A       MODEL_BUFFERS /* stays */
#define GONE    MODEL_HIGH    /* the second part is what goes */
#define LONG    UINT32_C(65536)
#define WRITTEN 0x11

static const uint8_t error = 0x77;
static struct lane_bench bench;
static uint8_t bytes[LONG];

enum place {
        DESCRIPTORS = 0,
        AVAILABLE,
        USED,
        TABLE,    /* indirect */
        READABLE, /* what the worker reads, ... */
        WRITABLE, /* ... and what it writes, in front of the error's place */
        ERROR,    /* ... and that place itself */
        PLACES_
};

enum way { CUT = 0, FORBIDDEN, WAYS_ };

enum moment {
        UNSEEN = 0, /* the driver has posted, and nobody has looked */
        SENT,       /* the worker has the request */
        MOMENTS_
};

enum outcome {
        GOOD,   /* nothing of it is looked at any more */
        TOLD,   /* by the device's own error */
        BROKEN, /* nobody can be told */
};

static const struct {
        const char *name;
        enum outcome outcome[MOMENTS_];
} places[PLACES_] = {
    [DESCRIPTORS] = {"descriptors", {BROKEN, GOOD}},   [AVAILABLE] = {"available ring", {BROKEN, BROKEN}},
    [USED] = {"used ring", {BROKEN, BROKEN}},          [TABLE] = {"indirect table", {BROKEN, GOOD}},
    [READABLE] = {"readable bytes", {TOLD, TOLD}},     [WRITABLE] = {"writable bytes", {TOLD, TOLD}},
    [ERROR] = {"the error's place", {BROKEN, BROKEN}},
};

/* The lane has mappings of its own, so that the driver can look where the lane cannot. */
struct memory {
        struct guest_mapping *parts[2];
        struct guest_memory *whole, *seen; /* without and with windows */
};

static void add(struct memory *memory, unsigned part)
{
        const struct guest_region region = {.start = GPA(MODEL_LOW + part * MODEL_PART),
                                            .len = MODEL_PART,
                                            .mapping = memory->parts[part],
                                            .writable = true};
        struct guest_memory *with;

        assert_int_equal(guest_memory_with(memory->whole, &region, &with), 0);
        (void)guest_memory_unref(memory->whole);
        memory->whole = with;
}

/* Windows: two, that meet where the parts do. */
static void confine(struct memory *memory)
{
        struct interval_map *map = interval_map_new(NULL, 2);

        assert_non_null(map);
        for (unsigned i = 0; i < 2; i++) {
                const uint64_t start = MODEL_LOW + i * MODEL_PART;
                const struct interval interval = {.start = start,
                                                  .len = MODEL_PART,
                                                  .base = start,
                                                  .rights = INTERVAL_READ | INTERVAL_WRITE};

                assert_int_equal(interval_map_replace(&map, &interval), 0);
        }
        assert_int_equal(guest_memory_confine(memory->whole, map, &memory->seen), 0);
        (void)interval_map_unref(map);
}

static void memory_init(struct memory *memory, bool windows)
{
        memory->whole = guest_memory_new();
        assert_non_null(memory->whole);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(
                    guest_mapping_new(bench.guest.fd, i * MODEL_PART, MODEL_PART, true, &memory->parts[i]),
                    0);
                add(memory, i);
        }
        if (windows)
                confine(memory);
        else
                memory->seen = guest_memory_ref(memory->whole);
}

static void memory_done(struct memory *memory)
{
        memory->seen = guest_memory_unref(memory->seen);
        memory->whole = guest_memory_unref(memory->whole);
        for (unsigned i = 0; i < 2; i++)
                memory->parts[i] = guest_mapping_unref(memory->parts[i]);
}

static void take_away(struct memory *memory, enum way way)
{
        if (way == CUT)
                assert_int_equal(ftruncate(bench.guest.fd, MODEL_PART), 0);
        else
                assert_int_equal(mprotect(guest_mapping_base(memory->parts[1]), MODEL_PART, PROT_NONE), 0);
}

/* The first queue lies where the place says; the second one is a neighbour, in what stays. */
static void begin(struct memory *memory, enum place place, bool windows, bool direct)
{
        struct bench_options options = bench_defaults;
        struct queue_layout *layout = &bench.guest.queues[0].layout;

        options.n_queues = 2;
        options.area_len = direct ? LIMIT_AREA : 0;
        if (direct)
                options.credit_bytes = options.max_inline = 2 * LONG;
        bench_init(&bench, &options);
        for (uint32_t i = 0; i < LONG; i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        memory_init(memory, windows);
        lane_set_failure(&bench.lane, &(struct lane_failure){.error = &error, .len = 1});
        (void)lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 0));
        lane_set_memory(&bench.lane, memory->seen);
        if (place == DESCRIPTORS)
                layout->desc = GPA(GONE);
        if (place == AVAILABLE)
                layout->avail = GPA(GONE);
        if (place == USED)
                layout->used = GPA(GONE);
        bench_start_queue(&bench, 0, 0);
        lane_queue_release(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_run(&bench);
}

static void end(struct memory *memory)
{
        bench_done(&bench);
        memory_done(memory);
}

static void post_table(void)
{
        const struct {
                uint64_t addr;
                uint32_t len;
                uint16_t flags, next;
        } table[] = {{htole64(A), htole32(16), htole16(1), htole16(1)},
                     {htole64(A + 2 * LONG), htole32(1), htole16(2), 0}},
          head = {htole64(GONE), htole32(sizeof(table)), htole16(4), 0};
        const struct queue_layout *layout = &bench.guest.queues[0].layout;

        model_put(&bench.guest, GONE, table, sizeof(table));
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}, {A + 2 * LONG, 1, true}}, 2);
        model_put(&bench.guest, layout->desc.v, &head, sizeof(head)); /* nobody has looked yet */
}

static uint16_t post(enum place place)
{
        const struct model_buffer buffers[] = {{place == READABLE ? GONE : A, LONG, false},
                                               {place == WRITABLE ? GONE : A + LONG, LONG, true},
                                               {place == ERROR ? GONE : A + 2 * LONG, 1, true}};

        if (place == TABLE) {
                post_table();
                return 0;
        }
        model_put(&bench.guest, buffers[0].at, bytes, LONG);
        return model_post(&bench.guest, 0, buffers, array_size(buffers));
}

static void neighbour_is_well(void)
{
        uint16_t head = model_post(&bench.guest, 1, &(struct model_buffer){A, 64, false}, 1);

        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 1, head, 0);
        assert_int_equal(bench.broken[1], 0);
        assert_int_equal(bench.faults, 0);
}

/* The worker has read all of it and answers all of it, as if nothing had been. */
static void worker_answers(const struct bench_request *request)
{
        static uint8_t answer[LONG + 1];
        struct fake_frame frame;

        memset(answer, WRITTEN, sizeof(answer));
        if (request->inlined < request->readable) {
                fake_worker_read(&bench.worker, 1, request->id, request->inlined,
                                 request->readable - request->inlined);
                bench_reply(&bench, &frame);
                assert_int_equal(frame.payload_len, request->readable - request->inlined);
        }
        fake_worker_complete(&bench.worker, request->id, 0, answer, request->writable);
        bench_run(&bench);
}

static void assert_told(uint16_t head)
{
        bench_used_now(&bench, 0, head, 0); /* none of what is in front of the error is true */
        assert_int_equal(*model_at(&bench.guest, A + 2 * LONG), error);
        assert_int_equal(bench.broken[0], 0);
}

static void assert_good(const struct bench_request *request, uint16_t head)
{
        bench_used_now(&bench, 0, head, request->writable);
        assert_int_equal(*model_at(&bench.guest, A + 2 * LONG), WRITTEN);
        assert_int_equal(bench.broken[0], 0);
}

/* Returns how it must end. */
static enum outcome expected(enum place place, enum moment moment, bool direct)
{
        if (place == READABLE && moment == SENT && direct)
                return GOOD; /* all of it was copied before the request was sent */
        return places[place].outcome[moment];
}

static void one(enum place place, enum way way, enum moment moment, bool windows, bool direct)
{
        enum outcome outcome = expected(place, moment, direct);
        struct memory memory = {0};
        uint16_t head;

        begin(&memory, place, windows, direct);
        head = post(place);
        if (moment == SENT)
                assert_int_equal(bench_requests(&bench), 1);
        take_away(&memory, way);
        if (moment == UNSEEN)
                (void)bench_requests(&bench);
        if (bench.n > 0)
                worker_answers(&bench.requests[0]);
        switch (outcome) {
        case GOOD:
                assert_good(&bench.requests[0], head);
                break;
        case TOLD:
                assert_told(head);
                break;
        case BROKEN:
                assert_int_equal(bench.broken[0], 1);
                break;
        }
        neighbour_is_well();
        end(&memory);
}

static void each(enum place place)
{
        for (unsigned i = 0; i < WAYS_ * MOMENTS_ * 4; i++) {
                enum way way = i % WAYS_;
                enum moment moment = i / WAYS_ % MOMENTS_;
                bool windows = i & 4, direct = i & 8;

                print_message("%s: %s, %s, %s, %s\n", places[place].name, way == CUT ? "cut" : "forbidden",
                              moment == SENT ? "sent" : "unseen", windows ? "windows" : "plain",
                              direct ? "direct" : "pipe");
                one(place, way, moment, windows, direct);
        }
}

#define CLAIM(name, place)                                                                                   \
        static void name(void **state)                                                                       \
        {                                                                                                    \
                (void)state;                                                                                 \
                each(place);                                                                                 \
        }

CLAIM(inaccessible_descriptors_break_their_ring, DESCRIPTORS)
CLAIM(inaccessible_available_ring_breaks, AVAILABLE)
CLAIM(inaccessible_used_ring_breaks, USED)
CLAIM(inaccessible_table_breaks_its_ring, TABLE)
CLAIM(inaccessible_bytes_to_read_are_an_error_of_their_request, READABLE)
CLAIM(inaccessible_bytes_to_write_are_an_error_of_their_request, WRITABLE)
CLAIM(inaccessible_place_of_the_error_breaks_the_ring, ERROR)

/* A request without any place for an error, and one that was only lent. */
static void where_nobody_can_be_told_the_ring_breaks(void **state)
{
        (void)state;
        for (unsigned lent = 0; lent < 2; lent++) {
                struct bench_options options = bench_defaults;

                options.kind = lent ? QUEUE_SUPPLY : QUEUE_WORK;
                bench_init(&bench, &options);
                lane_set_failure(&bench.lane, &(struct lane_failure){.error = &error, .len = 1});
                model_post(&bench.guest, 0, &(struct model_buffer){GONE, 64, lent}, 1);
                if (lent)
                        assert_int_equal(bench_requests(&bench), 1);
                assert_int_equal(ftruncate(bench.guest.fd, MODEL_PART), 0);
                if (!lent)
                        assert_int_equal(bench_requests(&bench), 1);
                fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, lent ? 64 : 0);
                bench_not_used(&bench, 0);
                assert_int_equal(bench.broken[0], 1);
                assert_int_equal(bench.faults, 0);
                bench_done(&bench);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(inaccessible_descriptors_break_their_ring),
            cmocka_unit_test(inaccessible_available_ring_breaks),
            cmocka_unit_test(inaccessible_used_ring_breaks),
            cmocka_unit_test(inaccessible_table_breaks_its_ring),
            cmocka_unit_test(inaccessible_bytes_to_read_are_an_error_of_their_request),
            cmocka_unit_test(inaccessible_bytes_to_write_are_an_error_of_their_request),
            cmocka_unit_test(inaccessible_place_of_the_error_breaks_the_ring),
            cmocka_unit_test(where_nobody_can_be_told_the_ring_breaks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
