/* Groups of cases and the bugs of others that they try again; docs/SECURITY.md has the record. Owns nothing. TRUST:
 * our own words.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/history.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

static const struct {
        const char *group, *was;
} groups[] = {
    {"ring.loop", "a loop of descriptors, also of length 0, walked for ever"},
    {"ring.length", "a chain longer than the queue, memory without bound"},
    {"ring.order", "direction not checked: a write into what the device may only read"},
    {"ring.flags", "flags that are unknown or contradict each other"},
    {"ring.next", "a next index beyond its table"},
    {"ring.head", "a head beyond the ring"},
    {"ring.duplicate", "one head in flight twice: use after free"},
    {"ring.avail", "the available index jumps, goes back or wraps"},
    {"ring.used", "a used index that was there before"},
    {"ring.events", "event words that ask for the impossible"},
    {"ring.indirect",
     "indirect tables: empty, odd, nested, huge, unagreed, over two regions; legal ones refused"},
    {"ring.address", "address and length wrap or leave their region; length 0 with a bad address"},
    {"ring.sum", "the sum of a chain's lengths wraps"},
    {"ring.header", "a header cut into more descriptors than expected, or too short"},
    {"ring.status", "the status byte missing, misplaced, or wider than the guest gave"},
    {"ring.request", "types, sectors and ranges without sense"},
    {"ring.size", "a ring of size 0, no power of two, or over the largest"},
    {"ring.base", "an index cut to 16 bits before it is judged"},
    {"ring.place", "a ring misaligned, over an edge, in no memory or in read-only memory"},
    {"ring.overlap", "a ring over another or over a buffer"},
    {"ring.state", "geometry changed after activation; a broken ring not seen as broken: a busy loop"},
    {"ring.memory", "memory taken away or shortened under requests"},
    {"ring.descriptor", "an event descriptor whose state holds the one who trusts it"},
    {"ring.moving", "a value in shared memory read twice, or in two halves"},
    {"message.length", "header or payload short, long or cut"},
    {"message.flags", "version and flags not judged"},
    {"message.fds", "descriptors missing, too many, of the wrong kind, leaked on an error"},
    {"message.state", "a message before or after its time"},
    {"message.repeated", "what is kept of each repetition: descriptors, maps, answers that nobody reads"},
    {"message.unserved", "a message that was never agreed on"},
    {"message.index", "a ring number cut before it is judged"},
    {"message.memory", "size and offset wrap before mmap; regions overlap; tables that do not add up"},
    {"message.config", "config space: offset and size not held against its end"},
    {"message.value", "well-formed messages with impossible values"},
    {"message.good", "the control: what is well-formed is served"},
};

#define OF_PACKED "ring.packed_"

/* The groups of packed rings try what the groups of split ones do. */
const char *history_of(const char *group)
{
        char of_split[64];

        if (strncmp(group, OF_PACKED, strlen(OF_PACKED)) == 0) {
                snprintf(of_split, sizeof(of_split), "ring.%s", group + strlen(OF_PACKED));
                group = of_split;
        }
        for (size_t i = 0; i < array_size(groups); i++)
                if (strcmp(groups[i].group, group) == 0)
                        return groups[i].was;
        return NULL;
}
