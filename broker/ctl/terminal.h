/* A terminal that is handed to a guest for a while, and given back as it was.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct terminal {
        int fd; /* borrowed */
        struct termios before;
        bool raw;
};

/* Is it a terminal, and are we who its keys go to? A job in the background must not touch it. */
bool terminal_is_ours(int fd);

/* Every key comes as it is typed, Ctrl-C as well, and nothing is echoed: that is the guest's to do. What is written keeps
 * its line ends, because log lines go to the same screen. 0 or negative errno. Also again, after another has changed it. */
int terminal_enter(struct terminal *terminal, int fd);

/* As it was before; does nothing when it has not been changed. SIGTTOU must be blocked. */
void terminal_leave(struct terminal *terminal);
