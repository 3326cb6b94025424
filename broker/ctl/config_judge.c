/* A document's values, judged where they stand.
 * Owns a growing vm_config of the values that were good; called by config_load.c after config_walk.c.
 *
 * How it works: we begin with a good configuration and put the file's values in one by one (config_step.c);
 * then come the rules that only this side has: keys that belong to a type or a front end, reserved names,
 * files on this host.
 *
 * TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/config_host.h"
#include "broker/ctl/config_judge_kvm.h"
#include "broker/ctl/config_judge_option.h"
#include "broker/ctl/config_schema.h"
#include "broker/ctl/config_step.h"
#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static int set_name(const char *what, const char *text, char ret_name[static LIMIT_NAME], char *why,
                    size_t why_size)
{
        char shown[JUDGE_WHY / 4];

        if (!vm_config_name_ok(
                text)) /* said here and not by the judge: the text may be longer than its field */
                return judge_refuse(
                    why, why_size,
                    "%s name \"%s\" cannot be a file name: use 1 to %u of A-Z a-z 0-9 . _ - and start "
                    "with a letter, a digit or _",
                    what, log_escape(text, strlen(text), shown, sizeof(shown)), LIMIT_NAME - 1);
        memcpy(ret_name, text, strlen(text) + 1);
        return 0;
}

static int set_vm(struct judge *judge, const char *text, char *why, size_t why_size)
{
        return set_name("VM", text, judge->vm.name, why, why_size);
}

/* Blanks and commas would have to be quoted for the shell and for QEMU in each line that `attach` prints. */
static int set_run_dir(struct judge *judge, const char *text, char *why, size_t why_size)
{
        for (const char *c = text; *c; c++)
                if (*c <= 0x20 || *c >= 0x7f || *c == ',')
                        return judge_refuse(
                            why, why_size,
                            "run_dir: use printable ASCII without blanks and commas, so that it can stand "
                            "in a VMM's arguments");
        if (judge->context->run_dir_given)
                return 0;
        return judge_set_path(judge, "run_dir", text, judge->vm.run_dir, why, why_size);
}

static int set_socket_mode(struct judge *judge, const char *text, char *why, size_t why_size)
{
        if (config_value_mode(text, &judge->vm.socket_mode) == 0)
                return 0;
        return judge_refuse(why, why_size, "mode: use an octal number such as \"0660\"");
}

static int set_socket_group(struct judge *judge, const char *text, char *why, size_t why_size)
{
        char shown[JUDGE_WHY / 4];

        if (config_value_group(text, &judge->vm.socket_gid) == 0)
                return 0;
        return judge_refuse(why, why_size,
                            "group: this host has no group \"%s\": make it with groupadd, or name another",
                            log_escape(text, strlen(text), shown, sizeof(shown)));
}

static int set_worker_memory(struct judge *judge, const char *text, char *why, size_t why_size)
{
        uint64_t bytes;

        if (config_value_size(text, &bytes) == 0 && checked_u32(bytes, &judge->vm.worker_memory_max))
                return 0;
        return judge_refuse(why, why_size, "worker_memory: use a number below 4G, such as 64M");
}

static int set_uid_first(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->vm.uid_first) < 0 ? -ENOMSG : 0;
}

static int set_uid_count(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->vm.uid_count) < 0 ? -ENOMSG : 0;
}

static int set_device_name(struct judge *judge, const char *text, char *why, size_t why_size)
{
        return set_name("device", text, judge->device->name, why, why_size);
}

static int set_queues(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->device->n_queues) < 0 ? -ENOMSG : 0;
}

static int set_lanes(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->device->n_lanes) < 0 ? -ENOMSG : 0;
}

static int set_request_timeout(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->device->request_timeout) < 0 ? -ENOMSG : 0;
}

static int set_poll_us(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->device->poll_us) < 0 ? -ENOMSG : 0;
}

/* Another word is a mistake of its own (config_walk.c). */
static int set_shmem(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        judge->device->shmem.map = strcmp(text, "map") == 0;
        return 0;
}

/* Likewise. */
static int set_legacy(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        judge->device->legacy = strcmp(text, "only") == 0              ? DEVICE_LEGACY_ONLY
                                : strcmp(text, "only-big-endian") == 0 ? DEVICE_LEGACY_ONLY_BIG
                                                                       : DEVICE_LEGACY_OFF;
        return 0;
}

static int set_iotlb(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_bool(text, &judge->device->memory.iotlb) < 0 ? -ENOMSG : 0;
}

