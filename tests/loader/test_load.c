/* Kernels of each format into a VM's RAM, byte by byte.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <libfdt.h>

#include "proto/base/checked.h"
#include "tests/loader/fake_world.h"
#include "tests/loader/kernels.h"
#include "tests/unit/unit.h"
#include "proto/base/bytes.h"
#include "workers/loader/x86_memory.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

static uint8_t kernel[KERNEL_BYTES], initrd[10000];
static struct fake_world *world;

static void begin(enum boot_arch arch, uint64_t memory)
{
        world = world_reset(arch, memory);
        world_keep_ram();
        for (size_t i = 0; i < sizeof(initrd); i++)
                initrd[i] = (uint8_t)(i * 3);
        world_set_initrd(initrd, sizeof(initrd));
}

static void expect_bytes(uint64_t address, const void *bytes, size_t len)
{
        assert_memory_equal(world->ram + (address - world->options.ram[0].start), bytes, len);
}

static uint64_t ram64(uint64_t address)
{
        return bytes_load64(world->ram + address);
}

static uint32_t ram32(uint64_t address)
{
        return bytes_load32(world->ram + address);
}

static void expect_loaded(void)
{
        if (!world_load())
                fail_msg("refused: %s", world->load.why);
}

static void expect_refused(const char *words)
{
        assert_false(world_load());
        if (!strstr(world->load.why, words))
                fail_msg("\"%s\" does not say \"%s\"", world->load.why, words);
}

/* ---- bzImage ---- */

static size_t begin_bzimage(uint64_t memory)
{
        size_t len = kernel_make_bzimage(kernel);

        begin(BOOT_ARCH_X86_64, memory);
        world_set_kernel(kernel, len);
        return len;
}

static void a_bzimage_lies_where_it_wants_to(void **state)
{
        size_t len = begin_bzimage(64 * MIB);

        (void)state;
        expect_loaded();
        assert_int_equal(world->load.entry.mode, KVM_BOOT_LINUX64);
        assert_int_equal(world->load.entry.entry, 16 * MIB + 0x200);
        assert_int_equal(world->load.entry.arg, X86_ZERO_PAGE);
        expect_bytes(16 * MIB, kernel + 5 * 512, len - 5 * 512);
}

static void its_zero_page_says_where_everything_is(void **state)
{
        const uint64_t zero = X86_ZERO_PAGE;
        uint64_t initrd_at;

        (void)state;
        begin_bzimage(64 * MIB);
        expect_loaded();
        expect_bytes(zero + 0x202, "HdrS", 4);
        assert_int_equal(world->ram[zero + 0x210], 0xff);
        initrd_at = ram32(zero + 0x218);
        assert_int_equal(ram32(zero + 0x21c), sizeof(initrd));
        assert_int_equal(initrd_at, (64 * MIB - sizeof(initrd)) / 4096 * 4096);
        expect_bytes(initrd_at, initrd, sizeof(initrd));
        expect_bytes(ram32(zero + 0x228), "console=ttyS0 quiet", 20);
        expect_bytes(ram64(zero + 0x70), "RSD PTR ", 8);
        assert_int_equal(ram64(zero + 0x250), 0);      /* no setup_data */
        assert_int_equal(world->ram[zero + 0x1ef], 0); /* sentinel */
        /* beside the header and what is set nothing of the file is there */
        for (uint64_t at = zero + 0x290; at < zero + 0x2d0; at++)
                assert_int_equal(world->ram[at], 0);
}

static void expect_map(uint64_t at, const struct x86_map_range *expected, unsigned n, unsigned step)
{
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(ram64(at + i * step), expected[i].start);
                assert_int_equal(ram64(at + i * step + 8), expected[i].len);
                assert_int_equal(ram32(at + i * step + 16), expected[i].type);
        }
}

static void the_memory_map_has_the_hole_and_what_lies_behind_it(void **state)
{
        static const struct x86_map_range small[] = {
            {0, 0x9fc00, X86_MAP_RAM}, {0xe0000, 0x20000, X86_MAP_RESERVED}, {MIB, 63 * MIB, X86_MAP_RAM}};
        static const struct x86_map_range large[] = {{0, 0x9fc00, X86_MAP_RAM},
                                                     {0xe0000, 0x20000, X86_MAP_RESERVED},
                                                     {MIB, 3 * GIB - MIB, X86_MAP_RAM},
                                                     {4 * GIB, 5 * GIB, X86_MAP_RAM}};

        (void)state;
        begin_bzimage(64 * MIB);
        expect_loaded();
        assert_int_equal(world->ram[X86_ZERO_PAGE + 0x1e8], 3);
        expect_map(X86_ZERO_PAGE + 0x2d0, small, 3, 20);
        begin_bzimage(8 * GIB);
        expect_loaded();
        assert_int_equal(world->ram[X86_ZERO_PAGE + 0x1e8], 4);
        expect_map(X86_ZERO_PAGE + 0x2d0, large, 4, 20);
}

