/* A VM's judged configuration, and its way from `bulkhead` to the broker (schema/config.proto).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/device_region.h"
#include "proto/device_type.h"

#define VM_CONFIG_NO_GID UINT32_MAX
#define VM_CONFIG_LOADER "loader" /* name of the worker that boots a VM: no device of it has that */

enum vm_frontend {
        VM_FRONTEND_VHOST_USER = 1, /* a VMM attaches to a socket a device */
        VM_FRONTEND_KVM,            /* the broker runs the VM itself */
        VM_FRONTEND_END_,
};

/* Where the guest's first serial port leads. */
enum vm_serial {
        VM_SERIAL_STDIO = 0, /* the broker's standard output and input */
        VM_SERIAL_NONE,      /* nowhere: the guest may write, nothing is read */
        VM_SERIAL_COUNT_,
};

/* What the broker gives a VM of its own; all zeros with another front end. */
struct kvm_config {
        uint32_t vcpus;  /* 1 .. LIMIT_VCPUS */
        uint64_t memory; /* bytes, whole VM_CONFIG_GUEST_UNIT */
        enum vm_serial serial;
};

/* What the kernel loader boots it with; empty texts with another front end. */
struct boot_config {
        char kernel[PATH_MAX];
        char initrd[PATH_MAX]; /* "": none */
        char cmdline[LIMIT_CMDLINE];
};

/* What a worker may use of its host, by its control group. 0: no limit of its own. */
struct device_limits {
        uint64_t memory;                /* bytes, for RLIMIT_AS too; 0: the VM's worker_memory_max */
        uint64_t cpu;                   /* percent of one CPU */
        uint64_t cpu_weight, io_weight; /* 1..10000, 100 is the kernel's default */
        uint64_t read_bps, write_bps;   /* bytes a second of the disk that the image lies on */
        uint64_t read_iops, write_iops; /* operations a second */
};

/* What the broker takes off a device's rings, a second. 0: no limit; of a burst: the default. */
struct device_rate {
        uint64_t ops, bytes; /* requests; bytes of their buffers */
        uint64_t ops_burst, bytes_burst;
};

/* How long parts of requests come to the worker and back. */
enum device_copy {
        DEVICE_COPY_AUTO = 0, /* by one system call, where the kernel lets us */
        DEVICE_COPY_SOCKET,   /* with the messages, always */
        DEVICE_COPY_COUNT_,
};

/* A range of guest-physical addresses. */
struct device_window {
        uint64_t start, size; /* whole LIMIT_WINDOW_PAGE, size > 0; start + size does not wrap */
};

/* How a device reaches the guest's memory. All zeros: every byte that its driver posts. */
struct device_memory {
        bool iotlb;         /* the VMM may have it use I/O virtual addresses (VIRTIO_F_ACCESS_PLATFORM) */
        uint32_t n_windows; /* 0: none; else nothing outside of them is reached */
        struct device_window windows[LIMIT_WINDOWS]; /* no two overlap */
        bool raw; /* there is one, and its worker reaches all of it by address, posted or not */
};

/* Where a lane's thread and its worker run. */
enum device_placement {
        DEVICE_PLACEMENT_FREE = 0, /* where the kernel puts them */
        DEVICE_PLACEMENT_AUTO,     /* on one CPU while that is faster (broker/core/placement.h) */
        DEVICE_PLACEMENT_COUNT_,
};

/* The register interface that its guest finds, in a VM of the broker's own (virtio 1.3, 1.3.1 and 4.2.4). */
enum device_legacy {
        DEVICE_LEGACY_OFF = 0,  /* the modern one */
        DEVICE_LEGACY_ONLY,     /* the legacy one, for a little-endian guest; */
        DEVICE_LEGACY_ONLY_BIG, /* ... for a big-endian one */
        DEVICE_LEGACY_COUNT_,
};

struct device_config {
        char name[LIMIT_NAME];
        enum device_type_id type;
        uint32_t n_queues;
        uint32_t n_lanes;
        uint32_t request_timeout; /* seconds that a worker may hold a request; 1 .. LIMIT_REQUEST_TIMEOUT_S */
        enum device_copy copy;
        uint32_t poll_us; /* looks for so long before it sleeps; 0 .. LIMIT_POLL_US */
        enum device_placement placement;
        struct device_limits limits;
        struct device_rate rate;
        struct device_shmem shmem;
        struct device_memory memory;
        enum device_legacy legacy;
        bool seccomp_log; /* development: calls out of policy are logged instead of killed. No key sets it */
        struct option_set options;      /* of its type; texts are the configuration's */
        const struct boot_config *boot; /* when it is DEVICE_TYPE_LOADER, which no VM's list has */
};

