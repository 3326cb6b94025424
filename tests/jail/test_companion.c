/* A companion's life: its jail, its socket, its deaths; and passt as one.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "sandbox/companion.h"
#include "sandbox/companion_passt.h"
#include "sandbox/landlock.h"
#include "sandbox/resource_socket.h"
#include "tests/jail/jail_fixture.h"

#define WAIT_MS       10000
#define COMPANION_UID 1879100007u

static struct companion_place place;

static int prepare(void **state)
{
        (void)state;
        fixture_keep_rights();
        log_init("test", LOG_LEVEL_ERROR);
        place = (struct companion_place){
            .vm = "test", .device = "net0", .null_fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
        /* A network of its own, in which nobody listens and a guest's address can be had. */
        if (unshare(CLONE_NEWNET) < 0)
                return -1;
        return system("ip link set lo up && ip link add net0 type veth peer name net1 && ip addr add "
                      "192.0.2.7/24 dev net0 && "
                      "ip link set net0 up && ip link set net1 up && ip route add default via 192.0.2.1") == 0
                   ? 0
                   : -1;
}

static void make_passt(struct companion *companion, const char *forward)
{
        char why[256] = "";

        *companion = COMPANION_NONE;
        companion->row = companion_find("passt");
        assert_non_null(companion->row);
        companion->uid = companion->gid = COMPANION_UID;
        if (companion_open_program(companion->row, "/nowhere", &companion->program_fd, why, sizeof(why)) <
            0) {
                fprintf(stderr, "skipped: %s\n", why);
                if (getenv("MUST_RUN"))
                        fail();
                skip();
        }
        if (companion_passt_args(&companion->args, forward, 1500, why, sizeof(why)) < 0)
                fail_msg("%s", why);
}

static int start(struct companion *companion)
{
        char why[256] = "";
        int fd = -1;

        if (companion_start(companion, &place, 1000, &fd, why, sizeof(why)) < 0)
                fail_msg("%s", why);
        return fd;
}

/* ---- what passt answers ---- */

struct __attribute__((packed)) arp {
        uint32_t len; /* of the frame, before it */
        uint8_t to[6], from[6];
        uint16_t type, hardware, protocol;
        uint8_t hardware_len, protocol_len;
        uint16_t operation;
        uint8_t sender[6];
        uint32_t sender_ip;
        uint8_t target[6];
        uint32_t target_ip;
};

static struct arp make_arp(void)
{
        struct arp arp = {.len = htonl(sizeof(arp) - 4),
                          .to = {255, 255, 255, 255, 255, 255},
                          .from = {0x52, 0x54, 0, 1, 2, 3},
                          .type = htons(0x0806),
                          .hardware = htons(1),
                          .protocol = htons(0x0800),
                          .hardware_len = 6,
                          .protocol_len = 4,
                          .operation = htons(1),
                          .sender = {0x52, 0x54, 0, 1, 2, 3},
                          .sender_ip = htonl(0xc0000207),
                          .target_ip = htonl(0xc0000201)};

        return arp;
}

static void read_whole(int fd, void *buf, size_t len)
{
        size_t done = 0;

        while (done < len) {
                struct pollfd pfd = {.fd = fd, .events = POLLIN};
                ssize_t n;

                assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
                n = recv(fd, (char *)buf + done, len - done, MSG_DONTWAIT);
                assert_true(n > 0);
                done += (size_t)n;
        }
}

/* Frames that passt says unasked are passed over. */
static bool answers(int fd)
{
        const struct arp question = make_arp();
        uint8_t frame[65536 + 64];
        uint32_t len;

        if (send(fd, &question, sizeof(question), MSG_NOSIGNAL) != (ssize_t)sizeof(question))
                return false;
        for (int i = 0; i < 100; i++) {
                read_whole(fd, &len, sizeof(len));
                len = ntohl(len);
                assert_true(len >= 14 && len <= sizeof(frame));
                read_whole(fd, frame, len);
                if (len >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 2)
                        return true;
        }
        return false;
}

