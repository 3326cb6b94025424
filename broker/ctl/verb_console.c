/* bulkhead console: a port of a console on our terminal, or on a script's pipes.
 * Owns nothing beyond a call; called by ctl_main.c. TRUST: the name is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/admin_client.h"
#include "broker/ctl/console_name.h"
#include "broker/ctl/console_session.h"
#include "broker/ctl/ctl.h"
#include "broker/ctl/run_dir.h"

struct console {
        char run_dir[PATH_MAX];
        struct console_name name;
};

/* Another may have been set just now, or the worker be on its way: again, a few times. What fails then is no more than a size. */
static void set_size(void *context, unsigned columns, unsigned rows)
{
        const struct console *console = context;
        const struct control_setting setting = {.id = SETTING_SIZE, .value = columns | (uint64_t)rows << 16};
        char why[512];

        for (unsigned i = 0; i < LIMIT_CTL_SIZES; i++) {
                if (admin_client_set(console->run_dir, console->name.vm, console->name.device, &setting, why,
                                     sizeof(why)) != -EBUSY)
                        return;
                (void)poll(NULL, 0, (int)LIMIT_SETTING_MS);
        }
}

static int fail(const char *why, int code)
{
        fprintf(stderr, "bulkhead: console: %s\n", why);
        return code;
}

int verb_console(const struct ctl_args *args)
{
        struct console console;
        struct console_place place;
        char title[2 * LIMIT_NAME + LIMIT_CONSOLE_NAME], why[512] = "the path is too long";
        struct console_session_spec spec = {.path = place.path, .title = title, .context = &console};

        if (console_name_parse(args->operand, &console.name, why, sizeof(why)) < 0)
                return fail(why, CTL_USAGE);
        if (run_dir_choose(args->option[CTL_OPTION_RUN_DIR], console.run_dir, why, sizeof(why)) < 0 ||
            console_place_find(console.run_dir, &console.name, &place, why, sizeof(why)) < 0)
                return fail(why, CTL_FAILED);
        snprintf(title, sizeof(title), "%s/%s:%s", console.name.vm, console.name.device, place.port);
        if (place.is_console)
                spec.resize = set_size;
        return console_session(&spec);
}
