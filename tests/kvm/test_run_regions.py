#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own that has a shared memory region: what its guest sees there, and a disk with buffers in it.

    test_run_regions.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import signal
import subprocess
import time

from own_vm import DEADLINE_S, Case, main


class Regions(Case):
    def with_region(self, words, limits="", size="1M"):
        disk = os.path.join(self.dir, "disk.img")
        with open(disk, "wb") as f:
            f.truncate(16 << 20)
        os.chmod(disk, 0o666)
        config = self.config(words)
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {disk}}}\n"
                    f"- {{name: sample0, type: sample, size: {size}, shmem: map{limits}}}\n")
        return config

    def counts(self, log):
        line, = [line for line in log.splitlines() if "holes=" in line]
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}

    def test_guest_and_worker_see_what_the_other_writes(self):
        got = self.run_it(self.with_region("region=100"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok region 100", "end"], got.stderr)
        counts = self.counts(got.stderr)
        self.assertEqual((counts["faults"], counts["holes"]), (0, 3))

    def test_after_each_of_ten_resets_the_memory_is_fresh(self):
        got = self.run_it(self.with_region("region_resets=10 region=3"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok region 3", "ok region_resets 10", "end"], got.stderr)

    def with_pmem(self, words):
        path = os.path.join(self.dir, "pmem.img")
        with open(path, "wb") as f:
            f.truncate(4 << 20)
        os.chmod(path, 0o666)
        config = self.config(words)
        with open(config, "a") as f:
            f.write(f"- {{name: pmem0, type: pmem, path: {path}, size: 4M, shmem: map}}\n")
        return config, path

    def test_what_a_device_maps_of_itself_is_there_at_any_moment(self):
        config, path = self.with_pmem("pmem=10")
        got = self.run_it(config, 0)
        self.assertEqual(got.stdout.splitlines(), ["ok pmem 10", "end"], got.stderr)
        self.assertEqual(self.counts(got.stderr)["holes"], 0)
        with open(path, "rb") as f:
            content = f.read()
        self.assertEqual([content[i * 4096] for i in range(12)], [*range(11), 0])

    def test_a_guest_survives_a_file_that_is_cut_short(self):
        config, path = self.with_pmem("pmem_cut")
        child = self.start(config)
        self.assertEqual(self.line(child), "cut it\n")
        os.truncate(path, 2 << 20)
        said, log = child.communicate(".", timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok pmem_cut 0", "end"]), log)

    def medium(self):
        """A small file system of its own on a loop device: where it is mounted, and the file behind it."""
        image, mount = os.path.join(self.dir, "medium.img"), os.path.join(self.dir, "medium")
        with open(image, "wb") as f:
            f.truncate(32 << 20)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", image], check=True)
        os.mkdir(mount)
        if subprocess.run(["mount", "-o", "loop,errors=continue", image, mount], stderr=subprocess.DEVNULL).returncode:
            if os.environ.get("MUST_RUN"):
                self.fail("needs a loop device")
            self.skipTest("needs a loop device")
        self.addCleanup(subprocess.run, ["umount", "-l", mount])
        return mount, image

    def pmem_on(self, mount, words):
        path = os.path.join(mount, "pmem.img")
        os.chmod(path, 0o666)
        os.chmod(mount, 0o755)
        config = self.config(words)
        with open(config, "a") as f:
            f.write(f"- {{name: pmem0, type: pmem, path: {path}, size: 16M, shmem: map}}\n")
        return config

    def test_a_guest_survives_a_medium_that_fails_in_the_middle(self):
        mount, image = self.medium()
        with open(os.path.join(mount, "pmem.img"), "wb", buffering=0) as f:
            f.write(b"\x55" * (16 << 20))  # far more than is read ahead
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        child = self.start(self.pmem_on(mount, "pmem_medium"))
        self.assertEqual(self.line(child), "fail it\n")
        os.truncate(image, 0)
        said, log = child.communicate(".", timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok pmem_medium 0", "end"]), log)
        self.assertEqual(log.count("has gone under the guest's feet"), 1, log)

    def test_a_guest_survives_a_write_for_which_there_is_no_room(self):
        mount, _ = self.medium()
        with open(os.path.join(mount, "pmem.img"), "wb") as f:
            f.truncate(16 << 20)
        with open(os.path.join(mount, "full"), "wb", buffering=0) as f:
            with self.assertRaises(OSError):
                while f.write(bytes(4096)):
                    pass
        got = self.run_it(self.pmem_on(mount, "pmem_full"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok pmem_full 0", "end"], got.stderr)
        self.assertIn("has gone under the guest's feet", got.stderr)

    def test_a_guest_survives_a_page_that_no_register_names(self):
        mount = os.path.join(self.dir, "full")
        os.mkdir(mount)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=18m", "full", mount], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", mount])
        with open(os.path.join(mount, "pmem.img"), "wb") as f:
            f.write(bytes(8 << 20))
            f.seek(4096, os.SEEK_CUR)
            f.write(bytes((8 << 20) - 4096))
        with open(os.path.join(mount, "rest"), "wb", buffering=0) as f:
            with self.assertRaises(OSError):
                while f.write(bytes(4096)):
                    pass
        got = self.run_it(self.pmem_on(mount, "pmem_long"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok pmem_long 0", "end"], got.stderr)
        self.assertEqual(got.stderr.count("has gone under the guest's feet"), 1, got.stderr)

    def test_a_disk_reads_and_writes_there_and_fails_what_is_not_mapped(self):
        got = self.run_it(self.with_region("foreign=20 foreign_ring"), 0)
        self.assertEqual(got.stdout.splitlines(), ["foreign", "ok foreign 20", "ok foreign_ring 0", "end"],
                         got.stderr)

    def test_a_region_that_refuses_others_is_a_hole_to_them(self):
        got = self.run_it(self.with_region("foreign_refused", ", shmem_limits: {foreign_dma: refuse}"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok foreign_refused 0", "end"], got.stderr)

    def worker(self, device, but=None):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            found, = [d for d in self.status()["devices"] if d["device"] == device]
            if found["state"] in ("ready", "running") and found["pid"] not in (but, 0, None):
                return found["pid"]
        self.fail(f"{device} has no worker")

    def test_workers_of_either_are_killed_and_the_disk_never_fails(self):
        child = self.start(self.with_region("foreign=400"))
        self.assertEqual(self.line(child), "foreign\n")
        last = {}
        for i in range(8):
            device = "sample0" if i % 2 else "disk0"
            last[device] = self.worker(device, but=last.get(device))
            os.kill(last[device], signal.SIGKILL)
        said, log = child.communicate(timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok foreign 400", "end"]), log)
        self.assertEqual(log.count("worker was killed"), 8, log)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