static void passt_answers_in_its_jail(void **state)
{
        struct companion companion;
        int fd;

        (void)state;
        make_passt(&companion, "tcp/12222:22,udp/10053:53");
        fd = start(&companion);
        assert_true(answers(fd));
        companion_end(&companion);
        companion_release(&companion);
        close(fd);
}

static unsigned long number(pid_t pid, const char *name, int base)
{
        char text[256];

        return strtoul(proc_status(pid, name, text, sizeof(text)), NULL, base);
}

static ino_t namespace(pid_t pid, const char *name)
{
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
        assert_int_equal(stat(path, &st), 0);
        return st.st_ino;
}

static void passt_is_shut_in_but_for_the_network(void **state)
{
        static const char *const own[] = {"user", "pid", "mnt", "ipc", "uts", "cgroup"};
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
        struct companion companion;
        char path[64];
        int fd;

        (void)state;
        make_passt(&companion, "");
        fd = start(&companion);
        assert_true(answers(fd)); /* so it has shut itself in */
        assert_int_equal(number(companion.pid, "Uid", 10), COMPANION_UID);
        assert_int_equal(number(companion.pid, "Gid", 10), COMPANION_UID);
        assert_int_equal(number(companion.pid, "Seccomp", 10), 2);
        assert_int_equal(number(companion.pid, "NoNewPrivs", 10), 1);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(number(companion.pid, sets[i], 16), 0);
        for (size_t i = 0; i < 6; i++)
                assert_int_not_equal(namespace(companion.pid, own[i]), namespace(getpid(), own[i]));
        assert_int_equal(namespace(companion.pid, "net"), namespace(getpid(), "net"));
        snprintf(path, sizeof(path), "/proc/%d/root", (int)companion.pid);
        assert_int_equal(fixture_count_entries(path), 0);
        companion_end(&companion);
        companion_release(&companion);
        close(fd);
}

/* The probe in passt's place: in its jail, without its own. */
static void start_in_its_place(struct probe *probe)
{
        struct jail_spec spec;
        struct probe_theirs theirs;

        fixture_spec(&spec, NULL, probe, &theirs);
        spec.allowance = &companion_find("passt")->allowance;
        spec.owner_uid = spec.owner_gid = 0;
        spec.owner_is_spawner = true;
        spec.n_born = 8;
        probe_start_spec(probe, &spec, &theirs);
        assert_int_equal(namespace(probe->child.pid, "net"), namespace(getpid(), "net"));
}

/* Whoever has taken passt over is in the host's network, where abstract names are. */
static void abstract_names_of_the_host_are_not_reached(void **state)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bulkhead-probe"};
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct probe probe;

        (void)state;
        if (landlock_abi() < LANDLOCK_ABI_SCOPE)
                skip();
        assert_true(listener >= 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
        assert_int_equal(listen(listener, 1), 0);
        start_in_its_place(&probe);
        assert_int_equal(probe_ask(&probe, PROBE_SOCKET_UNIX_ABSTRACT, 0, 0, 0, 0), -EPERM);
        probe_stop(&probe);
        close(listener);
}

static void its_root_has_what_it_runs_by_and_no_more(void **state)
{
        struct probe probe;
        char path[64];

        (void)state;
        start_in_its_place(&probe);
        assert_int_equal(probe_ask(&probe, PROBE_OPEN_PASSWD, 0, 0, 0, 0), -ENOENT);
        assert_int_equal(probe_ask(&probe, PROBE_CREATE_FILE, 0, 0, 0, 0), -EROFS);
        snprintf(path, sizeof(path), "/proc/%d/root/usr/bin", (int)probe.child.pid);
        assert_int_equal(access(path, F_OK), 0);
        probe_stop(&probe);
}

