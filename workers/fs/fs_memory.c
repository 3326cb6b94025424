/* Where a worker writes down what its successor needs.
 * Owns the mapping, for good; called by fs.c and by the tables of inodes and open files. TRUST: what is found there was written
 * by a predecessor, which may have been taken over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "workers/runtime/worker_memory.h"

/* Who could make it shorter could end us by it. */
static int fs_memory_judge(int fd)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (seals < 0 || !(seals & F_SEAL_SHRINK) || (uint64_t)st.st_size < sizeof(struct fs_memory))
                return -EINVAL;
        return 0;
}

static int fs_memory_map(int fd, struct fs_memory **ret_memory)
{
        int r = fs_memory_judge(fd);
        void *p;

        if (r < 0)
                return r;
        p = mmap(NULL, sizeof(struct fs_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        *ret_memory = p;
        return 0;
}

int fs_memory_open(int fd, struct fs_memory **ret_memory)
{
        if (fd >= 0)
                return fs_memory_map(fd, ret_memory);
        *ret_memory = worker_memory(sizeof(struct fs_memory));
        return *ret_memory ? 0 : -ENOMEM;
}

void fs_memory_clear(struct fs_memory *memory)
{
        memory->nodes_used = memory->handles_used = 0; /* what lies behind is written before it is read */
        memset(memory->maps, 0, sizeof(memory->maps));
        memset(memory->begun, 0, sizeof(memory->begun));
        memory->begun_at = 0;
}

void fs_memory_begin(struct fs_memory *memory, uint64_t unique)
{
        memory->begun[memory->begun_at % LIMIT_FS_BEGUN] = unique;
        memory->begun_at++;
        fs_memory_order();
}

bool fs_memory_has_begun(const struct fs_memory *memory, uint64_t unique)
{
        for (uint32_t i = 0; i < LIMIT_FS_BEGUN; i++)
                if (memory->begun[i] == unique)
                        return true;
        return false;
}
