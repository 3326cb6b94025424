/* Configurations: good ones and what they become, bad ones and every mistake with its place.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/device/blk.h"

#define HEAD      "vm: demo\nfrontend: vhost-user\n"
#define KVM       "vm: demo\nfrontend: kvm\nkernel: vmlinuz\n"
#define RNG       "devices: [{name: r, type: rng}]\n"
#define BLK(more) HEAD "devices:\n  - {name: d, type: blk, path: /i" more "}\n"

static const struct config_context context = {
    .folder = "/etc/vms", .run_dir = "/run/bulkhead", .worker_dir = "/usr/libexec/bulkhead"};

static const char example[] =
    "vm: demo\n"
    "frontend: vhost-user\n"
    "devices:\n"
    "  - {name: disk0, type: blk, path: /var/lib/bulkhead/demo.img, read_only: false}\n"
    "  - {name: rng0, type: rng}\n";

static int parse_in(const char *text, size_t len, const struct config_context *where,
                    struct mistakes *mistakes, struct vm_config *config)
{
        *mistakes = (struct mistakes){0};
        return config_parse(text, len, where, mistakes, config);
}

static void the_example_gets_its_defaults(void **state)
{
        struct blk_options blk;
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        assert_int_equal(parse_in(example, strlen(example), &context, &mistakes, &c), 0);
        assert_int_equal(mistakes.n, 0);
        assert_string_equal(c.name, "demo");
        assert_int_equal(c.frontend, VM_FRONTEND_VHOST_USER);
        assert_string_equal(c.run_dir, "/run/bulkhead");
        assert_string_equal(c.worker_dir, "/usr/libexec/bulkhead");
        assert_int_equal(c.socket_mode, 0660);
        assert_true(c.socket_gid == VM_CONFIG_NO_GID);
        assert_true(c.uid_first == VM_CONFIG_UID_FIRST && c.uid_count == VM_CONFIG_UID_COUNT);
        assert_true(c.worker_memory_max == VM_CONFIG_MEMORY_MAX);
        assert_int_equal(c.n_devices, 2);
        assert_string_equal(c.devices[0].name, "disk0");
        assert_int_equal(c.devices[0].type, DEVICE_TYPE_BLK);
        blk = blk_options_read(&c.devices[0].options);
        assert_string_equal(blk.path, "/var/lib/bulkhead/demo.img");
        assert_string_equal(blk.serial, "disk0");
        assert_false(blk.read_only);
        assert_int_equal(blk.block_size, 512);
        assert_int_equal(c.devices[0].n_queues, 1);
        assert_int_equal(c.devices[0].n_lanes, 1);
        assert_int_equal(c.devices[0].request_timeout, 60);
        assert_int_equal(c.devices[0].copy, DEVICE_COPY_AUTO);
        assert_int_equal(c.devices[0].placement, DEVICE_PLACEMENT_AUTO);
        assert_int_equal(c.devices[1].placement, DEVICE_PLACEMENT_AUTO);
        assert_int_equal(c.devices[0].poll_us, sysconf(_SC_NPROCESSORS_ONLN) < 4 ? 0 : 50);
        assert_int_equal(c.devices[1].type, DEVICE_TYPE_RNG);
        vm_config_done(&c);
}

static void every_key_arrives_where_it_belongs(void **state)
{
        static const char text[] =
            "vm: v_1\nfrontend: vhost-user\nrun_dir: rd\n"
            "socket: {mode: \"0666\", group: 12}\n"
            "uids: {first: 100000, count: 5}\nlimits: {worker_memory: 8M}\n"
            "devices:\n- name: d\n  type: blk\n  path: ./i.img\n  read_only: true\n"
            "  lanes: 3\n  queues: 16\n  serial: 'ab c'\n  block_size: 4096\n"
            "  request_timeout: 3600\n  copy: socket\n  poll_us: 1000\n  placement: free\n"
            "  limits: {memory: 12M, cpu: 50%, cpu_weight: 3, io_weight: 4,\n"
            "    read_bps: 5M, write_bps: 6G, read_iops: 70, write_iops: 80}\n"
            "  rate: {ops: 500, bytes: 3M, ops_burst: 6, bytes_burst: 1G}\n"
            "  memory: {iotlb: true, windows: [{start: 0x80000000, size: 64M}, {start: 1M, size: 4096}]}\n";
        struct blk_options blk;
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        assert_int_equal(parse_in(text, strlen(text), &context, &mistakes, &c), 0);
        assert_string_equal(c.run_dir, "/etc/vms/rd");
        assert_int_equal(c.socket_mode, 0666);
        assert_int_equal(c.socket_gid, 12);
        assert_int_equal(c.uid_first, 100000);
        assert_int_equal(c.uid_count, 5);
        assert_int_equal(c.worker_memory_max, 8 << 20);
        blk = blk_options_read(&c.devices[0].options);
        assert_string_equal(blk.path, "/etc/vms/i.img");
        assert_true(blk.read_only);
        assert_int_equal(c.devices[0].n_queues, 16);
        assert_int_equal(c.devices[0].n_lanes, 3);
        assert_string_equal(blk.serial, "ab c");
        assert_int_equal(blk.block_size, 4096);
        assert_int_equal(c.devices[0].request_timeout, 3600);
        assert_int_equal(c.devices[0].copy, DEVICE_COPY_SOCKET);
        assert_int_equal(c.devices[0].poll_us, 1000);
        assert_int_equal(c.devices[0].placement, DEVICE_PLACEMENT_FREE);
        assert_int_equal(c.devices[0].limits.memory, 12 << 20);
        assert_int_equal(c.devices[0].limits.cpu, 50);
        assert_int_equal(c.devices[0].limits.cpu_weight, 3);
        assert_int_equal(c.devices[0].limits.io_weight, 4);
        assert_int_equal(c.devices[0].limits.read_bps, 5 << 20);
        assert_true(c.devices[0].limits.write_bps == 6ull << 30);
        assert_int_equal(c.devices[0].limits.read_iops, 70);
        assert_int_equal(c.devices[0].limits.write_iops, 80);
        assert_int_equal(c.devices[0].rate.ops, 500);
        assert_int_equal(c.devices[0].rate.bytes, 3 << 20);
        assert_int_equal(c.devices[0].rate.ops_burst, 6);
        assert_int_equal(c.devices[0].rate.bytes_burst, 1 << 30);
        assert_true(c.devices[0].memory.iotlb);
        assert_int_equal(c.devices[0].memory.n_windows, 2);
        assert_memory_equal(c.devices[0].memory.windows,
                            ((struct device_window[]){{0x80000000, 64 << 20}, {1 << 20, 4096}}), 32);
        assert_int_equal(mistakes.n_errors, 0);
        assert_int_equal(mistakes.n, 1); /* mode 0666 is warned about */
        assert_int_equal(mistakes.list[0].level, MISTAKE_WARNING);
        assert_int_equal(mistakes.list[0].line, 4);
        mistakes_done(&mistakes);
        vm_config_done(&c);
}

