/* virtio-fs: a directory of the host's, shared with a guest (virtio 1.3, 5.11).
 * Owns the device's state; called by the runtime. TRUST: a request's bytes and lengths are the guest's: fs_req_check judges them
 * before libfuse sees them.
 *
 * How it works: a request is brought together in one place, judged, and handed to libfuse, which calls an operation (fs_ops.h);
 * the operation answers, through libfuse, before it returns (fs_answer.h). One request is served at a time. Some kinds do not go
 * through libfuse: the table fs_own.
 *
 * After a crash requests come again. What is as good twice as once is done. Of the rest (a name made, moved or removed) the
 * memory that outlives us knows which had been begun: those fail, since nobody knows how far they came; the others were never
 * touched, and are done now.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "workers/fs/fs_config.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"
#include "workers/fs/fs_req.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"

#define FS_COPIED 4096u /* bytes of a request that are copied rather than looked at where they are */

/* A request's bytes, where libfuse may have them: at a multiple of eight, and to be written to. */
static uint8_t *fs_buffer;

static int fs_fail(int error, const char *text)
{
        worker_log(LOG_LEVEL_ERROR, "%s: errno=%d", text, -error);
        return error;
}

/* ---- start ---- */

static int fs_open_root(struct fs *fs, int root)
{
        struct fs_found found;
        int r = fs_host_find(root, "", &found);

        if (r == 0 && !S_ISDIR(found.stat.st_mode))
                r = -ENOTDIR;
        if (r < 0)
                return r;
        fs->root = root;
        fs->is = found.is;
        fs->uid = geteuid();
        fs->gid = getegid();
        umask(0); /* the guest's own has been applied already */
        return 0;
}

static int fs_allocate(struct fs *fs, int memory_fd)
{
        int r;

        fs_buffer = worker_memory(FS_REQ_MAX);
        fs->entries = worker_memory(LIMIT_FS_FOLDER);
        fs->bytes = worker_memory(MAX(LIMIT_FS_FOLDER, LIMIT_FS_XATTR));
        if (!fs_buffer || !fs->entries || !fs->bytes)
                return -ENOMEM;
        r = fs_memory_open(memory_fd, &fs->memory);
        if (r == 0)
                r = fs_nodes_init(&fs->nodes, fs->memory);
        if (r < 0)
                return r;
        fs_paths_init(&fs->paths, &fs->nodes, fs->root);
        r = fs_handles_init(&fs->handles, &fs->paths);
        if (r < 0)
                return r;
        fs_locks_init(&fs->locks, &fs->handles);
        return fs_mount_prepare(fs);
}

static int fs_init(void *state, const struct control_configure *configure, const int *resources,
                   unsigned n_resources, struct control_hello *ret_hello)
{
        struct fs_options options = fs_options_read(&configure->options);
        struct fs *fs = state;
        int r;

        if (n_resources < 1 || n_resources > 2 || configure->n_queues < FS_QUEUES_MIN)
                return fs_fail(-EINVAL, "want a directory, perhaps a memory, and at least two queues");
        r = fs_open_root(fs, resources[0]);
        if (r < 0)
                return fs_fail(r, "what is shared is no directory");
        fs->read_only = options.read_only;
        fs->xattr = options.xattr;
        fs->locks_shared = options.locks;
        fs->cache = options.cache;
        fs->n_owners = options.n_owners;
        fs_dax_init(fs);
        r = fs_allocate(fs, n_resources == 2 ? resources[1] : -1);
        if (r < 0)
                return fs_fail(r, "no memory for inodes, or not as it should be");
        fs_config_hello(configure, options.tag, ret_hello);
        return 0;
}

static int fs_restore(void *state, const uint8_t *bytes, size_t len)
{
        return fs_mount_restore(state, bytes, len);
}

/* ---- one request ---- */

/* It is too long for anything, but wants an answer. */
static int fs_gather_header(struct request *request, uint8_t **ret_bytes)
{
        memset(fs_buffer, 0, FS_HEADER_BYTES);
        *ret_bytes = fs_buffer;
        (void)request_read(request, 0, fs_buffer, FS_HEADER_BYTES);
        return -EINVAL;
}

/* All of it in one piece. A long one that lies well stays where it is. */
static int fs_gather(struct request *request, uint8_t **ret_bytes)
{
        uint32_t readable = request_readable(request), have;
        const uint8_t *bytes = request_inlined(request, &have);
        int r;

        if (readable > FS_REQ_MAX)
                return fs_gather_header(request, ret_bytes);
        if (have == readable && readable > FS_COPIED && (uintptr_t)bytes % 8 == 0) {
                *ret_bytes =
                    (uint8_t *)(uintptr_t)bytes; /* our own memory: the request's, until it is done */
                return 0;
        }
        *ret_bytes = fs_buffer;
        r = request_read(request, 0, fs_buffer, readable);
        if (r < 0)
                memset(fs_buffer, 0, FS_HEADER_BYTES); /* what was there belongs to another */
        return r;
}

/* Of one that is not to be carried out: 0 if it is. */
static int fs_judge_again(const struct fs *fs, const struct request *request, const struct fs_req *req)
{
        if (request_must_fail(request))
                return -EIO;
        if (req->changes && fs->read_only)
                return -EROFS;
        if (req->once && request_attempt(request) > 0 && fs_memory_has_begun(fs->memory, req->unique))
                return -EIO;
        return 0;
}

