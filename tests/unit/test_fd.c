/* Descriptors and their passage over sockets.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "tests/unit/unit.h"

#define RECV_MAX (LIMIT_PASS_FDS + 8u) /* more than LIMIT_PASS_FDS, so that only max_fds refuses */

struct pair {
        int ends[2];
        unsigned fds_before; /* without the pair */
};

static int pair_setup(void **state)
{
        static struct pair pair;

        pair.fds_before = unit_count_fds();
        *state = &pair;
        return fd_stream_pair(pair.ends);
}

/* Every test leaks nothing. */
static int pair_teardown(void **state)
{
        struct pair *pair = *state;

        close(pair->ends[0]);
        close(pair->ends[1]);
        return unit_count_fds() == pair->fds_before ? 0 : -1;
}

static ssize_t send_null(int sock, unsigned n_fds)
{
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
        int fds[LIMIT_PASS_FDS + 1];
        ssize_t n;

        for (unsigned i = 0; i < LIMIT_PASS_FDS + 1; i++)
                fds[i] = null;
        n = fd_pass_send(sock, &iov, 1, fds, n_fds);
        close(null);
        return n;
}

static void stream_pairs_are_cloexec_and_blocking(void **state)
{
        struct pair *pair = *state;

        for (int i = 0; i < 2; i++) {
                assert_int_equal(fcntl(pair->ends[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
                assert_int_equal(fcntl(pair->ends[i], F_GETFL) & O_NONBLOCK, 0);
        }
}

static void nonblock_is_set_and_other_flags_stay(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        char byte;

        assert_int_equal(fd_set_nonblock(pair->ends[0]), 0);
        assert_int_equal(fcntl(pair->ends[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
        assert_int_equal(fd_pass_recv(pair->ends[0], &byte, 1, &fds, 0), -EAGAIN);
        assert_int_equal(fd_set_nonblock(-1), -EBADF);
}

/* A peer that shares the open file clears the flag that we set. */
static void receive_now_never_waits(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        char bytes[2];

        assert_int_equal(fcntl(pair->ends[0], F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(fd_pass_recv_now(pair->ends[0], bytes, 2, &fds, 0), -EAGAIN);
        assert_int_equal(send(pair->ends[1], "x", 1, 0), 1);
        assert_int_equal(fd_pass_recv_now(pair->ends[0], bytes, 2, &fds, 0), 1);
        assert_int_equal(fd_pass_recv_now(pair->ends[0], bytes + 1, 1, &fds, 0), -EAGAIN);
}

static void descriptors_arrive_cloexec_and_in_order(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        struct iovec iov[2] = {{.iov_base = (char[]){'a'}, .iov_len = 1},
                               {.iov_base = (char[]){'b'}, .iov_len = 1}};
        int sent[2] = {pair->ends[0], pair->ends[1]};
        char bytes[8];

        assert_int_equal(fd_pass_send(pair->ends[0], iov, 2, sent, 2), 2);
        assert_int_equal(fd_pass_recv(pair->ends[1], bytes, sizeof(bytes), &fds, 2), 2);
        assert_memory_equal(bytes, "ab", 2);
        assert_int_equal(fds.n, 2);
        assert_int_equal(fcntl(fds.fds[0], F_GETFD), FD_CLOEXEC);
        assert_int_equal(fd_write_all(fds.fds[1], "c", 1), 0); /* it is end 1: end 0 reads */
        assert_int_equal(fd_read_all(fds.fds[0], bytes, 1), 0);
        fd_set_close(&fds);
        assert_int_equal(fds.n, 0);
}

static void as_many_descriptors_as_the_limit_are_sent_and_no_more(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        char byte;

        assert_int_equal(send_null(pair->ends[0], LIMIT_PASS_FDS + 1), -E2BIG);
        assert_int_equal(send_null(pair->ends[0], LIMIT_PASS_FDS), 1);
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, RECV_MAX), 1);
        assert_int_equal(fds.n, LIMIT_PASS_FDS);
        fd_set_close(&fds);
}

static void one_descriptor_too_many_closes_all(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        unsigned before = unit_count_fds();
        char byte;

        assert_int_equal(send_null(pair->ends[0], 3), 1);
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 2), -EPROTO);
        assert_int_equal(fds.n, 0);
        assert_int_equal(unit_count_fds(), before);
}

static void the_maximum_counts_over_several_messages(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        unsigned before = unit_count_fds();
        char byte;

        assert_int_equal(send_null(pair->ends[0], 2), 1);
        assert_int_equal(send_null(pair->ends[0], 1), 1);
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 2), 1);
        assert_int_equal(fds.n, 2);
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 2), -EPROTO);
        assert_int_equal(fds.n, 0);
        assert_int_equal(unit_count_fds(), before);
}

