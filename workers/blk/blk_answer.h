/* The answer that is a status alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "workers/runtime/request.h"

/* Ends the request: OK for 0, unsupported for -EOPNOTSUPP, an I/O error for any other negative errno. */
void blk_answer(struct request *request, int error);
