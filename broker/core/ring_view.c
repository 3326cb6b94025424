/* A part of a ring as one piece, wherever its pages are.
 * Owns the second mapping of pages and a reference on the memory that they are in. Called by queue.c, in the lane's thread. TRUST: what
 * pages a ring has, the guest and whoever translates for it choose; they are found in the lane's snapshot, which is judged memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/ring_view.h"

#include <string.h>

#include "broker/core/guest_memory.h"
#include "proto/base/checked.h"

#define PAGE ((uint64_t)LIMIT_IOTLB_PAGE)

struct ring_pages {
        unsigned n;
        uint64_t at[RING_VIEW_PAGES]; /* 0: not known */
};

/* One span of bytes, `done` behind the beginning of the first page. False: it lies otherwise in its pages here, or in others than what
 * comes before it in the same page. */
static bool span_take(struct ring_pages *pages, uint64_t done, const struct iovec *span)
{
        const uint64_t host = (uintptr_t)span->iov_base, first = host - host % PAGE;
        const uint64_t n = (host % PAGE + span->iov_len + PAGE - 1) / PAGE;

        if (host % PAGE != done % PAGE || done / PAGE + n > RING_VIEW_PAGES)
                return false;
        for (uint64_t i = 0; i < n; i++) {
                uint64_t *at = &pages->at[done / PAGE + i];

                if (*at != 0 && *at != first + i * PAGE)
                        return false;
                *at = first + i * PAGE;
        }
        pages->n = (unsigned)(done / PAGE + n);
        return true;
}

static bool find_pages(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write,
                       struct ring_pages *ret_pages)
{
        struct iovec spans[RING_VIEW_PAGES];
        struct ring_pages pages = {0};
        uint64_t done = at.v % PAGE;
        size_t n = 0;

        if (guest_memory_has_shmem(memory, at, len) ||
            guest_memory_iovec(memory, at, len, write, spans, array_size(spans), &n) != (int64_t)len)
                return false;
        for (size_t i = 0; i < n; done += spans[i++].iov_len)
                if (!span_take(&pages, done, &spans[i]))
                        return false;
        *ret_pages = pages;
        return true;
}

/* Its reference keeps what it shows from being another's, and so the same address is the same page. */
static bool shows(const struct ring_view *view, const struct guest_memory *below,
                  const struct ring_pages *pages)
{
        return view->window && view->below == below && view->n_pages == pages->n &&
               memcmp(view->pages, pages->at, pages->n * sizeof(pages->at[0])) == 0;
}

/* Page by page: what lies side by side may be two files', and a mapping that is longer than its first one goes on in that one's file. */
static bool view_make(struct ring_view *view, struct guest_memory *below, const struct ring_pages *pages)
{
        struct guest_mapping *window;

        if (guest_mapping_reserve(pages->n * PAGE, &window) < 0)
                return false;
        for (unsigned i = 0; i < pages->n; i++) {
                if (guest_mapping_put_again(window, i * PAGE, (const void *)(uintptr_t)pages->at[i]) < 0) {
                        (void)guest_mapping_unref(window);
                        return false;
                }
        }
        view->window = window;
        view->below = guest_memory_ref(below);
        view->n_pages = pages->n;
        memcpy(view->pages, pages->at, sizeof(view->pages));
        view->n_made++;
        return true;
}

void *ring_view_enter(struct ring_view *view, const struct guest_memory *memory, gpa_t at, uint64_t len,
                      uint64_t align, bool write)
{
        void *ring = guest_memory_ring(memory, at, len, align, write);
        struct guest_memory *below = guest_memory_below(memory);
        struct ring_pages pages;

        if (ring || !guest_memory_is_translated(memory) || (at.v & (align - 1)) != 0 ||
            !find_pages(memory, at, len, write, &pages)) {
                ring_view_leave(view);
                return ring;
        }
        if (!shows(view, below, &pages)) {
                ring_view_leave(view);
                if (!view_make(view, below, &pages))
                        return NULL;
        }
        return (uint8_t *)guest_mapping_base(view->window) + at.v % PAGE;
}

void ring_view_leave(struct ring_view *view)
{
        view->window = guest_mapping_unref(view->window);
        view->below = guest_memory_unref(view->below);
        view->n_pages = 0;
}
