/* Every limit that a loop, list, string, timer or retry over foreign data has, with one line of reason each.
 * A limit is part of the contract: it stands here, is tested at, under and over its edge, and is named in the
 * documents by this name.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One row a line, however long. */
/* clang-format off */

/* ---- descriptors ---- */
#define LIMIT_PASS_FDS 32u /* sent with one message: control, LIMIT_LANES lanes and a pidfd, rounded up */

/* ---- frames and messages (proto/) ---- */
#define LIMIT_FRAME_HEADER  65536u      /* bytes of protobuf in a frame: far over the largest real one (about 6 KiB) */
#define LIMIT_FRAME_PAYLOAD (1u << 20)  /* raw bytes in a frame: one large request, and no more held per peer */
#define LIMIT_WIRE_DEPTH    4u          /* nesting of messages: the schemas need three */
#define LIMIT_WIRE_REPEATED 64u         /* elements of a repeated message, string or bytes field */
#define LIMIT_WIRE_COLUMN   256u        /* elements of a packed column: one full batch */
#define LIMIT_WIRE_STRING   4096u       /* bytes of a string or bytes field: PATH_MAX is the longest real one */
#define LIMIT_WIRE_FIELDS   32u         /* fields of one message of our schemas: the pre-scan counts them on the stack */
#define LIMIT_ARENA         (256u * 1024u) /* bytes protobuf-c may use to unpack one message */

/* ---- lane (broker <-> worker) ---- */
#define LIMIT_MEM_SEGMENTS  64u  /* segments of one MemRead or MemWrite */
#define LIMIT_MEM_READS     16u  /* MemReads a worker may have unanswered: their answers wait in the broker */
#define LIMIT_LANE_SOCKET   (1u << 20) /* bytes on their way in each direction: the largest payload, so that both sides work */
#define LIMIT_CREDITS       256u /* requests a worker may hold: one column */

/* ---- direct copy (broker/core/direct_copy.h) ---- */
#define LIMIT_AREA_PAGE   4096u /* bytes of an area that are handed out together: the smallest page there is */
#define LIMIT_AREA        (8u << 20) /* bytes of a worker's area, a lane: four requests of 1 MiB under way, and four to come */
#define LIMIT_AREA_REST_S 1u     /* seconds without a request: then a worker gives the area's pages back; far over a pause of a busy guest */
#define LIMIT_DIRECT_PART (2u << 20) /* bytes of one part of a request that lies in it: twice Linux's largest */
#define LIMIT_DIRECT_LEND ((1u << 20) + LIMIT_AREA_PAGE) /* bytes of a writable part that has a place in it: Linux's largest read, and a page for its status */
#define LIMIT_DIRECT_PUSH (512u << 10) /* bytes put there for one Requests frame, but for a single request: then the worker begins */

/* ---- quotas of a worker (broker/core/quota.h) ---- */
#define LIMIT_QUOTA_FRAMES       16u    /* frames that a request of any size is worth: ours send one in 16 requests */
#define LIMIT_QUOTA_PIECE        4096u  /* ... and one more for each so many bytes of it: a page, ours send 32 together */
#define LIMIT_QUOTA_BYTES        16384u /* bytes that a request of any size is worth: heads, headers, questions */
#define LIMIT_QUOTA_FACTOR       4u     /* ... and so many for each byte of it: to be read and written twice each */
#define LIMIT_QUOTA_TURN         1024u  /* bytes that wake a lane in the middle of a frame, on average */
#define LIMIT_QUOTA_SHORT_TURNS  64u    /* ... except for so many: the kernel hands out whole frames or whole pages */
#define LIMIT_QUOTA_SAVED_FRAMES 64u    /* frames kept from answered requests: enough for slack, no flood */
#define LIMIT_QUOTA_SAVED_BYTES  (256u * 1024u) /* bytes likewise */
#define LIMIT_LANE_TURN          256u   /* frames of one lane a turn, and one read: the main thread may wait for it */
#define LIMIT_LANE_FRAMES        16u    /* frames sent to a worker in a turn: all MemReads answered, or 1024 chains taken */
#define LIMIT_CONTROL_TURN       4096u  /* bytes of one control channel a turn: 400 of the smallest messages */
#define LIMIT_CONTROL_BURST      2048u  /* messages that a worker says unasked, at once */
#define LIMIT_CONTROL_RATE       1024u  /* ... and a second: far over what a state saved with each request needs */
#define LIMIT_CONTROL_LOG_BURST  64u    /* log messages at once; what is more is dropped and counted */
#define LIMIT_CONTROL_LOG_RATE   16u    /* ... and a second: a person reads them */
#define LIMIT_CONTROL_CONFIG_BURST 64u  /* changed config spaces at once: each interrupts guest and VMM */
#define LIMIT_CONTROL_CONFIG_RATE  16u  /* ... and a second */

