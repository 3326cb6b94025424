/* What a front end says about a ring, in every state of it; and memory and descriptors that go away or are not
 * what they seem while it runs. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "tests/hostile_guest/ring_case.h"

#define SERVED  OUTCOME_SERVED
#define BROKEN  OUTCOME_BROKEN
#define DROPPED OUTCOME_DROPPED
#define IGNORED OUTCOME_IGNORED

#define QUIET_MS 20

static int say(struct attack *attack, uint32_t request, const void *payload, uint32_t len, int fd)
{
        return front_end_set(&attack->front, request, payload, len, &fd, fd >= 0, true);
}

static int say_state(struct attack *attack, uint32_t request, uint32_t num)
{
        struct vhost_user_vring_state state = {.num = num};

        return say(attack, request, &state, sizeof(state), -1);
}

static int start(struct attack *attack)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        return attack_start(attack, 0, &plan);
}

/* One ordinary request. */
static enum outcome request(struct oracle *oracle, struct attack *attack)
{
        static const struct desc_row blk[] = {BLK_READ}, rng[] = {RNG_FILL};
        bool is_blk = attack->target == TARGET_BLK;
        uint32_t id, len;
        unsigned used = attack_used(attack, 0, &id, &len);

        attack_blk_header(attack, HEADER, BLK_IN, 0);
        for (unsigned i = 0; i < (is_blk ? array_size(blk) : array_size(rng)); i++)
                attack_desc(attack, 0, i, is_blk ? &blk[i] : &rng[i]);
        attack_offer(attack, 0, 0);
        attack_show(attack, 0, attack->offered[0]);
        (void)attack_kick(attack, 0); /* a kick that is no eventfd cannot be written */
        return attack_judge(attack, 0, used + 1, oracle->judge_ms);
}

static void break_ring(struct attack *attack)
{
        attack_show(attack, 0, (uint16_t)(attack->offered[0] + 0x4000));
        (void)attack_kick(attack, 0);
}

/* ---- messages about a ring, in its states ---- */

enum ring_at { AT_EARLY = 0, AT_RUNNING, AT_BROKEN, AT_DISABLED, AT_STOPPED, AT_RESET, AT_COUNT_ };

static const struct {
        const char *name;
        enum outcome expect; /* SERVED: the message is answered with 0 */
} states[AT_COUNT_] = {
    [AT_EARLY] = {"before_features", DROPPED},     [AT_RUNNING] = {"while_it_runs", DROPPED},
    [AT_BROKEN] = {"when_it_is_broken", DROPPED},  [AT_DISABLED] = {"when_it_is_disabled", SERVED},
    [AT_STOPPED] = {"when_it_is_stopped", SERVED}, [AT_RESET] = {"after_a_reset", DROPPED},
};

static bool bring_to(struct oracle *oracle, struct attack *attack, enum ring_at state)
{
        uint64_t features;
        uint16_t base;

        if (state == AT_EARLY)
                return true;
        if (start(attack) < 0 || request(oracle, attack) != SERVED)
                return false;
        switch (state) {
        case AT_BROKEN:
                break_ring(attack);
                return attack_judge(attack, 0, 0, oracle->judge_ms) == BROKEN;
        case AT_DISABLED:
                return say_state(attack, VHOST_USER_SET_VRING_ENABLE, 0) == 0;
        case AT_STOPPED:
                return attack_stop(attack, 0, &base) == 0;
        case AT_RESET:
                return front_end_reset_device(&attack->front) == 0 &&
                       front_end_get_u64(&attack->front, VHOST_USER_GET_FEATURES, &features) == 0;
        default:
                return true;
        }
}

static const struct {
        uint32_t request;
        const char *name;
} messages[] = {{VHOST_USER_SET_VRING_NUM, "size"},
                {VHOST_USER_SET_VRING_ADDR, "addresses"},
                {VHOST_USER_SET_VRING_BASE, "base"},
                {VHOST_USER_SET_VRING_KICK, "kick"}};

