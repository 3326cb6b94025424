/* Memory that a worker gets before its jail closes, and keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* `len` bytes of zeros; never freed. Their pages are there when they are used first. NULL: there are none. */
void *worker_memory(size_t len);
