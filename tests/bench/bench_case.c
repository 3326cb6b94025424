/* Rows of work, from and to words. Owns nothing. Called by the options and the report. TRUST: words of whoever
 * started the bench.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_case.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[BENCH_OP_COUNT_] = {
    [BENCH_READ] = "read", [BENCH_WRITE] = "write", [BENCH_MIXED] = "mixed"};

bool bench_size_parse(const char *words, uint64_t *ret_size)
{
        static const char units[] = "kMG";
        char *end;
        unsigned long long value;
        unsigned shift = 0;

        errno = 0;
        value = strtoull(words, &end, 10);
        if (end == words || errno || *words == '-')
                return false;
        if (*end) {
                const char *unit = strchr(units, *end == 'K' ? 'k' : *end);

                if (!unit || end[1])
                        return false;
                shift = 10 * (unsigned)(unit - units + 1);
        }
        if (value > UINT64_MAX >> shift)
                return false;
        *ret_size = value << shift;
        return true;
}

static bool parse_number(const char *words, unsigned max, unsigned *ret_number)
{
        char *end;
        unsigned long value = strtoul(words, &end, 10);

        if (end == words || *end || value == 0 || value > max)
                return false;
        *ret_number = (unsigned)value;
        return true;
}

static bool parse_op(const char *word, enum bench_op *ret_op)
{
        for (unsigned i = 0; i < BENCH_OP_COUNT_; i++)
                if (strcmp(word, op_names[i]) == 0) {
                        *ret_op = (enum bench_op)i;
                        return true;
                }
        return false;
}

static const char *parse_word(struct bench_case *work, unsigned place, const char *word)
{
        uint64_t size;

        if (place == 0)
                return parse_op(word, &work->op) ? NULL : "an operation is read, write or mixed";
        if (place == 1) {
                if (!bench_size_parse(word, &size) || size == 0 || size % 512 || size > BENCH_BLOCK_MAX)
                        return "a block size is a multiple of 512, at most 4M";
                work->block = (uint32_t)size;
                return NULL;
        }
        if (place == 2)
                return parse_number(word, BENCH_DEPTH_MAX, &work->depth) ? NULL : "a depth is 1 to 256";
        if (strcmp(word, "seq") == 0)
                work->sequential = true;
        else if (strcmp(word, "packed") == 0)
                work->packed = true;
        else if (strncmp(word, "queues=", 7) != 0 || !parse_number(word + 7, BENCH_QUEUES_MAX, &work->queues))
                return "behind the depth stands seq, packed or queues=1 to 16";
        return NULL;
}

int bench_case_parse(const char *words, struct bench_case *ret_case, const char **ret_why)
{
        struct bench_case work = {.queues = 1};
        char copy[128], *rest = copy, *word;
        const char *why = NULL;
        unsigned place = 0;

        if ((size_t)snprintf(copy, sizeof(copy), "%s", words) >= sizeof(copy))
                why = "too long";
        while (!why && (word = strsep(&rest, ":")))
                why = parse_word(&work, place++, word);
        if (!why && place < 3)
                why = "a case is OPERATION:SIZE:DEPTH";
        if (why) {
                *ret_why = why;
                return -EINVAL;
        }
        *ret_case = work;
        return 0;
}

void bench_case_name(const struct bench_case *work, char *name, size_t size)
{
        bool small = work->block % 1024, large = work->block % (1u << 20) == 0;
        char queues[24] = "";

        if (work->queues > 1)
                snprintf(queues, sizeof(queues), ":queues=%u", work->queues);
        snprintf(name, size, "%s:%u%s:%u%s%s%s", op_names[work->op],
                 small   ? work->block
                 : large ? work->block >> 20
                         : work->block >> 10,
                 small   ? ""
                 : large ? "M"
                         : "k",
                 work->depth, work->sequential ? ":seq" : "", queues, work->packed ? ":packed" : "");
}
