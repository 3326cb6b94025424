/* What the attacking worker (quota_attacker.c) does with a request whose writable part has ATTACK_LEN plus
 * this many bytes. Said by the length, so that one program and one broker serve all rounds of neighbours.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define ATTACK_LEN 1000u

enum attack {
        ATTACK_NONE = 0,       /* completes, as it should */
        ATTACK_NEVER_READS,    /* sleeps for ever, with requests and their bytes on the way */
        ATTACK_FLOODS,         /* valid frames, as fast as it can, as many as each request is worth */
        ATTACK_FLOODS_OVER,    /* ... and without end */
        ATTACK_DRIPS,          /* valid frames byte by byte, as many as each request is worth */
        ATTACK_FLOODS_CONTROL, /* the smallest message without end */
        ATTACK_LOGS,           /* the longest lines without end */
        ATTACK_SPINS,          /* uses the CPU and says nothing */
        ATTACK_CRASHES,        /* completes one request and dies */
        ATTACK_COUNT_,
};
