/* The mappings of a device as its front end sees them: the list that shmem_views.c goes by. A view is made for a mapping that is
 * wanted, outlives it while the front end has it, and is dropped when it is neither wanted nor there.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/shmem.h"
#include "broker/vhost_user/message.h"

enum view_state {
        VIEW_ABSENT = 0, /* the front end does not have it */
        VIEW_MAPPING,    /* SHMEM_MAP is on its way, or its answer */
        VIEW_SHOWN,      /* the front end has it */
        VIEW_DOUBTFUL,   /* it had it, or was about to, before the rings stopped or the channel ended */
        VIEW_UNMAPPING,  /* SHMEM_UNMAP is on its way, or its answer */
        VIEW_STATE_COUNT_,
};

struct view {
        struct view *next;
        struct shmem_mapping *mapping; /* NULL: it is to go */
        enum view_state state;
        bool doubted;  /* MAPPING, UNMAPPING: nobody knows whether the front end had it before */
        bool overtook; /* MAPPING: the rings have stopped since, so that a good answer leaves it doubtful */
        bool remake;   /* DOUBTFUL: is unmapped before it is mapped again */
        bool awaited;  /* the device waits for device_shmem_shown */
        int error;     /* awaited: what it will be told, from the loop; 0: not known yet */
        uint64_t since_ms;
        struct vhost_user_mmap place;
        uint64_t dev, ino; /* of the file */
};

struct view_list {
        struct view *first; /* in the order of their making */
        struct view *unused;
        struct view all[LIMIT_SHMEM_VIEWS];
};

void view_list_init(struct view_list *list);

/* One that the front end does not have. There is room for as many as a device may have, as many that are to go, and one. */
struct view *view_add(struct view_list *list, struct shmem_mapping *mapping);

/* Drops it if it is neither wanted nor there. */
void view_drop_done(struct view_list *list, struct view *view);

void view_set_state(struct view *view, enum view_state state);

/* The oldest of its kind, or NULL. */
struct view *view_find(const struct view_list *list, bool (*wanted)(const struct view *view));
