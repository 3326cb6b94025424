/* The time of a simulation. virtual_clock.c: it stands still until the schedule lets it pass. real_clock.c:
 * the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

uint64_t sim_now_ms(void);

/* How late the machine may be with what was due. */
uint64_t sim_slack_ms(void);

/* Virtual time only. */
void sim_clock_start(void);
void sim_clock_pass(uint64_t ms);
