# The whole of bulkhead on arm64: broker, spawner, loader and workers of that architecture, on emulated hosts whose KVM is
# real.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import arm64_machine
import whole_run
from guest.claims import TOP, claim, main, require

LINUX_WORDS = "console=ttyAMA0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests bh.wait bh.scenario=disk"
GIB = 1 << 10  # in MiB, as all sizes here
RAM_AT = GIB
JAIL_TESTS = ("test_policy", "test_policy_pins", "test_trace_kernel", "test_trace", "test_jail", "test_reach", "test_escape",
              "test_rootless", "test_limits", "test_spawner", "test_broker_jail", "test_broker_kvm", "test_kvm_vm")
DEVICES_AT, DEVICE_WINDOW = 0x0a000000, 0x1000  # broker/kvm/layout.h
MARK = "the mark"  # arm64_guest.S
POOL, POOL_MIB = 0x4f000000, 8  # the VM's memory ends at 0x50000000
PSCI_OFF, PSCI_RESET, NONE = 0x84000008, 0x84000009, 0


def host(t, files=None, **more):
    arm64_machine.at_hand()
    programs = {name: f"{arm64_machine.ROOT}/build/bin/{name}" for name in whole_run.PROGRAMS}
    return arm64_machine.host(t, {**programs, **(files or {})}, **more)


def linux(t, vcpus, **more):
    words = whole_run.config(LINUX_WORDS, more=f"vcpus: {vcpus}")
    return whole_run.linux_uses_its_devices(t, host(t, **more), words, processors=vcpus)


def small_guest(t, memory, how, region=0, length=0):
    """tests/kvm/arm64_guest.S for a VM of so much memory; region: the address of a device that has one. Returns its file."""
    name = f"{t.directory}/guest-{memory}-{how:x}-{region:x}"
    last = (RAM_AT + memory << 20) - 8
    for argv in ([arm64_machine.COMPILER, "-c", f"-DLAST={last:#x}", f"-DHOW={how:#x}", f"-DREGION={region:#x}",
                  f"-DLEN={length:#x}", "-o", f"{name}.o",
                  f"{TOP}/tests/kvm/arm64_guest.S"],
                 [arm64_machine.COMPILER.replace("gcc", "objcopy"), "-O", "binary", "-j", ".text", f"{name}.o", name]):
        subprocess.run(argv, check=True)
    return name


def place_of(t, memory, label):
    """Where a label of small_guest's (with HOW 0) lies in the VM: its image begins where RAM does."""
    symbols = subprocess.run([arm64_machine.COMPILER.replace("gcc", "nm"), f"{t.directory}/guest-{memory}-0-0.o"], check=True,
                             text=True, capture_output=True).stdout
    return (RAM_AT << 20) + next(int(line.split()[0], 16) for line in symbols.splitlines() if line.split()[2] == label)


def ends(machine, memory, kernel, status, *words, devices=""):
    """A VM of so many MiB ends with this status, and these words are said, by the guest or in the log: both write to one stream, and
    a line of the log may come between two letters of the guest's. Returns what was said."""
    whole_run.prepare(machine, whole_run.config("none", memory=f"{memory}M", kernel=kernel, initrd=None) + devices)
    answer = machine.ask("cd /host && ./bulkhead run own.yaml </dev/null 2>&1", 60)
    require(answer.status == status, f"{kernel}, {memory} MiB: status {answer.status}, not {status}: {answer.output}")
    guest = re.sub(r"bulkhead-broker\[own\]: [^\n]*\n", "", answer.output)
    for word in words:
        require(word in answer.output or word in guest, f"{kernel}, {memory} MiB: no \"{word}\" in {answer.output}")
    return answer.output


@claim(seconds=120)
def arm64_linux_boots_and_uses_its_jailed_disk(t):
    said = linux(t, vcpus=2, processors=2)
    require("GICv3" in said and "Edge virtio0" in said, f"not by that interrupt: {said}")


@claim(seconds=120, long=True)
def arm64_linux_boots_on_a_gic_of_version_2(t):
    said = linux(t, vcpus=2, processors=2, gic=2)
    require("GIC-0" in said and "Edge virtio0" in said, f"not by that controller's interrupt: {said}")


