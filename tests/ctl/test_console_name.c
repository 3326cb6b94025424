/* broker/ctl/console_name: which socket VM/DEVICE[:PORT] means.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/console_name.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static char dir[] = "/tmp/bulkhead-name-XXXXXX";
static char why[512];

static int make_dir(void **state)
{
        char path[64];

        (void)state;
        if (!mkdtemp(dir))
                return -1;
        snprintf(path, sizeof(path), "%s/vm", dir);
        return mkdir(path, 0755);
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

static void touch(const char *name, bool there)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/vm/%s", dir, name);
        if (there)
                close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        else
                unlink(path);
}

static int find(const char *text, struct console_place *ret_place)
{
        struct console_name name;

        assert_int_equal(console_name_parse(text, &name, why, sizeof(why)), 0);
        return console_place_find(dir, &name, ret_place, why, sizeof(why));
}

static void names_have_two_parts_or_three(void **state)
{
        static const char *const bad[] = {
            "",           "vm",      "vm/",         "/con",    "vm/con:",   "vm//con",
            "vm/con/",    "vm:con",  "../con",      "vm/.con", "vm/con:..", "vm/con:a/b",
            "vm/con:a:b", "v m/con", "vm/con:\x1b", "vm/-con", "vm/con: "};
        struct console_name name;

        (void)state;
        assert_int_equal(console_name_parse("vm1/con0", &name, why, sizeof(why)), 0);
        assert_string_equal(name.vm, "vm1");
        assert_string_equal(name.device, "con0");
        assert_string_equal(name.port, "");
        assert_int_equal(console_name_parse("vm1/con0:org.agent.0", &name, why, sizeof(why)), 0);
        assert_string_equal(name.port, "org.agent.0");
        for (size_t i = 0; i < array_size(bad); i++)
                if (console_name_parse(bad[i], &name, why, sizeof(why)) != -EINVAL)
                        fail_msg("\"%s\" is a name", bad[i]);
}

static void parts_have_an_end(void **state)
{
        struct console_name name;
        char text[256];

        (void)state;
        snprintf(text, sizeof(text), "vm/con:%031d", 1);
        assert_int_equal(console_name_parse(text, &name, why, sizeof(why)), 0);
        snprintf(text, sizeof(text), "vm/con:%032d", 1);
        assert_int_equal(console_name_parse(text, &name, why, sizeof(why)), -EINVAL);
        snprintf(text, sizeof(text), "%063d/con", 1);
        assert_int_equal(console_name_parse(text, &name, why, sizeof(why)), 0);
        snprintf(text, sizeof(text), "%064d/con", 1);
        assert_int_equal(console_name_parse(text, &name, why, sizeof(why)), -EINVAL);
}

static void the_only_port_or_the_one_called_console_is_found_without_a_name(void **state)
{
        struct console_place place;

        (void)state;
        touch("con.sock", true); /* the device's own socket */
        touch("other.a.sock", true);
        touch("cony.sock", true);
        assert_int_equal(find("vm/con", &place), -ENOENT);
        assert_non_null(strstr(why, "has no console con"));
        touch("con.a.sock", true);
        assert_int_equal(find("vm/con", &place), 0);
        assert_string_equal(place.port, "a");
        assert_true(place.is_console);
        assert_non_null(strstr(place.path, "/vm/con.a.sock"));
        touch("con.b.sock", true);
        assert_int_equal(find("vm/con", &place), -ENOENT);
        assert_non_null(strstr(why, "say which port"));
        assert_int_equal(find("vm/con:b", &place), 0);
        assert_false(place.is_console);
        touch("con.console.sock", true);
        assert_int_equal(find("vm/con", &place), 0);
        assert_string_equal(place.port, "console");
        assert_int_equal(find("vm/con:console", &place), 0);
        assert_true(place.is_console);
        assert_int_equal(find("vm/con:c", &place), -ENOENT);
        assert_non_null(strstr(why, "there is no port c"));
        assert_int_equal(find("nowhere/con", &place), -ENOENT);
        assert_non_null(strstr(why, "no VM nowhere"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_have_two_parts_or_three),
            cmocka_unit_test(parts_have_an_end),
            cmocka_unit_test(the_only_port_or_the_one_called_console_is_found_without_a_name),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
