/* One host uid per process, claimed under flock.
 * Owns the lock files in RUNDIR/uids; called by the spawner at start. TRUST: RUNDIR is root's; /proc is the
 * kernel's.
 *
 * A lock alone is not enough: it dies with the spawner that holds it, while a worker may live on. So what
 * /proc shows to be in use is not claimed either.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/uid_range.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define UID_LOCK_TRIES                                                                                       \
        4 /* the file was removed between our open and our lock: another claimant has just ended */

static void cleanup_closedir(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

static void uid_mark(uint8_t *live, uint32_t first, uint32_t count, unsigned long uid)
{
        if (uid >= first && uid - first < count)
                live[(uid - first) / 8] |= (uint8_t)(1u << ((uid - first) % 8));
}

/* Marks the real, effective, saved and file system uid of one process. A process that has just ended marks
 * nothing. */
static void uid_mark_process(int proc_fd, const char *pid, uint8_t *live, uint32_t first, uint32_t count)
{
        _cleanup_close_ int fd = -1;
        char path[64], text[1024];
        const char *line;
        char *at;
        ssize_t n;

        snprintf(path, sizeof(path), "%.20s/status", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return;
        text[n] = '\0';
        line = strstr(text, "\nUid:");
        if (!line)
                return;
        at = (char *)line + 5;
        for (int i = 0; i < 4; i++)
                uid_mark(live, first, count, strtoul(at, &at, 10));
}

static int uid_scan_processes(uint8_t *live, uint32_t first, uint32_t count)
{
        _cleanup_(cleanup_closedir) DIR *dir = opendir("/proc");
        const struct dirent *entry;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir)))
                if (isdigit((unsigned char)entry->d_name[0]))
                        uid_mark_process(dirfd(dir), entry->d_name, live, first, count);
        return 0;
}

/* Is `fd` still the file of that name? */
static bool uid_lock_is_current(int dir_fd, const char *name, int fd)
{
        struct stat ours, named;

        return fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
               ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* 1: locked, 0: another holds it. */
static int uid_lock(int dir_fd, uid_t uid, int *ret_fd)
{
        char name[32];

        snprintf(name, sizeof(name), "%u.lock", uid);
        for (int i = 0; i < UID_LOCK_TRIES; i++) {
                _cleanup_close_ int fd =
                    openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

                if (fd < 0)
                        return -errno;
                if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                        return errno == EWOULDBLOCK ? 0 : -errno;
                if (!uid_lock_is_current(dir_fd, name, fd))
                        continue;
                *ret_fd = take_fd(&fd);
                return 1;
        }
        return 0;
}

static int uid_open_dir(int run_dir_fd)
{
        int fd;

        if (mkdirat(run_dir_fd, "uids", 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(run_dir_fd, "uids", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

static void uid_unlock(int dir_fd, struct uid_claim *claim)
{
        char name[32];

        snprintf(name, sizeof(name), "%u.lock", claim->uid);
        unlinkat(dir_fd, name, 0); /* while the lock is held: see uid_lock_is_current */
        uid_claim_forget(claim);
}

static int uid_claim_free(int dir_fd, const uint8_t *live, uint32_t first, uint32_t count, size_t n,
                          struct uid_claim *claims)
{
        size_t got = 0;
        int r = 0;

        for (uint32_t i = 0; i < count && got < n; i++) {
                struct uid_claim claim = {.uid = first + i, .lock_fd = -1};

                if (live[i / 8] & (1u << (i % 8)))
                        continue;
                r = uid_lock(dir_fd, claim.uid, &claim.lock_fd);
                if (r < 0)
                        break;
                if (r > 0)
                        claims[got++] = claim;
        }
        if (got == n)
                return 0;
        while (got > 0)
                uid_unlock(dir_fd, &claims[--got]);
        return r < 0 ? r : -EUSERS;
}

int uid_claim(int run_dir_fd, uint32_t first, uint32_t count, size_t n, struct uid_claim *ret_claims)
{
        _cleanup_close_ int dir_fd = uid_open_dir(run_dir_fd);
        _cleanup_free_ struct uid_claim *claims = NULL;
        _cleanup_free_ uint8_t *live = NULL;
        int r;

        if (dir_fd < 0)
                return dir_fd;
        if (n > count || first + count < first)
                return -EUSERS;
        claims = calloc(n + 1, sizeof(*claims));
        live = calloc(1, count / 8u + 1);
        if (!claims || !live)
                return -ENOMEM;
        r = uid_scan_processes(live, first, count);
        if (r == 0)
                r = uid_claim_free(dir_fd, live, first, count, n, claims);
        if (r < 0)
                return r;
        memcpy(ret_claims, claims, n * sizeof(*claims));
        return 0;
}

void uid_claim_done(int run_dir_fd, struct uid_claim *claim)
{
        _cleanup_close_ int dir_fd = -1;

        if (claim->lock_fd < 0)
                return;
        dir_fd = uid_open_dir(run_dir_fd);
        if (dir_fd >= 0)
                uid_unlock(dir_fd, claim);
        else
                uid_claim_forget(claim);
}

void uid_claim_forget(struct uid_claim *claim)
{
        if (claim->lock_fd >= 0)
                close(claim->lock_fd);
        *claim = UID_CLAIM_NONE;
}
