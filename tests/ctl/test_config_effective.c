/* What `check` prints of a configuration: what it means, once more.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_effective.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/ctl/config_load.h"
#include "proto/base/checked.h"

#define HEAD      "vm: demo\nfrontend: vhost-user\n"
#define KVM       "vm: demo\nfrontend: kvm\nkernel: vmlinuz\n"
#define RNG       "devices: [{name: r, type: rng}]\n"
#define BLK(more) HEAD "devices:\n  - {name: d, type: blk, path: /i" more "}\n"

static const char example[] =
    "vm: demo\n"
    "frontend: vhost-user\n"
    "devices:\n"
    "  - {name: disk0, type: blk, path: /var/lib/bulkhead/demo.img, read_only: false}\n"
    "  - {name: rng0, type: rng}\n";

static int parse(const char *text, size_t len, struct mistakes *mistakes, struct vm_config *config)
{
        const struct config_context context = {
            .folder = "/etc/vms", .run_dir = "/run/bulkhead", .worker_dir = "/usr/libexec/bulkhead"};

        *mistakes = (struct mistakes){0};
        return config_parse(text, len, &context, mistakes, config);
}

static void what_check_prints_means_the_same(void **state)
{
        static const char *const texts[] = {
            example,
            BLK(", serial: \"\", read_only: true, block_size: 4096, request_timeout: 5, poll_us: 7, "
                "placement: free"),
            BLK(", serial: \"true\", direct: true"),
            HEAD "devices: [{name: n, type: net}, {name: f, type: fs, path: /f}, {name: c, type: console}]\n",
            HEAD "devices: [{name: n, type: net, backend: tap, tap: t0, mac: \"52:54:00:12:34:56\"}]\n",
            HEAD "socket: {mode: 0600, group: root}\nlimits: {worker_memory: 8388609}\n" RNG,
            BLK(", limits: {cpu: 50%, read_bps: 7M}"),
            BLK(", limits: {memory: 8388609, cpu_weight: 1, io_weight: 2, write_bps: 3G, read_iops: 44, "
                "write_iops: 55}"),
            KVM RNG,
            KVM "devices: [{name: r, type: rng, legacy: only}, {name: d, type: blk, path: /i, legacy: "
                "only-big-endian}]\n",
            KVM "vcpus: 3\nmemory: 48M\ninitrd: /i\ncmdline: \"true\"\nserial: none\n" RNG,
            "vm: \"123\"\nfrontend: vhost-user\ndevices: [{name: \"null\", type: rng}]\n",
        };

        (void)state;
        for (size_t i = 0; i < array_size(texts); i++) {
                char *first = NULL, *second = NULL;
                struct device_limits limits;
                struct mistakes mistakes;
                struct vm_config c;
                size_t len;
                FILE *out;

                assert_int_equal(parse(texts[i], strlen(texts[i]), &mistakes, &c), 0);
                out = open_memstream(&first, &len);
                assert_int_equal(config_effective_print(&c, out), 0);
                fclose(out);
                limits = c.devices[0].limits;
                vm_config_done(&c);
                assert_int_equal(parse(first, strlen(first), &mistakes, &c), 0);
                out = open_memstream(&second, &len);
                assert_int_equal(config_effective_print(&c, out), 0);
                fclose(out);
                assert_memory_equal(&c.devices[0].limits, &limits, sizeof(limits));
                vm_config_done(&c);
                assert_string_equal(first, second);
                free(first);
                free(second);
        }
}

/* A network has a tap or a mac, a folder an owner, only when somebody has said so; a disk without a serial is a wish. */
static void check_leaves_out_what_nobody_has_said(void **state)
{
        static const char text[] =
            HEAD "devices:\n  - {name: n, type: net}\n  - {name: f, type: fs, path: /f}\n"
                 "  - {name: d, type: blk, path: /i, serial: \"\"}\n";
        static const char *const none[] = {"legacy:", "tap:", "mac:", "owner:", "pcap:", "forward:"};
        struct mistakes mistakes;
        struct vm_config c;
        char *printed = NULL;
        size_t len;
        FILE *out;

        (void)state;
        assert_int_equal(parse(text, strlen(text), &mistakes, &c), 0);
        out = open_memstream(&printed, &len);
        assert_int_equal(config_effective_print(&c, out), 0);
        fclose(out);
        for (size_t i = 0; i < array_size(none); i++)
                assert_null(strstr(printed, none[i]));
        assert_non_null(strstr(printed, "serial: \"\"\n"));
        assert_non_null(strstr(printed, "tag: \"f\"\n"));
        vm_config_done(&c);
        free(printed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_check_prints_means_the_same),
            cmocka_unit_test(check_leaves_out_what_nobody_has_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
