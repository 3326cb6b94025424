/* What the wire tests share. Owns the loop, the device, and the listener with its socket file. TRUST: sees
 * bytes of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SETTLE_TURNS 100000

unsigned count_maps(void)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512];
        unsigned n = 0;

        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps))
                n += strstr(line, "memfd:") != NULL;
        fclose(maps);
        return n;
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, path, strlen(path) + 1);
        unlink(path);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

int fixture_setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        static unsigned n;

        uv_loop_init(&fixture->loop); /* libuv's first loop opens descriptors that it keeps */
        uv_loop_close(&fixture->loop);
        fixture->maps_before = count_maps();
        fixture->fds_before = count_fds();
        uv_loop_init(&fixture->loop);
        fake_device_init(&fixture->device);
        snprintf(fixture->path, sizeof(fixture->path), "/tmp/bulkhead-wire-%d-%u.sock", getpid(), n++);
        assert_int_equal(vhost_user_listener_new(&fixture->loop, &fixture->device, listen_at(fixture->path),
                                                 &fixture->listener),
                         0);
        *state = fixture;
        return 0;
}

int fixture_teardown(void **state)
{
        struct fixture *fixture = *state;

        vhost_user_listener_close(fixture->listener, NULL, NULL);
        fake_device_done(&fixture->device);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        assert_int_equal(count_fds(), fixture->fds_before);
        assert_int_equal(count_maps(), fixture->maps_before);
        unlink(fixture->path);
        free(fixture);
        return 0;
}

void fixture_turn(void *context)
{
        struct fixture *fixture = context;

        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        fake_device_turn(&fixture->device);
}

void fixture_settle(struct fixture *fixture)
{
        for (int i = 0; i < SETTLE_TURNS && vhost_user_listener_attached(fixture->listener); i++)
                fixture_turn(fixture);
        assert_false(vhost_user_listener_attached(fixture->listener));
        fixture_turn(fixture); /* close callbacks */
}

void fixture_connect(struct fixture *fixture, struct wire *wire)
{
        *wire = (struct wire){.sock = -1, .pump = fixture_turn, .pump_context = fixture};
        assert_int_equal(wire_connect(wire, fixture->path), 0);
}

void fixture_negotiate(struct fixture *fixture, struct front_end *front, enum front_end_dialect dialect)
{
        fixture_connect(fixture, &front->wire);
        assert_int_equal(front_end_negotiate(front, dialect, true), 0);
}
