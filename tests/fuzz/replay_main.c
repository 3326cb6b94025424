/* Runs a fuzz target over its corpus: what libFuzzer does with files, in builds without libFuzzer.
 * Owns nothing; linked with one fuzz target, run by ctest with the target's corpus folder.
 * TRUST: files of our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

#define INPUT_BYTES_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* Hands the target a heap block of exactly the file's length, so that a read beyond it is seen. */
static int replay_file(int folder, const char *name)
{
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ uint8_t *bytes = NULL;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > INPUT_BYTES_MAX)
                return -1;
        bytes = malloc((size_t)st.st_size);
        if ((!bytes && st.st_size > 0) || fd_read_all(fd, bytes, (size_t)st.st_size) < 0)
                return -1;
        return LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size) == 0 ? 0 : -1;
}

static int replay_folder(const char *path, unsigned *n_files)
{
        DIR *folder = opendir(path);
        int r = 0;

        if (!folder) {
                perror(path);
                return -1;
        }
        for (struct dirent *entry = readdir(folder); entry && r == 0; entry = readdir(folder)) {
                if (entry->d_name[0] == '.')
                        continue;
                r = replay_file(dirfd(folder), entry->d_name);
                if (r < 0)
                        fprintf(stderr, "%s/%s: failed\n", path, entry->d_name);
                (*n_files)++;
        }
        closedir(folder);
        return r;
}

/* A corpus without files would pass without testing anything: that is a failure. */
int main(int argc, char **argv)
{
        unsigned n_files = 0;

        if (LLVMFuzzerInitialize && LLVMFuzzerInitialize(&argc, &argv) != 0)
                return EXIT_FAILURE;
        for (int i = 1; i < argc; i++)
                if (replay_folder(argv[i], &n_files) < 0)
                        return EXIT_FAILURE;
        printf("%u inputs\n", n_files);
        return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
