/* The test's side of the control block (record.h): places where a worker is to be killed, and calls that are
 * to fail.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/power_cut/record.h"

/* Maps the image from its beginning: `len` bytes, or RECORD_LOG for no more than the control block. 0 or
 * negative errno; the mapping stays. */
static inline int record_map(const char *image, uint64_t len, uint8_t **ret_bytes)
{
        int fd = open(image, O_RDWR | O_CLOEXEC);
        void *map;

        if (fd < 0)
                return -errno;
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (map == MAP_FAILED)
                return -errno;
        *ret_bytes = map;
        return 0;
}

/* The recorder writes its log in any pieces: only a file system in memory takes them past the page cache, and that
 * since Linux 6.6. */
#define RECORD_DIRECT_PARENT "/dev/shm"
#define RECORD_SKIPPED       77 /* an exit status */

static inline bool record_can_be_direct(const char *image)
{
        int fd = open(image, O_RDWR | O_DIRECT | O_CLOEXEC);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

/* From now on each every-th of the calls fails with `error` (0: does a part only), `count` times. */
static inline void record_fault(struct record_control *control, uint32_t calls, int error, uint32_t every,
                                uint32_t count)
{
        control->fault_calls = 0;
        control->fault_errno = (uint32_t)error;
        control->fault_every = every;
        control->fault_count = count;
        __atomic_store_n(&control->fault_serial, control->fault_serial + 1, __ATOMIC_RELEASE);
        __atomic_store_n(&control->fault_calls, calls, __ATOMIC_RELEASE);
}

/* The worker of this generation stands still when it comes to the point for the count-th time from now. */
static inline void kill_point_arm(struct record_control *control, uint64_t generation, unsigned point,
                                  unsigned count)
{
        __atomic_store_n(&control->arm_generation, 0, __ATOMIC_RELEASE);
        control->arm_point = point;
        control->arm_count = count;
        control->arm_serial++;
        __atomic_store_n(&control->arm_generation, generation, __ATOMIC_RELEASE);
}

static inline void kill_point_disarm(struct record_control *control)
{
        __atomic_store_n(&control->arm_generation, 0, __ATOMIC_RELEASE);
}

/* Does the worker that is there stand still, and was it not killed already? */
static inline bool kill_point_reached(const struct record_control *control, uint64_t killed_generation)
{
        uint64_t stopped = __atomic_load_n(&control->stopped, __ATOMIC_ACQUIRE);

        return stopped != 0 && stopped != killed_generation &&
               stopped == __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE);
}
