/* Files that may end, before a guest.
 * Owns a window of address space for each and the file of its zeros. Called by front_memory.c, on the main thread. TRUST: a file's length
 * is anybody's, at any moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/file_view.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/core/sealed_memory.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

/* How much of the file is there, of what is mapped. It cannot be asked: as much as before. */
static uint64_t there(const struct file_view *view)
{
        const struct shmem_mapping *mapping = view->mapping;
        uint64_t bytes;
        struct stat st;

        if (fstat(mapping->fd, &st) < 0)
                return view->open;
        if ((uint64_t)st.st_size <= mapping->fd_offset)
                return 0;
        bytes = MIN((uint64_t)st.st_size - mapping->fd_offset, mapping->len);
        return (bytes + LIMIT_SHMEM_PAGE - 1) & ~(uint64_t)(LIMIT_SHMEM_PAGE - 1);
}

static int put(struct file_view *view, uint64_t end)
{
        const struct shmem_mapping *mapping = view->mapping;
        int r = guest_mapping_put(view->window, view->open, end - view->open, mapping->fd,
                                  mapping->fd_offset + view->open, mapping->writable);

        if (r == 0)
                view->open = end;
        return r;
}

int file_view_init(struct file_view *view, const struct shmem_mapping *mapping)
{
        struct file_view made = {.mapping = mapping, .zeros = -1};
        uint64_t end = there(&made);
        int r = guest_mapping_reserve(mapping->len, &made.window);

        if (r == 0 && end > 0)
                r = put(&made, end);
        if (r < 0) {
                file_view_done(&made);
                return r;
        }
        *view = made;
        return 0;
}

void file_view_done(struct file_view *view)
{
        if (!view->window)
                return;
        if (view->zeros >= 0)
                close(view->zeros);
        (void)guest_mapping_unref(view->window);
        *view = (struct file_view){0};
}

void *file_view_host(const struct file_view *view)
{
        return guest_mapping_base(view->window);
}

/* What cannot be mapped just now can be when it is touched, or at the next look. */
void file_view_follow(struct file_view *view)
{
        uint64_t end = there(view);

        if (end != view->open)
                file_view_clear(view);
        if (end < view->open) {
                guest_mapping_take(view->window, end, view->open - end);
                view->open = end;
        }
        if (end > view->open)
                (void)put(view, end);
}

int file_view_fill(struct file_view *view)
{
        const uint64_t len = view->mapping->len - view->open;
        _cleanup_close_ int fd = -1;
        int r;

        if (view->zeros >= 0)
                return 0;
        if (len == 0)
                return -ENODATA;
        r = sealed_memory_open("bulkhead-cut", len, &fd);
        if (r == 0)
                r = guest_mapping_put(view->window, view->open, len, fd, 0, view->mapping->writable);
        if (r == 0)
                view->zeros = take_fd(&fd);
        return r;
}

/* A page of them comes with the first touch. */
bool file_view_touched(const struct file_view *view)
{
        struct stat st;

        return view->zeros >= 0 && (fstat(view->zeros, &st) < 0 || st.st_blocks > 0);
}

void file_view_clear(struct file_view *view)
{
        if (view->zeros < 0)
                return;
        guest_mapping_take(view->window, view->open, view->mapping->len - view->open);
        close(view->zeros);
        view->zeros = -1;
}
