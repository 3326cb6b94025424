/* Runs the cases, each by itself, and prints one line for each. TRUST: see files_run.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "tests/files/files.h"

#define CASE_WORDS 1024u /* bytes that a case may say, its NUL included */

/* How a case's process ends. */
enum { CASE_OK = 0, CASE_NO = 1, CASE_SKIPPED = 2, CASE_LOST = 3 };

/* In a case's process: where its sentence goes. */
void case_says_to(int fd);

/* Names of all cases of these tables, one a line. */
int cases_list(const struct file_case *const *tables);
/* Those whose name contains `filter` (NULL: all), in directories made and removed below `path`, which exists; or in
 * `path` itself. Prints "ok NAME", "no NAME: what was seen", "skip NAME: why", then "N ok, N no, N skipped". 0 if none
 * is "no", else 1. */
int cases_run(const struct file_case *const *tables, const char *path, const char *filter, bool in_place);
