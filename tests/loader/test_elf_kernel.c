/* What an ELF kernel's head, segments and notes may say.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/elf_kernel.h"

#include <elf.h>
#include <errno.h>

#include "proto/base/checked.h"
#include "tests/loader/kernels.h"
#include "tests/unit/unit.h"
#include "proto/base/bytes.h"

#define GIB UINT64_C(0x40000000)

static uint8_t kernel[KERNEL_BYTES];
static size_t size;

static int make(void **state)
{
        (void)state;
        size = kernel_make_elf64(kernel);
        return 0;
}

static Elf64_Ehdr *head(void)
{
        return (Elf64_Ehdr *)kernel;
}

static Elf64_Phdr *segment(unsigned i)
{
        return (Elf64_Phdr *)(kernel + sizeof(Elf64_Ehdr)) + i;
}

/* Head and segments, as the loader asks. */
static int check(const uint8_t *bytes, size_t len, struct elf_kernel *ret_kernel, const char **ret_why)
{
        struct elf_kernel_head found;
        uint8_t *headers;
        int r = elf_kernel_check_head(bytes, MIN(len, (size_t)4096), len, &found, ret_why);

        if (r < 0)
                return r;
        assert_true(found.headers_len <= ELF_KERNEL_HEADERS &&
                    range_inside(found.headers_at, found.headers_len, len));
        headers = malloc(found.headers_len); /* its own block, so that one byte too far is seen */
        assert_non_null(headers);
        memcpy(headers, bytes + found.headers_at, found.headers_len);
        r = elf_kernel_check_segments(&found, headers, len, ret_kernel, ret_why);
        free(headers);
        return r;
}

static void expect(const char *words)
{
        struct elf_kernel found = {.n_parts = 77};
        const char *why = "";
        int r = check(kernel, size, &found, &why);

        if (!words && r < 0)
                fail_msg("refused: %s", why);
        if (words && (r != -EINVAL || found.n_parts != 77 || !strstr(why, words)))
                fail_msg("%d, \"%s\" does not say \"%s\"", r, why, words);
        size = kernel_make_elf64(kernel);
}

static void both_classes_are_understood_and_sorted(void **state)
{
        static size_t (*const makers[])(uint8_t *) = {kernel_make_elf64, kernel_make_elf32};

        (void)state;
        for (size_t i = 0; i < array_size(makers); i++) {
                struct elf_kernel found;
                const char *why = "";

                size = makers[i](kernel);
                assert_int_equal(check(kernel, size, &found, &why), 0);
                assert_int_equal(found.n_parts, 2);
                assert_int_equal(found.parts[0].address, 16 << 20);
                assert_int_equal(found.parts[0].file_at, 0x1000);
                assert_int_equal(found.parts[1].address, 18 << 20);
                assert_int_equal(found.parts[1].file_len, 0x800);
                assert_int_equal(found.parts[1].len, 0x5000);
                assert_int_equal(found.n_notes, 1);
        }
}

static void heads_of_other_files_are_told_apart(void **state)
{
        (void)state;
        head()->e_ident[EI_DATA] = ELFDATA2MSB;
        expect("another machine");
        head()->e_machine = EM_AARCH64;
        expect("another machine");
        head()->e_ident[EI_CLASS] = ELFCLASS32; /* of the wrong machine */
        expect("another machine");
        head()->e_type = ET_DYN;
        expect("no program with fixed addresses");
        size = 63;
        expect("is no ELF file");
}

static void program_headers_are_judged_at_their_edges(void **state)
{
        (void)state;
        head()->e_phnum = 0;
        expect("no program headers");
        head()->e_phnum = ELF_KERNEL_SEGMENTS;
        for (unsigned i = 3; i < ELF_KERNEL_SEGMENTS; i++)
                segment(i)->p_type = PT_NULL;
        expect(NULL);
        head()->e_phnum = ELF_KERNEL_SEGMENTS + 1;
        expect("more than a kernel has");
        head()->e_phentsize = 55;
        expect("no program headers");
        head()->e_phoff = size - 3 * 56;
        expect("no segments to load"); /* inside the file; nothing there says so */
        head()->e_phoff = size - 3 * 56 + 1;
        expect("cut short");
        head()->e_phoff = UINT64_MAX;
        expect("cut short");
}

