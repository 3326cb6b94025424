/* Windows that devices of a VM are held to: their places, and pools for its guest.
 * Owns nothing: numbers in, numbers out. Called before there is a VM by the front end, `check` and `doctor`, and for the loader.
 * TRUST: windows and sizes are the configuration's (the admin's); nothing of a guest's is seen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/windows.h"

#include <errno.h>
#include <inttypes.h>

#include "broker/kvm/why.h"
#include "proto/base/checked.h"

#define WINDOW "device %s: the window of %" PRIu64 " bytes at 0x%" PRIx64

static bool lies_in(const struct device_window *window, const struct kvm_range *range)
{
        return window->start >= range->start &&
               range_inside(window->start - range->start, window->size, range->len);
}

static bool lies_in_ram(const struct device_window *window, const struct kvm_layout *layout)
{
        for (unsigned i = 0; i < layout->n_ram; i++)
                if (lies_in(window, &layout->ram[i]))
                        return true;
        return false;
}

/* Is this the first window of a device whose guest is told of it? */
static bool is_pool(const struct kvm_layout *layout, uint32_t window)
{
        return layout->arch == KVM_ARCH_ARM64 && window == 0;
}

static int judge_place(const struct device_config *device, const struct device_window *window,
                       const struct kvm_layout *layout, bool pool, char *why, size_t size)
{
        const struct kvm_range *last = &layout->ram[layout->n_ram - 1];

        if (lies_in_ram(window, layout) ||
            (!pool && layout->shmem.len > 0 && lies_in(window, &layout->shmem)))
                return 0;
        return kvm_why(-EINVAL, why, size,
                       WINDOW " is not in one piece of the VM's memory, which begins at 0x%" PRIx64
                              " and ends at 0x%" PRIx64 "; move it there, or part it",
                       device->name, window->size, window->start, layout->ram[0].start,
                       last->start + last->len);
}

static bool is_apart(const struct device_window *a, const struct device_window *b)
{
        return a->start >= b->start + b->size || b->start >= a->start + a->size;
}

static bool is_same(const struct device_window *a, const struct device_window *b)
{
        return a->start == b->start && a->size == b->size;
}

/* Against those of the devices before it. */
static int judge_pool(const struct vm_config *config, size_t device, char *why, size_t size)
{
        const struct device_config *own = &config->devices[device];
        const struct device_window *window = &own->memory.windows[0];

        if (window->start % BOOT_POOL_ALIGN != 0 || window->size % BOOT_POOL_ALIGN != 0)
                return kvm_why(-EINVAL, why, size,
                               WINDOW " is the pool that its guest is told of; use multiples of %u MiB",
                               own->name, window->size, window->start, BOOT_POOL_ALIGN >> 20);
        for (size_t i = 0; i < device; i++) {
                const struct device_config *other = &config->devices[i];

                if (other->memory.n_windows > 0 && !is_same(window, &other->memory.windows[0]) &&
                    !is_apart(window, &other->memory.windows[0]))
                        return kvm_why(-EINVAL, why, size,
                                       WINDOW " overlaps the pool of %s; use the same for both, or move one",
                                       own->name, window->size, window->start, other->name);
        }
        return 0;
}

int kvm_windows_judge(const struct vm_config *config, const struct kvm_layout *layout, size_t *ret_device,
                      char *why, size_t size)
{
        for (size_t i = 0; i < config->n_devices; i++) {
                const struct device_config *device = &config->devices[i];

                for (uint32_t k = 0; k < device->memory.n_windows; k++) {
                        bool pool = is_pool(layout, k);
                        int r = judge_place(device, &device->memory.windows[k], layout, pool, why, size);

                        if (r == 0 && pool)
                                r = judge_pool(config, i, why, size);
                        if (r < 0) {
                                *ret_device = i;
                                return r;
                        }
                }
        }
        return 0;
}

/* Where it is among them, or is to be. */
static uint32_t pool_place(const struct boot_options *options, const struct device_window *window)
{
        uint32_t at = 0;

        while (at < options->n_pools && options->pool[at].start < window->start)
                at++;
        return at;
}

static void add_pool(struct boot_options *options, const struct device_window *window)
{
        uint32_t at = pool_place(options, window);

        if (at < options->n_pools && options->pool[at].start == window->start)
                return; /* another device's, too */
        for (uint32_t i = options->n_pools++; i > at; i--)
                options->pool[i] = options->pool[i - 1];
        options->pool[at] = (struct boot_range){.start = window->start, .len = window->size};
}

void kvm_windows_pools(const struct vm_config *config, const struct kvm_layout *layout,
                       struct boot_options *options)
{
        options->n_pools = 0;
        for (size_t i = 0; layout->arch == KVM_ARCH_ARM64 && i < config->n_devices; i++)
                if (config->devices[i].memory.n_windows > 0)
                        add_pool(options, &config->devices[i].memory.windows[0]);
        for (size_t i = 0; options->n_pools > 0 && i < config->n_devices; i++)
                if (config->devices[i].memory.n_windows > 0)
                        options->device_pool[i] =
                            1 + pool_place(options, &config->devices[i].memory.windows[0]);
}
