/* What a front end has of its device's shared memory regions, and what it is to have.
 * Owns the views and a timer; the mappings are the device's, the channel is the session's. Called by the session. With it, it
 * is an edge: it logs what a front end refuses. TRUST: answers are the front end's: a wrong one costs its own guest the mapping.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/shmem_views.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/vhost_user/shmem_view.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

struct shmem_views {
        uv_timer_t timer; /* while somebody waits */
        struct device *device;
        const struct memory_table *table;
        struct backend_channel *channel; /* NULL: none */
        enum views_speech speech;
        bool asked;               /* for the regions' sizes */
        bool useful;              /* it has shown a mapping */
        bool useless;             /* it shows none, and never wanted to */
        bool mute;                /* it has let somebody wait too long, and has not answered since */
        struct view *outstanding; /* whose answer is awaited; NULL: none's */
        struct view_list list;
};

/* ---- the device's word, and ours to it ---- */

static void views_timer(uv_timer_t *timer);

static void views_arm(struct shmem_views *views)
{
        uint64_t due = UINT64_MAX, now = uv_now(views->timer.loop);

        for (const struct view *view = views->list.first; view; view = view->next) {
                uint64_t end = view->error ? 0 : view->since_ms + LIMIT_SHMEM_ANSWER_MS;

                if (view->awaited && end < due)
                        due = end;
        }
        if (due == UINT64_MAX)
                uv_timer_stop(&views->timer);
        else
                uv_timer_start(&views->timer, views_timer, due > now ? due - now : 0, 0);
}

/* The guest does not have it. Nothing of the list is known any more when this returns. */
static void view_refuse(struct shmem_views *views, struct view *view, int error)
{
        struct shmem_mapping *mapping = take_ptr(view->mapping);

        view->awaited = false;
        view_drop_done(&views->list, view);
        device_shmem_shown(views->device, mapping, error);
}

static bool is_awaited(const struct view *view)
{
        return view->awaited;
}

static void refuse_awaited(struct shmem_views *views, int error)
{
        struct view *view;

        while ((view = view_find(&views->list, is_awaited)))
                view_refuse(views, view, error);
        views_arm(views);
}

static void views_fall_mute(struct shmem_views *views)
{
        if (!views->mute)
                log_limited(LOG_LEVEL_WARNING,
                            "the VMM does not answer when it is to map shared memory, and its guest goes on "
                            "without dev=%s",
                            device_name(views->device));
        views->mute = true;
}

static struct view *find_due(const struct shmem_views *views)
{
        uint64_t now = uv_now(views->timer.loop);
        struct view *view = views->list.first;

        while (view && !(view->awaited && (view->error || now - view->since_ms >= LIMIT_SHMEM_ANSWER_MS)))
                view = view->next;
        return view;
}

static void views_timer(uv_timer_t *timer)
{
        struct shmem_views *views = timer->data;
        struct view *view;

        while ((view = find_due(views))) {
                if (!view->error)
                        views_fall_mute(views);
                view_refuse(views, view, view->error ? view->error : -ETIMEDOUT);
        }
        views_arm(views);
        shmem_views_idle(views); /* what was refused may have to go */
}

/* ---- telling the front end ---- */

static bool is_to_go(const struct view *view)
{
        return (view->state == VIEW_SHOWN || view->state == VIEW_DOUBTFUL) &&
               (!view->mapping || view->remake);
}

static bool is_to_come(const struct view *view)
{
        return view->mapping && !view->error && (view->state == VIEW_ABSENT || view->state == VIEW_DOUBTFUL);
}

static int view_unmap(struct shmem_views *views, struct view *view)
{
        view->doubted = view->state == VIEW_DOUBTFUL;
        view_set_state(view, VIEW_UNMAPPING);
        return backend_channel_ask(views->channel, VHOST_USER_BACKEND_SHMEM_UNMAP, &view->place, -1);
}

