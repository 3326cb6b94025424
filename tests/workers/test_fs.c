/* workers/fs: what a guest does with a shared directory, in a whole runtime, against a scripted broker; and what of it the host
 * sees.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fs_guest.h"

static struct guest guest;
static uint64_t id, handle, other;
static struct fuse_entry_out entry;
static struct fuse_attr attr;
static uint8_t big[LIMIT_FS_TRANSFER], back[LIMIT_FS_TRANSFER];

static int begin(void **state)
{
        (void)state;
        guest_init(&guest, true);
        guest_begin(&guest);
        return 0;
}

static int end(void **state)
{
        (void)state;
        guest_done(&guest);
        return 0;
}

/* ---- the beginning ---- */

static void hello_has_a_tag_and_queues(void **state)
{
        const struct control_hello *hello = &guest.broker.hello;

        (void)state;
        assert_int_equal(hello->device_type, 26);
        assert_int_equal(hello->features, 0);
        assert_int_equal(hello->n_queues, 2);
        assert_int_equal(hello->n_fields, LIMIT_FS_TAG + 1);
        assert_int_equal(hello->fields[0].value, 's');
        assert_int_equal(hello->fields[4].value, 'e');
        assert_int_equal(hello->fields[5].value, 0);
        assert_int_equal(hello->fields[LIMIT_FS_TAG].value, 1);
}

static void nothing_is_agreed_that_owners_or_others_would_suffer_from(void **state)
{
        (void)state;
        assert_int_equal(guest.init.major, 7);
        assert_int_equal(guest.init.max_write, LIMIT_FS_TRANSFER);
        assert_int_equal(guest.init.flags & (FUSE_POSIX_ACL | FUSE_WRITEBACK_CACHE | FUSE_DONT_MASK |
                                             FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_EXPORT_SUPPORT),
                         0);
        assert_int_not_equal(guest.init.flags & FUSE_DO_READDIRPLUS, 0);
}

/* ---- both sides see the same ---- */

static void what_the_guest_writes_the_host_reads(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &id), 0);
        assert_int_equal(guest_create(&guest, id, "f", O_WRONLY, 0640, &other, &handle), 0);
        assert_int_equal(guest_write(&guest, other, handle, 0, "words", 5), 5);
        assert_int_equal(guest_release(&guest, other, handle, false), 0);
        host_expect(&guest, "d/f", "words");
}

static void what_the_host_writes_the_guest_reads(void **state)
{
        char text[16] = "";

        (void)state;
        host_write(&guest, "f", "host's");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(entry.attr.size, 6);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 6);
        assert_string_equal(text, "host's");
        host_write(&guest, "f", "another");
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 7);
}

static void long_transfers_of_any_length_are_whole(void **state)
{
        static const uint32_t lens[] = {1,      4095,   4096,         65536,
                                        131072, 131073, 131072 + 512, LIMIT_FS_TRANSFER};

        (void)state;
        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = (uint8_t)(i * 2654435761u >> 13);
        for (unsigned lend = 0; lend < 2; lend++) {
                char name[2] = {(char)('a' + lend), '\0'};

                guest.broker.lend = lend;
                assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, name, O_RDWR, 0600, &id, &handle), 0);
                for (size_t i = 0; i < array_size(lens); i++) {
                        memset(back, 0, lens[i]);
                        assert_int_equal(guest_write(&guest, id, handle, i, big, lens[i]), lens[i]);
                        assert_int_equal(guest_read(&guest, id, handle, i, back, lens[i]), lens[i]);
                        assert_memory_equal(big, back, lens[i]);
                }
                assert_int_equal(guest_read(&guest, id, handle, LIMIT_FS_TRANSFER, back, 4096),
                                 array_size(lens) - 1);
                assert_int_equal(guest_read(&guest, id, handle, LIMIT_FS_TRANSFER * 2, back, 4096), 0);
        }
}

/* ---- owners and modes ---- */

static void files_of_the_owner_are_roots_and_others_nobodys(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        host_write(&guest, "mine", "");
        host_write(&guest, "theirs", "");
        assert_int_equal(chown(host_path(&guest, "theirs"), 1234, 1234), 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "mine", &entry), 0);
        assert_int_equal(entry.attr.uid, 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "theirs", &entry), 0);
        assert_int_equal(entry.attr.uid, 65534);
        assert_int_equal(entry.attr.gid, 65534);
}

