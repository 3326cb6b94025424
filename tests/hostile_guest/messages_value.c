/* Well-formed messages whose values are not: indices, addresses, sizes, offsets, and their sums. TRUST: the hostile
 * side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/hostile_guest/message_case.h"

#define DROPPED OUTCOME_DROPPED
#define GOES_ON OUTCOME_IGNORED
#define REFUSED OUTCOME_REFUSED

/* ---- ring numbers ---- */

static void list_indices(struct message_list *list)
{
        static const struct {
                uint32_t request;
                const char *name;
        } requests[] = {{VHOST_USER_SET_VRING_NUM, "SET_VRING_NUM"},
                        {VHOST_USER_SET_VRING_ADDR, "SET_VRING_ADDR"},
                        {VHOST_USER_SET_VRING_BASE, "SET_VRING_BASE"},
                        {VHOST_USER_GET_VRING_BASE, "GET_VRING_BASE"},
                        {VHOST_USER_SET_VRING_ENABLE, "SET_VRING_ENABLE"}};
        static const uint32_t bad[] = {2, 64, 0xff, 0x100, 0x10000, 0x10001, 0x80000000, 0xffffffff};

        for (size_t i = 0; i < array_size(requests); i++)
                for (size_t j = 0; j < array_size(bad); j++) {
                        struct message_case c = message_example(requests[i].request, TARGET_BLK);

                        c.group = "index";
                        c.expect = DROPPED;
                        memcpy(c.payload, &bad[j], sizeof(bad[j]));
                        message_list_add(list, &c, "%s.ring_%#x", requests[i].name, bad[j]);
                }
}

static void list_fd_indices(struct message_list *list)
{
        static const struct {
                uint32_t request;
                const char *name;
        } requests[] = {{VHOST_USER_SET_VRING_KICK, "SET_VRING_KICK"},
                        {VHOST_USER_SET_VRING_CALL, "SET_VRING_CALL"},
                        {VHOST_USER_SET_VRING_ERR, "SET_VRING_ERR"}};
        static const uint64_t bad[] = {2,
                                       0xff,
                                       0x100 /* none, and one comes */,
                                       0x200,
                                       0x10000,
                                       UINT64_C(1) << 32,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX};

        for (size_t i = 0; i < array_size(requests); i++)
                for (size_t j = 0; j < array_size(bad); j++) {
                        struct message_case c = message_example(requests[i].request, TARGET_BLK);

                        c.group = "index";
                        c.expect = DROPPED;
                        memcpy(c.payload, &bad[j], sizeof(bad[j]));
                        message_list_add(list, &c, "%s.ring_%#llx", requests[i].name,
                                         (unsigned long long)bad[j]);
                }
}

/* ---- memory ---- */

#define EXAMPLE_GUEST UINT64_C(0x20000000)
#define EXAMPLE_USER  UINT64_C(0x7e0020000000)
#define EXAMPLE_SIZE  UINT64_C(0x10000)

