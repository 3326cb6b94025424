/* libFuzzer: a sequence of messages with descriptors, and of events of the device, into one session over
 * the fake device.
 *
 * Input: records {request, flags ^ 1, descriptors, size, size >> 8} and size payload bytes (what is left,
 * when less: the message is then cut). A request of 0xe0 and more is an event of the device instead, 0xf0 a
 * back-end channel whose other end is ours, 0xf1 an answer there {0xf1, any, request (0: what was asked),
 * flags ^ 5, value}. A device has shared memory regions if the input begins with an event of it. After each
 * record the loop runs; at the end everything is closed, and the lowest free descriptor must be what it was. TRUST: the input is hostile; it goes to the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/vhost_user/session.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/fake_device.h"
#include "tests/wire/messages.h"

#define RECORD_LEN     5u
#define DEVICE_EVENT   0xe0u
#define CHANNEL_OPEN   0xf0u
#define CHANNEL_ANSWER 0xf1u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct device device;
static struct session *session;
static int kinds[4] = {-1, -1, -1, -1}; /* by enum message_fd */
static int channel = -1; /* our end of the session's back-end channel; -1: none that we opened */

static void on_ended(void *context)
{
        (void)context;
        session = NULL;
}

static void once(void)
{
        static bool done;

        if (done)
                return;
        done = true;
        log_init("fuzz", LOG_LEVEL_ERROR);
        uv_loop_init(&loop);
        for (int i = 1; i < 4; i++)
                kinds[i] = message_fd_new((enum message_fd)i);
        kinds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void turn(void)
{
        uv_run(&loop, UV_RUN_NOWAIT);
        fake_device_turn(&device);
}

static void drain(int sock)
{
        uint8_t bytes[4096];

        while (recv(sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

static bool front_show(void *context, struct shmem_mapping *mapping)
{
        (void)context;
        return !session || session_shmem_show(session, mapping);
}

static void front_hide(void *context, struct shmem_mapping *mapping)
{
        (void)context;
        if (session)
                session_shmem_hide(session, mapping);
}

static void device_maps(uint64_t offset)
{
        bool shown;

        if (shmem_n_regions(device.shmem) > 0 && !shmem_find(device.shmem, 0, offset, 4096))
                (void)fake_device_show(&device, offset, 4096, &shown);
}

static void device_unmaps(uint64_t offset)
{
        struct shmem_mapping *mapping = shmem_find(device.shmem, 0, offset, 4096);

        if (mapping)
                fake_device_hide(&device, mapping);
}

/* The channel's other end: an answer, right or wrong, to what has come there, or nothing. */
static void channel_answer(const uint8_t *data)
{
        uint8_t bytes[2048];
        uint32_t answer[5] = {data[2], 5u ^ data[3], 8, data[4], 0};

        if (channel < 0)
                return;
        if (recv(channel, bytes, sizeof(bytes), MSG_DONTWAIT) >= 4 && data[2] == 0)
                memcpy(answer, bytes, 4);
        (void)send(channel, answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A channel whose other end is ours. */
static void channel_open(int sock)
{
        uint32_t header[3] = {21, 1, 0};
        struct iovec iov = {header, sizeof(header)};
        int pair[2];

        if (channel >= 0)
                close(channel);
        channel = -1;
        if (fd_stream_pair(pair) < 0)
                return;
        (void)fd_pass_send(sock, &iov, 1, &pair[1], 1);
        close(pair[1]);
        channel = pair[0];
}

static void device_event(uint8_t what)
{
        const struct device_front *front = &device.front;

        (void)front;
        if (what & 1)
                device.hold = !device.hold;
        if (what & 2)
                device.start_error = device.start_error ? 0 : -EINVAL;
        if (!session)
                return;
        if (what & 4)
                session_config_changed(session);
        if (what & 8)
                session_ring_broken(session, what & 3);
        if (what & 16)
                session_ring_suspicious(session, what & 3);
        if (what & 32)
                device_maps((uint64_t)(what & 15) * 4096);
        if (what & 64)
                device_unmaps((uint64_t)(what & 15) * 4096);
}

/* Sends one record; returns the bytes of input it took. */
static size_t send_record(int sock, const uint8_t *data, size_t size)
{
        uint32_t header[3] = {data[0], data[1] ^ 1u, (uint32_t)(data[3] | data[4] << 8)};
        size_t payload = size - RECORD_LEN < header[2] ? size - RECORD_LEN : header[2];
        unsigned n_fds = (data[2] >> 2) & 15;
        struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(data + RECORD_LEN), payload}};
        int fds[15];

        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = kinds[data[2] & 3];
        (void)fd_pass_send(sock, iov, 2, fds, n_fds);
        return RECORD_LEN + payload;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int pair[2], lowest, after;

        once();
        lowest = dup(0);
        close(lowest);
        fake_device_init(&device);
        if (size > 0 && data[0] == DEVICE_EVENT) { /* the first word is the device's: it has regions */
                fake_device_add_regions(&device);
                device.front = (struct device_front){.shmem_show = front_show, .shmem_hide = front_hide};
        }
        assert(fd_stream_pair(pair) == 0);
        assert(fd_set_nonblock(pair[0]) == 0 && fd_set_nonblock(pair[1]) == 0);
        assert(session_new(&loop, &device, pair[1], NULL, on_ended, NULL, &session) == 0);
        while (size >= RECORD_LEN && session) {
                size_t taken = RECORD_LEN;

                if (data[0] == CHANNEL_OPEN)
                        channel_open(pair[0]);
                else if (data[0] == CHANNEL_ANSWER)
                        channel_answer(data);
                else if (data[0] >= DEVICE_EVENT)
                        device_event(data[1]);
                else
                        taken = send_record(pair[0], data, size);
                data += taken;
                size -= taken;
                turn();
                drain(pair[0]);
        }
        close(pair[0]);
        for (int i = 0; session && i < 1000; i++)
                turn();
        assert(!session);
        if (channel >= 0)
                close(channel);
        channel = -1;
        assert(!fake_device_any_running(&device) && !device.memory);
        fake_device_done(&device);
        turn();
        assert(!uv_loop_alive(&loop));
        after = dup(0);
        close(after);
        assert(after == lowest);
        return 0;
}
