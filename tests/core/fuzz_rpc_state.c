/* Fuzz target of the broker's side of the channel: what two workers may say, in any order, on control and lanes,
 * while a guest posts, stops, resets and changes its memory. Real devices, supervisors and lanes; no threads.
 *
 * Input: steps of one byte (the lowest bit: which device; the rest: what happens) and the bytes that this step
 * wants; bytes that are not there are zeros. An input that begins with 0xff has an IOMMU before its devices, and a byte a device says
 * whether translations outlive a reset.
 *
 * Judged after every step: no byte of the guest changes outside the writable part of a request that is posted;
 * what was given back or dropped never changes again; used elements name posted heads and lengths that fit, and
 * as many bytes are a worker's or zeros, none the guest's own. A
 * worker that names what it does not hold, or says Hello or Done out of turn, is finished within that step; one
 * that kept to the rules is not. Behind an IOMMU: nothing changes where no translation lets the device write; and after the last step,
 * when all is translated and the workers are honest, what is posted is used, or its queue is broken.
 * TRUST: the input is hostile; it goes to the broker's core.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/features.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "tests/core/model_guest.h"
#include "tests/core/rpc_keeper.h"
#include "tests/core/rpc_words.h"
#include "tests/core/stage.h"

#define SLOTS      8u   /* chains that a queue's guest may have posted */
#define SLOT_BYTES 512u /* readable half, writable half */
#define HALF       256u
#define MAX_STEPS  200u
#define END_TURNS  24u
#define TRANSLATED 0xff /* the first byte of an input: the devices have an IOMMU */
#define N_QUEUES   (STAGE_DEVICES * STAGE_QUEUES)
#define PLACE      (MODEL_BUFFERS)
#define PLACES     (N_QUEUES * SLOTS * SLOT_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stage stage;
static struct model_guest guest;
static uint8_t pattern[PLACES]; /* what is there at first */
static uint8_t frozen[PLACES];  /* what must be in memory, but for the writable parts of what is posted */

static bool translated; /* the devices have an IOMMU before them */
static struct rpc_keeper keeper[STAGE_DEVICES];
static uint8_t before_step[PLACES];
static bool part_of_memory[STAGE_DEVICES]; /* it has not all of it */

static struct front_queue {
        bool running, stopping;
        uint32_t base;
        struct {
                bool posted;
                uint16_t head;
                uint32_t writable;
        } slots[SLOTS];
} queues[N_QUEUES];

/* ---- the guest ---- */

static uint64_t slot_offset(unsigned queue, unsigned slot)
{
        return (uint64_t)(queue * SLOTS + slot) * SLOT_BYTES;
}

/* What is there now must stay. */
static void freeze(unsigned queue, unsigned slot)
{
        uint64_t at = slot_offset(queue, slot);

        memcpy(frozen + at, model_at(&guest, PLACE + at), SLOT_BYTES);
        queues[queue].slots[slot].posted = false;
}

static void check_memory(void)
{
        for (unsigned q = 0; q < N_QUEUES; q++)
                for (unsigned s = 0; s < SLOTS; s++) {
                        uint64_t at = slot_offset(q, s);
                        uint32_t open = queues[q].slots[s].posted ? queues[q].slots[s].writable : 0;
                        const uint8_t *now = model_at(&guest, PLACE + at);

                        assert(memcmp(now, frozen + at, HALF) == 0);
                        assert(memcmp(now + HALF + open, frozen + at + HALF + open, HALF - open) == 0);
                }
}

static void reap(unsigned q)
{
        uint32_t len;
        uint16_t head;

        while (model_reap(&guest, q, &head, &len)) {
                unsigned s = 0;

                while (s < SLOTS && !(queues[q].slots[s].posted && queues[q].slots[s].head == head))
                        s++;
                assert(s < SLOTS && len <= queues[q].slots[s].writable);
                for (uint32_t i = 0; i < len; i++) /* those of the pattern have their highest bit set */
                        assert(*model_at(&guest, PLACE + slot_offset(q, s) + HALF + i) < 0x80);
                freeze(q, s);
        }
}

static void forget_all(unsigned q)
{
        reap(q);
        for (unsigned s = 0; s < SLOTS; s++)
                freeze(q, s);
        model_queue_reset(&guest, q);
        queues[q] = (struct front_queue){.running = false};
}

