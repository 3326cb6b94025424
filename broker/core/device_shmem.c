/* A device and its shared memory regions.
 *
 * How it works: a mapping is judged and made by shmem.c, then shown to the front end; when that has it the worker is answered.
 * A mapping that is with the front end stands in `pending` until then. Nothing waits for it: a worker that dies or a device
 * that is reset takes its pending mappings with it, and the front end is told to hide them.
 *
 * What a worker maps before it serves is the device's own (a disk's contents), whoever drives it: a reset leaves it where it is, for
 * the successor to adopt, because a driver goes on when its reset returns, and a worker takes longer. Memory of the broker's is
 * fresh then, and what the worker has mapped since it served is gone.
 *
 * A worker that dies leaves its mappings behind as orphans, because the guest goes on using them: with a hole in their place it
 * would read ones where its data were. Its successor says in Hello how many it will ask for again, and is not given a request
 * before they have come; what it does not ask for is then taken away.
 *
 * Owns the device's shmem; called by device.c (front ends), device_worker.c (the supervisor) and device_life.c. TRUST: messages
 * and descriptors are a worker's; shmem.c judges them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_shmem.h"

#include <errno.h>

#include "broker/core/device_state.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"

/* ---- towards the front end ---- */

static struct device_map_pending *pending_find(struct device *device, const struct shmem_mapping *mapping)
{
        for (unsigned i = 0; i < device->maps.n_pending; i++)
                if (device->maps.pending[i].mapping == mapping)
                        return &device->maps.pending[i];
        return NULL;
}

static void pending_drop(struct device *device, struct device_map_pending *pending)
{
        *pending = device->maps.pending[--device->maps.n_pending];
}

/* True: it is where it will be. A guest that sees something of its device has made it dirty: a reset must replace the worker. */
static bool map_show(struct device *device, struct shmem_mapping *mapping)
{
        if (!device->front.shmem_show || mapping->shown)
                return true;
        supervisor_touched(&device->supervisor);
        mapping->shown = true;
        return device->front.shmem_show(device->front.context, mapping);
}

static void map_hide(struct device *device, struct shmem_mapping *mapping)
{
        if (mapping->shown && device->front.shmem_hide)
                device->front.shmem_hide(device->front.context, mapping);
        mapping->shown = false;
}

static void map_remove(struct device *device, struct shmem_mapping *mapping)
{
        struct device_map_pending *pending = pending_find(device, mapping);

        if (pending)
                pending_drop(device, pending);
        map_hide(device, mapping);
        shmem_unmap(device->maps.shmem, mapping);
}

static void remove_all(struct device *device, bool (*these)(const struct shmem_mapping *mapping))
{
        for (size_t i = shmem_n_mappings(device->maps.shmem); i-- > 0;) {
                struct shmem_mapping *mapping = shmem_mapping_at(device->maps.shmem, i);

                if (these(mapping))
                        map_remove(device, mapping);
        }
}

static bool each(const struct shmem_mapping *mapping)
{
        (void)mapping;
        return true;
}

static bool is_orphan(const struct shmem_mapping *mapping)
{
        return mapping->orphan;
}

static bool is_passing(const struct shmem_mapping *mapping)
{
        return !mapping->lasting;
}

static bool is_passing_orphan(const struct shmem_mapping *mapping)
{
        return mapping->orphan && !mapping->lasting;
}

void device_shmem_hide_all(struct device *device)
{
        for (size_t i = 0; i < shmem_n_mappings(device->maps.shmem); i++)
                map_hide(device, shmem_mapping_at(device->maps.shmem, i));
}

/* ---- towards the worker ---- */

static void answer(struct device *device, uint32_t id, int error)
{
        const struct control_to_worker message = {.kind = CONTROL_SHMEM_ANSWER,
                                                  .shmem_answer = {.id = id, .error = error}};

        (void)supervisor_tell(&device->supervisor,
                              &message); /* one that does not read is at fault, and dealt with */
}

/* Its worker relies on what its guest does not see, or the other way round: until the next reset nothing is served. */
static void break_device(struct device *device)
{
        device->broken = true;
        device_call_break(device);
}

/* One that the front end before had put off, and this one has at once (or there is none), is answered now. */
static void show_again(struct device *device, struct shmem_mapping *mapping)
{
        struct device_map_pending *pending;
        uint32_t id;

        if (!map_show(device, mapping))
                return;
        pending = pending_find(device, mapping);
        if (!pending)
                return;
        id = pending->id;
        pending_drop(device, pending);
        answer(device, id, 0);
}

