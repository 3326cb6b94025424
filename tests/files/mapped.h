/* A file that a test's process has mapped, while others change how long it is.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Says what stands at the offset, and puts `text` there if it is not NULL. 0, or 1 after it has said why not. */
int mapped_text(const char *file, unsigned long offset, const char *text);

/* Reads the first page's bytes until it finds zeros, or SIGBUS, and says which. It makes `began` when it has seen something else. */
int mapped_watch(const char *file, const char *began);

/* One process touches a file's pages all the time; another makes it shorter and longer, so many times, and compares. */
int mapped_race(const char *file, unsigned long times);
