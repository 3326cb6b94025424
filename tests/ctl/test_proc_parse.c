/* The texts of /proc, from recorded samples: whole, cut and flipped.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/ctl/proc_ids.h"
#include "proto/base/checked.h"

/* Recorded from a jailed worker; the name is what a program may call itself. */
static const char status_text[] =
    "Name:\tx\\nUid:\t0\n"
    "Umask:\t0022\nState:\tS (sleeping)\nTgid:\t30\nNgid:\t0\nPid:\t30\nPPid:\t29\n"
    "TracerPid:\t17\nUid:\t1879048193\t1879048193\t1879048193\t1879048193\n"
    "Gid:\t1879048194\t1879048194\t1879048194\t1879048194\nFDSize:\t64\nGroups:\t \n"
    "NStgid:\t30\t1\nVmPeak:\t    3060 kB\nThreads:\t1\nSigQ:\t2/96365\n"
    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000002\n"
    "CapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000004\nNoNewPrivs:\t1\n"
    "Seccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tthread force mitigated\n";

static const char maps_text[] =
    "55e2d3696000-55e2d3698000 r--p 00000000 fe:00 247498                     /usr/bin/head\n"
    "7f0000000000-7f0010000000 rw-s 00000000 00:01 1037                       /memfd:a b (deleted)\n"
    "7ffc1c5f2000-7ffc1c613000 rw-p 00000000 00:00 0                          [stack]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void status_of_a_worker_is_read_field_by_field(void **state)
{
        struct proc_status s;

        (void)state;
        assert_int_equal(proc_parse_status(status_text, strlen(status_text), &s), 0);
        assert_int_equal(s.ppid, 29);
        assert_int_equal(s.tracer, 17);
        for (size_t i = 0; i < 4; i++) {
                assert_int_equal(s.uid[i], 1879048193);
                assert_int_equal(s.gid[i], 1879048194);
        }
        assert_int_equal(s.fd_slots, 64);
        assert_int_equal(s.n_groups, 0);
        assert_int_equal(s.threads, 1);
        assert_true(s.capabilities[PROC_CAP_INHERITABLE] == 0);
        assert_true(s.capabilities[PROC_CAP_PERMITTED] == 1);
        assert_true(s.capabilities[PROC_CAP_EFFECTIVE] == 2);
        assert_true(s.capabilities[PROC_CAP_BOUNDING] == 0x1fffeffffff);
        assert_true(s.capabilities[PROC_CAP_AMBIENT] == 4);
        assert_int_equal(s.no_new_privs, 1);
        assert_int_equal(s.seccomp, 2);
        assert_int_equal(s.seccomp_filters, 3);
}

/* Replaces the first `from` by `to`. */
static size_t edit(const char *from, const char *to, char *out, size_t size)
{
        const char *at = strstr(status_text, from);

        assert_non_null(at);
        return (size_t)snprintf(out, size, "%.*s%s%s", (int)(at - status_text), status_text, to,
                                at + strlen(from));
}

static void status_with_a_field_less_or_more_is_refused(void **state)
{
        static const char *const edits[][2] = {
            {"PPid:\t29\n", ""},
            {"TracerPid:\t17\n", ""},
            {"Seccomp_filters:\t3\n", ""},
            {"CapBnd:\t000001fffeffffff\n", ""},
            {"Groups:\t \n", ""},
            {"Threads:\t1\n", "Threads:\t1\nThreads:\t1\n"},
            {"Threads:\t1\n", "Threads:\t1x\n"},
            {"Threads:\t1\n", "Threads:\t4294967296\n"},
            {"NoNewPrivs:\t1\n", "NoNewPrivs:\t\n"},
            {"1879048193\t1879048193\n", "1879048193\n"},
            {"CapEff:\t0000000000000002\n", "CapEff:\t10000000000000000\n"},
            {"CapEff:\t0000000000000002\n", "CapEff:\t000000000000000G\n"},
            {"PPid:\t29\n", "PPid:\t2147483648\n"},
            {"Groups:\t \n", "Groups:\t4 x\n"},
        };
        struct proc_status s = {.ppid = 4711};
        char text[2048];

        (void)state;
        for (size_t i = 0; i < array_size(edits); i++) {
                size_t len = edit(edits[i][0], edits[i][1], text, sizeof(text));

                assert_int_equal(proc_parse_status(text, len, &s), -EPROTO);
                assert_int_equal(s.ppid, 4711); /* untouched */
        }
        assert_int_equal(
            proc_parse_status(text, edit("Groups:\t \n", "Groups:\t4 24 100 \n", text, sizeof(text)), &s), 0);
        assert_int_equal(s.n_groups, 3);
}

