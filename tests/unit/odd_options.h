/* A device type that there is not, with an option of each kind.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "proto/device_type.h"

enum odd_option {
        ODD_FLAG = 0,
        ODD_NUMBER,
        ODD_SIZE,
        ODD_CHOICE,
        ODD_TEXT,
        ODD_NAME,
        ODD_TEXTS,
        ODD_PATH,
        ODD_LOG,
        ODD_HOST,
        ODD_NEEDED,
        ODD_MUST,
        ODD_COUNT_,
};

static const char *const odd_choices[] = {"none", "some", "all", NULL};

static inline bool odd_text_ok(const char *text)
{
        return text[0] == 'x';
}

static const struct option_row odd_rows[ODD_COUNT_] = {
    [ODD_FLAG] = {.key = "flag", .kind = OPTION_FLAG, .preset = 1},
    [ODD_NUMBER] = {.key = "number", .kind = OPTION_NUMBER, .min = 68, .max = 65535},
    [ODD_SIZE] =
        {.key = "size", .kind = OPTION_SIZE, .min = 4096, .max = UINT64_C(8) << 30, .preset = 1u << 20},
    [ODD_CHOICE] = {.key = "choice", .kind = OPTION_CHOICE, .choices = odd_choices, .preset = 1},
    [ODD_TEXT] = {.key = "text",
                  .kind = OPTION_TEXT,
                  .max = 5,
                  .preset_text = "xyz",
                  .ok = odd_text_ok,
                  .form = "an x and what you like"},
    [ODD_NAME] = {.key = "name", .kind = OPTION_TEXT, .max = 4, .preset_name = true},
    [ODD_TEXTS] = {.key = "texts", .kind = OPTION_TEXTS, .max = 3, .preset_text = "a,b"},
    [ODD_PATH] = {.key = "path", .kind = OPTION_PATH, .required = true},
    [ODD_LOG] = {.key = "log", .kind = OPTION_PATH},
    [ODD_HOST] = {.key = "host", .kind = OPTION_NUMBER, .max = 9, .preset = 3, .of_host = true},
    [ODD_MUST] = {.key = "must", .kind = OPTION_TEXT, .max = 9, .required = true},
    [ODD_NEEDED] =
        {.key = "needed", .kind = OPTION_NUMBER, .min = 3, .max = 7, .required = true, .preset = 3},
};

/* Not both of them. */
static inline int odd_judge(const struct option_set *set, char *why, size_t why_size)
{
        if (set->value[ODD_CHOICE].number != 2 || set->value[ODD_FLAG].number == 0)
                return 0;
        strncpy(why, "choice is all: set flag: false", why_size);
        return -22;
}

static const struct device_type odd_type = {
    .name = "odd", .options = odd_rows, .n_options = ODD_COUNT_, .judge = odd_judge};

static const struct option_set odd_set = {.value = {
                                              [ODD_FLAG] = {.text = ""},
                                              [ODD_NUMBER] = {.number = 1500, .text = ""},
                                              [ODD_SIZE] = {.number = 8192, .text = ""},
                                              [ODD_CHOICE] = {.number = 2, .text = ""},
                                              [ODD_TEXT] = {.text = "x y"},
                                              [ODD_NAME] = {.text = "me"},
                                              [ODD_TEXTS] = {.number = 3, .text = "one,two,3"},
                                              [ODD_PATH] = {.text = "/p"},
                                              [ODD_LOG] = {.text = "/l"},
                                              [ODD_HOST] = {.number = 9, .text = ""},
                                              [ODD_NEEDED] = {.number = 7, .text = ""},
                                              [ODD_MUST] = {.text = "m"},
                                          }};
