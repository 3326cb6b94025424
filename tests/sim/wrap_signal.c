/* pidfd_send_signal: the broker's kills reach fake workers; pthread_kill, which interrupts a system call of a
 * lane that takes too long, has none to interrupt.
 * Owns nothing; called by the broker's core through the linker's --wrap. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sim/sim_device.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

long __wrap_syscall(long number, ...);
int __wrap_pthread_kill(pthread_t thread, int signo);

/* The stand-in for a pidfd is a pipe: its inode names the worker. */
static long send_signal(int pidfd, int signo)
{
        struct stat st;

        sim_check(signo == SIGKILL && fstat(pidfd, &st) == 0, "a signal to nobody");
        for (unsigned i = 0; i < n_sim_devices; i++) {
                struct sim_device *dev = &sim_devices[i];

                if (dev->worker.state == PROCESS_NONE || dev->worker.pidfd_inode != st.st_ino)
                        continue;
                worker_kill(dev);
                return 0;
        }
        errno = ESRCH;
        return -1;
}

long __wrap_syscall(long number, ...)
{
        va_list args;
        int pidfd, signo;

        sim_check(number == SYS_pidfd_send_signal, "a system call that the simulation does not know: %ld",
                  number);
        va_start(args, number);
        pidfd = va_arg(args, int);
        signo = va_arg(args, int);
        va_end(args);
        return send_signal(pidfd, signo);
}

int __wrap_pthread_kill(pthread_t thread, int signo)
{
        (void)thread;
        sim_check(signo == SIGURG, "a signal to a thread: %d", signo);
        return 0;
}
