/* Looking for what a worker must not know: in every byte that the broker has sent it, and in its own process.
 * Owns a record of what was received; called by the runtime's reads (the program is linked so that read and
 * readv come here) and by hostile_ops.c. TRUST: bytes are the broker's, which are searched and not believed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/frame.h"
#include "proto/lane.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "workers/runtime/worker_lane.h"
#include "tests/hostile_worker/hostile_call.h"

#define RECORD_BYTES (4u << 20)               /* of the latest; a command is some 1.5 KiB */
#define USER_LOW     UINT64_C(0x500000000000) /* where addresses of position-independent programs begin */
#define USER_HIGH    UINT64_C(0x800000000000)

static uint8_t record[RECORD_BYTES];
static uint64_t recorded; /* in all */

ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_readv(int fd, const struct iovec *iov, int n_iov);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov);

void hostile_received(const void *bytes, size_t len)
{
        const uint8_t *from = bytes;

        while (len > 0) {
                size_t at = recorded % RECORD_BYTES, n = MIN(len, RECORD_BYTES - at);

                memcpy(record + at, from, n);
                recorded += n;
                from += n;
                len -= n;
        }
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        ssize_t n = __real_read(fd, buf, len);

        if (n > 0 && (fd == WORKER_FD_CONTROL || fd == worker_fd_lane_in(0)))
                hostile_received(buf, (size_t)n);
        return n;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov)
{
        ssize_t n = __real_readv(fd, iov, n_iov);
        size_t left = n > 0 ? (size_t)n : 0;

        for (int i = 0; i < n_iov && left > 0; i++) {
                size_t len = MIN(left, iov[i].iov_len);

                hostile_received(iov[i].iov_base, len);
                left -= len;
        }
        return n;
}

/* ---- searching ---- */

static bool is_broker_address(const struct hostile_command *command, uint64_t word)
{
        for (uint32_t i = 0; i < MIN(command->n_ranges, COMMAND_RANGES); i++)
                if (word >= (command->ranges[i].start ^ COMMAND_RANGE_XOR) &&
                    word < (command->ranges[i].end ^ COMMAND_RANGE_XOR))
                        return true;
        return false;
}

/* Byte by byte, for nothing says that a leak is aligned. */
static unsigned count_addresses(const struct hostile_command *command, const uint8_t *bytes, size_t len)
{
        unsigned found = 0;

        for (size_t i = 0; i + sizeof(uint64_t) <= len; i++) {
                uint64_t word;

                memcpy(&word, bytes + i, sizeof(word));
                if (word >= USER_LOW && word < USER_HIGH)
                        found += is_broker_address(command, word);
        }
        return found;
}

static unsigned count_secrets(const struct hostile_command *command, const uint8_t *bytes, size_t len)
{
        unsigned found = 0;

        for (size_t i = 0; i + COMMAND_SECRET <= len; i++) {
                size_t same = 0;

                while (same < COMMAND_SECRET &&
                       bytes[i + same] == (command->secret[same] ^ COMMAND_SECRET_XOR))
                        same++;
                found += same == COMMAND_SECRET;
        }
        return found;
}

static size_t record_len(void)
{
        return (size_t)MIN(recorded, (uint64_t)RECORD_BYTES);
}

static int64_t found(unsigned n)
{
        return n > 0 ? (int64_t)n : -ENODATA;
}

static int64_t scan_received_addresses(struct hostile *hostile)
{
        return found(count_addresses(&hostile->command, record, record_len()));
}

static int64_t scan_received_secrets(struct hostile *hostile)
{
        return found(count_secrets(&hostile->command, record, record_len()));
}

extern uint8_t __data_start[], _end[];

/* All that the program has of its own: what a predecessor or the spawner might have left there. */
static int64_t scan_own_secrets(struct hostile *hostile)
{
        return found(count_secrets(&hostile->command, __data_start, (size_t)(_end - __data_start)));
}

/* From here to the top of the stack: argv, envp and auxv lie there. */
static int64_t scan_stack(struct hostile *hostile)
{
        const uint8_t *top = (const uint8_t *)getauxval(AT_EXECFN);
        const uint8_t *here = (const uint8_t *)__builtin_frame_address(0);
        size_t len = top > here ? (size_t)(top - here) + strlen((const char *)top) : 0;

        return found(count_secrets(&hostile->command, here, len) +
                     count_addresses(&hostile->command, here, len));
}

