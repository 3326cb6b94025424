/* The operator's command: verbs, options and exit codes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

enum ctl_exit {
        CTL_OK = 0,
        CTL_FAILED = 1, /* it was understood, and the answer is no: said on stderr or in the output */
        CTL_USAGE = 2,  /* it was not understood */
};

enum ctl_option_id {
        CTL_OPTION_RUN_DIR,
        CTL_OPTION_JSON,
        CTL_OPTION_SHMEM,
        CTL_OPTION_PRINT,
        CTL_OPTION_QEMU_VERSION,
        CTL_OPTION_MEMORY,
        CTL_OPTION_PORT,
        CTL_OPTION_VERBOSE,
        CTL_OPTION_NO_TRACE,
        CTL_OPTION_SECCOMP,
        CTL_OPTION_HELP,
        CTL_OPTION_COUNT_,
};

#define CTL_OPTION_BIT(id) (1u << (id))

struct ctl_option {
        const char *name;  /* with its dashes */
        const char *value; /* what its value is called; NULL: it has none */
        const char *summary;
};

extern const struct ctl_option ctl_options[CTL_OPTION_COUNT_];

/* A judged command line. Strings are borrowed from argv. */
struct ctl_args {
        const char *operand;                   /* CONFIG, or the VERB of help; NULL when there is none */
        const char *second;                    /* SETTING=VALUE of set; NULL when there is none */
        const char *option[CTL_OPTION_COUNT_]; /* its value, "" for one without; NULL: not given */
        const char *many[LIMIT_DEVICES];       /* all values of --seccomp, the one that may be there again */
        size_t n_many;
};

enum ctl_operand {
        CTL_OPERAND_NONE,
        CTL_OPERAND_OPTIONAL,
        CTL_OPERAND_REQUIRED,
};

struct ctl_verb {
        const char *name;
        enum ctl_operand operand;
        const char *operand_name;                /* "CONFIG" */
        const char *summary;                     /* one line for --help */
        uint32_t options;                        /* mask of CTL_OPTION_BIT; --help is always one */
        const char *text;                        /* a paragraph for `help VERB` */
        int (*run)(const struct ctl_args *args); /* returns an exit code */
        const char *second_name; /* of a second operand, required like the first; NULL: none */
};

/* Judges what follows the verb. 0, or -EINVAL with one line in `why`. */
int ctl_args_parse(const struct ctl_verb *verb, int argc, char *const argv[], struct ctl_args *ret_args,
                   char *why, size_t why_size);

/* The verbs (verb_*.c). Each returns an exit code. */
int verb_run(const struct ctl_args *args);
int verb_check(const struct ctl_args *args);
int verb_ps(const struct ctl_args *args);
int verb_audit(const struct ctl_args *args);
int verb_doctor(const struct ctl_args *args);
int verb_console(const struct ctl_args *args);
int verb_attach(const struct ctl_args *args);
int verb_set(const struct ctl_args *args);
int verb_attack_demo(const struct ctl_args *args);
