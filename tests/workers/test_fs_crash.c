/* workers/fs: what a guest notices of a worker that is killed.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fs_guest.h"
#include "workers/fs/fs_memory.h"

static struct guest guest;
static uint64_t id, handle, other;
static struct fuse_entry_out entry;
static struct fuse_attr attr;
static struct fs_memory *memory; /* the one that outlives workers */

static int begin(void **state)
{
        (void)state;
        guest_init(&guest, true);
        guest_begin(&guest);
        memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, guest.memory, 0);
        assert_ptr_not_equal(memory, MAP_FAILED);
        return 0;
}

static int begin_without_memory(void **state)
{
        (void)state;
        guest_init(&guest, false);
        guest_begin(&guest);
        memory = NULL;
        return 0;
}

static int end(void **state)
{
        (void)state;
        if (memory)
                munmap(memory, sizeof(*memory));
        guest_done(&guest);
        return 0;
}

/* ---- inodes ---- */

static void inodes_are_known_to_the_successor(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), 0);
        assert_int_equal(guest_mkdir(&guest, id, "b", &other), 0);
        host_write(&guest, "a/b/f", "1");
        assert_int_equal(guest_lookup(&guest, other, "f", &entry), 0);
        guest_crash(&guest);
        assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), 0);
        assert_int_equal(attr.ino, entry.attr.ino);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        assert_int_equal(guest_mkdir(&guest, other, "c", &id), 0);
        assert_int_not_equal(id, entry.nodeid);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, other, "f"), 0);
        guest_crash(&guest);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        guest_forget(&guest, id, 1);
        assert_int_equal(guest_getattr(&guest, id, &attr), -ESTALE);
}

/* The guest asks for names again when it is told that an inode is stale: that is all it needs. */
static void without_a_memory_inodes_are_stale_and_names_are_not(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), 0);
        guest_crash(&guest);
        assert_int_equal(guest_getattr(&guest, id, &attr), -ESTALE);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "a", &entry), 0);
        assert_int_not_equal(entry.nodeid, id);
        assert_int_equal(guest_mkdir(&guest, entry.nodeid, "b", &other), 0);
        for (unsigned i = 0; i < 5; i++) {
                guest_crash(&guest);
                assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), -ESTALE);
                assert_int_equal(guest_getattr(&guest, other, &attr), -ESTALE);
        }
}

/* ---- open files ---- */

static void open_files_go_on(void **state)
{
        char text[16] = "";

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_write(&guest, id, handle, 0, "before", 6), 6);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "g", 0), 0);
        guest_crash(&guest);
        assert_int_equal(guest_write(&guest, id, handle, 6, " after", 6), 6);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, sizeof(text)), 12);
        assert_string_equal(text, "before after");
        host_expect(&guest, "g", "before after");
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, 1), -EBADF);
}

static void a_list_that_was_begun_is_read_to_its_end(void **state)
{
        static uint8_t out[4096];
        struct fuse_read_in in = {.size = 512};
        unsigned n = 0;
        uint32_t len;
        char name[16];

        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "%u", i);
                host_write(&guest, name, "");
        }
        assert_int_equal(guest_opendir(&guest, FUSE_ROOT_ID, &handle), 0);
        in.fh = handle;
        do {
                assert_int_equal(
                    guest_ask(&guest, FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof(in), out, in.size, &len), 0);
                for (uint32_t at = 0; at < len; n++) {
                        const struct fuse_dirent *d = (const void *)(out + at);

                        in.offset = d->off;
                        at += (uint32_t)FUSE_DIRENT_SIZE(d);
                }
                if (n > 30 && n < 60)
                        guest_crash(&guest);
        } while (len > 0);
        assert_int_equal(n, 102);
}

static void a_file_without_a_name_is_lost_with_its_worker(void **state)
{
        char text[8];

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), 0);
        host_write(&guest, "f", "another");
        guest_crash(&guest);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, sizeof(text)), -ESTALE);
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
}

