/* What a host's KVM is: every answer that a kernel may give, from a /dev/kvm of the test's own.
 * TRUST: the answers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/kvm/width.h"
#include "proto/base/checked.h"

#define FD 77 /* nobody's: all calls on it are answered here */

#if defined(__x86_64__)
#define N_NEEDED 11
#else
#define N_NEEDED 10
#endif

/* The kernel as it answers next. */
static struct {
        int open_error; /* 0: opens */
        int version, mmap_size;
        int absent;     /* the extension that is not there */
        unsigned asked; /* extensions so far */
        int last;       /* the one asked for last */
        int max_vcpus, nr_vcpus, memslots, memory_fault;
        int ipa_size;  /* arm64 */
        uint32_t leaf; /* x86: EAX of CPUID 0x80000008; 0: no such leaf */
        int cpuid_error;
        const char *overcommit, *meminfo; /* files; NULL: not there */
} kernel;

static void kernel_is_good(void)
{
        memset(&kernel, 0, sizeof(kernel));
        kernel.version = 12;
        kernel.mmap_size = (int)sizeof(struct kvm_run) + 4096;
        kernel.absent = -1;
        kernel.max_vcpus = 288;
        kernel.nr_vcpus = 4;
        kernel.memslots = 509;
        kernel.ipa_size = 44;
        kernel.leaf = 0x3028;
        kernel.overcommit = "0\n";
        kernel.meminfo = "MemTotal: 9 kB\nCommitLimit:      3000 kB\nCommitted_AS:   1000 kB\n";
}

static int fake_extension(int extension)
{
        kernel.asked++;
        kernel.last = extension;
        if (extension == kernel.absent)
                return 0;
        switch (extension) {
        case KVM_CAP_MAX_VCPUS:
                return kernel.max_vcpus;
        case KVM_CAP_NR_VCPUS:
                return kernel.nr_vcpus;
        case KVM_CAP_NR_MEMSLOTS:
                return kernel.memslots;
        case KVM_CAP_ARM_VM_IPA_SIZE:
                return kernel.ipa_size;
        case 232:
                return kernel.memory_fault;
        default:
                return 1;
        }
}

#if defined(__x86_64__)
static int fake_cpuid(void *argument)
{
        struct kvm_cpuid2 *cpuid = argument;

        if (kernel.cpuid_error != 0) {
                errno = kernel.cpuid_error;
                return -1;
        }
        assert_int_equal(cpuid->nent, 256);
        cpuid->nent = 3;
        cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = 1, .eax = 0x33};
        cpuid->entries[1] =
            (struct kvm_cpuid_entry2){.function = kernel.leaf ? 0x80000008 : 0x80000001, .eax = kernel.leaf};
        cpuid->entries[2] = (struct kvm_cpuid_entry2){.function = 0x8000001f, .eax = 0x22};
        return 0;
}
#endif

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
        va_list arguments;
        void *argument;

        va_start(arguments, request);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        assert_int_equal(fd, FD);
        switch (request) {
        case KVM_GET_API_VERSION:
                errno = ENOTTY;
                return kernel.version;
        case KVM_CHECK_EXTENSION:
                return fake_extension((int)(uintptr_t)argument);
        case KVM_GET_VCPU_MMAP_SIZE:
                return kernel.mmap_size;
#if defined(__x86_64__)
        case KVM_GET_SUPPORTED_CPUID:
                return fake_cpuid(argument);
#endif
        default:
                fail_msg("an ioctl of %lx", request);
                return -1;
        }
}

static int fake_file(const char *text)
{
        int fd = text ? memfd_create("text", MFD_CLOEXEC) : -1;

        if (!text)
                errno = ENOENT;
        else
                assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
        return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
        if (strcmp(path, "/proc/sys/vm/overcommit_memory") == 0)
                return fake_file(kernel.overcommit);
        if (strcmp(path, "/proc/meminfo") == 0)
                return fake_file(kernel.meminfo);
        assert_string_equal(path, "/dev/kvm");
        assert_int_equal(flags, O_RDWR | O_CLOEXEC);
        errno = kernel.open_error;
        return kernel.open_error != 0 ? -1 : FD;
}

