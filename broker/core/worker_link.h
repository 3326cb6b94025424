/* The control channel to one incarnation of a worker: messages out with their acknowledgements, messages in.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proto/control.h"

struct worker_link;

/* Called when the worker has answered with Done: 0 or its negative errno; -ECANCELED when the link ended
 * first. */
typedef void (*worker_link_done)(void *context, int error);

struct worker_link_ops {
        /* A judged message other than Done. Negative errno: it is not permitted now. */
        int (*message)(void *context, const struct control_to_broker *message);
        /* The worker is to be killed: it hung up, broke the protocol or its quota (quota.h). Once. */
        void (*fault)(void *context, const char *why);
        /* So many Logs were over the quota and have not come to `message`. At most once for each Log that
         * has, and once from worker_link_free. May be NULL. */
        void (*logs_dropped)(void *context, uint32_t n);
};

/* May a ShmemMap come, with its descriptor? */
enum worker_link_maps {
        WORKER_LINK_NO_MAPS = 0, /* no descriptor may come at all */
        WORKER_LINK_MAPS,        /* the worker's own */
        WORKER_LINK_MAPS_OF_GUEST, /* as many as its guest likes: it is not heard for a while where it would say too much */
};

/* Takes fd. 0 or negative errno. */
int worker_link_new(uv_loop_t *loop, int fd, enum worker_link_maps maps, const struct worker_link_ops *ops,
                    void *context, struct worker_link **ret_link);

/* Sends a message; the kinds that are answered get a sequence number and, when not NULL, `done` is called
 * once (also by worker_link_free). Configure, ShmemAnswer, IommuAnswer, IommuFault and Shutdown are not answered. -ENOBUFS: too much is unanswered.
 */
int worker_link_send(struct worker_link *link, const struct control_to_worker *message, worker_link_done done,
                     void *context);

/* Configure, with descriptors beside it; before any other message. They stay the caller's. */
int worker_link_configure(struct worker_link *link, const struct control_configure *configure, const int *fds,
                          unsigned n_fds);

/* Messages that wait for their Done. */
unsigned worker_link_pending(const struct worker_link *link);

/* Closes; open acknowledgements are told -ECANCELED. Accepts NULL, returns NULL. Allowed inside callbacks. */
struct worker_link *worker_link_free(struct worker_link *link);
