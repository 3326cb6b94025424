/* Random operations on several files and on their twins on another file system: each is done to both, and both must
 * then be alike. Writes, maps, truncations, holes, allocation, copies between files, and names that come and go.
 * Every operation follows from the seed and from those before it; what is told of a fault is the way to it.
 *
 * Owns: the files. Called by: guest_files.c. TRUST: none of what is read back of either side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/random.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES      4u
#define LEN_MAX    (384u << 10) /* of a file: three answers of FUSE at its most */
#define PART_MAX   (48u << 10)  /* of one operation, mostly far less */
#define TOLD       24u          /* last operations told of a fault */
#define CHECK_EACH 64u          /* operations between two whole comparisons */

enum side { OURS, MIRROR, SIDES };

struct file {
        int fd[SIDES];
        unsigned name; /* counts up with each rename */
        uint32_t len;
};

struct told {
        const char *what;
        unsigned file;
        uint32_t offset, len;
};

struct run {
        const char *folder[SIDES];
        struct file files[FILES];
        uint64_t random, n, n_wrong;
        struct told told[TOLD];
        uint8_t bytes[SIDES][LEN_MAX];
};

static uint32_t draw(struct run *run, uint32_t below)
{
        run->random = run->random * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)((run->random >> 33) % below);
}

/* Often at an edge of a page. */
static uint32_t draw_place(struct run *run, uint32_t below)
{
        uint32_t place = draw(run, below);

        return draw(run, 3) == 0 ? place & ~4095u : place;
}

static void wrong(struct run *run, const char *what, long long seen, long long wanted)
{
        if (run->n_wrong++ > 0)
                return;
        printf("wrong at operation %" PRIu64 ": %s: %lld, not %lld; before it:\n", run->n, what, seen,
               wanted);
        for (uint64_t i = run->n < TOLD ? 0 : run->n - TOLD + 1; i <= run->n; i++) {
                const struct told *told = &run->told[i % TOLD];

                if (told->what)
                        printf("  %" PRIu64 " %s file=%u offset=%u len=%u\n", i, told->what, told->file,
                               told->offset, told->len);
        }
}

static void same(struct run *run, const char *what, long long ours, long long mirror)
{
        if (ours != mirror)
                wrong(run, what, ours, mirror);
}

static void tell(struct run *run, const char *what, const struct file *file, uint32_t offset, uint32_t len)
{
        run->told[run->n % TOLD] = (struct told){what, (unsigned)(file - run->files), offset, len};
}

static void path_of(const struct run *run, const struct file *file, enum side side, unsigned name,
                    char path[static 256])
{
        snprintf(path, 256, "%s/f%u-%u", run->folder[side], (unsigned)(file - run->files), name);
}

static long long result(long long r)
{
        return r < 0 ? -errno : r;
}

static void whole_write(struct run *run, struct file *file, enum side side, const uint8_t *bytes,
                        uint32_t len, uint32_t offset)
{
        same(run, "bytes written", result(pwrite(file->fd[side], bytes, len, offset)), len);
}

static void do_write(struct run *run, struct file *file)
{
        uint32_t offset = draw_place(run, LEN_MAX - PART_MAX), len = 1 + draw_place(run, PART_MAX - 1);
        uint8_t *bytes = run->bytes[OURS];

        tell(run, "write", file, offset, len);
        for (uint32_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)(run->n * 31 + i / 3);
        for (enum side side = OURS; side < SIDES; side++)
                whole_write(run, file, side, bytes, len, offset);
        file->len = offset + len > file->len ? offset + len : file->len;
}

static void compare(struct run *run, struct file *file, uint32_t offset, uint32_t len)
{
        ssize_t n[SIDES];

        for (enum side side = OURS; side < SIDES; side++)
                n[side] = pread(file->fd[side], run->bytes[side], len, offset);
        same(run, "bytes read", n[OURS], n[MIRROR]);
        for (ssize_t i = 0; i < n[OURS] && i < n[MIRROR]; i++)
                if (run->bytes[OURS][i] != run->bytes[MIRROR][i]) {
                        char what[64];

                        snprintf(what, sizeof(what), "file %u, byte %zd", (unsigned)(file - run->files),
                                 (ssize_t)offset + i);
                        wrong(run, what, run->bytes[OURS][i], run->bytes[MIRROR][i]);
                        return;
                }
}

static void do_read(struct run *run, struct file *file)
{
        uint32_t offset = draw_place(run, LEN_MAX), len = 1 + draw_place(run, PART_MAX);

        tell(run, "read", file, offset, len);
        compare(run, file, offset, len);
}

