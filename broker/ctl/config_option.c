/* An option of a device: from the texts of the file to a judged value, and back.
 * Owns nothing beyond a call; called by config_judge_option.c, config_load.c and config_effective.c.
 *
 * How it works: all is done by the kind of a row (proto/device_option.h); no key of any device type is known here.
 *
 * TRUST: texts are the operator's; they go into sentences only escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_option.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/refuse.h"

/* ---- text -> value ---- */

static int parse_flag(const char *text, struct option_value *ret)
{
        bool flag;

        if (config_value_bool(text, &flag) < 0)
                return -ENOMSG;
        ret->number = flag;
        return 0;
}

static int parse_number(const char *text, struct option_value *ret)
{
        uint32_t number;

        if (config_value_uint(text, &number) < 0)
                return -ENOMSG;
        ret->number = number;
        return 0;
}

static int parse_size(const struct option_row *row, const char *text, struct option_value *ret, char *why,
                      size_t why_size)
{
        char min[32], max[32];

        if (strcmp(text, "0") == 0) {
                ret->number = 0;
                return 0;
        }
        if (config_value_size(text, &ret->number) == 0)
                return 0;
        return refuse(why, why_size, "%s: use a size from %s to %s", row->key,
                      config_value_size_text(row->min, min, sizeof(min)),
                      config_value_size_text(row->max, max, sizeof(max)));
}

static int parse_choice(const struct option_row *row, const char *text, struct option_value *ret, char *why,
                        size_t why_size)
{
        char shown[SHOWN_BYTES], known[128];

        for (unsigned i = 0; row->choices[i]; i++)
                if (strcmp(row->choices[i], text) == 0) {
                        ret->number = i;
                        return 0;
                }
        return refuse(why, why_size, "%s is \"%s\": use %s", row->key,
                      log_escape(text, strnlen(text, LIMIT_NAME), shown, sizeof(shown)),
                      option_list_choices(row, known, sizeof(known)));
}

static int parse_path(const struct option_row *row, const char *text, const char *folder, struct arena *arena,
                      struct option_value *ret, char *why, size_t why_size)
{
        char *path = arena_alloc(arena, PATH_MAX);

        if (!path)
                return -ENOMEM;
        ret->text = path;
        switch (config_value_path(text, folder, path)) {
        case 0:
                return 0;
        case -ENAMETOOLONG:
                return refuse(why, why_size, "%s is longer than a path can be (%u bytes)", row->key,
                              PATH_MAX - 1);
        default:
                return refuse(why, why_size, "%s is empty", row->key);
        }
}

/* An entry that is none would vanish in the joined text, or become two. */
static int parse_texts(const struct option_row *row, const char *const *texts, unsigned n,
                       struct arena *arena, struct option_value *ret, char *why, size_t why_size)
{
        char *joined = arena_alloc(arena, LIMIT_OPTION_TEXT);
        size_t used = 0;

        if (!joined)
                return -ENOMEM;
        joined[0] = '\0';
        for (unsigned i = 0; i < n; i++) {
                if (texts[i][0] == '\0' || strchr(texts[i], ','))
                        return refuse(why, why_size, "%s: entry %u is %s", row->key, i + 1,
                                      texts[i][0] ? "several: write one behind each \"- \", without commas"
                                                  : "empty: give it a value or leave it out");
                used +=
                    (size_t)snprintf(joined + used, LIMIT_OPTION_TEXT - used, "%s%s", i ? "," : "", texts[i]);
                if (used >= LIMIT_OPTION_TEXT)
                        return refuse(why, why_size, "%s: its entries are too long: %u bytes are the most",
                                      row->key, LIMIT_OPTION_TEXT - 1);
        }
        *ret = (struct option_value){.number = n, .text = joined};
        return 0;
}

static int parse(const struct option_row *row, const char *const *texts, unsigned n, const char *folder,
                 struct arena *arena, struct option_value *ret, char *why, size_t why_size)
{
        switch (row->kind) {
        case OPTION_FLAG:
                return parse_flag(texts[0], ret);
        case OPTION_NUMBER:
                return parse_number(texts[0], ret);
        case OPTION_SIZE:
                return parse_size(row, texts[0], ret, why, why_size);
        case OPTION_CHOICE:
                return parse_choice(row, texts[0], ret, why, why_size);
        case OPTION_TEXT:
                ret->text = texts[0];
                return 0;
        case OPTION_TEXTS:
                return parse_texts(row, texts, n, arena, ret, why, why_size);
        case OPTION_PATH:
                return parse_path(row, texts[0], folder, arena, ret, why, why_size);
        }
        return -ENOMSG;
}

