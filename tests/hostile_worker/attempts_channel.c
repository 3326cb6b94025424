/* Attempts at the broker and at what all share: messages, exhaustion, leaks: E52 .. E88.
 * Owns nothing; read by the runner. TRUST: sees no foreign bytes.
 *
 * The broker judges messages whatever layers the jail has, so most of these are expected to end alike in all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "tests/hostile_worker/attempt.h"

extern const struct attempt attempts_channel[];
extern const size_t n_attempts_channel;

#define JUDGED_ON(devices, topic, key, what, number)                                                         \
        {                                                                                                    \
                topic, key, what, devices, ATTEMPT_BROKER, END_BROKER, END_BROKER, "the broker", number      \
        }
#define JUDGED(topic, key, what) JUDGED_ON(ON_BOTH, topic, key, what, 0)
#define MALFORMED(number, what)  JUDGED_ON(ON_BOTH, "E65", "malformed", what, number)
#define GOOD(topic, key, what)                                                                               \
        {                                                                                                    \
                topic, key, what, ON_BOTH, ATTEMPT_BROKER | ATTEMPT_GOOD, END_IGNORED, END_IGNORED,          \
                    "nothing is wrong with it", 0                                                            \
        }
#define BOUNDED(topic, key, what, number)                                                                    \
        {                                                                                                    \
                topic, key, what, ON_BOTH, ATTEMPT_BROKER, END_BOUNDED | END_BROKER,                         \
                    END_BOUNDED | END_BROKER, "the broker", number                                           \
        }
#define PLAY(devices, topic, key, what, ends, number)                                                        \
        {                                                                                                    \
                topic, key, what, devices, ATTEMPT_BROKER | ATTEMPT_PLAY, ends, ends, "the broker", number   \
        }
#define NOTHING(topic, key, what)                                                                            \
        {                                                                                                    \
                topic, key, what, ON_BOTH, ATTEMPT_BROKER, END_ERRNO, END_ERRNO, "there is none to find", 0  \
        }
#define PLAN(kind, times, topic, what)                                                                       \
        PLAY(ON_BLK, topic, "plan", what, END_BROKER | END_CRASH, (kind) | (times) << 8)

const struct attempt attempts_channel[] = {
    GOOD("E52", "read-inside", "read the last bytes that it may read"),
    GOOD("E52", "write-inside", "write up to the last byte that it may write"),
    JUDGED("E52", "read-past-end", "read one byte behind them"),
    JUDGED("E52", "read-straddling", "read across the end"),
    JUDGED("E52", "read-wrapping", "read at 2^32 - 1, two bytes"),
    JUDGED("E52", "read-wrapping-exactly", "read so that offset + length is 0"),
    JUDGED("E52", "read-nothing", "read no byte"),
    JUDGED("E52", "read-2g", "read 2 GiB"),
    JUDGED("E52", "write-past-end", "write one byte behind the end"),
    JUDGED("E52", "write-straddling", "write across the end"),
    JUDGED("E52", "write-wrapping", "write at 2^32 - 1, two bytes"),
    JUDGED("E52", "write-nothing", "write no byte"),
    JUDGED("E52", "write-2g", "write 2 GiB"),
    JUDGED("E52", "write-short-payload", "write with fewer bytes than it says"),
    JUDGED_ON(ON_BLK, "E52", "place-longer", "place one byte more than it may write", 0),
    JUDGED_ON(ON_BLK, "E52", "place-whole-pages", "place up to the end of its last page", 0),
    JUDGED_ON(ON_BLK, "E52", "place-most", "place 4 GiB", 0),
    JUDGED_ON(ON_RNG, "E52", "place-unlent", "place a byte where it was lent nothing", 0),
    {"E52", "place-unmapped", "name a place that it has unmapped", ON_BLK, 0, END_SIGSYS, END_BROKER,
     "the broker", 0},
    JUDGED("E53", "write-readable-part", "write over what was lent for reading"),
    JUDGED("E53", "read-writable-part", "read what was lent for writing"),
    JUDGED_ON(ON_BOTH, "E54", "malformed", "name another space than its requests", 12),
    JUDGED_ON(ON_BOTH, "E54", "malformed", "name no space at all", 13),
    JUDGED("E54", "raw-read", "read guest memory by address"),
    JUDGED("E54", "raw-write", "write guest memory by address"),
    JUDGED("E54", "raw-taken", "say how far it is in a ring that the broker walks"),
    JUDGED("E55", "iommu-map", "say what a device reaches, as if it were the IOMMU"),
    JUDGED("E55", "iommu-unmap", "take back what a device reaches, as if it were the IOMMU"),
    PLAY(ON_BOTH, "E55", "write-other-id", "write to a request of another device", END_BROKER, 0),
    PLAY(ON_BOTH, "E55", "read-other-id", "read from a request of another device", END_BROKER, 0),
    PLAY(ON_BOTH, "E55", "complete-other-id", "complete a request of another device", END_BROKER, 0),
    JUDGED("E55", "complete-next-ids", "guess the next 256 ids"),
    JUDGED("E55", "complete-low-ids", "guess the first 256 ids"),
    JUDGED("E56", "write-after-complete", "write to a request that is done"),
    JUDGED("E56", "read-after-complete", "read from a request that is done"),
    JUDGED_ON(ON_BLK, "E56", "place-after-complete", "place bytes of a request that is done", 0),
    JUDGED("E57", "complete-twice", "complete twice"),
    JUDGED("E57", "complete-twice-at-once", "complete twice in one message"),
    JUDGED_ON(ON_BLK, "E57", "place-twice-at-once", "place the same bytes twice in one message", 0),
    JUDGED_ON(ON_BLK, "E58", "place-other-id", "place bytes of a request that it has not been sent", 0),
    JUDGED("E58", "complete-high-id", "complete an id with one bit flipped"),
    JUDGED("E58", "complete-truncated-id", "complete an id that is the same in 32 bits"),
    JUDGED("E59", "complete-longer", "answer with one byte more than there is room"),
    JUDGED("E59", "complete-beyond", "answer behind the end"),
    JUDGED("E59", "complete-wrapping", "answer at 2^32 - 1"),
    JUDGED("E59", "complete-status", "answer with a status that there is none of"),
    PLAY(ON_BOTH, "E60", "complete-after-reset", "complete a request from before the reset", END_BROKER, 0),
    JUDGED("E61", "config-more", "push one configuration field too many"),
    JUDGED("E61", "config-most", "push 256 configuration fields"),
    JUDGED_ON(ON_BLK, "E61", "config-wide", "push values wider than their fields", 0),
    JUDGED("E61", "state-too-long", "save more state than is kept"),
    {"E62", "flood-config", "change the configuration 20,000 times", ON_BLK, ATTEMPT_BROKER,
     END_BOUNDED | END_BROKER, END_BOUNDED | END_BROKER, "the broker", 20000},
    JUDGED("E63", "second-hello", "say Hello twice"),
    PLAN(1u, 1u, "E63", "answer before Hello"),
    PLAN(2u, 1u, "E63", "save state before Hello"),
    PLAN(3u, 1u, "E63", "push configuration before Hello"),
    PLAN(4u, 1u, "E63", "complete before Hello"),
    PLAN(5u, 1u, "E63", "say that it is a network card"),
    PLAN(6u, 1u, "E63", "say other features than its predecessor"),
    PLAN(7u, 1u, "E63", "offer a feature of the transport"),
    PLAN(8u, 1u, "E63", "say more queues than its predecessor"),
    PLAN(9u, 1u, "E63", "grant other credits than its predecessor"),
    PLAN(10u, 1u, "E63", "say other configuration fields than its predecessor"),
    JUDGED("E63", "lane-on-control", "complete on the control channel"),
    JUDGED("E63", "control-on-lane", "send control messages on the lane"),
    JUDGED("E64", "rest-twice", "ask to rest while its last question is open"),
    JUDGED("E64", "done-unasked", "answer what nobody has asked"),
    JUDGED("E64", "done-future", "answer a question of the future"),
    JUDGED("E64", "reply-on-lane", "send the broker its own kind of message"),
    MALFORMED(0, "a message cut short"),
    MALFORMED(1, "a length of 4 GiB"),
    MALFORMED(2, "a number of eleven bytes"),
    MALFORMED(3, "field number 0"),
    MALFORMED(4, "a kind that there is none of"),
    MALFORMED(5, "a group"),
    MALFORMED(6, "a number where a message belongs"),
    MALFORMED(7, "one kind twice"),
    MALFORMED(8, "a completion of nothing"),
    MALFORMED(9, "ids without their columns"),
    MALFORMED(10, "a column that is no whole number of elements"),
    MALFORMED(11, "a column that is not packed"),
    MALFORMED(14, "a status that there is none of"),
    MALFORMED(15, "a text with a NUL"),
    MALFORMED(16, "a log level that there is none of"),
    MALFORMED(17, "a control message that there is none of"),
    MALFORMED(18, "an empty Hello"),
    MALFORMED(19, "half a tag"),
    JUDGED("E65", "head-empty", "a frame of nothing"),
    JUDGED("E65", "head-too-long", "a header one byte too long"),
    JUDGED("E65", "head-payload-too-long", "a payload one byte too long"),
    JUDGED("E65", "head-most", "4 GiB of both"),
    JUDGED("E65", "control-payload", "a payload on the control channel"),
    JUDGED("E65", "noise", "4 KiB of noise"),
    JUDGED("E66", "bomb-unknown", "64 KiB of unknown fields on the lane"),
    JUDGED("E66", "bomb-unknown-control", "64 KiB of unknown fields on the control channel"),
    JUDGED("E66", "bomb-unknown-1m", "1 MiB of unknown fields"),
    JUDGED("E67", "bomb-nested", "messages in messages in messages, on the lane"),
    JUDGED("E67", "bomb-nested-control", "the same on the control channel"),
    BOUNDED("E68", "drip", "one frame, a byte each 100 ms", 0),
    PLAY(ON_BOTH, "E68", "half-payload", "half of a write, and no more, while its guest is stopped",
         END_BOUNDED | END_BROKER, 0),
    PLAY(ON_BOTH, "E68", "half-frame", "half of a message, and no more, while its guest is stopped",
         END_BOUNDED | END_BROKER, 0),
    BOUNDED("E69", "flood-stats", "50,000 messages on the control channel", 50000),
    BOUNDED("E69", "flood-state", "5,000 saved states of 4 KiB", 5000),
    BOUNDED("E69", "flood-reads", "5,000 reads of its own request", 5000),
    BOUNDED("E69", "flood-writes", "20,000 writes of its own request", 20000),
    JUDGED("E70", "read-flood", "ask and ask, and never read an answer"),
    PLAY(ON_BOTH, "E70", "never-read", "read nothing for 500 ms while its guest is busy", END_BOUNDED, 500),
    PLAY(ON_BLK, "E70", "deaf", "take no control message while its guest sends 1,000",
         END_BOUNDED | END_BROKER, 1500),
    PLAY(ON_BOTH, "E71", "log-injection", "put a forged line and terminal commands into the log",
         END_BOUNDED | END_BROKER, 0),
    BOUNDED("E71", "log-long", "a line of 1,023 bytes", 0),
    JUDGED("E71", "log-too-long", "a line of 1,024 bytes"),
    JUDGED("E71", "log-1m", "a line of 1 MiB"),
    BOUNDED("E71", "flood-log", "20,000 lines", 20000),
    {"E74", "mmap-big", "map 1 TiB", ON_BOTH, 0, END_SIGSYS, END_OWN | END_ERRNO,
     "address space; limits are another layer", 0},
    {"E74", "alloc-all", "map memory until there is none", ON_BOTH, 0, END_SIGSYS, END_OWN | END_ERRNO,
     "address space; limits are another layer", 0},
    {"E74", "brk", "grow its heap", ON_BOTH, 0, END_SIGSYS, END_OWN | END_ERRNO,
     "its own; limits are another layer", 0},
    {"E74", "stack-bomb", "use 4 MiB of stack", ON_BOTH, ATTEMPT_LIMIT, END_CRASH, END_CRASH | END_OWN,
     "its own; limits are another layer", 64},
    {"E74", "mlock", "lock its memory", ON_BOTH, 0, END_SIGSYS, END_OWN | END_ERRNO,
     "its own; limits are another layer", 0},
    {"E75", "fork-bomb", "fork again and again", ON_BOTH, 0, END_SIGSYS, END_OWN | END_ERRNO,
     "its own pid namespace; limits are another layer", 0},
    {"E76", "fd-bomb", "duplicate until there are no descriptors", ON_BOTH, 0, END_SIGSYS,
     END_OWN | END_ERRNO, "its own; limits are another layer", 0},
    BOUNDED("E77", "spin", "compute for half a second", 300000000),
    {"E78", "stop-self", "stop itself", ON_BOTH, ATTEMPT_HURTS, END_SIGSYS, 0, "", 0},
    {"E78", "ignore-term", "ignore SIGTERM", ON_BOTH, 0, END_SIGSYS, END_OWN, "SIGKILL cannot be ignored", 0},
    {"E78", "alarm", "set an alarm", ON_BOTH, 0, END_SIGSYS, END_OWN, "its own", 0},
    {"E79", "fill-disk", "fill its image, and one piece more", ON_BLK, ATTEMPT_BROKER | ATTEMPT_LIMIT,
     END_ERRNO, END_OWN, "its own image; RLIMIT_FSIZE is another layer", 0},
    {"E80", "sync-storm", "flush 2,000 times", ON_BLK, ATTEMPT_BROKER, END_BOUNDED, END_BOUNDED,
     "its own image", 2000},
    {"E81", "crash", "crash", ON_BOTH, ATTEMPT_BROKER, END_CRASH, END_CRASH, "replaced", 0},
    {"E81", "null-pointer", "follow a null pointer", ON_BOTH, ATTEMPT_BROKER, END_CRASH, END_CRASH,
     "replaced", 8},
    {"E81", "leave", "exit in the middle of a request", ON_BOTH, ATTEMPT_BROKER, END_CRASH | END_BROKER,
     END_CRASH | END_BROKER, "replaced", 3},
    PLAN(11u, 4u, "E81", "crash four times before Hello"),
    PLAY(ON_BOTH, "E82", "hold", "hold a request while its guest is stopped", END_BOUNDED | END_BROKER,
         20000),
    PLAY(ON_BOTH, "E82", "blame-guest", "say that its guest has broken the protocol", END_BOUNDED, 0),
    GOOD("E83", "scan-control", "find an address and a secret that are there"),
    PLAY(ON_BOTH, "E83", "scan-received-addresses", "find the broker's addresses in what it was sent",
         END_ERRNO, 0),
    PLAY(ON_BOTH, "E83", "scan-received-secrets", "find secrets of others in what it was sent", END_ERRNO, 0),
    NOTHING("E83", "scan-own-secrets", "find one in its own memory"),
    NOTHING("E83", "scan-stack", "find either on its stack"),
    NOTHING("E84", "scan-padding", "find a byte that means nothing in a frame"),
    PLAY(ON_BOTH, "E85", "layout", "know its sibling's layout by its own", END_ERRNO, 0),
    {"E86", "rdtsc", "read the processor's clock", ON_BOTH, ATTEMPT_BROKER, END_OWN | END_CRASH,
     END_OWN | END_CRASH, "reported only", 0},
    {"E86", "rdpmc", "read the processor's event counters", ON_BOTH, ATTEMPT_BROKER, END_OWN | END_CRASH,
     END_OWN | END_CRASH, "reported only", 0},
    {"E86", "clflush", "flush a cache line of its own", ON_BOTH, ATTEMPT_BROKER, END_OWN | END_CRASH,
     END_OWN | END_CRASH, "reported only", 0},
    NOTHING("E87", "read-environment", "find an environment"),
    NOTHING("E87", "read-execfn", "find the path of its program"),
    PLAY(ON_BOTH, "E88", "leftovers", "leave something behind", END_ERRNO, 0),
};
const size_t n_attempts_channel = array_size(attempts_channel);