/* A new file may have the number of an old one that was unlinked; its name tells. */
static void a_file_that_was_replaced_meanwhile_is_not_taken_for_the_old_one(void **state)
{
        char text[8];

        (void)state;
        host_write(&guest, "f", "old");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        host_write(&guest, "g", "new");
        assert_int_equal(rename(host_path(&guest, "g"), host_path(&guest, "f")), 0);
        guest_crash(&guest);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), -ESTALE);
}

static void a_directory_that_was_replaced_meanwhile_is_not_taken_for_the_old_one(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &id), 0);
        assert_int_equal(guest_mkdir(&guest, id, "below", &other), 0);
        assert_int_equal(rename(host_path(&guest, "d"), host_path(&guest, "old")), 0);
        assert_int_equal(mkdir(host_path(&guest, "d"), 0700), 0);
        assert_int_equal(mkdir(host_path(&guest, "d/below"), 0700), 0);
        assert_int_equal(guest_lookup(&guest, id, "below", &entry),
                         0); /* by its descriptor it is the old one */
        assert_int_equal(entry.nodeid, other);
        guest_crash(&guest);
        assert_int_equal(guest_lookup(&guest, id, "below", &entry), -ESTALE);
        assert_int_equal(guest_getattr(&guest, other, &attr), -ESTALE);
        assert_int_equal(guest_mkdir(&guest, other, "c", &id), -ESTALE);
}

/* ---- requests that come again ---- */

static void what_had_been_begun_fails_and_what_had_not_is_done(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), 0);
        guest_crash(&guest);
        guest.attempt = 1;
        guest.unique--; /* the same request once more: its answer was lost */
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), -EIO);
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "b", &id), 0); /* the worker had not come to it */
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, FUSE_ROOT_ID, "b"), 0);
        guest.unique--;
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, FUSE_ROOT_ID, "b"), -EIO);
        guest.attempt = 0;
}

static void what_may_be_done_twice_is_done(void **state)
{
        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_write(&guest, id, handle, 0, "one", 3), 3);
        guest_crash(&guest);
        guest.attempt = 1;
        guest.unique--;
        assert_int_equal(guest_write(&guest, id, handle, 0, "one", 3), 3);
        guest.unique--;
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        host_expect(&guest, "f", "one");
}

/* ---- locks ---- */

static void a_handle_that_had_a_lock_is_stale(void **state)
{
        struct fuse_lk_in in = {.lk = {.type = F_WRLCK, .end = INT64_MAX}, .owner = 5};
        char text[8];

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_open(&guest, id, O_RDWR, &other), 0);
        in.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL), 0);
        guest_crash(&guest);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, 1), -ESTALE);
        assert_int_equal(guest_read(&guest, id, other, 0, text, 1), 0);
}

/* ---- a predecessor that lies ---- */

static void lie_about_names(void)
{
        static const char *const names[] = {"..", ".", "a/b", "../../etc", ""};

        for (uint32_t i = 1; i < memory->nodes_used && i <= array_size(names); i++) {
                strcpy(memory->nodes[i].name, names[i - 1]);
                memory->nodes[i].name_len = (uint16_t)strlen(names[i - 1]);
        }
}

static void lie_about_lengths(void)
{
        memset(memory->nodes[1].name, 'x', sizeof(memory->nodes[1].name));
        memory->nodes[1].name_len = UINT16_MAX;
        memory->nodes[2].name_len = 1;
        memory->nodes_used = UINT32_MAX;
        memory->handles_used = UINT32_MAX;
}

static void lie_about_parents(void)
{
        memory->nodes[1].parent = 2;
        memory->nodes[2].parent = 1; /* a circle */
        memory->nodes[3].parent = UINT32_MAX;
}

static void lie_about_numbers(void)
{
        memory->serial = UINT64_MAX;
        memory->nodes[1].id = UINT64_MAX;
        memory->nodes[2].is = memory->nodes[3].is; /* two of one identity */
        memory->handles[0].flags = UINT32_MAX;
        memory->handles[0].is_folder = 77;
}

