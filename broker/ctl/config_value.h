/* The texts that stand for values in a configuration or on a command line. All return 0 or -EINVAL.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "true" or "false", nothing else. */
int config_value_bool(const char *text, bool *ret_value);

/* Decimal digits only, up to 2^32 - 1. */
int config_value_uint(const char *text, uint32_t *ret_value);

/* Octal digits only, up to 0777. */
int config_value_mode(const char *text, uint32_t *ret_mode);

/* Decimal digits, perhaps with K, M or G (1024) behind; at least 1. */
int config_value_size(const char *text, uint64_t *ret_bytes);

/* 0x and hexadecimal digits; or decimal ones, perhaps with K, M or G (1024) behind. */
int config_value_address(const char *text, uint64_t *ret_address);

/* An address backwards. Returns `out`. */
const char *config_value_address_text(uint64_t address, char *out, size_t size);

/* Decimal digits with % behind; at least 1%. */
int config_value_percent(const char *text, uint64_t *ret_percent);

/* A size backwards, with the largest unit that leaves no rest. Returns `out`. */
const char *config_value_size_text(uint64_t bytes, char *out, size_t size);

/* A group's name or number. -ENOENT: no such group. */
int config_value_group(const char *text, uint32_t *ret_gid);

/* The group's name, or its number where it has none. Returns `out`. */
const char *config_value_group_text(uint32_t gid, char *out, size_t size);

/* An absolute path stays, a relative one is taken from `folder`. -EINVAL: empty. -ENAMETOOLONG. */
int config_value_path(const char *text, const char *folder, char ret_path[static PATH_MAX]);
