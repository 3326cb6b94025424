/* A hostile worker and shared memory regions: whatever it asks to be mapped is refused, or it is killed; and nothing leaks.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "tests/core/shmem_world.h"
#include "tests/core/silent_fuse.h"

#define FILE_PAGES 64u
#define FULL       4u /* mappings, where the limit is that */
#define PAIRS      500u
#define LATE       77u /* a message that is not to be obeyed */

static struct shmem_world self;
static bool own_mounts;

static int usual_limits(void **state)
{
        (void)state;
        shmem_world_limits = (struct shmem_limits){0};
        return 0;
}

/* ---- ranges ---- */

struct row {
        const char *what;
        struct shmem_request request;
        int error;
};

#define AT(page, pages, at) /* in pages; of the region, and of the file */                                   \
        {                                                                                                    \
                .writable = true, .offset = (page)*PAGE, .len = (pages)*PAGE, .fd_offset = (at)*PAGE         \
        }
#define TOP (UINT64_MAX - PAGE + 1) /* the last page that there could be */

static const struct row bad_ranges[] = {
    {"no such region", {.shmid = 1, .writable = true, .len = PAGE}, -EINVAL},
    {"the last region of all", {.shmid = 255, .writable = true, .len = PAGE}, -EINVAL},
    {"nothing", AT(0, 0, 0), -EINVAL},
    {"a byte", {.writable = true, .len = 1}, -EINVAL},
    {"half a page more", {.writable = true, .len = PAGE + PAGE / 2}, -EINVAL},
    {"between pages", {.writable = true, .offset = 512, .len = PAGE}, -EINVAL},
    {"between pages of the file", {.writable = true, .len = PAGE, .fd_offset = 8}, -EINVAL},
    {"behind the region", AT(REGION_PAGES, 1, 0), -EINVAL},
    {"over the end of the region", AT(REGION_PAGES - 1, 2, 0), -EINVAL},
    {"more than the region", AT(0, REGION_PAGES + 1, 0), -EINVAL},
    {"an offset that wraps", {.writable = true, .offset = TOP, .len = PAGE}, -EINVAL},
    {"an offset that wraps into the region", {.writable = true, .offset = TOP, .len = 2 * PAGE}, -EINVAL},
    {"a length that wraps", {.writable = true, .offset = PAGE, .len = TOP}, -EINVAL},
    {"a file's offset that wraps", {.writable = true, .len = PAGE, .fd_offset = TOP}, -EINVAL},
    {"a file's offset with a sign", {.writable = true, .len = PAGE, .fd_offset = UINT64_C(1) << 63}, -EINVAL},
    {"what is mapped already", AT(10, 4, 10), -EEXIST},
    {"over its beginning", AT(9, 2, 0), -EEXIST},
    {"over its end", AT(13, 2, 0), -EEXIST},
    {"inside of it", AT(11, 1, 0), -EEXIST},
    {"all around it", AT(9, 6, 0), -EEXIST},
    {"behind the end of the file", AT(20, 1, FILE_PAGES), -ENXIO},
    {"over the end of the file", AT(20, 2, FILE_PAGES - 1), -ENXIO},
    {"without the rights", {.writable = false, .offset = 20 * PAGE, .len = PAGE}, -EACCES},
};

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
        const struct shmem_request good = pages_of(10, 4);
        unsigned fds;
        int fd, other;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        other = sealed_pages(FILE_PAGES);
        assert_int_equal(map_answer(&self, &good, fd), 0);
        fds = count_fds();
        for (size_t i = 0; i < array_size(bad_ranges); i++) {
                int r = map_answer(&self, &bad_ranges[i].request, other);

                if (r != bad_ranges[i].error)
                        fail_msg("%s: %d", bad_ranges[i].what, r);
        }
        assert_unmapped(other);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        assert_int_equal(self.n_shows, 1);
        assert_int_equal(count_fds(), fds);
        assert_maps(shmem_of(&self));
        close(fd);
        close(other);
        shmem_world_done(&self);
}

static void an_unmap_is_of_exactly_what_was_mapped(void **state)
{
        static const struct shmem_request bad[] = {
            AT(10, 3, 0), AT(11, 3, 0), AT(10, 5, 0), AT(9, 5, 0),
            AT(0, 0, 0),  AT(10, 0, 0), AT(20, 4, 0), {.shmid = 3, .offset = 10 * PAGE, .len = 4 * PAGE},
        };
        const struct shmem_request good = pages_of(10, 4);
        int fd;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        assert_int_equal(map_answer(&self, &good, fd), 0);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(unmap_answer(&self, &bad[i]), -ENOENT);
        assert_non_null(mapping_at(&self, 10, 4));
        assert_int_equal(unmap_answer(&self, &good), 0);
        assert_int_equal(unmap_answer(&self, &good), -ENOENT);
        assert_unmapped(fd);
        close(fd);
        assert_int_equal(count_fds(), self.fds);
        assert_maps(shmem_of(&self));
        shmem_world_done(&self);
}

