/* How many allocations of the program are alive.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

int64_t heap_alive(void);
