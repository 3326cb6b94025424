/* A YAML text as a tree that knows where everything stands. libyaml's own types stay below config_*.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <yaml.h>

#include "broker/ctl/mistakes.h"

/* Parses exactly one document without aliases. 0: the caller frees with yaml_document_delete. -EINVAL: a
 * mistake was added. -ENOMEM. */
int config_document_load(const char *text, size_t len, struct mistakes *mistakes,
                         yaml_document_t *ret_document);

/* The value of `key` in a mapping; NULL when it is not there. */
yaml_node_t *config_document_find(yaml_document_t *document, const yaml_node_t *mapping, const char *key);

/* A scalar's text; NULL for NULL, another kind of node, or a text with a NUL inside. */
const char *config_document_text(const yaml_node_t *node);

/* Adds a mistake at a node. */
void config_document_mistake(struct mistakes *mistakes, enum mistake_level level, const yaml_node_t *node,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
