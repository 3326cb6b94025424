/* Options of devices: what a row says of a value.
 * Owns the texts of copies until option_set_done. Called by what judges and carries configurations, on both sides of every
 * wall.
 * TRUST: values are the operator's, perhaps by way of a message; they go into sentences only escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/device_type.h"
#include "proto/refuse.h"

unsigned option_find(const struct device_type *type, const char *key)
{
        unsigned i = 0;

        while (i < type->n_options && strcmp(type->options[i].key, key) != 0)
                i++;
        return i;
}

bool option_has_text(const struct option_row *row)
{
        return row->kind == OPTION_TEXT || row->kind == OPTION_TEXTS || row->kind == OPTION_PATH;
}

bool option_for_worker(const struct option_row *row)
{
        return !row->of_host && row->kind != OPTION_PATH;
}

uint64_t option_count_texts(const char *joined)
{
        uint64_t n = joined[0] != '\0';

        for (const char *p = joined; *p; p++)
                n += *p == ',';
        return n;
}

struct option_value option_preset(const struct option_row *row, const char *name,
                                  char room[static LIMIT_NAME])
{
        struct option_value value = {.number = row->preset, .text = row->preset_text ? row->preset_text : ""};

        if (row->preset_name) {
                snprintf(room, MIN(row->max + 1, (uint64_t)LIMIT_NAME), "%s", name);
                value.text = room;
        }
        if (row->kind == OPTION_TEXTS)
                value.number = option_count_texts(value.text);
        return value;
}

static bool is_printable(const char *text)
{
        for (const char *p = text; *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        return false;
        return true;
}

static bool text_ok(const struct option_row *row, const char *text)
{
        return row->ok ? row->ok(text) : is_printable(text);
}

/* ---- numbers ---- */

/* A number as the file would have it. */
static const char *show_number(const struct option_row *row, uint64_t number, char out[static 32])
{
        static const char units[] = {'G', 'M', 'K'};

        for (unsigned i = 0; row->kind == OPTION_SIZE && i < sizeof(units); i++) {
                unsigned shift = 30 - 10 * i;

                if (number > 0 && number % (UINT64_C(1) << shift) == 0) {
                        snprintf(out, 32, "%" PRIu64 "%c", number >> shift, units[i]);
                        return out;
                }
        }
        snprintf(out, 32, "%" PRIu64, number);
        return out;
}

static int judge_number(const struct option_row *row, uint64_t number, char *why, size_t why_size)
{
        char shown[32], min[32], max[32];

        if (number == row->preset || (number >= row->min && number <= row->max))
                return 0;
        return refuse(why, why_size, "%s is %s: use %s to %s", row->key, show_number(row, number, shown),
                      show_number(row, row->min, min), show_number(row, row->max, max));
}

static int judge_choice(const struct option_row *row, uint64_t number, char *why, size_t why_size)
{
        char known[128];
        uint64_t n = 0;

        while (row->choices[n] && n < number)
                n++;
        if (row->choices[n])
                return 0;
        return refuse(why, why_size, "%s is none of its choices: use %s", row->key,
                      option_list_choices(row, known, sizeof(known)));
}

const char *option_list_choices(const struct option_row *row, char *out, size_t size)
{
        size_t used = 0;

        out[0] = '\0';
        for (unsigned i = 0; row->choices[i] && used < size; i++)
                used += (size_t)snprintf(out + used, size - used, "%s%s",
                                         i == 0                ? ""
                                         : row->choices[i + 1] ? ", "
                                                               : " or ",
                                         row->choices[i]);
        return out;
}

/* ---- texts ---- */

static int refuse_text(const struct option_row *row, char *why, size_t why_size)
{
        if (row->form)
                return refuse(why, why_size, "%s: use %s", row->key, row->form);
        if (row->kind == OPTION_TEXTS)
                return refuse(why, why_size,
                              "%s: use at most %" PRIu64 " texts of printable ASCII without commas", row->key,
                              row->max);
        return refuse(why, why_size, "%s: use at most %" PRIu64 " printable ASCII characters", row->key,
                      row->max);
}

