/* One session of a guest before a power cut. Owns its front end and the lists of what it did and saw. Called
 * by power_cut.c. TRUST: statuses and completions are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power_cut/cut_round.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/harness/blk_front.h"
#include "tests/power_cut/cut_disk.h"
#include "tests/power_cut/cut_stamp.h"
#include "tests/power_cut/record_order.h"

#define RAM_BYTES    (UINT64_C(16) << 20)
#define RAM_ADDRESS  UINT64_C(0x80000000)
#define DEADLINE_MS  20000
#define TICK_MS      2
#define SECTORS_MAX  16u /* of one request */
#define DEPTH_MAX    16u
#define PATIENCE     100u /* completions after which a point that was not reached is given up */
#define WRITEBACK_AT 32u  /* the field's offset in the config space (virtio 1.3, 5.2.4) */
#define RING         (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define DISCARDS     (1u << BLK_F_DISCARD | 1u << BLK_F_WRITE_ZEROES)
#define CONFIG_WCE   (1u << 11)

static const uint64_t mode_features[CUT_MODE_COUNT_] = {
    [CUT_WRITEBACK] = RING | DISCARDS | 1u << BLK_F_FLUSH,
    [CUT_WRITETHROUGH] = RING | DISCARDS,
    [CUT_SWITCHING] = RING | DISCARDS | 1u << BLK_F_FLUSH | CONFIG_WCE,
};

/* What a request was when it was posted. */
struct asked {
        uint32_t write;      /* 0: a flush */
        uint64_t since;      /* events before it */
        uint64_t generation; /* the worker that was there */
        uint64_t through;    /* the spell of writethrough it was posted in; 0: none */
        unsigned kills;      /* of workers that may have had it */
};

struct session {
        struct cut_round *round;
        struct stack *stack;
        struct record_control *control;
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        struct asked asked[BLK_FRONT_SLOTS];
        enum cut_mode mode;
        unsigned seed;
        uint64_t through; /* grows; not 0: what is posted now is stable when it completes in the same spell */
        uint64_t n_spells;
        uint64_t killed_generation, served_generation;
        unsigned armed_for; /* completions that the armed point has waited; 0: none is armed */
};

static unsigned pick(struct session *session, unsigned below)
{
        return (unsigned)rand_r(&session->seed) % below;
}

static int fail(struct session *session, int error, const char *what)
{
        snprintf(session->round->why, sizeof(session->round->why), "%s: %s", what, strerror(-error));
        return error;
}

/* ---- what the guest saw ---- */

static uint64_t records(const struct session *session)
{
        return __atomic_load_n(&session->control->records, __ATOMIC_ACQUIRE);
}

static uint64_t next_event(const struct session *session)
{
        return PROMISE_FIRST_EVENT + session->round->n_events;
}

static void see(struct session *session, const struct guest_event *event)
{
        struct cut_round *round = session->round;

        round->events[round->n_events] = *event;
        round->events[round->n_events++].at = records(session);
}

/* ---- kills ---- */

/* The most of any that is under way. */
static unsigned most_kills(const struct session *session)
{
        unsigned most = 0;

        for (unsigned i = 0; i < BLK_FRONT_SLOTS; i++)
                if (session->blk.slots[i].busy)
                        most = MAX(most, session->asked[i].kills);
        return most;
}

static void kill_worker(struct session *session)
{
        for (unsigned i = 0; i < BLK_FRONT_SLOTS; i++)
                session->asked[i].kills++;
        session->killed_generation = session->control->generation;
        session->round->n_kills++;
        (void)stack_kill_worker(session->stack, "blk");
}

/* Only when the worker that is there has completed something, so that it was worth starting. One kill in
 * four is followed by another before the successor has done anything. A request that has seen two is sent alone, to see whether
 * it kills (LIMIT_POISON_ATTEMPTS): it does not, and nobody is killed before it is answered. */