static void post(unsigned q)
{
        struct model_buffer buffers[3];
        unsigned s = 0, n = 0;
        uint32_t readable = rpc_next(), writable = rpc_next();
        uint64_t one = 1, at;

        while (s < SLOTS && queues[q].slots[s].posted)
                s++;
        if (s == SLOTS || guest.queues[q].n_free < 3 || readable + writable == 0)
                return;
        at = PLACE + slot_offset(q, s);
        memcpy(frozen + slot_offset(q, s), pattern + slot_offset(q, s), SLOT_BYTES);
        memcpy(model_at(&guest, at), pattern + slot_offset(q, s), SLOT_BYTES);
        memcpy(before_step + slot_offset(q, s), pattern + slot_offset(q, s), SLOT_BYTES);
        if (readable > 0)
                buffers[n++] = (struct model_buffer){at, readable, false};
        if (writable > 1)
                buffers[n++] = (struct model_buffer){at + HALF, writable / 2, true};
        if (writable > 0)
                buffers[n++] = (struct model_buffer){at + HALF + writable / 2, writable - writable / 2, true};
        queues[q].slots[s].head = model_post(&guest, q, buffers, n);
        queues[q].slots[s].posted = true;
        queues[q].slots[s].writable = writable;
        assert(write(guest.queues[q].kick, &one, sizeof(one)) == sizeof(one));
}

/* ---- the front end ---- */

/* With an IOMMU (the input says so): nothing changes where a device may not write. */
static void check_translated(void)
{
        for (unsigned q = 0; translated && q < N_QUEUES; q++) {
                uint64_t at = slot_offset(q, 0);

                assert(rpc_keeper_may_write(&keeper[q / STAGE_QUEUES], PLACE + at) ||
                       memcmp(before_step + at, model_at(&guest, PLACE + at), SLOTS * SLOT_BYTES) == 0);
        }
}

static void on_stopped(void *context, uint32_t base)
{
        struct front_queue *queue = context;

        queue->running = queue->stopping = false;
        queue->base = base;
}

static void on_written(void *context, int error)
{
        (void)context;
        (void)error;
}

static void start_or_stop(unsigned device, unsigned index, bool start)
{
        unsigned q = device * STAGE_QUEUES + index;
        const struct model_queue *model = &guest.queues[q];

        if (start && !queues[q].running) {
                if (device_is_ready(stage.device[device]) &&
                    device_queue_start(stage.device[device], index, &model->layout, queues[q].base,
                                       model->kick, model->call) == 0) {
                        queues[q].running = true;
                        keeper[device].broken &= ~(UINT64_C(1) << index);
                }
        } else if (!start && queues[q].running && !queues[q].stopping) {
                queues[q].stopping = true;
                device_queue_stop(stage.device[device], index, on_stopped, &queues[q]);
        }
}

static void reset(unsigned device)
{
        device_reset(stage.device[device]);
        rpc_keeper_reset(&keeper[device]);
        for (unsigned i = 0; i < STAGE_QUEUES; i++)
                forget_all(device * STAGE_QUEUES + i);
}

static void set_memory(unsigned device)
{
        struct guest_memory *low = NULL;
        uint32_t how = rpc_below(3);

        part_of_memory[device] = how != 0;
        switch (how) {
        case 0:
                device_set_memory(stage.device[device], guest.memory);
                return;
        case 1:
                low = model_guest_snapshot(&guest, false);
                device_set_memory(stage.device[device], low);
                guest_memory_unref(low);
                return;
        default:
                device_set_memory(stage.device[device], NULL);
        }
}

static void commit(unsigned device, uint64_t without)
{
        if (device_is_ready(stage.device[device]))
                (void)device_commit_features(
                    stage.device[device], device_features(stage.device[device]) & ~without &
                                              ~FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT)); /* rings are split */
}

static void write_config(unsigned device)
{
        uint8_t value = rpc_next();
        uint32_t offset = rpc_below(40);

        if (device_is_ready(stage.device[device]))
                (void)device_config_write(stage.device[device], offset, 1, &value, on_written, NULL);
}

/* ---- what a worker says on control ---- */

/* The oldest question; or a number that nobody has asked with. */
static bool say_done(unsigned device, uint8_t twist)
{
        struct stage_worker *worker = &stage.worker[device];
        struct control_to_broker message = {.kind = CONTROL_DONE};
        bool right = worker->n_pending > 0 && twist < 8;

        message.done.seq = right ? worker->pending[0] : 1000000u + twist;
        message.done.error = twist == 1 ? -EINVAL : 0;
        if (right)
                memmove(worker->pending, worker->pending + 1,
                        --worker->n_pending * sizeof(worker->pending[0]));
        stage_say(&stage, device, &message);
        return right;
}

