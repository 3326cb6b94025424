/* A folder as a worker's root: what it can do there, as whom, and that nothing leads out of it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/fd.h"
#include "sandbox/process_rights.h"
#include "sandbox/share.h"
#include "tests/jail/folder_probe.h"
#include "tests/jail/jail_fixture.h"

#define OWNER   1879100005u /* of the folder: neither we nor the worker */
#define FIRST   1879200000u /* of the range of a folder with owners */
#define OWNERS  1000u
#define WAIT_MS 10000

static char dir[] = "/tmp/bulkhead-share-XXXXXX";
static char place[40];

static const char *at(const char *name)
{
        static char paths[4][256];
        static unsigned i;
        char *path = paths[i++ % 4];

        snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
        return path;
}

static void make_file(const char *name, uid_t owner, mode_t mode)
{
        int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "#", 1), 1);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(fchown(fd, owner, owner), 0);
        close(fd);
}

static void make_folder(const char *name, uid_t owner, mode_t mode)
{
        assert_int_equal(mkdir(at(name), mode), 0);
        assert_int_equal(chown(at(name), owner, owner), 0);
}

/* A mount space of our own for all that follows, as the spawner has it. */
static int make_place(void **state)
{
        char why[256];

        (void)state;
        if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
                return -1;
        snprintf(place, sizeof(place), "%s/mounts", dir);
        make_folder("share", OWNER, 0755);
        make_folder("share/below", OWNER, 0755);
        make_folder("outside", 0, 0777);
        make_file("outside/secret", 0, 0666);
        make_file("share/owned", OWNER, 0600);
        make_file("share/roots", 0, 0600);
        make_file("share/public", 0, 0644);
        make_file("share/next", OWNER + 1, 0666);
        make_file("share/program", OWNER, 0755);
        make_file("share/setuid", OWNER, 04755);
        make_folder("many", FIRST, 0777);
        make_folder("many/below", FIRST, 0755);
        make_folder("many/roots.d", 0, 0755);
        make_file("many/roots.d/file", 0, 0600);
        make_file("many/roots", 0, 0600);
        make_file("many/public", 0, 0666);
        make_file("many/private", FIRST + 9, 0600);
        make_file("many/half", FIRST + 9, 0600);
        assert_int_equal(chown(at("many/half"), (uid_t)-1, 0), 0);
        make_file("many/behind", FIRST + OWNERS, 0600);
        assert_int_equal(symlink("/outside/secret", at("share/absolute")), 0);
        assert_int_equal(symlink("../../outside/secret", at("share/relative")), 0);
        if (share_init(place, why, sizeof(why)) < 0)
                fail_msg("%s", why);
        fixture_keep_rights();
        return 0;
}

static int remove_place(void **state)
{
        char command[192];

        (void)state;
        snprintf(command, sizeof(command), "umount -l %s/* %s 2>/dev/null; rm -rf --one-file-system %s",
                 place, place, dir);
        return system(command) < 0 ? -1 : 0;
}

struct folder {
        struct probe probe;
        int root_fd;
        bool mapped;
};

/* No filter; of a folder with owners the capabilities as shipped. */
static const struct policy *policy_of(const struct share_ids *ids, bool read_only)
{
        static struct policy policy;
        const struct policy *shipped = policy_find(read_only ? "fs-owners-read-only" : "fs-owners");

        policy = *fixture_open_policy();
        if (ids->count > 0)
                memcpy(policy.capabilities, shipped->capabilities, sizeof(policy.capabilities));
        return &policy;
}

static void start_as(struct folder *folder, const char *name, bool read_only, const struct share_ids *ids)
{
        static const uint8_t kind = RESOURCE_FOLDER;
        static unsigned n;
        struct jail_spec spec;
        char hook[16], why[256];
        struct probe_theirs theirs;

        snprintf(hook, sizeof(hook), "%u", n++);
        if (share_mount(at(name), place, hook, read_only, ids, &folder->root_fd, &folder->mapped, why,
                        sizeof(why)) < 0)
                fail_msg("%s", why);
        fixture_spec(&spec, policy_of(ids, read_only), &folder->probe, &theirs);
        spec.first_id = ids->count > 0 ? ids->uid : 0;
        spec.n_ids = ids->count;
        close(spec.binary_fd);
        spec.binary_fd = open(FOLDER_PROGRAM, O_RDONLY | O_CLOEXEC);
        spec.resource_fds = &folder->root_fd;
        spec.n_resources = 1;
        spec.resource_kinds[0] = kind;
        spec.root_fd = folder->root_fd;
        spec.file_size_max = UINT64_MAX;
        spec.n_born = 16;
        probe_start_spec(&folder->probe, &spec, &theirs);
}

