/* The kernel's asynchronous reads and writes.
 * Owns nothing; called by blk_direct.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/aio_calls.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int aio_setup(unsigned n_events, aio_context_t *ret_context)
{
        aio_context_t context = 0;

        if (syscall(SYS_io_setup, n_events, &context) < 0)
                return -errno;
        *ret_context = context;
        return 0;
}

int aio_submit(aio_context_t context, long n, struct iocb **iocbs)
{
        long r = syscall(SYS_io_submit, context, n, iocbs);

        return r < 0 ? -errno : (int)r;
}

int aio_getevents(aio_context_t context, long min, struct io_event ret_events[static AIO_EVENTS])
{
        long r = syscall(SYS_io_getevents, context, min, (long)AIO_EVENTS, ret_events, NULL);

        return r < 0 ? -errno : (int)r;
}
