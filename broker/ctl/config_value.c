/* The texts that stand for values.
 * Owns nothing; called by the configuration's readers and by the verbs for their options.
 * TRUST: texts are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_value.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

int config_value_bool(const char *text, bool *ret_value)
{
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
                return -EINVAL;
        *ret_value = text[0] == 't';
        return 0;
}

/* Digits of `base` until something else comes; at least one. */
static int parse_digits(const char **text, unsigned base, uint64_t *ret_value)
{
        const char *p = *text;
        uint64_t value = 0;

        for (; *p >= '0' && *p < (char)('0' + base); p++)
                if (!checked_mul_u64(value, base, &value) ||
                    !checked_add_u64(value, (uint64_t)(*p - '0'), &value))
                        return -EINVAL;
        if (p == *text)
                return -EINVAL;
        *text = p;
        *ret_value = value;
        return 0;
}

int config_value_uint(const char *text, uint32_t *ret_value)
{
        uint64_t value;

        if (parse_digits(&text, 10, &value) < 0 || *text != '\0')
                return -EINVAL;
        return checked_u32(value, ret_value) ? 0 : -EINVAL;
}

int config_value_mode(const char *text, uint32_t *ret_mode)
{
        uint64_t value;

        if (parse_digits(&text, 8, &value) < 0 || *text != '\0' || value > 0777)
                return -EINVAL;
        *ret_mode = (uint32_t)value;
        return 0;
}

static const struct {
        char letter;
        uint64_t factor;
} units[] = {{'G', 1u << 30}, {'M', 1u << 20}, {'K', 1u << 10}};

int config_value_size(const char *text, uint64_t *ret_bytes)
{
        uint64_t value;

        if (parse_digits(&text, 10, &value) < 0)
                return -EINVAL;
        for (size_t i = 0; i < array_size(units); i++)
                if (*text == units[i].letter) {
                        if (!checked_mul_u64(value, units[i].factor, &value))
                                return -EINVAL;
                        text++;
                        break;
                }
        if (*text != '\0' || value == 0)
                return -EINVAL;
        *ret_bytes = value;
        return 0;
}

static int parse_hex(const char *text, uint64_t *ret_value)
{
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        uint64_t value = 0;

        if (*text == '\0')
                return -EINVAL;
        for (; *text; text++) {
                const char *digit = strchr(digits, *text);

                if (!digit || !checked_mul_u64(value, 16, &value))
                        return -EINVAL;
                value += (uint64_t)(digit - digits) % 16;
        }
        *ret_value = value;
        return 0;
}

int config_value_address(const char *text, uint64_t *ret_address)
{
        if (strcmp(text, "0") == 0) {
                *ret_address = 0;
                return 0;
        }
        if (strncmp(text, "0x", 2) == 0)
                return parse_hex(text + 2, ret_address);
        return config_value_size(text, ret_address);
}

const char *config_value_address_text(uint64_t address, char *out, size_t size)
{
        snprintf(out, size, "0x%" PRIx64, address);
        return out;
}

int config_value_percent(const char *text, uint64_t *ret_percent)
{
        uint64_t value;

        if (parse_digits(&text, 10, &value) < 0 || strcmp(text, "%") != 0 || value == 0)
                return -EINVAL;
        *ret_percent = value;
        return 0;
}

const char *config_value_size_text(uint64_t bytes, char *out, size_t size)
{
        for (size_t i = 0; i < array_size(units); i++)
                if (bytes > 0 && bytes % units[i].factor == 0) {
                        snprintf(out, size, "%" PRIu64 "%c", bytes / units[i].factor, units[i].letter);
                        return out;
                }
        snprintf(out, size, "%" PRIu64, bytes);
        return out;
}

int config_value_group(const char *text, uint32_t *ret_gid)
{
        const struct group *group;

        if (config_value_uint(text, ret_gid) == 0)
                return 0;
        group = getgrnam(text); /* one thread */
        if (!group)
                return -ENOENT;
        *ret_gid = group->gr_gid;
        return 0;
}

const char *config_value_group_text(uint32_t gid, char *out, size_t size)
{
        const struct group *group = getgrgid(gid);

        if (group)
                snprintf(out, size, "%s", group->gr_name);
        else
                snprintf(out, size, "%" PRIu32, gid);
        return out;
}

int config_value_path(const char *text, const char *folder, char ret_path[static PATH_MAX])
{
        char path[PATH_MAX];
        int n;

        while (strncmp(text, "./", 2) == 0)
                text += 2;
        if (text[0] == '/')
                n = snprintf(path, sizeof(path), "%s", text);
        else
                n = snprintf(path, sizeof(path), "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, text);
        if (text[0] == '\0')
                return -EINVAL;
        if (n < 0 || (size_t)n >= sizeof(path))
                return -ENAMETOOLONG;
        memcpy(ret_path, path, (size_t)n + 1);
        return 0;
}
