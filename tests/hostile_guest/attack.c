/* One hostile session. Owns its front end; the memory is shared by all sessions. TRUST: answers and the used
 * ring are those of the broker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/attack.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/hostile_guest/process_view.h"

#define LOOK_MS    1 /* the used ring tells nobody when it changes and the guest has asked for no signal */
#define STARVED_MS 10000

static double now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- beginning and end ---- */

int attack_connect(struct attack *attack, struct guest_map *map, enum target target, const char *path,
                   int deadline_ms)
{
        int r;

        memset(attack, 0, sizeof(*attack));
        attack->map = map;
        attack->target = target;
        attack->front.wire = (struct wire){.sock = -1, .deadline_ms = deadline_ms};
        attack->front.backend = -1;
        r = wire_connect(&attack->front.wire, path);
        return r < 0 ? r : front_end_negotiate(&attack->front, FRONT_END_QEMU_11_1, target == TARGET_BLK);
}

int attack_configure(struct attack *attack, uint64_t features)
{
        struct vhost_user_memory_table table = {.n_regions = REGION_COUNT_};
        int fds[REGION_COUNT_], r;

        for (unsigned i = 0; i < REGION_COUNT_; i++) {
                const struct guest_ram *ram = &attack->map->regions[i];

                fds[i] = ram->fd;
                table.regions[i] = (struct vhost_user_memory_region){.guest_address = ram->guest_address,
                                                                     .size = ram->size,
                                                                     .user_address = ram->user_address};
        }
        attack->front.features = features;
        r = front_end_set(&attack->front, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0,
                          true);
        if (r < 0)
                return r;
        return front_end_set(&attack->front, VHOST_USER_SET_MEM_TABLE, &table,
                             8 + REGION_COUNT_ * sizeof(table.regions[0]), fds, REGION_COUNT_, true);
}

void attack_pack(struct attack *attack, struct packed_view *views)
{
        for (unsigned i = 0; i < 2; i++) {
                packed_view_init(&views[i]);
                attack->packed[i] = &views[i];
        }
}

void attack_close(struct attack *attack)
{
        front_end_close(&attack->front);
        wire_close(&attack->front.wire);
}

/* ---- rings ---- */

struct ring_plan ring_plan_at(unsigned ring, uint32_t size)
{
        return (struct ring_plan){
            .size = size, .desc = RING(ring), .avail = RING_AVAIL(ring), .used = RING_USED(ring)};
}

static int set_state(struct attack *attack, uint32_t request, unsigned ring, uint32_t num)
{
        struct vhost_user_vring_state state = {.index = ring, .num = num};

        return front_end_set(&attack->front, request, &state, sizeof(state), NULL, 0, true);
}

static uint16_t used_index(const struct attack *attack, unsigned ring)
{
        return __atomic_load_n((uint16_t *)guest_map_at(attack->map, attack->ring[ring].used + 2, 2),
                               __ATOMIC_ACQUIRE);
}

int attack_start(struct attack *attack, unsigned ring, const struct ring_plan *plan)
{
        struct vhost_user_vring_addr addr = {.index = ring,
                                             .descriptor = guest_map_user(attack->map, plan->desc),
                                             .available = guest_map_user(attack->map, plan->avail),
                                             .used = guest_map_user(attack->map, plan->used)};
        uint32_t base = plan->base;
        uint64_t index = ring;
        int r;

        attack->ring[ring] = *plan;
        attack->offered[ring] = (uint16_t)plan->base;
        if (attack->packed[ring]) {
                base = packed_view_start(attack->packed[ring], attack->map, plan);
        } else {
                attack->used_first[ring] = used_index(attack, ring);
                attack_show(attack, ring, (uint16_t)base); /* a started ring is looked at without a kick */
        }
        r = set_state(attack, VHOST_USER_SET_VRING_NUM, ring, plan->size);
        if (r == 0)
                r = set_state(attack, VHOST_USER_SET_VRING_BASE, ring, base);
        if (r == 0)
                r = front_end_set(&attack->front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0,
                                  true);
        if (r == 0)
                r = front_end_set(&attack->front, VHOST_USER_SET_VRING_KICK, &index, sizeof(index),
                                  &attack->front.rings[ring].kick, 1, true);
        return r < 0 ? r : set_state(attack, VHOST_USER_SET_VRING_ENABLE, ring, 1);
}

