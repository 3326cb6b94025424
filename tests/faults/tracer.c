/* strace's fault injection. Owns the tracer's process and its output. Called by the tests of faults. TRUST:
 * its output is searched only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACH_MS 20000 /* a machine under load */

bool tracer_available(void)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
                        execlp("strace", "strace", "-o", "/dev/null", "true", NULL);
                _exit(127);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static _Noreturn void tracer_exec(const struct tracer *tracer, int fd, pid_t pid, bool follow,
                                  const char *trace, const char *inject)
{
        char number[16];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(number, sizeof(number), "%d", (int)pid);
        dup2(fd, STDERR_FILENO);
        execlp("strace", "strace", "-o", tracer->output, "-p", number, "-e", trace, "-e", inject,
               follow ? "-f" : NULL, NULL);
        _exit(127);
}

/* "strace: Process 17 attached" */
static int await_attached(struct tracer *tracer)
{
        char text[512] = "";
        size_t len = 0;

        while (!strstr(text, "attached")) {
                struct pollfd fd = {.fd = tracer->said, .events = POLLIN};
                ssize_t n;

                if (poll(&fd, 1, ATTACH_MS) <= 0)
                        return -ETIMEDOUT;
                n = read(tracer->said, text + len, sizeof(text) - 1 - len);
                if (n <= 0)
                        return -ECHILD;
                len += (size_t)n;
                text[len] = '\0';
        }
        return 0;
}

int tracer_start(struct tracer *tracer, const char *dir, pid_t pid, bool follow, const char *calls,
                 const char *inject)
{
        char trace[256], inject_word[256];
        int pair[2], r;

        snprintf(tracer->output, sizeof(tracer->output), "%.64s/strace.txt", dir);
        snprintf(trace, sizeof(trace), "trace=%s", calls);
        snprintf(inject_word, sizeof(inject_word), "inject=%s:%s", calls, inject);
        unlink(tracer->output);
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        tracer->pid = fork();
        if (tracer->pid == 0)
                tracer_exec(tracer, pair[1], pid, follow, trace, inject_word);
        close(pair[1]);
        tracer->said = pair[0];
        r = await_attached(tracer);
        if (r < 0)
                tracer_stop(tracer);
        return r;
}

unsigned tracer_injected(const struct tracer *tracer)
{
        FILE *file = fopen(tracer->output, "re");
        char line[1024];
        unsigned n = 0;

        while (file && fgets(line, sizeof(line), file))
                n += strstr(line, "(INJECTED)") != NULL;
        if (file)
                fclose(file);
        return n;
}

unsigned tracer_stop(struct tracer *tracer)
{
        if (tracer->pid <= 0)
                return 0;
        kill(tracer->pid, SIGINT);
        waitpid(tracer->pid, NULL, 0);
        tracer->pid = 0;
        close(tracer->said);
        return tracer_injected(tracer);
}
