/* What the input of fuzz_rpc_state says.
 * Owns nothing but where it reads; called by fuzz_rpc_state.c. TRUST: the bytes are the fuzzer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/rpc_words.h"

#include "proto/base/checked.h"

static struct {
        const uint8_t *at, *end;
} input;

void rpc_input(const uint8_t *bytes, size_t len)
{
        input.at = bytes;
        input.end = bytes + len;
}

bool rpc_is_more(void)
{
        return input.at < input.end;
}

uint8_t rpc_next(void)
{
        return input.at < input.end ? *input.at++ : 0;
}

uint32_t rpc_below(uint32_t n)
{
        return rpc_next() % n;
}

static struct control_hello good_hello(void)
{
        struct control_hello hello = {.device_type = 2,
                                      .features = 1u << 6 | 1u << 9,
                                      .n_queues = STAGE_QUEUES,
                                      .max_segments = 8,
                                      .credit_requests = 8,
                                      .credit_bytes = 1024,
                                      .max_inline = 128,
                                      .n_fields = 2};

        for (unsigned i = 0; i < STAGE_QUEUES; i++) {
                hello.queue_kind[i] = QUEUE_WORK;
                hello.queue_replay[i] = i == 0 ? REPLAY_IDEMPOTENT : REPLAY_AT_MOST_ONCE;
        }
        hello.fields[0] = (struct control_field){.offset = 0, .width = 8, .value = 1000};
        hello.fields[1] = (struct control_field){.offset = 32, .width = 1, .writable = true, .value = 1};
        return hello;
}

void rpc_say_hello(struct stage *stage, unsigned device, uint8_t twist)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO, .hello = good_hello()};

        if (twist == 1)
                message.hello.device_type = 4;
        if (twist == 2)
                message.hello.n_queues = 1;
        if (twist == 3)
                message.hello.credit_requests = 4;
        if (twist == 4)
                message.hello.fields[0].value = 2000;
        if (twist == 5)
                message.hello.features = 0;
        stage_say(stage, device, &message);
}

/* One segment: mostly of a request that this worker holds, else the neighbour's, one given back, or no one's. */
static void choose(const struct stage *stage, unsigned device, struct rpc_words *words, bool write)
{
        const struct stage_worker *worker = &stage->worker[device], *other = &stage->worker[1 - device];
        unsigned n = words->n++;
        uint8_t which = rpc_next(), where = rpc_next(), how_much = rpc_next();
        uint32_t size = 0;

        words->index[n] = STAGE_HELD;
        if (which < 224 && worker->n_held > 0) {
                words->index[n] = which % worker->n_held;
                words->id[n] = worker->held[words->index[n]].id;
                size =
                    write ? worker->held[words->index[n]].writable : worker->held[words->index[n]].readable;
        } else {
                words->id[n] = which < 232 && other->n_held > 0 ? other->held[0].id + (UINT64_C(7) << 40)
                               : which < 244                    ? worker->last_id
                                                                : (uint64_t)which << 50;
                words->fair = false;
        }
        words->offset[n] = where < 200 ? where % (size + 1) : where * 4096u;
        words->len[n] = how_much % 64;
        if (how_much < 250 && words->offset[n] <= size)
                words->len[n] = MIN(words->len[n], size - words->offset[n]);
        if (words->offset[n] > size || words->len[n] > size - words->offset[n])
                words->fair = false;
        words->total += words->len[n];
}

struct rpc_words rpc_choose(const struct stage *stage, unsigned device, bool write)
{
        struct rpc_words words = {.fair = true};
        unsigned n = 1 + rpc_below(4);

        while (words.n < n)
                choose(stage, device, &words, write);
        return words;
}

bool rpc_has_empty(const struct rpc_words *words)
{
        for (unsigned i = 0; i < words->n; i++)
                if (words->len[i] == 0)
                        return true;
        return false;
}
