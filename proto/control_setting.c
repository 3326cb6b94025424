/* What an operator may set while a device runs: the one judgement of it.
 * Owns nothing; called by control_check.c, admin_check.c and what tells an operator of settings.
 * TRUST: values are an operator's, perhaps by way of a broker that was taken over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/control.h"

_Static_assert(LIMIT_SETTINGS == LIMIT_PORTS + 1, "one of each can be kept: a size a port, and the link");

bool control_setting_ok(const struct control_setting *setting)
{
        uint64_t value = setting->value;

        switch (setting->id) {
        case SETTING_LINK:
                return setting->index == 0 && value <= 1;
        case SETTING_SIZE:
                return setting->index < LIMIT_PORTS && value >> 32 == 0 && (value & 0xffff) != 0 &&
                       value >> 16 != 0;
        case SETTING_END_:
                break;
        }
        return false;
}

const char *control_setting_name(enum control_setting_id id)
{
        static const char *const names[] = {[SETTING_LINK] = "link", [SETTING_SIZE] = "size"};

        _Static_assert(array_size(names) == SETTING_END_, "a name each");
        return id >= SETTING_LINK && id < SETTING_END_ ? names[id] : "unknown";
}