/* ---- spinning before a sleep (proto/base/spin.h) ---- */
#define LIMIT_POLL_US       1000u /* poll_us: a sleep and a wake-up cost a fiftieth; who wants more wants a core to burn */
#define LIMIT_POLL_SERVED   16u   /* times that a spin of a lane finds something in one go: the loop has timers and calls to serve */
#define LIMIT_SPIN_BARREN   4u    /* spins in a row that find nothing: then fewer wake-ups are followed by one, ... */
#define LIMIT_SPIN_SKIPS    64u   /* ... down to one in so many: it sees again when they pay */

/* ---- placement of a lane and its worker (broker/core/placement.h) ---- */
#define LIMIT_PLACES            8u    /* CPUs of one trial: each costs a window; on a host with more the next has others */
#define LIMIT_PLACE_CPUS        64u   /* CPUs that are candidates at all: where there are more, the rest is not looked at */
#define LIMIT_PLACE_WINDOW_MS   20u   /* of a window at most: a load that does not fill it is too light to be placed */
#define LIMIT_PLACE_HOLD_MIN_MS 50u   /* from a trial to the next: doubles while it finds the same, ... */
#define LIMIT_PLACE_HOLD_MAX_MS 1000u /* ... up to this: a host that has changed is seen in a second */
#define LIMIT_PLACE_TICK_MS     10u   /* a device that has been idle for so long is confined nowhere */
#define LIMIT_PLACE_MEMORY_MS   10000u /* so long a choice is remembered over a rest: loads come in bursts */
#define LIMIT_PLACE_GUARD_MS    250u  /* between two looks at what others use: the kernel counts in ticks of 10 ms */
#define LIMIT_PLACE_BARRED_MS   4000u /* a CPU that others need is not tried for so long */
#define LIMIT_PLACE_STAT        16384u /* bytes of /proc/stat that are looked at: lines of 100 CPUs, which come first */

/* ---- rings (virtio 1.3, 2.7) ---- */
#define LIMIT_RING_SIZE     1024u       /* QEMU's largest (VIRTQUEUE_MAX_SIZE); the specification allows 32768 */
#define LIMIT_CHAIN_BYTES   (32u << 20) /* bytes of one chain, both directions: 25 times Linux's largest request */
#define LIMIT_CHAIN_SEGMENTS 1024u      /* segments of one chain: never over the ring size */
#define LIMIT_QUEUES        64u         /* queues of one device */
#define LIMIT_POP_BATCH     64u         /* chains taken off one ring a turn, so that no queue starves another */

/* ---- fairness between the queues of a lane (broker/core/fair.h) ---- */
#define LIMIT_FAIR_REQUEST  4096u       /* what a request costs beside its bytes: so many are copied in the time */
#define LIMIT_FAIR_QUANTUM  (128u << 10) /* cost of a turn: 16 requests of a page, the worker's largest piece */
#define LIMIT_FAIR_WINDOW   (1u << 20)  /* cost that a queue has with the worker while others are active: 0.2 ms of copying */
#define LIMIT_FAIR_ACTIVE_MS 100u       /* so long after its last request a queue is active */
#define LIMIT_FAIR_RESERVE  4u          /* a part of the credit, one in so many, is kept for queues that do not use theirs */

#define LIMIT_FAIL_BYTES    (1u << 20)  /* zeroed in one turn of a lane that fails everything: one large request */

/* ---- guest memory ---- */
#define LIMIT_REGIONS       512u        /* regions of one table: QEMU's cap on x86 (VHOST_USER_MAX_RAM_SLOTS) */

/* ---- a VM of the KVM front end (broker/kvm/) ---- */
#define LIMIT_KVM_MEMORY_MIN (16u << 20) /* bytes of RAM: no Linux kernel lives in less */
#define LIMIT_VCPUS          64u   /* vCPUs of one VM: a thread of the broker each, and a local APIC's id has room for 254 */
#define LIMIT_CMDLINE        2048u /* bytes of a kernel's command line with its NUL: what x86 and arm64 kernels take */
#define LIMIT_KVM_SLOTS      512u  /* memory slots of one VM: as many as a table has regions (LIMIT_REGIONS) */

