/* What the guest has been promised. Owns the lists of writes. Called by power_cut.c. TRUST: events are the
 * test's own; only that a completion came is the device's word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power_cut/cut_promise.h"

#include <stdlib.h>
#include <string.h>

static void *need(void *p)
{
        if (!p)
                abort();
        return p;
}

void promise_init(struct promise *promise, uint32_t n_sectors)
{
        memset(promise, 0, sizeof(*promise));
        promise->n_sectors = n_sectors;
        promise->sectors = need(calloc(n_sectors, sizeof(*promise->sectors)));
        promise_add(promise, &(struct guest_write){.n = n_sectors});
        promise_apply(promise, &(struct guest_event){.kind = GUEST_POST});
        promise_apply(promise, &(struct guest_event){.kind = GUEST_DONE});
}

void promise_done(struct promise *promise)
{
        for (uint32_t i = 0; promise->sectors && i < promise->n_sectors; i++)
                free(promise->sectors[i].writes);
        free(promise->sectors);
        free(promise->writes);
        free(promise->unstable);
        memset(promise, 0, sizeof(*promise));
}

uint32_t promise_add(struct promise *promise, const struct guest_write *write)
{
        struct guest_write *added;

        if (promise->n_writes == promise->room) {
                promise->room = promise->room * 2 + 64;
                promise->writes = need(realloc(promise->writes, promise->room * sizeof(*promise->writes)));
                promise->unstable =
                    need(realloc(promise->unstable, promise->room * sizeof(*promise->unstable)));
        }
        added = &promise->writes[promise->n_writes];
        *added = *write;
        added->done = UINT64_MAX;
        added->stable = false;
        return (uint32_t)promise->n_writes++;
}

/* ---- events ---- */

static void post(struct promise *promise, uint32_t number)
{
        const struct guest_write *write = &promise->writes[number];

        for (uint32_t i = write->sector; i < write->sector + write->n; i++) {
                struct promise_sector *sector = &promise->sectors[i];

                if (sector->n == sector->room) {
                        sector->room = sector->room * 2 + 4;
                        sector->writes =
                            need(realloc(sector->writes, sector->room * sizeof(*sector->writes)));
                }
                sector->writes[sector->n++] = number;
        }
}

/* What had completed before this one was sent is replaced. */
static void replace(struct promise *promise, uint32_t index, uint32_t number)
{
        const struct guest_write *write = &promise->writes[number];
        struct promise_sector *sector = &promise->sectors[index];
        unsigned kept = 0;

        for (unsigned i = 0; i < sector->n; i++) {
                uint32_t other = sector->writes[i];

                if (other == number || promise->writes[other].done >= write->posted)
                        sector->writes[kept++] = other;
        }
        sector->n = kept;
}

static void make_stable(struct promise *promise, uint32_t number)
{
        struct guest_write *write = &promise->writes[number];

        write->stable = true;
        if (write->may_stay)
                return;
        for (uint32_t i = write->sector; i < write->sector + write->n; i++)
                replace(promise, i, number);
}

static void make_all_stable(struct promise *promise, uint64_t since)
{
        size_t kept = 0;

        for (size_t i = 0; i < promise->n_unstable; i++) {
                uint32_t number = promise->unstable[i];

                if (promise->writes[number].done < since)
                        make_stable(promise, number);
                else
                        promise->unstable[kept++] = number;
        }
        promise->n_unstable = kept;
}

void promise_apply(struct promise *promise, const struct guest_event *event)
{
        struct guest_write *write = &promise->writes[event->write];

        switch (event->kind) {
        case GUEST_POST:
                write->posted = promise->n_events;
                post(promise, event->write);
                break;
        case GUEST_DONE:
                write->done = promise->n_events;
                if (event->through)
                        make_stable(promise, event->write);
                else
                        promise->unstable[promise->n_unstable++] = event->write;
                break;
        case GUEST_STABLE:
                make_all_stable(promise, event->since);
                break;
        }
        promise->n_events++;
}

bool promise_allows(const struct promise *promise, uint32_t sector, uint32_t id)
{
        const struct promise_sector *at = &promise->sectors[sector];

        for (unsigned i = 0; i < at->n; i++)
                if (promise->writes[at->writes[i]].id == id)
                        return true;
        return false;
}
