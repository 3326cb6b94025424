/* One disk served straight between guest memory and the image: the judge of a block worker, its file, its
 * configuration, and, where memory is mapped, no copy of a byte.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/control.h"
#include "tests/bench/twin/twin_reach.h"
#include "workers/blk/blk_file.h"
#include "workers/blk/blk_req.h"

struct twin_disk {
        struct blk_file file; /* its descriptor is ours */
        struct blk_disk disk;
        struct control_hello hello; /* what the worker of such a disk would say */
        uint64_t features;          /* that the driver has accepted */
        bool writeback_field;       /* as the driver has last written it */
};

/* Opens a raw image for reading and writing. 0 or negative errno. */
int twin_disk_open(struct twin_disk *disk, const char *path, unsigned n_queues, bool map_image);
void twin_disk_close(struct twin_disk *disk);

/* Room for the chain of a request, of which nothing else is used. 0 or -ENOMEM. */
int twin_request_init(struct request *request, uint16_t max_segments);
void twin_request_done(struct request *request);

/* Carries out the chain of `request` (nothing else of it is used) and writes its status. 0: all its writable
 * bytes are used; -EPROTO: the guest has broken the protocol of the device; -EFAULT: its memory is gone. */
int twin_disk_serve(struct twin_disk *disk, const struct twin_reach *reach, const struct request *request);

/* The driver writes the field `writeback`. What was written before becomes stable with the change. */
int twin_disk_set_writeback(struct twin_disk *disk, bool writeback);