static void limits_hold_at_their_edge_and_refusals_do_not_count(void **state)
{
        int fd;
        struct shmem_request request;

        (void)state;
        shmem_world_limits = (struct shmem_limits){.mappings = FULL, .bytes = 8 * PAGE};
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        request = pages_of(0, 9);
        assert_int_equal(map_answer(&self, &request, fd), -E2BIG);
        for (unsigned i = 0; i < FULL; i++) {
                request = pages_of(10 * i, 2);
                assert_int_equal(map_answer(&self, &request, fd), 0);
        }
        request = pages_of(50, 1);
        assert_int_equal(map_answer(&self, &request, fd), -E2BIG); /* of mappings and of bytes */
        request = pages_of(0, 2);
        assert_int_equal(unmap_answer(&self, &request), 0);
        request = pages_of(0, 3);
        assert_int_equal(map_answer(&self, &request, fd), -E2BIG); /* of bytes alone */
        request = pages_of(0, 1);
        assert_int_equal(map_answer(&self, &request, fd), 0);
        request = pages_of(50, 1);
        assert_int_equal(map_answer(&self, &request, fd), -E2BIG); /* of mappings alone */
        close(fd);
        shmem_world_done(&self);
}

/* ---- descriptors ---- */

static int open_pipe(void)
{
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        close(fds[1]);
        return fds[0];
}