/* What the spawner does for a worker's successor. */
static void socket_that_is_kept_serves_one_after_the_other(void **state)
{
        struct companion companion;
        int kept;

        (void)state;
        make_passt(&companion, "");
        kept = start(&companion);
        for (int i = 0; i < 20; i++) {
                int fd = fcntl(kept, F_DUPFD_CLOEXEC, 0);

                assert_true(answers(fd));
                close(fd);
        }
        companion_end(&companion);
        companion_release(&companion);
        close(kept);
}

static void await_end(const struct companion *companion)
{
        struct pollfd pfd = {.fd = companion->pidfd, .events = POLLIN};

        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
}

static void it_ends_with_the_last_end_of_its_socket(void **state)
{
        struct companion companion;
        char why[128] = "";
        int fd, other;

        (void)state;
        make_passt(&companion, "");
        fd = start(&companion);
        other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        assert_true(answers(fd));
        close(fd);
        assert_true(answers(other));
        close(other);
        await_end(&companion);
        assert_true(companion_look(&companion, 2000, why, sizeof(why)));
        assert_string_equal(why, "ended with status 0");
        companion_release(&companion);
}

/* ---- deaths ---- */

static void one_that_dies_is_due_again_later_and_later(void **state)
{
        static const uint64_t waits[] = {0, 10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000};
        unsigned before = fixture_count_fds();
        struct companion companion;
        char why[128];

        (void)state;
        make_passt(&companion, "");
        for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
                int fd = start(&companion);

                assert_int_equal(companion.due_ms, 0);
                assert_false(companion_look(&companion, 1000, why, sizeof(why)));
                assert_int_equal(syscall(SYS_pidfd_send_signal, companion.pidfd, SIGKILL, NULL, 0), 0);
                await_end(&companion);
                assert_true(companion_look(&companion, 1000, why, sizeof(why)));
                assert_string_equal(why, "was killed by signal 9");
                assert_int_equal(companion.due_ms, 1001 + waits[i]);
                assert_int_equal(companion.pid, 0);
                assert_true(resource_socket_has_ended(fd));
                close(fd);
        }
        assert_int_equal(companion.starts, sizeof(waits) / sizeof(waits[0]));
        close(start(&companion));
        await_end(&companion); /* nobody has its socket */
        assert_true(companion_look(&companion, 1000 + LIMIT_SETTLED_MS, why, sizeof(why)));
        assert_int_equal(companion.due_ms, 1001 + LIMIT_SETTLED_MS); /* at once: it had lived */
        companion_release(&companion);
        assert_int_equal(fixture_count_fds(), before);
}

static void one_that_cannot_start_leaves_nothing(void **state)
{
        struct companion companion;
        char why[256] = "";
        int null, fd = -1;
        unsigned before;

        (void)state;
        make_passt(&companion, "");
        close(companion.program_fd);
        null = companion.program_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(null >= 0);
        before = fixture_count_fds();
        assert_true(companion_start(&companion, &place, 1000, &fd, why, sizeof(why)) < 0);
        assert_non_null(strstr(why, "jail stage exec"));
        assert_int_equal(companion.pid, 0);
        assert_int_equal(fd, -1);
        assert_int_equal(fixture_count_fds(), before);
        companion_release(&companion);
}

/* ---- words ---- */

static size_t fill_pipe(int fd)
{
        char bytes[512];
        size_t done = 0;
        ssize_t n;

        memset(bytes, 'x', sizeof(bytes));
        bytes[sizeof(bytes) - 1] = '\n';
        while ((n = write(fd, bytes, sizeof(bytes))) > 0)
                done += (size_t)n;
        return done;
}

static int bytes_in(int fd)
{
        int n = -1;

        assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
        return n;
}

