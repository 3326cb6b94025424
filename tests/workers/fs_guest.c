/* A guest's kernel as a shared directory sees it.
 * Owns the directory, the memory and the worker of a test. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/fs_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "workers/fs/fs_memory.h"

#define REQUEST_MAX (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) + (2u << 20))

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        (void)chmod(path, 0700);
        return remove(path);
}

void guest_init(struct guest *guest, bool with_memory)
{
        *guest =
            (struct guest){.memory = -1, .policy = -1, .options = {.tag = "share", .cache = FS_CACHE_AUTO}};
        strcpy(guest->path, "/tmp/fs_guest.XXXXXX");
        assert_non_null(mkdtemp(guest->path));
        guest->root = open(guest->path, O_PATH | O_DIRECTORY);
        assert_true(guest->root >= 0);
        if (!with_memory)
                return;
        guest->memory = memfd_create("known", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_true(guest->memory >= 0);
        assert_int_equal(ftruncate(guest->memory, LIMIT_FS_MEMORY), 0);
        assert_int_equal(fcntl(guest->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
}

void guest_done(struct guest *guest)
{
        assert_true(fake_exited(fake_end(&guest->broker), 0));
        close(guest->root);
        if (guest->memory >= 0)
                close(guest->memory);
        assert_int_equal(nftw(guest->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *host_path(const struct guest *guest, const char *name)
{
        static char paths[2][512];
        static unsigned n;
        char *path = paths[n++ % 2];

        snprintf(path, sizeof(paths[0]), "%s/%s", guest->path, name);
        return path;
}

void host_write(const struct guest *guest, const char *name, const char *text)
{
        FILE *f = fopen(host_path(guest, name), "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

void host_expect(const struct guest *guest, const char *name, const char *text)
{
        char got[4096] = "";
        FILE *f = fopen(host_path(guest, name), "r");

        assert_non_null(f);
        got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
        fclose(f);
        assert_string_equal(got, text);
}

/* ---- the worker ---- */

static struct option_set options_of(struct guest *guest)
{
        struct option_set set = {0};

        snprintf(guest->owners, sizeof(guest->owners), "%u+%u", guest->options.first_owner,
                 guest->options.n_owners);

        for (unsigned i = 0; i < FS_OPTION_COUNT_; i++)
                set.value[i].text = "";
        set.value[FS_OPTION_TAG].text = guest->options.tag;
        set.value[FS_OPTION_READ_ONLY].number = guest->options.read_only;
        set.value[FS_OPTION_CACHE].number = guest->options.cache;
        set.value[FS_OPTION_XATTR].number = guest->options.xattr;
        set.value[FS_OPTION_LOCKS].number = guest->options.locks;
        set.value[FS_OPTION_DAX_WINDOW].number = guest->options.dax_window;
        if (guest->options.n_owners > 0)
                set.value[FS_OPTION_OWNERS].text = guest->owners;
        return set;
}

/* ---- the window ---- */

/* The descriptor that lies beside the next bytes; -1: none does. */
static int peek_fd(int socket)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } room;
        char byte;
        struct iovec iov = {&byte, 1};
        struct msghdr header = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof(room)};
        struct pollfd there = {socket, POLLIN, 0};
        const struct cmsghdr *c;
        int fd = -1;

        assert_int_equal(poll(&there, 1, FAKE_DEADLINE_S * 1000), 1);
        assert_int_equal(recvmsg(socket, &header, MSG_PEEK | MSG_CMSG_CLOEXEC), 1);
        c = CMSG_FIRSTHDR(&header);
        if (c && c->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

static void answer_one(struct guest *guest, uint32_t id, int error)
{
        const struct control_to_worker message = {.kind = CONTROL_SHMEM_ANSWER,
                                                  .shmem_answer = {.id = id, .error = error}};

        fake_send_control(&guest->broker, &message);
}

/* As the broker judges: whole granules, of a regular file, with just the rights that are asked for. */
static int map_one(struct guest *guest, const struct control_shmem *map, int fd)
{
        struct guest_granule *granule = &guest->window.at[map->offset / FS_DAX_GRANULE];
        struct stat st;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, map->writable ? O_RDWR : O_RDONLY);
        assert_int_equal(map->fd_offset % FS_DAX_GRANULE, 0);
        assert_true(!granule->there || granule->orphan);
        if (granule->orphan)
                assert_true(granule->ino == st.st_ino && granule->offset == map->fd_offset &&
                            granule->writable == map->writable);
        if (guest->window.refuses < 0)
                return guest->window.refuses;
        guest->window.n_maps++;
        *granule = (struct guest_granule){
            .there = true, .writable = map->writable, .ino = st.st_ino, .offset = map->fd_offset};
        return 0;
}

