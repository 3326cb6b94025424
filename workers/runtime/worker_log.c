/* One line to the broker's log.
 * Borrows the control link; called by the runtime and the devices. TRUST: texts are our own; never guest
 * bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_log.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/control.h"
#include "proto/frame.h"

static struct link *worker_log_control;

void worker_log_init(struct link *control)
{
        worker_log_control = control;
}

void worker_log(enum log_level level, const char *format, ...)
{
        uint8_t frame[FRAME_HEAD_BYTES + WORKER_LOG_TEXT + 64];
        char text[WORKER_LOG_TEXT];
        struct control_to_broker message = {.kind = CONTROL_LOG,
                                            .log = {.level = (uint32_t)level, .text = text}};
        va_list args;
        ssize_t len;

        if (!worker_log_control)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        len = control_make_to_broker(&message, frame + FRAME_HEAD_BYTES, sizeof(frame) - FRAME_HEAD_BYTES);
        if (len > 0)
                link_send(worker_log_control, frame, (uint32_t)len, NULL, 0);
}
