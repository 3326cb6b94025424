/* A device as a front end sees it: features, config space, queues. Nothing below knows which front end it
 * has. All functions run on the broker's main thread and return at once; what takes time ends in a callback,
 * on the main thread, from the loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/features.h"
#include "broker/core/guest_memory.h"
#include "broker/core/queue.h"
#include "broker/core/shmem.h"

struct device;

/* What a device tells its front end. All optional. */
struct device_front {
        void *context;
        void (*ready)(void *context);          /* the worker has said Hello (again) */
        void (*config_changed)(void *context); /* the cached config space has changed */
        void (*broken)(void *context, unsigned queue, enum queue_fault fault);
        /* A running queue was kicked, not for the first time since its start, and every byte of its available
         * ring is zero: the memory is probably not the guest's (queue_avail_is_zero). Once a start. */
        void (*suspicious)(void *context, unsigned queue);
        /* Where used buffers are told before a queue's interrupt is signaled: bit 0 is set, by the lane (virtio
         * 1.3, 4.2.2, InterruptStatus). Latched when a queue starts; must outlive its run. NULL: nowhere. */
        atomic_uint *interrupt_status;
        /* A mapping of one of the device's shared memory regions is to appear to the guest. True: it is there. False: it will
         * be, or not: device_shmem_shown tells, once, perhaps from inside. It stays valid until shmem_hide. NULL: the guest sees no
         * regions. */
        bool (*shmem_show)(void *context, struct shmem_mapping *mapping);
        /* ... is not to be there any more: shown, or still on its way (then nothing is told). When this returns nobody reaches its
         * bytes through the broker. */
        void (*shmem_hide)(void *context, struct shmem_mapping *mapping);
        /* The device waits for a translation (device_translate) of a page, with these rights (IOTLB_READ, IOTLB_WRITE, or both). Asked
         * once; answered, some time, by device_iotlb_update of a range that holds it, or device_iotlb_missed. At most
         * LIMIT_IOTLB_MISSES are open. Never waits. NULL: nobody can be asked. */
        void (*iotlb_miss)(void *context, uint64_t iova, unsigned rights);
        /* Translations outlive a reset of the device: negotiated (IOTLB_PERSIST). They never outlive the front end. */
        bool iotlb_persists;
        /* Of registers, rings and configuration space: the operator's choice, never guessed. */
        enum guest_format format;
};

/* One front end at a time; NULL detaches: every queue must have been stopped. */
void device_attach(struct device *device, const struct device_front *front);

const char *device_name(const struct device *device);
uint32_t device_virtio_id(const struct device *device); /* virtio 1.3, 5 */
bool device_is_ready(
    const struct device *device); /* Hello has come once: the calls below give real answers */
unsigned device_n_queues(const struct device *device);
unsigned
device_queue_groups(const struct device *device); /* that front ends have a device each for; 1: none */

/* features_offered: the device type's bits and the broker's, in the front end's format; no transport bits. */
uint64_t device_features(const struct device *device);

/* Latches what the driver accepted. Bits that were not offered are cleared, not refused; a modern driver without
 * VERSION_1 is refused with -EPROTO. May be called again while no queue runs; while one runs only the same
 * set is accepted
 * (-EBUSY). */
int device_commit_features(struct device *device, uint64_t features);

/* What the front end has offered to the guest, and what has been agreed, with the transport's own bits: for `ps`, and nothing else. */
void device_show_features(struct device *device, uint64_t offered, uint64_t agreed);

/* Bytes of the config space, from the cache: little endian, or as the front end's format has it. Bytes behind the last field read as zero.
 * -EINVAL: outside LIMIT_CONFIG_BYTES. */
int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes);
uint32_t device_config_size(const struct device *device);

/* Is it the VMM's own over vhost-user? */
bool device_config_is_vmms(const struct device *device);

/* A driver's write; must hit exactly one writable field, or, by the legacy interface, a part of one, else -EINVAL. -EBUSY: the last one has not been
 * answered. `done` comes when the worker has taken it, with 0, or with its negative errno: then the field has
 * its old value again. */
int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context);

/* What the operator wants of the device (control.h), judged by control_setting_ok. 0: `done` comes, once, when the worker has
 * taken it, with 0; or with its negative errno (-EOPNOTSUPP: it has no such setting), or -EAGAIN: it has died over it. What was
 * taken stays, over resets and workers, until another value is. -EBUSY: one is under way, or was LIMIT_SETTING_MS ago;
 * -EAGAIN: no worker serves. */
