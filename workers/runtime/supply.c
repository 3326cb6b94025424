/* The buffers that the guest has lent, a list a queue.
 * Owns the lists; a request lives in its lane's inbox. Called by devices, and by worker.c and inbox.c.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/supply.h"

#include <stddef.h>

#include "proto/base/limits.h"
#include "workers/runtime/inbox.h"

static struct supply {
        struct request *first, *last;
        uint32_t n;
} supplies[LIMIT_QUEUES];

struct request *supply_first(uint32_t queue)
{
        return supplies[queue].first;
}

struct request *supply_next(const struct request *request)
{
        return request->lent_next;
}

uint32_t supply_count(uint32_t queue)
{
        return supplies[queue].n;
}

void supply_add(struct request *request)
{
        struct supply *supply = &supplies[request->queue];

        request->lent = true;
        request->lent_next = NULL;
        request->lent_before = supply->last;
        if (supply->last)
                supply->last->lent_next = request;
        else
                supply->first = request;
        supply->last = request;
        supply->n++;
}

void supply_remove(struct request *request)
{
        struct supply *supply = &supplies[request->queue];

        if (!request->lent)
                return;
        if (request->lent_before)
                request->lent_before->lent_next = request->lent_next;
        else
                supply->first = request->lent_next;
        if (request->lent_next)
                request->lent_next->lent_before = request->lent_before;
        else
                supply->last = request->lent_before;
        supply->n--;
        request->lent = false;
}
