/* Shared memory regions: what is mapped and unmapped, what goes beside it, and memory that is shared with a guest.
 * Owns nothing; read by hostile_ops.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/frame.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"
#include "tests/hostile_worker/hostile_folder.h"
#include "workers/runtime/worker_shmem.h"

#define KILL_MS  3000
#define ID       0x5eedu /* of our maps: not the device's */
#define REGION   0u
#define WHOLE    (UINT64_C(2) << 20) /* bytes of the region, as configured */
#define PAGE     ((uint64_t)LIMIT_SHMEM_PAGE)
#define MAP_MOST 1024u /* more than any device may have */
#define FDS_MOST 64u
#define ANSWER   0x42 /* ShmemAnswer: field 8 */
#define FIRST_ID 0x0d

/* The descriptor beside it. */
enum beside {
        FILE_MAPPED, /* the device's second: what it maps itself; of who has none, any */
        FILE_NULL,
        FILE_CONTROL,
        FILE_LANE,
        FILE_OPENED, /* by window_open */
};

struct ask {
        uint64_t offset, len, fd_offset;
        uint8_t shmid;
        bool read_only;
        bool vacate; /* nothing is there before: it is not refused for what is */
        enum beside beside;
};

static uint8_t bytes[1024];
static int opened = -1;

/* ---- what is said, and its answer ---- */

static int file_of(enum beside beside)
{
        switch (beside) {
        case FILE_MAPPED:
                return hostile_resources > 1 ? worker_fd_resource(hostile_lanes, 1) : 0;
        case FILE_NULL:
                return 0;
        case FILE_CONTROL:
                return WORKER_FD_CONTROL;
        case FILE_LANE:
                return worker_fd_lane_in(0);
        case FILE_OPENED:
                return opened;
        }
        return -1;
}

static size_t make_frame(enum control_kind_to_broker kind, const struct ask *ask)
{
        const struct control_to_broker message = {.kind = kind,
                                                  .shmem = {.id = ID,
                                                            .shmid = ask->shmid,
                                                            .writable = !ask->read_only,
                                                            .offset = ask->offset,
                                                            .len = ask->len,
                                                            .fd_offset = ask->fd_offset}};
        ssize_t len =
            control_make_to_broker(&message, bytes + FRAME_HEAD_BYTES, sizeof(bytes) - FRAME_HEAD_BYTES);
        const struct frame_head head = {.header_len = (uint32_t)MAX(len, (ssize_t)0)};

        frame_head_make(&head, bytes);
        return FRAME_HEAD_BYTES + head.header_len;
}