static int set_window_start(struct judge *judge, const char *text, char *why, size_t why_size)
{
        if (config_value_address(text, &judge->window_start) == 0 &&
            judge->window_start % LIMIT_WINDOW_PAGE == 0)
                return 0;
        return judge_refuse(why, why_size, "start: use an address of whole %u, such as 0x80000000",
                            LIMIT_WINDOW_PAGE);
}

/* The second of the two: with it the window can be judged. */
static int set_window_size(struct judge *judge, const char *text, char *why, size_t why_size)
{
        struct device_memory *memory = &judge->device->memory;
        uint64_t size;

        if (config_value_size(text, &size) < 0 || size % LIMIT_WINDOW_PAGE != 0)
                return judge_refuse(why, why_size, "size: use a size of whole %u, such as 64M",
                                    LIMIT_WINDOW_PAGE);
        memory->windows[memory->n_windows++] =
            (struct device_window){.start = judge->window_start, .size = size};
        return 0;
}

/* Both at once, for the same reason. */
static int set_raw_size(struct judge *judge, const char *text, char *why, size_t why_size)
{
        judge->device->memory.raw = true;
        return set_window_size(judge, text, why, why_size);
}

#define LIMIT(field) #field, offsetof(struct device_config, limits.field)
#define RATE(field)  #field, offsetof(struct device_config, rate.field)
#define SHMEM(field) #field, offsetof(struct device_config, shmem.limits.field)

static const struct limit_key {
        const char *group, *key;
        size_t offset;                                       /* in struct device_config */
        int (*parse)(const char *text, uint64_t *ret_value); /* NULL: a whole number */
        const char *remedy;
} limit_keys[] = {
    {"limits", LIMIT(memory), config_value_size, "use a size such as 64M"},
    {"limits", LIMIT(cpu), config_value_percent, "use a percentage such as 50%"},
    {"limits", LIMIT(cpu_weight), NULL, NULL},
    {"limits", LIMIT(io_weight), NULL, NULL},
    {"limits", LIMIT(read_bps), config_value_size, "use a size such as 100M"},
    {"limits", LIMIT(write_bps), config_value_size, "use a size such as 100M"},
    {"limits", LIMIT(read_iops), NULL, NULL},
    {"limits", LIMIT(write_iops), NULL, NULL},
    {"rate", RATE(ops), NULL, NULL},
    {"rate", RATE(bytes), config_value_size, "use a size such as 100M"},
    {"rate", RATE(ops_burst), NULL, NULL}, /* behind what they are bursts of */
    {"rate", RATE(bytes_burst), config_value_size, "use a size such as 16M"},
    {"shmem_limits", SHMEM(mappings), NULL, NULL},
    {"shmem_limits", SHMEM(bytes), config_value_size, "use a size such as 1G"},
};
_Static_assert(array_size(limit_keys) * sizeof(uint64_t) ==
                   sizeof(struct device_limits) + sizeof(struct device_rate) + sizeof(struct shmem_limits),
               "one row a limit");

static int set_limit(struct judge *judge, const char *text, char *why, size_t why_size)
{
        const struct limit_key *row = judge->limit;
        uint64_t value;
        uint32_t number;

        if (!row->parse && config_value_uint(text, &number) < 0)
                return -ENOMSG;
        if (row->parse && row->parse(text, &value) < 0)
                return judge_refuse(why, why_size, "%s: %s", row->key, row->remedy);
        if (!row->parse && number == 0)
                return judge_refuse(why, why_size, "%s: 0 is no limit: remove it", row->key);
        if (!row->parse)
                value = number;
        memcpy((uint8_t *)judge->device + row->offset, &value, sizeof(value));
        return 0;
}

/* Both ends of the range are judged together: each is good or bad only with the other. */
static void judge_uids(struct judge *judge, const yaml_node_t *root)
{
        const yaml_node_t *uids = config_document_find(judge->document, root, "uids");
        const char *first = config_document_text(config_document_find(judge->document, uids, "first"));
        const char *count = config_document_text(config_document_find(judge->document, uids, "count"));
        char why[JUDGE_WHY];

        if (!uids || uids->type != YAML_MAPPING_NODE)
                return;
        if ((first && set_uid_first(judge, first, why, sizeof(why)) < 0) ||
            (count && set_uid_count(judge, count, why, sizeof(why)) < 0))
                return;
        if (vm_config_judge_frame(&judge->vm, why, sizeof(why)) < 0)
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, uids, "%s", why);
}

