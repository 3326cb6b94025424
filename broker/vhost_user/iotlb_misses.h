/* Translations that the device misses, and the front end is asked for.
 *
 * How it works: a question stands in line until the channel may speak, is sent, and is answered in its turn: first comes the
 * translation itself, on the main channel (IOTLB_MSG UPDATE), then the reply. So a reply tells something only of a question that no
 * update has answered: whatever it says, nobody translates that page. Nothing waits for a reply. While a ring is drained nobody is
 * asked, since the front end does not look, and when no ring runs any more all questions are void: what it replies to them later
 * says nothing about those that come after.
 *
 * It does not matter to a guest why its device stands still; to its operator it does: a front end that does not reply for
 * LIMIT_IOTLB_ANSWER_MS is logged once. It is not judged: a VMM that is stopped replies when it goes on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/vhost_user/backend_channel.h"

struct iotlb_misses;

/* Without a channel. 0 or -ENOMEM. */
int iotlb_misses_new(uv_loop_t *loop, struct device *device, struct iotlb_misses **ret_misses);

/* Nobody is told of anything any more. Memory goes with the loop's close callback. Accepts NULL, returns NULL. */
struct iotlb_misses *iotlb_misses_close(struct iotlb_misses *misses);

/* All that follow accept NULL: nothing happens. */

/* As iotlb_miss of struct device_front. */
void iotlb_misses_ask(struct iotlb_misses *misses, uint64_t iova, unsigned rights);

/* The front end has told the device of [iova, + len): that answers what was asked there before, which iotlb_misses_asked had counted
 * when the device was told (the device may ask on when it is). */
uint64_t iotlb_misses_asked(const struct iotlb_misses *misses);
void iotlb_misses_updated(struct iotlb_misses *misses, uint64_t asked, uint64_t iova, uint64_t len);

/* No ring runs, so that nobody waits: what is open is missed, and replies to it tell nothing. */
void iotlb_misses_drop(struct iotlb_misses *misses);

/* The channel is the session's; NULL: there is none. Replies that the last one owed will not come. */
void iotlb_misses_set_channel(struct iotlb_misses *misses, struct backend_channel *channel);

/* For the channel's owner. */
void iotlb_misses_answered(struct iotlb_misses *misses, uint64_t value);
void iotlb_misses_idle(struct iotlb_misses *misses);
void iotlb_misses_closed(struct iotlb_misses *misses);