def with_pool(words, pool=POOL):
    """The configuration, with the disk held to a window that its guest is told of."""
    return words.replace("path: /host/disk.img", f"path: /host/disk.img, memory: {{windows: [{{start: {pool:#x}, size: {POOL_MIB}M}}]}}")


OUTSIDE = "outside of the device's windows"


@claim(seconds=120, long=True)
def arm64_linux_that_keeps_to_no_pool_is_refused(t):
    """Debian's kernel does not know such pools: the first ring that it gives the disk is refused, and nothing else."""
    machine = host(t)
    whole_run.prepare(machine, with_pool(whole_run.config(LINUX_WORDS)))
    require("ok" in machine.run("cd /host && ./bulkhead check own.yaml && echo ok"), "the configuration is not good")
    run = whole_run.Run(machine)
    run.wait_said(OUTSIDE, 90)
    devices = {device["device"]: device for device in json.loads(machine.run("cd /host && ./bulkhead ps --json"))["vms"][0]["devices"]}
    require([devices["disk0"][key] for key in ("windows", "window_bytes", "window_refused")] == [1, POOL_MIB << 20, 1],
            f"not counted: {devices['disk0']}")
    require(int(devices["disk0"]["features_offered"], 16) >> 33 & 1 and not int(devices["rng0"]["features_offered"], 16) >> 33 & 1,
            f"ACCESS_PLATFORM is offered to the wrong one: {devices}")
    lines = [line for line in run.said().splitlines() if OUTSIDE in line and "has posted a" in line]
    require(len(lines) == 1 and "dev=disk0 queue=0" in lines[0], f"not told once: {lines}")
    t.stage(lines[0].split(": ", 2)[-1])
    refused = ((0x40000000, "kernel, device tree and initrd lie from 0x40000000"), (0x4fe00000, "is not in one piece of the VM's memory"),
               (0x4f001000, "is the pool that its guest is told of; use multiples of 2 MiB"))
    run.stop()
    for pool, words in refused:
        whole_run.prepare(machine, with_pool(whole_run.config(LINUX_WORDS), pool))
        answer = machine.ask("cd /host && ./bulkhead run own.yaml </dev/null 2>&1", 60)
        require(answer.status == 1 and words in answer.output.replace(": use", "; use"), f"{pool:#x}: {answer.status}: {answer.output}")
    t.stage("pools at wrong places are refused in words")


@claim(seconds=900, long=True)
def arm64_linux_shares_its_pool_alone(t):
    """A kernel with CONFIG_DMA_RESTRICTED_POOL, told by the device tree: rings and buffers of its disk are there, and nowhere else."""
    kernel = arm64_machine.restricted_kernel()
    machine = host(t, {"restricted": kernel}, processors=2)
    said = whole_run.linux_uses_its_devices(t, machine, with_pool(whole_run.config(LINUX_WORDS.replace("quiet", "loglevel=7"), kernel="restricted")))
    require(OUTSIDE not in said, f"refused: {said}")
    require(re.search(r"FEATURES [01]{33}1", said), f"its driver does not use the DMA API: {said}")
    require(re.search(r"restricted.DMA|restricted-dma-pool", said, re.I), f"its kernel says nothing of a pool: {said}")
    t.stage("its disk was used through the pool alone")


@claim(seconds=90)
def arm64_vm_that_ends_at_36_bits_runs_and_one_of_more_is_refused(t):
    """More memory than the host has lies in a swap file of holes: what nobody touches takes no place."""
    binary = arm64_machine.qemu_with_width(36, t.directory)
    most = (1 << 16) - RAM_AT
    disk = t.disk_file(mib=64 * GIB)
    machine = host(t, {"guest": small_guest(t, most, PSCI_OFF)}, processor="cortex-a53", binary=binary,
                   arguments=("-drive", f"file={disk},format=raw,if=virtio"))
    machine.run("mkswap /dev/vda && swapon /dev/vda")
    ends(machine, most, "guest", 0, "LAST ok", "the guest has switched itself off")
    t.stage(f"a VM of {most} MiB has written its last bytes")
    refused = ends(machine, most + 1, "guest", 1)
    fault = "the VM needs 37 bits of guest-physical address (RAM ends at 0x1000100000), and this host has 36"
    remedy = f"give the VM at most {most} MiB of memory"
    require(f"{fault}; {remedy}" in refused and len(refused.splitlines()) == 1, f"not in one line, with the remedy: {refused}")
    doctor = machine.ask("cd /host && ./bulkhead doctor own.yaml", 60).output
    require(fault in doctor and remedy in doctor, f"doctor does not say so before: {doctor}")


