/* Memory that a worker gets before its jail closes, and keeps.
 * Owns nothing; called while the runtime starts, and when it rests. TRUST: sees no foreign bytes.
 *
 * Nothing is touched here, so that an idle worker is small: what it never uses costs nothing. Nothing can come
 * of that later. RLIMIT_AS and RLIMIT_DATA count all of it now, and its control group has the same limit: a
 * worker that starts stays below it however much it touches. Only a host that has no memory left at all would
 * kill it, as it would any process; its successor is sent its requests again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_memory.h"

#include <stdint.h>
#include <sys/mman.h>

#include "workers/runtime/trap.h"

#define WORKER_PAGE       4096u
#define WORKER_LARGE_PAGE (2u << 20) /* the kernel maps so much at once, where it begins so */

/* Not by calloc, which writes zeros into what the heap had before. */
void *worker_memory(size_t len)
{
        void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? NULL : p;
}

void *worker_memory_apart(size_t len)
{
        uint8_t *p = worker_memory(WORKER_PAGE + len);

        return p ? p + WORKER_PAGE - WORKER_MEMORY_LEAD : NULL;
}

void *worker_memory_untouched(size_t len)
{
        size_t size = len + WORKER_LARGE_PAGE;
        uint8_t *p =
            mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        size_t before;

        if (p == MAP_FAILED)
                return NULL;
        before = -(uintptr_t)p % WORKER_LARGE_PAGE;
        if (before > 0)
                munmap(p, before);
        munmap(p + before + len, WORKER_LARGE_PAGE - before);
        (void)madvise(p + before, len, MADV_HUGEPAGE); /* a kernel that has none: small ones will do */
        return p + before;
}

void worker_memory_rest(void *bytes, size_t len)
{
        if (madvise(bytes, len, MADV_DONTNEED) < 0)
                worker_trap();
}