static int say_geometry(struct attack *attack, uint32_t request)
{
        struct vhost_user_vring_addr addr = {.descriptor = guest_map_user(attack->map, RING(0)),
                                             .available = guest_map_user(attack->map, RING_AVAIL(0)),
                                             .used = guest_map_user(attack->map, RING_USED(0))};
        uint64_t index = 0;

        if (request == VHOST_USER_SET_VRING_ADDR)
                return say(attack, request, &addr, sizeof(addr), -1);
        if (request == VHOST_USER_SET_VRING_KICK)
                return say(attack, request, &index, sizeof(index), attack->front.rings[0].kick);
        return say_state(attack, request, 8);
}

static enum outcome run_state(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        uint32_t message = messages[c->arg % array_size(messages)].request;
        int r;

        if (!bring_to(oracle, attack, (enum ring_at)(c->arg / array_size(messages))))
                return OUTCOME_NOTHING;
        r = say_geometry(attack, message);
        if (r == -EPIPE || r == -ECONNRESET)
                return DROPPED;
        return r == 0 && attack_lives(attack) ? SERVED : OUTCOME_NOTHING;
}

static void list_states(struct ring_list *list)
{
        for (unsigned i = 0; i < AT_COUNT_ * array_size(messages); i++) {
                unsigned state = i / array_size(messages);
                const struct ring_case c = {.group = "state",
                                            .target = i % 2 ? TARGET_RNG : TARGET_BLK,
                                            .expect = states[state].expect,
                                            .flags = state == AT_EARLY ? CASE_EARLY : 0,
                                            .run = run_state,
                                            .arg = i};

                /* A disabled ring has its kick descriptor already. */
                ring_list_add_named(list, &c, "%s_%s", messages[i % array_size(messages)].name,
                                    states[state].name);
        }
}

/* ---- stop and go ---- */

static enum outcome run_disabled(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        if (start(attack) < 0 || say_state(attack, VHOST_USER_SET_VRING_ENABLE, 0) < 0)
                return OUTCOME_NOTHING;
        attack_offer(attack, 0, 0xffff);
        attack_show(attack, 0, attack->offered[0]);
        (void)attack_kick(attack, 0);
        if (attack_judge(attack, 0, 1, QUIET_MS) != OUTCOME_NOTHING || !attack_lives(attack))
                return OUTCOME_NOTHING;
        if (c->expect == IGNORED)
                return IGNORED;
        return say_state(attack, VHOST_USER_SET_VRING_ENABLE, 1) < 0
                   ? OUTCOME_NOTHING
                   : attack_judge(attack, 0, 1, oracle->judge_ms);
}

/* Broken, stopped, started again: good again. */
static enum outcome run_again(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);

        for (unsigned i = 0; i < c->arg; i++) {
                uint16_t base;

                if (attack_start(attack, 0, &plan) < 0 || request(oracle, attack) != SERVED)
                        return OUTCOME_NOTHING;
                break_ring(attack);
                if (attack_judge(attack, 0, 0, oracle->judge_ms) != BROKEN ||
                    attack_stop(attack, 0, &base) < 0 || base != attack->offered[0])
                        return OUTCOME_NOTHING;
                plan.base = base;
        }
        attack->offered[0] = (uint16_t)plan.base;
        return attack_start(attack, 0, &plan) < 0 ? OUTCOME_NOTHING : request(oracle, attack);
}

/* A driver that says its features anew when its device is broken. */
static enum outcome run_healed(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        uint64_t features = attack->front.features;
        uint16_t base;

        (void)c;
        if (start(attack) < 0)
                return OUTCOME_NOTHING;
        break_ring(attack);
        if (attack_judge(attack, 0, 0, oracle->judge_ms) != BROKEN || attack_stop(attack, 0, &base) < 0 ||
            say(attack, VHOST_USER_SET_FEATURES, &features, sizeof(features), -1) < 0)
                return OUTCOME_NOTHING;
        guest_map_clear(attack->map);
        return start(attack) < 0 ? OUTCOME_NOTHING : request(oracle, attack);
}

