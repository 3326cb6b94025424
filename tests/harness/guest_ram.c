/* Guest memory of a front end that has no guest. Owns the memfd and its mapping. TRUST: its bytes are
 * written by the device under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/guest_ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define USER_ADDRESS UINT64_C(0x7e0000000000)

int guest_ram_init(struct guest_ram *ram, uint64_t size, uint64_t guest_address)
{
        void *base;
        int fd = memfd_create("guest-ram", MFD_CLOEXEC), r;

        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t)size) < 0 ||
            (base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
                r = -errno;
                close(fd);
                return r;
        }
        *ram = (struct guest_ram){.fd = fd,
                                  .base = base,
                                  .size = size,
                                  .guest_address = guest_address,
                                  .iova = guest_address,
                                  .user_address = USER_ADDRESS + guest_address};
        return 0;
}

void guest_ram_done(struct guest_ram *ram)
{
        if (!ram->base)
                return;
        munmap(ram->base, ram->size);
        close(ram->fd);
        *ram = (struct guest_ram){.fd = -1};
}

uint64_t guest_ram_alloc(struct guest_ram *ram, uint64_t len, uint64_t align)
{
        uint64_t at = (ram->next + align - 1) & ~(align - 1);

        if (at > ram->size || len > ram->size - at)
                abort();
        ram->next = at + len;
        return at;
}

void guest_ram_clear(struct guest_ram *ram)
{
        memset(ram->base, 0, ram->size);
        ram->next = 0;
}
