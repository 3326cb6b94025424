/* A file system whose server opens its file and never says another word.
 * Owns the mount and its descriptors. TRUST: the kernel's requests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/silent_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_NODE 2u
#define ROOM      (128u * 1024u + 4096u)

static void answer(int fd, const struct fuse_in_header *in, int error, const void *body, size_t len)
{
        struct fuse_out_header head = {
            .len = (uint32_t)(sizeof(head) + len), .error = error, .unique = in->unique};
        struct iovec iov[] = {{&head, sizeof(head)}, {(void *)body, len}};

        (void)!writev(fd, iov, len > 0 ? 2 : 1);
}

/* Attributes are valid for no time at all: who wants to know must ask. */
static void serve(int fd, const struct fuse_in_header *in)
{
        const struct fuse_init_in *init = (const void *)(in + 1);
        struct fuse_init_out ready = {.major = FUSE_KERNEL_VERSION, .minor = init->minor, .max_write = 4096};
        struct fuse_entry_out entry = {
            .nodeid = FILE_NODE,
            .entry_valid = 3600,
            .attr = {.ino = FILE_NODE, .size = 1 << 20, .mode = S_IFREG | 0666, .nlink = 1, .blksize = 4096}};
        struct fuse_attr_out root = {.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 1}};
        struct fuse_open_out opened = {.fh = 1,
                                       .open_flags = FOPEN_NOFLUSH}; /* who closes it need not wait */

        if (in->opcode == FUSE_INIT)
                answer(fd, in, 0, &ready, sizeof(ready));
        else if (in->opcode == FUSE_LOOKUP)
                answer(fd, in, 0, &entry, sizeof(entry));
        else if (in->opcode == FUSE_GETATTR)
                answer(fd, in, 0, &root, sizeof(root));
        else if (in->opcode == FUSE_OPEN)
                answer(fd, in, 0, &opened, sizeof(opened));
        else
                answer(fd, in, -ENOSYS, NULL, 0);
}

/* Up to the answer that the file is open. */
static void *serve_opening(void *context)
{
        const struct silent_fuse *fuse = context;
        static _Alignas(16) uint8_t room[ROOM];
        const struct fuse_in_header *in = (const void *)room;

        do {
                if (read(fuse->fd, room, sizeof(room)) < (ssize_t)sizeof(*in))
                        return NULL;
                serve(fuse->fd, in);
        } while (in->opcode != FUSE_OPEN);
        return NULL;
}

int silent_fuse_start(struct silent_fuse *fuse, int flags)
{
        char text[96];
        pthread_t server;
        int r;

        *fuse =
            (struct silent_fuse){.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), .dir = "/tmp/silent.XXXXXX"};
        fuse->file = -1;
        if (fuse->fd < 0)
                return -errno;
        if (!mkdtemp(fuse->dir))
                fuse->dir[0] = '\0';
        snprintf(text, sizeof(text), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse->fd);
        if (mount("silent", fuse->dir, "fuse", MS_NOSUID | MS_NODEV, text) < 0 ||
            pthread_create(&server, NULL, serve_opening, fuse) != 0) {
                r = -errno;
                silent_fuse_stop(fuse);
                return r;
        }
        snprintf(text, sizeof(text), "%s/file", fuse->dir);
        fuse->file = open(text, flags | O_CLOEXEC);
        r = fuse->file < 0 ? -errno : 0;
        if (r < 0) {
                (void)umount2(fuse->dir, MNT_FORCE);
                (void)pthread_join(server, NULL);
                silent_fuse_stop(fuse);
                return r;
        }
        (void)pthread_join(server, NULL);
        return 0;
}

uint32_t silent_fuse_asked(struct silent_fuse *fuse, int timeout_ms)
{
        static _Alignas(16) uint8_t room[ROOM];
        struct pollfd waiting = {.fd = fuse->fd, .events = POLLIN};

        if (poll(&waiting, 1, timeout_ms) != 1 ||
            read(fuse->fd, room, sizeof(room)) < (ssize_t)sizeof(struct fuse_in_header))
                return 0;
        return ((const struct fuse_in_header *)(const void *)room)->opcode;
}

void silent_fuse_stop(struct silent_fuse *fuse)
{
        close(fuse->fd);
        if (fuse->file >= 0)
                close(fuse->file);
        (void)umount2(fuse->dir, MNT_DETACH);
        (void)rmdir(fuse->dir);
}
