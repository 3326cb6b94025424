/* Handler: translations of I/O virtual addresses.
 * Owns nothing; called by the dispatch of table.c, which has judged length, descriptors, state and agreed features. It is an edge:
 * what is refused is logged. TRUST: the payload is the front end's, and its guest's IOMMU's behind it.
 *
 * How it works: the front end says what an I/O virtual range stands for as an address of its own, and the session's table makes a
 * guest-physical one of that, at once: it holds for what lies there, however the table changes. A range that is not in the table as a
 * whole is refused as a whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/serve_iotlb.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/core/iotlb.h"
#include "broker/vhost_user/session.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

#define IN_PAGE (UINT64_C(4096) - 1)
_Static_assert(IN_PAGE + 1 == LIMIT_IOTLB_PAGE, "in 64 bits");

/* What the device cannot keep answers its questions, too: nobody translates. */
static int take_piece(struct session *session, const struct iotlb_entry *entry)
{
        uint64_t asked = iotlb_misses_asked(session->misses);
        int r = device_iotlb_update(session->device, entry);

        if (r != -EINVAL)
                iotlb_misses_updated(session->misses, asked, entry->iova, entry->len);
        return r;
}

/* Calls `take` (NULL: nothing) for each piece that lies in one region: at most LIMIT_REGIONS, which do not overlap. */
static int each_piece(struct session *session, const struct vhost_user_iotlb *update,
                      int (*take)(struct session *session, const struct iotlb_entry *entry))
{
        struct iotlb_entry entry = {.rights = update->rights};
        int r = 0;

        for (uint64_t done = 0; r == 0 && done < update->size; done += entry.len) {
                entry.iova = update->iova + done;
                r = memory_table_piece(&session->memory, update->user_address + done, update->size - done,
                                       &entry.gpa, &entry.len);
                if (r == 0 && take)
                        r = take(session, &entry);
        }
        return r;
}

/* Whole pages, that do not wrap, with a right. */
static bool is_update(const struct vhost_user_iotlb *update)
{
        uint64_t last = update->size - 1;

        return update->size > 0 && ((update->iova | update->size | update->user_address) & IN_PAGE) == 0 &&
               last <= UINT64_MAX - update->iova && last <= UINT64_MAX - update->user_address &&
               update->rights != 0 && (update->rights & ~(IOTLB_READ | IOTLB_WRITE)) == 0;
}

static int take_update(struct session *session, const struct vhost_user_iotlb *update)
{
        int r;

        if (!session->translating)
                return -EPERM;
        if (!is_update(update))
                return -EINVAL;
        r = each_piece(session, update, NULL);
        if (r < 0)
                return r;
        r = each_piece(session, update, take_piece);
        if (r < 0)
                (void)device_iotlb_invalidate(session->device, update->iova, update->size);
        return r;
}

/* More than is asked is right: every page that the range touches; without a length everything, which is how 2^64 is said. */
static int take_invalidation(struct session *session, const struct vhost_user_iotlb *invalidation)
{
        uint64_t start = invalidation->iova & ~IN_PAGE;
        uint64_t last = invalidation->size - 1 <= UINT64_MAX - invalidation->iova
                            ? invalidation->iova + (invalidation->size - 1)
                            : UINT64_MAX;

        if (!session->translating)
                return 0;
        if (invalidation->size == 0)
                return device_iotlb_invalidate(session->device, 0, 0);
        return device_iotlb_invalidate(session->device, start, (last | IN_PAGE) - start + 1);
}

static int take_message(struct session *session, const struct vhost_user_iotlb *iotlb)
{
        switch (iotlb->type) {
        case VHOST_USER_IOTLB_UPDATE:
                return take_update(session, iotlb);
        case VHOST_USER_IOTLB_INVALIDATE:
                return take_invalidation(session, iotlb);
        default:
                return -EOPNOTSUPP;
        }
}

/* The answer comes when every lane works with the change. */
int serve_iotlb_msg(void *context, const void *message)
{
        const struct vhost_user_iotlb *iotlb = &((const struct vhost_user_message *)message)->payload.iotlb;
        struct session *session = context;
        int r = take_message(session, iotlb);

        if (r < 0)
                log_limited(LOG_LEVEL_WARNING,
                            "translation refused: %s dev=%s type=%u iova=0x%" PRIx64 " size=0x%" PRIx64
                            " rights=%u",
                            strerror(-r), device_name(session->device), iotlb->type, iotlb->iova, iotlb->size,
                            iotlb->rights);
        return session_answer_u64(session, r == 0 ? 0 : 1);
}
