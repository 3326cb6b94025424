/* A worker that tries what it must not be able to do, one thing on command, and answers with the kernel's
 * answer. Static-pie and without libraries, like a real one.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/lockdown.h"
#include "tests/jail/probe.h"

#define PAGE 4096

static int policy_fd;
static char page[PAGE] __attribute__((aligned(PAGE)));

static int64_t probe_own(uint64_t attack, const uint64_t *args)
{
        switch ((enum probe_attack)attack) {
        case PROBE_PING:
                return 42;
        case PROBE_LOCKDOWN:
                return lockdown_worker(policy_fd, -1);
        case PROBE_ABORT:
                __builtin_trap();
        case PROBE_EXIT:
                syscall(SYS_exit_group, args[0]);
                return 0;
        case PROBE_BUFFER:
                return (int64_t)(uintptr_t)page;
        case PROBE_PEEK:
                return *(volatile int64_t *)(uintptr_t)args[0];
        default:
                return -ENOSYS;
        }
}

static int64_t probe_run(const struct probe_command *command)
{
        int64_t r = probe_own(command->attack, command->args);

        return r == -ENOSYS ? probe_attack(command->attack, command->args) : r;
}

int main(int argc, char **argv)
{
        struct probe_command command;

        if (argc != 3)
                return 2;
        policy_fd =
            worker_fd_policy((unsigned)strtoul(argv[1], NULL, 10), (unsigned)strtoul(argv[2], NULL, 10));
        signal(SIGXFSZ, SIG_IGN);
        while (read(WORKER_FD_CONTROL, &command, sizeof(command)) == (ssize_t)sizeof(command)) {
                struct probe_answer reply = {probe_run(&command)};

                if (write(WORKER_FD_CONTROL, &reply, sizeof(reply)) != (ssize_t)sizeof(reply))
                        break;
        }
        return 0;
}
