/* Where a lane's thread and its worker run.
 * Owns nothing; called by lane_place.c, in the lane's thread. TRUST: how many requests end when is a worker's and a guest's
 * doing: between them they can bring about any choice among the CPUs that both may use anyway, and any number of looks,
 * but no more trials than their credit pays, and a comparison each LIMIT_PLACE_DOUBT_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/placement.h"

#include <assert.h>

#include "proto/base/checked.h"

#define MS UINT64_C(1000000) /* in nanoseconds */

#define PLACE_REQUESTS                                                                                       \
        64u /* of a window: 250 ms of the slowest load that is worth it, 6 of one of a busy guest */
#define PLACE_AGAIN      32u        /* ... that only has to show that a load is the remembered one */
#define PLACE_BIG        16u        /* ... where they are large, ... */
#define PLACE_BIG_BYTES  (8u << 20) /* ... with so many bytes in all */
#define PLACE_WINDOW_NS  (3 * MS)   /* at least: some turns of the scheduler, ... */
#define PLACE_TRIAL_NS   (8 * MS)   /* ... and in a trial: one ms differs from the next by a third */
#define PLACE_HOPE       8u    /* tenths of the best so far: a place that has less needs no whole window */
#define PLACE_SETTLE     16u   /* requests after a move that do not count: caches move too */
#define PLACE_COST       4096u /* a request costs as much as so many bytes */
#define PLACE_BETTER     11u   /* tenths of free's score that make a CPU worth its rigidity */
#define PLACE_SURE       16u   /* ... that need not be seen twice */
#define PLACE_TURNS      9u /* ... where requests come one at a time: it harms nobody, and two CPUs win nothing */
#define PLACE_TURNS_LEFT 7u         /* ... there a CPU is left for less than this */
#define PLACE_TURNS_HOLD 16u        /* ... and is held for so many times what its trial took */
#define PLACE_LOOKS      3u         /* of a window at least, before it tells anything */
#define PLACE_STILL      11u        /* ... that another CPU must have of the chosen one's */
#define PLACE_WORSE      5u         /* tenths of what was expected: less, or the inverse, is another load */
#define PLACE_ALERT      4u         /* windows in the mean that may leave a CPU */
#define PLACE_CALM       8u         /* ... that may begin a trial where all is free, which harms nobody */
#define PLACE_CREDIT     50u        /* one part in so many of the busy time may be lost by trials */
#define PLACE_CREDIT_MAX (20 * MS)  /* saved up: two or three trials */
#define PLACE_DEBT_MAX   (100 * MS) /* owed: five seconds without a trial */
#define PLACE_SLACK      16u        /* ... of a look at others: idle time is told in ticks of 10 ms */
#define PLACE_IDLE       4u /* fewer requests in LIMIT_PLACE_REST_MS, and none outstanding: the load has ended */

void placement_init(struct placement *placement, const uint16_t *cpus, unsigned n_cpus)
{
        assert(n_cpus > 0 && n_cpus <= LIMIT_PLACE_CPUS);
        *placement = (struct placement){.place = PLACE_FREE,
                                        .chosen = PLACE_FREE,
                                        .next = PLACE_FREE,
                                        .last = PLACE_FREE,
                                        .cpus = cpus,
                                        .n_cpus = n_cpus,
                                        .hold_ns = LIMIT_PLACE_HOLD_MIN_MS * MS,
                                        .credit_ns = (int64_t)PLACE_CREDIT_MAX};
}

static uint64_t subtract(uint64_t from, uint64_t what)
{
        return from > what ? from - what : 0;
}

/* ---- windows ---- */

enum window_end {
        WINDOW_OPEN,
        WINDOW_DONE,
        WINDOW_LIGHT, /* too few requests for its time */
};

static void window_begin(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->window = (struct placement_window){
            .begin_ns = now_ns, .requests = requests, .bytes = bytes, .seen_ns = now_ns};
}

static void window_note(struct placement_window *w, uint64_t now_ns, uint64_t cost)
{
        if (cost == w->seen_cost)
                return;
        w->looks++;
        if (now_ns - w->seen_ns > w->pause_ns) {
                w->pause_ns = now_ns - w->seen_ns;
                w->pause_cost = cost - w->seen_cost;
        }
        w->seen_ns = now_ns;
        w->seen_cost = cost;
}

