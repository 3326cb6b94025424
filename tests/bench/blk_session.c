/* The bench's client at one socket. Owns the connection, guest memory and the loads. Called by the bench's rounds; the
 * connection stays open from round to round, idle while others are measured. TRUST: config space and completions are
 * the server's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/blk_session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define RAM_AT         UINT64_C(0x80000000)
#define ANSWER_MS      20000 /* a server may have to start a process first */
#define CONFIG_SEG_MAX 12u   /* virtio 1.3, 5.2.4 */

/* What Linux's driver accepts: SIZE_MAX, SEG_MAX, BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES. */
#define BLK_FEATURES                                                                                         \
        (1u << 1 | 1u << 2 | 1u << 6 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14)

static int fail(struct blk_session *session, int error, const char *what)
{
        snprintf(session->trouble, sizeof(session->trouble), "%s: %s", what, strerror(-error));
        return error;
}

static int refuse(struct blk_session *session, const char *what, uint64_t number)
{
        snprintf(session->trouble, sizeof(session->trouble), "%s %llu", what, (unsigned long long)number);
        return -EOPNOTSUPP;
}

static int connect_front(struct blk_session *session)
{
        struct front_end *front = &session->front;
        int r;

        front->wire = (struct wire){.sock = -1, .deadline_ms = ANSWER_MS};
        r = wire_connect(&front->wire, session->server->socket);
        if (r < 0)
                return fail(session, r, session->server->socket);
        r = front_end_negotiate(front, FRONT_END_QEMU_7_2, true);
        front->offered &= ~session->plan.without;
        return r < 0 ? fail(session, r, "the negotiation failed") : 0;
}

/* The disk's size, and whether it takes such requests. */
static int read_config(struct blk_session *session, uint64_t *ret_bytes)
{
        const struct blk_load_plan *plan = &session->plan;
        uint32_t seg_max = 0, n = (plan->work.block + plan->segment - 1) / plan->segment;
        uint64_t sectors = 0;
        int r = front_end_get_config(&session->front, 0, sizeof(sectors), &sectors);

        if (r == 0)
                r = front_end_get_config(&session->front, CONFIG_SEG_MAX, sizeof(seg_max), &seg_max);
        if (r < 0)
                return fail(session, r, "its config space cannot be read");
        if (plan->work.queues > session->front.n_rings)
                return refuse(session, "it offers fewer queues:", session->front.n_rings);
        if (n > seg_max || n + 2 > SPLIT_RING_SEGMENTS)
                return refuse(session, "segments that such a request has:", n);
        *ret_bytes = sectors * 512;
        return 0;
}

static int start_loads(struct blk_session *session, uint64_t area)
{
        const struct bench_case *work = &session->plan.work;
        uint64_t blocks = area / work->block / work->queues;

        if (blocks < 2u * work->depth)
                return refuse(session, "the area is small for such a depth; blocks of a queue:", blocks);
        for (unsigned i = 0; i < work->queues; i++) {
                struct blk_load *load = &session->loads[i];
                int r;

                load->plan = &session->plan;
                load->front = &session->front;
                load->ram = &session->ram;
                load->queue = i;
                load->phase = &session->phase;
                load->told = &session->told;
                r = blk_load_init(load, i * blocks, blocks);
                if (r < 0)
                        return fail(session, r, r == -EOPNOTSUPP ? "no packed ring" : "the ring");
                r = blk_ring_start(&load->ring, &session->front, i);
                if (r < 0)
                        return fail(session, r, "the ring could not be started");
        }
        return 0;
}

int blk_session_open(struct blk_session *session, const struct bench_server *server,
                     const struct blk_load_plan *plan, uint64_t area)
{
        uint64_t bytes;
        int r;

        memset(session, 0, sizeof(*session));
        session->server = server;
        session->plan = *plan;
        session->ram.fd = -1;
        sem_init(&session->told, 0, 0);
        session->loads = calloc(plan->work.queues, sizeof(*session->loads));
        r = session->loads ? guest_ram_init(&session->ram, plan->work.queues * blk_load_ram(plan), RAM_AT)
                           : -ENOMEM;
        if (r < 0)
                return fail(session, r, "guest memory");
        r = connect_front(session);
        if (r == 0)
                r = read_config(session, &bytes);
        if (r == 0) {
                r = front_end_start(&session->front, blk_ring_features(plan->work.packed) | BLK_FEATURES,
                                    &session->ram);
                if (r < 0)
                        return fail(session, r, "features and memory were refused");
                r = start_loads(session, area ? MIN(area, bytes) : bytes);
        }
        return r;
}

