/* Every message number in every malformation: lengths, flags, descriptors, order. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/hostile_guest/message_case.h"
#include "tests/wire/messages.h"

#define IDS_END 65u /* defined today: up to 44 */

/* What is different from message to message once a ring runs or it comes again. Not listed: it goes on. */
static const struct {
        uint32_t request;
        bool bad_while_running, bad_again;
} facts[] = {
    {VHOST_USER_SET_VRING_NUM, true, false},         {VHOST_USER_SET_VRING_ADDR, true, false},
    {VHOST_USER_SET_VRING_BASE, true, false},        {VHOST_USER_SET_VRING_KICK, true, false},
    {VHOST_USER_SET_PROTOCOL_FEATURES, true, false}, {VHOST_USER_ADD_MEM_REG, false, true},
    {VHOST_USER_REM_MEM_REG, false, true},
};

static bool bad_while_running(uint32_t request)
{
        for (size_t i = 0; i < array_size(facts); i++)
                if (facts[i].request == request)
                        return facts[i].bad_while_running;
        return false;
}

static bool bad_again(uint32_t request)
{
        for (size_t i = 0; i < array_size(facts); i++)
                if (facts[i].request == request)
                        return facts[i].bad_again;
        return false;
}

/* ---- one message, spoilt in each way ---- */

static void list_lengths(struct message_list *list, const struct message_case *good, const char *name)
{
        struct message_case c = *good;

        c.group = "length";
        c.expect = OUTCOME_DROPPED;
        if (good->len > 0) {
                c.size = c.len = good->len - 1;
                message_list_add(list, &c, "%s.short", name);
                c.size = c.len = 0;
                message_list_add(list, &c, "%s.empty", name);
                c.size = c.len = good->len;
                c.manner = MANNER_CUT;
                message_list_add(list, &c, "%s.cut", name);
                c.manner = MANNER_PLAIN;
        }
        c.size = c.len = good->len + 1;
        message_list_add(list, &c, "%s.long", name);
        c.size = UINT32_MAX;
        message_list_add(list, &c, "%s.of_4_gib", name);
}

static void list_flags(struct message_list *list, const struct message_case *good, const char *name)
{
        static const struct {
                uint32_t flags;
                const char *name;
        } bad[] = {{0, "version_0"},
                   {2, "version_2"},
                   {5, "is_a_reply"},
                   {0x11, "unknown_flag"},
                   {0x80000001, "highest_flag"}};
        struct message_case c = *good;

        c.group = "flags";
        c.expect = OUTCOME_DROPPED;
        for (size_t i = 0; i < array_size(bad); i++) {
                c.flags = bad[i].flags;
                message_list_add(list, &c, "%s.%s", name, bad[i].name);
        }
}

static void list_counts(struct message_list *list, const struct message_case *good, const char *name)
{
        const struct message_example *example = message_example_find(good->request);
        unsigned permitted = good->n_fds + example->fd_tolerated;
        struct message_case c = *good;

        c.group = "fds";
        c.expect = OUTCOME_DROPPED;
        for (unsigned n = 0; n < MESSAGE_FDS_MAX; n++)
                c.fds[n] = good->n_fds ? good->fds[0] : FD_CASE_EVENT;
        if (good->n_fds > 0) {
                c.n_fds = 0;
                message_list_add(list, &c, "%s.no_fd", name);
        }
        c.n_fds = permitted + 1;
        message_list_add(list, &c, "%s.one_fd_more", name);
        c.n_fds = 9;
        message_list_add(list, &c, "%s.9_fds", name);
        c.n_fds = MESSAGE_FDS_MAX;
        message_list_add(list, &c, "%s.32_fds", name);
        if (good->len > 0) {
                c.n_fds = 1;
                c.manner = MANNER_LATE_FDS;
                message_list_add(list, &c, "%s.late_fd", name);
        }
}

/* Which of the kinds serves for which? */
static bool kind_is_good(enum fd_case wanted, enum fd_case kind)
{
        switch (wanted) {
        case FD_CASE_MEMORY:
                return kind == FD_CASE_MEMORY || kind == FD_CASE_FILE || kind == FD_CASE_KEPT ||
                       kind == FD_CASE_READ_ONLY;
        case FD_CASE_EVENT: /* what has no file type: it is found out when it is used */
                return kind == FD_CASE_EVENT || kind == FD_CASE_EPOLL;
        default:
                return kind == wanted;
        }
}