static void a_vm_of_our_own_gets_its_defaults(void **state)
{
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        assert_int_equal(parse_in(KVM RNG, strlen(KVM RNG), &context, &mistakes, &c), 0);
        assert_int_equal(c.frontend, VM_FRONTEND_KVM);
        assert_int_equal(c.kvm.vcpus, 1);
        assert_true(c.kvm.memory == VM_CONFIG_GUEST_MEMORY);
        assert_int_equal(c.kvm.serial, VM_SERIAL_STDIO);
        assert_string_equal(c.boot.kernel, "/etc/vms/vmlinuz");
        assert_string_equal(c.boot.initrd, "");
        assert_string_equal(c.boot.cmdline, "");
        vm_config_done(&c);
}

static void each_legacy_interface_arrives(void **state)
{
        static const char text[] = KVM "devices: [{name: a, type: rng}, {name: b, type: rng, legacy: off}, "
                                       "{name: c, type: rng, legacy: only}, "
                                       "{name: d, type: console, legacy: only-big-endian}]\n";
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        assert_int_equal(parse_in(text, strlen(text), &context, &mistakes, &c), 0);
        assert_int_equal(c.devices[0].legacy, DEVICE_LEGACY_OFF);
        assert_int_equal(c.devices[1].legacy, DEVICE_LEGACY_OFF);
        assert_int_equal(c.devices[2].legacy, DEVICE_LEGACY_ONLY);
        assert_int_equal(c.devices[3].legacy, DEVICE_LEGACY_ONLY_BIG);
        vm_config_done(&c);
}

static void each_key_of_a_vm_of_our_own_arrives(void **state)
{
        static const char text[] =
            "devices:\n- {name: r, type: rng}\nserial: none\ncmdline: console=ttyS0 quiet\n"
            "initrd: ./i\nkernel: /boot/k\nmemory: 3G\nvcpus: 64\nfrontend: kvm\n"
            "uids: {first: 1000, count: 3}\nvm: v\n";
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        assert_int_equal(parse_in(text, strlen(text), &context, &mistakes, &c), 0);
        assert_int_equal(c.kvm.vcpus, 64);
        assert_true(c.kvm.memory == 3ull << 30);
        assert_int_equal(c.kvm.serial, VM_SERIAL_NONE);
        assert_string_equal(c.boot.kernel, "/boot/k");
        assert_string_equal(c.boot.initrd, "/etc/vms/i");
        assert_string_equal(c.boot.cmdline, "console=ttyS0 quiet");
        vm_config_done(&c);
}

