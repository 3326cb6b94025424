/* Putting a lane's thread and its worker where the placement says.
 * Owns nothing; called by lane.c, lane_thread.c and device_calls.c, in the lane's thread. TRUST: no foreign bytes; the pid
 * is the spawner's word, and nobody reaps it before the lane has let go (supervisor.c).
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_place.h"

#include <errno.h>
#include <time.h>

#include "broker/core/lane.h"
#include "broker/core/lane_age.h"
#include "broker/core/lane_wait.h"
#include "proto/base/time_slice.h"

#define LANE_PLACE_LARGE                                                                                     \
        (256u << 10) /* bytes of a request in the mean: then both have enough to do at once */

#define LANE_PLACE_DEEP       32u          /* requests under way: two pieces of answers, ... */
#define LANE_PLACE_DEEP_BYTES (256u << 10) /* ... or bytes of more than one */
#define LANE_PLACE_SHALLOW    64u          /* looks in a row that saw no more: the load is not deep */

/* What clock_getcpuclockid answers, which asks the kernel for a resolution first: a call that the broker does not have. */
#define PROCESS_CPU_CLOCK(pid) ((clockid_t)(~(unsigned)(pid) << 3 | 2u))

void lane_set_place(struct lane *lane, const struct place_host *host)
{
        lane->place.host = host;
        lane->place.at = PLACE_FREE;
}

static bool is_shared(const struct lane_place *place)
{
        return place->at != PLACE_FREE && !place_is_alone(place->at);
}

/* ---- the kernel's part ---- */

static int set_cpus(pid_t pid, const cpu_set_t *set)
{
        return sched_setaffinity(pid, sizeof(*set), set) < 0 ? -errno : 0;
}

int lane_place_probe(const struct place_host *host, pid_t worker)
{
        return set_cpus(worker, &host->all);
}

/* The worker first: if only one of the two can be moved, it is not the lane that stays behind alone. */
static int move_to(const struct lane_place *place, int to)
{
        cpu_set_t set, others = place->host->all;
        int r;

        CPU_ZERO(&set);
        CPU_SET((unsigned)place_cpu(to), &set);
        CPU_CLR((unsigned)place_cpu(to), &others);
        r = set_cpus(place->worker, &set);
        return r < 0 ? r : set_cpus(0, place_is_alone(to) ? &others : &set);
}

/* The lane's thread only: for a worker, which has another uid, the kernel asks for CAP_SYS_NICE. A disk's has had short turns since its
 * start (jail_stages.c). */
static void turns_follow(struct lane_place *place)
{
        bool brief = is_shared(place) && place->placement.turns;

        if (brief == place->brief)
                return;
        place->brief = brief;
        time_slice_set(brief);
}

/* The lane's thread in any case: the worker may be gone. Who is free for the moments of a trial is guarded on. */
static void set_free(struct lane_place *place)
{
        if (place->placement.state != PLACEMENT_TRYING)
                place->guard.cpu = PLACE_FREE;
        if (place->at == PLACE_FREE)
                return;
        place->at = PLACE_FREE;
        (void)set_cpus(place->worker, &place->host->all);
        (void)set_cpus(0, &place->host->all);
        turns_follow(place);
}

