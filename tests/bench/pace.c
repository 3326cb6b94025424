/* How fast this machine is just now at what a small request is made of: a system call, and waking another process.
 *
 *      bulkhead-bench-pace [CPU [OTHER]]       the client's CPU (0); another one (the first that is there)
 *
 * Two processes wake each other by eventfds: first both on CPU, then the second on OTHER. Half a round is a write, a wake-up, a
 * change of threads and a read. Prints one line of JSON: medians of TURNS turns, in microseconds; wake_other_us is null where there
 * is no other CPU. TRUST: none is needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURNS  9u
#define CALLS  10000u
#define ROUNDS 1000u

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
        perror(what);
        exit(1);
}

static void stay_on(int cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((unsigned)cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                give_up("sched_setaffinity");
}

/* -1: there is none. */
static int other_than(int cpu)
{
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                give_up("sched_getaffinity");
        for (int i = 0; i < CPU_SETSIZE; i++)
                if (i != cpu && CPU_ISSET((unsigned)i, &set))
                        return i;
        return -1;
}

static int by_size(const void *a, const void *b)
{
        const double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *values)
{
        qsort(values, TURNS, sizeof(values[0]), by_size);
        return values[TURNS / 2];
}

static double call_us(void)
{
        double turns[TURNS];

        for (unsigned t = 0; t < TURNS; t++) {
                uint64_t from = now_ns();

                for (unsigned i = 0; i < CALLS; i++)
                        (void)syscall(SYS_getppid);
                turns[t] = (double)(now_ns() - from) / 1000 / CALLS;
        }
        return median(turns);
}

struct pair {
        int there, back;
};

static void say(int fd)
{
        const uint64_t one = 1;

        if (write(fd, &one, sizeof(one)) != sizeof(one))
                give_up("write");
}

static void hear(int fd)
{
        uint64_t n;

        if (read(fd, &n, sizeof(n)) != sizeof(n))
                give_up("read");
}

static _Noreturn void answer(const struct pair *pair, int cpu)
{
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                give_up("prctl");
        stay_on(cpu);
        for (;;) {
                hear(pair->there);
                say(pair->back);
        }
}

static double wake_us(int cpu)
{
        const struct pair pair = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
        double turns[TURNS];
        pid_t child;

        if (pair.there < 0 || pair.back < 0)
                give_up("eventfd");
        child = fork();
        if (child < 0)
                give_up("fork");
        if (child == 0)
                answer(&pair, cpu);
        for (unsigned t = 0; t < TURNS; t++) {
                uint64_t from = now_ns();

                for (unsigned i = 0; i < ROUNDS / 2; i++) {
                        say(pair.there);
                        hear(pair.back);
                }
                turns[t] = (double)(now_ns() - from) / 1000 / ROUNDS;
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(pair.there);
        close(pair.back);
        return median(turns);
}

static int cpu_of(const char *word)
{
        char *end;
        long cpu = strtol(word, &end, 10);

        if (end == word || *end || cpu < 0 || cpu >= CPU_SETSIZE) {
                fprintf(stderr, "bulkhead-bench-pace [CPU [OTHER]]: %s is no CPU's number\n", word);
                exit(2);
        }
        return (int)cpu;
}

int main(int argc, char **argv)
{
        int cpu = argc > 1 ? cpu_of(argv[1]) : 0, other = argc > 2 ? cpu_of(argv[2]) : other_than(cpu);

        stay_on(cpu);
        printf("{\"call_us\": %.3f, \"wake_same_us\": %.2f", call_us(), wake_us(cpu));
        if (other >= 0)
                printf(", \"wake_other_us\": %.2f}\n", wake_us(other));
        else
                printf(", \"wake_other_us\": null}\n");
        return 0;
}
