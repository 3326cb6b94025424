/* A YAML text as a tree with positions, by libyaml.
 * Owns the parser while it runs; the tree is the caller's. Called by config_load.c, config_walk.c,
 * config_judge.c. libcyaml, which loads the good file, stops at the first mistake and forgets where values
 * stood; this tree is what lets every mistake be named with its line and column. TRUST: bytes of the
 * operator's file. Bounded by LIMIT_CTL_CONFIG_BYTES and libyaml's nesting limit; aliases, which could
 * multiply a small file without bound, are refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_document.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static void add_parser_error(const yaml_parser_t *parser, struct mistakes *mistakes)
{
        const char *problem = parser->problem ? parser->problem : "cannot be read";

        if (parser->error == YAML_READER_ERROR) /* has an offset, no mark */
                mistakes_add(mistakes, MISTAKE_ERROR, 0, 0, "not YAML: %s at byte %zu", problem,
                             parser->problem_offset);
        else
                mistakes_add(mistakes, MISTAKE_ERROR, parser->problem_mark.line + 1,
                             parser->problem_mark.column + 1, "not YAML: %s%s%s", problem,
                             parser->context ? " " : "", parser->context ? parser->context : "");
}

/* Judges one event; false when nothing follows. */
static bool scan_event(const yaml_event_t *event, unsigned *n_documents, struct mistakes *mistakes)
{
        const size_t line = event->start_mark.line + 1, column = event->start_mark.column + 1;

        switch (event->type) {
        case YAML_STREAM_END_EVENT:
                return false;
        case YAML_ALIAS_EVENT:
                mistakes_add(mistakes, MISTAKE_ERROR, line, column,
                             "aliases (*name) are not read: write the value out");
                return true;
        case YAML_DOCUMENT_START_EVENT:
                if (++*n_documents == 2)
                        mistakes_add(mistakes, MISTAKE_ERROR, line, column,
                                     "a second document begins: one file describes one VM");
                return true;
        default:
                return true;
        }
}

/* What the tree would not show: syntax, aliases, further documents. */
static int scan_events(const char *text, size_t len, struct mistakes *mistakes)
{
        const size_t before = mistakes->n_errors;
        unsigned n_documents = 0;
        yaml_parser_t parser;
        bool more = true;

        if (!yaml_parser_initialize(&parser))
                return -ENOMEM;
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        while (more) { /* ends: each event eats bytes of a bounded text */
                yaml_event_t event;

                if (!yaml_parser_parse(&parser, &event)) {
                        add_parser_error(&parser, mistakes);
                        break;
                }
                more = scan_event(&event, &n_documents, mistakes);
                yaml_event_delete(&event);
        }
        yaml_parser_delete(&parser);
        return mistakes->n_errors > before ? -EINVAL : 0;
}

int config_document_load(const char *text, size_t len, struct mistakes *mistakes,
                         yaml_document_t *ret_document)
{
        yaml_document_t document;
        yaml_parser_t parser;
        int r;

        r = scan_events(text, len, mistakes);
        if (r < 0)
                return r;
        if (!yaml_parser_initialize(&parser))
                return -ENOMEM;
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        if (!yaml_parser_load(&parser, &document)) {
                add_parser_error(&parser, mistakes);
                r = -EINVAL;
        } else if (!yaml_document_get_root_node(&document)) {
                mistakes_add(mistakes, MISTAKE_ERROR, 1, 1,
                             "the file is empty: it needs vm:, frontend: and devices:");
                yaml_document_delete(&document);
                r = -EINVAL;
        } else {
                *ret_document = document;
        }
        yaml_parser_delete(&parser);
        return r;
}

yaml_node_t *config_document_find(yaml_document_t *document, const yaml_node_t *mapping, const char *key)
{
        if (!mapping || mapping->type != YAML_MAPPING_NODE)
                return NULL;
        for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
             pair < mapping->data.mapping.pairs.top; pair++) {
                const char *text = config_document_text(yaml_document_get_node(document, pair->key));

                if (text && strcmp(text, key) == 0)
                        return yaml_document_get_node(document, pair->value);
        }
        return NULL;
}

const char *config_document_text(const yaml_node_t *node)
{
        const char *text;

        if (!node || node->type != YAML_SCALAR_NODE)
                return NULL;
        text = (const char *)node->data.scalar.value; /* libyaml puts a NUL behind it */
        return strlen(text) == node->data.scalar.length ? text : NULL;
}

void config_document_mistake(struct mistakes *mistakes, enum mistake_level level, const yaml_node_t *node,
                             const char *format, ...)
{
        char text[sizeof(((struct mistake *)0)->text)];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        mistakes_add(mistakes, level, node->start_mark.line + 1, node->start_mark.column + 1, "%s", text);
}
