/* Memory that runs out: the n-th allocation of the code under test fails. The program is linked with
 * --wrap=malloc,calloc,realloc,free and uv_run.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* Call first: libuv allocates from here on as the rest does. The caller's is the test's thread: there only
 * what runs inside uv_run is under test; in all others everything is. */
void failing_memory_init(void);

/* From here to the next call with false, what the caller's thread does outside of uv_run is under test too. */
void failing_memory_enter(bool under_test);

/* The n-th allocation from now on fails, once. 0: none. */
void failing_memory_order(unsigned n);

/* Has it failed? */
bool failing_memory_failed(void);

/* Blocks that the code under test holds. */
long failing_memory_held(void);
