/* The first line of a client of the host, "CONNECT <port>\n", judged; and our answer. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define PROXY_ANSWER_MAX 16u /* "OK 4294967295\n" and its NUL */

/* The whole line, its end included: `len` bytes. 0, or -EPROTO: not that word, not one decimal number, a number that is no port
 * (the highest stands for any). */
int proxy_connect_check(const uint8_t *line, size_t len, uint32_t *ret_port);

/* Returns its length. */
size_t proxy_connect_answer(uint32_t port, char ret_line[static PROXY_ANSWER_MAX]);
