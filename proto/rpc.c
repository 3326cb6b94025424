/* One dispatch for every table.
 * Owns nothing; called by whoever reads messages of a peer.
 * TRUST: kind, len and n_fds are the peer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc.h"

#include <errno.h>

static const struct rpc_row *rpc_find(const struct rpc_table *table, uint32_t kind)
{
        const struct rpc_row *row;

        if (kind >= table->n_rows)
                return NULL;
        row = &table->rows[kind];
        return row->handler ? row : NULL;
}

int rpc_dispatch(const struct rpc_table *table, struct rpc_peer *peer, uint32_t state, uint32_t kind,
                 size_t len, unsigned n_fds, void *context, const void *message)
{
        const struct rpc_row *row = rpc_find(table, kind);

        if (!row)
                return -EPROTO;
        if (len < row->min_len || len > row->max_len)
                return -EPROTO;
        if (n_fds < row->min_fds || n_fds > row->max_fds)
                return -EPROTO;
        if (!(row->states & (1u << state)) || (row->needs & ~peer->agreed))
                return -EPROTO;
        if (row->once) {
                uint64_t bit = UINT64_C(1) << kind;

                if (peer->seen & bit)
                        return -EPROTO;
                peer->seen |= bit;
        }
        return row->handler(context, message);
}

const char *rpc_name(const struct rpc_table *table, uint32_t kind)
{
        const struct rpc_row *row = rpc_find(table, kind);

        return row ? row->name : "unknown";
}
