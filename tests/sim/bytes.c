/* Bytes that follow from a number.
 * Owns two tables; called by the guest, the worker and the model. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/bytes.h"

#include <string.h>
#include <sys/param.h>

#define STREAM 65536u /* a stream repeats after so many bytes */
#define CANARY 4096u

static uint8_t table[2 * STREAM], canary[2 * CANARY];

void bytes_start(void)
{
        uint64_t x = 88172645463325252u;

        for (size_t i = 0; i < STREAM; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                table[i] = table[i + STREAM] = (uint8_t)((x >> 24) % 0xc0u); /* never a canary's */
        }
        for (size_t i = 0; i < CANARY; i++)
                canary[i] = canary[i + CANARY] = (uint8_t)(0xc0u | (i * 7u >> 3));
}

static const uint8_t *stream(uint64_t key, uint64_t at)
{
        return table + ((key * UINT64_C(0x9e3779b97f4a7c15) >> 40) + at) % STREAM;
}

void bytes_fill(uint64_t key, uint64_t at, uint8_t *ret_bytes, size_t len)
{
        for (size_t n; len > 0; at += n, ret_bytes += n, len -= n) {
                n = MIN(len, (size_t)STREAM);
                memcpy(ret_bytes, stream(key, at), n);
        }
}

bool bytes_are(uint64_t key, uint64_t at, const uint8_t *bytes, size_t len)
{
        for (size_t n; len > 0; at += n, bytes += n, len -= n) {
                n = MIN(len, (size_t)STREAM);
                if (memcmp(bytes, stream(key, at), n) != 0)
                        return false;
        }
        return true;
}

uint8_t byte_of(uint64_t key, uint64_t at)
{
        return *stream(key, at);
}

void canary_fill(uint64_t at, uint8_t *ret_bytes, size_t len)
{
        for (size_t n; len > 0; at += n, ret_bytes += n, len -= n) {
                n = MIN(len, (size_t)CANARY);
                memcpy(ret_bytes, canary + at % CANARY, n);
        }
}

bool canary_is(uint64_t at, const uint8_t *bytes, size_t len)
{
        for (size_t n; len > 0; at += n, bytes += n, len -= n) {
                n = MIN(len, (size_t)CANARY);
                if (memcmp(bytes, canary + at % CANARY, n) != 0)
                        return false;
        }
        return true;
}
