# Packed rings with a real Linux driver: the data is right over pauses, reboots and killed workers.
# SPDX-License-Identifier: Apache-2.0
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import wait_until
from guest.machine import Binary
from load import end_churn, features_of, no_io_errors, start_churn, wait_for_traffic

FEATURE_PACKED = 34  # virtio 1.3, 6
PAUSES = 5
KILLS = 10


def pause_under_load(guest):
    """QEMU asks for the base of each ring when it stops, and gives it back when it goes on."""
    for _ in range(PAUSES):
        wait_for_traffic(guest, 50)
        guest.qmp.command("stop")
        guest.qmp.wait_event("STOP")
        guest.qmp.command("cont")
        guest.qmp.wait_event("RESUME")


def kill_under_load(serving, guest):
    for _ in range(KILLS):
        dead = serving.ps()["disk0"]["pid"]
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda d=dead: serving.ps()["disk0"]["pid"] not in (0, d), 10, "a new worker",
                   alive=serving.child.must_run)
        wait_for_traffic(guest, 50)


def serve_packed(t, binary):
    needs_bulkhead()
    t.stage(f"QEMU {binary.version()}")
    disk = Disk("disk0", t.disk_file(mib=64), queues=2, qemu_extra=",packed=on")
    serving = t.backend([disk])
    guest = t.boot(serving, binary=binary, processors=2)
    require(FEATURE_PACKED in features_of(guest), "packed rings were not negotiated")
    start_churn(guest)
    pause_under_load(guest)
    t.stage(f"{PAUSES} pauses under load")
    kill_under_load(serving, guest)
    counts = end_churn(guest)
    no_io_errors(guest)
    t.stage(f"{KILLS} workers killed: {counts['writes']} writes, {counts['reads']} reads, no wrong byte")
    guest.run("guest_load fill /dev/vda 0 16M 3 direct")
    guest.reboot()
    require(FEATURE_PACKED in features_of(guest), "packed rings were not negotiated after a reboot")
    guest.run("guest_load check /dev/vda 0 16M 3 direct")
    no_io_errors(guest)
    t.stage("right after a reboot")
    require(guest.power_off() == 0, "QEMU did not end well")


@claim(seconds=180)
def packed_rings_keep_the_data_over_pauses_and_killed_workers(t):
    serve_packed(t, Binary.host())


@claim(seconds=180, long=True)
def packed_rings_keep_the_data_on_the_newest_qemu(t):
    serve_packed(t, newest_qemu())


if __name__ == "__main__":
    sys.exit(main())