static void start(struct folder *folder, bool read_only)
{
        const struct share_ids ids = {
            .owner_uid = OWNER, .owner_gid = OWNER, .uid = FIXTURE_WORKER, .gid = FIXTURE_WORKER};

        start_as(folder, "share", read_only, &ids);
}

static void stop(struct folder *folder)
{
        probe_stop(&folder->probe);
        close(folder->root_fd);
}

static int64_t ask(struct folder *folder, enum folder_ask what, const char *path, const char *other,
                   uint32_t flags)
{
        struct folder_command command = {.ask = what, .flags = flags};
        struct pollfd pfd = {.fd = folder->probe.control, .events = POLLIN};
        int64_t result;

        snprintf(command.path, sizeof(command.path), "%s", path);
        snprintf(command.other, sizeof(command.other), "%s", other);
        assert_int_equal(write(folder->probe.control, &command, sizeof(command)), sizeof(command));
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        if (read(folder->probe.control, &result, sizeof(result)) != (ssize_t)sizeof(result))
                fail_msg("the probe has died of ask %d %s", what, path);
        return result;
}

#define ASK(what, path) ask(&folder, FOLDER_##what, path, "", 0)

static uid_t owner_of(const char *name)
{
        struct stat st;

        assert_int_equal(lstat(at(name), &st), 0);
        return st.st_uid;
}

/* ---- whose files are whose ---- */

static void owners_files_are_the_workers_and_nobody_elses_are(void **state)
{
        struct folder folder;

        (void)state;
        start(&folder, false);
        if (!folder.mapped)
                skip(); /* this file system has no exchange of ids */
        assert_int_equal(ASK(MYSELF, ""), FIXTURE_WORKER);
        assert_int_equal(ASK(UID, "/owned"), FIXTURE_WORKER);
        assert_int_equal(ASK(READ, "/owned"), '#');
        assert_int_equal(ASK(WRITE, "/owned"), 1);
        assert_int_not_equal(ASK(UID, "/roots"), FIXTURE_WORKER);
        assert_int_equal(ASK(READ, "/roots"), -EACCES);
        assert_int_equal(ASK(READ, "/public"), '#');
        assert_int_equal(ASK(WRITE, "/public"), -EACCES);
        assert_int_equal(ASK(WRITE, "/next"),
                         -EACCES); /* of an id that the mount has not: nobody writes that */
        assert_int_equal(ASK(CREATE, "/made"), 0);
        assert_int_equal(owner_of("share/made"), OWNER);
        assert_int_equal(ASK(MKDIR, "/made.d"), 0);
        assert_int_equal(owner_of("share/made.d"), OWNER);
        assert_int_equal(ask(&folder, FOLDER_RENAME, "/made", "/made.d/moved", 0), 0);
        assert_int_equal(ask(&folder, FOLDER_LINK, "/made.d/moved", "/linked", 0), 0);
        assert_int_equal(ASK(UNLINK, "/linked"), 0);
        assert_int_equal(ask(&folder, FOLDER_CHMOD, "/made.d/moved", "", 0600), 0);
        assert_int_equal(ask(&folder, FOLDER_CHMOD, "/public", "", 0666),
                         -EOVERFLOW); /* it has no owner here */
        stop(&folder);
}