int attack_stop(struct attack *attack, unsigned ring, uint16_t *ret_base)
{
        uint32_t base;
        int r;

        if (!attack->packed[ring])
                return front_end_stop_ring(&attack->front, ring, ret_base);
        r = front_end_stop_packed_ring(&attack->front, ring, &base);
        if (r < 0)
                return r;
        packed_view_stop(attack->packed[ring], base, attack->offered[ring]);
        *ret_base = attack->offered[ring];
        return 0;
}

/* ---- what the guest writes ---- */

void attack_row_bytes(const struct attack *attack, const struct desc_row *row, uint8_t *ret_bytes)
{
        if (attack->packed[0])
                packed_row_bytes(row, ret_bytes);
        else
                memcpy(ret_bytes, row, sizeof(*row));
}
_Static_assert(sizeof(struct desc_row) == 16, "virtio 1.3, 2.7.5; this machine is little endian");

void attack_desc(struct attack *attack, unsigned ring, unsigned index, const struct desc_row *row)
{
        if (attack->packed[ring])
                packed_view_desc(attack->packed[ring], index, row);
        else
                attack_table(attack, attack->ring[ring].desc, index, row);
}

void attack_table(struct attack *attack, uint64_t table, unsigned index, const struct desc_row *row)
{
        if (attack->packed[0] && table == attack->ring[0].desc)
                packed_view_desc(attack->packed[0], index, row);
        else
                attack_row_bytes(attack, row, guest_map_at(attack->map, table + 16 * (uint64_t)index, 16));
}

/* The available ring by its words: it may lie where no ring may. */
static uint16_t *avail_word(const struct attack *attack, unsigned ring, unsigned word)
{
        return guest_map_at(attack->map, attack->ring[ring].avail + 2 * (uint64_t)word, 2);
}

void attack_offer(struct attack *attack, unsigned ring, uint16_t head)
{
        if (attack->packed[ring])
                packed_view_offer(attack->packed[ring], head);
        else
                *avail_word(attack, ring, 2 + attack->offered[ring] % attack->ring[ring].size) = head;
        attack->offered[ring]++;
}

void attack_show(struct attack *attack, unsigned ring, uint16_t index)
{
        if (attack->packed[ring])
                packed_view_show(attack->packed[ring], attack->map, index);
        else
                __atomic_store_n(avail_word(attack, ring, 1), index, __ATOMIC_SEQ_CST);
}

int attack_kick(struct attack *attack, unsigned ring)
{
        return front_end_kick(&attack->front, ring);
}

void attack_blk_header(struct attack *attack, uint64_t at, uint32_t type, uint64_t sector)
{
        const struct {
                uint32_t type, reserved;
                uint64_t sector;
        } header = {.type = type, .sector = sector};

        memcpy(guest_map_at(attack->map, at, sizeof(header)), &header, sizeof(header));
}

/* ---- what became of it ---- */

uint16_t attack_used(const struct attack *attack, unsigned ring, uint32_t *ret_id, uint32_t *ret_len)
{
        const struct ring_plan *plan = &attack->ring[ring];
        uint16_t index, n;
        const uint32_t *element;

        if (attack->packed[ring])
                return packed_view_used(attack->packed[ring], attack->map, ret_id, ret_len);
        index = used_index(attack, ring);
        n = (uint16_t)(index - attack->used_first[ring]);
        *ret_id = *ret_len = 0;
        if (n == 0)
                return 0;
        element = guest_map_at(attack->map, plan->used + 4 + 8 * (uint64_t)((index - 1u) % plan->size), 8);
        *ret_id = element[0];
        *ret_len = element[1];
        return n;
}

