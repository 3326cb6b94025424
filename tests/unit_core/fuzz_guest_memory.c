/* Fuzz target of guest memory: random tables and accesses against a byte oracle.
 *
 * Input: one byte (the window lies at the bottom or close to the top of the address space), then calls of
 * seven bytes. The oracle holds, for each byte of the window, the byte of the file that stands there.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/core/guest_memory.h"

#define PAGE       4096u
#define FILE_BYTES (4 * PAGE)
#define WINDOW     2048u
#define CALL_BYTES 7u
#define MAX_CALLS  64u

#define MUST(condition)                                                                                      \
        do {                                                                                                 \
                if (!(condition))                                                                            \
                        __builtin_trap();                                                                    \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *file_bytes;
static struct guest_mapping *writable_mapping, *read_only_mapping;

struct oracle {
        uint64_t origin;
        struct {
                bool there, writable;
                uint16_t start, len; /* of its region, in the window */
                uint16_t file;
        } bytes[WINDOW];
        size_t n_regions;
};

static void make_file(void)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        MUST(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0 && fault_safe_install() == 0);
        file_bytes = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        MUST(file_bytes != MAP_FAILED);
        MUST(guest_mapping_new(fd, 0, FILE_BYTES, true, &writable_mapping) == 0);
        MUST(guest_mapping_new(fd, 0, FILE_BYTES, false, &read_only_mapping) == 0);
        close(fd);
}

struct call {
        uint8_t what;
        uint16_t at, len, offset;
};

static struct guest_memory *replace(struct guest_memory *memory, struct guest_memory *by)
{
        (void)guest_memory_unref(memory);
        return by;
}

static struct guest_memory *add(struct oracle *oracle, struct guest_memory *memory, const struct call *call)
{
        bool writable = (call->what & 0x80) != 0;
        struct guest_region region = {.start = GPA(oracle->origin + call->at),
                                      .len = call->len,
                                      .offset = call->offset,
                                      .mapping = writable ? writable_mapping : read_only_mapping,
                                      .writable = writable};
        struct guest_memory *with = NULL;
        int r = guest_memory_with(memory, &region, &with), want = 0;

        if (call->len == 0 || oracle->origin + call->at + call->len < oracle->origin ||
            call->offset > FILE_BYTES || call->len > FILE_BYTES - call->offset)
                want = -EINVAL;
        for (uint32_t i = call->at; want == 0 && i < (uint32_t)call->at + call->len && i < WINDOW; i++) {
                if (oracle->bytes[i].there)
                        want = -EEXIST;
        }
        MUST(r == want);
        if (r < 0) {
                MUST(!with);
                return memory;
        }
        if ((uint32_t)call->at + call->len > WINDOW) { /* fine, but more than the oracle can say */
                (void)guest_memory_unref(with);
                return memory;
        }
        for (uint32_t i = 0; i < call->len; i++) {
                oracle->bytes[call->at + i].there = true;
                oracle->bytes[call->at + i].writable = writable;
                oracle->bytes[call->at + i].start = call->at;
                oracle->bytes[call->at + i].len = call->len;
                oracle->bytes[call->at + i].file = (uint16_t)(call->offset + i);
        }
        oracle->n_regions++;
        return replace(memory, with);
}

static struct guest_memory *drop(struct oracle *oracle, struct guest_memory *memory, const struct call *call)
{
        uint16_t len = call->what & 0x80 ? oracle->bytes[call->at].len : call->len;
        bool exact = oracle->bytes[call->at].there && oracle->bytes[call->at].start == call->at &&
                     oracle->bytes[call->at].len == len;
        struct guest_memory *without = NULL;

        MUST(guest_memory_without(memory, GPA(oracle->origin + call->at), len, &without) ==
             (exact ? 0 : -ENOENT));
        if (!exact)
                return memory;
        for (uint32_t i = call->at; i < (uint32_t)call->at + len; i++)
                oracle->bytes[i].there = false;
        oracle->n_regions--;
        return replace(memory, without);
}

static bool oracle_covers(const struct oracle *oracle, const struct call *call, bool write)
{
        for (uint32_t i = call->at; i < (uint32_t)call->at + call->len; i++) {
                if (i >= WINDOW || !oracle->bytes[i].there || (write && !oracle->bytes[i].writable))
                        return false;
        }
        return true;
}

static void check_read(const struct oracle *oracle, const struct guest_memory *memory,
                       const struct call *call)
{
        uint8_t *bytes = malloc(call->len + 1u); /* of exact size, but never zero */
        bool covered = oracle_covers(oracle, call, false);

        MUST(bytes);
        MUST(guest_memory_read(memory, GPA(oracle->origin + call->at), bytes, call->len) ==
             (covered ? 0 : -EFAULT));
        for (uint32_t i = 0; covered && i < call->len; i++)
                MUST(bytes[i] == file_bytes[oracle->bytes[call->at + i].file]);
        free(bytes);
}

