/* What is wrong with a text: the list and its printing.
 * Owns the list; called by the readers of the configuration and by the verbs that print it.
 * TRUST: texts have been escaped by whoever wrote them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/mistakes.h"

#include <stdarg.h>
#include <stdlib.h>

#include "proto/base/limits.h"

void mistakes_add(struct mistakes *mistakes, enum mistake_level level, size_t line, size_t column,
                  const char *format, ...)
{
        struct mistake *list, *mistake;
        va_list args;

        if (level == MISTAKE_ERROR)
                mistakes->n_errors++;
        if (mistakes->n >= LIMIT_CTL_MISTAKES) {
                mistakes->n_dropped++;
                return;
        }
        list = reallocarray(mistakes->list, mistakes->n + 1, sizeof(*list));
        if (!list) {
                mistakes->n_dropped++;
                return;
        }
        mistakes->list = list;
        mistake = &list[mistakes->n++];
        *mistake = (struct mistake){.line = line, .column = column, .level = level};
        va_start(args, format);
        vsnprintf(mistake->text, sizeof(mistake->text), format, args);
        va_end(args);
}

static int mistake_compare(const void *a, const void *b)
{
        const struct mistake *left = a, *right = b;

        if (left->line != right->line)
                return left->line < right->line ? -1 : 1;
        if (left->column != right->column)
                return left->column < right->column ? -1 : 1;
        return 0;
}

void mistakes_print(struct mistakes *mistakes, const char *file, FILE *out)
{
        if (mistakes->n > 1)
                qsort(mistakes->list, mistakes->n, sizeof(*mistakes->list), mistake_compare);
        for (size_t i = 0; i < mistakes->n; i++) {
                const struct mistake *m = &mistakes->list[i];

                fprintf(out, "%s:", file);
                if (m->line > 0)
                        fprintf(out, "%zu:%zu:", m->line, m->column);
                fprintf(out, " %s: %s\n", m->level == MISTAKE_ERROR ? "error" : "warning", m->text);
        }
        if (mistakes->n_dropped > 0)
                fprintf(out, "%s: and %zu more\n", file, mistakes->n_dropped);
}

void mistakes_done(struct mistakes *mistakes)
{
        free(mistakes->list);
        *mistakes = (struct mistakes){0};
}
