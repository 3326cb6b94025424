/* Tables to filters, by libseccomp.
 * Owns the filter between compile and done; called by the spawner before it forks a worker, and by the broker
 * for its own filter. TRUST: sees no foreign bytes; the tables and the layout are ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "sandbox/policy.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static inline void cleanup_seccomp(scmp_filter_ctx *ctx)
{
        if (*ctx)
                seccomp_release(*ctx);
}

/* Without MFD_NOEXEC_SEAL on a kernel that lacks it (< 6.3): no worker could execute it there either. */
static int policy_memfd(void)
{
        int fd = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

static struct scmp_arg_cmp policy_arg_cmp(const struct policy_test *test, uint64_t value)
{
        if (test->op == POLICY_MASKED_EQ)
                return SCMP_CMP(test->arg, SCMP_CMP_MASKED_EQ, test->mask, value);
        return SCMP_CMP(test->arg, SCMP_CMP_EQ, value);
}

static int policy_add_rule(scmp_filter_ctx ctx, const struct policy_row *row,
                           const struct policy_layout *layout, struct scmp_arg_cmp *cmps, unsigned n)
{
        uint32_t action = row->deny_errno ? SCMP_ACT_ERRNO((uint16_t)row->deny_errno) : SCMP_ACT_ALLOW;

        for (unsigned i = 0; i < POLICY_TESTS && row->tests[i].op != POLICY_END; i++) {
                uint64_t value;

                if (!policy_test_value(&row->tests[i], layout, &value))
                        return 0;
                cmps[n++] = policy_arg_cmp(&row->tests[i], value);
        }
        return seccomp_rule_add_exact_array(ctx, action, row->nr, n, cmps);
}

/* One row: one rule, or one rule for each value of its subject. */
static int policy_add_row(scmp_filter_ctx ctx, const struct policy_row *row,
                          const struct policy_layout *layout)
{
        uint64_t values[POLICY_SUBJECT_VALUES];
        struct scmp_arg_cmp cmps[POLICY_TESTS + 1];
        size_t n;
        int r;

        if (row->subject == POLICY_ANY)
                return policy_add_rule(ctx, row, layout, cmps, 0);
        n = policy_subject_values(row->subject, layout, values);
        for (size_t i = 0; i < n; i++) {
                cmps[0] = SCMP_CMP(0, SCMP_CMP_EQ, values[i]);
                r = policy_add_rule(ctx, row, layout, cmps, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Reads the instructions back from the memfd that libseccomp wrote. */
static int policy_read_back(int fd, struct policy_program *ret_program)
{
        struct stat st;
        struct sock_filter *filter;
        size_t size;
        int r;

        if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        size = (size_t)st.st_size;
        if (size == 0 || size % sizeof(*filter) != 0 || size / sizeof(*filter) > POLICY_FILTER_MAX)
                return -E2BIG;
        filter = malloc(size);
        if (!filter)
                return -ENOMEM;
        r = fd_read_all(fd, filter, size);
        if (r < 0) {
                free(filter);
                return r;
        }
        ret_program->filter = filter;
        ret_program->n = (unsigned short)(size / sizeof(*filter));
        return 0;
}

static int policy_export(scmp_filter_ctx ctx, struct policy_program *ret_program)
{
        _cleanup_close_ int fd = policy_memfd();
        int r;

        if (fd < 0)
                return fd;
        r = seccomp_export_bpf(ctx, fd);
        if (r < 0)
                return r;
        return policy_read_back(fd, ret_program);
}

/* Calls are looked for in the order of the table, which begins with those of every request. */
static int policy_prefer(scmp_filter_ctx ctx, const struct policy_row *row, size_t at)
{
        return seccomp_syscall_priority(ctx, row->nr, (uint8_t)(UINT8_MAX - MIN(at, (size_t)UINT8_MAX)));
}

static bool policy_layout_ok(const struct policy_layout *layout)
{
        return layout->n_lanes <= LIMIT_LANES && layout->n_resources <= LIMIT_RESOURCES &&
               layout->n_born <= POLICY_BORN_MAX;
}

int policy_compile(const struct policy *policy, enum policy_gate gate, const struct policy_layout *layout,
                   struct policy_program *ret_program)
{
        _cleanup_(cleanup_seccomp) scmp_filter_ctx ctx = NULL;
        const struct policy_row *row;
        char why[160];
        int r;

        if (!policy_layout_ok(layout) || policy_check(policy, why, sizeof(why)) < 0)
                return -EINVAL;
        ctx = seccomp_init(layout->only_log ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
        if (!ctx)
                return -ENOMEM;
        r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r < 0)
                return r;
        for (size_t i = 0; (row = policy_row_at(policy, gate, i)); i++) {
                r = policy_add_row(ctx, row, layout);
                if (r == 0)
                        r = policy_prefer(ctx, row, i);
                if (r < 0)
                        return r;
        }
        return policy_export(ctx, ret_program);
}

void policy_program_done(struct policy_program *program)
{
        free(program->filter);
        program->filter = NULL;
        program->n = 0;
}

int policy_program_seal(const struct policy_program *program, int *ret_fd)
{
        _cleanup_close_ int fd = policy_memfd();
        int r;

        if (fd < 0)
                return fd;
        r = fd_write_all(fd, program->filter, program->n * sizeof(*program->filter));
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}