static void lock_down_leaves_the_folder_and_nothing_to_be_run_in_it(void **state)
{
        struct folder folder;

        (void)state;
        start(&folder, false);
        assert_int_equal(ASK(LOCKDOWN, ""), 0);
        assert_true(ASK(ENTRIES, "/") >= 6);
        if (folder.mapped) {
                assert_int_equal(ASK(CREATE, "/later"), 0);
                assert_int_equal(ask(&folder, FOLDER_RENAME, "/later", "/below/later", 0), 0);
                assert_int_equal(ASK(UNLINK, "/below/later"), 0);
        }
        assert_true(ask(&folder, FOLDER_MKNOD, "/null", "", S_IFCHR | 0666) < 0);
        assert_true(ask(&folder, FOLDER_MKNOD, "/disk", "", S_IFBLK | 0666) < 0);
        assert_true(ASK(EXECUTE, "/program") < 0);
        stop(&folder);
}

static void read_only_folder_is_read_only_whoever_asks(void **state)
{
        struct folder folder;

        (void)state;
        start(&folder, true);
        assert_int_equal(ASK(READ, "/public"), '#');
        assert_int_equal(ASK(CREATE, "/no"), -EROFS);
        assert_int_equal(ASK(MKDIR, "/no"), -EROFS);
        assert_int_equal(ASK(UNLINK, "/owned"), -EROFS);
        assert_int_equal(ask(&folder, FOLDER_RENAME, "/owned", "/no", 0), -EROFS);
        assert_int_equal(ask(&folder, FOLDER_CHMOD, "/owned", "", 0600), -EROFS);
        if (folder.mapped)
                assert_int_equal(ASK(WRITE, "/owned"), -EROFS);
        stop(&folder);
}

/* ---- a range of owners ---- */

static void start_many(struct folder *folder, bool read_only)
{
        const struct share_ids ids = {
            .owner_uid = FIRST, .owner_gid = FIRST, .uid = FIRST, .gid = FIRST, .count = OWNERS};

        start_as(folder, "many", read_only, &ids);
        if (!folder->mapped)
                skip(); /* this file system or kernel cannot bound the range */
}

static void ids_of_a_range_are_its_workers_from_0_on(void **state)
{
        struct folder folder;

        (void)state;
        start_many(&folder, false);
        assert_int_equal(ask(&folder, FOLDER_CREATE_AS, "/of_5", "", 5), 0);
        assert_int_equal(owner_of("many/of_5"), FIRST + 5);
        assert_int_equal(ASK(UID, "/of_5"), 5);
        assert_int_equal(ask(&folder, FOLDER_CREATE_AS, "/of_0", "", 0), 0);
        assert_int_equal(owner_of("many/of_0"), FIRST);
        assert_int_equal(ask(&folder, FOLDER_CREATE_AS, "/of_last", "", OWNERS - 1), 0);
        assert_int_equal(owner_of("many/of_last"), FIRST + OWNERS - 1);
        assert_int_equal(ask(&folder, FOLDER_CHOWN, "/of_5", "", 7), 0);
        assert_int_equal(owner_of("many/of_5"), FIRST + 7);
        assert_int_equal(ASK(READ, "/private"), '#');
        assert_int_equal(ASK(WRITE, "/private"), 1);
        assert_int_equal(ask(&folder, FOLDER_CHMOD, "/private", "", 0640), 0);
        stop(&folder);
}

static void nothing_is_made_or_given_outside_of_a_range(void **state)
{
        struct folder folder;

        (void)state;
        start_many(&folder, false);
        assert_int_equal(ASK(CREATE, "/of_worker"), -EOVERFLOW); /* whom no file belongs to */
        assert_int_equal(ask(&folder, FOLDER_CREATE_AS, "/of_none", "", OWNERS), -EOVERFLOW);
        assert_int_equal(ask(&folder, FOLDER_CHOWN, "/private", "", OWNERS), -EINVAL);
        assert_int_equal(ask(&folder, FOLDER_CHOWN, "/private", "", FIRST), -EINVAL);
        assert_int_equal(ask(&folder, FOLDER_CHOWN, "/private", "", FIXTURE_WORKER), -EOVERFLOW);
        assert_int_equal(owner_of("many/private"), FIRST + 9);
        stop(&folder);
}