static void window_move(struct placement *p, int place, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        window_begin(p, now_ns, requests, bytes);
        p->window.settling = p->place != place;
        p->place = place;
        p->moved_ns = now_ns;
}

static uint64_t window_ns(const struct placement *p)
{
        return p->state == PLACEMENT_TRYING ? PLACE_TRIAL_NS : PLACE_WINDOW_NS;
}

static bool window_is_full(const struct placement *p, uint64_t requests, uint64_t bytes)
{
        bool again = p->state == PLACEMENT_WATCHING && p->level > 0;

        return requests >= (again ? PLACE_AGAIN : PLACE_REQUESTS) ||
               (requests >= PLACE_BIG && bytes >= PLACE_BIG_BYTES);
}

/* One look that took as long as all others: the host had somebody else's work on that CPU, which says nothing of the place. */
static bool window_has_pause(const struct placement_window *w, uint64_t elapsed_ns)
{
        return w->looks >= PLACE_LOOKS && 2 * w->pause_ns >= elapsed_ns;
}

/* That CPU does nothing for us. Who is free is looked at when something has been done, so there it says nothing. */
static bool window_stalls(const struct placement *p, uint64_t now_ns)
{
        return p->place != PLACE_FREE && now_ns - p->window.seen_ns > LIMIT_PLACE_STALL_MS * MS;
}

/* *ret_score: cost done in a millisecond, so far and but for a pause. A window that took too long has met a long one, or is of
 * a load that is too light, however many requests it ended with: it says nothing of the place. */
static enum window_end window_look(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes,
                                   uint64_t *ret_score)
{
        struct placement_window *w = &p->window;
        uint64_t elapsed_ns = now_ns - w->begin_ns;
        uint64_t n = requests - w->requests, n_bytes = bytes - w->bytes, cost = n * PLACE_COST + n_bytes;
        bool light;

        window_note(w, now_ns, cost);
        light = elapsed_ns > LIMIT_PLACE_WINDOW_MS * MS || window_stalls(p, now_ns);
        if (!light && window_has_pause(w, elapsed_ns)) {
                elapsed_ns -= w->pause_ns;
                cost -= w->pause_cost;
        }
        *ret_score = cost * 1000 / MAX(elapsed_ns / 1000, UINT64_C(1));
        if (light)
                return WINDOW_LIGHT;
        if (w->seen_ns < now_ns) /* in the middle of a pause */
                return WINDOW_OPEN;
        if (w->settling && n >= PLACE_SETTLE)
                window_begin(p, now_ns, requests, bytes);
        else if (!w->settling && elapsed_ns >= window_ns(p) && window_is_full(p, n, n_bytes))
                return WINDOW_DONE;
        return WINDOW_OPEN;
}

/* With its pauses: what others do there again and again belongs to the place. */
static uint64_t window_mean(const struct placement *p, uint64_t now_ns)
{
        return p->window.seen_cost * 1000 / MAX((now_ns - p->window.begin_ns) / 1000, UINT64_C(1));
}

/* Enough to give up a place that is far off. */
static bool window_tells(const struct placement *p, uint64_t now_ns)
{
        uint64_t elapsed_ns = now_ns - p->window.begin_ns;

        return elapsed_ns >= PLACE_WINDOW_NS && p->window.looks >= PLACE_LOOKS && p->window.seen_ns == now_ns;
}

static void earn(struct placement *p, uint64_t elapsed_ns)
{
        p->credit_ns = MIN(p->credit_ns + (int64_t)(elapsed_ns / PLACE_CREDIT), (int64_t)PLACE_CREDIT_MAX);
}

/* What is owed has an end: a host that stood still in a trial would else forbid the next for minutes. */
static void spend(struct placement *p, uint64_t ns)
{
        p->credit_ns = MAX(p->credit_ns - (int64_t)MIN(ns, 2 * PLACE_DEBT_MAX), -(int64_t)PLACE_DEBT_MAX);
}

/* ---- trials ---- */

static void try_add(struct placement *p, int place, uint64_t score)
{
        p->tries[p->n_tries++] = (struct placement_try){.place = place, .score = score};
}

