/* As whom the worker attacks: one row a kind of device, as the runner sets it up.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIND_OWNERS 1000u /* of a folder of a range of owners */

struct kind {
        uint16_t on;        /* one ON_ bit of attempt.h */
        const char *word;   /* of --device; several kinds may be tried by one */
        const char *text;   /* for a person */
        const char *type;   /* of the device */
        const char *policy; /* of whom is attacked from */
        const char *device; /* its name */
        unsigned queue;     /* of work, to which commands go */
        bool is_disk, read_only;
        bool has_image;    /* a file of its own that is no disk */
        bool is_companion; /* its worker passes commands on */
        bool needs_root;
        bool needs_network;  /* one of its own, which takes root, too */
        bool needs_passt;    /* Debian's program */
        uint32_t owner;      /* whose the folder is; 0: anybody's */
        const char *options; /* of the device in the VM's configuration; %s is the VM's directory */
};

/* NULL behind the last. */
const struct kind *kind_at(size_t i);

/* The disk beside, which is only served. */
extern const struct kind kind_neighbour;
