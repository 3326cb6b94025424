/* Three devices beneath the front end's memory in a VM of the real /dev/kvm, which write down what they are told, and a processor that
 * makes one access after the other.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/kvm/front_device.h"
#include "broker/kvm/front_fault.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/kvm/real_vm.h"
#include "tests/wire/fake_device.h"

#define PAGE      4096u
#define MIB       (1u << 20)
#define SHMEM     0x10000000u /* the VM's range: in no RAM, reached by 16-bit code with a segment of ours */
#define SHMEM_LEN (8u * MIB)
#define A_AT      SHMEM /* region 7 of the first device */
#define A_LEN     (2u * MIB)
#define A_SECOND  (SHMEM + 2 * MIB) /* ... and its region 200 */
#define C_AT      (SHMEM + 4 * MIB) /* region 1 of the third, which refuses others */
#define FILE_LEN  A_LEN

enum { A, B, C, DEVICES };

extern struct real_vm real;
extern struct real_vcpu vcpu;
extern uv_loop_t loop;
extern struct kvm_bus *bus;
extern const struct kvm_regions regions;
extern struct front_memory *memory;
extern struct front_fault fault;
extern struct device devices[DEVICES];
extern struct front_device fronts[DEVICES];
extern struct shmem_mapping mappings[LIMIT_KVM_SLOTS + 1];
extern int file; /* what is mapped: FILE_LEN bytes */

/* What the devices were told last. */
struct front_told {
        const struct device *device;
        const struct shmem_mapping *mapping;
        int error;
        unsigned n;
};
extern struct front_told shown, failed, ended;

struct front_placed {
        const struct device *device;
        uint8_t shmid;
        uint64_t gpa;
};
extern struct front_placed placed[8];
extern unsigned n_placed;

/* Before and after each test. */
int front_setup(void **state);
int front_teardown(void **state);
void open_device(unsigned i);

/* ---- what a device does ---- */

/* A part of the file lies in a region: what shmem.h makes of it, and a window that is all of the file. */
struct shmem_mapping *mapping_made(uint8_t shmid, uint64_t offset, uint64_t len, bool writable);
void unmap(struct shmem_mapping *mapping);
struct shmem_mapping *show(unsigned device, uint8_t shmid, uint64_t offset, uint64_t len, bool writable);
void hide(unsigned device, struct shmem_mapping *mapping);

uint8_t file_byte(uint64_t at);
void file_put(uint64_t at, uint8_t byte);

/* Another device's walk: is the byte there, to be read or written? */
bool reaches(unsigned device, uint64_t at, bool write);

/* ---- what a guest does ---- */

/* On a thread of its own, while this one serves it as the broker's main thread does. */
void on_thread(void (*function)(void));

uint8_t guest_read(uint32_t at);
void guest_write(uint32_t at, uint8_t byte);
uint64_t guest_register(unsigned device, uint32_t low);
void guest_select(unsigned device, uint8_t shmid);