static void capabilities_of_a_range_reach_nobody_elses_files(void **state)
{
        static const char *const others[] = {"/roots", "/public", "/half", "/behind", "/roots.d"};
        struct folder folder;

        (void)state;
        start_many(&folder, false);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                assert_true(ask(&folder, FOLDER_CHOWN, others[i], "", 0) < 0);
                assert_true(ask(&folder, FOLDER_CHMOD, others[i], "", 04777) < 0);
                assert_true(ASK(WRITE, others[i]) < 0);
                if (strcmp(others[i], "/public") != 0 && strcmp(others[i], "/roots.d") != 0)
                        assert_int_equal(ASK(READ, others[i]), -EACCES);
        }
        assert_true(ASK(UNLINK, "/roots.d/file") < 0);
        assert_true(ask(&folder, FOLDER_CREATE_AS, "/roots.d/new", "", 0) < 0);
        assert_true(ask(&folder, FOLDER_LINK, "/roots", "/linked", 0) < 0);
        assert_int_equal(owner_of("many/roots"), 0);
        stop(&folder);
}

static void capabilities_of_a_range_are_five_and_do_nothing_else(void **state)
{
        const uint64_t kept = policy_capabilities(policy_find("fs-owners"));
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
        struct folder folder;
        char text[64], other[16];

        (void)state;
        start_many(&folder, false);
        assert_int_equal(__builtin_popcountll(kept), 5);
        for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
                proc_status(folder.probe.child.pid, sets[i], text, sizeof(text));
                assert_int_equal(strtoull(text, NULL, 16), kept);
        }
        snprintf(other, sizeof(other), "%u", OWNER);
        assert_int_equal(ask(&folder, FOLDER_BEYOND, "/below", other, 0), -1);
        stop(&folder);
}

static void a_read_only_range_is_read_and_keeps_no_more_than_that_takes(void **state)
{
        struct folder folder;
        char text[64];

        (void)state;
        start_many(&folder, true);
        proc_status(folder.probe.child.pid, "CapEff", text, sizeof(text));
        assert_int_equal(strtoull(text, NULL, 16), UINT64_C(1) << CAP_DAC_READ_SEARCH);
        assert_true(ASK(READ, "/private") > 0);
        assert_int_equal(ASK(READ, "/roots"), -EACCES);
        assert_true(ASK(WRITE, "/private") < 0);
        assert_int_equal(ask(&folder, FOLDER_CHOWN, "/private", "", 0), -EROFS);
        stop(&folder);
}

/* Without such ids capabilities have nothing to reach; the host's root, the broker and the worker itself are in no range. */
static void no_worker_has_capabilities_without_a_range_or_a_range_with_others(void **state)
{
        static const struct {
                uint32_t first, count;
        } bad[] = {{0, 0},
                   {0, 10},
                   {FIXTURE_WORKER, 1},
                   {FIXTURE_WORKER - 1, 3},
                   {FIXTURE_OWNER - 5, 6},
                   {UINT32_MAX - 5, 6}};
        const struct share_ids many = {.count = 1};

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct jail_failure failure = {0};
                struct jail_spec spec;
                struct probe probe;
                struct probe_theirs theirs;

                fixture_spec(&spec, policy_of(&many, false), &probe, &theirs);
                spec.first_id = bad[i].first;
                spec.n_ids = bad[i].count;
                assert_int_equal(jail_spawn(&spec, &probe.child, &failure), -EINVAL);
                assert_string_equal(failure.stage, "prepare");
                fixture_close(&spec, &theirs);
                fixture_close_ours(&probe);
        }
}

/* ---- ways out ---- */

static void no_path_leads_out_of_the_folder(void **state)
{
        static const char *const paths[] = {"/../outside", "/../../outside/secret", "/absolute",  "/relative",
                                            "/proc/self",  "/below/../../outside",  "/etc/passwd"};
        struct folder folder;

        (void)state;
        start(&folder, false);
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
                assert_int_equal(ask(&folder, FOLDER_OPEN, paths[i], "", O_RDONLY), -ENOENT);
        assert_int_equal(ASK(ENTRIES, "/.."), ASK(ENTRIES, "/"));
        assert_int_equal(ASK(BELOW, ".."), 0); /* is itself: */
        assert_int_equal(ASK(BELOW, "../owned"), 0);
        assert_int_equal(ASK(BELOW, "../outside"), -ENOENT);
        assert_int_equal(ASK(BELOW, "../../outside"), -ENOENT);
        stop(&folder);
}

