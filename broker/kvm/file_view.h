/* A file as a guest sees it, where files may end (device_region.h): there is as much to be touched as the file is long, and behind
 * its end there is nothing, so that KVM says so at once. With nothing in its place, but a mapped page that cannot come, it may wait for
 * it inside of KVM_RUN, with no end and no word.
 *
 * The view is the guest's alone: devices reach the same file by the region's own window (shmem.h), where its length is what it is.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/core/shmem.h"

struct file_view {
        struct guest_mapping *window; /* NULL: there is no view */
        const struct shmem_mapping *mapping;
        uint64_t
            open; /* bytes from the beginning that lie before the guest: to the end of the page in which the file ends */
        int zeros; /* their file, where they lie behind it; -1: there are none */
};

/* 0, or negative errno. `mapping` is the caller's, and is there until file_view_done. */
int file_view_init(struct file_view *view, const struct shmem_mapping *mapping);

/* When no slot shows it any more. There may be none (all zero). */
void file_view_done(struct file_view *view);

void *file_view_host(const struct file_view *view);

/* As long as the file is now. Zeros go when it ends elsewhere. */
void file_view_follow(struct file_view *view);

/* Zeros behind the end, for who cannot be told otherwise that there is nothing. 0: so it is; -ENODATA: the file does not end in it; or
 * negative errno. */
int file_view_fill(struct file_view *view);

static inline bool file_view_has_zeros(const struct file_view *view)
{
        return view->zeros >= 0;
}

/* Do they lie there? */
static inline bool file_view_is_zero(const struct file_view *view, uint64_t offset)
{
        return view->window && view->zeros >= 0 && offset >= view->open;
}

/* Has somebody touched them? */
bool file_view_touched(const struct file_view *view);

/* Takes them away again. */
void file_view_clear(struct file_view *view);