/* The search itself: it must find what is there. */
static int64_t scan_control(struct hostile *hostile)
{
        uint8_t bytes[64] = {0};
        uint64_t address = hostile->command.ranges[0].start ^ COMMAND_RANGE_XOR;

        memcpy(bytes + 5, &address, sizeof(address));
        for (size_t i = 0; i < COMMAND_SECRET; i++)
                bytes[33 + i] = hostile->command.secret[i] ^ COMMAND_SECRET_XOR;
        return count_addresses(&hostile->command, bytes, sizeof(bytes)) == 1 &&
                       count_secrets(&hostile->command, bytes, sizeof(bytes)) == 1 && record_len() > 0
                   ? 0
                   : -EINVAL;
}

/* Frames of the record, made again from what they mean: a byte that means nothing would be missing. */
static int64_t scan_padding(struct hostile *hostile)
{
        static uint8_t copy[FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER];
        const struct request *request = hostile->request;
        uint64_t id = request->id;
        uint32_t queue = request->queue, readable = request->readable, writable = request->writable;
        uint32_t inlined = request->inlined, attempt = request->attempt, must_fail = request->must_fail;
        const uint8_t *area = request->lane->inbox.area.bytes;
        uint32_t out_at = request->out ? (uint32_t)(request->out - area) / LIMIT_AREA_PAGE + 1 : 0;
        struct lane_to_worker message = {.kind = LANE_REQUESTS,
                                         .requests = {.n = 1,
                                                      .id = &id,
                                                      .queue = &queue,
                                                      .readable = &readable,
                                                      .writable = &writable,
                                                      .inlined = &inlined,
                                                      .attempt = &attempt,
                                                      .must_fail = &must_fail,
                                                      .out_at = out_at > 0 ? &out_at : NULL}};
        ssize_t len = lane_make_to_worker(&message, copy + FRAME_HEAD_BYTES, LIMIT_FRAME_HEADER);
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = inlined};

        if (len < 0)
                return len;
        frame_head_make(&head, copy);
        /* Among the latest that were received, byte for byte: the next frame begins where this one ends, or the
         * runtime would have lost its step. */
        return recorded <= RECORD_BYTES && memmem(record, record_len(), copy, FRAME_HEAD_BYTES + (size_t)len)
                   ? -ENODATA
                   : 1;
}

static int64_t read_environment(struct hostile *hostile)
{
        (void)hostile;
        return environ && environ[0] ? 1 : -ENODATA;
}

/* Nothing of the host's names: the program was executed by its descriptor. */
static int64_t read_execfn(struct hostile *hostile)
{
        const char *name = (const char *)getauxval(AT_EXECFN);

        strncpy(hostile->report.text, name ? name : "", sizeof(hostile->report.text) - 1);
        return name && strncmp(name, "/dev/fd/", 8) != 0 ? 1 : -ENODATA;
}

static int64_t read_ids(struct hostile *hostile)
{
        (void)hostile;
        return getauxval(AT_UID) == 0 || getauxval(AT_SECURE) != 0 ? 1 : -ENODATA;
}

/* ---- the processor's side ---- */

#if defined(__x86_64__)
static int64_t rdtsc_probe(struct hostile *hostile)
{
        (void)hostile;
        return (int64_t)(__builtin_ia32_rdtsc() >> 1);
}

static int64_t rdpmc_probe(struct hostile *hostile)
{
        (void)hostile;
        return (int64_t)(__builtin_ia32_rdpmc(0) >> 1);
}

static int64_t flush_probe(struct hostile *hostile)
{
        __builtin_ia32_clflush(hostile);
        return 0;
}
#endif

static const struct hostile_attack rows[] = {
    {"scan-received-addresses", scan_received_addresses, 0},
    {"scan-received-secrets", scan_received_secrets, 0},
    {"scan-own-secrets", scan_own_secrets, 0},
    {"scan-stack", scan_stack, 0},
    {"scan-control", scan_control, 0},
    {"scan-padding", scan_padding, 0},
    {"read-environment", read_environment, 0},
    {"read-execfn", read_execfn, 0},
    {"read-ids", read_ids, 0},
#if defined(__x86_64__)
    {"rdtsc", rdtsc_probe, 0},
    {"rdpmc", rdpmc_probe, 0},
    {"clflush", flush_probe, 0},
#endif
};

const struct hostile_attacks hostile_leaks = {rows, array_size(rows)};
