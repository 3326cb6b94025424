/* Exchanges two names, or moves one there and back, for as long as its standard input is open: the adversary of the
 * attempts in escapes_race.c, on the host. Owns nothing. Called by: guest_files.c. TRUST: its command line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/disturb.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BETWEEN_LOOKS 64u /* changes between two looks at standard input; even, so that all is as before */

static bool input_ended(void)
{
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

        return poll(&input, 1, 0) != 0;
}

static int disturb(const char *a, const char *b, unsigned flags)
{
        unsigned long long n = 0;

        while (!input_ended())
                for (unsigned i = 0; i < BETWEEN_LOOKS; i++, n++) {
                        bool back = !flags && i % 2;

                        if (renameat2(AT_FDCWD, back ? b : a, AT_FDCWD, back ? a : b, flags) < 0) {
                                fprintf(stderr, "guest_files: %s and %s: %s\n", a, b, strerror(errno));
                                return 1;
                        }
                }
        printf("disturbed %llu times\n", n);
        return 0;
}

int disturb_swap(const char *a, const char *b)
{
        return disturb(a, b, RENAME_EXCHANGE);
}

int disturb_move(const char *from, const char *to)
{
        return disturb(from, to, 0);
}
