/* The published list of ways out that this suite goes through, with a reason each, for a person.
 * Owns nothing; read by the runner. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/attempt.h"

const struct topic topics[] = {
    {"E1", "every system call by number", GROUP_KERNEL,
     "each call that the kernel serves is code of the kernel's that an attacker can try to break"},
    {"E2", "the same by the x32 numbers", GROUP_KERNEL,
     "a second table of numbers for the same calls would walk around a filter that knows only one"},
    {"E3", "the same by int 0x80", GROUP_KERNEL,
     "the 32-bit entry has its own numbers and its own history of bugs"},
    {"E4", "io_uring", GROUP_KERNEL, "a queue of system calls that no filter sees one by one"},
    {"E5", "userfaultfd", GROUP_KERNEL,
     "holds the kernel still in the middle of a copy: the tool of many exploits"},
    {"E6", "bpf", GROUP_KERNEL, "programs loaded into the kernel"},
    {"E7", "perf_event_open", GROUP_KERNEL, "watches other processes and the kernel itself"},
    {"E8", "kernel keyrings", GROUP_KERNEL, "secrets of the user or the service lie there"},
    {"E9", "mounting", GROUP_KERNEL, "a file system mounted is a name space gained"},
    {"E10", "new and other namespaces", GROUP_KERNEL,
     "in a namespace of one's own one is root, and meets the kernel as root"},
    {"E11", "ptrace", GROUP_KERNEL, "whoever traces the broker is the broker"},
    {"E12", "reading and writing other processes' memory", GROUP_KERNEL,
     "the guest's memory is in the broker, another guest's in another"},
    {"E13", "taking the broker's descriptors", GROUP_KERNEL, "they are guest memory and KVM"},
    {"E14", "comparing kernel pointers", GROUP_KERNEL, "tells where the kernel keeps things"},
    {"E15", "running a program from memory", GROUP_KERNEL, "no file is needed to bring one's own"},
    {"E16", "running a program", GROUP_KERNEL, "a shell is the usual first step"},
    {"E17", "making memory executable", GROUP_KERNEL, "injected code has to lie somewhere"},
    {"E18", "READ_IMPLIES_EXEC", GROUP_KERNEL, "an old switch that makes all memory executable"},
    {"E19", "switching off one's own protections", GROUP_KERNEL, "what can be undone does not protect"},
    {"E20", "adding a filter of one's own", GROUP_KERNEL,
     "a filter with a listener answers calls in one's place"},
    {"E21", "ports, segments, and the processor's own tables", GROUP_KERNEL,
     "hardware without the kernel between"},
    {"E22", "becoming somebody else", GROUP_KERNEL, "root, the broker, or a member of a group"},
    {"E23", "opening files by name", GROUP_FILES,
     "what can be named can be read: keys, other guests' disks, /dev/kvm"},
    {"E24", "walking from a descriptor", GROUP_FILES, "a directory that one holds leads to the one above it"},
    {"E25", "leaving the root directory", GROUP_FILES, "the classic way out of a chroot"},
    {"E26", "opening by handle", GROUP_FILES, "names nothing, walks around every directory's rights"},
    {"E27", "the broker's files in /proc", GROUP_FILES, "memory, descriptors and environment, as files"},
    {"E28", "the image's name", GROUP_FILES,
     "another file under the disk's name is opened at the next start"},
    {"E29", "beyond the image's end", GROUP_FILES, "a disk that grows fills its host"},
    {"E30", "the image's size and shape", GROUP_FILES,
     "a disk cut short loses data, one that grows fills its host"},
    {"E31", "writing a read-only image", GROUP_FILES, "a shared, read-only disk belongs to others too"},
    {"E32", "file server tricks", GROUP_FILES,
     "a folder that is shared is walked by names which the guest has chosen, beside all other folders"},
    {"E33", "sockets of every family", GROUP_PROCESSES,
     "the network, the hypervisor, and rarely used kernel code"},
    {"E34", "the broker's own sockets", GROUP_PROCESSES, "the operator's door is not a worker's"},
    {"E35", "signals", GROUP_PROCESSES, "what can be signalled can be killed"},
    {"E36", "a signal that looks like the kernel's", GROUP_PROCESSES, "handlers believe what it says"},
    {"E37", "shared memory, semaphores, queues", GROUP_PROCESSES, "meeting places of processes"},
    {"E38", "typing into a terminal", GROUP_PROCESSES, "what a terminal reads, its shell runs"},
    {"E39", "sending descriptors to the broker", GROUP_PROCESSES,
     "an unasked descriptor fills a table or stops a reader"},
    {"E40", "sending another's credentials", GROUP_PROCESSES, "a name that is not one's own"},
    {"E41", "a descriptor that hangs whoever touches it", GROUP_PROCESSES,
     "one's own file system answers when it wants"},
    {"E42", "a socket sent through itself", GROUP_PROCESSES,
     "a circle that only the kernel's collector can open"},
    {"E43", "closing one's own channels", GROUP_PROCESSES, "a peer that is half gone"},
    {"E44", "moving descriptors about", GROUP_PROCESSES, "numbers that others rely on"},
    {"E45", "filling a shared event counter", GROUP_SHARED, "a full one blocks its next writer"},
    {"E46", "clearing O_NONBLOCK for the other side", GROUP_SHARED, "a broker that blocks serves nobody"},
    {"E47", "signals from a descriptor", GROUP_SHARED, "F_SETOWN lets the kernel send them"},
    {"E48", "moving a shared offset", GROUP_SHARED, "the next read of somebody else is elsewhere"},
    {"E49", "locks that block others", GROUP_SHARED, "the successor would wait for the image for ever"},
    {"E50", "changing a sealed or shared memory file", GROUP_SHARED,
     "memory that shrinks under a reader kills it"},
    {"E51", "writing to shared memory that is read-only", GROUP_SHARED,
     "no device has a region that it may only read: its own memory it shares, and what it maps has the "
     "rights of its file",
     1},
    {"E52", "reading and writing outside the request", GROUP_CHANNEL,
     "guest memory beyond the buffers that were posted"},
    {"E53", "writing what was lent for reading", GROUP_CHANNEL, "the guest does not expect it to change"},
    {"E54", "other spaces than one's own requests", GROUP_CHANNEL,
     "rings and descriptors are guest memory too"},
    {"E55", "another device's requests", GROUP_CHANNEL, "its buffers are none of ours"},
    {"E56", "a request after its completion", GROUP_CHANNEL,
     "the guest uses that memory for something else by then"},
    {"E57", "completing twice", GROUP_CHANNEL, "the second completion is somebody else's"},
    {"E58", "completing what was never asked", GROUP_CHANNEL,
     "a driver that gets an answer it does not wait for"},
    {"E59", "an answer longer than its buffer", GROUP_CHANNEL, "a driver believes the length it is told"},
    {"E60", "completing after a reset", GROUP_CHANNEL, "the guest has given that memory to something new"},
    {"E61", "a configuration that does not fit", GROUP_CHANNEL, "sizes are what memory is corrupted with"},
    {"E62", "interrupts without end", GROUP_CHANNEL, "a guest that does nothing but answer them"},
    {"E63", "messages out of turn", GROUP_CHANNEL, "a state machine is attacked where its states change"},
    {"E64", "answers that were not asked for", GROUP_CHANNEL, "the wrong question gets answered"},
    {"E65", "malformed messages", GROUP_CHANNEL, "parsers break"},
    {"E66", "bombs of unknown fields", GROUP_CHANNEL, "64 KiB that unpack to megabytes"},
    {"E67", "10,000 messages in one another", GROUP_CHANNEL, "each costs the parser a frame of stack"},
    {"E68", "one byte at a time", GROUP_CHANNEL, "a reader that waits for the rest waits for ever"},
    {"E69", "as many messages as will go", GROUP_CHANNEL, "a broker that serves one peer only"},
    {"E70", "never reading", GROUP_CHANNEL, "answers that nobody takes pile up"},
    {"E71", "lies in the log", GROUP_CHANNEL,
     "whoever reads the log believes it, and so does their terminal"},
    {"E72", "maps of shared memory", GROUP_CHANNEL,
     "what is mapped the guest reaches without asking, and the broker has under its feet"},
    {"E73", "unmaps of shared memory", GROUP_CHANNEL,
     "a hole in the broker's address space is filled by whatever comes next"},
    {"E74", "all memory", GROUP_EXHAUSTION, "the host's memory is everybody's"},
    {"E75", "fork bombs", GROUP_EXHAUSTION, "process numbers are everybody's"},
    {"E76", "all descriptors", GROUP_EXHAUSTION, "open files are counted for the host as a whole"},
    {"E77", "all of the processor", GROUP_EXHAUSTION, "others must get their share"},
    {"E78", "playing dead", GROUP_EXHAUSTION, "a worker that neither answers nor ends"},
    {"E79", "all of the disk", GROUP_EXHAUSTION, "an image may become as big as it is, and no bigger"},
    {"E80", "flushes without end", GROUP_EXHAUSTION, "the host's disk is everybody's"},
    {"E81", "crashing again and again", GROUP_EXHAUSTION,
     "each restart costs a process, each crash a line of log"},
    {"E82", "holding requests for ever", GROUP_EXHAUSTION, "a guest that is stopped must not wait for it"},
    {"E83", "secrets in what the broker sends", GROUP_LEAKS,
     "an address of the broker's undoes its random layout; bytes of others are theirs"},
    {"E84", "uninitialised bytes in messages", GROUP_LEAKS, "padding is where old memory leaks"},
    {"E85", "a sibling's layout", GROUP_LEAKS, "who knows its own layout must not know that of others"},
    {"E86", "counters and caches of the processor", GROUP_LEAKS,
     "side channels are measured with them; the kernel, not the jail, decides: reported only"},
    {"E87", "what the process was started with", GROUP_LEAKS, "environments and arguments carry secrets"},
    {"E88", "what is left when it has ended", GROUP_LEAKS,
     "the next owner of the uid or the group must find nothing"},
    {"D1", "the tap's driver", GROUP_SHARED, "a tap has dozens of settings, and some are the host's"},
    {"D2", "who is at the other end", GROUP_SHARED,
     "a socket carries more than bytes: descriptors, names, and the network that it was made in"},
    {"D3", "logs, ports and terminals", GROUP_SHARED,
     "operators read what a console writes, and type into what it listens at"},
    {"D4", "sockets beside one's folder", GROUP_SHARED,
     "who may make sockets for a guest could make them to everybody"},
    {"D5", "memory shared with the guest", GROUP_SHARED,
     "what lies there the broker and other devices' requests may read at any moment"},
};
const size_t n_topics = array_size(topics);

_Static_assert(array_size(topics) == TOPICS_PUBLISHED + TOPICS_OWN, "the published list has 88 rows");

const struct topic *topic_find(const char *id)
{
        for (size_t i = 0; i < n_topics; i++)
                if (strcmp(topics[i].id, id) == 0)
                        return &topics[i];
        return NULL;
}

const char *attempt_group_name(enum attempt_group group)
{
        static const char *const names[] = {
            [GROUP_KERNEL] = "kernel", [GROUP_FILES] = "files",     [GROUP_PROCESSES] = "processes",
            [GROUP_SHARED] = "shared", [GROUP_CHANNEL] = "channel", [GROUP_EXHAUSTION] = "exhaustion",
            [GROUP_LEAKS] = "leaks",
        };

        _Static_assert(array_size(names) == GROUP_COUNT_, "a name for each group");
        return names[group];
}

const char *attempt_ends_text(unsigned ends, char *out, size_t size)
{
        static const char *const names[] = {"SIGSYS",  "ERRNO", "PROTO_KILL", "IGNORED",
                                            "BOUNDED", "OWN",   "CRASH"};
        size_t len = 0;

        out[0] = '\0';
        for (unsigned i = 0; i < array_size(names) && len < size; i++)
                if (ends & (1u << i))
                        len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "|" : "", names[i]);
        return out;
}

extern const struct attempt attempts_kernel[], attempts_reach[], attempts_devices[], attempts_channel[];
extern const size_t n_attempts_kernel, n_attempts_reach, n_attempts_devices, n_attempts_channel;

const struct attempt *attempt_at(size_t i)
{
        if (i < n_attempts_kernel)
                return &attempts_kernel[i];
        i -= n_attempts_kernel;
        if (i < n_attempts_reach)
                return &attempts_reach[i];
        i -= n_attempts_reach;
        if (i < n_attempts_devices)
                return &attempts_devices[i];
        i -= n_attempts_devices;
        return i < n_attempts_channel ? &attempts_channel[i] : NULL;
}
