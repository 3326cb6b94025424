/* A block worker for the micro-bench: the runtime and the device as shipped, without a jail, whose waits are
 * turns. Its instructions are counted from the end of one wait to the beginning of the next, by callgrind;
 * without that nothing is counted.
 *
 *      bulkhead-bench-micro-worker N_LANES N_RESOURCES
 *
 * The gate is the descriptor behind the resources. Linked with --wrap for every call that may wait. TRUST:
 * its broker is the bench.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "sandbox/lockdown.h"
#include "tests/bench/micro/micro_gate.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker.h"

#define WAITS (LIMIT_LANES + 2u) /* descriptors of one wait: the lanes, the device's own, control */

static int gate;
static bool gated;    /* a turn has been given once */
static bool our_turn; /* ... and not given back */
static bool counting; /* in our turn */

static void read_exact(char *bytes, size_t len)
{
        for (size_t done = 0; done < len;) {
                ssize_t n = recv(gate, bytes + done, len - done, 0); /* read is wrapped */

                if (n <= 0)
                        _exit(0); /* the bench has ended */
                done += (size_t)n;
        }
}

static void dump(void)
{
        char name[GATE_NAME + 1] = {0};
        unsigned char len;

        read_exact((char *)&len, 1);
        read_exact(name, len < GATE_NAME ? len : GATE_NAME);
        CALLGRIND_DUMP_STATS_AT(name);
        (void)!write(gate, &(char){GATE_BACK}, 1);
}

static void take_turn(void)
{
        char order;

        do {
                read_exact(&order, 1);
                if (order == GATE_DUMP)
                        dump();
        } while (order == GATE_DUMP);
        gated = our_turn = true;
        counting = order == GATE_COUNT;
}

static void give_back(void)
{
        our_turn = false;
        (void)!write(gate, &(char){GATE_BACK}, 1);
}

/* Returns when there is something to read. */
static void wait_turn(const struct pollfd *fds, nfds_t n)
{
        struct pollfd all[WAITS + 1];

        if (n > WAITS)
                abort();
        if (counting)
                CALLGRIND_TOGGLE_COLLECT;
        for (nfds_t i = 0; i < n; i++)
                all[i] = fds[i];
        all[n] = (struct pollfd){.fd = gate, .events = POLLIN};
        while (poll(all, n, 0) == 0) {
                if (our_turn)
                        give_back();
                if (gated || (poll(all, n + 1, -1) > 0 && all[n].revents != 0))
                        take_turn();
        }
        if (counting)
                CALLGRIND_TOGGLE_COLLECT;
}

static void wait_readable(int fd)
{
        wait_turn(&(struct pollfd){.fd = fd, .events = POLLIN}, 1);
}

/* ---- the calls that wait ---- */

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __real_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
        if (!timeout || timeout->tv_sec > 0) /* a time to rest does not come */
                wait_turn(fds, n);
        return __real_ppoll(fds, n, timeout, mask);
}

int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size)
{
        (void)size;
        return __wrap_ppoll(fds, n, timeout, mask);
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        wait_readable(fd);
        return __real_read(fd, buf, len);
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n)
{
        wait_readable(fd);
        return __real_readv(fd, iov, n);
}

int main(int argc, char **argv)
{
        static struct worker worker;
        unsigned n_lanes = argc == 3 ? (unsigned)atoi(argv[1]) : 0;
        unsigned n_resources = argc == 3 ? (unsigned)atoi(argv[2]) : 0;

        if (n_lanes == 0 || n_lanes > LIMIT_LANES || n_resources > LIMIT_RESOURCES)
                return EXIT_FAILURE;
        gate = worker_fd_policy(n_lanes, n_resources);
        (void)fcntl(worker_fd_lane_out(0), F_SETPIPE_SZ, GATE_ROOM);
        if (worker_init(&worker, &device_ops, n_lanes, n_resources) < 0 || worker_prepare(&worker) < 0)
                return EXIT_FAILURE;
        worker_serve(&worker);
}