/* ---- devices ---- */
#define LIMIT_DEVICES       64u   /* devices of one VM: the spawner keeps one child each */
#define LIMIT_LANES         16u   /* lanes of one device */
#define LIMIT_NAME          64u   /* bytes of a VM's or device's name with its NUL: it becomes a file name */
#define LIMIT_CONFIG_FIELDS 256u  /* fields of a config space */
#define LIMIT_CONFIG_BYTES  256u  /* bytes of a config space (vhost-user carries no more) */
#define LIMIT_STATE_BYTES   4096u /* a worker's saved state (PutState): small by contract */
#define LIMIT_WHY           160u /* bytes of the clause that says why a device is quarantined: it stands in a line of ps */
#define LIMIT_PORTS         31u  /* of a console: each has two queues, and two are for control */
#define LIMIT_SETTINGS      32u  /* that an operator has made at one device: a size a port, and the link */
#define LIMIT_SETTING_MS    100u /* between two of them: each may interrupt guest and VMM; a terminal that is being drawn asks again */
#define LIMIT_RESOURCES     8u    /* files that one device's configuration may name */

/* ---- booting (kvm front end) ---- */
#define LIMIT_WORKERS        (LIMIT_DEVICES + 1u) /* children of one spawner: one a device, and the loader */
#define LIMIT_BOOT_RAM       4u    /* ranges of RAM: x86 has two */
#define LIMIT_BOOT_INTERRUPT 988u  /* GSI or SPI numbers: a GIC has no more */
#define LIMIT_BOOT_REASON    256u  /* bytes of the sentence that says why a kernel cannot be loaded: one log line */

/* ---- workers ---- */
#define LIMIT_WORKER_WATCHES 14u /* descriptors of a device's own: with 16 lanes and control one ppoll of 31, as the filter has it */
#define LIMIT_RNG_BYTES    65536u /* bytes of one entropy request: less than asked for is allowed, and no other waits */
#define LIMIT_BLK_RANGES   32u    /* ranges of one discard request: Linux merges up to 256, we offer this many */
#define LIMIT_BLK_DISCARD  (1u << 21) /* sectors of one discarded range (1 GiB): a host call ends in good time */
#define LIMIT_BLK_ZEROES   (1u << 17) /* sectors of one zeroed range (64 MiB): it may have to be written out */
#define LIMIT_IO_RETRIES   100u   /* interrupted host calls of one transfer: no signal is expected at all */

/* ---- sessions ---- */
#define LIMIT_VHOST_USER_PAYLOAD 4096u /* largest front-end message that is served: config 12 + 256, table 8 + 8 x 32 */
#define LIMIT_VHOST_USER_FDS     8u    /* descriptors of one message (SET_MEM_TABLE) */
#define LIMIT_VHOST_USER_OUTPUT  16384u /* bytes of replies that a front end has not read: a real one waits for each */
#define LIMIT_VHOST_USER_TURN    32u   /* messages of one session a turn, so that no front end starves the loop */
#define LIMIT_ACCEPT_RETRY_MS    200u  /* accept failed for want of descriptors or memory: not a busy loop */

/* ---- virtio-mmio (broker/kvm/) ---- */
#define LIMIT_MMIO_QUEUE_SIZE    256u /* QueueNumMax: as many as a worker may hold; the guest allocates rings of this size */
#define LIMIT_MMIO_CONFIG_WRITES 64u  /* config writes that wait for the one before: a real driver makes one at a time */

/* ---- the KVM front end's machine (broker/kvm/) ---- */
#define LIMIT_BUS_RANGES      96u    /* devices and the platform's own: a dozen more than LIMIT_DEVICES */
#define LIMIT_VCPU_FAULTS     256u   /* accesses to memory that is not there, in a row on one vCPU: one a page of a file's end */
#define LIMIT_CPUID_LEAVES    256u   /* of the host's processor: real ones have about 60 */
#define LIMIT_SERIAL_OUT      65536u /* bytes that a guest has printed and nobody has taken: a boot's messages */
#define LIMIT_SERIAL_IN       256u   /* bytes typed ahead: a line */
#ifndef LIMIT_SERIAL_FLUSH_MS
#define LIMIT_SERIAL_FLUSH_MS 1000u  /* for a guest's last words when the reader is slow */
#endif