/* May its lane and its worker be confined to one CPU (broker/core/lane_place.h)? Where both spin, each would while the other has
 * work; and one worker cannot be with several lanes. */
static inline bool device_config_may_place(const struct device_config *config)
{
        return config->placement == DEVICE_PLACEMENT_AUTO && config->poll_us == 0 && config->n_lanes <= 1;
}

struct vm_config {
        char name[LIMIT_NAME];
        enum vm_frontend frontend;
        char run_dir[PATH_MAX];
        char worker_dir[PATH_MAX];
        uint32_t socket_mode; /* 0660 unless the configuration says otherwise */
        uint32_t socket_gid;  /* VM_CONFIG_NO_GID: leave it */
        uint32_t uid_first, uid_count;
        uint32_t worker_memory_max; /* bytes; never 0 here */
        struct kvm_config kvm;
        struct boot_config boot;
        struct device_config *devices;
        size_t n_devices;
};

#define VM_CONFIG_RUN_DIR "/run/bulkhead" /* root's, when none is named */

#define VM_CONFIG_UID_FIRST  1879048192u /* above what systemd and container managers hand out */
#define VM_CONFIG_UID_COUNT  65536u
#define VM_CONFIG_MEMORY_MAX (64u << 20)

#define VM_CONFIG_REQUEST_TIMEOUT (LIMIT_REQUEST_AGE_MS / 1000u)

#define VM_CONFIG_GUEST_MEMORY (UINT64_C(512) << 20) /* when the configuration says nothing */
#define VM_CONFIG_GUEST_MIN    ((uint64_t)LIMIT_KVM_MEMORY_MIN)
#define VM_CONFIG_GUEST_MAX    (UINT64_C(1) << 46) /* 64T: no sum of a memory map overflows; hosts have less */
#define VM_CONFIG_GUEST_UNIT   (UINT64_C(1) << 20) /* whole pages of any host, and of a size to be read */

/* Is this a good VM or device name? 1 to 63 of [A-Za-z0-9._-], not starting with '.' or '-'. */
bool vm_config_name_ok(const char *name);

/* Is this a good kernel command line? Printable ASCII that fits its place. */
bool vm_config_cmdline_ok(const char *cmdline);

/* Uids that a VM takes: the broker's, one a device, one a companion (sandbox/companion.h), and the kernel loader's where there is one. */
uint32_t vm_config_uids(const struct vm_config *config);

/* What the kernel loader is to the spawner, which starts workers by such rows: there is one, behind the last device, where
 * the front end is KVM. It borrows from `config`. */
bool vm_config_loader(const struct vm_config *config, struct device_config *ret_loader);

/* Open files that the broker has at once, at most; the spawner has fewer. */
uint32_t vm_config_files(const struct vm_config *config);

/* Bytes that this device's worker may have. */
uint32_t vm_config_memory(const struct vm_config *config, const struct device_config *device);

#define VM_CONFIG_RATE_MAX (UINT64_C(16) << 30) /* no device moves so much in a second */

/* A tenth of a second when the configuration does not say, and at least one large request. */
uint64_t vm_config_ops_burst(const struct device_rate *rate);
uint64_t vm_config_bytes_burst(const struct device_rate *rate);

/* Bytes of memory that each lane of this device's worker has for direct copies (Configure); 0: none. */
uint32_t vm_config_area(const struct vm_config *config, const struct device_config *device);

#define VM_CONFIG_WHY_BYTES 256u /* holds every sentence of the judge whole */

/* The whole judgement of a filled-in configuration, used by both sides. 0, or -EINVAL with one sentence in
 * `why`: what is wrong, and after a colon what to do. It is one line, with foreign bytes escaped. */
int vm_config_judge(const struct vm_config *config, char *why, size_t why_size);

/* The same without devices' options (option_set_judge), of which a configuration in the making has not all. */
int vm_config_judge_frame(const struct vm_config *config, char *why, size_t why_size);

/* wire -> judged. The caller frees with vm_config_done. -EPROTO: not our message. -EINVAL: `why` says. */
int vm_config_check(struct arena *arena, const uint8_t *bytes, size_t len, struct vm_config *ret_config,
                    char *why, size_t why_size);

/* struct -> wire. Returns the length, -E2BIG or -ENOMEM. */
ssize_t vm_config_make(const struct vm_config *config, uint8_t *buf, size_t size);

/* Frees devices, and the texts of their options. */
void vm_config_done(struct vm_config *config);
