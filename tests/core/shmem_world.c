/* A device with shared memory regions, and everything around it.
 * Owns the world. TRUST: it plays worker and front end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/shmem_world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/device/pmem.h"
#include "proto/device/sample.h"

#define FILES 64u

/* Files that have been handed over. */
static struct {
        dev_t dev;
        ino_t ino;
} files[FILES];
static unsigned n_files;

struct shmem_limits shmem_world_limits;

/* ---- the front end ---- */

static bool on_show(void *context, struct shmem_mapping *mapping)
{
        struct shmem_world *self = context;

        self->n_shows++;
        self->shown = mapping;
        if (self->mood == FRONT_REFUSES)
                device_shmem_shown(self->world.device, mapping, -EIO);
        return self->mood == FRONT_TAKES;
}

static void on_hide(void *context, struct shmem_mapping *mapping)
{
        (void)mapping;
        ((struct shmem_world *)context)->n_hides++;
}

const struct device_front shmem_world_front = {.shmem_show = on_show, .shmem_hide = on_hide};

/* ---- its life ---- */

static void configure(struct device_config *config)
{
        config->shmem = (struct device_shmem){.map = true, .limits = shmem_world_limits};
        if (config->type == DEVICE_TYPE_PMEM)
                config->options.value[PMEM_OPTION_SIZE].number = REGION_PAGES * PAGE;
        if (config->type == DEVICE_TYPE_SAMPLE)
                config->options.value[SAMPLE_OPTION_SIZE].number = 2 * SAMPLE_RING_AT;
}

void shmem_world_init(struct shmem_world *self, enum device_type_id type)
{
        *self = (struct shmem_world){0};
        n_files = 0;
        world_init_with(&self->world, 1, type, configure, &shmem_world_front);
}

void shmem_world_serve(struct shmem_world *self, enum device_type_id type)
{
        shmem_world_init(self, type);
        world_serve(&self->world);
        self->fds = count_fds();
}

static bool was_handed_over(const struct map_line *line)
{
        for (unsigned i = 0; i < n_files; i++)
                if (files[i].ino == line->ino && files[i].dev == makedev(line->major, line->minor))
                        return true;
        return false;
}

void shmem_world_done(struct shmem_world *self)
{
        struct map_lines maps;

        world_done(&self->world);
        maps = map_lines_read();
        for (size_t i = 0; i < maps.n; i++)
                assert_false(was_handed_over(&maps.lines[i]));
        map_lines_free(&maps);
}

/* ---- mappings ---- */

const struct shmem *shmem_of(const struct shmem_world *self)
{
        return device_shmem(self->world.device);
}

struct shmem_mapping *mapping_at(const struct shmem_world *self, uint64_t page, uint64_t pages)
{
        return shmem_find(shmem_of(self), PMEM_SHMID, page * PAGE, pages * PAGE);
}

struct shmem_request pages_of(uint64_t page, uint64_t pages)
{
        return (struct shmem_request){.shmid = PMEM_SHMID,
                                      .writable = true,
                                      .offset = page * PAGE,
                                      .len = pages * PAGE,
                                      .fd_offset = page * PAGE};
}

int sealed_pages(uint64_t pages)
{
        int fd = memfd_create("shmem-world", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE)), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        return fd;
}

static void remember(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || n_files == FILES)
                return;
        files[n_files].dev = st.st_dev;
        files[n_files++].ino = st.st_ino;
}

void assert_unmapped(int fd)
{
        struct map_lines maps = map_lines_read();
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        for (size_t i = 0; i < maps.n; i++)
                assert_false(maps.lines[i].ino == st.st_ino &&
                             makedev(maps.lines[i].major, maps.lines[i].minor) == st.st_dev);
        map_lines_free(&maps);
}

/* ---- the worker ---- */

void shmem_world_say(struct shmem_world *self, const struct control_to_broker *message, const int *fds,
                     unsigned n_fds)
{
        uint8_t buf[WORLD_FRAME];
        struct iovec iov = {.iov_base = buf, .iov_len = world_frame(message, buf)};
        unsigned spawns = self->world.n_spawns;
        ssize_t n;

        while ((n = fd_pass_send_now(self->world.puppet.control_fd, &iov, 1, fds, n_fds)) == -EAGAIN &&
               self->world.n_spawns == spawns)
                world_step(&self->world);
        assert_true(n == (ssize_t)iov.iov_len || n == -EAGAIN || n == -EPIPE ||
                    n == -ECONNRESET); /* the broker has had enough */
}

static struct control_shmem ask(struct shmem_world *self, const struct shmem_request *request)
{
        return (struct control_shmem){.id = ++self->next_id,
                                      .shmid = request->shmid,
                                      .writable = request->writable,
                                      .offset = request->offset,
                                      .len = request->len,
                                      .fd_offset = request->fd_offset};
}

uint32_t shmem_world_map(struct shmem_world *self, const struct shmem_request *request, int fd)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_MAP, .shmem = ask(self, request)};

        shmem_world_say(self, &message, &fd, 1);
        return message.shmem.id;
}

uint32_t shmem_world_unmap(struct shmem_world *self, const struct shmem_request *request)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_UNMAP, .shmem = ask(self, request)};

        shmem_world_say(self, &message, NULL, 0);
        return message.shmem.id;
}

unsigned times_answered(const struct shmem_world *self, uint32_t id)
{
        return self->world.puppet.n_answered[id % WORLD_LOG];
}

int answer_to(struct shmem_world *self, uint32_t id)
{
        world_until(&self->world, times_answered(self, id) > 0);
        assert_int_equal(times_answered(self, id), 1);
        return self->world.puppet.answer[id % WORLD_LOG];
}

/* Files that a server keeps silent about are not asked for their number. */
int map_answer(struct shmem_world *self, const struct shmem_request *request, int fd)
{
        int r = answer_to(self, shmem_world_map(self, request, fd));

        if (r == 0)
                remember(fd);
        return r;
}

int unmap_answer(struct shmem_world *self, const struct shmem_request *request)
{
        return answer_to(self, shmem_world_unmap(self, request));
}

void assert_replaced(struct shmem_world *self, unsigned spawns_before)
{
        world_until(&self->world, self->world.n_spawns == spawns_before + 1);
        world_until(&self->world, world_state(&self->world) == WORKER_SERVING);
        if (self->fds > 0)
                world_until(&self->world, count_fds() == self->fds);
        assert_maps(shmem_of(self));
}