static void arm_sometimes(struct session *session)
{
        uint64_t generation = session->control->generation;
        unsigned point = POINT_BEFORE_RECEIVE + pick(session, POINT_COUNT_ - POINT_BEFORE_RECEIVE);

        if (session->armed_for > 0 && session->armed_for++ < PATIENCE)
                return;
        if (session->served_generation != generation || generation == session->killed_generation ||
            pick(session, 8) != 0)
                return;
        if (most_kills(session) >= LIMIT_POISON_ATTEMPTS)
                return;
        if (pick(session, 4) == 0 && most_kills(session) == 0) {
                kill_point_arm(session->control, generation + 1, point, 1 + pick(session, 4));
                kill_worker(session);
        } else {
                kill_point_arm(session->control, generation, point, 1 + pick(session, 12));
        }
        session->armed_for = 1;
}

/* Nothing came for a while: does the worker stand where it is to be killed? */
static void tick(void *context)
{
        struct session *session = context;
        uint64_t stopped = __atomic_load_n(&session->control->stopped, __ATOMIC_ACQUIRE);

        if (stopped == 0 || stopped == session->killed_generation || stopped != session->control->generation)
                return;
        kill_worker(session);
        session->armed_for = 0;
}

/* ---- requests ---- */

static uint32_t add_write(struct session *session, uint32_t sector, uint32_t n, bool zeroes, bool may_stay)
{
        struct cut_round *round = session->round;
        uint32_t number = (uint32_t)round->n_writes++;

        round->writes[number] = (struct guest_write){
            .id = zeroes ? STAMP_ZERO : number, .sector = sector, .n = n, .may_stay = may_stay};
        return number;
}

static int post(struct session *session, unsigned slot, uint32_t type, uint32_t sector, uint32_t n,
                uint32_t write)
{
        int r;

        session->asked[slot] = (struct asked){.write = write,
                                              .since = next_event(session),
                                              .generation = session->control->generation,
                                              .through = session->through};
        r = blk_front_post(&session->blk, type, sector, n * CUT_SECTOR, NULL);
        if (r >= 0 && write > 0)
                see(session, &(struct guest_event){.kind = GUEST_POST, .write = write});
        return r < 0 ? r : 0;
}

static int post_write(struct session *session, unsigned slot, uint32_t type)
{
        uint32_t n = 1 + pick(session, SECTORS_MAX), sector = pick(session, CUT_SECTORS - n);
        uint32_t write = add_write(session, sector, n, type != BLK_OUT, type == BLK_DISCARD);

        for (uint32_t i = 0; type == BLK_OUT && i < n; i++)
                stamp_fill(blk_front_data(&session->blk, slot) + (size_t)i * CUT_SECTOR, sector + i, write);
        return post(session, slot, type, sector, n, write);
}

static int post_random(struct session *session)
{
        int slot = blk_front_next(&session->blk);
        unsigned what = pick(session, 100);

        if (slot < 0)
                return slot;
        if (what < 16 && session->mode != CUT_WRITETHROUGH) {
                session->round->n_flushes++;
                return post(session, (unsigned)slot, BLK_FLUSH, 0, 0, 0);
        }
        if (what < 22)
                return post_write(session, (unsigned)slot, BLK_DISCARD);
        if (what < 30)
                return post_write(session, (unsigned)slot, BLK_WRITE_ZEROES);
        return post_write(session, (unsigned)slot, BLK_OUT);
}

static int judge(struct session *session, const struct blk_done *done)
{
        const struct asked *asked = &session->asked[done->slot];

        if (done->status != BLK_S_OK)
                return fail(session, -EIO, "a request was answered with an error");
        if (asked->write > 0)
                see(session, &(struct guest_event){.kind = GUEST_DONE,
                                                   .write = asked->write,
                                                   .through = asked->through > 0 &&
                                                              asked->through == session->through});
        else
                see(session, &(struct guest_event){.kind = GUEST_STABLE, .since = asked->since});
        if (asked->generation == session->control->generation) /* no predecessor has answered it */
                session->served_generation = asked->generation;
        arm_sometimes(session);
        return 0;
}

static int wait_one(struct session *session)
{
        struct blk_done done;
        int r = -ETIMEDOUT;

        for (int waited = 0; r == -ETIMEDOUT && waited < DEADLINE_MS; waited += TICK_MS) {
                r = blk_front_wait(&session->blk, TICK_MS, &done);
                if (r == 0)
                        return judge(session, &done);
                tick(session);
        }
        return fail(session, r, "a completion is lost, or one came twice");
}

