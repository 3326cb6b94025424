/* bulkhead attach: the arguments that connect a VMM to a configuration's devices.
 * Owns nothing; called by ctl_main.c. TRUST: the file is the operator's; names and paths have been judged to
 * need no quotes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/config_open.h"
#include "broker/ctl/config_value.h"
#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define MEMORY_DEFAULT (1ull << 30)
#define MEMORY_UNIT    (1ull << 20) /* QEMU's -m counts in MiB */

#define VERSION_PART_MAX 99u

/* How a chardev is told to connect again. QEMU renamed the option: each name is an error to the other side.
 */
static const struct reconnect {
        uint32_t since; /* major * 100 + minor */
        const char *text;
} reconnects[] = {
    {902, ",reconnect-ms=1000"},
    {0, ",reconnect=1"},
};

/* "9.2" or "9.2.1". 0 or -EINVAL. */
static int parse_version(const char *text, uint32_t *ret_version)
{
        char *end;
        unsigned long major, minor;

        if (!isdigit((unsigned char)text[0]))
                return -EINVAL;
        major = strtoul(text, &end, 10);
        if (major > VERSION_PART_MAX || *end != '.' || !isdigit((unsigned char)end[1]))
                return -EINVAL;
        minor = strtoul(end + 1, &end, 10);
        if (minor > VERSION_PART_MAX || (*end != '\0' && *end != '.'))
                return -EINVAL;
        *ret_version = (uint32_t)(major * 100 + minor);
        return 0;
}

/* QEMU's models that wait for their first connection. The others take a socket that connects by itself for
 * one that has failed, and QEMU ends: seen with vhost-user-rng-pci of 7.2 and 11.1. */
static const bool can_reconnect[DEVICE_TYPE_COUNT_] = {
    [DEVICE_TYPE_BLK] = true,
    [DEVICE_TYPE_RNG] = false,
};

static const char *reconnect_text(uint32_t version)
{
        for (size_t i = 0; i < array_size(reconnects); i++)
                if (version >= reconnects[i].since)
                        return reconnects[i].text;
        return "";
}

/* Identifiers of QEMU begin with a letter; names of ours need not. */
static void print_device(const struct vm_config *config, const struct device_config *device,
                         const char *reconnect)
{
        printf("-chardev\nsocket,id=bulkhead-%s-socket,path=%s/%s/%s.sock%s\n", device->name, config->run_dir,
               config->name, device->name, can_reconnect[device->type] ? reconnect : "");
        printf("-device\n%s,id=bulkhead-%s,chardev=bulkhead-%s-socket",
               device_types[device->type].qemu_device, device->name, device->name);
        /* Without it QEMU asks for a queue a vCPU and gives up when there are fewer. */
        if (device_types[device->type].max_queues > 1)
                printf(",num-queues=%u", device->n_queues);
        printf("\n");
}

/* One page of arguments; QEMU's memory must be one that can be shared, or the devices see nothing of it. */
static void print_qemu(const struct vm_config *config, uint64_t memory, const char *reconnect)
{
        char size[32];

        config_value_size_text(memory, size, sizeof(size));
        printf("-m\n%s\n-object\nmemory-backend-memfd,id=bulkhead-memory,share=on,size=%s\n", size, size);
        printf("-machine\nmemory-backend=bulkhead-memory\n");
        for (size_t i = 0; i < config->n_devices; i++)
                print_device(config, &config->devices[i], reconnect);
}

static int usage(const char *text)
{
        fprintf(stderr, "bulkhead: attach: %s; try: bulkhead help attach\n", text);
        return CTL_USAGE;
}

int verb_attach(const struct ctl_args *args)
{
        const struct config_wish wish = {.run_dir = args->option[CTL_OPTION_RUN_DIR]};
        const char *print = args->option[CTL_OPTION_PRINT], *memory_text = args->option[CTL_OPTION_MEMORY];
        const char *version_text = args->option[CTL_OPTION_QEMU_VERSION];
        _cleanup_(vm_config_done) struct vm_config config = {0};
        uint64_t memory = MEMORY_DEFAULT;
        uint32_t version = 0;

        if (!print || strcmp(print, "qemu") != 0)
                return usage(print ? "--print knows only qemu" : "--print qemu is missing");
        if (memory_text && (config_value_size(memory_text, &memory) < 0 || memory % MEMORY_UNIT != 0))
                return usage("--memory needs whole mebibytes, such as 512M or 2G");
        if (version_text && parse_version(version_text, &version) < 0)
                return usage("--qemu-version needs a version, such as 7.2");
        if (config_open(args->operand, &wish, &config) < 0)
                return CTL_FAILED;
        if (config.frontend == VM_FRONTEND_KVM) {
                fprintf(
                    stderr,
                    "bulkhead: attach: VM %s has frontend kvm and needs no VMM: start it with bulkhead run\n",
                    config.name);
                return CTL_FAILED;
        }
        print_qemu(&config, memory, version_text ? reconnect_text(version) : "");
        return CTL_OK;
}
