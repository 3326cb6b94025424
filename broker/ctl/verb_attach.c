/* bulkhead attach: the arguments that connect a VMM to a configuration's devices.
 * Owns nothing; called by ctl_main.c. TRUST: the file is the operator's; names and paths have been judged to
 * need no quotes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/attach.h"
#include "broker/ctl/config_open.h"
#include "broker/ctl/config_value.h"
#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define MEMORY_DEFAULT (1ull << 30)
#define MEMORY_UNIT    (1ull << 20) /* VMMs count in MiB */

#define VERSION_PART_MAX 99u

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

static int usage(const char *text)
{
        fprintf(stderr, "bulkhead: attach: %s; try: bulkhead help attach\n", text);
        return CTL_USAGE;
}

/* Nothing is printed of a VM that cannot be attached whole: a shell would start the VMM with what there is. */
static int print(const struct attach_vmm *vmm, struct attach *attach)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r;

        attach->out = open_memstream(&text, &len);
        if (!attach->out)
                return -ENOMEM;
        r = vmm->print(attach);
        if (fclose(attach->out) != 0 && r == 0)
                r = -ENOMEM;
        if (r == 0)
                fwrite(text, 1, len, stdout); /* whether it went out is looked at in the end */
        return r;
}

int verb_attach(const struct ctl_args *args)
{
        const struct config_wish wish = {.run_dir = args->option[CTL_OPTION_RUN_DIR]};
        const char *memory_text = args->option[CTL_OPTION_MEMORY];
        const char *version_text = args->option[CTL_OPTION_QEMU_VERSION];
        _cleanup_(vm_config_done) struct vm_config config = {0};
        struct attach attach = {.config = &config, .memory = MEMORY_DEFAULT};
        const struct attach_vmm *vmm;

        if (!args->option[CTL_OPTION_PRINT])
                return usage("--print qemu, libvirt, cloud-hypervisor or crosvm is missing");
        vmm = attach_find(args->option[CTL_OPTION_PRINT]);
        if (!vmm)
                return usage("--print knows qemu, libvirt, cloud-hypervisor and crosvm");
        if (memory_text &&
            (config_value_size(memory_text, &attach.memory) < 0 || attach.memory % MEMORY_UNIT != 0))
                return usage("--memory needs whole mebibytes, such as 512M or 2G");
        if (version_text && parse_version(version_text, &attach.qemu_version) < 0)
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
        return print(vmm, &attach) < 0 ? CTL_FAILED : CTL_OK;
}
