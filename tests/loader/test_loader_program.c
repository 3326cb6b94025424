/* The loader as it ships: with nothing but its descriptors, and no system call but those of its run policy. What it writes is
 * taken as the broker takes it, and compared with the files.
 * Owns nothing; run by ctest.
 * TRUST: what it judges is the loader.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/loader/kernels.h"
#include "tests/unit/unit.h"
#include "tests/workers/fake_broker.h"
#include "proto/base/bytes.h"
#include "workers/loader/x86_memory.h"

#define MIB UINT64_C(0x100000)
#define RAM (512 * MIB)

static const int calls[] = {SYS_read,  SYS_write,   SYS_readv,    SYS_writev,
                            SYS_ppoll, SYS_pread64, SYS_sendfile, SYS_exit_group};

static struct fake_broker broker;
static uint8_t *ram;
static uint64_t landed; /* bytes */

/* A filter that allows these and kills for all others, as a memfd. */
static int make_policy(void)
{
        struct sock_filter filter[64] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
        unsigned short len = 1;
        int fd = memfd_create("policy", MFD_CLOEXEC);

        assert_true(fd >= 0);
        for (size_t i = 0; i < array_size(calls); i++) {
                filter[len++] =
                    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
                filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
        filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(write(fd, filter, len * sizeof(filter[0])), len * sizeof(filter[0]));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

static int make_file(const void *bytes, size_t len)
{
        int fd = memfd_create("file", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, len), (ssize_t)len);
        return fd;
}

static void start(const int *files, unsigned n_files)
{
        const struct control_configure configure = {.name = "loader",
                                                    .type = DEVICE_TYPE_LOADER,
                                                    .boot = {.arch = BOOT_ARCH_X86_64,
                                                             .n_vcpus = 1,
                                                             .n_ram = 1,
                                                             .ram = {{0, RAM}},
                                                             .devices_start = 0xd0000000,
                                                             .n_devices = 1,
                                                             .interrupt = {5},
                                                             .cmdline = "quiet"}};
        int policy = make_policy();

        ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_true(ram != MAP_FAILED);
        landed = 0;
        fake_start_program(&broker, LOADER_PROGRAM, 1, files, n_files, policy);
        fake_configure(&broker, &configure);
        assert_int_equal(broker.hello.device_type, 0);
        close(policy);
}

static void take_frame(void)
{
        static uint8_t header[LIMIT_FRAME_HEADER];
        struct lane_to_broker message;
        struct frame_head head;
        uint8_t *payload, *at;

        assert_true(fake_next_frame(broker.lanes[0], &head, header, &payload));
        assert_int_equal(
            lane_check_to_broker(&broker.arena, header, head.header_len, head.payload_len, &message), 0);
        assert_int_equal(message.kind, LANE_MEM_WRITE);
        assert_int_equal(message.mem_write.space, LANE_SPACE_BOOT);
        at = payload;
        for (size_t i = 0; i < message.mem_write.n; i++) {
                uint32_t len = message.mem_write.len[i];

                assert_int_equal(message.mem_write.id[i], 0);
                assert_true(range_inside(message.mem_write.offset[i], len, RAM));
                memcpy(ram + message.mem_write.offset[i], at, len);
                at += len;
                landed += len;
        }
        free(payload);
}

/* All that it writes; then its last word, which is behind all of that. */
static void await_last_word(struct control_to_broker *ret_word)
{
        struct pollfd fds[] = {{.fd = broker.lanes[0].in, .events = POLLIN},
                               {.fd = broker.control.in, .events = POLLIN}};

        for (;;) {
                assert_true(poll(fds, 2, FAKE_DEADLINE_S * 1000) > 0);
                if (fds[0].revents)
                        take_frame();
                else if (fds[1].revents)
                        break;
        }
        assert_true(fake_next_control(&broker, ret_word));
}

static void finish(void)
{
        munmap(ram, RAM);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_kernel_and_an_initrd_arrive_by_eight_system_calls(void **state)
{
        static struct control_to_broker word;
        static uint8_t kernel[KERNEL_BYTES], initrd[3 * 1024 * 1024 + 77];
        size_t len = kernel_make_bzimage(kernel);
        int files[] = {make_file(kernel, len), -1};
        uint32_t at;

        (void)state;
        for (size_t i = 0; i < sizeof(initrd); i++)
                initrd[i] = (uint8_t)(i * 11 + (i >> 12));
        files[1] = make_file(initrd, sizeof(initrd));
        start(files, 2);
        await_last_word(&word);
        assert_int_equal(word.kind, CONTROL_BOOTED);
        assert_int_equal(word.booted.entry.mode, KVM_BOOT_LINUX64);
        assert_int_equal(word.booted.entry.entry, 16 * MIB + 0x200);
        assert_int_equal(word.booted.kernel_len, len);
        assert_int_equal(word.booted.initrd_len, sizeof(initrd));
        assert_memory_equal(ram + 16 * MIB, kernel + 5 * 512, len - 5 * 512);
        at = bytes_load32(ram + X86_ZERO_PAGE + 0x218);
        assert_memory_equal(ram + at, initrd, sizeof(initrd));
        assert_string_equal((const char *)ram + X86_CMDLINE, "quiet");
        finish();
        close(files[0]);
        close(files[1]);
}

static void what_is_no_kernel_is_refused_in_one_sentence(void **state)
{
        static struct control_to_broker word;
        const int file = make_file("\x1f\x8b\x08 rubbish", 11);

        (void)state;
        start(&file, 1);
        await_last_word(&word);
        assert_int_equal(word.kind, CONTROL_BOOT_FAILED);
        assert_string_equal(word.boot_failed.reason,
                            "the kernel file is packed by gzip: unpack it with: zcat FILE > Image");
        assert_int_equal(landed, 0);
        finish();
        close(file);
}

/* Its word is about what it sent, not about what the file had once. */
static void a_file_that_shrinks_on_the_way_is_refused(void **state)
{
        static struct control_to_broker word;
        static uint8_t kernel[KERNEL_BYTES];
        int files[] = {make_file(kernel, kernel_make_bzimage(kernel)), make_file("", 0)};

        (void)state;
        assert_int_equal(ftruncate(files[1], 64 * (off_t)MIB), 0);
        start(files, 2);
        take_frame();
        assert_int_equal(ftruncate(files[1], (off_t)MIB), 0);
        await_last_word(&word);
        assert_int_equal(word.kind, CONTROL_BOOT_FAILED);
        assert_non_null(
            strstr(word.boot_failed.reason, "the initrd file has become shorter while it was read"));
        finish();
        close(files[0]);
        close(files[1]);
}

static void debians_kernel_is_loaded_whole(void **state)
{
        static struct control_to_broker word;
        int files[] = {open(GUEST_DIR "/vmlinuz", O_RDONLY | O_CLOEXEC),
                       open(GUEST_DIR "/initrd", O_RDONLY | O_CLOEXEC)};
        uint8_t *kernel, *initrd;
        size_t setup;

        (void)state;
        if (files[0] < 0 || files[1] < 0) {
                printf("no kernel at " GUEST_DIR ": packaging/guest-image makes it\n");
                assert_null(getenv("MUST_RUN"));
                skip();
        }
        start(files, 2);
        await_last_word(&word);
        assert_int_equal(word.kind, CONTROL_BOOTED);
        assert_int_equal(word.booted.entry.mode, KVM_BOOT_LINUX64);
        kernel = mmap(NULL, word.booted.kernel_len, PROT_READ, MAP_PRIVATE, files[0], 0);
        initrd = mmap(NULL, word.booted.initrd_len, PROT_READ, MAP_PRIVATE, files[1], 0);
        assert_true(kernel != MAP_FAILED && initrd != MAP_FAILED);
        setup = (size_t)(kernel[0x1f1] + 1) * 512;
        assert_memory_equal(ram + word.booted.entry.entry - 0x200, kernel + setup,
                            word.booted.kernel_len - setup);
        assert_memory_equal(ram + bytes_load32(ram + X86_ZERO_PAGE + 0x218), initrd, word.booted.initrd_len);
        munmap(kernel, word.booted.kernel_len);
        munmap(initrd, word.booted.initrd_len);
        finish();
        close(files[0]);
        close(files[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_kernel_and_an_initrd_arrive_by_eight_system_calls),
            cmocka_unit_test(what_is_no_kernel_is_refused_in_one_sentence),
            cmocka_unit_test(a_file_that_shrinks_on_the_way_is_refused),
            cmocka_unit_test(debians_kernel_is_loaded_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