static void an_initrd_lies_below_what_the_kernel_reaches(void **state)
{
        (void)state;
        begin_bzimage(8 * GIB);
        expect_loaded();
        assert_int_equal(ram32(X86_ZERO_PAGE + 0x218), (0x80000000 - sizeof(initrd)) / 4096 * 4096);
        begin_bzimage(8 * GIB);
        bytes_store32(kernel + 0x22c, 0xffffffff);
        expect_loaded();
        assert_int_equal(ram32(X86_ZERO_PAGE + 0x218), (3 * GIB - sizeof(initrd)) / 4096 * 4096);
}

static void without_an_initrd_none_is_named(void **state)
{
        (void)state;
        begin_bzimage(64 * MIB);
        world->load.initrd.fd = -1;
        world->load.initrd.size = 77;
        expect_loaded();
        assert_int_equal(ram32(X86_ZERO_PAGE + 0x218), 0);
        assert_int_equal(ram32(X86_ZERO_PAGE + 0x21c), 0);
}

/* The kernel ends at 24 MiB; three pages of initrd fit behind it, or they do not. */
static void what_does_not_fit_is_refused_at_the_edge(void **state)
{
        (void)state;
        begin_bzimage(24 * MIB + 3 * 4096);
        expect_loaded();
        begin_bzimage(24 * MIB + 2 * 4096);
        expect_refused("the initrd has 1 MiB, and 0 MiB are free");
        begin_bzimage(24 * MIB);
        world->load.initrd.fd = -1;
        expect_loaded();
        begin_bzimage(24 * MIB - 4096);
        expect_refused("needs memory up to 24 MiB: give the VM more");
        begin_bzimage(64 * MIB);
        bytes_store32(kernel + 0x22c, 20 * MIB); /* below the kernel's own end */
        expect_refused("0 MiB are free");
}

static void a_command_line_is_as_long_as_the_kernel_takes(void **state)
{
        (void)state;
        begin_bzimage(64 * MIB);
        bytes_store32(kernel + 0x238, 19);
        expect_loaded();
        begin_bzimage(64 * MIB);
        bytes_store32(kernel + 0x238, 18);
        expect_refused("takes command lines of 18 bytes, this one has 19");
}

/* ---- ELF ---- */

static void an_elf_lies_where_its_segments_say(void **state)
{
        static size_t (*const makers[])(uint8_t *) = {kernel_make_elf64, kernel_make_elf32};

        (void)state;
        for (size_t i = 0; i < array_size(makers); i++) {
                size_t len = makers[i](kernel);

                begin(BOOT_ARCH_X86_64, 64 * MIB);
                world_set_kernel(kernel, len);
                expect_loaded();
                assert_int_equal(world->load.entry.mode, KVM_BOOT_PVH);
                assert_int_equal(world->load.entry.entry, 16 * MIB + 0x40);
                expect_bytes(16 * MIB, kernel + 0x1000, 0x2000);
                expect_bytes(18 * MIB, kernel + 0x3000, 0x800);
                assert_int_equal(ram64(18 * MIB + 0x800), 0);
        }
}

static void its_start_info_says_where_everything_is(void **state)
{
        static const struct x86_map_range map[] = {
            {0, 0x9fc00, X86_MAP_RAM}, {0xe0000, 0x20000, X86_MAP_RESERVED}, {MIB, 63 * MIB, X86_MAP_RAM}};
        uint64_t info, module;

        (void)state;
        begin(BOOT_ARCH_X86_64, 64 * MIB);
        world_set_kernel(kernel, kernel_make_elf64(kernel));
        expect_loaded();
        info = world->load.entry.arg;
        assert_int_equal(ram32(info), 0x336ec578);
        assert_int_equal(ram32(info + 4), 1);
        assert_int_equal(ram32(info + 12), 1);
        module = ram64(info + 16);
        assert_int_equal(ram64(module), (64 * MIB - sizeof(initrd)) / 4096 * 4096);
        assert_int_equal(ram64(module + 8), sizeof(initrd));
        expect_bytes(ram64(module), initrd, sizeof(initrd));
        expect_bytes(ram64(info + 24), "console=ttyS0 quiet", 20);
        expect_bytes(ram64(info + 32), "RSD PTR ", 8);
        assert_int_equal(ram32(info + 48), 3);
        expect_map(ram64(info + 40), map, 3, 24);
}