static void nobody_else_becomes_the_owner(void **state)
{
        struct fuse_setattr_in what = {.valid = FATTR_UID, .uid = 1000};

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 04755, &id, &handle), 0);
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), -EPERM);
        what = (struct fuse_setattr_in){.valid = FATTR_GID, .gid = 5};
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), -EPERM);
        what = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID};
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), 0);
        assert_int_equal(attr.uid, 0);
}

static void modes_sizes_and_times_are_set(void **state)
{
        struct fuse_setattr_in what = {.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME,
                                       .mode = 0604,
                                       .size = 70000,
                                       .mtime = 1234567890,
                                       .mtimensec = 123456789};

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0666, &id, &handle), 0);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        assert_int_equal(attr.mode, S_IFREG | 0666); /* the host's umask is not the guest's */
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), 0);
        assert_int_equal(attr.mode, S_IFREG | 0604);
        assert_int_equal(attr.size, 70000);
        assert_int_equal(attr.mtime, 1234567890);
        assert_int_equal(attr.mtimensec, 123456789);
}

/* ---- names ---- */

static void names_move_and_go(void **state)
{
        (void)state;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "a", &id), 0);
        assert_int_equal(guest_mkdir(&guest, id, "b", &other), 0);
        host_write(&guest, "a/b/f", "1");
        assert_int_equal(guest_lookup(&guest, other, "f", &entry), 0);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "z", 0), 0);
        assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), 0); /* what is below has moved along */
        assert_int_equal(guest_rename(&guest, other, "f", FUSE_ROOT_ID, "g", 0), 0);
        assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), 0);
        host_expect(&guest, "g", "1");
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, FUSE_ROOT_ID, "z"), -ENOTEMPTY);
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, id, "b"), 0);
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, FUSE_ROOT_ID, "z"), 0);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "g"), 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "g", &entry), -ENOENT);
        assert_int_equal(access(host_path(&guest, "g"), F_OK), -1);
}

static void renames_keep_their_flags(void **state)
{
        struct fuse_entry_out a, b;

        (void)state;
        host_write(&guest, "a", "1");
        host_write(&guest, "b", "2");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "a", &a), 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "b", &b), 0);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", RENAME_NOREPLACE),
                         -EEXIST);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", RENAME_WHITEOUT),
                         -EINVAL);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", RENAME_EXCHANGE), 0);
        host_expect(&guest, "a", "2");
        host_expect(&guest, "b", "1");
        assert_int_equal(guest_getattr(&guest, a.nodeid, &attr), 0);
        assert_int_equal(attr.ino, a.attr.ino);
        assert_int_equal(guest_getattr(&guest, b.nodeid, &attr), 0);
        assert_int_equal(attr.ino, b.attr.ino);
}

static void links_are_counted_and_symbolic_ones_not_followed(void **state)
{
        char target[64] = "";
        uint32_t len;

        (void)state;
        host_write(&guest, "f", "1");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_link(&guest, entry.nodeid, FUSE_ROOT_ID, "g"), 0);
        assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), 0);
        assert_int_equal(attr.nlink, 2);
        assert_int_equal(guest_symlink(&guest, FUSE_ROOT_ID, "s", "/etc/passwd", &id), 0);
        assert_int_equal(guest_ask(&guest, FUSE_READLINK, id, NULL, 0, target, sizeof(target), &len), 0);
        assert_int_equal(len, 11);
        assert_string_equal(target, "/etc/passwd");
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &handle), -ELOOP);
}

