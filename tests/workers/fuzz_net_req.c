/* libFuzzer target: any bytes as a frame, a frame of the host's, a command, or what a predecessor has left. The input
 * is u8 which, u64 features, u16 MTU, u32 length that is claimed, then bytes. What is accepted must be sound, and what
 * it leads to must stay inside. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/net/net_filter.h"
#include "workers/net/net_offload.h"
#include "workers/net/net_req.h"

#define FUZZ_PREFIX 15u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

static void require_sound(const struct net_promise *promise, const struct net_header *header, uint32_t len)
{
        require(len >= NET_HEADER + NET_ETHERNET && len <= NET_BUFFER);
        len -= NET_HEADER;
        require(len <= promise->mtu + NET_ENVELOPE || header->gso_type != NET_GSO_NONE);
        if (header->flags & NET_NEEDS_CSUM)
                require(header->csum_start >= NET_ETHERNET &&
                        header->csum_start + header->csum_offset + 2u <= len);
        if (header->gso_type != NET_GSO_NONE)
                require((header->flags & NET_NEEDS_CSUM) && header->gso_size > 0 && header->hdr_len <= len);
}

static void fuzz_frame(const struct net_promise *promise, const uint8_t *bytes, size_t len, uint32_t claimed)
{
        struct net_header header;

        if (len >= NET_HEADER && net_req_check_frame(promise, bytes, claimed, 0, &header) == NET_DROP_NONE)
                require_sound(promise, &header, claimed);
}

/* As net_rx.c does for a driver that has agreed to nothing. */
static void fuzz_cut(const struct net_header *header, const uint8_t *frame, uint32_t len)
{
        struct net_cut cut;
        uint32_t piece, total = 0;

        if (!net_cut_start(&cut, header, frame, len))
                return;
        while ((piece = net_cut_len(&cut)) > 0) {
                uint8_t *out = malloc(piece);

                require(out && piece <= cut.payload_at + header->gso_size);
                net_cut_next(&cut, out);
                total += piece - cut.payload_at;
                free(out);
                if (cut.n > 64)
                        return;
        }
        require(total == len - cut.payload_at);
}

static void fuzz_host_frame(const struct net_promise *promise, uint8_t *bytes, size_t len)
{
        struct net_header header;

        if (net_req_check_host_frame(promise, bytes, (uint32_t)len, &header) != NET_DROP_NONE)
                return;
        require_sound(promise, &header, (uint32_t)len);
        if (!net_offload_needed(promise->features, &header))
                return;
        if (header.gso_type == NET_GSO_NONE)
                net_offload_sum(&header, bytes + NET_HEADER, (uint32_t)len - NET_HEADER);
        else
                fuzz_cut(&header, bytes + NET_HEADER, (uint32_t)len - NET_HEADER);
}

static void fuzz_control(const struct net_promise *promise, const uint8_t *bytes, size_t len)
{
        struct net_filter filter, other;
        struct net_control control;

        if (net_req_check_control(promise, bytes, len, &control) < 0)
                return;
        require(control.command < NET_COMMAND_COUNT_);
        net_filter_init(&filter, NULL);
        net_filter_apply(&filter, &control);
        require(net_filter_restore(&other, promise->n_pairs, (const uint8_t *)&filter, sizeof(filter)));
        require(memcmp(&filter, &other, sizeof(filter)) == 0);
}

static void fuzz_state(const struct net_promise *promise, const uint8_t *bytes, size_t len)
{
        uint8_t left[sizeof(struct net_filter)] = {NET_FILTER_VERSION}, frame[NET_ENVELOPE] = {0};
        struct net_filter filter;

        memcpy(left, bytes, MIN(len, sizeof(left)));
        if (!net_filter_restore(&filter, promise->n_pairs, left, sizeof(left)))
                return;
        require(filter.n_pairs >= 1 && filter.n_pairs <= promise->n_pairs);
        memcpy(frame, left, sizeof(frame));
        (void)net_filter_wants(&filter, promise->features, frame, sizeof(frame));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct net_promise promise = {.n_pairs = 4};
        uint16_t mtu;
        uint32_t claimed;
        uint8_t *bytes;
        size_t len;

        if (size < FUZZ_PREFIX)
                return 0;
        memcpy(&promise.features, data + 1, 8);
        memcpy(&mtu, data + 9, 2);
        memcpy(&claimed, data + 11, 4);
        promise.mtu = MAX((uint32_t)mtu, NET_MTU_MIN);
        len = MIN(size - FUZZ_PREFIX, (size_t)NET_BUFFER);
        bytes = malloc(len + !len); /* its own block, so that one byte too far is seen */
        if (!bytes)
                return 0;
        memcpy(bytes, data + FUZZ_PREFIX, len);
        switch (data[0] % 4) {
        case 0:
                fuzz_frame(&promise, bytes, len, claimed);
                break;
        case 1:
                fuzz_host_frame(&promise, bytes, len);
                break;
        case 2:
                fuzz_control(&promise, bytes, len);
                break;
        default:
                fuzz_state(&promise, bytes, len);
        }
        free(bytes);
        return 0;
}