static void a_given_run_dir_wins_over_the_files(void **state)
{
        static const char text[] = HEAD "run_dir: /other\n" RNG;
        struct config_context given = context;
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        given.run_dir_given = true;
        assert_int_equal(parse_in(text, strlen(text), &given, &mistakes, &c), 0);
        assert_string_equal(c.run_dir, "/run/bulkhead");
        vm_config_done(&c);
}

/* Good texts near an edge. */
static void values_at_their_limits_are_good(void **state)
{
        static const char *const good[] = {
            BLK(", queues: 1"),
            BLK(", queues: 16"),
            BLK(", lanes: 1"),
            BLK(", lanes: 16, queues: 16"),
            HEAD "devices: [{name: r, type: rng, lanes: 1}]\n",
            HEAD "limits: {worker_memory: 8M}\ndevices:\n"
                 "  - {name: d, type: blk, path: /i, lanes: 2, queues: 2, limits: {memory: 10M}}\n",
            BLK(", serial: \"12345678901234567890\""),
            BLK(", serial: \"\""),
            BLK(", block_size: 512"),
            BLK(", direct: false"),
            BLK(", request_timeout: 1"),
            BLK(", copy: socket"),
            BLK(", poll_us: 0"),
            BLK(", placement: auto"),
            HEAD "uids: {first: 1000, count: 2}\n" RNG,
            HEAD "uids: {first: 4294900000, count: 3}\n" RNG,
            HEAD "limits: {worker_memory: 8M}\n" RNG,
            HEAD "limits: {worker_memory: 4294967295}\n" RNG,
            KVM "vcpus: 64\nmemory: 16M\n" RNG,
            KVM "memory: 65536G\ncmdline: \"\"\n" RNG,
            HEAD "limits: {}\nuids: {}\nsocket: {}\n" RNG,
            BLK(", limits: {}"),
            BLK(", rate: {}"),
            BLK(", memory: {}"),
            BLK(", memory: {iotlb: false}"),
            BLK(", memory: {windows: [{size: 1G, start: 0x100000000}, {start: 0xFFFF000, size: 4096}]}"),
            KVM "devices: [{name: r, type: rng, memory: {windows: [{start: 64M, size: 64M}]}}]\n",
            BLK(", rate: {ops: 10, bytes: 1M}"),
            BLK(", rate: {ops_burst: 4294967295, ops: 4294967295, bytes_burst: 16G, bytes: 16G}"),
            BLK(", rate: {ops: 1001, ops_burst: 11}"),
            HEAD "devices: [{name: r, type: rng, rate: {ops: 10}}]\n",
            BLK(", limits: {memory: 8M, cpu: 1%, cpu_weight: 1, io_weight: 1}"),
            BLK(", limits: {memory: 4294967295, cpu: 100%, cpu_weight: 10000, io_weight: 10000}"),
            BLK(", limits: {read_bps: 1M, write_bps: 1024K, read_iops: 10, write_iops: 4294967295}"),
            HEAD "devices: [{name: r, type: rng, limits: {cpu: 7%}}]\n",
            "--- # a comment\n" HEAD RNG "...\n",
            "vm: &anchor demo\nfrontend: vhost-user\n" RNG,
            "{\"vm\": \"demo\", \"frontend\": \"vhost-user\", \"devices\": [{\"name\": \"r\", \"type\": "
            "\"rng\"}]}",
        };

        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                struct mistakes mistakes;
                struct vm_config c;

                if (parse_in(good[i], strlen(good[i]), &context, &mistakes, &c) < 0) {
                        mistakes_print(&mistakes, good[i], stderr);
                        fail();
                }
                vm_config_done(&c);
        }
}

struct expected {
        size_t line, column;
        const char *text; /* part of the message */
};

