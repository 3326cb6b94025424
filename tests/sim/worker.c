/* The fake worker's process: birth, turns, death.
 * Owns its ends of the channels; called by the spawner and the schedule. TRUST: it is the worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/worker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/fd.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"

static void choose_character(struct sim_device *dev, struct sim_worker *worker)
{
        const struct odds *odds = dev->odds;

        worker->silent = chance_one_in(odds->silent);
        worker->liar = dev->ready && chance_one_in(odds->liar);
        worker->deaf = chance_one_in(odds->deaf);
        worker->bytes_left = chance_one_in(odds->die_young) ? (int64_t)chance_below(400) : -1;
}

/* A pipe that takes little: the broker's frames go in pieces. */
static void squeeze(struct sim_device *dev, const struct fd_duplex *brokers)
{
        if (chance_one_in(dev->odds->small_buffers))
                sim_check(fcntl(brokers->out, F_SETPIPE_SZ, 1) > 0, /* the kernel makes it a page */
                          "a pipe that cannot be made small");
}

unsigned worker_spawn(struct sim_device *dev, int *ret_fds)
{
        struct sim_worker *worker = &dev->worker;
        unsigned n = 0;
        struct stat st;
        int pair[2];

        sim_check(worker->state == PROCESS_NONE,
                  "%s: a worker is started while its predecessor may still write", dev->name);
        *worker = (struct sim_worker){
            .state = PROCESS_ALIVE, .incarnation = ++dev->incarnations, .pid = 1000 + dev->incarnations};
        worker->born_ms = sim_now_ms();
        choose_character(dev, worker);
        sim_check(fd_stream_pair(pair) == 0, "no socket pair");
        ret_fds[n++] = pair[0];
        worker->control = pair[1];
        fd_set_nonblock(pair[1]);
        for (unsigned i = 0; i < dev->n_lanes; i++) {
                struct fd_duplex ends[2]; /* the broker's and the worker's */

                sim_check(fd_pipe_pair(ends) == 0, "no pipes");
                ret_fds[n++] = ends[0].in;
                ret_fds[n++] = ends[0].out;
                fd_set_nonblock(ends[1].in);
                fd_set_nonblock(ends[1].out);
                squeeze(dev, &ends[0]);
                lane_reset(&dev->lanes[i], ends[1]);
        }
        sim_check(pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
        sim_check(fstat(pair[0], &st) == 0, "no fstat");
        ret_fds[n++] = pair[0];
        worker->exit_pipe = pair[1];
        worker->pidfd_inode = st.st_ino;
        trace_event("spawned", dev->index, worker->incarnation, 0);
        return n;
}

static void close_channels(struct sim_device *dev)
{
        close(dev->worker.control);
        dev->worker.control = -1;
        for (unsigned i = 0; i < dev->n_lanes; i++)
                lane_reset(&dev->lanes[i], (struct fd_duplex){-1, -1});
}

void worker_kill(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;

        if (worker->state != PROCESS_ALIVE)
                return;
        trace_event("killed", dev->index, worker->incarnation, 0);
        worker->state = PROCESS_KILLED;
        worker->exit_ms = sim_now_ms() + (chance_one_in(2) ? 0 : chance_below(4));
        if (chance_one_in(dev->odds->stuck_exit))
                worker->exit_ms += chance_below(2 * LIMIT_HELLO_MS); /* stuck in the kernel */
}

/* The kernel closes its descriptors, then its pidfd tells. */
static void die(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;

        trace_event("gone", dev->index, worker->incarnation, 0);
        worker->state = PROCESS_GONE;
        close_channels(dev);
        (void)!write(worker->exit_pipe, "x", 1); /* the broker may have ended before it */
        vthread_stir();
}

/* What the odds do to a worker that is well. True: it is no longer. */
static bool suffer(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;
        const struct odds *odds = dev->odds;

        if (chance_one_in(odds->kill) || worker->bytes_left == 0) {
                worker_kill(dev);
                return true;
        }
        if (worker->bytes_left < 0 && chance_one_in(odds->kill_mid_frame))
                worker->bytes_left = (int64_t)chance_below(3000);
        if (chance_one_in(odds->hang)) {
                trace_event("hangs", dev->index, worker->incarnation, 0);
                worker->hung = true;
                return true;
        }
        if (worker->greeted && chance_one_in(odds->offend))
                lane_offend(dev, chance_below(dev->n_lanes));
        if (chance_one_in(odds->slow))
                worker->wake_ms = sim_now_ms() + chance_below(chance_one_in(8) ? 500 : 8);
        return false;
}

/* Not while it sleeps in a read of its lane. */
static bool may_look_at_control(const struct sim_device *dev)
{
        return dev->n_lanes > 1 || !lane_is_asleep(&dev->lanes[0]);
}

bool worker_step(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;
        bool moved = false;
        unsigned first;

        if (worker->state == PROCESS_KILLED && sim_now_ms() >= worker->exit_ms) {
                die(dev);
                return true;
        }
        if (worker->state != PROCESS_ALIVE || worker->hung || sim_now_ms() < worker->wake_ms)
                return false;
        if (suffer(dev))
                return true;
        if (chance_one_in(2) && may_look_at_control(dev))
                moved = control_step(dev);
        first = chance_below(dev->n_lanes);
        for (unsigned i = 0; i < dev->n_lanes && worker->state == PROCESS_ALIVE && !moved; i++)
                moved = lane_step(dev, (first + i) % dev->n_lanes);
        if (!moved && worker->state == PROCESS_ALIVE && may_look_at_control(dev))
                moved = control_step(dev);
        if (moved)
                vthread_stir();
        return moved;
}

uint64_t worker_next_wake_ms(const struct sim_device *dev)
{
        const struct sim_worker *worker = &dev->worker;

        if (worker->state == PROCESS_KILLED)
                return worker->exit_ms;
        if (worker->state == PROCESS_ALIVE && !worker->hung && worker->wake_ms > sim_now_ms())
                return worker->wake_ms;
        return UINT64_MAX;
}

void worker_heal(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;

        worker->hung = worker->deaf = false;
        worker->silent = worker->liar = false;
        if (worker->bytes_left > 0)
                worker->bytes_left = -1;
}

void worker_init(struct sim_device *dev)
{
        dev->worker.control = -1;
        for (unsigned i = 0; i < dev->n_lanes; i++) {
                struct sim_lane *lane = &dev->lanes[i];

                lane->ends = (struct fd_duplex){-1, -1};
                if (!lane->rx)
                        lane->rx = malloc(LANE_BUFFER);
                if (!lane->tx)
                        lane->tx = malloc(LANE_BUFFER);
                sim_check(lane->rx && lane->tx, "no memory for a lane");
        }
}

void worker_done(struct sim_device *dev)
{
        if (dev->worker.state == PROCESS_ALIVE || dev->worker.state == PROCESS_KILLED)
                close_channels(dev);
        if (dev->worker.state != PROCESS_NONE)
                close(dev->worker.exit_pipe);
        dev->worker.state = PROCESS_NONE;
}