static void a_cut_status_is_never_taken_for_a_whole_one(void **state)
{
        const char *last = strstr(status_text, "Speculation");
        struct proc_status s;

        (void)state;
        for (size_t len = 0; len < (size_t)(last - status_text); len++) {
                char *exact = malloc(len + 1); /* so that a sanitizer sees a read behind the end */

                memcpy(exact, status_text, len);
                assert_int_equal(proc_parse_status(exact, len, &s), -EPROTO);
                free(exact);
        }
}

static void maps_are_read_line_by_line(void **state)
{
        const char *at = maps_text, *end = maps_text + strlen(maps_text);
        struct proc_mapping m;

        (void)state;
        assert_int_equal(proc_maps_next(&at, end, &m), 1);
        assert_true(m.start == 0x55e2d3696000 && m.end == 0x55e2d3698000 && !m.shared);
        assert_true(m.major == 0xfe && m.minor == 0 && m.inode == 247498);
        assert_string_equal(m.flags, "r--p");
        assert_int_equal(proc_maps_next(&at, end, &m), 1);
        assert_true(m.shared && m.major == 0 && m.minor == 1 && m.inode == 1037);
        assert_true(m.end - m.start == 256 << 20);
        assert_int_equal(proc_maps_next(&at, end, &m), 1);
        assert_true(m.inode == 0);
        assert_int_equal(proc_maps_next(&at, end, &m), 1);
        assert_int_equal(proc_maps_next(&at, end, &m), 0);
        assert_ptr_equal(at, end);
}

static void lines_that_are_no_mappings_are_refused(void **state)
{
        static const char *const bad[] = {
            "\n",
            "1000-2000\n",
            "1000-2000 rw-s\n",
            "2000-1000 rw-p 0 0:0 0\n",
            "1000-2000 rw-x 0 0:0 0\n",
            "1000-2000 rw-ps 0 0:0 0\n",
            "1000-2000 rw-p 0 0:0 1x\n",
            "1000-2000 rw-p 0 100000000:0 1\n",
            "10000000000000000-2000 rw-p 0 0:0 1\n",
            "1000-2000 rw-p 0 0:0 18446744073709551616\n",
            "1000-2000 rw-p 0 0:0 1", /* cut: the inode may be longer */
        };

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                struct proc_mapping m = {.inode = 4711};
                const char *at = bad[i];

                assert_int_equal(proc_maps_next(&at, bad[i] + strlen(bad[i]), &m), -EPROTO);
                assert_true(m.inode == 4711);
                assert_ptr_equal(at, bad[i]);
        }
}

/* Walks to the end; returns the number of mappings, or -1. */
static int count_maps(const char *text, size_t len)
{
        const char *at = text;
        struct proc_mapping m;
        int n = 0, r;

        while ((r = proc_maps_next(&at, text + len, &m)) > 0)
                n++;
        return r < 0 ? -1 : n;
}

static void cut_or_flipped_texts_are_read_without_harm(void **state)
{
        const size_t len = strlen(maps_text), status_len = strlen(status_text);
        struct proc_status s;

        (void)state;
        for (size_t cut = 0; cut <= len; cut++) {
                char *exact = malloc(cut + 1);
                int n;

                memcpy(exact, maps_text, cut);
                n = count_maps(exact, cut);
                assert_true(cut == 0 || exact[cut - 1] == '\n' ? n >= 0 : n == -1);
                free(exact);
        }
        for (size_t bit = 0; bit < MAX(len, status_len) * 8; bit++) {
                char maps[sizeof(maps_text)], status[sizeof(status_text)];

                memcpy(maps, maps_text, sizeof(maps));
                memcpy(status, status_text, sizeof(status));
                if (bit / 8 < len)
                        maps[bit / 8] = (char)(maps[bit / 8] ^ (1 << (bit % 8)));
                if (bit / 8 < status_len)
                        status[bit / 8] = (char)(status[bit / 8] ^ (1 << (bit % 8)));
                assert_true(count_maps(maps, len) <= 5);
                (void)proc_parse_status(status, status_len, &s);
        }
}

static void a_programs_name_cannot_fake_its_parent(void **state)
{
        static const struct {
                const char *text;
                pid_t ppid; /* -1: refused */
        } rows[] = {
            {"30 (worker) S 29 30 30 0\n", 29},
            {"30 (a) R 1 (b) S 29 30 30\n", 29},
            {"30 (a\n) S 29 30\n", 29},
            {"30 (a", -1},
            {"30 (a) S", -1},
            {"30 (a) S x", -1},
            {"30 (a) S 29", -1}, /* cut */
            {"", -1},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                pid_t ppid = -1;
                int r = proc_parse_stat_ppid(rows[i].text, strlen(rows[i].text), &ppid);

                assert_int_equal(r, rows[i].ppid < 0 ? -EPROTO : 0);
                assert_int_equal(ppid, rows[i].ppid);
        }
}

