/* What can be counted of a broker from outside.
 * Owns nothing beyond a call; called by the runner. TRUST: /proc is the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/facts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"

#define STILL_BYTES 64u /* from the end of the stack: the name of the program and the environment are there */
#define NEAR_BYTES  UINT64_C(1) << 24 /* ranges that are closer become one: libraries lie side by side */

static FILE *open_proc(pid_t pid, const char *name)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return fopen(path, "re");
}

static int count_fds(pid_t pid, unsigned *ret_n)
{
        char path[64];
        unsigned n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        *ret_n = 0;
        dir = opendir(path);
        if (!dir)
                return errno == EACCES ? 0 : -errno; /* rootless: the kernel shows them to root alone */
        while (readdir(dir))
                n++;
        closedir(dir);
        *ret_n = n - 2; /* . and .. */
        return 0;
}

static int read_status(pid_t pid, struct facts *facts)
{
        FILE *file = open_proc(pid, "status");
        long all = 0, shared = 0;
        char line[256];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                sscanf(line, "VmRSS: %ld", &all);
                sscanf(line, "RssShmem: %ld", &shared);
                sscanf(line, "Threads: %u", &facts->threads);
        }
        fclose(file);
        facts->rss_kib = all - shared;
        return all > 0 ? 0 : -ESRCH;
}

int facts_measure(pid_t broker, struct facts *ret_facts)
{
        FILE *maps = open_proc(broker, "maps");
        char line[512];
        int r;

        if (!maps)
                return -errno;
        ret_facts->maps = 0;
        while (fgets(line, sizeof(line), maps))
                ret_facts->maps++;
        fclose(maps);
        r = count_fds(broker, &ret_facts->fds);
        return r == 0 ? read_status(broker, ret_facts) : r;
}

bool facts_equal(const struct facts *before, const struct facts *now, char *why, size_t why_size)
{
        const bool sanitized = getenv("BULKHEAD_SANITIZED") != NULL; /* its runtime maps memory as it likes */

        if (before->fds != now->fds)
                snprintf(why, why_size, "the broker had %u descriptors and has %u", before->fds, now->fds);
        else if (before->threads != now->threads)
                snprintf(why, why_size, "the broker had %u threads and has %u", before->threads,
                         now->threads);
        else if (!sanitized && before->maps != now->maps)
                snprintf(why, why_size, "the broker had %u mappings and has %u", before->maps, now->maps);
        else if (!sanitized && now->rss_kib - before->rss_kib > FACTS_RSS_KIB)
                snprintf(why, why_size, "the broker had %ld KiB and has %ld", before->rss_kib, now->rss_kib);
        else
                return true;
        return false;
}

uint64_t facts_still_bytes(pid_t broker)
{
        FILE *maps = open_proc(broker, "maps");
        unsigned long long start, end;
        uint64_t found = 0;
        char line[512];

        while (maps && fgets(line, sizeof(line), maps))
                if (strstr(line, "[stack]") && sscanf(line, "%llx-%llx", &start, &end) == 2)
                        found = end - STILL_BYTES;
        if (maps)
                fclose(maps);
        return found;
}

uint32_t facts_ranges(pid_t broker, struct command_range ret_ranges[static COMMAND_RANGES])
{
        FILE *maps = open_proc(broker, "maps");
        unsigned long long start, end;
        char line[512];
        uint32_t n = 0;

        while (maps && fgets(line, sizeof(line), maps)) {
                if (sscanf(line, "%llx-%llx", &start, &end) != 2 || strstr(line, "[vsyscall]"))
                        continue;
                if (n > 0 && start - ret_ranges[n - 1].end < NEAR_BYTES)
                        ret_ranges[n - 1].end = end;
                else if (n < COMMAND_RANGES)
                        ret_ranges[n++] = (struct command_range){start, end};
        }
        if (maps)
                fclose(maps);
        for (uint32_t i = 0; i < n; i++) {
                ret_ranges[i].start ^= COMMAND_RANGE_XOR;
                ret_ranges[i].end ^= COMMAND_RANGE_XOR;
        }
        return n;
}
