/* The recorder inside the worker of tests: wraps the system calls of the runtime and of blk_file.c.
 * Owns the log behind the disk; linked with the real worker by --wrap. No memory, no descriptor and no system
 * call but those that the jail of a block worker allows. TRUST: the control block is the test's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/power_cut/record.h"
#include "workers/blk/aio_calls.h"

#define SECTOR      512u
#define STASH_BYTES (1u << 20) /* the longest write: a piece of the runtime */
#define PAUSE_TURNS 400000u    /* some hundred microseconds: long enough for an answer to overtake */

ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t __real_preadv(int fd, const struct iovec *iov, int n, off_t offset);
int __real_aio_submit(aio_context_t context, long n, struct iocb **iocbs);
int __real_aio_getevents(aio_context_t context, long min, struct io_event *ret_events);
int __real_fdatasync(int fd);
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __real_fstat(int fd, struct stat *st);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_readv(int fd, const struct iovec *iov, int n);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int n, off_t offset);
int __wrap_aio_submit(aio_context_t context, long n, struct iocb **iocbs);
int __wrap_aio_getevents(aio_context_t context, long min, struct io_event *ret_events);
int __wrap_fdatasync(int fd);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fstat(int fd, struct stat *st);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);

/* A write that a mistake has put off, or keeps to make it again. */
static struct {
        uint8_t bytes[STASH_BYTES];
        size_t len;
        off_t offset;
        bool held;
} stash;

static struct record_control control;
static uint64_t my_generation;
static uint64_t serial; /* of the arming that `passes` counts for */
static uint32_t passes;
static uint64_t n_writes;
static bool sync_due;
static struct {
        uint64_t serial; /* of the order that the numbers are of */
        uint32_t seen, made;
} faults;

/* ---- the control block ---- */

static int image(void)
{
        return worker_fd_resource(1, 0); /* tests give one lane */
}

static void put(size_t at, uint64_t value)
{
        (void)__real_pwrite(image(), &value, sizeof(value), (off_t)(RECORD_CONTROL + at));
}

static void look(void)
{
        if (__real_pread(image(), &control, sizeof(control), (off_t)RECORD_CONTROL) != sizeof(control))
                __builtin_trap();
        if (my_generation == 0) {
                my_generation = control.generation + 1;
                put(offsetof(struct record_control, generation), my_generation);
        }
        if (control.arm_serial != serial) {
                serial = control.arm_serial;
                passes = 0;
        }
}

/* Is the worker to be killed here? */
static bool reached(enum record_point point)
{
        look();
        return control.arm_generation == my_generation && control.arm_point == (uint32_t)point &&
               ++passes == control.arm_count;
}

static _Noreturn void stand_still(void)
{
        put(offsetof(struct record_control, stopped), my_generation);
        for (;;)
                (void)ppoll(NULL, 0, NULL, NULL);
}

static void pass(enum record_point point)
{
        if (reached(point))
                stand_still();
}

/* One call in eight comes late, so that an answer which does not wait for it is seen to overtake it. */
static void pause_sometimes(void)
{
        static uint64_t state;

        if (control.seed == 0)
                return;
        state = (state + control.seed + my_generation) * UINT64_C(6364136223846793005) + 1442695040888963407u;
        if (state >> 61 == 0)
                for (volatile uint32_t i = 0; i < PAUSE_TURNS; i++)
                        continue;
}

/* ---- the log ---- */

static void log_record(const struct record *what, const void *bytes)
{
        struct record record = *what;
        uint64_t next[2];
        off_t at;

        look();
        if (!control.recording)
                return;
        at = (off_t)(RECORD_LOG + control.log_end);
        if (control.log_end + sizeof(record) + record.bytes > RECORD_LOG_BYTES)
                __builtin_trap();
        record.magic = RECORD_MAGIC;
        record.number = control.records;
        record.generation = my_generation;
        if (record.bytes > 0)
                (void)__real_pwrite(image(), bytes, record.bytes, at + (off_t)sizeof(record));
        (void)__real_pwrite(image(), &record, sizeof(record), at);
        next[0] = control.records + 1;
        next[1] = control.log_end + sizeof(record) + ((record.bytes + 63) & ~UINT64_C(63));
        (void)__real_pwrite(image(), next, sizeof(next),
                            (off_t)(RECORD_CONTROL + offsetof(struct record_control, records)));
}

static void log_begin(struct record *record, const void *bytes)
{
        record->phase = RECORD_BEGIN;
        log_record(record, bytes);
        pause_sometimes();
}

static void log_end(struct record *record, int64_t result)
{
        record->phase = RECORD_END;
        record->result = result;
        record->bytes = 0;
        log_record(record, NULL);
}

/* ---- host calls, as they are made ---- */