static void do_truncate(struct run *run, struct file *file)
{
        uint32_t len = draw_place(run, draw(run, 4) == 0 ? LEN_MAX : file->len + 1);

        tell(run, "truncate", file, 0, len);
        for (enum side side = OURS; side < SIDES; side++)
                same(run, "truncate", result(ftruncate(file->fd[side], len)), 0);
        file->len = len;
}

static void do_punch(struct run *run, struct file *file)
{
        uint32_t offset = draw_place(run, LEN_MAX), len = 1 + draw_place(run, PART_MAX);

        tell(run, "punch", file, offset, len);
        for (enum side side = OURS; side < SIDES; side++)
                same(run, "punch",
                     result(
                         fallocate(file->fd[side], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len)),
                     0);
}

static void do_allocate(struct run *run, struct file *file)
{
        uint32_t offset = draw_place(run, LEN_MAX - PART_MAX), len = 1 + draw_place(run, PART_MAX - 1);
        bool keep = draw(run, 2);

        tell(run, keep ? "allocate, size kept" : "allocate", file, offset, len);
        for (enum side side = OURS; side < SIDES; side++)
                same(run, "allocate",
                     result(fallocate(file->fd[side], keep ? FALLOC_FL_KEEP_SIZE : 0, offset, len)), 0);
        if (!keep && offset + len > file->len)
                file->len = offset + len;
}

static uint8_t *map_whole(struct run *run, struct file *file, enum side side)
{
        uint8_t *bytes = mmap(NULL, file->len, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd[side], 0);

        if (bytes != MAP_FAILED)
                return bytes;
        wrong(run, "mmap", -errno, 0);
        return NULL;
}

static void do_map_write(struct run *run, struct file *file)
{
        uint32_t offset, len;

        if (file->len < 2)
                return;
        offset = draw_place(run, file->len - 1);
        len = 1 + draw_place(run, file->len - offset - 1 < PART_MAX ? file->len - offset - 1 : PART_MAX);
        tell(run, "write to a map", file, offset, len);
        for (enum side side = OURS; side < SIDES; side++) {
                uint8_t *bytes = map_whole(run, file, side);

                if (!bytes)
                        return;
                for (uint32_t i = 0; i < len; i++)
                        bytes[offset + i] = (uint8_t)(run->n * 7 + i);
                if (run->n % 3 == 0)
                        same(run, "msync", result(msync(bytes, file->len, MS_SYNC)), 0);
                munmap(bytes, file->len);
        }
}

static void do_map_read(struct run *run, struct file *file)
{
        uint8_t *bytes[SIDES];

        tell(run, "read a map", file, 0, file->len);
        if (file->len == 0)
                return;
        for (enum side side = OURS; side < SIDES; side++)
                if (!(bytes[side] = map_whole(run, file, side)))
                        return;
        for (uint32_t i = 0; i < file->len; i++)
                if (bytes[OURS][i] != bytes[MIRROR][i]) {
                        wrong(run, "byte of a map", bytes[OURS][i], bytes[MIRROR][i]);
                        break;
                }
        for (enum side side = OURS; side < SIDES; side++)
                munmap(bytes[side], file->len);
}

static void copy_side(struct run *run, struct file *from, struct file *to, enum side side, uint32_t at[2],
                      uint32_t len)
{
        off_t from_offset = at[0], to_offset = at[1];

        while (len > 0) {
                ssize_t n = copy_file_range(from->fd[side], &from_offset, to->fd[side], &to_offset, len, 0);

                if (n <= 0) {
                        wrong(run, "copied", n < 0 ? -errno : 0, len);
                        return;
                }
                len -= (uint32_t)n;
        }
}

static void do_copy(struct run *run, struct file *file)
{
        struct file *to = &run->files[draw(run, FILES)];
        uint32_t at[2], len;

        if (file->len == 0)
                return;
        at[0] = draw_place(run, file->len);
        at[1] = draw_place(run, LEN_MAX - PART_MAX);
        len = 1 + draw_place(run, PART_MAX - 1);
        len = len < file->len - at[0] ? len : file->len - at[0];
        if (to == file && at[0] < at[1] + len && at[1] < at[0] + len)
                return;
        tell(run, "copy from", file, at[0], len);
        for (enum side side = OURS; side < SIDES; side++)
                copy_side(run, file, to, side, at, len);
        to->len = at[1] + len > to->len ? at[1] + len : to->len;
}

