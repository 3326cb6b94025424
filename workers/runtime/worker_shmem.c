/* Shared memory regions on the worker's side.
 * Owns the mappings of the regions' memory, for the life of the process; called by worker.c and by devices. TRUST: lengths and
 * descriptors are the broker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_shmem.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/fd.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_log.h"

#define SHMEM_HEADER 128u /* bytes of our longest message here */

static struct worker_shmem {
        struct link *control; /* borrowed */
        struct fd_set_owned fds;
        unsigned n;
        struct {
                struct device_region is;
                void *memory; /* NULL: it is of files */
        } regions[LIMIT_SHMEM_REGIONS];
} shmem;

void worker_shmem_receive(struct link *control)
{
        link_receive_fds(control, &shmem.fds, LIMIT_SHMEM_REGIONS);
}

/* The descriptor is of no use afterwards, and would be one that nobody has counted. */
static int map_memory(const struct device_region *region, int *fd, void **ret_memory)
{
        void *memory = mmap(NULL, region->len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);

        if (memory == MAP_FAILED)
                return -errno;
        close(*fd);
        *fd = -1;
        *ret_memory = memory;
        return 0;
}

int worker_shmem_init(struct link *control, const struct control_configure *configure)
{
        unsigned next = 0;

        shmem.control = control;
        for (; shmem.n < configure->n_regions; shmem.n++) {
                int r;

                shmem.regions[shmem.n].is = configure->regions[shmem.n];
                if (configure->regions[shmem.n].source != REGION_MEMORY)
                        continue;
                if (next == shmem.fds.n)
                        return -EPROTO;
                r = map_memory(&configure->regions[shmem.n], &shmem.fds.fds[next++],
                               &shmem.regions[shmem.n].memory);
                if (r < 0) {
                        worker_log(LOG_LEVEL_ERROR, "cannot map a shared memory region: errno=%d", -r);
                        return r;
                }
        }
        return next == shmem.fds.n ? 0 : -EPROTO;
}

void *worker_region(uint8_t shmid, uint64_t *ret_len)
{
        for (unsigned i = 0; i < shmem.n; i++) {
                if (shmem.regions[i].is.shmid != shmid || !shmem.regions[i].memory)
                        continue;
                *ret_len = shmem.regions[i].is.len;
                return shmem.regions[i].memory;
        }
        return NULL;
}

uint64_t worker_region_files(uint8_t shmid)
{
        for (unsigned i = 0; i < shmem.n; i++)
                if (shmem.regions[i].is.shmid == shmid && shmem.regions[i].is.source == REGION_FILES)
                        return shmem.regions[i].is.len;
        return 0;
}

/* `fd` -1: nothing goes beside it. */
static void send(const struct control_to_broker *message, int fd)
{
        uint8_t frame[FRAME_HEAD_BYTES + SHMEM_HEADER];
        ssize_t len = control_make_to_broker(message, frame + FRAME_HEAD_BYTES, SHMEM_HEADER);

        if (len <= 0)
                worker_trap();
        if (fd < 0)
                link_send(shmem.control, frame, (uint32_t)len, NULL, 0);
        else
                link_send_fd(shmem.control, frame, (uint32_t)len, fd);
}

static struct control_shmem message_of(uint32_t id, const struct worker_map *map)
{
        return (struct control_shmem){.id = id,
                                      .shmid = map->shmid,
                                      .writable = map->writable,
                                      .offset = map->offset,
                                      .len = map->len,
                                      .fd_offset = map->fd_offset};
}

void worker_shmem_map(uint32_t id, const struct worker_map *map, int fd)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_MAP, .shmem = message_of(id, map)};

        send(&message, fd);
}

void worker_shmem_unmap(uint32_t id, const struct worker_map *map)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_UNMAP, .shmem = message_of(id, map)};

        send(&message, -1);
}
