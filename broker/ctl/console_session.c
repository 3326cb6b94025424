/* One person, or one script, at a port of a console.
 * Owns the connection, the terminal's settings and the child that tells the size, while it runs; called by verb_console.c. TRUST:
 * bytes of the guest go to our standard output as they are, as those of a serial line do; keys are the operator's own.
 *
 * How it works: signals are read from a descriptor, so that none can end us between changing the terminal and putting it back.
 * The socket belongs to the VM, not to the device's worker: when that is replaced the connection ends, and the next one waits
 * for the next worker. A port serves one at a time and sends others away, which looks the same but happens at once, each time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/console_session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/ctl/ctl.h"
#include "broker/ctl/terminal.h"
#include "broker/ctl/terminal_keys.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

#define BY_SIGNAL 128   /* the shell's habit: 128 + signal */
#define INPUT     4096u /* bytes that wait for the socket */
#define RUNNING   (-1)  /* no exit code yet */

struct session {
        const struct console_session_spec *spec;
        struct terminal terminal;
        struct terminal_keys keys;
        sigset_t before;
        int fd, signal_fd;
        bool person;    /* a terminal, whose keys are ours */
        bool listening; /* to standard input */
        bool ended;     /* standard input has, and the port knows */
        uint8_t input[INPUT];
        size_t n_input;
        uint64_t since_ms;   /* of this connection, or of its loss */
        bool carried;        /* this connection has, something */
        unsigned n_rejected; /* connections in a row that ended at once */
        pid_t teller;        /* tells the size; 0: nobody */
        bool resized;        /* since it was told last */
        int code;
};

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void say(const struct session *session, const char *text)
{
        fprintf(stderr, "bulkhead: %s: %s\n", session->spec->title, text);
}

/* ---- the connection ---- */

