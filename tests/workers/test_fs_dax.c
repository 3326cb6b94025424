/* workers/fs: files in the guest's window, as a guest's kernel asks for them and the broker maps them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fs_guest.h"
#include "workers/fs/fs_memory.h"

#define GRANULES 8u
#define GRANULE  ((uint64_t)FS_DAX_GRANULE)
#define BY_NODE  UINT64_MAX
#define READ     FUSE_SETUPMAPPING_FLAG_READ
#define WRITE    FUSE_SETUPMAPPING_FLAG_WRITE
#define INODES   ((uint32_t)(FUSE_HAS_INODE_DAX >> 32))

static struct guest guest;
static uint64_t id, handle;

static void begin_with(bool read_only)
{
        guest_init(&guest, true);
        guest.options =
            (struct fs_options){.tag = "t", .read_only = read_only, .dax_window = GRANULES * GRANULE};
        guest.init_flags2 = INODES;
        host_write(&guest, "f", "some bytes");
        guest_begin(&guest);
}

static void begin(void)
{
        struct fuse_entry_out entry;

        begin_with(false);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        id = entry.nodeid;
        assert_int_equal(guest_open(&guest, id, O_RDWR, &handle), 0);
}

static int map(uint64_t node, uint64_t fh, uint64_t offset, uint64_t len, uint64_t flags, uint64_t at)
{
        const struct fuse_setupmapping_in in = {
            .fh = fh, .foffset = offset, .len = len, .flags = flags, .moffset = at};

        return guest_ask(&guest, FUSE_SETUPMAPPING, node, &in, sizeof(in), NULL, 0, NULL);
}

static int unmap(uint64_t at, uint64_t len)
{
        struct {
                struct fuse_removemapping_in in;
                struct fuse_removemapping_one one;
        } __attribute__((packed)) body = {{1}, {at, len}};

        return guest_ask(&guest, FUSE_REMOVEMAPPING, FUSE_ROOT_ID, &body, sizeof(body), NULL, 0, NULL);
}

static uint64_t ino_of(const char *name)
{
        struct stat st;

        assert_int_equal(stat(host_path(&guest, name), &st), 0);
        return st.st_ino;
}

static void shows(uint32_t granule, const char *name, uint64_t offset, bool writable)
{
        const struct guest_granule *at = &guest.window.at[granule];

        assert_true(at->there && !at->orphan);
        assert_int_equal(at->ino, ino_of(name));
        assert_int_equal(at->offset, offset);
        assert_int_equal(at->writable, writable);
}

static void a_guest_is_told_of_the_window(void **state)
{
        struct fuse_entry_out entry;
        struct fuse_attr attr;
        uint64_t made, opened;

        (void)state;
        begin();
        assert_true(guest.init.flags & FUSE_MAP_ALIGNMENT);
        assert_int_equal(guest.init.map_alignment, 21);
        assert_true(guest.init.flags & FUSE_INIT_EXT);
        assert_true(guest.init.flags2 & INODES);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(entry.attr.flags, FUSE_ATTR_DAX);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        assert_int_equal(attr.flags, FUSE_ATTR_DAX);
        assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
        assert_int_equal(attr.flags, 0);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &made, &opened), 0);
        assert_int_equal(guest_getattr(&guest, made, &attr), 0);
        assert_int_equal(attr.flags, FUSE_ATTR_DAX);
        guest_done(&guest);
}

static void each_file_of_a_list_is_told_to_be_mapped(void **state)
{
        struct fuse_read_in in = {.size = 4096};
        uint8_t list[4096];
        uint32_t len, at = 0;
        unsigned n_files = 0;

        (void)state;
        begin();
        assert_int_equal(guest_opendir(&guest, FUSE_ROOT_ID, &in.fh), 0);
        assert_int_equal(
            guest_ask(&guest, FUSE_READDIRPLUS, FUSE_ROOT_ID, &in, sizeof(in), list, sizeof(list), &len), 0);
        while (at + FUSE_NAME_OFFSET_DIRENTPLUS <= len) {
                struct fuse_direntplus entry;

                memcpy(&entry, list + at, FUSE_NAME_OFFSET_DIRENTPLUS);
                assert_int_equal(entry.entry_out.attr.flags,
                                 S_ISREG(entry.entry_out.attr.mode) ? FUSE_ATTR_DAX : 0);
                n_files += S_ISREG(entry.entry_out.attr.mode);
                at += (uint32_t)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + entry.dirent.namelen);
        }
        assert_int_equal(n_files, 1);
        guest_done(&guest);
}

static void a_file_is_mapped_and_unmapped(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        shows(0, "f", 0, true);
        assert_int_equal(map(id, handle, GRANULE, 2 * GRANULE, READ | WRITE, 2 * GRANULE), 0);
        shows(2, "f", GRANULE, true);
        shows(3, "f", 2 * GRANULE, true);
        assert_int_equal(guest_n_mapped(&guest), 3);
        assert_int_equal(unmap(2 * GRANULE, GRANULE), 0);
        assert_int_equal(guest_n_mapped(&guest), 2);
        assert_int_equal(unmap(2 * GRANULE, GRANULE), 0); /* nothing is there: as good */
        assert_int_equal(guest.window.n_unmaps, 1);
        assert_int_equal(unmap(0, UINT64_MAX), 0);
        assert_int_equal(guest_n_mapped(&guest), 0);
        guest_done(&guest);
}

