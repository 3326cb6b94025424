/* Tricks with what others might hold too: open file descriptions, locks, event counters, memory.
 * Owns nothing; read by hostile_ops.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define POLICY_FDS 8 /* descriptors among which the run filter's memory would be, had it been left open */

static int64_t eventfd_new(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_eventfd2, 0, EFD_NONBLOCK);
}

/* Is any descriptor an event counter that others wait on? A write of one to a channel is no frame. */
static int64_t null_write(struct hostile *hostile)
{
        uint64_t most = UINT64_MAX - 1;

        (void)hostile;
        return CALL(SYS_write, 0, &most, sizeof(most));
}

static int64_t lane_blocking(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, worker_fd_lane_in(0), F_SETFL, 0);
}

static int64_t lane_setown(struct hostile *hostile)
{
        return CALL(SYS_fcntl, worker_fd_lane_in(0), F_SETOWN, hostile->command.broker_pid);
}

static int64_t lane_setsig(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, worker_fd_lane_in(0), F_SETSIG, SIGKILL);
}

static int64_t image_seek(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_lseek, hostile_resource, 512ul, SEEK_SET);
}

static int64_t image_flock(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_flock, hostile_resource, LOCK_EX | LOCK_NB);
}

static int64_t image_unlock(struct hostile *hostile)
{
        struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

        (void)hostile;
        return CALL(SYS_fcntl, hostile_resource, F_OFD_SETLK, &lock);
}

static int64_t image_lease(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, hostile_resource, F_SETLEASE, F_WRLCK);
}

static int64_t image_append(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, hostile_resource, F_SETFL, O_APPEND);
}

/* The run filter has come in a sealed memfd. Closed by lock-down; nothing of it can be changed after all. */
static int64_t policy_rewrite(struct hostile *hostile)
{
        const int first = worker_fd_policy(hostile_lanes, hostile_resources);
        int64_t r = -EBADF;

        (void)hostile;
        for (int fd = first; fd < first + POLICY_FDS && r < 0; fd++)
                r = CALL(SYS_pwrite64, fd, "", 1ul, 0ul);
        return r;
}

static int64_t policy_seals(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, worker_fd_policy(hostile_lanes, hostile_resources), F_GET_SEALS);
}

static int64_t memfd_shared(struct hostile *hostile)
{
        int64_t fd = CALL(SYS_memfd_create, "shmem", MFD_ALLOW_SEALING);

        (void)hostile;
        if (fd < 0)
                return fd;
        if (syscall(SYS_ftruncate, fd, 4096ul) < 0)
                return -errno;
        return CALL(SYS_mmap, NULL, 4096ul, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0ul) < 0 ? -errno : 0;
}

static int64_t mremap_own(struct hostile *hostile)
{
        static char page[HOSTILE_PAGE] __attribute__((aligned(HOSTILE_PAGE)));

        (void)hostile;
        return CALL(SYS_mremap, page, HOSTILE_PAGE, 2 * HOSTILE_PAGE, MREMAP_MAYMOVE, 0ul) < 0 ? -errno : 0;
}

static int64_t futex_wake(struct hostile *hostile)
{
        static uint32_t word;

        (void)hostile;
        return CALL(SYS_futex, &word, 1 /* FUTEX_WAKE, shared */, 1, NULL, NULL, 0);
}

static const struct hostile_attack rows[] = {
    {"eventfd", eventfd_new, 0},
    {"null-write", null_write, 0},
    {"lane-blocking", lane_blocking, 0},
    {"lane-setown", lane_setown, 0},
    {"lane-setsig", lane_setsig, 0},
    {"image-seek", image_seek, 0},
    {"image-flock", image_flock, 0},
    {"image-unlock", image_unlock, 0},
    {"image-lease", image_lease, 0},
    {"image-append", image_append, 0},
    {"policy-rewrite", policy_rewrite, 0},
    {"policy-seals", policy_seals, 0},
    {"memfd-shared", memfd_shared, 0},
    {"mremap", mremap_own, 0},
    {"futex", futex_wake, 0},
};

const struct hostile_attacks hostile_shared = {rows, array_size(rows)};