struct control_setting;
int device_set(struct device *device, const struct control_setting *setting,
               void (*done)(void *context, int error), void *context);

/* The memory of whoever owns the rings; the device sees what lies in its windows, if it has any. When this returns every lane has
 * left the old snapshot. NULL: none. Takes a reference of its own. -ENOMEM, -E2BIG: the device sees nothing. */
int device_set_memory(struct device *device, struct guest_memory *memory);

/* Does the configuration let a VMM, or an IOMMU of the VM's own, translate (memory: iotlb)? */
bool device_may_translate(const struct device *device);

/* Is it behind an IOMMU of the VM's own (device_put_behind)? Then that tells its translations; a page that is missing is refused, and
 * the IOMMU's driver told (IommuFault): front.iotlb_miss is not called. */
bool device_is_behind(const struct device *device);

/* From now on, or no longer, layouts and buffers hold I/O virtual addresses. Off when a front end comes. -EBUSY: a queue runs;
 * -ENOMEM. Switched off, all translations are forgotten. */
int device_translate(struct device *device, bool on);

/* What the keeper of translations tells (iotlb.h), whose errors these give; -EPERM: the device does not translate. An update also
 * answers the misses that it holds, those for which it has too few rights like device_iotlb_missed, as does one of -ENOSPC or -ENOMEM;
 * lanes see it a little later, together with others. When an invalidation returns nobody reaches the range's bytes by the old translation
 * any more: every lane has left it; what a request in flight still needs of it is asked for again. */
struct iotlb_entry;
int device_iotlb_update(struct device *device, const struct iotlb_entry *entry);
int device_iotlb_invalidate(struct device *device, uint64_t iova, uint64_t len);

/* Nobody translates this page with the rights that were asked for: whoever waits for it has an error: a queue whose driver
 * posted it breaks (QUEUE_FAULT_ADDRESS), a request under way is failed. */
void device_iotlb_missed(struct device *device, uint64_t iova);

/* NULL: it does not translate. */
struct iotlb;
const struct iotlb *device_iotlb(const struct device *device);

/* In all its life: how often its front end was asked, and of how many pages nobody gave what was wanted. */
struct device_misses {
        uint64_t asked, refused;
        unsigned open; /* not answered yet */
};
struct device_misses device_iotlb_misses(const struct device *device);

/* Starts a queue on a latched layout. kick_fd and call_fd are duplicated; call_fd may be -1, kick_fd may not.
 * Looks at the ring at once, kick or not. -EINVAL, -EFAULT as queue_start; -EBUSY: it runs. */
int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd);

/* Changes the interrupt of a queue, running or not; -1: none. Effective when this returns. The fd is
 * duplicated. */
int device_queue_set_call(struct device *device, unsigned queue, int call_fd);

/* Signals an eventfd of a front end, which may have made it block: never from the main thread. False: it
 * would have waited; the front end deserves no further signal. */
bool device_signal(struct device *device, int fd);

/* Suspends: takes no new chain, waits for what is outstanding (LIMIT_DRAIN_MS, then the worker is killed and
 * its successor must fail the rest), then calls back with the base to go on from. Always calls back, once, never
 * from inside this call. */
void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context);
bool device_queue_running(const struct device *device, unsigned queue);

/* The shared memory regions of the device, for the life of it: also before it is ready. */
const struct shmem *device_shmem(const struct device *device);

/* Where a region lies in the guest, if the front end decides that: fields of the config space that tell of it have this value from
 * now on. Whole LIMIT_SHMEM_PAGE. */
void device_place_region(struct device *device, uint8_t shmid, uint64_t gpa);

/* What became of a mapping that shmem_show has put off: 0, or negative errno: the guest does not have it, and it is gone. Errors
 * also come of one that was said to be there, when a guest comes that does not get it: then the device is broken. */
void device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error);

/* The bytes of a mapping have been cut short, and a guest has run into that: the device is broken, as by QUEUE_FAULT_DEVICE. */
void device_shmem_failed(struct device *device, struct shmem_mapping *mapping);

/* Where files may end (device_region.h) a guest has come behind the end of one, and found zeros. Nothing is broken: how long files are
 * it can ask, and learns what it has done. */
void device_shmem_ended(struct device *device, struct shmem_mapping *mapping);

/* Device reset: outstanding requests are dropped without an answer, queues end stopped, callbacks of
 * device_queue_stop and device_config_write that have not come yet will not come, and the worker is replaced
 * by a new process (one that the guest has not touched stays). Returns at once; the device is usable at once
 * (requests wait for the new worker). */
void device_reset(struct device *device);
