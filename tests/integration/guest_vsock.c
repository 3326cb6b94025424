/* The vsock load of a test guest: connections whose every byte follows from its place, both ways. Runs inside the guest,
 * statically linked, built by packaging/guest-image; the tests start it. Owns nothing beyond its run; what it has seen goes to
 * stdout as `name=value` words. TRUST: its own command line; bytes of the peer are compared.
 * SPDX-License-Identifier: Apache-2.0 *
 *   guest_vsock send PORT BYTES         to the host: bytes, then waits for the host's "k" and its end
 *   guest_vsock receive PORT BYTES      from the host, compares
 *   guest_vsock many PORT N             N connections to the host at once, each says 8 bytes and has them back
 *   guest_vsock messages PORT N         N messages of growing length to the host (SEQPACKET), each of which comes back
 *   guest_vsock fill PORT               sends until it would have to wait, says how many bytes went, and waits for the host's end
 *   guest_vsock refused PORT            nobody is there: must be told so
 *   guest_vsock hold PORT               connects, says "held" on stdout, and waits to be told of a reset
 *   guest_vsock shut PORT               sends, shuts its direction, and reads what comes after
 *   guest_vsock serve PORT [seq]        for ever: each connection says what it wants, one letter first:
 *           e   everything comes back          g N\n   N bytes, please        s N\n   here are N bytes: answered with "k"
 *           w   nothing is read, nothing said
 *
 * Exit status: 0 all right, 1 a wrong byte or an error, 2 a wrong command line. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* after sys/socket.h: older headers do not ask for it themselves */

#define PERIOD     65521u /* of the pattern: a prime, so that no buffer's length divides it */
#define PIECE      65536u
#define MANY_MAX   1024u
#define DEADLINE_S 120

static uint8_t pattern[PERIOD + PIECE];
static uint8_t buf[PIECE];

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "guest_vsock: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void pattern_make(void)
{
        for (uint32_t i = 0; i < sizeof(pattern); i++) {
                uint32_t at = i % PERIOD;

                pattern[i] = (uint8_t)(at * 167 + (at >> 7));
        }
}

static void deadline(int fd)
{
        struct timeval limit = {.tv_sec = DEADLINE_S};

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int try_connect(uint32_t port, int type)
{
        const struct sockaddr_vm address = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
        int fd = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);

        if (fd < 0)
                die("socket");
        deadline(fd);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
                return fd;
        close(fd);
        return -errno;
}

static int connect_to(uint32_t port, int type)
{
        int fd = try_connect(port, type);

        if (fd < 0) {
                errno = -fd;
                die("connect");
        }
        return fd;
}

static void send_all(int fd, const void *bytes, size_t len)
{
        const uint8_t *at = bytes;

        while (len > 0) {
                ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

                if (n <= 0)
                        die("send");
                at += n;
                len -= (size_t)n;
        }
}

static void send_pattern(int fd, uint64_t len)
{
        for (uint64_t done = 0; done < len;) {
                size_t n = len - done < PIECE ? (size_t)(len - done) : PIECE;

                send_all(fd, pattern + done % PERIOD, n);
                done += n;
        }
}

/* Of `len` bytes; UINT64_MAX: to the end. Returns how many came. */
static uint64_t receive_pattern(int fd, uint64_t len)
{
        uint64_t done = 0;

        while (done < len) {
                size_t want = len - done < PIECE ? (size_t)(len - done) : PIECE;
                ssize_t n = recv(fd, buf, want, 0);

                if (n < 0)
                        die("recv");
                if (n == 0)
                        break;
                if (memcmp(buf, pattern + done % PERIOD, (size_t)n) != 0) {
                        fprintf(stderr, "guest_vsock: a wrong byte in %zd behind %" PRIu64 "\n", n, done);
                        exit(1);
                }
                done += (uint64_t)n;
        }
        return done;
}

static void expect_answer(int fd)
{
        char answer = 0;

        if (recv(fd, &answer, 1, 0) != 1 || answer != 'k')
                die("the host's answer");
}

static int do_send(uint32_t port, uint64_t len)
{
        int fd = connect_to(port, SOCK_STREAM);

        send_pattern(fd, len);
        expect_answer(fd);
        printf("sent=%" PRIu64 "\n", len);
        return 0;
}

static int do_receive(uint32_t port, uint64_t len)
{
        int fd = connect_to(port, SOCK_STREAM);
        uint64_t came = receive_pattern(fd, UINT64_MAX);

        printf("received=%" PRIu64 "\n", came);
        return came == len ? 0 : 1;
}

static int do_many(uint32_t port, uint64_t n)
{
        static int fds[MANY_MAX];

        if (n > MANY_MAX)
                return 2;
        for (uint64_t i = 0; i < n; i++)
                fds[i] = connect_to(port, SOCK_STREAM);
        for (uint64_t i = 0; i < n; i++)
                send_all(fds[i], &i, sizeof(i));
        for (uint64_t i = 0; i < n; i++) {
                uint64_t back = UINT64_MAX;

                if (recv(fds[i], &back, sizeof(back), MSG_WAITALL) != sizeof(back) || back != i)
                        die("an echo");
        }
        printf("connections=%" PRIu64 "\n", n);
        return 0;
}

