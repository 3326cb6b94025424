/* Images and worker programs: what is refused, in which words, and how long a lock holds.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/resource.h"
#include "tests/jail/jail_fixture.h"
#include "tests/harness/blk_set.h"

static char dir[] = "/tmp/bulkhead-resource-XXXXXX";

static int make_dir(void **state)
{
        (void)state;
        return mkdtemp(dir) && chmod(dir, 0755) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

/* The last one's path counts for all. */
static struct device_config disk(const char *name, bool read_only)
{
        static char path[PATH_MAX];

        if (name[0] == '/')
                snprintf(path, sizeof(path), "%s", name);
        else
                snprintf(path, sizeof(path), "%s/%s", dir, name);
        return (struct device_config){.type = DEVICE_TYPE_BLK,
                                      .n_queues = 1,
                                      .n_lanes = 1,
                                      .options = BLK_SET(.path = path, .read_only = read_only)};
}

static const char *path_of(const struct device_config *device)
{
        return device->options.value[BLK_OPTION_PATH].text;
}

static void make_file(const char *name, off_t size, mode_t mode)
{
        struct device_config device = disk(name, false);
        int fd = open(path_of(&device), O_RDWR | O_CREAT | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(ftruncate(fd, size), 0);
        close(fd);
}

static void assert_refused(const char *name, bool read_only, int error, const char *word)
{
        struct device_config device = disk(name, read_only);
        struct resources resources = {.n = 77};
        unsigned before = fixture_count_fds();
        char why[PATH_MAX + 200] = "";

        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), error);
        if (!strstr(why, word) || !strstr(why, path_of(&device)))
                fail_msg("\"%s\" does not name \"%s\" and the path", why, word);
        assert_int_equal(resources.n, 77);
        assert_int_equal(fixture_count_fds(), before);
}

static void open_disk(const char *name, bool read_only, struct resources *resources)
{
        struct device_config device = disk(name, read_only);
        char why[PATH_MAX + 200] = "";

        if (resources_open(&device, NULL, resources, why, sizeof(why)) < 0)
                fail_msg("%s", why);
}

static void image_is_opened_as_its_configuration_says(void **state)
{
        struct resources resources;

        (void)state;
        make_file("plain", 4096, 0600);
        open_disk("plain", false, &resources);
        assert_int_equal(resources.n, 1);
        assert_int_equal(resources.rw, 1);
        assert_int_equal(resources.size_max, 4096);
        assert_int_equal(resources.mapped_max, 4096);
        assert_int_equal(fcntl(resources.fds[0], F_GETFL) & O_ACCMODE, O_RDWR);
        assert_int_equal(fcntl(resources.fds[0], F_GETFD), FD_CLOEXEC);
        resources_close(&resources);
        open_disk("plain", true, &resources);
        assert_int_equal(resources.rw, 0);
        assert_int_equal(resources.size_max, 0);
        assert_int_equal(resources.mapped_max, 4096);
        assert_int_equal(fcntl(resources.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
        resources_close(&resources);
        resources_close(&resources);
}

static void image_that_is_missing_or_of_wrong_size_is_refused(void **state)
{
        (void)state;
        make_file("empty", 0, 0600);
        make_file("odd", 4095, 0600);
        make_file("sector", 512, 0600);
        make_file("over", 513, 0600);
        assert_refused("missing", false, -ENOENT, "truncate -s");
        assert_refused("plain/below", false, -ENOTDIR, "no such image");
        assert_refused("empty", false, -EINVAL, "empty");
        assert_refused("odd", false, -EINVAL, "multiple of 512");
        assert_refused("over", true, -EINVAL, "multiple of 512");
        {
                struct resources resources;

                open_disk("sector", false, &resources);
                resources_close(&resources);
        }
}

static void what_is_no_image_is_never_opened(void **state)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        struct device_config device = disk("fifo", false);
        int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)state;
        assert_int_equal(mkfifo(path_of(&device), 0600), 0);
        snprintf(name.sun_path, sizeof(name.sun_path), "%s/sock", dir);
        assert_int_equal(bind(sock, (struct sockaddr *)&name, sizeof(name)), 0);
        assert_refused("fifo", false, -EINVAL, "FIFO"); /* and does not hang */
        assert_refused("fifo", true, -EINVAL, "FIFO");
        assert_refused("sock", false, -EINVAL, "socket");
        assert_refused("/", true, -EINVAL, "directory");
        assert_refused("/dev/null", false, -EINVAL, "character device");
        close(sock);
}

/* As an ordinary user: root may open anything. */
static int as_user(void (*check)(void))
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
                        _exit(99);
                check();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static int quiet_open(const char *name, bool read_only, const char *word)
{
        struct device_config device = disk(name, read_only);
        struct resources resources;
        char why[PATH_MAX + 200] = "";
        int r = resources_open(&device, NULL, &resources, why, sizeof(why));

        return strstr(why, word) ? r : 1;
}