static void what_is_there_already_is_not_touched(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ | WRITE, 0), 0);
        assert_int_equal(guest.window.n_maps, 1);
        assert_int_equal(guest.window.n_unmaps, 0);
        guest_done(&guest);
}

static void what_lies_below_is_replaced(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, 2 * GRANULE, READ, 0), 0);
        assert_int_equal(map(id, BY_NODE, 4 * GRANULE, GRANULE, READ, GRANULE), 0);
        shows(0, "f", 0, true);
        shows(1, "f", 4 * GRANULE, true);
        assert_int_equal(guest.window.n_unmaps, 1);
        guest_done(&guest);
}

static void bad_mappings_are_refused(void **state)
{
        static const struct {
                uint64_t offset, len, flags, at;
        } bad[] = {
            {1, GRANULE, READ, 0},
            {4096, GRANULE, READ, 0},
            {0, GRANULE, READ, 4096},
            {0, 4096, READ, 0},
            {0, 0, READ, 0},
            {0, GRANULE, 0, 0},
            {0, GRANULE, 4, 0},
            {0, GRANULE, READ, GRANULES * GRANULE},
            {0, 2 * GRANULE, READ, (GRANULES - 1) * GRANULE},
            {0, (GRANULES + 1) * GRANULE, READ, 0},
            {0, -GRANULE, READ, GRANULE},
            {0, GRANULE, READ, -GRANULE},
            {-GRANULE, GRANULE, READ, 0},
            {(UINT64_C(1) << 63) - GRANULE, GRANULE, READ, 0},
        };

        (void)state;
        begin();
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(map(id, BY_NODE, bad[i].offset, bad[i].len, bad[i].flags, bad[i].at),
                                 -EINVAL);
        assert_int_equal(map(id, handle + 1, 0, GRANULE, READ, 0), -EBADF);
        assert_int_equal(map(FUSE_ROOT_ID, handle, 0, GRANULE, READ, 0), -EBADF);
        assert_int_equal(map(id + 1, BY_NODE, 0, GRANULE, READ, 0), -ESTALE);
        assert_int_equal(map(FUSE_ROOT_ID, BY_NODE, 0, GRANULE, READ, 0), -EISDIR);
        assert_int_equal(guest.window.n_maps, 0);
        guest_done(&guest);
}

