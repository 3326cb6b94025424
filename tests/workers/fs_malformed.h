/* Requests that no kernel makes, each by name, and what the device says to it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MALFORMED_MAX     (2u << 20) /* bytes of the longest */
#define MALFORMED_REFUSED 1          /* it breaks the protocol of its device */
#define MALFORMED_SILENT  2          /* there is no answer */

enum malformed_body {
        BODY_ZEROS = 0, /* n of them */
        BODY_BYTES,     /* n of no sense */
        BODY_TEXTS,     /* n zeros; then first, second and third, as many as there are */
        BODY_OPEN,      /* n zeros; then first, and `a` letters without a NUL */
        BODY_LONG,      /* n zeros; then first, and a text of `a` letters */
        BODY_WRITE,     /* at `a`, of b bytes, and n bytes */
        BODY_READ,      /* at `a`, of b bytes */
        BODY_VALUE,     /* of b bytes, called first, and n bytes */
        BODY_SIZE,      /* b, and first */
        BODY_LOCK,      /* from `a` to b, of kind n */
        BODY_SPACE,     /* at `a`, of b bytes */
        BODY_FORGETS,   /* they say b, and are n */
        BODY_UNMAPS,    /* likewise */
        BODY_INIT,      /* of version 7.b, flags n, `a` bytes of it */
};

struct malformed {
        const char *name;
        uint32_t opcode;
        enum malformed_body body;
        uint32_t n;
        const char *first, *second, *third;
        uint64_t a, b;
        uint64_t node;  /* 0: the root */
        int64_t stated; /* what the header says too much, of its length */
        uint32_t cut;   /* > 0: only so many bytes come, counted from 1 */
        uint32_t major; /* of BODY_INIT */
        uint32_t writable;
        bool roomless; /* writable is meant, though it is 0; else 0 is 4096 */
        int want;      /* the answer's error, or one of the above */
};

extern const struct malformed malformed[];
extern const size_t n_malformed;

/* Makes the bytes, and returns how many. */
uint32_t malformed_make(const struct malformed *row, uint8_t *out);
uint32_t malformed_writable(const struct malformed *row);
