/* A guest of a console and the people at its sockets.
 * Owns the sockets' directory and the worker; called by test_console*.c. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/console_guest.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/device/console.h"

/* ---- the worker ---- */

static struct sockaddr_un port_address(const struct console_guest *guest, uint32_t port)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%u.sock", guest->dir, port);
        return address;
}

static int port_listen(const struct console_guest *guest, uint32_t port)
{
        struct sockaddr_un address = port_address(guest, port);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

static void start(struct console_guest *guest, uint32_t log_max)
{
        struct control_configure configure = {.name = "t",
                                              .n_queues = console_n_queues(GUEST_PORTS),
                                              .n_lanes = 1,
                                              .type = DEVICE_TYPE_CONSOLE};

        configure.options.value[CONSOLE_OPTION_PORTS].text = "console,agent,data";
        configure.options.value[CONSOLE_OPTION_PORTS].number = GUEST_PORTS;
        configure.options.value[CONSOLE_OPTION_LOG_DIR].text = "";
        configure.options.value[CONSOLE_OPTION_LOG_MAX].number = log_max ? log_max : LIMIT_CONSOLE_LOG_MIN;
        fake_start_ops(&guest->broker, &device_ops, 1, guest->resources, guest->n_resources);
        fake_configure(&guest->broker, &configure);
}

static void start_queues(struct console_guest *guest)
{
        for (uint32_t i = 0; i < console_n_queues(GUEST_PORTS); i++) {
                struct control_to_worker message = {.kind = CONTROL_START_QUEUE,
                                                    .start_queue = {.queue = i, .size = 64}};

                assert_int_equal(guest_ask(guest, &message), 0);
        }
}

static void set_features(struct console_guest *guest)
{
        struct control_to_worker message = {.kind = CONTROL_SET_FEATURES,
                                            .set_features = {.features = guest->features}};

        assert_int_equal(guest_ask(guest, &message), 0);
}

void guest_begin(struct console_guest *guest, uint64_t features, uint32_t log_max)
{
        memset(guest, 0, sizeof(*guest));
        snprintf(guest->dir, sizeof(guest->dir), "/tmp/bulkhead-console-XXXXXX");
        assert_non_null(mkdtemp(guest->dir));
        for (uint32_t i = 0; i < GUEST_PORTS; i++) {
                guest->resources[guest->n_resources++] = port_listen(guest, i);
                for (unsigned k = 0; log_max > 0 && k < 2; k++)
                        guest->resources[guest->n_resources++] = memfd_create("log", MFD_CLOEXEC);
        }
        guest->features = features;
        start(guest, log_max);
        set_features(guest);
        start_queues(guest);
}

void guest_end(struct console_guest *guest)
{
        assert_true(fake_exited(fake_end(&guest->broker), 0));
        for (unsigned i = 0; i < guest->n_resources; i++)
                close(guest->resources[i]);
        for (uint32_t i = 0; i < GUEST_PORTS; i++)
                unlink(port_address(guest, i).sun_path);
        rmdir(guest->dir);
}

void guest_die(struct console_guest *guest)
{
        kill(guest->broker.pid, SIGKILL);
        assert_true(WIFSIGNALED(fake_await(&guest->broker)));
}

void guest_go_on(struct console_guest *guest)
{
        const size_t len = guest->state_len;

        start(guest, 0);
        set_features(guest);
        if (len > 0) {
                struct control_to_worker message = {.kind = CONTROL_RESTORE_STATE,
                                                    .restore_state = {.bytes = guest->state, .len = len}};

                assert_int_equal(guest_ask(guest, &message), 0);
        }
        start_queues(guest);
        for (uint32_t queue = 0; queue < array_size(guest->rooms); queue++) {
                unsigned seen = guest->n_seen[queue], n = guest->n_rooms[queue] - seen;

                if (n > 0)
                        fake_send_requests(&guest->broker, 0, &guest->rooms[queue][seen], n);
        }
}

/* It may have a question about a request before it looks at a control message. */
static void await_control(struct console_guest *guest)
{
        struct pollfd wait[] = {{.fd = guest->broker.control.in, .events = POLLIN},
                                {.fd = guest->broker.lanes[0].in, .events = POLLIN}};

        while (!fake_ready(guest->broker.control)) {
                if (fake_ready(guest->broker.lanes[0]))
                        assert_true(fake_serve(&guest->broker, 0));
                else
                        assert_true(poll(wait, array_size(wait), FAKE_DEADLINE_S * 1000) > 0);
        }
}

int guest_ask(struct console_guest *guest, struct control_to_worker *message)
{
        static struct control_to_broker answer;
        static uint32_t seq;

        message->seq = ++seq;
        fake_send_control(&guest->broker, message);
        for (;;) {
                await_control(guest);
                assert_true(fake_next_control(&guest->broker, &answer));
                if (answer.kind == CONTROL_PUT_STATE) {
                        assert_true(answer.put_state.len <= sizeof(guest->state));
                        memcpy(guest->state, answer.put_state.bytes, answer.put_state.len);
                        guest->state_len = answer.put_state.len;
                        guest->n_states++;
                } else if (answer.kind == CONTROL_CONFIG_SPACE) {
                        assert_int_equal(answer.config_space.n, CONSOLE_FIELD_COUNT_);
                        memcpy(guest->config, answer.config_space.value, sizeof(guest->config));
                        guest->n_config_spaces++;
                } else {
                        assert_int_equal(answer.kind, CONTROL_DONE);
                        assert_int_equal(answer.done.seq, seq);
                        return answer.done.error;
                }
        }
}

/* ---- room ---- */

static uint64_t next_id(void)
{
        static uint64_t id = 1000;

        return id++;
}

void guest_lend_len(struct console_guest *guest, uint32_t queue, unsigned n, uint32_t len)
{
        unsigned first = guest->n_rooms[queue];

        assert_true(first + n <= GUEST_ROOMS && len <= GUEST_ROOM);
        for (unsigned i = first; i < first + n; i++)
                guest->rooms[queue][i] = (struct fake_request){
                    .id = next_id(), .queue = queue, .writable = guest->bytes[queue][i], .n_writable = len};
        guest->n_rooms[queue] += n;
        fake_send_requests(&guest->broker, 0, &guest->rooms[queue][first], n);
}

void guest_lend(struct console_guest *guest, uint32_t queue, unsigned n)
{
        guest_lend_len(guest, queue, n, GUEST_ROOM);
}

const uint8_t *guest_came(struct console_guest *guest, uint32_t queue, uint32_t *ret_len)
{
        unsigned i = guest->n_seen[queue]++;
        struct fake_request *room = &guest->rooms[queue][i];

        assert_true(i < guest->n_rooms[queue]);
        guest_await(guest, room);
        assert_int_equal(room->status, WIRE_STATUS_OK);
        *ret_len = room->used;
        return guest->bytes[queue][i];
}

/* A word that nobody says is answered at once, after all that came before it. */
void guest_settle(struct console_guest *guest)
{
        struct control_to_worker message = {.kind = CONTROL_SET, .set = {.id = SETTING_LINK, .value = 1}};

        assert_int_equal(guest_say(guest, 0, 0xffff, 0), WIRE_STATUS_OK);
        assert_int_equal(guest_ask(guest, &message), -EOPNOTSUPP); /* its state, too */
}

bool guest_nothing_came(struct console_guest *guest, uint32_t queue)
{
        unsigned i = guest->n_seen[queue];

        assert_true(i < guest->n_rooms[queue]);
        return !guest->rooms[queue][i].done;
}

/* ---- words ---- */

uint32_t guest_say(struct console_guest *guest, uint32_t port, uint16_t event, uint16_t value)
{
        uint8_t bytes[CONSOLE_CONTROL_BYTES] = {
            (uint8_t)port,  (uint8_t)(port >> 8),  (uint8_t)(port >> 16), (uint8_t)(port >> 24),
            (uint8_t)event, (uint8_t)(event >> 8), (uint8_t)value,        (uint8_t)(value >> 8)};
        struct fake_request request;

        guest_send(guest, &request, CONSOLE_QUEUE_CONTROL_OUT, bytes, sizeof(bytes));
        guest_await(guest, &request);
        return request.status;
}

static void next_word(struct console_guest *guest, char ret_word[static 3])
{
        static const char letters[] = "?AR?CSON";
        const uint8_t *bytes;
        uint32_t len;

        bytes = guest_came(guest, CONSOLE_QUEUE_CONTROL_IN, &len);
        assert_true(len >= CONSOLE_CONTROL_BYTES && bytes[4] < sizeof(letters));
        ret_word[0] = letters[bytes[4]];
        if (bytes[4] == CONSOLE_PORT_OPEN && bytes[6] == 0)
                ret_word[0] = 'o';
        ret_word[1] = (char)('0' + bytes[0]);
        ret_word[2] = '\0';
}

void guest_told(struct console_guest *guest, const char *words)
{
        char got[256] = "", word[3];

        for (size_t n = (strlen(words) + 1) / 3; n > 0; n--) {
                next_word(guest, word);
                snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", got[0] ? " " : "", word);
        }
        assert_string_equal(got, words);
        guest_settle(guest);
        assert_true(guest_nothing_came(guest, CONSOLE_QUEUE_CONTROL_IN));
}

void guest_greet(struct console_guest *guest)
{
        guest_lend(guest, CONSOLE_QUEUE_CONTROL_IN, 32);
        guest_say(guest, UINT32_MAX, CONSOLE_DEVICE_READY, 1);
        guest_told(guest, "A0 A1 A2");
        for (uint32_t i = 0; i < GUEST_PORTS; i++)
                guest_say(guest, i, CONSOLE_PORT_READY, 1);
        guest_told(guest, "C0 N0 O0 N1 N2");
        guest_say(guest, 0, CONSOLE_PORT_OPEN, 1);
}

/* ---- output ---- */

void guest_send(struct console_guest *guest, struct fake_request *request, uint32_t queue, const void *bytes,
                uint32_t len)
{
        *request = (struct fake_request){.id = next_id(),
                                         .queue = queue,
                                         .readable = bytes,
                                         .n_readable = len,
                                         .inlined = FAKE_INLINE_ALL};
        fake_send_requests(&guest->broker, 0, request, 1);
}

void guest_await(struct console_guest *guest, const struct fake_request *request)
{
        while (!request->done)
                assert_true(fake_serve(&guest->broker, 0));
}

void guest_print(struct console_guest *guest, uint32_t queue, const char *text)
{
        struct fake_request request;

        guest_send(guest, &request, queue, text, (uint32_t)strlen(text));
        guest_await(guest, &request);
        assert_int_equal(request.status, WIRE_STATUS_OK);
}

void guest_came_text(struct console_guest *guest, uint32_t queue, const char *text)
{
        const uint8_t *bytes;
        uint32_t len;

        bytes = guest_came(guest, queue, &len);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(bytes, text, len);
}

void guest_log_holds(const struct console_guest *guest, uint32_t port, const char *text)
{
        char got[256];
        ssize_t n = pread(guest->resources[3 * port + 1], got, sizeof(got), 0);

        assert_int_equal(n, strlen(text));
        assert_memory_equal(got, text, (size_t)n);
}

int guest_open_agent(struct console_guest *guest)
{
        int fd = host_connect(guest, 1);

        guest_told(guest, "O1");
        guest_say(guest, 1, CONSOLE_PORT_OPEN, 1);
        return fd;
}

/* ---- people ---- */

int host_connect(const struct console_guest *guest, uint32_t port)
{
        const struct timeval deadline = {.tv_sec = FAKE_DEADLINE_S};
        struct sockaddr_un address = port_address(guest, port);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)), 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

void host_send(int fd, const char *text)
{
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void host_hears(int fd, const char *text)
{
        char got[256];
        size_t len = strlen(text);

        assert_true(len < sizeof(got));
        assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
        assert_memory_equal(got, text, len);
}

void host_hears_end(int fd)
{
        char byte;

        assert_int_equal(recv(fd, &byte, 1, 0), 0);
}