/* ---- what libfuse does not see, or not as it came ---- */

/* Nothing is under way that could be interrupted but what waits. */
static void fs_do_interrupt(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        struct fuse_interrupt_in in;

        (void)req;
        (void)len;
        memcpy(&in, (const uint8_t *)bytes + FS_HEADER_BYTES, sizeof(in));
        fs_answer_none(&fs->answer);
        fs_wait_interrupt(fs, in.unique);
}

static void fs_do_setlkw(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)len;
        fs_wait_lock(fs, req, (const uint8_t *)bytes + FS_HEADER_BYTES);
}

static void fs_do_init(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)req;
        fs_mount_init(fs, bytes, len);
}

static void fs_do_destroy(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)req;
        fs_mount_destroy(fs, bytes, len);
}

static void fs_do_setxattr(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)bytes;
        (void)len;
        fs_answer_error(&fs->answer,
                        fs_setxattr(fs, req->nodeid, req->name, req->value, req->value_len, (int)req->flags));
}

static void fs_do_setupmapping(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)len;
        fs_dax_map(fs, req, (const uint8_t *)bytes + FS_HEADER_BYTES);
}

static void fs_do_removemapping(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)len;
        fs_dax_unmap(fs, req, (const uint8_t *)bytes + FS_HEADER_BYTES);
}

static void fs_do_syncfs(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        (void)req;
        (void)bytes;
        (void)len;
        fs_answer_error(&fs->answer, fs_sync(fs));
}

/* The door to the operations: what stands here does not go to libfuse, which does not know it, takes it for something else, or
 * answers at once. Each answers through fs->answer, now or later. Forms of all requests stand in fs_req.c. */
static const struct fs_own {
        uint32_t opcode;
        bool mounted; /* only after FUSE_INIT; else EIO */
        void (*serve)(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len);
} fs_own[] = {
    {FUSE_INIT, false, fs_do_init},
    {FUSE_DESTROY, false, fs_do_destroy},
    {FUSE_INTERRUPT, false, fs_do_interrupt},
    {FUSE_SETXATTR, true, fs_do_setxattr}, /* libfuse 3.14 takes it for longer than it is */
    {FUSE_SETLKW, true, fs_do_setlkw},     /* libfuse is through with a request when its operation returns */
    {FUSE_SETUPMAPPING, true, fs_do_setupmapping}, /* as little as these two */
    {FUSE_REMOVEMAPPING, true, fs_do_removemapping},
    {FUSE_SYNCFS, true, fs_do_syncfs}, /* libfuse 3.14 does not know it */
};

static void fs_do(struct fs *fs, const struct fs_req *req, void *bytes, uint32_t len)
{
        for (size_t i = 0; i < array_size(fs_own); i++) {
                if (fs_own[i].opcode != req->opcode)
                        continue;
                if (fs_own[i].mounted && !fs->mount.session)
                        fs_answer_error(&fs->answer, -EIO);
                else
                        fs_own[i].serve(fs, req, bytes, len);
                return;
        }
        fs_mount_serve(fs, bytes, len);
}

/* ---- one request, continued ---- */

static void fs_serve(struct fs *fs, struct request *request, const struct fs_req *req, void *bytes)
{
        int r = fs_judge_again(fs, request, req);

        if (r < 0 && !req->silent) {
                fs_answer_error(&fs->answer, r);
                return;
        }
        if (r < 0) {
                fs_answer_none(&fs->answer);
                return;
        }
        if (req->once)
                fs_memory_begin(fs->memory, req->unique);
        fs->opcode = req->opcode;
        fs_do(fs, req, bytes, request_readable(request));
        if (req->opcode == FUSE_FORGET || req->opcode == FUSE_BATCH_FORGET || req->opcode == FUSE_RELEASE)
                fs_dax_forgotten(fs);
        if (fs->waits.n > 0 && req->unlocks)
                fs_waits_retry(fs);
}

static void fs_handle(void *state, struct request *request)
{
        uint32_t readable = request_readable(request), writable = request_writable(request);
        struct fs *fs = state;
        struct fs_req req;
        uint8_t *bytes = fs_buffer;
        int r = readable < FS_HEADER_BYTES ? -EPROTO : fs_gather(request, &bytes);

        if (r == 0)
                r = fs_req_check(readable, writable, bytes, readable, &req);
        if (r == -EPROTO || (r < 0 && writable < FS_ANSWER_BYTES && writable > 0)) {
                request_refuse(request);
                return;
        }
        fs_answer_start(&fs->answer, request, fs_req_unique(bytes));
        if (r == 0)
                fs_serve(fs, request, &req, bytes);
        else if (writable >= FS_ANSWER_BYTES)
                fs_answer_error(&fs->answer, r);
        else
                fs_answer_none(&fs->answer);
}

/* The guest is frozen: who waits is to try again. EINTR would come to its program as an error that there is not, unless a signal
 * waits, too. */
static void fs_recalled(void *state, uint32_t queue)
{
        fs_waits_end(state, queue, -EAGAIN);
}

static void fs_mapped(void *state, uint32_t id, int error)
{
        fs_dax_answered(state, id, error);
}

static struct fs fs_state;

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_FS,
    .state = &fs_state,
    .init = fs_init,
    .restore_state = fs_restore,
    .mapped = fs_mapped,
    .handle = fs_handle,
    .recalled = fs_recalled,
};
