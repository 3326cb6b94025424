/* workers/fs/fs_node: inodes come and go; and when there are too many, the right one goes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_node.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define DEVICE 7u
#define BORN   7u

static const struct fs_identity root = {DEVICE, 1, BORN};

static struct fs_nodes nodes;
static struct fs_memory *memory;
static unsigned n_gone;

static void gone(void *state, uint32_t slot)
{
        (void)state;
        (void)slot;
        n_gone++;
}

static int begin(void **state)
{
        (void)state;
        nodes = (struct fs_nodes){.gone = gone};
        assert_int_equal(fs_memory_open(-1, &memory), 0);
        assert_int_equal(fs_nodes_init(&nodes, memory), 0);
        fs_nodes_start(&nodes, &root);
        n_gone = 0;
        return 0;
}

static int end(void **state)
{
        (void)state;
        munmap(memory, sizeof(*memory));
        munmap(nodes.own, LIMIT_FS_NODES * sizeof(*nodes.own));
        munmap(nodes.buckets, LIMIT_FS_NODES * sizeof(*nodes.buckets));
        return 0;
}

static uint32_t look_up(ino_t inode, uint32_t parent, const char *name)
{
        const struct fs_identity is = {.device = DEVICE, .inode = inode, .born = BORN};
        uint32_t slot = fs_node_take(&nodes, &is);

        if (slot == FS_NO_SLOT)
                return slot;
        fs_node_place(&nodes, slot, parent, name);
        fs_node_looked_up(&nodes, slot);
        return slot;
}

static void an_inode_has_one_slot_and_a_name_of_its_own(void **state)
{
        uint32_t a = look_up(2, FS_ROOT, "a"), b = look_up(3, FS_ROOT, "b");

        (void)state;
        assert_int_not_equal(a, b);
        assert_int_equal(look_up(2, FS_ROOT, "again"), a);
        assert_true(fs_node_is_at(&nodes, a, FS_ROOT, "again"));
        assert_false(fs_node_is_at(&nodes, a, FS_ROOT, "a"));
        assert_int_equal(fs_node_find(&nodes, fs_node_id(&nodes, a)), a);
        assert_int_equal(fs_node_find(&nodes, fs_node_id(&nodes, a) + (1u << FS_SLOT_BITS)), FS_NO_SLOT);
        assert_int_equal(fs_node_find(&nodes, FUSE_ROOT_ID), FS_ROOT);
        assert_int_equal(fs_node_find(&nodes, 0), FS_NO_SLOT);
}

static void another_device_or_birth_is_another_inode(void **state)
{
        const struct fs_identity is = {DEVICE, 2, BORN}, abroad = {DEVICE + 1, 2, BORN},
                                 later = {DEVICE, 2, BORN + 1};
        uint32_t a = look_up(2, FS_ROOT, "a"), b;

        (void)state;
        assert_int_equal(fs_node_known(&nodes, &is), a);
        assert_int_equal(fs_node_known(&nodes, &abroad), FS_NO_SLOT);
        assert_int_equal(fs_node_known(&nodes, &later), FS_NO_SLOT);
        b = fs_node_take(&nodes, &later);
        assert_int_not_equal(a, b);
        assert_int_not_equal(fs_node_id(&nodes, a), fs_node_id(&nodes, b));
        fs_node_looked_up(&nodes, b);
        fs_node_forget(&nodes, a, 1);
        assert_int_equal(fs_node_known(&nodes, &is), FS_NO_SLOT);
        assert_int_equal(fs_node_known(&nodes, &later), b);
}

static void a_directory_stays_while_something_in_it_is_known(void **state)
{
        uint32_t a = look_up(2, FS_ROOT, "a"), b = look_up(3, a, "b"), c = look_up(4, b, "c");
        uint64_t ids[] = {fs_node_id(&nodes, a), fs_node_id(&nodes, b), fs_node_id(&nodes, c)};

        (void)state;
        fs_node_forget(&nodes, a, 1);
        fs_node_forget(&nodes, b, 1);
        assert_int_equal(n_gone, 0);
        assert_int_equal(fs_node_find(&nodes, ids[0]), a);
        fs_node_forget(&nodes, c, 1);
        assert_int_equal(n_gone, 3);
        for (size_t i = 0; i < array_size(ids); i++)
                assert_int_equal(fs_node_find(&nodes, ids[i]), FS_NO_SLOT);
        assert_int_equal(nodes.own[FS_ROOT].children, 0);
}

static void what_has_moved_holds_its_new_directory(void **state)
{
        uint32_t a = look_up(2, FS_ROOT, "a"), b = look_up(3, FS_ROOT, "b"), f = look_up(4, a, "f");

        (void)state;
        fs_node_place(&nodes, f, b, "g");
        fs_node_forget(&nodes, a, 1);
        assert_int_equal(n_gone, 1);
        fs_node_forget(&nodes, b, 1);
        assert_int_equal(n_gone, 1);
        fs_node_place(&nodes, f, FS_ROOT, NULL);
        assert_int_equal(n_gone, 2);
        assert_int_equal(nodes.own[FS_ROOT].children, 0);
}

static void ids_are_never_given_twice(void **state)
{
        uint64_t last = 0;

        (void)state;
        for (unsigned i = 0; i < 1000; i++) {
                uint32_t slot = look_up(2, FS_ROOT, "a");

                assert_true(fs_node_id(&nodes, slot) > last);
                last = fs_node_id(&nodes, slot);
                fs_node_forget(&nodes, slot, 1);
        }
}

/* To the last slot, and one more: the one used least recently goes, of those that nothing holds. */
static void beyond_the_limit_the_least_used_goes(void **state)
{
        uint32_t folder = look_up(2, FS_ROOT, "folder"), open = look_up(3, FS_ROOT, "open"), old, often;
        uint64_t folder_id = fs_node_id(&nodes, folder), open_id = fs_node_id(&nodes, open), old_id, often_id;
        char name[16];

        (void)state;
        nodes.own[open].n_handles = 1;
        old = look_up(4, folder, "old");
        often = look_up(5, folder, "often");
        old_id = fs_node_id(&nodes, old);
        often_id = fs_node_id(&nodes, often);
        for (uint32_t i = memory->nodes_used; i < LIMIT_FS_NODES; i++) {
                snprintf(name, sizeof(name), "%u", i);
                assert_int_not_equal(look_up(1000 + i, folder, name), FS_NO_SLOT);
        }
        assert_int_equal(n_gone, 0);
        for (unsigned i = 0; i < 2000; i++) {
                assert_int_equal(fs_node_find(&nodes, often_id), often);
                assert_int_not_equal(look_up(1000000 + i, FS_ROOT, "more"), FS_NO_SLOT);
        }
        assert_true(n_gone >= 1900);
        assert_int_equal(fs_node_find(&nodes, old_id), FS_NO_SLOT);
        assert_int_equal(fs_node_find(&nodes, often_id), often);
        assert_int_equal(fs_node_find(&nodes, open_id), open);
        assert_int_equal(fs_node_find(&nodes, folder_id), folder);
}

static void when_all_are_held_there_is_no_room(void **state)
{
        char name[16];

        (void)state;
        for (uint32_t i = 1; i < LIMIT_FS_NODES; i++) {
                uint32_t slot;

                snprintf(name, sizeof(name), "%u", i);
                slot = look_up(1000 + i, FS_ROOT, name);
                nodes.own[slot].n_handles = 1;
        }
        assert_int_equal(look_up(2, FS_ROOT, "one more"), FS_NO_SLOT);
        nodes.own[77].n_handles = 0;
        assert_int_equal(look_up(2, FS_ROOT, "one more"), 77);
}

#define t(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            t(an_inode_has_one_slot_and_a_name_of_its_own),
            t(another_device_or_birth_is_another_inode),
            t(a_directory_stays_while_something_in_it_is_known),
            t(what_has_moved_holds_its_new_directory),
            t(ids_are_never_given_twice),
            t(beyond_the_limit_the_least_used_goes),
            t(when_all_are_held_there_is_no_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
