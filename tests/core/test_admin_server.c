/* The admin socket: who asks, how often, and who is dropped.
 * TRUST: clients' bytes, good and bad; the status is made up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin/admin_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/fd.h"
#include "proto/frame.h"
#include "tests/core/model_guest.h"

static struct test {
        uv_loop_t loop;
        struct admin_server *server;
        struct sockaddr_un address;
        socklen_t address_len;
        size_t n_devices;
        unsigned n_asked, fds_before;
        /* settings */
        int set_error; /* what `set` returns */
        unsigned n_set;
        struct control_setting setting;
        char device[LIMIT_NAME];
        void (*done)(void *context, int error); /* of the last one */
        void *done_context;
} test;

/* The longest of everything, when all devices are there. */
static void status(void *context, struct admin_status *ret_status)
{
        assert_ptr_equal(context, &test);
        test.n_asked++;
        memset(ret_status->vm, 'v', sizeof(ret_status->vm) - 1);
        memset(ret_status->version, '9', sizeof(ret_status->version) - 1);
        ret_status->stage = ADMIN_SERVING;
        ret_status->n_devices = test.n_devices;
        for (size_t i = 0; i < test.n_devices; i++) {
                struct admin_device *device = &ret_status->devices[i];

                *device = (struct admin_device){.state = ADMIN_RUNNING,
                                                .pid = INT32_MAX,
                                                .uid = UINT32_MAX,
                                                .restarts = UINT32_MAX,
                                                .queues_running = LIMIT_QUEUES,
                                                .outstanding = UINT32_MAX,
                                                .requests = UINT64_MAX,
                                                .bytes_from_guest = UINT64_MAX,
                                                .bytes_to_guest = UINT64_MAX,
                                                .attached = true,
                                                .features = UINT64_MAX,
                                                .resources = {.of = {LIMIT_RESOURCES}, .born = UINT32_MAX},
                                                .n_lanes = LIMIT_LANES};
                memset(device->name, 'd', sizeof(device->name) - 1);
                memset(device->type, 't', sizeof(device->type) - 1);
                memset(device->companion, 'c', sizeof(device->companion) - 1);
                device->companion_pid = INT32_MAX;
                device->companion_uid = device->companion_starts = UINT32_MAX;
                memset(device->why, 'w', sizeof(device->why) - 1);
        }
}

static int set(void *context, const char *device, const struct control_setting *setting,
               void (*done)(void *done_context, int error), void *done_context)
{
        assert_ptr_equal(context, &test);
        test.n_set++;
        test.setting = *setting;
        snprintf(test.device, sizeof(test.device), "%s", device);
        test.done = done;
        test.done_context = done_context;
        return test.set_error;
}

static const struct admin_ops ops = {.status = status, .set = set};

static void begin(void)
{
        uv_loop_t warm;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_int_equal(uv_loop_init(&warm), 0);
        assert_int_equal(uv_loop_close(&warm), 0);
        test = (struct test){.fds_before = count_fds() - 1, .n_devices = 2};
        test.address.sun_family = AF_UNIX;
        test.address_len =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                        (size_t)snprintf(test.address.sun_path + 1, 64, "bulkhead-test-%d", getpid()));
        assert_int_equal(bind(fd, (struct sockaddr *)&test.address, test.address_len), 0);
        assert_int_equal(listen(fd, 4), 0);
        assert_int_equal(uv_loop_init(&test.loop), 0);
        assert_int_equal(admin_server_new(&test.loop, fd, &ops, &test, &test.server), 0);
}

static void run(void)
{
        for (unsigned i = 0; i < 30; i++)
                uv_run(&test.loop, UV_RUN_NOWAIT);
}

static void end(void)
{
        test.server = admin_server_free(test.server);
        run();
        assert_int_equal(uv_loop_close(&test.loop), 0);
        assert_int_equal(count_fds(), test.fds_before);
}

static int client(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&test.address, test.address_len), 0);
        return fd;
}

static void say(int fd, const struct admin_to_broker *question)
{
        uint8_t buf[256];
        ssize_t len = admin_make_to_broker(question, buf + FRAME_HEAD_BYTES, sizeof(buf) - FRAME_HEAD_BYTES);

        assert_true(len > 0);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, buf);
        assert_int_equal(send(fd, buf, FRAME_HEAD_BYTES + (size_t)len, MSG_NOSIGNAL), FRAME_HEAD_BYTES + len);
}

static void ask(int fd)
{
        say(fd, &(struct admin_to_broker){.kind = ADMIN_GET_STATUS});
}

