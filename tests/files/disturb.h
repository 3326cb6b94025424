/* What a host does to names while a guest uses them. TRUST: see disturb.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Exchange two names, or move one to the other and back, until standard input ends; then both are as before. Prints
 * "disturbed N times". 0 or 1. */
int disturb_swap(const char *a, const char *b);
int disturb_move(const char *from, const char *to);