static void say_other(unsigned device)
{
        uint64_t values[3] = {rpc_next(), rpc_next(), 0};
        uint8_t blob[64] = {rpc_next()};
        struct control_to_broker message = {.kind = CONTROL_STATS};

        switch (rpc_below(4)) {
        case 0:
                message.kind = CONTROL_CONFIG_SPACE;
                message.config_space.n = 1 + rpc_below(3);
                message.config_space.value = values;
                break;
        case 1:
                message.kind = CONTROL_PUT_STATE;
                message.put_state.bytes = blob;
                message.put_state.len = rpc_below(sizeof(blob) + 1);
                break;
        case 2:
                message.kind = CONTROL_LOG;
                message.log.level = rpc_below(4);
                message.log.text = "words\x1b\n";
                break;
        default:
                break;
        }
        stage_say(&stage, device, &message);
}

/* ---- what a worker says on its lane ---- */

static void drop_held(struct stage_worker *worker, uint64_t id)
{
        for (unsigned i = 0; i < worker->n_held; i++)
                if (worker->held[i].id == id) {
                        worker->held[i] = worker->held[--worker->n_held];
                        worker->last_id = id;
                        return;
                }
}

static bool complete(unsigned device)
{
        struct rpc_words words = rpc_choose(&stage, device, true);
        uint32_t placed[4] = {0};
        struct lane_to_broker message = {.kind = LANE_COMPLETE,
                                         .complete = {.n = words.n,
                                                      .id = words.id,
                                                      .status = words.status,
                                                      .offset = words.offset,
                                                      .len = words.len,
                                                      .placed = placed}};

        for (unsigned i = 0; i < words.n; i++) {
                uint8_t how = rpc_next();

                words.status[i] = how == 255 ? WIRE_STATUS_PROTOCOL : WIRE_STATUS_OK;
                placed[i] = how == 254; /* no request has a place here */
                words.fair &= how != 254;
                for (unsigned k = 0; k < i; k++)
                        words.fair &= words.id[i] != words.id[k];
        }
        stage_say_on_lane(&stage, device, &message, words.total, 0x77);
        for (unsigned i = 0; i < words.n && words.fair; i++)
                drop_held(&stage.worker[device], words.id[i]);
        return words.fair;
}

static bool mem_write(unsigned device)
{
        struct rpc_words words = rpc_choose(&stage, device, true);
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = words.n, .id = words.id, .offset = words.offset, .len = words.len}};

        stage_say_on_lane(&stage, device, &message, words.total, 0x66);
        return words.fair && !rpc_has_empty(&words);
}

static bool mem_read(unsigned device)
{
        struct rpc_words words = rpc_choose(&stage, device, false);
        struct lane_to_broker message = {.kind = LANE_MEM_READ,
                                         .mem_read = {.seq = 1,
                                                      .n = words.n,
                                                      .id = words.id,
                                                      .offset = words.offset,
                                                      .len = words.len,
                                                      .total = words.total}};
        bool fair = words.fair && !rpc_has_empty(&words);

        stage.worker[device].n_unread += fair;
        stage_say_on_lane(&stage, device, &message, 0, 0);
        return fair;
}

static void say_raw(unsigned device)
{
        uint8_t bytes[64];
        size_t len = rpc_below(sizeof(bytes) + 1);
        bool on_lane = rpc_next() & 1;

        for (size_t i = 0; i < len; i++)
                bytes[i] = rpc_next();
        stage.worker[device].blurred = true;
        stage_say_bytes(&stage, device, on_lane, bytes, len);
}

/* ---- steps ---- */

/* As an honest worker and an ordinary front end. */
static void bring_up(unsigned device)
{
        for (unsigned i = 0; i < 12 && !stage_serves(&stage, device); i++) {
                stage_exit(&stage, device);
                stage_turn(&stage);
                stage_sleep(&stage, 2500);
                stage_spawn(&stage, device);
                stage_turn(&stage);
                rpc_say_hello(&stage, device, 0);
                stage_turn(&stage);
                while (stage.worker[device].running && stage.worker[device].n_pending > 0)
                        say_done(device, 0);
                stage_turn(&stage);
        }
        device_set_memory(stage.device[device], guest.memory);
        part_of_memory[device] = false;
        commit(device, UINT64_C(1) << 29);
        for (unsigned i = 0; i < STAGE_QUEUES; i++)
                start_or_stop(device, i, true);
        stage_turn(&stage);
        while (stage.worker[device].running && stage.worker[device].n_pending > 0)
                say_done(device, 0);
}

