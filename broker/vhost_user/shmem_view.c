/* The mappings of a device as its front end sees them.
 * Owns nothing but the list's places; called by shmem_views.c. TRUST: sees judged values alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/shmem_view.h"

#include <assert.h>

static const uint8_t view_next[VIEW_STATE_COUNT_] = {
    [VIEW_ABSENT] = 1u << VIEW_MAPPING,
    [VIEW_MAPPING] = 1u << VIEW_ABSENT | 1u << VIEW_SHOWN | 1u << VIEW_DOUBTFUL,
    [VIEW_SHOWN] = 1u << VIEW_ABSENT | 1u << VIEW_DOUBTFUL | 1u << VIEW_UNMAPPING,
    [VIEW_DOUBTFUL] = 1u << VIEW_ABSENT | 1u << VIEW_MAPPING | 1u << VIEW_UNMAPPING,
    [VIEW_UNMAPPING] = 1u << VIEW_ABSENT | 1u << VIEW_DOUBTFUL,
};

void view_set_state(struct view *view, enum view_state state)
{
        assert(view_next[view->state] & (1u << state));
        view->state = state;
}

struct view *view_add(struct view_list *list, struct shmem_mapping *mapping)
{
        struct view *view = list->unused, **end = &list->first;

        /* Only mappings that are wanted are mapped, and only when no other is there: so the front end has one more than the
         * device, at most, and as many are wanted. */
        assert(view);
        list->unused = view->next;
        while (*end)
                end = &(*end)->next;
        *view = (struct view){.mapping = mapping,
                              .place = {.shmid = mapping->shmid,
                                        .fd_offset = mapping->fd_offset,
                                        .shm_offset = mapping->offset,
                                        .len = mapping->len,
                                        .flags = mapping->writable ? VHOST_USER_MMAP_RW : 0},
                              .dev = mapping->dev,
                              .ino = mapping->ino};
        *end = view;
        return view;
}

static void view_drop(struct view_list *list, struct view *view)
{
        struct view **at = &list->first;

        while (*at != view)
                at = &(*at)->next;
        *at = view->next;
        view->next = list->unused;
        list->unused = view;
}

void view_drop_done(struct view_list *list, struct view *view)
{
        if (view->state == VIEW_ABSENT && !view->mapping)
                view_drop(list, view);
}

struct view *view_find(const struct view_list *list, bool (*wanted)(const struct view *view))
{
        struct view *view = list->first;

        while (view && !wanted(view))
                view = view->next;
        return view;
}

void view_list_init(struct view_list *list)
{
        list->first = list->unused = NULL;
        for (size_t i = 0; i < LIMIT_SHMEM_VIEWS; i++) {
                list->all[i].next = list->unused;
                list->unused = &list->all[i];
        }
}