static int unmap_one(struct guest *guest, const struct control_shmem *map)
{
        struct guest_granule *granule = &guest->window.at[map->offset / FS_DAX_GRANULE];
        bool there = granule->there && !granule->orphan;

        guest->window.n_unmaps++;
        if (there)
                *granule = (struct guest_granule){0};
        return there ? 0 : -ENOENT;
}

static void on_shmem(struct guest *guest, const struct control_to_broker *said, int fd)
{
        const struct control_shmem *map = &said->shmem;
        int r;

        assert_int_equal(map->shmid, FS_SHMID_DAX);
        assert_int_equal(map->len, FS_DAX_GRANULE);
        assert_int_equal(map->offset % FS_DAX_GRANULE, 0);
        assert_true(map->offset < guest->options.dax_window);
        r = said->kind == CONTROL_SHMEM_MAP ? map_one(guest, map, fd) : unmap_one(guest, map);
        if (!guest->window.holds)
                answer_one(guest, map->id, r);
        else if (guest->window.n_held < array_size(guest->window.held))
                guest->window.held[guest->window.n_held++] = map->id;
}

void guest_answer(struct guest *guest)
{
        guest->window.holds = false;
        for (uint32_t i = 0; i < guest->window.n_held; i++)
                answer_one(guest, guest->window.held[i], 0);
        guest->window.n_held = 0;
}

unsigned guest_n_mapped(const struct guest *guest)
{
        unsigned n = 0;

        for (uint32_t i = 0; i < LIMIT_FS_MAPS; i++)
                n += guest->window.at[i].there;
        return n;
}

static bool next_control(struct guest *guest, struct control_to_broker *ret_said)
{
        int fd = guest->options.dax_window > 0 ? peek_fd(guest->broker.control.in) : -1;
        bool alive = fake_next_control(&guest->broker, ret_said);

        if (alive && (ret_said->kind == CONTROL_SHMEM_MAP || ret_said->kind == CONTROL_SHMEM_UNMAP))
                on_shmem(guest, ret_said, fd);
        if (fd >= 0)
                close(fd);
        if (alive && ret_said->kind == CONTROL_PUT_STATE) {
                guest->state_len = ret_said->put_state.len;
                memcpy(guest->state, ret_said->put_state.bytes, ret_said->put_state.len);
        }
        return alive;
}

void guest_serve_window(struct guest *guest)
{
        static struct control_to_broker said;

        while (fake_ready(guest->broker.control))
                assert_true(next_control(guest, &said));
}

/* Until all is answered but what waits. */
static void drain(struct guest *guest)
{
        while (guest->options.dax_window > 0 && guest->broker.n_out > guest->broker.n_waits) {
                struct pollfd fds[] = {{guest->broker.control.in, POLLIN, 0},
                                       {guest->broker.lanes[0].in, POLLIN, 0}};

                assert_true(poll(fds, array_size(fds), FAKE_DEADLINE_S * 1000) > 0);
                guest_serve_window(guest);
                if (fds[1].revents)
                        assert_true(fake_serve(&guest->broker, 0));
        }
        fake_drain(&guest->broker, 0);
}

/* ---- the worker, continued ---- */

/* What the worker has left, if it has anything to say before `kind`. */
static void await_control(struct guest *guest, enum control_kind_to_broker kind)
{
        static struct control_to_broker said;

        do
                assert_true(next_control(guest, &said));
        while (said.kind != kind);
        if (kind == CONTROL_DONE)
                assert_int_equal(said.done.error, 0);
}

