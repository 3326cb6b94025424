/* The spawner's care for streams that are connected to somebody's socket.
 * Owns nothing beyond struct spawner_device; called by spawner.c. TRUST: peers come and go as they like, and a worker that was
 * taken over may end its stream: neither costs more than a connect, and a worker, each LIMIT_PEER_MAX_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_peer.h"

#include <stdio.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"

/* Which of what is held is such a stream? A companion's is made anew with its companion. -1: none. */
static int stream_of(const struct spawner_device *state)
{
        for (unsigned i = 0; !state->companion.row && i < state->held.n; i++)
                if (state->held.kinds[i] == RESOURCE_STREAM)
                        return (int)i;
        return -1;
}

static int watched_fd(const struct spawner_device *state)
{
        int i = state->peer.gone ? -1 : stream_of(state);

        return i < 0 ? -1 : state->held.fds[i];
}

unsigned spawner_peers_poll(const struct spawner *spawner, struct pollfd *ret_pfds)
{
        unsigned n = 0;

        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                int fd = watched_fd(&spawner->devices[i]);

                if (fd >= 0)
                        ret_pfds[n++] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
        }
        return n;
}

/* The first loss is an accident. */
static void postpone(struct spawner_peer *peer, uint64_t now_ms)
{
        uint32_t n = peer->losses + peer->tries;
        uint64_t wait = 0;

        if (n > 1)
                wait = (uint64_t)LIMIT_PEER_MIN_MS << MIN(n - 2, 16u);
        wait = MIN(wait, (uint64_t)LIMIT_PEER_MAX_MS);
        peer->due_ms = now_ms + wait;
}

static void lose(struct spawner_peer *peer, const char *name, uint64_t now_ms)
{
        log_limited(LOG_LEVEL_WARNING, "the peer of its stream is gone: it is connected to again dev=%s",
                    name);
        if (now_ms - peer->since_ms >= LIMIT_SETTLED_MS)
                peer->losses = 0;
        peer->losses++;
        peer->tries = 0;
        peer->gone = true;
        postpone(peer, now_ms);
}

void spawner_peers_look(struct spawner *spawner, const struct pollfd *pfds, unsigned n, uint64_t now_ms)
{
        for (unsigned k = 0; k < n; k++)
                for (uint32_t i = 0; pfds[k].revents && i < spawner->n_workers; i++)
                        if (watched_fd(&spawner->devices[i]) == pfds[k].fd) {
                                lose(&spawner->devices[i].peer, spawner_worker(spawner, i)->name, now_ms);
                                break;
                        }
}

uint64_t spawner_peers_due(const struct spawner *spawner)
{
        uint64_t due = 0;

        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                const struct spawner_peer *peer = &spawner->devices[i].peer;

                if (peer->gone && (due == 0 || peer->due_ms < due))
                        due = peer->due_ms;
        }
        return due;
}

static int connect_again(struct spawner *spawner, uint32_t device, uint64_t now_ms)
{
        const struct device_config *config = spawner_worker(spawner, device);
        struct spawner_device *state = &spawner->devices[device];
        struct spawner_peer *peer = &state->peer;
        char why[256] = "";

        if (resources_renew(config, &state->held, (unsigned)stream_of(state), why, sizeof(why)) < 0) {
                if (peer->tries++ == 0)
                        log_limited(LOG_LEVEL_WARNING, "its stream is down until its peer is back: %s dev=%s",
                                    why, config->name);
                postpone(peer, now_ms);
                return 0;
        }
        peer->gone = false;
        peer->since_ms = now_ms;
        log_limited(LOG_LEVEL_INFO, "the peer of its stream is there again: its worker is replaced dev=%s",
                    config->name);
        return spawner_device_renewed(spawner, device);
}

int spawner_peers_connect(struct spawner *spawner, uint64_t now_ms)
{
        int r = 0;

        for (uint32_t i = 0; r == 0 && i < spawner->n_workers; i++)
                if (spawner->devices[i].peer.gone && spawner->devices[i].peer.due_ms <= now_ms)
                        r = connect_again(spawner, i, now_ms);
        return r;
}
