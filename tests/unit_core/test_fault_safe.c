/* Fault-safe accesses: exact counts at every length and edge, in every thread; other faults still kill.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fault_safe.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE    4096u
#define LENGTHS 300u /* over every quick path and into the string instructions */

/* One good page, then one that is gone, in two ways. */
enum edge { EDGE_TRUNCATED, EDGE_PROT_NONE };

static uint8_t *edge_new(enum edge edge)
{
        int fd = memfd_create("edge", MFD_CLOEXEC);
        uint8_t *pages;

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
        pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(pages != MAP_FAILED);
        if (edge == EDGE_TRUNCATED)
                assert_int_equal(ftruncate(fd, PAGE), 0);
        else
                assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
        close(fd);
        return pages;
}

static void fill(uint8_t *bytes, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)(i * 7 + seed + 1);
}

/* Copies n bytes of which `good` are there, from and to the edge; what is there must have arrived. */
static void check_copies(uint8_t *pages, size_t n, size_t good)
{
        uint8_t *local = malloc(n + 1), *at = pages + PAGE - good;

        assert_non_null(local);
        fill(at, good, (unsigned)n);
        memset(local, 0, n + 1);
        assert_int_equal(fault_safe_copy(local, at, n), n - good);
        assert_memory_equal(local, at, good);
        for (size_t i = good; i <= n; i++)
                assert_int_equal(local[i], 0);
        fill(local, n, 99);
        assert_int_equal(fault_safe_copy(at, local, n), n - good);
        assert_memory_equal(local, at, good);
        assert_int_equal(fault_safe_zero(at, n), n - good);
        for (size_t i = 0; i < good; i++)
                assert_int_equal(at[i], 0);
        free(local);
}

static void sweep(enum edge edge)
{
        uint8_t *pages = edge_new(edge);

        for (size_t n = 0; n < LENGTHS; n++) {
                for (size_t good = 0; good <= n; good++)
                        check_copies(pages, n, good);
        }
        for (size_t good = 0; good <= PAGE; good += 509)
                check_copies(pages, PAGE + 1234, good);
        munmap(pages, 2 * PAGE);
}

static void copy_over_truncated_page_counts_exactly(void **state)
{
        (void)state;
        sweep(EDGE_TRUNCATED);
}

static void copy_over_protected_page_counts_exactly(void **state)
{
        (void)state;
        sweep(EDGE_PROT_NONE);
}

static void copy_of_every_length_leaves_neighbours_alone(void **state)
{
        uint8_t from[LENGTHS + 16], to[LENGTHS + 16];

        (void)state;
        for (size_t n = 0; n < LENGTHS; n++) {
                for (size_t shift = 0; shift < 8; shift++) {
                        fill(from, sizeof(from), (unsigned)n);
                        memset(to, 0, sizeof(to));
                        assert_int_equal(fault_safe_copy(to + shift, from + 3, n), 0);
                        assert_memory_equal(to + shift, from + 3, n);
                        for (size_t i = 0; i < sizeof(to); i++) {
                                if (i < shift || i >= shift + n)
                                        assert_int_equal(to[i], 0);
                        }
                        memset(to, 0xff, sizeof(to));
                        assert_int_equal(fault_safe_zero(to + shift, n), 0);
                        for (size_t i = 0; i < sizeof(to); i++)
                                assert_int_equal(to[i], i < shift || i >= shift + n ? 0xff : 0);
                }
        }
}

static void loads_and_stores_have_their_width(void **state)
{
        uint64_t memory = UINT64_C(0x1122334455667788), v64 = 0;
        uint32_t v32[2] = {0, 0xaaaaaaaa};
        uint16_t v16[2] = {0, 0xbbbb};

        (void)state;
        assert_int_equal(fault_safe_load16(&memory, v16), 0);
        assert_int_equal(fault_safe_load32(&memory, v32), 0);
        assert_int_equal(fault_safe_load64(&memory, &v64), 0);
        assert_int_equal(v16[0], 0x7788);
        assert_int_equal(v16[1], 0xbbbb);
        assert_int_equal(v32[0], 0x55667788);
        assert_int_equal(v32[1], 0xaaaaaaaa);
        assert_true(v64 == memory);
        assert_int_equal(fault_safe_store16(&memory, 0xabcd), 0);
        assert_true(memory == UINT64_C(0x112233445566abcd));
        assert_int_equal(fault_safe_store32(&memory, 0xdeadbeef), 0);
        assert_true(memory == UINT64_C(0x11223344deadbeef));
        assert_int_equal(fault_safe_store64(&memory, 5), 0);
        assert_true(memory == 5);
}

