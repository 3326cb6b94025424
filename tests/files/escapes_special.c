/* Attempts: nodes, attributes and handles that mean more than bytes.
 * Called by: files_run.c. TRUST: none of what is read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/escapes.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define NODES_GUESSED 300u

static void device_is_not_made(dev_t device, mode_t type)
{
        refused(mknod("device", type | 0666, device));
        holds(!is_there("device"));
}

static void character_device_is_not_made(void)
{
        device_is_not_made(makedev(1, 3), S_IFCHR); /* null */
        device_is_not_made(makedev(1, 1), S_IFCHR); /* mem */
        device_is_not_made(makedev(5, 2), S_IFCHR); /* ptmx */
}

static void block_device_is_not_made(void)
{
        device_is_not_made(makedev(7, 0), S_IFBLK);
        device_is_not_made(makedev(254, 0), S_IFBLK);
}

static void whiteout_is_not_made(void)
{
        device_is_not_made(makedev(0, 0), S_IFCHR);
        must(close(must(open("mine", O_RDWR | O_CREAT, 0644))));
        refused(renameat2(AT_FDCWD, "mine", AT_FDCWD, "other", RENAME_WHITEOUT));
        must(unlink("mine"));
}

static void planted_pipe_reaches_nobody(void)
{
        int fd;

        refused(open("pipe", O_WRONLY | O_NONBLOCK)); /* nobody of this kernel reads */
        fd = open("pipe", O_RDWR | O_NONBLOCK);
        if (fd >= 0)
                tried(write(fd, "guest", 5));
}

static void planted_socket_reaches_nobody(void)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};

        refused(connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name, sizeof(name)));
        refused(open("socket", O_RDWR));
}

/* A pipe, a socket and a file of the guest's own under the planted names' kin are only names to the host. */
static void new_pipe_and_socket_are_only_names(void)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "own-socket"};

        must(mkfifo("own-pipe", 0666));
        must(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name, sizeof(name)));
        must(unlink("own-pipe"));
        must(unlink("own-socket"));
}

static void trusted_attribute_is_refused(void)
{
        char value[64];

        refused(setxattr("attributes", "trusted.guest", "x", 1, 0));
        refused(setxattr("attributes", "trusted.overlay.opaque", "y", 1, 0));
        refused(getxattr("attributes", "trusted.canary", value, sizeof(value)));
        refused(removexattr("attributes", "trusted.canary"));
}

/* Revision 2, effective, every capability. */
static void capability_of_a_program_is_refused(void)
{
        static const unsigned char all[20] = {1, 0, 0,   2, 255, 255, 255, 255, 0, 0,
                                              0, 0, 255, 1, 0,   0,   0,   0,   0, 0};

        refused(setxattr("attributes", "security.capability", all, sizeof(all), 0));
}

static void security_attribute_is_refused(void)
{
        refused(setxattr("attributes", "security.selinux", "x", 1, 0));
        refused(setxattr("attributes", "security.ima", "x", 1, 0));
        refused(setxattr("attributes", "security.guest", "x", 1, 0));
}

/* user::rw-, user:0:rw-, group::r--, mask::rw-, other::r-- */
static void access_list_is_refused(void)
{
        static const unsigned char acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  6,
                                            0, 0, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                            6, 0, 255, 255, 255, 255, 32, 0, 4,   0,   255, 255, 255, 255};

        refused(setxattr("attributes", "system.posix_acl_access", acl, sizeof(acl), 0));
        refused(setxattr("attributes", "system.guest", "x", 1, 0));
}

static void hidden_attributes_are_not_told(void)
{
        char list[1024];
        ssize_t n = listxattr("attributes", list, sizeof(list));

        for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
                if (strncmp(list + at, "user.", 5) != 0)
                        case_fail("%.40s is told of", list + at);
}

/* What is left of it on the host must not be root's, which the host sees. */
static void set_user_program_is_not_roots(void)
{
        must(close(must(open("program", O_RDWR | O_CREAT, 0755))));
        tried(chown("program", 0, 0));
        tried(chmod("program", 06755));
}

static void file_is_given_to_nobody_else(void)
{
        must(close(must(open("given", O_RDWR | O_CREAT, 0644))));
        tried(chown("given", 1, 1));
        tried(chown("given", 0, 0));
        tried(chown("given", 65534, 65534));
        tried(chown("given", (uid_t)-1, 0));
}

static void flags_of_the_host_are_not_set(void)
{
        int fd = must(open("attributes", O_RDONLY)), flags = FS_IMMUTABLE_FL | FS_APPEND_FL;
        struct fsxattr more = {.fsx_xflags = FS_XFLAG_IMMUTABLE};

        refused(ioctl(fd, FS_IOC_SETFLAGS, &flags));
        refused(ioctl(fd, FS_IOC_FSSETXATTR, &more));
        refused(ioctl(fd, FIFREEZE, 0));
        refused(ioctl(fd, FITRIM, &more));
}

/* FUSE's handles are a node's number and generation: any can be made up, and the kernel asks the server for it. */
static void guessed_handle(int root, uint32_t node, uint32_t generation, int type)
{
        struct {
                struct file_handle head;
                uint32_t words[6];
        } handle = {.head = {.handle_bytes = 24, .handle_type = type},
                    .words = {0, node, generation, 0, 1, 0}};
        int fd;

        handle.head.handle_bytes = type == 0x81 ? 12 : 24;
        fd = open_by_handle_at(root, &handle.head, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return;
        read_is_harmless(openat(fd, "../outside/secret", O_RDONLY));
        read_is_harmless(openat(fd, "../secret", O_RDONLY));
        read_is_harmless(openat(fd, "secret", O_RDONLY));
        read_is_harmless(fd);
}

static void guessed_handles_open_nothing_outside(void)
{
        int root = must(open(".", O_RDONLY | O_DIRECTORY));

        for (uint32_t node = 0; node < NODES_GUESSED; node++)
                for (uint32_t generation = 0; generation < 2; generation++) {
                        guessed_handle(root, node, generation, 0x81);
                        guessed_handle(root, node, generation, 0x82);
                }
        for (uint32_t node = 1; node; node <<= 1)
                guessed_handle(root, node | 0x80000000u, 1, 0x82);
}

const struct file_case escapes_special[] = {
    CASE(character_device_is_not_made),
    CASE(block_device_is_not_made),
    CASE(whiteout_is_not_made),
    CASE(planted_pipe_reaches_nobody),
    CASE(planted_socket_reaches_nobody),
    CASE(new_pipe_and_socket_are_only_names),
    CASE(trusted_attribute_is_refused),
    CASE(capability_of_a_program_is_refused),
    CASE(security_attribute_is_refused),
    CASE(access_list_is_refused),
    CASE(hidden_attributes_are_not_told),
    CASE(set_user_program_is_not_roots),
    CASE(file_is_given_to_nobody_else),
    CASE(flags_of_the_host_are_not_set),
    CASE(guessed_handles_open_nothing_outside),
    {NULL, NULL},
};
