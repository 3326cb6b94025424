/* Compiled policies, kept: a worker that starts again has the filters that it had, and so have disks that differ in their images alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sandbox/policy.h"

#define POLICY_CACHE 8u /* filters: two gates of four policies */

/* All zeros: empty. */
struct policy_cache {
        unsigned next; /* the entry that is given up next */
        struct policy_cached {
                const struct policy *policy; /* NULL: an entry that is free */
                enum policy_gate gate;
                struct policy_layout layout;
                struct policy_program program;
        } entries[POLICY_CACHE];
};

/* As policy_compile, whose result it keeps; the caller's is a copy. NULL: nothing is kept. */
int policy_cache_compile(struct policy_cache *cache, const struct policy *policy, enum policy_gate gate,
                         const struct policy_layout *layout, struct policy_program *ret_program);

void policy_cache_done(struct policy_cache *cache);
