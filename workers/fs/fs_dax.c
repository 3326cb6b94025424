/* Files in the guest's window.
 * Owns the list of who waits; what is mapped stands in the memory that outlives us. Called by fs.c and fs_mount.c. TRUST: ids,
 * offsets and flags are the guest's: ids are found or not, again when it comes to them, numbers judged; records of a predecessor are
 * judged in fs_dax_restore.
 *
 * A file is mapped for writing wherever we could write to it, whatever the guest wants it for: it decides itself which of its
 * programs may write, and would have to see the mapping go and come if it changed its mind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_dax.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/fs/fs.h"
#include "workers/fs/fs_req.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_shmem.h"

#define RESTORED (1u << 31) /* of an id: the granule of a predecessor's, below it */

_Static_assert(LIMIT_FS_MAPS <= LIMIT_SHMEM_MAPPINGS, "each is a mapping");

/* ---- sets ---- */

static bool set_has(const struct fs_map_set *set, uint32_t i)
{
        return set->words[i / 64] >> i % 64 & 1;
}

static void set_add(struct fs_map_set *set, uint32_t i)
{
        set->words[i / 64] |= UINT64_C(1) << i % 64;
}

static void set_remove(struct fs_map_set *set, uint32_t i)
{
        set->words[i / 64] &= ~(UINT64_C(1) << i % 64);
}

/* Any of them, which is none afterwards. */
static bool set_take(struct fs_map_set *set, uint32_t *ret_i)
{
        for (uint32_t word = 0; word < FS_MAP_WORDS; word++) {
                if (set->words[word] == 0)
                        continue;
                *ret_i = word * 64 + (uint32_t)__builtin_ctzll(set->words[word]);
                set_remove(set, *ret_i);
                return true;
        }
        return false;
}

/* ---- what is there ---- */

static struct fs_map_record *record_of(struct fs *fs, uint32_t granule)
{
        return &fs->memory->maps[granule];
}

/* The node is there: it has been found. */
static void record_add(struct fs *fs, uint32_t granule, const struct fs_map_record *record)
{
        fs->nodes.own[fs_node_find(&fs->nodes, record->node)].n_maps++;
        set_add(&fs->dax.shown, granule);
        *record_of(fs, granule) = *record;
}

/* From here on a successor does not ask for it. */
static void record_remove(struct fs *fs, uint32_t granule)
{
        uint32_t node = fs_node_find(&fs->nodes, record_of(fs, granule)->node);

        record_of(fs, granule)->node = 0;
        fs_memory_order();
        set_remove(&fs->dax.shown, granule);
        if (node == FS_NO_SLOT)
                return;
        fs->nodes.own[node].n_maps--;
        fs_node_settle(&fs->nodes, node);
}

/* ---- asking the broker ---- */

static struct worker_map map_of(uint32_t granule, const struct fs_map_record *record)
{
        return (struct worker_map){.shmid = FS_SHMID_DAX,
                                   .writable = record->writable != 0,
                                   .offset = (uint64_t)granule * FS_DAX_GRANULE,
                                   .len = FS_DAX_GRANULE,
                                   .fd_offset = record->offset};
}

static bool is_refusal(int error)
{
        return error == -EACCES || error == -EPERM || error == -EROFS || error == -ETXTBSY ||
               error == -ESTALE;
}

/* What is open for reading and writing is found before what is for reading alone: of an inode without a name this is a handle of the
 * guest's, and has no more rights than it says. */
static int open_file(struct fs *fs, uint32_t node, bool writes, bool *ret_writable)
{
        int fd = -EROFS;

        if (!fs->read_only)
                fd = fs_handle_open(&fs->handles, node, O_RDWR, false);
        *ret_writable = fd >= 0;
        if (fd >= 0 || !is_refusal(fd) || writes)
                return fd;
        return fs_handle_open(&fs->handles, node, O_RDONLY, false);
}

static void ask_unmap(struct fs *fs, uint32_t granule)
{
        const struct worker_map map = map_of(granule, record_of(fs, granule));
        struct fs_dax *dax = &fs->dax;

        dax->id = (dax->id + 1) & ~RESTORED;
        dax->asks = true;
        dax->maps = false;
        dax->granule = granule;
        worker_shmem_unmap(dax->id, &map);
}