static const struct {
        const char *text;
        struct expected mistakes[8];
} bad[] = {
    {"", {{1, 1, "the file is empty"}}},
    {"# nothing\n", {{1, 1, "the file is empty"}}},
    {"just words\n", {{1, 1, "the file is not a mapping"}}},
    {"- a\n- b\n", {{1, 1, "the file is not a mapping"}}},
    {"vm: demo\n", {{1, 1, "frontend: is missing"}, {1, 1, "devices: is missing"}}},
    {"vm: {\n", {{2, 1, "not YAML"}}},
    {"vm: demo\n\tfrontend: x\n", {{2, 1, "not YAML"}}},
    {HEAD RNG "---\nvm: b\n", {{4, 1, "a second document"}}},
    {"vm: &a demo\nfrontend: vhost-user\ndevices: [{name: *a, type: rng}]\n", {{3, 18, "aliases"}}},
    {HEAD "devices: []\n", {{3, 10, "devices has 0 entries"}}},
    {HEAD "devices: none\n", {{3, 10, "devices is not a list"}}},
    {HEAD "devices: [x, {name: r, type: rng}]\n", {{3, 11, "an entry of devices is not a mapping"}}},
    {HEAD RNG "devices: []\n", {{4, 1, "devices is there twice"}}},
    {HEAD RNG "tap: 1\n", {{4, 1, "unknown key \"tap\": known here are vm, frontend, vcpus"}}},
    {HEAD RNG "\"a\\nb\": 1\n", {{4, 1, "unknown key \"a\\x0ab\""}}},
    {HEAD RNG "[a]: 1\n", {{4, 1, "a key is not a plain word"}}},
    {"vm: demo\nfrontend: xen\nkernel: x\n" RNG,
     {{2, 11, "unknown frontend \"xen\": known are vhost-user, kvm"}}},
    {"vm: demo\nfrontend: kvm\n" RNG, {{1, 1, "kernel: is missing: frontend kvm needs it"}}},
    {KVM "vcpus: 0\n" RNG, {{4, 8, "vcpus is 0: use 1 to 64"}}},
    {KVM "vcpus: 65\n" RNG, {{4, 8, "vcpus is 65: use 1 to 64"}}},
    {KVM "vcpus: two\n" RNG, {{4, 8, "vcpus is \"two\": use a whole decimal number"}}},
    {KVM "memory: 15M\n" RNG, {{4, 9, "memory is 15728640 bytes: use 16M to 64T"}}},
    {KVM "memory: 65537G\n" RNG, {{4, 9, "use 16M to 64T"}}},
    {KVM "memory: 33000K\n" RNG, {{4, 9, "use whole megabytes, such as 512M"}}},
    {KVM "memory: lots\n" RNG, {{4, 9, "memory: use a size such as 512M"}}},
    {KVM "initrd: \"\"\n" RNG, {{4, 9, "initrd is empty"}}},
    {KVM "initrd: \n" RNG, {{4, 8, "initrd is empty: give it a value or leave it out"}}},
    {KVM "cmdline: \"a\\tb\"\n" RNG, {{4, 10, "cmdline: use at most 2047 printable ASCII characters"}}},
    {KVM "serial: pty\n" RNG, {{4, 9, "unknown serial \"pty\": known are stdio, none"}}},
    {KVM "kernel: /b\n" RNG, {{4, 1, "kernel is there twice"}}},
    {KVM "uids: {first: 1000, count: 2}\n" RNG,
     {{4, 7, "3 are needed, one for the broker, one for the kernel's loader"}}},
    {HEAD "vcpus: 2\nmemory: 1G\nkernel: /k\ninitrd: /i\ncmdline: a\nserial: none\n" RNG,
     {{3, 8, "vcpus: the VMM that attaches has its own: remove it, or say frontend: kvm"},
      {4, 9, "memory: the VMM"},
      {5, 9, "kernel: the VMM"},
      {6, 9, "initrd: the VMM"},
      {7, 10, "cmdline: the VMM"},
      {8, 9, "serial: the VMM"}}},
    {"vm: demo\nfrontend: vfio\n" RNG, {{2, 11, "unknown frontend \"vfio\": known are vhost-user"}}},
    {"vm: demo\nfrontend: 1\n" RNG, {{2, 11, "unknown frontend \"1\""}}},
    {"vm: demo\nfrontend: [vhost-user]\n" RNG, {{2, 11, "frontend is a list"}}},
    {"vm:\nfrontend: vhost-user\n" RNG, {{1, 4, "vm is empty"}}},
    {"vm: \"\"\nfrontend: vhost-user\n" RNG, {{1, 5, "cannot be a file name"}}},
    {"vm: ../x\nfrontend: vhost-user\n" RNG, {{1, 5, "cannot be a file name"}}},
    {"vm: a123456789012345678901234567890123456789012345678901234567890123\nfrontend: vhost-user\n" RNG,
     {{1, 5, "use 1 to 63"}}},
    {"vm: uids\nfrontend: vhost-user\n" RNG, {{1, 5, "no VM can be called uids"}}},
    {"vm: \"a\\0b\"\nfrontend: vhost-user\n" RNG, {{1, 5, "NUL"}}},
    {HEAD "run_dir: \"/a b\"\n" RNG, {{3, 10, "without blanks and commas"}}},
    {HEAD "run_dir: /a,b\n" RNG, {{3, 10, "without blanks and commas"}}},
    {HEAD "run_dir: \"\"\n" RNG, {{3, 10, "run_dir is empty"}}},
    {HEAD
     "run_dir: "
     "/a123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123\n" RNG,
     {{3, 10, "use a shorter"}}},
    {HEAD "socket: {mode: 0668}\n" RNG, {{3, 16, "octal"}}},
    {HEAD "socket: {mode: 0060}\n" RNG, {{3, 16, "not usable"}}},
    {HEAD "socket: {group: \"no such\"}\n" RNG, {{3, 17, "no group \"no such\""}}},
    {HEAD "socket: 0660\n" RNG, {{3, 9, "socket is not a mapping"}}},
    {HEAD "uids: {first: 999}\n" RNG, {{3, 7, "start at 1000"}}},
    {HEAD "uids: {count: 1}\n" RNG, {{3, 7, "2 are needed"}}},
    {HEAD "uids: {first: 4294967290, count: 6}\n" RNG, {{3, 7, "nobody's own"}}},
    {HEAD "uids: {first: 65533, count: 2}\n" RNG, {{3, 7, "nobody's own"}}},
    {HEAD "uids: {first: 0x1000}\n" RNG, {{3, 15, "whole decimal number"}}},
    {HEAD "uids: {first: -1}\n" RNG, {{3, 15, "whole decimal number"}}},
    {HEAD "limits: {worker_memory: 8191K}\n" RNG, {{3, 25, "8 MiB"}}},
    {HEAD "limits: {worker_memory: 4G}\n" RNG, {{3, 25, "below 4G"}}},
    {HEAD "limits: {worker_memory: lots}\n" RNG, {{3, 25, "below 4G"}}},
    {HEAD "devices: [{type: rng}]\n", {{3, 11, "name: is missing"}}},
    {HEAD "devices: [{name: r}]\n", {{3, 11, "type: is missing"}}},
    {HEAD "devices: [{name: admin, type: rng}]\n", {{3, 18, "no device can be called admin"}}},
    {HEAD "devices: [{name: .x, type: rng}]\n", {{3, 18, "device name \".x\" cannot be a file name"}}},
    {HEAD "devices: [{name: r, type: gpu}]\n", {{3, 27, "unknown type \"gpu\": known are blk, rng"}}},
    {HEAD "devices: [{name: r, type: rng}, {name: r, type: rng}]\n", {{3, 40, "two devices are named r"}}},
    {HEAD "devices: [{name: r, type: rng, queues: 2}]\n", {{3, 40, "rng has 1 to 1"}}},
    {HEAD
     "devices: [{name: r, type: rng, path: /x, serial: s, block_size: 512, read_only: true, direct: true}]\n",
     {{3, 38, "path: a device of type rng has none"},
      {3, 50, "serial: a device"},
      {3, 65, "block_size: a device"},
      {3, 81, "read_only: a device"},
      {3, 95, "direct: a device"}}},
    {HEAD "devices: [{name: d, type: blk}]\n", {{3, 11, "path: is missing"}}},
    {HEAD "devices: [{name: d, type: blk, path: \"\"}]\n", {{3, 38, "path is empty"}}},
    {HEAD "devices: [{name: d, type: blk, path: }]\n", {{3, 38, "path is empty"}}},
    {HEAD "devices: [{name: r, type: rng, cup: t}]\n",
     {{3, 32, "unknown key \"cup\": known here are name, type, queues, lanes"}}},
    {BLK(", cup: t"),
     {{4, 36, "unknown key \"cup\": known here are name, type, path, read_only, direct, serial"}}},
    {BLK(", block_size: 1024, read_only: 1"),
     {{4, 48, "block_size is \"1024\": use 512 or 4096"}, {4, 65, "use true or false"}}},
    {BLK(", serial: [a]"), {{4, 44, "serial is a list"}}},
    {BLK(", queues: 0"), {{4, 44, "queues is 0: blk has 1 to 16"}}},
    {BLK(", queues: 17"), {{4, 44, "queues is 17: blk has 1 to 16"}}},
    {BLK(", queues: 4294967296"), {{4, 44, "whole decimal number"}}},
    {BLK(", lanes: 0"), {{4, 43, "lanes is 0: use 1 to 1 (not more than queues, which is 1)"}}},
    {BLK(", lanes: 5, queues: 4"), {{4, 43, "use 1 to 4"}}},
    {BLK(", lanes: two, queues: 2"), {{4, 43, "lanes is \"two\""}}},
    {BLK(", lanes: 2, queues: 2, limits: {memory: 8M}"), {{4, 43, "its worker needs 10M"}}},
    {BLK(", queues: many"), {{4, 44, "queues is \"many\""}}},
    {BLK(", read_only: flase"), {{4, 47, "read_only is \"flase\": use true or false"}}},
    {BLK(", direct: yes"), {{4, 44, "direct is \"yes\": use true or false"}}},
    {BLK(", read_only: off"), {{4, 47, "use true or false"}}},
    {BLK(", serial: \"123456789012345678901\""), {{4, 44, "at most 20"}}},
    {BLK(", serial: \"a\\tb\""), {{4, 44, "printable"}}},
    {BLK(", block_size: 1024"), {{4, 48, "use 512 or 4096"}}},
    {BLK(", request_timeout: 0"), {{4, 53, "use 1 to 3600 seconds"}}},
    {BLK(", request_timeout: 3601"), {{4, 53, "request_timeout is 3601"}}},
    {BLK(", request_timeout: 1m"), {{4, 53, "whole decimal number"}}},
    {BLK(", copy: bounce"), {{4, 42, "unknown copy \"bounce\": known are auto, socket"}}},
    {BLK(", placement: 1"), {{4, 47, "unknown placement \"1\": known are free, auto"}}},
    {BLK(", poll_us: 1001"), {{4, 45, "poll_us is 1001: use 0 to 1000"}}},
    {BLK(", poll_us: -1"), {{4, 45, "whole decimal number"}}},
    {BLK(", limits: 3"), {{4, 44, "limits is not a mapping"}}},
    {BLK(", limits: {disk: 3}"), {{4, 45, "unknown key \"disk\": known here are memory, cpu"}}},
    {BLK(", limits: {memory: 8191K}"), {{4, 53, "limits: memory is 8387584: use 8M at least"}}},
    {BLK(", limits: {memory: 4G}"), {{4, 53, "less than 4G"}}},
    {BLK(", limits: {memory: 50%}"), {{4, 53, "memory: use a size such as 64M"}}},
    {BLK(", limits: {cpu: 101%}"), {{4, 50, "cpu is 101: use 1% to 100%"}}},
    {BLK(", limits: {cpu: 0%}"), {{4, 50, "cpu: use a percentage such as 50%"}}},
    {BLK(", limits: {cpu: 0.5}"), {{4, 50, "cpu: use a percentage such as 50%"}}},
    {BLK(", limits: {cpu: 50}"), {{4, 50, "cpu: use a percentage such as 50%"}}},
    {BLK(", limits: {cpu: 18446744073709551616%}"), {{4, 50, "cpu: use a percentage"}}},
    {BLK(", limits: {cpu_weight: 10001}"), {{4, 57, "cpu_weight is 10001: use 1 to 10000"}}},
    {BLK(", limits: {io_weight: 0}"), {{4, 56, "io_weight: 0 is no limit: remove it"}}},
    {BLK(", limits: {io_weight: x}"), {{4, 56, "whole decimal number"}}},
    {BLK(", limits: {read_bps: 1023K, write_bps: 0}"),
     {{4, 55, "read_bps is 1047552: use 1M at least"}, {4, 73, "write_bps: use a size"}}},
    {BLK(", limits: {read_iops: 9}"), {{4, 56, "read_iops is 9: use 10 at least"}}},
    {BLK(", memory: iotlb"),
     {{4, 44, "memory is not a mapping: write key: value pairs; known keys are iotlb, windows, raw"}}},
    {BLK(", memory: {iotlb: on}"), {{4, 52, "iotlb is \"on\": use true or false"}}},
    {BLK(", memory: {iotlb: }"), {{4, 52, "iotlb is empty"}}},
    {BLK(", memory: {windows: [{start: 1M}]}"), {{4, 55, "size: is missing"}}},
    {BLK(", memory: {windows: [{start: 0x1800, size: 4K}]}"),
     {{4, 63, "start: use an address of whole 4096"}}},
    {BLK(", memory: {windows: [{start: 0x1g, size: 4K}]}"), {{4, 63, "start: use an address"}}},
    {BLK(", memory: {windows: [{start: 4K, size: 0x1000}]}"), {{4, 73, "size: use a size of whole 4096"}}},
    {BLK(", memory: {windows: [{start: 4K, size: 1M}, {start: 1M, size: 4K}]}"),
     {{4, 96, "memory: the window of 4096 bytes at 0x100000 overlaps the one at 0x1000"}}},
    {BLK(", memory: {windows: []}"), {{4, 54, "windows has 0 entries: use 1 to 8"}}},
    {BLK(", memory: {windows: [1M]}"), {{4, 55, "an entry of windows is not a mapping"}}},
    {KVM "devices: [{name: r, type: rng, memory: {iotlb: true}}]\n",
     {{0, 0, "device r: memory: iotlb needs an IOMMU, and this VM has none: add a device of type iommu"}}},
    {BLK(", legacy: only"),
     {{4, 44, "legacy: nothing tells over vhost-user which format a driver has: remove it"}}},
    {BLK(", legacy: yes"), {{4, 44, "unknown legacy \"yes\": known are off, only, only-big-endian"}}},
    {KVM "devices: [{name: n, type: net, legacy: only}]\n",
     {{4, 40, "legacy: net has the modern interface alone: remove it"}}},
    {KVM "devices: [{name: c, type: console, ports: [a, b], legacy: only}]\n",
     {{0, 0, "legacy: console has one port by the legacy interface: name one"}}},
    {KVM "devices: [{name: r, type: rng, legacy: only, memory: {windows: [{start: 1M, size: 1M}]}}]\n",
     {{4, 40, "legacy: such a driver cannot be told to keep to the windows of memory"}}},
    {BLK(", rate: {ops: 9}"), {{4, 48, "rate: ops is 9: use 10 to 4294967295"}}},
    {BLK(", rate: {ops: 0}"), {{4, 48, "ops: 0 is no limit: remove it"}}},
    {BLK(", rate: {ops: 1K}"), {{4, 48, "whole decimal number"}}},
    {BLK(", rate: {bytes: 1023K}"), {{4, 50, "rate: bytes is 1047552: use 1048576 to 17179869184"}}},
    {BLK(", rate: {bytes: 17G}"), {{4, 50, "use 1048576 to 17179869184"}}},
    {BLK(", rate: {bytes: fast}"), {{4, 50, "bytes: use a size such as 100M"}}},
    {BLK(", rate: {ops: 1001, ops_burst: 10}"), {{4, 65, "ops_burst is 10: use 11 (a hundredth of ops)"}}},
    {BLK(", rate: {bytes_burst: 1M}"), {{4, 56, "bytes_burst without bytes: add that"}}},
    {BLK(", rate: {ops_burst: 5}"), {{4, 54, "ops_burst without ops: add that"}}},
    {BLK(", rate: {iops: 100}"), {{4, 43, "unknown key \"iops\": known here are ops, bytes"}}},
    {BLK(", rate: 5"), {{4, 42, "rate is not a mapping"}}},
    {HEAD "devices: [{name: r, type: rng, limits: {write_iops: 10}}]\n",
     {{3, 53, "rng has no disk: remove it"}}},
    {"vm: .a\nfrontend: xen\nfoo: 1\nlimits: {worker_memory: 1}\ndevices:\n  - {name: d, type: blk, queues: "
     "99}\n"
     "  - {name: d, type: rng}\n",
     {{1, 5, "cannot be a file name"},
      {2, 11, "unknown frontend"},
      {3, 1, "unknown key"},
      {4, 25, "8 MiB"},
      {6, 5, "path: is missing"},
      {6, 34, "queues is 99"},
      {7, 12, "two devices"}}},
};

