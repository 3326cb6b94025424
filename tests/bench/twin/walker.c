/* The twin that is cut in two: the side that has guest memory.
 * Owns the walker's process and both sockets; called by the twin's device and loop. TRUST: the walker is the bench's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/walker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

int walker_fork(struct walker *walker, const char *path, unsigned n_queues, const struct twin_batch *batch)
{
        int control[2], dma[2];
        int r = fd_stream_pair(control);

        if (r == 0)
                r = fd_stream_pair(dma);
        if (r < 0)
                return r;
        walker->pid = fork();
        if (walker->pid < 0)
                return -errno;
        if (walker->pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(control[0]);
                close(dma[0]);
                walker_main(control[1], dma[1], path, n_queues, batch);
        }
        close(control[1]);
        close(dma[1]);
        walker->control = control[0];
        walker->dma = dma[0];
        return 0;
}

void walker_done(struct walker *walker)
{
        if (walker->pid <= 0)
                return;
        close(walker->control);
        close(walker->dma);
        while (waitpid(walker->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        walker->pid = 0;
}

int walker_serve(const struct walker *walker, const struct guest_memory *memory)
{
        return dma_serve(walker->dma, memory);
}

static int await_answer(const struct walker *walker, const struct guest_memory *memory)
{
        for (;;) {
                struct pollfd fds[2] = {{.fd = walker->control, .events = POLLIN},
                                        {.fd = walker->dma, .events = POLLIN}};
                int answer, r = 0;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[1].revents & POLLIN)
                        r = walker_serve(walker, memory);
                else if (fds[0].revents)
                        return (r = fd_read_all(walker->control, &answer, sizeof(answer))) < 0 ? r : answer;
                if (r < 0)
                        return r;
        }
}

static int order(const struct walker *walker, const struct guest_memory *memory,
                 const struct walker_order *order, const int *fds, unsigned n_fds)
{
        struct iovec iov = {(void *)(uintptr_t)order, sizeof(*order)};
        ssize_t n = fd_pass_send(walker->control, &iov, 1, fds, n_fds);

        if (n < 0)
                return (int)n;
        return n == sizeof(*order) ? await_answer(walker, memory) : -EPIPE;
}

int walker_start_queue(const struct walker *walker, const struct guest_memory *memory, unsigned queue,
                       const struct walker_start *start, int kick, int call)
{
        const struct walker_order words = {.verb = WALKER_START, .queue = queue, .start = *start};
        const int fds[2] = {kick, call};

        return order(walker, memory, &words, fds, call >= 0 ? 2 : 1);
}

int walker_stop_queue(const struct walker *walker, const struct guest_memory *memory, unsigned queue)
{
        return order(walker, memory, &(struct walker_order){.verb = WALKER_STOP, .queue = queue}, NULL, 0);
}

int walker_set_call(const struct walker *walker, const struct guest_memory *memory, unsigned queue, int call)
{
        return order(walker, memory, &(struct walker_order){.verb = WALKER_SET_CALL, .queue = queue}, &call,
                     call >= 0 ? 1 : 0);
}

int walker_set_writeback(const struct walker *walker, const struct guest_memory *memory, bool writeback)
{
        const struct walker_order words = {.verb = WALKER_SET_WRITEBACK, .start.writeback = writeback};

        return order(walker, memory, &words, NULL, 0);
}
