#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own that has an IOMMU, and a disk behind it.

    test_run_iommu.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

from own_vm import Case, main

MIB = 1 << 20
DISK = 2  # its number in the configuration: its endpoint ID


class Iommu(Case):
    def with_disk(self, words, iommu="- {name: iommu0, type: iommu}\n"):
        disk = self.file("disk.img", bytes(16 * MIB))
        os.chmod(disk, 0o666)
        config = self.config(f"{words} endpoint={DISK}")
        with open(config, "a") as f:
            f.write(f"{iommu}- {{name: disk0, type: blk, path: {disk}, memory: {{iotlb: true}}}}\n")
        return config

    def device(self, name):
        device, = [d for d in self.status()["devices"] if d["device"] == name]
        return device

    def test_a_disk_reaches_what_is_mapped_for_it_and_nothing_else(self):
        got = self.run_it(self.with_disk("iommu"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok iommu 0", "end"], got.stderr)
        self.assertIn("is not mapped for the device to write dev=disk0", got.stderr)

    def test_what_is_mapped_outlives_the_worker_that_mapped_it(self):
        child = self.start(self.with_disk("iommu=2 spin"))
        self.assertEqual(self.line(child), "now\n")
        before = self.device("iommu0")
        os.kill(before["pid"], signal.SIGKILL)
        self.until(lambda vm: [d["state"] for d in vm["devices"] if d["device"] == "iommu0" and
                               d["pid"] not in (0, before["pid"])] == ["running"])
        child.stdin.write("x")
        child.stdin.flush()
        self.assertEqual(self.line(child), "ok iommu 0\n")
        # A worker tells its counters now and then, not with each answer.
        self.until(lambda vm: [d["device"] for d in vm["devices"] if d["device"] == "iommu0" and
                               d["counters"]["faults told"] > 0 and d["counters"]["requests refused"] > 0])
        self.assertTrue(int(self.device("disk0")["features"], 16) >> 33 & 1 == 0)  # no worker is told of it

    def test_a_disk_that_is_to_be_behind_an_iommu_needs_one(self):
        got = self.run_it(self.with_disk("iommu", iommu=""), 1)
        self.assertIn("device disk0: memory: iotlb needs an IOMMU, and this VM has none: add a device of type iommu",
                      got.stderr)


if __name__ == "__main__":
    main()
