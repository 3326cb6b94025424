/* What the wire tests share: a real listener and session over a fake device, in this process, and counts of
 * everything that could leak.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <uv.h>

#include "broker/vhost_user/listener.h"
#include "tests/core/own_fds.h"
#include "tests/harness/front_end.h"
#include "tests/wire/fake_device.h"

#define FIXTURE_DROP_MS 250 /* a session that must end has ended by then */

struct fixture {
        uv_loop_t loop;
        struct device device;
        struct vhost_user_listener *listener;
        struct vhost_user_family family; /* without members, until a test enters the listener */
        char path[64];
        unsigned fds_before, maps_before;
};

/* cmocka setup and teardown; *state is the fixture. The teardown fails when anything has leaked. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Lets loop and device run as far as they can. */
void fixture_turn(void *fixture);
/* Runs until no session is attached. */
void fixture_settle(struct fixture *fixture);

void fixture_connect(struct fixture *fixture, struct wire *wire);
void fixture_negotiate(struct fixture *fixture, struct front_end *front, enum front_end_dialect dialect);

/* Mappings of memfds of this process. */
unsigned count_maps(void);
