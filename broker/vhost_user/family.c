/* The devices of one VM, as far as one must know of the others.
 * Owns nothing; called by listeners and by sessions' memory tables. TRUST: a file is told by its numbers, which the kernel says of a
 * descriptor that the front end has sent; that it is the same is all that is believed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/family.h"

#include <assert.h>

#include "broker/vhost_user/listener.h"

void vhost_user_family_add(struct vhost_user_family *family, struct vhost_user_listener *listener)
{
        assert(family->n < LIMIT_DEVICES);
        family->members[family->n++] = listener;
}

void vhost_user_family_remove(struct vhost_user_family *family, const struct vhost_user_listener *listener)
{
        for (size_t i = 0; i < family->n; i++) {
                if (family->members[i] != listener)
                        continue;
                family->members[i] = family->members[--family->n];
                return;
        }
}

/* One that refuses wins: the same file may lie in regions of several. */
enum memory_kind vhost_user_family_kind(const struct vhost_user_family *family, const struct device *device,
                                        uint64_t dev, uint64_t ino)
{
        enum memory_kind kind = MEMORY_PLAIN;

        for (size_t i = 0; i < family->n; i++) {
                const struct vhost_user_listener *member = family->members[i];

                if (!vhost_user_listener_shows(member, dev, ino))
                        continue;
                if (vhost_user_listener_refuses(member, device))
                        return MEMORY_REFUSED;
                kind = MEMORY_SHMEM;
        }
        return kind;
}