static int ask_map(struct fs *fs, uint32_t granule, const struct fs_dax_job *job)
{
        uint32_t node = fs_node_find(&fs->nodes, job->node);
        struct fs_dax *dax = &fs->dax;
        _cleanup_close_ int fd = -1;
        struct worker_map map;
        bool writable;

        if (node == FS_NO_SLOT)
                return -ESTALE;
        fd = open_file(fs, node, job->writes, &writable);
        if (fd < 0)
                return fd;
        dax->asked = (struct fs_map_record){.node = job->node, .offset = job->offset, .writable = writable};
        map = map_of(granule, &dax->asked);
        dax->id = (dax->id + 1) & ~RESTORED;
        dax->asks = dax->maps = true;
        dax->alone = false;
        dax->granule = granule;
        fs->nodes.own[node].n_maps++; /* it stays until there is an answer */
        worker_shmem_map(dax->id, &map, fd);
        return 0;
}

/* ---- the list ---- */

static struct fs_dax_job *job_first(struct fs_dax *dax)
{
        return &dax->jobs[dax->first_job];
}

static void job_finish(struct fs *fs, int error)
{
        struct fs_dax *dax = &fs->dax;
        const struct fs_dax_job *job = job_first(dax);
        struct fs_answer answer; /* fs->answer may be another request's just now */

        fs_answer_start(&answer, job->request, job->unique);
        dax->first_job = (dax->first_job + 1) % array_size(dax->jobs);
        dax->n_jobs--;
        fs_answer_error(&answer, error);
}

static bool is_shown_already(struct fs *fs, const struct fs_dax_job *job)
{
        const struct fs_map_record *record = record_of(fs, job->first);

        return set_has(&fs->dax.shown, job->first) && record->node == job->node &&
               record->offset == job->offset && (record->writable != 0 || !job->writes);
}

static void job_next(struct fs_dax_job *job)
{
        job->first++;
        job->n--;
        job->offset += FS_DAX_GRANULE;
}

/* One step, unless it is done. */
static void job_map(struct fs *fs, struct fs_dax_job *job)
{
        int r = 0;

        if (job->n == 0) {
                job_finish(fs, 0);
        } else if (is_shown_already(fs, job)) {
                job_next(job);
        } else if (set_has(&fs->dax.shown, job->first)) {
                record_remove(fs, job->first);
                ask_unmap(fs, job->first);
        } else {
                r = ask_map(fs, job->first, job);
        }
        if (r < 0)
                job_finish(fs, r);
}

static void job_unmap(struct fs *fs, struct fs_dax_job *job)
{
        uint32_t granule;

        if (!set_take(&job->set, &granule)) {
                job_finish(fs, 0);
        } else if (set_has(&fs->dax.shown, granule)) {
                record_remove(fs, granule);
                ask_unmap(fs, granule);
        }
}

/* As far as it goes without an answer: each step makes a job shorter. */
static void go_on(struct fs *fs)
{
        struct fs_dax *dax = &fs->dax;
        uint32_t granule;

        while (!dax->asks && dax->n_restoring == 0) {
                if (set_take(&dax->unwanted, &granule))
                        ask_unmap(fs, granule);
                else if (dax->n_jobs == 0)
                        return;
                else if (job_first(dax)->removes)
                        job_unmap(fs, job_first(dax));
                else
                        job_map(fs, job_first(dax));
        }
}

static void job_add(struct fs *fs, struct fs_dax_job *job)
{
        struct fs_dax *dax = &fs->dax;

        if (dax->n_jobs == array_size(dax->jobs)) {
                fs_answer_error(&fs->answer, -ENOMEM); /* cannot be: there are no more requests */
                return;
        }
        job->request = fs->answer.request;
        job->unique = fs->answer.unique;
        fs->answer.request = NULL; /* it has its answer later */
        dax->jobs[(dax->first_job + dax->n_jobs++) % array_size(dax->jobs)] = *job;
        go_on(fs);
}

/* ---- answers of the broker's ---- */

