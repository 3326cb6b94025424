/* The loader: puts a kernel, its initrd and what tells it of the machine into a VM that has never run. It is no device: no
 * queue, no guest. It says one thing at its end and is killed for it.
 * Owns its static buffer; called by the runtime. TRUST: the options are the broker's; every byte of both files may be anybody's,
 * and is looked at only after the jail has closed (load).
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "workers/loader/load.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_log.h"

static struct load loader;
static struct boot_options loader_options;

/* How long the files are, and no byte of them. */
static int loader_init(void *state, const struct control_configure *configure, const int *resources,
                       unsigned n_resources, struct control_hello *ret_hello)
{
        struct load *load = state;
        int r;

        if (n_resources < 1 || n_resources > 2)
                return -EINVAL;
        loader_options = configure->boot;
        load->options = &loader_options;
        load->initrd.fd = -1;
        r = loader_file_open(resources[0], &load->kernel);
        if (r == 0 && n_resources > 1)
                r = loader_file_open(resources[1], &load->initrd);
        if (r < 0)
                worker_log(LOG_LEVEL_ERROR, "the kernel or the initrd has no size: %s", strerror(-r));
        *ret_hello = (struct control_hello){0};
        return r;
}

static void loader_load(void *state, struct boot_memory *memory)
{
        struct load *load = state;

        load->memory = memory;
        if (load_kernel(load) < 0)
                boot_memory_failed(memory, load->why);
        else
                boot_memory_booted(
                    memory, &(struct boot_done){.entry = load->entry,
                                                .kernel_len = load->kernel.size,
                                                .initrd_len = load->initrd.fd >= 0 ? load->initrd.size : 0});
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_LOADER,
    .state = &loader,
    .init = loader_init,
    .load = loader_load,
};