int config_option_parse(const struct option_row *row, const char *const *texts, unsigned n,
                        const char *folder, struct arena *arena, struct option_value *ret_value, char *why,
                        size_t why_size)
{
        struct option_value value = {.text = ""};
        int r;

        r = parse(row, texts, n, folder, arena, &value, why, why_size);
        if (r == 0)
                r = option_judge(row, &value, why, why_size);
        if (r < 0)
                return r;
        *ret_value = value;
        return 0;
}

/* ---- libcyaml's struct -> value ---- */

/* Judged: what is there can be parsed. */
static int load(const struct option_row *row, const struct config_option *file, const char *folder,
                struct arena *arena, struct option_value *ret)
{
        const char *const *texts = (const char *const *)&file->value;
        char why[1];
        int r;

        switch (row->kind) {
        case OPTION_FLAG:
                *ret = (struct option_value){.number = *(const bool *)file->value, .text = ""};
                return 0;
        case OPTION_NUMBER:
                *ret = (struct option_value){.number = *(const uint64_t *)file->value, .text = ""};
                return 0;
        case OPTION_TEXTS:
                texts = file->value;
                break;
        default:
                break;
        }
        r = config_option_parse(row, texts, file->count, folder, arena, ret, why, sizeof(why));
        return r == -ENOMEM ? r : 0;
}

int config_option_load(struct config_device *file, const char *folder, struct arena *arena,
                       struct device_config *device)
{
        const struct device_type *type = &device_types[file->type];
        char rooms[LIMIT_OPTIONS][LIMIT_NAME];
        struct option_set set;
        int r;

        arena_reset(arena);
        for (unsigned i = 0; i < type->n_options; i++) {
                const struct config_option *option = config_schema_option(file, &type->options[i]);

                set.value[i] = option_preset(&type->options[i], device->name, rooms[i]);
                r = option->value ? load(&type->options[i], option, folder, arena, &set.value[i]) : 0;
                if (r < 0)
                        return r;
        }
        return option_set_copy(type, &set, &device->options);
}

/* ---- value -> libcyaml's struct ---- */

static int show_texts(const struct option_value *value, struct arena *arena, struct config_option *ret)
{
        size_t size = strlen(value->text) + 1;
        char **texts = arena_alloc(arena, value->number * sizeof(*texts));
        char *rest = arena_alloc(arena, size);

        if (!texts || !rest)
                return -ENOMEM;
        memcpy(rest, value->text, size);
        for (uint64_t i = 0; i < value->number; i++)
                texts[i] = strsep(&rest, ",");
        *ret = (struct config_option){.value = texts, .count = (uint32_t)value->number};
        return 0;
}

/* Does it stand for "none", which the file says by leaving it out? */
static bool is_none(const struct option_row *row, const struct option_value *value)
{
        switch (row->kind) {
        case OPTION_NUMBER:
        case OPTION_SIZE:
                return value->number < row->min || value->number > row->max;
        case OPTION_TEXT: /* "" in place of a text that it would have is a wish */
                return value->text[0] == '\0' && !row->preset_name && !row->preset_text;
        case OPTION_TEXTS:
        case OPTION_PATH:
                return value->text[0] == '\0';
        default:
                return false;
        }
}

static int show(const struct option_row *row, const struct option_value *value, struct arena *arena,
                struct config_option *ret)
{
        char *size;
        bool *flag;

        if (is_none(row, value))
                return 0;
        switch (row->kind) {
        case OPTION_FLAG:
                flag = ret->value = arena_alloc(arena, sizeof(*flag));
                if (flag)
                        *flag = value->number;
                break;
        case OPTION_NUMBER:
                ret->value = (void *)&value->number;
                break;
        case OPTION_SIZE:
                size = ret->value = arena_alloc(arena, 32);
                if (size)
                        config_value_size_text(value->number, size, 32);
                break;
        case OPTION_CHOICE:
                ret->value = (void *)row->choices[value->number];
                break;
        case OPTION_TEXT:
        case OPTION_PATH:
                ret->value = (void *)value->text;
                break;
        case OPTION_TEXTS:
                return show_texts(value, arena, ret);
        }
        return ret->value ? 0 : -ENOMEM;
}

int config_option_show(const struct device_config *device, struct arena *arena, struct config_device *ret)
{
        const struct device_type *type = &device_types[device->type];

        for (unsigned i = 0; i < type->n_options; i++) {
                int r = show(&type->options[i], &device->options.value[i], arena,
                             config_schema_option(ret, &type->options[i]));

                if (r < 0)
                        return r;
        }
        return 0;
}
