# Processes hang or die without a successor: what the guest sees, and what is left behind.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk, Entropy
from guest.claims import claim, main, needs_bulkhead, require
from guest.deadline import FACTOR, wait_until
from load import end_churn, no_io_errors, start_churn, wait_for_traffic

READ_ONE = "dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null"
ENTROPY = "dd if=/dev/hwrng of=/dev/null bs=1k count=1 2>/dev/null"


def vm_of(serving):
    """What `ps --json` says of this VM."""
    for vm in json.loads(serving.tool("ps", "--json").stdout)["vms"]:
        if vm["vm"] == serving.vm and "devices" in vm:
            return vm
    raise RuntimeError(f"bulkhead ps does not show {serving.vm}")


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


@claim(seconds=120)
def worker_that_hangs_is_found_by_its_requests(t):
    """Nobody stops the queues: the age of a request is all that tells."""
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64), extra=", request_timeout: 2")])
    guest = t.boot(serving)
    start_churn(guest)
    wait_for_traffic(guest, 20)
    for how in ("stopped", "stopped again"):
        pid = serving.ps()["disk0"]["pid"]
        start = len(serving.child.lines)
        os.kill(pid, signal.SIGSTOP)
        serving.child.wait_for_line(r"worker has held a request for 2 s: killed dev=disk0", 30, start)
        wait_until(lambda p=pid: gone(p), 10, f"the end of the worker that was {how}")
        wait_for_traffic(guest, 20)
        t.stage(f"the worker that was {how} was killed, the load goes on")
    end_churn(guest)
    no_io_errors(guest)


@claim(seconds=120)
def spawner_killed_and_the_vm_goes_on_until_a_worker_dies(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Entropy()])
    serving.errors_expected = "spawner is (dead|gone)"
    guest = t.boot(serving)
    vm = vm_of(serving)
    guest.run(READ_ONE)
    try:
        os.kill(vm["spawner_pid"], signal.SIGKILL)
        serving.child.wait_for_line("the spawner is dead: the VM goes on", 10)
        wait_until(lambda: not vm_of(serving)["spawner_alive"], 10, "ps to say that the spawner is dead")
        guest.run(f"{READ_ONE} && {ENTROPY} && guest_load fill /dev/vda 0 8M 3 direct")
        no_io_errors(guest)
        t.stage("the spawner is dead, and said so; disk and entropy go on")
        before = time.monotonic()
        os.kill(serving.ps()["disk0"]["pid"], signal.SIGKILL)
        answer = guest.ask(READ_ONE, 30)
        require(answer.status != 0, "a disk without a worker has been read")
        require(time.monotonic() - before < 10 * FACTOR, "the guest's error took long")
        device = serving.ps()["disk0"]
        require((device["state"], device["why"]) == ("quarantined", "the spawner is gone"), f"ps says {device}")
        guest.run(ENTROPY)
        t.stage("its worker died: the guest sees I/O errors at once, and entropy goes on")
    finally:
        os.kill(vm["broker_pid"], signal.SIGKILL)
    for pid in [vm["broker_pid"]] + [d["pid"] for d in vm["devices"]]:
        wait_until(lambda p=pid: gone(p), 10, f"the end of process {pid}")
    guest.kill()
    t.stage("without spawner and broker no worker is left")
    again = t.boot(serving.start(), name="again")
    again.run(f"guest_load check /dev/vda 0 8M 3 direct && {ENTROPY}")
    t.stage("the VM can be served again, the data is there")


@claim(seconds=120)
def spawner_that_is_stopped_is_said_and_its_late_answer_is_taken(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64))], start=False)
    serving.errors_expected = "the spawner does not answer|before the deadline of a stop"
    serving.run_options = ["--no-trace"]  # a tracer that is stopped keeps its worker from ending: see below
    guest = t.boot(serving.start())
    guest.run("guest_load fill /dev/vda 0 8M 3 direct")
    vm = vm_of(serving)
    os.kill(vm["spawner_pid"], signal.SIGSTOP)
    try:
        os.kill(vm["devices"][0]["pid"], signal.SIGKILL)
        serving.child.wait_for_line("the spawner does not answer: no worker can be started until it does dev=disk0", 30)
        guest.qmp.command("stop", seconds=10)
        guest.qmp.command("cont")
        t.stage("the spawner is stopped: it was said, and a pause of the guest did not wait for it")
    finally:
        os.kill(vm["spawner_pid"], signal.SIGCONT)
    wait_until(lambda: serving.ps()["disk0"]["pid"] not in (0, vm["devices"][0]["pid"]), 20, "the late worker")
    guest.run("guest_load check /dev/vda 0 8M 3 direct")
    no_io_errors(guest)
    t.stage("it goes on: the late worker serves")


@claim(seconds=120)
def worker_that_its_stopped_spawner_keeps_holds_no_pause(t):
    """A traced worker cannot end before its tracer has seen it; requests wait, a pause of the guest does not."""
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64))])
    serving.errors_expected = "does not die|does not answer|before the deadline of a stop|disk0"
    guest = t.boot(serving)
    start_churn(guest)
    wait_for_traffic(guest, 20)
    vm = vm_of(serving)
    os.kill(vm["spawner_pid"], signal.SIGSTOP)
    try:
        os.kill(vm["devices"][0]["pid"], signal.SIGKILL)
        guest.qmp.command("stop", seconds=15)
        t.stage("the guest was paused with its requests in a worker that cannot end")
    finally:
        os.kill(vm["spawner_pid"], signal.SIGCONT)
    wait_until(lambda: serving.ps()["disk0"]["pid"] not in (0, vm["devices"][0]["pid"]), 20, "the late worker")
    guest.kill()  # what the worker held may have been forgotten (broker/core/device_stop.c): its guest waits for ever
    again = t.boot(serving, name="again")
    again.run("guest_load fill /dev/vda 0 8M 2 direct && guest_load check /dev/vda 0 8M 2 direct")
    t.stage("it goes on: the late worker serves the next guest")


@claim(seconds=120)
def broker_killed_leaves_no_worker_no_socket_and_no_lock(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=64)), Entropy()])
    guest = t.boot(serving)
    guest.run("guest_load fill /dev/vda 0 8M 3 direct")
    vm = vm_of(serving)
    os.kill(vm["broker_pid"], signal.SIGKILL)
    require(serving.child.wait(20) != 0, "the spawner ended well though its broker was killed")
    for pid in [vm["broker_pid"], vm["spawner_pid"]] + [d["pid"] for d in vm["devices"]]:
        wait_until(lambda p=pid: gone(p), 10, f"the end of process {pid}")
    left = [name for _, _, names in os.walk(serving.run_dir) for name in names if name.endswith(".sock")]
    require(not left, f"sockets left behind: {left}")
    guest.kill()
    again = t.boot(serving.start(), name="again")
    again.run("guest_load check /dev/vda 0 8M 3 direct")
    t.stage("processes, sockets and the image's lock were gone; the next broker serves the same data")


if __name__ == "__main__":
    sys.exit(main())
