/* The image of a disk or of persistent memory, opened, judged and locked; and the eventfd of a direct disk.
 * Owns nothing; called by resources_open, at start and for each incarnation. TRUST: the path is the operator's; what lies there
 * may be anything, and may change between two calls.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/direct_io.h"
#include "proto/device/blk.h"
#include "proto/device/pmem.h"
#include "sandbox/resource.h"

#define SECTOR_BYTES   512u  /* virtio 1.3, 5.2.4: capacity counts these */
#define BLOCK_SIZE_MAX 4096u /* that a disk of ours can have */

static int resource_explain(int r, const char *path, bool writable, char *why, size_t why_size)
{
        switch (-r) {
        case ENOENT:
        case ENOTDIR:
                snprintf(why, why_size, "%s: there is no such image; make one with: truncate -s 1G %s", path,
                         path);
                break;
        case EACCES:
        case EPERM:
                snprintf(why, why_size, "%s: no permission to %s the image; change its owner or mode%s", path,
                         writable ? "write" : "read", writable ? ", or say read_only: true" : "");
                break;
        case EROFS:
                snprintf(why, why_size, "%s: lies on a read-only file system; say read_only: true", path);
                break;
        case EBUSY:
                snprintf(why, why_size,
                         "%s: the image is in use by another process; stop that one, or say read_only: true "
                         "in both",
                         path);
                break;
        default:
                snprintf(why, why_size, "%s: cannot open the image: %s", path, strerror(-r));
        }
        return r;
}

/* Only what has a size and no side effects when it is opened. */
static int resource_judge_kind(mode_t mode, const char *path, char *why, size_t why_size)
{
        if (S_ISREG(mode) || S_ISBLK(mode))
                return 0;
        snprintf(why, why_size, "%s: is %s; an image is a regular file or a block device", path,
                 S_ISDIR(mode)    ? "a directory"
                 : S_ISFIFO(mode) ? "a FIFO"
                 : S_ISSOCK(mode) ? "a socket"
                                  : "a character device");
        return -EINVAL;
}

static int resource_flags(const struct blk_options *blk)
{
        return (blk->read_only ? O_RDONLY : O_RDWR) | (blk->direct ? O_DIRECT : 0) | O_CLOEXEC | O_NOCTTY;
}

static int resource_explain_open(int r, const struct blk_options *blk, char *why, size_t why_size)
{
        if (r != -EINVAL || !blk->direct)
                return resource_explain(r, blk->path, !blk->read_only, why, why_size);
        snprintf(
            why, why_size,
            "%s: this file system has no direct I/O; say direct: false, or put the image on one that has",
            blk->path);
        return r;
}

/* A read of a disk is no news of its image: the kernel need not look at the clock for each. It lets nobody but the owner, or root;
 * others have access times. */
static void resource_forgo_atime(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0)
                (void)fcntl(fd, F_SETFL, flags | O_NOATIME);
}

/* Opens by O_PATH first, so that a FIFO, a tape or a terminal is never really opened; then that very file. */
static int resource_open_image(const struct blk_options *blk, int *ret_fd, char *why, size_t why_size)
{
        _cleanup_close_ int path_fd = open(blk->path, O_PATH | O_CLOEXEC);
        struct stat st;
        int fd, r;

        if (path_fd < 0 || fstat(path_fd, &st) < 0)
                return resource_explain(-errno, blk->path, !blk->read_only, why, why_size);
        r = resource_judge_kind(st.st_mode, blk->path, why, why_size);
        if (r < 0)
                return r;
        fd = resource_reopen(path_fd, S_ISREG(st.st_mode), resource_flags(blk));
        if (fd < 0)
                return resource_explain_open(fd, blk, why, why_size);
        resource_forgo_atime(fd);
        *ret_fd = fd;
        return 0;
}

/* Over the whole file, on this open file description: QEMU's and others' OFD locks exclude it, and it ends
 * with the last descriptor, which the worker holds. */