/* What somebody mounts there later is nobody's wish for this worker. */
static void mounts_below_are_not_seen(void **state)
{
        struct folder folder;

        (void)state;
        assert_int_equal(mount(at("outside"), at("share/below"), NULL, MS_BIND, NULL), 0);
        start(&folder, false);
        assert_int_equal(ask(&folder, FOLDER_OPEN, "/below/secret", "", O_RDONLY), -ENOENT);
        assert_int_equal(umount2(at("share/below"), MNT_DETACH), 0);
        assert_int_equal(mount(at("outside"), at("share/below"), NULL, MS_BIND, NULL), 0);
        assert_int_equal(ask(&folder, FOLDER_OPEN, "/below/secret", "", O_RDONLY), -ENOENT);
        assert_int_equal(umount2(at("share/below"), MNT_DETACH), 0);
        stop(&folder);
}

static void sockets_of_the_owner_are_reached_and_others_are_not(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        static const uid_t owners[] = {OWNER, 0};
        struct folder folder;

        (void)state;
        start(&folder, false);
        for (int i = 0; i < 2; i++) {
                const char *name = i == 0 ? "share/hers" : "share/roots.sock";
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

                snprintf(address.sun_path, sizeof(address.sun_path), "%s", at(name));
                assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
                assert_int_equal(chmod(at(name), 0700), 0);
                assert_int_equal(chown(at(name), owners[i], owners[i]), 0);
                assert_int_equal(listen(fd, 4), 0);
                if (folder.mapped)
                        assert_int_equal(ask(&folder, FOLDER_CONNECT, strrchr(name, '/'), "", 0),
                                         i == 0 ? 0 : -EACCES);
                close(fd);
        }
        stop(&folder);
}

/* ---- several, and again ---- */

static void one_folder_serves_two_workers_and_each_of_their_successors(void **state)
{
        const struct share_ids other = {
            .owner_uid = OWNER, .owner_gid = OWNER, .uid = FIXTURE_WORKER, .gid = FIXTURE_WORKER};
        struct folder first, folder;

        (void)state;
        start(&first, false);
        start_as(&folder, "share", true, &other);
        assert_int_equal(ASK(READ, "/public"), '#');
        assert_int_equal(ask(&first, FOLDER_READ, "/public", "", 0), '#');
        if (first.mapped)
                assert_int_equal(ask(&first, FOLDER_CREATE, "/by-first", "", 0), 0);
        assert_int_equal(ASK(CREATE, "/by-second"), -EROFS);
        stop(&first);
        stop(&folder);
}

/* One descriptor more each time lets it get one step further, until there is a child. */
static void spawner_does_not_stay_in_the_folder_when_no_child_can_be_made(void **state)
{
        char before[PATH_MAX], after[PATH_MAX];
        struct jail_failure failure = {0};
        struct rlimit was, limit;
        struct jail_spec spec;
        struct folder folder;
        struct probe probe;
        unsigned failed = 0;
        struct probe_theirs theirs;
        int r;

        (void)state;
        start(&folder, false);
        assert_non_null(getcwd(before, sizeof(before)));
        fixture_spec(&spec, fixture_open_policy(), &probe, &theirs);
        spec.root_fd = folder.root_fd;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
        limit = (struct rlimit){.rlim_cur = (rlim_t)theirs.control, .rlim_max = was.rlim_max};
        do {
                limit.rlim_cur++;
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
                r = jail_spawn(&spec, &probe.child, &failure);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
                assert_non_null(getcwd(after, sizeof(after)));
                assert_string_equal(after, before);
                failed += r < 0 && failure.stage && strcmp(failure.stage, "clone") == 0;
        } while (r < 0 && limit.rlim_cur < 256);
        assert_int_equal(r, 0);
        assert_true(failed >= 2); /* at our own folder's descriptor, and at the child's */
        fixture_close(&spec, &theirs);
        probe_stop(&probe);
        stop(&folder);
}