static void start_with(struct guest *guest, bool restored)
{
        struct control_configure configure = {
            .name = "share0", .n_queues = GUEST_QUEUES, .type = DEVICE_TYPE_FS, .options = options_of(guest)};
        const int resources[] = {guest->root, guest->memory};
        const struct control_to_worker restore = {
            .kind = CONTROL_RESTORE_STATE, .seq = 7, .restore_state = {guest->state, guest->state_len}};
        unsigned n = guest->memory >= 0 ? 2 : 1;

        configure.n_regions = fs_regions(&configure.options, configure.regions);
        if (guest->program) /* the one before has read it to its end */
                assert_int_equal(lseek(guest->policy, 0, SEEK_SET), 0);
        if (guest->program)
                fake_start_program(&guest->broker, guest->program, 1, resources, n, guest->policy);
        else
                fake_start_ops(&guest->broker, &device_ops, 1, resources, n);
        fake_configure(&guest->broker, &configure);
        if (restored) {
                fake_send_control(&guest->broker, &restore);
                await_control(guest, CONTROL_DONE);
        }
        for (uint32_t i = 0; i < GUEST_QUEUES; i++)
                assert_int_equal(fake_start_queue(&guest->broker, i), 0);
}

void guest_start(struct guest *guest)
{
        start_with(guest, false);
}

void guest_mount(struct guest *guest)
{
        const uint32_t extended = guest->init_flags2 ? FUSE_INIT_EXT : 0;
        const struct fuse_init_in init = {
            .major = 7,
            .minor = 38,
            .max_readahead = 131072,
            .flags = ~(UINT32_C(3) << 30) | extended,
            .flags2 = guest->init_flags2}; /* no FUSE_INIT_EXT, and nothing reserved */

        assert_int_equal(
            guest_ask(guest, FUSE_INIT, 0, &init, sizeof(init), &guest->init, sizeof(guest->init), NULL), 0);
        if (guest->state_len == 0) /* else it has been told before */
                await_control(guest, CONTROL_PUT_STATE);
}

#ifdef FS_PROGRAM
#include "sandbox/policy.h"

/* As it ships, behind its own filter: whatever no row names kills it. */
static void guest_ship(struct guest *guest)
{
        const struct policy_layout layout = {.n_lanes = 1,
                                             .n_resources = guest->memory >= 0 ? 2 : 1,
                                             .resource_kinds = {RESOURCE_FOLDER, RESOURCE_FILE},
                                             .binary_fd = -1,
                                             .report_fd = -1,
                                             .go_fd = -1};
        static const char *const names[][2] = {
            {"fs", "fs-read-only"}, {"fs-owners", "fs-owners-read-only"}, {"fs-dax", "fs-dax-read-only"}};
        const unsigned kind = guest->options.dax_window > 0 ? 2 : guest->options.n_owners > 0;
        struct policy_program program = {0};

        guest->program = FS_PROGRAM;
        assert_int_equal(policy_compile(policy_find(names[kind][guest->options.read_only]), POLICY_GATE_RUN,
                                        &layout, &program),
                         0);
        assert_int_equal(policy_program_seal(&program, &guest->policy), 0);
        policy_program_done(&program);
}
#else
static void guest_ship(struct guest *guest)
{
        (void)guest;
}
#endif

void guest_begin(struct guest *guest)
{
        guest_ship(guest);
        guest_start(guest);
        guest_mount(guest);
}

void guest_crash(struct guest *guest)
{
        int status;

        assert_int_equal(kill(guest->broker.pid, SIGKILL), 0);
        status = fake_await(&guest->broker);
        assert_true(WIFSIGNALED(status));
        for (uint32_t i = 0; i < LIMIT_FS_MAPS; i++)
                guest->window.at[i].orphan = guest->window.at[i].there;
        start_with(guest, true);
        for (uint32_t i = 0; i < LIMIT_FS_MAPS; i++)
                if (guest->window.at[i].orphan)
                        guest->window.at[i] = (struct guest_granule){0};
}

/* ---- requests ---- */

