/* What a configuration names on this host.
 * Owns nothing beyond a call; called by config_judge.c and by `run`. What is found here is advice: the
 * spawner opens everything again, and its findings count. TRUST: paths are the operator's; images may be
 * anybody's and are not read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/core/local_file_system.h"
#include "broker/ctl/config_value.h"
#include "proto/base/cleanup.h"
#include "proto/base/direct_io.h"
#include "proto/base/log.h"
#include "proto/device/blk.h"
#include "proto/device/fs.h"
#include "proto/device/pmem.h"

#define SHOWN          256u
#define SECTOR_SIZE    512u
#define BLOCK_SIZE_MAX 4096u /* that a disk of ours can have */

#define POLL_MIN_CPUS   4   /* below, guest, broker and worker spin in each other's way */
#define POLL_US_DEFAULT 50u /* a few times what a wake-up and a small request of a cached image take */

static const char *open_remedy(int negative_errno)
{
        switch (negative_errno) {
        case -ENOENT:
                return "make it, for example with truncate -s 1G, or correct path";
        case -EACCES:
        case -EPERM:
                return "run as a user who may, or change its mode";
        case -EROFS:
                return "it is on a read-only file system: set read_only: true";
        case -EISDIR:
                return "name a file or a block device";
        default:
                return "correct path";
        }
}

static int image_size(int fd, const struct stat *st, uint64_t *ret_size)
{
        *ret_size = (uint64_t)st->st_size;
        if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, ret_size) < 0)
                return -errno;
        return 0;
}

static int judge_size(const struct blk_options *blk, uint64_t size, const char *shown, char *why,
                      size_t why_size)
{
        const uint64_t unit = blk->block_size > SECTOR_SIZE ? blk->block_size : SECTOR_SIZE;

        if (size == 0)
                snprintf(why, why_size, "image %s is empty: give it a size with truncate -s", shown);
        else if (size % unit != 0)
                snprintf(why, why_size,
                         "image %s has %" PRIu64 " bytes, not a multiple of %" PRIu64
                         ": truncate -s %%%" PRIu64 " makes it one",
                         shown, size, unit, unit);
        else
                return 0;
        return -EINVAL;
}

/* Would the spawner's lock be granted? Open file description locks, as the spawner takes them. */
static int judge_lock(int fd, bool read_only, const char *shown, char *why, size_t why_size)
{
        struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
                return 0;
        snprintf(why, why_size, "image %s is in use: stop the VM that has it, or give this one its own image",
                 shown);
        return -EBUSY;
}

static int refuse_direct(const char *shown, char *why, size_t why_size)
{
        snprintf(why, why_size,
                 "image %s cannot be used past the page cache: say direct: false, or put it on a file system "
                 "that can",
                 shown);
        return -EINVAL;
}

static int judge_direct(const struct blk_options *blk, int fd, const char *shown, char *why, size_t why_size)
{
        uint32_t bytes;
        int r = direct_io_alignment(fd, &bytes);

        if (r < 0)
                return refuse_direct(shown, why, why_size);
        if (bytes <= blk->block_size)
                return 0;
        snprintf(why, why_size, "image %s needs blocks of %" PRIu32 " bytes past the page cache: say %s",
                 shown, bytes, bytes <= BLOCK_SIZE_MAX ? "block_size: 4096" : "direct: false");
        return -EINVAL;
}

