/* The text of /proc/stat: good, odd and cut; and the host that this runs on.
 * TRUST: sees its own bytes, and the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/place_host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define TICK UINT64_C(10000000)

static const char good[] = "cpu  100 2 30 4000 50 0 1 0 0 0\n"
                           "cpu0 10 0 3 1000 7 0 1 0 0 0\n"
                           "cpu1 10 0 3 2000 8 0 1 0 0 0\n"
                           "cpu3 10 0 3 3000 9 0 1 0 0 0\n"
                           "intr 12345 0 0 0\nctxt 1\n";

static struct place_host two(uint16_t first, uint16_t second)
{
        return (struct place_host){.cpus = {first, second}, .n_cpus = 2, .stat_fd = -1};
}

/* The bytes lie at the end of their own memory: what reads on is found by a sanitizer. */
static int parse(const struct place_host *host, const char *text, size_t len, uint64_t *ret_idle_ns)
{
        char *bytes = malloc(len ? len : 1);
        int r;

        memcpy(bytes, text, len);
        r = place_host_parse(host, bytes, len, TICK, ret_idle_ns);
        free(bytes);
        return r;
}

static void idle_and_waiting_ticks_of_our_cpus_are_found(void **state)
{
        static const struct {
                uint16_t first, second;
                uint64_t ticks[2];
        } rows[] = {{0, 1, {1007, 2008}}, {0, 3, {1007, 3009}}, {1, 3, {2008, 3009}}};
        uint64_t idle_ns[LIMIT_PLACE_CPUS];

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct place_host host = two(rows[i].first, rows[i].second);

                assert_int_equal(parse(&host, good, strlen(good), idle_ns), 0);
                assert_int_equal(idle_ns[0], rows[i].ticks[0] * TICK);
                assert_int_equal(idle_ns[1], rows[i].ticks[1] * TICK);
        }
}

static void a_cpu_without_a_line_is_refused(void **state)
{
        struct place_host host = two(0, 2);
        uint64_t idle_ns[LIMIT_PLACE_CPUS] = {42};

        (void)state;
        assert_int_equal(parse(&host, good, strlen(good), idle_ns), -EPROTO);
        assert_int_equal(idle_ns[0], 42);
}

static void lines_that_are_none_are_refused(void **state)
{
        static const char *const texts[] = {
            "",
            "\n",
            "cpu",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 4\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 4 x\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 -4 5\n",
            "cpu0 1 2 3 4 5\ncpux 1 2 3 4 5\ncpu2 1 2 3 4 5\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 99999999999999999999 5\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 18446744073709551615 5\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 18446744073709551615 0\n",
            "cpu0 1 2 3 4 5\ncpu1 1 2 3 4 5",
            "cpu1 1 2 3 4 5\ncpu0 1 2 3 4 5\n",
        };
        struct place_host host = two(0, 1);
        uint64_t idle_ns[LIMIT_PLACE_CPUS];

        (void)state;
        for (size_t i = 0; i < array_size(texts); i++)
                assert_int_equal(parse(&host, texts[i], strlen(texts[i]), idle_ns), -EPROTO);
}

static void a_text_that_is_cut_anywhere_or_has_flipped_bits_does_no_harm(void **state)
{
        struct place_host host = two(0, 3);
        uint64_t idle_ns[LIMIT_PLACE_CPUS];
        size_t needed = (size_t)(strstr(good, "intr") - good);
        char text[sizeof(good)];

        (void)state;
        for (size_t len = 0; len < sizeof(good); len++)
                assert_int_equal(parse(&host, good, len, idle_ns), len < needed ? -EPROTO : 0);
        for (size_t bit = 0; bit < 8 * strlen(good); bit++) {
                int r;

                memcpy(text, good, sizeof(good));
                text[bit / 8] ^= (char)(1 << bit % 8);
                r = parse(&host, text, strlen(good), idle_ns);
                assert_true(r == 0 || r == -EPROTO);
        }
}

static void this_host_is_read_and_its_time_passes(void **state)
{
        uint64_t idle_ns[LIMIT_PLACE_CPUS], later_ns[LIMIT_PLACE_CPUS];
        const struct place_host *host;

        (void)state;
        assert_null(place_host());
        assert_int_equal(place_host_open(), 0);
        host = place_host();
        if (!host) {
                print_message("SKIP: this host has but one CPU\n");
                place_host_close();
                skip();
        }
        for (unsigned i = 0; i < host->n_cpus; i++)
                assert_true(CPU_ISSET(host->cpus[i], &host->all));
        assert_int_equal(place_host_idle(host, idle_ns), 0);
        assert_int_equal(place_host_idle(host, later_ns), 0);
        for (unsigned i = 0; i < host->n_cpus; i++)
                assert_true(later_ns[i] + 1000000000 > idle_ns[i]);
        place_host_close();
        assert_null(place_host());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(idle_and_waiting_ticks_of_our_cpus_are_found),
            cmocka_unit_test(a_cpu_without_a_line_is_refused),
            cmocka_unit_test(lines_that_are_none_are_refused),
            cmocka_unit_test(a_text_that_is_cut_anywhere_or_has_flipped_bits_does_no_harm),
            cmocka_unit_test(this_host_is_read_and_its_time_passes),
        };

        return cmocka_run_group_tests_name("place_host", tests, NULL, NULL);
}