static enum outcome run_kicks(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        if (start(attack) < 0)
                return OUTCOME_NOTHING;
        if (c->expect == BROKEN) {
                break_ring(attack);
                if (attack_judge(attack, 0, 0, oracle->judge_ms) != BROKEN)
                        return OUTCOME_NOTHING;
        }
        for (unsigned i = 0; i < c->arg; i++)
                (void)attack_kick(attack, 0);
        if (attack_judge(attack, 0, 1, QUIET_MS) != OUTCOME_NOTHING || !attack_lives(attack))
                return OUTCOME_NOTHING;
        return (enum outcome)c->expect;
}

/* ---- memory that goes away ---- */

#define OWN      UINT64_C(0x400000000) /* a region of this session's own */
#define OWN_SIZE UINT64_C(0x10000)

static int say_table(struct attack *attack, unsigned n)
{
        struct vhost_user_memory_table table = {.n_regions = n};
        int fds[REGION_COUNT_];

        for (unsigned i = 0; i < n; i++) { /* from the end: MAIN goes first */
                const struct guest_ram *ram = &attack->map->regions[REGION_COUNT_ - 1 - i];

                fds[i] = ram->fd;
                table.regions[i] = (struct vhost_user_memory_region){.guest_address = ram->guest_address,
                                                                     .size = ram->size,
                                                                     .user_address = ram->user_address};
        }
        return front_end_set(&attack->front, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32 * n, fds, n, true);
}

static enum outcome run_table(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        if (start(attack) < 0 || request(oracle, attack) != SERVED || say_table(attack, (unsigned)c->arg) < 0)
                return OUTCOME_NOTHING;
        return c->arg < REGION_COUNT_ ? attack_judge(attack, 0, 0, oracle->judge_ms)
                                      : request(oracle, attack);
}

/* The table is said again and again while requests are on their way. */
static enum outcome run_tables(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        if (start(attack) < 0)
                return OUTCOME_NOTHING;
        for (unsigned i = 0; i < c->arg; i++) {
                uint32_t id, len;
                unsigned used = attack_used(attack, 0, &id, &len);

                if (request(oracle, attack) != SERVED)
                        return OUTCOME_NOTHING;
                attack_offer(attack, 0, 0);
                attack_show(attack, 0, attack->offered[0]);
                if (attack_kick(attack, 0) < 0 || say_table(attack, REGION_COUNT_) < 0 ||
                    attack_judge(attack, 0, used + 2, oracle->judge_ms) != SERVED)
                        return OUTCOME_NOTHING;
        }
        return SERVED;
}

/* A region of its own under the ring (0), its table (1) or its data (2); its file is cut to nothing. */
static enum outcome run_truncated(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        struct guest_ram own;
        enum outcome outcome = OUTCOME_NOTHING;

        if (guest_ram_init(&own, OWN_SIZE, OWN) < 0)
                return OUTCOME_NOTHING;
        if (front_end_add_region(&attack->front, &own) == 0 && attack_start(attack, 0, &plan) == 0 &&
            request(oracle, attack) == SERVED && ftruncate(own.fd, 0) == 0) {
                bool table = c->arg == 1;

                attack_desc(attack, 0, 0, &(struct desc_row){OWN, 48, table ? I : W, 0});
                attack_offer(attack, 0, 0);
                attack_show(attack, 0, attack->offered[0]);
                outcome = attack_kick(attack, 0) < 0 ? OUTCOME_NOTHING
                                                     : attack_judge(attack, 0, 2, oracle->judge_ms);
        }
        guest_ram_done(&own);
        return outcome;
}

