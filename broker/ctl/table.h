/* A table for the terminal. libsmartcols stays below this.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
        const char *title;
        bool right; /* numbers */
};

/* NULL: no memory. */
struct table *table_new(const struct table_column *columns, size_t n_columns);
/* One text a column, copied. NULL is an empty cell. 0 or -ENOMEM. */
int table_add(struct table *table, const char *const *cells);
/* To stdout. 0 or negative errno. */
int table_print(const struct table *table);
struct table *table_free(struct table *table);