static void only_files_pipes_and_sockets_are_made(void **state)
{
        static const struct {
                uint32_t mode;
                int want;
        } rows[] = {
            {S_IFREG | 0600, 0},      {S_IFIFO | 0600, 0},      {S_IFSOCK | 0600, 0},
            {S_IFCHR | 0600, -EPERM}, {S_IFBLK | 0600, -EPERM}, {0, -EPERM},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct fuse_mknod_in in = {.mode = rows[i].mode, .rdev = 0x103};
                uint8_t body[sizeof(in) + 2] = {0};

                memcpy(body, &in, sizeof(in));
                body[sizeof(in)] = (uint8_t)('a' + i);
                assert_int_equal(guest_ask(&guest, FUSE_MKNOD, FUSE_ROOT_ID, body, sizeof(body), &entry,
                                           sizeof(entry), NULL),
                                 rows[i].want);
        }
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "b", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), -ENXIO); /* a pipe */
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "b", O_RDWR, 0600, &id, &handle), -ENXIO);
}

/* ---- open files ---- */

static void an_unlinked_open_file_lives_as_long_as_it_is_known(void **state)
{
        const struct fuse_setattr_in what = {.valid = FATTR_MODE, .mode = 0400};
        char text[8] = "";
        uint64_t again;

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_write(&guest, id, handle, 0, "alive", 5), 5);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), 0);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        assert_int_equal(attr.nlink, 0);
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), 0);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, sizeof(text)), 5);
        assert_string_equal(text, "alive");
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &again), 0); /* by way of the handle */
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
        assert_int_equal(guest_read(&guest, id, again, 0, text, sizeof(text)), 5);
        assert_int_equal(guest_release(&guest, id, again, false), 0);
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &again),
                         0); /* a guest's inode may be opened while it is held */
        assert_int_equal(guest_release(&guest, id, again, false), 0);
        guest_forget(&guest, id, 1);
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &again), -ESTALE);
}

static void a_directory_that_may_be_read_and_not_searched_is_opened(void **state)
{
        (void)state;
        assert_int_equal(mkdir(host_path(&guest, "d"), 0755), 0);
        host_write(&guest, "d/f", "text");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "d", &entry), 0);
        assert_int_equal(chmod(host_path(&guest, "d"), 0444), 0);
        assert_int_equal(guest_opendir(&guest, entry.nodeid, &handle), 0);
        assert_int_equal(guest_release(&guest, entry.nodeid, handle, true), 0);
        assert_int_equal(chmod(host_path(&guest, "d"), 0755), 0);
}

/* As by way of /proc/self/fd: with other access than it was opened with. */
static void an_unlinked_file_is_opened_again_as_its_mode_lets_us(void **state)
{
        char text[8] = "";
        uint64_t again;

        (void)state;
        host_write(&guest, "f", "text");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDWR, &again), 0);
        assert_int_equal(guest_write(&guest, entry.nodeid, again, 0, "TEXT", 4), 4);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 4);
        assert_string_equal(text, "TEXT");
}

static void an_inode_whose_last_name_went_is_stale_to_a_link(void **state)
{
        (void)state;
        host_write(&guest, "f", "text");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        id = entry.nodeid;
        assert_int_equal(guest_link(&guest, id, FUSE_ROOT_ID, "g"), 0);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "g"), 0);
        /* "f" is still its name: a guest that is told ENOENT believes it, one that is told ESTALE looks again. */
        assert_int_equal(guest_link(&guest, id, FUSE_ROOT_ID, "g"), -ESTALE);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(entry.nodeid, id);
        assert_int_equal(guest_link(&guest, id, FUSE_ROOT_ID, "g"), 0);
}

static void a_file_that_the_host_replaces_is_stale_by_name_and_alive_by_handle(void **state)
{
        char text[8] = "";

        (void)state;
        host_write(&guest, "f", "old");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        host_write(&guest, "g", "new");
        assert_int_equal(rename(host_path(&guest, "g"), host_path(&guest, "f")), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_WRONLY, &other), -ESTALE);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 3);
        assert_string_equal(text, "old");
        id = entry.nodeid;
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_not_equal(entry.nodeid, id);
}

