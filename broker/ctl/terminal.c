/* A terminal that is handed to a guest for a while.
 * Owns no descriptor; called by run_terminal.c. TRUST: the terminal is the operator's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/terminal.h"

#include <errno.h>
#include <unistd.h>

bool terminal_is_ours(int fd)
{
        return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

int terminal_enter(struct terminal *terminal, int fd)
{
        struct termios raw;

        terminal->fd = fd;
        if (!terminal->raw && tcgetattr(fd, &terminal->before) < 0)
                return -errno;
        raw = terminal->before;
        raw.c_iflag &= ~(tcflag_t)(BRKINT | IGNBRK | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
        raw.c_oflag |= OPOST;
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(fd, TCSANOW, &raw) < 0)
                return -errno;
        terminal->raw = true;
        return 0;
}

/* Not after what is written has drained: a screen that is stopped would keep us here. */
void terminal_leave(struct terminal *terminal)
{
        if (terminal->raw)
                (void)tcsetattr(terminal->fd, TCSANOW, &terminal->before);
        terminal->raw = false;
}
