/* The broker's own confinement, by itself, at the end of its start-up and before its first thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct broker_jail {
        uid_t uid; /* from spawner_broker_uid */
        gid_t gid;
        bool rootless;          /* ids stay */
        bool kvm;               /* it runs a VM, made before: filter "broker-kvm" */
        uint32_t nofile;        /* descriptors it may have at once; lowered only */
        const char *fail_stage; /* tests: this stage fails with EIO. NULL in production */
};

/* An empty root and network, ipc and uts namespaces of its own, own uid and gid, no groups, no capabilities in any set, securebits locked, no_new_privs, not dumpable, no
 * core file, seccomp filter "broker" or "broker-kvm" (no exec, no socket, no open, no kill but pidfd_send_signal of SIGKILL).
 * No Landlock: a domain would bar it from process_vm_writev into workers. One thread; all sockets made and
 * bound before. 0, or negative errno with the stage in *ret_stage: the caller must exit. *ret_missing:
 * JAIL_LAYER_BIT of absent layers. */
int broker_confine(const struct broker_jail *jail, uint32_t *ret_missing, const char **ret_stage);
