/* A worker, or a companion, that never says Hello, but does one wrong thing, named by its device: the broker's log must say what.
 * TRUST: hostile by design.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sandbox/lockdown.h"

static int locked; /* that the second gate is closed */

static void act_open(void)
{
        syscall(SYS_openat, 0xabcd, 0x1234, O_RDWR | O_CLOEXEC, 0);
}

static void act_write(void)
{
        syscall(SYS_write, 0, "x", 1);
}

static void act_int80(void)
{
#if defined(__x86_64__)
        long r;

        __asm__ volatile("int $0x80"
                         : "=a"(r)
                         : "a"(20), "b"(0x11), "c"(0x22)
                         : "memory", "r8", "r9", "r10", "r11");
#endif
}

static void act_assert(void)
{
        assert(locked == 2 && "as a real one would say it");
}

static void act_fault(void)
{
        *(volatile int *)(uintptr_t)(unsigned)(4096 * locked) = 1;
}

static void act_exit(void)
{
        _exit(3);
}

/* A line of the broker's own, a line of another device's, and what moves a cursor. */
static void act_forge(void)
{
        static const char text[] =
            "\nbulkhead-broker[x]: error: forged dev=disk9\n\x1b[2J\x1b[H\rforged\n\xff\xfe\n";

        (void)!write(WORKER_FD_OUTPUT, text, sizeof(text));
        _exit(4);
}

static void act_flood(void)
{
        static char text[65536];

        memset(text, 'f', sizeof(text));
        text[100] = '\n';
        for (;;)
                (void)!write(WORKER_FD_OUTPUT, text, sizeof(text));
}

static void act_heap(void)
{
        char *volatile block = malloc(24);

        memset(block, 0x41, 48); /* the C library notices at the next free, and says so */
        free(block);
        free(block);
}

static const struct {
        const char *name;
        void (*act)(void);
} acts[] = {
    {"open", act_open},     {"write", act_write}, {"int80", act_int80},
    {"assert", act_assert}, {"fault", act_fault}, {"exit", act_exit},
    {"forge", act_forge},   {"flood", act_flood}, {"heap", act_heap},
};

/* argv[0] is "program: vm/act", or "program: vm/early-act": before the second gate. */
int main(int argc, char **argv)
{
        const char *name = strrchr(argv[0], '/');
        int early;

        if (!name || argc < 3)
                return 9;
        early = strncmp(++name, "early-", 6) == 0;
        if (early)
                name += 6;
        free(malloc(1000));
        if (!early &&
            lockdown_worker(worker_fd_policy((unsigned)atoi(argv[1]), (unsigned)atoi(argv[2])), -1) < 0)
                return 8;
        locked = 1;
        for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
                if (strcmp(acts[i].name, name) == 0)
                        acts[i].act();
        return 7; /* it was let */
}