static void bad_unmappings_are_refused(void **state)
{
        static const struct fuse_removemapping_one bad[] = {
            {1, GRANULE},
            {0, 4096},
            {0, 0},
            {GRANULES * GRANULE, GRANULE},
            {GRANULE, -GRANULE},
            {0, (GRANULES + 1) * GRANULE},
        };
        static uint8_t many[4 + (LIMIT_FS_UNMAPS + 1) * sizeof(struct fuse_removemapping_one)];
        const uint32_t over = LIMIT_FS_UNMAPS + 1, most = LIMIT_FS_UNMAPS;

        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(unmap(bad[i].moffset, bad[i].len), -EINVAL);
        for (uint32_t i = 0; i < over; i++)
                memcpy(many + 4 + i * sizeof(bad[0]) + 8, &(uint64_t){GRANULE}, 8);
        memcpy(many, &over, 4);
        assert_int_equal(guest_ask(&guest, FUSE_REMOVEMAPPING, id, many, sizeof(many), NULL, 0, NULL),
                         -EINVAL);
        memcpy(many, &most, 4);
        assert_int_equal(guest_ask(&guest, FUSE_REMOVEMAPPING, id, many, sizeof(many), NULL, 0, NULL),
                         -EINVAL);
        assert_int_equal(guest.window.n_unmaps, 0);
        assert_int_equal(guest_ask(&guest, FUSE_REMOVEMAPPING, id, many,
                                   (uint32_t)(sizeof(many) - sizeof(bad[0])), NULL, 0, NULL),
                         0);
        assert_int_equal(guest_n_mapped(&guest), 0);
        guest_done(&guest);
}

static void a_share_to_read_is_mapped_to_read(void **state)
{
        struct fuse_entry_out entry;

        (void)state;
        begin_with(true);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(map(entry.nodeid, BY_NODE, 0, GRANULE, READ | WRITE, 0), -EROFS);
        assert_int_equal(map(entry.nodeid, BY_NODE, 0, GRANULE, READ, 0), 0);
        shows(0, "f", 0, false);
        guest_done(&guest);
}

static void who_has_opened_to_read_maps_nothing_to_write(void **state)
{
        uint64_t readable;

        (void)state;
        begin();
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &readable), 0);
        assert_int_equal(map(id, readable, 0, GRANULE, READ | WRITE, 0), -EACCES);
        assert_int_equal(map(id, readable, 0, GRANULE, READ, 0), 0);
        guest_done(&guest);
}

static void a_removed_file_is_mapped_as_it_is_open(void **state)
{
        (void)state;
        begin();
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), 0);
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        assert_true(guest.window.at[0].there && guest.window.at[0].writable);
        guest_done(&guest);
}

static void what_the_broker_refuses_the_guest_hears(void **state)
{
        static const int errors[][2] = {{-E2BIG, -ENOMEM},
                                        {-ENOMEM, -ENOMEM},
                                        {-EACCES, -EACCES},
                                        {-EINVAL, -EIO},
                                        {-EMEDIUMTYPE, -EOPNOTSUPP}};

        (void)state;
        begin();
        for (size_t i = 0; i < array_size(errors); i++) {
                guest.window.refuses = errors[i][0];
                assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), errors[i][1]);
        }
        guest.window.refuses = 0;
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        guest_done(&guest);
}

static void what_is_forgotten_is_not_mapped_any_more(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, 2 * GRANULE, READ, 0), 0);
        guest_forget(&guest, id, 1);
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0); /* it is open still */
        assert_int_equal(guest_n_mapped(&guest), 2);
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
        assert_int_equal(unmap(7 * GRANULE, GRANULE), 0); /* behind it */
        assert_int_equal(guest_n_mapped(&guest), 0);
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), -ESTALE);
        guest_done(&guest);
}

static void another_mount_finds_nothing_mapped(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, GRANULES * GRANULE, READ, 0), 0);
        assert_int_equal(guest_n_mapped(&guest), GRANULES);
        guest_mount(&guest);
        assert_int_equal(unmap(0, UINT64_MAX), 0);
        assert_int_equal(guest_n_mapped(&guest), 0);
        assert_int_equal(guest.window.n_unmaps, GRANULES);
        guest_done(&guest);
}