static int open_socket(void)
{
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_folder(void)
{
        return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_null(void)
{
        return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int open_zero(void)
{
        return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int open_event(void)
{
        return eventfd(0, EFD_CLOEXEC);
}

static int open_proc(void)
{
        return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static int open_path(void)
{
        return open("/bin/sh", O_PATH | O_CLOEXEC);
}

static int open_unsealed(void)
{
        int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(ftruncate(fd, FILE_PAGES * PAGE), 0);
        return fd;
}

static int open_nameless(void)
{
        int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        assert_int_equal(ftruncate(fd, FILE_PAGES * PAGE), 0);
        return fd;
}

static void what_is_no_fit_file_is_refused_whatever_it_is(void **state)
{
        static int (*const opened[])(void) = {open_pipe,     open_socket,  open_folder, open_null,
                                              open_zero,     open_event,   open_proc,   open_path,
                                              open_unsealed, open_nameless};
        const struct shmem_request request = pages_of(0, 1);

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        for (size_t i = 0; i < array_size(opened); i++) {
                int fd = opened[i](), r;

                assert_true(fd >= 0);
                r = map_answer(&self, &request, fd);
                close(fd);
                if (r != -EMEDIUMTYPE)
                        fail_msg("descriptor %zu of the list: %d", i, r);
                assert_int_equal(count_fds(), self.fds);
        }
        assert_int_equal(self.n_shows, 0);
        assert_maps(shmem_of(&self));
        shmem_world_done(&self);
}

static void a_file_whose_server_is_silent_is_refused_and_holds_nobody_up(void **state)
{
        const struct shmem_request request = pages_of(0, 1);
        struct silent_fuse fuse;

        (void)state;
        if (!own_mounts || silent_fuse_start(&fuse, O_RDWR) < 0) {
                print_message("needs root and /dev/fuse\n");
                assert_null(getenv("MUST_RUN"));
                skip();
        }
        shmem_world_init(&self, DEVICE_TYPE_PMEM);
        world_serve(&self.world);
        assert_int_equal(map_answer(&self, &request, fuse.file), -EMEDIUMTYPE);
        assert_int_equal(silent_fuse_asked(&fuse, 0), 0);
        shmem_world_done(&self);
        silent_fuse_stop(&fuse);
}

static void what_is_mapped_is_never_executable(void **state)
{
        const struct shmem_request request = pages_of(3, 2);
        int fd;
        struct map_lines maps;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        assert_int_equal(map_answer(&self, &request, fd), 0);
        maps = map_lines_read();
        for (size_t i = 0; i < maps.n; i++)
                if (maps.lines[i].ino == mapping_at(&self, 3, 2)->ino)
                        assert_int_equal(maps.lines[i].rights[2], '-');
        map_lines_free(&maps);
        close(fd);
        shmem_world_done(&self);
}

/* ---- messages that are none ---- */

/* Killed for it; what came beside it is closed. */
static void dies_of(enum device_type_id type, const struct control_to_broker *message, unsigned n_fds)
{
        int fd, fds[3];

        shmem_world_serve(&self, type);
        fd = fds[0] = fds[1] = fds[2] = sealed_pages(FILE_PAGES);
        shmem_world_say(&self, message, fds, n_fds);
        close(fd);
        assert_replaced(&self, 1);
        assert_int_equal(self.n_shows, type == DEVICE_TYPE_SAMPLE ? 1 : 0);
        shmem_world_done(&self);
}

static void a_map_has_exactly_one_descriptor(void **state)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_MAP,
                                                  .shmem = {.id = LATE, .writable = true, .len = PAGE}};

        (void)state;
        dies_of(DEVICE_TYPE_PMEM, &message, 0);
        dies_of(DEVICE_TYPE_PMEM, &message, 2);
        dies_of(DEVICE_TYPE_PMEM, &message, 3);
}

static void beside_any_other_message_there_is_none(void **state)
{
        static const uint64_t no_counters[1];
        const struct control_to_broker messages[] = {
            {.kind = CONTROL_SHMEM_UNMAP, .shmem = {.id = LATE, .len = PAGE}},
            {.kind = CONTROL_LOG, .log = {.level = 3, .text = "beside a descriptor"}},
            {.kind = CONTROL_PUT_STATE},
            {.kind = CONTROL_STATS, .stats = {.n = 0, .counter = no_counters}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(messages); i++) {
                shmem_world_serve(&self, DEVICE_TYPE_PMEM); /* without one it is obeyed */
                shmem_world_say(&self, &messages[i], NULL, 0);
                (void)unmap_answer(&self, &(struct shmem_request){0});
                assert_int_equal(self.world.n_spawns, 1);
                shmem_world_done(&self);
                dies_of(DEVICE_TYPE_PMEM, &messages[i], 1);
        }
}

static void a_type_without_files_may_hand_nothing_over(void **state)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_MAP,
                                                  .shmem = {.id = LATE, .writable = true, .len = PAGE}};
        static const enum device_type_id types[] = {DEVICE_TYPE_SAMPLE, DEVICE_TYPE_BLK, DEVICE_TYPE_RNG};

        (void)state;
        for (size_t i = 0; i < array_size(types); i++) {
                dies_of(types[i], &message, 1);
                dies_of(types[i], &message, 0);
        }
}

/* It is the device's: not the worker's to take away. */
static void memory_of_the_broker_s_is_not_unmapped(void **state)
{
        struct shmem_mapping *memory;
        struct shmem_request whole = {.writable = true};

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_SAMPLE);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        memory = shmem_mapping_at(shmem_of(&self), 0);
        whole.len = memory->len;
        assert_int_equal(unmap_answer(&self, &whole), -ENOENT);
        assert_ptr_equal(shmem_mapping_at(shmem_of(&self), 0), memory);
        assert_int_equal(self.n_hides, 0);
        shmem_world_done(&self);
}

/* There is no word for it: rights are 0 or 1, and the rest of the message is known. */
static void who_asks_for_other_rights_breaks_the_protocol(void **state)
{
        static const uint8_t writable[] = {3 << 3 | 5, 1, 0, 0, 0}; /* field 3, of 32 bits */
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_MAP,
                                                  .shmem = {.id = LATE, .writable = true, .len = PAGE}};

        (void)state;
        for (unsigned rights = 0; rights < 8; rights++) {
                int fd;
                uint8_t buf[WORLD_FRAME], *at;
                struct iovec iov = {.iov_base = buf, .iov_len = world_frame(&message, buf)};

                at = memmem(buf, iov.iov_len, writable, sizeof(writable));
                assert_non_null(at);
                at[1] = (uint8_t)rights;
                shmem_world_serve(&self, DEVICE_TYPE_PMEM);
                fd = sealed_pages(FILE_PAGES);
                self.fds++;
                assert_int_equal(fd_pass_send(self.world.puppet.control_fd, &iov, 1, &fd, 1), iov.iov_len);
                if (rights > 1) {
                        assert_replaced(&self, 1);
                        assert_unmapped(fd);
                } else {
                        assert_int_equal(answer_to(&self, LATE), rights ? 0 : -EACCES);
                }
                close(fd);
                shmem_world_done(&self);
        }
}

