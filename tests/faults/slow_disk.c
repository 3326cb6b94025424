/* A file system of one file, whose writes end when the test says so.
 * Owns the mount, the file's bytes and what is held; called by test_direct. TRUST: the kernel's requests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/slow_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/checked.h"

#define FILE_NODE 2u
#define MAX_WRITE (128u * 1024u)
#define ROOM      (MAX_WRITE + 4096u + 64u) /* a write, its heads, and what the kernel asks for besides */

static void answer(const struct slow_disk *disk, uint64_t unique, int error, const void *body, size_t len)
{
        struct fuse_out_header head = {
            .len = (uint32_t)(sizeof(head) + len), .error = error, .unique = unique};
        struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, len}};

        (void)!writev(disk->fd, iov, len > 0 ? 2 : 1); /* -ENOENT: nobody waits any more */
}

static struct fuse_attr attributes(const struct slow_disk *disk, uint64_t node)
{
        bool is_file = node == FILE_NODE;

        return (struct fuse_attr){.ino = node,
                                  .size = is_file ? disk->size : 0,
                                  .blocks = is_file ? disk->size / 512 : 0,
                                  .mode = is_file ? S_IFREG | 0666 : S_IFDIR | 0755,
                                  .nlink = 1,
                                  .blksize = 4096};
}

static void on_init(const struct slow_disk *disk, const struct fuse_in_header *in)
{
        const struct fuse_init_in *init = (const void *)(in + 1);
        struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                    .minor = MIN(init->minor, (uint32_t)FUSE_KERNEL_MINOR_VERSION),
                                    .max_readahead = init->max_readahead,
                                    .flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES,
                                    .max_background = SLOW_DISK_HELD,
                                    .congestion_threshold = SLOW_DISK_HELD,
                                    .max_write = MAX_WRITE};

        answer(disk, in->unique, 0, &out, sizeof(out));
}

static void on_lookup(const struct slow_disk *disk, const struct fuse_in_header *in)
{
        struct fuse_entry_out out = {.nodeid = FILE_NODE,
                                     .entry_valid = 3600,
                                     .attr_valid = 3600,
                                     .attr = attributes(disk, FILE_NODE)};

        if (strcmp((const char *)(in + 1), "disk.img") == 0)
                answer(disk, in->unique, 0, &out, sizeof(out));
        else
                answer(disk, in->unique, -ENOENT, NULL, 0);
}

static void on_getattr(const struct slow_disk *disk, const struct fuse_in_header *in)
{
        struct fuse_attr_out out = {.attr_valid = 3600, .attr = attributes(disk, in->nodeid)};

        answer(disk, in->unique, 0, &out, sizeof(out));
}

static void on_open(const struct slow_disk *disk, const struct fuse_in_header *in)
{
        struct fuse_open_out out = {.fh = 1};

        answer(disk, in->unique, 0, &out, sizeof(out));
}

static void on_read(struct slow_disk *disk, const struct fuse_in_header *in)
{
        const struct fuse_read_in *read = (const void *)(in + 1);
        size_t at = MIN((size_t)read->offset, disk->size);

        answer(disk, in->unique, 0, disk->bytes + at, MIN((size_t)read->size, disk->size - at));
}

static void write_now(struct slow_disk *disk, uint64_t unique, uint64_t offset, const void *bytes,
                      uint32_t len)
{
        struct fuse_write_out out = {.size = len};

        if (offset > disk->size || len > disk->size - offset) {
                answer(disk, unique, -ENOSPC, NULL, 0);
                return;
        }
        memcpy(disk->bytes + offset, bytes, len);
        answer(disk, unique, 0, &out, sizeof(out));
}

