/* workers/runtime/supply: a device that is lent buffers, in a whole runtime, against a scripted broker.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/supply.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fake_broker.h"
#include "tests/harness/blk_set.h"
#include "workers/runtime/worker_watch.h"

#define LENT  8u
#define LINE  16u
#define INPUT 0u
#define WORK  1u

/* ---- the device: bytes of its descriptor go to the buffers; capital letters are for the second one ---- */

static struct {
        int fd;
        unsigned n_recalled;
} own;

static void feed(void *state)
{
        struct request *request;
        char bytes[LINE];
        ssize_t n;

        (void)state;
        while ((request = supply_first(INPUT))) {
                n = recv(own.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
                if (n <= 0)
                        break;
                if (bytes[0] >= 'A' && bytes[0] <= 'Z' && supply_next(request))
                        request = supply_next(request);
                memcpy(request_reserve(request, (uint32_t)n), bytes, (size_t)n);
                request_complete(request, 0, (uint32_t)n);
        }
        worker_watch_set(own.fd, supply_first(INPUT) ? POLLIN : 0);
}

static void on_bytes(void *state, int fd, short events)
{
        (void)fd;
        (void)events;
        feed(state);
}

static void own_supplied(void *state, uint32_t queue)
{
        assert_int_equal(queue, INPUT);
        feed(state);
}

static void own_recalled(void *state, uint32_t queue)
{
        (void)state;
        assert_int_equal(queue, INPUT);
        own.n_recalled++;
        worker_watch_set(own.fd, 0);
}

/* Answers how many buffers there are, and how often some were taken back. With a byte to read it waits first, not for long. */
static void own_handle(void *state, struct request *request)
{
        uint8_t *out;

        (void)state;
        if (request_readable(request) > 0)
                request_wait(request);
        out = request_reserve(request, 2);
        out[0] = (uint8_t)supply_count(INPUT);
        out[1] = (uint8_t)own.n_recalled;
        request_complete(request, 0, 2);
}

static int own_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        assert_int_equal(n_resources, 1);
        own.fd = resources[0];
        *ret_hello = (struct control_hello){.device_type = 2,
                                            .n_queues = 2,
                                            .queue_kind = {QUEUE_SUPPLY, QUEUE_WORK},
                                            .queue_replay = {REPLAY_AT_MOST_ONCE, REPLAY_IDEMPOTENT},
                                            .max_segments = 8,
                                            .credit_requests = LENT + 1};
        worker_watch_add(own.fd, 0, on_bytes);
        return 0;
}

static const struct device_ops own_ops = {.type = DEVICE_TYPE_BLK,
                                          .init = own_init,
                                          .handle = own_handle,
                                          .supplied = own_supplied,
                                          .recalled = own_recalled};
static const struct control_configure own_configure = {
    .name = "t", .n_queues = 2, .n_lanes = 1, .type = DEVICE_TYPE_BLK, .options = BLK_PLAIN};

/* ---- the broker ---- */

static struct fake_broker broker;
static struct fake_request lent[LENT];
static uint8_t buffers[LENT][LINE];
static int pair[2];

static void start(void)
{
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        fake_start_ops(&broker, &own_ops, 1, &pair[0], 1);
        fake_configure(&broker, &own_configure);
        assert_int_equal(fake_start_queue(&broker, INPUT), 0);
        assert_int_equal(fake_start_queue(&broker, WORK), 0);
}

static void end(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
        close(pair[0]);
        close(pair[1]);
}

static void lend(unsigned first, unsigned n)
{
        for (unsigned i = first; i < first + n; i++)
                lent[i] = (struct fake_request){
                    .id = 100 + i, .queue = INPUT, .writable = buffers[i], .n_writable = LINE};
        fake_send_requests(&broker, 0, lent + first, n);
}

/* How many buffers the device has; *ret_recalled may be NULL. */
static unsigned count(unsigned *ret_recalled)
{
        static uint64_t id = 5000;
        uint8_t answer[2] = {0xff, 0xff};
        struct fake_request ask = {.id = id++, .queue = WORK, .writable = answer, .n_writable = 2};

        fake_send_requests(&broker, 0, &ask, 1);
        while (!ask.done)
                assert_true(fake_serve(&broker, 0));
        if (ret_recalled)
                *ret_recalled = answer[1];
        return answer[0];
}

static void say(const char *text)
{
        assert_int_equal(send(pair[1], text, strlen(text), 0), strlen(text));
}

