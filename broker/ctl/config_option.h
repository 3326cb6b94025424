/* An option of a device: from the texts of the file to a judged value, and back.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "broker/ctl/config_schema.h"
#include "proto/base/arena.h"

/* The file's text, or several of them where the row says so, as a value; `folder` is where relative paths begin. 0: the
 * value's text is the given one or lies in the arena. -EINVAL with a sentence that begins with the key. -ENOMSG: the text is
 * none of the row's kind, which config_walk says. -ENOMEM: the arena's cap. */
int config_option_parse(const struct option_row *row, const char *const *texts, unsigned n,
                        const char *folder, struct arena *arena, struct option_value *ret_value, char *why,
                        size_t why_size);

/* All options of a device as libcyaml has loaded them, presets for those that are not there. The file has been judged. The
 * device's texts are its own (vm_config_done). 0, or -ENOMEM. */
int config_option_load(struct config_device *file, const char *folder, struct arena *arena,
                       struct device_config *device);

/* The other way: fills in what libcyaml is to write. It borrows from `device` and the arena. 0, or -ENOMEM. */
int config_option_show(const struct device_config *device, struct arena *arena, struct config_device *ret);
