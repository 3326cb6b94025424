/* The values of a VM of the broker's own, judged where they stand.
 * Owns nothing; called by config_judge.c. What /dev/kvm can do is asked by `run` and by `doctor`: a
 * configuration may be checked where it will not run.
 * TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_judge_kvm.h"

#include <errno.h>
#include <string.h>

#include "broker/ctl/config_host.h"
#include "broker/ctl/config_value.h"
#include "broker/kvm/layout.h"
#include "broker/kvm/regions.h"
#include "broker/kvm/windows.h"
#include "proto/base/checked.h"

static int set_vcpus(struct judge *judge, const char *text, char *why, size_t why_size)
{
        (void)why;
        (void)why_size;
        return config_value_uint(text, &judge->vm.kvm.vcpus) < 0 ? -ENOMSG : 0;
}

static int set_memory(struct judge *judge, const char *text, char *why, size_t why_size)
{
        if (config_value_size(text, &judge->vm.kvm.memory) == 0)
                return 0;
        return judge_refuse(why, why_size, "memory: use a size such as 512M");
}

static int set_kernel(struct judge *judge, const char *text, char *why, size_t why_size)
{
        return judge_set_path(judge, "kernel", text, judge->vm.boot.kernel, why, why_size);
}

static int set_initrd(struct judge *judge, const char *text, char *why, size_t why_size)
{
        return judge_set_path(judge, "initrd", text, judge->vm.boot.initrd, why, why_size);
}

static int set_cmdline(struct judge *judge, const char *text, char *why, size_t why_size)
{
        if (!vm_config_cmdline_ok(text)) /* before the copy: the text may be longer than its field */
                return judge_refuse(why, why_size, "cmdline: use at most %u printable ASCII characters",
                                    LIMIT_CMDLINE - 1);
        memcpy(judge->vm.boot.cmdline, text, strlen(text) + 1);
        return 0;
}

static int host_vcpus(const struct vm_config *vm, char *why, size_t why_size)
{
        return config_host_vcpus(vm->kvm.vcpus, why, why_size);
}

static int host_memory(const struct vm_config *vm, char *why, size_t why_size)
{
        return config_host_memory(vm->kvm.memory, why, why_size);
}

static int host_kernel(const struct vm_config *vm, char *why, size_t why_size)
{
        return config_host_boot_file("kernel", vm->boot.kernel, why, why_size);
}

static int host_initrd(const struct vm_config *vm, char *why, size_t why_size)
{
        return config_host_boot_file("initrd", vm->boot.initrd, why, why_size);
}

static const struct kvm_key {
        const char *key;
        bool required;
        value_set set; /* NULL: no judge beyond its type */
        int (*host)(const struct vm_config *vm, char *why, size_t why_size);
        enum mistake_level level; /* of what `host` finds */
} kvm_keys[] = {
    {"vcpus", false, set_vcpus, host_vcpus, MISTAKE_WARNING},
    {"memory", false, set_memory, host_memory, MISTAKE_ERROR},
    {"kernel", true, set_kernel, host_kernel, MISTAKE_ERROR},
    {"initrd", false, set_initrd, host_initrd, MISTAKE_ERROR},
    {"cmdline", false, set_cmdline, NULL, MISTAKE_ERROR},
    {"serial", false, NULL, NULL, MISTAKE_ERROR},
};

static void judge_kvm_key(struct judge *judge, const yaml_node_t *root, const struct kvm_key *row)
{
        const yaml_node_t *node;
        char why[JUDGE_WHY];

        if (row->required && !config_document_find(judge->document, root, row->key))
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, root,
                                        "%s: is missing: frontend kvm needs it", row->key);
        node = row->set ? judge_value(judge, root, row->key, row->set) : NULL;
        if (node && row->host && judge->context->host && row->host(&judge->vm, why, sizeof(why)) < 0)
                config_document_mistake(judge->mistakes, row->level, node, "%s", why);
}

static void refuse_kvm_key(struct judge *judge, const yaml_node_t *root, const struct kvm_key *row)
{
        const yaml_node_t *node = config_document_find(judge->document, root, row->key);

        if (node)
                config_document_mistake(
                    judge->mistakes, MISTAKE_ERROR, node,
                    "%s: the VMM that attaches has its own: remove it, or say frontend: kvm", row->key);
}

/* The n-th of those that are mappings: others are no devices (config_walk has said it). */
static const yaml_node_t *nth_device(struct judge *judge, const yaml_node_t *devices, size_t n)
{
        const yaml_node_item_t *item = devices->data.sequence.items.start;

        for (; item < devices->data.sequence.items.top; item++) {
                const yaml_node_t *node = yaml_document_get_node(judge->document, *item);

                if (node->type == YAML_MAPPING_NODE && n-- == 0)
                        return node;
        }
        return devices;
}

void judge_kvm_windows(struct judge *judge, const yaml_node_t *devices)
{
        const struct vm_config *vm = &judge->vm;
        struct kvm_layout layout;
        char why[JUDGE_WHY];
        size_t device;

        if (vm->frontend != VM_FRONTEND_KVM || !judge->context->host || judge->mistakes->n_errors > 0 ||
            !devices || devices->type != YAML_SEQUENCE_NODE)
                return;
        if (kvm_layout_make(KVM_ARCH_HERE, vm->kvm.memory, vm->kvm.vcpus, (unsigned)vm->n_devices,
                            kvm_regions_len(vm), &layout, why, sizeof(why)) == 0 &&
            kvm_windows_judge(vm, &layout, &device, why, sizeof(why)) < 0)
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, nth_device(judge, devices, device),
                                        "%s", why);
}

/* A good VM of our own to begin with. */
static void begin_kvm(struct vm_config *vm)
{
        vm->frontend = VM_FRONTEND_KVM;
        vm->kvm = (struct kvm_config){.vcpus = 1, .memory = VM_CONFIG_GUEST_MEMORY};
        strcpy(vm->boot.kernel, "/");
}

void judge_kvm(struct judge *judge, const yaml_node_t *root)
{
        const char *frontend = config_document_text(config_document_find(judge->document, root, "frontend"));
        bool kvm = frontend && strcmp(frontend, "kvm") == 0;

        if (!kvm && (!frontend || strcmp(frontend, "vhost-user") != 0))
                return; /* config_walk has said it, and nothing is known of what belongs to it */
        if (kvm)
                begin_kvm(&judge->vm);
        for (size_t i = 0; i < array_size(kvm_keys); i++)
                (kvm ? judge_kvm_key : refuse_kvm_key)(judge, root, &kvm_keys[i]);
}
