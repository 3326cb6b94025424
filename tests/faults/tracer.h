/* Makes system calls of another process fail: strace's injection.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct tracer {
        pid_t pid; /* 0: none */
        int said;  /* its standard error */
        char output[96];
};

/* Is there an strace that may attach? */
bool tracer_available(void);

/* Attaches to the process; from the return on each of `calls` ("pread64" or "pread64,readv") meets `inject`
 * ("error=EIO:when=1"). `follow`: also in processes that it starts. 0 or negative errno. */
int tracer_start(struct tracer *tracer, const char *dir, pid_t pid, bool follow, const char *calls,
                 const char *inject);

/* Has a call been made to fail by now? */
unsigned tracer_injected(const struct tracer *tracer);

/* Lets the process go; it runs on. Returns how many calls were made to fail. */
unsigned tracer_stop(struct tracer *tracer);
