# A guest that is a host: the test guest's kernel with KVM in it (AMD's SVM, which QEMU's TCG has), programs of ours
# beside it, and its agent to run them. A real KVM where this machine has none, at a tenth of its speed.
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess

from .archive import Archive
from .machine import Machine

MEMORY_MIB = 1536
PLACE = "host"  # where the programs are: /host


def libraries_of(path):
    """What a dynamic program loads; nothing for all else."""
    done = subprocess.run(["ldd", path], text=True, capture_output=True)
    if done.returncode != 0:
        return []
    words = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return [word for word in words if os.path.exists(word)]


def make_image(guest_image, directory, files):
    """directory/{vmlinuz,initrd}: the guest image, and `files` ({name below /host: path}) with their libraries."""
    os.makedirs(directory, exist_ok=True)
    for name in ("vmlinuz", "initrd"):
        if os.path.exists(f"{directory}/{name}"):
            os.unlink(f"{directory}/{name}")
    os.symlink(f"{os.path.abspath(guest_image)}/vmlinuz", f"{directory}/vmlinuz")
    with open(f"{guest_image}/initrd", "rb") as base, open(f"{directory}/initrd", "wb") as initrd:
        data = base.read()
        initrd.write(data + b"\0" * (-len(data) % 512))
    archive = Archive(f"{directory}/initrd")
    libraries = set()
    for name, path in sorted(files.items()):
        archive.add(path, f"{PLACE}/{name}")
        libraries.update(libraries_of(path))
    for path in sorted(libraries):
        archive.add(path, path.lstrip("/"))
    archive.close()


class Nested(Machine):
    """Starts the host; wait_host() waits until it has /dev/kvm. One processor: with two, wake-ups are lost under TCG."""

    def __init__(self, guest_image, directory, files, binary=None, memory_mib=MEMORY_MIB):
        make_image(guest_image, f"{directory}/nested", files)
        super().__init__(f"{directory}/nested", directory, [], binary=binary, memory_mib=memory_mib, scenario="host", name="nested")

    def wait_host(self, seconds=120):
        self.wait_ready(seconds)
        self.run("while read -r module; do insmod /modules/$module; done </modules/host; test -c /dev/kvm")
        # As on any host: what a broker's jail needs is mounted.
        self.run("mkdir -p /dev/pts /dev/shm /tmp && mount -t devpts pts /dev/pts && mount -t tmpfs shm /dev/shm")