/* As Linux would say it of its own. */
static int error_of(int error)
{
        if (error == -E2BIG)
                return -ENOMEM;
        if (error == -EMEDIUMTYPE)
                return -EOPNOTSUPP;
        return error == -EACCES || error == -ENOMEM ? error : -EIO;
}

static void on_restored(struct fs *fs, uint32_t granule, int error)
{
        if (fs->dax.n_restoring == 0 || granule >= fs->dax.n_granules)
                worker_trap();
        fs->dax.n_restoring--;
        if (error == 0 || !set_has(&fs->dax.shown, granule))
                return;
        worker_log(LOG_LEVEL_WARNING,
                   "a part of a file that the guest has mapped is not there any more: errno=%d", -error);
        record_remove(fs, granule);
}

static void on_mapped(struct fs *fs, int error)
{
        struct fs_dax *dax = &fs->dax;
        const struct fs_map_record asked = dax->asked;

        if (dax->alone && error == 0)
                set_add(&dax->unwanted, dax->granule);
        if (dax->alone)
                return;
        if (error == 0) {
                record_add(fs, dax->granule, &asked);
                job_next(job_first(dax));
        } else {
                job_finish(fs, error_of(error));
        }
        fs->nodes.own[fs_node_find(&fs->nodes, asked.node)].n_maps--;
        fs_node_settle(&fs->nodes, fs_node_find(&fs->nodes, asked.node));
}

void fs_dax_answered(struct fs *fs, uint32_t id, int error)
{
        struct fs_dax *dax = &fs->dax;

        if (id & RESTORED) {
                on_restored(fs, id & ~RESTORED, error);
        } else {
                if (!dax->asks || id != dax->id)
                        worker_trap();
                dax->asks = false;
                if (dax->maps)
                        on_mapped(fs, error);
        }
        go_on(fs);
}

/* ---- requests ---- */

static bool range_of(const struct fs *fs, uint64_t at, uint64_t len, uint32_t *ret_first, uint32_t *ret_n)
{
        const uint64_t window = (uint64_t)fs->dax.n_granules * FS_DAX_GRANULE;

        if (at % FS_DAX_GRANULE != 0 || len % FS_DAX_GRANULE != 0 || len == 0 ||
            !range_inside(at, len, window))
                return false;
        *ret_first = (uint32_t)(at / FS_DAX_GRANULE);
        *ret_n = (uint32_t)(len / FS_DAX_GRANULE);
        return true;
}

/* Of an open file if the guest names one, which must be open for what is wanted; else of any that it knows. */
static int judge_file(struct fs *fs, uint64_t node, uint64_t handle, bool writes)
{
        int slot;

        if (writes && fs->read_only)
                return -EROFS;
        if (handle == UINT64_MAX)
                return fs_node_find(&fs->nodes, node) == FS_NO_SLOT ? -ESTALE : 0;
        slot = fs_handle_find(&fs->handles, handle, node, false);
        if (slot < 0)
                return slot;
        return writes && (fs->memory->handles[slot].flags & O_ACCMODE) == O_RDONLY ? -EACCES : 0;
}

void fs_dax_map(struct fs *fs, const struct fs_req *req, const uint8_t *body)
{
        const uint64_t known = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE;
        struct fs_dax_job job = {.node = req->nodeid};
        struct fuse_setupmapping_in in;
        int r = 0;

        memcpy(&in, body, sizeof(in));
        job.offset = in.foffset;
        job.writes = in.flags & FUSE_SETUPMAPPING_FLAG_WRITE;
        if (fs->dax.n_granules == 0)
                r = -ENOSYS;
        else if (in.flags == 0 || in.flags & ~known || in.foffset % FS_DAX_GRANULE != 0 ||
                 !range_of(fs, in.moffset, in.len, &job.first, &job.n) ||
                 !range_inside(in.foffset, in.len, (uint64_t)INT64_MAX))
                r = -EINVAL;
        else
                r = judge_file(fs, req->nodeid, in.fh, job.writes);
        if (r < 0)
                fs_answer_error(&fs->answer, r);
        else
                job_add(fs, &job);
}

