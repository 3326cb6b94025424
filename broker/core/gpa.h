/* Guest-physical addresses: a struct, so that no arithmetic happens by accident. Sums go through gpa_add.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/checked.h"

typedef struct {
        uint64_t v;
} gpa_t;

#define GPA(x) ((gpa_t){(x)})

static inline bool gpa_add(gpa_t a, uint64_t len, gpa_t *ret_sum)
{
        return checked_add_u64(a.v, len, &ret_sum->v);
}