static void control_data_of_another_kind_is_refused(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        unsigned before = unit_count_fds();
        int on = 1;
        char byte;

        assert_int_equal(setsockopt(pair->ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
        assert_int_equal(send_null(pair->ends[0], 1), 1); /* comes with SCM_CREDENTIALS and SCM_RIGHTS */
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 4), -EPROTO);
        assert_int_equal(unit_count_fds(), before);
}

static void taking_moves_ownership_out_of_the_set(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        unsigned before = unit_count_fds();
        char byte;
        int taken;

        assert_int_equal(send_null(pair->ends[0], 2), 1);
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 2), 1);
        taken = fd_set_take(&fds, 1);
        assert_true(taken >= 0);
        assert_int_equal(fd_set_take(&fds, 1), -1);
        assert_int_equal(fd_set_take(&fds, 2), -1);
        fd_set_close(&fds);
        assert_int_equal(unit_count_fds(), before + 1);
        close(taken);
}

static void end_of_file_and_closed_peers_are_told_apart(void **state)
{
        struct pair *pair = *state;
        struct fd_set_owned fds = {0};
        char byte;

        close(pair->ends[0]);
        pair->ends[0] = -1;
        assert_int_equal(fd_pass_recv(pair->ends[1], &byte, 1, &fds, 0), 0);
        assert_int_equal(send_null(pair->ends[1], 0), -EPIPE); /* and no SIGPIPE */
        assert_int_equal(fd_read_all(pair->ends[1], &byte, 1), -EPIPE);
        assert_int_equal(fd_read_all(pair->ends[1], &byte, 0), 0);
}