static void a_sync_of_all_is_served_and_a_nameless_file_is_not(void **state)
{
        const struct fuse_syncfs_in all = {0};
        const struct {
                struct fuse_create_in in;
                char name[4];
        } nameless = {{.flags = O_RDWR, .mode = 0600}, "#1"};

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_write(&guest, id, handle, 0, "text", 4), 4);
        for (unsigned i = 0; i < 4; i++) /* no descriptor stays */
                assert_int_equal(
                    guest_ask(&guest, FUSE_SYNCFS, FUSE_ROOT_ID, &all, sizeof(all), NULL, 0, NULL), 0);
        assert_int_equal(
            guest_ask(&guest, FUSE_TMPFILE, FUSE_ROOT_ID, &nameless, sizeof(nameless.in) + 3, NULL, 0, NULL),
            -ENOSYS);
        assert_int_equal(guest_ask(&guest, FUSE_DESTROY, FUSE_ROOT_ID, NULL, 0, NULL, 0, NULL), 0);
        assert_int_equal(guest_ask(&guest, FUSE_SYNCFS, FUSE_ROOT_ID, &all, sizeof(all), NULL, 0, NULL),
                         -EIO);
}

/* As ext4 does at once. */
static void a_number_that_the_host_gives_out_again_is_another_file(void **state)
{
        const struct fuse_setattr_in what = {.valid = FATTR_MODE, .mode = 0777};
        struct statx sx;
        unsigned tries = 0;
        uint64_t inode;

        (void)state;
        host_write(&guest, "f", "old");
        assert_int_equal(statx(AT_FDCWD, host_path(&guest, "f"), 0, STATX_BTIME, &sx), 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        id = entry.nodeid;
        inode = entry.attr.ino;
        do {
                assert_int_equal(unlink(host_path(&guest, "f")), 0);
                host_write(&guest, "f", "new");
                assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        } while (entry.attr.ino != inode && ++tries < 64);
        if (entry.attr.ino != inode || !(sx.stx_mask & STATX_BTIME))
                skip(); /* this file system gives out no number again, or does not say what is new */
        assert_int_not_equal(entry.nodeid, id);
        assert_int_equal(guest_open(&guest, id, O_RDONLY, &handle), -ESTALE);
        assert_int_equal(guest_setattr(&guest, id, &what, &attr), -ESTALE);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
}

static void attributes_are_not_set_of_what_is_in_the_place_of_a_file(void **state)
{
        const struct fuse_setattr_in what = {.valid = FATTR_MODE | FATTR_SIZE, .mode = 0, .size = 0};
        struct stat st;

        (void)state;
        host_write(&guest, "f", "old");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        host_write(&guest, "g", "new");
        assert_int_equal(rename(host_path(&guest, "g"), host_path(&guest, "f")), 0);
        assert_int_equal(guest_setattr(&guest, entry.nodeid, &what, &attr), -ESTALE);
        assert_int_equal(stat(host_path(&guest, "f"), &st), 0);
        assert_int_not_equal(st.st_mode & 0777, 0);
        host_expect(&guest, "f", "new");
}

static void a_handle_is_good_for_its_own_inode_and_kind(void **state)
{
        char text[8];

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_read(&guest, FUSE_ROOT_ID, handle, 0, text, 1), -EBADF);
        assert_int_equal(guest_read(&guest, id, handle + 1, 0, text, 1), -EBADF);
        assert_int_equal(guest_read(&guest, id, 0, 0, text, 1), -EBADF);
        assert_int_equal(guest_opendir(&guest, FUSE_ROOT_ID, &other), 0);
        assert_int_equal(guest_read(&guest, FUSE_ROOT_ID, other, 0, text, 1), -EBADF);
        assert_int_equal(guest_release(&guest, id, handle, false), 0);
        assert_int_equal(guest_read(&guest, id, handle, 0, text, 1), -EBADF);
}

static void truncation_at_opening_and_exclusive_creation(void **state)
{
        (void)state;
        host_write(&guest, "f", "0123456789");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_WRONLY | O_TRUNC, &handle), 0);
        host_expect(&guest, "f", "");
        assert_int_equal(
            guest_create(&guest, FUSE_ROOT_ID, "f", O_WRONLY | O_EXCL | O_CREAT, 0600, &id, &handle),
            -EEXIST);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_WRONLY | O_CREAT, 0600, &id, &handle), 0);
        assert_int_equal(id, entry.nodeid);
}

