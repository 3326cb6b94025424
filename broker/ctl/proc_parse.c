/* Texts of /proc, taken apart.
 * Owns nothing; called by proc_facts.c and process_tree.c.
 * TRUST: the kernel wrote the texts, but names of files and programs inside are the measured process's own: a
 * program may call itself "x) R 1" and a memfd may have a newline's escape in its name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_parse.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"

/* A piece of text that is eaten from the left. */
struct cursor {
        const char *at, *end;
};

static bool eat_line(struct cursor *text, struct cursor *ret_line)
{
        const char *newline;

        if (text->at == text->end)
                return false;
        newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
        *ret_line = (struct cursor){text->at, newline ? newline : text->end};
        text->at = newline ? newline + 1 : text->end;
        return true;
}

static void eat_blanks(struct cursor *line)
{
        while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
                line->at++;
}

static bool eat_char(struct cursor *line, char c)
{
        if (line->at == line->end || *line->at != c)
                return false;
        line->at++;
        return true;
}

static bool eat_text(struct cursor *line, const char *text)
{
        size_t len = strlen(text);

        if ((size_t)(line->end - line->at) < len || memcmp(line->at, text, len) != 0)
                return false;
        line->at += len;
        return true;
}

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

static bool eat_number(struct cursor *line, unsigned base, uint64_t *ret_value)
{
        const char *start = line->at;
        uint64_t value = 0;

        for (; line->at < line->end; line->at++) {
                int digit = digit_value(*line->at);

                if (digit < 0 || (unsigned)digit >= base)
                        break;
                if (!checked_mul_u64(value, base, &value) || !checked_add_u64(value, (uint64_t)digit, &value))
                        return false;
        }
        if (line->at == start)
                return false;
        *ret_value = value;
        return true;
}

static bool eat_u32(struct cursor *line, unsigned base, uint32_t *ret_value)
{
        uint64_t value;

        return eat_number(line, base, &value) && checked_u32(value, ret_value);
}

/* A word up to a blank or the end; empty at the end. */
static struct cursor eat_word(struct cursor *line)
{
        struct cursor word;

        eat_blanks(line);
        word.at = line->at;
        while (line->at < line->end && *line->at != ' ' && *line->at != '\t')
                line->at++;
        word.end = line->at;
        return word;
}

static bool word_is(struct cursor word, const char *text)
{
        return (size_t)(word.end - word.at) == strlen(text) && memcmp(word.at, text, strlen(text)) == 0;
}

static bool parse_ids(struct cursor line, uint32_t ret_ids[static 4])
{
        for (size_t i = 0; i < 4; i++) {
                eat_blanks(&line);
                if (!eat_u32(&line, 10, &ret_ids[i]))
                        return false;
        }
        return line.at == line.end;
}

static bool parse_ppid(struct cursor line, struct proc_status *status)
{
        uint32_t pid;

        if (!eat_u32(&line, 10, &pid) || line.at != line.end || pid > INT32_MAX)
                return false;
        status->ppid = (pid_t)pid;
        return true;
}

static bool parse_uid(struct cursor line, struct proc_status *status)
{
        return parse_ids(line, status->uid);
}

static bool parse_gid(struct cursor line, struct proc_status *status)
{
        return parse_ids(line, status->gid);
}

static bool parse_groups(struct cursor line, struct proc_status *status)
{
        uint32_t gid;

        for (status->n_groups = 0;; status->n_groups++) {
                eat_blanks(&line);
                if (line.at == line.end)
                        return true;
                if (!eat_u32(&line, 10, &gid))
                        return false;
        }
}

static bool parse_set(struct cursor line, uint64_t *ret_set)
{
        return eat_number(&line, 16, ret_set) && line.at == line.end;
}

static bool parse_count(struct cursor line, uint32_t *ret_count)
{
        return eat_u32(&line, 10, ret_count) && line.at == line.end;
}

#define PARSE_SET(name, set)                                                                                 \
        static bool parse_##name(struct cursor line, struct proc_status *status)                             \
        {                                                                                                    \
                return parse_set(line, &status->capabilities[set]);                                          \
        }
PARSE_SET(cap_inh, PROC_CAP_INHERITABLE)
PARSE_SET(cap_prm, PROC_CAP_PERMITTED)
PARSE_SET(cap_eff, PROC_CAP_EFFECTIVE)
PARSE_SET(cap_bnd, PROC_CAP_BOUNDING)
PARSE_SET(cap_amb, PROC_CAP_AMBIENT)

#define PARSE_COUNT(name)                                                                                    \
        static bool parse_##name(struct cursor line, struct proc_status *status)                             \
        {                                                                                                    \
                return parse_count(line, &status->name);                                                     \
        }
PARSE_COUNT(fd_slots)
PARSE_COUNT(threads)
PARSE_COUNT(tracer)
PARSE_COUNT(no_new_privs)
PARSE_COUNT(seccomp)
PARSE_COUNT(seccomp_filters)

