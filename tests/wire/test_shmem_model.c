/* Shared memory regions over vhost-user against a model of a VMM: whatever the device maps and unmaps, and whenever the rings stop,
 * the guest resets its device, a mapping is refused or the channel is another: in the end the VMM has what the device has, and on
 * the way no message was out of place. TRUST: both sides are our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/shmem_peer.h"

#define PLACES 12u
#define STEPS  30000
#define WINDOW (UINT64_C(1) << 40) /* guest address of the region */

/* What the VMM has: pages, each with a file. */
struct vmm {
        struct peer peer;
        unsigned seed;
        bool running;
        bool shares;   /* it says what it has mapped as memory of the guest's */
        bool in_doubt; /* the other side cannot know what we have */
        struct {
                uint64_t ino; /* 0: nothing */
                int fd;
        } pages[PLACES];
        unsigned maps, unmaps, refusals, resets;
};

static unsigned random_below(struct vmm *vmm, unsigned n)
{
        return (unsigned)rand_r(&vmm->seed) % n;
}

static void page_clear(struct vmm *vmm, unsigned page)
{
        if (vmm->pages[page].ino != 0)
                close(vmm->pages[page].fd);
        vmm->pages[page].ino = 0;
}

static void vmm_reset(struct vmm *vmm)
{
        for (unsigned page = 0; page < PLACES; page++)
                page_clear(vmm, page);
        vmm->resets++;
}

/* Its memory, and, if it says so, what is mapped. */
static void vmm_share(struct vmm *vmm)
{
        struct peer *peer = &vmm->peer;
        struct vhost_user_memory_table table = {.n_regions = 1,
                                                .regions = {{.guest_address = peer->ram.guest_address,
                                                             .size = peer->ram.size,
                                                             .user_address = peer->ram.user_address}}};
        int fds[LIMIT_VHOST_USER_FDS] = {peer->ram.fd};

        for (unsigned page = 0; vmm->shares && page < PLACES && table.n_regions < LIMIT_VHOST_USER_FDS;
             page++) {
                if (vmm->pages[page].ino == 0)
                        continue;
                fds[table.n_regions] = vmm->pages[page].fd;
                table.regions[table.n_regions++] = (struct vhost_user_memory_region){
                    .guest_address = WINDOW + page * PEER_PAGE,
                    .size = PEER_PAGE,
                    .user_address = (UINT64_C(0x7f) << 40) + page * PEER_PAGE};
        }
        assert_int_equal(front_end_set(&peer->front, VHOST_USER_SET_MEM_TABLE, &table,
                                       8 + 32 * table.n_regions, fds, table.n_regions, true),
                         0);
}

static void vmm_start(struct vmm *vmm)
{
        if (vmm->running)
                return;
        assert_int_equal(front_end_start(&vmm->peer.front, PEER_DRIVER_FEATURES, &vmm->peer.ram), 0);
        vmm_share(vmm);
        assert_int_equal(front_end_start_ring(&vmm->peer.front, 0, &vmm->peer.ring, 0), 0);
        vmm->running = true;
}

static void vmm_stop(struct vmm *vmm)
{
        if (!vmm->running)
                return;
        peer_stop(&vmm->peer);
        vmm->running = false;
        vmm->in_doubt = true;
}

/* ---- messages ---- */

static bool map_message(struct vmm *vmm, const struct vhost_user_mmap *mmap, int fd)
{
        unsigned page = (unsigned)(mmap->shm_offset / PEER_PAGE);
        struct stat st;

        assert_true(fd >= 0 && page < PLACES && mmap->len == PEER_PAGE);
        assert_int_equal(fstat(fd, &st), 0);
        if (vmm->pages[page].ino != 0) {
                /* Of what it cannot know it may ask again; else nothing is ever mapped over something. */
                if (!vmm->in_doubt)
                        assert_int_not_equal(vmm->pages[page].ino, st.st_ino);
                assert_true(vmm->in_doubt);
                return false;
        }
        if (random_below(vmm, 12) == 0) {
                vmm->refusals++;
                return false;
        }
        vmm->pages[page].ino = st.st_ino;
        vmm->pages[page].fd = dup(fd);
        vmm->maps++;
        return true;
}

static bool unmap_message(struct vmm *vmm, const struct vhost_user_mmap *mmap)
{
        unsigned page = (unsigned)(mmap->shm_offset / PEER_PAGE);

        assert_true(page < PLACES && mmap->len == PEER_PAGE);
        if (vmm->pages[page].ino == 0) {
                assert_true(vmm->in_doubt);
                return false;
        }
        page_clear(vmm, page);
        vmm->unmaps++;
        return true;
}

