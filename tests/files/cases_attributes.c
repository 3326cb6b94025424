/* Cases: extended attributes of the user's.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/xattr.h>

static void attribute_is(const char *path, const char *name, const char *wanted)
{
        char value[256];
        ssize_t n = must(getxattr(path, name, value, sizeof(value) - 1));

        value[n] = 0;
        if (strcmp(value, wanted) != 0)
                case_fail("%s of %s is \"%.40s\", not \"%s\"", name, path, value, wanted);
}

static void set(const char *path, const char *name, const char *value)
{
        must(setxattr(path, name, value, strlen(value), 0));
}

static void attribute_is_kept(void)
{
        file_put("file", "text");
        set("file", "user.a", "one");
        attribute_is("file", "user.a", "one");
        set("file", "user.a", "another");
        attribute_is("file", "user.a", "another");
        set("file", "user.empty", "");
        attribute_is("file", "user.empty", "");
        file_has("file", "text");
}

static void absent_attribute_says_enodata(void)
{
        char value[8];

        file_put("file", "text");
        fails(getxattr("file", "user.a", value, sizeof(value)), ENODATA);
        fails(removexattr("file", "user.a"), ENODATA);
        fails(getxattr("nothing", "user.a", value, sizeof(value)), ENOENT);
}

static void attributes_are_listed(void)
{
        char list[256];
        ssize_t n, left;
        int seen = 0;

        file_put("file", "text");
        set("file", "user.a", "1");
        set("file", "user.bb", "2");
        n = must(listxattr("file", list, sizeof(list)));
        left = n;
        for (const char *name = list; left > 0; name += strlen(name) + 1) {
                left -= (ssize_t)strlen(name) + 1;
                seen += !strcmp(name, "user.a") || !strcmp(name, "user.bb");
        }
        equal(seen, 2);
        equal(listxattr("file", NULL, 0), n);
        fails(listxattr("file", list, 3), ERANGE);
}

static void attribute_is_removed(void)
{
        file_put("file", "text");
        set("file", "user.a", "1");
        set("file", "user.b", "2");
        must(removexattr("file", "user.a"));
        fails(getxattr("file", "user.a", NULL, 0), ENODATA);
        attribute_is("file", "user.b", "2");
}

static void attributes_tell_their_size(void)
{
        char value[2];

        file_put("file", "text");
        set("file", "user.a", "12345");
        equal(getxattr("file", "user.a", NULL, 0), 5);
        fails(getxattr("file", "user.a", value, sizeof(value)), ERANGE);
}

static void create_and_replace_are_told_apart(void)
{
        file_put("file", "text");
        fails(setxattr("file", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
        must(setxattr("file", "user.a", "1", 1, XATTR_CREATE));
        fails(setxattr("file", "user.a", "2", 1, XATTR_CREATE), EEXIST);
        must(setxattr("file", "user.a", "3", 1, XATTR_REPLACE));
        attribute_is("file", "user.a", "3");
}

static void attribute_of_three_thousand_bytes_is_kept(void)
{
        char value[3000], back[3000];

        for (size_t i = 0; i < sizeof(value); i++)
                value[i] = (char)(i * 7);
        file_put("file", "text");
        must(setxattr("file", "user.big", value, sizeof(value), 0));
        equal(getxattr("file", "user.big", back, sizeof(back)), sizeof(value));
        equal(memcmp(value, back, sizeof(value)), 0);
}

static void attribute_follows_its_file(void)
{
        int fd;

        file_put("a", "text");
        set("a", "user.a", "1");
        must(rename("a", "b"));
        must(link("b", "c"));
        attribute_is("c", "user.a", "1");
        fd = must(open("b", O_RDWR));
        must(unlink("b"));
        must(unlink("c"));
        equal(fgetxattr(fd, "user.a", NULL, 0), 1);
        must(fsetxattr(fd, "user.b", "22", 2, 0));
        equal(fgetxattr(fd, "user.b", NULL, 0), 2);
        must(fremovexattr(fd, "user.a"));
        fails(fgetxattr(fd, "user.a", NULL, 0), ENODATA);
}

static void folder_has_attributes(void)
{
        must(mkdir("folder", 0755));
        set("folder", "user.a", "1");
        attribute_is("folder", "user.a", "1");
        must(removexattr("folder", "user.a"));
}

static void symlink_has_no_user_attributes(void)
{
        file_put("file", "text");
        must(symlink("file", "link"));
        fails(lsetxattr("link", "user.a", "1", 1, 0), EPERM);
        set("link", "user.a", "1");
        attribute_is("file", "user.a", "1");
}

static void name_without_a_space_is_refused(void)
{
        char name[300] = "user.";

        file_put("file", "text");
        fails(setxattr("file", "nospace", "1", 1, 0), EOPNOTSUPP);
        memset(name + 5, 'n', 290);
        fails(setxattr("file", name, "1", 1, 0), ERANGE);
        fails_so(setxattr("file", "user.", "1", 1, 0), EINVAL, EOPNOTSUPP);
}

static void attribute_moves_ctime_and_not_mtime(void)
{
        struct stat st;

        file_put("file", "text");
        make_old("file");
        set("file", "user.a", "1");
        st = stat_of("file");
        holds(mtime_is_old(&st));
}

static void attribute_needs_the_right_to_write(void)
{
        file_put("file", "text");
        set("file", "user.a", "1");
        must(chmod("file", 0644));
        become_other();
        attribute_is("file", "user.a", "1");
        fails(setxattr("file", "user.b", "2", 1, 0), EACCES);
        fails(removexattr("file", "user.a"), EACCES);
}

const struct file_case cases_attributes[] = {
    CASE(attribute_is_kept),
    CASE(absent_attribute_says_enodata),
    CASE(attributes_are_listed),
    CASE(attribute_is_removed),
    CASE(attributes_tell_their_size),
    CASE(create_and_replace_are_told_apart),
    CASE(attribute_of_three_thousand_bytes_is_kept),
    CASE(attribute_follows_its_file),
    CASE(folder_has_attributes),
    CASE(symlink_has_no_user_attributes),
    CASE(name_without_a_space_is_refused),
    CASE(attribute_moves_ctime_and_not_mtime),
    CASE(attribute_needs_the_right_to_write),
    {NULL, NULL},
};
