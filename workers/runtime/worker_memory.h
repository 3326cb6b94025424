/* Memory that a worker gets before its jail closes, and keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* `len` bytes of zeros; never freed. Their pages are there when they are used first. NULL: there are none. */
void *worker_memory(size_t len);

/* `len` bytes that nothing has touched, beginning with a large page's worth; never freed. NULL: there are none. */
void *worker_memory_untouched(size_t len);
