/* What the test guest does with persistent memory: a file that lies in a shared memory region.
 * Owns the device's ring; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define F_SHMEM_REGION 1ull
#define PAGE           4096u
#define MIB            (1ull << 20)
#define SPIN_MAX       1000000u /* looks at a register: an exit each */

static struct virtio_ring ring __attribute__((aligned(4096)));

static volatile uint64_t *word_at(uint64_t at)
{
        return (volatile uint64_t *)at;
}

static bool begin(const char *name, struct virtio *ret_device, uint64_t *ret_at, uint64_t *ret_len)
{
        if (!virtio_find(VIRTIO_TYPE_PMEM, 0, ret_device) || !virtio_region(ret_device, 0, ret_at, ret_len)) {
                fail(name, "no persistent memory", 0);
                return false;
        }
        return virtio_begin(ret_device, name, F_SHMEM_REGION, &ring);
}

static bool flush(struct virtio *device, const char *name)
{
        static uint32_t request, answer;
        const struct virtio_part parts[] = {{&request, sizeof(request), false},
                                            {&answer, sizeof(answer), true}};

        request = 0;
        answer = UINT32_MAX;
        if (virtio_do(device, name, parts, 2) != sizeof(answer))
                return false;
        if (answer != 0)
                fail(name, "flush", answer);
        return answer == 0;
}

/* pmem=N: what is there stays there over so many resets, at any moment, and each flush is done. */
void test_pmem(void)
{
        uint64_t n = option("pmem", 1), at, len;
        struct virtio device;

        if (!begin("pmem", &device, &at, &len))
                return;
        for (uint64_t i = 1; i <= n; i++) {
                uint64_t place = at + i * PAGE % len;

                *word_at(place) = i;
                if (!virtio_reset(&device, "pmem"))
                        return;
                for (uint32_t look = 0; look < 1000; look++) {
                        if (*word_at(place) != i) {
                                fail("pmem", "after a reset", *word_at(place));
                                return;
                        }
                }
                if (!begin("pmem", &device, &at, &len) || !flush(&device, "pmem"))
                        return;
        }
        pass("pmem", n);
}

static bool await_broken(const struct virtio *device, const char *name)
{
        for (uint32_t spin = 0; spin < SPIN_MAX; spin++)
                if (mmio_read(device->at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET)
                        return true;
        fail(name, "status", mmio_read(device->at + VIRTIO_STATUS));
        return false;
}

/* Somebody cuts the file in the middle: the guest finds zeros, and its device in need of a reset. */
void test_pmem_cut(void)
{
        uint64_t at, len, last;
        struct virtio device;

        if (!begin("pmem_cut", &device, &at, &len) || !flush(&device, "pmem_cut")) /* its worker is there */
                return;
        last = at + len - PAGE;
        *word_at(last) = 0x5eed;
        put_text("cut it\n");
        (void)get_char();
        *word_at(at) = 1;
        *word_at(last + 8) = 2;
        if (*word_at(last) != 0 || *word_at(at) != 1) {
                fail("pmem_cut", "behind the end", *word_at(last));
                return;
        }
        if (await_broken(&device, "pmem_cut"))
                pass("pmem_cut", 0);
}

/* As an instruction may say where its operand is. */
static uint64_t read_plain(uint64_t at)
{
        return *word_at(at);
}

static uint64_t read_indexed(uint64_t at)
{
        uint64_t value;

        __asm__ volatile("movq 0x12340(%1, %2, 8), %0"
                         : "=r"(value)
                         : "r"(at - 0x12340 - 0x30000), "r"(0x6000ul)
                         : "memory");
        return value;
}

static uint64_t read_string(uint64_t at)
{
        uint64_t value = 1, *to = &value, n = 1;

        __asm__ volatile("rep movsq" : "+S"(at), "+D"(to), "+c"(n) : : "memory");
        return value;
}

/* Below the page that fails begins its value. */
static uint64_t read_across(uint64_t at)
{
        return *word_at(at - 4) >> 32;
}

/* It begins on a page that is there, and goes on far behind: no register says where, and no displacement that an instruction
 * nearby could have. */
static uint64_t read_long(uint64_t at)
{
        static uint64_t own[66] __attribute__((aligned(16)));
        volatile uint64_t kept = at;

        __asm__ volatile(
            "fxsave (%%rdi)\n\tmovq %%rbp, -16(%%rdi)\n\txorl %%ebp, %%ebp\n\t"
            "xorl %%eax, %%eax\n\txorl %%ebx, %%ebx\n\txorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\t"
            "xorl %%r8d, %%r8d\n\txorl %%r9d, %%r9d\n\txorl %%r10d, %%r10d\n\txorl %%r11d, %%r11d\n\t"
            "xorl %%r12d, %%r12d\n\txorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\t"
            "xorl %%r15d, %%r15d\n\t"
            "fxrstor (%%rsi)\n\tmovq -16(%%rdi), %%rbp\n\tfxrstor (%%rdi)"
            :
            : "D"(&own[2]), "S"(at - 256)
            : "memory", "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
        return *word_at(kept);
}

/* With its pointer on the page behind. */
static uint64_t read_pushed(uint64_t at)
{
        uint64_t pointer = at + PAGE;

        __asm__ volatile("xchgq %%rsp, %0\n\tpushq $0\n\txchgq %%rsp, %0" : "+r"(pointer) : : "memory");
        return *word_at(at + PAGE - 8);
}

/* The medium fails in the middle: the guest finds zeros on these pages and its bytes on others. */
void test_pmem_medium(void)
{
        static uint64_t (*const reads[])(uint64_t at) = {read_plain, read_indexed, read_string, read_across,
                                                         read_pushed};
        uint64_t at, len, bytes;
        struct virtio device;

        if (!begin("pmem_medium", &device, &at, &len) || !flush(&device, "pmem_medium"))
                return;
        bytes = *word_at(at);
        *word_at(at + 8) = 1;
        put_text("fail it\n");
        (void)get_char();
        for (uint64_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
                uint64_t place = at + len / 2 + i * MIB / 4, word = reads[i](place);

                if (word != 0 || *word_at(place) != 0) {
                        fail("pmem_medium", "in the middle", word);
                        return;
                }
                *word_at(place) = i + 1;
                if (*word_at(place) != i + 1)
                        fail("pmem_medium", "what was written there", *word_at(place));
        }
        if (*word_at(at) != bytes || *word_at(at + 8) != 1)
                fail("pmem_medium", "on the first page", *word_at(at));
        else if (await_broken(&device, "pmem_medium"))
                pass("pmem_medium", 0);
}

/* One page in the middle cannot be had, which no register names. */
void test_pmem_long(void)
{
        uint64_t at, len;
        struct virtio device;

        if (!begin("pmem_long", &device, &at, &len) || !flush(&device, "pmem_long"))
                return;
        if (read_long(at + len / 2) != 0)
                fail("pmem_long", "in the middle", *word_at(at + len / 2));
        else if (await_broken(&device, "pmem_long"))
                pass("pmem_long", 0);
}

/* There is no room for a page that is new: what is written there stays there until the reset. */
void test_pmem_full(void)
{
        uint64_t at, len;
        struct virtio device;

        if (!begin("pmem_full", &device, &at, &len) || !flush(&device, "pmem_full"))
                return;
        *word_at(at + len / 2) = 0x5eed;
        if (*word_at(at + len / 2) != 0x5eed)
                fail("pmem_full", "what was written there", *word_at(at + len / 2));
        else if (await_broken(&device, "pmem_full"))
                pass("pmem_full", 0);
}
