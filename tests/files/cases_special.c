/* Cases: pipes, sockets and nodes with a name.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void regular_file_is_made_by_mknod(void)
{
        must(mknod("file", S_IFREG | 0640, 0));
        equal(stat_of("file").st_mode, S_IFREG | 0640);
        file_put("file", "text");
        file_has("file", "text");
        fails(mknod("file", S_IFREG | 0640, 0), EEXIST);
}

static void pipe_has_a_name_and_a_type(void)
{
        must(mkfifo("pipe", 0640));
        equal(stat_of("pipe").st_mode, S_IFIFO | 0640);
        fails(mkfifo("pipe", 0640), EEXIST);
        must(rename("pipe", "other"));
        must(unlink("other"));
}

static void named_pipe_joins_two_processes(void)
{
        char text[8];
        pid_t pid;
        int fd;

        must(mkfifo("pipe", 0644));
        if (child_starts(&pid)) {
                equal(write(must(open("pipe", O_WRONLY)), "text", 4), 4);
                _exit(0);
        }
        fd = must(open("pipe", O_RDONLY));
        equal(read(fd, text, sizeof(text)), 4);
        equal(read(fd, text, sizeof(text)), 0);
        child_ends_well(pid);
}

static void named_pipe_without_a_reader_says_enxio(void)
{
        must(mkfifo("pipe", 0644));
        fails(open("pipe", O_WRONLY | O_NONBLOCK), ENXIO);
        must(open("pipe", O_RDONLY | O_NONBLOCK));
        must(open("pipe", O_WRONLY | O_NONBLOCK));
}

static struct sockaddr_un address(const char *path)
{
        struct sockaddr_un made = {.sun_family = AF_UNIX};

        snprintf(made.sun_path, sizeof(made.sun_path), "%s", path);
        return made;
}

static void socket_has_a_name_and_serves(void)
{
        struct sockaddr_un name = address("socket");
        int listener = must(socket(AF_UNIX, SOCK_STREAM, 0)), client = must(socket(AF_UNIX, SOCK_STREAM, 0));
        char text[8];

        must(bind(listener, (struct sockaddr *)&name, sizeof(name)));
        holds(S_ISSOCK(stat_of("socket").st_mode));
        must(listen(listener, 1));
        must(connect(client, (struct sockaddr *)&name, sizeof(name)));
        equal(write(client, "text", 4), 4);
        equal(read(must(accept(listener, NULL, NULL)), text, sizeof(text)), 4);
        fails(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name, sizeof(name)),
              EADDRINUSE);
        must(unlink("socket"));
        fails(connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name, sizeof(name)), ENOENT);
}

static void socket_is_not_opened_as_a_file(void)
{
        struct sockaddr_un name = address("socket");

        must(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name, sizeof(name)));
        fails(open("socket", O_RDWR), ENXIO);
}

static void device_node_is_roots_to_make(void)
{
        must(chmod(".", 0777));
        become_other();
        fails(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
        holds(!is_there("null"));
}

static void device_node_has_its_number(void)
{
        need_root();
        must(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
        holds(S_ISCHR(stat_of("null").st_mode));
        equal(stat_of("null").st_rdev, makedev(1, 3));
}

static void node_of_no_type_is_refused(void)
{
        fails_so(mknod("folder", S_IFDIR | 0755, 0), EPERM, EINVAL);
        fails(mknod("odd", S_IFLNK | 0755, 0), EINVAL);
        equal(entries_of("."), 0);
}

const struct file_case cases_special[] = {
    CASE(regular_file_is_made_by_mknod),  CASE(pipe_has_a_name_and_a_type),
    CASE(named_pipe_joins_two_processes), CASE(named_pipe_without_a_reader_says_enxio),
    CASE(socket_has_a_name_and_serves),   CASE(socket_is_not_opened_as_a_file),
    CASE(device_node_is_roots_to_make),   CASE(device_node_has_its_number),
    CASE(node_of_no_type_is_refused),     {NULL, NULL},
};