/* The ring's own memory is cut; its addresses go over the wire by hand, since the map does not know the region. */
static enum outcome run_ring_truncated(struct oracle *oracle, struct attack *attack,
                                       const struct ring_case *c)
{
        struct guest_ram own;
        enum outcome outcome = OUTCOME_NOTHING;
        struct vhost_user_vring_addr addr;
        uint64_t index = 0;

        if (guest_ram_init(&own, OWN_SIZE, OWN) < 0)
                return OUTCOME_NOTHING;
        addr = (struct vhost_user_vring_addr){.descriptor = guest_map_user(attack->map, RING(0)),
                                              .available = guest_map_user(attack->map, RING_AVAIL(0)),
                                              .used = guest_map_user(attack->map, RING_USED(0))};
        *(c->arg == 0 ? &addr.descriptor : c->arg == 1 ? &addr.available : &addr.used) = own.user_address;
        attack->ring[0] = ring_plan_at(0, RING_SIZE);
        if (front_end_add_region(&attack->front, &own) == 0 &&
            say_state(attack, VHOST_USER_SET_VRING_NUM, RING_SIZE) == 0 &&
            say(attack, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1) == 0 &&
            say(attack, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), attack->front.rings[0].kick) == 0 &&
            say_state(attack, VHOST_USER_SET_VRING_ENABLE, 1) == 0 && ftruncate(own.fd, 0) == 0)
                outcome = request(oracle, attack);
        guest_ram_done(&own);
        return outcome;
}

/* ---- descriptors that are not what they seem ---- */

enum event_trick {
        TRICK_CALL_FULL = 0,
        TRICK_CALL_BLOCKS,
        TRICK_ERR_BLOCKS,
        TRICK_CALL_NONE,
        TRICK_KICK_EPOLL,
        TRICK_KICK_SIGNAL,
        TRICK_KICK_TIMER,
        TRICK_CALL_EPOLL,
        TRICK_CHANNEL_BLOCKS
};

static void fill_event(int fd, bool blocks)
{
        uint64_t most = UINT64_MAX - 1;

        (void)!write(fd, &most, sizeof(most));
        if (blocks) /* the flag belongs to the open file, which both sides share */
                (void)fcntl(fd, F_SETFL, 0);
}

static int epoll_that_is_ready(void)
{
        int event = eventfd(1, EFD_CLOEXEC), fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event interest = {.events = EPOLLIN};

        /* The event stays open inside the epoll as long as a descriptor of it does: it is given away here. */
        (void)epoll_ctl(fd, EPOLL_CTL_ADD, event, &interest);
        return fd;
}

static int timer_that_runs(void)
{
        const struct itimerspec often = {.it_interval = {.tv_nsec = 100000}, .it_value = {.tv_nsec = 1}};
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

        (void)timerfd_settime(fd, 0, &often, NULL);
        return fd;
}

static int signals(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        return signalfd(-1, &set, SFD_CLOEXEC);
}

/* A kick of another kind, before the ring starts. */
static int give_kick(struct attack *attack, int fd)
{
        close(attack->front.rings[0].kick);
        attack->front.rings[0].kick = fd;
        return start(attack);
}

/* A back-end channel that would block, and half an answer on it. */
static int give_channel(struct attack *attack)
{
        const uint32_t half[3] = {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8};
        int pair[2], r;

        if (fd_stream_pair(pair) < 0)
                return -EMFILE;
        r = say(attack, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
        if (r == 0 && (fcntl(pair[1], F_SETFL, 0) < 0 || write(pair[0], half, sizeof(half)) != sizeof(half)))
                r = -errno;
        close(pair[1]);
        close(attack->front.backend);
        attack->front.backend = pair[0];
        return r;
}

static int play_trick(struct attack *attack, enum event_trick trick)
{
        uint64_t none = VHOST_USER_VRING_NOFD, index = 0;
        int fd = -1, r;

        switch (trick) {
        case TRICK_CALL_NONE:
                return say(attack, VHOST_USER_SET_VRING_CALL, &none, sizeof(none), -1);
        case TRICK_CALL_EPOLL:
                fd = epoll_that_is_ready();
                r = say(attack, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), fd);
                close(fd);
                return r;
        case TRICK_CHANNEL_BLOCKS:
                return give_channel(attack);
        case TRICK_ERR_BLOCKS:
                fill_event(attack->front.rings[0].err, true);
                return 0;
        default:
                fill_event(attack->front.rings[0].call, trick == TRICK_CALL_BLOCKS);
                return 0;
        }
}