static void device_is_opened_or_the_remedy_named(void **state)
{
        static const struct {
                int error;
                const char *words;
        } rows[] = {
            {ENOENT, "there is no /dev/kvm; switch virtualization on in the firmware and load the module"},
            {ENODEV, "there is no /dev/kvm"},
            {ENXIO, "there is no /dev/kvm"},
            {EACCES, "no permission to open /dev/kvm for user "},
            {EPERM, "usermod -aG kvm"},
            {EBUSY, "another hypervisor (VirtualBox, Xen) has the processor: stop it"},
            {EMFILE, "/dev/kvm: Too many open files"},
        };
        char why[256] = "";

        (void)state;
        kernel_is_good();
        assert_int_equal(kvm_host_open(why, sizeof(why)), FD);
        for (size_t i = 0; i < array_size(rows); i++) {
                kernel.open_error = rows[i].error;
                assert_int_equal(kvm_host_open(why, sizeof(why)), -rows[i].error);
                assert_non_null(strstr(why, rows[i].words));
        }
}

static void good_host_is_described(void **state)
{
        struct kvm_host host;
        char why[256] = "";

        (void)state;
        kernel_is_good();
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_int_equal(host.fd, FD);
        assert_int_equal(host.max_vcpus, 288);
        assert_int_equal(host.max_memslots, 509);
        assert_int_equal(host.vcpu_mmap_size, sizeof(struct kvm_run) + 4096);
        assert_int_equal(host.width, KVM_ARCH_HERE == KVM_ARCH_X86_64 ? 40 : 44);
        assert_true(host.width_known);
        assert_false(host.memory_fault);
        assert_true(host.memory > 0);
        assert_true(host.kind[0] != '\0');
        kernel.memory_fault = 1;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_true(host.memory_fault);
}

static void assert_refused(int error, const char *words)
{
        struct kvm_host host, before;
        char why[256] = "";

        memset(&host, 0x5a, sizeof(host));
        before = host;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), error);
        if (!strstr(why, words))
                fail_msg("\"%s\" is not in \"%s\"", words, why);
        assert_memory_equal(&host, &before, sizeof(host));
}

static void other_api_is_refused(void **state)
{
        (void)state;
        for (int version = 11; version <= 13; version += 2) {
                kernel_is_good();
                kernel.version = version;
                assert_refused(-EOPNOTSUPP, "KVM speaks version 1");
                assert_int_equal(kernel.asked, 0);
        }
        kernel.version = -1;
        assert_refused(-ENOTTY, "/dev/kvm is not KVM");
}

/* What is needed is found by asking, so that a row more is tested too. */
static void each_needed_extension_is_missed_by_name(void **state)
{
        int needed[64];
        unsigned n = 0;
        struct kvm_host host;
        char why[256] = "";

        (void)state;
        for (int extension = 0; extension < 256; extension++) {
                kernel_is_good();
                kernel.absent = extension;
                if (kvm_host_probe(FD, &host, why, sizeof(why)) == 0)
                        continue;
                assert_int_equal(kernel.last, extension); /* the first that is missing ends it */
                assert_non_null(strstr(why, "lacks KVM_CAP_"));
                assert_non_null(strstr(why, "; use a newer kernel, or frontend: vhost-user"));
                needed[n++] = extension;
        }
        assert_int_equal(n, N_NEEDED);
        for (unsigned i = 0; i < n; i++) {
                kernel_is_good();
                kernel.absent = needed[i];
                assert_refused(-EOPNOTSUPP, "lacks KVM_CAP_");
        }
}

static void short_record_of_a_processor_is_refused(void **state)
{
        (void)state;
        kernel_is_good();
        kernel.mmap_size = (int)sizeof(struct kvm_run) - 1;
        assert_refused(-EOPNOTSUPP, "KVM's record of a processor");
        kernel.mmap_size = -1;
        assert_refused(-EOPNOTSUPP, "KVM's record of a processor");
}

static void kernel_that_gives_no_number_has_the_documented_one(void **state)
{
        struct kvm_host host;
        char why[256] = "";

        (void)state;
        kernel_is_good();
        kernel.max_vcpus = 0;
        kernel.memslots = 0;
        kernel.nr_vcpus = 7;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_int_equal(host.max_vcpus, 7);
        assert_int_equal(host.max_memslots, 32);
        kernel.nr_vcpus = -1;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_int_equal(host.max_vcpus, 4);
}

