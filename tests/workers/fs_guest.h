/* A guest's kernel as a shared directory sees it: FUSE requests, against the worker in a process of its own or as it ships.
 * Every answer is looked at: it has a header, says how long it is, and names the request.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/device/fs.h"
#include "tests/workers/fake_broker.h"

#define GUEST_QUEUES 2u

struct guest {
        struct fake_broker broker;
        char path[64]; /* of the directory that is shared */
        int root;      /* its descriptor */
        int memory;    /* that outlives workers; -1: none is given */
        struct fs_options options;
        char owners[24];     /* as the option says them */
        uint32_t uid, gid;   /* who asks */
        const char *program; /* NULL: a function */
        int policy;
        uint64_t unique;
        uint32_t attempt; /* of the next requests */
        uint32_t extra;   /* writable bytes beside those that are needed */
        uint8_t state[LIMIT_STATE_BYTES];
        size_t state_len;     /* what the worker has left */
        uint32_t init_flags2; /* what its kernel offers beside */
        struct fuse_init_out init;
        /* The broker's side of the window: what lies where. */
        struct guest_window {
                struct guest_granule {
                        bool there, orphan, writable;
                        uint64_t ino, offset;
                } at[LIMIT_FS_MAPS];
                int refuses;              /* the errno of the next answers to maps */
                bool holds;               /* answers are kept until guest_answer */
                uint32_t held[4], n_held; /* ids */
                unsigned n_maps, n_unmaps;
        } window;
};

/* A directory of its own, and a memory if wanted. Nothing is started. */
void guest_init(struct guest *guest, bool with_memory);
void guest_done(struct guest *guest);

/* A worker, its Hello and queues. */
void guest_start(struct guest *guest);

/* FUSE_INIT, and what the worker leaves then. */
void guest_mount(struct guest *guest);

/* guest_init, guest_start and guest_mount, with the options that stand there. */
void guest_begin(struct guest *guest);

/* kill -9, and a successor that is told what the predecessor has left. */
void guest_crash(struct guest *guest);

/* Any request: 0 or the negative errno of the answer. `out` gets what is behind its header, at most `size` bytes, *ret_len of them
 * (may be NULL). */
int guest_ask(struct guest *guest, uint32_t opcode, uint64_t id, const void *body, uint32_t len, void *out,
              uint32_t size, uint32_t *ret_len);

/* Obeys the worker where it asks for files to be mapped, while it says something. */
void guest_serve_window(struct guest *guest);

/* What was held is answered. */
void guest_answer(struct guest *guest);

/* How many granules are mapped. */
unsigned guest_n_mapped(const struct guest *guest);

/* One without an answer, on the queue for those. */
void guest_tell(struct guest *guest, uint32_t opcode, uint64_t id, const void *body, uint32_t len);

/* ---- what a kernel asks; 0 or negative errno ---- */

int guest_lookup(struct guest *guest, uint64_t parent, const char *name, struct fuse_entry_out *ret_entry);
int guest_mkdir(struct guest *guest, uint64_t parent, const char *name, uint64_t *ret_id);
int guest_create(struct guest *guest, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
                 uint64_t *ret_id, uint64_t *ret_handle);
int guest_open(struct guest *guest, uint64_t id, uint32_t flags, uint64_t *ret_handle);
int guest_opendir(struct guest *guest, uint64_t id, uint64_t *ret_handle);
int guest_write(struct guest *guest, uint64_t id, uint64_t handle, uint64_t offset, const void *bytes,
                uint32_t len);
/* The number of bytes. */
int guest_read(struct guest *guest, uint64_t id, uint64_t handle, uint64_t offset, void *out, uint32_t len);
int guest_getattr(struct guest *guest, uint64_t id, struct fuse_attr *ret_attr);
int guest_setattr(struct guest *guest, uint64_t id, const struct fuse_setattr_in *what,
                  struct fuse_attr *ret_attr);
int guest_named(struct guest *guest, uint32_t opcode, uint64_t id,
                const char *name); /* unlink and the like */
int guest_rename(struct guest *guest, uint64_t parent, const char *name, uint64_t to, const char *to_name,
                 uint32_t flags);
int guest_link(struct guest *guest, uint64_t id, uint64_t parent, const char *name);
int guest_symlink(struct guest *guest, uint64_t parent, const char *name, const char *target,
                  uint64_t *ret_id);
int guest_release(struct guest *guest, uint64_t id, uint64_t handle, bool is_folder);
void guest_forget(struct guest *guest, uint64_t id, uint64_t n);

/* ---- the host's side ---- */

/* A path in the shared directory; good until the call after the next. */
const char *host_path(const struct guest *guest, const char *name);
void host_write(const struct guest *guest, const char *name, const char *text);
void host_expect(const struct guest *guest, const char *name, const char *text);
