/* A loader's outside in a test.
 * Owns the RAM it keeps; called by tests and by the fuzz target. TRUST: what it judges is the loader.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/loader/fake_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/checked.h"

#define KERNEL_FD 1000
#define INITRD_FD 1001
#define GIB       (UINT64_C(1) << 30)

static struct fake_world world;

static void require(bool sound, const char *what)
{
        if (sound)
                return;
        fprintf(stderr, "the loader %s\n", what);
        abort();
}

struct fake_world *world_reset(enum boot_arch arch, uint64_t memory)
{
        uint64_t start = arch == BOOT_ARCH_ARM64 ? GIB : 0, first = MIN(memory, 3 * GIB);

        if (world.ram)
                munmap(world.ram, world.options.ram[0].len);
        world.ram = NULL;
        world.kernel = world.initrd = NULL;
        world.fail_read_at = UINT64_MAX;
        world.n_writes = 0;
        world.options = (struct boot_options){.arch = arch,
                                              .n_vcpus = 1,
                                              .n_ram = memory > first ? 2 : 1,
                                              .ram = {{start, first}, {start + 4 * GIB, memory - first}},
                                              .devices_start = 0xd0000000,
                                              .n_devices = 2,
                                              .interrupt = {5, 6},
                                              .gic = arch == BOOT_ARCH_ARM64 ? 3 : 0,
                                              .cmdline = "console=ttyS0 quiet"};
        world.load = (struct load){.options = &world.options, .initrd.fd = -1};
        return &world;
}

void world_keep_ram(void)
{
        world.ram = mmap(NULL, world.options.ram[0].len, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        require(world.ram != MAP_FAILED, "has no memory");
}

void world_set_kernel(const uint8_t *bytes, size_t len)
{
        world.kernel = bytes;
        world.load.kernel = (struct loader_file){.fd = KERNEL_FD, .size = len};
}

void world_set_initrd(const uint8_t *bytes, size_t len)
{
        world.initrd = bytes;
        world.load.initrd = (struct loader_file){.fd = INITRD_FD, .size = len};
}

/* ---- loader_file.c ---- */

int loader_file_open(int fd, struct loader_file *ret_file)
{
        (void)fd;
        (void)ret_file;
        abort();
}

int loader_file_read(const struct loader_file *file, uint64_t at, void *bytes, size_t len)
{
        require(file->fd == KERNEL_FD, "reads another file than the kernel");
        require(range_inside(at, len, file->size), "reads beyond the end of a file");
        if (at + len > world.fail_read_at)
                return -EIO;
        if (len > 0)
                memcpy(bytes, world.kernel + at, len);
        return 0;
}

/* ---- boot_memory.c ---- */

static void write_at(uint32_t range, uint32_t offset, const uint8_t *bytes, uint64_t len)
{
        require(range == 0 && range_inside(offset, len, world.options.ram[0].len), "writes outside of RAM");
        require(len > 0, "writes nothing");
        for (size_t i = 0; i < world.n_writes; i++)
                require(offset >= world.writes[i].start + world.writes[i].len ||
                            world.writes[i].start >= offset + len,
                        "writes twice to one place");
        require(world.n_writes < WORLD_WRITES, "writes too often");
        world.writes[world.n_writes].start = offset;
        world.writes[world.n_writes++].len = len;
        if (world.ram && bytes)
                memcpy(world.ram + offset, bytes, len);
}

void boot_memory_write(struct boot_memory *memory, uint32_t range, uint32_t offset, const void *bytes,
                       uint32_t len)
{
        (void)memory;
        write_at(range, offset, bytes, len);
}

int boot_memory_write_file(struct boot_memory *memory, uint32_t range, uint32_t offset, uint64_t len, int fd,
                           uint64_t file_offset)
{
        const struct loader_file *file = fd == KERNEL_FD ? &world.load.kernel : &world.load.initrd;
        const uint8_t *bytes = fd == KERNEL_FD ? world.kernel : world.initrd;

        (void)memory;
        require(fd == file->fd, "names a file that is none");
        require(range_inside(file_offset, len, file->size), "takes more than a file has");
        if (fd == KERNEL_FD && file_offset + len > world.fail_read_at)
                return -EIO;
        write_at(range, offset, bytes ? bytes + file_offset : NULL, len);
        return 0;
}

/* ---- judging ---- */

static bool was_written(uint64_t address)
{
        uint64_t offset = address - world.options.ram[0].start;

        for (size_t i = 0; i < world.n_writes; i++)
                if (offset >= world.writes[i].start && offset - world.writes[i].start < world.writes[i].len)
                        return true;
        return false;
}

bool world_load(void)
{
        const struct load *load = &world.load;

        if (load_kernel(&world.load) < 0) {
                require(load->why[0] != '\0' && strchr(load->why, ':'), "refuses without reason and remedy");
                require(strnlen(load->why, sizeof(load->why)) < sizeof(load->why) - 1,
                        "has a reason that is cut");
                return false;
        }
        require(was_written(load->entry.arg), "names an argument that it has not written");
        require(range_within(load->entry.entry, 1, world.options.ram[0].start, world.options.ram[0].len),
                "names an entry outside of RAM");
        require((load->entry.mode == KVM_BOOT_ARM64) == (world.options.arch == BOOT_ARCH_ARM64),
                "names a mode of another architecture");
        return true;
}