/* At most `room` places of one kind, beginning with a CPU that the last trial has not come to. `kind`: 0 or PLACE_ALONE. */
static void try_add_kind(struct placement *p, int kind, unsigned room, unsigned *rotation, uint64_t now_ns)
{
        unsigned i = 0;

        for (; i < p->n_cpus && room > 0; i++) {
                unsigned at = (*rotation + i) % p->n_cpus;
                int place = p->cpus[at] | kind;

                if (place == p->chosen || p->barred_ns[at] > now_ns)
                        continue;
                try_add(p, place, 0);
                room--;
        }
        *rotation = (*rotation + i) % p->n_cpus;
}

/* As many places as one trial may have. */
static void try_add_cpus(struct placement *p, uint64_t now_ns)
{
        unsigned room = LIMIT_PLACES + 1 - p->n_tries, alone = LIMIT_PLACES_ALONE;

        if (p->large)
                alone = room;
        else if (!p->deep || p->n_cpus == 1)
                alone = 0;
        try_add_kind(p, 0, room - alone, &p->rotation, now_ns);
        try_add_kind(p, PLACE_ALONE, alone, &p->rotation_alone, now_ns);
}

static void hold(struct placement *p, int place, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->state = PLACEMENT_HOLDING;
        p->chosen = place;
        if (place != PLACE_FREE)
                p->last = place;
        p->expected = p->level;
        p->n_worse = 0;
        p->hold_end_ns = now_ns + p->hold_ns;
        window_move(p, place, now_ns, requests, bytes);
}

static bool may_be_alone(const struct placement *p)
{
        return p->deep || p->large;
}

static bool is_barred(const struct placement *p, int place, uint64_t now_ns)
{
        for (unsigned i = 0; i < p->n_cpus; i++)
                if (p->cpus[i] == place_cpu(place))
                        return p->barred_ns[i] > now_ns;
        return true;
}

/* A load that comes back goes where it was, for what is left of its time: bursts have trials, too. */
static void hold_again(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        hold(p, p->chosen, now_ns, requests, bytes);
        p->hold_end_ns = now_ns + MAX(p->hold_left_ns, LIMIT_PLACE_HOLD_MIN_MS * MS);
}

static void try_go(struct placement *p, unsigned from, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->state = PLACEMENT_TRYING;
        p->tried_ns = now_ns;
        p->second = false;
        p->at_try = from;
        window_move(p, p->tries[from].place, now_ns, requests, bytes);
}

/* The chosen place has a level: it need not be measured again. */
static void try_begin(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->n_tries = 0;
        try_add(p, p->chosen, p->level);
        if (p->chosen != PLACE_FREE)
                try_add(p, PLACE_FREE, 0);
        try_add_cpus(p, now_ns);
        p->at_try = p->level > 0 ? 1 : 0;
        if (p->at_try == p->n_tries) { /* all are barred */
                hold(p, p->chosen, now_ns, requests, bytes);
                return;
        }
        try_go(p, p->at_try, now_ns, requests, bytes);
}

static const struct placement_try *try_find(const struct placement *p, int place)
{
        unsigned i = 0;

        while (p->tries[i].place != place)
                i++;
        return &p->tries[i];
}

/* If a CPU has to be no more than not worse, it must not be held to be better. */
static bool is_lenient(const struct placement *p)
{
        return p->turns || p->large;
}

/* Those who are freed from two CPUs run on where they were for a while: their free score is the place's own. */
static bool is_kept(const struct placement *p, int place)
{
        return is_lenient(p) || (place == p->chosen && place_is_alone(place));
}

static unsigned try_worth(const struct placement *p, int place)
{
        return is_kept(p, place) ? PLACE_TURNS : PLACE_BETTER;
}

/* The first is the chosen one, so it stays where others are not clearly better. */
static const struct placement_try *try_best(const struct placement *p)
{
        const struct placement_try *best = NULL, *free = try_find(p, PLACE_FREE);

        for (unsigned i = 0; i < p->n_tries; i++) {
                const struct placement_try *t = &p->tries[i];

                if (t->place != PLACE_FREE && (!best || t->score * 10 > best->score * PLACE_STILL))
                        best = t;
        }
        return best && best->score * 10 >= free->score * try_worth(p, best->place) ? best : free;
}