static void what_is_no_folder_is_no_share(void **state)
{
        const struct share_ids ids = {.owner_uid = OWNER, .uid = FIXTURE_WORKER};
        unsigned before = fixture_count_fds();
        char why[256] = "";
        bool mapped;
        int fd = -7;

        (void)state;
        assert_int_equal(share_mount(at("nowhere"), place, "a", false, &ids, &fd, &mapped, why, sizeof(why)),
                         -ENOENT);
        assert_non_null(strstr(why, "nowhere"));
        assert_int_equal(fd, -7);
        assert_int_equal(fixture_count_fds(), before);
}

/* ---- the death of who mounts ---- */

/* One that mounts, held at the moment in which it has made a child for the exchange of ids. */
static pid_t start_mounting(int *ret_pidfd, pid_t *ret_helper)
{
        const struct share_ids ids = {
            .owner_uid = OWNER, .owner_gid = OWNER, .uid = FIXTURE_WORKER, .gid = FIXTURE_WORKER};
        unsigned long helper = 0;
        pid_t pid = fork();
        int status, fd;
        char why[256];
        bool mapped;

        if (pid == 0) {
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                raise(SIGSTOP);
                share_mount(at("share"), place, "dying", false, &ids, &fd, &mapped, why, sizeof(why));
                _exit(0);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACEFORK), 0);
        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_FORK << 8);
        assert_int_equal(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &helper), 0);
        *ret_helper = (pid_t)helper;
        *ret_pidfd = (int)syscall(SYS_pidfd_open, *ret_helper, 0);
        assert_true(*ret_pidfd >= 0);
        assert_int_equal(waitpid(*ret_helper, &status, __WALL), *ret_helper);
        return pid;
}

/* It has done what it does before it waits for ever. */
static void await_sleep(pid_t pid)
{
        char state[64];

        for (int i = 0; i < WAIT_MS; i++) {
                if (proc_status(pid, "State", state, sizeof(state))[0] == 'S')
                        return;
                poll(NULL, 0, 1);
        }
        fail_msg("it does not wait: %s", state);
}

static void helper_dies_with_who_mounts(void **state)
{
        (void)state;
        for (int is_waiting = 0; is_waiting < 2; is_waiting++) {
                struct pollfd pfd = {.events = POLLIN};
                pid_t helper, pid = start_mounting(&pfd.fd, &helper);

                if (is_waiting) {
                        assert_int_equal(ptrace(PTRACE_DETACH, helper, NULL, NULL), 0);
                        await_sleep(helper);
                }
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                if (!is_waiting)
                        assert_int_equal(ptrace(PTRACE_DETACH, helper, NULL, NULL), 0);
                if (poll(&pfd, 1, WAIT_MS) != 1) {
                        kill(helper, SIGKILL);
                        fail_msg("it lives on");
                }
                close(pfd.fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(owners_files_are_the_workers_and_nobody_elses_are),
            cmocka_unit_test(lock_down_leaves_the_folder_and_nothing_to_be_run_in_it),
            cmocka_unit_test(read_only_folder_is_read_only_whoever_asks),
            cmocka_unit_test(ids_of_a_range_are_its_workers_from_0_on),
            cmocka_unit_test(nothing_is_made_or_given_outside_of_a_range),
            cmocka_unit_test(capabilities_of_a_range_reach_nobody_elses_files),
            cmocka_unit_test(capabilities_of_a_range_are_five_and_do_nothing_else),
            cmocka_unit_test(a_read_only_range_is_read_and_keeps_no_more_than_that_takes),
            cmocka_unit_test(no_worker_has_capabilities_without_a_range_or_a_range_with_others),
            cmocka_unit_test(no_path_leads_out_of_the_folder),
            cmocka_unit_test(mounts_below_are_not_seen),
            cmocka_unit_test(sockets_of_the_owner_are_reached_and_others_are_not),
            cmocka_unit_test(one_folder_serves_two_workers_and_each_of_their_successors),
            cmocka_unit_test(spawner_does_not_stay_in_the_folder_when_no_child_can_be_made),
            cmocka_unit_test(what_is_no_folder_is_no_share),
            cmocka_unit_test(helper_dies_with_who_mounts),
        };

        if (!fixture_needs_root())
                return 77;
        return cmocka_run_group_tests(tests, make_place, remove_place);
}