@claim(seconds=90)
def arm64_run_ends_as_its_guest_does(t):
    memory = 64
    machine = host(t, {name: small_guest(t, memory, how) for name, how in
                       (("off", PSCI_OFF), ("reset", PSCI_RESET), ("crash", NONE))})
    ends(machine, memory, "off", 0, "LAST ok", "the guest has switched itself off")
    ends(machine, memory, "reset", 3, "LAST ok", "the guest asks for a reset")
    ends(machine, memory, "crash", 4, "LAST ok",
         "an access to 0x9000000 (serial) by an instruction that KVM does not decode on vCPU 0: "
         f"pc={place_of(t, memory, 'undecoded'):#x}")


@claim(seconds=90)
def arm64_guest_and_host_share_a_region(t):
    """A file as persistent memory: found by SHMSel, read where SHMBase says, and what is written there is in the file."""
    memory, length = 64, 2 << 20
    device = DEVICES_AT + 2 * DEVICE_WINDOW  # behind those that whole_run.py has
    machine = host(t, {"guest": small_guest(t, memory, PSCI_OFF, device, length),
                       "bulkhead-worker-pmem": f"{arm64_machine.ROOT}/build/bin/bulkhead-worker-pmem"})
    machine.run(f"cd /host && printf %s '{MARK}' >pmem.img && truncate -s {length} pmem.img && chmod 666 pmem.img")
    ends(machine, memory, "guest", 0, "LAST ok, REGION ok", "the guest has switched itself off", "holes=0",
         devices=f"  - {{name: pmem0, type: pmem, path: pmem.img, size: {length >> 20}M, shmem: map}}\n")
    found = machine.run(f"head -c {2 * len(MARK)} /host/pmem.img")
    require(found == 2 * MARK, f"not what the guest has written: {found!r}")


@claim(seconds=90)
def arm64_guest_survives_a_medium_that_fails(t):
    """The file is one hole, and there is no room for a page of it: the guest finds zeros, goes on, and its device is broken."""
    memory, length = 64, 2 << 20
    device = DEVICES_AT + 2 * DEVICE_WINDOW
    machine = host(t, {"guest": small_guest(t, memory, PSCI_OFF, device, length),
                       "bulkhead-worker-pmem": f"{arm64_machine.ROOT}/build/bin/bulkhead-worker-pmem"})
    machine.run(f"mkdir /host/full && mount -t tmpfs -o size=64k full /host/full && cd /host/full && chmod 755 . && "
                f"truncate -s {length} pmem.img && chmod 666 pmem.img && ! yes 2>/dev/null >rest")
    ends(machine, memory, "guest", 0, "REGION wrong", "has gone under the guest's feet", "the guest has switched itself off",
         devices=f"  - {{name: pmem0, type: pmem, path: full/pmem.img, size: {length >> 20}M, shmem: map}}\n")


@claim(seconds=400, long=True)
def arm64_jail_holds_by_its_own_tests(t):
    """Filters by number, what is refused behind them, what is told of a worker's end: numbers and registers differ there."""
    arm64_machine.at_hand()
    tests = arm64_machine.build(*JAIL_TESTS, "probe_worker") + "/tests"
    machine = host(t, {name: f"{tests}/{name}" for name in (*JAIL_TESTS, "probe_worker")}, processors=2)
    # Where the tests know their worker to be; a file and a tool that they use.
    machine.run(f"mkdir -p /etc && echo root:x:0:0 >/etc/passwd && mkdir -p $(dirname {tests}) && ln -s /host {tests} && chmod 755 /host && "
                "printf '#!/bin/sh\nexec cp \"$3\" \"$4\"\n' >/bin/install && chmod 755 /bin/install")
    for name in JAIL_TESTS:
        answer = machine.ask(f"cd /host && MUST_RUN=1 ./{name} 2>&1", 200)
        require(answer.status == 0, f"{name}: {answer.output[-3000:]}")
        t.stage(name)


if __name__ == "__main__":
    sys.exit(main())
