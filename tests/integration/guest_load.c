/* The disk load of a test guest: writes blocks whose every byte follows from (offset, generation), reads them
 * back and compares them all. Runs inside the guest, statically linked, built by packaging/guest-image; the
 * harness and the tests start it. Owns nothing beyond its run; its numbers go to stdout as `name=value`
 * words. TRUST: its own command line.
 * SPDX-License-Identifier: Apache-2.0 *
 *   guest_load fill    PATH OFFSET LEN GENERATION [direct]   write the pattern, fsync
 *   guest_load check   PATH OFFSET LEN GENERATION [direct]   read it back and compare
 *   guest_load iszero  PATH OFFSET LEN                       every byte is 0
 *   guest_load zero    DEVICE OFFSET LEN                     ask the device to write zeroes
 *   guest_load discard DEVICE OFFSET LEN                     ask the device to discard
 *   guest_load churn   PATH LEN WRITERS COUNTERS             write, read, compare at random until SIGTERM,
 * then all guest_load counts  COUNTERS                              the numbers of a churn that runs
 *
 * Exit status: 0 all right, 1 a wrong byte or an I/O error, 2 a wrong command line. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK       4096u
#define RUN_BLOCKS  256u /* the longest single write or read, in blocks: long enough for many segments */
#define RUN_LEN     ((size_t)RUN_BLOCKS * BLOCK)
#define WRITERS_MAX 16u
#define TELL_MAX    8u /* wrong runs told on stderr; the rest is only counted */
#define TELL_MAX    8u /* wrong runs told on stderr; the rest is only counted */

/* Lives in a file that all writers map; the harness reads it through `counts`. */
struct counters {
        _Atomic uint64_t writes, reads, syncs, bytes, wrong, errors;
        _Atomic uint64_t running; /* writers past their first fill */
};

struct writer {
        int fd;
        bool direct;
        uint64_t start; /* first byte of this writer's own part */
        uint64_t n_blocks;
        uint32_t *generation; /* of each block: what it must hold */
        uint64_t random;
        uint8_t *buf;
        struct counters *counters;
};

static volatile sig_atomic_t stopping;
static pid_t writers[WRITERS_MAX]; /* of the parent; a writer has none */
static volatile sig_atomic_t n_writers_started;

/* The parent passes the word on from here: a check before waitpid() could miss it. */
static void on_stop(int signal)
{
        stopping = 1;
        for (int i = 0; i < n_writers_started; i++)
                kill(writers[i], signal);
}

static uint64_t pattern_word(uint64_t offset, uint32_t generation)
{
        uint64_t x = offset ^ ((uint64_t)generation << 40) ^ 0x9e3779b97f4a7c15u;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
}

static void pattern_fill(uint8_t *buf, uint64_t offset, size_t len, uint32_t generation)
{
        for (size_t i = 0; i < len; i += 8) {
                uint64_t word = pattern_word(offset + i, generation);
                memcpy(buf + i, &word, 8);
        }
}

/* How many 8-byte words differ; the first of them is named on stderr. */
static uint64_t pattern_compare(const uint8_t *buf, uint64_t offset, size_t len, uint32_t generation)
{
        static unsigned n_told;
        uint64_t n_wrong = 0;

        for (size_t i = 0; i < len; i += 8) {
                uint64_t want = pattern_word(offset + i, generation), got;

                memcpy(&got, buf + i, 8);
                if (got == want)
                        continue;
                if (n_wrong++ == 0 && n_told++ < TELL_MAX)
                        fprintf(stderr,
                                "wrong at %" PRIu64 ": %016" PRIx64 ", not %016" PRIx64 " (generation %u)\n",
                                offset + i, got, want, generation);
        }
        return n_wrong;
}

