/* A document against the schema: shape, keys and types.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <cyaml/cyaml.h>

#include "broker/ctl/config_document.h"
#include "broker/ctl/mistakes.h"

/* Adds every mistake that libcyaml would stop at, and those that it would let pass: "read_only: flase" is
 * true to it, "queues: 0x2" and "-1" are numbers. What a value may be is judged by config_judge.c. */
void config_walk(yaml_document_t *document, const cyaml_schema_value_t *schema, struct mistakes *mistakes);