static void sort(struct mistakes *mistakes)
{
        FILE *nowhere = fopen("/dev/null", "w");

        assert_non_null(nowhere);
        mistakes_print(mistakes, "", nowhere); /* which sorts */
        fclose(nowhere);
}

static void check_bad(const char *text, const struct expected *expected, size_t n_max)
{
        struct mistakes mistakes;
        struct vm_config c = {.n_devices = 4711};
        size_t n = 0;

        assert_int_equal(parse_in(text, strlen(text), &context, &mistakes, &c), -EINVAL);
        assert_int_equal(c.n_devices, 4711); /* untouched */
        sort(&mistakes);
        while (n < n_max && expected[n].text)
                n++;
        for (size_t i = 0; i < MIN(n, mistakes.n); i++) {
                const struct mistake *m = &mistakes.list[i];

                if (m->line != expected[i].line || m->column != expected[i].column ||
                    !strstr(m->text, expected[i].text)) {
                        print_error("%s\nwanted %zu:%zu %s\n", text, expected[i].line, expected[i].column,
                                    expected[i].text);
                        mistakes_print(&mistakes, "got", stderr);
                        fail();
                }
        }
        if (mistakes.n != n) {
                mistakes_print(&mistakes, text, stderr);
                assert_int_equal(mistakes.n, n);
        }
        mistakes_done(&mistakes);
}

