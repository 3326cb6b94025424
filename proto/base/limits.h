/* Every limit that a loop, list, string, timer or retry over foreign data has, with one line of reason each.
 * A limit is part of the contract: it stands here, is tested at, under and over its edge, and is named in the
 * documents by this name.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One row a line, however long. */
/* clang-format off */

/* ---- descriptors ---- */
#define LIMIT_PASS_FDS 40u /* sent with one message: control, two for each of LIMIT_LANES lanes, a pidfd and the output, rounded up */

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
#define LIMIT_LANE_SOCKET   (1u << 20) /* bytes on their way in each direction, where a lane is a socket: the largest payload, so that both sides work */
#define LIMIT_CREDITS       256u /* requests a worker may hold: one column */

/* ---- direct copy (broker/core/direct_copy.h) ---- */
#define LIMIT_AREA_PAGE   4096u /* bytes of an area that are handed out together: the smallest page there is */
#define LIMIT_AREA_LINE   64u   /* ... and with dense places as many whole lines of so many bytes as a lead takes: those of a processor's cache */
#define LIMIT_AREA        (8u << 20) /* bytes of a worker's area, a lane: four requests of 1 MiB under way, and four to come */
#define LIMIT_AREA_REST_S 1u     /* seconds without a request: then a worker gives the area's pages back; far over a pause of a busy guest */
#define LIMIT_DIRECT_PART (2u << 20) /* bytes of one part of a request that lies in it: twice Linux's largest */
#define LIMIT_DIRECT_LEND ((1u << 20) + LIMIT_AREA_PAGE) /* bytes of a writable part that has a place in it: Linux's largest read, and a page for its status */
#define LIMIT_DIRECT_PUSH (576u << 10) /* bytes put there for one Requests frame, but for a single request: then the worker begins; eight of 64 KiB and their heads */

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
#define LIMIT_CONTROL_REST_MS    2u     /* in which a worker is not heard after a map or unmap of its guest's, with half of its messages gone: half the rate */
#define LIMIT_CONTROL_IOMMU_BURST 4096u  /* IommuMaps and IommuUnmaps at once, ... */
#define LIMIT_CONTROL_IOMMU_RATE  65536u /* ... and a second: at LIMIT_IOMMU_PENDING each LIMIT_CONTROL_REST_MS a worker stays below */
#define LIMIT_CONTROL_LOG_BURST  64u    /* log messages at once; what is more is dropped and counted */
#define LIMIT_CONTROL_LOG_RATE   16u    /* ... and a second: a person reads them */
#define LIMIT_CONTROL_CONFIG_BURST 64u  /* changed config spaces at once: each interrupts guest and VMM */
#define LIMIT_CONTROL_CONFIG_RATE  16u  /* ... and a second */

/* ---- a worker that waits for its lane alone (broker/core/lane_stay.h) ---- */
#define LIMIT_STAY_GAP_MS 8u  /* frames with requests no further apart: two ticks of the coarse clock at 250 Hz, ... */
#define LIMIT_STAY_FRAMES 16u /* ... so many in a row: then the next is not far */
#define LIMIT_STAY_MS     20u /* of silence, and up to twice that: then it is woken. So late may it see what comes on control */

/* ---- spinning before a sleep (proto/base/spin.h) ---- */
#define LIMIT_POLL_US       1000u /* poll_us: a sleep and a wake-up cost a fiftieth; who wants more wants a core to burn */
#define LIMIT_POLL_SERVED   16u   /* times that a spin of a lane finds something in one go: the loop has timers and calls to serve */
#define LIMIT_SPIN_BARREN   4u    /* spins in a row that find nothing: then fewer wake-ups are followed by one, ... */
#define LIMIT_SPIN_SKIPS    64u   /* ... down to one in so many: it sees again when they pay */

