/* The socket of one device.
 * Owns the listening socket, its poll handle, the retry timer, and the session while there is one; called by
 * whoever sets up the devices, by the loop, and by the device (struct device_front). TRUST: who may connect
 * is decided by the socket's mode; from there on the session judges.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/vhost_user/session.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

struct vhost_user_listener {
        uv_poll_t poll;
        uv_timer_t retry;
        int fd; /* -1: closing */
        unsigned open_handles;
        uv_loop_t *loop;
        struct device *device;
        struct session *session;          /* NULL: none */
        struct vhost_user_family *family; /* NULL: no device of the VM has regions */
        bool refuses;
        void (*closed)(void *context);
        void *closed_context;
};

static void listener_event(uv_poll_t *poll, int status, int events);

static bool listener_wants(const struct vhost_user_listener *listener)
{
        return listener->fd >= 0 && !listener->session && device_is_ready(listener->device);
}

static void listener_retry(uv_timer_t *timer);

static void listener_watch(struct vhost_user_listener *listener)
{
        if (!listener_wants(listener))
                uv_poll_stop(&listener->poll);
        else if (uv_poll_start(&listener->poll, UV_READABLE, listener_event) < 0)
                uv_timer_start(&listener->retry, listener_retry, LIMIT_ACCEPT_RETRY_MS, 0);
}

static void listener_retry(uv_timer_t *timer)
{
        listener_watch(timer->data);
}

/* The session has let the device go: the next may come. */
static void listener_session_ended(void *context)
{
        struct vhost_user_listener *listener = context;

        listener->session = NULL;
        if (listener->fd >= 0)
                listener_watch(listener);
}

static int listener_accept(struct vhost_user_listener *listener)
{
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return -errno;
        return session_new(listener->loop, listener->device, fd, listener->family, listener_session_ended,
                           listener, &listener->session);
}

static bool accept_error_passes(int error)
{
        return error == -EAGAIN || error == -EINTR || error == -ECONNABORTED;
}

static void listener_event(uv_poll_t *poll, int status, int events)
{
        struct vhost_user_listener *listener = poll->data;
        int r = status;

        (void)events;
        if (r == 0)
                r = listener_accept(listener);
        if (r < 0 && !accept_error_passes(r)) {
                log_limited(LOG_LEVEL_WARNING, "cannot accept a front end: %s dev=%s", strerror(-r),
                            device_name(listener->device));
                uv_poll_stop(&listener->poll);
                uv_timer_start(&listener->retry, listener_retry, LIMIT_ACCEPT_RETRY_MS, 0);
                return;
        }
        listener_watch(listener);
}

/* ---- the device's word ---- */

static void listener_device_ready(void *context)
{
        listener_watch(context);
}

static void listener_config_changed(void *context)
{
        struct vhost_user_listener *listener = context;

        if (listener->session)
                session_config_changed(listener->session);
}

static void listener_broken(void *context, unsigned queue, enum queue_fault fault)
{
        struct vhost_user_listener *listener = context;

        (void)fault;
        if (listener->session)
                session_ring_broken(listener->session, queue);
}

static void listener_suspicious(void *context, unsigned queue)
{
        struct vhost_user_listener *listener = context;

        if (listener->session)
                session_ring_suspicious(listener->session, queue);
}

/* Nobody is there who could see it: a session that comes is told of all. */
static bool listener_shmem_show(void *context, struct shmem_mapping *mapping)
{
        struct vhost_user_listener *listener = context;

        return !listener->session || session_shmem_show(listener->session, mapping);
}

static void listener_shmem_hide(void *context, struct shmem_mapping *mapping)
{
        struct vhost_user_listener *listener = context;

        if (listener->session)
                session_shmem_hide(listener->session, mapping);
}

static void listener_iotlb_miss(void *context, uint64_t iova, unsigned rights)
{
        struct vhost_user_listener *listener = context;

        if (listener->session)
                session_iotlb_miss(listener->session, iova, rights);
}

/* ---- beginning and end ---- */

static void listener_handle_closed(uv_handle_t *handle)
{
        struct vhost_user_listener *listener = handle->data;

        if (--listener->open_handles > 0)
                return;
        if (listener->closed)
                listener->closed(listener->closed_context);
        free(listener);
}

void vhost_user_listener_close(struct vhost_user_listener *listener, void (*closed)(void *context),
                               void *context)
{
        int fd = take_fd(&listener->fd);

        listener->closed = closed;
        listener->closed_context = context;
        if (listener->session)
                session_end(listener->session, 0);
        if (listener->family)
                vhost_user_family_remove(listener->family, listener);
        device_attach(listener->device, NULL);
        uv_close((uv_handle_t *)&listener->poll, listener_handle_closed);
        uv_close((uv_handle_t *)&listener->retry, listener_handle_closed);
        cleanup_close(&fd);
}

void vhost_user_listener_set_family(struct vhost_user_listener *listener, struct vhost_user_family *family,
                                    bool refuses)
{
        assert(!listener->family);
        listener->family = family;
        listener->refuses = refuses;
        vhost_user_family_add(family, listener);
}

bool vhost_user_listener_shows(const struct vhost_user_listener *listener, uint64_t dev, uint64_t ino)
{
        const struct shmem *shmem = device_shmem(listener->device);

        for (size_t i = 0; i < shmem_n_mappings(shmem); i++) {
                const struct shmem_mapping *mapping = shmem_mapping_at(shmem, i);

                if (mapping->dev == dev && mapping->ino == ino)
                        return true;
        }
        return listener->session && session_shows(listener->session, dev, ino);
}

bool vhost_user_listener_refuses(const struct vhost_user_listener *listener, const struct device *device)
{
        return listener->refuses && listener->device != device;
}

bool vhost_user_listener_attached(const struct vhost_user_listener *listener)
{
        return listener->session != NULL;
}

int vhost_user_listener_new(uv_loop_t *loop, struct device *device, int listen_fd,
                            struct vhost_user_listener **ret_listener)
{
        _cleanup_close_ int owned = listen_fd;
        struct vhost_user_listener *listener = calloc(1, sizeof(*listener));
        const struct device_front front = {.context = listener,
                                           .ready = listener_device_ready,
                                           .config_changed = listener_config_changed,
                                           .broken = listener_broken,
                                           .suspicious = listener_suspicious,
                                           .shmem_show = listener_shmem_show,
                                           .shmem_hide = listener_shmem_hide,
                                           .iotlb_miss = listener_iotlb_miss};
        int r;

        if (!listener)
                return -ENOMEM;
        r = uv_poll_init(loop, &listener->poll, owned);
        if (r < 0) {
                free(listener);
                return r;
        }
        uv_timer_init(loop, &listener->retry);
        listener->poll.data = listener->retry.data = listener;
        listener->open_handles = 2;
        listener->fd = take_fd(&owned);
        listener->loop = loop;
        listener->device = device;
        device_attach(device, &front);
        listener_watch(listener);
        *ret_listener = listener;
        return 0;
}
