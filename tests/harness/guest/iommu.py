# IOMMUs that QEMU puts before a guest's devices, and what QEMU, the guest's kernel and bulkhead have to be told of them.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

from .backend import Disk
from .claims import backports_image, guest_image
from .machine import PC
from .net import Net, SCENARIO

TRANSLATED = ", memory: {iotlb: true}"  # keys of a device's configuration
# Whatever a driver posts is mapped before and unmapped after, and the device is told before the page is used again.
STRICT = "iommu.strict=1"
# QEMU 7.2 emulates cmpxchg16b wrong at times (a double fault in the allocator, EFLAGS full of an address), and Linux since 6.8
# uses it all the time where there is one.
WITHOUT_CX16 = dataclasses.replace(PC, processor="max,-cx16")


class Iommu:
    """qemu: QEMU's device. words: the guest kernel's. ats: devices keep translations and are told by their driver of what ends."""

    def __init__(self, name, qemu, words="", ats=False, image=guest_image, board=PC):
        self.name, self.qemu, self.words, self.ats, self.image, self.board = name, qemu, words, ats, image, board
        self.ports = []

    def _behind(self, name):
        """Properties of a device's. Each is alone behind a root port: on the root bus itself it would have no ATS."""
        self.ports.append(f"{name}-port")
        return f",bus={name}-port,iommu_platform=on" + (",ats=on" if self.ats else "")

    def disk(self, name, path):
        return Disk(name, path, extra=TRANSLATED, qemu_extra=self._behind(name))

    def net(self, name, options):
        return Net(name, options + TRANSLATED, qemu_extra=self._behind(name))

    def boot(self, t, serving, binary):
        # QEMU wants to know of the IOMMU first.
        arguments = ["-device", self.qemu]
        for n, port in enumerate(self.ports, 1):
            arguments += ["-device", f"pcie-root-port,id={port},chassis={n},slot={n}"]
        return t.boot(serving, binary=binary, board=self.board, image=self.image(),
                      scenario=f"{SCENARIO} {STRICT} {self.words}", arguments=arguments + serving.qemu_arguments())


def intel():
    return Iommu("intel-iommu with ATS", "intel-iommu,intremap=off,device-iotlb=on", "intel_iommu=on", ats=True)


def intel_without_ats():
    """QEMU tells devices of what the guest tells its IOMMU."""
    return Iommu("intel-iommu", "intel-iommu,intremap=off", "intel_iommu=on")


def virtio():
    """Debian 12's own kernels have no driver for it."""
    return Iommu("virtio-iommu", "virtio-iommu-pci", image=backports_image, board=WITHOUT_CX16)
