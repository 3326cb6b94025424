/* Requests that no kernel makes.
 * Owns nothing. TRUST: these bytes are our own, and meant to be bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/fs_malformed.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "proto/base/limits.h"

static uint32_t put(uint8_t *out, const void *fixed, size_t n)
{
        memcpy(out, fixed, n);
        return (uint32_t)n;
}

static uint32_t put_texts(const struct malformed *row, uint8_t *out)
{
        const char *const texts[] = {row->first, row->second, row->third};
        uint32_t len = 0;

        for (unsigned i = 0; i < 3 && texts[i]; i++)
                len += put(out + len, texts[i], strlen(texts[i]) + 1);
        return len;
}

static uint32_t put_letters(const struct malformed *row, uint8_t *out)
{
        uint32_t len = put_texts(row, out);

        memset(out + len, 'n', row->a);
        len += (uint32_t)row->a;
        if (row->body == BODY_LONG)
                out[len++] = '\0';
        return len;
}

static uint32_t put_numbers(const struct malformed *row, uint8_t *out)
{
        const struct fuse_write_in transfer = {.offset = row->a,
                                               .size = (uint32_t)row->b}; /* reads begin so, too */
        const struct fuse_lk_in lock = {.lk = {.start = row->a, .end = row->b, .type = row->n}};
        const struct fuse_fallocate_in space = {.offset = row->a, .length = row->b};
        const struct fuse_init_in init = {.major = row->major, .minor = (uint32_t)row->b, .flags = row->n};

        switch (row->body) {
        case BODY_LOCK:
                return put(out, &lock, sizeof(lock));
        case BODY_SPACE:
                return put(out, &space, sizeof(space));
        case BODY_INIT:
                return put(out, &init, row->a);
        default:
                return put(out, &transfer, sizeof(transfer));
        }
}

static uint32_t put_body(const struct malformed *row, uint8_t *out)
{
        const uint64_t size = (uint32_t)row->b;

        switch (row->body) {
        case BODY_ZEROS:
                return row->n;
        case BODY_BYTES:
                memset(out, 0xa5, row->n);
                return row->n;
        case BODY_TEXTS:
                return row->n + put_texts(row, out + row->n);
        case BODY_OPEN:
        case BODY_LONG:
                return row->n + put_letters(row, out + row->n);
        case BODY_VALUE:
        case BODY_SIZE:
                put(out, &size, sizeof(size));
                return 8 + put_texts(row, out + 8) + row->n;
        case BODY_FORGETS:
                put(out, &size, sizeof(size));
                return 8 + row->n * (uint32_t)sizeof(struct fuse_forget_one);
        case BODY_UNMAPS:
                put(out, &size, 4);
                return 4 + row->n * (uint32_t)sizeof(struct fuse_removemapping_one);
        case BODY_WRITE:
                return put_numbers(row, out) + row->n;
        case BODY_READ:
        case BODY_LOCK:
        case BODY_SPACE:
        case BODY_INIT:
                return put_numbers(row, out);
        }
        return 0;
}

uint32_t malformed_make(const struct malformed *row, uint8_t *out)
{
        struct fuse_in_header header = {
            .opcode = row->opcode, .unique = 4711, .nodeid = row->node ? row->node : FUSE_ROOT_ID};
        uint32_t len;

        memset(out, 0, MALFORMED_MAX);
        len = (uint32_t)sizeof(header) + put_body(row, out + sizeof(header));
        header.len = (uint32_t)(len + row->stated);
        memcpy(out, &header, sizeof(header));
        return row->cut > 0 ? row->cut - 1 : len;
}

uint32_t malformed_writable(const struct malformed *row)
{
        return row->writable == 0 && !row->roomless ? 4096 : row->writable;
}

