/* Answers that the broker itself composes, of a device whose type has an error that it can compose: to every request when there
 * will be no worker any more, so that the guest sees errors and not a device that hangs; and to one request whose
 * bytes are not there.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;
struct lane_queue;
struct request;

/* What is said, and how. */
struct lane_failure {
        const uint8_t *error; /* must outlive this */
        uint32_t len;
        bool first; /* the error comes first, and alone; else at the end, behind zeros */
        bool
            quiet; /* nothing writable: nothing is said, and it is used; what is lent stays lent. Else that breaks the ring */
};

/* From now on, what is outstanding and what comes is answered as lane_set_failure says. No worker may be attached; lane_attach ends it.
 * A queue that starts later is held until lane_queue_release, as ever: after a device reset its requests wait
 * for the new worker. */
void lane_fail_begin(struct lane *lane);
void lane_fail_end(struct lane *lane);

/* Does it answer what this queue has? */
bool lane_fail_answers(const struct lane *lane, const struct lane_queue *queue);

/* Answers a bounded number; lane->again says that there is more: call lane_turn again, a little later. */
void lane_fail_turn(struct lane *lane);

/* The bytes of this request are not all there, whatever its worker has said: writes the error of the lane's type (lane_set_failure)
 * where it belongs. True: it is there, and *ret_written is how many bytes the guest is told of: those in front of the error may be
 * missing, so none where there are any. False: it has no error or no place for one, that is gone, too, or the request was only lent. */
bool lane_fail_faulted(struct lane *lane, const struct request *request, uint32_t *ret_written);
