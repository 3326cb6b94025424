/* What libfuse is linked without: character devices, which would bring its command line, its threads' loops and its modules into a
 * worker that needs none of them; and a system call for a check that it never makes.
 * Owns nothing; nobody calls it: a session of ours is no character device. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "workers/fs/fs_ops.h"
#include "workers/runtime/trap.h"

#define NOBODY 65534u

/* A new session asks whose it is, and would tell others from him if it were mounted with allow_root. */
uid_t getuid(void)
{
        return NOBODY;
}

void cuse_lowlevel_init(fuse_req_t req, fuse_ino_t id, const void *bytes);

void cuse_lowlevel_init(fuse_req_t req, fuse_ino_t id, const void *bytes)
{
        (void)req;
        (void)id;
        (void)bytes;
        worker_trap();
}