static void judge_socket(struct judge *judge, const yaml_node_t *root)
{
        const yaml_node_t *mapping = config_document_find(judge->document, root, "socket");
        const yaml_node_t *mode = judge_value(judge, mapping, "mode", set_socket_mode);

        judge_value(judge, mapping, "group", set_socket_group);
        if (mode && (judge->vm.socket_mode & 0007u) != 0)
                config_document_mistake(judge->mistakes, MISTAKE_WARNING, mode,
                                        "mode 0%o lets every user of this host attach to the devices",
                                        judge->vm.socket_mode);
}

/* What the device names on this host. Warns where it would start, but not as meant. */
static void judge_host(struct judge *judge, const yaml_node_t *mapping)
{
        const yaml_node_t *node;
        const char *key = NULL;
        char why[JUDGE_WHY];
        int r;

        r = config_host_device(judge->device, &key, why, sizeof(why));
        if (r == 0)
                return;
        node = key ? config_document_find(judge->document, mapping, key) : NULL;
        config_document_mistake(judge->mistakes,
                                r == -EBUSY && !judge->context->in_use_is_error ? MISTAKE_WARNING
                                                                                : MISTAKE_ERROR,
                                node ? node : mapping, "%s", why);
}

static int judge_type(struct judge *judge, const yaml_node_t *mapping)
{
        const char *text = config_document_text(config_document_find(judge->document, mapping, "type"));
        const struct device_type *type = text ? device_type_find(text) : NULL;

        judge->type_known = type != NULL;
        judge->device->type = type ? (enum device_type_id)(type - device_types) : DEVICE_TYPE_RNG;
        judge->device->n_queues = device_type_default_queues(&device_types[judge->device->type],
                                                             judge->vm.frontend == VM_FRONTEND_KVM);
        judge->device->shmem.map = device_types[judge->device->type].regions_needed;
        return judge_preset_options(judge);
}

/* A good device to begin with, under a name that hardly any file uses. */
static void begin_device(struct judge *judge)
{
        const size_t i = judge->vm.n_devices;

        judge->device = &judge->vm.devices[i];
        *judge->device = (struct device_config){.type = DEVICE_TYPE_RNG,
                                                .n_queues = 1,
                                                .n_lanes = 1,
                                                .request_timeout = VM_CONFIG_REQUEST_TIMEOUT};
        snprintf(judge->device->name, sizeof(judge->device->name), "_%zu", i);
        judge->vm.n_devices++;
}

static void judge_limits(struct judge *judge, const yaml_node_t *mapping)
{
        for (size_t i = 0; i < array_size(limit_keys); i++) {
                judge->limit = &limit_keys[i];
                judge_value(judge, config_document_find(judge->document, mapping, judge->limit->group),
                            judge->limit->key, set_limit);
        }
}

static void judge_raw(struct judge *judge, const yaml_node_t *memory)
{
        const yaml_node_t *raw = config_document_find(judge->document, memory, "raw");

        if (!raw || judge->device->memory.n_windows == LIMIT_WINDOWS)
                return;
        if (judge_value(judge, raw, "start", set_window_start))
                judge_value(judge, raw, "size", set_raw_size);
}

static void judge_memory(struct judge *judge, const yaml_node_t *mapping)
{
        const yaml_node_t *memory = config_document_find(judge->document, mapping, "memory");
        const yaml_node_t *list = config_document_find(judge->document, memory, "windows");
        const bool is_list = list && list->type == YAML_SEQUENCE_NODE;

        judge_value(judge, memory, "iotlb", set_iotlb);
        for (const yaml_node_item_t *item = is_list ? list->data.sequence.items.start : NULL;
             is_list && item < list->data.sequence.items.top &&
             judge->device->memory.n_windows < LIMIT_WINDOWS;
             item++) {
                const yaml_node_t *window = yaml_document_get_node(judge->document, *item);

                if (judge_value(judge, window, "start", set_window_start))
                        judge_value(judge, window, "size", set_window_size);
        }
        judge_raw(judge, memory);
}

static const struct {
        const char *key;
        value_set set;
} device_keys[] = {
    {"queues", set_queues},
    {"lanes", set_lanes}, /* behind queues and limits, which bound them */
    {"request_timeout", set_request_timeout},
    {"poll_us", set_poll_us},
    {"legacy", set_legacy}, /* behind queues and memory, which it may not go with */
};