/* From the end: what the front end does not take is gone when it returns. And a worker that cannot be answered is killed, which
 * takes all that is under way: so not all that were there are there still. */
void device_shmem_show_all(struct device *device)
{
        for (size_t i = shmem_n_mappings(device->maps.shmem); i > 0;
             i = MIN(i - 1, shmem_n_mappings(device->maps.shmem)))
                show_again(device, shmem_mapping_at(device->maps.shmem, i - 1));
}

void device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error)
{
        struct device_map_pending *pending = pending_find(device, mapping);
        const uint32_t id = pending ? pending->id : 0;

        if (pending)
                pending_drop(device, pending);
        if (error < 0) {
                log_limited(LOG_LEVEL_WARNING,
                            "the front end does not take a mapping: errno=%d dev=%s shmid=%u offset=%llu",
                            -error, device->config->name, mapping->shmid,
                            (unsigned long long)mapping->offset);
                mapping->shown = false;
                shmem_unmap(device->maps.shmem, mapping);
        }
        if (pending)
                answer(device, id, error);
        else if (error < 0)
                break_device(device);
}

void device_shmem_failed(struct device *device, struct shmem_mapping *mapping)
{
        log_limited(LOG_LEVEL_WARNING,
                    "a part of a mapped file has gone under the guest's feet (cut short, or its medium "
                    "fails): there are "
                    "zeros now, and the device is broken dev=%s shmid=%u offset=%llu",
                    device->config->name, mapping->shmid, (unsigned long long)mapping->offset);
        break_device(device);
}

void device_shmem_ended(struct device *device, struct shmem_mapping *mapping)
{
        log_limited(
            LOG_LEVEL_WARNING,
            "the guest has come behind the end of a mapped file, which others have cut short: it finds zeros "
            "there dev=%s shmid=%u offset=%llu",
            device->config->name, mapping->shmid, (unsigned long long)mapping->offset);
}

static void on_map(struct device *device, const struct control_shmem *message)
{
        const struct shmem_request request = {.shmid = message->shmid,
                                              .writable = message->writable,
                                              .offset = message->offset,
                                              .len = message->len,
                                              .fd_offset = message->fd_offset};
        const bool again =
            shmem_find(device->maps.shmem, message->shmid, message->offset, message->len) != NULL;
        struct shmem_mapping *mapping;
        int r = device->maps.n_pending == LIMIT_SHMEM_PENDING
                    ? -EBUSY
                    : shmem_map(device->maps.shmem, &request, message->fd, &mapping);

        if (r < 0) {
                answer(device, message->id, r);
                return;
        }
        /* An orphan stays whose it was: a driver's is not the device's own because a successor asks for it. */
        if (!again)
                mapping->lasting = device->maps.due > 0;
        /* Before it is shown: a front end that refuses it at once says so from inside. */
        device->maps.pending[device->maps.n_pending++] =
            (struct device_map_pending){.mapping = mapping, .id = message->id};
        if (map_show(device, mapping)) {
                pending_drop(device, pending_find(device, mapping));
                answer(device, message->id, 0);
        }
}

/* One that is on its way to the front end still is nothing that a worker could name: it has no answer yet. */
static void on_unmap(struct device *device, const struct control_shmem *message)
{
        struct shmem_mapping *mapping =
            shmem_find(device->maps.shmem, message->shmid, message->offset, message->len);
        bool there = mapping && !mapping->orphan && !pending_find(device, mapping) &&
                     shmem_of_files(device->maps.shmem, mapping);

        if (there)
                map_remove(device, mapping);
        answer(device, message->id, there ? 0 : -ENOENT);
}

int device_shmem_message(struct device *device, const struct control_to_broker *message)
{
        if (message->kind == CONTROL_SHMEM_UNMAP) {
                on_unmap(device, &message->shmem);
                return 0;
        }
        on_map(device, &message->shmem);
        if (device->maps.due > 0 && --device->maps.due == 0)
                supervisor_try_serving(&device->supervisor);
        return 0;
}

/* ---- the life of workers ---- */

static bool has_memory(const struct shmem *shmem)
{
        for (unsigned i = 0; i < shmem_n_regions(shmem); i++)
                if (shmem_memory_fd(shmem, i) >= 0)
                        return true;
        return false;
}