static int look_at_image(const struct blk_options *blk, char *why, size_t why_size)
{
        const int flags = (blk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        const int direct = blk->direct ? O_DIRECT : 0;
        char shown[SHOWN];
        _cleanup_close_ int fd = -1;
        uint64_t size;
        struct stat st;
        int r;

        log_escape(blk->path, strlen(blk->path), shown, sizeof(shown));
        /* Look before opening: opening a pipe or a character device can have effects. */
        if (stat(blk->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
                snprintf(why, why_size, "image %s is neither a file nor a block device: %s", shown,
                         open_remedy(-EISDIR));
                return -EINVAL;
        }
        fd = open(blk->path, flags | direct);
        if (fd < 0 && errno == EINVAL && direct)
                return refuse_direct(shown, why, why_size);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                snprintf(why, why_size, "image %s cannot be opened for %s: %s: %s", shown,
                         blk->read_only ? "reading" : "writing", strerror(-r), open_remedy(r));
                return r;
        }
        r = image_size(fd, &st, &size);
        if (r < 0) {
                snprintf(why, why_size, "image %s does not tell its size: %s", shown, strerror(-r));
                return r;
        }
        r = judge_size(blk, size, shown, why, why_size);
        if (r == 0 && direct)
                r = judge_direct(blk, fd, shown, why, why_size);
        return r < 0 ? r : judge_lock(fd, blk->read_only, shown, why, why_size);
}

static int look_at_blk(const struct device_config *device, char *why, size_t why_size)
{
        const struct blk_options blk = blk_options_read(&device->options);

        return look_at_image(&blk, why, why_size);
}

/* Would the broker have its files under a guest's feet (broker/core/shmem_file.h)? What cannot be asked is said by who opens it. */
static int judge_mapped(const char *path, const char *remedy, char *why, size_t why_size)
{
        char shown[SHOWN];
        struct statfs fs;

        if (statfs(path, &fs) < 0 || file_system_is_local((uint32_t)fs.f_type))
                return 0;
        log_escape(path, strlen(path), shown, sizeof(shown));
        snprintf(why, why_size,
                 "%s lies on a file system (0x%lx) of which nothing is mapped, since a guest's processor "
                 "could wait for "
                 "it without an end: use " FILE_SYSTEMS_LOCAL "%s",
                 shown, (unsigned long)(uint32_t)fs.f_type, remedy);
        return -EMEDIUMTYPE;
}

static int look_at_pmem(const struct device_config *device, char *why, size_t why_size)
{
        const struct pmem_options pmem = pmem_options_read(&device->options);
        char shown[SHOWN];
        struct stat st;

        if (stat(pmem.path, &st) < 0 || S_ISREG(st.st_mode))
                return judge_mapped(pmem.path, "", why, why_size);
        log_escape(pmem.path, strlen(pmem.path), shown, sizeof(shown));
        snprintf(why, why_size, "%s is no file, and nothing else is mapped: make one, or use type: blk",
                 shown);
        return -EINVAL;
}

static int look_at_fs(const struct device_config *device, char *why, size_t why_size)
{
        const struct fs_options fs = fs_options_read(&device->options);

        return fs.dax_window > 0 ? judge_mapped(fs.path, ", or remove dax_window and shmem", why, why_size)
                                 : 0;
}

int config_host_device(const struct device_config *device, const char **ret_key, char *why, size_t why_size)
{
        static const struct {
                const char *key; /* of what is looked at */
                int (*look)(const struct device_config *device, char *why, size_t why_size);
        } looks[DEVICE_TYPE_COUNT_] = {
            [DEVICE_TYPE_BLK] = {"path", look_at_blk},
            [DEVICE_TYPE_PMEM] = {"path", look_at_pmem},
            [DEVICE_TYPE_FS] = {"path", look_at_fs},
        };
        int r = looks[device->type].look ? looks[device->type].look(device, why, why_size) : 0;

        if (r < 0)
                *ret_key = looks[device->type].key;
        return r;
}

int config_host_boot_file(const char *key, const char *path, char *why, size_t why_size)
{
        char shown[SHOWN];
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        log_escape(path, strlen(path), shown, sizeof(shown));
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
                snprintf(why, why_size, "%s %s is not a file: name the %s itself", key, shown, key);
                return -EINVAL;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                snprintf(why, why_size, "%s %s cannot be opened for reading: %s: %s", key, shown,
                         strerror(-r),
                         r == -EACCES ? "run as a user who may, or change its mode" : "correct the path");
                return r;
        }
        if (st.st_size > 0)
                return 0;
        snprintf(why, why_size, "%s %s is empty: name another file", key, shown);
        return -EINVAL;
}

int config_host_memory(uint64_t bytes, char *why, size_t why_size)
{
        char wanted[32], there[32];
        struct sysinfo info;
        uint64_t host;

        if (sysinfo(&info) < 0)
                return 0; /* advice: the host's answer to the first page counts */
        host = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
        if (bytes <= host)
                return 0;
        snprintf(why, why_size, "memory is %s: this host has %s, swap included: give the VM less",
                 config_value_size_text(bytes, wanted, sizeof(wanted)),
                 config_value_size_text(host >> 20 << 20, there, sizeof(there)));
        return -ENOMEM;
}

int config_host_vcpus(uint32_t vcpus, char *why, size_t why_size)
{
        long host = sysconf(_SC_NPROCESSORS_ONLN);

        if (host < 1 || vcpus <= (unsigned long)host)
                return 0;
        snprintf(why, why_size,
                 "vcpus is %" PRIu32 ": this host has %ld CPUs, and they will wait for each other", vcpus,
                 host);
        return -ERANGE;
}

uint32_t config_host_poll_us(void)
{
        return sysconf(_SC_NPROCESSORS_ONLN) < POLL_MIN_CPUS ? 0 : POLL_US_DEFAULT;
}

int config_host_program(const char *folder, const char *program, char *why, size_t why_size)
{
        char path[PATH_MAX + LIMIT_NAME];
        int r;

        snprintf(path, sizeof(path), "%s/%s", folder, program);
        if (access(path, X_OK) == 0)
                return 0;
        r = -errno;
        snprintf(why, why_size, "program %s: %s: install bulkhead whole, or build all of it", path,
                 strerror(-r));
        return r;
}

int config_host_programs(char ret_folder[static PATH_MAX])
{
        char folder[PATH_MAX], why[SHOWN];
        ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
        char *slash;

        if (n < 0)
                return -errno;
        folder[n] = '\0';
        slash = strrchr(folder, '/');
        if (!slash)
                return -ENOENT;
        slash[slash == folder ? 1 : 0] = '\0';
        if (config_host_program(folder, "bulkhead-broker", why, sizeof(why)) < 0 &&
            access(BULKHEAD_LIBEXEC_DIR, X_OK) == 0)
                snprintf(folder, sizeof(folder), "%s", BULKHEAD_LIBEXEC_DIR);
        memcpy(ret_folder, folder, strlen(folder) + 1);
        return 0;
}