/* ---- placement of a lane and its worker (broker/core/placement.h) ---- */
#define LIMIT_PLACES            8u    /* CPUs of one trial: each costs a window; on a host with more the next has others */
#define LIMIT_PLACES_ALONE      2u    /* ... of which as many for the worker alone, unless requests are large: one is the driver's at most */
#define LIMIT_PLACE_CPUS        64u   /* CPUs that are candidates at all: where there are more, the rest is not looked at */
#define LIMIT_PLACE_POLL_US     50u   /* a lane whose worker has a CPU to itself looks so long for more: a piece of answers takes about as long */
#define LIMIT_PLACE_SPIN_US     100u  /* ... and such a worker: on some hosts to wake an idle CPU takes 35 to 130 us, and who looks for as long loses half at most */
#define LIMIT_PLACE_WINDOW_MS   250u  /* of a window at most: a load that does not fill it is too light to be placed */
#define LIMIT_PLACE_HOLD_MIN_MS 50u   /* from a trial to the next: doubles while it finds the same, ... */
#define LIMIT_PLACE_HOLD_MAX_MS 1000u /* ... up to this: a host that has changed is seen in a second */
#define LIMIT_PLACE_DOUBT_MS    100u  /* from one comparison without credit to the next: it takes 8 to 20 ms of a busy load, and three windows at most */
#define LIMIT_PLACE_TICK_MS     10u   /* from one look by the clock to the next, while both or one are confined */
#define LIMIT_PLACE_REST_MS     50u   /* a device that has been idle for so long is confined nowhere */
#define LIMIT_PLACE_STALL_MS    50u   /* a CPU on which nothing has been done for so long, though something is asked, is left */
#define LIMIT_PLACE_MEMORY_MS   10000u /* so long a choice is remembered over a rest: loads come in bursts */
#define LIMIT_PLACE_GUARD_MS    250u  /* between two looks at what others use: the kernel counts in ticks of 10 ms */
#define LIMIT_PLACE_BARRED_MS   4000u /* a CPU that others need is not tried for so long */
#define LIMIT_SLICE_NS          100000u /* of a short turn on a CPU (time_slice.h): the kernel's least */
#define LIMIT_SLICE_ATTR        48u     /* bytes of the first struct sched_attr: what the policy of a broker pins */
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

/* ---- DMA windows (broker/core/device_windows.h) ---- */
#define LIMIT_WINDOW_PAGE   4096u /* bytes: whole ones of a window */
#define LIMIT_RAW_CHAIN   65536u /* bytes that a chain of a ring that its worker walks is worth (quota.h): the broker sees none of them */
#define LIMIT_WINDOWS       8u    /* of one device: a guest has one bounce pool, and NUMA nodes may have one each */

/* ---- I/O translations (broker/core/iotlb.h) ---- */
#define LIMIT_IOTLB_PAGE    4096u  /* bytes: the least that any IOMMU translates */
#define LIMIT_IOTLB_ENTRIES 16384u /* of one device: the largest chain (LIMIT_CHAIN_BYTES) in single pages, twice; each change copies them */
#define LIMIT_IOMMU_PENDING 64u    /* IommuMaps and IommuUnmaps that are not answered: then its worker waits */
#define LIMIT_IOMMU_DOMAIN  (LIMIT_IOTLB_ENTRIES - 2u) /* mappings of one domain: each device of it has an entry for each at most, and none is ever put out to make room */
#define LIMIT_IOMMU_MAPPINGS 32768u /* of all domains: two full ones, and looking through them is a fraction of a request */
#define LIMIT_IOMMU_MEMORY  (2u << 20) /* bytes of what an IOMMU's successor is told: so many mappings, and whose they are */
#define LIMIT_IOMMU_FAULT_BURST 64u /* faults that are told to an IOMMU at once; what is more is counted, as where its guest has posted no buffer */
#define LIMIT_IOMMU_FAULT_RATE  256u /* ... and a second: each may interrupt its guest */
#define LIMIT_VIEW_PIECES   32768u /* of memory through translations: each in one region, or all of memory many times */
#define LIMIT_IOTLB_MISSES  64u    /* questions of one device that are not answered: then it asks no more */

/* ---- shared memory regions (broker/core/shmem.h) ---- */
#define LIMIT_SHMEM_PAGE     4096u /* bytes: whole ones of regions, mappings and files' offsets */
#define LIMIT_SHMEM_REGIONS  8u    /* of one device: virtio allows 256, its GPU has one, and each is a window of our address space */
#define LIMIT_SHMEM_LEN      (UINT64_C(1) << 40) /* bytes of one: 64 devices of 8 end far below the 2^47 of an address space */
#define LIMIT_SHMEM_MAPPINGS 248u  /* of one device at a time: each is a memory slot (LIMIT_KVM_SLOTS) and up to three areas of a process that has 65,530; with all regions one column */
#define LIMIT_SHMEM_PENDING  64u   /* ShmemMap and ShmemUnmap that are not answered yet: then a worker waits */