static void who_waits_when_the_mount_ends_is_told(void **state)
{
        struct {
                struct fuse_in_header header;
                struct fuse_setupmapping_in in;
        } bytes = {.in = {.fh = BY_NODE, .len = GRANULE, .flags = READ}};
        struct fuse_out_header answer;
        struct fake_request request = {.id = 7777,
                                       .queue = 1,
                                       .readable = (const uint8_t *)&bytes,
                                       .n_readable = sizeof(bytes),
                                       .writable = (uint8_t *)&answer,
                                       .n_writable = sizeof(answer),
                                       .inlined = FAKE_INLINE_ALL};

        (void)state;
        begin();
        bytes.header = (struct fuse_in_header){
            .len = sizeof(bytes), .opcode = FUSE_SETUPMAPPING, .unique = 7777, .nodeid = id};
        guest.window.holds = true;
        fake_send_requests(&guest.broker, 0, &request, 1);
        while (guest.window.n_held == 0)
                guest_serve_window(&guest);
        assert_false(request.done);
        guest_mount(&guest);
        assert_true(request.done);
        assert_int_equal(answer.error, -EIO);
        assert_int_equal(guest_n_mapped(&guest), 1); /* it has come too late to be told */
        guest_answer(&guest);
        assert_int_equal(unmap(0, GRANULE), 0);
        assert_int_equal(guest_n_mapped(&guest), 0);
        guest_done(&guest);
}

static void the_next_worker_maps_the_same(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, 2 * GRANULE, READ, GRANULE), 0);
        assert_int_equal(map(id, BY_NODE, 3 * GRANULE, GRANULE, READ, 5 * GRANULE), 0);
        assert_int_equal(unmap(GRANULE, GRANULE), 0);
        guest_crash(&guest);
        assert_int_equal(guest_n_mapped(&guest), 2);
        shows(2, "f", GRANULE, true);
        shows(5, "f", 3 * GRANULE, true);
        assert_int_equal(map(id, BY_NODE, GRANULE, GRANULE, READ, 2 * GRANULE), 0);
        assert_int_equal(unmap(0, UINT64_MAX), 0);
        assert_int_equal(guest_n_mapped(&guest), 0);
        guest_done(&guest);
}

static void what_has_gone_meanwhile_is_not_mapped_again(void **state)
{
        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
        assert_int_equal(unlink(host_path(&guest, "f")), 0);
        host_write(&guest, "f", "another");
        guest_crash(&guest);
        assert_int_equal(guest_n_mapped(&guest), 0);
        assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), -ESTALE);
        guest_done(&guest);
}

/* As many as a worker may hold, each another part of the file in the same place: one after the other, and each is answered. */
static void a_flood_of_maps_is_served_in_its_order(void **state)
{
        enum { N = 48 };
        static struct {
                struct fuse_in_header header;
                struct fuse_setupmapping_in in;
        } bytes[N];
        static struct fuse_out_header answers[N];
        static struct fake_request requests[N];

        (void)state;
        begin();
        for (uint32_t i = 0; i < N; i++) {
                bytes[i].header = (struct fuse_in_header){
                    .len = sizeof(bytes[i]), .opcode = FUSE_SETUPMAPPING, .unique = 9000 + i, .nodeid = id};
                bytes[i].in = (struct fuse_setupmapping_in){
                    .fh = BY_NODE, .foffset = i * GRANULE, .len = 2 * GRANULE, .flags = READ};
                requests[i] = (struct fake_request){.id = 9000 + i,
                                                    .queue = 1,
                                                    .readable = (const uint8_t *)&bytes[i],
                                                    .n_readable = sizeof(bytes[i]),
                                                    .writable = (uint8_t *)&answers[i],
                                                    .n_writable = sizeof(answers[i]),
                                                    .inlined = FAKE_INLINE_ALL};
        }
        fake_send_requests(&guest.broker, 0, requests, N);
        assert_int_equal(unmap(7 * GRANULE, GRANULE), 0); /* behind them */
        for (uint32_t i = 0; i < N; i++)
                assert_true(requests[i].done && answers[i].error == 0);
        shows(0, "f", (N - 1) * GRANULE, true);
        shows(1, "f", N * GRANULE, true);
        assert_int_equal(guest_n_mapped(&guest), 2);
        assert_int_equal(guest.window.n_maps, 2 * N);
        guest_done(&guest);
}

