/* A device whose memory is translated.
 * Owns the table, the open questions and a reference of the front end's memory; called by front ends (device.h) and by the other
 * device files, on the main thread. TRUST: entries are the VMM's or its guest's, judged by iotlb.c; what pages lanes want, the
 * guest chooses: both are bounded here.
 *
 * A page that is in the table, with the rights that are wanted, and missing all the same, stands for what is no memory: that is
 * as good as no translation. So each question is answered once, whatever the answer is, and nobody asks the same twice
 * without having been given something in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_iotlb.h"

#include <errno.h>
#include <string.h>

#include "broker/core/device_state.h"
#include "broker/core/interval_map.h"
#include "proto/admin.h"
#include "proto/base/log.h"

/* ---- what the lanes see ---- */

static int iotlb_view(const struct device_iotlb *iotlb, struct guest_memory **ret_view)
{
        if (iotlb->on && iotlb->memory)
                return guest_memory_translate(iotlb->memory, iotlb->table.entries, ret_view);
        *ret_view = iotlb->memory ? guest_memory_ref(iotlb->memory) : NULL;
        return 0;
}

/* Without room for all of it nothing is shown: what is needed is asked for again, and until then nobody reaches anything by what
 * may have been taken back. */
static void iotlb_show(struct device *device)
{
        struct device_iotlb *iotlb = &device->iotlb;
        struct guest_memory *view = NULL;
        int r = iotlb_view(iotlb, &view);

        if (r < 0) {
                log_limited(LOG_LEVEL_WARNING, "translations are too many, and forgotten (errno=%d) dev=%s",
                            -r, device->config->name);
                iotlb_clear(&iotlb->table);
                if (iotlb_view(iotlb, &view) < 0)
                        view = NULL;
        }
        iotlb->changed = false;
        device_call_set_memory(device, view);
        (void)guest_memory_unref(view);
}

/* When the loop comes round, lanes are shown what is new, and asked what is missing: never from inside a call of the front end. */
static void iotlb_wake(struct device *device)
{
        atomic_store(&device->iotlb.missing, true);
        uv_async_send(&device->reported);
}

void device_iotlb_set_memory(struct device *device, struct guest_memory *memory)
{
        struct guest_memory *old = device->iotlb.memory;

        device->iotlb.memory = memory ? guest_memory_ref(memory) : NULL;
        iotlb_show(device);
        (void)guest_memory_unref(old);
        if (device->iotlb.on)
                iotlb_wake(device);
}

/* ---- questions ---- */

static struct device_question *question_find(struct device_iotlb *iotlb, uint64_t iova)
{
        for (unsigned i = 0; i < iotlb->n_open; i++)
                if (iotlb->open[i].iova == iova)
                        return &iotlb->open[i];
        return NULL;
}

static void question_close(struct device_iotlb *iotlb, struct device_question *question)
{
        *question = iotlb->open[--iotlb->n_open];
}

static void iotlb_refuse(struct device *device, uint64_t iova, unsigned rights)
{
        device->iotlb.n_refused++;
        device_call_refuse(device, iova, rights);
        iotlb_wake(device); /* there may be more behind it */
}

static bool has_room(const struct device_iotlb *iotlb)
{
        return iotlb_n(&iotlb->table) + 2 * (iotlb->n_open + 1u) <= LIMIT_IOTLB_ENTRIES;
}

/* Drops what nobody needs. False: there is no room for one more page all the same. Lanes are shown a table that is another: shown the
 * same, whoever waits for room would ask again at once, and for ever. */
static bool iotlb_make_room(struct device *device)
{
        struct device_iotlb *iotlb = &device->iotlb;
        uint64_t marks[(LIMIT_IOTLB_ENTRIES + 63) / 64] = {0};
        size_t before = iotlb_n(&iotlb->table);

        if (has_room(iotlb))
                return true;
        device_call_mark(device, iotlb->table.entries, marks);
        iotlb_keep(&iotlb->table, marks);
        if (iotlb_n(&iotlb->table) != before)
                iotlb_show(device);
        return has_room(iotlb);
}

