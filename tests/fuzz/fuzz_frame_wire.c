/* One frame of any channel: head, pre-scan, unpacking, check; and what is accepted is held against its
 * promises and said again. The first byte chooses the channel and its direction; a frame follows, whose
 * payload need not be there.
 * Owns an arena for its life; run by libFuzzer or by ctest over its corpus.
 * TRUST: input is hostile by design.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/admin.h"
#include "proto/base/limits.h"
#include "proto/control.h"
#include "proto/frame.h"
#include "proto/lane.h"
#include "proto/spawn.h"
#include "proto/vm_config.h"
#include "tests/unit/judged.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arena arena;
static uint8_t again[LIMIT_FRAME_HEADER];

/* An accepted message broke a promise: stop here, with the input. */
static void must(bool kept, const char *what)
{
        if (kept)
                return;
        fprintf(stderr, "promise broken: %s\n", what);
        abort();
}

static void must_be_answer(int r)
{
        must(r == 0 || r == -EPROTO || r == -ENOMEM, "0, -EPROTO or -ENOMEM");
}

/* What was accepted can be said again, and is accepted again. */
#define MUST_SAY_AGAIN(made, checked)                                                                        \
        do {                                                                                                 \
                ssize_t len_ = (made);                                                                       \
                must(len_ > 0, #made);                                                                       \
                must((checked) == 0, #checked);                                                              \
        } while (0)

static void try_lane_to_broker(const struct frame_head *head, const uint8_t *bytes)
{
        struct lane_to_broker got;
        int r = lane_check_to_broker(&arena, bytes, head->header_len, head->payload_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_lane_to_broker(&got, head->payload_len), "lane to broker");
        MUST_SAY_AGAIN(lane_make_to_broker(&got, again, sizeof(again)),
                       lane_check_to_broker(&arena, again, (size_t)len_, head->payload_len, &got));
}

static void try_lane_to_worker(const struct frame_head *head, const uint8_t *bytes)
{
        struct lane_to_worker got;
        int r = lane_check_to_worker(&arena, bytes, head->header_len, head->payload_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_lane_to_worker(&got, head->payload_len), "lane to worker");
        MUST_SAY_AGAIN(lane_make_to_worker(&got, again, sizeof(again)),
                       lane_check_to_worker(&arena, again, (size_t)len_, head->payload_len, &got));
}

static void try_control_to_broker(const struct frame_head *head, const uint8_t *bytes)
{
        static struct control_to_broker got;
        int r = control_check_to_broker(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_control_to_broker(&got), "control to broker");
        must(got.kind != CONTROL_HELLO || control_hello_equal(&got.hello, &got.hello), "equal to itself");
        MUST_SAY_AGAIN(control_make_to_broker(&got, again, sizeof(again)),
                       control_check_to_broker(&arena, again, (size_t)len_, &got));
}

static void try_control_to_worker(const struct frame_head *head, const uint8_t *bytes)
{
        struct control_to_worker got;
        int r = control_check_to_worker(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_control_to_worker(&got), "control to worker");
        MUST_SAY_AGAIN(control_make_to_worker(&got, again, sizeof(again)),
                       control_check_to_worker(&arena, again, (size_t)len_, &got));
}

static void try_spawn_to_broker(const struct frame_head *head, const uint8_t *bytes)
{
        struct spawn_to_broker got;
        int r = spawn_check_to_broker(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_spawn_to_broker(&got), "spawn to broker");
        MUST_SAY_AGAIN(spawn_make_to_broker(&got, again, sizeof(again)),
                       spawn_check_to_broker(&arena, again, (size_t)len_, &got));
}

static void try_spawn_to_spawner(const struct frame_head *head, const uint8_t *bytes)
{
        struct spawn_to_spawner got;
        int r = spawn_check_to_spawner(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_spawn_to_spawner(&got), "spawn to spawner");
        MUST_SAY_AGAIN(spawn_make_to_spawner(&got, again, sizeof(again)),
                       spawn_check_to_spawner(&arena, again, (size_t)len_, &got));
}

static void try_admin_to_broker(const struct frame_head *head, const uint8_t *bytes)
{
        struct admin_to_broker got;
        int r = admin_check_to_broker(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_admin_to_broker(&got), "admin to broker");
        MUST_SAY_AGAIN(admin_make_to_broker(&got, again, sizeof(again)),
                       admin_check_to_broker(&arena, again, (size_t)len_, &got));
}

static void try_admin_to_client(const struct frame_head *head, const uint8_t *bytes)
{
        static struct admin_to_client got;
        int r = admin_check_to_client(&arena, bytes, head->header_len, &got);

        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_admin_to_client(&got), "admin to client");
        MUST_SAY_AGAIN(admin_make_to_client(&got, again, sizeof(again)),
                       admin_check_to_client(&arena, again, (size_t)len_, &got));
}

static void try_vm_config(const struct frame_head *head, const uint8_t *bytes)
{
        char why[VM_CONFIG_WHY_BYTES];
        struct vm_config got, second;
        int r;

        memset(why, '#', sizeof(why));
        r = vm_config_check(&arena, bytes, head->header_len, &got, why, sizeof(why));
        if (r == -EINVAL) {
                must(memchr(why, '\0', sizeof(why)) != NULL && why[0] != '\0' && !strchr(why, '\n'),
                     "one sentence");
                return;
        }
        must_be_answer(r);
        if (r < 0)
                return;
        must(judged_vm_config(&got), "configuration");
        MUST_SAY_AGAIN(vm_config_make(&got, again, sizeof(again)),
                       vm_config_check(&arena, again, (size_t)len_, &second, why, sizeof(why)));
        vm_config_done(&second);
        vm_config_done(&got);
}

static const struct channel {
        uint32_t max_payload;
        void (*try)(const struct frame_head *head, const uint8_t *bytes);
} channels[] = {
    {LIMIT_FRAME_PAYLOAD, try_lane_to_broker},
    {LIMIT_FRAME_PAYLOAD, try_lane_to_worker},
    {0, try_control_to_broker},
    {0, try_control_to_worker},
    {0, try_spawn_to_broker},
    {0, try_spawn_to_spawner},
    {0, try_admin_to_broker},
    {0, try_admin_to_client},
    {0, try_vm_config},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct channel *channel;
        struct frame_head head;
        uint8_t *exact;

        if (!arena.base && arena_init(&arena, LIMIT_ARENA) < 0)
                abort();
        if (size < 1 + FRAME_HEAD_BYTES)
                return 0;
        channel = &channels[data[0] % (sizeof(channels) / sizeof(channels[0]))];
        if (frame_head_check(data + 1, channel->max_payload, &head) < 0)
                return 0;
        must(head.header_len >= 1 && head.header_len <= LIMIT_FRAME_HEADER, "header length");
        must(head.payload_len <= channel->max_payload, "payload length");
        if (head.header_len > size - 1 - FRAME_HEAD_BYTES)
                return 0;
        exact = malloc(head.header_len); /* so that a read beyond the header is seen */
        if (!exact)
                abort();
        memcpy(exact, data + 1 + FRAME_HEAD_BYTES, head.header_len);
        channel->try(&head, exact);
        free(exact);
        return 0;
}
