/* The guest's words to a console, judged.
 * Owns nothing; called by console.c and console_port.c. TRUST: every byte and both lengths are the guest's. The bytes are our
 * copy: they cannot change while they are looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_req.h"

#include <errno.h>

#include "proto/base/bytes.h"

/* Of the device as a whole, the port means nothing: Linux says that of a port that it calls bad. */
static int console_check_port(uint32_t n_ports, uint16_t event, uint32_t port)
{
        switch (event) {
        case CONSOLE_DEVICE_READY:
                return 0;
        case CONSOLE_PORT_READY:
        case CONSOLE_PORT_OPEN:
                return port < n_ports ? 0 : -EINVAL;
        default:
                return -EINVAL;
        }
}

int console_req_check(uint32_t n_ports, uint32_t readable, uint32_t writable, const uint8_t *bytes,
                      size_t len, struct console_req *ret_req)
{
        uint32_t port;
        uint16_t event, value;
        int r;

        if (readable < CONSOLE_CONTROL_BYTES || len < CONSOLE_CONTROL_BYTES || len > readable ||
            writable != 0)
                return -EPROTO;
        port = bytes_load32(bytes);
        event = bytes_load16(bytes + 4);
        value = bytes_load16(bytes + 6);
        r = console_check_port(n_ports, event, port);
        if (r < 0)
                return r;
        if (value > 1)
                return -EINVAL;
        *ret_req = (struct console_req){.event = (enum console_event)event,
                                        .port = event == CONSOLE_DEVICE_READY ? 0 : port,
                                        .yes = value == 1};
        return 0;
}

bool console_output_ok(uint32_t readable, uint32_t writable)
{
        return writable == 0 && readable <= LIMIT_CONSOLE_OUTPUT;
}

bool console_input_ok(uint32_t readable, uint32_t writable)
{
        return readable == 0 && writable > 0;
}