static const struct {
        const char *name;
        struct vhost_user_memory_region region; /* guest address, size, user address, offset */
        enum outcome expect;
} regions[] = {
    {"size_0", {EXAMPLE_GUEST, 0, EXAMPLE_USER, 0}, DROPPED},
    {"one_page_more_than_its_file", {EXAMPLE_GUEST, EXAMPLE_SIZE + 0x1000, EXAMPLE_USER, 0}, DROPPED},
    {"one_byte_more_than_its_file", {EXAMPLE_GUEST, EXAMPLE_SIZE + 1, EXAMPLE_USER, 0}, DROPPED},
    {"all_of_2_64", {EXAMPLE_GUEST, UINT64_MAX, EXAMPLE_USER, 0}, DROPPED},
    {"2_63", {EXAMPLE_GUEST, UINT64_C(1) << 63, EXAMPLE_USER, 0}, DROPPED},
    {"offset_behind_its_file", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER, EXAMPLE_SIZE}, DROPPED},
    {"offset_and_size_behind_its_file", {EXAMPLE_GUEST, EXAMPLE_SIZE, EXAMPLE_USER, 0x1000}, DROPPED},
    {"offset_2_64_minus_a_page", {EXAMPLE_GUEST, 0x2000, EXAMPLE_USER, UINT64_MAX - 0xfff}, DROPPED},
    {"offset_and_size_are_2_64", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER, UINT64_MAX - 0xfff}, DROPPED},
    {"offset_2_63", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER, UINT64_C(1) << 63}, DROPPED},
    {"size_and_offset_wrap_to_0", {EXAMPLE_GUEST, UINT64_MAX - 0xfff, EXAMPLE_USER, 0x1000}, DROPPED},
    {"guest_addresses_wrap", {UINT64_MAX - 0xfff, 0x2000, EXAMPLE_USER, 0}, DROPPED},
    {"guest_addresses_to_2_64", {UINT64_MAX - 0xfff, 0x1000, EXAMPLE_USER, 0}, DROPPED},
    {"user_addresses_wrap", {EXAMPLE_GUEST, 0x2000, UINT64_MAX - 0xfff, 0}, DROPPED},
    {"user_addresses_to_2_64", {EXAMPLE_GUEST, 0x1000, UINT64_MAX - 0xfff, 0}, DROPPED},
    {"offset_off_by_a_byte", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER, 1}, DROPPED},
    {"guest_address_off_by_a_byte", {EXAMPLE_GUEST + 1, 0x1000, EXAMPLE_USER, 0}, DROPPED},
    {"user_address_off_by_a_byte", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER + 1, 0}, DROPPED},
    {"all_off_by_the_same", {EXAMPLE_GUEST + 8, 0x1000, EXAMPLE_USER + 8, 8}, GOES_ON},
    {"one_byte", {EXAMPLE_GUEST, 1, EXAMPLE_USER, 0}, GOES_ON},
    {"the_last_page_of_its_file", {EXAMPLE_GUEST, 0x1000, EXAMPLE_USER, EXAMPLE_SIZE - 0x1000}, GOES_ON},
};

static void list_regions(struct message_list *list)
{
        for (size_t i = 0; i < array_size(regions); i++) {
                struct message_case c = message_example(VHOST_USER_ADD_MEM_REG, TARGET_BLK);

                c.group = regions[i].expect == GOES_ON ? "good" : "memory";
                c.expect = regions[i].expect;
                memcpy(c.payload + 8, &regions[i].region, sizeof(regions[i].region));
                message_list_add(list, &c, "ADD_MEM_REG.%s", regions[i].name);
                c.request = VHOST_USER_SET_MEM_TABLE;
                c.payload[0] = 1; /* one region */
                c.scene = SCENE_RUNNING;
                message_list_add(list, &c, "SET_MEM_TABLE.%s", regions[i].name);
        }
}

/* Against what is there already: MAIN of the session's map, and the example. */
static const struct {
        const char *name;
        struct vhost_user_memory_region region;
} overlaps[] = {
    {"the_same_again", {MAIN, 0x10000, UINT64_C(0x7e0000000000) + MAIN, 0}},
    {"guest_addresses_of_another", {MAIN, 0x10000, EXAMPLE_USER, 0}},
    {"user_addresses_of_another", {EXAMPLE_GUEST, 0x10000, UINT64_C(0x7e0000000000) + MAIN, 0}},
    {"first_page_of_another", {MAIN - 0xf000, 0x10000, EXAMPLE_USER, 0}},
    {"last_page_of_another", {HOLE - 0x1000, 0x10000, EXAMPLE_USER, 0}},
    {"inside_another", {LARGE + 0x10000, 0x10000, EXAMPLE_USER, 0}},
};

static void list_overlaps(struct message_list *list)
{
        for (size_t i = 0; i < array_size(overlaps); i++) {
                struct message_case c =
                    message_example(VHOST_USER_ADD_MEM_REG, i % 2 ? TARGET_RNG : TARGET_BLK);

                c.group = "memory";
                c.expect = DROPPED;
                c.scene = i % 2 ? SCENE_READY : SCENE_RUNNING;
                memcpy(c.payload + 8, &overlaps[i].region, sizeof(overlaps[i].region));
                message_list_add(list, &c, "ADD_MEM_REG.%s", overlaps[i].name);
        }
}