int guest_ask(struct guest *guest, uint32_t opcode, uint64_t id, const void *body, uint32_t len, void *out,
              uint32_t size, uint32_t *ret_len)
{
        static uint8_t in[REQUEST_MAX], answer[REQUEST_MAX];
        const struct fuse_in_header header = {.len = (uint32_t)sizeof(header) + len,
                                              .opcode = opcode,
                                              .unique = ++guest->unique,
                                              .nodeid = id,
                                              .uid = guest->uid,
                                              .gid = guest->gid};
        struct fake_request request = {.id = guest->unique,
                                       .queue = 1,
                                       .readable = in,
                                       .n_readable = header.len,
                                       .writable = answer,
                                       .n_writable =
                                           (uint32_t)sizeof(struct fuse_out_header) + size + guest->extra,
                                       .inlined = FAKE_INLINE_ALL,
                                       .attempt = guest->attempt};
        struct fuse_out_header result;

        memcpy(in, &header, sizeof(header));
        if (len > 0)
                memcpy(in + sizeof(header), body, len);
        fake_send_requests(&guest->broker, 0, &request, 1);
        drain(guest);
        assert_int_equal(request.status, WIRE_STATUS_OK);
        assert_true(request.used >= sizeof(result));
        memcpy(&result, answer, sizeof(result));
        assert_int_equal(result.len, request.used);
        assert_int_equal(result.unique, header.unique);
        if (ret_len)
                *ret_len = result.len - (uint32_t)sizeof(result);
        assert_true(result.len - sizeof(result) <= size + guest->extra);
        if (size > 0)
                memcpy(out, answer + sizeof(result), MIN(size, result.len - sizeof(result)));
        return result.error;
}

void guest_tell(struct guest *guest, uint32_t opcode, uint64_t id, const void *body, uint32_t len)
{
        static uint8_t in[REQUEST_MAX];
        const struct fuse_in_header header = {
            .len = (uint32_t)sizeof(header) + len, .opcode = opcode, .unique = ++guest->unique, .nodeid = id};
        struct fake_request request = {.id = guest->unique,
                                       .queue = 0,
                                       .readable = in,
                                       .n_readable = header.len,
                                       .inlined = FAKE_INLINE_ALL};

        memcpy(in, &header, sizeof(header));
        memcpy(in + sizeof(header), body, len);
        fake_send_requests(&guest->broker, 0, &request, 1);
        drain(guest);
        assert_int_equal(request.status, WIRE_STATUS_OK);
        assert_int_equal(request.used, 0);
}

/* A fixed part and names behind it. */
static uint32_t pack(uint8_t *at, const void *fixed, size_t len, const char *name, const char *second)
{
        if (len > 0)
                memcpy(at, fixed, len);
        strcpy((char *)at + len, name);
        len += strlen(name) + 1;
        if (second) {
                strcpy((char *)at + len, second);
                len += strlen(second) + 1;
        }
        return (uint32_t)len;
}

static uint8_t packed[8192];

int guest_lookup(struct guest *guest, uint64_t parent, const char *name, struct fuse_entry_out *ret_entry)
{
        uint32_t len = pack(packed, NULL, 0, name, NULL);

        return guest_ask(guest, FUSE_LOOKUP, parent, packed, len, ret_entry, sizeof(*ret_entry), NULL);
}

int guest_mkdir(struct guest *guest, uint64_t parent, const char *name, uint64_t *ret_id)
{
        const struct fuse_mkdir_in in = {.mode = 0755};
        struct fuse_entry_out out = {0};
        int r = guest_ask(guest, FUSE_MKDIR, parent, packed, pack(packed, &in, sizeof(in), name, NULL), &out,
                          sizeof(out), NULL);

        *ret_id = out.nodeid;
        return r;
}

int guest_create(struct guest *guest, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
                 uint64_t *ret_id, uint64_t *ret_handle)
{
        const struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | mode};
        struct {
                struct fuse_entry_out entry;
                struct fuse_open_out open;
        } out = {0};
        int r = guest_ask(guest, FUSE_CREATE, parent, packed, pack(packed, &in, sizeof(in), name, NULL), &out,
                          sizeof(out), NULL);

        *ret_id = out.entry.nodeid;
        *ret_handle = out.open.fh;
        return r;
}

static int open_as(struct guest *guest, uint32_t opcode, uint64_t id, uint32_t flags, uint64_t *ret_handle)
{
        const struct fuse_open_in in = {.flags = flags};
        struct fuse_open_out out = {0};
        int r = guest_ask(guest, opcode, id, &in, sizeof(in), &out, sizeof(out), NULL);

        *ret_handle = out.fh;
        return r;
}

