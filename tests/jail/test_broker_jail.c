/* The broker's own confinement: what it is afterwards, what it can no longer do, and that its event loops,
 * threads and sockets go on working under its filter.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "broker/core/shmem.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "sandbox/broker_jail.h"
#include "sandbox/jail.h"
#include "tests/jail/jail_fixture.h"

#define NOFILE 256

static int confine(const char *fail_stage, const char **stage)
{
        struct broker_jail jail = {
            .uid = FIXTURE_OWNER, .gid = FIXTURE_OWNER, .nofile = NOFILE, .fail_stage = fail_stage};
        uint32_t missing = 0;

        return broker_confine(&jail, &missing, stage);
}

/* Status of a confined child that has run `act`. */
static int confined(void (*act)(void))
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                const char *stage;

                if (confine(NULL, &stage) < 0)
                        _exit(99);
                act();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void idle(void)
{
        char byte;

        /* the pipe of the test below; its end closes with the test's wish */
        if (read(200, &byte, 1) < 0)
                _exit(1);
}

static void assert_apart(pid_t pid, const char *name, bool apart)
{
        char path[64], ours[64] = "", theirs[64] = "";

        snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
        assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
        assert_true(readlink(path, theirs, sizeof(theirs) - 1) > 0);
        if ((strcmp(ours, theirs) != 0) != apart)
                fail_msg("%s is %s and %s", name, ours, theirs);
}

static void confined_broker_has_its_uid_and_nothing_else(void **state)
{
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
        int ready[2], go[2], status;
        char text[128], ids[128], byte;
        pid_t pid;

        (void)state;
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(go), 0);
        pid = fork();
        if (pid == 0) {
                const char *stage;

                dup2(go[0], 200);
                close(go[1]);
                if (confine(NULL, &stage) < 0 || write(ready[1], "", 1) != 1)
                        _exit(1);
                idle();
                _exit(0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", FIXTURE_OWNER, FIXTURE_OWNER, FIXTURE_OWNER,
                 FIXTURE_OWNER);
        assert_string_equal(proc_status(pid, "Uid", text, sizeof(text)), ids);
        assert_string_equal(proc_status(pid, "Gid", text, sizeof(text)), ids);
        assert_string_equal(proc_status(pid, "Groups", text, sizeof(text)), "");
        for (size_t i = 0; i < array_size(sets); i++)
                assert_string_equal(proc_status(pid, sets[i], text, sizeof(text)), "0000000000000000");
        assert_string_equal(proc_status(pid, "NoNewPrivs", text, sizeof(text)), "1");
        assert_string_equal(proc_status(pid, "Seccomp", text, sizeof(text)), "2");
        assert_apart(pid, "mnt", true);
        assert_apart(pid, "net", true);
        assert_apart(pid, "ipc", true);
        assert_apart(pid, "uts", true);
        assert_apart(pid, "user", false); /* it owns its workers' namespaces from here */
        assert_apart(pid, "pid", false);
        snprintf(text, sizeof(text), "/proc/%d/root", (int)pid);
        assert_int_equal(fixture_count_entries(text), 0);
        close(go[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(go[0]);
        close(ready[0]);
        close(ready[1]);
}

/* ---- what goes on working ---- */

static void on_async(uv_async_t *async)
{
        uv_close((uv_handle_t *)async, NULL);
}

static void lane_thread(void *arg)
{
        uv_async_t *async = arg;
        uv_loop_t loop;

        if (uv_loop_init(&loop) != 0 || uv_run(&loop, UV_RUN_DEFAULT) != 0 || uv_loop_close(&loop) != 0)
                _exit(21);
        uv_async_send(async);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        char byte;

        if (status < 0 || !(events & UV_READABLE) || read(*(int *)poll->data, &byte, 1) != 1)
                _exit(22);
        uv_close((uv_handle_t *)poll, NULL);
}

static void on_timer(uv_timer_t *timer)
{
        uv_close((uv_handle_t *)timer, NULL);
}

static int pair[2], listener;

static void act_loop(void)
{
        uv_loop_t loop;
        uv_async_t async;
        uv_timer_t timer;
        uv_poll_t poll;
        uv_thread_t thread;
        uv_signal_t sig;
        void *big;

        if (uv_loop_init(&loop) || uv_async_init(&loop, &async, on_async) || uv_timer_init(&loop, &timer) ||
            uv_poll_init(&loop, &poll, pair[0]) || uv_signal_init(&loop, &sig) ||
            uv_signal_start(&sig, NULL, SIGTERM))
                _exit(20);
        uv_close((uv_handle_t *)&sig, NULL);
        poll.data = &pair[0];
        uv_timer_start(&timer, on_timer, 10, 0);
        uv_poll_start(&poll, UV_READABLE, on_poll);
        uv_thread_create(&thread, lane_thread, &async);
        if (write(pair[1], "x", 1) != 1 || uv_run(&loop, UV_RUN_DEFAULT) != 0 || uv_thread_join(&thread) ||
            uv_loop_close(&loop))
                _exit(23);
        big = malloc(8 << 20);
        big = realloc(big, 16 << 20);
        if (!big)
                _exit(24);
        free(big);
}

static void act_messages(void)
{
        struct fd_set_owned fds = {0};
        struct iovec iov = {(void *)"x", 1};
        int region = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), type;
        socklen_t len = sizeof(type);
        char byte;
        void *p;

        if (region < 0 || ftruncate(region, 4096) < 0 ||
            fcntl(region, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                _exit(30);
        if (fd_pass_send(pair[0], &iov, 1, &region, 1) != 1 || fd_pass_recv(pair[1], &byte, 1, &fds, 1) != 1)
                _exit(31);
        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds.fds[0], 0);
        if (p == MAP_FAILED || munmap(p, 4096) < 0)
                _exit(32);
        if (getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &type, &len) < 0 || fd_set_nonblock(pair[0]) < 0 ||
            accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) >= 0 || errno != EAGAIN)
                _exit(33);
        fd_set_close(&fds);
        if (fprintf(stderr, "%s", "") < 0)
                _exit(34);
}