static bool any_outstanding(const struct device *device)
{
        for (unsigned i = 0; i < device->n_lanes; i++)
                if (atomic_load(&lane_thread_stats(device->lanes[i])->outstanding) > 0)
                        return true;
        return false;
}

/* The table is full. A chain waits until others are done with theirs; what cannot, or would for ever, is refused. */
static void iotlb_starve(struct device *device, const struct miss_page *page)
{
        struct device_iotlb *iotlb = &device->iotlb;

        if (page->posted && (iotlb->n_open > 0 || any_outstanding(device))) {
                iotlb->starved = true;
                device_call_starve(device, true);
                return;
        }
        log_limited(LOG_LEVEL_WARNING, "guest needs more translations at once than the %u of a device dev=%s",
                    LIMIT_IOTLB_ENTRIES, device->config->name);
        iotlb_refuse(device, page->iova, page->rights);
}

/* False: no more can be asked now. */
static bool iotlb_ask_page(struct device *device, const struct miss_page *page)
{
        struct device_iotlb *iotlb = &device->iotlb;

        if (question_find(iotlb, page->iova))
                return true;
        if (device_is_behind(device)) {
                iotlb_refuse(device, page->iova, page->rights);
                device_iommu_fault(device, page->iova, page->rights);
                return true;
        }
        if (!device->front.iotlb_miss ||
            interval_map_covers(iotlb->table.entries, page->iova, LIMIT_IOTLB_PAGE, page->rights)) {
                iotlb_refuse(device, page->iova, page->rights);
                return true;
        }
        if (iotlb->n_open == LIMIT_IOTLB_MISSES)
                return false;
        if (!iotlb_make_room(device)) {
                iotlb_starve(device, page);
                return false;
        }
        iotlb->open[iotlb->n_open++] = (struct device_question){.iova = page->iova, .rights = page->rights};
        iotlb->n_asked++;
        device->front.iotlb_miss(device->front.context, page->iova, page->rights);
        return true;
}

/* The front end may answer from inside, and even end it all. */
static void iotlb_ask(struct device *device)
{
        struct device_iotlb *iotlb = &device->iotlb;
        struct miss_list list = {.n = 0};

        if (iotlb->starved) {
                iotlb->starved = false;
                device_call_starve(device, false);
        }
        device_call_collect(device, &list);
        for (unsigned i = 0; i < list.n && iotlb->on && !iotlb->changed; i++)
                if (!iotlb_ask_page(device, &list.pages[i]))
                        return;
}

void device_iotlb_step(struct device *device)
{
        struct device_iotlb *iotlb = &device->iotlb;
        bool missing = atomic_exchange(&iotlb->missing, false);

        if (!iotlb->on)
                return;
        if (iotlb->changed)
                iotlb_show(device);
        else if (!missing)
                return;
        if (device->drain_stage == DRAIN_NONE)
                iotlb_ask(device);
}

void device_iotlb_hurry(struct device *device, bool hurried)
{
        struct device_iotlb *iotlb = &device->iotlb;

        if (hurried == iotlb->hurried || (hurried && !iotlb->on))
                return;
        iotlb->hurried = hurried;
        device_call_hurry(device, hurried);
        if (!hurried)
                iotlb_wake(device);
}

/* ---- what the keeper tells ---- */

/* What an update says of open questions; of none without entries. */
static void iotlb_answer(struct device *device, const struct iotlb_entry *entry, unsigned given)
{
        struct device_iotlb *iotlb = &device->iotlb;

        for (unsigned i = 0; i < iotlb->n_open;) {
                struct device_question question = iotlb->open[i];

                if (question.iova - entry->iova >= entry->len) {
                        i++;
                        continue;
                }
                question_close(iotlb, &iotlb->open[i]);
                if ((question.rights & ~given) != 0)
                        iotlb_refuse(device, question.iova, question.rights & ~given);
        }
}

