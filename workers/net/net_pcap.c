/* A capture of what passes.
 * Borrows its descriptor; called by net.c at start, then by net_rx.c and net_tx.c. TRUST: frames are anybody's, and go
 * into the file as they are; what a predecessor has left in the file is judged here.
 *
 * How it works: a frame is one write, at a place that only this process knows. A process that is killed in the middle
 * leaves part of a frame behind; its successor walks over the whole ones and cuts that off, before it is shut in: a
 * reader of the file finds whole frames only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_pcap.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "workers/net/net_req.h"
#include "workers/runtime/worker_log.h"

#define PCAP_MAGIC    0xa1b2c3d4u /* microseconds, in the order of this machine */
#define PCAP_ETHERNET 1u
#define PCAP_SNAP     262144u /* what every reader takes; no frame is cut */
#define PCAP_WINDOW   65536u  /* bytes that are looked at together */

struct pcap_head {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, figures, snap, link;
};

struct pcap_frame {
        uint32_t seconds, microseconds, len, wire_len;
};

static const struct pcap_head pcap_head = {
    .magic = PCAP_MAGIC, .major = 2, .minor = 4, .snap = PCAP_SNAP, .link = PCAP_ETHERNET};

/* ---- what a predecessor has left ---- */

struct walk {
        int fd;
        uint64_t at, size;
        uint64_t base; /* window[0, have) is what the file has from here on */
        size_t have;
        uint8_t window[PCAP_WINDOW];
};

/* The head of the frame at `at`. 1, 0: there is not all of it, or negative errno. */
static int walk_head(struct walk *walk, struct pcap_frame *ret_frame)
{
        if (!range_inside(walk->at, sizeof(*ret_frame), walk->size))
                return 0;
        if (!range_within(walk->at, sizeof(*ret_frame), walk->base, walk->have)) {
                ssize_t n = pread(walk->fd, walk->window, PCAP_WINDOW, (off_t)walk->at);

                if (n < (ssize_t)sizeof(*ret_frame))
                        return n < 0 ? -errno : 0;
                walk->base = walk->at;
                walk->have = (size_t)n;
        }
        memcpy(ret_frame, walk->window + (walk->at - walk->base), sizeof(*ret_frame));
        return 1;
}

/* Where the last whole frame ends. */
static int walk_frames(struct walk *walk)
{
        struct pcap_frame frame;
        int r;

        while ((r = walk_head(walk, &frame)) > 0) {
                uint64_t len = sizeof(frame) + (uint64_t)frame.len;

                if (frame.len > PCAP_SNAP || !range_inside(walk->at, len, walk->size))
                        return 0;
                walk->at += len;
        }
        return r;
}

static int pcap_go_on(struct net_pcap *pcap, uint64_t size)
{
        static struct walk walk;
        struct pcap_head head;
        int r;

        if (pread(pcap->fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
            memcmp(&head, &pcap_head, sizeof(head)) != 0)
                return -EINVAL;
        walk = (struct walk){.fd = pcap->fd, .at = sizeof(head), .size = size};
        r = walk_frames(&walk);
        if (r < 0)
                return r;
        if (walk.at < size && ftruncate(pcap->fd, (off_t)walk.at) < 0)
                return -errno;
        pcap->end = walk.at;
        return 0;
}

int net_pcap_open(struct net_pcap *pcap, int fd, uint64_t max)
{
        struct stat st;

        *pcap = (struct net_pcap){.fd = fd, .max = max};
        if (fd < 0)
                return 0;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size > 0)
                return pcap_go_on(pcap, (uint64_t)st.st_size);
        if (pwrite(fd, &pcap_head, sizeof(pcap_head), 0) != (ssize_t)sizeof(pcap_head))
                return -EIO;
        pcap->end = sizeof(pcap_head);
        return 0;
}

/* ---- frames ---- */

static void pcap_stop(struct net_pcap *pcap, const char *why)
{
        pcap->stopped = true;
        worker_log(LOG_LEVEL_WARNING, "capture ends: %s", why);
}

void net_pcap_write(struct net_pcap *pcap, const uint8_t *frame, uint32_t len)
{
        struct pcap_frame head = {.len = len, .wire_len = len};
        struct iovec iov[2] = {{.iov_base = &head, .iov_len = sizeof(head)},
                               {.iov_base = (void *)(uintptr_t)frame, .iov_len = len}};
        struct timespec now;

        if (pcap->fd < 0 || pcap->stopped)
                return;
        if (!range_inside(pcap->end, sizeof(head) + len, pcap->max)) {
                pcap_stop(pcap, "the file has its full size");
                return;
        }
        clock_gettime(CLOCK_REALTIME, &now);
        head.seconds = (uint32_t)now.tv_sec;
        head.microseconds = (uint32_t)(now.tv_nsec / 1000);
        if (pwritev(pcap->fd, iov, 2, (off_t)pcap->end) == (ssize_t)(sizeof(head) + len))
                pcap->end += sizeof(head) + len;
        else
                pcap_stop(pcap, "the file cannot be written");
}