/* One row a line, however long. */
/* clang-format off */
const struct malformed malformed[] = {
    {"no_byte_at_all", FUSE_GETATTR, BODY_ZEROS, .cut = 1, .want = MALFORMED_REFUSED},
    {"one_byte", FUSE_GETATTR, BODY_ZEROS, .cut = 2, .want = MALFORMED_REFUSED},
    {"header_without_its_last_byte", FUSE_GETATTR, BODY_ZEROS, .cut = 40, .want = MALFORMED_REFUSED},
    {"no_room_for_any_answer", FUSE_GETATTR, BODY_ZEROS, .n = 16, .roomless = true, .want = MALFORMED_REFUSED},
    {"room_for_half_a_header", FUSE_GETATTR, BODY_ZEROS, .n = 16, .writable = 15, .want = MALFORMED_REFUSED},
    {"room_for_a_header_and_no_attributes", FUSE_GETATTR, BODY_ZEROS, .n = 16, .writable = 16 + 103, .want = -EINVAL},
    {"length_is_zero", FUSE_GETATTR, BODY_ZEROS, .n = 16, .stated = -56, .want = -EINVAL},
    {"length_is_less_than_what_came", FUSE_GETATTR, BODY_ZEROS, .n = 16, .stated = -1, .want = -EINVAL},
    {"length_is_more_than_what_came", FUSE_GETATTR, BODY_ZEROS, .n = 16, .stated = 1, .want = -EINVAL},
    {"length_is_the_largest_number", FUSE_GETATTR, BODY_ZEROS, .n = 16, .stated = -57, .want = -EINVAL},
    {"attributes_asked_for_with_half_a_request", FUSE_GETATTR, BODY_ZEROS, .n = 8, .want = -EINVAL},
    {"attributes_asked_for_with_more_than_a_request", FUSE_GETATTR, BODY_ZEROS, .n = 17, .want = -EINVAL},
    {"opcode_zero", 0, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"opcode_between_known_ones", 7, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"opcode_of_an_ioctl", FUSE_IOCTL, BODY_ZEROS, .n = 32, .want = -ENOSYS},
    {"opcode_of_a_poll", FUSE_POLL, BODY_ZEROS, .n = 24, .want = -ENOSYS},
    {"opcode_of_a_block_map", FUSE_BMAP, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"opcode_of_a_mapping", FUSE_SETUPMAPPING, BODY_ZEROS, .n = 40, .want = -ENOSYS},
    {"mapping_cut_short", FUSE_SETUPMAPPING, BODY_ZEROS, .n = 39, .want = -EINVAL},
    {"mapping_with_more_than_it_takes", FUSE_SETUPMAPPING, BODY_ZEROS, .n = 41, .want = -EINVAL},
    {"unmapping_of_nothing", FUSE_REMOVEMAPPING, BODY_ZEROS, .n = 4, .want = -EINVAL},
    {"unmapping_without_a_number", FUSE_REMOVEMAPPING, BODY_ZEROS, .n = 3, .want = -EINVAL},
    {"unmappings_fewer_than_they_say", FUSE_REMOVEMAPPING, BODY_UNMAPS, .b = 3, .n = 2, .want = -EINVAL},
    {"unmappings_more_than_they_say", FUSE_REMOVEMAPPING, BODY_UNMAPS, .b = 2, .n = 3, .want = -EINVAL},
    {"unmappings_more_than_any", FUSE_REMOVEMAPPING, BODY_UNMAPS, .b = LIMIT_FS_UNMAPS + 1, .n = LIMIT_FS_UNMAPS + 1, .want = -EINVAL},
    {"unmappings_of_the_largest_number", FUSE_REMOVEMAPPING, BODY_UNMAPS, .b = UINT32_MAX, .n = 1, .want = -EINVAL},
    {"unmappings_whose_sum_wraps", FUSE_REMOVEMAPPING, BODY_UNMAPS, .b = UINT64_C(0x10000001), .n = 1, .want = -EINVAL},
    {"opcode_of_a_reply", FUSE_NOTIFY_REPLY, BODY_ZEROS, .n = 40, .want = -ENOSYS},
    {"opcode_of_a_character_device", CUSE_INIT, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"opcode_with_its_bytes_swapped", CUSE_INIT_BSWAP_RESERVED, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"opcode_of_a_nameless_file", FUSE_TMPFILE, BODY_ZEROS, .n = 18, .want = -ENOSYS},
    {"sync_of_all_cut_short", FUSE_SYNCFS, BODY_ZEROS, .n = 7, .want = -EINVAL},
    {"sync_of_all_too_long", FUSE_SYNCFS, BODY_ZEROS, .n = 9, .want = -EINVAL},
    {"opcode_is_the_largest_number", UINT32_MAX, BODY_ZEROS, .n = 16, .want = -ENOSYS},
    {"name_without_an_end", FUSE_LOOKUP, BODY_OPEN, .a = 8, .want = -EINVAL},
    {"name_that_is_missing", FUSE_LOOKUP, BODY_ZEROS, .want = -EINVAL},
    {"name_that_is_empty", FUSE_LOOKUP, BODY_TEXTS, .first = "", .want = -ENOENT},
    {"name_that_leads_up", FUSE_LOOKUP, BODY_TEXTS, .first = "..", .want = -EINVAL},
    {"name_that_leads_nowhere", FUSE_LOOKUP, BODY_TEXTS, .first = ".", .want = -EINVAL},
    {"name_with_a_slash", FUSE_LOOKUP, BODY_TEXTS, .first = "a/b", .want = -EINVAL},
    {"name_that_is_a_path_of_the_host", FUSE_LOOKUP, BODY_TEXTS, .first = "/etc/passwd", .want = -EINVAL},
    {"name_with_bytes_behind_its_end", FUSE_LOOKUP, BODY_TEXTS, .first = "a", .second = "b", .want = -EINVAL},
    {"name_of_256_bytes", FUSE_LOOKUP, BODY_LONG, .a = 256, .want = -ENAMETOOLONG},
    {"name_of_a_megabyte", FUSE_LOOKUP, BODY_LONG, .a = 1u << 20, .want = -EINVAL},
    {"directory_made_at_the_parent", FUSE_MKDIR, BODY_TEXTS, .n = 8, .first = "..", .want = -EINVAL},
    {"directory_without_a_mode", FUSE_MKDIR, BODY_ZEROS, .n = 7, .want = -EINVAL},
    {"directory_without_a_name", FUSE_MKDIR, BODY_ZEROS, .n = 8, .want = -EINVAL},
    {"file_made_at_a_path", FUSE_CREATE, BODY_TEXTS, .n = 16, .first = "../f", .want = -EINVAL},
    {"device_made_at_a_path", FUSE_MKNOD, BODY_TEXTS, .n = 16, .first = "/dev/f", .want = -EINVAL},
    {"removal_of_the_parent", FUSE_RMDIR, BODY_TEXTS, .first = "..", .want = -EINVAL},
    {"rename_with_one_name", FUSE_RENAME, BODY_TEXTS, .n = 8, .first = "a", .want = -EINVAL},
    {"rename_to_a_path", FUSE_RENAME, BODY_TEXTS, .n = 8, .first = "a", .second = "../b", .want = -EINVAL},
    {"rename_with_three_names", FUSE_RENAME2, BODY_TEXTS, .n = 16, .first = "a", .second = "b", .third = "c", .want = -EINVAL},
    {"link_that_says_nothing", FUSE_SYMLINK, BODY_TEXTS, .first = "a", .second = "", .want = -ENOENT},
    {"link_that_says_no_end", FUSE_SYMLINK, BODY_OPEN, .first = "a", .a = 9, .want = -EINVAL},
    {"link_that_says_4096_bytes", FUSE_SYMLINK, BODY_LONG, .first = "a", .a = 4096, .want = -ENAMETOOLONG},
    {"write_of_more_than_came", FUSE_WRITE, BODY_WRITE, .b = 4097, .n = 4096, .want = -EINVAL},
    {"write_of_less_than_came", FUSE_WRITE, BODY_WRITE, .b = 4095, .n = 4096, .want = -EINVAL},
    {"write_of_over_a_megabyte", FUSE_WRITE, BODY_WRITE, .b = LIMIT_FS_TRANSFER + 1, .n = LIMIT_FS_TRANSFER + 1, .want = -EINVAL},
    {"write_over_the_end_of_all_files", FUSE_WRITE, BODY_WRITE, .a = INT64_MAX - 10, .b = 11, .n = 11, .want = -EINVAL},
    {"write_at_a_negative_offset", FUSE_WRITE, BODY_WRITE, .a = UINT64_MAX, .b = 1, .n = 1, .want = -EINVAL},
    {"write_without_its_header", FUSE_WRITE, BODY_ZEROS, .n = 39, .want = -EINVAL},
    {"write_to_no_file", FUSE_WRITE, BODY_WRITE, .b = 1, .n = 1, .want = -EBADF},
    {"read_of_more_than_there_is_room_for", FUSE_READ, BODY_READ, .b = 4081, .want = -EINVAL},
    {"read_of_over_a_megabyte", FUSE_READ, BODY_READ, .b = LIMIT_FS_TRANSFER + 1, .writable = MALFORMED_MAX, .want = -EINVAL},
    {"read_of_the_largest_number", FUSE_READ, BODY_READ, .b = UINT32_MAX, .want = -EINVAL},
    {"read_at_a_negative_offset", FUSE_READ, BODY_READ, .a = UINT64_MAX, .b = 1, .want = -EINVAL},
    {"read_from_no_file", FUSE_READ, BODY_READ, .b = 16, .want = -EBADF},
    {"list_of_more_than_there_is_room_for", FUSE_READDIR, BODY_READ, .b = 4081, .want = -EINVAL},
    {"list_of_no_directory", FUSE_READDIRPLUS, BODY_READ, .b = 4080, .want = -EBADF},
    {"attribute_longer_than_any", FUSE_SETXATTR, BODY_VALUE, .first = "user.a", .b = LIMIT_FS_XATTR + 1, .want = -E2BIG},
    {"attribute_shorter_than_it_says", FUSE_SETXATTR, BODY_VALUE, .first = "user.a", .b = 10, .n = 9, .want = -EINVAL},
    {"attribute_without_a_name", FUSE_SETXATTR, BODY_VALUE, .first = "", .want = -ERANGE},
    {"attribute_name_without_an_end", FUSE_GETXATTR, BODY_OPEN, .n = 8, .a = 5, .want = -EINVAL},
    {"attribute_of_more_than_there_is_room_for", FUSE_GETXATTR, BODY_SIZE, .first = "user.a", .b = 5000, .want = -EINVAL},
    {"lock_that_ends_before_it_begins", FUSE_SETLK, BODY_LOCK, .a = 10, .b = 9, .n = 1, .want = -EINVAL},
    {"lock_beyond_all_files", FUSE_SETLK, BODY_LOCK, .b = UINT64_MAX, .n = 1, .want = -EINVAL},
    {"lock_of_an_unknown_kind", FUSE_SETLKW, BODY_LOCK, .b = 1, .n = 3, .want = -EINVAL},
    {"space_beyond_all_files", FUSE_FALLOCATE, BODY_SPACE, .a = INT64_MAX, .b = 2, .want = -EINVAL},
    {"handle_that_nobody_gave", FUSE_FSYNC, BODY_BYTES, .n = 16, .want = -EBADF},
    {"inode_that_nobody_gave", FUSE_GETATTR, BODY_ZEROS, .n = 16, .node = UINT64_MAX, .want = -ESTALE},
    {"inode_of_a_slot_that_is_free", FUSE_MKDIR, BODY_TEXTS, .n = 8, .first = "a", .node = UINT64_C(5) << 16 | 77, .want = -ESTALE},
    {"forget_with_half_a_number", FUSE_FORGET, BODY_ZEROS, .n = 4, .roomless = true, .want = MALFORMED_SILENT},
    {"forget_of_what_nobody_knows", FUSE_FORGET, BODY_BYTES, .n = 8, .node = UINT64_MAX, .roomless = true, .want = MALFORMED_SILENT},
    {"forget_of_the_root_for_ever", FUSE_FORGET, BODY_BYTES, .n = 8, .roomless = true, .want = MALFORMED_SILENT},
    {"forgets_fewer_than_they_say", FUSE_BATCH_FORGET, BODY_FORGETS, .b = 3, .n = 2, .roomless = true, .want = MALFORMED_SILENT},
    {"forgets_more_than_any", FUSE_BATCH_FORGET, BODY_FORGETS, .b = LIMIT_FS_FORGETS + 1, .n = LIMIT_FS_FORGETS + 1, .roomless = true, .want = MALFORMED_SILENT},
    {"forgets_of_the_largest_number", FUSE_BATCH_FORGET, BODY_FORGETS, .b = UINT32_MAX, .n = 1, .roomless = true, .want = MALFORMED_SILENT},
    {"interrupt_of_nothing", FUSE_INTERRUPT, BODY_ZEROS, .n = 8, .roomless = true, .want = MALFORMED_SILENT},
    {"init_of_the_future", FUSE_INIT, BODY_INIT, .major = 8, .b = 38, .a = 16, .want = -EPROTONOSUPPORT},
    {"init_of_the_past", FUSE_INIT, BODY_INIT, .major = 7, .b = 30, .a = 16, .want = -EPROTONOSUPPORT},
    {"init_with_half_an_extension", FUSE_INIT, BODY_INIT, .major = 7, .b = 38, .a = 63, .want = -EINVAL},
    {"init_that_promises_an_extension", FUSE_INIT, BODY_INIT, .major = 7, .b = 38, .n = FUSE_INIT_EXT, .a = 16, .want = -EINVAL},
    {"init_without_room", FUSE_INIT, BODY_INIT, .major = 7, .b = 38, .a = 64, .writable = 79, .want = -EINVAL},
};
/* clang-format on */

const size_t n_malformed = sizeof(malformed) / sizeof(malformed[0]);
