/* A tree of many files: small ones and a few large, eight levels of folders, symbolic and hard links, several modes;
 * and its hash, which is made of the names in their order, so that it does not depend on that of the directories.
 * Owns: what it plants. Called by: guest_files.c. TRUST: none of what is read back: it is only hashed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN    512u
#define DEPTH_MAX   8u
#define LARGE_MAX   (200u << 10)
#define ENTRIES_MAX 100000u
#define FIRST_TIME  1500000000 /* 2017 */

struct planted {
        char path[PATH_LEN]; /* below the tree */
        unsigned depth;
};

struct planter {
        const char *root;
        uint64_t random;
        struct planted *folders, *files;
        unsigned n_folders, n_files;
        char bytes[LARGE_MAX];
};

static uint32_t draw(struct planter *p, uint32_t below)
{
        p->random = p->random * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)((p->random >> 33) % below);
}

static bool join(char out[static PATH_LEN], const char *root, const char *path)
{
        int n = snprintf(out, PATH_LEN, "%s%s%s", root, *path ? "/" : "", path);

        return n > 0 && (unsigned)n < PATH_LEN;
}

static int fail(const char *what, const char *path)
{
        fprintf(stderr, "guest_files: %s %s: %s\n", what, path, strerror(errno));
        return -errno;
}

/* Lines of words, as a compressor and an eye would expect. */
static void text_make(struct planter *p, uint32_t len)
{
        static const char *const words[] = {"static ", "int ",   "return ", "struct ",
                                            "x += ",   "(void)", ";\n",     "{\n"};
        uint32_t at = 0;

        while (at < len) {
                const char *word = words[draw(p, sizeof(words) / sizeof(words[0]))];
                size_t n = strlen(word);

                n = n < len - at ? n : len - at;
                memcpy(p->bytes + at, word, n);
                at += (uint32_t)n;
        }
}

static uint32_t len_draw(struct planter *p)
{
        uint32_t kind = draw(p, 100);

        return kind < 3 ? 0 : kind < 98 ? 1 + draw(p, 6000) : 1 + draw(p, LARGE_MAX);
}

static int plant_file(struct planter *p, const char *path)
{
        static const mode_t modes[] = {0644, 0644, 0644, 0755, 0600, 0444};
        uint32_t len = len_draw(p);
        struct timespec times[2] = {{FIRST_TIME, 0}, {FIRST_TIME + draw(p, 100000000), 0}};
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), r = 0;

        if (fd < 0)
                return fail("create", path);
        text_make(p, len);
        if (write(fd, p->bytes, len) != (ssize_t)len || fchmod(fd, modes[draw(p, 6)]) < 0 ||
            futimens(fd, times) < 0)
                r = fail("fill", path);
        close(fd);
        return r;
}

static int plant_link(struct planter *p, const char *path)
{
        char target[64];

        snprintf(target, sizeof(target), "../%u/../name-%u", draw(p, 10), draw(p, 1000));
        return symlink(target, path) < 0 ? fail("symlink", path) : 0;
}

static int plant_second_name(struct planter *p, const char *path)
{
        char first[PATH_LEN];

        if (!join(first, p->root, p->files[draw(p, p->n_files)].path))
                return -ENAMETOOLONG;
        return link(first, path) < 0 ? fail("link", path) : 0;
}

static int plant_one(struct planter *p, unsigned i)
{
        static const char *const kinds[] = {"driver", "Kconfig", "test_of-many", "README.with.dots", "x"};
        const struct planted *parent = &p->folders[draw(p, p->n_folders)];
        struct planted made = {.depth = parent->depth + 1};
        uint32_t kind = draw(p, 100);
        char path[PATH_LEN];
        int n = snprintf(made.path, PATH_LEN, "%s%s%s_%u", parent->path, *parent->path ? "/" : "",
                         kinds[draw(p, 5)], i);

        if (n < 0 || (unsigned)n >= PATH_LEN || !join(path, p->root, made.path))
                return -ENAMETOOLONG;
        if (kind < 8 && made.depth <= DEPTH_MAX) {
                p->folders[p->n_folders++] = made;
                return mkdir(path, kind < 2 ? 0700 : 0755) < 0 ? fail("mkdir", path) : 0;
        }
        if (kind < 12)
                return plant_link(p, path);
        if (kind < 14 && p->n_files > 0)
                return plant_second_name(p, path);
        p->files[p->n_files++] = made;
        return plant_file(p, path);
}

