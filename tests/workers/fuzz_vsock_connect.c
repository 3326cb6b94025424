/* libFuzzer target: any bytes as the first line of a client. What is accepted has one spelling but for zeros in front.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/vsock_proxy/proxy_connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *line = malloc(size + 1); /* its own block, so that one byte too far is seen */
        char again[64];
        uint32_t port;

        if (!line)
                return 0;
        if (size > 0)
                memcpy(line, data, size);
        if (proxy_connect_check(line, size, &port) == 0) {
                int n = snprintf(again, sizeof(again), "CONNECT %0*u\n", (int)size - 9, port);

                if (port == UINT32_MAX || (size_t)n != size || memcmp(again, line, size) != 0)
                        abort();
        }
        free(line);
        return 0;
}
