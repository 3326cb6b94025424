/* The judgement of a VM's configuration, one sentence with a remedy per refusal.
 * Owns nothing but what vm_config_done frees; called by `bulkhead`, which has read the YAML, and by the
 * broker, which trusts nobody's reading.
 * TRUST: values are the operator's, by way of a message on the broker's side; what they name goes into
 * sentences only escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/device_resource.h"
#include "proto/vm_config_kvm.h"
#include "proto/vm_config_memory.h"
#include "proto/vm_config_share.h"
#include "proto/refuse.h"

#define UID_MIN_ALLOWED  1000u      /* below are the system's own */
#define UID_NOBODY       65534u     /* what unmapped ids look like: anybody's */
#define UID_UNSET_16     65535u     /* -1 of the 16-bit system calls */
#define UID_UNSET        UINT32_MAX /* -1: "no change" to setresuid(2) */
#define MEMORY_MIN_BYTES (8u << 20) /* a worker with a full batch needs about 3 MiB */
#define MEMORY_LANE_MIN  (2u << 20) /* and about 1.5 MiB for each further lane */
#define AREA_SHARE       4u /* of its memory, for direct copies; the rest is for what it needs otherwise */
#define WEIGHT_MAX       10000u     /* of the kernel */
#define BPS_MIN          (1u << 20) /* a slower disk would not finish a large request before it is too old */
#define IOPS_MIN         10u        /* likewise */

bool vm_config_name_ok(const char *name)
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        size_t len = strnlen(name, LIMIT_NAME);

        if (len == 0 || len >= LIMIT_NAME || name[0] == '.' || name[0] == '-')
                return false;
        return strspn(name, allowed) == len;
}

static int judge_name(const char *what, const char *name, char *why, size_t why_size)
{
        char shown[SHOWN_BYTES];

        if (vm_config_name_ok(name))
                return 0;
        log_escape(name, strnlen(name, LIMIT_NAME), shown, sizeof(shown));
        return refuse(
            why, why_size,
            "%s name \"%s\" cannot be a file name: use 1 to %u of A-Z a-z 0-9 . _ - and start with a letter, "
            "a digit or _",
            what, shown, LIMIT_NAME - 1);
}

static int judge_path(const char *what, const char *path, char *why, size_t why_size)
{
        char shown[SHOWN_BYTES];

        if (path[0] == '/' && strnlen(path, PATH_MAX) < PATH_MAX)
                return 0;
        log_escape(path, strnlen(path, LIMIT_NAME), shown, sizeof(shown));
        return refuse(why, why_size, "%s \"%s\" is not absolute: write the whole path, from / on", what,
                      shown);
}

static int judge_options(const struct device_config *device, char *why, size_t why_size)
{
        const struct device_type *type = &device_types[device->type];
        char sentence[VM_CONFIG_WHY_BYTES];
        uint32_t queues;

        if (option_set_judge(type, &device->options, sentence, sizeof(sentence)) < 0)
                return refuse(why, why_size, "device %s: %s", device->name, sentence);
        queues = type->queues ? type->queues(&device->options) : device->n_queues;
        if (device->n_queues == queues)
                return 0;
        return refuse(why, why_size, "device %s: queues is %u: its options lead to %u: remove it",
                      device->name, device->n_queues, queues);
}