/* Tables whose numbers do not add up: regions, bytes, descriptors. */
static void list_tables(struct message_list *list)
{
        static const struct {
                uint32_t n_regions, len;
                unsigned n_fds;
        } bad[] = {{1, 40, 0},          {2, 40, 1},          {2, 40, 2}, {0, 40, 1},  {0, 8, 1},
                   {9, 296, 8},         {1, 72, 1},          {1, 8, 1},  {1, 39, 1},  {2, 72, 1},
                   {UINT32_MAX, 40, 1}, {0x08000001, 40, 1}, {1, 40, 2}, {8, 264, 7}, {0x80000000, 8, 0}};

        for (size_t i = 0; i < array_size(bad); i++) {
                struct message_case c = message_example(VHOST_USER_SET_MEM_TABLE, TARGET_RNG);

                c.group = "memory";
                c.expect = DROPPED;
                memcpy(c.payload, &bad[i].n_regions, sizeof(bad[i].n_regions));
                c.size = c.len = bad[i].len;
                c.n_fds = bad[i].n_fds;
                memset(c.fds, FD_CASE_MEMORY, sizeof(c.fds));
                message_list_add(list, &c, "SET_MEM_TABLE.%#x_regions_%u_bytes_%u_fds", bad[i].n_regions,
                                 bad[i].len, bad[i].n_fds);
        }
}

/* Regions that are removed without being there, by each of the three words that name one. */
static void list_removals(struct message_list *list)
{
        for (unsigned word = 0; word < 3; word++) {
                struct message_case c = message_example(VHOST_USER_REM_MEM_REG, TARGET_BLK);

                c.group = "memory";
                c.expect = DROPPED;
                c.payload[8 + 8 * word + 1] ^= 0x10;
                message_list_add(list, &c, "REM_MEM_REG.word_%u_differs", word);
        }
}

/* ---- config space ---- */

static void list_config(struct message_list *list)
{
        static const struct {
                const char *name;
                uint32_t request, offset, size, flags, len;
                enum outcome expect;
        } rows[] = {
            {"GET_CONFIG.offset_ffffffff", VHOST_USER_GET_CONFIG, 0xffffffff, 4, 0, 16, GOES_ON},
            {"GET_CONFIG.over_the_end", VHOST_USER_GET_CONFIG, 252, 8, 0, 20, GOES_ON},
            {"GET_CONFIG.size_0", VHOST_USER_GET_CONFIG, 0, 0, 0, 12, GOES_ON},
            {"GET_CONFIG.more_said_than_sent", VHOST_USER_GET_CONFIG, 0, 8, 0, 16, DROPPED},
            {"GET_CONFIG.less_said_than_sent", VHOST_USER_GET_CONFIG, 0, 2, 0, 16, DROPPED},
            {"GET_CONFIG.size_ffffffff", VHOST_USER_GET_CONFIG, 0, 0xffffffff, 0, 16, DROPPED},
            {"GET_CONFIG.257_bytes", VHOST_USER_GET_CONFIG, 0, 257, 0, 269, DROPPED},
            {"SET_CONFIG.more_said_than_sent", VHOST_USER_SET_CONFIG, 32, 8, 0, 16, DROPPED},
            {"SET_CONFIG.nothing_sent", VHOST_USER_SET_CONFIG, 32, 1, 0, 12, DROPPED},
            {"SET_CONFIG.257_bytes", VHOST_USER_SET_CONFIG, 0, 257, 0, 269, DROPPED},
            {"SET_CONFIG.offset_ffffffff", VHOST_USER_SET_CONFIG, 0xffffffff, 1, 0, 13, REFUSED},
            {"SET_CONFIG.over_the_end", VHOST_USER_SET_CONFIG, 255, 2, 0, 14, REFUSED},
            {"SET_CONFIG.capacity", VHOST_USER_SET_CONFIG, 0, 8, 0, 20, REFUSED},
            {"SET_CONFIG.two_fields_at_once", VHOST_USER_SET_CONFIG, 32, 2, 0, 14, REFUSED},
            {"SET_CONFIG.by_a_migration", VHOST_USER_SET_CONFIG, 32, 1, 1, 13, REFUSED},
            {"SET_CONFIG.unknown_flags", VHOST_USER_SET_CONFIG, 32, 1, 0xffffffff, 13, REFUSED},
            {"SET_CONFIG.a_value_the_worker_refuses", VHOST_USER_SET_CONFIG, 32, 1, 0, 13, REFUSED},
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct message_case c = message_example(rows[i].request, TARGET_BLK);
                const uint32_t words[] = {rows[i].offset, rows[i].size, rows[i].flags};

                c.group = "config";
                c.expect = rows[i].expect;
                c.flags = WIRE_VERSION | WIRE_NEED_REPLY;
                c.size = c.len = rows[i].len;
                memset(c.payload, 7, sizeof(c.payload));
                memcpy(c.payload, words, sizeof(words));
                message_list_add(list, &c, "%s", rows[i].name);
        }
}