/* Writes or zeroes; nothing but the bytes that the oracle names may change. */
static void check_write(const struct oracle *oracle, const struct guest_memory *memory,
                        const struct call *call)
{
        static uint8_t want[FILE_BYTES], bytes[UINT16_MAX];
        bool covered = oracle_covers(oracle, call, true), zero = (call->what & 0x80) != 0;
        gpa_t at = GPA(oracle->origin + call->at);

        memset(bytes, zero ? 0 : call->offset + 1, call->len);
        memcpy(want, file_bytes, FILE_BYTES);
        for (uint32_t i = 0; i < call->len && call->at + i < WINDOW; i++) {
                if (!oracle->bytes[call->at + i].there || !oracle->bytes[call->at + i].writable)
                        break;
                want[oracle->bytes[call->at + i].file] = bytes[i];
        }
        if (zero)
                MUST(guest_memory_zero(memory, at, call->len) == (covered ? 0 : -EFAULT));
        else
                MUST(guest_memory_write(memory, at, bytes, call->len) == (covered ? 0 : -EFAULT));
        MUST(memcmp(want, file_bytes, FILE_BYTES) == 0);
}

static void check_iovec(const struct oracle *oracle, const struct guest_memory *memory,
                        const struct call *call)
{
        struct iovec iov[4];
        size_t max = call->offset % 5, n = 0;
        bool write = (call->what & 0x80) != 0, covered = oracle_covers(oracle, call, write);
        int64_t r =
            guest_memory_iovec(memory, GPA(oracle->origin + call->at), call->len, write, iov, max, &n);
        uint32_t done = 0;

        MUST(covered ? r >= 0 && r <= call->len : r == -EFAULT && n == 0);
        for (size_t i = 0; i < n; i++) {
                for (size_t k = 0; k < iov[i].iov_len; k++, done++)
                        MUST(((uint8_t *)iov[i].iov_base)[k] ==
                             file_bytes[oracle->bytes[call->at + done].file]);
        }
        MUST(!covered || (done == r && n <= max && (done == call->len || n == max)));
}

static void check_ring(const struct oracle *oracle, const struct guest_memory *memory,
                       const struct call *call)
{
        bool write = (call->what & 0x80) != 0;
        uint64_t align = UINT64_C(1) << (call->offset % 5);
        uint8_t *ring = guest_memory_ring(memory, GPA(oracle->origin + call->at), call->len, align, write);
        bool one = call->len > 0 && oracle_covers(oracle, call, write) &&
                   oracle->bytes[call->at].start == oracle->bytes[call->at + call->len - 1].start;

        MUST(guest_memory_covers(memory, GPA(oracle->origin + call->at), call->len, write) ==
             oracle_covers(oracle, call, write));
        if (!one) {
                MUST(!ring);
                return;
        }
        one = (oracle->origin + call->at) % align == 0 && oracle->bytes[call->at].file % align == 0;
        MUST((ring != NULL) == one);
        MUST(!ring || *ring == file_bytes[oracle->bytes[call->at].file]);
}

static struct guest_memory *act(struct oracle *oracle, struct guest_memory *memory, const struct call *call)
{
        switch (call->what % 8) {
        case 0:
        case 1:
                return add(oracle, memory, call);
        case 2:
                return drop(oracle, memory, call);
        case 3:
                check_read(oracle, memory, call);
                return memory;
        case 4:
                check_write(oracle, memory, call);
                return memory;
        case 5:
                check_iovec(oracle, memory, call);
                return memory;
        default:
                check_ring(oracle, memory, call);
                return memory;
        }
}

static uint16_t word_below(const uint8_t *bytes, uint32_t limit)
{
        return (uint16_t)((bytes[0] | (uint32_t)bytes[1] << 8) % limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct oracle oracle;
        struct guest_memory *memory;

        if (size < 1)
                return 0;
        if (!file_bytes)
                make_file();
        memset(&oracle, 0, sizeof(oracle));
        for (size_t i = 0; i < FILE_BYTES; i++)
                file_bytes[i] = (uint8_t)(i * 7 + i / 256);
        /* At the top the last byte of the window is the last but one that a region may hold. */
        oracle.origin = data[0] & 1 ? UINT64_MAX - WINDOW : 0;
        memory = guest_memory_new();
        MUST(memory);
        for (size_t i = 1; i + CALL_BYTES <= size && i < 1 + CALL_BYTES * MAX_CALLS; i += CALL_BYTES) {
                struct call call = {.what = data[i],
                                    .at = word_below(data + i + 1, WINDOW),
                                    .len = word_below(data + i + 3, WINDOW + 64),
                                    .offset = word_below(data + i + 5, FILE_BYTES + 64)};

                memory = act(&oracle, memory, &call);
                MUST(guest_memory_n_regions(memory) == oracle.n_regions);
        }
        (void)guest_memory_unref(memory);
        return 0;
}
