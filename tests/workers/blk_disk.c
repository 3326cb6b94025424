/* A block worker under test, its image, and a model.
 * Owns the image and the broker; called by the tests of workers/blk. TRUST: the worker is what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/blk_disk.h"
#include "tests/harness/blk_set.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "workers/blk/aio_calls.h"

struct fake_broker broker;
int image = -1;
_Alignas(4096) uint8_t disk[SIZE]; /* what the image should hold */
static bool is_direct;

struct sync_control *sync_control;
struct host_control *host_control;

int __real_aio_setup(unsigned n_events, aio_context_t *ret_context);
int __wrap_aio_setup(unsigned n_events, aio_context_t *ret_context);
int __real_aio_submit(aio_context_t context, long n, struct iocb **iocbs);
int __wrap_aio_submit(aio_context_t context, long n, struct iocb **iocbs);
int __real_aio_getevents(aio_context_t context, long min, struct io_event *ret_events);
int __wrap_aio_getevents(aio_context_t context, long min, struct io_event *ret_events);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __real_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset);

int __wrap_fdatasync(int fd)
{
        sync_control->calls++;
        host_control->flying_at_sync = host_control->flying;
        host_control->written_at_sync = host_control->pwrites + host_control->pwritevs;
        if (sync_control->error == 0)
                return __real_fdatasync(fd);
        errno = sync_control->error;
        return -1;
}

static bool is_bad(off_t offset, size_t len)
{
        uint64_t bad = host_control->bad;

        if (bad == 0 || bad < (uint64_t)offset || bad - (uint64_t)offset >= len)
                return false;
        errno = EIO;
        return true;
}

