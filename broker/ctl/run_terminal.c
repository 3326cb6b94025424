/* `bulkhead run` with a terminal as the guest's serial port.
 * Owns the terminal's settings, the pipe's writing end and the child while it runs; called by verb_run.c. TRUST: bytes of
 * whoever types go to the guest; nothing comes back this way: the broker writes to the terminal itself.
 *
 * How it works: signals are read from a descriptor, so that none can end us between changing the terminal and putting it
 * back. An operator's signal is passed on, and the child's end is ours. Should we be killed, the VM goes on, as it does
 * without its spawner: its input has come to its end, and the spawner takes SIGTERM.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/run_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/ctl/ctl.h"
#include "broker/ctl/terminal.h"
#include "broker/ctl/terminal_keys.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define BY_SIGNAL 128 /* the shell's habit: 128 + signal */

struct holder {
        struct terminal terminal;
        struct terminal_keys keys;
        sigset_t before;
        int signal_fd, input_fd; /* input_fd: the guest's, non-blocking */
        bool listening;          /* to keys */
        pid_t child;
};

static void say_keys(void)
{
        fprintf(
            stderr,
            "bulkhead: Ctrl-A x ends the VM, Ctrl-A Ctrl-A is Ctrl-A, Ctrl-A h is this; every other key is "
            "the guest's\n");
}

/* Keys that nobody takes are lost, as at any serial port: to wait would be to miss Ctrl-A x. */
static void take_keys(struct holder *holder)
{
        enum terminal_action action;
        uint8_t bytes[256];
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

        if (n <= 0) {
                holder->listening = n < 0 && (errno == EINTR || errno == EAGAIN);
                return;
        }
        n = (ssize_t)terminal_keys_take(&holder->keys, bytes, (size_t)n, &action);
        if (n > 0)
                (void)!write(holder->input_fd, bytes, (size_t)n);
        if (action == TERMINAL_END)
                kill(holder->child, SIGTERM);
        else if (action == TERMINAL_HELP)
                say_keys();
}

/* Whoever takes the terminal meanwhile shall find it as it was, and so shall we afterwards. */
static void stand_still(struct holder *holder)
{
        terminal_leave(&holder->terminal);
        raise(SIGSTOP);
        holder->listening = terminal_enter(&holder->terminal, STDIN_FILENO) == 0;
}

static void take_signal(struct holder *holder)
{
        struct signalfd_siginfo info;

        if (read(holder->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return;
        switch (info.ssi_signo) {
        case SIGCHLD:
                return; /* the loop looks */
        case SIGTSTP:
                stand_still(holder);
                return;
        case SIGCONT: /* after a SIGSTOP, when a shell may have changed it */
                holder->listening = terminal_enter(&holder->terminal, STDIN_FILENO) == 0;
                return;
        default:
                kill(holder->child, SIGTERM);
        }
}

static int hold(struct holder *holder)
{
        int status;

        while (waitpid(holder->child, &status, WNOHANG) == 0) {
                struct pollfd pfds[] = {{.fd = holder->signal_fd, .events = POLLIN},
                                        {.fd = holder->listening ? STDIN_FILENO : -1, .events = POLLIN}};

                if (poll(pfds, array_size(pfds), -1) < 0)
                        continue;
                if (pfds[0].revents)
                        take_signal(holder);
                if (pfds[1].revents)
                        take_keys(holder);
        }
        return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static _Noreturn void be_child(const struct holder *holder, int input, int (*become)(void *context),
                               void *context)
{
        if (dup2(input, STDIN_FILENO) < 0 || sigprocmask(SIG_SETMASK, &holder->before, NULL) < 0)
                fprintf(stderr, "bulkhead: run: the broker cannot be started: %s\n", strerror(errno));
        else
                (void)become(context);
        _exit(CTL_FAILED);
}

/* Those that would end or stop us, and the child's end; SIGTTIN and SIGTTOU are errors of a call instead. */
static int take_signals(struct holder *holder)
{
        static const int ours[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT};
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < array_size(ours); i++)
                sigaddset(&set, ours[i]);
        holder->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        sigaddset(&set, SIGTTIN);
        sigaddset(&set, SIGTTOU);
        sigaddset(&set, SIGPIPE);
        if (holder->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, &holder->before) < 0)
                return -errno;
        return 0;
}

static int start_child(struct holder *holder, int (*become)(void *context), void *context)
{
        int ends[2], r = 0;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        holder->input_fd = ends[1];
        if (fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
                holder->child = fork();
        if (holder->child == 0)
                be_child(holder, ends[0], become, context);
        if (holder->child < 0)
                r = -errno;
        close(ends[0]);
        return r;
}

int run_terminal(int (*become)(void *context), void *context)
{
        struct holder holder = {.signal_fd = -1, .input_fd = -1, .child = -1};
        int r = take_signals(&holder);

        say_keys();
        if (r == 0)
                r = terminal_enter(&holder.terminal, STDIN_FILENO);
        holder.listening = r == 0;
        if (r == 0)
                r = start_child(&holder, become, context);
        if (r == 0)
                r = hold(&holder);
        terminal_leave(&holder.terminal);
        cleanup_close(&holder.input_fd);
        cleanup_close(&holder.signal_fd);
        if (r >= 0)
                return r;
        fprintf(
            stderr,
            "bulkhead: run: the terminal cannot be used: %s; say serial: none, or give it another input\n",
            strerror(-r));
        return CTL_FAILED;
}
