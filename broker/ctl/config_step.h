/* One value of a document, put into a configuration that is good and judged there.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/ctl/config_document.h"
#include "broker/ctl/config_judge.h"
#include "proto/base/arena.h"

#define JUDGE_WHY 512u /* bytes of a sentence */

struct limit_key;

struct judge {
        yaml_document_t *document;
        const struct config_context *context;
        struct mistakes *mistakes;
        struct vm_config vm;           /* judged good after every step; options are copies of its own */
        struct device_config *device;  /* the one at work: the last of vm.devices */
        bool type_known;               /* of that device */
        const struct limit_key *limit; /* the one at work */
        uint64_t window_start;         /* of the window at work */
        struct arena texts;            /* of the options of the device at work */
        char rooms[LIMIT_OPTIONS][LIMIT_NAME]; /* likewise: option_preset */
};

/* Puts a text into the configuration. 0; -EINVAL with a sentence in `why`; -ENOMSG: config_walk has refused
 * it. */
typedef int (*value_set)(struct judge *judge, const char *text, char *why, size_t why_size);

/* Writes the sentence. Returns -EINVAL. */
int judge_refuse(char *why, size_t why_size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A path as the file's folder makes it whole. 0 or -EINVAL with a sentence that names `key`. */
int judge_set_path(const struct judge *judge, const char *key, const char *text,
                   char ret_path[static PATH_MAX], char *why, size_t why_size);

/* Sets one value of a mapping and asks the judge; takes the value out again when it is refused. The node, when
 * it is good; NULL: it is not there, or a mistake has been added. */
const yaml_node_t *judge_value(struct judge *judge, const yaml_node_t *mapping, const char *key,
                               value_set set);
