/* Words in which cases about a directory are told: what must be done, what must fail and how, what must be equal. A
 * case is a function in a process of its own with an empty directory of its own as working directory. It ends by
 * returning (it is so) or in case_fail (it is not); there is nothing to clean up.
 * TRUST: none of what is read back: that is what is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define OTHER_ID 1000 /* who is not root */

struct file_case {
        const char *name;
        void (*run)(void);
};
#define CASE(function)                                                                                       \
        {                                                                                                    \
#function, function                                                                          \
        }

/* The topics, each with a table that ends with an empty row. */
extern const struct file_case cases_open[], cases_data[], cases_size[], cases_copy[], cases_links[],
    cases_symlinks[], cases_rename[], cases_folders[], cases_streams[], cases_times[], cases_rights[],
    cases_special[], cases_attributes[], cases_locks[], cases_maps[], cases_stat[];
extern const struct file_case *const all_cases[]; /* the tables; ends with NULL */
/* Attempts to get out of a share, each of which must fail; see escapes.h. */
extern const struct file_case escapes_plain[], escapes_special[], escapes_race[], escapes_read_only[];
extern const struct file_case *const all_escapes[];

/* What was seen, for the one line that the case has; ends the process. */
_Noreturn void case_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* This cannot be tried here, and why; ends the process. */
_Noreturn void case_skip(const char *why);

/* The result of a call that must not fail; of -1 the case dies. */
static inline long must_be(long result, const char *call)
{
        if (result < 0)
                case_fail("%s: %s", call, strerrorname_np(errno));
        return result;
}
#define must(call) __extension__({ (__typeof__(call))must_be((call), #call); })
#define fails(call, wanted)                                                                                  \
        do {                                                                                                 \
                if ((call) >= 0)                                                                             \
                        case_fail("%s: done, not %s", #call, #wanted);                                       \
                if (errno != (wanted))                                                                       \
                        case_fail("%s: %s, not %s", #call, strerrorname_np(errno), #wanted);                 \
        } while (0)
/* For what two standards name differently. */
#define fails_so(call, wanted, or_this)                                                                      \
        do {                                                                                                 \
                if ((call) >= 0)                                                                             \
                        case_fail("%s: done, not %s", #call, #wanted);                                       \
                if (errno != (wanted) && errno != (or_this))                                                 \
                        case_fail("%s: %s, not %s or %s", #call, strerrorname_np(errno), #wanted, #or_this); \
        } while (0)
#define equal(seen, wanted)                                                                                  \
        do {                                                                                                 \
                long long seen_ = (long long)(seen), wanted_ = (long long)(wanted);                          \
                if (seen_ != wanted_)                                                                        \
                        case_fail("%s: %lld, not %lld", #seen, seen_, wanted_);                              \
        } while (0)
#define holds(condition)                                                                                     \
        do {                                                                                                 \
                if (!(condition))                                                                            \
                        case_fail("not so: %s", #condition);                                                 \
        } while (0)

/* ---- whole files ---- */

/* Makes the file, or puts the text in place of what it had. */
void file_put(const char *path, const char *text);
/* The file has this text and no more. */
void file_has(const char *path, const char *text);
/* The descriptor's file has this text from this offset on and no more. */
void fd_has(int fd, off_t offset, const char *text);
/* len bytes that follow from offset and seed: written there, and seen to be there. */
void fd_fill(int fd, off_t offset, size_t len, unsigned seed);
void fd_filled(int fd, off_t offset, size_t len, unsigned seed);
void fd_zeros(int fd, off_t offset, size_t len);

struct stat stat_of(const char *path); /* of the link itself, if it is one */
struct stat stat_fd(int fd);
bool is_there(const char *path);
int64_t nanoseconds(struct timespec time);
/* Long ago, for both times: what happens to the file after it can be told from it, however coarse the clock. */
void make_old(const char *path);
bool mtime_is_old(const struct stat *st);

/* Entries but for . and .. */
unsigned entries_of(const char *path);

/* ---- others ---- */

/* Until the child ends; if it has failed, the case has. */
void child_ends_well(pid_t pid);
/* Forks; the child's part is `if (child_starts(&pid)) { ...; _exit(0); }`. */
bool child_starts(pid_t *ret_pid);
/* As a user without any right, with no way back. Skips the case where we are not root. */
void become_other(void);
void need_root(void);
/* One byte each way between two processes, so that they take turns. */
void turn_make(int pipes[2]);
void turn_give(const int pipes[2]);
void turn_wait(const int pipes[2]);
