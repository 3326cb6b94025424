/* The fake spawner.
 * Owns its end of the channel and what it was asked and has not done yet; called by the schedule. TRUST: it
 * is the spawner; the broker's wishes are judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/frame.h"
#include "proto/spawn.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/sim_device.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"
#include "tests/sim/worker.h"

static struct {
        int fd; /* -1: dead */
        uint8_t rx[4096];
        size_t rx_len;
        bool wanted[SIM_DEVICES]; /* a Spawn that is not answered yet */
        uint64_t due_ms[SIM_DEVICES];
} spawner = {.fd = -1};

static void say(const struct spawn_to_broker *message, const int *fds, unsigned n_fds)
{
        uint8_t buf[FRAME_HEAD_BYTES + 1024];
        ssize_t len = spawn_make_to_broker(message, buf + FRAME_HEAD_BYTES, 1024);
        struct frame_head head = {.header_len = (uint32_t)len};
        struct iovec iov = {.iov_base = buf, .iov_len = FRAME_HEAD_BYTES + (size_t)len};

        sim_check(len > 0, "the fake spawner cannot say that");
        frame_head_make(&head, buf);
        sim_check(fd_pass_send(spawner.fd, &iov, 1, fds, n_fds) == (ssize_t)iov.iov_len,
                  "the spawner's channel is full");
        vthread_stir();
}

static void answer_spawn(struct sim_device *dev)
{
        int fds[1 + 2 * SIM_LANES + 2], output[2];
        unsigned n;

        spawner.wanted[dev->index] = false;
        if (chance_one_in(dev->odds->spawn_fails)) {
                struct spawn_to_broker failed = {.kind = SPAWN_FAILED,
                                                 .device = dev->index,
                                                 .error = chance_one_in(4) ? -ENOENT : -EAGAIN};

                strcpy(failed.reason, "the image is missing; make it");
                trace_event("spawn fails", dev->index, (uint64_t)-failed.error, 0);
                say(&failed, NULL, 0);
                return;
        }
        n = worker_spawn(dev, fds);
        /* These workers say nothing on their standard error. */
        sim_check(pipe2(output, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
        close(output[1]);
        fds[n++] = output[0];
        say(&(struct spawn_to_broker){.kind = SPAWN_SPAWNED,
                                      .device = dev->index,
                                      .pid = dev->worker.pid,
                                      .uid = 4711 + dev->index},
            fds, n);
        for (unsigned i = 0; i < n; i++)
                close(fds[i]);
}

static void reap(struct sim_device *dev)
{
        struct spawn_to_broker exited = {.kind = SPAWN_EXITED,
                                         .device = dev->index,
                                         .pid = dev->worker.pid,
                                         .code = SIGKILL,
                                         .signaled = true};

        sim_check(dev->worker.state == PROCESS_GONE, "%s: a worker is reaped that is not dead", dev->name);
        worker_done(dev);
        say(&exited, NULL, 0);
}

static void obey(const struct spawn_to_spawner *message)
{
        struct sim_device *dev = &sim_devices[message->device];

        if (message->kind == SPAWN_STOP)
                return;
        sim_check(message->device < n_sim_devices, "the spawner has no device %u", message->device);
        trace_event(message->kind == SPAWN_SPAWN ? "spawn wanted" : "reap wanted", dev->index, 0, 0);
        if (message->kind == SPAWN_REAP) {
                reap(dev);
                return;
        }
        sim_check(!spawner.wanted[dev->index], "%s: a second Spawn before the answer to the first",
                  dev->name);
        sim_check(dev->worker.state == PROCESS_NONE, "%s: a Spawn while the old worker may still write",
                  dev->name);
        spawner.wanted[dev->index] = true;
        spawner.due_ms[dev->index] = sim_now_ms();
        if (chance_one_in(dev->odds->spawn_late))
                spawner.due_ms[dev->index] +=
                    chance_below(chance_one_in(4) ? 2 * LIMIT_SPAWN_MS : LIMIT_SPAWN_MS / 2);
}

static bool read_frame(void)
{
        static uint8_t memory[LIMIT_ARENA];
        struct arena arena = {.base = memory, .size = sizeof(memory)};
        struct spawn_to_spawner message;
        struct frame_head head;
        size_t whole;

        if (spawner.rx_len < FRAME_HEAD_BYTES)
                return false;
        sim_check(frame_head_check(spawner.rx, 0, &head) == 0, "a spawner's frame out of shape");
        whole = FRAME_HEAD_BYTES + head.header_len;
        if (spawner.rx_len < whole)
                return false;
        sim_check(spawn_check_to_spawner(&arena, spawner.rx + FRAME_HEAD_BYTES, head.header_len, &message) ==
                      0,
                  "a message that no spawner takes");
        memmove(spawner.rx, spawner.rx + whole, spawner.rx_len - whole);
        spawner.rx_len -= whole;
        obey(&message);
        return true;
}

bool spawner_step(void)
{
        bool moved = false;
        ssize_t n;

        if (spawner.fd < 0)
                return false;
        n = recv(spawner.fd, spawner.rx + spawner.rx_len, sizeof(spawner.rx) - spawner.rx_len, MSG_DONTWAIT);
        if (n > 0)
                spawner.rx_len += (size_t)n;
        while (read_frame())
                moved = true;
        for (unsigned i = 0; i < n_sim_devices; i++) {
                if (!spawner.wanted[i] || spawner.due_ms[i] > sim_now_ms())
                        continue;
                answer_spawn(&sim_devices[i]);
                moved = true;
        }
        return moved;
}

uint64_t spawner_next_wake_ms(void)
{
        uint64_t next = UINT64_MAX;

        for (unsigned i = 0; i < n_sim_devices && spawner.fd >= 0; i++)
                if (spawner.wanted[i])
                        next = MIN(next, spawner.due_ms[i]);
        return next;
}

void spawner_start(int fd)
{
        memset(&spawner, 0, sizeof(spawner));
        spawner.fd = fd;
        fd_set_nonblock(fd);
}

void spawner_die(void)
{
        close(spawner.fd);
        spawner.fd = -1;
        vthread_stir();
}

void spawner_done(void)
{
        if (spawner.fd >= 0)
                close(spawner.fd);
        spawner.fd = -1;
}

bool spawner_alive(void)
{
        return spawner.fd >= 0;
}
