/* Measuring real processes: what was done to a child is what is measured.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY_SIZE (4u << 20)

static const struct memory_files no_files;

/* A child that has run `prepare` and waits to be killed. */
static pid_t start(void (*prepare)(int fd), int fd)
{
        char byte = 0;
        int ready[2];
        pid_t pid;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prepare(fd);
                if (write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static void stop(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static void prepare_nothing(int fd)
{
        (void)fd;
}

/* The files of a "broker" that has mapped `fd`. */
static struct memory_files files_of(int fd)
{
        static struct memory_file file;
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        file = (struct memory_file){.major = major(st.st_dev), .minor = minor(st.st_dev), .inode = st.st_ino};
        return (struct memory_files){.list = &file, .n = 1};
}

static void prepare_mapping(int fd)
{
        if (mmap(NULL, MEMORY_SIZE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
                _exit(1);
}

static void prepare_private_mapping(int fd)
{
        if (mmap(NULL, MEMORY_SIZE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
                _exit(1);
        close(fd);
}

static void prepare_anonymous_shared(int fd)
{
        close(fd);
        if (mmap(NULL, MEMORY_SIZE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
                _exit(1);
}

static void measure_memory(void (*prepare)(int fd), struct proc_facts *facts)
{
        int fd = memfd_create("ram", MFD_CLOEXEC);
        struct memory_files files = files_of(fd);
        pid_t pid;

        assert_int_equal(ftruncate(fd, MEMORY_SIZE), 0);
        pid = start(prepare, fd);
        proc_facts_measure(pid, &files, facts);
        stop(pid);
        close(fd);
        assert_int_equal(facts->error, 0);
        assert_int_equal(facts->maps_error, 0);
        assert_int_equal(facts->fds_error, 0);
}

static void guest_memory_is_found_however_it_is_held(void **state)
{
        struct proc_facts facts;

        (void)state;
        measure_memory(prepare_mapping, &facts);
        assert_int_equal(facts.guest_bytes, MEMORY_SIZE);
        assert_int_equal(facts.shared_bytes, MEMORY_SIZE);
        assert_true(facts.file_bytes >= MEMORY_SIZE); /* and the libraries of this test */
        assert_int_equal(facts.fds_guest, 1);
        measure_memory(prepare_private_mapping, &facts);
        assert_int_equal(facts.guest_bytes, MEMORY_SIZE);
        assert_int_equal(facts.shared_bytes, 0);
        assert_int_equal(facts.fds_guest, 0);
        measure_memory(prepare_anonymous_shared, &facts);
        assert_int_equal(facts.guest_bytes, 0);
        assert_int_equal(facts.shared_bytes, MEMORY_SIZE);
}

static void prepare_descriptors(int fd)
{
        int pair[2];

        (void)fd;
        close(0);
        if (open("/dev/null", O_RDWR) != 0 || dup2(0, 1) != 1 ||
            socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                _exit(1);
}

static void descriptors_are_counted_by_kind(void **state)
{
        struct proc_facts before, after;
        pid_t pid = start(prepare_nothing, -1);

        (void)state;
        proc_facts_measure(pid, &no_files, &before);
        stop(pid);
        pid = start(prepare_descriptors, -1);
        proc_facts_measure(pid, &no_files, &after);
        stop(pid);
        assert_int_equal(after.fds_error, 0);
        assert_int_equal(after.fds_socket, before.fds_socket + 2);
        assert_true(after.fds_null >= 2);
}

static void prepare_rights(int fd)
{
        struct rlimit one = {1, 1}, memory = {1 << 30, 1 << 30};

        (void)fd;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_NPROC, &one) < 0 ||
            setrlimit(RLIMIT_DATA, &memory) < 0)
                _exit(1);
}

static void status_and_limits_are_those_of_the_child(void **state)
{
        struct proc_facts facts;
        pid_t pid = start(prepare_rights, -1);

        (void)state;
        proc_facts_measure(pid, &no_files, &facts);
        stop(pid);
        assert_int_equal(facts.status_error, 0);
        assert_int_equal(facts.status.ppid, getpid());
        assert_int_equal(facts.status.no_new_privs, 1);
        assert_int_equal(facts.status.threads, 1);
        assert_int_equal(facts.status.uid[0], getuid());
        assert_int_equal(facts.limits_error, 0);
        assert_true(facts.limits.pids_rlimit == 1);
        assert_true(facts.limits.memory_rlimit == 1 << 30);
        assert_int_equal(facts.program_error, 0);
        assert_string_equal(facts.program, "test_proc_facts");
        assert_int_equal(facts.root_error, 0);
        assert_true(facts.root_entries > 0);
}

static void prepare_user_namespace(int fd)
{
        (void)fd;
        if (unshare(CLONE_NEWUSER | CLONE_NEWUTS) < 0)
                _exit(77);
}

static void namespaces_are_told_apart(void **state)
{
        struct proc_facts self, child;
        pid_t pid = fork();
        int status;

        (void)state;
        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER | CLONE_NEWUTS) < 0);
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                skip(); /* no user namespaces here */
        pid = start(prepare_user_namespace, -1);
        proc_facts_measure(getpid(), &no_files, &self);
        proc_facts_measure(pid, &no_files, &child);
        stop(pid);
        assert_int_equal(self.ns_error, 0);
        assert_int_equal(child.ns_error, 0);
        assert_true(child.ns[PROC_NS_USER] != self.ns[PROC_NS_USER]);
        assert_true(child.ns[PROC_NS_UTS] != self.ns[PROC_NS_UTS]);
        assert_true(child.ns[PROC_NS_NET] == self.ns[PROC_NS_NET]);
}

static void a_process_that_is_gone_gives_no_fact(void **state)
{
        struct proc_facts facts;
        pid_t pid = start(prepare_nothing, -1);

        (void)state;
        kill(pid, SIGKILL); /* a zombie, not yet reaped: its pid is still there, its facts are not its own */
        waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
        proc_facts_measure(pid, &no_files, &facts);
        assert_int_equal(facts.error, -ESRCH);
        assert_int_equal(facts.status_error, -ESRCH);
        assert_int_equal(facts.maps_error, -ESRCH);
        waitpid(pid, NULL, 0);
        proc_facts_measure(pid, &no_files, &facts);
        assert_int_equal(facts.error, -ESRCH);
        assert_int_equal(facts.fds_error, -ESRCH);
}

static void measuring_leaves_no_descriptor_behind(void **state)
{
        struct proc_facts facts;
        int before = dup(2), after;
        pid_t pid;

        (void)state;
        close(before);
        pid = start(prepare_nothing, -1);
        proc_facts_measure(pid, &no_files, &facts);
        stop(pid);
        proc_facts_measure(pid, &no_files, &facts);
        after = dup(2);
        close(after);
        assert_int_equal(before, after);
}

static void a_held_process_is_never_another_one(void **state)
{
        struct proc_process process = PROC_PROCESS_NONE;
        pid_t pid = start(prepare_nothing, -1);
        char *text = NULL;
        size_t len;

        (void)state;
        assert_int_equal(proc_process_open(pid, &process), 0);
        assert_true(proc_process_alive(&process));
        stop(pid);
        assert_false(proc_process_alive(&process));
        assert_int_equal(proc_file_read(process.folder_fd, "status", &text, &len), -ESRCH);
        assert_null(text);
        proc_process_close(&process);
        assert_int_equal(process.pidfd, -1);
        assert_int_equal(proc_process_open(pid, &process), -ESRCH);
        assert_int_equal(process.folder_fd, -1);
}

static void a_file_may_be_as_long_as_the_limit(void **state)
{
        int fd = memfd_create("long", MFD_CLOEXEC);
        char path[32], *text = NULL;
        size_t len = 0;

        (void)state;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(ftruncate(fd, LIMIT_PROC_FILE), 0);
        assert_int_equal(proc_file_read(AT_FDCWD, path, &text, &len), 0);
        assert_int_equal(len, LIMIT_PROC_FILE);
        free(text);
        text = NULL;
        assert_int_equal(ftruncate(fd, LIMIT_PROC_FILE + 1), 0);
        assert_int_equal(proc_file_read(AT_FDCWD, path, &text, &len), -EFBIG);
        assert_null(text);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(guest_memory_is_found_however_it_is_held),
            cmocka_unit_test(descriptors_are_counted_by_kind),
            cmocka_unit_test(status_and_limits_are_those_of_the_child),
            cmocka_unit_test(namespaces_are_told_apart),
            cmocka_unit_test(a_process_that_is_gone_gives_no_fact),
            cmocka_unit_test(measuring_leaves_no_descriptor_behind),
            cmocka_unit_test(a_held_process_is_never_another_one),
            cmocka_unit_test(a_file_may_be_as_long_as_the_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