static void read_all_puts_pieces_together(void **state)
{
        struct pair *pair = *state;
        char bytes[6];

        assert_int_equal(fd_write_all(pair->ends[0], "abc", 3), 0);
        assert_int_equal(fd_write_all(pair->ends[0], "def", 3), 0);
        assert_int_equal(fd_read_all(pair->ends[1], bytes, 6), 0);
        assert_memory_equal(bytes, "abcdef", 6);
        assert_int_equal(fd_write_all(-1, "a", 1), -EBADF);
        assert_int_equal(fd_read_all(-1, bytes, 1), -EBADF);
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

static void a_wider_socket_holds_more(void **state)
{
        static const uint8_t bytes[4096];
        size_t held[2] = {0, 0};

        (void)state;
        for (unsigned wide = 0; wide < 2; wide++) {
                int pair[2];

                assert_int_equal(fd_stream_pair(pair), 0);
                assert_int_equal(fd_set_send_buffer(pair[0], wide ? 200000 : 20000), 0);
                while (send(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                        held[wide] += sizeof(bytes);
                close(pair[0]);
                close(pair[1]);
        }
        assert_true(held[1] >= 4 * held[0]);
        assert_true(held[1] < 1000000);
        assert_int_equal(fd_set_send_buffer(-1, 4096), -EBADF);
}

static void pipe_pairs_are_crossed_cloexec_and_blocking(void **state)
{
        const unsigned before = unit_count_fds();
        struct fd_duplex ends[2];
        char byte;

        (void)state;
        assert_int_equal(fd_pipe_pair(ends), 0);
        assert_int_equal(unit_count_fds(), before + 4);
        for (int i = 0; i < 2; i++) {
                const int fds[] = {ends[i].in, ends[i].out};

                for (int j = 0; j < 2; j++) {
                        assert_int_equal(fcntl(fds[j], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
                        assert_int_equal(fcntl(fds[j], F_GETFL) & (O_NONBLOCK | O_ACCMODE),
                                         j == 0 ? O_RDONLY : O_WRONLY);
                }
                assert_int_equal(fd_write_all(ends[i].out, i == 0 ? "a" : "b", 1), 0);
        }
        assert_int_equal(fd_read_all(ends[1].in, &byte, 1), 0);
        assert_int_equal(byte, 'a');
        assert_int_equal(fd_read_all(ends[0].in, &byte, 1), 0);
        assert_int_equal(byte, 'b');
        fd_duplex_close(&ends[0]); /* both: what the other reads ends, what it writes goes nowhere */
        assert_int_equal(fd_read_all(ends[1].in, &byte, 1), -EPIPE);
        assert_int_equal(fd_write_all(ends[1].out, "c", 1), -EPIPE);
        fd_duplex_close(&ends[1]);
        assert_int_equal(unit_count_fds(), before);
}

static void a_pipe_pair_that_cannot_be_made_leaves_nothing(void **state)
{
        const unsigned before = unit_count_fds();
        struct rlimit was, few;
        struct fd_duplex ends[2];
        int lowest = dup(0);

        (void)state;
        close(lowest);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
        few = was;
        for (rlim_t room = 0; room < 4; room++) { /* lowest is free, and so are those behind it */
                few.rlim_cur = (rlim_t)lowest + room;
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
                assert_int_equal(fd_pipe_pair(ends), -EMFILE);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
                assert_int_equal(unit_count_fds(), before);
        }
}

static void a_duplex_is_closed_once_and_leaves_none(void **state)
{
        const unsigned before = unit_count_fds();
        struct fd_duplex one = {.in = open("/dev/null", O_RDWR | O_CLOEXEC)};

        (void)state;
        one.out = one.in;
        assert_int_equal(unit_count_fds(), before + 1);
        fd_duplex_close(&one);
        assert_int_equal(unit_count_fds(), before);
        assert_true(one.in == -1 && one.out == -1);
        fd_duplex_close(&one); /* nothing to close */
        assert_true(one.in == -1 && one.out == -1);
}

static void a_duplex_taken_is_its_taker_s(void **state)
{
        struct fd_duplex one = {.in = 1000, .out = 1001}, taken = fd_duplex_take(&one);

        (void)state;
        assert_true(taken.in == 1000 && taken.out == 1001);
        assert_true(one.in == -1 && one.out == -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            PAIR_TEST(stream_pairs_are_cloexec_and_blocking),
            PAIR_TEST(nonblock_is_set_and_other_flags_stay),
            PAIR_TEST(receive_now_never_waits),
            PAIR_TEST(descriptors_arrive_cloexec_and_in_order),
            PAIR_TEST(as_many_descriptors_as_the_limit_are_sent_and_no_more),
            PAIR_TEST(one_descriptor_too_many_closes_all),
            PAIR_TEST(the_maximum_counts_over_several_messages),
            PAIR_TEST(control_data_of_another_kind_is_refused),
            PAIR_TEST(taking_moves_ownership_out_of_the_set),
            PAIR_TEST(end_of_file_and_closed_peers_are_told_apart),
            PAIR_TEST(read_all_puts_pieces_together),
            cmocka_unit_test(a_wider_socket_holds_more),
            cmocka_unit_test(pipe_pairs_are_crossed_cloexec_and_blocking),
            cmocka_unit_test(a_pipe_pair_that_cannot_be_made_leaves_nothing),
            cmocka_unit_test(a_duplex_is_closed_once_and_leaves_none),
            cmocka_unit_test(a_duplex_taken_is_its_taker_s),
        };

        signal(SIGPIPE, SIG_IGN); /* a pipe has no MSG_NOSIGNAL */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
