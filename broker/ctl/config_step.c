/* One value of a document, put into a configuration that is good and judged there.
 * Owns nothing; called by config_judge*.c.
 *
 * How it works: vm_config_judge (proto/) is the one place that knows what a value may be, but it sees a whole
 * configuration and stops at the first mistake. So values come in one by one: what makes the judge complain is
 * complained about at its line and taken out again.
 *
 * TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_step.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/ctl/config_value.h"

int judge_refuse(char *why, size_t why_size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(why, why_size, format, args);
        va_end(args);
        return -EINVAL;
}

int judge_set_path(const struct judge *judge, const char *key, const char *text,
                   char ret_path[static PATH_MAX], char *why, size_t why_size)
{
        switch (config_value_path(text, judge->context->folder, ret_path)) {
        case 0:
                return 0;
        case -ENAMETOOLONG:
                return judge_refuse(why, why_size, "%s is longer than a path can be (%u bytes)", key,
                                    PATH_MAX - 1);
        default:
                return judge_refuse(why, why_size, "%s is empty", key);
        }
}

/* The judge names the device, which the line does better; and it may be the name that we began with. */
static const char *without_device(const struct judge *judge, const char *why)
{
        char prefix[LIMIT_NAME + 16];
        int len = snprintf(prefix, sizeof(prefix), "device %s: ", judge->device->name);

        return strncmp(why, prefix, (size_t)len) == 0 ? why + len : why;
}

const yaml_node_t *judge_value(struct judge *judge, const yaml_node_t *mapping, const char *key,
                               value_set set)
{
        const yaml_node_t *node = config_document_find(judge->document, mapping, key);
        const char *text = config_document_text(node);
        const struct vm_config vm = judge->vm;
        const struct device_config device = *judge->device;
        char why[JUDGE_WHY];
        int r;

        if (!text || (text[0] == '\0' && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE))
                return NULL; /* config_walk has said it */
        r = set(judge, text, why, sizeof(why));
        if (r == 0)
                r = vm_config_judge_frame(&judge->vm, why, sizeof(why));
        if (r == 0)
                return node;
        if (r == -EINVAL)
                config_document_mistake(judge->mistakes, MISTAKE_ERROR, node, "%s",
                                        without_device(judge, why));
        judge->vm = vm;
        *judge->device = device;
        return NULL;
}
