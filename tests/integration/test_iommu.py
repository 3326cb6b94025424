# An IOMMU between the guest and its devices, and a guest that maps each request and unmaps it again: data is right, and the device
# keeps nothing that it was not told.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest import iommu
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import wait_until
from guest.machine import Binary
from guest.net import Server, Sink, dhcp
from load import end_churn, features_of, no_io_errors, start_churn, wait_for_traffic

FEATURE_ACCESS_PLATFORM = 33  # virtio 1.3, 6
DISK_MIB = 8
FILE_MIB = 1
REBOOTS = 5
IDLE = 8  # translations that an idle disk may hold: its rings are three pages


class Host:
    """What the guest fetches, and where it sends it: by passt, from this machine."""

    def __init__(self, t):
        directory = f"{t.directory}/files"
        os.mkdir(directory)
        data = hashlib.shake_128(t.name.encode()).digest(FILE_MIB << 20)
        self.digest = hashlib.sha256(data).hexdigest()
        with open(f"{directory}/file", "wb") as file:
            file.write(data)
        self.server, self.sink, self.n = Server(directory), Sink(), 0
        t.undo.callback(self.server.close)
        t.undo.callback(self.sink.close)

    def exchange(self, guest):
        dhcp(guest)
        gateway = guest.run("ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'").strip()
        # passt resets a connection whose guest is too slow to answer: a slow machine needs more than one.
        got = guest.run(f"for i in 1 2 3 4 5; do wget -q -O /run/file http://{gateway}:{self.server.port}/file && break; done; "
                        "sha256sum /run/file", 200)
        require(got.split()[0] == self.digest, "what came from the host is not what it sent")
        guest.run(f"nc {gateway} {self.sink.port} </run/file; rm /run/file", 120)
        self.n += 1
        require(self.sink.await_taken(self.n) == (FILE_MIB << 20, self.digest), "what came from the guest is not what it sent")


def translations(serving):
    """Of each device. What was asked was answered, by a translation, and by nobody else."""
    shown = {name: device["iotlb"] for name, device in serving.ps().items()}
    for name, of in shown.items():
        require(of["translating"] and of["refused"] == 0, f"{name}: {of}")
        # QEMU also tells, unasked, of each ring that it starts.
        require(of["updates"] >= of["asked"] - of["open"], f"{name} has not been told what it asked: {of}")
    return shown


def work(t, serving, guest, host):
    """Disk and network together. Returns what it took of translations."""
    require(FEATURE_ACCESS_PLATFORM in features_of(guest), "ACCESS_PLATFORM was not negotiated")
    kind = guest.run("cat /sys/block/vda/device/../iommu_group/type").strip()
    require(kind == "DMA", f"the disk is not behind an IOMMU whose mappings end at once: {kind}")
    start_churn(guest, mib=DISK_MIB)
    guest.run("for pid in $(pidof guest_load); do renice 19 -p $pid; done")  # nor shall the disk's load starve it
    host.exchange(guest)
    wait_for_traffic(guest, 50)
    counts = end_churn(guest)
    no_io_errors(guest)
    # What is unmapped is gone: a device that kept it all would hold thousands.
    wait_until(lambda: translations(serving)["disk0"]["held"] <= IDLE, 20, "an idle disk to hold little")
    shown = translations(serving)
    words = ", ".join(f"{name} asked {of['asked']}, was told {of['updates']} and {of['invalidations']} ends, holds {of['held']}"
                      for name, of in shown.items())
    t.stage(f"{counts['writes']} writes, {counts['reads']} reads, {FILE_MIB} MiB each way, each byte right; {words}")
    return shown


def serve_strict(t, mmu, binary, reboots=0):
    needs_bulkhead()
    t.stage(f"QEMU {binary.version()}, {mmu.name}")
    serving = t.backend([mmu.disk("disk0", t.disk_file(mib=DISK_MIB)), mmu.net("net0", "backend: passt")])
    host = Host(t)
    guest = mmu.boot(t, serving, binary)
    seen = {name: {"asked": 0, "updates": 0, "invalidations": 0} for name in ("disk0", "net0")}
    for boot in range(reboots + 1):
        if boot > 0:
            guest.reboot()
            t.stage(f"reboot {boot} of {reboots}")
        shown = work(t, serving, guest, host)
        for name, before in seen.items():
            for what, n in before.items():
                # A disk's 8 MiB are 2048 pages; a network's buffers of 2 MiB are more than 100, mapped one by one.
                least = n + (1000 if name == "disk0" else 100 if what != "invalidations" else 10)
                require(shown[name][what] >= least, f"{name}: {what} were {n} and are {shown[name][what]}")
        seen = {name: {what: shown[name][what] for what in before} for name, before in seen.items()}
    require(guest.power_off() == 0, "QEMU did not end well")


@claim(seconds=60)
def strict_dma_by_intel_iommu_is_right(t):
    serve_strict(t, iommu.intel(), Binary.host())


@claim(seconds=60)
def strict_dma_by_intel_iommu_is_right_on_the_newest(t):
    serve_strict(t, iommu.intel(), newest_qemu())


@claim(seconds=60)
def strict_dma_by_virtio_iommu_is_right(t):
    serve_strict(t, iommu.virtio(), Binary.host())


@claim(seconds=60)
def strict_dma_by_virtio_iommu_is_right_on_the_newest(t):
    serve_strict(t, iommu.virtio(), newest_qemu())


@claim(seconds=300, long=True)
def strict_dma_by_intel_iommu_outlives_reboots(t):
    serve_strict(t, iommu.intel(), Binary.host(), REBOOTS)


@claim(seconds=300, long=True)
def strict_dma_by_intel_iommu_without_ats_outlives_reboots(t):
    serve_strict(t, iommu.intel_without_ats(), Binary.host(), REBOOTS)


@claim(seconds=300, long=True)
def strict_dma_by_intel_iommu_outlives_reboots_on_the_newest(t):
    serve_strict(t, iommu.intel(), newest_qemu(), REBOOTS)


@claim(seconds=300, long=True)
def strict_dma_by_virtio_iommu_outlives_reboots(t):
    serve_strict(t, iommu.virtio(), Binary.host(), REBOOTS)


@claim(seconds=300, long=True)
def strict_dma_by_virtio_iommu_outlives_reboots_on_the_newest(t):
    serve_strict(t, iommu.virtio(), newest_qemu(), REBOOTS)


if __name__ == "__main__":
    sys.exit(main())
