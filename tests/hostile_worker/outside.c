/* What lies around a throw-away VM.
 * Owns sockets; files are the VM's directory's. Called by the runner. TRUST: what workers have done to it is looked at, and
 * followed nowhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/outside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "tests/hostile_worker/attempt.h"

#define OWNER 1879099999u /* of the share, as root: nobody's, and no worker's */
#define WORDS "not for you"

static const char *path_of(const struct outside *outside, const char *name)
{
        static char path[192];

        snprintf(path, sizeof(path), "%s/%s", outside->dir, name);
        return path;
}

/* ---- files ---- */

static int make_file(const struct outside *outside, const char *name, mode_t mode)
{
        _cleanup_close_ int fd = open(path_of(outside, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, WORDS, strlen(WORDS)) < 0 || fchmod(fd, mode) < 0)
                return -errno;
        return 0;
}

static int give(const struct outside *outside, const char *name)
{
        uid_t owner = outside->kind->owner > 0 ? outside->kind->owner : OWNER;

        return geteuid() == 0 && lchown(path_of(outside, name), owner, owner) < 0 ? -errno : 0;
}

/* A node that is the folder's owner's own, and a file of the owner's neighbour. */
static int fill_as_root(const struct outside *outside)
{
        int r = make_file(outside, "share/beyond", 0666);
        uid_t beyond = outside->kind->owner > 0 ? outside->kind->owner + KIND_OWNERS : OWNER + 1;

        if (r == 0 && chown(path_of(outside, "share/beyond"), beyond, beyond) < 0)
                r = -errno;
        if (r == 0 && (mknod(path_of(outside, "share/node"), S_IFCHR | 0666, makedev(1, 3)) < 0 ||
                       chmod(path_of(outside, "share/node"), 0666) < 0))
                r = -errno;
        return r == 0 ? give(outside, "share/node") : r;
}

/* What a guest finds there, and what it would need in order to leave. As root also a device node, and a file of root's. */
static int fill_share(const struct outside *outside)
{
        char target[192];
        int r = make_file(outside, "share/file", 0644);

        if (r == 0)
                r = give(outside, "share/file");
        if (r == 0)
                r = make_file(outside, "share/roots", 0600);
        if (r == 0)
                r = make_file(outside, "share/program", 0755);
        snprintf(target, sizeof(target), "%s/" OUTSIDE_SECRET, outside->dir);
        if (r < 0 || symlink(target, path_of(outside, "share/link-absolute")) < 0 ||
            symlink("../" OUTSIDE_SECRET, path_of(outside, "share/link-relative")) < 0 ||
            mkfifo(path_of(outside, "share/fifo"), 0666) < 0)
                return r < 0 ? r : -errno;
        return geteuid() == 0 ? fill_as_root(outside) : 0;
}

static int make_folders(const struct outside *outside)
{
        static const char *const names[] = {"outside", "share", "logs", "sockets"};
        int r = 0;

        for (size_t i = 0; i < array_size(names) && r == 0; i++)
                if (mkdir(path_of(outside, names[i]), 0755) < 0)
                        r = -errno;
        if (r == 0)
                r = give(outside, "share");
        if (r == 0 && symlink("../peer", path_of(outside, "sockets/link")) < 0)
                r = -errno;
        return r == 0 ? fill_share(outside) : r;
}

void outside_renew(struct outside *outside)
{
        if (make_file(outside, OUTSIDE_SECRET, 0666) == 0 && geteuid() == 0)
                (void)!chown(path_of(outside, OUTSIDE_SECRET), 0, 0);
        stat(path_of(outside, OUTSIDE_SECRET), &outside->before);
}

static unsigned count_entries(const char *path)
{
        DIR *dir = opendir(path);
        unsigned n = 0;

        while (dir && readdir(dir))
                n++;
        if (dir)
                closedir(dir);
        return n;
}

bool outside_is_touched(const struct outside *outside, char *why, size_t why_size)
{
        const struct stat *was = &outside->before;
        struct stat now;

        if (stat(path_of(outside, OUTSIDE_SECRET), &now) < 0)
                snprintf(why, why_size, "a file that it was not given is gone");
        else if (now.st_ino != was->st_ino || now.st_mode != was->st_mode || now.st_uid != was->st_uid ||
                 now.st_gid != was->st_gid || now.st_nlink != was->st_nlink || now.st_size != was->st_size ||
                 memcmp(&now.st_ctim, &was->st_ctim, sizeof(now.st_ctim)) != 0)
                snprintf(why, why_size, "a file that it was not given is another");
        else if (count_entries(path_of(outside, "outside")) != 3)
                snprintf(why, why_size, "a folder that it was not given has another file");
        else
                return false;
        return true;
}

/* ---- sockets ---- */

static int listen_at(const struct sockaddr_un *address)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || listen(fd, 8) < 0)
                return -errno;
        return take_fd(&fd);
}

static int open_sockets(struct outside *outside)
{
        struct sockaddr_un path = {.sun_family = AF_UNIX}, name = {.sun_family = AF_UNIX};
        static unsigned n;

        snprintf(path.sun_path, sizeof(path.sun_path), "%s/peer", outside->dir);
        outside->listener = listen_at(&path);
        snprintf(outside->abstract + 1, sizeof(outside->abstract) - 1, "attacked-%d-%u", (int)getpid(), ++n);
        memcpy(name.sun_path, outside->abstract, sizeof(outside->abstract));
        outside->named = listen_at(&name);
        return outside->listener < 0 ? outside->listener : MIN(outside->named, 0);
}

void outside_take(struct outside *outside)
{
        outside->peer = accept4(outside->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* ---- a network of our own ---- */

/* passt takes its addresses from an interface with a way out. */
static int enter_network(void)
{
        static bool entered;

        if (entered)
                return 0;
        if (unshare(CLONE_NEWNET) < 0)
                return -errno;
        entered = true;
        return system("ip link set lo up && ip link add out0 type veth peer name out1 && "
                      "ip addr add 192.0.2.7/24 dev out0 && ip link set out0 up && ip link set out1 up && "
                      "ip route add default via 192.0.2.1") == 0
                   ? 0
                   : -ENETDOWN;
}

int outside_make(struct outside *outside, const char *dir, const struct kind *kind)
{
        int r;

        *outside = OUTSIDE_NONE;
        snprintf(outside->dir, sizeof(outside->dir), "%s", dir);
        outside->kind = kind;
        if (kind->on & (ON_BOTH | ON_RO))
                return 0;
        r = kind->needs_network ? enter_network() : 0;
        if (r == 0)
                r = make_folders(outside);
        if (r == 0)
                outside_renew(outside);
        return r == 0 ? open_sockets(outside) : r;
}

void outside_done(struct outside *outside)
{
        cleanup_close(&outside->listener);
        cleanup_close(&outside->peer);
        cleanup_close(&outside->named);
        *outside = OUTSIDE_NONE;
}