/* To the other cache mode. To writethrough: what had completed before it was asked for is stable when it is
 * acknowledged, and what is posted from then on when it completes. To writeback: what is under way is not
 * counted upon any more. */
static int switch_cache(struct session *session)
{
        uint64_t since = next_event(session);
        uint8_t writeback = session->through > 0;
        int r;

        session->through = 0;
        session->front.wire.pump = tick;
        session->front.wire.pump_context = session;
        r = front_end_set_config(&session->front, WRITEBACK_AT, sizeof(writeback), &writeback);
        session->front.wire.pump = NULL;
        if (r < 0)
                return fail(session, r, "the cache mode could not be changed");
        if (!writeback) {
                see(session, &(struct guest_event){.kind = GUEST_STABLE, .since = since});
                session->through = ++session->n_spells;
        }
        return 0;
}

/* ---- the session ---- */

static int open_session(struct session *session)
{
        int r;

        session->front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        r = wire_connect(&session->front.wire, session->stack->socket);
        if (r == 0)
                r = front_end_negotiate(&session->front, FRONT_END_QEMU_7_2, true);
        if (r == 0)
                r = guest_ram_init(&session->ram, RAM_BYTES, RAM_ADDRESS);
        if (r < 0)
                return fail(session, r, "no session");
        blk_front_init(&session->blk, &session->front, &session->ram, 0, 128, 1 + pick(session, DEPTH_MAX),
                       SECTORS_MAX * CUT_SECTOR, 4096);
        session->through = session->mode == CUT_WRITETHROUGH;
        r = front_end_start(&session->front, mode_features[session->mode], &session->ram);
        if (r == 0)
                r = front_end_start_ring(&session->front, 0, &session->blk.ring, 0);
        return r < 0 ? fail(session, r, "the device does not start") : 0;
}

/* The worker that serves has come up: from here on its log is ours. */
static int start_log(struct session *session, uint8_t *disk)
{
        struct record_control *control = session->control;
        int status = blk_front_do(&session->blk, BLK_IN, 0, CUT_SECTOR, DEADLINE_MS);

        if (status != BLK_S_OK)
                return fail(session, status < 0 ? status : -EIO, "the first read");
        memset(disk, 0, (size_t)CUT_SECTORS * CUT_SECTOR);
        control->records = control->log_end = 0;
        control->arm_generation = 0;
        session->killed_generation = control->stopped;
        __atomic_store_n(&control->recording, 1, __ATOMIC_RELEASE);
        return 0;
}

static int run_requests(struct session *session, unsigned n)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n;) {
                unsigned before = i;

                if (session->mode == CUT_SWITCHING && pick(session, 40) == 0)
                        r = switch_cache(session);
                while (r == 0 && i < n && (r = post_random(session)) == 0)
                        i++;
                if (r == -EAGAIN)
                        r = 0;
                if (r == 0 && i > before)
                        r = blk_front_submit(&session->blk);
                if (r == 0 && session->blk.n_busy > 0)
                        r = wait_one(session);
        }
        while (r == 0 && session->blk.n_busy > 0)
                r = wait_one(session);
        return r;
}

int cut_round_run(struct cut_round *round, struct stack *stack, struct record_control *control, uint8_t *disk,
                  enum cut_mode mode, unsigned seed, unsigned n)
{
        struct session session = {
            .round = round, .stack = stack, .control = control, .mode = mode, .seed = seed};
        int r = -ENOMEM;

        *round = (struct cut_round){.n_writes = 1};
        round->writes = calloc(n + 1, sizeof(*round->writes));
        round->events = calloc(4 * (size_t)n, sizeof(*round->events));
        if (round->writes && round->events)
                r = open_session(&session);
        if (r == 0)
                r = start_log(&session, disk);
        if (r == 0)
                r = run_requests(&session, n);
        control->recording = 0;
        control->arm_generation = 0;
        front_end_close(&session.front);
        guest_ram_done(&session.ram);
        return r;
}

void cut_round_done(struct cut_round *round)
{
        free(round->writes);
        free(round->events);
        *round = (struct cut_round){0};
}