static void await(unsigned i)
{
        while (!lent[i].done)
                assert_true(fake_serve(&broker, 0));
}

static void came(unsigned i, const char *text)
{
        await(i);
        assert_int_equal(lent[i].status, WIRE_STATUS_OK);
        assert_int_equal(lent[i].used, strlen(text));
        assert_memory_equal(buffers[i], text, strlen(text));
}

static void recall(uint32_t queue)
{
        const struct lane_to_worker message = {.kind = LANE_RECALL, .recall = {.queue = queue}};
        uint8_t header[64];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(broker.lanes[0], header, (uint32_t)len, NULL, 0);
}

static void bytes_go_to_the_oldest_buffer_or_to_another(void **state)
{
        (void)state;
        start();
        lend(0, 3);
        assert_int_equal(count(NULL), 3);
        say("one");
        came(0, "one");
        say("TWO");
        came(2, "TWO");
        say("three");
        came(1, "three");
        assert_int_equal(count(NULL), 0);
        end();
}

static void bytes_that_come_before_a_buffer_wait_for_it(void **state)
{
        (void)state;
        start();
        say("early");
        assert_int_equal(count(NULL), 0);
        lend(0, 1);
        came(0, "early");
        end();
}

static void what_is_recalled_comes_back_unused_and_bytes_wait(void **state)
{
        unsigned recalled;

        (void)state;
        start();
        lend(0, 4);
        say("one");
        came(0, "one");
        recall(INPUT);
        for (unsigned i = 1; i < 4; i++) {
                await(i);
                assert_int_equal(lent[i].status, WIRE_STATUS_CANCELED);
                assert_int_equal(lent[i].used, 0);
        }
        say("two");
        assert_int_equal(count(&recalled), 0);
        assert_int_equal(recalled, 1);
        lend(4, 2); /* of the queue's next start */
        came(4, "two");
        assert_int_equal(count(NULL), 1);
        end();
}

/* What was sent behind the recall, in the same breath, is not meant by it. */
static void a_recall_is_of_what_was_sent_before_it(void **state)
{
        (void)state;
        start();
        for (unsigned round = 0; round < 50; round++) {
                lend(0, 3);
                recall(INPUT);
                lend(3, 2);
                for (unsigned i = 0; i < 3; i++) {
                        await(i);
                        assert_int_equal(lent[i].status, WIRE_STATUS_CANCELED);
                }
                assert_int_equal(count(NULL), 2);
                say("on");
                came(3, "on");
                recall(INPUT);
                await(4);
                assert_int_equal(lent[4].status, WIRE_STATUS_CANCELED);
                assert_int_equal(count(NULL), 0);
        }
        end();
}

static void a_recall_of_nothing_is_silent(void **state)
{
        (void)state;
        start();
        recall(INPUT);
        assert_int_equal(count(NULL), 0);
        end();
}

static void who_waits_and_is_done_at_once_says_it_in_two_frames(void **state)
{
        uint8_t answer[2];
        struct fake_request request = {.id = 77,
                                       .queue = WORK,
                                       .readable = (const uint8_t *)"w",
                                       .n_readable = 1,
                                       .writable = answer,
                                       .n_writable = sizeof(answer),
                                       .inlined = FAKE_INLINE_ALL};

        (void)state;
        start();
        fake_send_requests(&broker, 0, &request, 1);
        assert_true(fake_serve(&broker, 0));
        assert_true(request.waits);
        assert_false(request.done);
        while (!request.done)
                assert_true(fake_serve(&broker, 0));
        assert_int_equal(request.used, 2);
        end();
}

static void a_recall_of_a_queue_that_was_never_started_traps(void **state)
{
        (void)state;
        start();
        recall(WORK + 1);
        assert_true(fake_trapped(fake_await(&broker)));
        close(pair[0]);
        close(pair[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_go_to_the_oldest_buffer_or_to_another),
            cmocka_unit_test(bytes_that_come_before_a_buffer_wait_for_it),
            cmocka_unit_test(what_is_recalled_comes_back_unused_and_bytes_wait),
            cmocka_unit_test(a_recall_is_of_what_was_sent_before_it),
            cmocka_unit_test(a_recall_of_nothing_is_silent),
            cmocka_unit_test(who_waits_and_is_done_at_once_says_it_in_two_frames),
            cmocka_unit_test(a_recall_of_a_queue_that_was_never_started_traps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
