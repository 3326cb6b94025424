/* What a worker says, in the broker's log. TRUST: the worker is the attacker; its words are read back from a
 * pipe in the place of stderr.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/base/fd.h"
#include "tests/core/world.h"

static struct world world;
static struct {
        int saved, ends[2];
        char words[65536]; /* less than a pipe holds at once */
        size_t len;
} ear;

/* From now on stderr is a pipe that `heard` empties. */
static void ear_open(void)
{
        ear.len = 0;
        ear.saved = dup(STDERR_FILENO);
        assert_true(ear.saved >= 0);
        assert_int_equal(pipe(ear.ends), 0);
        assert_int_equal(fd_set_nonblock(ear.ends[0]), 0);
        dup2(ear.ends[1], STDERR_FILENO);
}

static void ear_close(void)
{
        dup2(ear.saved, STDERR_FILENO);
        close(ear.saved);
        close(ear.ends[0]);
        close(ear.ends[1]);
}

/* Where in all that was written so far; NULL: not yet. */
static const char *heard(const char *what)
{
        ssize_t n = read(ear.ends[0], ear.words + ear.len, sizeof(ear.words) - 1 - ear.len);

        ear.len += n > 0 ? (size_t)n : 0;
        ear.words[ear.len] = '\0';
        return strstr(ear.words, what);
}

static void foreign_bytes_start_no_line_and_move_no_cursor(void **state)
{
        const char *at;

        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        ear_open();
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_LOG,
                               .log = {.level = 2, .text = "one\nerror: two\x1b[2J\r\x7f\xc3 dev=disk1"}});
        world_until(&world, heard("dev=disk1") && heard("\n"));
        ear_close();
        world_done(&world);
        at = strstr(ear.words, "one");
        assert_non_null(at);
        assert_non_null(strstr(at, "\\x0aerror: two\\x1b[2J\\x0d\\x7f\\xc3"));
        for (at = ear.words; *at; at++)
                assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7f));
        assert_null(strstr(ear.words, "\nerror: two"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(foreign_bytes_start_no_line_and_move_no_cursor),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
