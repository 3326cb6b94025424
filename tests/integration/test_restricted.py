# Guests that must use their DMA API, with no IOMMU before their devices: they copy all that devices see through a pool of their own
# (swiotlb). Feature bits at each of three places; devices that are held to that pool.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import wait_until
from guest.features import ACCESS_PLATFORM, held
from guest.vsock import SCENARIO, Vsock, in_background, receive_pattern, send_pattern

MIB = 1 << 20
MEMORY_MIB = 512
# What the kernel does not move itself, rings among it, lies in the lower half; the pool at the top; memblock=debug says where. Each of these
# words moves the pool: all boots have the same.
KERNEL_MIB = 256
WORDS = f"swiotlb=8192,force movablecore={MEMORY_MIB - KERNEL_MIB}M memblock=debug log_buf_len=1M"
POOL = re.compile(r"memblock_alloc_try_nid: (\d+) bytes .*swiotlb_init.*\n.*memblock_reserve: \[0x([0-9a-f]+)-0x([0-9a-f]+)\]")
# Before the kernel SeaBIOS looks at disks, with rings and buffers below the end of RAM, which it keeps for itself.
FIRMWARE = f"{{start: {(MEMORY_MIB * MIB) - 0x23000:#x}, size: {0x23000 >> 10}K}}"
LOW = f"{{start: 0, size: {KERNEL_MIB}M}}"
OUTSIDE = "has posted a buffer outside of the device's windows"


def window(pool):
    return f"{{start: {pool[0]:#x}, size: {(pool[1] - pool[0]) >> 10}K}}"


def begin(t, disk_windows=None, vsock_windows=None, ready=True, binary=None):
    """Two devices behind a QEMU without IOMMU, that a guest must use by its DMA API. Windows: None, or a list's text."""
    needs_bulkhead()
    keys = [", memory: {iotlb: true" + (f", windows: [{windows}]" if windows else "") + "}" for windows in (disk_windows, vsock_windows)]
    name = f"vsock{len(t.backends)}"
    disk = Disk("disk0", t.disk_file(f"disk{len(t.backends)}.img", mib=64), extra=keys[0], qemu_extra=",iommu_platform=on,disable-legacy=on")
    vsock = Vsock(t.directory, name=name, extra=keys[1], qemu_extra=",iommu_platform=on")
    serving = t.backend([disk, vsock], vm=f"{os.path.basename(t.directory)}{len(t.backends)}")
    guest = t.boot(serving, name=f"guest{len(t.backends)}", ready=ready, scenario=f"{SCENARIO} {WORDS}", memory_mib=MEMORY_MIB, binary=binary)
    return vsock, serving, guest


def pool_of(guest):
    """Where Linux has put it: its first byte, and the one behind its last."""
    said = POOL.search(guest.run("dmesg"))
    require(said, "the guest's kernel does not say where its pool lies")
    start, last = int(said[2], 16), int(said[3], 16)
    require(last + 1 - start == int(said[1]) and start >= KERNEL_MIB * MIB, f"not a pool in the upper half: {said[0]}")
    return start, last + 1


def disk_works(t, guest):
    """Around the guest's cache, out of its programs' own pages, which lie in the upper half and not in the pool."""
    for verb in ("fill", "check"):
        words = guest.run(f"guest_load {verb} /dev/vda 0 8M 1 direct")
        require("wrong=0 error=none" in words, words)
    t.stage("8 MiB were written and read back")


def answer(listener, length):
    with listener.accept()[0] as sock:
        sock.settimeout(60)
        came = receive_pattern(sock, length)
        sock.sendall(b"k")
        sock.recv(1)
        return came


def feed(listener, length):
    with listener.accept()[0] as sock:
        sock.settimeout(60)
        send_pattern(sock, length)


def vsock_works(t, vsock, guest):
    with vsock.listen(52) as listener:
        for verb, host in (("send", answer), ("receive", feed)):
            done = in_background(host, listener, MIB)
            guest.run(f"guest_vsock {verb} 52 {MIB}")
            done()
    t.stage("1 MiB went each way by vsock")