static void an_elf_without_entry_or_out_of_place_is_refused(void **state)
{
        size_t len = kernel_make_elf64(kernel);

        (void)state;
        begin(BOOT_ARCH_X86_64, 64 * MIB);
        world_set_kernel(kernel, len);
        memcpy(kernel + 0x200 + 24 + 12, "Zen", 3); /* the second note's name */
        expect_refused("without a PVH entry: name a bzImage, or make it with CONFIG_PVH=y");
        len = kernel_make_elf64(kernel);
        bytes_store64(kernel + 64 + 24, 0xff000); /* p_paddr of the first segment */
        begin(BOOT_ARCH_X86_64, 64 * MIB);
        world_set_kernel(kernel, len);
        expect_refused("below 1 MiB");
        len = kernel_make_elf64(kernel);
        begin(BOOT_ARCH_X86_64, 18 * MIB + 0x4000);
        world_set_kernel(kernel, len);
        expect_refused("needs memory up to 19 MiB: give the VM more");
        len = kernel_make_elf64(kernel);
        bytes_store64(kernel + 64 + 24, 17 * MIB);
        begin(BOOT_ARCH_X86_64, 64 * MIB);
        world_set_kernel(kernel, len);
        expect_refused("PVH entry outside of what is loaded");
}

/* ---- arm64 ---- */

static uint64_t tree_number(const void *tree, int node, const char *name)
{
        int len;
        const fdt64_t *value = fdt_getprop(tree, node, name, &len);

        assert_non_null(value);
        assert_int_equal(len, 8);
        return fdt64_ld(value); /* it lies at any multiple of four */
}

static void an_arm64_image_lies_at_the_beginning_and_its_tree_behind(void **state)
{
        const uint64_t base = 0x40000000;
        const void *tree;
        uint64_t at;
        size_t len;
        int chosen;

        (void)state;
        begin(BOOT_ARCH_ARM64, 64 * MIB);
        len = kernel_make_arm64(kernel);
        world_set_kernel(kernel, len);
        expect_loaded();
        assert_int_equal(world->load.entry.mode, KVM_BOOT_ARM64);
        assert_int_equal(world->load.entry.entry, base);
        assert_int_equal(world->load.entry.arg, base + 4 * MIB);
        expect_bytes(base, kernel, len);
        tree = world->ram + 4 * MIB;
        assert_int_equal(fdt_check_full(tree, fdt_totalsize(tree)), 0);
        chosen = fdt_path_offset(tree, "/chosen");
        at = tree_number(tree, chosen, "linux,initrd-start");
        assert_int_equal(tree_number(tree, chosen, "linux,initrd-end") - at, sizeof(initrd));
        assert_int_equal(at, base + 6 * MIB);
        expect_bytes(at, initrd, sizeof(initrd));
        assert_string_equal(fdt_getprop(tree, chosen, "bootargs", NULL), "console=ttyS0 quiet");
}

static void an_arm64_image_needs_room_for_kernel_tree_and_initrd(void **state)
{
        static const struct {
                uint64_t memory;
                bool initrd;
                const char *words;
        } rows[] = {
            {6 * MIB, false, NULL},
            {6 * MIB - 4096, false, "need 6 MiB of memory: give the VM more"},
            {6 * MIB + 3 * 4096, true, NULL},
            {6 * MIB + 2 * 4096, true, "the initrd has 1 MiB, and 0 MiB are free"},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin(BOOT_ARCH_ARM64, rows[i].memory);
                world_set_kernel(kernel, kernel_make_arm64(kernel));
                if (!rows[i].initrd)
                        world->load.initrd.fd = -1;
                if (rows[i].words)
                        expect_refused(rows[i].words);
                else
                        expect_loaded();
        }
}

/* Kernel, tree and initrd lie from the beginning of RAM to 7 MiB and a bit behind it. */
static void an_arm64_pool_lies_behind_what_is_loaded(void **state)
{
        static const struct {
                uint64_t start, len;
                bool good;
        } rows[] = {
            {8 * MIB, 2 * MIB, true},  {62 * MIB, 2 * MIB, true}, {6 * MIB, 2 * MIB, false},
            {4 * MIB, 2 * MIB, false}, {0, 2 * MIB, false},       {2 * MIB, 32 * MIB, false},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin(BOOT_ARCH_ARM64, 64 * MIB);
                world_set_kernel(kernel, kernel_make_arm64(kernel));
                world->options.n_pools = 1;
                world->options.pool[0] = (struct boot_range){0x40000000 + rows[i].start, rows[i].len};
                world->options.device_pool[1] = 1;
                if (rows[i].good)
                        expect_loaded();
                else
                        expect_refused("kernel, device tree and initrd lie from 0x40000000 to 0x4");
        }
        begin(BOOT_ARCH_ARM64, 64 * MIB); /* without an initrd: right behind the tree's place */
        world_set_kernel(kernel, kernel_make_arm64(kernel));
        world->load.initrd.fd = -1;
        world->options.n_pools = 1;
        world->options.pool[0] = (struct boot_range){0x40000000 + 6 * MIB, 2 * MIB};
        world->options.device_pool[1] = 1;
        expect_loaded();
}