static void check_permission(void)
{
        if (quiet_open("private", false, "no permission to write") != -EACCES ||
            quiet_open("private", true, "no permission to read") != -EACCES ||
            quiet_open("public", false, "read_only: true") != -EACCES || quiet_open("public", true, "") != 0)
                _exit(1);
}

static void image_without_permission_is_refused_with_the_remedy(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        make_file("private", 4096, 0600);
        make_file("public", 4096, 0644);
        assert_int_equal(as_user(check_permission), 0);
}

/* In a process of its own, which does not own it. */
static void open_image_of_another(void)
{
        struct device_config device = disk("of another", false);
        struct resources resources;
        char why[PATH_MAX + 200] = "";

        if (resources_open(&device, NULL, &resources, why, sizeof(why)) < 0 ||
            (fcntl(resources.fds[0], F_GETFL) & O_NOATIME))
                _exit(1);
}

static void access_times_of_an_image_are_not_kept_where_that_is_ours_to_say(void **state)
{
        struct resources resources;

        (void)state;
        make_file("of another", 4096, 0666);
        open_disk("of another", false, &resources);
        assert_true(fcntl(resources.fds[0], F_GETFL) & O_NOATIME);
        resources_close(&resources);
        if (geteuid() == 0)
                assert_int_equal(as_user(open_image_of_another), 0);
}

static void writable_image_is_for_one_and_read_only_one_for_many(void **state)
{
        struct resources first, second;

        (void)state;
        make_file("shared", 4096, 0600);
        open_disk("shared", false, &first);
        assert_refused("shared", false, -EBUSY, "in use by another process");
        assert_refused("shared", true, -EBUSY, "in use by another process");
        resources_close(&first);
        open_disk("shared", true, &first);
        open_disk("shared", true, &second);
        assert_refused("shared", false, -EBUSY, "in use by another process");
        resources_close(&first);
        assert_refused("shared", false, -EBUSY, "in use by another process");
        resources_close(&second);
        open_disk("shared", false, &first);
        resources_close(&first);
}

/* open() would wait for who has a lease, for 45 s as the kernel is set; nobody would be restarted meanwhile. */
static void file_under_lease_is_in_use_and_not_waited_for(void **state)
{
        static struct boot_config boot;
        struct device_config image = disk("leased", false);
        const struct device_config loader = {
            .type = DEVICE_TYPE_LOADER, .n_queues = 1, .n_lanes = 1, .boot = &boot};
        struct resources resources = {0};
        char why[PATH_MAX + 200] = "";
        int fd;

        (void)state;
        make_file("leased", 4096, 0600);
        snprintf(boot.kernel, sizeof(boot.kernel), "%s", path_of(&image));
        signal(SIGIO, SIG_IGN);
        alarm(10);
        fd = open(boot.kernel, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
        assert_refused("leased", false, -EBUSY, "in use by another process");
        assert_int_equal(resources_open(&loader, NULL, &resources, why, sizeof(why)), -EBUSY);
        assert_non_null(strstr(why, "lease"));
        close(fd);
        open_disk("leased", false, &resources);
        assert_int_equal(fcntl(resources.fds[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDWR);
        resources_close(&resources);
        alarm(0);
        signal(SIGIO, SIG_DFL);
}

/* The spawner closes its copy at once: the lock must live on with the worker, and end with it. */
static void lock_lives_as_long_as_the_incarnation_that_holds_it(void **state)
{
        struct resources resources;
        int go[2];
        char byte;
        pid_t pid;

        (void)state;
        make_file("held", 4096, 0600);
        open_disk("held", false, &resources);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                close(go[1]);
                _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
        }
        close(go[0]);
        resources_close(&resources);
        assert_refused("held", false, -EBUSY, "in use");
        close(go[1]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        open_disk("held", false, &resources);
        resources_close(&resources);
}

#define IMAGE_BYTES (4u << 20)

static void write_image(int fd, int byte)
{
        static char block[IMAGE_BYTES];

        memset(block, byte, sizeof(block));
        assert_int_equal(pwrite(fd, block, sizeof(block), 0), sizeof(block));
}

/* A worker that writes one large block after another, until it is killed in the middle of one. */
static pid_t writer(struct resources *resources)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        write_image(resources->fds[0], 'o');
        resources_close(resources);
        return pid;
}

static void await_byte(const char *name, off_t at, char expected)
{
        struct device_config device = disk(name, true);
        int fd = open(path_of(&device), O_RDONLY | O_CLOEXEC);
        char byte;

        do {
                assert_int_equal(pread(fd, &byte, 1, at), 1);
        } while (byte != expected);
        close(fd);
}

/* As the spawner asks again after -EBUSY, but at once. The predecessor is killed when we have been refused. */
static void open_when_it_is_gone(const char *name, pid_t predecessor, struct resources *resources)
{
        struct device_config device = disk(name, false);
        char why[PATH_MAX + 200] = "";
        int r;

        while ((r = resources_open(&device, NULL, resources, why, sizeof(why))) == -EBUSY)
                assert_int_equal(kill(predecessor, SIGKILL), 0);
        assert_int_equal(r, 0);
}

/* Whatever a killed worker was writing has landed before a successor can open the image: nothing of it comes
 * after the successor's first write. Nobody waits for the dead here, so it is the lock alone that orders. */
static void predecessor_s_last_write_never_lands_on_its_successor_s_first(void **state)
{
        static char bytes[IMAGE_BYTES], expected[IMAGE_BYTES];

        (void)state;
        make_file("zombie", IMAGE_BYTES, 0600);
        memset(expected, 'n', sizeof(expected));
        for (unsigned round = 0; round < 40; round++) {
                struct resources resources;
                pid_t pid;

                open_disk("zombie", false, &resources);
                pid = writer(&resources);
                await_byte("zombie", (off_t)round * (IMAGE_BYTES / 40), 'o'); /* so far, and a bit farther */
                open_when_it_is_gone("zombie", pid, &resources);
                write_image(resources.fds[0], 'n');
                (void)kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_int_equal(pread(resources.fds[0], bytes, sizeof(bytes), 0), sizeof(bytes));
                assert_memory_equal(bytes, expected, sizeof(bytes));
                resources_close(&resources);
        }
}

static void rng_needs_no_resource(void **state)
{
        struct device_config device = {.type = DEVICE_TYPE_RNG};
        struct resources resources = {.n = 5};
        char why[100];

        (void)state;
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), 0);
        assert_int_equal(resources.n, 0);
        device.type = WORKER_TYPE_COUNT_;
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), -EINVAL);
}

