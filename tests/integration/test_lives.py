# Processes die and the data does not: the VMM, the workers, in the middle of verified traffic.
# SPDX-License-Identifier: Apache-2.0
import glob
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk, Entropy
from guest.claims import claim, main, needs, needs_bulkhead, newest_qemu, require
from guest.deadline import wait_until
from guest.machine import Binary
from load import no_io_errors, start_churn, wait_for_traffic

QEMU_KILLS = 3
DRAIN_SECONDS = 10  # the broker waits 2; the rest is for a slow machine


def serve_after_kills(t, binary):
    disk = Disk("disk0", t.disk_file())
    serving = t.backend([disk, Entropy()])
    guest = t.boot(serving, binary=binary)
    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && guest_load fill /mnt/kept 0 32M 5")
    for life in range(1, QEMU_KILLS + 1):
        # Killed with requests in flight.
        guest.run("guest_load churn /mnt/traffic 16M 4 /run/counters >/dev/null 2>&1 & "
                  "while ! [ -s /run/counters ]; do usleep 10000; done")
        wait_for_traffic(guest, 50)
        guest.kill()
        guest = t.boot(serving, name=f"guest{life}", binary=binary)
        guest.run("mount /dev/vda /mnt && guest_load check /mnt/kept 0 32M 5")
        guest.run("dd if=/dev/hwrng of=/dev/null bs=1k count=1 2>/dev/null")
        no_io_errors(guest)
        t.stage(f"QEMU {life} of {QEMU_KILLS} killed, the next one is served: the data is right")
    guest.run("umount /mnt && e2fsck -fn /dev/vda")
    require(guest.power_off() == 0, "QEMU did not end well")


@claim(seconds=180)
def qemu_killed_and_started_again_is_served(t):
    serve_after_kills(t, Binary.host())


@claim(seconds=180, long=True)
def qemu_killed_and_started_again_is_served_on_the_newest(t):
    serve_after_kills(t, newest_qemu())


def next_worker(serving, name, dead, seconds=10):
    """The process id of the successor, once there is one."""
    def look():
        pid = serving.ps()[name]["pid"]
        return pid if pid not in (0, dead) else None
    return wait_until(look, seconds, f"a new worker for {name}", alive=serving.child.must_run)


@claim(seconds=90)
def idle_worker_killed_is_replaced(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Entropy()])
    guest = t.boot(serving)
    for name, work in (("disk0", "guest_load fill /dev/vda 0 1M 3 direct && guest_load check /dev/vda 0 1M 3 direct"),
                       ("rng0", "dd if=/dev/hwrng of=/dev/null bs=1k count=4 2>/dev/null")):
        guest.run(work)
        pid = next_worker(serving, name, 0)
        os.kill(pid, signal.SIGKILL)
        next_worker(serving, name, pid)
        guest.run(work)
        t.stage(f"{name}: a new worker does the work of the killed one")
    no_io_errors(guest)


def groups_of(pid):
    """Paths of the control groups of a worker, those that are made for it."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return {line.split(":", 2)[2].strip() for line in file if "/bulkhead/" in line}


@claim(seconds=60)
def one_name_in_two_run_directories_is_two_vms(t):
    needs_bulkhead()
    needs(os.geteuid() == 0, "an ordinary user has no control groups here")
    first, second = (t.backend([Entropy()], vm="twin", run_dir=f"{t.directory}/run{i}") for i in range(2))
    pids = [next_worker(serving, "rng0", 0) for serving in (first, second)]
    theirs, ours = (groups_of(pid) for pid in pids)
    needs(ours, "this host has no control groups to make")
    require(not theirs & ours, f"both are in {theirs & ours}")
    again = first.tool("run", first.config)
    require("running already" in again.stderr, f"the first was started twice: {again.stderr}")
    first.stop()
    require(groups_of(pids[1]) == ours, "the second's worker was moved")
    pid = pids[1]
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        pid = next_worker(second, "rng0", pid)
        require(groups_of(pid) == ours, f"the successor is in {groups_of(pid)}, not {ours}")
    t.stage("the end of one is nothing to the other")
    folders = {os.path.dirname(folder) for path in ours for folder in glob.glob(f"/sys/fs/cgroup{path}") +
               glob.glob(f"/sys/fs/cgroup/*{path}")}
    second.stop()
    require(folders and not any(map(os.path.exists, folders)), f"left behind: {folders}")
    for folder in folders:
        os.makedirs(f"{folder}/gone0")
    next_worker(second.start(), "rng0", pid)
    require(not any(os.path.exists(f"{folder}/gone0") for folder in folders), "what a dead run left is still there")
    t.stage("and what a dead run has left goes at the next")


@claim(seconds=120)
def pause_with_a_hung_worker_ends_in_time(t):
    """The guest is frozen while a queue stops, so a worker that does not answer is given up after a while."""
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64))])
    serving.errors_expected = "before the deadline of a stop"
    guest = t.boot(serving)
    start_churn(guest)
    wait_for_traffic(guest, 1)
    pid = next_worker(serving, "disk0", 0)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: serving.ps()["disk0"]["inflight"] > 0, 10, "a request that the stopped worker holds",
               alive=serving.child.must_run)
    guest.qmp.command("stop", seconds=DRAIN_SECONDS)
    next_worker(serving, "disk0", pid)
    require(not os.path.exists(f"/proc/{pid}"), f"the worker that hung, {pid}, is still there")
    t.stage("the worker that hung was killed, the pause went on")
    guest.qmp.command("cont")
    guest.run("kill $(cat /run/pid); while kill -0 $(cat /run/pid) 2>/dev/null; do usleep 10000; done")
    guest.run("guest_load fill /dev/vda 0 8M 2 direct && guest_load check /dev/vda 0 8M 2 direct")
    t.stage("its successor serves")


@claim(seconds=120)
def each_session_has_workers_of_its_own(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Entropy()])
    before = {}
    for life in range(3):
        guest = t.boot(serving, name=f"guest{life}")
        guest.run("guest_load fill /dev/vda 0 1M 1 direct; dd if=/dev/hwrng of=/dev/null bs=1k count=4 2>/dev/null")
        for name, device in serving.ps().items():
            require(device["pid"] != before.get(name), f"{name}: the worker of the last session serves this one")
            require(device["pid"], f"{name}: no worker")
            before[name] = device["pid"]
        guest.kill()
    t.stage("three sessions, three workers for each device")


@claim(seconds=90)
def stopped_broker_leaves_nothing_behind(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Entropy()])
    guest = t.boot(serving)
    guest.run("guest_load fill /dev/vda 0 8M 3")
    pids = [serving.child.pid] + [device["pid"] for device in serving.ps().values()]
    guest.power_off()
    require(serving.stop() == 0, "the broker did not end well on SIGTERM")
    for pid in pids:
        wait_until(lambda p=pid: not os.path.exists(f"/proc/{p}"), 10, f"the end of process {pid}")
    left = [name for _, _, names in os.walk(serving.run_dir) for name in names if name.endswith(".sock")]
    require(not left, f"sockets left behind: {left}")
    serving.start()
    guest = t.boot(serving, name="again")
    guest.run("guest_load check /dev/vda 0 8M 3 direct")
    t.stage("all processes and sockets were gone, and the VM can be served again")


if __name__ == "__main__":
    sys.exit(main())
