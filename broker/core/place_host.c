/* The host's CPUs.
 * Owns the descriptor of /proc/stat; opened by the broker's main, read by lanes (pread: no offset is shared). TRUST: the
 * text is the kernel's, and still judged: a container may lay another file over /proc/stat, which is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/place_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define SECOND_NS   UINT64_C(1000000000)
#define STAT_FIELDS 5u /* user nice system idle iowait: what follows does not matter here */

static struct place_host the_host = {.stat_fd = -1};

static int stat_open(void)
{
        _cleanup_close_ int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
        struct statfs fs;

        if (fd < 0)
                return -errno;
        if (fstatfs(fd, &fs) < 0)
                return -errno;
        return fs.f_type == PROC_SUPER_MAGIC ? take_fd(&fd) : -ENODEV;
}

int place_host_open(void)
{
        struct place_host host = {.stat_fd = -1};
        uint64_t idle_ns[LIMIT_PLACE_CPUS];
        int r;

        if (sched_getaffinity(0, sizeof(host.all), &host.all) < 0)
                return -errno; /* EINVAL: more CPUs than a set has */
        for (unsigned cpu = 0; cpu < CPU_SETSIZE && host.n_cpus < LIMIT_PLACE_CPUS; cpu++)
                if (CPU_ISSET(cpu, &host.all))
                        host.cpus[host.n_cpus++] = (uint16_t)cpu;
        host.stat_fd = stat_open();
        if (host.stat_fd < 0)
                return host.stat_fd;
        r = place_host_idle(&host, idle_ns);
        if (r < 0) {
                close(host.stat_fd);
                return r;
        }
        the_host = host;
        return 0;
}

void place_host_close(void)
{
        cleanup_close(&the_host.stat_fd);
        the_host = (struct place_host){.stat_fd = -1};
}

const struct place_host *place_host(void)
{
        return the_host.n_cpus > 1 ? &the_host : NULL;
}

/* ---- reading ---- */

static bool number_take(const char **at, const char *end, uint64_t *ret_value)
{
        const char *p = *at;
        uint64_t value = 0;

        while (p < end && *p == ' ')
                p++;
        if (p == end || *p < '0' || *p > '9')
                return false;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
                        return false;
        *at = p;
        *ret_value = value;
        return true;
}

/* "cpu3 1 2 3 4 5 ..." */
static int line_parse(const char *at, const char *end, uint64_t *ret_cpu, uint64_t *ret_idle)
{
        uint64_t fields[STAT_FIELDS];

        if (end - at < 4 || memcmp(at, "cpu", 3) != 0)
                return -ENOENT;
        at += 3;
        if (*at == ' ' || !number_take(&at, end, ret_cpu))
                return -EAGAIN; /* the sum of all */
        for (unsigned i = 0; i < STAT_FIELDS; i++)
                if (!number_take(&at, end, &fields[i]))
                        return -EPROTO;
        return __builtin_add_overflow(fields[3], fields[4], ret_idle) ? -EPROTO : 0;
}

int place_host_parse(const struct place_host *host, const char *text, size_t len, uint64_t tick_ns,
                     uint64_t *ret_idle_ns)
{
        const char *at = text, *end = text + len, *stop;
        uint64_t idle_ns[LIMIT_PLACE_CPUS], cpu, idle;
        unsigned n = 0;

        for (; n < host->n_cpus && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
                int r = line_parse(at, stop, &cpu, &idle);

                if (r == -EAGAIN || (r == 0 && cpu != host->cpus[n]))
                        continue;
                if (r < 0 || __builtin_mul_overflow(idle, tick_ns, &idle_ns[n]))
                        return -EPROTO;
                n++;
        }
        if (n < host->n_cpus)
                return -EPROTO;
        memcpy(ret_idle_ns, idle_ns, n * sizeof(idle_ns[0]));
        return 0;
}

int place_host_idle(const struct place_host *host, uint64_t *ret_idle_ns)
{
        char text[LIMIT_PLACE_STAT];
        long ticks = sysconf(_SC_CLK_TCK);
        ssize_t n = pread(host->stat_fd, text, sizeof(text), 0);

        if (n < 0)
                return -errno;
        return place_host_parse(host, text, (size_t)n, SECOND_NS / (uint64_t)MAX(ticks, 1L), ret_idle_ns);
}
