/* Records for a sample device.
 * Owns nothing; called by the bench's session. TRUST: sees bytes of its own alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/shmem/records.h"

#include "proto/base/bytes.h"

#define WORD 8u
#define STEP UINT64_C(0x9e3779b97f4a7c15) /* odd: it comes back to where it began after all other words */

uint32_t records_stride(uint32_t len)
{
        return WORD + (len + WORD - 1) / WORD * WORD;
}

static void put(struct records *records, struct records_place *place, uint64_t word)
{
        bytes_store64(place->base + place->at, word);
        place->at += WORD;
        if (place->at == place->len)
                place->at = 0;
        records->sum = (records->sum << 1 | records->sum >> 63) + word;
}

void records_make(struct records *records, struct records_place *place, uint32_t len, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                put(records, place, len);
                for (uint32_t done = 0; done < len; done += WORD)
                        put(records, place, records->word += STEP);
        }
        records->count += n;
}
