/* Judges a directory as programs see it: by cases of what POSIX and Linux promise, by random operations, by a tree of
 * many files; and attacks it. Runs in a test guest, statically
 * linked, put there by packaging/guest-image; on the host, to see that the cases themselves are right, and as an adversary.
 * Owns nothing beyond its run. TRUST: its own command line; none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 *
 *   guest_files cases DIR [WORD]   each case whose name has WORD in it, one line a case
 *   guest_files escapes DIR [WORD] the same of the attempts to get out of DIR, a share's root; ok: it failed
 *   guest_files list | list-escapes                      their names
 *   guest_files wait               until its standard input ends
 *   guest_files random DIR MIRROR SECONDS SEED [N]   random operations (so many, if N is there), see random.c
 *   guest_files plant DIR N SEED   a tree of N entries
 *   guest_files tell DIR           its hash
 *   guest_files swap A B           exchanges two names until its standard input ends
 *   guest_files lock FILE GOT [GO]  waits for a lock of the whole file, makes GOT, and keeps it until there is GO
 *   guest_files range FILE GOT [GO] the same with a byte-range lock
 *   guest_files as UID GID NAME    this user, and no group but this one, makes a file there
 *   guest_files map FILE OFFSET [TEXT]   maps it, and says or puts what stands there
 *   guest_files watch FILE BEGAN   until what it has mapped is zeros, or gone
 *   guest_files race FILE TIMES    makes it shorter and longer under one that has it mapped
 *   guest_files move A B           moves one to the other and back, likewise
 *
 * Exit status: 0 all right, 1 something is not, 2 a wrong command line. */
#include "tests/files/disturb.h"
#include "tests/files/files_run.h"
#include "tests/files/mapped.h"
#include "tests/files/random.h"
#include "tests/files/tree.h"
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int wait_for_end(void)
{
        char byte;

        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        return 0;
}

static int make_as(unsigned uid, unsigned gid, const char *name)
{
        int fd;

        if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0 ||
            (fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)) < 0) {
                perror(name);
                return 1;
        }
        close(fd);
        return 0;
}

/* Makes `got` when it has the lock. */
static int wait_for_lock(bool whole, const char *file, const char *got, const char *go)
{
        struct flock range = {.l_type = F_WRLCK};
        int fd = open(file, O_RDWR);

        if (fd < 0 || (whole ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLKW, &range)) < 0 ||
            close(open(got, O_WRONLY | O_CREAT, 0644)) < 0) {
                perror(file);
                return 1;
        }
        while (go && access(go, F_OK) < 0)
                usleep(20000);
        return 0;
}

int main(int argc, char **argv)
{
        const char *verb = argc > 1 ? argv[1] : "";

        if (!strcmp(verb, "cases") && (argc == 3 || argc == 4))
                return cases_run(all_cases, argv[2], argv[3], false);
        if (!strcmp(verb, "escapes") && (argc == 3 || argc == 4))
                return cases_run(all_escapes, argv[2], argv[3], true);
        if (!strcmp(verb, "list") && argc == 2)
                return cases_list(all_cases);
        if (!strcmp(verb, "list-escapes") && argc == 2)
                return cases_list(all_escapes);
        if (!strcmp(verb, "wait") && argc == 2)
                return wait_for_end();
        if (!strcmp(verb, "random") && (argc == 6 || argc == 7))
                return random_run(argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10),
                                  strtoull(argv[5], NULL, 10), argc == 7 ? strtoull(argv[6], NULL, 10) : 0);
        if (!strcmp(verb, "plant") && argc == 5)
                return tree_plant(argv[2], (unsigned)strtoul(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
        if (!strcmp(verb, "tell") && argc == 3)
                return tree_tell(argv[2]);
        if (!strcmp(verb, "swap") && argc == 4)
                return disturb_swap(argv[2], argv[3]);
        if ((!strcmp(verb, "lock") || !strcmp(verb, "range")) && (argc == 4 || argc == 5))
                return wait_for_lock(verb[0] == 'l', argv[2], argv[3], argv[4]);
        if (!strcmp(verb, "as") && argc == 5)
                return make_as((unsigned)strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10),
                               argv[4]);
        if (!strcmp(verb, "map") && (argc == 4 || argc == 5))
                return mapped_text(argv[2], strtoul(argv[3], NULL, 10), argv[4]);
        if (!strcmp(verb, "watch") && argc == 4)
                return mapped_watch(argv[2], argv[3]);
        if (!strcmp(verb, "race") && argc == 4)
                return mapped_race(argv[2], strtoul(argv[3], NULL, 10));
        if (!strcmp(verb, "move") && argc == 4)
                return disturb_move(argv[2], argv[3]);
        fprintf(stderr, "guest_files: cases | escapes | list | list-escapes | random | plant | tell | swap | "
                        "move | as | lock | range | map | watch | race | wait\n");
        return 2;
}
