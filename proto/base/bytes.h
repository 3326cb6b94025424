/* Little endian numbers at any place of a byte string: what devices, frames, files and tables have is read and made by these alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_load16(const uint8_t *at)
{
        uint16_t v;

        memcpy(&v, at, sizeof(v));
        return le16toh(v);
}

static inline uint32_t bytes_load32(const uint8_t *at)
{
        uint32_t v;

        memcpy(&v, at, sizeof(v));
        return le32toh(v);
}

static inline uint64_t bytes_load64(const uint8_t *at)
{
        uint64_t v;

        memcpy(&v, at, sizeof(v));
        return le64toh(v);
}

static inline void bytes_store16(uint8_t *at, uint16_t v)
{
        v = htole16(v);
        memcpy(at, &v, sizeof(v));
}

static inline void bytes_store32(uint8_t *at, uint32_t v)
{
        v = htole32(v);
        memcpy(at, &v, sizeof(v));
}

static inline void bytes_store64(uint8_t *at, uint64_t v)
{
        v = htole64(v);
        memcpy(at, &v, sizeof(v));
}
