/* bulkhead run: check, then become the broker.
 * Owns the memfd that carries the configuration; called by ctl_main.c. TRUST: the file is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/ctl/config_host.h"
#include "broker/ctl/config_open.h"
#include "broker/ctl/ctl.h"
#include "broker/ctl/open_files.h"
#include "broker/ctl/run_terminal.h"
#include "broker/ctl/terminal.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"

#define BROKER_PROGRAM "bulkhead-broker"

/* The message in a memfd that nobody can change any more, its offset at the beginning. */
static int config_to_fd(const struct vm_config *config, int *ret_fd)
{
        const size_t size = (LIMIT_DEVICES + 4u) * (PATH_MAX + 4u * LIMIT_NAME);
        _cleanup_free_ uint8_t *bytes = malloc(size);
        _cleanup_close_ int fd = memfd_create("bulkhead-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ssize_t len;
        int r;

        if (fd < 0)
                return -errno;
        if (!bytes)
                return -ENOMEM;
        len = vm_config_make(config, bytes, size);
        if (len < 0)
                return (int)len;
        r = fd_write_all(fd, bytes, (size_t)len);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ||
            lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}

/* Only the configuration and the standard streams reach the broker, whatever our parent has left open. */
static int become_broker(const char *folder, int config_fd, const struct ctl_args *args)
{
        char path[PATH_MAX + sizeof(BROKER_PROGRAM) + 1], number[16];
        char *argv[6] = {(char *)BROKER_PROGRAM, (char *)"--config-fd", number};
        size_t n = 3;

        if (args->option[CTL_OPTION_VERBOSE])
                argv[n++] = (char *)"--verbose";
        if (args->option[CTL_OPTION_NO_TRACE])
                argv[n++] = (char *)"--no-trace";
        if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0 || fcntl(config_fd, F_SETFD, 0) < 0)
                return -errno;
        snprintf(number, sizeof(number), "%d", config_fd);
        snprintf(path, sizeof(path), "%s/%s", folder, BROKER_PROGRAM);
        execv(path, argv);
        return -errno;
}

/* DEVICE=log. Loud, because it opens the worker's jail. */
static int loosen_one(struct vm_config *config, const char *wish)
{
        const char *equals = strrchr(wish, '=');
        char shown[128];

        log_escape(wish, strlen(wish), shown, sizeof(shown));
        if (!equals || strcmp(equals, "=log") != 0) {
                fprintf(stderr, "bulkhead: run: --seccomp %s is not DEVICE=log; try: bulkhead help run\n",
                        shown);
                return -EINVAL;
        }
        for (size_t i = 0; i < config->n_devices; i++) {
                struct device_config *device = &config->devices[i];

                if (strlen(device->name) != (size_t)(equals - wish) ||
                    strncmp(device->name, wish, strlen(device->name)) != 0)
                        continue;
                device->seccomp_log = true;
                fprintf(stderr,
                        "bulkhead: run: WARNING: the worker of %s may make any system call: what its policy "
                        "forbids is only logged\n",
                        device->name);
                return 0;
        }
        fprintf(stderr, "bulkhead: run: --seccomp %s: the VM has no such device; see: bulkhead check\n",
                shown);
        return -ENOENT;
}

static int loosen(struct vm_config *config, const struct ctl_args *args)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < args->n_many; i++)
                r = loosen_one(config, args->many[i]);
        return r;
}

/* The last step of `run`, in this process or in a child of it. */
struct becoming {
        const struct vm_config *config;
        const struct ctl_args *args;
        int fd; /* of the configuration */
};

static int become(void *context)
{
        const struct becoming *becoming = context;
        const char *folder = becoming->config->worker_dir;
        int r = become_broker(folder, becoming->fd, becoming->args);

        fprintf(stderr, "bulkhead: run: cannot start %s/%s: %s\n", folder, BROKER_PROGRAM, strerror(-r));
        return r;
}

/* A terminal that is a guest's serial port needs somebody who gives it back. */
static bool holds_terminal(const struct vm_config *config)
{
        return config->frontend == VM_FRONTEND_KVM && config->kvm.serial == VM_SERIAL_STDIO &&
               terminal_is_ours(STDIN_FILENO);
}

int verb_run(const struct ctl_args *args)
{
        const struct config_wish wish = {
            .run_dir = args->option[CTL_OPTION_RUN_DIR], .host = true, .in_use_is_error = true};
        _cleanup_(vm_config_done) struct vm_config config = {0};
        _cleanup_close_ int fd = -1;
        struct becoming becoming;
        char why[512];
        int r;

        r = config_open(args->operand, &wish, &config);
        if (r < 0)
                return CTL_FAILED;
        r = loosen(&config, args);
        if (r < 0)
                return r == -EINVAL ? CTL_USAGE : CTL_FAILED;
        if (config_host_program(config.worker_dir, BROKER_PROGRAM, why, sizeof(why)) < 0 ||
            open_files_raise(&config, why, sizeof(why)) < 0) {
                fprintf(stderr, "bulkhead: run: %s\n", why);
                return CTL_FAILED;
        }
        r = config_to_fd(&config, &fd);
        if (r < 0) {
                fprintf(stderr, "bulkhead: run: the configuration cannot be handed over: %s\n", strerror(-r));
                return CTL_FAILED;
        }
        becoming = (struct becoming){.config = &config, .args = args, .fd = fd};
        if (holds_terminal(&config))
                return run_terminal(become, &becoming);
        (void)become(&becoming);
        return CTL_FAILED;
}