static void list_kinds(struct message_list *list, const struct message_case *good, const char *name)
{
        struct message_case c = *good;

        for (unsigned kind = 0; good->n_fds > 0 && kind < FD_CASE_COUNT_; kind++) {
                bool fits = kind_is_good((enum fd_case)good->fds[0], (enum fd_case)kind);

                c.group = fits ? "good" : "fds";
                c.expect = fits ? OUTCOME_IGNORED : OUTCOME_DROPPED;
                c.fds[0] = (uint8_t)kind;
                message_list_add(list, &c, "%s.%s", name, fd_case_name((enum fd_case)kind));
        }
}

static void list_order(struct message_list *list, const struct message_case *good, const char *name)
{
        const struct message_example *example = message_example_find(good->request);
        struct message_case c = *good;

        c.group = "state";
        if (example->needs_feature || example->needs_setup) {
                c.scene = SCENE_FRESH;
                c.expect = OUTCOME_DROPPED;
                c.add_first = false;
                message_list_add(list, &c, "%s.first_of_all", name);
        }
        if (example->needs_setup) {
                c.scene = SCENE_AGREED;
                c.expect = OUTCOME_DROPPED;
                message_list_add(list, &c, "%s.before_features", name);
        }
        c = *good;
        c.scene = SCENE_RUNNING;
        c.group = bad_while_running(good->request) ? "state" : "good";
        c.expect = bad_while_running(good->request) ? OUTCOME_DROPPED : OUTCOME_IGNORED;
        message_list_add(list, &c, "%s.while_a_ring_runs", name);
}

static void list_manners(struct message_list *list, const struct message_case *good, const char *name)
{
        struct message_case c = *good;

        c.group = "repeated";
        c.manner = MANNER_REPEATED;
        c.expect = bad_again(good->request) ? OUTCOME_DROPPED : OUTCOME_IGNORED;
        message_list_add(list, &c, "%s.1000_times", name);
        c = *good;
        c.group = "good";
        message_list_add(list, &c, "%s.as_it_should_be", name);
        c.manner = MANNER_BYTES;
        message_list_add(list, &c, "%s.byte_by_byte", name);
}

static bool answers(uint32_t request)
{
        return request == VHOST_USER_GET_FEATURES || request == VHOST_USER_GET_QUEUE_NUM ||
               request == VHOST_USER_GET_CONFIG || request == VHOST_USER_GET_MAX_MEM_SLOTS ||
               request == VHOST_USER_GET_VRING_BASE;
}

static void list_served(struct message_list *list, const struct message_example *example)
{
        struct message_case good = message_example(example->request, TARGET_BLK);

        list_lengths(list, &good, example->name);
        list_flags(list, &good, example->name);
        list_counts(list, &good, example->name);
        list_kinds(list, &good, example->name);
        list_order(list, &good, example->name);
        list_manners(list, &good, example->name);
        if (!answers(example->request))
                return;
        good.group = "repeated";
        good.manner = MANNER_UNREAD;
        good.expect = OUTCOME_DROPPED;
        message_list_add(list, &good, "%s.20000_times_unread", example->name);
}

/* ---- numbers that are not served ---- */

static void list_unserved(struct message_list *list, uint32_t request)
{
        struct message_case c = {.group = "unserved",
                                 .target = request % 2 ? TARGET_BLK : TARGET_RNG,
                                 .scene = SCENE_READY,
                                 .expect = OUTCOME_DROPPED,
                                 .request = request,
                                 .flags = WIRE_VERSION};

        message_list_add(list, &c, "id_%u.empty", request);
        c.size = c.len = 8;
        c.flags = WIRE_VERSION | WIRE_NEED_REPLY;
        message_list_add(list, &c, "id_%u.asks_for_an_answer", request);
        c.scene = SCENE_RUNNING;
        c.size = c.len = 40;
        c.fds[c.n_fds++] = FD_CASE_MEMORY;
        message_list_add(list, &c, "id_%u.with_memory_while_a_ring_runs", request);
}

void messages_form_list(struct message_list *list)
{
        static const uint32_t far[] = {0x100, 0x10001, 0x7fffffff, 0x80000001, 0xffffffff};

        for (uint32_t request = 0; request < IDS_END; request++) {
                const struct message_example *example = message_example_find(request);

                /* No device here has a region: to these it is a number like any other. */
                if (example && request != VHOST_USER_GET_SHMEM_CONFIG)
                        list_served(list, example);
                else
                        list_unserved(list, request);
        }
        for (size_t i = 0; i < array_size(far); i++)
                list_unserved(list, far[i]);
}