static const struct {
        const char *name;
        size_t offset;
        uint64_t min, max; /* 0 is none, and always good */
        bool disk;         /* only for a device with an image */
        const char *remedy;
} limit_rows[] = {
    {"memory", offsetof(struct device_limits, memory), MEMORY_MIN_BYTES, UINT32_MAX, false,
     "use 8M at least, and less than 4G"},
    {"cpu", offsetof(struct device_limits, cpu), 1, 100, false,
     "use 1% to 100%, which is what its one thread can have"},
    {"cpu_weight", offsetof(struct device_limits, cpu_weight), 1, WEIGHT_MAX, false, "use 1 to 10000"},
    {"io_weight", offsetof(struct device_limits, io_weight), 1, WEIGHT_MAX, true, "use 1 to 10000"},
    {"read_bps", offsetof(struct device_limits, read_bps), BPS_MIN, INT64_MAX, true, "use 1M at least"},
    {"write_bps", offsetof(struct device_limits, write_bps), BPS_MIN, INT64_MAX, true, "use 1M at least"},
    {"read_iops", offsetof(struct device_limits, read_iops), IOPS_MIN, UINT32_MAX, true, "use 10 at least"},
    {"write_iops", offsetof(struct device_limits, write_iops), IOPS_MIN, UINT32_MAX, true, "use 10 at least"},
};
_Static_assert(array_size(limit_rows) * sizeof(uint64_t) == sizeof(struct device_limits), "one row a limit");

static int judge_limits(const struct device_config *device, char *why, size_t why_size)
{
        for (size_t i = 0; i < array_size(limit_rows); i++) {
                uint64_t value;

                memcpy(&value, (const uint8_t *)&device->limits + limit_rows[i].offset, sizeof(value));
                if (value == 0)
                        continue;
                if (limit_rows[i].disk && device->type != DEVICE_TYPE_BLK)
                        return refuse(why, why_size, "device %s: limits: %s: %s has no disk: remove it",
                                      device->name, limit_rows[i].name, device_types[device->type].name);
                if (value < limit_rows[i].min || value > limit_rows[i].max)
                        return refuse(why, why_size, "device %s: limits: %s is %" PRIu64 ": %s", device->name,
                                      limit_rows[i].name, value, limit_rows[i].remedy);
        }
        return 0;
}

uint32_t vm_config_files(const struct vm_config *config)
{
        const bool kvm = config->frontend == VM_FRONTEND_KVM;
        uint32_t n = 128; /* loop, sockets, clients, a session's messages in flight */

        for (size_t i = 0; i < config->n_devices; i++)
                n += 32 + 16u * config->devices[i].n_queues + 8u * config->devices[i].n_lanes;
        if (!kvm)
                return n;
        n += 8 + LIMIT_BOOT_RAM + config->kvm.vcpus; /* its own, the loader's, the loop's */
        for (size_t i = 0; i < config->n_devices; i++)
                n += 1 + config->devices[i].n_queues; /* interrupt, kicks */
        return n;
}

uint32_t vm_config_memory(const struct vm_config *config, const struct device_config *device)
{
        return device->limits.memory ? (uint32_t)device->limits.memory : config->worker_memory_max;
}

uint64_t vm_config_ops_burst(const struct device_rate *rate)
{
        return rate->ops_burst ? rate->ops_burst : MAX(rate->ops / 10, UINT64_C(1));
}

uint64_t vm_config_bytes_burst(const struct device_rate *rate)
{
        return rate->bytes_burst ? rate->bytes_burst : MAX(rate->bytes / 10, (uint64_t)LIMIT_FRAME_PAYLOAD);
}

/* A burst is what comes in while a lane sleeps: with less than a hundredth of a second's worth, which is some turns of
 * its clock, the rate itself could not be had. */
static int judge_rate_of(const struct device_config *device, const char *name, uint64_t rate, uint64_t burst,
                         uint64_t least, uint64_t most, char *why, size_t why_size)
{
        if (rate == 0 && burst != 0)
                return refuse(why, why_size, "device %s: rate: %s_burst without %s: add that or remove this",
                              device->name, name, name);
        if (rate != 0 && (rate < least || rate > most))
                return refuse(why, why_size,
                              "device %s: rate: %s is %" PRIu64 ": use %" PRIu64 " to %" PRIu64, device->name,
                              name, rate, least, most);
        if (burst != 0 && (burst < (rate + 99) / 100 || burst > most))
                return refuse(why, why_size,
                              "device %s: rate: %s_burst is %" PRIu64 ": use %" PRIu64
                              " (a hundredth of %s) to %" PRIu64,
                              device->name, name, burst, (rate + 99) / 100, name, most);
        return 0;
}