/* A length that is the largest number means all. */
static int ranges_add(const struct fs *fs, const struct fuse_removemapping_one *one, struct fs_map_set *set)
{
        uint32_t first = 0, n = fs->dax.n_granules;

        if (one->len != UINT64_MAX && !range_of(fs, one->moffset, one->len, &first, &n))
                return -EINVAL;
        for (uint32_t i = 0; i < n; i++)
                set_add(set, first + i);
        return 0;
}

void fs_dax_unmap(struct fs *fs, const struct fs_req *req, const uint8_t *body)
{
        struct fs_dax_job job = {.removes = true};
        struct fuse_removemapping_one one;
        struct fuse_removemapping_in in;
        int r = fs->dax.n_granules == 0 ? -ENOSYS : 0;

        (void)req;
        memcpy(&in, body, sizeof(in));
        body += sizeof(in);
        for (uint32_t i = 0; i < in.count && i < LIMIT_FS_UNMAPS && r == 0; i++) {
                memcpy(&one, body + i * sizeof(one), sizeof(one));
                r = ranges_add(fs, &one, &job.set);
        }
        if (r < 0)
                fs_answer_error(&fs->answer, r);
        else
                job_add(fs, &job);
}

void fs_dax_forgotten(struct fs *fs)
{
        struct fs_dax *dax = &fs->dax;

        for (uint32_t i = 0; i < dax->n_granules; i++) {
                uint32_t node;

                if (!set_has(&dax->shown, i))
                        continue;
                node = fs_node_find(&fs->nodes, record_of(fs, i)->node);
                if (node != FS_NO_SLOT && (node == FS_ROOT || fs_node_record(&fs->nodes, node)->lookups > 0 ||
                                           fs->nodes.own[node].n_handles > 0))
                        continue;
                record_remove(fs, i);
                set_add(&dax->unwanted, i);
        }
        go_on(fs);
}

/* ---- the beginning and the end ---- */

void fs_dax_init(struct fs *fs)
{
        uint64_t len = worker_region_files(FS_SHMID_DAX);

        fs->dax.n_granules = (uint32_t)MIN(len / FS_DAX_GRANULE, (uint64_t)LIMIT_FS_MAPS);
}

void fs_dax_clear(struct fs *fs)
{
        struct fs_dax *dax = &fs->dax;

        while (dax->n_jobs > 0)
                job_finish(fs, -EIO);
        dax->alone = true;
        for (uint32_t i = 0; i < FS_MAP_WORDS; i++)
                dax->unwanted.words[i] |= dax->shown.words[i];
        dax->shown = (struct fs_map_set){0};
        go_on(fs);
}

static bool makes_sense(struct fs *fs, const struct fs_map_record *record)
{
        return fs_node_find(&fs->nodes, record->node) != FS_NO_SLOT && record->offset % FS_DAX_GRANULE == 0 &&
               range_inside(record->offset, FS_DAX_GRANULE, (uint64_t)INT64_MAX) && record->writable <= 1 &&
               !(record->writable != 0 && fs->read_only);
}

/* With the same rights as before, or it would be another mapping. */
static int restore_one(struct fs *fs, uint32_t granule, const struct fs_map_record *record)
{
        const struct worker_map map = map_of(granule, record);
        uint32_t node = fs_node_find(&fs->nodes, record->node);
        _cleanup_close_ int fd =
            fs_handle_open(&fs->handles, node, record->writable ? O_RDWR : O_RDONLY, false);

        if (fd < 0)
                return fd;
        record_add(fs, granule, record);
        fs->dax.n_restoring++;
        worker_shmem_map(RESTORED | granule, &map, fd);
        return 0;
}

void fs_dax_restore(struct fs *fs)
{
        for (uint32_t i = 0; i < LIMIT_FS_MAPS; i++) {
                const struct fs_map_record record = *record_of(fs, i);
                int r = -ESTALE;

                if (record.node == 0)
                        continue;
                if (i < fs->dax.n_granules && makes_sense(fs, &record))
                        r = restore_one(fs, i, &record);
                if (r == 0)
                        continue;
                record_of(fs, i)->node = 0;
                worker_log(LOG_LEVEL_WARNING,
                           "a file that the guest has mapped cannot be opened again: errno=%d", -r);
        }
}
