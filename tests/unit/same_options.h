/* Two sets of options compared by what they say, not by where their texts lie.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/device_type.h"
#include "tests/unit/unit.h"

static inline void assert_same_options(enum device_type_id type, const struct option_set *a,
                                       const struct option_set *b)
{
        for (unsigned i = 0; i < device_types[type].n_options; i++) {
                assert_int_equal(a->value[i].number, b->value[i].number);
                assert_string_equal(a->value[i].text, b->value[i].text);
        }
}