static int judge_rate(const struct device_config *device, char *why, size_t why_size)
{
        const struct device_rate *rate = &device->rate;

        if (judge_rate_of(device, "ops", rate->ops, rate->ops_burst, IOPS_MIN, UINT32_MAX, why, why_size) < 0)
                return -EINVAL;
        return judge_rate_of(device, "bytes", rate->bytes, rate->bytes_burst, BPS_MIN, VM_CONFIG_RATE_MAX,
                             why, why_size);
}

/* Whether the regions are good in themselves is their type's business (device_region.c). */
static int judge_shmem(const struct device_config *device, char *why, size_t why_size)
{
        const struct device_shmem *shmem = &device->shmem;
        const struct device_type *type = &device_types[device->type];

        if (shmem->map && !type->regions)
                return refuse(why, why_size,
                              "device %s: shmem is map: %s has no shared memory regions: remove it",
                              device->name, type->name);
        if (!shmem->map && type->regions_needed)
                return refuse(why, why_size,
                              "device %s: %s is nothing but a shared memory region: add shmem: map",
                              device->name, type->name);
        if (!shmem->map && (shmem->limits.mappings > 0 || shmem->limits.bytes > 0 ||
                            shmem->foreign_dma != FOREIGN_DMA_ALLOW))
                return refuse(why, why_size,
                              "device %s: shmem_limits without shmem: map: add that or remove this",
                              device->name);
        if (shmem->limits.mappings > LIMIT_SHMEM_MAPPINGS)
                return refuse(why, why_size, "device %s: shmem_limits: mappings is %" PRIu64 ": use 1 to %u",
                              device->name, shmem->limits.mappings, LIMIT_SHMEM_MAPPINGS);
        if (shmem->limits.bytes > LIMIT_SHMEM_LEN ||
            (shmem->limits.bytes > 0 && shmem->limits.bytes < LIMIT_SHMEM_PAGE))
                return refuse(why, why_size, "device %s: shmem_limits: bytes is %" PRIu64 ": use 4K to 1024G",
                              device->name, shmem->limits.bytes);
        if ((unsigned)shmem->foreign_dma >= FOREIGN_DMA_COUNT_)
                return refuse(why, why_size,
                              "device %s: shmem_limits: there is no such foreign_dma: use allow or refuse",
                              device->name);
        return 0;
}

/* No lane without a queue, and each has buffers of its own in the worker. */
static int judge_lanes(const struct vm_config *config, const struct device_config *device, char *why,
                       size_t why_size)
{
        const uint32_t most = MIN(device->n_queues, LIMIT_LANES);
        uint32_t need;

        if (device->n_lanes < 1 || device->n_lanes > most)
                return refuse(why, why_size,
                              "device %s: lanes is %u: use 1 to %u (not more than queues, which is %u)",
                              device->name, device->n_lanes, most, device->n_queues);
        need = MEMORY_MIN_BYTES + (device->n_lanes - 1) * MEMORY_LANE_MIN;
        if (vm_config_memory(config, device) < need)
                return refuse(
                    why, why_size,
                    "device %s: lanes is %u: its worker needs %uM for them: use fewer, or give it more "
                    "memory under limits",
                    device->name, device->n_lanes, need >> 20);
        return 0;
}

uint32_t vm_config_area(const struct vm_config *config, const struct device_config *device)
{
        uint32_t len = vm_config_memory(config, device) / AREA_SHARE / device->n_lanes;

        if (device->copy == DEVICE_COPY_SOCKET)
                return 0;
        return MIN(len, LIMIT_AREA) / LIMIT_AREA_PAGE * LIMIT_AREA_PAGE;
}

/* RUNDIR/<vm>/<name>.sock must fit a socket address with its NUL. */
static int judge_socket_path(const struct vm_config *config, const char *what, const char *name, char *why,
                             size_t why_size)
{
        const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
        size_t len = strlen(config->run_dir) + 1 + strlen(config->name) + 1 + strlen(name) + strlen(".sock");

        if (len <= room)
                return 0;
        return refuse(why, why_size,
                      "%s%s: its socket's path would have %zu bytes, Unix sockets have room for %zu: "
                      "use a shorter "
                      "run directory or shorter names",
                      what, name, len, room);
}

