/* Attempts of a guest's to get out of a share. They run in the share's root, where the host has planted:
 *
 *   link-to-secret, way-out      absolute links to a file and to the folder that holds it, outside; OUTSIDE is where
 *   up-and-out, far-up           relative ones to the file
 *   dangling-out                 to a name in that folder that nothing has
 *   deep/a/b/c/d                 folders
 *   race, bait                   a folder with a file "secret", and a file. While the attempts run, the host exchanges
 *                                the first with a link to the folder outside, the other with a link to the file
 *   leaver                       a folder with a file, which the host moves out beside another secret, and in again
 *   bind                         a folder on which the host has mounted the folder outside, after the share was served
 *   pipe, socket                 where a process of the host waits
 *
 * What must never be read begins with CANARY and has CANARY_LEN bytes; what becomes of things outside the host sees.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "tests/files/files.h"

#define CANARY     "CANARY"
#define CANARY_LEN 4242

/* Read what this descriptor has, if it is one: it must not be the canary. Closes it. */
void read_is_harmless(int fd);
/* Opened with these flags, if it can be. */
void open_is_harmless(const char *path, int flags);
/* A call that has to fail, whatever it says. */
#define refused(call)                                                                                        \
        do {                                                                                                 \
                if ((call) >= 0)                                                                             \
                        case_fail("%s: done", #call);                                                        \
        } while (0)
/* A call that may do what it likes: what the host sees counts. */
#define tried(call) ((void)!(call))
