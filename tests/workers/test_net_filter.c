/* workers/net/net_filter: who gets which frame, and what a successor believes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "workers/net/net_filter.h"

#define PAIRS 4u
#define ON    (NET_F_CTRL_RX | NET_F_CTRL_RX_EXTRA)

static const uint8_t own[NET_MAC] = {2, 0, 0, 0, 0, 1}, other[NET_MAC] = {2, 0, 0, 0, 0, 2},
                     group[NET_MAC] = {1, 0, 0x5e, 0, 0, 1}, all[NET_MAC] = {255, 255, 255, 255, 255, 255};
static struct net_filter filter;

static int setup(void **state)
{
        const struct net_control off = {.command = NET_COMMAND_PROMISC};

        (void)state;
        net_filter_init(&filter, own);
        net_filter_apply(&filter, &off);
        return 0;
}

static void say(enum net_command command, bool on)
{
        net_filter_apply(&filter, &(struct net_control){.command = command, .on = on});
}

static bool wants(uint64_t features, const uint8_t *to)
{
        uint8_t frame[60] = {0};

        memcpy(frame, to, NET_MAC);
        return net_filter_wants(&filter, features, frame, sizeof(frame));
}

static bool wants_tag(uint64_t features, uint16_t tag)
{
        uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x81, 0, (uint8_t)(tag >> 8), (uint8_t)tag};

        return net_filter_wants(&filter, features, frame, sizeof(frame));
}

static void a_driver_that_says_nothing_gets_everything(void **state)
{
        (void)state;
        assert_true(wants(0, other) && wants(0, group) && wants(0, all));
        net_filter_init(&filter, own);
        assert_true(wants(ON, other) && wants(ON, group) && wants(ON, all));
}

static void the_own_address_and_that_of_all_get_through(void **state)
{
        (void)state;
        assert_true(wants(ON, own) && wants(ON, all));
        assert_false(wants(ON, other) || wants(ON, group));
}

static void each_mode_lets_through_what_it_says(void **state)
{
        (void)state;
        say(NET_COMMAND_ALLMULTI, true);
        assert_true(wants(ON, group) && !wants(ON, other));
        say(NET_COMMAND_ALLMULTI, false);
        say(NET_COMMAND_ALLUNI, true);
        assert_true(!wants(ON, group) && wants(ON, other));
        say(NET_COMMAND_NOUNI, true);
        assert_false(wants(ON, own) || wants(ON, other));
        say(NET_COMMAND_NOBCAST, true);
        assert_false(wants(ON, all));
        say(NET_COMMAND_ALLMULTI, true);
        say(NET_COMMAND_NOMULTI, true);
        assert_false(wants(ON, group));
        say(NET_COMMAND_PROMISC, true);
        assert_true(wants(ON, all) && wants(ON, group) && wants(ON, own) && wants(ON, other));
}

static void a_table_is_who_else_is_meant(void **state)
{
        struct net_control control = {.command = NET_COMMAND_MAC_TABLE};

        (void)state;
        control.table.unicast.n = control.table.multicast.n = 1;
        memcpy(control.table.unicast.mac[0], other, NET_MAC);
        memcpy(control.table.multicast.mac[0], group, NET_MAC);
        net_filter_apply(&filter, &control);
        assert_true(wants(ON, own) && wants(ON, other) && wants(ON, group));
        control.table.unicast.n = control.table.multicast.n = 0;
        net_filter_apply(&filter, &control);
        assert_false(wants(ON, other) || wants(ON, group));
        control.table.unicast.overflow = control.table.multicast.overflow = true;
        net_filter_apply(&filter, &control);
        assert_true(wants(ON, other) && wants(ON, group));
}

static void a_new_address_takes_the_place_of_the_old(void **state)
{
        struct net_control control = {.command = NET_COMMAND_MAC_ADDR};

        (void)state;
        memcpy(control.mac, other, NET_MAC);
        net_filter_apply(&filter, &control);
        assert_true(wants(ON, other));
        assert_false(wants(ON, own));
        net_filter_init(&filter, NULL); /* no address: any might be it */
        say(NET_COMMAND_PROMISC, false);
        assert_true(wants(ON, own) && wants(ON, other));
}

