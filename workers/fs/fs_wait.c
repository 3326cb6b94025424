/* Locks that are waited for.
 * Owns the list; requests live in the runtime until they are answered. Called by fs.c. TRUST: ids, ranges and owners are the
 * guest's: ids are found or not, again at each try; ranges are judged.
 *
 * Nobody blocks: one thread serves all, and who lets the lock go comes by the same queue. A deadlock of two that wait for each other is
 * not found, as little as on a network's file system; the guest can interrupt it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_wait.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/file.h>

#include "workers/fs/fs.h"
#include "workers/fs/fs_req.h"
#include "workers/runtime/request.h"
#include "workers/runtime/worker_watch.h"

#define TICK_MS 100u /* between two looks at locks of the host's */

static int fs_wait_try_whole(struct fs *fs, const struct fs_waiter *waiter, int slot)
{
        int op = waiter->lock.l_type == F_RDLCK   ? LOCK_SH
                 : waiter->lock.l_type == F_WRLCK ? LOCK_EX
                                                  : LOCK_UN;

        return flock(fs_handle_fd(&fs->handles, slot), op | LOCK_NB) < 0 ? -errno : 0;
}

/* 0; -EAGAIN: another has it; or an answer. */
static int fs_wait_try(struct fs *fs, const struct fs_waiter *waiter)
{
        int slot = fs_handle_find(&fs->handles, waiter->handle, waiter->node, false), r;

        if (slot < 0)
                return slot;
        if (waiter->whole)
                r = fs_wait_try_whole(fs, waiter, slot);
        else
                r = fs_lock_set(&fs->locks, fs_node_find(&fs->nodes, waiter->node), waiter->owner,
                                &waiter->lock);
        if (r == 0 && waiter->lock.l_type != F_UNLCK)
                fs->memory->handles[slot].has_locked = 1;
        return r;
}

/* Not by fs->answer, which may be another request's just now. */
static void fs_wait_answer(const struct fs_waiter *waiter, int error)
{
        struct fs_answer answer;

        fs_answer_start(&answer, waiter->request, waiter->unique);
        fs_answer_error(&answer, error);
}

/* ---- the list ---- */

static void fs_wait_remove(struct fs *fs, unsigned i)
{
        struct fs_waits *waits = &fs->waits;

        waits->n--;
        memmove(&waits->waiters[i], &waits->waiters[i + 1], (waits->n - i) * sizeof(waits->waiters[0]));
        if (waits->n == 0)
                worker_tick_stop();
}

static void fs_wait_finish(struct fs *fs, unsigned i, int error)
{
        const struct fs_waiter waiter = fs->waits.waiters[i];

        fs_wait_remove(fs, i);
        fs_wait_answer(&waiter, error);
}

void fs_waits_retry(struct fs *fs)
{
        for (unsigned i = 0; i < fs->waits.n;) {
                int r = fs_wait_try(fs, &fs->waits.waiters[i]);

                if (r == -EAGAIN)
                        i++;
                else
                        fs_wait_finish(fs, i, r);
        }
}

static void fs_wait_tick(void *state)
{
        fs_waits_retry(state);
}

static void fs_wait_add(struct fs *fs, const struct fs_waiter *waiter)
{
        fs->waits.waiters[fs->waits.n++] = *waiter;
        fs->answer.request = NULL; /* it has its answer later */
        request_wait(waiter->request);
        worker_tick_set(TICK_MS, fs_wait_tick);
}

/* An end that is the largest offset means up to the end, however far that moves. */
static struct flock fs_wait_range(const struct fuse_file_lock *lock)
{
        return (struct flock){.l_type = (short)lock->type,
                              .l_whence = SEEK_SET,
                              .l_start = (off_t)lock->start,
                              .l_len = lock->end == INT64_MAX ? 0 : (off_t)(lock->end - lock->start + 1)};
}

void fs_wait_lock(struct fs *fs, const struct fs_req *req, const void *body)
{
        struct fs_waiter waiter = {.request = fs->answer.request, .unique = req->unique, .node = req->nodeid};
        struct fuse_lk_in in;
        int r;

        memcpy(&in, body, sizeof(in));
        waiter.handle = in.fh;
        waiter.owner = in.owner;
        waiter.lock = fs_wait_range(&in.lk);
        waiter.whole = in.lk_flags & FUSE_LK_FLOCK;
        r = fs->locks_shared ? fs_wait_try(fs, &waiter) : -ENOSYS;
        if (r == -EAGAIN && fs->waits.n == LIMIT_FS_WAITS)
                r = -ENOLCK;
        if (r == -EAGAIN)
                fs_wait_add(fs, &waiter);
        else
                fs_answer_error(&fs->answer, r);
}

void fs_wait_interrupt(struct fs *fs, uint64_t unique)
{
        for (unsigned i = 0; i < fs->waits.n; i++) {
                if (fs->waits.waiters[i].unique != unique)
                        continue;
                fs_wait_finish(fs, i, -EINTR);
                return;
        }
}

void fs_waits_end(struct fs *fs, uint32_t queue, int error)
{
        for (unsigned i = 0; i < fs->waits.n;) {
                if (queue == FS_ALL_QUEUES || request_queue(fs->waits.waiters[i].request) == queue)
                        fs_wait_finish(fs, i, error);
                else
                        i++;
        }
}
