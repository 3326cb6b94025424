/* The broker's accesses to guest memory: at each, another thread may have its turn.
 * Owns nothing; called by the broker's core through the linker's --wrap. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/vthread.h"

int __real_fault_safe_load16(const void *at, uint16_t *ret_value);
int __real_fault_safe_store16(void *at, uint16_t value);
size_t __real_fault_safe_copy(void *to, const void *from, size_t n);
int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value);
int __wrap_fault_safe_store16(void *at, uint16_t value);
size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n);

int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value)
{
        int r = __real_fault_safe_load16(at, ret_value);

        vthread_race();
        return r;
}

int __wrap_fault_safe_store16(void *at, uint16_t value)
{
        int r;

        vthread_race();
        r = __real_fault_safe_store16(at, value);
        vthread_race();
        return r;
}

size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n)
{
        size_t r = __real_fault_safe_copy(to, from, n);

        vthread_race();
        return r;
}
