/* The guest's mount.
 * Owns the session of libfuse. Called by fs.c. TRUST: requests are judged by fs_req_check; a predecessor's state is judged
 * here, and so is what its memory holds, by those who adopt it.
 *
 * How it works: libfuse knows one FUSE_INIT in a session's life, so each mount has a session of its own. What libfuse is given
 * for reading and writing is never used for reading: requests are handed to it (fuse_session_process_buf), and its answers come
 * back by the one function below.
 *     init      all is forgotten; libfuse and guest agree; the successor is told. It may come at any time: a guest that has been
 *               rebooted has said no farewell, and not every VMM resets the device then
 *     serve     requests
 *     destroy   all is closed. A state is not taken back: a successor that agrees once more with nobody does no harm
 *     restore   the same FUSE_INIT again, without an answer; inodes and open files from the memory, if it is of this mount
 * A reset does not come here: it is a new process without a state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_mount.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/fs/fs.h"
#include "workers/fs/fs_ops.h"
#include "workers/fs/fs_req.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_say.h"

#define STATE_VERSION    2u
#define INCARNATIONS_MAX (1u << 12)          /* then serial numbers would come too near to FS_SERIAL_MAX */
#define SERIALS          (UINT64_C(1) << 32) /* of one incarnation, at least */
#define HEAP_BYTES       (256u << 10)        /* libfuse has one small thing a request, and a session */

_Static_assert(FS_INIT_MAX == sizeof(struct fuse_init_in), "as the protocol has it");
_Static_assert(INCARNATIONS_MAX *SERIALS < FS_SERIAL_MAX, "they fit");

static ssize_t fs_mount_writev(int fd, struct iovec *iov, int n, void *state)
{
        struct fs *fs = state;

        (void)fd;
        if (n == 2)
                fs_dax_show(fs, fs->opcode, &iov[1]);
        return fs_answer_send(&fs->answer, iov, (unsigned)n);
}

/* Nobody waits for requests here. */
static ssize_t fs_mount_read(int fd, void *buf, size_t len, void *state)
{
        (void)fd;
        (void)buf;
        (void)len;
        (void)state;
        errno = ENODEV;
        return -1;
}

/* libfuse wants a descriptor, and closes it at the end: this is none, as there are fewer. */
#define NO_DESCRIPTOR 8191

_Static_assert(NO_DESCRIPTOR > LIMIT_FS_FDS + LIMIT_LANES + LIMIT_RESOURCES + 8, "no other has this number");

static struct fuse_session *fs_mount_open(struct fs *fs)
{
        static const struct fuse_custom_io io = {.writev = fs_mount_writev, .read = fs_mount_read};
        char name[] = "fs", *argv[] = {name, NULL};
        struct fuse_args args = FUSE_ARGS_INIT(1, argv);
        struct fuse_session *session = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), fs);

        if (session && fuse_session_custom_io(session, &io, NO_DESCRIPTOR) == 0)
                return session;
        if (session)
                fuse_session_destroy(session);
        return NULL;
}

static void fs_mount_close(struct fs *fs)
{
        if (fs->mount.session)
                fuse_session_destroy(fs->mount.session);
        fs->mount.session = NULL;
}

/* What malloc has got from the kernel it keeps, and it asks for no more: after lock-down there is no brk. */
int fs_mount_prepare(struct fs *fs)
{
        void *heap;

        mallopt(M_MMAP_THRESHOLD, INT_MAX);
        mallopt(M_TRIM_THRESHOLD, INT_MAX);
        heap = malloc(HEAP_BYTES);
        if (!heap)
                return -ENOMEM;
        free(heap);
        fs->mount.session = fs_mount_open(fs); /* what libfuse does once in its life it does now */
        if (!fs->mount.session)
                return -ENOMEM;
        fs_mount_close(fs);
        return 0;
}

/* ---- serving ---- */

void fs_mount_serve(struct fs *fs, void *bytes, uint32_t len)
{
        const struct fuse_buf buf = {.mem = bytes, .size = len};

        if (!fs->mount.session) {
                fs_answer_error(&fs->answer, -EIO);
                return;
        }
        fuse_session_process_buf(fs->mount.session, &buf);
        fs_answer_none(&fs->answer);
}

static void fs_mount_forget(struct fs *fs)
{
        fs_waits_end(fs, FS_ALL_QUEUES, -EIO);
        fs_dax_clear(fs);
        fs_locks_clear(&fs->locks);
        fs_handles_clear(&fs->handles);
        fs_paths_clear(&fs->paths);
        fs_nodes_start(&fs->nodes, &fs->is);
        fs_memory_clear(fs->memory);
        fs->memory->nodes_used = 1;
}