static void space_holes_and_copies(void **state)
{
        struct fuse_fallocate_in in = {.length = 1u << 20};
        struct fuse_lseek_in seek = {.whence = SEEK_DATA};
        struct fuse_lseek_out at;
        struct fuse_copy_file_range_in copy;
        struct fuse_write_out n;
        uint64_t to, to_handle;

        (void)state;
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        in.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_FALLOCATE, id, &in, sizeof(in), NULL, 0, NULL), 0);
        in.mode = FALLOC_FL_COLLAPSE_RANGE;
        assert_int_equal(guest_ask(&guest, FUSE_FALLOCATE, id, &in, sizeof(in), NULL, 0, NULL), -EOPNOTSUPP);
        in.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        assert_int_equal(guest_ask(&guest, FUSE_FALLOCATE, id, &in, sizeof(in), NULL, 0, NULL), 0);
        assert_int_equal(guest_write(&guest, id, handle, 524288, "x", 1), 1);
        seek.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_LSEEK, id, &seek, sizeof(seek), &at, sizeof(at), NULL), 0);
        assert_int_equal(at.offset, 524288);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &to, &to_handle), 0);
        copy = (struct fuse_copy_file_range_in){
            .fh_in = handle, .off_in = 524288, .nodeid_out = to, .fh_out = to_handle, .len = 1};
        assert_int_equal(
            guest_ask(&guest, FUSE_COPY_FILE_RANGE, id, &copy, sizeof(copy), &n, sizeof(n), NULL), 0);
        assert_int_equal(n.size, 1);
        host_expect(&guest, "g", "x");
}

/* ---- directories ---- */

#define MANY 700u

/* Every name once, whatever the size of an answer. */
static unsigned list_all(uint32_t opcode, uint32_t size)
{
        static uint8_t out[LIMIT_FS_FOLDER + 64];
        struct fuse_read_in in = {.size = size};
        unsigned n = 0;
        uint32_t len;

        assert_int_equal(guest_opendir(&guest, FUSE_ROOT_ID, &handle), 0);
        in.fh = handle;
        for (;;) {
                assert_int_equal(guest_ask(&guest, opcode, FUSE_ROOT_ID, &in, sizeof(in), out, size, &len),
                                 0);
                if (len == 0)
                        break;
                for (uint32_t at = 0; at < len; n++) {
                        const struct fuse_direntplus *plus = (const void *)(out + at);
                        const struct fuse_dirent *d =
                            opcode == FUSE_READDIRPLUS ? &plus->dirent : (const void *)plus;

                        if (opcode == FUSE_READDIRPLUS && d->name[0] != '.')
                                assert_int_not_equal(plus->entry_out.nodeid, 0);
                        in.offset = d->off;
                        at += (uint32_t)(opcode == FUSE_READDIRPLUS ? FUSE_DIRENTPLUS_SIZE(plus)
                                                                    : FUSE_DIRENT_SIZE(d));
                }
        }
        assert_int_equal(guest_release(&guest, FUSE_ROOT_ID, handle, true), 0);
        return n;
}

static void lists_are_whole_in_answers_of_any_size(void **state)
{
        static const uint32_t sizes[] = {320, 1000, 4096, 32768, 65536};
        struct fuse_read_in in = {.size = 8};
        char name[64];

        (void)state;
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(name, sizeof(name), "a_file_with_a_name_of_some_length_%u", i);
                host_write(&guest, name, "");
        }
        for (size_t i = 0; i < array_size(sizes); i++) {
                assert_int_equal(list_all(FUSE_READDIR, sizes[i]), MANY + 2);
                assert_int_equal(list_all(FUSE_READDIRPLUS, sizes[i]), MANY + 2);
        }
        assert_int_equal(guest_opendir(&guest, FUSE_ROOT_ID, &handle), 0);
        in.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof(in), big, 8, NULL),
                         -EINVAL);
}

/* ---- what is known is bounded ---- */

