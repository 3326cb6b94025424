/* The host's side of a port.
 * Owns the client's connection and the stash; called by console.c, and by the runtime when a descriptor is ready. TRUST: sizes
 * of requests are the guest's and judged here by console_req.h; bytes of both sides are carried and not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_port.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "proto/base/checked.h"
#include "workers/console/console_req.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"
#include "workers/runtime/worker_watch.h"

#define PORT_PIECE 16384u /* bytes of one host call */

static struct console_port *port_of[LIMIT_CONSOLE_PORTS]; /* whose descriptor is ready */
static bool all_deaf; /* the host had no descriptor or memory for the last client: said once */

static bool port_is_console(const struct console_port *port)
{
        return port->index == 0;
}

/* ---- the client ---- */

static void on_client(void *state, int fd, short events);

static bool port_wants_input(const struct console_port *port)
{
        return !port->client.ended && port->listens && supply_first(console_input_queue(port->index));
}

/* One that has gone, and whose last words nobody can take yet, would be ready for ever. */
static void port_watch(struct console_port *port)
{
        int fd = port->client.fd;

        if (fd < 0)
                return;
        if (port->client.gone)
                worker_watch_remove(fd);
        else
                worker_watch_set(fd, (short)((port_wants_input(port) ? POLLIN : 0) |
                                             (port->blocked || port->deaf ? POLLOUT : 0)));
}

/* The time of a stall is the console's: nobody who comes or goes elsewhere may stop it. */
static void port_unblock(struct console_port *port)
{
        port->blocked = false;
        if (port_is_console(port))
                console_time_stop(port->times, CONSOLE_TIME_STALL);
}

static void port_drop_client(struct console_port *port)
{
        worker_watch_remove(port->client.fd);
        console_client_close(&port->client);
        port_unblock(port);
        port->deaf = false;
        port->stash_at = port->stash_end = 0;
        port->changed(port);
        console_port_output(port);
}

static void port_take_client(struct console_port *port, int fd)
{
        port->client = (struct console_client){.fd = fd};
        port->expects = port->left = false;
        worker_watch_add(fd, 0, on_client);
        port->changed(port);
        console_port_input(port);
        console_port_output(port);
}

/* Whom the host cannot accept for want of descriptors or memory waits: looking at once again would be a busy loop. */
static void port_deafen(int error)
{
        if (!all_deaf)
                worker_log(LOG_LEVEL_WARNING, "cannot accept clients for now: errno=%d", -error);
        all_deaf = true;
        for (uint32_t i = 0; i < LIMIT_CONSOLE_PORTS; i++) {
                if (!port_of[i])
                        continue;
                worker_watch_set(port_of[i]->listener, 0);
                console_time_set(port_of[i]->times, CONSOLE_TIME_ACCEPT, LIMIT_ACCEPT_RETRY_MS);
        }
}

/* One at a time: who comes second is sent away, unless the first has only left its last words here. That it has gone may be
 * seen in this very look. */
static void on_listener(void *state, int fd, short events)
{
        int client_fd = console_client_accept(fd);

        (void)state;
        (void)events;
        if (client_fd < 0 && client_fd != -EAGAIN)
                port_deafen(client_fd);
        all_deaf &= client_fd < 0;
        for (uint32_t i = 0; client_fd >= 0 && i < LIMIT_CONSOLE_PORTS; i++) {
                struct console_port *port = port_of[i];

                if (!port || port->listener != fd)
                        continue;
                if (port->client.fd >= 0 && console_client_has_gone(&port->client))
                        console_port_input(port);
                if (port->client.fd >= 0 && port->client.gone)
                        port_drop_client(port);
                if (port->client.fd < 0) {
                        port_take_client(port, client_fd);
                } else {
                        struct console_client second = {.fd = client_fd};

                        console_client_close(&second);
                }
                return;
        }
}

static void port_serve_client(struct console_port *port, short events)
{
        if (events & (POLLHUP | POLLERR))
                port->client.gone = true;
        if (events & POLLOUT)
                port->deaf = false;
        if (events & (POLLOUT | POLLHUP | POLLERR)) {
                port_unblock(port);
                console_port_output(port);
        }
        console_port_input(port);
}

static void on_client(void *state, int fd, short events)
{
        (void)state;
        for (uint32_t i = 0; i < LIMIT_CONSOLE_PORTS; i++)
                if (port_of[i] && port_of[i]->client.fd == fd) {
                        port_serve_client(port_of[i], events);
                        return;
                }
}

/* ---- input ---- */

void console_port_input(struct console_port *port)
{
        uint32_t queue = console_input_queue(port->index);
        struct request *request;
        size_t n = 1;

        while (port->client.fd >= 0 && port_wants_input(port) && n > 0) {
                uint32_t room;

                request = supply_first(queue);
                if (!console_input_ok(request_readable(request), request_writable(request))) {
                        request_refuse(request);
                        continue;
                }
                room = MIN(request_writable(request), PORT_PIECE);
                n = console_client_take(&port->client, request_reserve(request, room), room);
                if (n > 0)
                        request_complete(request, 0, (uint32_t)n);
        }
        if (port->client.fd >= 0 && port->client.gone && !console_client_waits(&port->client))
                port_drop_client(port);
        port_watch(port);
}

/* ---- output ---- */

static struct request *port_first(const struct console_port *port)
{
        if (!port_is_console(port))
                return supply_first(console_output_queue(port->index));
        return port->waiting.n > 0 ? port->waiting.requests[port->waiting.first] : NULL;
}

