/* The loader's part of the control messages. Only files in proto/ include this.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/control.h"
#include "schema/control.pb-c.h"

/* wire -> judged. 0 or -EPROTO. */
int control_boot_check_options(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret);
int control_boot_check_booted(const Bulkhead__Control__Booted *wire, struct boot_done *ret);
int control_boot_check_failed(const Bulkhead__Control__BootFailed *wire, char ret_reason[LIMIT_BOOT_REASON]);

/* struct -> wire. The message points into `options` and into this. */
struct control_boot_wire {
        Bulkhead__Control__BootOptions options;
        uint64_t ram_start[LIMIT_BOOT_RAM], ram_len[LIMIT_BOOT_RAM];
        uint64_t pool_start[LIMIT_DEVICES], pool_len[LIMIT_DEVICES];
};

int control_boot_fill_options(const struct boot_options *options, struct control_boot_wire *ret_wire);

ssize_t control_boot_make_booted(const struct boot_done *done, uint8_t *buf, size_t size);
ssize_t control_boot_make_failed(const char *reason, uint8_t *buf, size_t size);
