/* Compiled policies, kept.
 * Owns the filters that it keeps, and nobody else writes them; called by jail.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/policy_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int program_copy(const struct policy_program *program, struct policy_program *ret_copy)
{
        size_t size = program->n * sizeof(*program->filter);
        struct sock_filter *filter = malloc(size);

        if (!filter)
                return -ENOMEM;
        memcpy(filter, program->filter, size);
        *ret_copy = (struct policy_program){.filter = filter, .n = program->n};
        return 0;
}

static bool layout_equal(const struct policy_layout *a, const struct policy_layout *b)
{
        return a->n_lanes == b->n_lanes && a->n_resources == b->n_resources &&
               memcmp(a->resource_kinds, b->resource_kinds, sizeof(a->resource_kinds)) == 0 &&
               a->resources_rw == b->resources_rw && a->n_born == b->n_born && a->binary_fd == b->binary_fd &&
               a->report_fd == b->report_fd && a->go_fd == b->go_fd && a->self == b->self &&
               a->only_log == b->only_log;
}
_Static_assert(sizeof(struct policy_layout) == 9 * sizeof(int) + LIMIT_RESOURCES,
               "layout_equal compares every field");

static struct policy_cached *cache_find(struct policy_cache *cache, const struct policy *policy,
                                        enum policy_gate gate, const struct policy_layout *layout)
{
        for (unsigned i = 0; i < POLICY_CACHE; i++) {
                struct policy_cached *entry = &cache->entries[i];

                if (entry->policy == policy && entry->gate == gate && layout_equal(&entry->layout, layout))
                        return entry;
        }
        return NULL;
}

static struct policy_cached *cache_add(struct policy_cache *cache, const struct policy *policy,
                                       enum policy_gate gate, const struct policy_layout *layout,
                                       const struct policy_program *program)
{
        struct policy_cached *entry = &cache->entries[cache->next];

        policy_program_done(&entry->program);
        *entry =
            (struct policy_cached){.policy = policy, .gate = gate, .layout = *layout, .program = *program};
        cache->next = (cache->next + 1) % POLICY_CACHE;
        return entry;
}

int policy_cache_compile(struct policy_cache *cache, const struct policy *policy, enum policy_gate gate,
                         const struct policy_layout *layout, struct policy_program *ret_program)
{
        struct policy_cached *entry = cache ? cache_find(cache, policy, gate, layout) : NULL;
        struct policy_program program;
        int r;

        if (!entry) {
                r = policy_compile(policy, gate, layout, &program);
                if (r < 0)
                        return r;
                if (!cache) {
                        *ret_program = program;
                        return 0;
                }
                entry = cache_add(cache, policy, gate, layout, &program);
        }
        return program_copy(&entry->program, ret_program);
}

void policy_cache_done(struct policy_cache *cache)
{
        for (unsigned i = 0; i < POLICY_CACHE; i++)
                policy_program_done(&cache->entries[i].program);
        *cache = (struct policy_cache){0};
}
