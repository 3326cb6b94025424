/* What follows a verb on the command line, judged against the verb's row.
 * Owns nothing; called by ctl_main.c. TRUST: words are the operator's, printed escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"

#define SHOWN 128u

static const char *show(const char *word, char out[static SHOWN])
{
        return log_escape(word, strlen(word), out, SHOWN);
}

/* Finds the option that `word` names, up to its end or a '='. CTL_OPTION_COUNT_ when there is none. */
static size_t find_option(const struct ctl_verb *verb, const char *word)
{
        const size_t len = strcspn(word, "=");

        for (size_t i = 0; i < CTL_OPTION_COUNT_; i++)
                if (((verb->options | CTL_OPTION_BIT(CTL_OPTION_HELP)) & CTL_OPTION_BIT(i)) &&
                    strlen(ctl_options[i].name) == len && strncmp(ctl_options[i].name, word, len) == 0)
                        return i;
        return CTL_OPTION_COUNT_;
}

/* May be there again: all its values are kept. */
static bool is_many(size_t id)
{
        return id == CTL_OPTION_SECCOMP;
}

static void set_value(struct ctl_args *args, size_t id, const char *value)
{
        args->option[id] = value;
        if (is_many(id))
                args->many[args->n_many++] = value;
}

/* Takes one option, and the next word when that is its value. Returns how many words were taken. */
static int take_option(const struct ctl_verb *verb, int argc, char *const argv[], struct ctl_args *args,
                       char *why, size_t why_size)
{
        const char *equals = strchr(argv[0], '=');
        const size_t id = find_option(verb, argv[0]);
        char shown[SHOWN];

        if (id == CTL_OPTION_COUNT_) {
                snprintf(why, why_size, "%s: unknown option %s; try: bulkhead help %s", verb->name,
                         show(argv[0], shown), verb->name);
                return -EINVAL;
        }
        if (args->option[id] && (!is_many(id) || args->n_many == array_size(args->many))) {
                snprintf(why, why_size, "%s: %s is there twice; give it once", verb->name,
                         ctl_options[id].name);
                return -EINVAL;
        }
        if (!ctl_options[id].value) {
                args->option[id] = "";
                if (!equals)
                        return 1;
                snprintf(why, why_size, "%s: %s takes no value; try: bulkhead help %s", verb->name,
                         ctl_options[id].name, verb->name);
                return -EINVAL;
        }
        if (equals) {
                set_value(args, id, equals + 1);
                return 1;
        }
        if (argc < 2) {
                snprintf(why, why_size, "%s: %s needs a value: %s %s", verb->name, ctl_options[id].name,
                         ctl_options[id].name, ctl_options[id].value);
                return -EINVAL;
        }
        set_value(args, id, argv[1]);
        return 2;
}

static int take_operand(const struct ctl_verb *verb, const char *word, struct ctl_args *args, char *why,
                        size_t why_size)
{
        char shown[SHOWN];

        if (args->operand && verb->second_name && !args->second) {
                args->second = word;
                return 1;
        }
        if (verb->operand == CTL_OPERAND_NONE || args->operand) {
                snprintf(why, why_size, "%s: %s is one word too many; try: bulkhead help %s", verb->name,
                         show(word, shown), verb->name);
                return -EINVAL;
        }
        args->operand = word;
        return 1;
}

/* Its name, or NULL. */
static const char *missing_operand(const struct ctl_verb *verb, const struct ctl_args *args)
{
        if (verb->operand == CTL_OPERAND_REQUIRED && !args->operand)
                return verb->operand_name;
        return args->second ? NULL : verb->second_name;
}

int ctl_args_parse(const struct ctl_verb *verb, int argc, char *const argv[], struct ctl_args *ret_args,
                   char *why, size_t why_size)
{
        struct ctl_args args = {0};
        bool options_end = false;

        for (int i = 0; i < argc;) {
                int taken;

                if (!options_end && strcmp(argv[i], "--") == 0) {
                        options_end = true;
                        i++;
                        continue;
                }
                if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0')
                        taken = take_option(verb, argc - i, argv + i, &args, why, why_size);
                else
                        taken = take_operand(verb, argv[i], &args, why, why_size);
                if (taken < 0)
                        return taken;
                i += taken;
        }
        if (!args.option[CTL_OPTION_HELP] && missing_operand(verb, &args)) {
                snprintf(why, why_size, "%s: %s is missing; try: bulkhead help %s", verb->name,
                         missing_operand(verb, &args), verb->name);
                return -EINVAL;
        }
        *ret_args = args;
        return 0;
}

const struct ctl_option ctl_options[CTL_OPTION_COUNT_] = {
    [CTL_OPTION_RUN_DIR] = {"--run-dir", "DIR", "where the VMs' sockets are"},
    [CTL_OPTION_JSON] = {"--json", NULL, "print JSON instead of a table"},
    [CTL_OPTION_SHMEM] = {"--shmem", NULL, "list what is mapped in shared memory regions instead"},
    [CTL_OPTION_PRINT] = {"--print", "VMM", "for qemu, libvirt, cloud-hypervisor or crosvm"},
    [CTL_OPTION_QEMU_VERSION] = {"--qemu-version", "X.Y", "add what this QEMU needs to reconnect by itself"},
    [CTL_OPTION_MEMORY] = {"--memory", "SIZE", "the guest's memory, such as 512M; 1G when not given"},
    [CTL_OPTION_PORT] = {"--port", "N", "which port of a console, from 0 on; 0 when not given"},
    [CTL_OPTION_VERBOSE] = {"--verbose", NULL, "log more"},
    [CTL_OPTION_NO_TRACE] = {"--no-trace", NULL,
                             "leave workers to a debugger: no arguments of forbidden calls"},
    [CTL_OPTION_SECCOMP] = {"--seccomp", "DEVICE=log", "for development: only log what its policy forbids"},
    [CTL_OPTION_HELP] = {"--help", NULL, "say this and stop"},
};
