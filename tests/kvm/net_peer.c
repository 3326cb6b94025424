/* One host behind a stream of frames, for a machine that has no other: net_peer SOCKET. Answers ARP and pings for PEER, one
 * connection after another, until it is killed.
 * TRUST: frames are a test guest's; only those of the form that is answered are looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/fd.h"

#define FRAME_MAX 70000u

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 0xfe}, own_ip[4] = {10, 9, 0, 1};

/* Turned round where it lies. False: it wants no answer. */
static bool answer_arp(uint8_t *frame, uint32_t len)
{
        uint8_t *arp = frame + 14;

        if (len < 42 || arp[7] != 1 || memcmp(arp + 24, own_ip, 4) != 0)
                return false;
        arp[7] = 2;
        memcpy(arp + 18, arp + 8, 10);
        memcpy(arp + 8, own_mac, 6);
        memcpy(arp + 14, own_ip, 4);
        return true;
}

static bool answer_ping(uint8_t *frame, uint32_t len)
{
        uint8_t *ip = frame + 14, *icmp = ip + 20;
        uint32_t sum;

        if (len < 42 || ip[9] != 1 || icmp[0] != 8 || memcmp(ip + 16, own_ip, 4) != 0)
                return false;
        memcpy(ip + 16, ip + 12, 4);
        memcpy(ip + 12, own_ip, 4);
        icmp[0] = 0;
        sum = (uint32_t)(icmp[2] << 8 | icmp[3]) + 0x800;
        sum = (sum & 0xffff) + (sum >> 16);
        icmp[2] = (uint8_t)(sum >> 8);
        icmp[3] = (uint8_t)sum;
        return true;
}

static bool answer(uint8_t *frame, uint32_t len)
{
        uint32_t type = len >= 14 ? (uint32_t)(frame[12] << 8 | frame[13]) : 0;

        if (!(type == 0x806 && answer_arp(frame, len)) && !(type == 0x800 && answer_ping(frame, len)))
                return false;
        memcpy(frame, frame + 6, 6);
        memcpy(frame + 6, own_mac, 6);
        return true;
}

static void converse(int fd)
{
        static uint8_t frame[4 + FRAME_MAX];
        uint32_t len;

        while (fd_read_all(fd, frame, 4) == 0) {
                memcpy(&len, frame, 4);
                len = be32toh(len);
                if (len > FRAME_MAX || fd_read_all(fd, frame + 4, len) < 0)
                        return;
                if (answer(frame + 4, len) && fd_write_all(fd, frame, 4 + len) < 0)
                        return;
        }
}

int main(int argc, char **argv)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

        if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
                return EXIT_FAILURE;
        memcpy(address.sun_path, argv[1], strlen(argv[1]));
        if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listener, 1) < 0) {
                perror(argv[1]);
                return EXIT_FAILURE;
        }
        puts("listening");
        fflush(stdout);
        while ((fd = accept(listener, NULL, NULL)) >= 0) {
                converse(fd);
                close(fd);
        }
        return EXIT_SUCCESS;
}
