/* The options of a console: the one place that knows them all.
 * Owns nothing; called by what judges and carries configurations, by the spawner's resources and by the worker.
 * TRUST: a set has been judged by these rows, but for console_options_judge, which judges it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

/* It stands in file names and in the guest's /dev/virtio-ports. */
static bool console_name_ok(const char *name)
{
        static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        size_t len = strlen(name);

        return len >= 1 && len < LIMIT_CONSOLE_NAME && strspn(name, good) == len && name[0] != '.' &&
               name[0] != '-';
}

struct console_options console_options_read(const struct option_set *set)
{
        const char *at = set->value[CONSOLE_OPTION_PORTS].text;
        struct console_options options = {.log_dir = set->value[CONSOLE_OPTION_LOG_DIR].text,
                                          .log_max = set->value[CONSOLE_OPTION_LOG_MAX].number};

        while (*at && options.n_ports < LIMIT_CONSOLE_PORTS) {
                size_t len = strcspn(at, ",");
                size_t kept = MIN(len, (size_t)LIMIT_CONSOLE_NAME - 1);

                memcpy(options.names[options.n_ports], at, kept);
                options.names[options.n_ports++][kept] = '\0';
                at += len + (at[len] == ',');
        }
        return options;
}

uint32_t console_options_queues(const struct option_set *set)
{
        return console_n_queues(console_options_read(set).n_ports);
}

int console_options_judge(const struct option_set *set, char *why, size_t why_size)
{
        struct console_options options = console_options_read(set);

        if (options.n_ports == 0) {
                snprintf(why, why_size, "ports: there are none: name one, which is the console");
                return -EINVAL;
        }
        for (uint32_t i = 0; i < options.n_ports; i++)
                for (uint32_t k = 0; k < i; k++)
                        if (strcmp(options.names[i], options.names[k]) == 0) {
                                snprintf(why, why_size,
                                         "ports: %s is there twice: give each a name of its own",
                                         options.names[i]);
                                return -EINVAL;
                        }
        return 0;
}

const struct option_row console_option_rows[CONSOLE_OPTION_COUNT_] = {
    [CONSOLE_OPTION_PORTS] = {.key = "ports",
                              .kind = OPTION_TEXTS,
                              .min = 1,
                              .max = LIMIT_CONSOLE_PORTS,
                              .preset_text = "console",
                              .ok = console_name_ok,
                              .form = "names of 1 to 31 of [A-Za-z0-9._-] that do not begin with . or -"},
    [CONSOLE_OPTION_LOG_DIR] = {.key = "log_dir", .kind = OPTION_PATH},
    [CONSOLE_OPTION_LOG_MAX] = {.key = "log_max",
                                .kind = OPTION_SIZE,
                                .min = LIMIT_CONSOLE_LOG_MIN,
                                .max = LIMIT_CONSOLE_LOG_MAX,
                                .preset = 1u << 20},
};