static void limits_are_soft_ones(void **state)
{
        static const char text[] =
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max processes             0                    96365                processes \n"
            "Max address space         unlimited            unlimited            bytes     \n"
            "Max data size             12";
        uint64_t limit = 7;

        (void)state;
        assert_int_equal(proc_parse_limit(text, strlen(text), "Max processes", &limit), 0);
        assert_true(limit == 0);
        assert_int_equal(proc_parse_limit(text, strlen(text), "Max address space", &limit), 0);
        assert_true(limit == UINT64_MAX);
        assert_int_equal(proc_parse_limit(text, strlen(text), "Max nonsense", &limit), -ENOENT);
        assert_int_equal(proc_parse_limit(text, strlen(text), "Max data size", &limit), -EPROTO);
        assert_true(limit == UINT64_MAX);
}

static void groups_and_mounts_are_found_in_both_versions(void **state)
{
        static const char groups[] = "9:name=systemd:/\n4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/v2:x\n";
        static const char mounts[] =
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
            "34 31 0:30 /sub /bind rw - cgroup cgroup rw,memory\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:4 master:1 - cgroup cgroup rw,memory\n"
            "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        char text[64];

        (void)state;
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups), "memory", text, sizeof(text)), 0);
        assert_string_equal(text, "/a/b");
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups), "cpuacct", text, sizeof(text)), 0);
        assert_string_equal(text, "/c");
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups), "", text, sizeof(text)), 0);
        assert_string_equal(text, "/v2:x");
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups), "mem", text, sizeof(text)), -ENOENT);
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups), "memory", text, 4), -ENAMETOOLONG);
        assert_int_equal(proc_parse_cgroup(groups, strlen(groups) - 1, "", text, sizeof(text)), -EPROTO);
        assert_int_equal(proc_parse_cgroup_mount(mounts, strlen(mounts), "memory", text, sizeof(text)), 0);
        assert_string_equal(text, "/sys/fs/cgroup/memory"); /* not the part that is bound elsewhere */
        assert_int_equal(proc_parse_cgroup_mount(mounts, strlen(mounts), "cpuacct", text, sizeof(text)), 0);
        assert_string_equal(text, "/sys/fs/cgroup/cpu");
        assert_int_equal(proc_parse_cgroup_mount(mounts, strlen(mounts), "", text, sizeof(text)), 0);
        assert_string_equal(text, "/sys/fs/cgroup/unified");
        assert_int_equal(proc_parse_cgroup_mount(mounts, strlen(mounts), "pids", text, sizeof(text)),
                         -ENOENT);
        for (size_t cut = 0; cut < strlen(mounts); cut++) {
                char *exact = malloc(cut + 1);

                memcpy(exact, mounts, cut);
                (void)proc_parse_cgroup_mount(exact, cut, "", text, sizeof(text));
                (void)proc_parse_cgroup(exact, cut, "memory", text, sizeof(text));
                free(exact);
        }
}

static void no_limit_is_told_from_a_limit(void **state)
{
        uint64_t limit = 5;

        (void)state;
        assert_int_equal(proc_parse_cgroup_limit("max\n", 4, &limit), 0);
        assert_true(limit == UINT64_MAX);
        assert_int_equal(proc_parse_cgroup_limit("9223372036854771712\n", 20, &limit), 0);
        assert_true(limit == UINT64_MAX); /* version 1's way to say max */
        assert_int_equal(proc_parse_cgroup_limit("67108864\n", 9, &limit), 0);
        assert_true(limit == 64 << 20);
        assert_int_equal(proc_parse_cgroup_limit("1", 1, &limit), -EPROTO);
        assert_int_equal(proc_parse_cgroup_limit("1\n2\n", 4, &limit), -EPROTO);
        assert_int_equal(proc_parse_cgroup_limit("", 0, &limit), -EPROTO);
        assert_true(limit == 64 << 20);
}

static void numbers_of_a_line_are_told_by_their_place(void **state)
{
        static const struct {
                const char *text, *word;
                int r;
                uint64_t limit;
        } rows[] = {
            {"max 100000\n", "1", 0, UINT64_MAX},
            {"max 100000\n", "2", 0, 100000},
            {"5000 10000\n", "1", 0, 5000},
            {"5000 10000\n", "2", 0, 10000},
            {"-1\n", "1", 0, UINT64_MAX},
            {"5000\n", "2", -EPROTO, 7},
            {"5000", "1", -EPROTO, 7},
            {"", "1", -EPROTO, 7},
            {"5000\n6000\n", "1", -EPROTO, 7},
            {"x\n", "1", -EPROTO, 7},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                uint64_t limit = 7;

                assert_int_equal(
                    proc_parse_cgroup_word(rows[i].text, strlen(rows[i].text), rows[i].word, &limit),
                    rows[i].r);
                assert_true(limit == rows[i].limit);
        }
}