static void descriptors_of_a_deep_and_wide_tree_are_bounded(void **state)
{
        uint64_t at = FUSE_ROOT_ID;
        char path[64];
        char name[16];
        unsigned n = 0;

        (void)state;
        for (unsigned i = 0; i < 600; i++)
                assert_int_equal(guest_mkdir(&guest, at, "d", &at), 0);
        for (unsigned i = 0; i < 600; i++) {
                snprintf(name, sizeof(name), "%u", i);
                assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, name, &id), 0);
                assert_int_equal(guest_lookup(&guest, id, "none", &entry), -ENOENT);
        }
        assert_int_equal(guest_getattr(&guest, at, &attr), 0);
        for (int fd = 0; fd < 8192; fd++) {
                struct stat st;

                snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)guest.broker.pid, fd);
                n += lstat(path, &st) == 0;
        }
        assert_in_range(n, 1, LIMIT_FS_FOLDERS + 16);
}

static void a_forgotten_inode_is_stale_and_a_known_one_is_not(void **state)
{
        (void)state;
        host_write(&guest, "f", "");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        id = entry.nodeid;
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(entry.nodeid, id);
        guest_forget(&guest, id, 1);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        guest_forget(&guest, id, 1);
        assert_int_equal(guest_getattr(&guest, id, &attr), -ESTALE);
        guest_forget(&guest, id, UINT64_MAX);
        guest_forget(&guest, FUSE_ROOT_ID, UINT64_MAX);
        assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
}

static void files_beyond_the_limit_are_refused_until_one_is_closed(void **state)
{
        uint64_t last = 0;

        (void)state;
        host_write(&guest, "f", "");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        for (unsigned i = 0; i < LIMIT_FS_FILES; i++)
                assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &last), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), -ENFILE);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &id, &handle), -ENFILE);
        assert_int_equal(guest_release(&guest, entry.nodeid, last, false), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
}

/* ---- mounting again ---- */

/* With a farewell or, after a reboot, without. */
static void another_mount_ends_the_one_before(void **state)
{
        const struct fuse_init_in init = {.major = 7, .minor = 38};
        struct fuse_init_out out;

        (void)state;
        host_write(&guest, "f", "");
        for (unsigned i = 0; i < 200; i++) {
                assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
                assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
                if (i % 2 == 0) {
                        assert_int_equal(guest_ask(&guest, FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL), 0);
                        assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), -EIO);
                }
                assert_int_equal(
                    guest_ask(&guest, FUSE_INIT, 0, &init, sizeof(init), &out, sizeof(out), NULL), 0);
                assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
                assert_int_equal(guest_getattr(&guest, entry.nodeid, &attr), -ESTALE);
                assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, back, 1), -EBADF);
        }
}

#define t(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            t(hello_has_a_tag_and_queues),
            t(nothing_is_agreed_that_owners_or_others_would_suffer_from),
            t(what_the_guest_writes_the_host_reads),
            t(what_the_host_writes_the_guest_reads),
            t(long_transfers_of_any_length_are_whole),
            t(files_of_the_owner_are_roots_and_others_nobodys),
            t(nobody_else_becomes_the_owner),
            t(modes_sizes_and_times_are_set),
            t(names_move_and_go),
            t(renames_keep_their_flags),
            t(links_are_counted_and_symbolic_ones_not_followed),
            t(only_files_pipes_and_sockets_are_made),
            t(an_unlinked_open_file_lives_as_long_as_it_is_known),
            t(a_directory_that_may_be_read_and_not_searched_is_opened),
            t(an_unlinked_file_is_opened_again_as_its_mode_lets_us),
            t(an_inode_whose_last_name_went_is_stale_to_a_link),
            t(a_file_that_the_host_replaces_is_stale_by_name_and_alive_by_handle),
            t(a_sync_of_all_is_served_and_a_nameless_file_is_not),
            t(a_number_that_the_host_gives_out_again_is_another_file),
            t(attributes_are_not_set_of_what_is_in_the_place_of_a_file),
            t(a_handle_is_good_for_its_own_inode_and_kind),
            t(truncation_at_opening_and_exclusive_creation),
            t(space_holes_and_copies),
            t(lists_are_whole_in_answers_of_any_size),
            t(descriptors_of_a_deep_and_wide_tree_are_bounded),
            t(a_forgotten_inode_is_stale_and_a_known_one_is_not),
            t(files_beyond_the_limit_are_refused_until_one_is_closed),
            t(another_mount_ends_the_one_before),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
