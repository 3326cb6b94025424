/* The fake spawner: starts and reaps fake workers, late and unwilling as the odds have it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Takes its end of the channel. */
void spawner_start(int fd);
void spawner_done(void);

/* One turn. True: it did something. */
bool spawner_step(void);
uint64_t spawner_next_wake_ms(void); /* UINT64_MAX: nothing waits */

/* Dies: no worker can be started any more. */
void spawner_die(void);
bool spawner_alive(void);