static void segments_are_judged_at_their_edges(void **state)
{
        (void)state;
        segment(1)->p_offset = size - 0x800 + 1;
        expect("outside of the file");
        segment(1)->p_filesz = UINT64_MAX;
        expect("outside of the file");
        segment(1)->p_memsz = 0x7ff; /* less than the file has */
        expect("outside of the file");
        segment(1)->p_paddr = 4 * GIB - 0x5000;
        expect(NULL);
        segment(1)->p_paddr = 4 * GIB - 0x4fff;
        expect("32-bit addresses");
        segment(1)->p_paddr = UINT64_MAX - 0x100;
        expect("32-bit addresses");
        segment(1)->p_paddr = (16 << 20) + 0x2000;
        expect(NULL);
        segment(1)->p_paddr = (16 << 20) + 0x1fff;
        expect("overlap");
        segment(1)->p_paddr = (16 << 20) - 0x5000;
        expect(NULL);
        segment(1)->p_paddr = (16 << 20) - 0x4fff;
        expect("overlap");
        segment(0)->p_type = segment(1)->p_type = PT_NULL;
        expect("no segments to load");
        segment(1)->p_filesz = segment(1)->p_memsz = 0; /* empty ones lie nowhere */
        segment(1)->p_paddr = 16 << 20;
        expect(NULL);
        segment(2)->p_offset = size;
        expect("outside of the file"); /* notes too */
}

/* ---- notes ---- */

static int find(const uint8_t *notes, size_t len, uint32_t *ret_entry)
{
        uint8_t *exact = malloc(len + 1);
        int r;

        assert_non_null(exact);
        memcpy(exact + 1, notes, len);
        r = elf_kernel_find_entry(exact + 1, len, ret_entry);
        free(exact);
        return r;
}

static void an_entry_is_found_behind_other_notes(void **state)
{
        const size_t len = 24 + 24;
        uint32_t entry = 0;

        (void)state;
        assert_int_equal(find(kernel + 0x200, len, &entry), 0);
        assert_int_equal(entry, (16 << 20) + 0x40);
        for (size_t n = 0; n < len; n++)
                assert_int_equal(find(kernel + 0x200, n, &entry), -ENOENT);
        bytes_store32(kernel + 0x200, UINT32_MAX); /* a name that is longer than all there is */
        assert_int_equal(find(kernel + 0x200, len, &entry), -ENOENT);
        make(NULL);
        bytes_store32(kernel + 0x204, UINT32_MAX);
        assert_int_equal(find(kernel + 0x200, len, &entry), -ENOENT);
        make(NULL);
        bytes_store32(kernel + 0x200 + 24 + 4, 3); /* an entry has four bytes at least */
        assert_int_equal(find(kernel + 0x200, len, &entry), -ENOENT);
        make(NULL);
        bytes_store32(kernel + 0x200 + 24 + 8, 17);
        assert_int_equal(find(kernel + 0x200, len, &entry), -ENOENT);
}

static void judge(const uint8_t *bytes, size_t len, void *context)
{
        struct elf_kernel found;
        const char *why = NULL;
        uint64_t end = 0;

        (void)context;
        if (check(bytes, len, &found, &why) < 0) {
                assert_non_null(why);
                return;
        }
        assert_true(found.n_parts >= 1 && found.n_parts <= ELF_KERNEL_SEGMENTS &&
                    found.n_notes <= ELF_KERNEL_NOTES);
        for (unsigned i = 0; i < found.n_parts; i++) {
                const struct elf_kernel_part *part = &found.parts[i];

                assert_true(part->address >= end && part->len > 0 && part->file_len <= part->len);
                assert_true(range_inside(part->file_at, part->file_len, len));
                end = part->address + part->len;
        }
        assert_true(end <= 4 * GIB);
        for (unsigned i = 0; i < found.n_notes; i++)
                assert_true(found.notes[i].file_len <= ELF_KERNEL_NOTE_BYTES &&
                            range_inside(found.notes[i].file_at, found.notes[i].file_len, len));
}

static void judge_notes(const uint8_t *bytes, size_t len, void *context)
{
        uint32_t entry;
        int r = elf_kernel_find_entry(bytes, len, &entry);

        (void)context;
        assert_true(r == 0 || r == -ENOENT);
}

static void no_flip_and_no_truncation_breaks_a_promise(void **state)
{
        uint8_t *whole = malloc(size);

        (void)state;
        assert_non_null(whole);
        memcpy(whole, kernel, size);
        for (size_t bit = 0; bit < 0x100 * 8; bit++) {
                whole[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                unit_sweep_one(whole, size, judge, NULL);
                whole[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        free(whole);
        unit_sweep(kernel, 0x300, judge, NULL);
        unit_sweep(kernel + 0x200, 48, judge_notes, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(both_classes_are_understood_and_sorted, make),
            cmocka_unit_test_setup(heads_of_other_files_are_told_apart, make),
            cmocka_unit_test_setup(program_headers_are_judged_at_their_edges, make),
            cmocka_unit_test_setup(segments_are_judged_at_their_edges, make),
            cmocka_unit_test_setup(an_entry_is_found_behind_other_notes, make),
            cmocka_unit_test_setup(no_flip_and_no_truncation_breaks_a_promise, make),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