/* A VM of our own has no socket a device. */
static int judge_device_socket(const struct vm_config *config, const struct device_config *device, char *why,
                               size_t why_size)
{
        if (config->frontend == VM_FRONTEND_KVM)
                return 0;
        return judge_socket_path(config, "device ", device->name, why, why_size);
}

/* "2, 4, 6 .. 16", as far as it matters. */
static int judge_queues(const struct vm_config *config, const struct device_config *device,
                        const struct device_type *type, char *why, size_t why_size)
{
        bool own_vmm = config->frontend == VM_FRONTEND_KVM;

        if (device_type_queues_ok(type, own_vmm, device->n_queues))
                return 0;
        if (type->queue_group > 1)
                return refuse(why, why_size, "device %s: queues is %u: %s has %u a pair%s, up to %u",
                              device->name, device->n_queues, type->name, type->queue_group,
                              own_vmm && type->own_queues > 0 ? ", and one for commands" : "",
                              type->max_queues);
        return refuse(why, why_size, "device %s: queues is %u: %s has 1 to %u", device->name,
                      device->n_queues, type->name, type->max_queues);
}

static int judge_device(const struct vm_config *config, size_t index, char *why, size_t why_size)
{
        const struct device_config *device = &config->devices[index];
        const struct device_type *type;

        if (judge_name("device", device->name, why, why_size) < 0)
                return -EINVAL;
        if (config->frontend == VM_FRONTEND_KVM && strcmp(device->name, VM_CONFIG_LOADER) == 0)
                return refuse(why, why_size,
                              "no device can be called " VM_CONFIG_LOADER
                              ": the worker that boots the VM is");
        if (strcmp(device->name, "admin") == 0)
                return refuse(why, why_size,
                              "no device can be called admin: admin.sock is the VM's own socket");
        for (size_t i = 0; i < index; i++)
                if (strcmp(config->devices[i].name, device->name) == 0)
                        return refuse(why, why_size, "two devices are named %s: rename one of them",
                                      device->name);
        if ((unsigned)device->type >= DEVICE_TYPE_COUNT_)
                return refuse(why, why_size,
                              "device %s: there is no such type: use blk, rng, net, console, vsock, fs, "
                              "pmem, sample or iommu",
                              device->name);
        type = &device_types[device->type];
        if (judge_queues(config, device, type, why, why_size) < 0)
                return -EINVAL;
        if (device->request_timeout < 1 || device->request_timeout > LIMIT_REQUEST_TIMEOUT_S)
                return refuse(why, why_size, "device %s: request_timeout is %u: use 1 to %u seconds",
                              device->name, device->request_timeout, LIMIT_REQUEST_TIMEOUT_S);
        if ((unsigned)device->copy >= DEVICE_COPY_COUNT_)
                return refuse(why, why_size, "device %s: there is no such copy: use auto or socket",
                              device->name);
        if (device->poll_us > LIMIT_POLL_US)
                return refuse(why, why_size, "device %s: poll_us is %u: use 0 to %u microseconds",
                              device->name, device->poll_us, LIMIT_POLL_US);
        if ((unsigned)device->placement >= DEVICE_PLACEMENT_COUNT_)
                return refuse(why, why_size, "device %s: there is no such placement: use auto or free",
                              device->name);
        if (judge_device_socket(config, device, why, why_size) < 0 ||
            judge_limits(device, why, why_size) < 0 || judge_rate(device, why, why_size) < 0 ||
            judge_shmem(device, why, why_size) < 0 || vm_config_judge_memory(device, why, why_size) < 0 ||
            vm_config_judge_legacy(config, device, why, why_size) < 0 ||
            judge_lanes(config, device, why, why_size) < 0)
                return -EINVAL;
        return 0;
}

