/* What a configuration names on this host, looked at and left alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stddef.h>

#include "proto/vm_config.h"

/* Can what the device names be served? 0, or negative errno with one sentence and its remedy in `why`, and the key that
 * named it. -EBUSY: another process holds its lock. Nothing stays open or locked. */
int config_host_device(const struct device_config *device, const char **ret_key, char *why, size_t why_size);

/* Is the file there for a kernel's loader to read? 0, or negative errno with `why`, which names `key`. */
int config_host_boot_file(const char *key, const char *path, char *why, size_t why_size);

/* Could this host, swap included, ever hold a guest's memory? 0, or -ENOMEM with `why`. */
int config_host_memory(uint64_t bytes, char *why, size_t why_size);

/* Has this host a CPU for each vCPU? 0, or -ERANGE with `why`. */
int config_host_vcpus(uint32_t vcpus, char *why, size_t why_size);

/* The poll_us of a device that has none: a spin takes a CPU that nobody else wants only where there are some. */
uint32_t config_host_poll_us(void);

/* Is the program in the directory? 0, or negative errno with `why`. */
int config_host_program(const char *folder, const char *program, char *why, size_t why_size);

/* Where bulkhead-broker and the workers are: beside this program, else in the libexec directory.
 * 0 or negative errno. */
int config_host_programs(char ret_folder[static PATH_MAX]);
