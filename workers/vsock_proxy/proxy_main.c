/* bulkhead-vsock-proxy: the start of the proxy's process.
 * Owns nothing; the spawner has put the descriptors where sandbox/lockdown.h says. TRUST: argv and descriptors are the
 * spawner's; the run policy is its sealed memory.
 *
 *     argv[1]   0: it has no lanes        argv[2]   2: the socket to the worker, and the directory
 *     argv[3]   the name of the socket in it
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/log.h"
#include "sandbox/lockdown.h"
#include "workers/vsock_proxy/proxy.h"

#define N_RESOURCES 2u

static struct proxy the_proxy;

int main(int argc, char **argv)
{
        int r;

        if (argc != 4 || strcmp(argv[1], "0") != 0 || strcmp(argv[2], "2") != 0)
                return EXIT_FAILURE;
        log_init("vsock-proxy", LOG_LEVEL_INFO);
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return EXIT_FAILURE;
        if (proxy_init(&the_proxy, worker_fd_resource(0, 0), worker_fd_resource(0, 1), argv[3]) < 0)
                return EXIT_FAILURE;
        r = lockdown_worker(worker_fd_policy(0, N_RESOURCES), -1);
        if (r < 0) {
                log_error("cannot lock down: errno=%d", -r);
                return EXIT_FAILURE;
        }
        while (proxy_turn(&the_proxy))
                ;
        return EXIT_SUCCESS;
}
