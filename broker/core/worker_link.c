/* The control channel to one incarnation of a worker.
 * Owns the channel and the queue of acknowledgements that are due; called by supervisor.c. TRUST: every
 * message is the worker's; its form is judged by control_check, its rate and turn here, and by the
 * supervisor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/channel.h"
#include "broker/core/quota.h"
#include "proto/base/limits.h"

#define LINK_PENDING                                                                                         \
        (2u * LIMIT_QUEUES + LIMIT_CONFIG_FIELDS) /* one a queue, one a field, and as much again */
#define LINK_MESSAGE (LIMIT_STATE_BYTES + 1024u)  /* bytes of the largest message we make */

struct link_pending {
        uint32_t seq;
        worker_link_done done;
        void *context;
};

struct worker_link {
        struct channel *channel;
        const struct worker_link_ops *ops;
        void *context;
        struct arena arena;
        const uv_loop_t *loop;
        struct quota_control quota;
        uint32_t next_seq;
        unsigned first, n_pending;
        struct link_pending pending[LINK_PENDING];
        bool paced;         /* WORKER_LINK_MAPS_OF_GUEST */
        bool inside, freed; /* freed inside its own callback: memory goes when the callback returns */
};

static void link_destroy(struct worker_link *link)
{
        arena_done(&link->arena);
        free(link);
}

/* The oldest message that waits for Done, taken off the queue. */
static struct link_pending link_next_pending(struct worker_link *link)
{
        struct link_pending pending = link->pending[link->first];

        link->first = (link->first + 1) % LINK_PENDING;
        link->n_pending--;
        return pending;
}

static int link_done(struct worker_link *link, const struct control_to_broker *message)
{
        struct link_pending pending;

        if (link->n_pending == 0 || link->pending[link->first].seq != message->done.seq)
                return -EPROTO;
        pending = link_next_pending(link);
        if (pending.done)
                pending.done(pending.context, message->done.error);
        return 0;
}

static void link_tell_dropped(struct worker_link *link)
{
        uint32_t dropped = quota_control_take_dropped(&link->quota);

        if (dropped > 0 && link->ops->logs_dropped)
                link->ops->logs_dropped(link->context, dropped);
}

/* One beside a ShmemMap, and no other. */
static int link_judge_fds(struct control_to_broker *message, const struct fd_set_owned *fds)
{
        if (fds->n != (message->kind == CONTROL_SHMEM_MAP ? 1 : 0))
                return -EPROTO;
        if (message->kind == CONTROL_SHMEM_MAP)
                message->shmem.fd = fds->fds[0];
        return 0;
}

/* A guest that has its files, or its buffers, mapped and unmapped again and again has done nothing wrong, nor has its worker. */
static void link_pace(struct worker_link *link, enum control_kind_to_broker kind)
{
        const bool of_guest = kind == CONTROL_IOMMU_MAP || kind == CONTROL_IOMMU_UNMAP ||
                              (link->paced && (kind == CONTROL_SHMEM_MAP || kind == CONTROL_SHMEM_UNMAP));

        if (of_guest && quota_control_is_low(&link->quota, kind))
                channel_rest(link->channel, LIMIT_CONTROL_REST_MS);
}

static int link_judge(struct worker_link *link, const uint8_t *header, size_t len,
                      const struct fd_set_owned *fds)
{
        struct control_to_broker message;
        int r = control_check_to_broker(&link->arena, header, len, &message);

        if (r == 0)
                r = link_judge_fds(&message, fds);
        if (r < 0)
                return r;
        switch (quota_control_judge(&link->quota, message.kind, uv_now(link->loop))) {
        case QUOTA_KILL:
                return -EDQUOT;
        case QUOTA_DROP:
                return 0;
        case QUOTA_PASS:
                break;
        }
        link_pace(link, message.kind);
        if (message.kind == CONTROL_DONE)
                return link_done(link, &message);
        if (message.kind == CONTROL_LOG)
                link_tell_dropped(link);
        return link->ops->message(link->context, &message);
}