void blk_session_close(struct blk_session *session)
{
        for (unsigned i = 0; session->loads && i < session->plan.work.queues; i++)
                if (session->front.rings[i].started && session->loads[i].outstanding == 0)
                        blk_ring_stop(&session->front, i);
        front_end_close(&session->front);
        guest_ram_done(&session->ram);
        free(session->loads);
        session->loads = NULL;
        sem_destroy(&session->told);
}

/* ---- measuring ---- */

/* Until the time is over; false when a load has failed meanwhile. */
static bool pass_time(struct blk_session *session, double seconds)
{
        struct timespec until;
        uint64_t nanoseconds;

        clock_gettime(CLOCK_MONOTONIC, &until);
        nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)(seconds * 1e9);
        until.tv_sec += (time_t)(nanoseconds / 1000000000u);
        until.tv_nsec = (long)(nanoseconds % 1000000000u);
        while (sem_clockwait(&session->told, CLOCK_MONOTONIC, &until) < 0)
                if (errno == ETIMEDOUT)
                        return true;
        return false;
}

static void turn_phase(struct blk_session *session, enum blk_phase phase)
{
        __atomic_store_n(&session->phase, (int)phase, __ATOMIC_RELEASE);
}

static void wait_told(struct blk_session *session)
{
        while (sem_wait(&session->told) < 0)
                continue;
}

static bool has_trouble(const struct blk_session *session)
{
        for (unsigned i = 0; i < session->plan.work.queues; i++)
                if (__atomic_load_n(&session->loads[i].error, __ATOMIC_ACQUIRE) < 0)
                        return true;
        return false;
}

/* Lets the time of the phases pass, and looks at the server's processes at both ends of what is counted. */
static int conduct(struct blk_session *session, double warm_up_seconds, double seconds,
                   struct process_work *ret_server)
{
        _cleanup_free_ struct process_use *from = calloc(1, sizeof(*from)), *to = calloc(1, sizeof(*to));
        const struct bench_server *server = session->server;
        int r = 0;

        if (!from || !to)
                return -ENOMEM;
        for (unsigned i = 0; i < session->plan.work.queues; i++)
                wait_told(session);
        if (has_trouble(session) || !pass_time(session, warm_up_seconds))
                return 0;
        r = process_use_read(server->pids, server->n_pids, from);
        turn_phase(session, BLK_PHASE_COUNT);
        if (r == 0 && pass_time(session, seconds))
                r = process_use_read(server->pids, server->n_pids, to);
        if (r == 0)
                *ret_server = process_use_between(from, to);
        return r;
}

static int first_trouble(struct blk_session *session)
{
        for (unsigned i = 0; i < session->plan.work.queues; i++)
                if (session->loads[i].error < 0) {
                        snprintf(session->trouble, sizeof(session->trouble), "%s", session->loads[i].trouble);
                        return session->loads[i].error;
                }
        return 0;
}

int blk_session_measure(struct blk_session *session, double warm_up_seconds, double seconds,
                        struct bench_sum *sum)
{
        pthread_t threads[BENCH_QUEUES_MAX];
        struct process_work server = {0};
        unsigned n_threads = 0, queues = session->plan.work.queues;
        int r = 0;

        turn_phase(session, BLK_PHASE_WARM);
        while (sem_trywait(&session->told) == 0)
                continue;
        while (n_threads < queues && r == 0) {
                r = -pthread_create(&threads[n_threads], NULL, blk_load_run, &session->loads[n_threads]);
                n_threads += r == 0;
        }
        if (r == 0)
                r = conduct(session, warm_up_seconds, seconds, &server);
        turn_phase(session, BLK_PHASE_STOP);
        for (unsigned i = 0; i < n_threads; i++)
                pthread_join(threads[i], NULL);
        if (first_trouble(session) < 0)
                return first_trouble(session);
        if (r < 0)
                return fail(session, r, r == -ESRCH ? "one of its processes has gone" : "measuring");
        for (unsigned i = 0; i < queues; i++)
                bench_sum_add_queue(sum, &session->loads[i].result);
        bench_sum_add_server(sum, &server);
        return 0;
}