/* ---- all ---- */

static void a_kernel_of_another_machine_is_named(void **state)
{
        (void)state;
        begin(BOOT_ARCH_ARM64, 64 * MIB);
        world_set_kernel(kernel, kernel_make_bzimage(kernel));
        expect_refused("the kernel file is a kernel for x86 (bzImage): name one for this machine");
        begin(BOOT_ARCH_X86_64, 64 * MIB);
        world_set_kernel(kernel, kernel_make_arm64(kernel));
        expect_refused("the kernel file is a kernel for arm64 (Image): name one for this machine");
}

static void a_file_that_becomes_shorter_is_no_crash(void **state)
{
        static size_t (*const makers[])(uint8_t *) = {kernel_make_bzimage, kernel_make_elf64,
                                                      kernel_make_arm64};

        (void)state;
        for (size_t i = 0; i < array_size(makers); i++) {
                size_t len = makers[i](kernel);

                for (uint64_t at = 0; at < len; at += 61) {
                        world = world_reset(i == 2 ? BOOT_ARCH_ARM64 : BOOT_ARCH_X86_64, 64 * MIB);
                        world_set_kernel(kernel, len);
                        world->fail_read_at = at;
                        assert_false(world_load());
                }
        }
}

static void loads(const uint8_t *bytes, size_t len, void *context)
{
        unsigned *n_loaded = context;

        for (enum boot_arch arch = BOOT_ARCH_X86_64; arch <= BOOT_ARCH_ARM64; arch++) {
                world_reset(arch, 40 * MIB);
                world_set_kernel(bytes, len);
                world_set_initrd(NULL, 5000);
                *n_loaded += world_load();
        }
}

/* The heads alone: what follows is carried. */
static void bit_flips_and_truncations_never_leave_the_ram(void **state)
{
        static size_t (*const makers[])(uint8_t *) = {kernel_make_bzimage, kernel_make_elf64,
                                                      kernel_make_elf32, kernel_make_arm64};
        static uint8_t bytes[KERNEL_BYTES];

        (void)state;
        for (size_t i = 0; i < array_size(makers); i++) {
                size_t len = makers[i](bytes), head = MIN(len, (size_t)0x300);
                unsigned n_loaded = 0;

                for (size_t bit = 0; bit < head * 8; bit++) {
                        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                        unit_sweep_one(bytes, len, loads, &n_loaded);
                        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                }
                for (size_t n = 0; n < len; n += n < head ? 1 : 501)
                        unit_sweep_one(bytes, n, loads, &n_loaded);
                assert_true(n_loaded > 100);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_bzimage_lies_where_it_wants_to),
            cmocka_unit_test(its_zero_page_says_where_everything_is),
            cmocka_unit_test(the_memory_map_has_the_hole_and_what_lies_behind_it),
            cmocka_unit_test(an_initrd_lies_below_what_the_kernel_reaches),
            cmocka_unit_test(without_an_initrd_none_is_named),
            cmocka_unit_test(what_does_not_fit_is_refused_at_the_edge),
            cmocka_unit_test(a_command_line_is_as_long_as_the_kernel_takes),
            cmocka_unit_test(an_elf_lies_where_its_segments_say),
            cmocka_unit_test(its_start_info_says_where_everything_is),
            cmocka_unit_test(an_elf_without_entry_or_out_of_place_is_refused),
            cmocka_unit_test(an_arm64_image_lies_at_the_beginning_and_its_tree_behind),
            cmocka_unit_test(an_arm64_image_needs_room_for_kernel_tree_and_initrd),
            cmocka_unit_test(an_arm64_pool_lies_behind_what_is_loaded),
            cmocka_unit_test(a_kernel_of_another_machine_is_named),
            cmocka_unit_test(a_file_that_becomes_shorter_is_no_crash),
            cmocka_unit_test(bit_flips_and_truncations_never_leave_the_ram),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
