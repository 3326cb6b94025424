/* A document against the schema: shape, keys and types.
 * Owns nothing; called by config_load.c. The schema is libcyaml's own (config_schema.c), so that keys and
 * types are written down once. TRUST: values are the operator's and are printed escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_walk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_schema.h"
#include "broker/ctl/config_value.h"
#include "proto/base/log.h"

#define SHOWN 128u /* bytes of a foreign value in a message */
#define KNOWN 320u /* bytes of a list of keys: a device's with all its options */

struct walk {
        yaml_document_t *document;
        struct mistakes *mistakes;
};

static void walk_value(const struct walk *walk, const char *key, yaml_node_t *node,
                       const cyaml_schema_value_t *schema);

static const char *show(const yaml_node_t *node, char out[static SHOWN])
{
        return log_escape(node->data.scalar.value, node->data.scalar.length, out, SHOWN);
}

/* "a, b, c" of the keys of a mapping. Of a device: with the options of its type alone. */
static const char *list_keys(const struct walk *walk, const yaml_node_t *mapping,
                             const cyaml_schema_field_t *fields, char *out, size_t size)
{
        const char *name = config_document_text(config_document_find(walk->document, mapping, "type"));
        const struct device_type *type = name ? device_type_find(name) : NULL;
        const bool is_device = config_schema_is_device(fields);
        size_t used = 0;

        out[0] = '\0';
        for (const cyaml_schema_field_t *f = fields; f->key && used < size; f++) {
                if (is_device && config_schema_is_option(f->key) &&
                    (!type || option_find(type, f->key) == type->n_options))
                        continue;
                used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ", ", f->key);
        }
        return out;
}

static const char *list_strings(const cyaml_schema_value_t *schema, char *out, size_t size)
{
        size_t used = 0;

        out[0] = '\0';
        for (uint32_t i = 0; i < schema->enumeration.count && used < size; i++)
                used += (size_t)snprintf(out + used, size - used, "%s%s", i == 0 ? "" : ", ",
                                         schema->enumeration.strings[i].str);
        return out;
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *key)
{
        for (const cyaml_schema_field_t *f = fields; f->key; f++)
                if (strcmp(f->key, key) == 0)
                        return f;
        return NULL;
}

static void walk_enum(const struct walk *walk, const char *key, const yaml_node_t *node,
                      const cyaml_schema_value_t *schema)
{
        const char *text = config_document_text(node);
        char shown[SHOWN], known[SHOWN];

        for (uint32_t i = 0; i < schema->enumeration.count; i++)
                if (strcmp(schema->enumeration.strings[i].str, text) == 0)
                        return;
        config_document_mistake(walk->mistakes, MISTAKE_ERROR, node, "unknown %s \"%s\": known are %s", key,
                                show(node, shown), list_strings(schema, known, sizeof(known)));
}

static void walk_scalar(const struct walk *walk, const char *key, const yaml_node_t *node,
                        const cyaml_schema_value_t *schema)
{
        const char *text = config_document_text(node);
        char shown[SHOWN];
        uint32_t number;
        bool flag;

        if (node->type != YAML_SCALAR_NODE) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is a %s: write one value behind it", key,
                                        node->type == YAML_MAPPING_NODE ? "mapping" : "list");
        } else if (!text) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node, "%s has a NUL byte in it", key);
        } else if (text[0] == '\0' && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is empty: give it a value or leave it out", key);
        } else if (schema->type == CYAML_ENUM) {
                walk_enum(walk, key, node, schema);
        } else if (schema->type == CYAML_BOOL && config_value_bool(text, &flag) < 0) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is \"%s\": use true or false", key, show(node, shown));
        } else if (schema->type == CYAML_UINT && config_value_uint(text, &number) < 0) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is \"%s\": use a whole decimal number from 0 to 4294967295", key,
                                        show(node, shown));
        } else if (schema->type == CYAML_STRING && strlen(text) > schema->string.max) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s has %zu bytes: %u is the most", key, strlen(text),
                                        schema->string.max);
        }
}

static bool key_seen_before(const struct walk *walk, const yaml_node_t *mapping, const yaml_node_pair_t *pair,
                            const char *key)
{
        for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
                const char *earlier = config_document_text(yaml_document_get_node(walk->document, p->key));

                if (earlier && strcmp(earlier, key) == 0)
                        return true;
        }
        return false;
}

static void walk_pair(const struct walk *walk, const yaml_node_t *mapping, const yaml_node_pair_t *pair,
                      const cyaml_schema_field_t *fields)
{
        const yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
        const char *text = config_document_text(key);
        const cyaml_schema_field_t *field;
        char shown[SHOWN], known[KNOWN];

        if (!text) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, key, "a key is not a plain word");
                return;
        }
        field = find_field(fields, text);
        if (!field)
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, key,
                                        "unknown key \"%s\": known here are %s", show(key, shown),
                                        list_keys(walk, mapping, fields, known, sizeof(known)));
        else if (key_seen_before(walk, mapping, pair, text))
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, key,
                                        "%s is there twice: remove one of them", field->key);
        else
                walk_value(walk, field->key, yaml_document_get_node(walk->document, pair->value),
                           &field->value);
}

static void walk_mapping(const struct walk *walk, const char *key, yaml_node_t *node,
                         const cyaml_schema_value_t *schema)
{
        if (node->type != YAML_MAPPING_NODE) {
                char known[KNOWN];

                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is not a mapping: write key: value pairs; known keys are %s", key,
                                        list_keys(walk, node, schema->mapping.fields, known, sizeof(known)));
                return;
        }
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++)
                walk_pair(walk, node, pair, schema->mapping.fields);
        for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++)
                if (!(f->value.flags & CYAML_FLAG_OPTIONAL) &&
                    !config_document_find(walk->document, node, f->key))
                        config_document_mistake(walk->mistakes, MISTAKE_ERROR, node, "%s: is missing",
                                                f->key);
}

static void walk_sequence(const struct walk *walk, const char *key, yaml_node_t *node,
                          const cyaml_schema_value_t *schema)
{
        char entry[SHOWN];
        size_t n;

        if (node->type != YAML_SEQUENCE_NODE) {
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s is not a list: begin each entry with \"- \"", key);
                return;
        }
        n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
        if (n < schema->sequence.min || n > schema->sequence.max)
                config_document_mistake(walk->mistakes, MISTAKE_ERROR, node,
                                        "%s has %zu entries: use %u to %u", key, n, schema->sequence.min,
                                        schema->sequence.max);
        snprintf(entry, sizeof(entry), "an entry of %s", key);
        for (size_t i = 0; i < n; i++) /* as many as a bounded text holds */
                walk_value(walk, entry,
                           yaml_document_get_node(walk->document, node->data.sequence.items.start[i]),
                           schema->sequence.entry);
}

static void walk_value(const struct walk *walk, const char *key, yaml_node_t *node,
                       const cyaml_schema_value_t *schema)
{
        switch (schema->type) { /* descends as deep as the schema, which is not recursive */
        case CYAML_MAPPING:
                walk_mapping(walk, key, node, schema);
                break;
        case CYAML_SEQUENCE:
                walk_sequence(walk, key, node, schema);
                break;
        default:
                walk_scalar(walk, key, node, schema);
                break;
        }
}

void config_walk(yaml_document_t *document, const cyaml_schema_value_t *schema, struct mistakes *mistakes)
{
        const struct walk walk = {.document = document, .mistakes = mistakes};
        yaml_node_t *root = yaml_document_get_root_node(document);

        assert(root);
        walk_value(&walk, "the file", root, schema);
}