static void tags_pass_that_were_added(void **state)
{
        struct net_control control = {.command = NET_COMMAND_VLAN_ADD, .number = 4095};

        (void)state;
        assert_true(wants_tag(ON, 5));
        assert_false(wants_tag(NET_F_CTRL_VLAN, 5));
        net_filter_apply(&filter, &control);
        assert_true(wants_tag(NET_F_CTRL_VLAN, 4095));
        assert_true(wants_tag(NET_F_CTRL_VLAN, 0xffff)); /* with a priority */
        assert_false(wants_tag(NET_F_CTRL_VLAN, 4094));
        control.command = NET_COMMAND_VLAN_DEL;
        net_filter_apply(&filter, &control);
        assert_false(wants_tag(NET_F_CTRL_VLAN, 4095));
        assert_true(wants(NET_F_CTRL_VLAN, own)); /* no tag */
}

static void a_short_frame_has_no_tag(void **state)
{
        const uint8_t frame[NET_ETHERNET] = {2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x81, 0};

        (void)state;
        assert_true(net_filter_wants(&filter, NET_F_CTRL_VLAN, frame, sizeof(frame)));
}

static void what_was_left_is_taken_over(void **state)
{
        struct net_filter left = filter, taken;

        (void)state;
        left.n_pairs = PAIRS;
        left.n_unicast = LIMIT_NET_MACS;
        memset(&taken, 0, sizeof(taken));
        assert_true(net_filter_restore(&taken, PAIRS, (const uint8_t *)&left, sizeof(left)));
        assert_memory_equal(&taken, &left, sizeof(left));
}

static void what_nobody_can_have_left_is_not(void **state)
{
        static const struct {
                size_t at;
                uint8_t value;
        } bad[] = {
            {offsetof(struct net_filter, version), NET_FILTER_VERSION + 1},
            {offsetof(struct net_filter, promisc), 2},
            {offsetof(struct net_filter, allmulti), 2},
            {offsetof(struct net_filter, alluni), 2},
            {offsetof(struct net_filter, nomulti), 2},
            {offsetof(struct net_filter, nouni), 2},
            {offsetof(struct net_filter, nobcast), 255},
            {offsetof(struct net_filter, n_pairs), 0},
            {offsetof(struct net_filter, n_pairs), PAIRS + 1},
            {offsetof(struct net_filter, has_mac), 2},
            {offsetof(struct net_filter, n_unicast), LIMIT_NET_MACS + 1},
            {offsetof(struct net_filter, n_multicast), 255},
            {offsetof(struct net_filter, over_unicast), 2},
            {offsetof(struct net_filter, over_multicast), 2},
            {offsetof(struct net_filter, reserved), 1},
        };
        struct net_filter before = filter;
        uint8_t left[sizeof(filter) + 1];

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                memcpy(left, &filter, sizeof(filter));
                left[bad[i].at] = bad[i].value;
                assert_false(net_filter_restore(&filter, PAIRS, left, sizeof(filter)));
        }
        memcpy(left, &filter, sizeof(filter));
        for (size_t len = 0; len < sizeof(left) + 1; len++)
                if (len != sizeof(filter))
                        assert_false(net_filter_restore(&filter, PAIRS, left, len));
        assert_memory_equal(&before, &filter, sizeof(filter));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_driver_that_says_nothing_gets_everything, setup),
            cmocka_unit_test_setup(the_own_address_and_that_of_all_get_through, setup),
            cmocka_unit_test_setup(each_mode_lets_through_what_it_says, setup),
            cmocka_unit_test_setup(a_table_is_who_else_is_meant, setup),
            cmocka_unit_test_setup(a_new_address_takes_the_place_of_the_old, setup),
            cmocka_unit_test_setup(tags_pass_that_were_added, setup),
            cmocka_unit_test_setup(a_short_frame_has_no_tag, setup),
            cmocka_unit_test_setup(what_was_left_is_taken_over, setup),
            cmocka_unit_test_setup(what_nobody_can_have_left_is_not, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