static void one_that_never_stops_talking_is_listened_to_in_turns(void **state)
{
        struct companion companion = COMPANION_NONE;
        uint64_t now = 1000;
        int pipe_fds[2];
        size_t filled;

        (void)state;
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
        companion.row = companion_find("passt");
        companion.output_fd = pipe_fds[0];
        filled = fill_pipe(pipe_fds[1]);
        assert_true(filled > 2u * LIMIT_COMPANION_WORDS);
        for (unsigned turn = 1; turn <= 2; turn++) {
                assert_true(companion_listens(&companion, now));
                companion_read_output(&companion, "net0", now);
                assert_int_equal(filled - (size_t)bytes_in(pipe_fds[0]), turn * LIMIT_COMPANION_WORDS);
                assert_false(companion_listens(&companion, now));
                assert_false(companion_listens(&companion, now + LIMIT_COMPANION_WORDS_MS - 1));
                now += LIMIT_COMPANION_WORDS_MS;
        }
        close(pipe_fds[1]);
        for (; companion.output_fd >= 0; now += LIMIT_COMPANION_WORDS_MS)
                companion_read_output(&companion, "net0", now); /* ends with what it has said */
        assert_false(companion_listens(&companion, now));
        companion_release(&companion);
}

/* ---- command lines ---- */

static void command_line_of_passt_is_what_the_options_say(void **state)
{
        static const char *const wanted[] = {
            "passt", "--foreground", "--stderr", "--quiet", "--fd", "4",  "--mtu",
            "9000",  "-t",           "2222:22",  "-u",      "53",   "-t", "::1/80-88:8080-8088"};
        struct companion_args args = {.n = 0};
        char why[256];

        (void)state;
        assert_int_equal(
            companion_passt_args(&args, "tcp/2222:22,udp/53,tcp/::1/80-88:8080-8088", 9000, why, sizeof(why)),
            0);
        assert_int_equal(args.n, sizeof(wanted) / sizeof(wanted[0]));
        for (unsigned i = 0; i < args.n; i++)
                assert_string_equal(args.argv[i], wanted[i]);
        assert_null(args.argv[args.n]);
}

static void forwards_that_are_none_are_refused(void **state)
{
        static const char *const bad[] = {"tcp",       "tcp/",    "22",      "sctp/22",    "tcp/22 ",
                                          "udp/$HOME", "tcp/a b", "tcp/22;", "tcp/22\nxx", "--help",
                                          "tcp/2\"2",  "udp/",    ",tcp/1",  "tcp/22,,",   "tcp/\\",
                                          "tcp/1=2",   "Tcp/22",  "tcp/22,x"};
        char why[256], many[4096] = "tcp/1", lengthy[128] = "tcp/";

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct companion_args args = {.n = 0};

                if (companion_passt_args(&args, bad[i], 1500, why, sizeof(why)) != -EINVAL)
                        fail_msg("\"%s\" was taken", bad[i]);
                assert_non_null(strstr(why, "port forward"));
        }
        for (int i = 2; i < 60; i++)
                strcat(many, ",udp/53");
        assert_int_equal(companion_passt_args(&(struct companion_args){.n = 0}, many, 1500, why, sizeof(why)),
                         -E2BIG);
        memset(lengthy + 4, '1', 100);
        assert_int_equal(
            companion_passt_args(&(struct companion_args){.n = 0}, lengthy, 1500, why, sizeof(why)), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(passt_answers_in_its_jail),
            cmocka_unit_test(passt_is_shut_in_but_for_the_network),
            cmocka_unit_test(abstract_names_of_the_host_are_not_reached),
            cmocka_unit_test(its_root_has_what_it_runs_by_and_no_more),
            cmocka_unit_test(socket_that_is_kept_serves_one_after_the_other),
            cmocka_unit_test(it_ends_with_the_last_end_of_its_socket),
            cmocka_unit_test(one_that_dies_is_due_again_later_and_later),
            cmocka_unit_test(one_that_cannot_start_leaves_nothing),
            cmocka_unit_test(one_that_never_stops_talking_is_listened_to_in_turns),
            cmocka_unit_test(command_line_of_passt_is_what_the_options_say),
            cmocka_unit_test(forwards_that_are_none_are_refused),
        };

        if (!fixture_needs_root())
                return 77;
        return cmocka_run_group_tests(tests, prepare, NULL);
}