/* ---- a VM of the KVM front end (broker/kvm/) ---- */
#define LIMIT_KVM_MEMORY_MIN (16u << 20) /* bytes of RAM: no Linux kernel lives in less */
#define LIMIT_VCPUS          64u   /* vCPUs of one VM: a thread of the broker each, and a local APIC's id has room for 254 */
#define LIMIT_CMDLINE        2048u /* bytes of a kernel's command line with its NUL: what x86 and arm64 kernels take */
#define LIMIT_SHMEM_LOOK_MS  200u  /* between two looks at mapped files: KVM may wait without an end for a page behind a file's end */
#define LIMIT_SHMEM_GAPS     16u   /* pages of one mapping that cannot be read: two areas of the broker's each, and with more the medium is gone */
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
#define LIMIT_RESOURCES     32u   /* descriptors that one device's configuration leads to: a console has three a port; a bit each in one word */
#define LIMIT_HELD_SOCKET   (1u << 20) /* bytes on their way on a socket that outlives a worker: several of the largest frames, so that one is taken whole or not at all */
#define LIMIT_PASST_SOCKET  (4u << 20) /* the same, from passt: a guest's whole TCP window, which it fills at once; Debian 12's drops what finds no room, and then sends the window anew for each frame missed */
#define LIMIT_PEER_MIN_MS   10u   /* a stream whose peer has gone is tried at once, then after this; it doubles, ... */
#define LIMIT_PEER_MAX_MS   2000u /* ... up to this: a peer that takes us and leaves costs its device a new worker */
#define LIMIT_COUNTERS      32u   /* that a device type has: a network's frames go nowhere in 18 ways */
#define LIMIT_COUNT_MS      500u  /* between two reports of a worker's counters: a person reads them */
#define LIMIT_OPTIONS       24u   /* options of one device type: a worker of many has a dozen */
#define LIMIT_OPTION_TEXT   4096u /* bytes of an option's text with its NUL: a path is the longest */

/* ---- booting (kvm front end) ---- */
#define LIMIT_WORKERS        (LIMIT_DEVICES + 1u) /* children of one spawner: one a device, and the loader */
#define LIMIT_BOOT_RAM       4u    /* ranges of RAM: x86 has two */
#define LIMIT_BOOT_INTERRUPT 988u  /* GSI or SPI numbers: a GIC has no more */
#define LIMIT_BOOT_REASON    256u  /* bytes of the sentence that says why a kernel cannot be loaded: one log line */

/* ---- workers ---- */
#define LIMIT_WORKER_WATCHES 46u /* descriptors of a device's own, a console's two a port: with 16 lanes and control one ppoll of 63, as the filter has it */
#define LIMIT_DEVICE_REST_S 30u /* seconds without a request: then a device gives back what it only keeps to be quick */
#define LIMIT_RNG_BYTES    65536u /* bytes of one entropy request: less than asked for is allowed, and no other waits */
#define LIMIT_BLK_RANGES   32u    /* ranges of one discard request: Linux merges up to 256, we offer this many */
#define LIMIT_BLK_DISCARD  (1u << 21) /* sectors of one discarded range (1 GiB): a host call ends in good time */
#define LIMIT_BLK_ZEROES   (1u << 17) /* sectors of one zeroed range (64 MiB): it may have to be written out */
#define LIMIT_BLK_MAP      (UINT64_C(1) << 40) /* bytes of an image that are mapped for reading: its list of chunks has 4 MiB; the rest is read by calls */
#define LIMIT_BLK_MAPPED   (1u << 30) /* bytes of it whose pages may be mapped at once: 2 MiB of page tables */
#define LIMIT_NET_PAIRS    8u     /* queue pairs of a network device: a tap is a watch each, and a worker has LIMIT_WORKER_WATCHES */
#define LIMIT_NET_MACS     64u    /* addresses of one kind that a driver filters by: with more it gets all of that kind, as Linux expects */
#define LIMIT_NET_CONTROL  8192u  /* bytes of one command: 1,300 addresses; Linux stops at a page */
#define LIMIT_NET_TURN     64u    /* frames of one backend a turn: others' descriptors get a look in */
#define LIMIT_NET_STALL_MS 1000u  /* a backend that takes no bytes for so long loses frames, as a full wire does: no request may age */
#define LIMIT_NET_LOOKS    32u    /* looks at a frame that is only begun, before it is waited for by time */
#define LIMIT_IO_RETRIES   100u   /* interrupted host calls of one transfer: no signal is expected at all */

