/* bulkhead attack-demo: a worker that attacks, for a person to watch.
 * Owns nothing: becomes the program that starts a throw-away VM, plays its guest, gives the hostile worker its
 * commands and explains each line. That program is what the tests run too. Called by ctl_main.c. TRUST: sees no
 * foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/ctl/config_host.h"
#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"

static const char *const programs[] = {"bulkhead-attack", "bulkhead-hostile-blk", "bulkhead-hostile-rng"};

int verb_attack_demo(const struct ctl_args *args)
{
        char folder[PATH_MAX], path[PATH_MAX + 32], why[512];
        char *const argv[] = {(char *)programs[0], (char *)"--explain", NULL};
        int r = config_host_programs(folder);

        (void)args;
        if (r < 0) {
                fprintf(stderr, "bulkhead: cannot find its own programs: %s: mount /proc\n", strerror(-r));
                return CTL_FAILED;
        }
        for (size_t i = 0; i < array_size(programs); i++)
                if (config_host_program(folder, programs[i], why, sizeof(why)) < 0) {
                        fprintf(stderr, "bulkhead: attack-demo: %s\n", why);
                        return CTL_FAILED;
                }
        snprintf(path, sizeof(path), "%s/%s", folder, programs[0]);
        execv(path, argv);
        fprintf(stderr, "bulkhead: attack-demo: cannot start %s: %s\n", path, strerror(errno));
        return CTL_FAILED;
}
