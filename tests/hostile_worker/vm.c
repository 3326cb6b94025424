/* A throw-away VM.
 * Owns its directory, its process and the pipe of its log. TRUST: the log is the broker's, and is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/ctl/config_load.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

#define READY_MS     20000 /* a machine that is busy */
#define CONFIG_BYTES 65536u
#define STOP_MS      15000 /* the spawner kills its broker after ten seconds */

/* What is spent here by attacks is counted by uid, and not to be missed beside us: descriptors under way, for one. By pid, of which
 * there are no more than 2^22, the ranges end below those of others. */
#define UIDS       16u
#define UIDS_FIRST 1200000000u

static const char *const set_names[] = {
    [LAYERS_ALL] = "all", [LAYERS_SECCOMP] = "seccomp", [LAYERS_SPACES] = "spaces", [LAYERS_NONE] = "none"};
_Static_assert(array_size(set_names) == LAYERS_COUNT_, "a name for each set");

const char *layer_set_name(enum layer_set set)
{
        return set_names[set];
}

/* ---- its directory ---- */

const char *vm_path(const struct vm *vm, const char *name)
{
        static char path[128];

        snprintf(path, sizeof(path), "%s/%s", vm->dir, name);
        return path;
}

const char *vm_socket(const struct vm *vm, const char *name)
{
        static char path[192];

        snprintf(path, sizeof(path), "%s/run/%s/%s.sock", vm->dir, vm->name, name);
        return path;
}

const char *vm_image(const struct vm *vm, const char *device)
{
        static char path[192];

        snprintf(path, sizeof(path), "%s/%s.img", vm->dir, device);
        return path;
}