static enum outcome run_trick(struct oracle *oracle, struct attack *attack, const struct ring_case *c)
{
        enum event_trick trick = (enum event_trick)c->arg;
        int r;

        if (trick == TRICK_KICK_EPOLL || trick == TRICK_KICK_SIGNAL || trick == TRICK_KICK_TIMER) {
                int fd = trick == TRICK_KICK_EPOLL    ? epoll_that_is_ready()
                         : trick == TRICK_KICK_SIGNAL ? signals()
                                                      : timer_that_runs();

                return give_kick(attack, fd) < 0 ? OUTCOME_NOTHING : request(oracle, attack);
        }
        r = start(attack);
        if (r == 0)
                r = play_trick(attack, trick);
        if (r < 0)
                return OUTCOME_NOTHING;
        if (trick != TRICK_ERR_BLOCKS) {
                enum outcome outcome = request(oracle, attack);

                return outcome != SERVED || attack_lives(attack) ? outcome : OUTCOME_NOTHING;
        }
        break_ring(attack);
        /* Nobody can be told; the broker must not wait until somebody can. */
        return attack_lives(attack) ? IGNORED : OUTCOME_NOTHING;
}

/* clang-format off */
static const struct ring_case cases[] = {
    {"state", "disabled_ring_is_not_looked_at", TARGET_BOTH, IGNORED, .run = run_disabled},
    {"state", "disabled_ring_is_judged_when_it_is_enabled", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_disabled},
    {"state", "broken_ring_serves_when_it_is_started_again", TARGET_BOTH, SERVED, .run = run_again, .arg = 5},
    {"state", "broken_device_serves_after_new_features", TARGET_BOTH, SERVED, .run = run_healed},
    {"state", "1000_kicks_for_nothing", TARGET_BOTH, IGNORED, .run = run_kicks, .arg = 1000},
    {"state", "1000_kicks_of_a_broken_ring", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_kicks, .arg = 1000},
    {"memory", "empty_table_under_a_ring", TARGET_BOTH, BROKEN, CASE_DIRTY | CASE_ALONE, .run = run_table, .arg = 0},
    {"memory", "table_without_the_ring", TARGET_BOTH, BROKEN, CASE_DIRTY | CASE_ALONE, .run = run_table, .arg = REGION_COUNT_ - 1},
    {"memory", "the_same_table_under_a_ring", TARGET_BOTH, SERVED, .run = run_table, .arg = REGION_COUNT_},
    {"memory", "30_tables_under_load", TARGET_BOTH, SERVED, .run = run_tables, .arg = 30},
    {"memory", "table_s_file_is_cut", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_truncated, .arg = 1},
    {"memory", "buffer_s_file_is_cut", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_truncated, .arg = 2},
    {"memory", "descriptors_file_is_cut", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_ring_truncated, .arg = 0},
    {"memory", "available_ring_s_file_is_cut", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_ring_truncated, .arg = 1},
    {"memory", "used_ring_s_file_is_cut", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_ring_truncated, .arg = 2},
    {"descriptor", "call_is_full", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_CALL_FULL},
    {"descriptor", "call_is_full_and_would_block", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_CALL_BLOCKS},
    {"descriptor", "err_is_full_and_would_block", TARGET_BOTH, IGNORED, .run = run_trick, .arg = TRICK_ERR_BLOCKS},
    {"descriptor", "channel_would_block", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_CHANNEL_BLOCKS},
    {"descriptor", "call_is_none", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_CALL_NONE},
    {"descriptor", "call_is_an_epoll", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_CALL_EPOLL},
    {"descriptor", "kick_is_an_epoll", TARGET_BOTH, BROKEN, CASE_DIRTY, .run = run_trick, .arg = TRICK_KICK_EPOLL},
    {"descriptor", "kick_is_a_timer", TARGET_BOTH, SERVED, .run = run_trick, .arg = TRICK_KICK_TIMER},
};
/* clang-format on */

void rings_state_list(struct ring_list *list)
{
        list_states(list);
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
