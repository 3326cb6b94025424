/* Every VM of a run directory, asked one after the other.
 * Owns nothing beyond a call; called by ps and audit. TRUST: answers are judged by admin_client.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/vm_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/run_dir.h"
#include "proto/base/cleanup.h"

bool vm_is_dead(int negative_errno)
{
        return negative_errno == -ECONNREFUSED || negative_errno == -ENOENT;
}

int vm_scan(const struct ctl_args *args, char ret_run_dir[static PATH_MAX], vm_visit visit, void *context,
            char *why, size_t why_size)
{
        _cleanup_free_ struct admin_answer *answer = calloc(1, sizeof(*answer));
        _cleanup_(run_dir_list_done) struct run_dir_list list = {0};
        int r;

        if (!answer)
                return -ENOMEM;
        r = run_dir_choose(args->option[CTL_OPTION_RUN_DIR], ret_run_dir, why, why_size);
        if (r < 0)
                return r;
        r = run_dir_list(ret_run_dir, &list);
        if (r < 0) {
                snprintf(why, why_size, "run directory %s: %s", ret_run_dir, strerror(-r));
                return r;
        }
        for (size_t i = 0; i < list.n && r == 0; i++) {
                char reason[512] = "";
                int error = admin_client_status(ret_run_dir, list.vms[i].name, LIMIT_CTL_ANSWER_MS, answer,
                                                reason, sizeof(reason));

                r = visit(context, list.vms[i].name, error, error < 0 ? NULL : answer, reason);
                if (r < 0)
                        snprintf(why, why_size, "%s", strerror(-r));
        }
        return r;
}
