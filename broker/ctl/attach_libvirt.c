/* The parts of a libvirt domain. What libvirt has no element for goes to QEMU as it is.
 * Owns texts while it prints; called by verb_attach.c. TRUST: the configuration is judged; what goes into XML is escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/attach.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define LETTERS 26u

static void print_escaped(FILE *out, const char *text, size_t len)
{
        static const char *const named[] = {['&'] = "&amp;", ['<'] = "&lt;", ['"'] = "&quot;"};

        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];

                if (c < array_size(named) && named[c])
                        fputs(named[c], out);
                else
                        fputc(c, out);
        }
}

/* Without the attribute's end. */
static void print_socket(struct attach *attach, const struct device_config *device)
{
        const struct vm_config *config = attach->config;

        print_escaped(attach->out, config->run_dir, strlen(config->run_dir));
        fprintf(attach->out, "/%s/%s.sock", config->name, device->name);
}

/* The name is the guest's order of disks alone: vda, vdb .. vdz, vdaa. */
static void print_target(struct attach *attach, const struct device_config *device)
{
        unsigned n = 0;

        for (const struct device_config *d = attach->config->devices; d < device; d++)
                n += d->type == device->type;
        fprintf(attach->out, "      <target dev=\"vd");
        if (n >= LETTERS)
                fputc('a' + (int)(n / LETTERS) - 1, attach->out);
        fprintf(attach->out, "%c\" bus=\"virtio\"/>\n", 'a' + (int)(n % LETTERS));
}

static int print_blk(struct attach *attach, const struct device_config *device)
{
        fprintf(attach->out,
                "    <disk type=\"vhostuser\" device=\"disk\">\n"
                "      <driver name=\"qemu\" type=\"raw\" queues=\"%u\"/>\n"
                "      <source type=\"unix\" path=\"",
                device->n_queues);
        print_socket(attach, device);
        fprintf(attach->out, "\">\n        <reconnect enabled=\"yes\" timeout=\"1\"/>\n      </source>\n");
        print_target(attach, device);
        fprintf(attach->out, "    </disk>\n");
        return 0;
}

static int print_net(struct attach *attach, const struct device_config *device)
{
        fprintf(attach->out, "    <interface type=\"vhostuser\">\n");
        if (attach_text(device, "mac")[0])
                fprintf(attach->out, "      <mac address=\"%s\"/>\n", attach_text(device, "mac"));
        fprintf(attach->out, "      <source type=\"unix\" path=\"");
        print_socket(attach, device);
        fprintf(attach->out, "\" mode=\"client\">\n        <reconnect enabled=\"yes\" timeout=\"1\"/>\n"
                             "      </source>\n      <model type=\"virtio\"/>\n");
        if (attach_pairs(device) > 1)
                fprintf(attach->out, "      <driver queues=\"%u\"/>\n", attach_pairs(device));
        if (attach_is_given(device, "mtu"))
                fprintf(attach->out, "      <mtu size=\"%" PRIu64 "\"/>\n", attach_number(device, "mtu"));
        fprintf(attach->out, "    </interface>\n");
        return 0;
}

/* A socket in place of a program: libvirt starts no back-end of its own. It knows one queue of requests. */
static int print_fs(struct attach *attach, const struct device_config *device)
{
        const char *tag = attach_text(device, "tag");

        if (device->n_queues > 2)
                return attach_refuse(device,
                                     "libvirt knows no shared directory with several queues: say queues: 2");
        fprintf(attach->out, "    <filesystem type=\"mount\">\n      <driver type=\"virtiofs\"/>\n"
                             "      <source socket=\"");
        print_socket(attach, device);
        fprintf(attach->out, "\"/>\n      <target dir=\"");
        print_escaped(attach->out, tag, strlen(tag));
        fprintf(attach->out, "\"/>\n    </filesystem>\n");
        return 0;
}

static int print_nothing(struct attach *attach, const struct device_config *device)
{
        (void)attach;
        (void)device;
        return 0; /* it is passed on: print_passed */
}

/* QEMU's arguments for devices without an element, as an element each. */
static int print_passed(struct attach *attach)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        struct attach inner = *attach;
        int result = 0;

        inner.out = open_memstream(&text, &len);
        if (!inner.out)
                return -ENOMEM;
        for (size_t i = 0; i < attach->config->n_devices; i++) {
                const struct device_config *device = &attach->config->devices[i];
                const struct attach_row *row =
                    attach_find_row(&attach_libvirt, device_types[device->type].name);

                if (row && row->print == print_nothing && attach_qemu_device(&inner, device) < 0)
                        result = -EOPNOTSUPP;
        }
        if (fclose(inner.out) != 0)
                return -ENOMEM;
        if (result < 0 || len == 0)
                return result;
        fprintf(attach->out, "  <qemu:commandline>\n");
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
                fprintf(attach->out, "    <qemu:arg value=\"");
                print_escaped(attach->out, line, strcspn(line, "\n"));
                fprintf(attach->out, "\"/>\n");
        }
        fprintf(attach->out, "  </qemu:commandline>\n");
        return 0;
}

static int print_libvirt(struct attach *attach)
{
        int r, passed;

        fprintf(attach->out,
                "<domain xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">\n"
                "  <memory unit=\"MiB\">%" PRIu64 "</memory>\n"
                "  <memoryBacking>\n    <source type=\"memfd\"/>\n    <access mode=\"shared\"/>\n"
                "  </memoryBacking>\n  <devices>\n",
                attach->memory >> 20);
        r = attach_devices(attach, &attach_libvirt);
        fprintf(attach->out, "  </devices>\n");
        passed = print_passed(attach);
        fprintf(attach->out, "</domain>\n");
        return r < 0 ? r : passed;
}

static const struct attach_row rows[] = {
    {"blk", print_blk, NULL},
    {"rng", print_nothing, NULL},
    {"net", print_net, NULL},
    {"vsock", print_nothing, NULL},
    {"console", print_nothing, NULL},
    {"fs", print_fs, NULL},
    {"pmem", print_nothing, NULL},
    {"sample", print_nothing, NULL},
    {"iommu", NULL, "an IOMMU is a part of a VM of our own: say frontend: kvm"},
};

const struct attach_vmm attach_libvirt = {"libvirt", print_libvirt, rows, array_size(rows)};
