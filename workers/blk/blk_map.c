/* Reads of the image without a call.
 * Owns the mapping and the signal SIGBUS. Called by blk_file.c, and by blk.c at start and at rest. TRUST: offsets and lengths are
 * judged; the file is the host's, and its pages may go at any time.
 *
 * Why it pays: a call looks up each page of 4 KiB, and takes and drops a reference to it; a mapping finds it by the processor's own
 * tables. Why not always: a page that is not in the page cache would be read alone, or with a neighbourhood that nobody has asked
 * for, where a call says how much is wanted and what comes next is read ahead. So calls go first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_map.h"

#include <errno.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"

#define STAT_BLOCK 512u /* stat(2): what st_blocks counts */

/* ---- pages that have gone ---- */

static struct {
        sigjmp_buf back;
        volatile sig_atomic_t is_copying;
} blk_map_fault;

/* Anything else that raises it is our own mistake. */
static void blk_map_on_fault(int signo)
{
        (void)signo;
        if (!blk_map_fault.is_copying)
                worker_trap();
        siglongjmp(blk_map_fault.back, 1);
}

/* The handler is left by a jump, and no call returns from it: so it must not block its own signal. */
static int blk_map_catch_faults(void)
{
        struct sigaction action = {.sa_handler = blk_map_on_fault, .sa_flags = SA_NODEFER};

        sigemptyset(&action.sa_mask);
        return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

/* A call of its own: what it has in registers is of no use to who goes on after a fault. */
__attribute__((noinline)) static void blk_map_copy_parts(const uint8_t *from, const struct iovec *iov,
                                                         unsigned n_iov)
{
        for (unsigned i = 0; i < n_iov; i++) {
                memcpy(iov[i].iov_base, from, iov[i].iov_len);
                from += iov[i].iov_len;
        }
}

/* False: a page has gone. */
static bool blk_map_copy(const uint8_t *from, const struct iovec *iov, unsigned n_iov)
{
        if (sigsetjmp(blk_map_fault.back, 0) != 0) {
                blk_map_fault.is_copying = false;
                return false;
        }
        blk_map_fault.is_copying = true;
        atomic_signal_fence(memory_order_seq_cst);
        blk_map_copy_parts(from, iov, n_iov);
        atomic_signal_fence(memory_order_seq_cst);
        blk_map_fault.is_copying = false;
        return true;
}

/* ---- start ---- */

/* File systems whose calls and mappings share one cache, of this host alone. Others may have a second one (ZFS), ask somebody else for
 * each page (NFS, FUSE), or have pages of another kind (hugetlbfs). */
static bool blk_map_knows(uint64_t magic)
{
        static const uint64_t known[] = {TMPFS_MAGIC,       EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,
                                         BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC};

        for (size_t i = 0; i < array_size(known); i++)
                if (magic == known[i])
                        return true;
        return false;
}

/* *ret_is_memory: it is a file in memory, and has no holes. */
static int blk_map_judge(int fd, bool *ret_is_memory)
{
        struct statfs fs;
        struct stat st;

        if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
                return -errno;
        *ret_is_memory = fs.f_type == TMPFS_MAGIC && S_ISREG(st.st_mode);
        if (!S_ISBLK(st.st_mode) && !blk_map_knows((uint64_t)fs.f_type))
                return -EOPNOTSUPP;
        if (*ret_is_memory && (uint64_t)st.st_blocks * STAT_BLOCK < (uint64_t)st.st_size)
                return -EOPNOTSUPP;
        return 0;
}

/* Private, so that nobody can ever write to the image that way. What is written by calls shows all the same: Linux maps the page cache's
 * own pages where nobody has written. */
static void blk_map_all(struct blk_map *map, int fd, uint64_t size)
{
        void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (p == MAP_FAILED)
                return;
        map->bytes = p;
        map->size = size;
}

void blk_map_open(struct blk_map *map, int fd, uint64_t size)
{
        uint64_t mapped = MIN(size, LIMIT_BLK_MAP);

        *map = (struct blk_map){0};
        if (blk_map_judge(fd, &map->is_memory) < 0)
                return;
        map->heat = worker_memory(mapped / BLK_MAP_CHUNK + 1);
        map->in_use = worker_memory(BLK_MAP_CHUNKS * sizeof(*map->in_use));
        if (map->heat && map->in_use && blk_map_catch_faults() == 0)
                blk_map_all(map, fd, mapped);
}

/* ---- chunks ---- */

static void blk_map_forget(const struct blk_map *map, uint64_t offset, uint64_t len)
{
        if (madvise((void *)(uintptr_t)(map->bytes + offset), len, MADV_DONTNEED) < 0)
                worker_trap();
}

static void blk_map_evict(struct blk_map *map)
{
        uint32_t chunk = map->in_use[map->first];
        uint64_t offset = (uint64_t)chunk * BLK_MAP_CHUNK;

        blk_map_forget(map, offset, MIN(map->size - offset, (uint64_t)BLK_MAP_CHUNK));
        map->heat[chunk] = 0;
        map->first = (map->first + 1) % BLK_MAP_CHUNKS;
        map->n--;
}

static void blk_map_admit(struct blk_map *map, uint32_t chunk)
{
        if (map->n == BLK_MAP_CHUNKS)
                blk_map_evict(map);
        map->in_use[(map->first + map->n) % BLK_MAP_CHUNKS] = chunk;
        map->n++;
        map->heat[chunk] = BLK_MAP_IN_USE;
}

/* The chunks of a range that has bytes. */
struct blk_map_chunks {
        uint32_t first, last;
};

static struct blk_map_chunks blk_map_chunks(uint64_t offset, size_t len)
{
        return (struct blk_map_chunks){.first = (uint32_t)(offset / BLK_MAP_CHUNK),
                                       .last = (uint32_t)((offset + len - 1) / BLK_MAP_CHUNK)};
}

static bool blk_map_has(const struct blk_map *map, size_t len, uint64_t offset)
{
        return map->bytes && len > 0 && range_inside(offset, len, map->size);
}

/* A page that the range begins or ends in counts as a page of it. */
static uint32_t blk_map_pages(uint32_t chunk, size_t len, uint64_t offset)
{
        uint64_t begin = MAX(offset, (uint64_t)chunk * BLK_MAP_CHUNK);
        uint64_t end = MIN(offset + len, ((uint64_t)chunk + 1) * BLK_MAP_CHUNK);

        return (uint32_t)((end - begin + BLK_MAP_PAGE - 1) / BLK_MAP_PAGE);
}

void blk_map_warm(struct blk_map *map, size_t len, uint64_t offset)
{
        struct blk_map_chunks chunks;

        if (!blk_map_has(map, len, offset))
                return;
        chunks = blk_map_chunks(offset, len);
        for (uint32_t chunk = chunks.first; chunk <= chunks.last; chunk++)
                if (map->heat[chunk] < BLK_MAP_WARM)
                        map->heat[chunk] =
                            (uint8_t)MIN(map->heat[chunk] + blk_map_pages(chunk, len, offset), BLK_MAP_WARM);
}

static bool blk_map_is_warm(const struct blk_map *map, struct blk_map_chunks chunks)
{
        for (uint32_t chunk = chunks.first; chunk <= chunks.last; chunk++)
                if (map->heat[chunk] < BLK_MAP_WARM)
                        return false;
        return true;
}

static void blk_map_use(struct blk_map *map, struct blk_map_chunks chunks)
{
        for (uint32_t chunk = chunks.first; chunk <= chunks.last; chunk++)
                if (map->heat[chunk] == BLK_MAP_WARM)
                        blk_map_admit(map, chunk);
}

static void blk_map_give_up(struct blk_map *map)
{
        blk_map_rest(map);
        map->bytes = NULL;
}

bool blk_map_read(struct blk_map *map, const struct iovec *iov, unsigned n_iov, size_t len, uint64_t offset)
{
        struct blk_map_chunks chunks;

        if (!blk_map_has(map, len, offset))
                return false;
        chunks = blk_map_chunks(offset, len);
        if (!blk_map_is_warm(map, chunks))
                return false;
        blk_map_use(map, chunks);
        if (blk_map_copy(map->bytes + offset, iov, n_iov))
                return true;
        worker_log(LOG_LEVEL_WARNING,
                   "image has become shorter, or its medium fails: it is read by calls alone "
                   "until the worker is replaced");
        blk_map_give_up(map);
        return false;
}

void blk_map_punched(struct blk_map *map)
{
        if (map->is_memory)
                blk_map_give_up(map);
}

void blk_map_rest(const struct blk_map *map)
{
        if (map->n > 0 && map->bytes)
                blk_map_forget(map, 0, map->size);
}