/* What would have been done in the time that was spent elsewhere. */
static uint64_t try_loss(const struct placement *p, uint64_t score)
{
        uint64_t loss_ns = 0;

        for (unsigned i = 0; i < p->n_tries; i++) {
                const struct placement_try *t = &p->tries[i];

                if (t->score < score)
                        loss_ns += t->elapsed_ns - t->elapsed_ns / 1000 * (t->score * 1000 / score);
        }
        return loss_ns;
}

/* One window each may have met a bad moment of the host. */
static bool try_is_sure(const struct placement *p, const struct placement_try *best)
{
        return p->second || is_lenient(p) || p->chosen != PLACE_FREE || best->place == PLACE_FREE ||
               best->score * 10 >= try_find(p, PLACE_FREE)->score * PLACE_SURE;
}

static void try_again(struct placement *p, const struct placement_try *best, uint64_t now_ns,
                      uint64_t requests, uint64_t bytes)
{
        const struct placement_try pair[] = {*try_find(p, PLACE_FREE), *best};

        p->second = true;
        p->n_tries = p->at_try = 0;
        for (unsigned i = 0; i < array_size(pair); i++)
                try_add(p, pair[i].place, pair[i].score);
        window_move(p, PLACE_FREE, now_ns, requests, bytes);
}

static int try_next(const struct placement *p, int best)
{
        const struct placement_try *next = NULL;

        for (unsigned i = 0; i < p->n_tries; i++) {
                const struct placement_try *t = &p->tries[i];

                if (t->place != best && t->place != PLACE_FREE && (!next || t->score > next->score))
                        next = t;
        }
        return next ? next->place : PLACE_FREE;
}

static uint64_t try_took(const struct placement *p)
{
        uint64_t took_ns = 0;

        for (unsigned i = 0; i < p->n_tries; i++)
                took_ns += p->tries[i].elapsed_ns;
        return took_ns;
}

static uint64_t try_hold(const struct placement *p, bool confirmed)
{
        const uint64_t max_ns = LIMIT_PLACE_HOLD_MAX_MS * MS;
        uint64_t hold_ns = confirmed ? 2 * p->hold_ns : LIMIT_PLACE_HOLD_MIN_MS * MS;

        if (is_lenient(p))
                hold_ns = MAX(hold_ns, PLACE_TURNS_HOLD * try_took(p));
        return MIN(hold_ns, max_ns);
}

static void try_decide(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        const struct placement_try *best = try_best(p);
        bool confirmed = best->place == p->chosen;

        spend(p, try_loss(p, best->score));
        if (!p->second) /* then only two have been measured */
                p->next = try_next(p, best->place);
        if (!try_is_sure(p, best)) {
                try_again(p, best, now_ns, requests, bytes);
                return;
        }
        p->hold_ns = try_hold(p, confirmed);
        p->level = best->score;
        p->free_score = try_find(p, PLACE_FREE)->score;
        hold(p, best->place, now_ns, requests, bytes);
}

static uint64_t try_best_score(const struct placement *p)
{
        uint64_t best = 0;

        for (unsigned i = 0; i < p->at_try; i++)
                best = MAX(best, p->tries[i].score);
        return best;
}

/* What is measured again counts against the CPU. */
static void try_note(struct placement *p, uint64_t score, uint64_t elapsed_ns)
{
        struct placement_try *t = &p->tries[p->at_try++];

        if (p->second)
                score = t->place == PLACE_FREE ? MAX(score, t->score) : MIN(score, t->score);
        t->score = score;
        t->elapsed_ns = elapsed_ns;
}

static void rest_and_watch(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        placement_rest(p);
        p->state = PLACEMENT_WATCHING;
        window_begin(p, now_ns, requests, bytes);
}

/* Nobody looks by the clock while all is free: there the load has ended when a window was too long. */
static void try_look(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        uint64_t score;
        bool settling = p->window.settling;
        enum window_end end = window_look(p, now_ns, requests, bytes, &score);

        if (end == WINDOW_LIGHT && p->place == PLACE_FREE) {
                rest_and_watch(p, now_ns, requests, bytes);
                return;
        }
        if (end == WINDOW_OPEN &&
            (settling || !window_tells(p, now_ns) || score * 10 >= try_best_score(p) * PLACE_HOPE))
                return;
        try_note(p, MAX(score, UINT64_C(1)), now_ns - p->moved_ns);
        if (p->at_try == p->n_tries)
                try_decide(p, now_ns, requests, bytes);
        else
                window_move(p, p->tries[p->at_try].place, now_ns, requests, bytes);
}

