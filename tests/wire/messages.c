/* Every message that is served, as a well-formed example. TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/messages.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXAMPLE_MEMORY 0x10000

const struct message_example *message_example_find(uint32_t request)
{
        for (size_t i = 0; i < n_message_examples; i++)
                if (message_examples[i].request == request)
                        return &message_examples[i];
        return NULL;
}

static int socket_new(void)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -1;
        close(pair[1]);
        return pair[0];
}

static int memory_new(void)
{
        int fd = memfd_create("example", MFD_CLOEXEC);

        if (fd >= 0 && ftruncate(fd, EXAMPLE_MEMORY) < 0)
                abort();
        return fd;
}

int message_fd_new(enum message_fd kind)
{
        switch (kind) {
        case MESSAGE_FD_NONE:
                return -1;
        case MESSAGE_FD_EVENT:
                return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        case MESSAGE_FD_MEMORY:
                return memory_new();
        case MESSAGE_FD_SOCKET:
                return socket_new();
        }
        return -1;
}

/* Little endian bytes. The memory examples are one region: guest 0x20000000, size 0x10000, user
 * 0x7e0020000000. */
#define REGION                                                                                               \
        0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0x7e, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0

const struct message_example message_examples[] = {
    {1, "GET_FEATURES", 0},
    {2, "SET_FEATURES", 8, .payload = {0, 0, 0, 0x40, 1}},
    {3, "SET_OWNER", 0},
    {4, "RESET_OWNER", 0},
    {5, "SET_MEM_TABLE", 40, MESSAGE_FD_MEMORY, .payload = {1, 0, 0, 0, 0, 0, 0, 0, REGION}},
    {8, "SET_VRING_NUM", 8, .needs_setup = true, .payload = {0, 0, 0, 0, 64}},
    {9, "SET_VRING_ADDR", 40,
     .needs_setup = true, /* descriptors, used and available in the first three pages of the region */
     .payload = {0, 0,    0, 0,    0, 0,    0, 0, 0, 0,    0, 0x20, 0, 0x7e, 0, 0,
                 0, 0x10, 0, 0x20, 0, 0x7e, 0, 0, 0, 0x20, 0, 0x20, 0, 0x7e, 0, 0}},
    {10, "SET_VRING_BASE", 8, .needs_setup = true, .payload = {0, 0, 0, 0, 5}},
    {11, "GET_VRING_BASE", 8, .payload = {0}},
    {12, "SET_VRING_KICK", 8, MESSAGE_FD_EVENT, .needs_setup = true, .payload = {0}},
    {13, "SET_VRING_CALL", 8, MESSAGE_FD_EVENT, .payload = {0}},
    {14, "SET_VRING_ERR", 8, MESSAGE_FD_EVENT, .payload = {0}},
    {15, "GET_PROTOCOL_FEATURES", 0},
    {16, "SET_PROTOCOL_FEATURES", 8, .payload = {0xff, 0xff, 0x40}},
    {17, "GET_QUEUE_NUM", 0, .needs_feature = true},
    {18, "SET_VRING_ENABLE", 8, .payload = {0, 0, 0, 0, 1}},
    {21, "SET_BACKEND_REQ_FD", 0, MESSAGE_FD_SOCKET, .needs_feature = true},
    /* of a page of the region, which is refused: nothing is translated */
    {22, "IOTLB_MSG", 32, .needs_feature = true,
     .payload = {0, 0x10, 0, 0,    0, 0,    0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
                 0, 0,    0, 0x20, 0, 0x7e, 0, 0, 3, 2,    0, 0, 0, 0, 0, 0}},
    {24, "GET_CONFIG", 16, .needs_feature = true, .payload = {0, 0, 0, 0, 4}},
    {25, "SET_CONFIG", 16, .needs_feature = true, .payload = {0, 0, 0, 0, 4}},
    {34, "RESET_DEVICE", 0, .needs_feature = true},
    {36, "GET_MAX_MEM_SLOTS", 0, .needs_feature = true},
    {37, "ADD_MEM_REG", 40, MESSAGE_FD_MEMORY, .needs_feature = true,
     .payload = {0, 0, 0, 0, 0, 0, 0, 0, REGION}},
    {38, "REM_MEM_REG", 40, .fd_tolerated = true, .needs_feature = true,
     .payload = {0, 0, 0, 0, 0, 0, 0, 0, REGION}},
    {44, "GET_SHMEM_CONFIG", 0, .needs_feature = true},
};
const size_t n_message_examples = sizeof(message_examples) / sizeof(message_examples[0]);
