/* The fake worker's end of the control channel.
 * Owns nothing; called by worker.c. TRUST: it is the worker; what the broker says is judged as a worker
 * would.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/core/features.h"
#include "proto/base/checked.h"
#include "proto/frame.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

static void control_send(struct sim_device *dev, const struct control_to_broker *message)
{
        struct sim_worker *worker = &dev->worker;
        uint8_t *at = worker->tx + worker->tx_len;
        size_t room = sizeof(worker->tx) - worker->tx_len;
        ssize_t len = room > FRAME_HEAD_BYTES
                          ? control_make_to_broker(message, at + FRAME_HEAD_BYTES, room - FRAME_HEAD_BYTES)
                          : -1;
        struct frame_head head = {.header_len = (uint32_t)len};

        if (len <= 0)
                return; /* the broker reads nothing: what is said now is lost */
        frame_head_make(&head, at);
        worker->tx_len += FRAME_HEAD_BYTES + (size_t)len;
}

static void done(struct sim_device *dev, uint32_t seq, int error)
{
        control_send(dev,
                     &(struct control_to_broker){.kind = CONTROL_DONE, .done = {.seq = seq, .error = error}});
}

static void say_hello(struct sim_device *dev)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO, .hello = dev->hello};

        if (dev->worker.liar)
                message.hello.credit_requests = dev->hello.credit_requests % LIMIT_CREDITS + 1;
        for (unsigned i = 0; i < SIM_FIELDS; i++)
                dev->worker.values[i] = dev->hello.fields[i].value;
        control_send(dev, &message);
        dev->worker.greeted = !dev->worker.liar;
}

static void obey_config(struct sim_device *dev, const struct control_to_worker *message)
{
        struct sim_worker *worker = &dev->worker;
        uint32_t field = message->config_write.field;

        sim_check(field > 0 && field < SIM_FIELDS, "%s: a write to field %u", dev->name, field);
        /* A value that some worker has taken before is taken again; only a new one may be refused. */
        if (message->config_write.value >= CONFIG_REFUSED) {
                done(dev, message->seq, -EINVAL);
                return;
        }
        worker->values[field] = message->config_write.value;
        worker->config = dev->config_writes;
        done(dev, message->seq, 0);
}

static void obey_state(struct sim_device *dev, const struct control_to_worker *message)
{
        uint64_t number;

        sim_check(message->restore_state.len == sizeof(number), "%s: a saved state of %zu bytes", dev->name,
                  message->restore_state.len);
        memcpy(&number, message->restore_state.bytes, sizeof(number));
        sim_check(number >= dev->restored_least && number <= dev->put_states,
                  "%s: state %llu came back; since the last reset %llu to %llu were saved", dev->name,
                  (unsigned long long)number, (unsigned long long)dev->restored_least,
                  (unsigned long long)dev->put_states);
        dev->restored_least = number;
        done(dev, message->seq, 0);
}

static void obey(struct sim_device *dev, const struct control_to_worker *message)
{
        struct sim_worker *worker = &dev->worker;

        trace_event("is told", dev->index, (uint64_t)message->kind, 0);
        sim_check((message->kind == CONTROL_CONFIGURE) != worker->configured,
                  "%s: told %d before or after Configure", dev->name, message->kind);
        switch (message->kind) {
        case CONTROL_CONFIGURE:
                worker->configured = true;
                if (!worker->silent)
                        say_hello(dev);
                break;
        case CONTROL_SET_FEATURES:
                worker->features = message->set_features.features;
                worker->features_told = true;
                done(dev, message->seq, 0);
                break;
        case CONTROL_CONFIG_WRITE:
                obey_config(dev, message);
                break;
        case CONTROL_START_QUEUE:
                sim_check(message->start_queue.queue < dev->n_queues, "%s: no such queue", dev->name);
                worker->queue_told[message->start_queue.queue] = true;
                worker->queue_size[message->start_queue.queue] = (uint16_t)message->start_queue.size;
                done(dev, message->seq, 0);
                break;
        case CONTROL_RESTORE_STATE:
                obey_state(dev, message);
                break;
        case CONTROL_SET: /* nobody sets or maps anything here */
        case CONTROL_SHMEM_ANSWER:
        case CONTROL_IOMMU_ANSWER:
        case CONTROL_IOMMU_FAULT:
        case CONTROL_SHUTDOWN:
                break;
        }
}

/* Whole frames in the buffer. */
static bool read_frames(struct sim_device *dev)
{
        static uint8_t memory[LIMIT_ARENA];
        struct sim_worker *worker = &dev->worker;
        bool any = false;

        while (!worker->deaf && worker->rx_len >= FRAME_HEAD_BYTES) {
                struct arena arena = {.base = memory, .size = sizeof(memory)};
                struct control_to_worker message;
                struct frame_head head;
                size_t whole;

                sim_check(frame_head_check(worker->rx, 0, &head) == 0, "%s: a control frame out of shape",
                          dev->name);
                whole = FRAME_HEAD_BYTES + head.header_len;
                if (worker->rx_len < whole)
                        break;
                sim_check(control_check_to_worker(&arena, worker->rx + FRAME_HEAD_BYTES, head.header_len,
                                                  &message) == 0,
                          "%s: a control message that no worker takes", dev->name);
                obey(dev, &message);
                memmove(worker->rx, worker->rx + whole, worker->rx_len - whole);
                worker->rx_len -= whole;
                any = true;
        }
        return any;
}

static bool flush(struct sim_worker *worker, const struct odds *odds)
{
        size_t len = worker->tx_len - worker->tx_pos;
        ssize_t n;

        if (len == 0)
                return false;
        if (chance_one_in(odds->spew))
                len = MIN(len, (size_t)chance_between(1, 16));
        if (worker->bytes_left >= 0)
                len = MIN(len, (size_t)worker->bytes_left);
        n = send(worker->control, worker->tx + worker->tx_pos, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
                return false;
        if (worker->bytes_left >= 0)
                worker->bytes_left -= n;
        worker->tx_pos += (size_t)n;
        if (worker->tx_pos == worker->tx_len)
                worker->tx_pos = worker->tx_len = 0;
        return true;
}

/* What a worker says by itself. */
static void say(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;

        if (worker->greeted && worker->tx_len == 0 && chance_one_in(dev->odds->put_state)) {
                uint64_t number = ++dev->put_states;
                struct control_to_broker message = {.kind = CONTROL_PUT_STATE};

                message.put_state = (struct control_blob){.bytes = (uint8_t *)&number, .len = sizeof(number)};
                control_send(dev, &message);
        }
        if (worker->greeted && worker->tx_len == 0 && chance_one_in(dev->odds->config_push))
                control_push_config(dev);
}

void control_push_config(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;
        struct control_to_broker message = {.kind = CONTROL_CONFIG_SPACE,
                                            .config_space = {.n = SIM_FIELDS, .value = worker->values}};

        worker->values[0]++;
        control_send(dev, &message);
}

bool control_step(struct sim_device *dev)
{
        struct sim_worker *worker = &dev->worker;
        size_t room = sizeof(worker->rx) - worker->rx_len;
        ssize_t n = 0;
        bool moved;

        if (worker->control < 0)
                return false;
        if (chance_one_in(dev->odds->gulp))
                room = MIN(room, (size_t)chance_between(1, 16));
        n = recv(worker->control, worker->rx + worker->rx_len, room, MSG_DONTWAIT);
        if (n > 0)
                worker->rx_len += (size_t)n;
        moved = read_frames(dev) || n > 0;
        say(dev);
        return flush(worker, dev->odds) || moved;
}
