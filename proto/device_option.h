/* What a device's configuration says beside what all devices have: one row an option, from the YAML to the worker. A type's
 * rows stand in proto/device/<type>.c; nothing else names its keys.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

enum option_kind {
        OPTION_FLAG = 1, /* number: 0 or 1 */
        OPTION_NUMBER,   /* number: min .. max */
        OPTION_SIZE,     /* number: bytes, min .. max; in the file with K, M, G behind */
        OPTION_CHOICE,   /* number: index into `choices` */
        OPTION_TEXT,     /* text: at most `max` bytes, and `ok` */
        OPTION_TEXTS, /* text: several of these, at most `max`, joined by ',', which none has; number: how many */
        OPTION_PATH, /* text: absolute, judged like every path; no worker is told it */
};

struct option_row {
        const char *key; /* in the YAML and in messages */
        enum option_kind kind;
        bool required;
        bool of_host;                 /* no worker is told it; an OPTION_PATH never */
        uint64_t min, max;            /* see the kinds */
        uint64_t preset;              /* number of one that is not given; good even outside of the range */
        const char *preset_text;      /* likewise; NULL: "" */
        bool preset_name;             /* likewise: the device's name, cut to `max` */
        const char *const *choices;   /* NULL behind the last */
        bool (*ok)(const char *text); /* of one text. NULL: printable ASCII */
        const char
            *form; /* what a good one is, for a mistake's sentence: "at most 20 printable characters" */
};

/* Of one device, in the order of its type's rows. Texts are never NULL; they live as long as what holds the set: the
 * configuration, or in a worker the message, that is until `init` returns. */
struct option_value {
        uint64_t number;
        const char *text;
};
struct option_set {
        struct option_value value[LIMIT_OPTIONS];
};

struct device_type;

/* The row of a key in its type; the type's n_options when it has none such. */
unsigned option_find(const struct device_type *type, const char *key);

/* Has it a text? Else a number. A text of OPTION_TEXTS has both. */
bool option_has_text(const struct option_row *row);

/* Is a worker told it? To one that is not, it is 0 or "". */
bool option_for_worker(const struct option_row *row);

/* How many texts of OPTION_TEXTS are joined in one. */
uint64_t option_count_texts(const char *joined);

/* The one place of presets: what an option has that is not given. Its text is the row's, or stands in `room`. */
struct option_value option_preset(const struct option_row *row, const char *name,
                                  char room[static LIMIT_NAME]);

/* "a, b or c". Returns `out`. */
const char *option_list_choices(const struct option_row *row, char *out, size_t size);

/* Does the row allow the value? 0, or -EINVAL with a sentence that begins with the key: what is wrong, and what is good. */
int option_judge(const struct option_row *row, const struct option_value *value, char *why, size_t why_size);

/* Each of them, and the type's rules between them. Likewise. */
int option_set_judge(const struct device_type *type, const struct option_set *set, char *why,
                     size_t why_size);

/* A copy with texts of its own, which option_set_done frees. 0 or -ENOMEM. */
int option_set_copy(const struct device_type *type, const struct option_set *set, struct option_set *ret_set);
void option_set_done(const struct device_type *type, struct option_set *set);
