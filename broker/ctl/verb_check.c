/* bulkhead check: every mistake of a configuration, or what it means.
 * Owns nothing; called by ctl_main.c. TRUST: the file is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_effective.h"
#include "broker/ctl/config_open.h"
#include "broker/ctl/ctl.h"
#include "proto/base/cleanup.h"

int verb_check(const struct ctl_args *args)
{
        const struct config_wish wish = {.run_dir = args->option[CTL_OPTION_RUN_DIR], .host = true};
        _cleanup_(vm_config_done) struct vm_config config = {0};
        int r;

        r = config_open(args->operand, &wish, &config);
        if (r < 0)
                return CTL_FAILED;
        printf("# effective configuration of %s; programs in %s\n", config.name, config.worker_dir);
        r = config_effective_print(&config, stdout);
        if (r == 0)
                return CTL_OK;
        fprintf(stderr, "bulkhead: check: %s\n", strerror(-r));
        return CTL_FAILED;
}
