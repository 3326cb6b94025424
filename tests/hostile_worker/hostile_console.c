/* A console's logs, its ports, and terminals.
 * Owns nothing; read by hostile_ops.c. TRUST: paths are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/tiocl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define FDS_TRIED 32
#define LOG_MAX   65536ul /* of the configuration */

static char page[HOSTILE_PAGE];

/* ---- a console ---- */

static int64_t log_beyond(struct hostile *hostile)
{
        int fd = worker_fd_resource(1, 1);

        (void)hostile;
        return CALL(SYS_pwrite64, fd, page, sizeof(page), (long)LOG_MAX);
}

static int64_t log_grow(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, worker_fd_resource(1, 1), LOG_MAX + 1ul);
}

/* Whatever is no log of its own. */
static int64_t log_cut_others(struct hostile *hostile)
{
        const int fds[] = {0, 1, 2, WORKER_FD_CONTROL, worker_fd_lane_in(0), worker_fd_lane_out(0)};
        int64_t r = -EBADF;

        (void)hostile;
        for (size_t i = 0; i < array_size(fds) && r < 0; i++)
                r = CALL(SYS_ftruncate, fds[i], 0ul);
        return r;
}

static int64_t log_cut_by_name(struct hostile *hostile)
{
        return CALL(SYS_truncate, hostile->command.image, 0ul);
}

static int64_t log_mode(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchmod, worker_fd_resource(1, 1), 0666);
}

static int64_t log_punch(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fallocate, worker_fd_resource(1, 1), 0, 0ul, 2 * LOG_MAX);
}

static int64_t listener_connect(struct hostile *hostile)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", hostile->command.socket);
        return CALL(SYS_sendto, hostile_resource, page, 1ul, MSG_DONTWAIT | MSG_NOSIGNAL, &address,
                    sizeof(address));
}

static int64_t listener_address(struct hostile *hostile)
{
        socklen_t len = sizeof(page);

        (void)hostile;
        return CALL(SYS_getsockname, hostile_resource, page, &len);
}

static int64_t listener_backlog(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_listen, hostile_resource, 1 << 20);
}

static int64_t listener_shutdown(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_shutdown, hostile_resource, SHUT_RDWR);
}

static int64_t listener_accept_who(struct hostile *hostile)
{
        socklen_t len = sizeof(page);
        int64_t r = CALL(SYS_accept4, hostile_resource, page, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

        (void)hostile;
        return r == -EAGAIN ? 0 : r;
}

static int64_t accept_on_control(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_accept4, WORKER_FD_CONTROL, NULL, NULL, SOCK_CLOEXEC);
}

/* On each that it has: one might be a terminal. */
static int64_t terminal(unsigned long request, void *argument)
{
        int64_t r = -EBADF;

        for (int fd = 0; fd < FDS_TRIED && r < 0; fd++)
                r = CALL(SYS_ioctl, fd, request, argument);
        return r;
}

static int64_t terminal_type(struct hostile *hostile)
{
        (void)hostile;
        return terminal(TIOCSTI, "x");
}

static int64_t terminal_paste(struct hostile *hostile)
{
        char code = TIOCL_PASTESEL;

        (void)hostile;
        return terminal(TIOCLINUX, &code);
}

static int64_t terminal_console(struct hostile *hostile)
{
        (void)hostile;
        return terminal(TIOCCONS, NULL);
}

static int64_t terminal_own(struct hostile *hostile)
{
        (void)hostile;
        return terminal(TIOCSCTTY, (void *)1);
}

static int64_t terminal_discipline(struct hostile *hostile)
{
        int slip = 1;

        (void)hostile;
        return terminal(TIOCSETD, &slip);
}

static int64_t terminal_new(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_openat, AT_FDCWD, "/dev/ptmx", O_RDWR);
}

static const struct hostile_attack rows[] = {
    {"log-beyond", log_beyond, 0},
    {"log-grow", log_grow, 0},
    {"log-cut-others", log_cut_others, 0},
    {"log-cut-by-name", log_cut_by_name, 0},
    {"log-mode", log_mode, 0},
    {"log-punch", log_punch, 0},
    {"listener-connect", listener_connect, 0},
    {"listener-address", listener_address, 0},
    {"listener-backlog", listener_backlog, 0},
    {"listener-shutdown", listener_shutdown, 0},
    {"listener-accept-who", listener_accept_who, 0},
    {"accept-on-control", accept_on_control, 0},
    {"terminal-type", terminal_type, 0},
    {"terminal-paste", terminal_paste, 0},
    {"terminal-console", terminal_console, 0},
    {"terminal-own", terminal_own, 0},
    {"terminal-discipline", terminal_discipline, 0},
    {"terminal-new", terminal_new, 0},
};

const struct hostile_attacks hostile_console = {rows, array_size(rows)};
