/* What every cmocka test starts with: cmocka in its required order, a count of open descriptors, and the
 * sweep that every `_check` goes through.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* Open descriptors of this process, the one that counts included. Equal before and after: nothing leaked. */
static inline unsigned unit_count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

/* Gets bytes in a heap block of exactly their length, so that a read beyond them is seen by the sanitizer. */
typedef void (*unit_sweep_fn)(const uint8_t *bytes, size_t len, void *context);

static inline void unit_sweep_one(const uint8_t *bytes, size_t len, unit_sweep_fn fn, void *context)
{
        uint8_t *exact = malloc(len);

        assert_true(exact || len == 0);
        if (len > 0)
                memcpy(exact, bytes, len);
        fn(exact, len, context);
        free(exact);
}

/* Calls `fn` with the valid message, with each of its truncations, with each single bit of it flipped, with
 * each byte left out, and with each byte doubled. */
static inline void unit_sweep(const uint8_t *valid, size_t len, unit_sweep_fn fn, void *context)
{
        uint8_t *bytes = malloc(len + 1);

        assert_non_null(bytes);
        for (size_t n = 0; n <= len; n++)
                unit_sweep_one(valid, n, fn, context);
        memcpy(bytes, valid, len);
        for (size_t bit = 0; bit < len * 8; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                unit_sweep_one(bytes, len, fn, context);
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t i = 0; i < len; i++) {
                memcpy(bytes, valid, i);
                memcpy(bytes + i, valid + i + 1, len - i - 1);
                unit_sweep_one(bytes, len - 1, fn, context);
                memcpy(bytes, valid, i + 1);
                memcpy(bytes + i + 1, valid + i, len - i);
                unit_sweep_one(bytes, len + 1, fn, context);
        }
        free(bytes);
}