static void lie_about_everything(void)
{
        uint8_t *bytes = (uint8_t *)memory;

        for (size_t i = sizeof(memory->epoch); i < sizeof(*memory); i += 1 + i % 61)
                bytes[i] = (uint8_t)(i * 2654435761u >> 11);
}

static void a_memory_that_lies_harms_nobody_but_its_guest(void **state)
{
        static void (*const lies[])(void) = {lie_about_names, lie_about_lengths, lie_about_parents,
                                             lie_about_numbers, lie_about_everything};
        char text[8];
        char name[8];

        (void)state;
        for (size_t i = 0; i < array_size(lies); i++) {
                uint64_t ids[4];

                for (unsigned k = 0; k < array_size(ids); k++) {
                        snprintf(name, sizeof(name), "%zu.%u", i, k);
                        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, name, &ids[k]), 0);
                }
                assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
                lies[i]();
                guest_crash(&guest);
                for (unsigned k = 0; k < array_size(ids); k++) {
                        int r = guest_lookup(&guest, ids[k], "passwd", &entry);

                        assert_true(r == -ENOENT || r == -ESTALE);
                }
                (void)guest_read(&guest, id, handle, 0, text, sizeof(text));
                assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
                assert_int_equal(guest_open(&guest, entry.nodeid, O_RDWR, &other), 0);
        }
}

static void a_state_that_makes_no_sense_is_none(void **state)
{
        const struct control_to_worker restore = {
            .kind = CONTROL_RESTORE_STATE, .seq = 9, .restore_state = {guest.state, sizeof(guest.state)}};
        static struct control_to_broker said;

        (void)state;
        assert_true(fake_exited(fake_end(&guest.broker), 0));
        for (size_t len = 0; len <= guest.state_len + 8; len++) {
                struct control_to_worker shorter = restore;

                if (len == guest.state_len)
                        continue;
                guest_start(&guest);
                shorter.restore_state.len = len;
                fake_send_control(&guest.broker, &shorter);
                assert_true(fake_next_control(&guest.broker, &said));
                assert_int_equal(said.kind, CONTROL_DONE);
                assert_int_equal(said.done.error, -EINVAL);
                assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), -EIO);
                assert_true(fake_exited(fake_end(&guest.broker), 0));
        }
        guest_start(&guest);
}

static void a_new_mount_after_a_crash_forgets_the_old_one(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), 0);
        guest_crash(&guest);
        guest_mount(&guest);
        assert_int_equal(guest_getattr(&guest, id, &attr), -ESTALE);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "a", &entry), 0);
        guest_crash(&guest); /* and the one after knows the new one */
        assert_int_equal(guest_getattr(&guest, id, &attr), -ESTALE);
        assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), 0);
}

#define t(name)              cmocka_unit_test_setup_teardown(name, begin, end)
#define without_memory(name) cmocka_unit_test_setup_teardown(name, begin_without_memory, end)

static int begin_with_locks(void **state)
{
        guest_init(&guest, true);
        guest.options.locks = true;
        guest_begin(&guest);
        memory = NULL;
        (void)state;
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            t(inodes_are_known_to_the_successor),
            without_memory(without_a_memory_inodes_are_stale_and_names_are_not),
            t(open_files_go_on),
            t(a_list_that_was_begun_is_read_to_its_end),
            t(a_file_without_a_name_is_lost_with_its_worker),
            t(a_file_that_was_replaced_meanwhile_is_not_taken_for_the_old_one),
            t(a_directory_that_was_replaced_meanwhile_is_not_taken_for_the_old_one),
            t(what_had_been_begun_fails_and_what_had_not_is_done),
            t(what_may_be_done_twice_is_done),
            cmocka_unit_test_setup_teardown(a_handle_that_had_a_lock_is_stale, begin_with_locks, end),
            t(a_memory_that_lies_harms_nobody_but_its_guest),
            t(a_state_that_makes_no_sense_is_none),
            t(a_new_mount_after_a_crash_forgets_the_old_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
