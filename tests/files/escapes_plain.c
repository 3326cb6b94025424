/* Attempts: names that lead out of the share, and calls that would follow them.
 * Called by: files_run.c. TRUST: none of what is read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/escapes.h"
#include <limits.h>
#include <sys/xattr.h>

void read_is_harmless(int fd)
{
        char bytes[sizeof(CANARY)] = "";
        struct stat st;

        if (fd < 0)
                return;
        if (fstat(fd, &st) == 0 && st.st_size == CANARY_LEN)
                case_fail("a file of the canary's size was opened");
        if (pread(fd, bytes, sizeof(CANARY) - 1, 0) > 0 && !strcmp(bytes, CANARY))
                case_fail("the canary was read");
        close(fd);
}

void open_is_harmless(const char *path, int flags)
{
        read_is_harmless(open(path, flags, 0666));
}

/* Everything that a path that leads out might be good for. */
static void path_leads_nowhere(const char *path)
{
        struct stat st;

        refused(open(path, O_RDONLY));
        refused(open(path, O_RDWR));
        refused(open(path, O_WRONLY | O_TRUNC));
        refused(open(path, O_WRONLY | O_CREAT, 0644));
        refused(stat(path, &st));
        refused(access(path, F_OK));
        refused(truncate(path, 0));
        refused(chmod(path, 0600));
        refused(chown(path, 1, 1));
        refused(utimensat(AT_FDCWD, path, NULL, 0));
        refused(setxattr(path, "user.guest", "x", 1, 0));
}

static void absolute_link_leads_nowhere(void)
{
        path_leads_nowhere("link-to-secret");
        path_leads_nowhere("way-out/secret");
        refused(open("way-out", O_RDONLY | O_DIRECTORY));
        refused(chdir("way-out"));
}

static void upward_link_leads_nowhere(void)
{
        path_leads_nowhere("up-and-out");
        path_leads_nowhere("far-up");
}

static void link_of_the_guests_own_leads_nowhere(void)
{
        static const char *const planted[] = {"link-to-secret", "way-out", "up-and-out", "far-up"};
        char target[PATH_MAX], name[64];

        for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); i++) {
                ssize_t n = must(readlink(planted[i], target, sizeof(target) - 1));

                target[n] = 0;
                snprintf(name, sizeof(name), "own-%zu", i);
                must(symlink(target, name));
                refused(open(name, O_RDWR));
                must(rename(name, "deep/a/own"));
                refused(open("deep/a/own", O_RDWR));
                must(unlink("deep/a/own"));
        }
}

static void chain_of_links_leads_nowhere(void)
{
        must(symlink("../chain-2", "deep/chain-1"));
        must(symlink("deep/a/../../way-out", "chain-2"));
        path_leads_nowhere("deep/chain-1/secret");
        must(unlink("deep/chain-1"));
        must(unlink("chain-2"));
}

static void dotdot_ends_at_the_root(void)
{
        static const char *const up[] = {"../outside/secret",         "../../outside/secret",
                                         "deep/../../outside/secret", "deep/a/../../../outside/secret",
                                         "./.././outside/secret",     "../elsewhere/secret"};
        int root = must(open(".", O_RDONLY | O_DIRECTORY));

        for (size_t i = 0; i < sizeof(up) / sizeof(up[0]); i++) {
                open_is_harmless(up[i], O_RDONLY);
                refused(open(up[i], O_RDWR));
                refused(openat(root, up[i], O_RDONLY));
        }
}

static void dotdot_from_the_depth_ends_at_the_root(void)
{
        must(chdir("deep/a/b/c/d"));
        refused(open("../../../../../../outside/secret", O_RDONLY));
        refused(open("../../../../../../../outside/secret", O_RDONLY));
        refused(unlink("../../../../../../outside/secret"));
        must(chdir("../../../../.."));
        refused(access("link-to-secret/../deep", F_OK));
}

static void dangling_link_makes_nothing_outside(void)
{
        refused(open("dangling-out", O_WRONLY | O_CREAT, 0666));
        refused(open("way-out/new", O_WRONLY | O_CREAT, 0666));
        refused(mkdir("way-out/new", 0755));
        refused(mkdir("dangling-out", 0755));
        refused(mknod("dangling-out", S_IFREG | 0644, 0));
        refused(symlink("x", "way-out/new"));
}

static void nothing_is_removed_through_a_folder_link(void)
{
        refused(unlink("way-out/secret"));
        refused(rmdir("way-out"));
        refused(rmdir("way-out/folder"));
        refused(unlinkat(AT_FDCWD, "way-out/folder", AT_REMOVEDIR));
}