static int resource_lock(int fd, bool writable)
{
        struct flock lock = {.l_type = writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
                return 0;
        return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static int resource_size(int fd, uint64_t *ret_size, dev_t *ret_device)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret_device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
        if (S_ISBLK(st.st_mode)) {
                uint64_t size;

                if (ioctl(fd, BLKGETSIZE64, &size) < 0)
                        return -errno;
                *ret_size = size;
        } else {
                *ret_size = (uint64_t)st.st_size;
        }
        return 0;
}

static int resource_judge_size(uint64_t size, const char *path, char *why, size_t why_size)
{
        if (size > 0 && size % SECTOR_BYTES == 0)
                return 0;
        if (size == 0)
                snprintf(why, why_size, "%s: the image is empty; give it a size with: truncate -s 1G %s",
                         path, path);
        else
                snprintf(why, why_size,
                         "%s: %llu bytes are no multiple of 512; enlarge it with: truncate -s %%512 %s", path,
                         (unsigned long long)size, path);
        return -EINVAL;
}

/* What is shorter than a block of the host cannot be read or written past the cache. */
static int resource_judge_direct(int fd, const struct blk_options *blk, char *why, size_t why_size)
{
        uint32_t bytes;
        int r = direct_io_alignment(fd, &bytes);

        if (r < 0)
                return resource_explain_open(r == -EOPNOTSUPP ? -EINVAL : r, blk, why, why_size);
        if (bytes <= blk->block_size)
                return 0;
        if (bytes <= BLOCK_SIZE_MAX)
                snprintf(why, why_size, "%s: direct I/O needs blocks of %u bytes here; say block_size: %u",
                         blk->path, bytes, BLOCK_SIZE_MAX);
        else
                snprintf(why, why_size, "%s: direct I/O needs blocks of %u bytes here; say direct: false",
                         blk->path, bytes);
        return -EINVAL;
}

/* The second resource of a direct disk counts its finished transfers. */
static int add_event(struct resources *resources, char *why, size_t why_size)
{
        _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC);

        if (fd < 0) {
                snprintf(why, why_size, "no eventfd: %s", strerror(errno));
                return -errno;
        }
        return resources_add(resources, RESOURCE_EVENT, &fd, false);
}

static int add_image(const struct blk_options *blk, struct resources *resources, uint64_t *ret_size,
                     char *why, size_t why_size)
{
        _cleanup_close_ int fd = -1;
        uint64_t size = 0;
        dev_t device = 0;
        int r;

        r = resource_open_image(blk, &fd, why, why_size);
        if (r < 0)
                return r;
        r = resource_lock(fd, !blk->read_only);
        if (r == 0)
                r = resource_size(fd, &size, &device);
        if (r < 0)
                return resource_explain(r, blk->path, !blk->read_only, why, why_size);
        r = resource_judge_size(size, blk->path, why, why_size);
        if (r == 0 && blk->direct)
                r = resource_judge_direct(fd, blk, why, why_size);
        if (r < 0)
                return r;
        resources->device = device;
        resources->size_max = blk->read_only ? 0 : size;
        *ret_size = size;
        return resources_add(resources, RESOURCE_FILE, &fd, !blk->read_only);
}

int resources_open_blk(const struct device_config *device, const struct resources *held,
                       struct resources *resources, char *why, size_t why_size)
{
        const struct blk_options blk = blk_options_read(&device->options);
        uint64_t size = 0;
        int r = add_image(&blk, resources, &size, why, why_size);

        (void)held;
        if (r < 0)
                return r;
        if (blk.direct)
                return add_event(resources, why, why_size);
        resources->mapped_max = MIN(size, LIMIT_BLK_MAP);
        return 0;
}

/* A lock lives as long as any descriptor of its open file, and the broker keeps the one that it maps. */
static int add_mapped(const struct blk_options *image, struct resources *resources, char *why,
                      size_t why_size)
{
        _cleanup_close_ int fd = -1;
        int r = resource_open_image(image, &fd, why, why_size);

        return r < 0 ? r : resources_add(resources, RESOURCE_FILE, &fd, true);
}

int resources_open_pmem(const struct device_config *device, const struct resources *held,
                        struct resources *resources, char *why, size_t why_size)
{
        const struct pmem_options pmem = pmem_options_read(&device->options);
        const struct blk_options image = {.path = pmem.path};
        uint64_t size = 0;
        int r = add_image(&image, resources, &size, why, why_size);

        (void)held;
        if (r == 0 && size < pmem.size) {
                snprintf(why, why_size,
                         "%s: has %llu bytes, and size says %llu; enlarge it with: truncate -s %llu %s",
                         pmem.path, (unsigned long long)size, (unsigned long long)pmem.size,
                         (unsigned long long)pmem.size, pmem.path);
                return -EINVAL;
        }
        return r < 0 ? r : add_mapped(&image, resources, why, why_size);
}
