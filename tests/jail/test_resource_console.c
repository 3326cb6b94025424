/* A console's resources: listening sockets that outlive its workers, and logs that are opened for each.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/device/console.h"
#include "sandbox/resource.h"

static char dir[] = "/tmp/bulkhead-console-XXXXXX";
static char why[512], log_dir[64], unlinked[8][PATH_MAX];
static size_t n_unlinked;

static struct device_config devices[2] = {
    {.name = "con0", .type = DEVICE_TYPE_CONSOLE, .n_queues = 6, .n_lanes = 1}};
static struct vm_config config = {
    .name = "vm", .socket_mode = 0620, .socket_gid = VM_CONFIG_NO_GID, .devices = devices, .n_devices = 1};

static int make_dir(void **state)
{
        char path[128];

        (void)state;
        if (!mkdtemp(dir))
                return -1;
        snprintf(config.run_dir, sizeof(config.run_dir), "%s", dir);
        snprintf(log_dir, sizeof(log_dir), "%s/logs", dir);
        snprintf(path, sizeof(path), "%s/vm", dir);
        return mkdir(path, 0755) == 0 && mkdir(log_dir, 0755) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

static void ports(const char *names, const char *logs)
{
        devices[0].options.value[CONSOLE_OPTION_PORTS].text = names;
        devices[0].options.value[CONSOLE_OPTION_LOG_DIR].text = logs;
        devices[0].options.value[CONSOLE_OPTION_LOG_MAX].number = 4096;
}

static int unlink_later(void *context, const char *path)
{
        (void)context;
        snprintf(unlinked[n_unlinked++], PATH_MAX, "%s", path);
        return 0;
}

static int hold(struct resources *held)
{
        const struct resource_owner owner = {
            .config = &config, .uid = geteuid(), .unlink_later = unlink_later};

        *held = (struct resources){0};
        n_unlinked = 0;
        return resources_hold(&owner, &devices[0], held, why, sizeof(why));
}

static int open_all(const struct resources *held, struct resources *ret)
{
        return resources_open(&devices[0], held, ret, why, sizeof(why));
}

static int connect_to(const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/vm/%s", dir, name);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
                return fd;
        close(fd);
        return -1;
}

static void sockets_are_held_and_each_incarnation_has_duplicates(void **state)
{
        struct resources held, first, second;
        struct stat st;
        int client, got;

        (void)state;
        ports("console,agent", "");
        assert_int_equal(hold(&held), 0);
        assert_int_equal(held.n, 2);
        assert_int_equal(n_unlinked, 2);
        assert_int_equal(stat(unlinked[1], &st), 0);
        assert_true(strstr(unlinked[1], "/vm/con0.agent.sock") != NULL);
        assert_int_equal(st.st_mode & 0777, 0620);
        assert_int_equal(open_all(&held, &first), 0);
        assert_int_equal(first.n, 2);
        assert_int_equal(first.kinds[1], RESOURCE_LISTENER);
        resources_close(&first); /* that worker has died */
        client = connect_to("con0.agent.sock");
        assert_true(client >= 0); /* ... and who comes waits for the next */
        assert_int_equal(open_all(&held, &second), 0);
        got = accept4(second.fds[1], NULL, NULL, SOCK_CLOEXEC);
        assert_true(got >= 0);
        close(got);
        close(client);
        resources_close(&second);
        resources_close(&held);
}

static void logs_are_opened_for_each_incarnation_and_locked(void **state)
{
        struct resources held, first, second;

        (void)state;
        ports("console,agent", log_dir);
        assert_int_equal(hold(&held), 0);
        assert_int_equal(open_all(&held, &first), 0);
        assert_int_equal(first.n, 6);
        assert_int_equal(first.kinds[0], RESOURCE_LISTENER);
        assert_int_equal(first.kinds[1], RESOURCE_FILE);
        assert_int_equal(first.rw, 0x36);
        assert_int_equal(first.size_max, 4096);
        assert_int_equal(open_all(&held, &second), -EBUSY);
        assert_non_null(strstr(why, "another device logs there"));
        resources_close(&first);
        assert_int_equal(open_all(&held, &second), 0);
        resources_close(&second);
        resources_close(&held);
}

/* Before the VM runs: nothing is held, the rest is judged. */
static void logs_are_judged_before_the_vm_starts(void **state)
{
        struct resources made;
        char path[PATH_MAX], other[PATH_MAX];

        (void)state;
        ports("console", "/nowhere/at/all");
        assert_int_equal(open_all(NULL, &made), -ENOENT);
        assert_non_null(strstr(why, "/nowhere/at/all/console.log"));
        ports("console", log_dir);
        snprintf(path, sizeof(path), "%s/console.log", log_dir);
        unlink(path);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_true(open_all(NULL, &made) < 0);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(open_all(NULL, &made), -EINVAL);
        assert_non_null(strstr(why, "no regular file"));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_int_equal(open_all(NULL, &made), -ELOOP);
        assert_int_equal(unlink(path), 0);
        snprintf(other, sizeof(other), "%s/somebodys", log_dir);
        close(open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        assert_int_equal(link(other, path), 0);
        assert_int_equal(open_all(NULL, &made), -EMLINK);
        assert_non_null(strstr(why, "hard links"));
        assert_int_equal(unlink(other), 0);
        assert_int_equal(open_all(NULL, &made), 0);
        assert_int_equal(made.n, 2);
        resources_close(&made);
}

static void a_socket_of_another_device_is_not_taken(void **state)
{
        struct resources held;

        (void)state;
        ports("console,agent", "");
        devices[1] = (struct device_config){.name = "con0.agent", .type = DEVICE_TYPE_RNG};
        config.n_devices = 2;
        assert_int_equal(hold(&held), -EEXIST);
        assert_non_null(strstr(why, "rename one of them"));
        config.n_devices = 1;
        resources_close(&held);
}

static void what_is_no_socket_is_left_alone(void **state)
{
        struct resources held;
        char path[PATH_MAX];
        int fd;

        (void)state;
        ports("file", "");
        snprintf(path, sizeof(path), "%s/vm/con0.file.sock", dir);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(hold(&held), -EEXIST);
        assert_non_null(strstr(why, "no socket"));
        resources_close(&held);
}

static void a_path_that_is_too_long_is_refused_in_words(void **state)
{
        struct resources held;

        (void)state;
        ports("console", "");
        snprintf(config.run_dir, sizeof(config.run_dir), "%s/%0100d", dir, 0);
        assert_int_equal(hold(&held), -ENAMETOOLONG);
        assert_non_null(strstr(why, "bytes"));
        snprintf(config.run_dir, sizeof(config.run_dir), "%s", dir);
        resources_close(&held);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(sockets_are_held_and_each_incarnation_has_duplicates),
            cmocka_unit_test(logs_are_opened_for_each_incarnation_and_locked),
            cmocka_unit_test(logs_are_judged_before_the_vm_starts),
            cmocka_unit_test(a_socket_of_another_device_is_not_taken),
            cmocka_unit_test(what_is_no_socket_is_left_alone),
            cmocka_unit_test(a_path_that_is_too_long_is_refused_in_words),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