/* ---- the other states ---- */

static bool remembers(const struct placement *p, uint64_t now_ns, uint64_t score)
{
        return p->level > 0 && p->free_score > 0 && now_ns - p->rested_ns < LIMIT_PLACE_MEMORY_MS * MS &&
               score * 3 >= p->free_score && p->free_score * 3 >= score;
}

/* What was found for another load may be none of this one's places. */
static bool is_place_of_load(const struct placement *p, int place)
{
        return place_is_alone(place) ? may_be_alone(p) : !p->large;
}

static void doubt_add(struct placement *p, int place, uint64_t now_ns)
{
        if (place == PLACE_FREE || is_barred(p, place, now_ns) || !is_place_of_load(p, place))
                return;
        for (unsigned i = 0; i < p->n_tries; i++)
                if (p->tries[i].place == place)
                        return;
        try_add(p, place, 0);
}

/* The load or the host is another: is what was next best better now, or, of who is free, where it was last? That is less than
 * a trial, and is done without credit, though not often. */
static void doubt(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->n_tries = 0;
        try_add(p, p->chosen, p->level);
        if (p->chosen != PLACE_FREE)
                try_add(p, PLACE_FREE, 0);
        doubt_add(p, p->last, now_ns);
        doubt_add(p, p->next, now_ns);
        if (p->n_tries == 1)
                return;
        p->doubted_ns = now_ns;
        try_go(p, 1, now_ns, requests, bytes);
}

static bool may_doubt(const struct placement *p, uint64_t now_ns)
{
        return now_ns - p->doubted_ns >= LIMIT_PLACE_DOUBT_MS * MS;
}

static void watch_look(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        uint64_t score;
        enum window_end end = window_look(p, now_ns, requests, bytes, &score);

        if (end == WINDOW_OPEN)
                return;
        if (end == WINDOW_DONE)
                earn(p, now_ns - p->window.begin_ns);
        if (end == WINDOW_DONE && remembers(p, now_ns, score)) {
                hold_again(p, now_ns, requests, bytes);
        } else if (end == WINDOW_DONE && p->credit_ns >= 0) {
                p->chosen = PLACE_FREE;
                p->level = p->free_score = 0; /* a load begins otherwise than it goes on */
                p->hold_ns = LIMIT_PLACE_HOLD_MIN_MS * MS;
                try_begin(p, now_ns, requests, bytes);
        } else {
                window_begin(p, now_ns, requests, bytes);
                if (end == WINDOW_DONE && may_doubt(p, now_ns)) {
                        p->chosen = PLACE_FREE;
                        p->level = p->free_score = score;
                        p->hold_ns = LIMIT_PLACE_HOLD_MIN_MS * MS;
                        doubt(p, now_ns, requests, bytes);
                }
        }
}

static void leave(struct placement *p, uint64_t now_ns)
{
        p->level = p->free_score = 0;
        p->hold_ns = LIMIT_PLACE_HOLD_MIN_MS * MS;
        hold(p, PLACE_FREE, now_ns, p->window.requests, p->window.bytes);
}

static bool is_worse(const struct placement *p, uint64_t score)
{
        unsigned least = is_kept(p, p->chosen) ? PLACE_TURNS_LEFT : 10;

        return score * 10 < p->expected * PLACE_WORSE ||
               (p->chosen != PLACE_FREE && score * 10 < p->free_score * least);
}

static bool is_other_load(const struct placement *p)
{
        return p->expected > 0 && p->level * PLACE_WORSE > p->expected * 10;
}

static void hold_look(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        uint64_t score, mean, inertia = p->chosen == PLACE_FREE ? PLACE_CALM : PLACE_ALERT;
        bool other;
        enum window_end end = window_look(p, now_ns, requests, bytes, &score);

        if (end == WINDOW_LIGHT)
                rest_and_watch(p, now_ns, requests, bytes);
        if (end != WINDOW_DONE)
                return;
        earn(p, now_ns - p->window.begin_ns);
        mean = window_mean(p, now_ns);
        window_begin(p, now_ns, requests, bytes);
        p->level = p->level > 0 ? ((inertia - 1) * p->level + mean) / inertia : mean;
        if (p->chosen == PLACE_FREE)
                p->free_score = p->level;
        p->n_worse = is_worse(p, score) ? p->n_worse + 1 : 0;
        other = p->n_worse >= inertia || is_other_load(p);
        if (other) /* what was before says nothing */
                p->level = mean;
        if (p->credit_ns >= 0 && (now_ns >= p->hold_end_ns || other))
                try_begin(p, now_ns, requests, bytes);
        else if (other && may_doubt(p, now_ns))
                doubt(p, now_ns, requests, bytes);
}