#if defined(__x86_64__)
static void width_is_what_kvm_reports(void **state)
{
        static const struct {
                uint32_t leaf;
                unsigned width;
        } rows[] = {
            {0x3028, 40},
            {0x3934, 52},
            {0x3024, 36},
            {0x283034, 40} /* guests have less than the processor */,
            {0x343028, 40} /* never more */,
            {0, 36} /* no such leaf */,
        };
        struct kvm_host host;
        char why[256] = "";

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                kernel_is_good();
                kernel.leaf = rows[i].leaf;
                assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
                assert_int_equal(host.width, rows[i].width);
                assert_true(host.width_known);
        }
        kernel.cpuid_error = E2BIG;
        assert_refused(-E2BIG, "KVM does not say what its processor can do: Argument list too long");
}
#else
static void width_is_what_kvm_reports(void **state)
{
        struct kvm_host host;
        char why[256] = "";

        (void)state;
        for (int width = 32; width <= 52; width++) {
                kernel_is_good();
                kernel.ipa_size = width;
                assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
                assert_int_equal(host.width, width);
                assert_true(host.width_known);
        }
        kernel.ipa_size = 0;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_int_equal(host.width, 40);
        assert_false(host.width_known);
}
#endif

static uint64_t commit_of(const char *overcommit, const char *meminfo)
{
        struct kvm_host host = {0};
        char why[256];

        kernel_is_good();
        kernel.overcommit = overcommit;
        kernel.meminfo = meminfo;
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        return host.commit;
}

static void strict_overcommit_promises_what_is_left(void **state)
{
        static const char left[] = "MemTotal: 9 kB\nCommitLimit:      3000 kB\nCommitted_AS:   1000 kB\n";
        static const char used[] = "MemTotal: 9 kB\nCommitLimit:      3000 kB\nCommitted_AS:   3000 kB\n";

        (void)state;
        assert_int_equal(commit_of("2\n", left), 2000 << 10);
        assert_int_equal(commit_of("2\n", used), 1); /* nothing, which is not: no limit */
        assert_int_equal(commit_of("0\n", used), 0);
        assert_int_equal(commit_of("1\n", used), 0);
        assert_int_equal(commit_of(NULL, used), 0);
        assert_int_equal(commit_of("2\n", NULL), 1);
}

static void limits_of_our_own_are_known(void **state)
{
        struct rlimit old, less = {.rlim_cur = 5u << 20};
        struct kvm_host host = {0};
        char why[256];

        (void)state;
        kernel_is_good();
        getrlimit(RLIMIT_FSIZE, &old);
        less.rlim_max = old.rlim_max;
        setrlimit(RLIMIT_FSIZE, &less);
        assert_int_equal(kvm_host_probe(FD, &host, why, sizeof(why)), 0);
        assert_int_equal(host.file, 5 << 20);
        setrlimit(RLIMIT_FSIZE, &old);
}

static void more_than_the_host_has_is_refused(void **state)
{
        struct kvm_host host = {.max_vcpus = 4, .max_memslots = 2, .memory = 1ull << 30};
        uint64_t *const limits[] = {&host.commit, &host.space, &host.file};
        struct kvm_layout layout;
        char why[256] = "";

        (void)state;
        assert_int_equal(kvm_layout_make(KVM_ARCH_HERE, 1ull << 30, 4, 0, 0, &layout, why, sizeof(why)), 0);
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), 0);
        layout.n_vcpus = 5;
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), -E2BIG);
        assert_string_equal(why, "vcpus is 5 and this host's KVM allows 4; give at most so many");
        layout.n_vcpus = 4;
        layout.ram[0].len += 1 << 20;
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), -E2BIG);
        assert_string_equal(why, "memory is 1025 MiB and this host has 1024 MiB, swap included; give less");
        host.memory = 0; /* not known: the kernel will say */
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), 0);
        host.commit = host.space = host.file = 1025ull << 20;
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), 0);
        for (size_t i = 0; i < array_size(limits); i++) {
                *limits[i] -= 1;
                assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), -E2BIG);
                assert_ptr_equal(strstr(why, "memory is 1025 MiB and "), why);
                assert_non_null(strstr(why, " 1024 MiB"));
                assert_non_null(strstr(why, "; give less, or "));
                *limits[i] = 0; /* none */
        }
        host.max_memslots = 0;
        assert_int_equal(kvm_host_judge(&host, &layout, why, sizeof(why)), -E2BIG);
        assert_string_equal(why, "this host's KVM has 0 memory slots and the VM needs 1");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(device_is_opened_or_the_remedy_named),
            cmocka_unit_test(good_host_is_described),
            cmocka_unit_test(other_api_is_refused),
            cmocka_unit_test(each_needed_extension_is_missed_by_name),
            cmocka_unit_test(short_record_of_a_processor_is_refused),
            cmocka_unit_test(kernel_that_gives_no_number_has_the_documented_one),
            cmocka_unit_test(width_is_what_kvm_reports),
            cmocka_unit_test(strict_overcommit_promises_what_is_left),
            cmocka_unit_test(limits_of_our_own_are_known),
            cmocka_unit_test(more_than_the_host_has_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
