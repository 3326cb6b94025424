# What a worker of a running VM can reach, by `bulkhead audit` and measured here a second time from /proc.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk, Entropy
from guest.claims import claim, main, needs_bulkhead, require

GUEST_MEMORY = "memfd:memory-backend-memfd"  # as QEMU names it
MEMORY_MIB = 512


def mapped_guest_bytes(pid):
    """From the process's own map, by the name of QEMU's memory file."""
    total = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            if GUEST_MEMORY in line:
                start, end = line.split(" ", 1)[0].split("-")
                total += int(end, 16) - int(start, 16)
    return total


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def broker_pid(serving):
    document = json.loads(serving.tool("ps", "--json").stdout)
    return next(vm["broker_pid"] for vm in document["vms"] if vm["vm"] == serving.vm)


def worker_is_shut_in(device):
    pid, name = device["pid"], device["device"]
    require(mapped_guest_bytes(pid) == 0, f"{name}: {mapped_guest_bytes(pid)} bytes of guest memory are mapped")
    status = status_of(pid)
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        require(int(status[key], 16) == 0, f"{name}: {key} is {status[key]}")
    for key, value in (("Seccomp", "2"), ("NoNewPrivs", "1"), ("Threads", "1")):
        require(status[key].strip() == value, f"{name}: {key} is {status[key]}")
    for space in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        require(os.readlink(f"/proc/{pid}/ns/{space}") != os.readlink(f"/proc/self/ns/{space}"),
                f"{name}: shares our {space} namespace")
    require(os.listdir(f"/proc/{pid}/root") == [], f"{name}: its root holds {os.listdir(f'/proc/{pid}/root')}")
    for fd in os.listdir(f"/proc/{pid}/fd"):
        require("memfd" not in os.readlink(f"/proc/{pid}/fd/{fd}"), f"{name}: has a memory file as descriptor {fd}")


@claim(seconds=90)
def audit_passes_and_no_worker_maps_guest_memory(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Disk("disk1", t.disk_file("ro.img", 64), read_only=True),
                         Entropy()])
    guest = t.boot(serving, memory_mib=MEMORY_MIB)
    guest.run("guest_load fill /dev/vda 0 16M 1; dd if=/dev/hwrng of=/dev/null bs=1k count=4 2>/dev/null")

    devices = serving.ps()
    require(set(devices) == {"disk0", "disk1", "rng0"}, f"ps shows {sorted(devices)}")
    # The measure itself works: the broker does map the guest.
    mapped = mapped_guest_bytes(broker_pid(serving))
    require(mapped >= MEMORY_MIB << 20, f"the broker maps {mapped} bytes of guest memory: is the measure right?")
    for device in devices.values():
        worker_is_shut_in(device)
    require(len({status_of(d["pid"])["Uid"] for d in devices.values()}) == len(devices), "two workers share a uid")
    t.stage("measured: 0 bytes of guest memory, 0 capabilities, seccomp mode 2, own namespaces, empty root")

    require([d["copy"] for d in devices.values()] == ["direct"] * 3, f"ps says copy {devices}")
    table = serving.tool("audit")
    require(table.returncode == 0, f"audit: status {table.returncode}\n{table.stdout}{table.stderr}")
    for name in devices:
        require(name in table.stdout, f"audit does not mention {name}")
    document = serving.tool("audit", "--json")
    require(document.returncode == 0, f"audit --json: status {document.returncode}: {document.stderr}")
    json.loads(document.stdout)
    t.stage("bulkhead audit says the same and passes")


@claim(seconds=60)
def read_only_image_is_a_read_only_descriptor(t):
    needs_bulkhead()
    path = t.disk_file("ro.img", 64)
    serving = t.backend([Disk("disk0", path, read_only=True)])
    pid = serving.ps()["disk0"]["pid"]
    images = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"),
                                                                             os.stat(path))]
    require(len(images) == 1, f"the worker has the image open {len(images)} times")
    with open(f"/proc/{pid}/fdinfo/{images[0]}", encoding="ascii") as info:
        flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
    require(flags & os.O_ACCMODE == os.O_RDONLY, f"the image's descriptor has flags {flags:o}")
    t.stage("the worker holds the image once, read-only")


if __name__ == "__main__":
    sys.exit(main())
