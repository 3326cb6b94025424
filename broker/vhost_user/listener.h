/* The socket of one device: front ends are accepted one after the other, for ever.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/vhost_user/family.h"

struct vhost_user_listener;

/* listen_fd: a listening, non-blocking Unix stream socket; the listener's from here on, also on failure. The
 * listener is the device's one front (device_attach) until it is closed. It accepts when the device is ready
 * and no front end is attached; a second front end waits in the backlog. */
int vhost_user_listener_new(uv_loop_t *loop, struct device *device, int listen_fd,
                            struct vhost_user_listener **ret_listener);

/* Some device of the VM has shared memory regions: sessions to come offer what goes with that (features.c), and know what lies in
 * them (family.h). `refuses`: buffers of other devices in this one's regions are. Once. */
void vhost_user_listener_set_family(struct vhost_user_listener *listener, struct vhost_user_family *family,
                                    bool refuses);

/* Does this file lie in a region of the device, or does its front end still show it there? */
bool vhost_user_listener_shows(const struct vhost_user_listener *listener, uint64_t dev, uint64_t ino);

/* ... and is that no place for buffers of this device? */
bool vhost_user_listener_refuses(const struct vhost_user_listener *listener, const struct device *device);

/* Ends the session, if there is one, and detaches from the device, both at once. `closed` (may be NULL) comes
 * when the loop has let go; the listener is freed then. */
void vhost_user_listener_close(struct vhost_user_listener *listener, void (*closed)(void *context),
                               void *context);

bool vhost_user_listener_attached(const struct vhost_user_listener *listener);
