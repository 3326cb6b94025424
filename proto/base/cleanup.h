/* Scope-owned things: the attribute frees, take_ moves ownership out and leaves the empty value.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_close(const int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void cleanup_free(void *p)
{
        free(*(void **)p);
}

#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_free_  _cleanup_(cleanup_free)

/* Moves a descriptor out of its owner. */
static inline int take_fd(int *fd)
{
        int taken = *fd;

        *fd = -1;
        return taken;
}

/* Moves a pointer out of its owner. */
#define take_ptr(p)                                                                                          \
        ({                                                                                                   \
                __typeof__(p) *take_ptr_at_ = &(p);                                                          \
                __typeof__(p) take_ptr_v_ = *take_ptr_at_;                                                   \
                *take_ptr_at_ = NULL;                                                                        \
                take_ptr_v_;                                                                                 \
        })

/* Defines cleanup_<name> for `_cleanup_(cleanup_<name>) type *p`, from a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, name, destroy)                                                                  \
        static inline void cleanup_##name(type **p)                                                          \
        {                                                                                                    \
                destroy(*p);                                                                                 \
        }

/* A large local of a hot path that is not cleared first (-ftrivial-auto-var-init clears all others): its maker fills in
 * what is read, field by field. */
#define _uninitialized_ __attribute__((uninitialized))