/* ---- console (workers/console/) ---- */
#define LIMIT_CONSOLE_PORTS     8u     /* of one device: three resources each, and queues and credits are shared by all */
#define LIMIT_CONSOLE_NAME      32u    /* bytes of a port's name with its NUL: it stands in the path of a socket */
#define LIMIT_CONSOLE_OUTPUT    (1u << 20) /* bytes of one output request: 32 times Linux's largest */
#define LIMIT_CONSOLE_STASH     32768u /* bytes kept of an output request whose queue was stopped in the middle: Linux's largest */
#define LIMIT_CONSOLE_STALL_MS  250u   /* that the console's output waits for its client: the guest's kernel stands still meanwhile */
#define LIMIT_CONSOLE_RETURN_MS 2000u  /* for clients to come back when the worker was replaced: ours takes a tenth */
#define LIMIT_CONSOLE_STATE_MS  2u     /* from a change to its saving: at most 500 a second, half of LIMIT_CONTROL_RATE */
#define LIMIT_CONSOLE_LOG_MIN   4096u  /* bytes of a log: shorter ones would be copied all the time */
#define LIMIT_CONSOLE_LOG_MAX   (64u << 20) /* ... and longer ones could not be copied in good time */
/* ---- a shared directory (workers/fs) ---- */
#define LIMIT_FS_NODES     65536u /* inodes that a guest may know of at once: beyond, the one used least recently is forgotten */
#define LIMIT_FS_FILES     4096u  /* open files and directories: four times what one Linux process may have */
#define LIMIT_FS_FOLDERS   512u   /* descriptors kept of directories that paths lead through, and of what was removed in use */
#define LIMIT_FS_REMOVED   256u   /* of those, for what was removed in use: half, so that paths have the other */
#define LIMIT_FS_LOCKS     256u   /* owners of byte-range locks: each costs a descriptor */
#define LIMIT_FS_WAITS     64u    /* locks that are waited for: half of a lane's credits, so that who lets go gets through */
#define LIMIT_FS_FDS       4880u  /* descriptors beside those that it is born with: the above, and a few for one request */
#define LIMIT_FS_DEPTH     2048u  /* directories above a file: PATH_MAX has no room for more */
#define LIMIT_FS_TRANSFER  (1u << 20) /* bytes of one read or write: 256 pages, FUSE's most */
#define LIMIT_FS_FOLDER    65536u /* bytes of one answer with directory entries: Linux asks for a page at a time */
#define LIMIT_FS_NAME      255u   /* bytes of a name: NAME_MAX */
#define LIMIT_FS_LINK      4095u  /* bytes of a symbolic link: PATH_MAX less its NUL */
#define LIMIT_FS_XATTR     65536u /* bytes of an extended attribute, or of a list of them: XATTR_SIZE_MAX */
#define LIMIT_FS_FORGETS   4096u  /* entries of one batch of forgets: Linux sends one at a time */
#define LIMIT_FS_BEGUN     256u   /* requests remembered as begun: LIMIT_CREDITS, so that none outstanding is missing */
#define LIMIT_FS_COPY      (16u << 20) /* bytes of one copy inside the share: less than asked for is allowed, no other waits long */
#define LIMIT_FS_STATES    64u    /* states of one incarnation that are saved: a guest that mounts for ever is not the broker's load */
#define LIMIT_FS_MEMORY    (20u << 20) /* bytes of what a successor is told: LIMIT_FS_NODES names of LIMIT_FS_NAME bytes, and numbers */
#define LIMIT_FS_OWNERS    (1u << 24) /* ids of a share with owners of its own: 256 times what a container has */
#define LIMIT_FS_OWNER_END (1u << 31) /* none of them is higher: some programs take ids for signed */
#define LIMIT_FS_MAPS      248u   /* granules of a window for files: LIMIT_SHMEM_MAPPINGS, as each is one */
#define LIMIT_FS_UNMAPS    256u   /* ranges of one FUSE_REMOVEMAPPING: as many as Linux sends with pages of 4 KiB */
#define LIMIT_FS_TAG       36u    /* bytes of a share's name (virtio 1.3, 5.11.4) */

/* ---- vsock (workers/vsock, workers/vsock_proxy) ---- */
#define LIMIT_VSOCK_STREAMS   1024u  /* connections of one device that the guest has begun, and as many of the host's */
#define LIMIT_VSOCK_BUFFER    65536u /* bytes of one connection that the host's end has not taken: a driver's largest packet, and message */
#define LIMIT_VSOCK_POOL      4096u  /* blocks of 4 KiB for those of all: 256 connections that stand still. Who goes beyond is reset */
#define LIMIT_VSOCK_WINDOW    (1u << 20) /* bytes of one connection on the way to the guest, whatever room it says it has */
#define LIMIT_VSOCK_REPLIES   2048u  /* resets that a guest has caused and has given no buffer for: what it asks beyond is not heard */
#define LIMIT_VSOCK_HALF_OPEN_MS 2000u /* in which a connection is answered, by the guest or by the host's listener, or reset */
#define LIMIT_VSOCK_FAREWELL_MS  1000u /* in which a guest takes its resets when the proxy is gone */
#define LIMIT_VSOCK_CLIENTS   256u   /* of the host, that have not said yet which port they want */
#define LIMIT_VSOCK_CLIENT_MS 5000u  /* in which they must have said so */
#define LIMIT_VSOCK_CONNECT   32u    /* bytes of "CONNECT 4294967295\n", and some for a mistake */
#define LIMIT_VSOCK_RETRY_MS  10u    /* a listener whose queue is full is asked again after so long */
#define LIMIT_VSOCK_TURN      64u    /* frames, connections or clients that are served before others have their turn */

