/* What lies around a throw-away VM for its devices, and for nobody else: folders, sockets, and a file that no device is given.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "tests/hostile_worker/command.h"
#include "tests/hostile_worker/kind.h"

#define OUTSIDE_SECRET "outside/secret"

struct outside {
        char dir[64]; /* the VM's, which has all of it */
        const struct kind *kind;
        int listener; /* of a stream, and its other end; -1: none */
        int peer;
        int named; /* listens at an abstract name */
        char abstract[COMMAND_ABSTRACT];
        struct stat before; /* the file */
};

#define OUTSIDE_NONE ((struct outside){.listener = -1, .peer = -1, .named = -1})

/* In the VM's directory, before the VM. A network of our own, where the kind needs one, is for all VMs that follow. 0 or negative
 * errno. */
int outside_make(struct outside *outside, const char *dir, const struct kind *kind);
/* The VM is up: who has connected is kept. */
void outside_take(struct outside *outside);
void outside_done(struct outside *outside);

/* Has anybody touched what no device is given? A clause in `why`. */
bool outside_is_touched(const struct outside *outside, char *why, size_t why_size);
/* As it was, for the next: without a jail it is touched. */
void outside_renew(struct outside *outside);
