/* Options of a device, struct <-> wire.
 * Owns nothing; called by the *_check and *_make files of configurations.
 * TRUST: wire bytes are a peer's, as the pre-scan has left them; rows are our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/option_wire.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static bool is_read(const struct option_row *row, enum option_wire_reader reader)
{
        return reader == OPTION_WIRE_ALL || option_for_worker(row);
}

static bool is_preset(const struct option_row *row, const char *name, const struct option_value *value)
{
        char room[LIMIT_NAME];
        struct option_value preset = option_preset(row, name, room);

        if (option_has_text(row))
                return strcmp(value->text, preset.text) == 0;
        return value->number == preset.number;
}

size_t option_wire_make(const struct device_type *type, const char *name, const struct option_set *set,
                        enum option_wire_reader reader, struct option_wire *ret)
{
        size_t n = 0;

        for (unsigned i = 0; i < type->n_options; i++) {
                const struct option_row *row = &type->options[i];
                Bulkhead__Option__Option *option = &ret->option[n];

                if (!is_read(row, reader) || (!row->required && is_preset(row, name, &set->value[i])))
                        continue;
                bulkhead__option__option__init(option);
                option->key = (char *)row->key;
                option->number = set->value[i].number;
                if (option_has_text(row))
                        option->text = (char *)set->value[i].text;
                ret->row[n++] = option;
        }
        return n;
}

/* A number has no text, and only texts have a number too. */
static bool kind_ok(const struct option_row *row, const Bulkhead__Option__Option *wire)
{
        if (!option_has_text(row))
                return wire->text[0] == '\0';
        return row->kind == OPTION_TEXTS || wire->number == 0;
}

/* A cut name outlives its place. */
static int keep_text(struct arena *arena, const char *room, struct option_value *value)
{
        size_t size;
        char *kept;

        if (value->text != room)
                return 0;
        size = strlen(room) + 1;
        kept = arena_alloc(arena, size);
        if (!kept)
                return -ENOMEM;
        memcpy(kept, room, size);
        value->text = kept;
        return 0;
}

static int fill_missing(struct arena *arena, const struct option_row *row, const char *name,
                        enum option_wire_reader reader, struct option_value *ret)
{
        char room[LIMIT_NAME];

        if (!is_read(row, reader)) {
                *ret = (struct option_value){.text = ""};
                return 0;
        }
        if (row->required)
                return -EPROTO;
        *ret = option_preset(row, name, room);
        return keep_text(arena, room, ret);
}

int option_wire_check(struct arena *arena, const struct device_type *type, const char *name,
                      Bulkhead__Option__Option *const *wire, size_t n, enum option_wire_reader reader,
                      struct option_set *ret_set)
{
        struct option_set set = {0};
        int r;

        for (size_t k = 0; k < n; k++) { /* as many as the pre-scan lets through */
                unsigned i = option_find(type, wire[k]->key);

                if (i == type->n_options || !is_read(&type->options[i], reader) || set.value[i].text ||
                    !kind_ok(&type->options[i], wire[k]))
                        return -EPROTO;
                set.value[i] = (struct option_value){.number = wire[k]->number, .text = wire[k]->text};
        }
        for (unsigned i = 0; i < type->n_options; i++) {
                if (set.value[i].text)
                        continue;
                r = fill_missing(arena, &type->options[i], name, reader, &set.value[i]);
                if (r < 0)
                        return r;
        }
        *ret_set = set;
        return 0;
}

bool option_wire_judge(const struct device_type *type, const struct option_set *set,
                       enum option_wire_reader reader)
{
        char why[1]; /* a peer's mistake needs no sentence */

        for (unsigned i = 0; i < type->n_options; i++)
                if (is_read(&type->options[i], reader) &&
                    option_judge(&type->options[i], &set->value[i], why, sizeof(why)) < 0)
                        return false;
        return true;
}
