/* The start of every worker program.
 * Owns nothing; the descriptors are where the spawner has put them (sandbox/lockdown.h). TRUST: argv and
 * descriptors are the spawner's; the run policy is its sealed memory.
 *
 * How it works:
 *     signals    a write to a broker that is gone must end in worker_gone, and one beyond RLIMIT_FSIZE in an
 * error; sigaction is not in the run policy, so this cannot come later prepare    Configure, the device's
 * look at its resources, all memory: the start policy still allows for it lock down  from here on only what
 * the run policy names. Not before prepare, which needs more; not after Hello, which lets the first guest
 * byte in. A worker that cannot be shut in does not serve serve      Hello, and requests until the broker is
 * gone
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proto/base/limits.h"
#include "sandbox/lockdown.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker.h"
#include "workers/runtime/worker_log.h"

/* One decimal number in [min, max]. */
static int worker_parse(const char *text, unsigned min, unsigned max, unsigned *ret_number)
{
        unsigned long number;
        char *end;

        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
                return -EINVAL;
        *ret_number = (unsigned)number;
        return 0;
}

/* What it serves, if that is a folder: the one part of a file system that it keeps. -1: it has none. */
static int find_folder(unsigned n_lanes, unsigned n_resources)
{
        struct stat st;

        for (unsigned i = 0; i < n_resources; i++)
                if (fstat(worker_fd_resource(n_lanes, i), &st) == 0 && S_ISDIR(st.st_mode))
                        return worker_fd_resource(n_lanes, i);
        return -1;
}

int main(int argc, char **argv)
{
        static struct worker worker;
        unsigned n_lanes, n_resources;
        int r;

        if (argc != 3 || worker_parse(argv[1], 1, LIMIT_LANES, &n_lanes) < 0 ||
            worker_parse(argv[2], 0, LIMIT_RESOURCES, &n_resources) < 0)
                return EXIT_FAILURE;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
                return EXIT_FAILURE;
        if (worker_init(&worker, &device_ops, n_lanes, n_resources) < 0 || worker_prepare(&worker) < 0)
                return EXIT_FAILURE;
        r = lockdown_worker(worker_fd_policy(n_lanes, n_resources), find_folder(n_lanes, n_resources));
        if (r < 0) {
                worker_log(LOG_LEVEL_ERROR, "cannot lock down: errno=%d", -r);
                return EXIT_FAILURE;
        }
        worker_serve(&worker);
}
