# A disk behind a real Linux guest keeps what it was given, refuses what it must, and uses the ring's features.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk, Entropy
from guest.claims import claim, guest_image, main, newest_qemu, require
from guest.machine import Binary
from load import end_churn, features_of, no_io_errors, start_churn, wait_for_traffic

FEATURE_INDIRECT = 28  # virtio 1.3, 6
FEATURE_EVENT_INDEX = 29
FEATURE_VERSION_1 = 32
FEATURE_DISCARD = 13  # virtio 1.3, 5.2.3
FEATURE_WRITE_ZEROES = 14
FEATURE_READ_ONLY = 5


def pause_and_go_on(guest):
    guest.qmp.command("stop")
    guest.qmp.wait_event("STOP")
    require(guest.qmp.command("query-status")["status"] == "paused", "QEMU did not pause")
    guest.qmp.command("cont")
    guest.qmp.wait_event("RESUME")


def write_while_paused_and_resumed(guest, command):
    """The pause falls into the traffic."""
    token = guest.agent.start(command)
    pause_and_go_on(guest)
    pause_and_go_on(guest)
    answer = guest.agent.finish(token, 90, command)
    require(answer.status == 0, f"{command}: {answer.output}")


def host_sees_the_same(t, image, files):
    """The image itself, read on the host when all is over: a clean file system, and every byte of each file."""
    checked = subprocess.run(["e2fsck", "-fn", image], text=True, capture_output=True,
                             env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    require(checked.returncode == 0, f"e2fsck on the host: {checked.stdout}{checked.stderr}")
    for name, mib, generation in files:
        copy = f"{t.directory}/{name}"
        subprocess.run(["debugfs", "-R", f"dump /{name} {copy}", image], check=True, capture_output=True,
                       env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        compared = subprocess.run([f"{guest_image()}/guest_load", "check", copy, "0", f"{mib}M", str(generation)],
                                  text=True, capture_output=True)
        require(compared.returncode == 0, f"{name} on the host: {compared.stdout}{compared.stderr}")


def keep_data_over_reboots(t, binary, reboots):
    t.stage(f"QEMU {binary.version()}")
    disk = Disk("disk0", t.disk_file())
    guest = t.boot(t.backend([disk, Entropy()]), binary=binary)
    features = features_of(guest)
    for bit, name in ((FEATURE_VERSION_1, "VERSION_1"), (FEATURE_INDIRECT, "indirect descriptors"),
                      (FEATURE_EVENT_INDEX, "event index")):
        require(bit in features, f"{name} (bit {bit}) was not negotiated: {sorted(features)}")
    t.stage("negotiated: indirect descriptors, event index")

    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt")
    write_while_paused_and_resumed(guest, "guest_load fill /mnt/data 0 64M 1")
    guest.run("echo 3 >/proc/sys/vm/drop_caches; guest_load check /mnt/data 0 64M 1")
    t.stage("64 MiB written, synced and right, paused and resumed meanwhile")
    for boot in range(1, reboots + 1):
        # Not a clean one: what was synced must be there, the journal does the rest.
        guest.reboot()
        pause_and_go_on(guest)
        guest.run("mount /dev/vda /mnt && guest_load check /mnt/data 0 64M 1")
        if boot > 1:
            guest.run(f"guest_load check /mnt/more 0 4M {boot}")
        write_while_paused_and_resumed(guest, f"guest_load fill /mnt/more 0 4M {boot + 1} direct")
        no_io_errors(guest)
        t.stage(f"reboot {boot} of {reboots}: the data is right")
    guest.run("umount /mnt && e2fsck -fn /dev/vda")
    require(guest.power_off() == 0, "QEMU did not end well")
    host_sees_the_same(t, disk.path, [("data", 64, 1), ("more", 4, reboots + 1)])
    t.stage("the image on the host holds the same bytes")


@claim(seconds=120)
def disk_keeps_its_data_over_three_reboots(t):
    keep_data_over_reboots(t, Binary.host(), 3)


@claim(seconds=120, long=True)
def disk_keeps_its_data_over_three_reboots_on_the_newest_qemu(t):
    keep_data_over_reboots(t, newest_qemu(), 3)


@claim(seconds=240, long=True)
def disk_keeps_its_data_over_ten_reboots(t):
    keep_data_over_reboots(t, Binary.host(), 10)


@claim(seconds=240, long=True)
def disk_keeps_its_data_over_ten_reboots_on_the_newest_qemu(t):
    keep_data_over_reboots(t, newest_qemu(), 10)


def sees_its_block_size(t, binary):
    t.stage(f"QEMU {binary.version()}")
    disks = [Disk("small", t.disk_file("small.img", mib=64)),
             Disk("large", t.disk_file("large.img", mib=64), extra=", block_size: 4096")]
    guest = t.boot(t.backend(disks), binary=binary)
    for name, size in (("vda", 512), ("vdb", 4096)):
        queue = f"/sys/block/{name}/queue"
        got = guest.run(f"cat {queue}/logical_block_size /sys/block/{name}/size").split()
        require(got == [str(size), str(64 << 11)], f"{name} has {got}")
        guest.run(f"guest_load fill /dev/{name} 0 4M 3 direct && guest_load check /dev/{name} 0 4M 3 direct")
    t.stage("block sizes and capacities are those of the configuration")


@claim(seconds=90)
def driver_sees_the_block_size_of_its_disk(t):
    """Linux reads it from the configuration space, before it has features where its driver validates them."""
    sees_its_block_size(t, Binary.host())


@claim(seconds=90)
def driver_sees_the_block_size_of_its_disk_on_the_newest_qemu(t):
    sees_its_block_size(t, newest_qemu())


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_writes(t, binary):
    disk = Disk("disk0", t.disk_file(mib=64), read_only=True)
    subprocess.run([f"{guest_image()}/guest_load", "fill", disk.path, "0", "64M", "7"], check=True,
                   capture_output=True)
    before = digest(disk.path)
    guest = t.boot(t.backend([disk]), binary=binary)
    require(FEATURE_READ_ONLY in features_of(guest), "the driver was not told that the disk is read-only")
    require(guest.run("cat /sys/block/vda/ro").strip() == "1", "the guest takes the disk for writable")
    guest.run("guest_load check /dev/vda 0 64M 7 direct")
    t.stage("reads are right")
    for attempt in ("dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct", "guest_load zero /dev/vda 0 4K",
                    "guest_load discard /dev/vda 0 4K", "mkfs.ext4 -q -F /dev/vda"):
        require(guest.ask(attempt).status != 0, f"not refused: {attempt}")
    guest.power_off()
    require(digest(disk.path) == before, "the image has changed")
    t.stage("four ways to write were refused, the image is unchanged")


@claim(seconds=90)
def read_only_disk_refuses_writes(t):
    refuse_writes(t, Binary.host())


@claim(seconds=90)
def read_only_disk_refuses_writes_on_the_newest_qemu(t):
    refuse_writes(t, newest_qemu())


def allocated(path):
    return os.stat(path).st_blocks * 512


@claim(seconds=120)
def discard_and_write_zeroes_reach_the_image(t):
    disk = Disk("disk0", t.disk_file(mib=128))
    guest = t.boot(t.backend([disk]))
    features = features_of(guest)
    require({FEATURE_DISCARD, FEATURE_WRITE_ZEROES} <= features, f"not negotiated: {sorted(features)}")
    guest.run("guest_load fill /dev/vda 0 64M 1 direct")
    full = allocated(disk.path)
    guest.run("guest_load discard /dev/vda 16M 16M && sync")
    require(allocated(disk.path) <= full - (12 << 20), f"discard freed {full - allocated(disk.path)} bytes of 16 MiB")
    t.stage("a discard gave the host its space back")
    guest.run("guest_load zero /dev/vda 40M 8M && guest_load iszero /dev/vda 40M 8M")
    for start, mib in ((0, 16), (32, 8), (48, 16)):
        guest.run(f"guest_load check /dev/vda {start}M {mib}M 1 direct")
    t.stage("zeroes read as zeroes, and the neighbours kept their bytes")
    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && guest_load fill /mnt/big 0 48M 2 && sync")
    full = allocated(disk.path)
    guest.run("rm /mnt/big && sync && fstrim -v /mnt")
    require(allocated(disk.path) <= full - (40 << 20), f"fstrim freed {full - allocated(disk.path)} bytes of 48 MiB")
    no_io_errors(guest)
    t.stage("fstrim gave back a deleted file")


@claim(seconds=120)
def two_queues_serve_two_processors(t):
    disk = Disk("disk0", t.disk_file(mib=64), queues=2)
    guest = t.boot(t.backend([disk]), processors=2)
    require(guest.run("nproc").strip() == "2", "the guest has not two processors")
    require(len(guest.run("ls /sys/block/vda/mq").split()) == 2, "the driver does not use two queues")
    start_churn(guest)
    wait_for_traffic(guest, 400)
    counts = end_churn(guest)
    no_io_errors(guest)
    t.stage(f"four writers on two queues: {counts['writes']} writes, {counts['reads']} reads, no wrong byte")


if __name__ == "__main__":
    sys.exit(main())
