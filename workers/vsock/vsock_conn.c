/* The connections of a vsock device.
 * Owns the table; called by what judges the guest's packets and the proxy's frames. TRUST: ports and counts are the guest's
 * or the proxy's, each bounded here; who may say what when is judged by the callers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_conn.h"

#include <stddef.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"

#define CREDIT_STEP  (LIMIT_VSOCK_BUFFER / 4) /* bytes that are worth a packet of their own */
#define CREDIT_LOW   (LIMIT_VSOCK_BUFFER / 2) /* ... or fewer, when the guest knows of so little room */
#define CREDIT_PROXY 16384u                   /* bytes that are worth a frame */

#define MAY(state) (1u << (state))

/* Where each state may lead. FREE is reached from LINGERING alone, but for what the proxy has never heard of. */
static const unsigned next[CONN_STATE_COUNT_] = {
    [CONN_FREE] = MAY(CONN_OPENING) | MAY(CONN_OFFERED) | MAY(CONN_LINGERING),
    [CONN_OPENING] = MAY(CONN_OPEN) | MAY(CONN_LINGERING),
    [CONN_OFFERED] = MAY(CONN_OPEN) | MAY(CONN_LINGERING),
    [CONN_OPEN] = MAY(CONN_CLOSING) | MAY(CONN_LINGERING),
    [CONN_CLOSING] = MAY(CONN_LINGERING),
    [CONN_LINGERING] = MAY(CONN_FREE),
};

static void conn_set(struct vsock_conns *conns, struct vsock_conn *conn, enum vsock_conn_state state)
{
        if (!(next[conn->state] & MAY(state)))
                worker_trap();
        conns->n_offered -= conn->state == CONN_OFFERED;
        conns->n_offered += state == CONN_OFFERED;
        conn->state = state;
}

void vsock_conns_init(struct vsock_conns *conns, uint32_t seed)
{
        conns->seed = seed;
}

static struct vsock_conn **conn_bucket(struct vsock_conns *conns, uint32_t guest_port, uint32_t host_port)
{
        uint64_t h = ((uint64_t)guest_port << 32 | host_port) ^ (uint64_t)conns->seed << 16;

        h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
        return &conns->buckets[(h ^ h >> 31) % CONN_BUCKETS];
}

struct vsock_conn *vsock_conn_find(struct vsock_conns *conns, uint32_t guest_port, uint32_t host_port)
{
        struct vsock_conn *conn = *conn_bucket(conns, guest_port, host_port);

        while (conn && (conn->guest_port != guest_port || conn->host_port != host_port))
                conn = conn->next_same;
        return conn;
}

static void conn_hash(struct vsock_conns *conns, struct vsock_conn *conn)
{
        struct vsock_conn **bucket = conn_bucket(conns, conn->guest_port, conn->host_port);

        conn->next_same = *bucket;
        *bucket = conn;
}

static void conn_unhash(struct vsock_conns *conns, struct vsock_conn *conn)
{
        struct vsock_conn **at = conn_bucket(conns, conn->guest_port, conn->host_port);

        while (*at != conn)
                at = &(*at)->next_same;
        *at = conn->next_same;
}

uint32_t vsock_conn_stream(const struct vsock_conns *conns, const struct vsock_conn *conn)
{
        return (uint32_t)(conn - conns->rows);
}

/* Of a FREE one, all but its places in lists. */
static void conn_begin(struct vsock_conn *conn, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
        *conn = (struct vsock_conn){.guest_port = guest_port,
                                    .host_port = host_port,
                                    .type = type,
                                    .guest_listed = conn->guest_listed,
                                    .proxy_listed = conn->proxy_listed,
                                    .next_guest = conn->next_guest,
                                    .next_proxy = conn->next_proxy};
}

/* Memory that no connection has needed yet is not touched. */
static struct vsock_conn *conn_take_free(struct vsock_conns *conns)
{
        struct vsock_conn *conn = conns->free;

        if (conn)
                conns->free = conn->next_same;
        else if (conns->n_fresh < LIMIT_VSOCK_STREAMS)
                conn = &conns->rows[conns->n_fresh++];
        return conn;
}

struct vsock_conn *vsock_conn_open(struct vsock_conns *conns, uint32_t guest_port, uint32_t host_port,
                                   uint16_t type)
{
        struct vsock_conn *conn = conn_take_free(conns);

        if (!conn)
                return NULL;
        conn_begin(conn, guest_port, host_port, type);
        conn_set(conns, conn, CONN_OPENING);
        conn_hash(conns, conn);
        return conn;
}

struct vsock_conn *vsock_conn_offer(struct vsock_conns *conns, uint32_t stream, uint32_t guest_port,
                                    uint32_t host_port, uint16_t type)
{
        struct vsock_conn *conn = &conns->rows[stream];

        conn_begin(conn, guest_port, host_port, type);
        if (vsock_conn_find(conns, guest_port, host_port)) {
                conn_set(conns, conn, CONN_LINGERING);
                return conn;
        }
        conn_set(conns, conn, CONN_OFFERED);
        conn_hash(conns, conn);
        return conn;
}

void vsock_conn_establish(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn_set(conns, conn, CONN_OPEN);
}

void vsock_conn_close(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn_set(conns, conn, CONN_CLOSING);
}