uint32_t vm_config_uids(const struct vm_config *config)
{
        uint32_t n = 1 + (uint32_t)config->n_devices + (config->frontend == VM_FRONTEND_KVM);

        for (size_t i = 0; i < config->n_devices; i++)
                n += device_companion(&config->devices[i]) != NULL;
        return n;
}

bool vm_config_loader(const struct vm_config *config, struct device_config *ret_loader)
{
        if (config->frontend != VM_FRONTEND_KVM)
                return false;
        /* Long messages only. And what a file system is slow with, on its way into a pipe, would hold the pipe's reader. */
        *ret_loader = (struct device_config){.name = VM_CONFIG_LOADER,
                                             .type = DEVICE_TYPE_LOADER,
                                             .n_lanes = 1,
                                             .copy = DEVICE_COPY_SOCKET,
                                             .boot = &config->boot};
        return true;
}

/* None of the range anybody else's. */
static int judge_uids(const struct vm_config *config, char *why, size_t why_size)
{
        static const uint32_t foreign[] = {UID_NOBODY, UID_UNSET_16, UID_UNSET};
        uint64_t end = (uint64_t)config->uid_first + config->uid_count;

        if (config->uid_first < UID_MIN_ALLOWED)
                return refuse(why, why_size,
                              "the uid range starts at %u, among the system's own: start at %u or above",
                              config->uid_first, UID_MIN_ALLOWED);
        if (config->uid_count < vm_config_uids(config))
                return refuse(
                    why, why_size,
                    "the uid range has %u ids: %u are needed, one for the broker%s, one a device, and one "
                    "for each passt and vsock proxy: widen it",
                    config->uid_count, vm_config_uids(config),
                    config->frontend == VM_FRONTEND_KVM ? ", one for the kernel's loader" : "");
        if (end > (uint64_t)UINT32_MAX + 1)
                return refuse(why, why_size,
                              "the uid range passes the largest uid: start it lower or make it shorter");
        for (size_t i = 0; i < array_size(foreign); i++)
                if (range_within(foreign[i], 1, config->uid_first, config->uid_count))
                        return refuse(why, why_size,
                                      "the uid range %u to %" PRIu64
                                      " holds %u, which is nobody's own: move the range",
                                      config->uid_first, end - 1, foreign[i]);
        return 0;
}

static int judge_vm(const struct vm_config *config, char *why, size_t why_size)
{
        if (judge_name("VM", config->name, why, why_size) < 0 ||
            judge_path("run directory", config->run_dir, why, why_size) < 0 ||
            judge_path("worker directory", config->worker_dir, why, why_size) < 0)
                return -EINVAL;
        if (strcmp(config->name, "uids") == 0)
                return refuse(why, why_size,
                              "no VM can be called uids: the run directory keeps its uids there");
        if (config->frontend < VM_FRONTEND_VHOST_USER || config->frontend >= VM_FRONTEND_END_)
                return refuse(why, why_size, "there is no such frontend: use vhost-user or kvm");
        if ((config->socket_mode & ~0777u) != 0 || (config->socket_mode & 0600u) != 0600u)
                return refuse(why, why_size,
                              "socket mode 0%o is not usable: use 0660 or another mode from 0600 to 0777",
                              config->socket_mode);
        if (config->worker_memory_max < MEMORY_MIN_BYTES)
                return refuse(why, why_size, "worker memory is %u bytes: a worker needs %u (8 MiB) at least",
                              config->worker_memory_max, MEMORY_MIN_BYTES);
        return 0;
}