/* ---- sessions ---- */
#define LIMIT_VHOST_USER_PAYLOAD 4096u /* largest front-end message that is served: config 12 + 256, table 8 + 8 x 32 */
#define LIMIT_VHOST_USER_FDS     8u    /* descriptors of one message (SET_MEM_TABLE) */
#define LIMIT_VHOST_USER_OUTPUT  16384u /* bytes of replies that a front end has not read: a real one waits for each */
#define LIMIT_VHOST_USER_TURN    32u   /* messages of one session a turn, so that no front end starves the loop */
#ifndef LIMIT_SHMEM_ANSWER_MS
#define LIMIT_SHMEM_ANSWER_MS    5000u /* in which a VMM shows its guest a mapping: its main loop may be busy, and a worker waits with a guest's request */
#endif
#define LIMIT_SHMEM_PATIENCE_MS  100u  /* that a vCPU may touch what a file has lost, while its guest makes up its mind: less than LIMIT_VCPU_FAULTS tries of a millisecond */
#ifndef LIMIT_IOTLB_ANSWER_MS
#define LIMIT_IOTLB_ANSWER_MS    5000u /* in which a VMM translates; then its operator is told why the device stands still */
#endif
#define LIMIT_SHMEM_VIEWS        (2u * (LIMIT_SHMEM_MAPPINGS + LIMIT_SHMEM_REGIONS) + 1u) /* mappings of a device, as many that are to be taken away, and one on its way */
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
#define LIMIT_CTL_RETURN_MS    10000u     /* that `console` tries to come back to a VM whose socket refuses it: a restart takes less */
#define LIMIT_CTL_RETRY_MS     50u        /* between two tries: a worker is replaced in a few ms */
#define LIMIT_CTL_REJECTED     5u         /* connections in a row that end at once: then somebody else is there */
#define LIMIT_CTL_REJECTED_MS  200u       /* at once: a port that is in use says so in one turn of its worker's loop */
#define LIMIT_CTL_SIZES        20u        /* tries to tell a device the size of a terminal, LIMIT_SETTING_MS from each other */
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
#define LIMIT_LANE_CALL_MS    100u  /* a lane answers its main thread in microseconds, unless a peer holds it */
#ifndef LIMIT_LANE_HELD_MS
#define LIMIT_LANE_HELD_MS    2000u /* ... and its worker is killed: a lane that is starved, and not held, has had its turn by then */
#endif
#ifndef LIMIT_SPAWN_MS
#define LIMIT_SPAWN_MS        10000u /* the spawner's answer: a real one needs 5 ms. Then it is said loudly, and again */
#endif
#ifndef LIMIT_HELLO_MS
#define LIMIT_HELLO_MS        5000u /* a worker that has not said Hello by then is killed: a real one needs 5 ms */
#endif
#ifndef LIMIT_CONTROL_MS
#define LIMIT_CONTROL_MS      30000u /* to its Done: a worker may be inside a flush of a slow disk */
#endif
#define LIMIT_CTL_SET_MS (LIMIT_CONTROL_MS + LIMIT_CTL_ANSWER_MS) /* to its answer: a worker has its time, and the broker */
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
#define LIMIT_COMPANION_WORDS    4096u /* bytes of what a companion says that are read at once; a person reads less */
#define LIMIT_COMPANION_WORDS_MS 200u  /* ... and the pause until more is: one that never stops does not keep the spawner awake */
#define LIMIT_BACKOFF_MIN_MS  10u   /* second restart in a row; doubles from here */
#define LIMIT_BACKOFF_MAX_MS  2000u
#ifndef LIMIT_SETTLED_MS
#define LIMIT_SETTLED_MS      60000u /* one that lived so long with nothing to do was not barren */
#endif
#ifndef LIMIT_RESTART_MS
#define LIMIT_RESTART_MS      20u   /* between two starts of one device's worker: each costs a new process */
#endif
#define LIMIT_RESET_MS        50u    /* between two resets of one device: each costs a new process */