int guest_open(struct guest *guest, uint64_t id, uint32_t flags, uint64_t *ret_handle)
{
        return open_as(guest, FUSE_OPEN, id, flags, ret_handle);
}

int guest_opendir(struct guest *guest, uint64_t id, uint64_t *ret_handle)
{
        return open_as(guest, FUSE_OPENDIR, id, O_RDONLY, ret_handle);
}

int guest_write(struct guest *guest, uint64_t id, uint64_t handle, uint64_t offset, const void *bytes,
                uint32_t len)
{
        static uint8_t body[REQUEST_MAX];
        const struct fuse_write_in in = {.fh = handle, .offset = offset, .size = len};
        struct fuse_write_out out = {0};
        int r;

        memcpy(body, &in, sizeof(in));
        memcpy(body + sizeof(in), bytes, len);
        r = guest_ask(guest, FUSE_WRITE, id, body, (uint32_t)sizeof(in) + len, &out, sizeof(out), NULL);
        return r < 0 ? r : (int)out.size;
}

int guest_read(struct guest *guest, uint64_t id, uint64_t handle, uint64_t offset, void *out, uint32_t len)
{
        const struct fuse_read_in in = {.fh = handle, .offset = offset, .size = len};
        uint32_t n;
        int r = guest_ask(guest, FUSE_READ, id, &in, sizeof(in), out, len, &n);

        return r < 0 ? r : (int)n;
}

int guest_getattr(struct guest *guest, uint64_t id, struct fuse_attr *ret_attr)
{
        const struct fuse_getattr_in in = {0};
        struct fuse_attr_out out = {0};
        int r = guest_ask(guest, FUSE_GETATTR, id, &in, sizeof(in), &out, sizeof(out), NULL);

        *ret_attr = out.attr;
        return r;
}

int guest_setattr(struct guest *guest, uint64_t id, const struct fuse_setattr_in *what,
                  struct fuse_attr *ret_attr)
{
        struct fuse_attr_out out = {0};
        int r = guest_ask(guest, FUSE_SETATTR, id, what, sizeof(*what), &out, sizeof(out), NULL);

        *ret_attr = out.attr;
        return r;
}

int guest_named(struct guest *guest, uint32_t opcode, uint64_t id, const char *name)
{
        return guest_ask(guest, opcode, id, packed, pack(packed, NULL, 0, name, NULL), NULL, 0, NULL);
}

int guest_rename(struct guest *guest, uint64_t parent, const char *name, uint64_t to, const char *to_name,
                 uint32_t flags)
{
        const struct fuse_rename2_in in = {.newdir = to, .flags = flags};

        return guest_ask(guest, FUSE_RENAME2, parent, packed, pack(packed, &in, sizeof(in), name, to_name),
                         NULL, 0, NULL);
}

int guest_link(struct guest *guest, uint64_t id, uint64_t parent, const char *name)
{
        const struct fuse_link_in in = {.oldnodeid = id};
        struct fuse_entry_out out;

        return guest_ask(guest, FUSE_LINK, parent, packed, pack(packed, &in, sizeof(in), name, NULL), &out,
                         sizeof(out), NULL);
}

int guest_symlink(struct guest *guest, uint64_t parent, const char *name, const char *target,
                  uint64_t *ret_id)
{
        struct fuse_entry_out out = {0};
        int r = guest_ask(guest, FUSE_SYMLINK, parent, packed, pack(packed, NULL, 0, name, target), &out,
                          sizeof(out), NULL);

        *ret_id = out.nodeid;
        return r;
}

int guest_release(struct guest *guest, uint64_t id, uint64_t handle, bool is_folder)
{
        const struct fuse_release_in in = {.fh = handle};

        return guest_ask(guest, is_folder ? FUSE_RELEASEDIR : FUSE_RELEASE, id, &in, sizeof(in), NULL, 0,
                         NULL);
}

void guest_forget(struct guest *guest, uint64_t id, uint64_t n)
{
        const struct fuse_forget_in in = {.nlookup = n};

        guest_tell(guest, FUSE_FORGET, id, &in, sizeof(in));
}