static void nothing_is_moved_through_a_folder_link(void)
{
        must(close(must(open("mine", O_RDWR | O_CREAT, 0644))));
        refused(rename("way-out/secret", "stolen"));
        refused(rename("mine", "way-out/new"));
        refused(rename("mine", "way-out/secret"));
        refused(renameat2(AT_FDCWD, "mine", AT_FDCWD, "way-out/secret", RENAME_EXCHANGE));
        must(unlink("mine"));
}

static void nothing_outside_gets_a_second_name(void)
{
        refused(link("way-out/secret", "stolen"));
        refused(linkat(AT_FDCWD, "link-to-secret", AT_FDCWD, "stolen", AT_SYMLINK_FOLLOW));
        must(link("link-to-secret", "stolen")); /* of the link itself */
        holds(S_ISLNK(stat_of("stolen").st_mode));
        refused(open("stolen", O_RDONLY));
        must(unlink("stolen"));
}

static void descriptor_of_a_link_opens_nothing(void)
{
        char path[64], name[] = "stolen";
        int fd = must(open("link-to-secret", O_PATH | O_NOFOLLOW));

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        open_is_harmless(path, O_RDONLY);
        open_is_harmless(path, O_RDWR);
        if (linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0) {
                holds(S_ISLNK(stat_of(name).st_mode));
                must(unlink(name));
        }
}

static void times_of_a_link_are_its_own(void)
{
        struct timespec times[2] = {{12345, 0}, {12345, 0}};

        tried(utimensat(AT_FDCWD, "link-to-secret", times, AT_SYMLINK_NOFOLLOW));
        tried(utimensat(AT_FDCWD, "way-out", times, AT_SYMLINK_NOFOLLOW));
}

static void mode_and_owner_of_a_link_are_its_own(void)
{
        tried(fchmodat(AT_FDCWD, "link-to-secret", 0, AT_SYMLINK_NOFOLLOW));
        tried(lchown("link-to-secret", 1, 1));
        tried(lchown("way-out", 1, 1));
        tried(lchown("link-to-secret", 0, 0));
}

static void attributes_of_a_link_are_its_own(void)
{
        char value[64];

        refused(lgetxattr("link-to-secret", "user.canary", value, sizeof(value)));
        refused(lgetxattr("link-to-secret", "trusted.canary", value, sizeof(value)));
        refused(getxattr("link-to-secret", "user.canary", value, sizeof(value)));
        tried(lsetxattr("link-to-secret", "trusted.guest", "x", 1, 0));
        tried(lsetxattr("link-to-secret", "user.guest", "x", 1, 0));
        tried(lsetxattr("link-to-secret", "security.guest", "x", 1, 0));
        tried(lremovexattr("link-to-secret", "user.canary"));
        tried(lremovexattr("link-to-secret", "trusted.canary"));
}

static void mount_made_later_is_not_entered(void)
{
        open_is_harmless("bind/secret", O_RDONLY);
        open_is_harmless("bind/secret", O_RDWR);
        tried(open("bind/new", O_WRONLY | O_CREAT, 0666));
        tried(mkdir("bind/new-folder", 0755));
        tried(unlink("bind/secret"));
        tried(truncate("bind/secret", 0));
}

static void root_of_the_share_stays(void)
{
        refused(rmdir("."));
        refused(rename(".", "other"));
        refused(rename("deep/a/../..", "other"));
        refused(unlinkat(AT_FDCWD, ".", AT_REMOVEDIR));
}

const struct file_case escapes_plain[] = {
    CASE(absolute_link_leads_nowhere),
    CASE(upward_link_leads_nowhere),
    CASE(link_of_the_guests_own_leads_nowhere),
    CASE(chain_of_links_leads_nowhere),
    CASE(dotdot_ends_at_the_root),
    CASE(dotdot_from_the_depth_ends_at_the_root),
    CASE(dangling_link_makes_nothing_outside),
    CASE(nothing_is_removed_through_a_folder_link),
    CASE(nothing_is_moved_through_a_folder_link),
    CASE(nothing_outside_gets_a_second_name),
    CASE(descriptor_of_a_link_opens_nothing),
    CASE(times_of_a_link_are_its_own),
    CASE(mode_and_owner_of_a_link_are_its_own),
    CASE(attributes_of_a_link_are_its_own),
    CASE(mount_made_later_is_not_entered),
    CASE(root_of_the_share_stays),
    {NULL, NULL},
};
