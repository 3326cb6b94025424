/* The KVM front end as the broker's start-up sees it: a VM of the broker's own, from the first question to the host
 * until its memory is gone.
 *
 *   prepare   before the fork, with every right: opens /dev/kvm and judges host, layout and address width. All
 *             reasons to fail that can be known in advance are found here, each one line with a remedy.
 *   create    in the broker, before it is confined: VM, memory, vCPUs, platform. /dev/kvm is closed here. It cannot
 *             be earlier: KVM serves a VM only to the process that made it. It cannot be later: the filter allows
 *             neither KVM_CREATE_VM nor KVM_CREATE_VCPU.
 *   start     when every device is ready: the kernel's loader is spawned; when it has done and is dead, vCPUs run.
 *   stop      vCPUs, loader and queues; then
 *   free      the VM.
 *
 * All on one thread, from `start` on the broker's main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/core/spawner_client.h"
#include "proto/vm_config.h"
#include "proto/vm_exit.h"

struct kvm_front;

/* `config` outlives it. 0, or negative errno with one clause in `why`. */
int kvm_front_prepare(const struct vm_config *config, struct kvm_front **ret_front, char *why,
                      size_t why_size);

/* 0, or negative errno with one clause in `why`; then it can only be freed. Starts no thread. The serial port
 * leads where config->kvm.serial says: to standard output and from standard input, which stay open. */
int kvm_front_create(struct kvm_front *front, char *why, size_t why_size);

struct kvm_front_start {
        uv_loop_t *loop;
        struct device *const *devices; /* all of the configuration, in its order; outlive `stopped` */
        size_t n_devices;
        struct spawner_client *spawner; /* outlives `stopped` */
        uint32_t loader;                /* its index with the spawner */
        void *context;
        void (*running)(void *context); /* the loader is dead and the first vCPU has been told to run */
        /* Once, and never after kvm_front_stop: the VM has ended, or could not be booted. `reason` is one clause,
         * printable and ours. The owner stops the front end next. */
        void (*ended)(void *context, enum vm_exit exit, const char *reason);
};

/* `start` is copied. 0, or negative errno; then nothing is called. Once. */
int kvm_front_start(struct kvm_front *front, const struct kvm_front_start *start);

/* From the spawner, for the index `loader`. spawned takes the descriptors of *worker. */
void kvm_front_spawned(struct kvm_front *front, struct spawned_worker *worker);
void kvm_front_spawn_failed(struct kvm_front *front, int error, const char *reason);
void kvm_front_exited(struct kvm_front *front, const struct spawn_to_broker *exited);
void kvm_front_spawner_gone(struct kvm_front *front);

/* Is the loader still at work? *ret_loaded: bytes that it has written so far, or had. */
bool kvm_front_is_booting(const struct kvm_front *front, uint64_t *ret_loaded);

/* Has the guest's driver of that device said DRIVER_OK? */
bool kvm_front_driven(const struct kvm_front *front, size_t device);

/* Stops vCPUs and loader, detaches the devices. `stopped` is called once, from the loop, never from inside this
 * call: from then on no vCPU runs and devices and spawner client may go. Also before start, when only `stopped` is
 * called. Once. */
void kvm_front_stop(struct kvm_front *front, uv_loop_t *loop, void (*stopped)(void *context), void *context);

/* When it was never started, or after `stopped` and after the loop has run dry. Also in a process that only
 * prepared it. Accepts NULL, returns NULL. */
struct kvm_front *kvm_front_free(struct kvm_front *front);
