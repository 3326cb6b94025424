# A shared memory region behind a real guest: found by the PCI capability, seen from both sides, there over pauses and deaths of
# the worker, gone after a reset. The guest's driver is a program in its user space (guest_region.c).
# SPDX-License-Identifier: Apache-2.0
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk, Sample
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import FACTOR, wait_until

DEADLINE_S = 30 * FACTOR
SIZE = 1 << 20
DEATHS = 6  # the first restart, and five incarnations that complete nothing


def start(t, others=()):
    needs_bulkhead()
    binary = newest_qemu()
    t.stage(f"QEMU {binary.version()}")
    device = Sample()
    serving = t.backend([*others, device])
    return serving, device, take(t.boot(serving, binary=binary))


def take(guest):
    """The device is nobody's: its memory may be mapped by a program."""
    guest.pci = guest.run("dirname $(grep -lx 0x1056 /sys/bus/pci/devices/*/device)").strip()
    guest.run(f"echo {os.path.basename(guest.pci)} >{guest.pci}/driver/unbind")
    return guest


def region(guest, words):
    """What the driver says of itself, as a dictionary."""
    output = guest.run(f"guest_region {guest.pci} {words}")
    return dict(word.split("=", 1) for word in output.split())


def mappings(guest):
    """RAM that QEMU has put into the region, by its own map."""
    text = guest.qmp.command("human-monitor-command", **{"command-line": "info mtree"})
    # One address space after the other, with the names of those that are the same.
    spaces = [part for part in text.replace("\r", "").split("\n\n") if "address-space: memory\n" in part]
    require(len(spaces) == 1 and "virtio-shmem-0" in spaces[0], f"QEMU has no region: {text[:300]}")
    return [line.strip() for line in spaces[0].splitlines() if "ram): virtio-shmem-0-" in line]


def is_hole(guest):
    return region(guest, "peek") == {"first": "0", "last": "0", "done": "peek"}


class Driver:
    """A driver that stays: each step waits for its word."""

    def __init__(self, guest, steps):
        self.guest, self.steps, self.done = guest, steps, 0
        words = " ".join(f"wait {step}" for step in steps)
        guest.run("rm -f /run/go; mkfifo /run/go")
        guest.run(f"(guest_region {guest.pci} {words}; echo end=$?) <>/run/go >/run/said 2>&1 &")

    def step(self):
        """The next one, which must go well."""
        self.guest.run("echo >/run/go")
        self.done += 1
        wait_until(lambda: "end=" in self.said() or self.said().count("done=") == 2 * self.done, DEADLINE_S,
                   f"the driver's {self.steps[self.done - 1]}")
        require(f"done={self.steps[self.done - 1]}" in self.said() and "errno=" not in self.said(), f"the driver says {self.said()}")

    def said(self):
        return self.guest.run("cat /run/said")


def kill_worker(serving, device):
    before = serving.ps()[device.name]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: serving.ps()[device.name]["pid"] not in (0, before["pid"]) or serving.ps()[device.name]["state"] == "quarantined",
               DEADLINE_S, "the next worker")


@claim(seconds=60)
def a_guest_and_a_worker_see_one_region(t):
    serving, device, guest = start(t)
    found = region(guest, "find")
    require(found == {"regions": "1", "bar": "4", "shmid": "0", "len": str(SIZE), "done": "find"}, f"the guest finds {found}")
    require(not mappings(guest) and is_hole(guest), "something is mapped before a driver came")
    t.stage("the region is there, and empty")

    rounds = region(guest, "run=10")
    require(rounds["rounds"] == "10" and rounds["records"] == "1000", f"the driver says {rounds}")
    require(len(mappings(guest)) == 1, f"QEMU maps {mappings(guest)}")
    region(guest, "reset")
    require(not mappings(guest) and is_hole(guest), f"a reset leaves {mappings(guest)}")
    t.stage("ten resets: what each side has written the other has read, and the last leaves no mapping")

    driver = Driver(guest, ["run=1", "records", "records"])
    driver.step()
    guest.qmp.command("stop")
    guest.qmp.command("cont")
    driver.step()
    require(len(mappings(guest)) == 1, f"QEMU maps {mappings(guest)} after a pause")
    t.stage("a pause has left it")
    kill_worker(serving, device)
    require(region(guest, "peek")["first"] != "0", "the region has gone with its worker")
    driver.step()
    t.stage("and so has the death of its worker")

    serving.errors_expected = "quarantined"
    while serving.ps()[device.name]["state"] != "quarantined":
        kill_worker(serving, device)
    wait_until(lambda: is_hole(guest), DEADLINE_S, "the end of the mapping")
    require(not mappings(guest), f"QEMU maps {mappings(guest)}")
    t.stage("a device in quarantine has none")
    require(region(guest, "run=1")["records"] == "100", "the device does not come back")
    t.stage("the next driver has all of it again")


# QEMU resets one device after the other: a disk stands still when the mapping goes.
@claim(seconds=90, long=True)
def a_vm_with_a_region_reboots(t):
    disk = Disk("disk0", t.disk_file())
    serving, device, guest = start(t, [disk])
    guest.run("guest_load fill /dev/vda 0 4M 1 direct")
    for boot in range(2):
        require(region(guest, "run=1")["rounds"] == "1", "no records")
        require(len(mappings(guest)) == 1, f"QEMU maps {mappings(guest)}")
        guest.run("guest_load check /dev/vda 0 4M 1 direct")
        guest.reboot()
        take(guest)
        require(not mappings(guest), f"a reboot leaves {mappings(guest)}")
        guest.run("guest_load check /dev/vda 0 4M 1 direct")
        t.stage(f"boot {boot + 2}: the disk and the region are well")


if __name__ == "__main__":
    sys.exit(main())
