/* Random operations on files and on a mirror of them that lies elsewhere. TRUST: see random.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For so many seconds, or n_operations if that is not 0, on files made below `path` and their twins below `mirror`,
 * both existing directories of different file systems. The same seed does the same. Prints "random operations=N
 * seed=N wrong=N" and, if something is wrong, what and the last operations. 0 or 1, as an exit status. */
int random_run(const char *path, const char *mirror, unsigned seconds, unsigned long long seed,
               unsigned long long n_operations);
