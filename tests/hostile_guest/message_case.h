/* A vhost-user message that is wrong in one way, and what may become of the session.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/hostile_guest/ring_case.h"

#define MESSAGE_CASES_MAX 1024u
#define MESSAGE_FDS_MAX   32u
#define MESSAGE_PAYLOAD   320u

/* How far the session is when the message comes. */
enum scene {
        SCENE_FRESH = 0, /* connected */
        SCENE_AGREED,    /* protocol features */
        SCENE_READY,     /* features and memory */
        SCENE_RUNNING,   /* ring 0 runs and has served */
        SCENE_COUNT_,
};

enum fd_case {
        FD_CASE_EVENT = 0,
        FD_CASE_MEMORY, /* a memfd that is large enough for the examples */
        FD_CASE_SOCKET,
        FD_CASE_FILE, /* a regular file as large */
        FD_CASE_DIRECTORY,
        FD_CASE_PIPE,
        FD_CASE_EPOLL,
        FD_CASE_NULL,
        FD_CASE_PATH,
        FD_CASE_DATAGRAM,
        FD_CASE_SMALL,
        FD_CASE_SEALED, /* against writing: cannot be mapped to be written */
        FD_CASE_KEPT,   /* sealed against shrinking, which is what one should do */
        FD_CASE_READ_ONLY,
        FD_CASE_WRITE_ONLY,
        FD_CASE_COUNT_,
};

/* How it is sent. */
enum manner {
        MANNER_PLAIN = 0,
        MANNER_BYTES,    /* byte by byte */
        MANNER_LATE_FDS, /* descriptors with the payload */
        MANNER_CUT,      /* without its last byte, and then no more comes */
        MANNER_REPEATED, /* 1,000 times; answers are read */
        MANNER_UNREAD,   /* 20,000 times; answers are not read */
};

struct message_case {
        const char *group, *name;
        enum target target;
        enum scene scene;
        enum outcome expect; /* IGNORED: the session goes on; REFUSED: the answer is 1 */
        enum manner manner;
        uint32_t request, flags, size; /* as the header says */
        uint32_t len;                  /* of what is sent */
        uint8_t payload[MESSAGE_PAYLOAD];
        uint8_t fds[MESSAGE_FDS_MAX]; /* enum fd_case */
        unsigned n_fds;
        bool add_first; /* the example's region is added before */
};

struct message_list {
        struct message_case cases[MESSAGE_CASES_MAX];
        char names[MESSAGE_CASES_MAX][96];
        unsigned n;
};

void message_list_add(struct message_list *list, const struct message_case *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The cases, by file. */
void messages_form_list(struct message_list *list);  /* every id in every malformation */
void messages_value_list(struct message_list *list); /* well-formed, with values that are not */

/* The well-formed message of this number, ready to be spoilt; served ones only. */
struct message_case message_example(uint32_t request, enum target target);

const char *fd_case_name(enum fd_case kind);

bool message_case_run(struct oracle *oracle, const struct message_case *c, struct verdict *ret_verdict);
