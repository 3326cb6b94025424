/* A stream of records.
 * Owns nothing; called by sample.c. TRUST: every byte is a guest's, which may change it while it is read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/sample/sample_stream.h"

#include "proto/base/bytes.h"
#include "proto/base/checked.h"

/* A word that need not be aligned. */
struct anywhere {
        uint64_t word;
} __attribute__((packed, may_alias));

static void take_head(struct sample_stream *stream, uint64_t word)
{
        const uint32_t len = (uint32_t)word;

        if (len == 0 || len > SAMPLE_RECORD_MAX || word >> 32 != 0) {
                stream->bad = true;
                return;
        }
        stream->left = (len + SAMPLE_WORD - 1) / SAMPLE_WORD;
}

static void take_word(struct sample_stream *stream, uint64_t word)
{
        if (stream->left == 0)
                take_head(stream, word);
        else if (--stream->left == 0)
                stream->records++;
        stream->sum = (stream->sum << 1 | stream->sum >> 63) + word;
}

static void take_byte(struct sample_stream *stream, uint8_t byte)
{
        stream->word[stream->have++] = byte;
        if (stream->have < SAMPLE_WORD)
                return;
        stream->have = 0;
        take_word(stream, bytes_load64(stream->word));
}

/* Whole words are loaded as such: byte by byte takes longer than a message. */
void sample_stream_take(struct sample_stream *stream, const volatile uint8_t *bytes, uint64_t len)
{
        uint64_t i = 0;

        while (i < len && !stream->bad)
                if (stream->have == 0 && len - i >= SAMPLE_WORD) {
                        take_word(stream, le64toh(((const volatile struct anywhere *)(bytes + i))->word));
                        i += SAMPLE_WORD;
                } else {
                        take_byte(stream, bytes[i++]);
                }
}

bool sample_stream_is_whole(const struct sample_stream *stream)
{
        return !stream->bad && stream->have == 0 && stream->left == 0;
}
