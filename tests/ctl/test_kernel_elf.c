/* What doctor says of ELF kernels, beside what the kernel's loader says of the same bytes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/kernel_elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/loader/kernels.h"
#include "workers/loader/elf_kernel.h"

#define NOTES_AT  0x200u /* of kernels.c; the second one is the entry's */
#define NOTE_NAME (NOTES_AT + 24 + 12)
#define SWEEP_END 0x240u /* behind the notes */

static uint8_t bytes[KERNEL_BYTES];
static char text[256];
static int fd;

static int make_file(void **state)
{
        (void)state;
        fd = memfd_create("kernel", MFD_CLOEXEC);
        return fd < 0;
}

static int close_file(void **state)
{
        (void)state;
        return close(fd);
}

static bool boots(size_t len)
{
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, len, 0), len);
        text[0] = '\0';
        return kernel_elf_boots(fd, len, text, sizeof(text));
}

static void refused(size_t len, const char *words)
{
        assert_false(boots(len));
        if (!strstr(text, words) || !strstr(text, ": "))
                fail_msg("\"%s\" does not say \"%s\"", text, words);
}

/* As load_elf.c asks. */
static bool loader_takes(size_t len)
{
        struct elf_kernel_head head;
        struct elf_kernel kernel;
        const char *why;
        uint32_t entry;

        if (elf_kernel_check_head(bytes, len, len, &head, &why) < 0 ||
            elf_kernel_check_segments(&head, bytes + head.headers_at, len, &kernel, &why) < 0)
                return false;
        for (unsigned i = 0; i < kernel.n_notes; i++)
                if (elf_kernel_find_entry(bytes + kernel.notes[i].file_at, kernel.notes[i].file_len,
                                          &entry) == 0)
                        return true;
        return false;
}

static void kernels_with_an_entry_boot(void **state)
{
        (void)state;
        assert_true(boots(kernel_make_elf64(bytes)));
        assert_true(boots(kernel_make_elf32(bytes)));
        assert_string_equal(text, "");
}

static void what_an_elf_lacks_is_told_with_its_remedy(void **state)
{
        Elf64_Ehdr *head = (Elf64_Ehdr *)(void *)bytes;
        Elf64_Phdr *parts = (Elf64_Phdr *)(void *)(bytes + sizeof(*head));
        size_t len = kernel_make_elf64(bytes);

        (void)state;
        memcpy(bytes + NOTE_NAME, "Zen", 3);
        refused(len, "without a PVH entry: name a bzImage, or make it with CONFIG_PVH=y");
        len = kernel_make_elf64(bytes);
        parts[2].p_type = PT_NULL;
        refused(len, "without a PVH entry");
        len = kernel_make_elf64(bytes);
        parts[2].p_filesz -= 4; /* the entry's note is cut */
        refused(len, "without a PVH entry");
        len = kernel_make_elf64(bytes);
        head->e_type = ET_DYN;
        refused(len, "no program with fixed addresses: name a bzImage or vmlinux");
        len = kernel_make_elf64(bytes);
        head->e_phnum = 0;
        refused(len, "without program headers");
        head->e_phnum = ELF_KERNEL_SEGMENTS + 1;
        refused(len, "with more than a kernel has");
        len = kernel_make_elf64(bytes);
        head->e_phoff = UINT64_MAX - 8;
        refused(len, "cut short: copy the kernel again");
        len = kernel_make_elf64(bytes);
        refused(len - 1, "outside of the file: copy the kernel again");
        refused(sizeof(*head) - 1, "cut short: name a whole kernel");
        assert_true(boots(len));
}

/* The loader may refuse more: it judges addresses, too. */
static void what_the_loader_takes_is_not_refused(void **state)
{
        static size_t (*const makers[])(uint8_t *) = {kernel_make_elf64, kernel_make_elf32};
        unsigned taken = 0, not_taken = 0;

        (void)state;
        for (size_t m = 0; m < 2; m++) {
                size_t len = makers[m](bytes);

                for (size_t bit = 0; bit < 8 * SWEEP_END; bit++) {
                        const bool kept = bit >= 8 * EI_CLASS && bit < 8 * EI_VERSION; /* kernel_kind's */

                        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        if (bit >= 8 * SELFMAG && !kept && loader_takes(len)) {
                                taken++;
                                if (!boots(len))
                                        fail_msg("bit %zu: %s", bit, text);
                        } else {
                                not_taken++;
                                (void)boots(len);
                        }
                        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                }
                for (size_t cut = 0; cut < len; cut += 7)
                        assert_false(boots(cut));
        }
        assert_true(taken > 100 && not_taken > 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(kernels_with_an_entry_boot),
            cmocka_unit_test(what_an_elf_lacks_is_told_with_its_remedy),
            cmocka_unit_test(what_the_loader_takes_is_not_refused),
        };

        return cmocka_run_group_tests(tests, make_file, close_file);
}
