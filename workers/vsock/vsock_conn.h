/* The connections of a vsock device: states, the table by ports and by stream, who is owed what, and the arithmetic of credit
 * (virtio 1.3, 5.10.6.3).
 *
 * State is about the two ends of a connection, of which one may be there without the other:
 *
 *     FREE       nobody has it
 *     OPENING    the guest has asked, the proxy connects               left by OPENED, END; RST of the guest
 *     OFFERED    the host has asked, the guest has not answered        left by RESPONSE, RST; END; time
 *     OPEN       both                                                  left by END; RST or a whole SHUTDOWN of the guest; a lie
 *     CLOSING    the host's end is gone; the guest has been told       left by its RST or SHUTDOWN
 *     LINGERING  the guest's end is gone, its ports may be used again; what it sent may still be on its way to the host
 *                                                                      left when both sides of the stream have said END
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/vsock_frame.h"
#include "workers/vsock/vsock_req.h"

enum vsock_conn_state {
        CONN_FREE = 0,
        CONN_OPENING,
        CONN_OFFERED,
        CONN_OPEN,
        CONN_CLOSING,
        CONN_LINGERING,
        CONN_STATE_COUNT_,
};

/* Packets that the guest is owed, in the order in which they go. */
#define OWE_REQUEST        1u
#define OWE_RESPONSE       2u
#define OWE_CREDIT_UPDATE  4u
#define OWE_CREDIT_REQUEST 8u
#define OWE_SHUTDOWN       16u
#define OWE_GUEST_COUNT    5u

/* Frames that the proxy is owed, likewise. */
#define OWE_OPEN        1u
#define OWE_ACCEPT      2u
#define OWE_CREDIT      4u
#define OWE_SHUT        8u
#define OWE_END         16u
#define OWE_PROXY_COUNT 5u

struct vsock_conn {
        enum vsock_conn_state state;
        uint16_t type;
        uint32_t guest_port, host_port;

        /* guest to host, bytes modulo 2^32 */
        uint32_t rx_cnt;   /* the guest has sent */
        uint32_t fwd_cnt;  /* ... the host has */
        uint32_t fwd_told; /* ... as the guest has been told */

        /* host to guest, likewise */
        uint32_t came;         /* the proxy has sent */
        uint32_t tx_cnt;       /* ... the guest has been given */
        uint32_t peer_fwd_cnt; /* ... and has used, as it says */
        uint32_t window;       /* ... and has room for, at most */
        uint32_t limit;        /* so many may be sent */
        uint32_t limit_told;   /* ... as the proxy has been told */
        bool credit_asked;     /* since the limit was reached */

        uint8_t guest_shut, host_shut; /* VSOCK_NO_ */
        uint8_t owed_guest, owed_proxy;
        bool end_said, end_heard;
        uint8_t age; /* of OFFERED: ticks */

        bool guest_listed, proxy_listed;
        struct vsock_conn *next_guest, *next_proxy; /* of those that are owed something */
        struct vsock_conn *next_same;               /* of the bucket; or of the free ones */
};

struct vsock_list {
        struct vsock_conn *first, *last;
};

#define CONN_BUCKETS 2048u /* as many as there are connections */

struct vsock_conns {
        struct vsock_conn rows[VSOCK_FRAME_IDS]; /* by stream */
        struct vsock_conn *buckets[CONN_BUCKETS];
        struct vsock_conn *free; /* of the streams that the worker gives: used before; */
        uint32_t n_fresh;        /* ... and so many were ever used */
        struct vsock_list guest, proxy;
        uint32_t n_offered;
        uint32_t seed; /* of the buckets: no guest can know which ports meet */
};

/* `conns` is zero. */
void vsock_conns_init(struct vsock_conns *conns, uint32_t seed);

/* One that is neither FREE nor LINGERING. NULL: there is none. */
struct vsock_conn *vsock_conn_find(struct vsock_conns *conns, uint32_t guest_port, uint32_t host_port);

uint32_t vsock_conn_stream(const struct vsock_conns *conns, const struct vsock_conn *conn);

/* OPENING, with a stream of ours. NULL: there are as many as there may be. There is none of these ports. */
struct vsock_conn *vsock_conn_open(struct vsock_conns *conns, uint32_t guest_port, uint32_t host_port,
                                   uint16_t type);

/* A stream that the proxy has given, and that is FREE: OFFERED; or LINGERING, when these ports have a connection. */
struct vsock_conn *vsock_conn_offer(struct vsock_conns *conns, uint32_t stream, uint32_t guest_port,
                                    uint32_t host_port, uint16_t type);

/* Both ends are there: from OPENING or OFFERED. */
void vsock_conn_establish(struct vsock_conns *conns, struct vsock_conn *conn);

/* The host's end is gone: from OPEN. */
void vsock_conn_close(struct vsock_conns *conns, struct vsock_conn *conn);

/* The guest's end is gone: LINGERING; FREE if the proxy has never heard of it. What the guest is owed is forgotten. */
void vsock_conn_leave(struct vsock_conns *conns, struct vsock_conn *conn);

/* END has been said or heard: FREE when that was the second one of a LINGERING one. */
void vsock_conn_end_said(struct vsock_conns *conns, struct vsock_conn *conn);
void vsock_conn_end_heard(struct vsock_conns *conns, struct vsock_conn *conn);

/* Owes more; not to be called for a FREE one. */
void vsock_conn_owe_guest(struct vsock_conns *conns, struct vsock_conn *conn, uint8_t what);
void vsock_conn_owe_proxy(struct vsock_conns *conns, struct vsock_conn *conn, uint8_t what);

/* The next that is owed something and stands at the front of its list. NULL: none. */
struct vsock_conn *vsock_conn_first_guest(struct vsock_conns *conns);
struct vsock_conn *vsock_conn_first_proxy(struct vsock_conns *conns);

/* Puts the first one behind the others, if it is owed anything still. */
void vsock_conn_turn_guest(struct vsock_conns *conns);

/* ---- credit ---- */

/* What a packet says of the guest's buffer. False: it has used bytes that it was never given. */
bool vsock_credit_hear(struct vsock_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt);

/* The guest has sent `len` bytes. False: more than it was told there is room for. */
bool vsock_credit_receive(struct vsock_conn *conn, uint32_t len);

/* The proxy has sent `len` bytes. False: more than it was allowed. */
bool vsock_credit_come(struct vsock_conn *conn, uint32_t len);

/* The host has taken so many in all. False: more than there were, or fewer than before. */
bool vsock_credit_consume(struct vsock_conn *conn, uint32_t consumed);

/* Must the guest, and the proxy, be told what they do not know yet? */
bool vsock_credit_guest_due(const struct vsock_conn *conn);
bool vsock_credit_proxy_due(const struct vsock_conn *conn);
