/* `memory: {raw: ...}` as the file has it: what it becomes, and what a mistake says, and where.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define HEAD         "vm: v\nfrontend: vhost-user\n"
#define SAMPLE(keys) HEAD "devices: [{name: s, type: sample, " keys "}]\n"
#define RNG(keys)    HEAD "devices: [{name: r, type: rng, " keys "}]\n"

static const struct config_context context = {
    .folder = "/etc/vms", .run_dir = "/run/bulkhead", .worker_dir = "/usr/libexec/bulkhead"};
static struct mistakes mistakes;

static int parse(const char *text, struct vm_config *ret_config)
{
        mistakes = (struct mistakes){0};
        return config_parse(text, strlen(text), &context, &mistakes, ret_config);
}

static void a_window_is_what_the_file_says(void **state)
{
        static const char *const texts[] = {SAMPLE("memory: {raw: {start: 1M, size: 64M}}"),
                                            SAMPLE("shmem: map, memory: {raw: {size: 64M, start: 0x100000}}"),
                                            SAMPLE("memory: {iotlb: false, raw: {start: 1M, size: 64M}}")};
        struct vm_config config;

        (void)state;
        for (size_t i = 0; i < array_size(texts); i++) {
                assert_int_equal(parse(texts[i], &config), 0);
                assert_true(config.devices[0].memory.raw);
                assert_int_equal(config.devices[0].memory.n_windows, 1);
                assert_int_equal(config.devices[0].memory.windows[0].start, 1 << 20);
                assert_int_equal(config.devices[0].memory.windows[0].size, 64 << 20);
                mistakes_done(&mistakes);
                vm_config_done(&config);
        }
        assert_int_equal(parse(SAMPLE("memory: {windows: [{start: 1M, size: 64M}]}"), &config), 0);
        assert_false(config.devices[0].memory.raw);
        mistakes_done(&mistakes);
        vm_config_done(&config);
}

static const struct {
        const char *text, *says;
        unsigned column;
} bad[] = {
    {SAMPLE("memory: {raw: {start: 4K}}"), "size: is missing", 49},
    {SAMPLE("memory: {raw: 4K}"), "raw is not a mapping", 49},
    {SAMPLE("memory: {raw: {start: 4K, size: 5000}}"), "size: use a size of whole 4096", 67},
    {SAMPLE("memory: {raw: {start: 5000, size: 4K}}"), "start: use an address of whole 4096", 57},
    {RNG("memory: {raw: {start: 4K, size: 8K}}"),
     "memory: raw is for workers that walk their own rings, and rng is none", 0},
    {SAMPLE("memory: {windows: [{start: 1M, size: 1M}], raw: {start: 4K, size: 8K}}"),
     "memory: raw is the only window: remove windows", 0},
    {SAMPLE("memory: {iotlb: true, raw: {start: 4K, size: 8K}}"),
     "memory: raw is of guest-physical addresses: remove iotlb", 0},
    {SAMPLE("rate: {ops: 100}, memory: {raw: {start: 4K, size: 8K}}"),
     "rate counts requests, and with memory: raw there are none: remove rate", 0},
};

static void a_mistake_is_named_with_its_place(void **state)
{
        struct vm_config config;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                assert_int_equal(parse(bad[i].text, &config), -EINVAL);
                if (mistakes.n != 1 || !strstr(mistakes.list[0].text, bad[i].says) ||
                    mistakes.list[0].line != 3 ||
                    (bad[i].column > 0 && mistakes.list[0].column != bad[i].column)) {
                        mistakes_print(&mistakes, bad[i].text, stderr);
                        fail_msg("wanted %u: %s", bad[i].column, bad[i].says);
                }
                mistakes_done(&mistakes);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_window_is_what_the_file_says),
            cmocka_unit_test(a_mistake_is_named_with_its_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
