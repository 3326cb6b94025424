/* One death of a worker, from two witnesses: its pidfd, which says at once that it is gone, and the spawner,
 * which says how. They come in either order; when both have come, and it is settled what happens next, there
 * is one line in the log.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/spawn.h"

struct worker_death {
        bool gone; /* the pidfd has said so */
        bool told; /* the spawner has */
        bool
            by_us; /* it was replaced on purpose: for a reset, or (renewed) for what its successor is given */
        bool renewed;
        uint32_t pid;
        struct spawn_to_broker exit; /* if told */
};

void worker_death_gone(struct worker_death *death, uint32_t pid, bool by_us);
void worker_death_told(struct worker_death *death, const struct spawn_to_broker *exited);

/* Have both witnesses been heard? */
bool worker_death_known(const struct worker_death *death);

/* Something that should not have happened: neither a reset nor a good end. */
bool worker_death_is_crash(const struct worker_death *death);

/* How it died, as what follows "worker ". `type` is that of its device, which names its policy. Returns
 * `out`. */
const char *worker_death_text(const struct worker_death *death, const char *type, char *out, size_t size);

/* Logs it, whoever has been heard (a spawner that is dead tells nothing), with what happens next ("it is restarted at once"), and forgets it. */
void worker_death_log(struct worker_death *death, const char *device, const char *type, const char *next);
