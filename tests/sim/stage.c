/* The devices of a run.
 * Owns them and the odds; called by the two programs' schedules. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "broker/core/fault_safe.h"
#include "proto/admin.h"
#include "tests/sim/bytes.h"
#include "tests/sim/chance.h"
#include "tests/sim/driver.h"
#include "tests/sim/front.h"
#include "tests/sim/spawner.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

#define ANSWER_BYTES (1u << 18) /* the longest writable part */

struct sim_device sim_devices[SIM_DEVICES];
unsigned n_sim_devices;

static struct odds odds, healed;

/* ---- life ---- */

void stage_init(void)
{
        uint8_t *bytes = mmap(NULL, (size_t)SIM_DEVICES * SIM_POSTINGS * ANSWER_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        sim_check(bytes != MAP_FAILED, "no memory for answers");
        sim_check(fault_safe_install() == 0, "no fault handler");
        signal(SIGPIPE, SIG_IGN);
        bytes_start();
        for (unsigned d = 0; d < SIM_DEVICES; d++) {
                sim_devices[d].n_lanes = SIM_LANES;
                worker_init(&sim_devices[d]);
                for (unsigned i = 0; i < SIM_POSTINGS; i++)
                        sim_devices[d].postings[i].bytes =
                            bytes + ((size_t)d * SIM_POSTINGS + i) * ANSWER_BYTES;
        }
}

static void clear_device(struct sim_device *dev, unsigned index)
{
        static struct sim_device fresh;

        for (unsigned i = 0; i < SIM_POSTINGS; i++)
                dev->postings[i] = (struct posting){.bytes = dev->postings[i].bytes};
        for (unsigned i = 0; i < SIM_LANES; i++)
                dev->lanes[i] =
                    (struct sim_lane){.ends = {-1, -1}, .rx = dev->lanes[i].rx, .tx = dev->lanes[i].tx};
        memcpy(fresh.postings, dev->postings, sizeof(fresh.postings));
        memcpy(fresh.lanes, dev->lanes, sizeof(fresh.lanes));
        *dev = fresh;
        dev->index = index;
        dev->odds = &odds;
        snprintf(dev->name, sizeof(dev->name), "dev%u", index);
        for (unsigned i = 0; i < SIM_POSTINGS; i++)
                dev->free_postings[dev->n_free++] = (uint16_t)(SIM_POSTINGS - 1 - i);
        ram_init(&dev->ram);
}

void stage_set(void)
{
        odds_choose(&odds);
        healed = odds;
        odds_heal(&healed);
        n_sim_devices = chance_between(1, SIM_DEVICES);
        for (unsigned i = 0; i < n_sim_devices; i++)
                clear_device(&sim_devices[i], i);
}

const struct odds *stage_odds(void)
{
        return &odds;
}

void stage_clear(struct stage_result *ret_result)
{
        *ret_result = (struct stage_result){0};
        for (unsigned i = 0; i < n_sim_devices; i++) {
                struct sim_device *dev = &sim_devices[i];

                ret_result->posted += dev->n_posted;
                ret_result->completed += dev->n_completed;
                ret_result->explained += dev->n_explained + dev->outstanding;
                ret_result->incarnations += dev->incarnations;
                worker_done(dev);
                driver_done(dev);
                ram_done(&dev->ram);
        }
        spawner_done();
}

/* ---- rest ---- */

void stage_heal(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++) {
                sim_devices[i].odds = &healed;
                sim_devices[i].quiet = true;
                worker_heal(&sim_devices[i]);
        }
        trace_event("rests", 0, 0, 0);
}

void stage_hurt(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++) {
                sim_devices[i].odds = &odds;
                sim_devices[i].quiet = false;
        }
}

bool stage_is_settled(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++)
                if (!front_settled(&sim_devices[i]))
                        return false;
        return true;
}

void stage_tell(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++) {
                const struct sim_device *dev = &sim_devices[i];

                fprintf(stderr,
                        "\n%s: %u outstanding, ready %d committed %d broken %d quarantined %d worker %d.%d",
                        dev->name, dev->outstanding, dev->ready, dev->committed, dev->broken,
                        dev->quarantined, dev->worker.incarnation, dev->worker.state);
                for (unsigned q = 0; q < dev->n_queues; q++)
                        fprintf(stderr, "\n  queue %u: phase %d avail %u used %u seen %u bad %d", q,
                                dev->queues[q].phase, dev->queues[q].avail_index, dev->queues[q].used_seen,
                                dev->queues[q].taken, dev->queues[q].must_break);
        }
}

void stage_check(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++) {
                struct sim_device *dev = &sim_devices[i];
                struct admin_device status = {0};

                device_status(dev->device, &status);
                sim_check(status.outstanding == 0, "%s: all is answered, and %u requests are in the table",
                          dev->name, status.outstanding);
                driver_check(dev);
                ram_check(&dev->ram, dev->name);
        }
}