static void on_write(struct slow_disk *disk, const struct fuse_in_header *in)
{
        const struct fuse_write_in *write = (const void *)(in + 1);

        pthread_mutex_lock(&disk->mutex);
        if (disk->holds && disk->n_held < SLOW_DISK_HELD) {
                unsigned i = disk->n_held;

                disk->held[i].unique = in->unique;
                disk->held[i].offset = write->offset;
                disk->held[i].len = write->size;
                disk->held[i].bytes = malloc(write->size);
                memcpy(disk->held[i].bytes, write + 1, write->size);
                disk->n_held++;
        } else {
                write_now(disk, in->unique, write->offset, write + 1, write->size);
        }
        pthread_mutex_unlock(&disk->mutex);
}

static void serve(struct slow_disk *disk, const struct fuse_in_header *in)
{
        switch (in->opcode) {
        case FUSE_INIT:
                on_init(disk, in);
                break;
        case FUSE_LOOKUP:
                on_lookup(disk, in);
                break;
        case FUSE_GETATTR:
                on_getattr(disk, in);
                break;
        case FUSE_OPEN:
                on_open(disk, in);
                break;
        case FUSE_READ:
                on_read(disk, in);
                break;
        case FUSE_WRITE:
                on_write(disk, in);
                break;
        case FUSE_FLUSH:
        case FUSE_FSYNC:
        case FUSE_RELEASE:
                answer(disk, in->unique, 0, NULL, 0);
                break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                break; /* want no answer */
        default:
                answer(disk, in->unique, -ENOSYS, NULL, 0);
        }
}

static void *serve_all(void *context)
{
        struct slow_disk *disk = context;
        static _Alignas(16) uint8_t room[ROOM];

        for (;;) {
                ssize_t n = read(disk->fd, room, sizeof(room));

                if (n >= (ssize_t)sizeof(struct fuse_in_header))
                        serve(disk, (const struct fuse_in_header *)room);
                else if (n >= 0 || (errno != EINTR && errno != ENOENT && errno != EAGAIN))
                        return NULL; /* unmounted */
        }
}

int slow_disk_start(struct slow_disk *disk, size_t size)
{
        char options[96];
        int r;

        *disk = (struct slow_disk){.size = size, .dir = "/tmp/bulkhead-slow.XXXXXX"};
        pthread_mutex_init(&disk->mutex, NULL);
        disk->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        disk->bytes = calloc(1, size);
        if (disk->fd < 0 || !disk->bytes)
                return -errno;
        if (!mkdtemp(disk->dir))
                return -errno;
        snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", disk->fd);
        if (mount("slow", disk->dir, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
                r = -errno;
                rmdir(disk->dir);
                return r;
        }
        snprintf(disk->file, sizeof(disk->file), "%s/disk.img", disk->dir);
        r = pthread_create(&disk->server, NULL, serve_all, disk);
        if (r != 0)
                umount2(disk->dir, MNT_FORCE);
        disk->is_mounted = r == 0;
        return -r;
}

void slow_disk_hold(struct slow_disk *disk)
{
        pthread_mutex_lock(&disk->mutex);
        disk->holds = true;
        pthread_mutex_unlock(&disk->mutex);
}

unsigned slow_disk_held(struct slow_disk *disk)
{
        unsigned n;

        pthread_mutex_lock(&disk->mutex);
        n = disk->n_held;
        pthread_mutex_unlock(&disk->mutex);
        return n;
}

void slow_disk_release(struct slow_disk *disk)
{
        pthread_mutex_lock(&disk->mutex);
        disk->holds = false;
        for (unsigned i = 0; i < disk->n_held; i++) {
                write_now(disk, disk->held[i].unique, disk->held[i].offset, disk->held[i].bytes,
                          disk->held[i].len);
                free(disk->held[i].bytes);
        }
        disk->n_held = 0;
        pthread_mutex_unlock(&disk->mutex);
}

/* By force: whatever waits for us fails. */
void slow_disk_stop(struct slow_disk *disk)
{
        if (!disk->is_mounted)
                return;
        umount2(disk->dir, MNT_FORCE);
        umount2(disk->dir, MNT_DETACH);
        pthread_join(disk->server, NULL);
        close(disk->fd);
        rmdir(disk->dir);
        free(disk->bytes);
        *disk = (struct slow_disk){0};
}
