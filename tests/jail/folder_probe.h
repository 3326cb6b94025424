/* What a test asks the probe of a folder's jail, and its answer: a number, or negative errno.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum folder_ask {
        FOLDER_LOCKDOWN = 1, /* Landlock and the run filter */
        FOLDER_OPEN,         /* with flags; closed again */
        FOLDER_READ,         /* the first byte */
        FOLDER_WRITE,        /* one byte, at the beginning */
        FOLDER_CREATE,
        FOLDER_MKDIR,
        FOLDER_MKNOD, /* a device, with flags as its mode */
        FOLDER_UNLINK,
        FOLDER_RENAME, /* to other */
        FOLDER_LINK,   /* as other */
        FOLDER_UID,    /* its owner */
        FOLDER_MODE,
        FOLDER_CHMOD,
        FOLDER_ENTRIES,   /* how many, without "." and ".." */
        FOLDER_EXECUTE,   /* in a child: its exit status */
        FOLDER_CONNECT,   /* to a socket there */
        FOLDER_BELOW,     /* opens a path relative to the resource */
        FOLDER_MYSELF,    /* our uid */
        FOLDER_CREATE_AS, /* as this user and group: flags */
        FOLDER_CHOWN,     /* to both: flags */
        FOLDER_BEYOND,    /* tries what no folder has to do with: -1, or the first that was allowed */
};

struct folder_command {
        uint32_t ask, flags;
        char path[120], other[120];
};
