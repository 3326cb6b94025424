/* A host whose KVM is another: preloaded, it answers what LYING_KVM says (name=number, separated by commas), and is the
 * kernel's own KVM in all else. For refusals that no machine at hand gives.
 *
 *   errno=N  /dev/kvm does not open     version=N  of the API     vcpus=N  of one VM, at most
 *   width=N  bits of guest-physical address                       lacks=N  an extension that is not there
 *
 * Owns nothing; called in place of libc by `bulkhead` and its broker. TRUST: its environment is the test's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPUID_ADDRESSES 0x80000008u /* EAX: bits 0-7 physical width */

static bool lie(const char *name, int *ret_value)
{
        const char *at = getenv("LYING_KVM");

        for (; at && *at; at = strchr(at, ','), at += at != NULL) {
                size_t len = strlen(name);

                if (strncmp(at, name, len) != 0 || at[len] != '=')
                        continue;
                *ret_value = (int)strtol(at + len + 1, NULL, 10);
                return true;
        }
        return false;
}

static void narrow(struct kvm_cpuid2 *cpuid, int width)
{
        for (unsigned i = 0; i < cpuid->nent; i++)
                if (cpuid->entries[i].function == CPUID_ADDRESSES)
                        cpuid->entries[i].eax = (unsigned)width;
}

int ioctl(int fd, unsigned long request, ...)
{
        va_list args;
        void *argument;
        int value, r;

        va_start(args, request);
        argument = va_arg(args, void *);
        va_end(args);
        if (request == KVM_GET_API_VERSION && lie("version", &value))
                return value;
        if (request == KVM_CHECK_EXTENSION && lie("lacks", &value) && (long)argument == value)
                return 0;
        if (request == KVM_CHECK_EXTENSION && (long)argument == KVM_CAP_MAX_VCPUS && lie("vcpus", &value))
                return value;
        r = (int)syscall(SYS_ioctl, fd, request, argument);
        if (r == 0 && request == KVM_GET_SUPPORTED_CPUID && lie("width", &value))
                narrow(argument, value);
        return r;
}

/* libc's two names for it, as there are two sizes of offsets. */
static int open_as(const char *path, int flags, mode_t mode)
{
        int value;

        if (strcmp(path, "/dev/kvm") == 0 && lie("errno", &value)) {
                errno = value;
                return -1;
        }
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
        va_list args;
        mode_t mode;

        va_start(args, flags);
        mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
        va_end(args);
        return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