/* "" is none. */
static int judge_text(const struct option_row *row, const char *text, char *why, size_t why_size)
{
        if (text[0] == '\0' && row->required)
                return refuse(why, why_size, "%s is empty: give it a value", row->key);
        if (text[0] == '\0')
                return 0;
        if (strnlen(text, LIMIT_OPTION_TEXT) > MIN(row->max, (uint64_t)LIMIT_OPTION_TEXT - 1) ||
            !text_ok(row, text))
                return refuse_text(row, why, why_size);
        return 0;
}

static int judge_texts(const struct option_row *row, const struct option_value *value, char *why,
                       size_t why_size)
{
        char copy[LIMIT_OPTION_TEXT], *rest = copy, *one;

        if (value->text[0] == '\0' && row->required)
                return refuse(why, why_size, "%s is empty: give it an entry", row->key);
        if (strnlen(value->text, sizeof(copy)) == sizeof(copy) ||
            value->number != option_count_texts(value->text) || value->number > row->max)
                return refuse_text(row, why, why_size);
        if (value->text[0] == '\0')
                return 0;
        strcpy(copy, value->text);
        while ((one = strsep(&rest, ","))) /* as many as a bounded text has */
                if (one[0] == '\0' || !text_ok(row, one))
                        return refuse_text(row, why, why_size);
        return 0;
}

static int judge_path(const struct option_row *row, const char *path, char *why, size_t why_size)
{
        char shown[SHOWN_BYTES];

        if (path[0] == '\0' && !row->required)
                return 0;
        if (path[0] == '/' && strnlen(path, LIMIT_OPTION_TEXT) < LIMIT_OPTION_TEXT)
                return 0;
        log_escape(path, strnlen(path, LIMIT_NAME), shown, sizeof(shown));
        return refuse(why, why_size, "%s \"%s\" is not absolute: write the whole path, from / on", row->key,
                      shown);
}

int option_judge(const struct option_row *row, const struct option_value *value, char *why, size_t why_size)
{
        switch (row->kind) {
        case OPTION_FLAG:
                return value->number <= 1
                           ? 0
                           : refuse(why, why_size, "%s is no flag: use true or false", row->key);
        case OPTION_NUMBER:
        case OPTION_SIZE:
                return judge_number(row, value->number, why, why_size);
        case OPTION_CHOICE:
                return judge_choice(row, value->number, why, why_size);
        case OPTION_TEXT:
                return judge_text(row, value->text, why, why_size);
        case OPTION_TEXTS:
                return judge_texts(row, value, why, why_size);
        case OPTION_PATH:
                return judge_path(row, value->text, why, why_size);
        }
        return -EINVAL;
}

/* ---- sets ---- */

int option_set_judge(const struct device_type *type, const struct option_set *set, char *why, size_t why_size)
{
        for (unsigned i = 0; i < type->n_options; i++)
                if (option_judge(&type->options[i], &set->value[i], why, why_size) < 0)
                        return -EINVAL;
        return type->judge ? type->judge(set, why, why_size) : 0;
}

int option_set_copy(const struct device_type *type, const struct option_set *set, struct option_set *ret_set)
{
        struct option_set copy = {0};

        for (unsigned i = 0; i < type->n_options; i++) {
                copy.value[i] = (struct option_value){.number = set->value[i].number, .text = ""};
                if (!option_has_text(&type->options[i]))
                        continue;
                copy.value[i].text = strdup(set->value[i].text);
                if (copy.value[i].text)
                        continue;
                option_set_done(type, &copy);
                return -ENOMEM;
        }
        *ret_set = copy;
        return 0;
}

void option_set_done(const struct device_type *type, struct option_set *set)
{
        for (unsigned i = 0; i < type->n_options; i++)
                if (option_has_text(&type->options[i]))
                        free((char *)set->value[i].text);
        *set = (struct option_set){0};
}
