/* Policies as tables: finding them, judging them, and what their symbols stand for.
 * Owns nothing; called by the jail, by policy_compile and by the tests. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/policy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "sandbox/policy/rows.h"

static const struct policy *const policies[] = {
    &policy_blk,
    &policy_blk_direct,
    &policy_rng,
    &policy_fs,
    &policy_fs_read_only,
    &policy_fs_dax,
    &policy_fs_dax_read_only,
    &policy_fs_owners,
    &policy_fs_owners_read_only,
    &policy_net,
    &policy_console,
    &policy_vsock,
    &policy_vsock_proxy,
    &policy_pmem,
    &policy_sample,
    &policy_iommu,
    &policy_loader,
    &policy_broker,
    &policy_broker_kvm,
};

const struct policy *policy_at(size_t i)
{
        return i < array_size(policies) ? policies[i] : NULL;
}

const struct policy *policy_find(const char *type)
{
        for (size_t i = 0; i < array_size(policies); i++)
                if (strcmp(policies[i]->type, type) == 0)
                        return policies[i];
        return NULL;
}

const struct policy_row *policy_row_at(const struct policy *policy, enum policy_gate gate, size_t i)
{
        for (size_t g = 0; g < POLICY_GROUPS; g++) {
                if (i < policy->run[g].n)
                        return &policy->run[g].rows[i];
                i -= policy->run[g].n;
        }
        if (gate == POLICY_GATE_RUN)
                return NULL;
        for (size_t g = 0; g < POLICY_GROUPS; g++) {
                if (i < policy->start[g].n)
                        return &policy->start[g].rows[i];
                i -= policy->start[g].n;
        }
        return NULL;
}

uint64_t policy_capabilities(const struct policy *policy)
{
        uint64_t bits = 0;

        for (size_t i = 0; i < POLICY_CAPABILITIES && policy->capabilities[i].reason; i++)
                bits |= UINT64_C(1) << policy->capabilities[i].capability;
        return bits;
}

/* Has an earlier row of the gate already counted this call? */
static bool policy_call_seen(const struct policy *policy, enum policy_gate gate, size_t before, int nr)
{
        for (size_t i = 0; i < before; i++) {
                const struct policy_row *row = policy_row_at(policy, gate, i);

                if (row->nr == nr && row->deny_errno == 0)
                        return true;
        }
        return false;
}

unsigned policy_count_calls(const struct policy *policy, enum policy_gate gate)
{
        const struct policy_row *row;
        unsigned n = 0;

        for (size_t i = 0; (row = policy_row_at(policy, gate, i)); i++)
                if (row->deny_errno == 0 && !policy_call_seen(policy, gate, i, row->nr))
                        n++;
        return n;
}

static bool policy_row_is_plain(const struct policy_row *row)
{
        return row->subject == POLICY_ANY && row->tests[0].op == POLICY_END;
}

static bool policy_rows_equal(const struct policy_row *a, const struct policy_row *b)
{
        if (a->nr != b->nr || a->subject != b->subject)
                return false;
        for (size_t i = 0; i < POLICY_TESTS; i++) {
                const struct policy_test *x = &a->tests[i], *y = &b->tests[i];

                if (x->op != y->op)
                        return false;
                if (x->op == POLICY_END)
                        return true;
                if (x->arg != y->arg || x->value != y->value || x->mask != y->mask)
                        return false;
        }
        return true;
}

/* The tests of one row: each argument once, no gap, no bit in a value that its mask removes. */
static const char *policy_tests_fault(const struct policy_row *row)
{
        unsigned used = row->subject == POLICY_ANY ? 0 : 1u;
        bool ended = false;

        for (size_t i = 0; i < POLICY_TESTS; i++) {
                const struct policy_test *test = &row->tests[i];

                if (test->op == POLICY_END) {
                        ended = true;
                        continue;
                }
                if (ended)
                        return "has a test behind the last one";
                if (test->op != POLICY_EQ && test->op != POLICY_MASKED_EQ && test->op != POLICY_RESOURCE_EQ)
                        return "has a test that is no equality";
                if (test->op == POLICY_RESOURCE_EQ && test->value >= LIMIT_RESOURCES)
                        return "tests for a resource that no device can have";
                if (test->arg >= 6 || (used & (1u << test->arg)))
                        return "tests an argument twice, or one that does not exist";
                if (test->op == POLICY_MASKED_EQ && (test->mask == 0 || (test->value & ~test->mask)))
                        return "has a mask that cannot match or says nothing";
                used |= 1u << test->arg;
        }
        return NULL;
}

static const char *policy_row_fault(const struct policy_row *row)
{
        if (!row->reason || strlen(row->reason) < POLICY_REASON_MIN)
                return "has no reason";
        if (row->nr < 0 || row->nr > 1023)
                return "names no system call";
        if ((unsigned)row->subject >= POLICY_SUBJECT_COUNT_)
                return "has an unknown subject";
        if (row->deny_errno < 0 || row->deny_errno > 4095)
                return "denies with something that is no errno";
        return policy_tests_fault(row);
}

/* Against the rows before it: the same row twice, or a plain row beside a narrower one that it makes void. */
static const char *policy_pair_fault(const struct policy *policy, enum policy_gate gate, size_t at)
{
        const struct policy_row *row = policy_row_at(policy, gate, at);

        for (size_t i = 0; i < at; i++) {
                const struct policy_row *other = policy_row_at(policy, gate, i);

                if (other->nr != row->nr)
                        continue;
                if (policy_rows_equal(other, row))
                        return "stands there twice";
                if (policy_row_is_plain(other) || policy_row_is_plain(row))
                        return "makes another row of the same call void";
                if (other->deny_errno != row->deny_errno)
                        return "allows a call that another row denies";
        }
        return NULL;
}

