/* kvm: what a broker that runs its VM asks of KVM after its start: to run, to wire, to map. Making VMs, vCPUs and
 * devices is over by then. Owns nothing; part of the policy "broker-kvm". TRUST: sees no foreign bytes.
 *
 * The numbers are the kernel's interface, spelled out: its header belongs to the front end's room. A test compares
 * each with it. Descriptors are not pinned: a number that no VM's or vCPU's descriptor has means nothing to the kernel
 * (ENOTTY), and the broker has only its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/ioctl.h>

#include "sandbox/policy/rows.h"

#define KVM_MAGIC 0xae

/* Bytes of the structures that the kernel's numbers hold. */
#define REGION_BYTES      32 /* struct kvm_userspace_memory_region */
#define IRQFD_BYTES       32
#define IOEVENTFD_BYTES   64
#define DIRTY_BYTES       16 /* struct kvm_dirty_log */
#define REGS_BYTES        144
#define SREGS_BYTES       312
#define ONE_REG_BYTES     16
#define MP_STATE_BYTES    4
#define TRANSLATION_BYTES 24 /* struct kvm_translation */

const struct policy_row policy_kvm_run[POLICY_KVM_ROWS] = {
    {__NR_ioctl, .tests = {ARG_IS(1, _IO(KVM_MAGIC, 0x80))},
     .reason = "KVM_RUN: a vCPU's thread in its guest"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x46, REGION_BYTES))},
     .reason = "KVM_SET_USER_MEMORY_REGION: shared memory regions come and go"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x42, DIRTY_BYTES))},
     .reason = "KVM_GET_DIRTY_LOG: which pages the guest has written"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x76, IRQFD_BYTES))},
     .reason = "KVM_IRQFD: a device's interrupt from an eventfd"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x79, IOEVENTFD_BYTES))},
     .reason = "KVM_IOEVENTFD: a queue's kick to an eventfd"},
#if defined(__x86_64__)
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_READ, KVM_MAGIC, 0x81, REGS_BYTES))},
     .reason = "KVM_GET_REGS: where a guest has crashed"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x82, REGS_BYTES))},
     .reason = "KVM_SET_REGS: the kernel's entry, known when it is loaded"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_READ, KVM_MAGIC, 0x83, SREGS_BYTES))},
     .reason = "KVM_GET_SREGS: as KVM_GET_REGS, and before KVM_SET_SREGS"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_READ, KVM_MAGIC, 0x98, MP_STATE_BYTES))},
     .reason = "KVM_GET_MP_STATE: does a vCPU wait for an interrupt, or for a page that does not come?"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_READ | _IOC_WRITE, KVM_MAGIC, 0x85, TRANSLATION_BYTES))},
     .reason = "KVM_TRANSLATE: which page of a region that may be"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0x84, SREGS_BYTES))},
     .reason = "KVM_SET_SREGS: the mode that the kernel is entered in"},
#else
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0xab, ONE_REG_BYTES))},
     .reason = "KVM_GET_ONE_REG: where a guest has crashed"},
    {__NR_ioctl, .tests = {ARG_IS(1, _IOC(_IOC_WRITE, KVM_MAGIC, 0xac, ONE_REG_BYTES))},
     .reason = "KVM_SET_ONE_REG: the kernel's entry, known when it is loaded"},
#endif
};
