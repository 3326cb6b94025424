/* workers/fs: locks that are waited for, by a guest's kernel and among the host's.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/lane.h"
#include "tests/workers/fs_guest.h"

static struct guest guest;
static uint64_t id, handle;

/* One that waits, or may. */
static struct waiting {
        struct fake_request request;
        struct {
                struct fuse_in_header header;
                struct fuse_lk_in in;
        } bytes;
        struct fuse_out_header answer;
} waiting[LIMIT_FS_WAITS + 1];

static void begin(void)
{
        guest_init(&guest, true);
        guest.options = (struct fs_options){.tag = "t", .locks = true};
        guest_begin(&guest);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
}

static int set_lock(uint64_t owner, uint32_t type, uint32_t flags)
{
        const struct fuse_lk_in in = {
            .fh = handle, .owner = owner, .lk = {.end = INT64_MAX, .type = type}, .lk_flags = flags};

        return guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL);
}

static void send(unsigned i, uint32_t attempt)
{
        struct waiting *w = &waiting[i];

        w->request = (struct fake_request){.id = 100000 + i,
                                           .queue = 1,
                                           .readable = (const uint8_t *)&w->bytes,
                                           .n_readable = sizeof(w->bytes),
                                           .writable = (uint8_t *)&w->answer,
                                           .n_writable = sizeof(w->answer),
                                           .inlined = FAKE_INLINE_ALL,
                                           .attempt = attempt};
        fake_send_requests(&guest.broker, 0, &w->request, 1);
        fake_drain(&guest.broker, 0);
}

/* Asks for a lock, by another open file of `to` than ours if that is not 0. */
static void ask_for(unsigned i, uint64_t to, uint64_t owner, uint32_t type, uint32_t flags)
{
        struct waiting *w = &waiting[i];

        w->bytes.header = (struct fuse_in_header){
            .len = sizeof(w->bytes), .opcode = FUSE_SETLKW, .unique = 500000 + i, .nodeid = id};
        w->bytes.in = (struct fuse_lk_in){
            .fh = to, .owner = owner, .lk = {.end = INT64_MAX, .type = type}, .lk_flags = flags};
        send(i, 0);
}

static void waits(unsigned i)
{
        assert_true(waiting[i].request.waits);
        assert_false(waiting[i].request.done);
}

/* It has been answered by now. */
static void ended(unsigned i, int error)
{
        const struct waiting *w = &waiting[i];

        assert_true(w->request.done);
        assert_int_equal(w->request.status, WIRE_STATUS_OK);
        assert_int_equal(w->request.used, sizeof(w->answer));
        assert_int_equal(w->answer.unique, w->bytes.header.unique);
        assert_int_equal(w->answer.error, error);
}

/* Sometime. */
static void ends(unsigned i, int error)
{
        while (!waiting[i].request.done)
                assert_true(fake_serve(&guest.broker, 0));
        ended(i, error);
}

/* Whatever was answered in the same breath. */
static void serve(void)
{
        while (fake_ready(guest.broker.lanes[0]))
                assert_true(fake_serve(&guest.broker, 0));
}

static void who_waits_gets_the_lock_when_it_is_let_go(void **state)
{
        const struct fuse_flush_in flush = {.lock_owner = 3};
        struct fuse_flush_in in;

        (void)state;
        begin();
        assert_int_equal(set_lock(1, F_WRLCK, 0), 0);
        ask_for(0, handle, 2, F_RDLCK, 0);
        ask_for(1, handle, 3, F_RDLCK, 0);
        ask_for(2, handle, 4, F_WRLCK, 0);
        waits(0);
        waits(1);
        assert_int_equal(set_lock(1, F_UNLCK, 0), 0);
        ends(0, 0); /* both that only read */
        ends(1, 0);
        waits(2);
        assert_int_equal(set_lock(2, F_UNLCK, 0), 0);
        serve();
        waits(2);
        in = flush;
        in.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_FLUSH, id, &in, sizeof(in), NULL, 0, NULL), 0);
        ends(2, 0); /* a program that ended has let its locks go */
        assert_int_equal(set_lock(5, F_WRLCK, 0), -EAGAIN);
        ask_for(0, handle, 4, F_RDLCK, 0); /* its own is no hindrance */
        ended(0, 0);
        guest_done(&guest);
}

static void a_lock_of_a_whole_file_is_waited_for_too(void **state)
{
        uint64_t other;

        (void)state;
        begin();
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &other), 0);
        assert_int_equal(set_lock(0, F_WRLCK, FUSE_LK_FLOCK), 0);
        ask_for(0, other, 0, F_WRLCK, FUSE_LK_FLOCK);
        waits(0);
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
        ends(0, 0);
        guest_done(&guest);
}