int policy_check(const struct policy *policy, char *why, size_t why_size)
{
        const struct policy_row *row;

        for (size_t i = 0; (row = policy_row_at(policy, POLICY_GATE_START, i)); i++) {
                const char *fault = policy_row_fault(row);

                if (!fault)
                        fault = policy_pair_fault(policy, POLICY_GATE_START, i);
                if (fault) {
                        snprintf(why, why_size, "policy %s: row %zu (system call %d) %s", policy->type, i,
                                 row->nr, fault);
                        return -EINVAL;
                }
        }
        if (policy_count_calls(policy, POLICY_GATE_RUN) > policy->max_run_calls) {
                snprintf(why, why_size, "policy %s: %u system calls after lock-down, at most %u are promised",
                         policy->type, policy_count_calls(policy, POLICY_GATE_RUN), policy->max_run_calls);
                return -EINVAL;
        }
        return 0;
}

/* Resources of a kind, as far as they are in `mask`. */
static size_t policy_resource_values(const struct policy_layout *layout, enum resource_kind kind,
                                     uint32_t mask, uint64_t *ret_values)
{
        size_t n = 0;

        for (unsigned i = 0; i < layout->n_resources; i++)
                if (layout->resource_kinds[i] == kind && (mask & (1u << i)))
                        ret_values[n++] = (uint64_t)worker_fd_resource(layout->n_lanes, i);
        return n;
}

static size_t policy_one_value(int64_t value, uint64_t *ret_values)
{
        if (value < 0)
                return 0;
        ret_values[0] = (uint64_t)value;
        return 1;
}

static size_t policy_lane_values(const struct policy_layout *layout, uint64_t *ret_values)
{
        for (unsigned i = 0; i < layout->n_lanes; i++)
                ret_values[i] = (uint64_t)worker_fd_lane_out(i);
        return layout->n_lanes;
}

size_t policy_subject_values(enum policy_subject subject, const struct policy_layout *layout,
                             uint64_t *ret_values)
{
        size_t n = 0;

        switch (subject) {
        case POLICY_CONTROL:
                return policy_one_value(WORKER_FD_CONTROL, ret_values);
        case POLICY_OUTPUT:
                return policy_one_value(WORKER_FD_OUTPUT, ret_values);
        case POLICY_CHANNEL_IN:
                ret_values[n++] = WORKER_FD_CONTROL;
                for (unsigned i = 0; i < layout->n_lanes; i++)
                        ret_values[n++] = (uint64_t)worker_fd_lane_in(i);
                return n;
        case POLICY_CHANNEL_OUT:
                ret_values[n++] = WORKER_FD_CONTROL;
                return n + policy_lane_values(layout, ret_values + n);
        case POLICY_LANE_OUT:
                return policy_lane_values(layout, ret_values);
        case POLICY_RESOURCE:
                return policy_resource_values(layout, RESOURCE_FILE, ~0u, ret_values);
        case POLICY_RESOURCE_RW:
                return policy_resource_values(layout, RESOURCE_FILE, layout->resources_rw, ret_values);
        case POLICY_EVENT:
                return policy_resource_values(layout, RESOURCE_EVENT, ~0u, ret_values);
        case POLICY_LISTENER:
                return policy_resource_values(layout, RESOURCE_LISTENER, ~0u, ret_values);
        case POLICY_STREAM:
                return policy_resource_values(layout, RESOURCE_STREAM, ~0u, ret_values);
        case POLICY_TAP:
                return policy_resource_values(layout, RESOURCE_TAP, ~0u, ret_values);
        case POLICY_FOLDER:
                return policy_resource_values(layout, RESOURCE_FOLDER, ~0u, ret_values);
        case POLICY_BORN: /* the run filter's number is the first to be free */
                for (unsigned i = 0; i < layout->n_born; i++)
                        ret_values[n++] =
                            (uint64_t)worker_fd_policy(layout->n_lanes, layout->n_resources) + i;
                return n;
        case POLICY_RUN_POLICY:
                return policy_one_value(worker_fd_policy(layout->n_lanes, layout->n_resources), ret_values);
        case POLICY_BINARY:
                return policy_one_value(layout->binary_fd, ret_values);
        case POLICY_REPORT:
                return policy_one_value(layout->report_fd, ret_values);
        case POLICY_GO:
                return policy_one_value(layout->go_fd, ret_values);
        case POLICY_TRACEABLE:
                return policy_one_value(layout->go_fd >= 0 ? PR_SET_DUMPABLE : -1, ret_values);
        case POLICY_SELF:
                return policy_one_value(layout->self > 0 ? layout->self : -1, ret_values);
        case POLICY_ANY:
        case POLICY_SUBJECT_COUNT_:
                break;
        }
        return 0;
}

bool policy_test_value(const struct policy_test *test, const struct policy_layout *layout,
                       uint64_t *ret_value)
{
        if (test->op == POLICY_RESOURCE_EQ && test->value >= layout->n_resources)
                return false;
        *ret_value = test->op == POLICY_RESOURCE_EQ
                         ? (uint64_t)worker_fd_resource(layout->n_lanes, (unsigned)test->value)
                         : test->value;
        return true;
}
