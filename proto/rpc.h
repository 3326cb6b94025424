/* One table a protocol and one dispatch: what is out of table, size, descriptors, state or turn is refused
 * here.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A row; its index is the message's kind (the oneof case or the request number). An all-zero row is not
 * permitted. */
struct rpc_row {
        const char *name;
        uint32_t min_len, max_len; /* bytes of the message body (payload bytes on a lane) */
        uint8_t min_fds, max_fds;
        uint32_t states; /* mask of 1u << state in which the message is permitted */
        bool once;       /* once in the life of a connection */
        int (*handler)(void *context, const void *message);
        uint64_t needs; /* mask of rpc_peer.agreed bits that must all be agreed; 0: none */
        bool answers;   /* the handler sends an answer of its own, so that none is owed */
};

struct rpc_table {
        const struct rpc_row *rows;
        size_t n_rows; /* at most 64 */
};

/* What a connection remembers between messages. Zero is a valid start. */
struct rpc_peer {
        uint64_t seen;   /* kinds with `once` that have come */
        uint64_t agreed; /* what both sides have negotiated, one bit each; kept by the connection's owner */
};

/* Judges and calls the handler. -EPROTO: refused (the handler was not called); else the handler's result. */
int rpc_dispatch(const struct rpc_table *table, struct rpc_peer *peer, uint32_t state, uint32_t kind,
                 size_t len, unsigned n_fds, void *context, const void *message);

/* "unknown" for a kind outside the table. */
const char *rpc_name(const struct rpc_table *table, uint32_t kind);