/* A frame in one piece with descriptors beside its first byte. */
static int64_t send_beside(int channel, size_t len, const int *fds, unsigned n)
{
        union {
                struct cmsghdr head;
                uint8_t bytes[CMSG_SPACE(FDS_MOST * sizeof(int))];
        } control = {0};
        struct iovec iov = {.iov_base = bytes, .iov_len = len};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

        if (n > 0) {
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(n * sizeof(int));
                control.head = (struct cmsghdr){
                    .cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
                memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
        }
        return CALL(SYS_sendmsg, channel, &message, MSG_NOSIGNAL);
}

static bool read_all(uint8_t *to, size_t len)
{
        while (len > 0) {
                ssize_t n = read(WORKER_FD_CONTROL, to, len);

                if (n <= 0)
                        return false;
                to += n;
                len -= (size_t)n;
        }
        return true;
}

/* Frames that are no answer are lost to the device, whose process is ours. */
static int64_t await_answer(void)
{
        struct frame_head head;

        for (;;) {
                if (!read_all(bytes, FRAME_HEAD_BYTES) || frame_head_check(bytes, 0, &head) < 0 ||
                    head.header_len > sizeof(bytes) || !read_all(bytes, head.header_len))
                        return -EPIPE;
                if (head.header_len < 7 || bytes[0] != ANSWER || bytes[2] != FIRST_ID ||
                    bytes_load32(bytes + 3) != ID)
                        continue;
                return head.header_len < 12 ? 0 : status_to_errno(bytes_load32(bytes + 8));
        }
}

static int64_t map_it(const struct ask *ask)
{
        int fd = file_of(ask->beside);
        int64_t r = send_beside(WORKER_FD_CONTROL, make_frame(CONTROL_SHMEM_MAP, ask), &fd, 1);

        return r < 0 ? r : await_answer();
}

static int64_t unmap_it(const struct ask *ask)
{
        int64_t r = send_beside(WORKER_FD_CONTROL, make_frame(CONTROL_SHMEM_UNMAP, ask), NULL, 0);

        return r < 0 ? r : await_answer();
}

static const struct ask whole = {.len = WHOLE};

/* ---- maps of a file ---- */

/* The command's number is an index; attempts_devices.c says what each is. */
static const struct ask maps[] = {
    {.len = WHOLE, .vacate = true},                                /*  0 what is right */
    {.len = WHOLE},                                                /*  1 where one is */
    {.offset = WHOLE - PAGE, .len = PAGE},                         /*  2 over its last page */
    {.offset = WHOLE, .len = PAGE},                                /*  3 behind the region */
    {.offset = WHOLE - PAGE, .len = 2 * PAGE, .vacate = true},     /*  4 over its end */
    {.offset = -PAGE, .len = 2 * PAGE},                            /*  5 wraps into it */
    {.offset = PAGE, .len = -PAGE},                                /*  6 so that offset + length is 0 */
    {.offset = 0, .len = 0, .vacate = true},                       /*  7 nothing */
    {.offset = 512, .len = PAGE, .vacate = true},                  /*  8 no page's beginning */
    {.len = PAGE + 1, .vacate = true},                             /*  9 no whole pages */
    {.len = PAGE, .fd_offset = 512, .vacate = true},               /* 10 no page of the file */
    {.len = PAGE, .fd_offset = -PAGE, .vacate = true},             /* 11 the file's offset wraps */
    {.len = PAGE, .fd_offset = UINT64_C(1) << 40, .vacate = true}, /* 12 behind the file's end */
    {.len = PAGE, .shmid = 1},                                     /* 13 a region that it has not */
    {.len = PAGE, .shmid = 255},                                   /* 14 the last that there could be */
    {.len = UINT64_C(1) << 62, .vacate = true},                    /* 15 everything */
    {.len = WHOLE, .vacate = true, .read_only = true},     /* 16 a descriptor that can do more than it says */
    {.len = PAGE, .vacate = true, .beside = FILE_NULL},    /* 17 a device */
    {.len = PAGE, .vacate = true, .beside = FILE_CONTROL}, /* 18 the channel itself */
    {.len = PAGE, .vacate = true, .beside = FILE_LANE},    /* 19 its other channel */
};

/* The device is left as it was, and what it was is mapped again whatever came of it. */
static int64_t map(struct hostile *hostile)
{
        const struct ask *ask = &maps[hostile->command.number % array_size(maps)];
        int64_t r, back;

        if (!ask->vacate)
                return map_it(ask);
        r = unmap_it(&whole);
        if (r < 0)
                return r;
        r = map_it(ask);
        back = r < 0 ? map_it(&whole) : 0;
        return back < 0 ? 0 : r;
}

static int64_t map_most(struct hostile *hostile)
{
        struct ask page = {.len = PAGE};
        unsigned n = 0;
        int64_t r = unmap_it(&whole), left = 0;

        (void)hostile;
        for (; r == 0 && n < MAP_MOST && n < WHOLE / PAGE; n++) {
                page.offset = n * PAGE;
                r = map_it(&page);
        }
        for (unsigned i = 0; i + 1 < n && left == 0; i++) {
                page.offset = i * PAGE;
                left = unmap_it(&page);
        }
        return left < 0 || map_it(&whole) < 0 ? 0 : r;
}

static int64_t map_bare(struct hostile *hostile)
{
        size_t len = make_frame(CONTROL_SHMEM_MAP, &whole);
        ssize_t n = write(WORKER_FD_CONTROL, bytes, len);

        (void)hostile;
        return n < 0 ? -errno : hostile_linger(KILL_MS);
}

static int64_t beside_many(enum control_kind_to_broker kind, int channel, unsigned n)
{
        int fds[FDS_MOST];
        int64_t r;

        for (unsigned i = 0; i < n; i++)
                fds[i] = file_of(FILE_MAPPED);
        r = send_beside(channel, make_frame(kind, &whole), fds, n);
        return r < 0 ? r : hostile_linger(KILL_MS);
}

static int64_t map_two(struct hostile *hostile)
{
        (void)hostile;
        return beside_many(CONTROL_SHMEM_MAP, WORKER_FD_CONTROL, 2);
}

static int64_t map_many(struct hostile *hostile)
{
        (void)hostile;
        return beside_many(CONTROL_SHMEM_MAP, WORKER_FD_CONTROL, FDS_MOST);
}

static int64_t unmap_beside(struct hostile *hostile)
{
        (void)hostile;
        return beside_many(CONTROL_SHMEM_UNMAP, WORKER_FD_CONTROL, 1);
}

/* Nothing goes beside it there. */
static int64_t map_on_lane(struct hostile *hostile)
{
        size_t len = make_frame(CONTROL_SHMEM_MAP, &whole);
        ssize_t n = write(worker_fd_lane_out(0), bytes, len);

        (void)hostile;
        return n < 0 ? -errno : hostile_linger(KILL_MS);
}

static int64_t lane_beside(struct hostile *hostile)
{
        (void)hostile;
        return beside_many(CONTROL_SHMEM_MAP, worker_fd_lane_out(0), 1);
}

/* Its descriptor arrives with the end of the message. */
static int64_t amid_beside(struct hostile *hostile)
{
        size_t len = make_frame(CONTROL_SHMEM_MAP, &whole);
        int fd = file_of(FILE_MAPPED);
        int64_t r = write(WORKER_FD_CONTROL, bytes, FRAME_HEAD_BYTES);

        (void)hostile;
        memmove(bytes, bytes + FRAME_HEAD_BYTES, len - FRAME_HEAD_BYTES);
        if (r == FRAME_HEAD_BYTES)
                r = send_beside(WORKER_FD_CONTROL, len - FRAME_HEAD_BYTES, &fd, 1);
        return r < 0 ? r : await_answer();
}

/* And takes no answer until the last, or until the kernel lets no more descriptors be under way. */
static int64_t map_flood(struct hostile *hostile)
{
        int fd = file_of(FILE_MAPPED);
        size_t len = make_frame(CONTROL_SHMEM_MAP, &whole);
        uint64_t sent = 0;
        int64_t r = 0;

        while (sent < hostile->command.number && send_beside(WORKER_FD_CONTROL, len, &fd, 1) > 0)
                sent++;
        for (; sent > 0 && r == 0; sent--)
                r = await_answer() == -EEXIST ? 0 : -EPIPE;
        return r;
}

/* ---- unmaps ---- */

static const struct ask unmaps[] = {
    {.len = PAGE},                          /* 0 a part of a mapping */
    {.offset = PAGE, .len = WHOLE - PAGE},  /* 1 its other part */
    {.len = WHOLE + PAGE},                  /* 2 more than it */
    {.offset = WHOLE, .len = PAGE},         /* 3 what is behind */
    {.len = 0},                             /* 4 nothing */
    {.offset = -PAGE, .len = WHOLE + PAGE}, /* 5 wraps */
    {.len = WHOLE, .shmid = 1},             /* 6 another region's */
};

static int64_t unmap(struct hostile *hostile)
{
        return unmap_it(&unmaps[hostile->command.number % array_size(unmaps)]);
}

static int64_t unmap_twice(struct hostile *hostile)
{
        int64_t r = unmap_it(&whole), again = unmap_it(&whole);

        (void)hostile;
        return r < 0 || map_it(&whole) < 0 ? 0 : again;
}

/* By write alone: who maps no files may not send what has descriptors beside it. */
static int64_t unmap_memory(struct hostile *hostile)
{
        size_t len = make_frame(CONTROL_SHMEM_UNMAP, &whole);
        ssize_t n = write(WORKER_FD_CONTROL, bytes, len);

        (void)hostile;
        return n < 0 ? -errno : await_answer();
}

static int64_t file_cut(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, file_of(FILE_MAPPED), 0ul);
}

