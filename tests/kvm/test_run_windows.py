#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own whose disk is held to windows of its memory.

    test_run_windows.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import os

from own_vm import Case, main

MIB = 1 << 20
OUTSIDE = 32 * MIB
INSIDE = "{start: 1M, size: 8M}"  # the test guest lies at 1 MiB


class Windows(Case):
    def with_disk(self, words, windows):
        disk = self.file("disk.img", bytes(16 * MIB))
        os.chmod(disk, 0o666)
        config = self.config(words)
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {disk}, memory: {{windows: [{windows}]}}}}\n")
        return config

    def said(self, log, words):
        self.assertEqual([words in line for line in log.splitlines()].count(True), 1, log)

    def test_inside_works_and_outside_breaks_at_once(self):
        got = self.run_it(self.with_disk(f"window={OUTSIDE}", INSIDE), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok window 8", "end"], got.stderr)
        self.said(got.stderr, "the guest has posted a buffer outside of the device's windows: dev=disk0 queue=0 "
                  f"at={OUTSIDE:#x} len=4096 windows=0x100000-0x8fffff")
        self.said(got.stderr, "device is broken by its guest: buffer outside of the device's windows dev=disk0 queue=0")

    def test_a_window_more_makes_it_good(self):
        got = self.run_it(self.with_disk(f"window={40 * MIB}", f"{INSIDE}, {{start: {OUTSIDE}, size: 4M}}"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok window 8", "end"], got.stderr)
        self.said(got.stderr, f"at={40 * MIB:#x} len=4096 windows=0x100000-0x8fffff,0x2000000-0x23fffff")

    def test_a_ring_outside_breaks_before_anything_is_done(self):
        got = self.run_it(self.with_disk(f"window_ring={OUTSIDE}", INSIDE), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok window_ring 4", "end"], got.stderr)
        self.said(got.stderr, "the guest has posted a ring outside of the device's windows: dev=disk0 queue=0 "
                  f"at={OUTSIDE:#x} len=256 windows=0x100000-0x8fffff")

    def test_what_was_refused_is_counted_and_the_audit_says_the_windows(self):
        child = self.start(self.with_disk(f"window={OUTSIDE} spin", INSIDE))
        self.assertEqual(self.line(child), "ok window 8\n")
        disk, = [d for d in self.status()["devices"] if d["device"] == "disk0"]
        self.assertEqual([disk[key] for key in ("windows", "window_bytes", "window_refused")], [1, 8 * MIB, 1])
        told = {key: int(disk[key], 16) >> 33 & 1 for key in ("features_offered", "features_worker", "features")}
        self.assertEqual(told, {"features_offered": 1, "features_worker": 0, "features": 0})  # the guest alone
        self.assertEqual(int(disk["features_agreed"], 16) & ~int(disk["features_offered"], 16), 0)
        measured = {p["process"]: row["measured"] for p in self.ask("audit")["vms"][0]["processes"] for row in p["rows"]
                    if row["fact"] == "DMA windows"}
        self.assertEqual(measured, {"disk0": f"1, {8 * MIB} bytes, 1 refused", "rng0": "all that is posted"})


if __name__ == "__main__":
    main()