enum verdict {
        ANYTHING, /* no judgement */
        FAIR,     /* it must still serve */
        FOUL,     /* it must not */
};

/* Is this worker one of which we know what must become of it? */
static bool is_clear(unsigned device)
{
        const struct stage_worker *worker = &stage.worker[device];

        return stage_serves(&stage, device) && worker->running && !worker->killed && !worker->blurred &&
               worker->control_fd >= 0 && worker->lane_ends.in >= 0;
}

static enum verdict say(unsigned device, unsigned what)
{
        bool clear = is_clear(device), fair = false;

        switch (what) {
        case 0:
                fair = complete(device);
                break;
        case 1:
                fair = mem_write(device);
                break;
        case 2:
                fair = mem_read(device);
                break;
        case 3:
                rpc_say_hello(&stage, device, (uint8_t)rpc_below(8));
                break;
        default:
                (void)say_done(device, (uint8_t)(8 + rpc_next() % 8));
                break;
        }
        if (!clear)
                return ANYTHING;
        return fair ? FAIR : FOUL;
}

static enum verdict step(unsigned device, unsigned what)
{
        bool clear;

        switch (what) {
        case 0:
        case 1:
                post(device * STAGE_QUEUES + (what & 1));
                break;
        case 2:
        case 3:
        case 4:
        case 5:
                return say(device, what - 2);
        case 6:
                return say(device, 4);
        case 7:
                clear = is_clear(device);
                return !say_done(device, rpc_next()) && clear ? FOUL : ANYTHING;
        case 8:
                say_other(device);
                break;
        case 9:
                say_raw(device);
                break;
        case 10:
                bring_up(device);
                break;
        case 11:
                stage_spawn(&stage, device);
                break;
        case 12:
                stage_refuse_spawn(&stage, device, rpc_next() & 1 ? -EBUSY : -EINVAL);
                break;
        case 13:
                stage_exit(&stage, device);
                break;
        case 14:
                stage_sleep(&stage, 16u * rpc_next());
                break;
        case 15:
                commit(device, rpc_next() & 1 ? UINT64_C(1) << 29 : ~UINT64_C(0) << 33 | UINT64_C(1) << 29);
                break;
        case 16:
        case 17:
                start_or_stop(device, rpc_below(STAGE_QUEUES), what == 16);
                break;
        case 18:
                reset(device);
                break;
        case 19:
                set_memory(device);
                break;
        case 20:
                write_config(device);
                break;
        default:
                stage_hang_up(&stage, device, what & 1);
                break;
        }
        return ANYTHING;
}

static void keeper_step(unsigned device, unsigned what)
{
        uint8_t where = rpc_next(), how = rpc_next();

        rpc_keeper_step(&keeper[device], what, where, how);
}

/* All that is asked for is translated, until nothing more is. */
static void settle(unsigned device)
{
        for (unsigned i = 0; translated && i < 16; i++) {
                rpc_keeper_answer_all(&keeper[device]);
                stage_turn(&stage);
        }
        assert(!translated || keeper[device].n_open == 0);
}

static void run_step(void)
{
        uint8_t byte = rpc_next();
        unsigned device = byte & 1, what = (byte >> 1) % (translated ? 32u : 24u);
        enum verdict verdict = ANYTHING;

        if (translated)
                memcpy(before_step, model_at(&guest, PLACE), PLACES);
        if (what < 24)
                verdict = step(device, what);
        else
                keeper_step(device, what - 24);
        stage_turn(&stage);
        check_translated();
        /* What is wrong may wait for a page before it is looked at. */
        if (verdict == FOUL && stage_serves(&stage, device))
                settle(device);
        assert(verdict != FAIR || stage_serves(&stage, device));
        assert(verdict != FOUL || !stage_serves(&stage, device));
        for (unsigned q = 0; q < N_QUEUES; q++)
                reap(q);
        check_memory();
}