int vm_config_judge_frame(const struct vm_config *config, char *why, size_t why_size)
{
        if (judge_vm(config, why, why_size) < 0 || vm_config_judge_kvm(config, why, why_size) < 0)
                return -EINVAL;
        if (config->n_devices < 1)
                return refuse(why, why_size, "the VM has no devices: add one under devices:");
        if (config->n_devices > LIMIT_DEVICES)
                return refuse(why, why_size, "the VM has %zu devices: %u is the most: leave some out",
                              config->n_devices, LIMIT_DEVICES);
        for (size_t i = 0; i < config->n_devices; i++)
                if (judge_device(config, i, why, why_size) < 0)
                        return -EINVAL;
        if (judge_socket_path(config, "", "admin", why, why_size) < 0)
                return -EINVAL;
        return judge_uids(config, why, why_size);
}

static int judge_region_lengths(const struct device_config *device, char *why, size_t why_size)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        unsigned n = device_regions(device, regions);

        for (unsigned i = 0; i < n; i++)
                if (regions[i].len == 0 || regions[i].len > LIMIT_SHMEM_LEN ||
                    regions[i].len % LIMIT_SHMEM_PAGE != 0)
                        return refuse(why, why_size,
                                      "device %s: its shared memory region %u is %" PRIu64
                                      " bytes: use whole 4K, 1024G at most",
                                      device->name, regions[i].shmid, regions[i].len);
        return 0;
}

/* What their options lead to, and whether that may be. */
static int judge_window(const struct device_config *device, char *why, size_t why_size)
{
        const struct device_type *type = &device_types[device->type];
        const struct device_shmem *shmem = &device->shmem;
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        uint64_t granules = device_regions_granules(device);
        bool asked = type->regions_asked && type->regions(&device->options, regions) > 0;

        if (shmem->map && type->regions_asked && !asked)
                return refuse(why, why_size,
                              "device %s: shmem is map, but there is no region: add dax_window, or remove it",
                              device->name);
        if (!shmem->map && asked)
                return refuse(why, why_size, "device %s: dax_window without shmem: map: add that",
                              device->name);
        if (shmem->limits.mappings > 0 && shmem->limits.mappings < granules)
                return refuse(why, why_size,
                              "device %s: shmem_limits: mappings is %" PRIu64 ": its window takes %" PRIu64
                              ": use that, or remove it",
                              device->name, shmem->limits.mappings, granules);
        if (granules > 0 && shmem->limits.bytes > 0 && shmem->limits.bytes < device_regions_bytes(device))
                return refuse(why, why_size,
                              "device %s: shmem_limits: bytes is %" PRIu64 ": its window takes %" PRIu64
                              ": use that, or remove it",
                              device->name, shmem->limits.bytes, device_regions_bytes(device));
        return 0;
}

/* By their options. QEMU packs them into one BAR, whose size it takes as it is, and ends when that is no power of two. */
static int judge_regions(const struct vm_config *config, const struct device_config *device, char *why,
                         size_t why_size)
{
        uint64_t bytes = device_regions_bytes(device);

        if (judge_region_lengths(device, why, why_size) < 0)
                return -EINVAL;
        if (config->frontend != VM_FRONTEND_VHOST_USER || bytes == 0 || is_power_of_2(bytes))
                return 0;
        return refuse(why, why_size,
                      "device %s: its shared memory regions are %" PRIu64
                      " bytes together, which by vhost-user must be a power of two: resize them",
                      device->name, bytes);
}

int vm_config_judge(const struct vm_config *config, char *why, size_t why_size)
{
        if (vm_config_judge_frame(config, why, why_size) < 0)
                return -EINVAL;
        for (size_t i = 0; i < config->n_devices; i++)
                if (judge_options(&config->devices[i], why, why_size) < 0 ||
                    judge_window(&config->devices[i], why, why_size) < 0 ||
                    judge_regions(config, &config->devices[i], why, why_size) < 0)
                        return -EINVAL;
        if (vm_config_judge_iommu(config, why, why_size) < 0)
                return -EINVAL;
        return vm_config_judge_shares(config, why, why_size);
}

void vm_config_done(struct vm_config *config)
{
        for (size_t i = 0; i < config->n_devices; i++)
                option_set_done(&device_types[config->devices[i].type], &config->devices[i].options);
        free(config->devices);
        config->devices = NULL;
        config->n_devices = 0;
}