static int link_frame(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds)
{
        struct worker_link *link = context;
        int r;

        link->inside = true;
        r = link_judge(link, header, len, fds);
        link->inside = false;
        if (link->freed) {
                link_destroy(link);
                return 0;
        }
        return r;
}

static void link_ended(void *context, int error)
{
        struct worker_link *link = context;

        if (error == -EDQUOT)
                link->ops->fault(link->context, "says more on its control channel than it may");
        else
                link->ops->fault(link->context, error == 0 || error == -ECONNRESET
                                                    ? "hung up"
                                                    : "broke the control protocol");
}

static const struct channel_ops link_channel_ops = {.max_fds = 0, .frame = link_frame, .ended = link_ended};
static const struct channel_ops link_channel_maps = {.max_fds = 1, .frame = link_frame, .ended = link_ended};

int worker_link_new(uv_loop_t *loop, int fd, enum worker_link_maps maps, const struct worker_link_ops *ops,
                    void *context, struct worker_link **ret_link)
{
        struct worker_link *link = calloc(1, sizeof(*link));
        int r;

        if (!link)
                return -ENOMEM;
        link->ops = ops;
        link->context = context;
        link->next_seq = 1;
        link->loop = loop;
        link->paced = maps == WORKER_LINK_MAPS_OF_GUEST;
        quota_control_init(&link->quota, uv_now(loop));
        r = arena_init(&link->arena, LIMIT_ARENA);
        if (r == 0)
                r = channel_new(loop, fd,
                                maps != WORKER_LINK_NO_MAPS ? &link_channel_maps : &link_channel_ops, link,
                                &link->channel);
        if (r < 0) {
                link_destroy(link);
                return r;
        }
        *ret_link = link;
        return 0;
}

static bool link_is_answered(enum control_kind_to_worker kind)
{
        return kind != CONTROL_CONFIGURE && kind != CONTROL_SHUTDOWN && kind != CONTROL_SHMEM_ANSWER &&
               kind != CONTROL_IOMMU_ANSWER && kind != CONTROL_IOMMU_FAULT;
}

int worker_link_configure(struct worker_link *link, const struct control_configure *configure, const int *fds,
                          unsigned n_fds)
{
        const struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = *configure};
        uint8_t buf[LINK_MESSAGE];
        ssize_t len;

        if (link->freed)
                return -EPIPE;
        len = control_make_to_worker(&message, buf, sizeof(buf));
        return len < 0 ? (int)len : channel_send_fds(link->channel, buf, (size_t)len, fds, n_fds);
}

int worker_link_send(struct worker_link *link, const struct control_to_worker *message, worker_link_done done,
                     void *context)
{
        struct control_to_worker numbered = *message;
        uint8_t buf[LINK_MESSAGE];
        ssize_t len;
        int r;

        if (link->freed)
                return -EPIPE;
        if (link->n_pending == LINK_PENDING)
                return -ENOBUFS;
        numbered.seq = link->next_seq;
        len = control_make_to_worker(&numbered, buf, sizeof(buf));
        if (len < 0)
                return (int)len;
        r = channel_send(link->channel, buf, (size_t)len);
        if (r < 0 || !link_is_answered(message->kind))
                return r;
        link->pending[(link->first + link->n_pending) % LINK_PENDING] =
            (struct link_pending){.seq = link->next_seq, .done = done, .context = context};
        link->n_pending++;
        link->next_seq++;
        return 0;
}

unsigned worker_link_pending(const struct worker_link *link)
{
        return link->n_pending;
}

struct worker_link *worker_link_free(struct worker_link *link)
{
        if (!link || link->freed)
                return NULL;
        link->freed = true;
        link_tell_dropped(link);
        link->channel = channel_free(link->channel);
        while (link->n_pending > 0) {
                struct link_pending pending = link_next_pending(link);

                if (pending.done)
                        pending.done(pending.context, -ECANCELED);
        }
        if (!link->inside)
                link_destroy(link);
        return NULL;
}