/* libuv opens descriptors for the whole process with its first loop. */
static void once(void)
{
        static bool done;
        uv_loop_t loop;

        if (done)
                return;
        done = true;
        log_init("fuzz", LOG_LEVEL_ERROR);
        model_guest_init(&guest, 32, false);
        assert(arena_init(&stage.arena, LIMIT_ARENA) == 0);
        for (size_t i = 0; i < PLACES; i++)
                pattern[i] = (uint8_t)(0x80 | (i * 5 + i / 251));
        assert(uv_loop_init(&loop) == 0 && uv_loop_close(&loop) == 0);
}

static int lowest_free(void)
{
        int fd = dup(guest.fd);

        close(fd);
        return fd;
}

static void begin_iommu(unsigned device)
{
        uint64_t places[KEEPER_PLACES];

        for (unsigned i = 0; i < KEEPER_PLACES; i++) {
                unsigned q = device * STAGE_QUEUES + i % STAGE_QUEUES;
                const struct queue_layout *layout = &guest.queues[q].layout;
                const uint64_t parts[] = {layout->desc.v, layout->avail.v, layout->used.v,
                                          PLACE + slot_offset(q, 0)};

                places[i] = parts[i / STAGE_QUEUES];
        }
        rpc_keeper_begin(&keeper[device], stage.device[device], MODEL_LOW, places, rpc_next() & 1);
}

static void begin(void)
{
        memcpy(frozen, pattern, PLACES);
        memset(part_of_memory, 0, sizeof(part_of_memory));
        memcpy(model_at(&guest, PLACE), frozen, PLACES);
        for (unsigned q = 0; q < N_QUEUES; q++) {
                uint64_t count;

                model_queue_reset(&guest, q);
                queues[q] = (struct front_queue){.running = false};
                (void)!read(guest.queues[q].kick, &count, sizeof(count));
                (void)!read(guest.queues[q].call, &count, sizeof(count));
        }
        stage_begin(&stage);
        for (unsigned d = 0; translated && d < STAGE_DEVICES; d++)
                begin_iommu(d);
}

/* As an honest worker: it answers all that it is asked and holds. */
static void answer_held(unsigned device)
{
        struct stage_worker *worker = &stage.worker[device];
        uint32_t zero = 0;

        while (worker->running && worker->n_pending > 0)
                say_done(device, 0);
        while (is_clear(device) && worker->n_held > 0) {
                uint64_t id = worker->held[0].id;
                const struct lane_to_broker message = {
                    .kind = LANE_COMPLETE,
                    .complete = {.n = 1, .id = &id, .offset = &zero, .len = &zero, .status = &zero}};

                drop_held(worker, id);
                stage_say_on_lane(&stage, device, &message, 0, 0);
                stage_turn(&stage);
        }
}

static void check_done(unsigned device)
{
        for (unsigned i = 0; i < STAGE_QUEUES; i++) {
                struct front_queue *queue = &queues[device * STAGE_QUEUES + i];

                reap(device * STAGE_QUEUES + i);
                for (unsigned s = 0; s < SLOTS; s++)
                        assert(!queue->slots[s].posted || !queue->running || queue->stopping ||
                               (keeper[device].broken >> i & 1));
        }
}

/* Nothing is left over: what is posted is done, or its queue is broken. */
static void end_well(unsigned device)
{
        if (!is_clear(device))
                return;
        if (part_of_memory[device]) /* else it is left alone: each change is a look at what is missing */
                device_set_memory(stage.device[device], guest.memory);
        for (unsigned i = 0; i < END_TURNS && is_clear(device); i++) {
                settle(device);
                answer_held(device);
                stage_sleep(&stage, 10);
                stage_turn(&stage);
        }
        if (is_clear(device))
                check_done(device);
}

static void finish(void)
{
        for (unsigned d = 0; translated && d < STAGE_DEVICES; d++)
                end_well(d);
}

/* Else nothing is tested: an honest worker serves. */
static void try_stage(void)
{
        static bool done;

        if (done)
                return;
        done = true;
        begin();
        bring_up(0);
        assert(stage_serves(&stage, 0) && queues[0].running);
        stage_end(&stage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int before;

        once();
        try_stage();
        before = lowest_free();
        translated = size > 0 && data[0] == TRANSLATED;
        rpc_input(data + translated, size - translated);
        begin();
        for (unsigned i = 0; i < MAX_STEPS && rpc_is_more(); i++)
                run_step();
        finish();
        stage_end(&stage);
        assert(lowest_free() == before);
        return 0;
}
