/* The worker programs as they are shipped: executed with nothing but their descriptors, and locked down to
 * exactly the system calls that they may need. Whatever else they do kills them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fake_broker.h"
#include "tests/harness/blk_set.h"

#define SIZE (4u << 20)

static const int blk_calls[] = {SYS_read,    SYS_write,      SYS_readv,     SYS_writev,    SYS_ppoll,
                                SYS_pread64, SYS_pwrite64,   SYS_fdatasync, SYS_fallocate, SYS_preadv,
                                SYS_pwritev, SYS_exit_group, SYS_madvise};
static const int rng_calls[] = {SYS_read,  SYS_write,     SYS_readv,     SYS_writev,
                                SYS_ppoll, SYS_getrandom, SYS_exit_group};

static struct fake_broker broker;

/* A filter that allows these and kills for all others, as a memfd. */
static int make_policy(const int *calls, size_t n)
{
        struct sock_filter filter[64] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
        unsigned short len = 1;
        int fd = memfd_create("policy", MFD_CLOEXEC);

        assert_true(fd >= 0);
        for (size_t i = 0; i < n; i++) {
                filter[len++] =
                    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
                filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
        filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(write(fd, filter, len * sizeof(filter[0])), len * sizeof(filter[0]));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

static int make_image(void)
{
        int fd = memfd_create("image", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        return fd;
}

static void start_blk(int image, unsigned n_lanes, int policy)
{
        const struct control_configure configure = {
            .name = "disk0", .n_queues = 2, .type = DEVICE_TYPE_BLK, .options = BLK_PLAIN};

        fake_start_program(&broker, BLK_PROGRAM, n_lanes, &image, 1, policy);
        fake_configure(&broker, &configure);
        assert_int_equal(fake_set_features(&broker, broker.hello.features), 0);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        assert_int_equal(fake_start_queue(&broker, 1), 0);
}

/* `type` on sector 0 with `n` bytes each way; the status byte. */
static uint8_t run(unsigned lane, uint8_t type, const uint8_t *data, uint32_t n_data, uint8_t *ret_data,
                   uint32_t n_ret)
{
        uint8_t *readable = calloc(1, 16 + n_data), *writable = calloc(1, n_ret + 1), status;
        struct fake_request r = {.id = 77,
                                 .queue = lane,
                                 .readable = readable,
                                 .n_readable = 16 + n_data,
                                 .writable = writable,
                                 .n_writable = n_ret + 1,
                                 .inlined = FAKE_INLINE_ALL};

        assert_true(readable && writable);
        readable[0] = type;
        if (n_data > 0)
                memcpy(readable + 16, data, n_data);
        fake_send_requests(&broker, lane, &r, 1);
        fake_drain(&broker, lane);
        assert_int_equal(r.status, WIRE_STATUS_OK);
        if (n_ret > 0)
                memcpy(ret_data, writable, n_ret);
        status = writable[n_ret];
        free(readable);
        free(writable);
        return status;
}

static void blk_serves_with_thirteen_system_calls(void **state)
{
        int policy = make_policy(blk_calls, array_size(blk_calls)), image = make_image();
        uint8_t *data = malloc(SIZE), *back = malloc(SIZE), range[16] = {0, 0, 0, 0, 0, 0, 0, 0, 8}, id[20];

        (void)state;
        assert_true(data && back);
        for (size_t i = 0; i < SIZE; i++)
                data[i] = (uint8_t)rand();
        start_blk(image, 2, policy);
        for (unsigned lane = 0; lane < 2; lane++) {
                assert_int_equal(run(lane, 1, data, SIZE, NULL, 0), 0);
                assert_int_equal(run(lane, 0, NULL, 0, back, SIZE), 0);
                assert_memory_equal(data, back, SIZE);
                assert_int_equal(run(lane, 4, NULL, 0, NULL, 0), 0);
                assert_int_equal(run(lane, 8, NULL, 0, id, 20), 0);
                assert_int_equal(run(lane, 11, range, 16, NULL, 0), 0);
                assert_int_equal(run(lane, 13, range, 16, NULL, 0), 0);
                assert_int_equal(run(lane, 99, NULL, 0, NULL, 0), 2);
        }
        assert_true(fake_exited(fake_end(&broker), 0));
        assert_int_equal(pread(image, back, SIZE, 0), SIZE);
        memset(data, 0, 8 * 512);
        assert_memory_equal(data, back, SIZE);
        free(data);
        free(back);
        close(policy);
        close(image);
}

static void rng_serves_with_seven_system_calls(void **state)
{
        const struct control_configure configure = {.name = "rng0", .n_queues = 1, .type = DEVICE_TYPE_RNG};
        int policy = make_policy(rng_calls, array_size(rng_calls));
        uint8_t out[1000] = {0}, zeros[1000] = {0};
        struct fake_request r = {.id = 1, .writable = out, .n_writable = sizeof(out)};

        (void)state;
        fake_start_program(&broker, RNG_PROGRAM, 1, NULL, 0, policy);
        fake_configure(&broker, &configure);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        fake_send_requests(&broker, 0, &r, 1);
        fake_drain(&broker, 0);
        assert_int_equal(r.used, sizeof(out));
        assert_memory_not_equal(out, zeros, sizeof(out));
        assert_true(fake_exited(fake_end(&broker), 0));
        close(policy);
}

/* The proof that the filter is in force: without fdatasync in it a flush is the end. */
static void a_call_that_is_not_in_the_policy_kills(void **state)
{
        int policy = make_policy(blk_calls, 7), image = make_image();
        uint8_t request[16] = {4}, status[1];
        struct fake_request r = {.id = 1,
                                 .readable = request,
                                 .n_readable = 16,
                                 .writable = status,
                                 .n_writable = 1,
                                 .inlined = 16};
        int end;

        (void)state;
        start_blk(image, 1, policy);
        fake_send_requests(&broker, 0, &r, 1);
        assert_false(fake_serve(&broker, 0));
        end = fake_await(&broker);
        assert_true(WIFSIGNALED(end) && WTERMSIG(end) == SIGSYS);
        close(policy);
        close(image);
}

/* No Hello, an exit status that is not 0, and not one request taken. */
static void expect_no_start(int image, int policy)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE,
                                            .configure = {.name = "disk0",
                                                          .n_queues = 1,
                                                          .n_lanes = 1,
                                                          .max_payload = LIMIT_FRAME_PAYLOAD,
                                                          .type = DEVICE_TYPE_BLK,
                                                          .options = BLK_PLAIN}};
        struct control_to_broker answer;

        fake_start_program(&broker, BLK_PROGRAM, 1, &image, 1, policy);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
}

static void a_worker_that_cannot_be_locked_down_does_not_serve(void **state)
{
        int image = make_image(), empty = memfd_create("policy", 0), ragged = memfd_create("policy", 0);
        int senseless = memfd_create("policy", 0);
        struct sock_filter no_return = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);

        (void)state;
        assert_int_equal(write(ragged, "abc", 3), 3);
        lseek(ragged, 0, SEEK_SET);
        assert_int_equal(write(senseless, &no_return, sizeof(no_return)), sizeof(no_return));
        lseek(senseless, 0, SEEK_SET);
        expect_no_start(image, -1);
        expect_no_start(image, empty);
        expect_no_start(image, ragged);
        expect_no_start(image, senseless);
        close(image);
        close(empty);
        close(ragged);
        close(senseless);
}

