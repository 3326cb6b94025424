/* Who keeps the translations of two devices on a stage: the other half of a front end that has an IOMMU. Every page stands for itself,
 * so that a guest's driver need not know of it. It answers what the input says, and knows what each device may reach.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "tests/core/stage.h"

/* A device's rings and buffers lie in so many pages, by number. */
#define KEEPER_PAGES  160u
#define KEEPER_PLACES 8u /* pages that matter: of its rings and buffers */

struct rpc_keeper {
        struct device *device;
        uint64_t base; /* of page 0 */
        uint64_t places[KEEPER_PLACES];
        bool on, persists;
        uint8_t rights[KEEPER_PAGES]; /* what the device was told, and may use */
        unsigned n_open;
        struct {
                uint64_t iova;
                unsigned rights;
        } open[LIMIT_IOTLB_MISSES];
        uint64_t broken; /* queues, since they were last started; bits */
};

/* Attaches the device, which translates. `base`: the address of page 0; `places`: in KEEPER_PLACES pages of those that matter. */
void rpc_keeper_begin(struct rpc_keeper *keeper, struct device *device, uint64_t base,
                      const uint64_t places[KEEPER_PLACES], bool persists);

/* Does something: what and where are the input's. */
void rpc_keeper_step(struct rpc_keeper *keeper, unsigned what, uint8_t where, uint8_t how);

/* Answers everything that is open, with what is asked for. */
void rpc_keeper_answer_all(struct rpc_keeper *keeper);

/* The device was reset. */
void rpc_keeper_reset(struct rpc_keeper *keeper);

/* May the device write here now? */
bool rpc_keeper_may_write(const struct rpc_keeper *keeper, uint64_t at);