static bool socket_closed(struct attack *attack)
{
        char byte;
        ssize_t n = recv(attack->front.wire.sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

        return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool attack_err_fired(struct attack *attack, unsigned ring)
{
        uint64_t count;

        return read(attack->front.rings[ring].err, &count, sizeof(count)) == sizeof(count);
}

static enum outcome wait_for_verdict(struct attack *attack, unsigned ring, unsigned wanted, double deadline)
{
        for (;;) {
                struct pollfd fds[] = {
                    {.fd = attack->front.rings[ring].err, .events = POLLIN},
                    {.fd = attack->front.wire.sock, .events = POLLIN},
                    {.fd = attack->listens ? attack->front.rings[ring].call : -1, .events = POLLIN}};
                uint64_t calls;
                bool late = now_ms() >= deadline;
                uint32_t id, len;

                (void)poll(fds, array_size(fds), LOOK_MS);
                if (fds[2].revents)
                        (void)!read(fds[2].fd, &calls, sizeof(calls));
                if (fds[0].revents && attack_err_fired(attack, ring))
                        return OUTCOME_BROKEN;
                if (fds[1].revents && socket_closed(attack))
                        return OUTCOME_DROPPED;
                if (wanted > 0 && attack_used(attack, ring, &id, &len) == wanted)
                        return OUTCOME_SERVED;
                if (late)
                        return OUTCOME_NOTHING;
        }
}

/* It is late. A host with more to run than processors may keep a thread waiting for that long: then it is the host that is late, and by
 * how much the kernel knows when the thread has run. */
static enum outcome judge_late(struct attack *attack, unsigned ring, unsigned wanted, double deadline)
{
        int64_t before = process_family_delay_us(attack->broker);
        enum outcome outcome = wait_for_verdict(attack, ring, wanted, deadline + STARVED_MS);
        double waited_ms = (double)(process_family_delay_us(attack->broker) - before) / 1e3;

        return now_ms() - waited_ms <= deadline ? outcome : OUTCOME_NOTHING;
}

enum outcome attack_judge(struct attack *attack, unsigned ring, unsigned wanted, int timeout_ms)
{
        double start = now_ms();
        enum outcome outcome = wait_for_verdict(attack, ring, wanted, start + timeout_ms);

        if (outcome == OUTCOME_NOTHING && attack->broker > 0 && timeout_ms >= ATTACK_JUDGE_MS)
                outcome = judge_late(attack, ring, wanted, start + timeout_ms);
        attack->judged_ms = MAX(attack->judged_ms, now_ms() - start);
        return outcome;
}

static int64_t not_run_us(const struct attack *attack)
{
        return attack->broker > 0 ? process_family_delay_us(attack->broker) : 0;
}

struct attack_patience attack_be_patient(struct attack *attack)
{
        struct attack_patience patience = {.start_ms = now_ms(),
                                           .not_run_us = not_run_us(attack),
                                           .deadline_ms = attack->front.wire.deadline_ms};

        attack->front.wire.deadline_ms += STARVED_MS;
        return patience;
}

bool attack_was_in_time(struct attack *attack, const struct attack_patience *patience)
{
        double took_ms = now_ms() - patience->start_ms;
        double not_run_ms = (double)(not_run_us(attack) - patience->not_run_us) / 1e3;

        attack->front.wire.deadline_ms = patience->deadline_ms;
        return took_ms - not_run_ms <= 2.0 * patience->deadline_ms;
}

bool attack_lives(struct attack *attack)
{
        uint64_t features;

        return front_end_get_u64(&attack->front, VHOST_USER_GET_FEATURES, &features) == 0;
}

bool attack_closed(struct attack *attack, int timeout_ms)
{
        return wire_wait_closed(&attack->front.wire, timeout_ms) == 0;
}