/* ---- features and the rest ---- */

static void list_words(struct message_list *list)
{
        static const struct {
                const char *name;
                uint32_t request;
                enum scene scene;
                enum outcome expect;
                uint64_t value;
        } rows[] = {
            {"SET_FEATURES.all", VHOST_USER_SET_FEATURES, SCENE_READY, GOES_ON, UINT64_MAX},
            {"SET_FEATURES.none", VHOST_USER_SET_FEATURES, SCENE_READY, GOES_ON, 0},
            {"SET_FEATURES.others_while_a_ring_runs", VHOST_USER_SET_FEATURES, SCENE_RUNNING, DROPPED,
             UINT64_MAX},
            {"SET_PROTOCOL_FEATURES.all", VHOST_USER_SET_PROTOCOL_FEATURES, SCENE_READY, GOES_ON, UINT64_MAX},
            {"SET_PROTOCOL_FEATURES.none", VHOST_USER_SET_PROTOCOL_FEATURES, SCENE_READY, GOES_ON, 0},
            {"SET_VRING_NUM.0", VHOST_USER_SET_VRING_NUM, SCENE_READY, DROPPED, 0},
            {"SET_VRING_NUM.8001", VHOST_USER_SET_VRING_NUM, SCENE_READY, DROPPED, UINT64_C(0x8001) << 32},
            {"SET_VRING_NUM.ffffffff", VHOST_USER_SET_VRING_NUM, SCENE_READY, DROPPED,
             UINT64_C(0xffffffff) << 32},
            {"SET_VRING_BASE.10000", VHOST_USER_SET_VRING_BASE, SCENE_READY, DROPPED,
             UINT64_C(0x10000) << 32},
            {"SET_VRING_ENABLE.2", VHOST_USER_SET_VRING_ENABLE, SCENE_READY, DROPPED, UINT64_C(2) << 32},
            {"SET_VRING_ENABLE.ffffffff", VHOST_USER_SET_VRING_ENABLE, SCENE_READY, DROPPED,
             UINT64_C(0xffffffff) << 32},
            {"GET_VRING_BASE.of_a_ring_never_set_up", VHOST_USER_GET_VRING_BASE, SCENE_AGREED, GOES_ON, 1},
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct message_case c = message_example(rows[i].request, TARGET_BLK);

                c.group = rows[i].expect == GOES_ON ? "good" : "value";
                c.scene = rows[i].scene;
                c.expect = rows[i].expect;
                memcpy(c.payload, &rows[i].value, sizeof(rows[i].value));
                message_list_add(list, &c, "%s", rows[i].name);
        }
}

/* "None comes" for a kick means polling, which is not served. */
static void list_without_fds(struct message_list *list)
{
        struct message_case c = message_example(VHOST_USER_SET_VRING_KICK, TARGET_BLK);

        c.group = "value";
        c.n_fds = 0;
        c.payload[1] = 1;
        c.expect = DROPPED;
        message_list_add(list, &c, "SET_VRING_KICK.none");
        c.group = "good";
        c.expect = GOES_ON;
        c.request = VHOST_USER_SET_VRING_CALL;
        message_list_add(list, &c, "SET_VRING_CALL.none");
        c.request = VHOST_USER_SET_VRING_ERR;
        message_list_add(list, &c, "SET_VRING_ERR.none");
}

void messages_value_list(struct message_list *list)
{
        list_indices(list);
        list_fd_indices(list);
        list_regions(list);
        list_overlaps(list);
        list_tables(list);
        list_removals(list);
        list_config(list);
        list_words(list);
        list_without_fds(list);
}
