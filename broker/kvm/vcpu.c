/* The vCPUs' threads: start, pause, resume, end.
 * Owns the vCPUs' descriptors, run areas and threads; called by the front end on the main thread. TRUST: none of its own;
 * vcpu_exit.c serves what guests do.
 *
 * How it works: `wanted` says what all threads shall do; it and every vCPU's immediate_exit change together under the
 * mutex, and then each thread gets SIGURG. A thread that has not yet entered its guest sees immediate_exit there, one that
 * is in it is driven out by the signal, one in a handler finds `wanted` when that returns: no order of these loses it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "broker/kvm/vcpu_exit.h"
#include "proto/base/cleanup.h"

enum wanted { RUN, PAUSE, LEAVE };

struct member {
        struct kvm_vcpu vcpu;
        struct kvm_vcpus *all;
        pthread_t thread;
};

struct kvm_vcpus {
        struct kvm_vcpus_options options;
        pthread_mutex_t mutex;
        pthread_cond_t changed; /* wanted */
        atomic_uint wanted;     /* written under the mutex */
        unsigned n_running;     /* threads that have been made */
        unsigned n_waiting;     /* ... and wait to be resumed */
        unsigned n_left;        /* ... and have seen LEAVE */
        struct member members[];
};

static int fail(int error, const char *what, char *why, size_t size)
{
        snprintf(why, size, "%s: %s", what, strerror(-error));
        return error;
}

/* ---- the threads ---- */

/* Waits while all shall pause. The last one to come says so, outside the lock. */
static void member_wait(struct member *member)
{
        struct kvm_vcpus *all = member->all;
        bool last;

        pthread_mutex_lock(&all->mutex);
        last = ++all->n_waiting == all->n_running && atomic_load(&all->wanted) == PAUSE;
        if (last && all->options.paused) {
                pthread_mutex_unlock(&all->mutex);
                all->options.paused(all->options.context);
                pthread_mutex_lock(&all->mutex);
        }
        while (atomic_load(&all->wanted) == PAUSE)
                pthread_cond_wait(&all->changed, &all->mutex);
        all->n_waiting--;
        pthread_mutex_unlock(&all->mutex);
}

static void member_leave(struct member *member)
{
        struct kvm_vcpus *all = member->all;
        bool last;

        pthread_mutex_lock(&all->mutex);
        last = ++all->n_left == all->n_running;
        pthread_mutex_unlock(&all->mutex);
        if (last && all->options.left)
                all->options.left(all->options.context);
}

static void *member_main(void *argument)
{
        struct member *member = argument;
        struct kvm_vcpus *all = member->all;
        char name[16];

        snprintf(name, sizeof(name), "vcpu%u", member->vcpu.index);
        prctl(PR_SET_NAME, name);
        while (atomic_load(&all->wanted) != LEAVE) {
                if (kvm_ending_reported(all->options.ending))
                        kvm_vcpus_pause(all);
                if (atomic_load(&all->wanted) == PAUSE)
                        member_wait(member);
                else if (atomic_load(&all->wanted) == RUN)
                        kvm_vcpu_run(&member->vcpu);
        }
        member_leave(member);
        return NULL;
}

/* ---- the main thread ---- */

/* `wanted` changes; the mutex is held. */
static void all_want(struct kvm_vcpus *all, enum wanted wanted)
{
        atomic_store(&all->wanted, wanted);
        for (unsigned i = 0; i < all->options.n; i++)
                __atomic_store_n(&all->members[i].vcpu.run->immediate_exit, wanted != RUN, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&all->changed);
        if (wanted == RUN)
                return;
        for (unsigned i = 0; i < all->n_running; i++)
                pthread_kill(all->members[i].thread, SIGURG);
}

void kvm_vcpus_pause(struct kvm_vcpus *all)
{
        bool wait_already = false;

        pthread_mutex_lock(&all->mutex);
        if (atomic_load(&all->wanted) == RUN) {
                all_want(all, PAUSE);
                wait_already = all->n_running > 0 && all->n_waiting == all->n_running;
        }
        pthread_mutex_unlock(&all->mutex);
        /* They had been resumed and none has noticed: none will come to say so. */
        if (wait_already && all->options.paused)
                all->options.paused(all->options.context);
}

void kvm_vcpus_resume(struct kvm_vcpus *all)
{
        pthread_mutex_lock(&all->mutex);
        if (atomic_load(&all->wanted) == PAUSE && !kvm_ending_reported(all->options.ending))
                all_want(all, RUN);
        pthread_mutex_unlock(&all->mutex);
}

void kvm_vcpus_stop(struct kvm_vcpus *all)
{
        bool nobody;

        pthread_mutex_lock(&all->mutex);
        nobody = atomic_load(&all->wanted) != LEAVE && all->n_running == 0;
        if (atomic_load(&all->wanted) != LEAVE)
                all_want(all, LEAVE);
        pthread_mutex_unlock(&all->mutex);
        if (nobody && all->options.left)
                all->options.left(all->options.context);
}

