/* Who keeps the translations of a device on a stage.
 * Owns nothing; called by fuzz_rpc_state.c, and by the device. TRUST: it plays a VMM; what it says is the fuzzer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/rpc_keeper.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/core/iotlb.h"
#include "proto/base/checked.h"

#define BOTH (IOTLB_READ | IOTLB_WRITE)

static void on_miss(void *context, uint64_t iova, unsigned rights)
{
        struct rpc_keeper *keeper = context;

        assert(keeper->on && iova % LIMIT_IOTLB_PAGE == 0 && (rights & BOTH) != 0 && (rights & ~BOTH) == 0);
        assert(keeper->n_open < LIMIT_IOTLB_MISSES);
        for (unsigned i = 0; i < keeper->n_open; i++)
                assert(keeper->open[i].iova != iova);
        keeper->open[keeper->n_open].iova = iova;
        keeper->open[keeper->n_open++].rights = rights;
}

static void on_broken(void *context, unsigned queue, enum queue_fault fault)
{
        struct rpc_keeper *keeper = context;

        (void)fault;
        keeper->broken |= UINT64_C(1) << queue;
}

void rpc_keeper_begin(struct rpc_keeper *keeper, struct device *device, uint64_t base,
                      const uint64_t places[KEEPER_PLACES], bool persists)
{
        *keeper = (struct rpc_keeper){.device = device, .base = base, .on = true, .persists = persists};
        for (unsigned i = 0; i < KEEPER_PLACES; i++)
                keeper->places[i] = places[i] & ~(uint64_t)(LIMIT_IOTLB_PAGE - 1);
        device_attach(device, &(struct device_front){.context = keeper,
                                                     .broken = on_broken,
                                                     .iotlb_miss = on_miss,
                                                     .iotlb_persists = persists});
        assert(device_translate(device, true) == 0);
}

static void close_questions(struct rpc_keeper *keeper, uint64_t iova, uint64_t len)
{
        for (unsigned i = keeper->n_open; i-- > 0;)
                if (keeper->open[i].iova - iova < len)
                        keeper->open[i] = keeper->open[--keeper->n_open];
}

static void set_rights(struct rpc_keeper *keeper, uint64_t iova, uint64_t len, unsigned rights)
{
        for (uint64_t page = 0; page < KEEPER_PAGES; page++)
                if (keeper->base + page * LIMIT_IOTLB_PAGE - iova < len)
                        keeper->rights[page] = (uint8_t)rights;
}

/* The question is closed before the device is told: it may ask again from inside. */
static void update(struct rpc_keeper *keeper, uint64_t iova, uint64_t len, unsigned rights)
{
        const struct iotlb_entry entry = {.iova = iova, .len = len, .gpa = iova, .rights = rights};

        close_questions(keeper, iova, len);
        assert(device_iotlb_update(keeper->device, &entry) == (keeper->on ? 0 : -EPERM));
        if (keeper->on)
                set_rights(keeper, iova, len, rights);
}

static void miss(struct rpc_keeper *keeper, uint64_t iova)
{
        close_questions(keeper, iova, LIMIT_IOTLB_PAGE);
        device_iotlb_missed(keeper->device, iova);
}

static void invalidate(struct rpc_keeper *keeper, uint64_t iova, uint64_t len)
{
        assert(device_iotlb_invalidate(keeper->device, iova, len) == (keeper->on ? 0 : -EPERM));
        if (len == 0)
                memset(keeper->rights, 0, sizeof(keeper->rights));
        else
                set_rights(keeper, iova, len, 0);
}

static void answer(struct rpc_keeper *keeper, uint8_t where, unsigned rights)
{
        uint64_t iova;

        if (keeper->n_open == 0)
                return;
        iova = keeper->open[where % keeper->n_open].iova;
        if (rights == 0)
                miss(keeper, iova);
        else
                update(keeper, iova, LIMIT_IOTLB_PAGE, rights);
}

static void say_badly(struct rpc_keeper *keeper, uint8_t how)
{
        struct iotlb_entry entry = {
            .iova = keeper->base, .len = LIMIT_IOTLB_PAGE, .gpa = keeper->base, .rights = BOTH};

        entry.iova += how & 1;
        entry.len += how >> 1 & 1 ? 1 : 0;
        entry.len = how >> 2 & 1 ? 0 : entry.len;
        entry.gpa = how >> 3 & 1 ? UINT64_MAX - LIMIT_IOTLB_PAGE + 1 : entry.gpa;
        entry.rights = how >> 4 & 1 ? 0 : entry.rights;
        entry.rights |= how >> 5 & 1 ? 4 : 0;
        if ((how & 0x3f) != 0)
                assert(device_iotlb_update(keeper->device, &entry) < 0);
}

void rpc_keeper_step(struct rpc_keeper *keeper, unsigned what, uint8_t where, uint8_t how)
{
        uint64_t iova = keeper->places[where % KEEPER_PLACES];
        uint64_t len = (1u + how / 4) * (uint64_t)LIMIT_IOTLB_PAGE;

        switch (what) {
        case 0:
        case 1:
                answer(keeper, where, BOTH);
                return;
        case 2:
                answer(keeper, where, how & 3);
                return;
        case 3:
                update(keeper, iova, len, (how & 3) == 0 ? BOTH : how & 3);
                return;
        case 4:
                invalidate(keeper, iova, len);
                return;
        case 5:
                invalidate(keeper, 0, 0);
                return;
        case 6:
                if (device_translate(keeper->device, !keeper->on) == 0) {
                        keeper->on = !keeper->on;
                        keeper->n_open = 0;
                        memset(keeper->rights, 0, sizeof(keeper->rights));
                }
                return;
        default:
                say_badly(keeper, how);
        }
}

void rpc_keeper_answer_all(struct rpc_keeper *keeper)
{
        for (unsigned i = 0; keeper->n_open > 0 && i < LIMIT_IOTLB_MISSES; i++)
                answer(keeper, 0, BOTH);
}

void rpc_keeper_reset(struct rpc_keeper *keeper)
{
        keeper->broken = 0;
        if (!keeper->persists)
                memset(keeper->rights, 0, sizeof(keeper->rights));
}

bool rpc_keeper_may_write(const struct rpc_keeper *keeper, uint64_t at)
{
        return !keeper->on || (keeper->rights[(at - keeper->base) / LIMIT_IOTLB_PAGE] & IOTLB_WRITE);
}