/* Serial numbers that no worker of this mount has given out, nor of the one before. */
static void fs_mount_number(struct fs *fs, uint32_t incarnation)
{
        uint64_t first = incarnation * SERIALS;

        if (fs->memory->serial < first || fs->memory->serial >= first + SERIALS)
                fs->memory->serial = first;
}

static void fs_mount_save(struct fs *fs)
{
        if (fs->mount.n_saved == LIMIT_FS_STATES)
                return;
        fs->mount.n_saved++;
        worker_state_put(&fs->mount.state, sizeof(fs->mount.state));
}

/* The memory has been cleared and is of this mount from now on: so its epoch may stay, and mounts that are alike need no new
 * state. */
static void fs_mount_agree(struct fs *fs, const uint8_t *init, uint32_t len)
{
        struct fs_mount_state state = {.version = STATE_VERSION,
                                       .incarnation = fs->mount.state.incarnation,
                                       .epoch = fs->mount.state.epoch,
                                       .len = MIN(len, FS_INIT_MAX)};

        if (state.epoch == 0)
                state.epoch = ++fs->memory->serial;
        memcpy(state.init, init, state.len);
        fs->memory->epoch = state.epoch;
        if (memcmp(&state, &fs->mount.state, sizeof(state)) == 0)
                return;
        fs->mount.state = state;
        fs_mount_save(fs);
}

void fs_mount_init(struct fs *fs, void *bytes, uint32_t len)
{
        fs_mount_close(fs);
        fs_mount_forget(fs);
        fs_mount_number(fs, fs->mount.state.incarnation);
        fs_mount_agree(fs, (uint8_t *)bytes + FS_HEADER_BYTES, len - FS_HEADER_BYTES);
        fs->mount.session = fs_mount_open(fs);
        fs_mount_serve(fs, bytes, len);
}

void fs_mount_destroy(struct fs *fs, void *bytes, uint32_t len)
{
        fs_mount_serve(fs, bytes, len);
        fs_mount_close(fs);
        fs_mount_forget(fs);
}

/* ---- a successor ---- */

static int fs_mount_judge(const struct fs_mount_state *state, size_t len)
{
        struct fuse_in_header header = {.opcode = FUSE_INIT, .len = FS_HEADER_BYTES + state->len};
        uint8_t bytes[FS_HEADER_BYTES + FS_INIT_MAX];
        struct fs_req req;

        if (len != sizeof(*state) || state->version != STATE_VERSION || state->len > FS_INIT_MAX ||
            state->incarnation >= INCARNATIONS_MAX)
                return -EINVAL;
        memcpy(bytes, &header, sizeof(header));
        memcpy(bytes + FS_HEADER_BYTES, state->init, state->len);
        return fs_req_check(header.len, FS_ANSWER_BYTES + sizeof(struct fuse_init_out), bytes, header.len,
                            &req);
}

/* The answer goes nowhere: the guest has had it. */
static void fs_mount_repeat(struct fs *fs)
{
        struct fuse_in_header header = {.opcode = FUSE_INIT, .len = FS_HEADER_BYTES + fs->mount.state.len};
        _Alignas(8) uint8_t bytes[FS_HEADER_BYTES + FS_INIT_MAX];

        memcpy(bytes, &header, sizeof(header));
        memcpy(bytes + FS_HEADER_BYTES, fs->mount.state.init, FS_INIT_MAX);
        fs->answer.request = NULL;
        fs_mount_serve(fs, bytes, header.len);
}

int fs_mount_restore(struct fs *fs, const uint8_t *bytes, size_t len)
{
        struct fs_mount_state state;

        if (len != sizeof(state))
                return -EINVAL;
        memcpy(&state, bytes, sizeof(state));
        if (fs_mount_judge(&state, len) < 0)
                return -EINVAL;
        state.incarnation++;
        fs->mount.state = state;
        fs->mount.session = fs_mount_open(fs);
        if (fs->memory->epoch == state.epoch && fs->memory->serial < FS_SERIAL_MAX) {
                fs_nodes_adopt(&fs->nodes, &fs->is);
                fs_handles_adopt(&fs->handles);
                fs_dax_restore(fs);
        } else {
                fs_mount_forget(fs);
        }
        fs_mount_number(fs, state.incarnation);
        fs->memory->epoch = state.epoch;
        fs_mount_save(fs);
        fs_mount_repeat(fs);
        return 0;
}