static void make_sockets(void)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bulkhead-test-broker"};

        assert_int_equal(fd_stream_pair(pair), 0);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
        assert_int_equal(listen(listener, 1), 0);
}

#define THREADS 80u /* more lanes than the devices of a VM have as a rule */

static pthread_barrier_t all_have;

static void allocating_thread(void *arg)
{
        void *volatile bytes = malloc(1000);

        (void)arg;
        pthread_barrier_wait(&all_have); /* so no thread can take over what another has left */
        free(bytes);
}

static void act_many_threads(void)
{
        uv_thread_t threads[THREADS];

        pthread_barrier_init(&all_have, NULL, THREADS);
        for (unsigned i = 0; i < THREADS; i++)
                if (uv_thread_create(&threads[i], allocating_thread, NULL) != 0)
                        _exit(24);
        for (unsigned i = 0; i < THREADS; i++)
                if (uv_thread_join(&threads[i]) != 0)
                        _exit(25);
}

static void any_number_of_threads_allocates_under_its_filter(void **state)
{
        (void)state;
        assert_int_equal(confined(act_many_threads), 0);
}

static void event_loops_threads_and_messages_work_under_its_filter(void **state)
{
        (void)state;
        make_sockets();
        assert_int_equal(confined(act_loop), 0);
        assert_int_equal(confined(act_messages), 0);
        close(pair[0]);
        close(pair[1]);
        close(listener);
}

static void act_abort(void)
{
        abort();
}

static void act_shmem(void)
{
        static const struct device_region regions[] = {
            {.shmid = 0, .len = 4 << 20, .source = REGION_MEMORY},
            {.shmid = 1, .len = 4 << 20, .source = REGION_FILES},
        };
        const struct shmem_limits limits = {.mappings = 1, .bytes = 4 << 20};
        const struct shmem_request request = {
            .shmid = 1, .writable = true, .len = 2 << 20, .offset = 1 << 20};
        struct shmem_mapping *mapping;
        struct shmem *shmem;

        if (shmem_new(regions, array_size(regions), &limits, &shmem) != 0 || shmem_make_memory(shmem) != 0 ||
            shmem_map(shmem, &request, shmem_memory_fd(shmem, 0), &mapping) != 0)
                _exit(40);
        if (shmem_map(shmem, &request, 0, &mapping) != -EEXIST)
                _exit(41);
        shmem_unmap(shmem, mapping);
        if (shmem_map(shmem, &request, 0, &mapping) != -EMEDIUMTYPE)
                _exit(42);
        (void)shmem_free(shmem);
}

