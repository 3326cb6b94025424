/* The files behind a broker's shared mappings.
 * Owns the list; called by audit_measure.c. TRUST: the kernel's text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/memory_files.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/ctl/proc_parse.h"
#include "proto/base/cleanup.h"

static int add(struct memory_files *files, const struct proc_mapping *m)
{
        struct memory_file *list;

        files->bytes += m->end - m->start;
        if (memory_files_have(files, m->major, m->minor, m->inode))
                return 0;
        if (files->n >= LIMIT_PROC_FILES)
                return -E2BIG;
        list = reallocarray(files->list, files->n + 1, sizeof(*list));
        if (!list)
                return -ENOMEM;
        files->list = list;
        list[files->n++] = (struct memory_file){.major = m->major, .minor = m->minor, .inode = m->inode};
        return 0;
}

int memory_files_collect(const char *maps, size_t len, struct memory_files *ret_files)
{
        _cleanup_(memory_files_done) struct memory_files files = {0};
        const char *end = maps + len;
        struct proc_mapping m;
        int r;

        while ((r = proc_maps_next(&maps, end, &m)) > 0)
                if (m.vcpu) {
                        files.n_vcpus++;
                } else if (m.shared && m.inode != 0) {
                        r = add(&files, &m);
                        if (r < 0)
                                return r;
                }
        if (r < 0)
                return r;
        *ret_files = files;
        files = (struct memory_files){0};
        return 0;
}

bool memory_files_have(const struct memory_files *files, uint32_t major, uint32_t minor, uint64_t inode)
{
        for (size_t i = 0; i < files->n; i++)
                if (files->list[i].inode == inode && files->list[i].major == major &&
                    files->list[i].minor == minor)
                        return true;
        return false;
}

void memory_files_done(struct memory_files *files)
{
        free(files->list);
        *files = (struct memory_files){0};
}