static void a_lock_of_the_hosts_is_waited_for_too(void **state)
{
        struct flock range = {.l_type = F_WRLCK};
        int fd;

        (void)state;
        begin();
        fd = open(host_path(&guest, "f"), O_RDWR);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
        ask_for(0, handle, 1, F_WRLCK, 0);
        waits(0);
        close(fd);
        ends(0, 0); /* nobody tells of it */
        fd = open(host_path(&guest, "f"), O_RDWR);
        range.l_type = F_RDLCK;
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), -1);
        close(fd);
        guest_done(&guest);
}

static void an_interrupt_ends_a_wait(void **state)
{
        struct fuse_interrupt_in in = {.unique = 77};

        (void)state;
        begin();
        assert_int_equal(set_lock(1, F_WRLCK, 0), 0);
        ask_for(0, handle, 2, F_WRLCK, 0);
        ask_for(1, handle, 3, F_WRLCK, 0);
        guest_tell(&guest, FUSE_INTERRUPT, 0, &in, sizeof(in));
        waits(0);
        in.unique = waiting[0].bytes.header.unique;
        guest_tell(&guest, FUSE_INTERRUPT, 0, &in, sizeof(in));
        ends(0, -EINTR);
        waits(1);
        assert_int_equal(set_lock(1, F_UNLCK, 0), 0);
        ends(1, 0);
        guest_done(&guest);
}

static void recall(uint32_t queue)
{
        const struct lane_to_worker message = {.kind = LANE_RECALL, .recall = {.queue = queue}};
        uint8_t header[64];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(guest.broker.lanes[0], header, (uint32_t)len, NULL, 0);
}

static void a_stop_and_another_mount_end_all_waits(void **state)
{
        (void)state;
        begin();
        assert_int_equal(set_lock(1, F_WRLCK, 0), 0);
        ask_for(0, handle, 2, F_WRLCK, 0);
        ask_for(1, handle, 3, F_WRLCK, 0);
        recall(0); /* another queue */
        assert_int_equal(set_lock(4, F_RDLCK, 0), -EAGAIN);
        waits(0);
        recall(1);
        ends(0, -EAGAIN);
        ends(1, -EAGAIN);
        ask_for(0, handle, 2, F_WRLCK, 0);
        waits(0);
        guest_mount(&guest);
        ends(0, -EIO);
        guest_done(&guest);
}

static void who_waits_by_what_is_closed_is_told(void **state)
{
        uint64_t other;

        (void)state;
        begin();
        assert_int_equal(guest_open(&guest, id, O_RDWR, &other), 0);
        assert_int_equal(set_lock(1, F_WRLCK, 0), 0);
        ask_for(0, other, 2, F_WRLCK, 0);
        waits(0);
        assert_int_equal(guest_release(&guest, id, other, false), 0);
        ends(0, -EBADF);
        ask_for(0, other, 2, F_WRLCK, 0);
        ended(0, -EBADF);
        guest_done(&guest);
}

static void waits_are_bounded_and_who_lets_go_gets_through(void **state)
{
        (void)state;
        begin();
        assert_int_equal(set_lock(1, F_WRLCK, 0), 0);
        for (unsigned i = 0; i < LIMIT_FS_WAITS; i++) {
                ask_for(i, handle, 10 + i, F_RDLCK, 0);
                waits(i);
        }
        ask_for(LIMIT_FS_WAITS, handle, 9, F_RDLCK, 0);
        ended(LIMIT_FS_WAITS, -ENOLCK);
        assert_int_equal(set_lock(1, F_UNLCK, 0), 0);
        for (unsigned i = 0; i < LIMIT_FS_WAITS; i++)
                ends(i, 0);
        guest_done(&guest);
}

static void a_wait_goes_on_with_the_next_worker(void **state)
{
        struct flock range = {.l_type = F_WRLCK};
        int fd;

        (void)state;
        begin();
        fd = open(host_path(&guest, "f"), O_RDWR);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
        ask_for(0, handle, 1, F_WRLCK, 0);
        waits(0);
        guest.broker.n_out = guest.broker.n_waits = 0;
        guest_crash(&guest);
        send(0, 1);
        waits(0);
        close(fd);
        ends(0, 0);
        guest_done(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(who_waits_gets_the_lock_when_it_is_let_go),
            cmocka_unit_test(a_lock_of_a_whole_file_is_waited_for_too),
            cmocka_unit_test(a_lock_of_the_hosts_is_waited_for_too),
            cmocka_unit_test(an_interrupt_ends_a_wait),
            cmocka_unit_test(a_stop_and_another_mount_end_all_waits),
            cmocka_unit_test(who_waits_by_what_is_closed_is_told),
            cmocka_unit_test(waits_are_bounded_and_who_lets_go_gets_through),
            cmocka_unit_test(a_wait_goes_on_with_the_next_worker),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