static void do_reopen(struct run *run, struct file *file)
{
        char path[256];

        tell(run, "reopen", file, 0, 0);
        for (enum side side = OURS; side < SIDES; side++) {
                path_of(run, file, side, file->name, path);
                same(run, "close", result(close(file->fd[side])), 0);
                file->fd[side] = open(path, O_RDWR | O_CLOEXEC);
                if (file->fd[side] < 0)
                        wrong(run, "open", -errno, 0);
        }
}

static void do_rename(struct run *run, struct file *file)
{
        char from[256], to[256];

        tell(run, "rename", file, 0, 0);
        for (enum side side = OURS; side < SIDES; side++) {
                path_of(run, file, side, file->name, from);
                path_of(run, file, side, file->name + 1, to);
                same(run, "rename", result(rename(from, to)), 0);
        }
        file->name++;
}

/* The name goes, the descriptor stays and is what is copied to the file's next name. */
static void do_remove(struct run *run, struct file *file)
{
        char path[256];

        tell(run, "remove and copy", file, 0, file->len);
        for (enum side side = OURS; side < SIDES; side++) {
                ssize_t n;
                int fd;

                path_of(run, file, side, file->name, path);
                same(run, "unlink", result(unlink(path)), 0);
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                n = pread(file->fd[side], run->bytes[side], LEN_MAX, 0);
                same(run, "bytes of a removed file", result(n), file->len);
                if (n > 0 && fd >= 0)
                        same(run, "bytes of its copy", result(write(fd, run->bytes[side], (size_t)n)), n);
                close(file->fd[side]);
                file->fd[side] = fd;
        }
}

static void do_sync(struct run *run, struct file *file)
{
        tell(run, "fsync", file, 0, 0);
        same(run, "fsync", result(fsync(file->fd[OURS])), 0);
        /* And the guest forgets what it knows, so that the next read asks. */
        (void)posix_fadvise(file->fd[OURS], 0, 0, POSIX_FADV_DONTNEED);
}

static void do_check(struct run *run, struct file *file)
{
        struct stat st = {0};

        compare(run, file, 0, LEN_MAX);
        same(run, "fstat", result(fstat(file->fd[OURS], &st)), 0);
        same(run, "size", st.st_size, file->len);
}

/* A row's weight is how often it is there. */
static void (*const operations[])(struct run *, struct file *) = {
    do_write,    do_write,     do_write,    do_read, do_read, do_truncate, do_truncate, do_punch,  do_punch,
    do_allocate, do_map_write, do_map_read, do_copy, do_copy, do_sync,     do_reopen,   do_rename, do_remove,
};

static int start(struct run *run)
{
        char path[256];

        for (unsigned i = 0; i < FILES; i++)
                for (enum side side = OURS; side < SIDES; side++) {
                        path_of(run, &run->files[i], side, 0, path);
                        run->files[i].fd[side] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                        if (run->files[i].fd[side] < 0) {
                                fprintf(stderr, "guest_files: %s: %s\n", path, strerror(errno));
                                return -errno;
                        }
                }
        return 0;
}

static void end(struct run *run)
{
        char path[256];

        for (unsigned i = 0; i < FILES; i++)
                for (enum side side = OURS; side < SIDES; side++) {
                        close(run->files[i].fd[side]);
                        path_of(run, &run->files[i], side, run->files[i].name, path);
                        same(run, "unlink", result(unlink(path)), 0);
                }
}

static uint64_t seconds_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec;
}

int random_run(const char *path, const char *mirror, unsigned seconds, unsigned long long seed,
               unsigned long long n_operations)
{
        struct run *run = calloc(1, sizeof(*run));
        uint64_t until = seconds_now() + seconds;

        if (!run)
                return 2;
        run->folder[OURS] = path;
        run->folder[MIRROR] = mirror;
        run->random = seed;
        if (start(run) < 0)
                return 1;
        while (run->n_wrong == 0 && (n_operations ? run->n < n_operations : seconds_now() < until)) {
                struct file *file = &run->files[draw(run, FILES)];

                run->n++;
                operations[draw(run, sizeof(operations) / sizeof(operations[0]))](run, file);
                if (run->n % CHECK_EACH == 0)
                        do_check(run, file);
        }
        for (unsigned i = 0; i < FILES; i++)
                do_check(run, &run->files[i]);
        end(run);
        printf("random operations=%" PRIu64 " seed=%llu wrong=%" PRIu64 "\n", run->n, seed, run->n_wrong);
        return run->n_wrong > 0;
}
