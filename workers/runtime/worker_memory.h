/* Memory that a worker gets before its jail closes, and keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* `len` bytes of zeros; never freed. Their pages are there when they are used first. NULL: there are none. */
void *worker_memory(size_t len);

/* `len` bytes that nothing has touched, beginning with a large page's worth; never freed. Where the host has large pages
 * it maps them by those: the broker's copies find a page 16 times faster than 16 pages. NULL: there are none. */
void *worker_memory_untouched(size_t len);

/* Gives the pages of such memory back to the host; its bytes are zeros again. The run policy of a device that has an
 * area needs a row for it. */
void worker_memory_rest(void *bytes, size_t len);
