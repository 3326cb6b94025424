/* bulkhead-broker: reads the configuration that `bulkhead run` has checked, judges it again, and becomes two
 * processes: the spawner, which keeps the few rights that starting workers takes, and the broker, which keeps
 * none.
 *
 * How it works: everything that needs a path or a right (run directory, uids, sockets) is done before the
 * fork, because the broker can do none of it afterwards; the broker's confinement comes after the fork,
 * because the spawner must not be bound by it.
 *
 * TRUST: the configuration comes from the operator through a descriptor.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "broker/broker.h"
#include "broker/endpoint.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"
#include "sandbox/rootless.h"
#include "sandbox/spawner.h"

#define CONFIG_MAX (512u * 1024u) /* LIMIT_DEVICES devices with the longest paths */

static const char usage[] =
    "usage: bulkhead-broker --config-fd N [--verbose] [--no-trace]\n"
    "\n"
    "Serves the devices of one VM. Started by `bulkhead run`, which checks the configuration and\n"
    "hands it over as a message on descriptor N. See bulkhead(1).\n"
    "\n"
    "  --config-fd N  read the configuration from descriptor N\n"
    "  --verbose      log more\n"
    "  --no-trace     do not trace workers, so that a debugger can: a forbidden system call is\n"
    "                 then logged without its arguments\n"
    "  --help         show this\n"
    "  --version      show the version\n";

struct options {
        int config_fd;
        bool verbose, no_trace;
};

/* 0: go on. 1: done. Negative: wrong. */
static int parse_options(int argc, char **argv, struct options *ret_options)
{
        static const struct option known[] = {
            {"config-fd", required_argument, NULL, 'c'}, {"verbose", no_argument, NULL, 'v'},
            {"no-trace", no_argument, NULL, 't'},        {"help", no_argument, NULL, 'h'},
            {"version", no_argument, NULL, 'V'},         {0}};
        struct options options = {.config_fd = -1};
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                switch (c) {
                case 'c':
                        options.config_fd = (int)strtol(optarg, &end, 10);
                        if (*end != '\0' || end == optarg || options.config_fd < 0)
                                return -EINVAL;
                        break;
                case 'v':
                        options.verbose = true;
                        break;
                case 't':
                        options.no_trace = true;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return 1;
                case 'V':
                        puts("bulkhead-broker " BULKHEAD_VERSION);
                        return 1;
                default:
                        return -EINVAL;
                }
        }
        if (optind != argc || options.config_fd < 0)
                return -EINVAL;
        *ret_options = options;
        return 0;
}

static int read_config(int fd, struct vm_config *ret_config, char *why, size_t why_size)
{
        _cleanup_free_ uint8_t *bytes = malloc(CONFIG_MAX);
        struct arena arena;
        size_t len = 0;
        ssize_t n = 1;
        int r;

        snprintf(why, why_size, "the configuration cannot be read from descriptor %d", fd);
        if (!bytes)
                return -ENOMEM;
        while (n > 0 && len < CONFIG_MAX) {
                n = read(fd, bytes + len, CONFIG_MAX - len);
                if (n < 0 && errno == EINTR)
                        n = 1;
                else if (n < 0)
                        return -errno;
                else
                        len += (size_t)n;
        }
        r = arena_init(&arena, 2 * CONFIG_MAX);
        if (r < 0)
                return r;
        r = vm_config_check(&arena, bytes, len, ret_config, why, why_size);
        arena_done(&arena);
        return r;
}

static void set_title(const char *role, const char *vm)
{
        char title[64 + LIMIT_NAME];

        snprintf(title, sizeof(title), "bulkhead-broker: %s%s", role, vm);
        uv_set_process_title(title);
        prctl(PR_SET_NAME, *role ? "bulkhead-spawn" : "bulkhead-broker");
}

static int remember_paths(struct spawner *spawner, const struct vm_config *config,
                          const struct endpoints *endpoints)
{
        char path[2 * PATH_MAX];
        int r;

        endpoints_path(config, "admin", path, sizeof(path));
        r = spawner_unlink_later(spawner, path);
        for (size_t i = 0; r == 0 && i < endpoints->n_devices; i++) {
                endpoints_path(config, config->devices[i].name, path, sizeof(path));
                r = spawner_unlink_later(spawner, path);
        }
        return r;
}

