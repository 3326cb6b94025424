# The yardstick is one that a real guest takes: a Linux in QEMU keeps its data on a disk of the all-mapped twin.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TESTS, "harness"), os.path.join(TESTS, "integration")]
from guest.backend import PROGRAMS, Disk
from guest.child import Child
from guest.claims import claim, main, needs
from load import end_churn, no_io_errors, start_churn, wait_for_traffic


class Twin:
    """The part of a back-end that booting a guest needs."""

    def __init__(self, directory, disk):
        self.disk, self.path = disk, f"{directory}/twin.sock"
        program = f"{PROGRAMS}/bulkhead-twin"
        needs(os.path.exists(program), f"{program} is not built")
        self.child = Child("bulkhead-twin", [program, "--socket", self.path, "--file", disk.path,
                                             "--queues", str(disk.queues)], f"{directory}/twin.log")
        self.child.wait_for_line("serving", 20)

    def qemu_arguments(self):
        return self.disk.qemu(self.path)


@claim(seconds=120)
def guest_keeps_its_data_on_the_twin(t):
    disk = Disk("disk0", t.disk_file(mib=128), queues=2)
    twin = Twin(t.directory, disk)
    t.undo.callback(twin.child.stop)
    guest = t.boot(twin, processors=2)
    start_churn(guest)
    wait_for_traffic(guest, 400)
    counts = end_churn(guest)
    no_io_errors(guest)
    t.stage(f"{counts['writes']} writes, {counts['reads']} reads, no wrong byte")
    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && guest_load fill /mnt/data 0 32M 1")
    guest.reboot()
    guest.run("mount /dev/vda /mnt && guest_load check /mnt/data 0 32M 1 && umount /mnt && e2fsck -fn /dev/vda")
    t.stage("a file outlived a reboot")


if __name__ == "__main__":
    sys.exit(main())