static void shared_memory_regions_work_under_its_filter(void **state)
{
        (void)state;
        assert_int_equal(confined(act_shmem), 0);
}

static void assert_of_the_broker_ends_in_abort(void **state)
{
        int status;

        (void)state;
        status = confined(act_abort);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- what does not ---- */

static void act_fork(void)
{
        if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
                _exit(0);
}

static void act_exec(void)
{
        execl("/bin/true", "true", NULL);
}

static void act_open(void)
{
        open("/etc/passwd", O_RDONLY);
}

static void act_socket(void)
{
        socket(AF_UNIX, SOCK_STREAM, 0);
}

static void act_kill(void)
{
        kill(getppid(), 0);
}

static void act_ptrace(void)
{
        syscall(SYS_ptrace, 16, getppid(), 0, 0);
}

static void act_unlink(void)
{
        unlink("/tmp/nosuch");
}

static void act_map_exec(void)
{
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void act_setuid(void)
{
        syscall(SYS_setresuid, 0, 0, 0);
}

static void act_prctl(void)
{
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void act_pidfd_term(void)
{
        syscall(SYS_pidfd_send_signal, 0, SIGTERM, NULL, 0);
}

static void act_connect(void)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/nosuch"};

        connect(0, (struct sockaddr *)&name, sizeof(name));
}

static void act_tgkill_other(void)
{
        syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void act_x32(void)
{
        syscall(SYS_getpid | 0x40000000);
}

static void what_the_broker_never_needs_kills_it(void **state)
{
        static void (*const acts[])(void) = {
            act_fork,     act_exec,   act_open,  act_socket,     act_kill,    act_ptrace,       act_unlink,
            act_map_exec, act_setuid, act_prctl, act_pidfd_term, act_connect, act_tgkill_other, act_x32};

        (void)state;
        for (size_t i = 0; i < array_size(acts); i++) {
                int status = confined(acts[i]);

                if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
                        fail_msg("act %zu ended with %x", i, status);
        }
}

/* ---- failures ---- */

static void broker_that_would_stay_root_is_refused(void **state)
{
        int status;
        pid_t pid = fork();

        (void)state;
        if (pid == 0) {
                struct broker_jail jail = {.uid = 0, .gid = FIXTURE_OWNER, .nofile = NOFILE};
                uint32_t missing = 77;
                const char *stage = "";

                _exit(broker_confine(&jail, &missing, &stage) == -EINVAL && strcmp(stage, "uid") == 0 &&
                              missing == 77
                          ? 0
                          : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void each_stage_that_fails_is_named(void **state)
{
        static const char *const names[] = {
            "rlimits", "namespaces",   "root",         "groups", "gid",      "securebits", "uid",
            "keyring", "capabilities", "no_new_privs", "mdwe",   "dumpable", "seccomp"};

        (void)state;
        for (size_t i = 0; i < array_size(names); i++) {
                int status;
                pid_t pid = fork();

                if (pid == 0) {
                        const char *stage = "";

                        _exit(confine(names[i], &stage) == -EIO && strcmp(stage, names[i]) == 0 ? 0 : 1);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(confined_broker_has_its_uid_and_nothing_else),
            cmocka_unit_test(shared_memory_regions_work_under_its_filter),
            cmocka_unit_test(event_loops_threads_and_messages_work_under_its_filter),
            cmocka_unit_test(any_number_of_threads_allocates_under_its_filter),
            cmocka_unit_test(assert_of_the_broker_ends_in_abort),
            cmocka_unit_test(what_the_broker_never_needs_kills_it),
            cmocka_unit_test(broker_that_would_stay_root_is_refused),
            cmocka_unit_test(each_stage_that_fails_is_named),
        };

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
