/* What a front end has of its device's shared memory regions, and what it is to have.
 *
 * How it works: a view is a mapping as the front end sees it. The device says which are wanted; the front end's answers say
 * which it has; whatever differs is told to it, one message after the other, and first what is to go, since mappings may not
 * overlap. It is spoken to while a ring runs and none is being drained: a suspended back-end says nothing, and a front end
 * that waits for the base of a ring does not look at the channel, so that whoever waits for a mapping is refused before.
 *
 * No message tells us of a device reset that a front end makes by stopping the rings alone (QEMU's for vhost-user-test-device):
 * it takes all mappings away, a mere stop does not. So a stop makes every view doubtful, and the next start maps it again. If
 * that is refused, then either it is still there, and then it is in the memory table that the front end keeps up to date, or
 * it is unmapped and mapped once more. A guest that was only paused finds no hole.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/vhost_user/backend_channel.h"
#include "broker/vhost_user/memory_table.h"

struct shmem_views;

enum views_speech {
        VIEWS_SUSPENDED = 0, /* no ring runs */
        VIEWS_DRAINING,      /* a ring is being drained, and the front end waits for it */
        VIEWS_SPEAKING,
};

/* Suspended, without a channel, and wanting every mapping that the device has. `table` must outlive it. 0 or -ENOMEM. */
int shmem_views_new(uv_loop_t *loop, struct device *device, const struct memory_table *table,
                    struct shmem_views **ret_views);

/* Who waits for a mapping is refused; the device may hide others meanwhile. Nothing more is said to the front end. Memory goes with the loop's close callback. Accepts NULL, returns NULL. */
struct shmem_views *shmem_views_close(struct shmem_views *views);

/* As shmem_show and shmem_hide of struct device_front. */
bool shmem_views_show(struct shmem_views *views, struct shmem_mapping *mapping);
void shmem_views_hide(struct shmem_views *views, struct shmem_mapping *mapping);

/* Has the front end this file, or has it been asked to take it? It may have until it has answered that it has not. */
bool shmem_views_have(const struct shmem_views *views, uint64_t dev, uint64_t ino);

/* All that follow accept NULL: nothing happens. */

/* The front end has asked how large the regions are: it has a use for them, and what it refuses is missing to its guest. */
void shmem_views_asked(struct shmem_views *views);

/* Leaving VIEWS_SPEAKING refuses whoever waits for a mapping. */
void shmem_views_speech(struct shmem_views *views, enum views_speech speech);

/* The front end has reset the device, and by that unmapped everything. */
void shmem_views_reset(struct shmem_views *views);

/* The channel is the session's; NULL: there is none. An answer that the last one owed will not come. */
void shmem_views_set_channel(struct shmem_views *views, struct backend_channel *channel);

/* For the channel's owner. */
void shmem_views_answered(struct shmem_views *views, uint64_t value);
void shmem_views_idle(struct shmem_views *views);
void shmem_views_closed(struct shmem_views *views);