static void the_tightest_limit_of_all_disks_counts(void **state)
{
        static const char v2[] = "8:0 rbps=5000 wbps=max riops=7 wiops=max\n"
                                 "8:16 rbps=max wbps=max riops=max wiops=max\n"
                                 "253:0 rbps=4000 wbps=max riops=8 wiops=max\n";
        static const char v1[] = "8:0 20\n8:16 10\n";
        uint64_t limit = 0;

        (void)state;
        assert_int_equal(proc_parse_cgroup_disks(v2, strlen(v2), "rbps=", &limit), 0);
        assert_true(limit == 4000);
        assert_int_equal(proc_parse_cgroup_disks(v2, strlen(v2), "riops=", &limit), 0);
        assert_true(limit == 7);
        assert_int_equal(proc_parse_cgroup_disks(v2, strlen(v2), "wiops=", &limit), 0);
        assert_true(limit == UINT64_MAX);
        assert_int_equal(proc_parse_cgroup_disks(v1, strlen(v1), "", &limit), 0);
        assert_true(limit == 10);
        assert_int_equal(proc_parse_cgroup_disks("", 0, "", &limit), 0);
        assert_true(limit == UINT64_MAX);
        assert_int_equal(proc_parse_cgroup_disks("8:0 rbps=4x\n", 12, "rbps=", &limit), -EPROTO);
}

static void ids_and_the_mount_of_a_root_are_read(void **state)
{
        static const char own[] = "1879048195 1879048195          1\n";
        static const char range[] = "         0     100000      65536\n1879048195 1879048195          1\n";
        static const char plain[] = "31 24 0:27 /srv / rw,nosuid,nodev,noexec - ext4 /dev/a rw,idmapped\n";
        static const char mapped[] = "31 24 0:27 /srv / rw,nosuid,nodev,noexec,idmapped - ext4 /dev/a rw\n"
                                     "32 31 0:28 / /below rw - tmpfs tmpfs rw\n";
        struct proc_ids ids = {0};

        (void)state;
        assert_int_equal(proc_ids_parse_map(own, strlen(own), &ids), 0);
        assert_true(ids.n == 1 && ids.n_all == 1 && ids.first == 1879048195);
        assert_int_equal(proc_ids_parse_map(range, strlen(range), &ids), 0);
        assert_true(ids.n == 65536 && ids.n_all == 65537 && ids.first == 100000);
        assert_int_equal(proc_ids_parse_map("", 0, &ids), -EPROTO);
        assert_int_equal(proc_ids_parse_map("0 0 0\n", 6, &ids), -EPROTO);
        assert_int_equal(proc_ids_parse_map("0 x 1\n", 6, &ids), -EPROTO);
        assert_int_equal(proc_ids_parse_root(plain, strlen(plain), &ids), 0);
        assert_false(ids.root_is_mapped);
        assert_int_equal(proc_ids_parse_root(mapped, strlen(mapped), &ids), 0);
        assert_true(ids.root_is_mapped);
        assert_int_equal(proc_ids_parse_root("", 0, &ids), -EPROTO);
        for (size_t cut = 0; cut < strlen(mapped); cut++) {
                char *exact = malloc(cut + 1);

                memcpy(exact, mapped, cut);
                (void)proc_ids_parse_root(exact, cut, &ids);
                (void)proc_ids_parse_map(exact, cut, &ids);
                free(exact);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(status_of_a_worker_is_read_field_by_field),
            cmocka_unit_test(status_with_a_field_less_or_more_is_refused),
            cmocka_unit_test(a_cut_status_is_never_taken_for_a_whole_one),
            cmocka_unit_test(maps_are_read_line_by_line),
            cmocka_unit_test(lines_that_are_no_mappings_are_refused),
            cmocka_unit_test(cut_or_flipped_texts_are_read_without_harm),
            cmocka_unit_test(a_programs_name_cannot_fake_its_parent),
            cmocka_unit_test(limits_are_soft_ones),
            cmocka_unit_test(groups_and_mounts_are_found_in_both_versions),
            cmocka_unit_test(no_limit_is_told_from_a_limit),
            cmocka_unit_test(numbers_of_a_line_are_told_by_their_place),
            cmocka_unit_test(the_tightest_limit_of_all_disks_counts),
            cmocka_unit_test(ids_and_the_mount_of_a_root_are_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