static ssize_t make_write(const void *buf, size_t len, off_t offset)
{
        struct record record = {.kind = RECORD_WRITE, .offset = (uint64_t)offset, .len = len, .bytes = len};
        ssize_t n;

        pass(POINT_BEFORE_HOST);
        log_begin(&record, buf);
        if (reached(POINT_AMID_HOST)) {
                (void)__real_pwrite(image(), buf, len / 2 / SECTOR * SECTOR, offset);
                stand_still();
        }
        n = __real_pwrite(image(), buf, len, offset);
        log_end(&record, n < 0 ? -errno : n);
        pass(POINT_AFTER_HOST);
        return n;
}

static int make_sync(int fd)
{
        struct record record = {.kind = RECORD_SYNC};
        int r;

        pass(POINT_BEFORE_HOST);
        log_begin(&record, NULL);
        pass(POINT_AMID_HOST);
        r = __real_fdatasync(fd);
        log_end(&record, r < 0 ? -errno : 0);
        pass(POINT_AFTER_HOST);
        return r;
}

static void make_good(int fd)
{
        if (stash.held && control.mistake == MISTAKE_LATE_WRITE) {
                stash.held = false;
                (void)make_write(stash.bytes, stash.len, stash.offset);
        }
        if (sync_due) {
                sync_due = false;
                (void)make_sync(fd);
        }
}

/* ---- mistakes ---- */

static void keep(const void *buf, size_t len, off_t offset)
{
        memcpy(stash.bytes, buf, MIN(len, sizeof(stash.bytes)));
        stash.len = MIN(len, sizeof(stash.bytes));
        stash.offset = offset;
        stash.held = true;
}

static ssize_t write_wrongly(const void *buf, size_t len, off_t offset)
{
        size_t part = MIN(len, 700u); /* inside the second sector */

        switch (control.mistake) {
        case MISTAKE_LATE_WRITE:
                keep(buf, len, offset);
                return (ssize_t)len;
        case MISTAKE_LOST_WRITE:
                return n_writes % 16 == 0 ? (ssize_t)len : make_write(buf, len, offset);
        case MISTAKE_TORN_SECTOR:
                return make_write(buf, part, offset);
        case MISTAKE_STALE_WRITE:
                if (n_writes % 16 == 0)
                        keep(buf, len, offset);
                if (n_writes % 16 == 15 && stash.held)
                        (void)make_write(stash.bytes, stash.len, stash.offset);
                return make_write(buf, len, offset);
        default:
                return make_write(buf, len, offset);
        }
}

/* ---- faults of the host ---- */

/* Does this call meet one? Calls before the worker has greeted do not. */
static bool meets_fault(enum record_call call)
{
        look();
        if (faults.serial != control.fault_serial) {
                faults.serial = control.fault_serial;
                faults.seen = faults.made = 0;
        }
        if (!(control.fault_calls & call) || control.fault_every == 0 || faults.made >= control.fault_count ||
            ++faults.seen % control.fault_every != 0)
                return false;
        faults.made++;
        errno = (int)control.fault_errno;
        return true;
}

/* How much of a transfer is done: all, a part, or 0: it fails. */
static size_t transferred(enum record_call call, size_t len)
{
        if (!meets_fault(call))
                return len;
        return control.fault_errno != 0 ? 0 : MAX(len / 3, (size_t)1);
}

/* ---- wrapped ---- */

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
        size_t part = transferred(CALL_PWRITE, len);

        if (part == 0)
                return -1;
        make_good(fd);
        n_writes++;
        return write_wrongly(buf, part, offset);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
        size_t part = transferred(CALL_PREAD, len);
        ssize_t n;

        if (part == 0)
                return -1;
        make_good(fd);
        pass(POINT_BEFORE_HOST);
        n = __real_pread(fd, buf, part, offset);
        pass(POINT_AFTER_HOST);
        return n;
}

/* Runs: one transfer, as the two above have it. */
static uint8_t run[STASH_BYTES];

static size_t run_len(const struct iovec *iov, int n_iov)
{
        size_t len = 0;

        for (int i = 0; i < n_iov; i++)
                len += iov[i].iov_len;
        if (len > sizeof(run))
                __builtin_trap();
        return len;
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
        size_t len = run_len(iov, n_iov), at = 0;

        for (int i = 0; i < n_iov; at += iov[i].iov_len, i++)
                memcpy(run + at, iov[i].iov_base, iov[i].iov_len);
        return __wrap_pwrite(fd, run, len, offset);
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
        size_t len = run_len(iov, n_iov), at = 0;
        ssize_t n = __wrap_pread(fd, run, len, offset);

        for (int i = 0; i < n_iov && n >= 0; at += iov[i].iov_len, i++)
                memcpy(iov[i].iov_base, run + at, iov[i].iov_len);
        return n;
}

/* ---- wrapped: transfers past the page cache ----
 *
 * They are kept here, and carried out like the calls above when their ends are asked for: some of them, in any order.
 * A transfer of no consequence rings the eventfd. */

static struct {
        struct iocb *kept[256];
        unsigned n;
        struct iocb bell;
        bool rung;
        uint64_t state;
} aio;

