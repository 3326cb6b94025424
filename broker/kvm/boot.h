/* How a VM gets its kernel: the broker has the loader spawned, takes what it writes into a VM that has never run, and
 * judges where it says the first vCPU is to start. The loader is a jailed worker: it has read files that anybody may
 * have made, and all that it can do is write to the guest's own RAM, which the guest can do as well.
 *
 * How it works: SPAWNING → GREETING (until its Hello: it has shut itself in) → LOADING (its MemWrites, space BOOT) →
 * DYING (it has said Booted or BootFailed, or is at fault: killed) → OVER. Only from there, when its pidfd has said that
 * it is gone and all that it had written before Booted has landed, the owner is called. Nothing of it can reach the VM
 * any more then.
 *
 * On the broker's main thread, from its loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "broker/core/guest_memory.h"
#include "broker/core/spawner_client.h"
#include "proto/boot.h"

struct boot;

struct boot_start {
        uv_loop_t *loop;
        struct spawner_client *spawner;     /* outlives it */
        uint32_t index;                     /* the loader's, as the spawner counts: behind the last device */
        const char *name;                   /* the VM's */
        const struct boot_options *options; /* copied */
        struct guest_memory
            *memory; /* has all of options->ram, writable, never seen by a vCPU; a reference is taken */
        void *context;
        /* Exactly one of these is called, once, never from boot_new; the loader is dead. The entry and its argument lie in
         * RAM. `why`: one line, safe to print, with the remedy. */
        void (*booted)(void *context, const struct boot_entry *entry);
        void (*failed)(void *context, const char *why);
};

/* Asks the spawner for the loader. 0 or negative errno. */
int boot_new(const struct boot_start *start, struct boot **ret_boot);

/* From the spawner, for its index; after the end they are taken and ignored. */
void boot_spawned(struct boot *boot, struct spawned_worker *worker);
void boot_spawn_failed(struct boot *boot, const char *reason);
void boot_exited(struct boot *boot, const struct spawn_to_broker *exited);
void boot_spawner_gone(struct boot *boot);

/* Bytes that the loader has written so far. */
uint64_t boot_loaded(const struct boot *boot);

/* Kills a loader that is still there; nothing is called any more. Memory goes with the loop's next turn. Accepts NULL,
 * returns NULL; allowed inside the callbacks. */
struct boot *boot_free(struct boot *boot);