static int whole_pwrite(int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
        while (len > 0) {
                ssize_t n = pwrite(fd, buf, len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                buf += n, offset += (uint64_t)n, len -= (size_t)n;
        }
        return 0;
}

static int whole_pread(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
        while (len > 0) {
                ssize_t n = pread(fd, buf, len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                buf += n, offset += (uint64_t)n, len -= (size_t)n;
        }
        return 0;
}

static void *aligned_buf(void)
{
        void *buf = aligned_alloc(BLOCK, RUN_LEN);

        if (!buf)
                exit(2);
        return buf;
}

static int open_or_exit(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC, 0644);

        if (fd < 0) {
                fprintf(stderr, "open %s: %s\n", path, strerror(errno));
                exit(1);
        }
        return fd;
}

static int report(const char *verb, int r, uint64_t bytes, uint64_t wrong)
{
        printf("%s bytes=%" PRIu64 " wrong=%" PRIu64 " error=%s\n", verb, bytes, wrong,
               r < 0 ? strerror(-r) : "none");
        return r < 0 || wrong > 0;
}

static int verb_fill(const char *path, uint64_t offset, uint64_t len, uint32_t generation, bool direct)
{
        int fd = open_or_exit(path, O_WRONLY | O_CREAT | (direct ? O_DIRECT : 0)), r = 0;
        uint8_t *buf = aligned_buf();
        uint64_t done = 0;

        while (r == 0 && done < len) {
                size_t n = len - done < RUN_LEN ? (size_t)(len - done) : RUN_LEN;

                pattern_fill(buf, offset + done, n, generation);
                r = whole_pwrite(fd, buf, n, offset + done);
                done += n;
        }
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        return report("fill", r, done, 0);
}

static int verb_check(const char *path, uint64_t offset, uint64_t len, uint32_t generation, bool direct,
                      bool zeros)
{
        int fd = open_or_exit(path, O_RDONLY | (direct ? O_DIRECT : 0)), r = 0;
        uint8_t *buf = aligned_buf();
        uint64_t done = 0, wrong = 0;

        while (r == 0 && done < len) {
                size_t n = len - done < RUN_LEN ? (size_t)(len - done) : RUN_LEN;

                r = whole_pread(fd, buf, n, offset + done);
                if (r < 0)
                        break;
                if (!zeros)
                        wrong += pattern_compare(buf, offset + done, n, generation);
                else
                        for (size_t i = 0; i < n; i++)
                                wrong += buf[i] != 0;
                done += n;
        }
        return report(zeros ? "iszero" : "check", r, done, wrong);
}

static int verb_range(const char *path, uint64_t offset, uint64_t len, unsigned long request,
                      const char *name)
{
        int fd = open_or_exit(path, O_RDWR);
        uint64_t range[2] = {offset, len};

        return report(name, ioctl(fd, request, range) < 0 ? -errno : 0, len, 0);
}

static uint64_t writer_random(struct writer *w, uint64_t below)
{
        w->random = w->random * 6364136223846793005u + 1442695040888963407u;
        return (w->random >> 33) % below;
}

static void writer_sync(struct writer *w)
{
        if (fdatasync(w->fd) < 0)
                w->counters->errors++;
        w->counters->syncs++;
        /* Or the next buffered read would only ask the guest's own page cache. */
        if (!w->direct)
                (void)posix_fadvise(w->fd, (off_t)w->start, (off_t)(w->n_blocks * BLOCK),
                                    POSIX_FADV_DONTNEED);
}

/* Each block of the run gets a generation of its own, one later than what it held. */
static void writer_write(struct writer *w, uint64_t block, uint64_t n)
{
        uint64_t offset = w->start + block * BLOCK;

        for (uint64_t i = 0; i < n; i++)
                pattern_fill(w->buf + i * BLOCK, offset + i * BLOCK, BLOCK, ++w->generation[block + i]);
        if (whole_pwrite(w->fd, w->buf, n * BLOCK, offset) < 0)
                w->counters->errors++;
        w->counters->writes++;
        w->counters->bytes += n * BLOCK;
}

static void writer_read(struct writer *w, uint64_t block, uint64_t n)
{
        uint64_t offset = w->start + block * BLOCK;

        if (whole_pread(w->fd, w->buf, n * BLOCK, offset) < 0) {
                w->counters->errors++;
                return;
        }
        for (uint64_t i = 0; i < n; i++)
                w->counters->wrong +=
                    pattern_compare(w->buf + i * BLOCK, offset + i * BLOCK, BLOCK, w->generation[block + i]);
        w->counters->reads++;
        w->counters->bytes += n * BLOCK;
}

static void writer_sweep(struct writer *w, void (*act)(struct writer *, uint64_t, uint64_t))
{
        for (uint64_t block = 0; block < w->n_blocks; block += RUN_BLOCKS)
                act(w, block, w->n_blocks - block < RUN_BLOCKS ? w->n_blocks - block : RUN_BLOCKS);
}

static void writer_run(struct writer *w)
{
        writer_sweep(w, writer_write);
        writer_sync(w);
        w->counters->running++;
        for (uint64_t round = 0; !stopping; round++) {
                uint64_t block = writer_random(w, w->n_blocks), left = w->n_blocks - block;
                /* Mostly short, now and then as long as can be. */
                uint64_t n = 1 + writer_random(w, round % 8 == 0 ? RUN_BLOCKS : 16);

                (round % 3 == 2 ? writer_read : writer_write)(w, block, n < left ? n : left);
                if (round % 32 == 31)
                        writer_sync(w);
        }
        writer_sync(w);
        writer_sweep(w, writer_read);
        exit(0);
}

static struct counters *counters_map(const char *path, bool create)
{
        int fd = open_or_exit(path, O_RDWR | (create ? O_CREAT | O_TRUNC : 0));
        void *p;

        if (create && ftruncate(fd, sizeof(struct counters)) < 0)
                exit(1);
        p = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                exit(1);
        close(fd);
        return p;
}

static int counters_print(const struct counters *c)
{
        printf("writes=%" PRIu64 " reads=%" PRIu64 " syncs=%" PRIu64 " bytes=%" PRIu64 " wrong=%" PRIu64
               " errors=%" PRIu64 " running=%" PRIu64 "\n",
               c->writes, c->reads, c->syncs, c->bytes, c->wrong, c->errors, c->running);
        return c->wrong > 0 || c->errors > 0;
}

/* Odd writers go around the guest's page cache, even ones through it. */
static pid_t writer_start(const char *path, uint64_t len, unsigned index, unsigned n,
                          struct counters *counters)
{
        uint64_t part = len / n / BLOCK;
        bool direct = index % 2 == 1;
        struct writer w = {.direct = direct,
                           .start = index * part * BLOCK,
                           .n_blocks = part,
                           .random = index + 1,
                           .counters = counters};
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        n_writers_started = 0;
        w.fd = open_or_exit(path, O_RDWR | O_CREAT | (direct ? O_DIRECT : 0));
        w.buf = aligned_buf();
        w.generation = calloc(part, sizeof(*w.generation));
        if (!w.generation)
                exit(2);
        writer_run(&w);
        exit(2); /* not reached */
}

static int verb_churn(const char *path, uint64_t len, uint64_t n_writers, const char *counters_path)
{
        struct sigaction action = {.sa_handler = on_stop};
        struct counters *counters = counters_map(counters_path, true);
        int failed = 0;

        if (n_writers == 0 || n_writers > WRITERS_MAX || len / n_writers < BLOCK)
                return 2;
        sigaction(SIGTERM, &action, NULL);
        for (unsigned i = 0; i < n_writers && !stopping; i++) {
                writers[i] = writer_start(path, len, i, (unsigned)n_writers, counters);
                n_writers_started++;
        }
        for (int i = 0; i < n_writers_started; i++) {
                int status = 0;

                while (waitpid(writers[i], &status, 0) < 0 && errno == EINTR)
                        ;
                failed |= status != 0;
        }
        return counters_print(counters) || failed;
}

static uint64_t number(const char *text)
{
        char *end;
        uint64_t value = strtoull(text, &end, 0);

        if (*end == 'K')
                value <<= 10, end++;
        else if (*end == 'M')
                value <<= 20, end++;
        if (*text == 0 || *end != 0) {
                fprintf(stderr, "not a number: %s\n", text);
                exit(2);
        }
        return value;
}

int main(int argc, char **argv)
{
        const char *verb = argc > 1 ? argv[1] : "";
        bool direct = argc > 6 && strcmp(argv[6], "direct") == 0;

        if (!strcmp(verb, "fill") && argc >= 6)
                return verb_fill(argv[2], number(argv[3]), number(argv[4]), (uint32_t)number(argv[5]),
                                 direct);
        if (!strcmp(verb, "check") && argc >= 6)
                return verb_check(argv[2], number(argv[3]), number(argv[4]), (uint32_t)number(argv[5]),
                                  direct, false);
        if (!strcmp(verb, "iszero") && argc == 5)
                return verb_check(argv[2], number(argv[3]), number(argv[4]), 0, false, true);
        if (!strcmp(verb, "zero") && argc == 5)
                return verb_range(argv[2], number(argv[3]), number(argv[4]), BLKZEROOUT, "zero");
        if (!strcmp(verb, "discard") && argc == 5)
                return verb_range(argv[2], number(argv[3]), number(argv[4]), BLKDISCARD, "discard");
        if (!strcmp(verb, "churn") && argc == 6)
                return verb_churn(argv[2], number(argv[3]), number(argv[4]), argv[5]);
        if (!strcmp(verb, "counts") && argc == 3)
                return counters_print(counters_map(argv[2], false));
        fprintf(stderr, "guest_load: fill | check | iszero | zero | discard | churn | counts\n");
        return 2;
}
