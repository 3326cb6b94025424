/* A document's values, judged where they stand.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "broker/ctl/config_document.h"
#include "broker/ctl/mistakes.h"
#include "proto/vm_config.h"

struct config_context {
        const char *folder;     /* of the file: relative paths begin there */
        const char *run_dir;    /* what counts when the file names none, or over what it names */
        bool run_dir_given;     /* --run-dir: the file's run_dir does not count */
        const char *worker_dir; /* where the programs are */
        bool host;              /* look at images and programs too */
        bool in_use_is_error;   /* an image that somebody else holds: an error, or a warning */
};

/* Adds a mistake for every value that vm_config_judge would refuse, at the value. Whatever config_walk has
 * refused already is passed over. 0, or -ENOMEM. */
int config_judge(yaml_document_t *document, const struct config_context *context, struct mistakes *mistakes);
