/* What a VM's front end keeps of its memory, for the files that are it: front_memory.c (what is shown), front_memory_look.c (what is
 * missing of it) and front_memory_hole.c (what a guest finds where nothing is). Nobody else looks inside.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/kvm/file_view.h"
#include "broker/kvm/front_memory.h"
#include "proto/base/limits.h"

/* A memory slot that shows a mapping. */
struct shown {
        struct shmem_mapping *mapping; /* NULL: none */
        unsigned index;                /* of its device */
        uint64_t start;                /* guest-physical */
        bool watched;                  /* its file may become shorter */
        bool told;                     /* its device has been told so */
        unsigned idle_looks;           /* at zeros behind its end that nobody has touched */
        bool told_end;                 /* ... that somebody was behind the file's end */
        uint64_t serial;               /* of all that have ever been shown */
        struct file_view view;         /* where files may end: what the slot shows */
};

struct member {
        struct device *device; /* NULL: it has not joined */
        bool refuses;
        struct guest_memory *own; /* of one that refuses; NULL: it sees what all see */
};

struct front_memory {
        struct front_memory_place place;
        struct guest_memory *bare; /* RAM, and nothing in any region */
        struct guest_memory *shared;
        struct member members[LIMIT_DEVICES];
        struct shown shown[LIMIT_KVM_SLOTS]; /* by slot */
        unsigned n_shown, n_watched;
        uint64_t n_ever;
        uint64_t behind_since_ns,
            behind_last_ns; /* that vCPUs come behind files' ends, one after the other */
        uv_timer_t timer;   /* runs while there is anything to watch */
        atomic_uint_fast64_t holes;
};

/* The timer's, while anything is watched. */
void front_memory_on_look(uv_timer_t *timer);

/* The file is as long before the guest as it is now. */
void front_memory_follow(struct shown *shown);

/* An access to the range of all regions, by the bus: a vCPU's thread. */
void front_memory_on_hole(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes);