/* ---- programs ---- */

static void put_program(const char *target, mode_t mode)
{
        char path[PATH_MAX], command[PATH_MAX * 2];

        snprintf(path, sizeof(path), "%s/bulkhead-worker-rng", dir);
        unlink(path);
        if (!target)
                return;
        snprintf(command, sizeof(command), "cp %s %s", target, path);
        assert_int_equal(system(command), 0);
        assert_int_equal(chmod(path, mode), 0);
}

static int open_program(char *why, size_t why_size)
{
        static struct vm_config config;
        int fd = -1, r;

        snprintf(config.worker_dir, sizeof(config.worker_dir), "%s", dir);
        r = resource_open_program(&config, DEVICE_TYPE_RNG, &fd, why, why_size);
        if (r == 0)
                close(fd);
        else
                assert_int_equal(fd, -1);
        return r;
}

static void worker_program_is_static_readable_and_there(void **state)
{
        unsigned before = fixture_count_fds();
        char why[PATH_MAX + 200];

        (void)state;
        put_program(NULL, 0);
        assert_int_equal(open_program(why, sizeof(why)), -ENOENT);
        assert_non_null(strstr(why, "worker_dir"));
        put_program(PROBE_PROGRAM, 0711);
        assert_int_equal(open_program(why, sizeof(why)), -EACCES);
        assert_non_null(strstr(why, "chmod 0755"));
        put_program("/bin/sh", 0755);
        assert_int_equal(open_program(why, sizeof(why)), -ENOEXEC);
        assert_non_null(strstr(why, "static-pie"));
        put_program("/etc/passwd", 0755);
        assert_int_equal(open_program(why, sizeof(why)), -ENOEXEC);
        put_program(PROBE_PROGRAM, 0755);
        assert_int_equal(open_program(why, sizeof(why)), 0);
        assert_int_equal(fixture_count_fds(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(image_is_opened_as_its_configuration_says),
            cmocka_unit_test(image_that_is_missing_or_of_wrong_size_is_refused),
            cmocka_unit_test(what_is_no_image_is_never_opened),
            cmocka_unit_test(image_without_permission_is_refused_with_the_remedy),
            cmocka_unit_test(access_times_of_an_image_are_not_kept_where_that_is_ours_to_say),
            cmocka_unit_test(writable_image_is_for_one_and_read_only_one_for_many),
            cmocka_unit_test(file_under_lease_is_in_use_and_not_waited_for),
            cmocka_unit_test(lock_lives_as_long_as_the_incarnation_that_holds_it),
            cmocka_unit_test(predecessor_s_last_write_never_lands_on_its_successor_s_first),
            cmocka_unit_test(rng_needs_no_resource),
            cmocka_unit_test(worker_program_is_static_readable_and_there),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