/* ---- the operator's command ---- */
#define LIMIT_CTL_CONFIG_BYTES (1u << 20) /* bytes of a configuration file: 64 devices need 30 KiB */
#define LIMIT_CTL_MISTAKES     100u       /* mistakes that one check prints: nobody reads more */
#define LIMIT_CTL_VMS          1024u      /* VMs of one run directory that ps and audit list */
#define LIMIT_CTL_ANSWER_MS    2000u      /* a broker that has not answered by then is shown as hung */
#define LIMIT_PROC_FILE        (8u << 20) /* bytes of one file of /proc: maps with 65,530 lines has about 6 MiB */
#define LIMIT_PROC_FDS         4096u      /* descriptors of one process that audit looks at */
#define LIMIT_PROC_PIDS        65536u     /* processes of the host that audit looks through for children */
#define LIMIT_PROC_FILES       1024u      /* shared files that one broker maps: LIMIT_REGIONS, doubled */

/* ---- logs ---- */
#define LIMIT_WORKER_OUTPUT      65536u /* last bytes of a worker's words that are kept; and read in one LIMIT_LOG_WINDOW_MS: a flood waits */
#define LIMIT_WORKER_OUTPUT_RATE 16384u /* bytes of log lines that one device's worker may cause in LIMIT_LOG_WINDOW_MS */
#define LIMIT_WORKER_TAIL_RATE   131072u /* bytes of log lines that show its dead workers' last output in ... */
#define LIMIT_WORKER_TAIL_MS     60000u /* ... so long: one whole tail, or many short ones */
#define LIMIT_LOG_LINE  1024u /* bytes of one line, tail included */
#define LIMIT_LOG_BURST 10u   /* lines a call site may write in LIMIT_LOG_WINDOW_MS when others can trigger it */
#ifndef LIMIT_LOG_WINDOW_MS
#define LIMIT_LOG_WINDOW_MS 5000u
#endif

/* ---- supervision ---- (tests/core is built with shorter times) */
#define LIMIT_LANE_CALL_MS    100u  /* a lane answers its main thread in microseconds, unless a peer's eventfd holds it */
#ifndef LIMIT_SPAWN_MS
#define LIMIT_SPAWN_MS        10000u /* the spawner's answer: a real one needs 5 ms. Then it is said loudly, and again */
#endif
#ifndef LIMIT_HELLO_MS
#define LIMIT_HELLO_MS        5000u /* a worker that has not said Hello by then is killed: a real one needs 5 ms */
#endif
#ifndef LIMIT_CONTROL_MS
#define LIMIT_CONTROL_MS      30000u /* to its Done: a worker may be inside a flush of a slow disk */
#endif
#ifndef LIMIT_REQUEST_AGE_MS
#define LIMIT_REQUEST_AGE_MS  60000u /* with one worker, when the configuration says nothing: half of Linux's patience */
#endif
#define LIMIT_REQUEST_TIMEOUT_S 3600u /* the longest that a configuration may say: a hung worker is found in an hour */
#ifndef LIMIT_DRAIN_MS
#define LIMIT_DRAIN_MS        2000u /* GET_VRING_BASE: the guest is frozen while we wait */
#endif
#ifndef LIMIT_BOOT_MS
#define LIMIT_BOOT_MS         60000u /* to load kernel and initrd: a gigabyte from a slow disk. Then the loader is killed */
#endif
#ifndef LIMIT_KILL_MS
#define LIMIT_KILL_MS         5000u /* SIGKILL to exit: longer means a process stuck in the kernel: said loudly */
#endif
#define LIMIT_TRACE_STOPS     256u  /* signals that the spawner delivers as a worker's tracer: a real one gets none */
#define LIMIT_BARREN_RESTARTS 5u    /* incarnations in a row that completed nothing: then quarantine */
#define LIMIT_POISON_ATTEMPTS 2u    /* incarnations that died with a request: then it is sent alone, to see */
#define LIMIT_POISON_FAILURES 2u    /* ... with it alone, though it was only to be failed: then quarantine */
#define LIMIT_BACKOFF_MIN_MS  10u   /* second restart in a row; doubles from here */
#define LIMIT_BACKOFF_MAX_MS  2000u
#ifndef LIMIT_SETTLED_MS
#define LIMIT_SETTLED_MS      60000u /* one that lived so long with nothing to do was not barren */
#endif
#ifndef LIMIT_RESTART_MS
#define LIMIT_RESTART_MS      20u   /* between two starts of one device's worker: each costs a new process */
#endif
#define LIMIT_RESET_MS        50u    /* between two resets of one device: each costs a new process */
