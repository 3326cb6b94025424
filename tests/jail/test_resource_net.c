/* A network device's resources: a tap's queues, which outlive its workers, and the file of a capture.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/device/net.h"
#include "sandbox/companion.h"
#include "sandbox/resource.h"
#include "sandbox/resource_socket.h"
#include "tests/jail/jail_fixture.h"

#define PAIRS   4u
#define CAPTURE 65536u

static char dir[] = "/tmp/bulkhead-net-XXXXXX";
static char capture[64], why[512];

static struct device_config device = {
    .name = "net0", .type = DEVICE_TYPE_NET, .n_queues = 2 * PAIRS, .n_lanes = 1};

static int make_dir(void **state)
{
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        snprintf(capture, sizeof(capture), "%s/capture", dir);
        return 0;
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

static void options(enum net_carrier carrier, const char *pcap)
{
        static const enum net_option texts[] = {NET_OPTION_PATH, NET_OPTION_FORWARD, NET_OPTION_MAC};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                device.options.value[texts[i]].text = "";
        device.options.value[NET_OPTION_BACKEND].number = carrier;
        device.options.value[NET_OPTION_TAP].text = carrier == NET_CARRIER_TAP ? "bulkhead0" : "";
        device.options.value[NET_OPTION_PCAP].text = pcap;
        device.options.value[NET_OPTION_PCAP_MAX].number = CAPTURE;
}

/* A network of its own for an interface that is nobody's. */
static void need_tap(void)
{
        if (access("/dev/net/tun", R_OK | W_OK) == 0 && unshare(CLONE_NEWNET) == 0)
                return;
        fprintf(stderr, "skipped: needs root and /dev/net/tun\n");
        if (getenv("MUST_RUN"))
                fail();
        skip();
}

static int hold(struct resources *held)
{
        const struct resource_owner owner = {.rootless = false};

        return resources_hold(&owner, &device, held, why, sizeof(why));
}

static void a_tap_has_a_descriptor_a_pair(void **state)
{
        struct resources held = {.n = 0};
        unsigned before;

        (void)state;
        need_tap();
        options(NET_CARRIER_TAP, "");
        before = fixture_count_fds();
        if (hold(&held) < 0)
                fail_msg("%s", why);
        assert_int_equal(held.n, PAIRS);
        for (unsigned i = 0; i < PAIRS; i++)
                assert_int_equal(held.kinds[i], RESOURCE_TAP);
        resources_close(&held);
        assert_int_equal(fixture_count_fds(), before);
}

/* The list is full after each number of queues. */
static void queues_for_which_there_is_no_room_are_closed(void **state)
{
        (void)state;
        need_tap();
        options(NET_CARRIER_TAP, "");
        for (unsigned room = 0; room < PAIRS; room++) {
                struct resources held = {.n = LIMIT_RESOURCES - room};
                unsigned before = fixture_count_fds();

                memset(held.fds, -1, sizeof(held.fds));
                assert_int_equal(hold(&held), -E2BIG);
                assert_int_equal(held.n, LIMIT_RESOURCES);
                resources_close(&held);
                assert_int_equal(fixture_count_fds(), before);
        }
}

/* ---- captures ---- */

static int open_capture(struct resources *ret_resources)
{
        options(NET_CARRIER_STREAM, capture);
        return resources_open(&device, NULL, ret_resources, why, sizeof(why));
}

static void capture_is_made_for_its_owner_alone_and_as_long_as_it_may_be(void **state)
{
        struct resources resources, second;
        struct stat st;

        (void)state;
        if (open_capture(&resources) < 0)
                fail_msg("%s", why);
        assert_int_equal(resources.n, 1);
        assert_int_equal(resources.kinds[0], RESOURCE_FILE);
        assert_int_equal(resources.rw, 1);
        assert_int_equal(resources.size_max, CAPTURE);
        assert_int_equal(stat(capture, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(open_capture(&second), -EBUSY);
        assert_non_null(strstr(why, "another device captures there"));
        resources_close(&resources);
        assert_int_equal(open_capture(&resources), 0); /* its successor */
        resources_close(&resources);
        assert_int_equal(unlink(capture), 0);
}

static void refused(int error, const char *words)
{
        unsigned before = fixture_count_fds();
        struct resources resources;

        assert_int_equal(open_capture(&resources), error);
        assert_non_null(strstr(why, capture));
        if (!strstr(why, words))
                fail_msg("%s", why);
        assert_int_equal(fixture_count_fds(), before);
        assert_int_equal(unlink(capture), 0);
}

/* Whoever may write the folder could choose which file a guest's frames go over. */
static void capture_by_a_second_name_is_refused(void **state)
{
        char other[80];
        struct stat st;

        (void)state;
        snprintf(other, sizeof(other), "%s.somebodys", capture);
        close(open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
        assert_int_equal(truncate(other, 100), 0);
        assert_int_equal(link(other, capture), 0);
        refused(-EMLINK, "hard links");
        assert_int_equal(stat(other, &st), 0);
        assert_int_equal(st.st_size, 100);
        assert_int_equal(symlink(other, capture), 0);
        refused(-ELOOP, "no regular file");
        assert_int_equal(mkfifo(capture, 0600), 0);
        refused(-EINVAL, "no regular file");
        assert_int_equal(unlink(other), 0);
}

static int send_buffer(int fd)
{
        socklen_t size = sizeof(int);
        int len = 0;

        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, &size), 0);
        return len;
}

/* The kernel keeps twice what it is asked for, and is asked for no more than the host lets anybody have. */
static int kept_of(uint32_t len)
{
        FILE *file = fopen("/proc/sys/net/core/wmem_max", "re");
        unsigned most = len;

        if (file) {
                assert_int_equal(fscanf(file, "%u", &most), 1);
                fclose(file);
        }
        return 2 * (int)MIN(len, most);
}

static void a_companion_may_have_more_on_its_way_to_us_than_we_to_it(void **state)
{
        int ours, theirs;

        (void)state;
        for (uint32_t len = 65536; len <= LIMIT_PASST_SOCKET; len *= 8) {
                assert_int_equal(resource_pair(SOCK_STREAM, len, &ours, &theirs), 0);
                assert_int_equal(send_buffer(theirs), kept_of(len));
                assert_int_equal(send_buffer(ours), kept_of(LIMIT_HELD_SOCKET));
                close(ours);
                close(theirs);
        }
        assert_int_equal(companion_find("passt")->socket_len, LIMIT_PASST_SOCKET);
        assert_int_equal(companion_find("vsock-proxy")->socket_len, LIMIT_HELD_SOCKET);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_tap_has_a_descriptor_a_pair),
            cmocka_unit_test(queues_for_which_there_is_no_room_are_closed),
            cmocka_unit_test(capture_is_made_for_its_owner_alone_and_as_long_as_it_may_be),
            cmocka_unit_test(capture_by_a_second_name_is_refused),
            cmocka_unit_test(a_companion_may_have_more_on_its_way_to_us_than_we_to_it),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
