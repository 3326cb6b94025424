/* A device's options, judged where they stand in a document.
 * Owns nothing; called by config_judge.c.
 *
 * How it works: each option is judged by its row alone, so that every mistake is named; rules between options come last,
 * when each of them is good, because any order of lines is.
 *
 * TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_judge_option.h"

#include <errno.h>

#include "broker/ctl/config_option.h"
#include "proto/base/checked.h"

/* The texts of a node; 0: config_walk has refused it. */
static unsigned read_texts(const struct judge *judge, const yaml_node_t *node,
                           const char *texts[static LIMIT_WIRE_REPEATED])
{
        unsigned n = 0;

        if (node->type == YAML_SCALAR_NODE) {
                texts[0] = config_document_text(node);
                return texts[0] &&
                       (texts[0][0] != '\0' || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE);
        }
        if (node->type != YAML_SEQUENCE_NODE)
                return 0;
        for (const yaml_node_item_t *item = node->data.sequence.items.start;
             item < node->data.sequence.items.top && n < LIMIT_WIRE_REPEATED; item++) {
                texts[n] = config_document_text(yaml_document_get_node(judge->document, *item));
                if (!texts[n++])
                        return 0;
        }
        return n;
}

/* 0; -EINVAL: a mistake has been added; -ENOMSG: config_walk has added it; -ENOMEM. */
static int judge_given(struct judge *judge, const struct option_row *row, const yaml_node_t *node,
                       struct option_value *ret)
{
        const char *texts[LIMIT_WIRE_REPEATED];
        const unsigned n = read_texts(judge, node, texts);
        char why[JUDGE_WHY];
        int r;

        if (n == 0 || (node->type == YAML_SEQUENCE_NODE) != (row->kind == OPTION_TEXTS))
                return -ENOMSG;
        r = config_option_parse(row, texts, n, judge->context->folder, &judge->texts, ret, why, sizeof(why));
        if (r == -EINVAL)
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, node, "%s", why);
        return r;
}

/* Likewise. */
static int judge_option(struct judge *judge, const yaml_node_t *mapping, unsigned i,
                        struct option_value *value)
{
        const struct device_type *type = &device_types[judge->device->type];
        const struct option_row *row = &type->options[i];
        const yaml_node_t *node = config_document_find(judge->document, mapping, row->key);

        *value = option_preset(row, judge->device->name, judge->rooms[i]);
        if (node)
                return judge_given(judge, row, node, value);
        if (!row->required)
                return 0;
        config_document_mistake(judge->mistakes, MISTAKE_ERROR, mapping,
                                "%s: is missing: a device of type %s needs it", row->key, type->name);
        return -EINVAL;
}

/* Keys of other types. One that several have is named once. */
static void refuse_foreign(struct judge *judge, const yaml_node_t *mapping)
{
        const struct device_type *type = &device_types[judge->device->type];

        if (mapping->type != YAML_MAPPING_NODE)
                return;
        for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
             pair < mapping->data.mapping.pairs.top; pair++) {
                const char *key = config_document_text(yaml_document_get_node(judge->document, pair->key));

                if (key && config_schema_is_option(key) && option_find(type, key) == type->n_options)
                        config_document_mistake(judge->mistakes, MISTAKE_ERROR,
                                                yaml_document_get_node(judge->document, pair->value),
                                                "%s: a device of type %s has none: remove it", key,
                                                type->name);
        }
}

/* What the device has from here on. */
static int take_options(struct judge *judge, const struct option_set *set)
{
        const struct device_type *type = &device_types[judge->device->type];
        struct option_set copy;
        int r = option_set_copy(type, set, &copy);

        if (r < 0)
                return r;
        option_set_done(type, &judge->device->options);
        judge->device->options = copy;
        return 0;
}

int judge_preset_options(struct judge *judge)
{
        const struct device_type *type = &device_types[judge->device->type];
        struct option_set set = {0};

        for (unsigned i = 0; i < type->n_options; i++)
                set.value[i] = option_preset(&type->options[i], judge->device->name, judge->rooms[i]);
        return take_options(judge, &set);
}

int judge_options(struct judge *judge, const yaml_node_t *mapping)
{
        const struct device_type *type = &device_types[judge->device->type];
        struct option_set set = {0};
        char why[JUDGE_WHY];
        bool good = true;

        arena_reset(&judge->texts);
        refuse_foreign(judge, mapping);
        for (unsigned i = 0; i < type->n_options; i++) {
                int r = judge_option(judge, mapping, i, &set.value[i]);

                if (r == -ENOMEM)
                        return r;
                good = good && r == 0;
        }
        if (!good)
                return 0;
        if (option_set_judge(type, &set, why, sizeof(why)) < 0) {
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, mapping, "%s", why);
                return 0;
        }
        return take_options(judge, &set);
}