/* ---- a window for files of a share, which is one granule ---- */

#define FILE_NAME "file" /* in every share */

/* The command's number is an index; attempts_devices.c says what each is. */
static const struct {
        const char *path;
        uint64_t flags;
        struct ask ask;
} windows[] = {
    {FILE_NAME, O_RDWR, {.len = WHOLE}},                              /*  0 what is right */
    {FILE_NAME, O_RDONLY, {.len = WHOLE, .read_only = true}},         /*  1 this as well */
    {FILE_NAME, O_RDONLY, {.len = WHOLE}},                            /*  2 fewer rights than are asked for */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .read_only = true}},           /*  3 more */
    {FILE_NAME, O_WRONLY, {.len = WHOLE}},                            /*  4 not to be read */
    {FILE_NAME, O_PATH, {.len = WHOLE, .read_only = true}},           /*  5 a name alone */
    {".", O_RDONLY | O_DIRECTORY, {.len = WHOLE, .read_only = true}}, /*  6 a directory */
    {"fifo", O_RDONLY | O_NONBLOCK, {.len = WHOLE, .read_only = true}}, /*  7 a pipe */
    {FILE_NAME, O_RDWR, {.len = PAGE}},                                 /*  8 a part of a granule */
    {FILE_NAME, O_RDWR, {.offset = PAGE, .len = WHOLE}},                /*  9 where none begins */
    {FILE_NAME, O_RDWR, {.offset = WHOLE, .len = WHOLE}},               /* 10 behind the window */
    {FILE_NAME, O_RDWR, {.len = 2 * WHOLE}},                            /* 11 two at once */
    {FILE_NAME, O_RDWR, {.offset = -WHOLE, .len = WHOLE}},              /* 12 wraps */
    {FILE_NAME, O_RDWR, {.len = 0}},                                    /* 13 nothing */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .fd_offset = 512}},              /* 14 no page of the file */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .fd_offset = -WHOLE}},           /* 15 the file's offset wraps */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .shmid = 1}},                    /* 16 a region that it has not */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .beside = FILE_NULL}},           /* 17 a device */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .beside = FILE_CONTROL}},        /* 18 the channel itself */
    {FILE_NAME, O_RDWR, {.len = WHOLE, .beside = FILE_LANE}},           /* 19 its other channel */
};

