/* What the runner and the hostile worker say to each other: a request of the guest's whose readable bytes begin
 * with a magic word is a command and is answered by a report; any other is served as by a good worker. It goes
 * through the broker like every request, so a worker that dies of its attack leaves the command to its
 * successor, which then tells that its predecessor has died.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define COMMAND_MAGIC                                                                                        \
        UINT64_C(0x656c697473f06800) /* no block request begins with this: its type would be 0xf06800 */
#define COMMAND_KEY    32u
#define COMMAND_RANGES 48u
#define COMMAND_RANGE_XOR                                                                                    \
        UINT64_C(0x5a5a5a5a5a5a5a5a) /* the worker must not find in itself what it was only told */
#define COMMAND_SECRET   16u
#define COMMAND_ABSTRACT 32u

/* Where a secret is expected not to be is said by its bytes XOR this. */
#define COMMAND_SECRET_XOR 0xa5u

struct command_range {
        uint64_t start, end; /* XOR COMMAND_RANGE_XOR */
};

struct hostile_command {
        uint64_t magic;
        char key[COMMAND_KEY]; /* which attack */
        uint64_t broker_pid, sibling_pid, broker_uid;
        uint64_t broker_address; /* of something that can be read in the broker; XOR COMMAND_RANGE_XOR */
        uint64_t number;         /* the attack's own: how many, which id, which call */
        uint64_t image_bytes;
        char image[192];  /* path of the device's own image; of who has none, of a file that is not its own */
        char socket[192]; /* path of the broker's admin socket */
        uint8_t secret[COMMAND_SECRET];
        char
            abstract[COMMAND_ABSTRACT]; /* an abstract name at which somebody listens, behind its first NUL */
        uint32_t n_ranges;
        uint32_t relay;                              /* 1: it is for the worker's companion */
        struct command_range ranges[COMMAND_RANGES]; /* the broker's own mappings */
};

enum report_state {
        REPORT_ANSWERED = 1, /* result is the attack's: negative errno, or what it has got */
        REPORT_SUCCESSOR,    /* the incarnation that was given the command is dead */
        REPORT_UNKNOWN,      /* there is no such attack in this worker */
};

struct hostile_report {
        uint64_t magic;
        uint32_t state; /* enum report_state */
        uint32_t attempt;
        int64_t result;
        uint64_t incarnation; /* 8 random bytes that the kernel has given this process */
        uint64_t request_id;
        uint64_t layout[3]; /* addresses of its code, stack and heap */
        char text[128];     /* more about it, NUL-terminated */
};

#define REPORT_BYTES                                                                                         \
        4096u /* the writable part of a command: the report, and room to write where no report is */
