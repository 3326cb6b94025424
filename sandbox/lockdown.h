/* The second gate, closed by the worker itself when it is initialised; and the descriptors that it is born
 * with. Links into a -static-pie program: raw system calls only, no libseccomp.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Descriptors of a worker, in this order and nothing else: 0 and 1 are /dev/null; 2 is the write end of a pipe
 * whose reader, the broker, logs what comes (or /dev/null too); then control, a socket; then of each of n_lanes
 * lanes the pipe that it reads and the one that it writes (or one socket, twice); then n_resources resources; then the run filter.
 * argv[1] is n_lanes, argv[2] is n_resources, in decimal. */
#define WORKER_FD_OUTPUT  2
#define WORKER_FD_CONTROL 3
#define WORKER_FD_LANE    4

static inline int worker_fd_lane_in(unsigned i)
{
        return (int)(WORKER_FD_LANE + 2 * i);
}

static inline int worker_fd_lane_out(unsigned i)
{
        return (int)(WORKER_FD_LANE + 2 * i + 1);
}

static inline int worker_fd_resource(unsigned n_lanes, unsigned i)
{
        return (int)(WORKER_FD_LANE + 2 * n_lanes + i);
}

static inline int worker_fd_policy(unsigned n_lanes, unsigned n_resources)
{
        return (int)(WORKER_FD_LANE + 2 * n_lanes + n_resources);
}

/* Reads the run filter from policy_fd and closes it, makes the process non-dumpable, enters a Landlock domain
 * that denies all but what lies below folder_fd, if that is not -1 (a kernel without Landlock is accepted: the jail has
 * reported that already), loads the filter. From then on only the run rows of its policy are served: no malloc that needs memory from the
 * kernel, no open, no close. 0, or negative errno: the worker must then exit, because its jail is not closed.
 * Call once, with one thread. */
int lockdown_worker(int policy_fd, int folder_fd);