static int64_t window_open(const char *path, uint64_t flags)
{
        opened = (int)open_free(path, flags);
        return opened;
}

/* And the window is empty again, whatever came of it. */
static int64_t window_close(int64_t r)
{
        (void)unmap_it(&whole);
        if (opened >= 0)
                close(opened);
        opened = -1;
        return r;
}

static int64_t window_map(struct hostile *hostile)
{
        const uint64_t i = hostile->command.number % array_size(windows);
        struct ask ask = windows[i].ask;

        if (ask.beside == FILE_MAPPED)
                ask.beside = FILE_OPENED;
        return window_open(windows[i].path, windows[i].flags) < 0 ? opened : window_close(map_it(&ask));
}

/* What is right, and then something else. */
static int64_t window_then(int64_t (*next)(struct hostile *hostile), struct hostile *hostile)
{
        static const struct ask right = {.len = WHOLE, .beside = FILE_OPENED};
        int64_t r = window_open(FILE_NAME, O_RDWR);

        if (r >= 0)
                r = map_it(&right);
        return window_close(r < 0 ? 0 : next(hostile));
}

static int64_t map_again(struct hostile *hostile)
{
        static const struct ask again = {.len = WHOLE, .beside = FILE_OPENED};

        (void)hostile;
        return map_it(&again);
}

static int64_t cut_it(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, opened, 0ul);
}

static int64_t window_twice(struct hostile *hostile)
{
        return window_then(map_again, hostile);
}

static int64_t window_flood(struct hostile *hostile)
{
        return window_then(map_flood, hostile);
}

static int64_t window_unmap(struct hostile *hostile)
{
        return window_then(unmap, hostile);
}

static int64_t window_cut(struct hostile *hostile)
{
        return window_then(cut_it, hostile);
}

/* ---- memory ---- */

static int64_t memory_nonsense(struct hostile *hostile)
{
        uint64_t len = 0, word = hostile->request_id | 1;
        volatile uint64_t *memory = worker_region(REGION, &len);

        for (uint64_t i = 0; memory && i < len / sizeof(word); i++) {
                word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                memory[i] = word;
        }
        return memory ? 0 : -ENXIO;
}

/* One call on all of it. */
static int64_t memory_call(long number, long third, long fourth)
{
        uint64_t len = 0;
        void *memory = worker_region(REGION, &len);

        return memory ? CALL(number, memory, len, third, fourth) : -ENXIO;
}

static int64_t memory_execute(struct hostile *hostile)
{
        (void)hostile;
        return memory_call(SYS_mprotect, PROT_READ | PROT_WRITE | PROT_EXEC, 0);
}

static int64_t memory_punch(struct hostile *hostile)
{
        (void)hostile;
        return memory_call(SYS_madvise, MADV_REMOVE, 0);
}

static int64_t memory_grow(struct hostile *hostile)
{
        (void)hostile;
        return memory_call(SYS_mremap, (long)(2 * WHOLE), MREMAP_MAYMOVE);
}

static int64_t memory_lock(struct hostile *hostile)
{
        (void)hostile;
        return memory_call(SYS_mlock, 0, 0);
}

static const struct hostile_attack rows[] = {
    {"map", map, 0},
    {"map-most", map_most, 0},
    {"map-bare", map_bare, 0},
    {"map-two", map_two, 0},
    {"map-many", map_many, 0},
    {"map-flood", map_flood, 0},
    {"map-amid", amid_beside, 0},
    {"map-on-lane", map_on_lane, 0},
    {"map-beside-lane", lane_beside, 0},
    {"unmap", unmap, 0},
    {"unmap-twice", unmap_twice, 0},
    {"unmap-beside", unmap_beside, 0},
    {"unmap-memory", unmap_memory, 0},
    {"file-cut", file_cut, 0},
    {"window-map", window_map, 0},
    {"window-twice", window_twice, 0},
    {"window-flood", window_flood, 0},
    {"window-unmap", window_unmap, 0},
    {"window-cut", window_cut, 0},
    {"memory-nonsense", memory_nonsense, 0},
    {"memory-execute", memory_execute, 0},
    {"memory-punch", memory_punch, 0},
    {"memory-grow", memory_grow, 0},
    {"memory-lock", memory_lock, 0},
};

const struct hostile_attacks hostile_region = {rows, array_size(rows)};