static size_t iov_total(const struct iovec *iov, int n_iov)
{
        size_t len = 0;

        for (int i = 0; i < n_iov; i++)
                len += iov[i].iov_len;
        return len;
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
        host_control->preads++;
        return is_bad(offset, len) ? -1 : __real_pread(fd, buf, len, offset);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
        host_control->pwrites++;
        return is_bad(offset, len) ? -1 : __real_pwrite(fd, buf, len, offset);
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
        host_control->preadvs++;
        if (is_bad(offset, iov_total(iov, n_iov)))
                return -1;
        return __real_preadv(fd, iov, host_control->halves ? n_iov / 2 : n_iov, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
        host_control->pwritevs++;
        if (is_bad(offset, iov_total(iov, n_iov)))
                return -1;
        return __real_pwritev(fd, iov, host_control->halves ? n_iov / 2 : n_iov, offset);
}

/* ---- asynchronous transfers ---- */

int __wrap_aio_setup(unsigned n_events, aio_context_t *ret_context)
{
        return host_control->setup_error ? -host_control->setup_error
                                         : __real_aio_setup(n_events, ret_context);
}

int __wrap_aio_submit(aio_context_t context, long n, struct iocb **iocbs)
{
        int r = -host_control->submit_error;

        host_control->submits++;
        if (r == 0)
                r = __real_aio_submit(context, host_control->one_by_one ? 1 : n, iocbs);
        if (r > 0)
                host_control->flying += (unsigned)r;
        host_control->most_flying = MAX(host_control->most_flying, host_control->flying);
        return r;
}

static void tell_wrongly(struct io_event *event)
{
        const struct iocb *iocb = (const struct iocb *)(uintptr_t)event->obj;

        if (is_bad((off_t)iocb->aio_offset, (size_t)iocb->aio_nbytes))
                event->res = -EIO;
        else if (host_control->halves)
                event->res = event->res / 2 / 512 * 512;
}

int __wrap_aio_getevents(aio_context_t context, long min, struct io_event *ret_events)
{
        int n = __real_aio_getevents(context, min, ret_events);

        for (int i = 0; i < n; i++)
                tell_wrongly(&ret_events[i]);
        for (int i = 0; host_control->backwards && i < n / 2; i++) {
                struct io_event first = ret_events[i];

                ret_events[i] = ret_events[n - 1 - i];
                ret_events[n - 1 - i] = first;
        }
        if (n > 0)
                host_control->flying -= (unsigned)n;
        return n;
}

/* ---- requests ---- */

void io_init(struct io *io, uint32_t type, uint64_t sector, const void *data, uint32_t n_data,
             uint32_t n_writable)
{
        uint32_t le_type = htole32(type);
        uint64_t le_sector = htole64(sector);
        static uint64_t id;

        io->readable = calloc(1, BLK_HEADER_BYTES + n_data);
        io->writable = malloc(n_writable + 1);
        assert_non_null(io->readable);
        assert_non_null(io->writable);
        memset(io->writable, 0xee, n_writable + 1);
        memcpy(io->readable, &le_type, 4);
        memcpy(io->readable + 8, &le_sector, 8);
        if (n_data > 0)
                memcpy(io->readable + BLK_HEADER_BYTES, data, n_data);
        io->request = (struct fake_request){.id = ++id,
                                            .readable = io->readable,
                                            .n_readable = BLK_HEADER_BYTES + n_data,
                                            .writable = io->writable,
                                            .n_writable = n_writable,
                                            .inlined = FAKE_INLINE_ALL};
}

void io_done(struct io *io)
{
        free(io->readable);
        free(io->writable);
}

uint8_t io_status(const struct io *io)
{
        assert_true(io->request.done);
        assert_int_equal(io->request.status, WIRE_STATUS_OK);
        assert_int_equal(io->request.used, io->request.n_writable);
        return io->writable[io->request.n_writable - 1];
}

void io_run(struct io *io)
{
        fake_send_requests(&broker, 0, &io->request, 1);
        fake_drain(&broker, 0);
}

uint8_t run(uint32_t type, uint64_t sector, const void *data, uint32_t n_data, void *ret_data, uint32_t n_ret)
{
        struct io io;
        uint8_t status;

        io_init(&io, type, sector, data, n_data, n_ret + 1);
        io_run(&io);
        status = io_status(&io);
        if (n_ret > 0)
                memcpy(ret_data, io.writable, n_ret);
        io_done(&io);
        return status;
}

uint8_t run_range(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
        uint8_t range[BLK_RANGE_BYTES];
        uint64_t le_sector = htole64(sector);
        uint32_t le_n = htole32(n), le_flags = htole32(flags);

        memcpy(range, &le_sector, 8);
        memcpy(range + 8, &le_n, 4);
        memcpy(range + 12, &le_flags, 4);
        return run(type, 0, range, sizeof(range), NULL, 0);
}

/* ---- set-up ---- */

struct control_configure options(bool read_only, uint32_t block_size, uint32_t n_queues)
{
        return (struct control_configure){.name = "disk0",
                                          .n_queues = n_queues,
                                          .type = DEVICE_TYPE_BLK,
                                          .area_len = LIMIT_AREA,
                                          .options = BLK_SET(.read_only = read_only,
                                                             .serial = "0123456789abcdefghij",
                                                             .block_size = block_size, .direct = is_direct)};
}

void make_image(uint64_t size, bool read_only)
{
        char path[] = "/tmp/bulkhead-blk-XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        for (size_t i = 0; i < MIN(size, (uint64_t)SIZE); i++)
                disk[i] = (uint8_t)(rand() | 1);
        assert_int_equal(pwrite(fd, disk, MIN(size, (uint64_t)SIZE), 0), MIN(size, (uint64_t)SIZE));
        image = open(path, (read_only ? O_RDONLY : O_RDWR) | (is_direct ? O_DIRECT : 0));
        assert_true(image >= 0);
        unlink(path);
        close(fd);
}

void start_with(uint64_t size, bool read_only, uint32_t block_size, uint32_t n_queues)
{
        struct control_configure configure = options(read_only, block_size, n_queues);
        int resources[2];

        sync_control->error = 0;
        host_control->bad = 0;
        make_image(size, read_only);
        resources[0] = image;
        resources[1] = eventfd(0, EFD_CLOEXEC);
        fake_start_ops(&broker, &device_ops, 1, resources, is_direct ? 2 : 1);
        close(resources[1]);
        fake_configure(&broker, &configure);
        for (uint32_t i = 0; i < n_queues; i++)
                assert_int_equal(fake_start_queue(&broker, i), 0);
        assert_int_equal(fake_set_features(&broker, broker.hello.features), 0);
        sync_control->calls = 0;
        *host_control = (struct host_control){0};
}

void start_direct(uint32_t block_size)
{
        is_direct = true;
        start_with(SIZE, false, block_size, 1);
        is_direct = false;
}

void start(void)
{
        start_with(SIZE, false, 512, 1);
}

void finish(void)
{
        static _Alignas(4096) uint8_t bytes[SIZE];

        assert_true(fake_exited(fake_end(&broker), 0));
        assert_int_equal(pread(image, bytes, SIZE, 0), SIZE);
        assert_memory_equal(bytes, disk, SIZE);
        close(image);
}

void finish_small(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
        close(image);
}

uint64_t field(enum blk_field i)
{
        return broker.hello.fields[i].value;
}

static void *shared(size_t len)
{
        void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? NULL : p;
}

int setup_group(void **state)
{
        (void)state;
        sync_control = shared(sizeof(*sync_control));
        host_control = shared(sizeof(*host_control));
        return sync_control && host_control ? 0 : -1;
}