static void ring(aio_context_t context, const struct iocb *like)
{
        static uint8_t sector[SECTOR];
        struct iocb *bell = &aio.bell;

        if (aio.rung)
                return;
        aio.rung = true;
        *bell = *like;
        bell->aio_lio_opcode = IOCB_CMD_PREAD;
        bell->aio_buf = (uintptr_t)sector;
        bell->aio_nbytes = sizeof(sector);
        bell->aio_offset = 0;
        if (__real_aio_submit(context, 1, &bell) != 1)
                __builtin_trap();
}

static unsigned any_of(unsigned n)
{
        aio.state = (aio.state + my_generation) * UINT64_C(6364136223846793005) + 1442695040888963407u;
        return (unsigned)(aio.state >> 33) % n;
}

int __wrap_aio_submit(aio_context_t context, long n, struct iocb **iocbs)
{
        for (long i = 0; i < n; i++)
                aio.kept[aio.n++] = iocbs[i];
        ring(context, iocbs[0]);
        return (int)n;
}

static int64_t carry_out(const struct iocb *iocb)
{
        void *bytes = (void *)(uintptr_t)iocb->aio_buf;
        bool is_write = iocb->aio_lio_opcode == IOCB_CMD_PWRITE;
        ssize_t n = is_write
                        ? __wrap_pwrite(image(), bytes, (size_t)iocb->aio_nbytes, (off_t)iocb->aio_offset)
                        : __wrap_pread(image(), bytes, (size_t)iocb->aio_nbytes, (off_t)iocb->aio_offset);

        return n < 0 ? -errno : n;
}

int __wrap_aio_getevents(aio_context_t context, long min, struct io_event *ret_events)
{
        int n = 0, many = aio.n > 0 ? 1 + (int)any_of(MIN(aio.n, (unsigned)AIO_EVENTS)) : 0;

        (void)min; /* at least one, if there are any */
        if (aio.rung && __real_aio_getevents(context, 1, ret_events) == 1)
                aio.rung = false;
        for (; n < many; n++) {
                unsigned i = any_of(aio.n);
                struct iocb *iocb = aio.kept[i];

                aio.kept[i] = aio.kept[--aio.n];
                ret_events[n] =
                    (struct io_event){.data = iocb->aio_data, .obj = (uintptr_t)iocb, .res = carry_out(iocb)};
        }
        if (aio.n > 0)
                ring(context, aio.kept[0]);
        return n;
}

int __wrap_fdatasync(int fd)
{
        if (meets_fault(CALL_FDATASYNC))
                return -1;
        make_good(fd);
        if (control.mistake == MISTAKE_NO_SYNC)
                return 0;
        if (control.mistake == MISTAKE_LATE_SYNC) {
                sync_due = true;
                return 0;
        }
        return make_sync(fd);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
        struct record record = {.kind = RECORD_ZERO, .offset = (uint64_t)offset, .len = (uint64_t)len};
        int r;

        if (meets_fault(CALL_FALLOCATE))
                return -1;
        make_good(fd);
        pass(POINT_BEFORE_HOST);
        log_begin(&record, NULL);
        pass(POINT_AMID_HOST);
        r = __real_fallocate(fd, mode, offset, len);
        log_end(&record, r < 0 ? -errno : 0);
        pass(POINT_AFTER_HOST);
        return r;
}

int __wrap_fstat(int fd, struct stat *st)
{
        int r = __real_fstat(fd, st);

        if (r == 0 && fd == image())
                st->st_size = (off_t)RECORD_DISK;
        return r;
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        size_t part = transferred(CALL_RECEIVE, len);
        ssize_t n;

        if (part == 0)
                return -1;
        if (fd == image() + 1) /* an eventfd is read whole or not at all */
                return __real_read(fd, buf, len);
        pass(POINT_BEFORE_RECEIVE);
        n = __real_read(fd, buf, part);
        pass(POINT_AFTER_RECEIVE);
        return n;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov)
{
        size_t part = transferred(CALL_RECEIVE, iov->iov_len);
        ssize_t n;

        if (part == 0)
                return -1;
        pass(POINT_BEFORE_RECEIVE);
        n = part < iov->iov_len ? __real_read(fd, iov->iov_base, part) : __real_readv(fd, iov, n_iov);
        pass(POINT_AFTER_RECEIVE);
        return n;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
        size_t part = transferred(CALL_SEND, len);
        ssize_t n;

        if (part == 0)
                return -1;
        pass(POINT_BEFORE_SEND);
        if (reached(POINT_AMID_SEND)) {
                (void)__real_write(fd, buf, len / 2);
                stand_still();
        }
        n = __real_write(fd, buf, part);
        pass(POINT_AFTER_SEND);
        return n;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n_iov)
{
        size_t part = transferred(CALL_SEND, iov->iov_len);
        ssize_t n;

        if (part == 0)
                return -1;
        pass(POINT_BEFORE_SEND);
        if (reached(POINT_AMID_SEND)) {
                (void)__real_writev(fd, iov, 1);
                stand_still();
        }
        n = part < iov->iov_len ? __real_write(fd, iov->iov_base, part) : __real_writev(fd, iov, n_iov);
        pass(POINT_AFTER_SEND);
        return n;
}