static int connect_port(struct session *session)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (strlen(session->spec->path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", session->spec->path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        session->fd = take_fd(&fd);
        session->since_ms = now_ms();
        session->carried = false;
        session->resized = session->person && session->spec->resize;
        if (session->ended)
                (void)shutdown(session->fd, SHUT_WR);
        return 0;
}

/* -EAGAIN: others wait for it, too. */
static void try_again(struct session *session)
{
        int r = connect_port(session);

        if (r == 0 || r == -EAGAIN || r == -EINTR)
                return;
        if (now_ms() - session->since_ms < LIMIT_CTL_RETURN_MS && r != -ENOENT)
                return;
        say(session, r == -ENOENT || r == -ECONNREFUSED ? "the VM has ended" : strerror(-r));
        session->code = CTL_FAILED;
}

static void lose(struct session *session)
{
        bool at_once = !session->carried && now_ms() - session->since_ms < LIMIT_CTL_REJECTED_MS;

        cleanup_close(&session->fd);
        session->fd = -1;
        session->n_rejected = at_once ? session->n_rejected + 1 : 0;
        session->since_ms = now_ms();
        if (session->ended) {
                session->code = CTL_OK;
        } else if (session->n_rejected == LIMIT_CTL_REJECTED) {
                say(session, "somebody else is there: one at a time");
                session->code = CTL_FAILED;
        } else if (session->person && !at_once) {
                say(session, "the device's worker has gone; waiting for the next");
        }
}

static void take_output(struct session *session)
{
        static uint8_t bytes[65536];
        ssize_t n = recv(session->fd, bytes, sizeof(bytes), 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                lose(session);
                return;
        }
        session->carried = true;
        if (fd_write_all(STDOUT_FILENO, bytes, (size_t)n) < 0)
                session->code = CTL_FAILED; /* nobody reads us any more */
}

static void give_input(struct session *session)
{
        ssize_t n = send(session->fd, session->input, session->n_input, MSG_NOSIGNAL);

        if (n <= 0)
                return; /* its end is seen when it is read */
        session->n_input -= (size_t)n;
        memmove(session->input, session->input + n, session->n_input);
}

/* ---- the person ---- */

static void say_keys(const struct session *session)
{
        say(session,
            "Ctrl-A x leaves, Ctrl-A Ctrl-A is Ctrl-A, Ctrl-A h is this; every other key is the guest's");
}

static void end_input(struct session *session)
{
        session->listening = false;
        if (session->person)
                session->code = CTL_OK;
}

/* A person's keys that nobody takes are lost, as at any serial port: to wait would be to miss the one that leaves. What a
 * script says waits. */
static void take_input(struct session *session)
{
        enum terminal_action action = TERMINAL_NONE;
        uint8_t bytes[INPUT];
        ssize_t n = read(STDIN_FILENO, bytes, session->person ? INPUT : INPUT - session->n_input);

        if (n <= 0) {
                if (n == 0 || (errno != EINTR && errno != EAGAIN))
                        end_input(session);
                return;
        }
        if (session->person)
                n = (ssize_t)terminal_keys_take(&session->keys, bytes, (size_t)n, &action);
        n = (ssize_t)MIN((size_t)n, INPUT - session->n_input);
        memcpy(session->input + session->n_input, bytes, (size_t)n);
        session->n_input += (size_t)n;
        if (action == TERMINAL_END)
                session->code = CTL_OK;
        else if (action == TERMINAL_HELP)
                say_keys(session);
}

/* All that the script has said is on its way: the port may know that there is no more. */
static void tell_end(struct session *session)
{
        if (session->listening || session->ended || session->n_input > 0 || session->fd < 0)
                return;
        session->ended = true;
        (void)shutdown(session->fd, SHUT_WR);
}

/* ---- the size ---- */

/* By a child, one at a time: the device may take its time, and keys may not wait for it. */
static void tell_size(struct session *session)
{
        struct winsize size;

        if (!session->resized || session->teller > 0 || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 ||
            size.ws_col == 0 || size.ws_row == 0)
                return;
        session->resized = false;
        session->teller = fork();
        if (session->teller == 0) {
                session->spec->resize(session->spec->context, size.ws_col, size.ws_row);
                _exit(0);
        }
}

static void reap_teller(struct session *session)
{
        if (session->teller > 0 && waitpid(session->teller, NULL, WNOHANG) != 0)
                session->teller = 0;
}

/* ---- signals ---- */

/* Whoever takes the terminal meanwhile shall find it as it was. */
static void stand_still(struct session *session)
{
        terminal_leave(&session->terminal);
        raise(SIGSTOP);
        if (session->person)
                session->listening = terminal_enter(&session->terminal, STDIN_FILENO) == 0;
}

static void take_signal(struct session *session)
{
        struct signalfd_siginfo info;

        if (read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return;
        switch (info.ssi_signo) {
        case SIGCHLD:
                reap_teller(session);
                return;
        case SIGWINCH:
                session->resized = session->person && session->spec->resize;
                return;
        case SIGTSTP:
                stand_still(session);
                return;
        case SIGCONT: /* after a SIGSTOP, when a shell may have changed it */
                if (session->person)
                        session->listening = terminal_enter(&session->terminal, STDIN_FILENO) == 0;
                return;
        default:
                session->code = BY_SIGNAL + (int)info.ssi_signo;
        }
}

static int take_signals(struct session *session)
{
        static const int ours[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < array_size(ours); i++)
                sigaddset(&set, ours[i]);
        session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        sigaddset(&set, SIGTTIN);
        sigaddset(&set, SIGTTOU);
        sigaddset(&set, SIGPIPE);
        if (session->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, &session->before) < 0)
                return -errno;
        return 0;
}

/* ---- the session ---- */

static bool wants_input(const struct session *session)
{
        return session->listening && (session->person || session->n_input < INPUT);
}

static void turn(struct session *session)
{
        struct pollfd pfds[] = {
            {.fd = session->signal_fd, .events = POLLIN},
            {.fd = wants_input(session) ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = session->fd, .events = (short)(POLLIN | (session->n_input > 0 ? POLLOUT : 0))},
        };

        if (poll(pfds, array_size(pfds), session->fd < 0 ? (int)LIMIT_CTL_RETRY_MS : -1) < 0)
                return;
        if (pfds[0].revents)
                take_signal(session);
        if (pfds[1].revents)
                take_input(session);
        if (pfds[2].revents & POLLOUT)
                give_input(session);
        if (pfds[2].revents & ~POLLOUT)
                take_output(session);
        if (session->fd < 0 && session->code == RUNNING)
                try_again(session);
}

static int begin(struct session *session)
{
        int r = connect_port(session);

        if (r == 0)
                r = take_signals(session);
        if (r == 0 && session->person)
                r = terminal_enter(&session->terminal, STDIN_FILENO);
        return r;
}

int console_session(const struct console_session_spec *spec)
{
        struct session session = {.spec = spec,
                                  .fd = -1,
                                  .signal_fd = -1,
                                  .person = terminal_is_ours(STDIN_FILENO),
                                  .listening = true,
                                  .code = RUNNING};
        int r = begin(&session);

        if (r < 0) {
                say(&session, r == -ECONNREFUSED ? "the VM has ended" : strerror(-r));
                session.code = CTL_FAILED;
        } else if (session.person) {
                say_keys(&session);
        }
        while (session.code == RUNNING) {
                tell_end(&session);
                tell_size(&session);
                turn(&session);
        }
        terminal_leave(&session.terminal);
        if (session.teller > 0)
                kill(session.teller, SIGKILL);
        cleanup_close(&session.fd);
        cleanup_close(&session.signal_fd);
        return session.code;
}