static bool hung_up(int fd)
{
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static struct admin_to_client *hear(int fd)
{
        static uint8_t buf[FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER];
        static struct admin_to_client answer;
        struct frame_head head;
        struct arena arena;
        size_t have = 0;

        for (unsigned i = 0; i < 100; i++) {
                ssize_t n = recv(fd, buf + have, sizeof(buf) - have, 0);

                if (n > 0)
                        have += (size_t)n;
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        assert_int_equal(frame_head_check(buf, 0, &head), 0);
        assert_int_equal(have, FRAME_HEAD_BYTES + head.header_len);
        assert_int_equal(admin_check_to_client(&arena, buf + FRAME_HEAD_BYTES, head.header_len, &answer), 0);
        arena_done(&arena);
        return &answer;
}

static void expect_answer(int fd, size_t n_devices)
{
        const struct admin_to_client *answer = hear(fd);

        assert_int_equal(answer->kind, ADMIN_STATUS);
        assert_int_equal(answer->status.n_devices, n_devices);
}

static void every_client_gets_its_answer_as_often_as_it_asks(void **state)
{
        int fds[3];

        (void)state;
        begin();
        for (unsigned i = 0; i < 3; i++)
                fds[i] = client();
        run();
        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < 3; i++) {
                        ask(fds[i]);
                        run();
                        expect_answer(fds[i], 2);
                }
        }
        for (unsigned i = 0; i < 3; i++)
                close(fds[i]);
        run();
        end();
}

static void the_largest_status_fits_into_a_frame(void **state)
{
        int fd;

        (void)state;
        begin();
        test.n_devices = LIMIT_DEVICES;
        fd = client();
        run();
        ask(fd);
        run();
        expect_answer(fd, LIMIT_DEVICES);
        close(fd);
        end();
}

static void a_client_over_the_limit_waits_for_a_place(void **state)
{
        int fds[ADMIN_CLIENTS + 1];

        (void)state;
        begin();
        for (unsigned i = 0; i <= ADMIN_CLIENTS; i++) {
                fds[i] = client();
                run();
        }
        ask(fds[ADMIN_CLIENTS]);
        run();
        assert_int_equal(test.n_asked, 0);
        close(fds[3]);
        run();
        assert_int_equal(test.n_asked, 1);
        expect_answer(fds[ADMIN_CLIENTS], 2);
        for (unsigned i = 0; i <= ADMIN_CLIENTS; i++)
                if (i != 3)
                        close(fds[i]);
        run();
        end();
}

static void rubbish_a_descriptor_and_an_open_end_drop_that_client_only(void **state)
{
        struct iovec iov = {.iov_base = "\2\0\0\0\0\0\0\0zz", .iov_len = 10};
        int good, bad[3];

        (void)state;
        begin();
        good = client();
        for (unsigned i = 0; i < 3; i++)
                bad[i] = client();
        run();
        assert_int_equal(send(bad[0], iov.iov_base, 10, 0), 10);
        assert_int_equal(fd_pass_send(bad[1], &iov, 1, &good, 1), 10);
        assert_int_equal(send(bad[2], "\xff\xff\xff\xff\0\0\0\0", 8, 0), 8);
        run();
        for (unsigned i = 0; i < 3; i++) {
                assert_true(hung_up(bad[i]));
                close(bad[i]);
        }
        ask(good);
        run();
        expect_answer(good, 2);
        close(good);
        end();
}

static void a_client_that_does_not_read_is_dropped(void **state)
{
        int fd;

        (void)state;
        begin();
        test.n_devices = LIMIT_DEVICES;
        fd = client();
        run();
        for (unsigned i = 0; i < 100; i++)
                ask(fd);
        run();
        assert_true(test.n_asked < 100);
        close(fd);
        fd = client();
        run();
        ask(fd);
        run();
        expect_answer(fd, LIMIT_DEVICES);
        close(fd);
        end();
}