static int judge_device(struct judge *judge, const yaml_node_t *mapping)
{
        const size_t before = judge->mistakes->n_errors;
        int r;

        begin_device(judge);
        judge_value(judge, mapping, "name", set_device_name);
        r = judge_type(judge, mapping);
        if (r < 0 || !judge->type_known)
                return r;
        judge_value(judge, mapping, "shmem", set_shmem); /* before its limits */
        judge_memory(judge, mapping);
        judge_limits(judge, mapping);
        for (size_t i = 0; i < array_size(device_keys); i++)
                judge_value(judge, mapping, device_keys[i].key, device_keys[i].set);
        r = judge_options(judge, mapping);
        if (r == 0 && judge->context->host && judge->mistakes->n_errors == before)
                judge_host(judge, mapping);
        return r;
}

static int judge_devices(struct judge *judge, const yaml_node_t *root)
{
        const yaml_node_t *list = config_document_find(judge->document, root, "devices");
        const size_t n = list && list->type == YAML_SEQUENCE_NODE
                             ? (size_t)(list->data.sequence.items.top - list->data.sequence.items.start)
                             : 0;

        judge->vm.n_devices = 0;
        for (size_t i = 0; i < n && judge->vm.n_devices < LIMIT_DEVICES; i++) {
                const yaml_node_t *mapping =
                    yaml_document_get_node(judge->document, list->data.sequence.items.start[i]);

                if (mapping->type == YAML_MAPPING_NODE && judge_device(judge, mapping) < 0)
                        return -ENOMEM;
        }
        if (judge->vm.n_devices == 0)
                begin_device(judge); /* none was readable; the uids are judged all the same */
        return 0;
}

/* Programs of the types that the file uses, and the loader's; one mistake a type. */
static void judge_programs(struct judge *judge)
{
        uint32_t types = 0;
        char why[JUDGE_WHY];

        for (size_t i = 0; i < judge->vm.n_devices; i++)
                types |= 1u << judge->vm.devices[i].type;
        if (judge->vm.frontend == VM_FRONTEND_KVM)
                types |= 1u << DEVICE_TYPE_LOADER;
        for (unsigned i = 0; i < WORKER_TYPE_COUNT_; i++)
                if ((types & (1u << i)) && config_host_program(judge->context->worker_dir,
                                                               device_types[i].program, why, sizeof(why)) < 0)
                        mistakes_add(judge->mistakes, MISTAKE_ERROR, 0, 0, "%s", why);
}

static void judge_done(struct judge *judge)
{
        for (size_t i = 0; i < judge->vm.n_devices; i++)
                option_set_done(&device_types[judge->vm.devices[i].type], &judge->vm.devices[i].options);
        arena_done(&judge->texts);
}

int config_judge(yaml_document_t *document, const struct config_context *context, struct mistakes *mistakes)
{
        _cleanup_free_ struct device_config *devices = calloc(LIMIT_DEVICES, sizeof(*devices));
        _cleanup_(judge_done) struct judge judge = {
            .document = document, .context = context, .mistakes = mistakes};
        const yaml_node_t *root = yaml_document_get_root_node(document);

        if (!devices || arena_init(&judge.texts, LIMIT_ARENA) < 0)
                return -ENOMEM;
        judge.vm = (struct vm_config){
            .name = "vm",
            .frontend = VM_FRONTEND_VHOST_USER,
            .socket_mode = 0660,
            .socket_gid = VM_CONFIG_NO_GID,
            .uid_first = VM_CONFIG_UID_FIRST,
            .uid_count = VM_CONFIG_UID_COUNT,
            .worker_memory_max = VM_CONFIG_MEMORY_MAX,
            .devices = devices,
        };
        snprintf(judge.vm.run_dir, sizeof(judge.vm.run_dir), "%s", context->run_dir);
        snprintf(judge.vm.worker_dir, sizeof(judge.vm.worker_dir), "%s", context->worker_dir);
        begin_device(&judge);
        judge_kvm(&judge, root);
        judge_value(&judge, root, "vm", set_vm);
        judge_value(&judge, root, "run_dir", set_run_dir);
        judge_socket(&judge, root);
        judge_value(&judge, config_document_find(document, root, "limits"), "worker_memory",
                    set_worker_memory);
        if (judge_devices(&judge, root) < 0)
                return -ENOMEM;
        judge_uids(&judge, root);
        if (context->host)
                judge_programs(&judge);
        judge_kvm_windows(&judge, config_document_find(document, root, "devices"));
        return 0;
}