static int prepare_sockets(const struct vm_config *config, struct spawner *spawner,
                           struct endpoints *endpoints, char *why, size_t why_size)
{
        int r = endpoints_make_run_dir(config, why, why_size);

        if (r == 0)
                r = spawner_init(spawner, config, why, why_size);
        if (r < 0)
                return r;
        r = endpoints_open(config, spawner_broker_uid(spawner), endpoints, why, why_size);
        if (r == 0) {
                snprintf(why, why_size, "out of memory");
                r = remember_paths(spawner, config, endpoints);
        }
        if (r == 0)
                r = spawner_hold(spawner, why, why_size);
        if (r < 0)
                spawner_done(spawner);
        return r;
}

/* Everything that can go wrong at start, with its remedy, before anything runs. *ret_front: NULL with another front end
 * than kvm. */
static int prepare(const struct vm_config *config, struct spawner *spawner, struct endpoints *endpoints,
                   struct kvm_front **ret_front, char *why, size_t why_size)
{
        struct kvm_front *front = NULL;
        int r = 0;

        if (config->frontend == VM_FRONTEND_KVM)
                r = kvm_front_prepare(config, &front, why, why_size);
        if (r == 0)
                r = prepare_sockets(config, spawner, endpoints, why, why_size);
        if (r < 0)
                front = kvm_front_free(front);
        *ret_front = front;
        return r;
}

static int run(const struct vm_config *config, bool trace)
{
        struct endpoints endpoints;
        struct spawner spawner;
        struct kvm_front *front;
        char why[512];
        uid_t uid;
        int channel, r;

        r = prepare(config, &spawner, &endpoints, &front, why, sizeof(why));
        if (r < 0) {
                log_error("%s", why);
                return EXIT_FAILURE;
        }
        uid = spawner_broker_uid(&spawner); /* the child lets the spawner's claims go */
        r = spawner_fork(&spawner, &channel);
        if (r < 0) {
                log_error("cannot fork: %s", strerror(-r));
                kvm_front_free(front);
                spawner_done(&spawner);
                endpoints_close(&endpoints);
                return EXIT_FAILURE;
        }
        if (r == 0) {
                const struct broker_start start = {.config = config,
                                                   .endpoints = &endpoints,
                                                   .spawner_fd = channel,
                                                   .uid = uid,
                                                   .rootless = spawner.rootless,
                                                   .kvm = front};

                set_title("", config->name);
                r = broker_run(&start);
                kvm_front_free(front);
                endpoints_close(&endpoints);
                spawner_done(&spawner);
                return r;
        }
        kvm_front_free(front);
        set_title("spawner ", config->name);
        spawner.trace = trace;
        for (size_t i = 0; i < endpoints.n_devices; i++)
                cleanup_close(&endpoints.device_fds[i]);
        endpoints.n_devices = 0; /* the lock stays: it must outlive the broker */
        r = spawner_run(&spawner);
        spawner_done(&spawner);
        endpoints_close(&endpoints);
        return r;
}

int main(int argc, char **argv)
{
        struct vm_config config;
        struct options options;
        char tag[LIMIT_NAME + 32], why[512];
        int r;

        argv = uv_setup_args(argc, argv);
        r = parse_options(argc, argv, &options);
        if (r > 0)
                return EXIT_SUCCESS;
        if (r < 0) {
                fputs(usage, stderr);
                return 2;
        }
        log_init("bulkhead-broker", LOG_LEVEL_INFO);
        setenv("UV_USE_IO_URING", "0", 1);
        if (rootless_wanted() && !rootless_entered()) {
                r = rootless_enter(why, sizeof(why));
                if (r == 0) {
                        r = rootless_exec(argv);
                        snprintf(why, sizeof(why),
                                 "the broker cannot run itself again (%s); is /proc mounted?", strerror(-r));
                }
                log_error("%s", why);
                return EXIT_FAILURE;
        }
        r = read_config(options.config_fd, &config, why, sizeof(why));
        if (r < 0) {
                log_error("%s", why);
                return EXIT_FAILURE;
        }
        close(options.config_fd);
        snprintf(tag, sizeof(tag), "bulkhead-broker[%s]", config.name);
        log_init(tag, options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        r = run(&config, !options.no_trace);
        vm_config_done(&config);
        return r;
}
