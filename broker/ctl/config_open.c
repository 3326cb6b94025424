/* A verb's way to a configuration.
 * Owns nothing beyond a call; called by run, check and attach; writes mistakes to stderr, because verbs are
 * edges. TRUST: the file is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_host.h"
#include "broker/ctl/config_load.h"
#include "broker/ctl/run_dir.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

int config_open(const char *path, const struct config_wish *wish, struct vm_config *ret_config)
{
        _cleanup_(mistakes_done) struct mistakes mistakes = {0};
        char run_dir[PATH_MAX], worker_dir[PATH_MAX], why[512], shown[512];
        const struct config_context context = {
            .run_dir = run_dir,
            .run_dir_given = wish->run_dir != NULL,
            .worker_dir = worker_dir,
            .host = wish->host,
            .in_use_is_error = wish->in_use_is_error,
        };
        int r;

        r = run_dir_choose(wish->run_dir, run_dir, why, sizeof(why));
        if (r < 0) {
                fprintf(stderr, "bulkhead: %s\n", why);
                return r;
        }
        r = config_host_programs(worker_dir);
        if (r < 0) {
                fprintf(stderr, "bulkhead: cannot find its own programs: %s: mount /proc\n", strerror(-r));
                return r;
        }
        r = config_load(path, &context, &mistakes, ret_config);
        mistakes_print(&mistakes, log_escape(path, strlen(path), shown, sizeof(shown)), stderr);
        if (r < 0 && r != -EINVAL)
                fprintf(stderr, "bulkhead: %s\n", strerror(-r));
        return r;
}