static void it_ends_with_clients_and_waiting_ones_connected(void **state)
{
        int fds[ADMIN_CLIENTS + 2];

        (void)state;
        begin();
        for (unsigned i = 0; i < ADMIN_CLIENTS + 2; i++) {
                fds[i] = client();
                ask(fds[i]);
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        for (unsigned i = 0; i < ADMIN_CLIENTS + 2; i++)
                test.fds_before++;
        end();
        for (unsigned i = 0; i < ADMIN_CLIENTS + 2; i++)
                close(fds[i]);
}

/* Does the loop sleep until its timer? */
static bool sleeps(void)
{
        struct pollfd poll_fd = {.fd = uv_backend_fd(&test.loop), .events = POLLIN};

        return poll(&poll_fd, 1, 0) == 0 && uv_backend_timeout(&test.loop) > 0;
}

static void without_descriptors_a_client_waits_and_the_loop_sleeps(void **state)
{
        struct rlimit before, none;
        uint64_t deadline;
        int fd;

        (void)state;
        begin();
        fd = client();
        ask(fd);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = 3;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        run();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(sleeps());
        assert_int_equal(test.n_asked, 0);
        deadline = uv_hrtime() + UINT64_C(10000000000);
        while (test.n_asked == 0 && uv_hrtime() < deadline)
                uv_run(&test.loop, UV_RUN_ONCE);
        expect_answer(fd, 2);
        close(fd);
        run();
        end();
}

/* ---- settings ---- */

static const struct admin_to_broker link_down = {
    .kind = ADMIN_SET, .device = "net0", .set = {.setting = {SETTING_LINK, 0, 0}}};

/* A client whose setting is on its way. */
static int wishing_client(void)
{
        int fd = client();

        say(fd, &link_down);
        run();
        return fd;
}

static void a_setting_is_answered_when_its_worker_has_taken_it(void **state)
{
        char byte;
        int fd;

        (void)state;
        begin();
        fd = wishing_client();
        assert_int_equal(test.n_set, 1);
        assert_string_equal(test.device, "net0");
        assert_memory_equal(&test.setting, &link_down.set.setting, sizeof(test.setting));
        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        test.done(test.done_context, 0);
        assert_int_equal(hear(fd)->kind, ADMIN_TAKEN);
        ask(fd); /* and it may go on */
        run();
        expect_answer(fd, 2);
        close(fd);
        run();
        end();
}

static void each_refusal_is_said_in_words(void **state)
{
        static const struct {
                int error, told;
                const char *words;
        } rows[] = {
            {-ENOENT, -ENOENT, "net0: link: there is no such device"},
            {-EBUSY, -EBUSY, "has just been made: try again"},
            {-EAGAIN, -EBUSY, "no worker of the device serves now: try again"},
            {-EOPNOTSUPP, -EOPNOTSUPP, "net0: link: the device has no such setting"},
            {-EINVAL, -EINVAL, "does not take this value"},
            {-EIO, -EIO, "net0: link: Input/output error"},
        };

        (void)state;
        begin();
        for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
                const bool late = i % 2;
                const struct admin_to_client *answer;
                int fd;

                test.set_error = late ? 0 : rows[i / 2].error;
                fd = wishing_client();
                if (late)
                        test.done(test.done_context, rows[i / 2].error);
                answer = hear(fd);
                assert_int_equal(answer->kind, ADMIN_ERROR);
                assert_int_equal(answer->error.error, rows[i / 2].told);
                assert_non_null(strstr(answer->error.reason, rows[i / 2].words));
                close(fd);
                run();
        }
        end();
}

static void a_second_question_before_the_answer_ends_the_connection(void **state)
{
        int fd, other;

        (void)state;
        begin();
        fd = wishing_client();
        ask(fd);
        run();
        assert_true(hung_up(fd));
        assert_int_equal(test.n_asked, 0);
        close(fd);
        other = client();
        run();
        test.done(test.done_context, 0); /* whose place has another client now, who has not asked */
        ask(other);
        run();
        expect_answer(other, 2);
        close(other);
        run();
        end();
}

static void an_answer_may_come_after_the_end(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = wishing_client();
        test.fds_before++;
        end();
        test.done(test.done_context, -EAGAIN);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_client_gets_its_answer_as_often_as_it_asks),
            cmocka_unit_test(the_largest_status_fits_into_a_frame),
            cmocka_unit_test(a_client_over_the_limit_waits_for_a_place),
            cmocka_unit_test(rubbish_a_descriptor_and_an_open_end_drop_that_client_only),
            cmocka_unit_test(a_client_that_does_not_read_is_dropped),
            cmocka_unit_test(it_ends_with_clients_and_waiting_ones_connected),
            cmocka_unit_test(without_descriptors_a_client_waits_and_the_loop_sleeps),
            cmocka_unit_test(a_setting_is_answered_when_its_worker_has_taken_it),
            cmocka_unit_test(each_refusal_is_said_in_words),
            cmocka_unit_test(a_second_question_before_the_answer_ends_the_connection),
            cmocka_unit_test(an_answer_may_come_after_the_end),
        };

        return cmocka_run_group_tests_name("admin_server", tests, NULL, NULL);
}