static void failed_load_leaves_the_value_alone(void **state)
{
        (void)state;
        for (int edge = EDGE_TRUNCATED; edge <= EDGE_PROT_NONE; edge++) {
                uint8_t *pages = edge_new((enum edge)edge);
                uint64_t v64 = 3;
                uint32_t v32 = 2;
                uint16_t v16 = 1;

                assert_int_equal(fault_safe_load16(pages + PAGE, &v16), -EFAULT);
                assert_int_equal(fault_safe_load32(pages + PAGE, &v32), -EFAULT);
                assert_int_equal(fault_safe_load64(pages + PAGE, &v64), -EFAULT);
                assert_int_equal(v16, 1);
                assert_int_equal(v32, 2);
                assert_int_equal(v64, 3);
                assert_int_equal(fault_safe_store16(pages + PAGE, 1), -EFAULT);
                assert_int_equal(fault_safe_store32(pages + PAGE, 1), -EFAULT);
                assert_int_equal(fault_safe_store64(pages + PAGE, 1), -EFAULT);
                munmap(pages, 2 * PAGE);
        }
}

static void *thread_sweeps(void *argument)
{
        uint8_t *pages = argument, local[128];
        uint16_t value;

        for (unsigned round = 0; round < 3000; round++) {
                size_t n = round % sizeof(local), good = n / 2;

                if (fault_safe_copy(local, pages + PAGE - good, n) != n - good)
                        return argument;
                if (fault_safe_load16(pages + PAGE, &value) != -EFAULT)
                        return argument;
        }
        return NULL;
}

static void faults_in_several_threads_stay_apart(void **state)
{
        uint8_t *pages = edge_new(EDGE_TRUNCATED);
        pthread_t threads[8];

        (void)state;
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, thread_sweeps, pages), 0);
        for (size_t i = 0; i < 8; i++) {
                void *failed;

                assert_int_equal(pthread_join(threads[i], &failed), 0);
                assert_null(failed);
        }
        munmap(pages, 2 * PAGE);
}

static void *thread_on_alternate_stack(void *argument)
{
        static uint8_t stack[65536];
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
        stack_t off = {.ss_flags = SS_DISABLE};
        void *result;

        if (sigaltstack(&alternate, NULL) < 0)
                return argument;
        result = thread_sweeps(argument);
        (void)sigaltstack(&off, NULL);
        return result;
}

static void faults_are_handled_on_an_alternate_stack(void **state)
{
        uint8_t *pages = edge_new(EDGE_PROT_NONE);
        pthread_t thread;
        void *failed;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, thread_on_alternate_stack, pages), 0);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        munmap(pages, 2 * PAGE);
}

static void *truncator(void *argument)
{
        int fd = *(int *)argument;

        for (unsigned i = 0; i < 2000; i++) {
                if (ftruncate(fd, 0) < 0 || ftruncate(fd, 64 * PAGE) < 0)
                        return argument;
        }
        return NULL;
}

static void truncation_during_copies_never_kills(void **state)
{
        int fd = memfd_create("edge", MFD_CLOEXEC);
        uint8_t *local = calloc(1, 64 * PAGE), *pages;
        pthread_t thread;
        void *failed;

        (void)state;
        assert_non_null(local);
        assert_int_equal(ftruncate(fd, 64 * PAGE), 0);
        pages = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(pthread_create(&thread, NULL, truncator, &fd), 0);
        for (unsigned i = 0; i < 500; i++) {
                assert_true(fault_safe_copy(local, pages, 64 * PAGE) <= 64 * PAGE);
                assert_true(fault_safe_copy(pages, local, 64 * PAGE) <= 64 * PAGE);
        }
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        munmap(pages, 64 * PAGE);
        close(fd);
        free(local);
}