/* Those that have been in their guests since the last look tell, in their own threads (vcpu_exit.c), how they stand there. */
void kvm_vcpus_look(struct kvm_vcpus *all)
{
        pthread_mutex_lock(&all->mutex);
        for (unsigned i = 0; i < all->n_running && atomic_load(&all->wanted) == RUN; i++) {
                struct kvm_vcpu *vcpu = &all->members[i].vcpu;
                uint64_t exits = atomic_load(&vcpu->exits);

                if (atomic_exchange(&vcpu->looked, exits) != exits)
                        continue;
                atomic_store(&vcpu->look, true);
                pthread_kill(all->members[i].thread, SIGURG);
        }
        pthread_mutex_unlock(&all->mutex);
}

static void on_interrupt(int signal_number)
{
        (void)signal_number; /* that it came is all: it ends KVM_RUN with EINTR */
}

int kvm_vcpus_start(struct kvm_vcpus *all, const struct kvm_boot *boot, char *why, size_t size)
{
        struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART */
        int r = kvm_platform_start(all->options.platform, all->members[0].vcpu.fd, boot, why, size);

        if (r < 0)
                return r;
        sigaction(SIGURG, &action, NULL);
        /* Held until all are there: the count of those that wait or leave is right from the first. */
        pthread_mutex_lock(&all->mutex);
        for (unsigned i = 0; r == 0 && i < all->options.n; i++) {
                r = -pthread_create(&all->members[i].thread, NULL, member_main, &all->members[i]);
                all->n_running += r == 0;
        }
        pthread_mutex_unlock(&all->mutex);
        return r < 0 ? fail(r, "no thread for a vCPU", why, size) : 0;
}

/* ---- life ---- */

static int member_init(struct kvm_vcpus *all, unsigned index, size_t run_len, char *why, size_t size)
{
        struct kvm_vcpu *vcpu = &all->members[index].vcpu;
        void *run;

        vcpu->fd = ioctl(all->options.vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
        if (vcpu->fd < 0)
                return fail(-errno, "KVM_CREATE_VCPU", why, size);
        run = mmap(NULL, run_len, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
        if (run == MAP_FAILED)
                return fail(-errno, "the run area of a vCPU", why, size);
        vcpu->run = run;
        vcpu->run_len = run_len;
        return kvm_platform_vcpu_init(all->options.platform, index, vcpu->fd, why, size);
}

static void member_done(struct member *member)
{
        if (member->vcpu.run)
                munmap(member->vcpu.run, member->vcpu.run_len);
        cleanup_close(&member->vcpu.fd);
}

int kvm_vcpus_new(const struct kvm_vcpus_options *options, struct kvm_vcpus **ret_vcpus, char *why,
                  size_t size)
{
        struct kvm_vcpus *all = calloc(1, sizeof(*all) + options->n * sizeof(struct member));
        int run_len = ioctl(options->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), r = 0;

        assert(options->n > 0);
        if (!all)
                return fail(-ENOMEM, "vCPUs", why, size);
        pthread_mutex_init(&all->mutex, NULL);
        pthread_cond_init(&all->changed, NULL);
        all->options = *options;
        for (unsigned i = 0; i < options->n; i++) {
                all->members[i].all = all;
                all->members[i].vcpu.index = i;
                all->members[i].vcpu.fd = -1;
                all->members[i].vcpu.options = &all->options;
        }
        if (run_len < (int)sizeof(struct kvm_run))
                r = fail(run_len < 0 ? -errno : -EPROTO, "KVM_GET_VCPU_MMAP_SIZE", why, size);
        for (unsigned i = 0; r == 0 && i < options->n; i++)
                r = member_init(all, i, (size_t)run_len, why, size);
        if (r == 0)
                r = kvm_platform_vcpus_made(options->platform, why, size);
        if (r < 0) {
                kvm_vcpus_free(all);
                return r;
        }
        *ret_vcpus = all;
        return 0;
}

struct kvm_vcpus *kvm_vcpus_free(struct kvm_vcpus *all)
{
        if (!all)
                return NULL;
        if (all->n_running > 0)
                kvm_vcpus_stop(all);
        for (unsigned i = 0; i < all->n_running; i++)
                pthread_join(all->members[i].thread, NULL);
        for (unsigned i = 0; i < all->options.n; i++)
                member_done(&all->members[i]);
        pthread_cond_destroy(&all->changed);
        pthread_mutex_destroy(&all->mutex);
        free(all);
        return NULL;
}

static uint64_t load(const atomic_uint_fast64_t *counter)
{
        return atomic_load_explicit(counter, memory_order_relaxed);
}

void kvm_vcpus_stats(const struct kvm_vcpus *all, struct kvm_vcpus_stats *ret_stats)
{
        struct kvm_vcpus_stats sum = {0};

        for (unsigned i = 0; i < all->options.n; i++) {
                const struct kvm_vcpu *vcpu = &all->members[i].vcpu;

                sum.exits += load(&vcpu->exits);
                sum.mmio += load(&vcpu->mmio);
                sum.pio += load(&vcpu->pio);
                sum.faults += load(&vcpu->failed);
                sum.signals += load(&vcpu->signals);
        }
        *ret_stats = sum;
}