static int run_with_arguments(const char *lanes, const char *resources)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                execl(BLK_PROGRAM, "worker", lanes, resources, (char *)NULL);
                _exit(98);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void arguments_out_of_range_are_refused(void **state)
{
        char over[16];
        const char *const bad[][2] = {
            {"0", "1"},  {"17", "1"}, {"-1", "1"}, {"", "1"},   {"x", "1"},
            {"1", over}, {"1", "-1"}, {"1x", "1"}, {"1", NULL}, {"1", "99999999999999999999"}};

        (void)state;
        snprintf(over, sizeof(over), "%u", LIMIT_RESOURCES + 1);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_true(fake_exited(run_with_arguments(bad[i][0], bad[i][1]), 1));
}

/* Pages mapped and pages resident. */
static void look_at_memory(long ret_pages[2])
{
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/statm", (int)broker.pid);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%ld %ld", &ret_pages[0], &ret_pages[1]), 2);
        fclose(file);
}

/* What an idle worker costs is a promise, too. What it may ever have is mapped before Hello; work touches it. */
static void an_idle_worker_is_small_and_maps_nothing_later(void **state)
{
        int policy = make_policy(blk_calls, array_size(blk_calls)), image = make_image();
        long before[2], after[2];
        uint8_t *data = calloc(1, SIZE);

        (void)state;
        assert_non_null(data);
        start_blk(image, 1, policy);
        look_at_memory(before);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(run(0, 1, data, SIZE, NULL, 0), 0);
                assert_int_equal(run(0, 0, NULL, 0, data, SIZE), 0);
        }
        look_at_memory(after);
        print_message("worker: %ld KiB mapped, %ld KiB resident, %ld after work\n", after[0] * 4,
                      before[1] * 4, after[1] * 4);
        assert_int_equal(after[0], before[0]);
        assert_true(before[1] * 4 <= 1536);
        assert_true((after[1] - before[1]) * 4 <=
                    2048); /* the credits, a piece each way, code that had not run */
        assert_true(fake_exited(fake_end(&broker), 0));
        free(data);
        close(policy);
        close(image);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(blk_serves_with_thirteen_system_calls),
            cmocka_unit_test(rng_serves_with_seven_system_calls),
            cmocka_unit_test(a_call_that_is_not_in_the_policy_kills),
            cmocka_unit_test(a_worker_that_cannot_be_locked_down_does_not_serve),
            cmocka_unit_test(arguments_out_of_range_are_refused),
            cmocka_unit_test(an_idle_worker_is_small_and_maps_nothing_later),
        };

        /* Seccomp and Landlock ask for it; in the jail it has long been set. */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