static uint64_t clock_read(clockid_t id)
{
        struct timespec used = {0};

        (void)clock_gettime(id, &used); /* of a worker that is gone: none */
        return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* By those who are where the guard is. */
static uint64_t used_by_us(const struct lane_place *place)
{
        uint64_t lane_ns = is_shared(place) ? clock_read(CLOCK_THREAD_CPUTIME_ID) : 0;

        return lane_ns + clock_read(PROCESS_CPU_CLOCK(place->worker));
}

/* ---- the placement's will ---- */

/* A CPU that cannot be had (taken offline, or out of our cpuset now) is not tried again soon; when a worker cannot be moved
 * at all, it is left where it is. */
static void place_follow(struct lane *lane)
{
        struct lane_place *place = &lane->place;
        int to = place->placement.place, r;

        if (to == PLACE_FREE) {
                set_free(place);
                return;
        }
        if (to == place->at) {
                turns_follow(place);
                return;
        }
        place->at = to;
        r = move_to(place, to);
        if (r == 0) {
                turns_follow(place);
                return;
        }
        set_free(place);
        if (r == -EINVAL)
                placement_bar(&place->placement, lane_clock_ns(), place_cpu(to));
        else
                place->worker = 0;
}

static uint64_t bytes_of(const struct lane *lane)
{
        return atomic_load_explicit(&lane->stats.bytes_from_guest, memory_order_relaxed) +
               atomic_load_explicit(&lane->stats.bytes_to_guest, memory_order_relaxed);
}

void lane_place_begin(struct lane *lane, pid_t worker)
{
        struct lane_place *place = &lane->place;

        if (!place->host)
                return;
        place->worker = worker;
        place->looked = lane->completed;
        place->bytes = bytes_of(lane);
        place->emptied = place->under_way = 0;
        place->shallow = LANE_PLACE_SHALLOW;
        placement_init(&place->placement, place->host->cpus, place->host->n_cpus);
        place->guard.cpu = PLACE_FREE;
}

void lane_place_end(struct lane *lane)
{
        set_free(&lane->place);
        lane->place.worker = 0;
}

void lane_place_rest(struct lane *lane)
{
        if (lane->place.worker == 0)
                return;
        placement_rest(&lane->place.placement);
        place_follow(lane);
}

/* With some inertia: of two kinds of load that take turns each would be another. */
static bool look_is_large(const struct lane_place *place, uint64_t n, uint64_t bytes)
{
        return bytes / n >= (place->placement.large ? LANE_PLACE_LARGE / 2 : LANE_PLACE_LARGE);
}

/* At once, and not for a while longer: how many there are when one looks differs. Half of it is enough to stay what it is. */
static bool look_is_deep(struct lane_place *place, uint64_t n, uint64_t bytes)
{
        uint64_t times = place->placement.deep ? 2 : 1, under_way = place->under_way * times;
        bool deep = under_way >= LANE_PLACE_DEEP ||
                    (place->under_way > 1 && under_way * bytes >= n * LANE_PLACE_DEEP_BYTES);

        place->shallow = deep ? 0 : MIN(place->shallow + 1, LANE_PLACE_SHALLOW);
        return place->shallow < LANE_PLACE_SHALLOW;
}

void lane_place_look(struct lane *lane)
{
        struct lane_place *place = &lane->place;
        uint64_t now_ns, n = lane->completed - place->looked, bytes = bytes_of(lane);
        bool turns;

        place->emptied += lane->used_requests == 0;
        if (place->worker == 0 || n < PLACE_LOOK)
                return;
        now_ns = lane_clock_ns();
        turns = place->emptied * 4 >= n * 3;
        placement_turns(&place->placement, turns);
        placement_deep(&place->placement, look_is_deep(place, n, bytes - place->bytes), now_ns,
                       lane->completed, bytes);
        placement_large(&place->placement, !turns && look_is_large(place, n, bytes - place->bytes), now_ns,
                        lane->completed, bytes);
        place->emptied = 0;
        place->under_way = lane->used_requests;
        place->looked = lane->completed;
        place->bytes = bytes;
        placement_look(&place->placement, now_ns, lane->completed, bytes);
        place_follow(lane);
}

void lane_place_sent(struct lane *lane)
{
        lane->place.under_way = MAX(lane->place.under_way, lane->used_requests);
}

uint32_t lane_place_poll_us(const struct lane *lane)
{
        return place_is_alone(lane->place.at) ? LIMIT_PLACE_POLL_US : 0;
}

uint32_t lane_place_spin_us(const struct lane *lane)
{
        return place_is_alone(lane->place.at) ? LIMIT_PLACE_SPIN_US : 0;
}

bool lane_place_is_shared(const struct lane *lane)
{
        return is_shared(&lane->place);
}

bool lane_place_takes_turns(const struct lane *lane)
{
        return is_shared(&lane->place) && lane->place.placement.turns;
}

bool lane_place_ticks(const struct lane *lane)
{
        return lane->place.worker > 0 && lane->place.at != PLACE_FREE;
}

/* ---- harm to others ---- */

/* Also while a trial leaves the place for a few windows, as what it is compared with. */
static bool guard_counts(const struct lane_place *place)
{
        return place->worker > 0 && place->guard.cpu != PLACE_FREE;
}

void lane_place_note(struct lane *lane)
{
        struct lane_place_gaps *gaps = &lane->place.gaps;
        bool is_gap = guard_counts(&lane->place) && lane->used_requests == 0;
        uint64_t now_ns;

        if (is_gap == (gaps->begin_ns > 0))
                return;
        now_ns = lane_clock_ns();
        if (!is_gap)
                gaps->sum_ns += now_ns - gaps->begin_ns;
        gaps->begin_ns = is_gap ? now_ns : 0;
}

static uint64_t gaps_until(const struct lane_place_gaps *gaps, uint64_t now_ns)
{
        return gaps->sum_ns + (gaps->begin_ns > 0 ? now_ns - gaps->begin_ns : 0);
}

/* From `before` on: what has been used since. */
static void guard_compare(const struct lane_place_guard *before, struct lane_place *place)
{
        const struct lane_place_guard *now = &place->guard;
        uint64_t idle_ns[LIMIT_PLACE_CPUS];
        const struct placement_use use = {.elapsed_ns = now->begin_ns - before->begin_ns,
                                          .own_ns = now->own_ns - before->own_ns,
                                          .gaps_ns = now->gaps_ns - before->gaps_ns,
                                          .idle_ns = idle_ns};

        for (unsigned i = 0; i < place->host->n_cpus; i++)
                idle_ns[i] = now->idle_ns[i] > before->idle_ns[i] ? now->idle_ns[i] - before->idle_ns[i] : 0;
        placement_guard(&place->placement, now->begin_ns, &use);
}

static bool guard_is_due(const struct lane_place *place, uint64_t now_ns)
{
        if (place->placement.state != PLACEMENT_HOLDING || place->at == PLACE_FREE)
                return false;
        return place->guard.cpu != place->at ||
               now_ns - place->guard.begin_ns >= LIMIT_PLACE_GUARD_MS * UINT64_C(1000000);
}

/* A trial leaves the place for a few windows, and is no reason to begin anew. */
static int guard_tick(struct lane_place *place, uint64_t now_ns)
{
        struct lane_place_guard before, now = {.cpu = place->at, .begin_ns = now_ns};
        int r;

        if (!guard_is_due(place, now_ns))
                return 0;
        before = place->guard;
        r = place_host_idle(place->host, now.idle_ns);
        if (r < 0)
                return r;
        now.own_ns = used_by_us(place);
        now.gaps_ns = gaps_until(&place->gaps, now_ns);
        place->guard = now;
        if (before.cpu == now.cpu)
                guard_compare(&before, place);
        return 0;
}

void lane_place_tick(struct lane *lane)
{
        struct lane_place *place = &lane->place;
        uint64_t now_ns = lane_clock_ns();

        if (!lane_place_ticks(lane))
                return;
        placement_tick(&place->placement, now_ns, lane->completed, bytes_of(lane), lane_n_busy(lane) == 0);
        if (guard_tick(place, now_ns) < 0) { /* nobody may be confined where others cannot be seen */
                lane_place_end(lane);
                return;
        }
        place_follow(lane);
}
