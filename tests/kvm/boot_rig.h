/* Both neighbours of a boot in a test: a spawner that does as it is told, and a loader whose words are the test's. The process
 * that is killed for them is a child that only waits.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "broker/kvm/boot.h"
#include "proto/base/fd.h"
#include "proto/control.h"
#include "proto/lane.h"

#define RIG_LOW         (8u << 20) /* bytes of the first range of RAM, from 0 */
#define RIG_HIGH_AT     (UINT64_C(4) << 30)
#define RIG_HIGH        (1u << 20)
#define RIG_DEADLINE_MS 10000u

struct boot_rig {
        uv_loop_t loop;
        struct spawner_client *client;
        int spawner_fd; /* the spawner's end */
        struct boot_options options;
        struct guest_memory *memory;
        uint8_t *low, *high; /* what the RAM holds */
        struct boot *boot;
        pid_t pid;             /* of the child; 0: none */
        int control;           /* the loader's end; -1: none */
        struct fd_duplex lane; /* the same */
        unsigned n_booted, n_failed;
        struct boot_entry entry;
        char why[1024];
        bool free_inside; /* the callback frees the boot */
        unsigned fds_before;
};

/* A boot that has asked for its loader. */
void rig_begin(struct boot_rig *rig);
/* Frees everything; nothing may have leaked. */
void rig_end(struct boot_rig *rig);

/* The spawner's answers. The loader's process lives until somebody kills it. */
void rig_spawned(struct boot_rig *rig);
void rig_spawn_failed(struct boot_rig *rig, const char *reason);
void rig_exited(struct boot_rig *rig, const struct spawn_cause *cause, uint32_t signal_number);
void rig_spawner_dies(struct boot_rig *rig);

/* The loader's words. */
void rig_hello(struct boot_rig *rig, uint32_t device_type);
void rig_control(struct boot_rig *rig, const struct control_to_broker *message);
void rig_lane(struct boot_rig *rig, const struct lane_to_broker *message, const void *payload, uint32_t len);
void rig_write(struct boot_rig *rig, uint64_t range, uint32_t offset, const void *bytes, uint32_t len);
void rig_booted(struct boot_rig *rig, enum kvm_boot_mode mode, uint64_t entry, uint64_t arg);

/* Runs the loop until one of the callbacks has come. */
void rig_await_end(struct boot_rig *rig);
/* Runs the loop until it has nothing to do at this moment. */
void rig_settle(struct boot_rig *rig);

/* Has the spawner been told to reap the loader? Takes one message off the channel; false: there is none. */
bool rig_was_reaped(struct boot_rig *rig);

/* How the child ended: its wait status. */
int rig_child_status(struct boot_rig *rig);