/* ---- from outside ---- */

void placement_turns(struct placement *p, bool turns)
{
        p->turns = turns;
}

/* Nothing is known of the load that there is now. */
static void forget(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        rest_and_watch(p, now_ns, requests, bytes);
        p->chosen = PLACE_FREE;
        p->level = p->free_score = 0;
}

void placement_deep(struct placement *p, bool deep, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        p->deep = deep;
        if (!may_be_alone(p) && place_is_alone(p->chosen))
                forget(p, now_ns, requests, bytes);
}

void placement_large(struct placement *p, bool large, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        large = large && p->n_cpus > 1;
        if (large == p->large)
                return;
        forget(p, now_ns, requests, bytes);
        p->large = large;
}

int placement_look(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes)
{
        switch (p->state) {
        case PLACEMENT_RESTING:
                p->state = PLACEMENT_WATCHING;
                window_begin(p, now_ns, requests, bytes);
                break;
        case PLACEMENT_WATCHING:
                watch_look(p, now_ns, requests, bytes);
                break;
        case PLACEMENT_TRYING:
                try_look(p, now_ns, requests, bytes);
                break;
        case PLACEMENT_HOLDING:
                hold_look(p, now_ns, requests, bytes);
                break;
        }
        p->seen_ns = now_ns;
        return p->place;
}

int placement_tick(struct placement *p, uint64_t now_ns, uint64_t requests, uint64_t bytes, bool idle)
{
        bool few = requests - p->tick_requests < PLACE_IDLE;

        if (idle && few && now_ns - p->tick_ns >= LIMIT_PLACE_REST_MS * MS) {
                placement_rest(p);
                return p->place;
        }
        if (!idle || !few) {
                p->tick_requests = requests;
                p->tick_ns = now_ns;
        }
        return placement_look(p, now_ns, requests, bytes);
}

/* A trial that was broken off has found nothing, and is paid for. */
void placement_rest(struct placement *p)
{
        if (p->state == PLACEMENT_TRYING)
                spend(p, p->seen_ns - p->tried_ns);
        if (p->state == PLACEMENT_TRYING || p->state == PLACEMENT_HOLDING) {
                p->rested_ns = p->seen_ns;
                p->hold_left_ns = subtract(p->hold_end_ns, p->seen_ns);
        }
        p->state = PLACEMENT_RESTING;
        p->place = PLACE_FREE;
}

static void bar(struct placement *p, uint64_t now_ns, int cpu)
{
        for (unsigned i = 0; i < p->n_cpus; i++)
                if (p->cpus[i] == cpu)
                        p->barred_ns[i] = now_ns + LIMIT_PLACE_BARRED_MS * MS;
}

void placement_bar(struct placement *p, uint64_t now_ns, int cpu)
{
        bar(p, now_ns, cpu);
        leave(p, now_ns);
}

bool placement_guard(struct placement *p, uint64_t now_ns, const struct placement_use *use)
{
        uint64_t others_ns = 0, least_ns = UINT64_MAX; /* used by others there, by anybody elsewhere */

        if (p->state != PLACEMENT_HOLDING || p->chosen == PLACE_FREE)
                return false;
        for (unsigned i = 0; i < p->n_cpus; i++) {
                uint64_t busy_ns = subtract(use->elapsed_ns, use->idle_ns[i]);

                if (p->cpus[i] == place_cpu(p->chosen))
                        others_ns = subtract(busy_ns, use->own_ns);
                else
                        least_ns = MIN(least_ns, busy_ns);
        }
        if (others_ns * 2 <= use->elapsed_ns || least_ns >= others_ns)
                return false;
        if (p->turns && others_ns <= use->gaps_ns + use->elapsed_ns / PLACE_SLACK)
                return false;
        placement_bar(p, now_ns, place_cpu(p->chosen));
        return true;
}
