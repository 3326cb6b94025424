/* workers/vsock_proxy: ends that come in an unusual order, and calls that fail for want of memory.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/workers/proxy_stage.h"

#define FAILURES 5u

static struct proxy_stage stage;

/* ---- a host without memory ---- */

static unsigned *failures; /* of the proxy's next calls: shared with it */
static pid_t ours;

static bool fails(int fd, size_t len)
{
        if (getpid() == ours || fd <= STDERR_FILENO || len == 0 || *failures == 0)
                return false;
        --*failures;
        errno = ENOBUFS;
        return true;
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
        return fails(fd, len) ? -1 : __real_write(fd, bytes, len);
}

ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
        return fails(fd, iov[0].iov_len) ? -1 : __real_writev(fd, iov, n);
}

/* ---- the scene ---- */

static int start(const char *port, int type)
{
        stage_start(&stage);
        stage_hello(&stage, 7);
        return stage_listen(&stage, port, type);
}

static void end(int host, int listener)
{
        close(host);
        close(listener);
        stage_end(&stage);
}

static void shut(uint32_t stream, uint16_t flags)
{
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_SHUT, .flags = flags, .stream = stream},
                   NULL);
}

static void hear_data(uint32_t stream, const char *text)
{
        struct vsock_frame frame = stage_expect(&stage, VSOCK_FRAME_DATA, stream);

        assert_int_equal(frame.len, strlen(text));
        assert_memory_equal(stage.payload, text, frame.len);
}

/* ---- ends ---- */

/* The host has said all and closed before the guest has room for any of it. */
static void messages_behind_empty_ones_come_before_the_end(void **state)
{
        int listener = start(STAGE_NAME "_52", SOCK_SEQPACKET), host;

        (void)state;
        stage_send(
            &stage,
            (struct vsock_frame){
                .kind = VSOCK_FRAME_OPEN, .flags = VSOCK_FRAME_SEQPACKET, .stream = 3, .a = 1027, .b = 52},
            NULL);
        stage_expect(&stage, VSOCK_FRAME_OPENED, 3);
        host = stage_accept(listener);
        assert_int_equal(send(host, "", 0, MSG_NOSIGNAL), 0);
        stage_say(host, "one");
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(send(host, "", 0, MSG_NOSIGNAL), 0);
        stage_say(host, "two");
        assert_int_equal(send(host, "", 0, MSG_NOSIGNAL), 0);
        shutdown(host, SHUT_WR);
        stage_expect_silence(&stage);
        stage_send(&stage,
                   (struct vsock_frame){.kind = VSOCK_FRAME_CREDIT, .stream = 3, .a = 4096, .b = 4096}, NULL);
        hear_data(3, "one");
        hear_data(3, "two");
        assert_int_equal(stage_expect(&stage, VSOCK_FRAME_SHUT, 3).flags, VSOCK_FRAME_NO_SEND);
        end(host, listener);
}

/* Bytes that nobody takes any more cannot keep a connection that has no other end. */
static void a_host_that_has_gone_ends_when_the_guest_takes_no_more(void **state)
{
        int listener = start(STAGE_NAME "_52", SOCK_STREAM), host;

        (void)state;
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = 3, .a = 1027, .b = 52},
                   NULL);
        stage_expect(&stage, VSOCK_FRAME_OPENED, 3);
        host = stage_accept(listener);
        stage_say(host, "of no use");
        close(host);
        stage_expect_silence(&stage);
        shut(3, VSOCK_FRAME_NO_TAKE);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        end(-1, listener);
}

/* ---- no memory ---- */

static void frames_that_found_no_memory_are_sent_again(void **state)
{
        int listener = start(STAGE_NAME "_52", SOCK_STREAM), host = stage_open(&stage, 3, listener, false);

        (void)state;
        stage_expect_silence(&stage);
        *failures = FAILURES;
        stage_say(host, "to the guest");
        hear_data(3, "to the guest");
        assert_int_equal(*failures, 0);
        *failures = FAILURES;
        close(host);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        assert_int_equal(*failures, 0);
        end(-1, listener);
}

static void bytes_that_found_no_memory_are_written_again(void **state)
{
        int listener = start(STAGE_NAME "_52", SOCK_STREAM), host = stage_open(&stage, 3, listener, false);

        (void)state;
        stage_expect_silence(&stage);
        *failures = FAILURES;
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_DATA, .len = 11, .stream = 3},
                   "to the host");
        stage_hear(host, "to the host");
        assert_int_equal(*failures, 0);
        end(host, listener);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(messages_behind_empty_ones_come_before_the_end),
            cmocka_unit_test(a_host_that_has_gone_ends_when_the_guest_takes_no_more),
            cmocka_unit_test(frames_that_found_no_memory_are_sent_again),
            cmocka_unit_test(bytes_that_found_no_memory_are_written_again),
        };

        ours = getpid();
        failures = mmap(NULL, sizeof(*failures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return failures == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
