/* What is wrong with a text, with the line and the column of each finding.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum mistake_level {
        MISTAKE_ERROR,
        MISTAKE_WARNING,
};

struct mistake {
        size_t line, column; /* from 1; 0: of the whole file */
        enum mistake_level level;
        char text[512];
};

/* Zero is a valid start. At most LIMIT_CTL_MISTAKES are kept, the others are counted. */
struct mistakes {
        struct mistake *list;
        size_t n, n_errors, n_dropped;
};

/* Never fails: what cannot be kept is counted. An error counts as one even then. */
void mistakes_add(struct mistakes *mistakes, enum mistake_level level, size_t line, size_t column,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* One line each, "FILE:LINE:COLUMN: error: TEXT", in the order of the file. Sorts the list. */
void mistakes_print(struct mistakes *mistakes, const char *file, FILE *out);

void mistakes_done(struct mistakes *mistakes);
