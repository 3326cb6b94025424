/* The program of a worker, found in its directory.
 * Owns nothing; called by the spawner at its start. TRUST: the directory is the operator's; what lies there may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "sandbox/resource.h"

#define PROGRAM_SEGMENTS 64u /* program headers of a worker: a static-pie has about ten */

/* A program with an interpreter would look for it in an empty root. */
static bool program_is_static(int fd)
{
        Elf64_Ehdr head;
        Elf64_Phdr segment;

        if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
            memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
                return false;
        if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(segment) ||
            head.e_phnum > PROGRAM_SEGMENTS)
                return false;
        for (unsigned i = 0; i < head.e_phnum; i++) {
                off_t at = (off_t)(head.e_phoff + i * sizeof(segment));

                if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment) ||
                    segment.p_type == PT_INTERP)
                        return false;
        }
        return true;
}

int resource_open_program(const struct vm_config *config, enum device_type_id type, int *ret_fd, char *why,
                          size_t why_size)
{
        const char *program = device_types[type].program;
        _cleanup_close_ int dir = open(config->worker_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (dir >= 0)
                fd = openat(dir, program, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0) {
                int r = -errno;

                snprintf(why, why_size,
                         "%s/%s: worker program cannot be opened (%s); name its folder with worker_dir",
                         config->worker_dir, program, strerror(-r));
                return r;
        }
        if (!S_ISREG(st.st_mode) || (st.st_mode & 0005) != 0005) {
                snprintf(why, why_size,
                         "%s/%s: worker program must be a file that all may read and execute; chmod 0755",
                         config->worker_dir, program);
                return -EACCES;
        }
        if (!program_is_static(fd)) {
                snprintf(why, why_size, "%s/%s: worker program is not a static-pie; link it with -static-pie",
                         config->worker_dir, program);
                return -ENOEXEC;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}
