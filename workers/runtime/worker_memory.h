/* Memory that a worker gets before its jail closes, and keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* `len` bytes of zeros; never freed. Their pages are there when they are used first. NULL: there are none. */
void *worker_memory(size_t len);

/* The same, for bytes that the kernel copies to a host file or from one, and behind the head of a frame into a pipe: it begins
 * WORKER_MEMORY_LEAD before a page does. Processors copy whole pages at a quarter of their pace where the destination lies 1 to 31
 * bytes further in its page than the source (measured: docs/PERFORMANCE.md), which is where the shortest frames have their payload. */
void *worker_memory_apart(size_t len);
#define WORKER_MEMORY_LEAD 512u /* a sector: O_DIRECT takes it */

/* `len` bytes that nothing has touched, beginning with a large page's worth; never freed. Where the host has large pages
 * it maps them by those: the broker's copies find a page 16 times faster than 16 pages. NULL: there are none. */
void *worker_memory_untouched(size_t len);

/* Gives the pages of such memory back to the host; its bytes are zeros again. The run policy of a device that has an
 * area needs a row for it. */
void worker_memory_rest(void *bytes, size_t len);
