/* What a VM boots: its kernel and its initrd, opened for the loader.
 * Owns nothing; called by resources_open, at start and when the loader is spawned. TRUST: paths are the operator's; what lies
 * there may be anything, and is not looked at here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "sandbox/resource.h"

struct boot_file {
        const char *key, *path;
};

static int explain(int r, const struct boot_file *file, char *why, size_t why_size)
{
        if (r == -ENOENT || r == -ENOTDIR)
                snprintf(why, why_size, "%s: there is no such file; name another one with %s:", file->path,
                         file->key);
        else if (r == -EACCES || r == -EPERM)
                snprintf(why, why_size, "%s: no permission to read the %s; change its owner or mode",
                         file->path, file->key);
        else if (r == -EBUSY)
                snprintf(why, why_size, "%s: another process has the %s under lease; stop that one",
                         file->path, file->key);
        else
                snprintf(why, why_size, "%s: cannot open the %s: %s", file->path, file->key, strerror(-r));
        return r;
}

/* By O_PATH first, so that nothing but a file is ever really opened; then that very file. */
static int open_file(const struct boot_file *file, int *ret_fd, char *why, size_t why_size)
{
        _cleanup_close_ int path_fd = open(file->path, O_PATH | O_CLOEXEC);
        struct stat st;
        int fd;

        if (path_fd < 0 || fstat(path_fd, &st) < 0)
                return explain(-errno, file, why, why_size);
        if (!S_ISREG(st.st_mode)) {
                snprintf(why, why_size, "%s: is no regular file; name another one with %s:", file->path,
                         file->key);
                return -EINVAL;
        }
        fd = resource_reopen(path_fd, true, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return explain(fd, file, why, why_size);
        *ret_fd = fd;
        return 0;
}

int resources_open_loader(const struct device_config *device, const struct resources *held,
                          struct resources *resources, char *why, size_t why_size)
{
        const struct boot_file files[] = {{"kernel", device->boot->kernel}, {"initrd", device->boot->initrd}};

        (void)held;
        for (size_t i = 0; i < 2 && files[i].path[0] != '\0'; i++) {
                _cleanup_close_ int fd = -1;
                int r = open_file(&files[i], &fd, why, why_size);

                if (r == 0)
                        r = resources_add(resources, RESOURCE_FILE, &fd, false);
                if (r < 0)
                        return r;
        }
        return 0;
}