static bool waiting(struct vmm *vmm)
{
        struct pollfd poll_fd = {.fd = vmm->peer.backend.sock, .events = POLLIN};

        fixture_turn(vmm->peer.fixture);
        return poll(&poll_fd, 1, 0) == 1;
}

/* Takes the next message, if there is one, and answers it. */
static bool vmm_serve(struct vmm *vmm)
{
        struct wire_message message;
        struct vhost_user_mmap mmap;
        struct fd_set_owned fds;
        bool done;

        if (!waiting(vmm))
                return false;
        assert_int_equal(wire_receive_fds(&vmm->peer.backend, &message, &fds), 0);
        assert_int_equal(message.size, sizeof(mmap));
        memcpy(&mmap, message.payload, sizeof(mmap));
        if (message.request == VHOST_USER_BACKEND_SHMEM_MAP) {
                assert_int_equal(fds.n, 1);
                done = map_message(vmm, &mmap, fds.fds[0]);
        } else {
                assert_int_equal(message.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
                assert_int_equal(fds.n, 0);
                done = unmap_message(vmm, &mmap);
        }
        fd_set_close(&fds);
        peer_answer(&vmm->peer, message.request, done ? 0 : 1);
        if (vmm->running && vmm->shares)
                vmm_share(vmm);
        return true;
}

/* ---- the device ---- */

static struct shmem *books(struct vmm *vmm)
{
        return vmm->peer.fixture->device.shmem;
}

static void device_maps(struct vmm *vmm)
{
        uint64_t page = random_below(vmm, PLACES);
        bool shown;

        if (!shmem_find(books(vmm), 0, page * PEER_PAGE, PEER_PAGE))
                (void)peer_show(&vmm->peer, page, &shown);
}

static void device_unmaps(struct vmm *vmm)
{
        size_t n = shmem_n_mappings(books(vmm));

        if (n > 0)
                peer_hide(&vmm->peer, shmem_mapping_at(books(vmm), random_below(vmm, (unsigned)n)));
}

/* Nothing is left to say: both have the same. */
static void compare(struct vmm *vmm)
{
        size_t n = 0;

        vmm_start(vmm);
        while (vmm_serve(vmm))
                ;
        for (unsigned page = 0; page < PLACES; page++) {
                const struct shmem_mapping *mapping = shmem_find(books(vmm), 0, page * PEER_PAGE, PEER_PAGE);

                assert_int_equal(vmm->pages[page].ino, mapping ? mapping->ino : 0);
                n += mapping != NULL;
        }
        assert_int_equal(n, shmem_n_mappings(books(vmm)));
        vmm->in_doubt = false;
}

static void step(struct vmm *vmm)
{
        switch (random_below(vmm, 64)) {
        case 0:
                vmm_stop(vmm);
                break;
        case 1: /* as QEMU's does it, without a word */
                vmm_stop(vmm);
                vmm_reset(vmm);
                break;
        case 2:
                assert_int_equal(front_end_reset_device(&vmm->peer.front), 0);
                wire_barrier(&vmm->peer.front.wire);
                vmm->running = false;
                vmm->in_doubt = true;
                vmm_reset(vmm);
                break;
        case 3:
                peer_replace_channel(&vmm->peer);
                vmm->in_doubt = true;
                break;
        case 4:
                compare(vmm);
                break;
        case 5 ... 8:
                vmm_start(vmm);
                break;
        case 9 ... 28:
                device_maps(vmm);
                break;
        case 29 ... 44:
                device_unmaps(vmm);
                break;
        default:
                (void)vmm_serve(vmm);
        }
}

static void vmm_and_device_agree(struct fixture *fixture, bool shares)
{
        struct vmm vmm = {.seed = shares ? 5 : 6, .shares = shares};

        peer_attach_and_start(&vmm.peer, fixture);
        vmm.running = true;
        for (int i = 0; i < STEPS; i++)
                step(&vmm);
        compare(&vmm);
        print_message("%u maps, %u unmaps, %u refusals, %u resets\n", vmm.maps, vmm.unmaps, vmm.refusals,
                      vmm.resets);
        assert_true(vmm.maps > 1000 && vmm.unmaps > 500 && vmm.refusals > 100 && vmm.resets > 500);
        vmm_reset(&vmm);
        peer_detach(&vmm.peer);
}

static void vmm_that_says_its_mappings_as_memory_agrees(void **state)
{
        vmm_and_device_agree(*state, true);
}

static void vmm_that_does_not_agrees(void **state)
{
        vmm_and_device_agree(*state, false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define SHMEM_TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, fixture_teardown)
            SHMEM_TEST(vmm_that_says_its_mappings_as_memory_agrees),
            SHMEM_TEST(vmm_that_does_not_agrees),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