static int view_map(struct shmem_views *views, struct view *view)
{
        view->doubted = view->state == VIEW_DOUBTFUL;
        view->overtook = false;
        view_set_state(view, VIEW_MAPPING);
        return backend_channel_ask(views->channel, VHOST_USER_BACKEND_SHMEM_MAP, &view->place,
                                   view->mapping->fd);
}

void shmem_views_idle(struct shmem_views *views)
{
        struct view *view;
        int r;

        if (!views || views->speech != VIEWS_SPEAKING || !backend_channel_idle(views->channel))
                return;
        views->mute = false; /* it owes no answer */
        view = view_find(&views->list, is_to_go);
        if (view) {
                views->outstanding = view;
                r = view_unmap(views, view);
        } else {
                view = view_find(&views->list, is_to_come);
                if (!view)
                        return;
                views->outstanding = view;
                r = view_map(views, view);
        }
        if (r < 0)
                shmem_views_closed(views);
}

/* ---- the front end's answers ---- */

/* A stop lies between, or may: a device reset would have taken it away. */
static enum view_state state_after_map(const struct view *view)
{
        return view->overtook ? VIEW_DOUBTFUL : VIEW_SHOWN;
}

static void map_done(struct shmem_views *views, struct view *view)
{
        view_set_state(view, state_after_map(view));
        views->useful = true;
        if (!view->awaited)
                return;
        view->awaited = false;
        views_arm(views);
        device_shmem_shown(views->device, view->mapping, 0);
}

/* A front end that has never asked what there is to map has no use for it. */
static bool falls_useless(struct shmem_views *views)
{
        if (views->asked || views->useful)
                return false;
        if (!views->useless)
                log_limited(LOG_LEVEL_INFO, "the VMM shows its guest no shared memory regions dev=%s",
                            device_name(views->device));
        views->useless = true;
        return true;
}

static void view_not_mapped(struct shmem_views *views, struct view *view)
{
        view_set_state(view, VIEW_ABSENT);
        if (!view->mapping || (falls_useless(views) && !view->awaited)) {
                view->mapping = NULL;
                view_drop_done(&views->list, view);
                return;
        }
        view_refuse(views, view, -EIO);
        views_arm(views);
}

static void map_refused(struct shmem_views *views, struct view *view)
{
        const struct vhost_user_mmap *place = &view->place;

        if (!view->doubted) {
                view_not_mapped(views, view);
                return;
        }
        if (memory_table_has_file(views->table, view->dev, view->ino, place->fd_offset, place->len)) {
                view_set_state(view, state_after_map(view));
                views->useful = true;
                return;
        }
        view_set_state(view, VIEW_DOUBTFUL);
        view->remake = true;
}

static void unmap_answered(struct shmem_views *views, struct view *view, bool refused)
{
        if (refused && !view->doubted)
                log_limited(LOG_LEVEL_WARNING, "the VMM refuses to unmap shared memory dev=%s shmid=%u",
                            device_name(views->device), view->place.shmid);
        view_set_state(view, VIEW_ABSENT);
        view->remake = false;
        view_drop_done(&views->list, view);
}

void shmem_views_answered(struct shmem_views *views, uint64_t value)
{
        struct view *view = views ? take_ptr(views->outstanding) : NULL;

        if (!view)
                return;
        if (view->state == VIEW_UNMAPPING)
                unmap_answered(views, view, value != 0);
        else if (value == 0)
                map_done(views, view);
        else
                map_refused(views, view);
}

/* Told from the loop: this may be the device's own call. */
static void fail_awaited(struct shmem_views *views, int error)
{
        for (struct view *view = views->list.first; view; view = view->next)
                if (view->awaited && !view->error)
                        view->error = error;
        views_arm(views);
}

void shmem_views_closed(struct shmem_views *views)
{
        struct view *view = views ? take_ptr(views->outstanding) : NULL;

        if (view)
                view_set_state(view, VIEW_DOUBTFUL);
        if (views)
                fail_awaited(views, -ECONNRESET);
}

