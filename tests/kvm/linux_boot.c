/* Boots a Linux (bzImage, 64-bit entry) on the machine alone: no ACPI, no devices, a serial console.
 *
 *   linux_boot KERNEL INITRD COMMAND_LINE WORD     exit status 0 when the guest has printed WORD
 *
 * Owns a VM. Run where KVM is real: by nested inside an emulator, or by hand. TRUST: kernel and initrd are the
 * caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/bootparam.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kvm/rig.h"

#define ZERO_PAGE 0x90000u
#define CMDLINE   0x91000u
#define KERNEL    0x100000u
#define LOW_END   0x9fc00u
#define ENTRY_64  0x200u
#define BOOT_S    120

struct file {
        const uint8_t *bytes;
        size_t len;
};

static struct file file_map(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct file file;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                perror(path);
                exit(2);
        }
        file.len = (size_t)st.st_size;
        file.bytes = mmap(NULL, file.len, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        assert_ptr_not_equal(file.bytes, MAP_FAILED);
        return file;
}

static void put(struct rig *rig, uint64_t at, const void *bytes, size_t len)
{
        assert_int_equal(guest_memory_write(rig->memory, GPA(at), bytes, len), 0);
}

static void load(struct rig *rig, struct file kernel, struct file initrd, const char *cmdline)
{
        struct boot_params params = {0};
        size_t setup = 512 * (1u + (kernel.bytes[0x1f1] ? kernel.bytes[0x1f1] : 4u));
        uint64_t initrd_at = (RIG_RAM - initrd.len) & ~4095ull;

        memcpy(&params.hdr, kernel.bytes + 0x1f1, sizeof(params.hdr));
        params.hdr.type_of_loader = 0xff;
        params.hdr.loadflags |= LOADED_HIGH;
        params.hdr.cmd_line_ptr = CMDLINE;
        params.hdr.ramdisk_image = (uint32_t)initrd_at;
        params.hdr.ramdisk_size = (uint32_t)initrd.len;
        params.e820_entries = 2;
        params.e820_table[0] = (struct boot_e820_entry){.addr = 0, .size = LOW_END, .type = 1};
        params.e820_table[1] = (struct boot_e820_entry){.addr = KERNEL, .size = RIG_RAM - KERNEL, .type = 1};
        put(rig, ZERO_PAGE, &params, sizeof(params));
        put(rig, CMDLINE, cmdline, strlen(cmdline) + 1);
        put(rig, KERNEL, kernel.bytes + setup, kernel.len - setup);
        put(rig, initrd_at, initrd.bytes, initrd.len);
}

/* Passes the guest's words on until the one that is waited for. */
static bool watch(struct rig *rig, const char *word)
{
        struct pollfd polled = {.fd = rig->from_guest[0], .events = POLLIN};

        while (poll(&polled, 1, BOOT_S * 1000) > 0) {
                ssize_t n = read(polled.fd, rig->output + rig->n_output, RIG_OUTPUT - 1 - rig->n_output);

                if (n <= 0)
                        return false;
                fwrite(rig->output + rig->n_output, 1, (size_t)n, stdout);
                fflush(stdout);
                rig->n_output += (size_t)n;
                if (strstr(rig->output, word))
                        return true;
        }
        return false;
}

int main(int argc, char **argv)
{
        static struct rig rig;
        struct kvm_boot boot = {.mode = KVM_BOOT_LINUX64, .entry = KERNEL + ENTRY_64, .arg = ZERO_PAGE};
        char why[256];
        bool seen;

        if (argc != 5) {
                fprintf(stderr, "linux_boot KERNEL INITRD COMMAND_LINE WORD\n");
                return 2;
        }
        rig_open(&rig, 1);
        load(&rig, file_map(argv[1]), file_map(argv[2]), argv[3]);
        if (kvm_vcpus_start(rig.vcpus, &boot, why, sizeof(why)) < 0) {
                fprintf(stderr, "%s\n", why);
                return 2;
        }
        seen = watch(&rig, argv[4]);
        if (rig.ended)
                fprintf(stderr, "%s\n", rig.why);
        rig_close(&rig);
        return seen ? 0 : 1;
}
