# A guest that is a host: the test guest's kernel with KVM in it (AMD's SVM or arm64's EL2, which QEMU's TCG has),
# programs of ours beside it, and its agent to run them. A real KVM where this machine has none, at a tenth of its speed.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess

from .archive import Archive
from .machine import PC, Board, Machine

# KVM at EL2; no authentication of pointers as the architecture has it, which costs an emulator half of its speed.
ARM64 = Board("qemu-system-aarch64", ("-M", "virt,virtualization=on,gic-version=3"), "max,pauth-impdef=on", "ttyAMA0", "ttyS0",
              ("-device", "pci-serial,chardev=agent"))
MEMORY_MIB = 1536
PLACE = "host"  # where the programs are: /host


def libraries_of(path, sysroot):
    """What a dynamic program loads, {its place: file}; nothing for all else. sysroot: where libraries of another
    architecture are; None: this machine's own."""
    if sysroot:
        return foreign_libraries_of(path, sysroot)
    done = subprocess.run(["ldd", path], text=True, capture_output=True)
    if done.returncode != 0:
        return {}
    words = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return {word: word for word in words if os.path.exists(word)}


def foreign_libraries_of(path, sysroot):
    """The same by what the files say, one after another."""
    done = subprocess.run(["readelf", "-dl", path], text=True, capture_output=True)
    names = re.findall(r"Shared library: \[(.*)\]", done.stdout)
    found = {place: sysroot + place for place in re.findall(r"interpreter: (/.*)\]", done.stdout)}
    for name in names:
        file = next(f"{top}/{name}" for top, _, files in os.walk(sysroot) if name in files)
        found[f"/lib/{name}"] = file
        found.update(foreign_libraries_of(file, sysroot))
    return found


def make_image(guest_image, directory, files, sysroot=None):
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
    libraries = {}
    for name, path in sorted(files.items()):
        archive.add(path, f"{PLACE}/{name}")
        libraries.update(libraries_of(path, sysroot))
    for place, path in sorted(libraries.items()):
        archive.add(path, place.lstrip("/"))
    archive.close()


class Nested(Machine):
    """Starts the host; wait_host() waits until it has /dev/kvm. A PC has one processor: with two, wake-ups are lost under TCG.
    sysroot: libraries of the board's architecture, where it is not this machine's."""

    def __init__(self, guest_image, directory, files, binary=None, board=PC, sysroot=None, processors=1, arguments=()):
        make_image(guest_image, f"{directory}/nested", files, sysroot)
        super().__init__(f"{directory}/nested", directory, arguments, binary=binary, memory_mib=MEMORY_MIB, scenario="host",
                         name="nested", board=board, processors=processors)

    def wait_host(self, seconds=120):
        self.wait_ready(seconds)
        self.run("while read -r module; do insmod /modules/$module; done </modules/host; test -c /dev/kvm")
        # As on any host: what a broker's jail needs is mounted.
        self.run("mkdir -p /dev/pts /dev/shm /tmp && mount -t devpts pts /dev/pts && mount -t tmpfs shm /dev/shm")