/* How a child that does this ends. */
static int status_of_child(void (*act)(uint8_t *pages), uint8_t *pages)
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
                /* As in a program: the default action stood before ours (here a sanitizer's or cmocka's did).
                 */
                (void)signal(SIGBUS, SIG_DFL);
                (void)signal(SIGSEGV, SIG_DFL);
                if (fault_safe_install() == 0 && fault_safe_install() == 0)
                        act(pages);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void touch(uint8_t *pages)
{
        *(volatile uint8_t *)(pages + PAGE) = 1;
}

static void load_into_bad_result(uint8_t *pages)
{
        (void)fault_safe_load16(pages, (uint16_t *)(void *)(pages + PAGE));
}

static void kill_self_bus(uint8_t *pages)
{
        (void)pages;
        (void)kill(getpid(), SIGBUS);
}

static void kill_self_segv(uint8_t *pages)
{
        (void)pages;
        (void)kill(getpid(), SIGSEGV);
}

static void assert_killed(int status, int signo)
{
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signo);
}

static void fault_elsewhere_still_kills(void **state)
{
        uint8_t *truncated = edge_new(EDGE_TRUNCATED), *none = edge_new(EDGE_PROT_NONE);

        (void)state;
        assert_killed(status_of_child(touch, truncated), SIGBUS);
        assert_killed(status_of_child(touch, none), SIGSEGV);
        munmap(truncated, 2 * PAGE);
        munmap(none, 2 * PAGE);
}

static void bad_result_pointer_still_kills(void **state)
{
        uint8_t *pages = edge_new(EDGE_PROT_NONE);

        (void)state;
        assert_killed(status_of_child(load_into_bad_result, pages), SIGSEGV);
        munmap(pages, 2 * PAGE);
}

static void signal_sent_by_a_process_still_kills(void **state)
{
        (void)state;
        assert_killed(status_of_child(kill_self_bus, NULL), SIGBUS);
        assert_killed(status_of_child(kill_self_segv, NULL), SIGSEGV);
}

/* Copies for ever, so that a signal meets it inside a routine. */
static void copy_for_ever(int ready)
{
        static uint8_t from[1 << 20], to[1 << 20];

        (void)fault_safe_copy(to, from, sizeof(to));
        if (write(ready, "", 1) != 1)
                _exit(0);
        for (;;)
                (void)fault_safe_copy(to, from, sizeof(to));
}

static void signal_sent_during_a_copy_is_not_taken_for_its_fault(void **state)
{
        int pipe_fds[2], status;
        char byte;
        pid_t pid, ended = 0;

        (void)state;
        assert_int_equal(pipe(pipe_fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
                (void)signal(SIGBUS, SIG_DFL);
                if (fault_safe_install() == 0)
                        copy_for_ever(pipe_fds[1]);
                _exit(0);
        }
        assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
        assert_int_equal(kill(pid, SIGBUS), 0);
        for (unsigned ms = 0; ms < 5000 && ended == 0; ms++) {
                ended = waitpid(pid, &status, WNOHANG);
                (void)poll(NULL, 0, 1);
        }
        if (ended == 0) {
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, &status, 0);
        }
        assert_killed(status, SIGBUS);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

/* cmocka puts its own fault handlers in place before each test. */
static void installed(void **state)
{
        void (*const *body)(void **state) = *state;

        assert_int_equal(fault_safe_install(), 0);
        (*body)(NULL);
}

#define CASE(claim)                                                                                          \
        {                                                                                                    \
                .name = #claim, .test_func = installed, .initial_state = &(void (*)(void **))                \
                {                                                                                            \
                        claim                                                                                \
                }                                                                                            \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(copy_of_every_length_leaves_neighbours_alone),
            CASE(copy_over_truncated_page_counts_exactly),
            CASE(copy_over_protected_page_counts_exactly),
            CASE(loads_and_stores_have_their_width),
            CASE(failed_load_leaves_the_value_alone),
            CASE(faults_in_several_threads_stay_apart),
            CASE(faults_are_handled_on_an_alternate_stack),
            CASE(truncation_during_copies_never_kills),
            CASE(fault_elsewhere_still_kills),
            CASE(bad_result_pointer_still_kills),
            CASE(signal_sent_by_a_process_still_kills),
            CASE(signal_sent_during_a_copy_is_not_taken_for_its_fault),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