static int do_messages(uint32_t port, uint64_t n)
{
        static uint8_t back[PIECE + 1];
        int fd = connect_to(port, SOCK_SEQPACKET);

        for (uint64_t i = 0; i < n; i++) {
                size_t len = (size_t)(1 + i * 977 % PIECE);
                ssize_t came;

                if (send(fd, pattern, len, MSG_NOSIGNAL | MSG_EOR) != (ssize_t)len)
                        die("a message");
                came = recv(fd, back, sizeof(back), 0);
                if (came != (ssize_t)len || memcmp(back, pattern, len) != 0) {
                        fprintf(stderr, "guest_vsock: a message of %zu came back as one of %zd\n", len, came);
                        return 1;
                }
        }
        printf("messages=%" PRIu64 "\n", n);
        return 0;
}

static int do_fill(uint32_t port)
{
        int fd = connect_to(port, SOCK_STREAM);
        uint64_t done = 0;

        for (;;) {
                struct pollfd pfd = {.fd = fd, .events = POLLOUT};
                ssize_t n = send(fd, pattern + done % PERIOD, 4096, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n > 0)
                        done += (uint64_t)n;
                else if (errno != EAGAIN)
                        die("fill");
                else if (poll(&pfd, 1, 2000) == 0)
                        break;
        }
        printf("filled=%" PRIu64 "\n", done);
        fflush(stdout);
        shutdown(fd, SHUT_WR);
        while (recv(fd, buf, sizeof(buf), 0) > 0)
                ;
        return 0;
}

static int do_refused(uint32_t port)
{
        int fd = try_connect(port, SOCK_STREAM);

        printf("refused=%d\n", fd == -ECONNRESET);
        return fd == -ECONNRESET ? 0 : 1;
}

static int do_hold(uint32_t port)
{
        int fd = connect_to(port, SOCK_STREAM);
        ssize_t n;

        printf("held\n");
        fflush(stdout);
        while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
                ;
        printf("end=%s\n", n == 0 ? "closed" : strerror(errno));
        return n == 0 || errno == ECONNRESET ? 0 : 1;
}

static int do_shut(uint32_t port)
{
        int fd = connect_to(port, SOCK_STREAM);
        uint64_t came;

        send_pattern(fd, 100000);
        if (shutdown(fd, SHUT_WR) < 0)
                die("shutdown");
        came = receive_pattern(fd, UINT64_MAX);
        printf("after=%" PRIu64 "\n", came);
        return came == 100000 ? 0 : 1;
}

/* ---- for the host's clients ---- */

static uint64_t read_number(int fd)
{
        char text[24];
        size_t len = 0;

        while (len < sizeof(text) - 1 && recv(fd, text + len, 1, 0) == 1 && text[len] != '\n')
                len++;
        text[len] = '\0';
        return strtoull(text, NULL, 10);
}

static void serve_one(int fd, bool seqpacket)
{
        static uint8_t message[PIECE + 1];
        char wish = 'e';
        ssize_t n;

        deadline(fd);
        if (!seqpacket && recv(fd, &wish, 1, 0) != 1)
                return;
        switch (wish) {
        case 'e':
                while ((n = recv(fd, message, sizeof(message), 0)) > 0)
                        send_all(fd, message, (size_t)n);
                return;
        case 'g':
                send_pattern(fd, read_number(fd));
                return;
        case 's':
                if (receive_pattern(fd, read_number(fd)) > 0)
                        send_all(fd, "k", 1);
                recv(fd, message, 1, 0);
                return;
        default:
                for (;;)
                        pause();
        }
}

static int do_serve(uint32_t port, bool seqpacket)
{
        const struct sockaddr_vm address = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
        int listener = socket(AF_VSOCK, (seqpacket ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);

        signal(SIGCHLD, SIG_IGN);
        if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listener, MANY_MAX) < 0)
                die("listen");
        printf("serving\n");
        fflush(stdout);
        for (;;) {
                int fd = accept(listener, NULL, NULL);

                if (fd < 0)
                        continue;
                if (fork() == 0) {
                        close(listener);
                        serve_one(fd, seqpacket);
                        _exit(0);
                }
                close(fd);
        }
}

int main(int argc, char **argv)
{
        const char *verb = argc > 2 ? argv[1] : "";
        uint32_t port = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
        uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

        pattern_make();
        if (strcmp(verb, "send") == 0)
                return do_send(port, number);
        if (strcmp(verb, "receive") == 0)
                return do_receive(port, number);
        if (strcmp(verb, "many") == 0)
                return do_many(port, number);
        if (strcmp(verb, "messages") == 0)
                return do_messages(port, number);
        if (strcmp(verb, "fill") == 0)
                return do_fill(port);
        if (strcmp(verb, "refused") == 0)
                return do_refused(port);
        if (strcmp(verb, "hold") == 0)
                return do_hold(port);
        if (strcmp(verb, "shut") == 0)
                return do_shut(port);
        if (strcmp(verb, "serve") == 0)
                return do_serve(port, argc > 3);
        return 2;
}
