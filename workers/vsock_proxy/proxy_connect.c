/* The first line of a client of the host, judged.
 * Owns nothing; called by proxy_client.c. TRUST: every byte is the client's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock_proxy/proxy_connect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORD     "CONNECT "
#define WORD_LEN (sizeof(WORD) - 1)
#define DIGITS   10u /* of the longest number */

int proxy_connect_check(const uint8_t *line, size_t len, uint32_t *ret_port)
{
        uint64_t port = 0;

        if (len < WORD_LEN + 2 || len > WORD_LEN + DIGITS + 1)
                return -EPROTO;
        if (memcmp(line, WORD, WORD_LEN) != 0 || line[len - 1] != '\n')
                return -EPROTO;
        for (size_t i = WORD_LEN; i < len - 1; i++) {
                if (line[i] < '0' || line[i] > '9')
                        return -EPROTO;
                port = port * 10 + (uint64_t)(line[i] - '0');
        }
        if (port >= UINT32_MAX)
                return -EPROTO;
        *ret_port = (uint32_t)port;
        return 0;
}

size_t proxy_connect_answer(uint32_t port, char ret_line[static PROXY_ANSWER_MAX])
{
        return (size_t)snprintf(ret_line, PROXY_ANSWER_MAX, "OK %u\n", port);
}
