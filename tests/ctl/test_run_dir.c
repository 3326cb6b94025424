/* Choosing the run directory and finding VMs in it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/run_dir.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char why[512], dir[PATH_MAX];

static int choose(const char *given, bool root, const char *xdg)
{
        return run_dir_choose_for(given, root, xdg, "/srv", dir, why, sizeof(why));
}

static void the_given_one_is_first_then_roots_then_the_users(void **state)
{
        (void)state;
        assert_int_equal(choose("/x", true, "/run/user/1"), 0);
        assert_string_equal(dir, "/x");
        assert_int_equal(choose("x", false, "/run/user/1"), 0);
        assert_string_equal(dir, "/srv/x");
        assert_int_equal(choose(NULL, true, "/run/user/0"), 0);
        assert_string_equal(dir, "/run/bulkhead");
        assert_int_equal(choose(NULL, false, "/run/user/1"), 0);
        assert_string_equal(dir, "/run/user/1/bulkhead");
}

static void without_any_the_remedy_is_named(void **state)
{
        (void)state;
        assert_int_equal(choose(NULL, false, NULL), -ENOENT);
        assert_non_null(strstr(why, "--run-dir"));
        assert_int_equal(choose(NULL, false, "relative"), -ENOENT);
        assert_int_equal(choose("/a b", true, NULL), -EINVAL);
        assert_int_equal(choose("/a,b", true, NULL), -EINVAL);
        assert_int_equal(choose("", true, NULL), -EINVAL);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

static void make_socket(const char *folder, const char *vm)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char path[PATH_MAX];
        int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(path, sizeof(path), "%s/%s", folder, vm);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s/admin.sock", folder, vm);
        assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
        close(sock);
}

static void only_folders_with_an_admin_socket_are_vms(void **state)
{
        char folder[] = "/tmp/bulkhead-test-XXXXXX", path[PATH_MAX];
        struct run_dir_list list = {0};
        FILE *file;

        (void)state;
        assert_non_null(mkdtemp(folder));
        make_socket(folder, "b");
        make_socket(folder, "a");
        make_socket(folder, ".hidden");
        make_socket(folder, "bad name");
        snprintf(path, sizeof(path), "%s/uids", folder);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "%s/file", folder);
        file = fopen(path, "w");
        assert_non_null(file);
        fclose(file);
        assert_int_equal(run_dir_list(folder, &list), 0);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.vms[0].name, "a");
        assert_string_equal(list.vms[1].name, "b");
        run_dir_list_done(&list);
        assert_null(list.vms);
        assert_int_equal(run_dir_list(path, &list), -ENOTDIR);
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        assert_int_equal(run_dir_list(folder, &list), 0); /* no directory, no VMs */
        assert_int_equal(list.n, 0);
}

static void more_vms_than_the_limit_are_an_error(void **state)
{
        char folder[] = "/tmp/bulkhead-test-XXXXXX", name[32];
        struct run_dir_list list = {0};

        (void)state;
        assert_non_null(mkdtemp(folder));
        for (unsigned i = 0; i < LIMIT_CTL_VMS; i++) {
                snprintf(name, sizeof(name), "vm%u", i);
                make_socket(folder, name);
        }
        assert_int_equal(run_dir_list(folder, &list), 0);
        assert_int_equal(list.n, LIMIT_CTL_VMS);
        run_dir_list_done(&list);
        make_socket(folder, "more");
        assert_int_equal(run_dir_list(folder, &list), -E2BIG);
        assert_null(list.vms);
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_given_one_is_first_then_roots_then_the_users),
            cmocka_unit_test(without_any_the_remedy_is_named),
            cmocka_unit_test(only_folders_with_an_admin_socket_are_vms),
            cmocka_unit_test(more_vms_than_the_limit_are_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
