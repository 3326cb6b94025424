/* A tree of many files, as source code is, and what it is told by. TRUST: see tree.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes n entries below `path`, an existing empty directory; the same seed makes the same. 0 or 1. */
int tree_plant(const char *path, unsigned n, unsigned long long seed);
/* Prints "tree entries=N bytes=N hash=X": the same for two trees that are alike in names, types, modes, sizes, bytes,
 * times of files, targets of links, and in which names are one file; whoever owns them. 0 or 1. */
int tree_tell(const char *path);