/* What is behind its end is nobody's business but the guest's, before and after. */
static void a_file_that_its_guest_cuts_stays_mapped(void **state)
{
        const struct fuse_setattr_in cut = {.valid = FATTR_SIZE, .size = 3},
                                     grow = {.valid = FATTR_SIZE, .size = 5 * GRANULE};
        struct fuse_attr attr;

        (void)state;
        begin();
        assert_int_equal(map(id, BY_NODE, 3 * GRANULE, GRANULE, READ, 0), 0); /* far behind it */
        assert_int_equal(map(id, handle, 0, GRANULE, READ | WRITE, GRANULE), 0);
        assert_int_equal(guest_setattr(&guest, id, &cut, &attr), 0);
        host_expect(&guest, "f", "som");
        assert_int_equal(guest_setattr(&guest, id, &grow, &attr), 0);
        assert_int_equal(attr.size, 5 * GRANULE);
        assert_int_equal(guest.window.n_unmaps, 0);
        shows(0, "f", 3 * GRANULE, true);
        shows(1, "f", 0, true);
        guest_done(&guest);
}

static void a_memory_that_lies_maps_nothing_that_the_guest_could_not(void **state)
{
        static const struct {
                uint64_t other_node, offset;
                uint32_t writable;
        } lies[] = {{1, 0, 0}, {0, 4096, 1},       {0, -GRANULE, 1}, {0, UINT64_C(1) << 63, 0},
                    {0, 0, 2}, {0, 0, UINT32_MAX}, {77, 0, 1},       {UINT64_MAX, GRANULE, 1}};
        struct fs_memory *memory;

        (void)state;
        begin();
        memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, guest.memory, 0);
        assert_ptr_not_equal(memory, MAP_FAILED);
        for (size_t i = 0; i < array_size(lies); i++) {
                assert_int_equal(map(id, BY_NODE, 0, GRANULE, READ, 0), 0);
                memory->maps[0].node += lies[i].other_node;
                memory->maps[0].offset = lies[i].offset;
                memory->maps[0].writable = lies[i].writable;
                memory->maps[GRANULES] = memory->maps[LIMIT_FS_MAPS - 1] =
                    (struct fs_map_record){.node = id, .writable = 1}; /* behind the window */
                guest_crash(&guest);
                assert_int_equal(guest_n_mapped(&guest), 0);
        }
        assert_int_equal(map(id, BY_NODE, 0, GRANULES * GRANULE, READ, 0), 0);
        munmap(memory, sizeof(*memory));
        guest_done(&guest);
}

static void without_a_window_there_are_no_mappings(void **state)
{
        (void)state;
        guest_init(&guest, true);
        guest.options = (struct fs_options){.tag = "t"};
        guest.init_flags2 = INODES;
        guest_begin(&guest);
        assert_false(guest.init.flags & FUSE_MAP_ALIGNMENT);
        assert_false(guest.init.flags2 & INODES);
        assert_int_equal(map(FUSE_ROOT_ID, BY_NODE, 0, GRANULE, READ, 0), -ENOSYS);
        assert_int_equal(unmap(0, GRANULE), -ENOSYS);
        guest_done(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_guest_is_told_of_the_window),
            cmocka_unit_test(each_file_of_a_list_is_told_to_be_mapped),
            cmocka_unit_test(a_file_is_mapped_and_unmapped),
            cmocka_unit_test(what_is_there_already_is_not_touched),
            cmocka_unit_test(what_lies_below_is_replaced),
            cmocka_unit_test(bad_mappings_are_refused),
            cmocka_unit_test(bad_unmappings_are_refused),
            cmocka_unit_test(a_share_to_read_is_mapped_to_read),
            cmocka_unit_test(who_has_opened_to_read_maps_nothing_to_write),
            cmocka_unit_test(a_removed_file_is_mapped_as_it_is_open),
            cmocka_unit_test(what_the_broker_refuses_the_guest_hears),
            cmocka_unit_test(what_is_forgotten_is_not_mapped_any_more),
            cmocka_unit_test(another_mount_finds_nothing_mapped),
            cmocka_unit_test(who_waits_when_the_mount_ends_is_told),
            cmocka_unit_test(the_next_worker_maps_the_same),
            cmocka_unit_test(what_has_gone_meanwhile_is_not_mapped_again),
            cmocka_unit_test(a_flood_of_maps_is_served_in_its_order),
            cmocka_unit_test(a_file_that_its_guest_cuts_stays_mapped),
            cmocka_unit_test(a_memory_that_lies_maps_nothing_that_the_guest_could_not),
            cmocka_unit_test(without_a_window_there_are_no_mappings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