def features(t, serving, guest):
    """The sets of both, printed and compared. Bit 33 is the guest's, and offered to it; it is no IOMMU's, and no worker's."""
    for at, name in enumerate(device.name for device in serving.devices):
        words = guest.run(f"cat /sys/bus/virtio/devices/virtio{at}/features")
        sets, theirs = held(t, serving.ps()[name], words)
        where = [ACCESS_PLATFORM in bits for bits in (theirs, sets["offered"], sets["agreed"], sets["worker"])]
        t.stage(f"{name}: ACCESS_PLATFORM: guest {where[0]}, offered {where[1]}, agreed {where[2]}, worker {where[3]}")
        require(where == [True, True, False, False], f"{name}: ACCESS_PLATFORM is where it must not be")


def nothing_is_refused(serving):
    refused = {name: device["window_refused"] for name, device in serving.ps().items()}
    require(not any(refused.values()), f"refused: {refused}")


def is_refused(t, serving, name, pool):
    """Broken at once by a buffer of the pool; the log says it once for each queue, and the count is the same."""
    wait_until(lambda: serving.ps()[name]["state"] == "broken", 60, f"{name} to be broken", alive=serving.child.must_run)
    lines = []

    def told():
        """What has been said is read by another thread, and another queue may follow the first."""
        lines[:] = [line for line in serving.child.lines if OUTSIDE in line and f"dev={name} " in line]
        return lines and len(lines) == serving.ps()[name]["window_refused"]

    wait_until(told, 20, f"as many lines as {name} has counted", alive=serving.child.must_run)
    require(len(lines) == len({re.search(r"queue=\d+", line)[0] for line in lines}), f"not once a queue: {lines}")
    for line in lines:
        at = int(re.search(r" at=0x([0-9a-f]+) ", line)[1], 16)
        require(pool[0] <= at < pool[1], f"not of the pool {pool[0]:#x}-{pool[1] - 1:#x}: {line}")
    require(f"{name} has refused {len(lines)} queues" in serving.tool("ps").stderr, "ps does not say so")
    t.stage(lines[0].split(": ", 2)[-1])


@claim(seconds=60)
def guest_that_bounces_uses_disk_and_vsock(t):
    vsock, serving, guest = begin(t)
    pool = pool_of(guest)
    t.stage(f"its pool lies at {pool[0]:#x}-{pool[1] - 1:#x}")
    disk_works(t, guest)
    vsock_works(t, vsock, guest)
    features(t, serving, guest)


@claim(seconds=60)
def guest_that_bounces_works_on_the_newest_qemu(t):
    vsock, serving, guest = begin(t, binary=newest_qemu())
    disk_works(t, guest)
    vsock_works(t, vsock, guest)
    features(t, serving, guest)


@claim(seconds=150)
def devices_are_held_to_the_bounce_pool(t):
    _, serving, guest = begin(t)
    pool = pool_of(guest)
    guest.kill()
    covers = f"{LOW}, {window(pool)}, {FIRMWARE}"

    vsock, serving, guest = begin(t, covers, covers)
    require(pool_of(guest) == pool, "the same kernel has its pool elsewhere")
    disk_works(t, guest)
    vsock_works(t, vsock, guest)
    features(t, serving, guest)
    nothing_is_refused(serving)
    t.stage("with windows that cover the pool all works, and nothing is refused")
    audit = serving.tool("audit", seconds=60)
    require(re.search(r"DMA windows +.*3, \d+ bytes, 0 refused", audit.stdout), f"the audit says {audit.stdout}{audit.stderr}")
    guest.kill()

    vsock, serving, guest = begin(t, covers, LOW)
    is_refused(t, serving, vsock.name, pool)
    disk_works(t, guest)
    require(serving.ps()["disk0"]["window_refused"] == 0, "the disk's windows are others")
    t.stage("a vsock device whose window misses the pool is broken, and the disk works")
    guest.kill()

    _, serving, guest = begin(t, f"{LOW}, {FIRMWARE}", covers, ready=False)  # its kernel waits for the disk for ever
    is_refused(t, serving, "disk0", pool)
    t.stage("and so is a disk")


if __name__ == "__main__":
    sys.exit(main())