static void every_mistake_is_named_with_its_place(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                check_bad(bad[i].text, bad[i].mistakes, array_size(bad[i].mistakes));
}

static void as_many_devices_as_the_limit_and_not_one_more(void **state)
{
        char text[8192] = HEAD "devices:\n";
        struct mistakes mistakes;
        struct vm_config c;
        size_t used = strlen(text);

        (void)state;
        for (size_t i = 0; i < LIMIT_DEVICES; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "- {name: r%zu, type: rng}\n", i);
        assert_int_equal(parse_in(text, used, &context, &mistakes, &c), 0);
        assert_int_equal(c.n_devices, LIMIT_DEVICES);
        vm_config_done(&c);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "- {name: more, type: rng}\n");
        assert_int_equal(parse_in(text, used, &context, &mistakes, &c), -EINVAL);
        assert_int_equal(mistakes.n, 1);
        assert_non_null(strstr(mistakes.list[0].text, "devices has 65 entries: use 1 to 64"));
        mistakes_done(&mistakes);
}

/* Whatever comes, no crash and no leak: a result or at least one mistake. */
static void judge_anything(const char *text, size_t len)
{
        struct mistakes mistakes;
        struct vm_config c;
        int r = parse_in(text, len, &context, &mistakes, &c);

        if (r == 0)
                vm_config_done(&c);
        else
                assert_true(mistakes.n_errors > 0);
        mistakes_done(&mistakes);
}