static void conn_free(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn_set(conns, conn, CONN_FREE);
        conn->owed_guest = 0;
        conn->owed_proxy = 0;
        if (!vsock_stream_is_of(vsock_conn_stream(conns, conn), VSOCK_SIDE_WORKER))
                return;
        conn->next_same = conns->free;
        conns->free = conn;
}

void vsock_conn_leave(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn_unhash(conns, conn);
        conn_set(conns, conn, CONN_LINGERING);
        conn->owed_guest = 0;
        if (conn->owed_proxy & OWE_OPEN)
                conn_free(conns, conn);
}

static void conn_try_free(struct vsock_conns *conns, struct vsock_conn *conn)
{
        if (conn->state == CONN_LINGERING && conn->end_said && conn->end_heard)
                conn_free(conns, conn);
}

void vsock_conn_end_said(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn->end_said = true;
        conn_try_free(conns, conn);
}

void vsock_conn_end_heard(struct vsock_conns *conns, struct vsock_conn *conn)
{
        conn->end_heard = true;
        conn_try_free(conns, conn);
}

/* ---- who is owed what ---- */

void vsock_conn_owe_guest(struct vsock_conns *conns, struct vsock_conn *conn, uint8_t what)
{
        struct vsock_list *list = &conns->guest;

        conn->owed_guest |= what;
        if (conn->guest_listed)
                return;
        conn->guest_listed = true;
        conn->next_guest = NULL;
        *(list->last ? &list->last->next_guest : &list->first) = conn;
        list->last = conn;
}

void vsock_conn_owe_proxy(struct vsock_conns *conns, struct vsock_conn *conn, uint8_t what)
{
        struct vsock_list *list = &conns->proxy;

        conn->owed_proxy |= what;
        if (conn->proxy_listed)
                return;
        conn->proxy_listed = true;
        conn->next_proxy = NULL;
        *(list->last ? &list->last->next_proxy : &list->first) = conn;
        list->last = conn;
}

static void list_drop_guest(struct vsock_list *list)
{
        list->first->guest_listed = false;
        list->first = list->first->next_guest;
        if (!list->first)
                list->last = NULL;
}

struct vsock_conn *vsock_conn_first_guest(struct vsock_conns *conns)
{
        while (conns->guest.first && conns->guest.first->owed_guest == 0)
                list_drop_guest(&conns->guest);
        return conns->guest.first;
}

struct vsock_conn *vsock_conn_first_proxy(struct vsock_conns *conns)
{
        struct vsock_list *list = &conns->proxy;

        while (list->first && list->first->owed_proxy == 0) {
                list->first->proxy_listed = false;
                list->first = list->first->next_proxy;
                if (!list->first)
                        list->last = NULL;
        }
        return list->first;
}

void vsock_conn_turn_guest(struct vsock_conns *conns)
{
        struct vsock_conn *conn = conns->guest.first;

        list_drop_guest(&conns->guest);
        if (conn->owed_guest != 0)
                vsock_conn_owe_guest(conns, conn, 0);
}

/* ---- credit ---- */

/* Packets of several threads of a guest may come in another order than they were made: what is older than known says
 * nothing. A buffer that has shrunk takes nothing back. */
bool vsock_credit_hear(struct vsock_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt)
{
        uint32_t given = conn->tx_cnt - conn->peer_fwd_cnt; /* and not known to be used */
        uint32_t limit;

        if (fwd_cnt - conn->peer_fwd_cnt > given)
                return conn->peer_fwd_cnt - fwd_cnt <= LIMIT_VSOCK_WINDOW;
        conn->peer_fwd_cnt = fwd_cnt;
        conn->window = MIN(buf_alloc, LIMIT_VSOCK_WINDOW);
        limit = fwd_cnt + conn->window;
        if ((int32_t)(limit - conn->limit) > 0) {
                conn->limit = limit;
                conn->credit_asked = false;
        }
        return true;
}

bool vsock_credit_receive(struct vsock_conn *conn, uint32_t len)
{
        uint32_t room = LIMIT_VSOCK_BUFFER - (conn->rx_cnt - conn->fwd_told);

        if (len > room)
                return false;
        conn->rx_cnt += len;
        return true;
}

bool vsock_credit_come(struct vsock_conn *conn, uint32_t len)
{
        if (len > conn->limit_told - conn->came)
                return false;
        conn->came += len;
        return true;
}

bool vsock_credit_consume(struct vsock_conn *conn, uint32_t consumed)
{
        if (consumed - conn->fwd_cnt > conn->rx_cnt - conn->fwd_cnt)
                return false;
        conn->fwd_cnt = consumed;
        return true;
}

/* With little room left every byte counts: a message may need all of it, and nothing else would ever be consumed. */
bool vsock_credit_guest_due(const struct vsock_conn *conn)
{
        uint32_t news = conn->fwd_cnt - conn->fwd_told;
        uint32_t room = LIMIT_VSOCK_BUFFER - (conn->rx_cnt - conn->fwd_told);

        return news >= CREDIT_STEP || (news > 0 && room <= CREDIT_LOW);
}

bool vsock_credit_proxy_due(const struct vsock_conn *conn)
{
        uint32_t news = conn->limit - conn->limit_told;
        uint32_t room = conn->limit_told - conn->came;

        return news >= CREDIT_PROXY || (news > 0 && room <= LIMIT_VSOCK_BUFFER);
}
