/* bulkhead set: what an operator wants of a device while it runs.
 * Owns nothing; called by ctl_main.c. TRUST: words are the operator's; the answer is judged by admin_client.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/admin_client.h"
#include "broker/ctl/config_value.h"
#include "broker/ctl/ctl.h"
#include "broker/ctl/device_operand.h"
#include "broker/ctl/run_dir.h"
#include "proto/base/checked.h"

static int parse_link(const char *text, uint64_t *ret_value)
{
        if (strcmp(text, "up") != 0 && strcmp(text, "down") != 0)
                return -EINVAL;
        *ret_value = strcmp(text, "up") == 0;
        return 0;
}

/* "80x25" */
static int parse_size(const char *text, uint64_t *ret_value)
{
        const char *x = strchr(text, 'x');
        char columns[8] = "";
        uint32_t n_columns, n_rows;

        if (!x || (size_t)(x - text) >= sizeof(columns))
                return -EINVAL;
        memcpy(columns, text, (size_t)(x - text));
        if (config_value_uint(columns, &n_columns) < 0 || config_value_uint(x + 1, &n_rows) < 0 ||
            n_columns > UINT16_MAX || n_rows > UINT16_MAX)
                return -EINVAL;
        *ret_value = n_columns | (uint64_t)n_rows << 16;
        return 0;
}

static const struct {
        enum control_setting_id id;
        int (*parse)(const char *text, uint64_t *ret_value);
        const char *form;
} rows[] = {
    {SETTING_LINK, parse_link, "link=up or link=down"},
    {SETTING_SIZE, parse_size, "size=COLUMNSxROWS, each from 1 to 65535, such as size=80x25"},
};
_Static_assert(array_size(rows) == SETTING_END_ - SETTING_LINK, "one row a setting");

static int usage(const char *text)
{
        fprintf(stderr, "bulkhead: set: %s; try: bulkhead help set\n", text);
        return -EINVAL;
}

/* "link=up" */
static int parse_setting(const char *word, struct control_setting *ret)
{
        const size_t len = strcspn(word, "=");
        char text[128];

        for (size_t i = 0; i < array_size(rows); i++) {
                const char *name = control_setting_name(rows[i].id);

                if (strlen(name) != len || strncmp(name, word, len) != 0)
                        continue;
                ret->id = rows[i].id;
                if (word[len] == '=' && rows[i].parse(word + len + 1, &ret->value) == 0 &&
                    control_setting_ok(ret))
                        return 0;
                snprintf(text, sizeof(text), "use %s", rows[i].form);
                return usage(text);
        }
        return usage("there are link=up, link=down and size=COLUMNSxROWS to be set");
}

static int parse_port(const char *text, struct control_setting *setting)
{
        char sentence[64];

        if (!text)
                return 0;
        if (setting->id != SETTING_SIZE)
                return usage("--port is for size: leave it out");
        if (config_value_uint(text, &setting->index) == 0 && setting->index < LIMIT_PORTS)
                return 0;
        snprintf(sentence, sizeof(sentence), "--port needs a number from 0 to %u", LIMIT_PORTS - 1);
        return usage(sentence);
}

int verb_set(const struct ctl_args *args)
{
        struct control_setting setting = {0};
        char run_dir[PATH_MAX], why[512];
        struct device_operand operand;

        if (device_operand_parse(args->operand, &operand) < 0) {
                usage("name the device as VM/DEVICE, such as demo/net0");
                return CTL_USAGE;
        }
        if (parse_setting(args->second, &setting) < 0 ||
            parse_port(args->option[CTL_OPTION_PORT], &setting) < 0)
                return CTL_USAGE;
        if (run_dir_choose(args->option[CTL_OPTION_RUN_DIR], run_dir, why, sizeof(why)) < 0 ||
            admin_client_set(run_dir, operand.vm, operand.device, &setting, why, sizeof(why)) < 0) {
                fprintf(stderr, "bulkhead: set: %s: %s\n", operand.vm, why);
                return CTL_FAILED;
        }
        return CTL_OK;
}
