/* Files in the guest's window (virtio 1.3, 5.11.5; FUSE_SETUPMAPPING and FUSE_REMOVEMAPPING): which granule of it shows which part
 * of which file. A file is shown by the granule whether it is as long or not, so that nothing has to be done when it grows or is
 * cut short.
 *
 * The broker maps; we ask, and go on with others until it has answered. A guest's request waits for that in the list here, which
 * is worked through from its beginning, one granule at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/limits.h"
#include "workers/fs/fs_memory.h"

struct fs;
struct fs_req;
struct request;

#define FS_MAP_WORDS ((LIMIT_FS_MAPS + 63) / 64)

/* Granules of the window. */
struct fs_map_set {
        uint64_t words[FS_MAP_WORDS];
};

/* A guest's request that has no answer yet. */
struct fs_dax_job {
        struct request *request;
        uint64_t unique;
        bool removes;
        struct fs_map_set set; /* still to be unmapped */
        /* Still to be mapped: */
        uint64_t node, offset; /* its id; in the file */
        uint32_t first, n;     /* granules */
        bool writes;
};

struct fs_dax {
        uint32_t n_granules;        /* of the window; 0: there is none */
        struct fs_map_set shown;    /* what the broker has mapped for us, or will when it comes to that */
        struct fs_map_set unwanted; /* to be unmapped before anything else is done: nobody waits for it */
        uint32_t n_restoring;       /* of a predecessor's, asked for and not answered */
        uint32_t id;                /* of the last question */
        bool asks, maps, alone;     /* it has no answer yet; what it is; who wanted it has gone */
        struct fs_map_record asked; /* what is to be mapped */
        uint32_t granule;           /* where */
        uint32_t first_job, n_jobs;
        struct fs_dax_job jobs[LIMIT_CREDITS];
};

/* Is there a window? After the regions are known. */
void fs_dax_init(struct fs *fs);

/* Carry out FUSE_SETUPMAPPING and FUSE_REMOVEMAPPING, `body` behind the header, judged: answer, or the request waits. */
void fs_dax_map(struct fs *fs, const struct fs_req *req, const uint8_t *body);
void fs_dax_unmap(struct fs *fs, const struct fs_req *req, const uint8_t *body);

/* The broker's answer. */
void fs_dax_answered(struct fs *fs, uint32_t id, int error);

/* The guest has forgotten inodes: what it had mapped of them goes. */
void fs_dax_forgotten(struct fs *fs);

/* Another mount, or none: nothing is mapped, and who waits is told. Before inodes are forgotten. */
void fs_dax_clear(struct fs *fs);

/* After inodes and handles have been adopted: what a predecessor had mapped is asked for again, before anything is served. */
void fs_dax_restore(struct fs *fs);

/* ---- fs_dax_show.c: what answers say of it ---- */

/* An answer to `opcode` is on its way to the guest, a header and its bytes: it tells of the window, or that a file is to be
 * mapped. */
void fs_dax_show(const struct fs *fs, uint32_t opcode, const struct iovec *body);
