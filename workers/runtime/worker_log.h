/* One line to the broker's log. The broker adds who we are, escapes the text and limits the rate.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/base/log.h"
#include "workers/runtime/link.h"

#define WORKER_LOG_TEXT 256u /* bytes of a line: longer ones are cut */

/* Until this is called lines are lost. `control` outlives every call. */
void worker_log_init(struct link *control);

void worker_log(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