static void no_cut_and_no_flipped_bit_breaks_the_reader(void **state)
{
        static const char full[] = "vm: demo\nfrontend: vhost-user\nsocket: {mode: \"0660\", group: root}\n"
                                   "uids: {first: 70000, count: 9}\ndevices:\n"
                                   "  - {name: d, type: blk, path: i, queues: 2}\n";
        const size_t len = strlen(full);
        char text[sizeof(full)];

        (void)state;
        for (size_t cut = 0; cut <= len; cut++)
                judge_anything(full, cut);
        for (size_t bit = 0; bit < len * 8; bit++) {
                memcpy(text, full, sizeof(full));
                text[bit / 8] = (char)(text[bit / 8] ^ (1 << (bit % 8)));
                judge_anything(text, len);
        }
}

/* Some are asked of options before their own lines have been read, and while another device's are. */
static void any_order_of_lines_and_devices_is_good(void **state)
{
        static const char text[] = HEAD
            "uids: {first: 70000, count: 7}\ndevices:\n"
            "  - {queues: 4, lanes: 2, name: n0, type: net}\n"
            "  - {type: console, limits: {memory: 9M}, name: c, ports: [a, b]}\n"
            "  - {mac: \"52:54:00:12:34:56\", queues: 2, type: net, backend: stream, name: n1, path: s}\n"
            "  - {type: blk, path: i, name: with-a-name-that-no-serial-holds}\n";
        struct mistakes mistakes;
        struct vm_config c;

        (void)state;
        if (parse_in(text, strlen(text), &context, &mistakes, &c) < 0) {
                mistakes_print(&mistakes, text, stderr);
                fail();
        }
        assert_string_equal(blk_options_read(&c.devices[3].options).serial, "with-a-name-that-no-");
        vm_config_done(&c);
}

