/* Which ids a process has in its user namespace.
 * Owns nothing beyond a call; called by proc_facts.c. TRUST: the kernel's word alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_ids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/proc_file.h"
#include "proto/base/cleanup.h"

#define LINE_MAX 512u /* of what is looked at of a line: numbers, or a mount's options */

/* The next line, with a NUL and cut where it is too long. False: there is none. */
static bool next_line(const char **text, const char *end, char line[static LINE_MAX])
{
        const char *stop = *text < end ? memchr(*text, '\n', (size_t)(end - *text)) : NULL;
        size_t len = stop ? (size_t)(stop - *text) : 0;

        if (!stop)
                return false;
        if (len >= LINE_MAX)
                len = LINE_MAX - 1;
        memcpy(line, *text, len);
        line[len] = '\0';
        *text = stop + 1;
        return true;
}

int proc_ids_parse_map(const char *text, size_t len, struct proc_ids *ids)
{
        const char *end = text + len;
        char line[LINE_MAX];
        uint64_t all = 0;

        ids->n = 0;
        while (next_line(&text, end, line)) {
                unsigned inside, outside, count;

                if (sscanf(line, "%u %u %u", &inside, &outside, &count) != 3 || count == 0)
                        return -EPROTO;
                all += count;
                if (count > ids->n) {
                        ids->first = outside;
                        ids->n = count;
                }
        }
        ids->n_all = all;
        return all > 0 ? 0 : -EPROTO;
}

/* "31 24 0:27 /srv / rw,nosuid,idmapped - ext4 ...": the fifth word is where, the sixth its options. */
static bool is_root(const char *line, char options[static LINE_MAX])
{
        char where[LINE_MAX];

        return sscanf(line, "%*s %*s %*s %*s %511s %511s", where, options) == 2 && strcmp(where, "/") == 0;
}

static bool has_option(char *options, const char *wanted)
{
        char *rest = NULL;

        for (char *word = strtok_r(options, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
                if (strcmp(word, wanted) == 0)
                        return true;
        return false;
}

/* The last one, which lies over those before it. */
int proc_ids_parse_root(const char *text, size_t len, struct proc_ids *ids)
{
        const char *end = text + len;
        char line[LINE_MAX], options[LINE_MAX];
        int r = -EPROTO;

        while (next_line(&text, end, line)) {
                if (!is_root(line, options))
                        continue;
                ids->root_is_mapped = has_option(options, "idmapped");
                r = 0;
        }
        return r;
}

static int read_and_parse(int folder_fd, const char *name, struct proc_ids *ids,
                          int (*parse)(const char *text, size_t len, struct proc_ids *ids))
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r = proc_file_read(folder_fd, name, &text, &len);

        return r < 0 ? r : parse(text, len, ids);
}

int proc_ids_measure(int folder_fd, struct proc_ids *ret_ids)
{
        struct proc_ids ids = {0}, groups = {0};
        int r = read_and_parse(folder_fd, "uid_map", &ids, proc_ids_parse_map);

        if (r == 0)
                r = read_and_parse(folder_fd, "gid_map", &groups, proc_ids_parse_map);
        if (r == 0 &&
            (ids.n != groups.n || ids.n_all != groups.n_all || (ids.n > 1 && ids.first != groups.first)))
                r = -EPROTO;
        if (r == 0)
                r = read_and_parse(folder_fd, "mountinfo", &ids, proc_ids_parse_root);
        if (r == 0)
                *ret_ids = ids;
        return r;
}