/* ---- the session's word ---- */

bool shmem_views_show(struct shmem_views *views, struct shmem_mapping *mapping)
{
        struct view *view;

        if (views->useless)
                return true;
        view = view_add(&views->list, mapping);
        if (views->speech == VIEWS_SUSPENDED)
                return true; /* it is mapped when the guest's driver comes */
        view->awaited = true;
        view->since_ms = uv_now(views->timer.loop);
        if (views->speech == VIEWS_DRAINING)
                view->error = -ECANCELED;
        else if (backend_channel_is_closed(views->channel))
                view->error = -ENOTCONN;
        else if (views->mute)
                view->error = -ETIMEDOUT;
        views_arm(views);
        shmem_views_idle(views);
        return false;
}

void shmem_views_hide(struct shmem_views *views, struct shmem_mapping *mapping)
{
        struct view *view = views->list.first;

        while (view && view->mapping != mapping)
                view = view->next;
        if (!view)
                return;
        view->mapping = NULL;
        view->awaited = false;
        view->error = 0;
        view_drop_done(&views->list, view);
        views_arm(views);
        shmem_views_idle(views);
}

bool shmem_views_have(const struct shmem_views *views, uint64_t dev, uint64_t ino)
{
        for (const struct view *view = views->list.first; view; view = view->next)
                if (view->dev == dev && view->ino == ino)
                        return true;
        return false;
}

void shmem_views_asked(struct shmem_views *views)
{
        if (views)
                views->asked = true;
}

static void views_doubt(struct shmem_views *views)
{
        for (struct view *view = views->list.first; view; view = view->next) {
                if (view->state == VIEW_SHOWN)
                        view_set_state(view, VIEW_DOUBTFUL);
                view->overtook = true;
        }
}

void shmem_views_speech(struct shmem_views *views, enum views_speech speech)
{
        if (!views || views->speech == speech)
                return;
        views->speech = speech;
        if (speech == VIEWS_SUSPENDED)
                views_doubt(views);
        if (speech != VIEWS_SPEAKING)
                refuse_awaited(views, -ECANCELED);
        shmem_views_idle(views);
}

void shmem_views_reset(struct shmem_views *views)
{
        struct view *next;

        for (struct view *view = views ? views->list.first : NULL; view; view = next) {
                next = view->next;
                view->overtook = true;
                view->remake = false;
                if (view->state != VIEW_SHOWN && view->state != VIEW_DOUBTFUL)
                        continue;
                view_set_state(view, VIEW_ABSENT);
                view_drop_done(&views->list, view);
        }
}

void shmem_views_set_channel(struct shmem_views *views, struct backend_channel *channel)
{
        if (!views)
                return;
        shmem_views_closed(views);
        views->channel = channel;
        shmem_views_idle(views);
}

/* ---- beginning and end ---- */

static void views_free(uv_handle_t *handle)
{
        free(handle->data);
}

struct shmem_views *shmem_views_close(struct shmem_views *views)
{
        if (!views)
                return NULL;
        views->speech = VIEWS_SUSPENDED;
        refuse_awaited(views, -ECANCELED);
        uv_close((uv_handle_t *)&views->timer, views_free);
        return NULL;
}

int shmem_views_new(uv_loop_t *loop, struct device *device, const struct memory_table *table,
                    struct shmem_views **ret_views)
{
        const struct shmem *shmem = device_shmem(device);
        struct shmem_views *views = calloc(1, sizeof(*views));

        if (!views)
                return -ENOMEM;
        uv_timer_init(loop, &views->timer);
        views->timer.data = views;
        views->device = device;
        views->table = table;
        view_list_init(&views->list);
        for (size_t i = 0; i < shmem_n_mappings(shmem); i++)
                (void)view_add(&views->list, shmem_mapping_at(shmem, i));
        *ret_views = views;
        return 0;
}