static const struct {
        const char *name;
        bool (*parse)(struct cursor line, struct proc_status *status);
} status_fields[] = {
    {"PPid:", parse_ppid},        {"Uid:", parse_uid},
    {"Gid:", parse_gid},          {"FDSize:", parse_fd_slots},
    {"Groups:", parse_groups},    {"Threads:", parse_threads},
    {"CapInh:", parse_cap_inh},   {"CapPrm:", parse_cap_prm},
    {"CapEff:", parse_cap_eff},   {"CapBnd:", parse_cap_bnd},
    {"CapAmb:", parse_cap_amb},   {"NoNewPrivs:", parse_no_new_privs},
    {"Seccomp:", parse_seccomp},  {"Seccomp_filters:", parse_seccomp_filters},
    {"TracerPid:", parse_tracer},
};

int proc_parse_status(const char *text, size_t len, struct proc_status *ret_status)
{
        struct cursor rest = {text, text + len}, line;
        struct proc_status status = {0};
        uint32_t seen = 0;

        if (len == 0 || text[len - 1] != '\n')
                return -EPROTO; /* cut: the last number may be half of one */
        while (eat_line(&rest, &line))
                for (size_t i = 0; i < array_size(status_fields); i++) {
                        if (!eat_text(&line, status_fields[i].name))
                                continue;
                        eat_blanks(&line);
                        if ((seen & (1u << i)) || !status_fields[i].parse(line, &status))
                                return -EPROTO;
                        seen |= 1u << i;
                        break;
                }
        if (seen != (1u << array_size(status_fields)) - 1)
                return -EPROTO;
        *ret_status = status;
        return 0;
}

/* No process can map, or name, a file so but by io_setup(2): it is of no mount. */
static bool is_aio_ring(const struct proc_mapping *m, struct cursor name)
{
        static const char ring[] = "/[aio] (deleted)";

        eat_blanks(&name);
        return m->shared && m->major == 0 && (size_t)(name.end - name.at) == strlen(ring) &&
               memcmp(name.at, ring, strlen(ring)) == 0;
}

/* The names of files begin with a slash, so no file can be called that. */
static bool is_vcpu(const struct proc_mapping *m, struct cursor name)
{
        static const char vcpu[] = "anon_inode:kvm-vcpu";

        eat_blanks(&name);
        return m->shared && m->major == 0 && (size_t)(name.end - name.at) >= strlen(vcpu) &&
               memcmp(name.at, vcpu, strlen(vcpu)) == 0;
}

/* "7f00-7f10 rw-s 00000000 00:01 1037 /memfd:ram (deleted)" */
static bool parse_mapping(struct cursor line, struct proc_mapping *ret)
{
        struct proc_mapping m = {0};
        struct cursor flags;
        uint64_t offset;

        if (!eat_number(&line, 16, &m.start) || !eat_char(&line, '-') || !eat_number(&line, 16, &m.end) ||
            m.start > m.end)
                return false;
        flags = eat_word(&line);
        if (flags.end - flags.at != 4)
                return false;
        memcpy(m.flags, flags.at, 4);
        m.shared = m.flags[3] == 's';
        eat_blanks(&line);
        if (!eat_number(&line, 16, &offset))
                return false;
        eat_blanks(&line);
        if (!eat_u32(&line, 16, &m.major) || !eat_char(&line, ':') || !eat_u32(&line, 16, &m.minor))
                return false;
        eat_blanks(&line);
        if (!eat_number(&line, 10, &m.inode) || (line.at < line.end && *line.at != ' '))
                return false;
        if (!m.shared && m.flags[3] != 'p')
                return false;
        m.aio_ring = is_aio_ring(&m, line);
        m.vcpu = is_vcpu(&m, line);
        *ret = m;
        return true;
}

int proc_maps_next(const char **text, const char *end, struct proc_mapping *ret_mapping)
{
        struct cursor rest = {*text, end}, line;

        if (!eat_line(&rest, &line))
                return 0;
        if (line.end == end || !parse_mapping(line, ret_mapping)) /* without its newline a line is cut */
                return -EPROTO;
        *text = rest.at;
        return 1;
}

int proc_parse_stat_ppid(const char *text, size_t len, pid_t *ret_ppid)
{
        const char *paren = memrchr(text, ')', len);
        struct cursor rest;
        uint32_t ppid;

        if (!paren)
                return -EPROTO;
        rest = (struct cursor){paren + 1, text + len};
        eat_word(&rest); /* the state */
        eat_blanks(&rest);
        if (!eat_u32(&rest, 10, &ppid) || ppid > INT32_MAX || !eat_char(&rest, ' '))
                return -EPROTO;
        *ret_ppid = (pid_t)ppid;
        return 0;
}

