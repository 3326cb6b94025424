#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own: drivers of the legacy interface in both orders of bytes, and drivers that read a disk's
configuration before they have features.

    test_run_legacy.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import os
import struct

from own_vm import Case, main

BYTES = 16 << 20
BLOCKS = 64


class Legacy(Case):
    def with_disk(self, words, more="", size=512):
        self.disk = self.file("disk.img", bytes(BYTES))
        os.chmod(self.disk, 0o666)
        config = self.config(f"capacity={BYTES // 512} blk_size={size} {words}")
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {self.disk}, block_size: {size}{more}}}\n")
        return config

    def works(self, words, said, more="", size=512):
        got = self.run_it(self.with_disk(words, more, size), 0)
        self.assertEqual(got.stdout.splitlines(), [said, "end"], got.stderr)
        self.assertNotIn("error", got.stderr)
        self.assertIn("refused=0 ", [line for line in got.stderr.splitlines() if "dev=disk0 accesses=" in line][0])

    def assert_blocks(self):
        """What the guest has written is in the image, where it meant it."""
        with open(self.disk, "rb") as image:
            for at in range(BLOCKS):
                words = struct.unpack("<512Q", image.read(4096))
                self.assertEqual(words, tuple(0x1e6ac40000000000 | at << 16 | word for word in range(512)))
            self.assertEqual(set(image.read()), {0})

    def test_a_legacy_driver_reads_config_before_features_and_moves_blocks(self):
        for size in (512, 4096):
            with self.subTest(size):
                self.works(f"legacy blocks={BLOCKS}", f"ok legacy {BLOCKS}", ", legacy: only", size)
                self.assert_blocks()

    def test_a_big_endian_one_does_the_same(self):
        for size in (512, 4096):
            with self.subTest(size):
                self.works(f"legacy_big blocks={BLOCKS}", f"ok legacy_big {BLOCKS}", ", legacy: only-big-endian", size)
                self.assert_blocks()

    def test_through_sockets_alone_it_is_the_same(self):
        self.works(f"legacy_big blocks={BLOCKS}", f"ok legacy_big {BLOCKS}", ", legacy: only-big-endian, copy: socket")
        self.assert_blocks()

    def test_modern_drivers_of_either_habit_read_the_same(self):
        for size in (512, 4096):
            for word in ("config_old", "config_new"):
                with self.subTest(f"{word} {size}"):
                    self.works(word, f"ok {word} 16", size=size)

    def test_the_wrong_order_is_seen(self):
        """Each driver against the other's device: neither reads a configuration that it could mistake for its own."""
        for word, device in (("legacy", "only-big-endian"), ("legacy_big", "only")):
            with self.subTest(word):
                got = self.run_it(self.with_disk(word, f", legacy: {device}"), 0)
                self.assertIn(f"FAIL {word}: configuration: capacity 0x80000000000000", got.stdout)

    def test_ps_says_what_a_legacy_driver_has(self):
        child = self.start(self.with_disk(f"legacy blocks={BLOCKS} spin", ", legacy: only"))
        self.assertEqual(self.line(child), f"ok legacy {BLOCKS}\n")
        disk, = [d for d in self.status()["devices"] if d["device"] == "disk0"]
        self.assertEqual(disk["requests"], 2 * BLOCKS + 2)  # and a flush, and one behind the end


if __name__ == "__main__":
    main()