int device_shmem_memory(struct device *device, int ret_fds[static LIMIT_SHMEM_REGIONS])
{
        const struct shmem *shmem = device->maps.shmem;
        int n = 0, r = 0;

        if (has_memory(shmem))
                supervisor_touched(&device->supervisor); /* a guest has written there */
        else
                r = shmem_make_memory(device->maps.shmem);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < shmem_n_regions(shmem); i++)
                if (shmem_memory_fd(shmem, i) >= 0)
                        ret_fds[n++] = shmem_memory_fd(shmem, i);
        return n;
}

int device_shmem_hello(struct device *device, uint32_t maps)
{
        if (maps > 0 && shmem_n_regions(device->maps.shmem) == 0)
                return -EPROTO;
        device->maps.due = maps;
        device_shmem_show_all(device);
        return 0;
}

bool device_shmem_is_primed(const struct device *device)
{
        return device->maps.due == 0;
}

void device_shmem_settle(struct device *device)
{
        remove_all(device, is_orphan);
}

void device_shmem_lost(struct device *device)
{
        while (device->maps.n_pending > 0)
                map_remove(device, device->maps.pending[0].mapping);
        device->maps.due = 0;
        shmem_orphan(device->maps.shmem);
}

void device_shmem_revoke(struct device *device)
{
        remove_all(device, each);
}

/* The front end's own reset may have taken away what it shows. */
void device_shmem_reset(struct device *device, bool worker_stays)
{
        remove_all(device, worker_stays ? is_passing_orphan : is_passing);
        if (worker_stays)
                return;
        /* What cannot be made now can be when the next worker starts, or that says why not. */
        if (!has_memory(device->maps.shmem))
                (void)shmem_make_memory(device->maps.shmem);
        device_shmem_hide_all(device);
        device_shmem_show_all(device);
}

/* ---- what the operator sees ---- */

void device_shmem_status(const struct device *device, struct admin_regions *ret_status)
{
        *ret_status = (struct admin_regions){.n = shmem_n_regions(device->maps.shmem),
                                             .mappings = (uint32_t)shmem_n_mappings(device->maps.shmem),
                                             .bytes = device_regions_bytes(device->config),
                                             .mapped_bytes = shmem_bytes(device->maps.shmem),
                                             .foreign_refused =
                                                 device->config->shmem.foreign_dma == FOREIGN_DMA_REFUSE};
        (void)device_regions_memory(device->config, &ret_status->memory_bytes);
}

void device_shmem_list(const struct device *device, struct admin_shmem *ret_shmem)
{
        size_t n = MIN(shmem_n_mappings(device->maps.shmem), (size_t)ADMIN_MAPS);

        for (size_t i = 0; i < n; i++) {
                const struct shmem_mapping *mapping = shmem_mapping_at(device->maps.shmem, i);

                ret_shmem->maps[i] =
                    (struct admin_map){.shmid = mapping->shmid,
                                       .writable = mapping->writable,
                                       .memory = !shmem_of_files(device->maps.shmem, mapping),
                                       .orphan = mapping->orphan,
                                       .shown = mapping->shown,
                                       .offset = mapping->offset,
                                       .len = mapping->len,
                                       .fd_offset = mapping->fd_offset,
                                       .dev = mapping->dev,
                                       .ino = mapping->ino};
        }
        ret_shmem->n = n;
}

/* ---- the life of the device ---- */

void device_shmem_place_fields(struct device *device)
{
        for (uint32_t i = 0; i < device->space.n_fields; i++)
                for (unsigned k = 0; k < device->maps.n_places; k++)
                        if (device->space.fields[i].region == device->maps.places[k].shmid + 1u)
                                config_space_set(&device->space, i, device->maps.places[k].gpa);
}

void device_place_region(struct device *device, uint8_t shmid, uint64_t gpa)
{
        if (device->maps.n_places == LIMIT_SHMEM_REGIONS)
                return;
        device->maps.places[device->maps.n_places].shmid = shmid;
        device->maps.places[device->maps.n_places++].gpa = gpa;
        device_shmem_place_fields(device);
}

const struct shmem *device_shmem(const struct device *device)
{
        return device->maps.shmem;
}

int device_shmem_open(struct device *device)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        unsigned n = device_regions(device->config, regions);
        struct shmem_limits limits = device->config->shmem.limits;

        if (limits.mappings == 0)
                limits.mappings = MAX((uint64_t)SHMEM_MAPPINGS, device_regions_granules(device->config));
        if (limits.bytes == 0)
                limits.bytes = device_regions_bytes(device->config);
        return shmem_new(regions, n, &limits, &device->maps.shmem);
}

void device_shmem_close(struct device *device)
{
        device->maps.shmem = shmem_free(device->maps.shmem);
}