static void deep_nesting_is_refused_and_not_followed(void **state)
{
        char text[4096];

        (void)state;
        memset(text, '[', sizeof(text));
        judge_anything(text, sizeof(text));
        memset(text, '{', sizeof(text));
        judge_anything(text, sizeof(text));
}

static void a_file_that_cannot_be_read_is_one_mistake(void **state)
{
        static const char *const paths[] = {"/nonexistent/x.yaml", "/"};

        (void)state;
        for (size_t i = 0; i < array_size(paths); i++) {
                struct mistakes mistakes = {0};
                struct vm_config c;

                assert_int_equal(config_load(paths[i], &context, &mistakes, &c), -EINVAL);
                assert_int_equal(mistakes.n, 1);
                assert_int_equal(mistakes.list[0].line, 0);
                assert_non_null(strstr(mistakes.list[0].text, "cannot be read"));
                mistakes_done(&mistakes);
        }
}

/* A file of `size` bytes: a good configuration and a long comment. */
static int load_of_size(size_t size, struct mistakes *mistakes)
{
        static const char begin[] = HEAD RNG "#";
        char path[] = "/tmp/bulkhead-test-XXXXXX";
        struct vm_config c;
        int fd = mkstemp(path), r;
        FILE *file = fdopen(fd, "w");

        assert_non_null(file);
        fputs(begin, file);
        for (size_t i = strlen(begin); i < size; i++)
                fputc('x', file);
        fclose(file);
        r = config_load(path, &context, mistakes, &c);
        if (r == 0)
                vm_config_done(&c);
        remove(path);
        return r;
}

static void a_file_may_be_as_long_as_the_limit(void **state)
{
        struct mistakes mistakes = {0};

        (void)state;
        assert_int_equal(load_of_size(LIMIT_CTL_CONFIG_BYTES - 1, &mistakes), 0);
        assert_int_equal(load_of_size(LIMIT_CTL_CONFIG_BYTES, &mistakes), 0);
        assert_int_equal(load_of_size(LIMIT_CTL_CONFIG_BYTES + 1, &mistakes), -EINVAL);
        assert_int_equal(mistakes.n, 1);
        assert_non_null(strstr(mistakes.list[0].text, "1 MiB"));
        mistakes_done(&mistakes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_example_gets_its_defaults),
            cmocka_unit_test(every_key_arrives_where_it_belongs),
            cmocka_unit_test(a_vm_of_our_own_gets_its_defaults),
            cmocka_unit_test(each_legacy_interface_arrives),
            cmocka_unit_test(each_key_of_a_vm_of_our_own_arrives),
            cmocka_unit_test(a_given_run_dir_wins_over_the_files),
            cmocka_unit_test(values_at_their_limits_are_good),
            cmocka_unit_test(every_mistake_is_named_with_its_place),
            cmocka_unit_test(as_many_devices_as_the_limit_and_not_one_more),
            cmocka_unit_test(no_cut_and_no_flipped_bit_breaks_the_reader),
            cmocka_unit_test(any_order_of_lines_and_devices_is_good),
            cmocka_unit_test(deep_nesting_is_refused_and_not_followed),
            cmocka_unit_test(a_file_that_cannot_be_read_is_one_mistake),
            cmocka_unit_test(a_file_may_be_as_long_as_the_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