int proc_parse_limit(const char *text, size_t len, const char *name, uint64_t *ret_limit)
{
        struct cursor rest = {text, text + len}, line;

        while (eat_line(&rest, &line)) {
                uint64_t limit;

                if (!eat_text(&line, name))
                        continue;
                eat_blanks(&line);
                if (eat_text(&line, "unlimited"))
                        limit = UINT64_MAX;
                else if (!eat_number(&line, 10, &limit))
                        return -EPROTO;
                if (!eat_char(&line, ' '))
                        return -EPROTO;
                *ret_limit = limit;
                return 0;
        }
        return -ENOENT;
}

static int copy_text(const char *at, const char *end, char *ret_text, size_t size)
{
        size_t len = (size_t)(end - at);

        if (len >= size)
                return -ENAMETOOLONG;
        memcpy(ret_text, at, len);
        ret_text[len] = '\0';
        return 0;
}

/* Is `word` one of a list with commas? "" is only in the empty list. */
static bool list_has(const char *at, const char *end, const char *word)
{
        size_t len = strlen(word);

        if (len == 0)
                return at == end;
        while (at < end) {
                const char *comma = memchr(at, ',', (size_t)(end - at));
                const char *item_end = comma ? comma : end;

                if ((size_t)(item_end - at) == len && memcmp(at, word, len) == 0)
                        return true;
                at = comma ? comma + 1 : end;
        }
        return false;
}

/* "4:memory:/a/b", version 2 is "0::/a/b" */
int proc_parse_cgroup(const char *text, size_t len, const char *controller, char *ret_group, size_t size)
{
        struct cursor rest = {text, text + len}, line;

        while (eat_line(&rest, &line)) {
                uint64_t number;
                const char *colon;

                if (line.end == text + len)
                        return -EPROTO; /* cut */
                if (!eat_number(&line, 10, &number) || !eat_char(&line, ':'))
                        return -EPROTO;
                colon = memchr(line.at, ':', (size_t)(line.end - line.at));
                if (!colon)
                        return -EPROTO;
                if (list_has(line.at, colon, controller))
                        return copy_text(colon + 1, line.end, ret_group, size);
        }
        return -ENOENT;
}

/* "31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory" */
int proc_parse_cgroup_mount(const char *text, size_t len, const char *controller, char *ret_mount,
                            size_t size)
{
        const char *type = controller[0] == '\0' ? "cgroup2" : "cgroup";
        struct cursor rest = {text, text + len}, line;

        while (eat_line(&rest, &line)) {
                struct cursor root, mount, word, options;

                for (int i = 0; i < 3; i++)
                        eat_word(&line);
                root = eat_word(&line);
                mount = eat_word(&line);
                do
                        word = eat_word(&line);
                while (word.at != word.end && !word_is(word, "-"));
                word = eat_word(&line);
                eat_word(&line); /* the source */
                options = eat_word(&line);
                if (word_is(word, type) && word_is(root, "/") &&
                    (controller[0] == '\0' || list_has(options.at, options.end, controller)))
                        return copy_text(mount.at, mount.end, ret_mount, size);
        }
        return -ENOENT;
}

#define CGROUP_NO_LIMIT (1ull << 62) /* version 1 writes "no limit" as the largest page-aligned number */

int proc_parse_cgroup_limit(const char *text, size_t len, uint64_t *ret_limit)
{
        struct cursor line = {text, text + len};
        uint64_t limit;

        if (eat_text(&line, "max"))
                limit = UINT64_MAX;
        else if (!eat_number(&line, 10, &limit))
                return -EPROTO;
        if (!eat_char(&line, '\n') || line.at != line.end)
                return -EPROTO;
        *ret_limit = limit >= CGROUP_NO_LIMIT ? UINT64_MAX : limit;
        return 0;
}

int proc_parse_cgroup_word(const char *text, size_t len, const char *word, uint64_t *ret_limit)
{
        struct cursor rest = {text, text + len}, line;
        uint64_t limit = 0;

        if (!eat_line(&rest, &line) || rest.at != rest.end || len == 0 || text[len - 1] != '\n')
                return -EPROTO;
        for (char place = '1'; place <= word[0]; place++) {
                bool none, negative;

                eat_blanks(&line);
                none = eat_text(&line, "max");
                negative = eat_char(&line, '-');
                if (!none && !eat_number(&line, 10, &limit))
                        return -EPROTO;
                if (none || negative)
                        limit = UINT64_MAX;
        }
        *ret_limit = limit;
        return 0;
}

int proc_parse_cgroup_disks(const char *text, size_t len, const char *word, uint64_t *ret_limit)
{
        struct cursor rest = {text, text + len}, line;
        uint64_t smallest = UINT64_MAX;

        while (eat_line(&rest, &line)) {
                struct cursor item;

                eat_word(&line); /* the disk */
                for (item = eat_word(&line); item.at != item.end; item = eat_word(&line)) {
                        uint64_t limit;

                        if (!eat_text(&item, word) || eat_text(&item, "max"))
                                continue;
                        if (!eat_number(&item, 10, &limit) || item.at != item.end)
                                return -EPROTO;
                        smallest = MIN(smallest, limit);
                }
        }
        *ret_limit = smallest;
        return 0;
}

_Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t),
               "ids are parsed as u32");
