/* Finds the page of a shared memory region that a vCPU cannot have.
 * Owns nothing. Called by vCPU threads, through kvm_front.c. TRUST: addresses are the guest's, or sums of its registers: they
 * select a page that is shown, or none. What is behind a page fails as it likes.
 *
 * How it works: the main thread says where a page is and puts zeros there, and never touches one: a medium may take its time, and
 * its last words, too. This thread stands still anyway. Where nobody says which page it is (an old kernel, or one that waits
 * without a word), those that the instruction may touch are tried, and then all: an address may be in a vector register, an
 * operand longer than a page's rest, a page one of the guest's page tables.
 *
 * A page that can be read may not be to be written: a file with holes, on a disk that is full. So where the guest may write, the
 * kernel is asked to prepare the page for that, which changes no byte.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_fault.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/kvm/platform.h"
#include "proto/base/checked.h"

#define SEARCH_LOOKS 8u                 /* that trying what it may touch has not helped */
#define SEARCH_PAGES 64u                /* at each look, however late it is: a busy host makes anybody late */
#define SEARCH_NS    UINT64_C(20000000) /* at each look: a guest may only wait, and has interrupts to take */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* A call of the main thread. */
struct call {
        const struct front_fault *fault;
        uint64_t gpa;
        uint32_t slot;
        struct front_page page;
        bool found, cut;
};

static void call_mend(void *argument)
{
        struct call *call = argument;

        call->found = front_memory_mend(call->fault->memory, &call->cut);
}

static void call_page(void *argument)
{
        struct call *call = argument;

        call->found = front_memory_page(call->fault->memory, call->gpa, &call->page);
}

static void call_next(void *argument)
{
        struct call *call = argument;

        call->found = front_memory_next(call->fault->memory, call->slot, &call->page);
}

static void call_lost(void *argument)
{
        struct call *call = argument;

        front_memory_lost(call->fault->memory, &call->page);
}

static void call_patient(void *argument)
{
        struct call *call = argument;

        call->found = front_memory_patient(call->fault->memory);
}

static void call_fill(void *argument)
{
        struct call *call = argument;

        front_memory_fill(call->fault->memory);
}

/* True: in a moment it may be there; the moment has passed. */
static bool waits(const struct front_fault *fault)
{
        static const struct timespec moment = {.tv_nsec = 1000000};
        struct call call = {.fault = fault};

        if (!kvm_calls_make(fault->calls, call_patient, &call) || !call.found)
                return false;
        (void)nanosleep(&moment, NULL);
        return true;
}

static bool can_be_read(const uint8_t *at)
{
        uint8_t byte;

        return fault_safe_copy(&byte, at, 1) == 0;
}

/* An older kernel cannot tell. */
static bool can_be_written(uint8_t *at, uint64_t len)
{
        return madvise(at, len, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

bool front_fault_try(const struct front_fault *fault, uint64_t gpa)
{
        struct call call = {.fault = fault, .gpa = gpa};

        if (!kvm_calls_make(fault->calls, call_page, &call) || !call.found)
                return false;
        if (can_be_read(call.page.host) &&
            (!call.page.writable || can_be_written(call.page.host, call.page.len)))
                return false;
        return kvm_calls_make(fault->calls, call_lost, &call);
}

static bool try_each(void *context, uint64_t gpa)
{
        return front_fault_try(context, gpa);
}

static uint64_t now_ns(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static bool is_late(struct front_search *search, uint64_t late_ns)
{
        return search->tried++ >= SEARCH_PAGES && now_ns() >= late_ns;
}

/* The next page of this slot that cannot be read. */
static bool search_slot(struct front_search *search, struct call *call, uint64_t late_ns)
{
        const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

        for (; search->offset < call->page.len && !is_late(search, late_ns); search->offset += page) {
                if (can_be_read(call->page.host + search->offset))
                        continue;
                call->page.offset = search->offset;
                return kvm_calls_make(call->fault->calls, call_lost, call);
        }
        return false;
}

/* Goes on where it stood. True: it has found one. */
static bool search_until(const struct front_fault *fault, struct front_search *search, uint64_t late_ns)
{
        struct call call = {.fault = fault, .slot = search->slot};

        search->tried = 0;
        while (kvm_calls_make(fault->calls, call_next, &call) && call.found) {
                if (call.page.slot != search->slot)
                        search->offset = 0;
                search->slot = call.page.slot;
                if (search_slot(search, &call, late_ns))
                        return true;
                if (search->offset < call.page.len)
                        return false;
                search->offset = 0;
                call.slot = ++search->slot;
        }
        search->done = true;
        return false;
}

static void try_all(const struct front_fault *fault)
{
        struct front_search search = {0};
        struct call call = {.fault = fault};

        if (!search_until(fault, &search, UINT64_MAX))
                (void)kvm_calls_make(fault->calls, call_fill, &call);
}

static bool try_reach(const struct front_fault *fault, int vcpu_fd)
{
        return kvm_platform_reach(vcpu_fd, fault->ram, fault->range.start, fault->range.len, try_each,
                                  (void *)(uintptr_t)fault);
}

bool front_fault_serve(const struct front_fault *fault, int vcpu_fd, const uint64_t *gpa)
{
        struct call call = {.fault = fault};

        if (!kvm_calls_make(fault->calls, call_mend, &call) || !call.found)
                return false;
        if (call.cut || waits(fault))
                return true;
        if (gpa)
                (void)front_fault_try(fault, *gpa);
        else if (!try_reach(fault, vcpu_fd))
                try_all(fault);
        return true;
}

/* Once, and again more and more rarely: a loop that only waits is no reason to read everything for ever. */
void front_fault_look(const struct front_fault *fault, struct front_search *search, int vcpu_fd,
                      unsigned looks)
{
        const bool again = is_power_of_2(looks);

        if (looks == 1 || (again && search->done))
                *search = (struct front_search){0};
        if ((again && try_reach(fault, vcpu_fd)) || looks < SEARCH_LOOKS || search->done)
                return;
        (void)search_until(fault, search, now_ns() + SEARCH_NS);
}

bool front_fault_missing(const struct front_fault *fault, uint64_t gpa)
{
        return waits(fault) || front_fault_try(fault, gpa);
}