static int make_image(const struct vm *vm, const char *device)
{
        _cleanup_close_ int fd = open(vm_image(vm, device), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        return fd < 0 || ftruncate(fd, (off_t)VM_IMAGE_BYTES) < 0 ? -errno : 0;
}

int vm_restore_image(const struct vm *vm, const char *device)
{
        struct stat st;
        const char *path = vm_image(vm, device);

        if (stat(path, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size == VM_IMAGE_BYTES)
                return 0;
        return truncate(path, (off_t)VM_IMAGE_BYTES) < 0 ? -errno : 0;
}

static int link_program(const struct vm *vm, const char *target, const char *type)
{
        char name[64];

        snprintf(name, sizeof(name), "programs/bulkhead-%s", type);
        return symlink(target, vm_path(vm, name)) < 0 && errno != EEXIST ? -errno : 0;
}

/* A folder of programs, in which the workers are the hostile ones. */
static int link_programs(const struct vm *vm, const struct vm_programs *programs)
{
        char worker[32];
        int r = mkdir(vm_path(vm, "programs"), 0755) < 0 ? -errno : 0;

        snprintf(worker, sizeof(worker), "worker-%s", vm->kind->type);
        if (r == 0)
                r = link_program(vm, programs->blk, "worker-blk");
        if (r == 0)
                r = link_program(vm, programs->worker, worker);
        if (r == 0 && programs->companion[0])
                r = link_program(vm, programs->companion, "vsock-proxy");
        return r;
}

/* Each %s is the VM's directory. */
static void write_options(const struct vm *vm, const char *options, FILE *file)
{
        const char *place;

        fputs(", ", file);
        for (; (place = strstr(options, "%s")); options = place + 2)
                fprintf(file, "%.*s%s", (int)(place - options), options, vm->dir);
        fputs(options, file);
}

static void write_device(const struct vm *vm, FILE *file)
{
        const struct kind *kind = vm->kind;

        fprintf(file, "  - {name: %s, type: %s", kind->device, kind->type);
        if (kind->is_disk)
                fprintf(file, ", path: %s%s", vm_image(vm, kind->device),
                        kind->read_only ? ", read_only: true" : "");
        if (kind->options)
                write_options(vm, kind->options, file);
        fprintf(file, "}\n");
}

static int write_config(const struct vm *vm)
{
        FILE *file = fopen(vm_path(vm, "vm.yaml"), "we");

        if (!file)
                return -errno;
        fprintf(file, "vm: %s\nfrontend: vhost-user\n", vm->name);
        fprintf(file, "uids: {first: %u, count: %u}\n", UIDS_FIRST + UIDS * (uint32_t)getpid(), UIDS);
        fprintf(file, "devices:\n");
        fprintf(file, "  - {name: disk1, type: blk, path: %s}\n", vm_image(vm, "disk1"));
        write_device(vm, file);
        return fclose(file) == 0 ? 0 : -errno;
}

static int make_directory(struct vm *vm, const struct vm_programs *programs)
{
        int r;

        snprintf(vm->dir, sizeof(vm->dir), "/tmp/bulkhead-attack.XXXXXX");
        if (!mkdtemp(vm->dir)) {
                vm->dir[0] = '\0';
                return -errno;
        }
        if (chmod(vm->dir, 0755) < 0)
                return -errno;
        r = link_programs(vm, programs);
        if (r == 0)
                r = make_image(vm, "disk1");
        if (r == 0 && (vm->kind->is_disk || vm->kind->has_image))
                r = make_image(vm, vm->kind->device);
        if (r == 0)
                r = outside_make(&vm->outside, vm->dir, vm->kind);
        return r == 0 ? write_config(vm) : r;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
        (void)st;
        (void)kind;
        (void)where;
        return remove(path);
}

static void remove_directory(struct vm *vm)
{
        if (vm->dir[0])
                nftw(vm->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        vm->dir[0] = '\0';
}

/* ---- its log ---- */

void vm_log_take(struct vm *vm)
{
        for (;;) {
                ssize_t n;

                if (vm->log_len == sizeof(vm->log) - 1)
                        vm->log_len = 0; /* far more than is looked at */
                n = read(vm->log_fd, vm->log + vm->log_len, sizeof(vm->log) - 1 - vm->log_len);
                if (n <= 0)
                        break;
                vm->log_len += (size_t)n;
        }
        vm->log[vm->log_len] = '\0';
}

void vm_log_mark(struct vm *vm)
{
        vm_log_take(vm);
        vm->log_len = 0;
        vm->log[0] = '\0';
}

bool vm_log_has(const struct vm *vm, const char *text)
{
        return strstr(vm->log, text) != NULL;
}

const char *vm_log_fault(struct vm *vm)
{
        static char line[512];
        size_t start = 0;

        for (size_t i = 0; i < vm->log_len; i++) {
                const char *at = vm->log + start;
                bool bad = vm->log[i] != '\n' && (vm->log[i] < 0x20 || vm->log[i] > 0x7e);

                if (!bad && vm->log[i] != '\n')
                        continue;
                if (bad || strncmp(at, "bulkhead-broker", strlen("bulkhead-broker")) != 0) {
                        snprintf(line, sizeof(line), "%.*s", (int)(i - start), at);
                        return line;
                }
                start = i + 1;
        }
        return NULL;
}

/* ---- its processes ---- */

/* Field `name` of a small file of /proc, or the file as a whole. */
static bool proc_text(pid_t pid, const char *file, char *out, size_t size)
{
        char path[64];
        _cleanup_close_ int fd = -1;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, out, size - 1);
        out[n > 0 ? n : 0] = '\0';
        return n > 0;
}

static pid_t parent_of(pid_t pid)
{
        char text[512], *behind;
        int parent = 0;

        if (!proc_text(pid, "stat", text, sizeof(text)))
                return 0;
        behind = strrchr(text, ')');
        return behind && sscanf(behind + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* The child of the spawner whose command line begins so. */
static pid_t find_child(const struct vm *vm, const char *title)
{
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        pid_t found = 0;

        while (proc && found == 0 && (entry = readdir(proc))) {
                pid_t pid = (pid_t)atoi(entry->d_name);
                char text[256];

                if (pid > 0 && parent_of(pid) == vm->spawner &&
                    proc_text(pid, "cmdline", text, sizeof(text)) && strncmp(text, title, strlen(title)) == 0)
                        found = pid;
        }
        if (proc)
                closedir(proc);
        return found;
}

pid_t vm_worker(const struct vm *vm, const char *type, const char *device)
{
        char title[128];

        snprintf(title, sizeof(title), "bulkhead-worker-%s: %s/%s", type, vm->name, device);
        return find_child(vm, title);
}

/* As `bulkhead run` would, but with worker programs of our own choice. */
static int load_config(const struct vm *vm, int *ret_fd)
{
        char run_dir[PATH_MAX], worker_dir[PATH_MAX];
        const struct config_context context = {
            .run_dir = run_dir, .run_dir_given = true, .worker_dir = worker_dir};
        _cleanup_(mistakes_done) struct mistakes mistakes = {0};
        _cleanup_(vm_config_done) struct vm_config config = {0};
        _cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
        static uint8_t bytes[CONFIG_BYTES];
        ssize_t len;
        int r;

        snprintf(run_dir, sizeof(run_dir), "%s/run", vm->dir);
        snprintf(worker_dir, sizeof(worker_dir), "%s/programs", vm->dir);
        r = config_load(vm_path(vm, "vm.yaml"), &context, &mistakes, &config);
        if (r < 0)
                return r;
        len = vm_config_make(&config, bytes, sizeof(bytes));
        if (len < 0 || fd < 0)
                return len < 0 ? (int)len : -errno;
        r = fd_write_all(fd, bytes, (size_t)len);
        if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return r < 0 ? r : -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}

static _Noreturn void become_broker(const struct vm *vm, const struct vm_programs *programs, int config_fd,
                                    int log_fd)
{
        char number[16];
        sigset_t none;
        const char *argv[] = {"bulkhead-broker", "--config-fd", number, NULL};

        snprintf(number, sizeof(number), "%d", config_fd);
        setenv("BULKHEAD_TEST_LAYERS", set_names[vm->set], 1);
        setenv("BULKHEAD_SECRET", vm->secret, 1);
        setsid();
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* rootless the kernel forgets it */
        if (dup2(log_fd, STDERR_FILENO) >= 0 && fcntl(config_fd, F_SETFD, 0) == 0)
                execv(programs->broker, (char *const *)argv);
        _exit(127);
}

static int start_process(struct vm *vm, const struct vm_programs *programs)
{
        _cleanup_close_ int config_fd = -1;
        int pipe_fds[2], r;

        r = load_config(vm, &config_fd);
        if (r < 0)
                return r;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        vm->spawner = fork();
        if (vm->spawner == 0)
                become_broker(vm, programs, config_fd, pipe_fds[1]);
        close(pipe_fds[1]);
        vm->log_fd = pipe_fds[0];
        if (vm->spawner < 0)
                return -errno;
        return fcntl(vm->log_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Until it says so, or its log ends. */
static int await_ready(struct vm *vm)
{
        struct pollfd pfd = {.fd = vm->log_fd, .events = POLLIN};

        while (!vm_log_has(vm, ": ready ")) {
                size_t before = vm->log_len;

                if (poll(&pfd, 1, READY_MS) != 1)
                        return -ETIMEDOUT;
                vm_log_take(vm);
                if (vm->log_len == before)
                        return -ECHILD;
        }
        return 0;
}

/* "... warning: jail without: unique uid, ... dev=disk0" */
static void note_missing(struct vm *vm)
{
        static const char words[] = "jail without: ";
        const char *at = strstr(vm->log, words), *end;

        if (!at)
                return;
        at += strlen(words);
        end = strstr(at, " dev=");
        snprintf(vm->missing, sizeof(vm->missing), "%.*s", end ? (int)(end - at) : 0, at);
}

static void make_secret(struct vm *vm)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        uint8_t random[VM_SECRET];

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                abort();
        for (unsigned i = 0; i < VM_SECRET; i++)
                vm->secret[i] = letters[random[i] % 64];
}

int vm_start(struct vm *vm, const struct vm_programs *programs, enum layer_set set, const struct kind *kind,
             char *why, size_t why_size)
{
        static unsigned started;
        int r;

        memset(vm, 0, sizeof(*vm));
        vm->set = set;
        vm->kind = kind;
        vm->outside = OUTSIDE_NONE;
        vm->log_fd = -1;
        snprintf(vm->name, sizeof(vm->name), "%s-%d-%u", set_names[set], (int)getpid(), ++started);
        make_secret(vm);
        r = make_directory(vm, programs);
        if (r == 0)
                r = start_process(vm, programs);
        if (r == 0)
                r = await_ready(vm);
        note_missing(vm);
        if (r == 0)
                outside_take(&vm->outside);
        if (r == 0)
                vm->broker = find_child(vm, "bulkhead-broker: ");
        if (r == 0 && vm->broker == 0)
                r = -ESRCH;
        if (r < 0) {
                snprintf(why, why_size, "the VM did not start (%s)%s%.*s", strerror(-r),
                         vm->log_len ? ": " : "", (int)strcspn(vm->log, "\n"), vm->log);
                vm_stop(vm);
        }
        return r;
}

static bool await_end(struct vm *vm, int *ret_status)
{
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, vm->spawner, 0);
        struct pollfd pfds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = vm->log_fd, .events = POLLIN}};

        for (;;) {
                if (pidfd < 0 || poll(pfds, 2, STOP_MS) <= 0)
                        return false;
                if (pfds[1].revents)
                        vm_log_take(vm);
                if (pfds[1].revents & POLLHUP)
                        pfds[1].fd = -1;
                if (pfds[0].revents)
                        return waitpid(vm->spawner, ret_status, 0) == vm->spawner;
        }
}

bool vm_stop(struct vm *vm)
{
        int status = -1;
        bool ended = true;

        if (vm->spawner > 0) {
                kill(vm->spawner, SIGTERM);
                ended = await_end(vm, &status);
                if (!ended) {
                        kill(vm->spawner, SIGKILL);
                        if (vm->broker > 0)
                                kill(vm->broker, SIGKILL);
                        waitpid(vm->spawner, NULL, 0);
                }
        }
        vm->spawner = vm->broker = 0;
        cleanup_close(&vm->log_fd);
        vm->log_fd = -1;
        outside_done(&vm->outside);
        remove_directory(vm);
        return ended && status == 0;
}