/* Forgets the first one, that is about to be answered. */
static void port_shift(struct console_port *port)
{
        port->sent = port->logged = 0;
        if (!port_is_console(port))
                return;
        port->waiting.first = (port->waiting.first + 1) % LIMIT_CREDITS;
        port->waiting.n--;
}

/* The next bytes of a request, at least one; or negative errno: the guest's memory is gone. */
static int port_piece(const struct console_port *port, struct request *request, const uint8_t **ret_bytes)
{
        static uint8_t piece[PORT_PIECE];
        uint32_t left = request_readable(request) - port->sent, inlined;
        const uint8_t *bytes = request_inlined(request, &inlined);
        int r;

        if (port->sent < inlined) {
                *ret_bytes = bytes + port->sent;
                return (int)MIN(inlined - port->sent, PORT_PIECE);
        }
        left = MIN(left, PORT_PIECE);
        r = request_read(request, port->sent, piece, left);
        *ret_bytes = piece;
        return r < 0 ? r : (int)left;
}

/* How many the client has taken, or would have to be lost. */
static uint32_t port_give(struct console_port *port, const uint8_t *bytes, uint32_t len)
{
        uint32_t n = len;

        if (port->client.fd >= 0 && !port->deaf)
                n = (uint32_t)console_client_give(&port->client, bytes, len);
        if (n == len)
                return n;
        port->blocked = true;
        if (port_is_console(port))
                console_time_set(port->times, CONSOLE_TIME_STALL, LIMIT_CONSOLE_STALL_MS);
        return n;
}

/* All of the first request that can go now. False: it waits. */
static bool port_send(struct console_port *port, struct request *request)
{
        while (port->sent < request_readable(request)) {
                const uint8_t *bytes;
                int n = port_piece(port, request, &bytes);
                uint32_t given;

                if (n < 0)
                        return true;
                if (port->logged < port->sent + (uint32_t)n) {
                        uint32_t known = port->logged > port->sent ? port->logged - port->sent : 0;

                        console_log_add(&port->log, bytes + known, (size_t)n - known);
                        port->logged = port->sent + (uint32_t)n;
                }
                given = port_give(port, bytes, (uint32_t)n);
                port->sent += given;
                if (given < (uint32_t)n)
                        return false;
        }
        return true;
}

static bool port_send_stash(struct console_port *port)
{
        while (port->stash_at < port->stash_end) {
                uint32_t len = port->stash_end - port->stash_at;
                uint32_t given = port_give(port, port->stash + port->stash_at, len);

                port->stash_at += given;
                if (given < len)
                        return false;
        }
        return true;
}

/* Nobody has anything more to say to the other, as after a script's question and its answer. */
static bool port_is_done(struct console_port *port)
{
        return port->client.fd >= 0 && port->left && !port_first(port) &&
               !console_client_waits(&port->client) && port->client.ended;
}

void console_port_output(struct console_port *port)
{
        struct request *request;

        if (port->blocked || port->expects || !port_send_stash(port)) {
                port_watch(port);
                return;
        }
        while ((request = port_first(port))) {
                bool ok = console_output_ok(request_readable(request), request_writable(request));

                if (ok && !request_must_fail(request) && !port_send(port, request))
                        break;
                port_shift(port);
                if (ok)
                        request_complete(request, 0, 0);
                else
                        request_refuse(request);
        }
        if (port_is_done(port))
                port_drop_client(port);
        else if (port->client.fd >= 0 && port->client.gone) /* seen just now, perhaps */
                console_port_input(port);
        else
                port_watch(port);
}

void console_port_add(struct console_port *port, struct request *request)
{
        struct console_waiting *waiting = &port->waiting;

        if (waiting->n == LIMIT_CREDITS)
                worker_trap();
        waiting->requests[(waiting->first + waiting->n++) % LIMIT_CREDITS] = request;
        console_port_output(port);
}

/* Its bytes from `sent` on, of which the log has some already. */
static void port_keep_rest(struct console_port *port, struct request *request)
{
        uint32_t left = request_readable(request) - port->sent, known = port->logged - port->sent;

        if (left > LIMIT_CONSOLE_STASH)
                worker_log(LOG_LEVEL_WARNING, "port %u: stopped in the middle: output is lost", port->index);
        left = MIN(left, LIMIT_CONSOLE_STASH);
        if (request_read(request, port->sent, port->stash, left) < 0)
                return;
        if (left > known)
                console_log_add(&port->log, port->stash + known, left - known);
        port->stash_at = 0;
        port->stash_end = left;
}

void console_port_stash(struct console_port *port)
{
        struct request *request = port_first(port);

        if (!request || port->logged == 0)
                return;
        port_keep_rest(port, request);
        port_shift(port);
        request_complete(request, 0, 0);
}

void console_port_listen(struct console_port *port)
{
        worker_watch_set(port->listener, POLLIN);
}

void console_port_stalled(struct console_port *port)
{
        if (!port->blocked)
                return;
        worker_log(LOG_LEVEL_WARNING, "port %u: its client does not read: output to it is lost", port->index);
        port->deaf = true; /* until it reads again */
        port->blocked = false;
        console_port_output(port);
}

void console_port_expect_no_more(struct console_port *port)
{
        port->expects = false;
        console_port_output(port);
}

int console_port_open(struct console_port *port)
{
        port->stash = worker_memory(LIMIT_CONSOLE_STASH);
        if (!port->stash)
                return -ENOMEM;
        port->client.fd = -1;
        port_of[port->index] = port;
        worker_watch_add(port->listener, POLLIN, on_listener);
        return 0;
}
