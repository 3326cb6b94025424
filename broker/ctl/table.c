/* A table for the terminal, by libsmartcols.
 * Owns the library's table; called by ps and audit. TRUST: cells have been judged or escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>

struct table {
        struct libscols_table *table;
        size_t n_columns;
};

struct table *table_new(const struct table_column *columns, size_t n_columns)
{
        struct table *table = malloc(sizeof(*table));

        if (!table)
                return NULL;
        *table = (struct table){.table = scols_new_table(), .n_columns = n_columns};
        if (!table->table)
                return table_free(table);
        for (size_t i = 0; i < n_columns; i++)
                if (!scols_table_new_column(table->table, columns[i].title, 0,
                                            columns[i].right ? SCOLS_FL_RIGHT : 0))
                        return table_free(table);
        return table;
}

int table_add(struct table *table, const char *const *cells)
{
        struct libscols_line *line = scols_table_new_line(table->table, NULL);

        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < table->n_columns; i++)
                if (scols_line_set_data(line, i, cells[i] ? cells[i] : "") < 0)
                        return -ENOMEM;
        return 0;
}

int table_print(const struct table *table)
{
        return scols_print_table(table->table);
}

struct table *table_free(struct table *table)
{
        if (table)
                scols_unref_table(table->table);
        free(table);
        return NULL;
}
