/* A file that a test's process has mapped, while others change how long it is.
 * Owns nothing; called by guest_files.c. TRUST: the file's bytes may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/mapped.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE       4096u
#define RACE_PAGES 8u

static sigjmp_buf on_bus;

static void bus(int number)
{
        (void)number;
        siglongjmp(on_bus, 1);
}

static volatile char *map(const char *file, unsigned long len)
{
        int fd = open(file, O_RDWR);
        void *p = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED) {
                perror(file);
                return NULL;
        }
        close(fd);
        signal(SIGBUS, bus);
        return p;
}

int mapped_text(const char *file, unsigned long offset, const char *text)
{
        volatile char *p = map(file, offset + PAGE);
        char found[17] = "";

        if (!p)
                return 1;
        if (sigsetjmp(on_bus, 1)) {
                puts("BUS");
                return 1;
        }
        for (unsigned i = 0; i < 16; i++)
                found[i] = p[offset + i];
        printf("MAPPED %s\n", found);
        for (size_t i = 0; text && i < strlen(text); i++)
                p[offset + i] = text[i];
        return text && msync((void *)(uintptr_t)(p + offset / PAGE * PAGE), PAGE, MS_SYNC) < 0;
}

int mapped_watch(const char *file, const char *began)
{
        volatile char *p = map(file, PAGE);

        if (!p)
                return 1;
        if (sigsetjmp(on_bus, 1)) {
                puts("WATCHED bus");
                return 0;
        }
        if (p[0] != 0)
                close(open(began, O_WRONLY | O_CREAT, 0644));
        while (p[0] != 0)
                ;
        puts("WATCHED zeros");
        return 0;
}

static void touch(const char *file)
{
        volatile char *p = map(file, RACE_PAGES * PAGE);
        volatile unsigned next = 0;

        if (!p)
                _exit(1);
        (void)sigsetjmp(on_bus, 1);
        for (;;) {
                next = (next + 1) % RACE_PAGES;
                (void)p[next * PAGE];
        }
}

/* What was cut off reads as zeros when the file is long again; what was not is as it was. */
static int race_once(const char *file, int fd, unsigned long i)
{
        char page[PAGE], last = 'x';

        if (pwrite(fd, "abc", 3, (RACE_PAGES - 1) * PAGE) != 3 || ftruncate(fd, PAGE) < 0 ||
            ftruncate(fd, RACE_PAGES * PAGE) < 0 || pread(fd, page, PAGE, 0) != PAGE ||
            pread(fd, &last, 1, (RACE_PAGES - 1) * PAGE) != 1) {
                perror(file);
                return 1;
        }
        if (last == 0 && page[0] == 'f' && page[PAGE - 1] == 'f')
                return 0;
        printf("RACED wrong %lu: %d %d\n", i, last, page[0]);
        return 1;
}

int mapped_race(const char *file, unsigned long times)
{
        int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644), r = 0;
        char page[PAGE];
        pid_t child;

        memset(page, 'f', sizeof(page));
        if (fd < 0 || write(fd, page, PAGE) != PAGE || ftruncate(fd, RACE_PAGES * PAGE) < 0) {
                perror(file);
                return 1;
        }
        child = fork();
        if (child == 0)
                touch(file);
        for (unsigned long i = 0; i < times && r == 0; i++)
                r = race_once(file, fd, i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (r == 0)
                printf("RACED %lu\n", times);
        return r;
}
