/* The vsock proxy as an attacker: the shipped one, but a message of its worker's that begins with a magic word is a command.
 * Owns the list of its attacks; called by the proxy's read (the program is linked so that it comes here). TRUST: commands come by
 * its worker from a guest that both are in league with.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/jail/probe.h"

int hostile_resource = -1;
unsigned hostile_lanes, hostile_resources = 2;

ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);

static const struct hostile_attacks *const files[] = {
    &hostile_probes, &hostile_kernel, &hostile_files, &hostile_processes, &hostile_shared, &hostile_reach,
};

static int64_t hello(struct hostile *hostile)
{
        (void)hostile;
        return 0;
}

static const struct hostile_attack *find_attack(const char *key)
{
        static const struct hostile_attack greeting = {"hello", hello, 0};

        for (size_t i = 0; i < array_size(files); i++)
                for (size_t j = 0; j < files[i]->n; j++)
                        if (strcmp(files[i]->rows[j].key, key) == 0)
                                return &files[i]->rows[j];
        return strcmp(key, greeting.key) == 0 ? &greeting : NULL;
}

static void obey(int fd, const void *bytes)
{
        static struct hostile hostile;
        struct hostile_report report = {.magic = COMMAND_MAGIC, .state = REPORT_UNKNOWN};
        const struct hostile_attack *attack;

        memcpy(&hostile.command, bytes, sizeof(hostile.command));
        attack = find_attack(hostile.command.key);
        if (attack) {
                const uint64_t args[] = {hostile.command.broker_pid, hostile.command.broker_uid, 0, 0};

                report.state = REPORT_ANSWERED;
                report.result = attack->run ? attack->run(&hostile) : probe_attack(attack->probe, args);
        }
        (void)!write(fd, &report, sizeof(report));
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        const uint64_t magic = COMMAND_MAGIC;
        ssize_t n = __real_read(fd, buf, len);

        hostile_resource = worker_fd_resource(0, 0);
        while (fd == hostile_resource && n == sizeof(struct hostile_command) &&
               memcmp(buf, &magic, sizeof(magic)) == 0) {
                obey(fd, buf);
                n = __real_read(fd, buf, len);
        }
        return n;
}