int device_iotlb_update(struct device *device, const struct iotlb_entry *entry)
{
        struct device_iotlb *iotlb = &device->iotlb;
        int r;

        if (!iotlb->on)
                return -EPERM;
        r = iotlb_update(&iotlb->table, entry);
        if (r == -ENOSPC && !device_is_behind(device)) {
                uint64_t marks[(LIMIT_IOTLB_ENTRIES + 63) / 64] = {0};

                device_call_mark(device, iotlb->table.entries, marks);
                iotlb_keep(&iotlb->table, marks);
                r = iotlb_update(&iotlb->table, entry);
        }
        if (r == -EINVAL)
                return r;
        iotlb->changed = true;
        iotlb_answer(device, entry, r < 0 ? 0 : entry->rights);
        iotlb_wake(device);
        return r;
}

int device_iotlb_invalidate(struct device *device, uint64_t iova, uint64_t len)
{
        struct device_iotlb *iotlb = &device->iotlb;
        const uint64_t before = iotlb->table.n_changes;
        int r;

        if (!iotlb->on)
                return -EPERM;
        r = iotlb_invalidate(&iotlb->table, iova, len);
        if (r < 0 || (iotlb->table.n_changes == before && !iotlb->changed))
                return r;
        iotlb_show(device);
        iotlb_wake(device);
        return 0;
}

void device_iotlb_missed(struct device *device, uint64_t iova)
{
        struct device_iotlb *iotlb = &device->iotlb;
        struct device_question *question = question_find(iotlb, iova & ~(uint64_t)(LIMIT_IOTLB_PAGE - 1));
        struct device_question asked;

        if (!iotlb->on || !question)
                return;
        asked = *question;
        question_close(iotlb, question);
        iotlb_refuse(device, asked.iova, asked.rights);
}

/* ---- begin and end ---- */

static void iotlb_off(struct device_iotlb *iotlb)
{
        if (iotlb->on) {
                iotlb->n_updates += iotlb->table.n_updates;
                iotlb->n_invalidations += iotlb->table.n_invalidations;
                iotlb_done(&iotlb->table);
        }
        iotlb->on = iotlb->changed = iotlb->starved = false;
        iotlb->n_open = 0;
}

int device_translate(struct device *device, bool on)
{
        struct device_iotlb *iotlb = &device->iotlb;
        int r;

        if (on == iotlb->on)
                return 0;
        if (device_any_running(device))
                return -EBUSY;
        if (on) {
                r = iotlb_init(&iotlb->table);
                if (r < 0)
                        return r;
                iotlb->on = true;
        } else {
                iotlb_off(iotlb);
        }
        iotlb_show(device);
        iotlb_wake(device);
        return 0;
}

void device_iotlb_reset(struct device *device)
{
        if (!device->iotlb.on || device->front.iotlb_persists)
                return;
        iotlb_clear(&device->iotlb.table);
        iotlb_show(device);
}

void device_iotlb_end(struct device *device)
{
        if (!device->iotlb.on)
                return;
        iotlb_off(&device->iotlb);
        iotlb_show(device);
}

void device_iotlb_done(struct device *device)
{
        iotlb_off(&device->iotlb);
        device->iotlb.memory = guest_memory_unref(device->iotlb.memory);
}

const struct iotlb *device_iotlb(const struct device *device)
{
        return device->iotlb.on ? &device->iotlb.table : NULL;
}

struct device_misses device_iotlb_misses(const struct device *device)
{
        const struct device_iotlb *iotlb = &device->iotlb;

        return (struct device_misses){
            .asked = iotlb->n_asked, .refused = iotlb->n_refused, .open = iotlb->n_open};
}

void device_iotlb_status(const struct device *device, struct admin_translations *ret_status)
{
        const struct device_iotlb *iotlb = &device->iotlb;

        *ret_status = (struct admin_translations){
            .may = device_may_translate(device),
            .on = iotlb->on,
            .open = iotlb->n_open,
            .asked = iotlb->n_asked,
            .refused = iotlb->n_refused,
            .n_updates = iotlb->n_updates,
            .n_invalidations = iotlb->n_invalidations,
        };
        if (!iotlb->on)
                return;
        ret_status->held = (uint32_t)iotlb_n(&iotlb->table);
        ret_status->n_updates += iotlb->table.n_updates;
        ret_status->n_invalidations += iotlb->table.n_invalidations;
}