int tree_plant(const char *path, unsigned n, unsigned long long seed)
{
        struct planter *p = calloc(1, sizeof(*p));
        int r = 0;

        if (!p || n == 0 || n > ENTRIES_MAX)
                return 1;
        p->root = path;
        p->random = seed;
        p->folders = calloc(n + 1, sizeof(*p->folders));
        p->files = calloc(n, sizeof(*p->files));
        if (!p->folders || !p->files)
                return 1;
        p->n_folders = 1; /* the root itself */
        for (unsigned i = 0; i < n && r == 0; i++)
                r = plant_one(p, i);
        return r < 0;
}

/* ---- the hash ---- */

struct teller {
        uint64_t hash, n, bytes;
        struct {
                ino_t inode;
                uint64_t first; /* which entry had this inode first */
        } * shared;
        unsigned n_shared;
};

static void hash_add(struct teller *t, const void *bytes, size_t len)
{
        const uint8_t *p = bytes;

        for (size_t i = 0; i < len; i++)
                t->hash = (t->hash ^ p[i]) * 0x100000001b3u;
}

static void hash_number(struct teller *t, uint64_t number)
{
        hash_add(t, &number, sizeof(number));
        t->hash ^= t->hash >> 29;
}

/* Which entry was the first with the inode of this one, if it has several names. */
static uint64_t first_name(struct teller *t, const struct stat *st)
{
        if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
                return 0;
        for (unsigned i = 0; i < t->n_shared; i++)
                if (t->shared[i].inode == st->st_ino)
                        return t->shared[i].first;
        if (t->n_shared < ENTRIES_MAX) {
                t->shared[t->n_shared].inode = st->st_ino;
                t->shared[t->n_shared++].first = t->n;
        }
        return t->n;
}

static int tell_bytes(struct teller *t, int folder, const char *name)
{
        static uint8_t bytes[65536];
        int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return fail("open", name);
        while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
                hash_add(t, bytes, (size_t)n);
                t->bytes += (uint64_t)n;
        }
        close(fd);
        return n < 0 ? fail("read", name) : 0;
}

static int tell_folder(struct teller *t, int folder);

static int tell_entry(struct teller *t, int folder, const char *name)
{
        char target[4096];
        struct stat st;
        ssize_t n;

        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fail("stat", name);
        t->n++;
        hash_add(t, name, strlen(name) + 1);
        hash_number(t, st.st_mode);
        hash_number(t, first_name(t, &st));
        if (S_ISDIR(st.st_mode))
                return tell_folder(t, openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (S_ISREG(st.st_mode)) {
                hash_number(t, (uint64_t)st.st_size);
                hash_number(t, (uint64_t)st.st_mtim.tv_sec);
                return tell_bytes(t, folder, name);
        }
        if (!S_ISLNK(st.st_mode))
                return 0;
        n = readlinkat(folder, name, target, sizeof(target));
        if (n < 0)
                return fail("readlink", name);
        hash_add(t, target, (size_t)n);
        return 0;
}

static int not_dots(const struct dirent *entry)
{
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

/* Takes the descriptor. */
static int tell_folder(struct teller *t, int folder)
{
        struct dirent **entries = NULL;
        int n = folder < 0 ? -1 : scandirat(folder, ".", &entries, not_dots, by_bytes), r = 0;

        if (n < 0)
                r = fail("list", "a folder");
        for (int i = 0; i < n; i++) {
                if (r == 0)
                        r = tell_entry(t, folder, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        if (folder >= 0)
                close(folder);
        hash_number(t, (uint64_t)n);
        return r;
}

int tree_tell(const char *path)
{
        struct teller t = {.hash = 0xcbf29ce484222325u};
        int r;

        t.shared = calloc(ENTRIES_MAX, sizeof(*t.shared));
        if (!t.shared)
                return 1;
        r = tell_folder(&t, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        free(t.shared);
        printf("tree entries=%" PRIu64 " bytes=%" PRIu64 " hash=%016" PRIx64 "\n", t.n, t.bytes, t.hash);
        return r < 0;
}
