/* The guest of a throw-away VM, one device of it: a ring, commands to the worker behind it, and for a disk also
 * reads and writes whose bytes are checked.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/front_end.h"
#include "tests/hostile_worker/command.h"
#include "tests/hostile_worker/kind.h"

#define GUEST_SLOTS   40u
#define GUEST_WAIT_MS 15000 /* no attack may hold its device longer */
#define GUEST_BLOCK   4096u

struct guest_slot {
        uint64_t command, report; /* offsets in the ram */
        bool busy, done;
};

struct guest {
        const char *device; /* "disk0" */
        bool is_disk;
        unsigned queue; /* commands go there */
        struct front_end front;
        struct guest_ram ram;
        struct split_ring ring;
        struct guest_slot slots[GUEST_SLOTS];
        uint64_t header, data, status; /* of the one disk request at a time */
        bool disk_done;
        unsigned posted;
        uint32_t disk_version;
};

/* Connects, negotiates, starts the queue. All memory that is not posted is filled with `secret`. 0 or negative
 * errno; guest_close in both cases. */
int guest_open(struct guest *guest, const char *socket, const struct kind *kind, const char *secret);
void guest_close(struct guest *guest);

/* Posts a command; its slot, or negative errno. */
int guest_post(struct guest *guest, const struct hostile_command *command);
/* Takes what has come back. Is this slot's answer among it? -EPROTO: the used ring makes no sense. */
int guest_poll(struct guest *guest, unsigned slot);
/* Waits at most this long for anything to come back, or the ring's error. */
int guest_wait(struct guest *guest, int timeout_ms);
/* The answer, once guest_poll has said 1; frees the slot. */
void guest_take(struct guest *guest, unsigned slot, struct hostile_report *ret_report);

/* Writes a block whose bytes no other has, and reads it back. 0; -EILSEQ: other bytes came back; else
 * negative errno. A disk that is read-only is only read. */
int guest_disk_turn(struct guest *guest, bool read_only);

/* Writes a disk's one writable configuration field. */
int guest_write_config(struct guest *guest, uint8_t value);

/* Stops the queue as a VMM does that pauses its VM. 0 or negative errno. */
int guest_stop(struct guest *guest);