static void who_maps_before_it_says_hello_is_killed(void **state)
{
        const struct shmem_request request = pages_of(0, 1);
        int fd;

        (void)state;
        shmem_world_init(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        self.world.silent = true;
        world_until(&self.world, world_told(&self.world, CONTROL_CONFIGURE) == 1);
        (void)shmem_world_map(&self, &request, fd);
        self.world.silent = false;
        assert_replaced(&self, 1);
        assert_unmapped(fd);
        close(fd);
        shmem_world_done(&self);
}

/* ---- too much ---- */

static void more_maps_under_way_than_may_be_are_refused(void **state)
{
        int fd;
        uint32_t first = 0;

        (void)state;
        shmem_world_limits.mappings = LIMIT_SHMEM_MAPPINGS;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(2 * LIMIT_SHMEM_PENDING);
        self.mood = FRONT_LATER;
        for (unsigned i = 0; i <= LIMIT_SHMEM_PENDING; i++) {
                const struct shmem_request request = pages_of(i, 1);
                uint32_t id = shmem_world_map(&self, &request, fd);

                first = i == 0 ? id : first;
                if (i < LIMIT_SHMEM_PENDING)
                        world_until(&self.world, self.n_shows == i + 1);
                else
                        assert_int_equal(answer_to(&self, id), -EBUSY);
        }
        assert_int_equal(self.world.puppet.n_answers, 1);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), LIMIT_SHMEM_PENDING);
        device_shmem_shown(self.world.device, mapping_at(&self, 0, 1), 0);
        assert_int_equal(answer_to(&self, first), 0);
        self.mood = FRONT_TAKES;
        assert_int_equal(map_answer(&self, &(struct shmem_request)AT(LIMIT_SHMEM_PENDING, 1, 0), fd), 0);
        assert_maps(shmem_of(&self));
        close(fd);
        shmem_world_done(&self);
}

/* The core's clock, which stands still in a storm: nothing of a quota comes back meanwhile, however long that takes. */
static uint64_t stands_at_ms; /* 0: it goes on */

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
        return stands_at_ms > 0 ? stands_at_ms : __real_uv_now(loop);
}

/* More than it may say at once, whatever it has said before. */
static void says_too_much(void)
{
        const struct control_to_broker message = {.kind = CONTROL_SHMEM_UNMAP, .shmem = {.id = LATE}};

        stands_at_ms = __real_uv_now(&self.world.loop);
        for (unsigned n = 0; n <= LIMIT_CONTROL_BURST && self.world.n_spawns == 1; n++)
                shmem_world_say(&self, &message, NULL, 0);
        world_until(&self.world, self.world.n_spawns == 2);
        stands_at_ms = 0;
}

static void a_storm_of_maps_ends_its_worker_and_leaves_nothing(void **state)
{
        const struct shmem_request request = pages_of(0, 8);
        int fd;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = sealed_pages(FILE_PAGES);
        for (unsigned n = 0; n < PAIRS; n++) {
                (void)shmem_world_map(&self, &request, fd);
                (void)shmem_world_unmap(&self, &request);
                world_step(&self.world);
        }
        (void)shmem_world_map(&self, &request, fd);
        says_too_much();
        self.fds++;
        assert_replaced(&self, 1);
        assert_unmapped(fd);
        close(fd);
        assert_int_equal(self.n_shows, self.n_hides);
        assert_int_equal(self.n_shows, PAIRS + 1);
        shmem_world_done(&self);
}

static void a_storm_of_refused_descriptors_leaves_none(void **state)
{
        const struct shmem_request request = pages_of(0, 1);
        int fd;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_PMEM);
        fd = open_null();
        (void)unmap_answer(&self, &request); /* it has said all that it owes */
        for (unsigned n = 0; n < PAIRS; n++)
                (void)shmem_world_map(&self, &request, fd);
        world_until(&self.world, self.world.puppet.n_answers == PAIRS + 1);
        close(fd);
        assert_int_equal(count_fds(), self.fds);
        assert_int_equal(self.n_shows, 0);
        shmem_world_done(&self);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup(name, usual_limits)
        const struct CMUnitTest tests[] = {
            CLAIM(what_does_not_fit_is_refused_and_changes_nothing),
            CLAIM(an_unmap_is_of_exactly_what_was_mapped),
            CLAIM(limits_hold_at_their_edge_and_refusals_do_not_count),
            CLAIM(what_is_no_fit_file_is_refused_whatever_it_is),
            CLAIM(a_file_whose_server_is_silent_is_refused_and_holds_nobody_up),
            CLAIM(what_is_mapped_is_never_executable),
            CLAIM(a_map_has_exactly_one_descriptor),
            CLAIM(beside_any_other_message_there_is_none),
            CLAIM(a_type_without_files_may_hand_nothing_over),
            CLAIM(memory_of_the_broker_s_is_not_unmapped),
            CLAIM(who_asks_for_other_rights_breaks_the_protocol),
            CLAIM(who_maps_before_it_says_hello_is_killed),
            CLAIM(more_maps_under_way_than_may_be_are_refused),
            CLAIM(a_storm_of_maps_ends_its_worker_and_leaves_nothing),
            CLAIM(a_storm_of_refused_descriptors_leaves_none),
        };

        own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        return cmocka_run_group_tests_name("device_shmem", tests, NULL, NULL);
}
