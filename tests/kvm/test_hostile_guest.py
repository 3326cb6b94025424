#!/usr/bin/env python3
"""A guest that means harm, on the real /dev/kvm, under the whole product: registers, queues and rings as no driver writes them.

    test_hostile_guest.py BULKHEAD TEST_GUEST [-k CLAIM...]
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import contextlib
import json
import os
import re
import select
import subprocess
import time
import unittest

from own_vm import BULKHEAD, DEADLINE_S, Case, main

GROWTH_KIB = 1024


def read(path):
    with open(path) as f:
        return f.read()


def kinds(folder):
    """Of descriptors. One that is closed meanwhile counts for nothing."""
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            yield re.sub(r"\d+", "N", os.readlink(os.path.join(folder, fd)))


class Broker:
    """What a process holds, at a moment when nothing is under way."""

    def __init__(self, pid):
        base = f"/proc/{pid}"
        self.descriptors = collections.Counter(kinds(f"{base}/fd"))
        self.threads = sorted(read(f"{base}/task/{task}/comm") for task in os.listdir(f"{base}/task"))
        status = dict(re.findall(r"^(\w+):\s*(.*)$", read(f"{base}/status"), re.M))
        self.anonymous_kib = int(status["RssAnon"].split()[0])
        self.start = read(f"{base}/stat").rsplit(")", 1)[1].split()[19]


class Hostile(Case):
    def disk_config(self, words, disks=1, vcpus=2):
        config = self.config(words, more=f"memory: 64M\nvcpus: {vcpus}")
        for i in range(disks):
            disk = self.file(f"disk{i}.img", b"")
            os.truncate(disk, 1 << 20)
            os.chmod(disk, 0o666)
            with open(config, "a") as f:
                f.write(f"- {{name: disk{i}, type: blk, path: {disk}}}\n")
        return config

    def status(self):
        got = subprocess.run([BULKHEAD, "ps", "--json", "--run-dir", self.run_dir], capture_output=True, text=True,
                             timeout=DEADLINE_S)
        vm, = json.loads(got.stdout)["vms"]
        return vm, {device["device"]: device for device in vm["devices"]}

    def start(self, config):
        """Its log goes to a file: nobody reads while the guest attacks."""
        with open(os.path.join(self.dir, "log"), "w") as log:
            child = subprocess.Popen(self.argv(config), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                     bufsize=0)
        self.children.append(child)
        return child

    def log(self):
        return read(os.path.join(self.dir, "log"))

    def said_until(self, child, end):
        """What the guest says until then, or until its own end."""
        said = b""
        while not said.endswith(end):
            ready, _, _ = select.select([child.stdout], [], [], DEADLINE_S)
            self.assertTrue(ready, f"the guest hangs, after {said}\n{self.log()}")
            piece = os.read(child.stdout.fileno(), 4096)
            if not piece:
                break
            said += piece
        return said.decode()

    def calm(self, child):
        """The guest waits, with its disks running."""
        said = self.said_until(child, b"calm\n")
        self.assertTrue(said.endswith("calm\n") and "FAIL" not in said, said + self.log())
        vm, devices = self.status()
        self.assertEqual(vm["state"], "alive")
        for device in devices.values():
            self.assertIn(device["state"], ("ready", "running"), device)
        return said, vm["broker_pid"], devices

    def assert_no_growth(self, pid, before):
        """The last worker's pipe is closed when the spawner has told how it died: a moment after its successor serves."""
        end = time.monotonic() + DEADLINE_S
        while (after := Broker(pid)).descriptors - before.descriptors and time.monotonic() < end:
            pass
        self.assertEqual(after.start, before.start, "another broker")
        self.assertFalse(after.descriptors - before.descriptors)
        self.assertEqual(after.threads, before.threads)
        self.assert_same_memory(after, before)

    def assert_same_memory(self, after, before):
        if "BULKHEAD_SANITIZED" not in os.environ:  # a sanitizer's own memory grows with what it sees
            self.assertLess(after.anonymous_kib, before.anonymous_kib + GROWTH_KIB)

    def assert_no_error(self):
        self.assertNotRegex(self.log(), "error: |quarantine|killed dev=|Sanitizer")

    def attack(self, words, disks=1):
        """What the guest says of it, and the broker's counts of the first disk."""
        child = self.start(self.disk_config(words, disks))
        _, pid, devices_before = self.calm(child)
        before = Broker(pid)
        child.stdin.write(b"a")
        said, pid, devices = self.calm(child)
        self.assert_no_growth(pid, before)
        self.assertEqual(devices["rng0"]["pid"], devices_before["rng0"]["pid"], "its neighbour's worker")
        self.assertEqual({device["restarts"] for device in devices.values()}, {0}, f"a worker that died for no reset\n{self.log()}")
        child.stdin.write(b"b")
        said += self.said_until(child, b"end\n")
        self.assertEqual(child.wait(DEADLINE_S), 0, said + self.log())
        self.assert_no_error()
        self.next_guest_works()
        return said.splitlines(), self.counts()

    def next_guest_works(self):
        got = self.run_it(self.disk_config("blk rounds=2 blocks=4 rng=2"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok blk 8", "ok rng 2", "end"], got.stderr)

    def counts(self):
        line, = re.findall(r"dev=disk0 (accesses=.*)$", self.log(), re.M)
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}

    def number(self, said, name):
        line, = (line for line in said if line.startswith(f"ok {name} "))
        return int(line.split()[2])

    def test_each_register_refuses_in_each_state_what_no_driver_may(self):
        said, counts = self.attack("registers")
        wrong = self.number(said, "registers")
        self.assertGreaterEqual(wrong, 168)
        self.assertEqual((counts["refused"], counts["kick_exits"]), (wrong, 0))

    def test_a_queue_that_runs_is_not_changed_by_another_processor(self):
        said, counts = self.attack("race=20000")
        self.assertEqual(self.number(said, "race"), 20000)
        self.assertGreater(counts["refused"], 10000)
        self.assertEqual(counts["kick_exits"], 0)

    def test_rings_that_change_under_the_device_break_it_and_nothing_else(self):
        said, counts = self.attack("scribble=5")
        self.assertGreaterEqual(self.number(said, "scribble"), 5)
        self.assertEqual(counts["kick_exits"], 0)

    def test_queues_that_are_stopped_moved_and_reset_under_io_are_harmless(self):
        said, counts = self.attack("chaos=2000")
        self.assertEqual(self.number(said, "chaos"), 2000)
        self.assertGreater(counts["resets"], 10)

    def test_malformed_rings_break_their_device_until_its_reset(self):
        said, counts = self.attack("rings", disks=4)
        self.assertGreaterEqual(self.number(said, "rings"), 20)
        self.assertEqual(counts["kick_exits"], 0)

    def test_a_flood_of_resets_by_all_processors_leaves_the_broker_to_its_operator(self):
        child = self.start(self.disk_config("flood=8", vcpus=8))
        self.assertEqual(self.said_until(child, b"flooding\n"), "flooding\n", self.log())
        for _ in range(5):
            self.assertEqual(self.status()[0]["state"], "alive")
        child.terminate()
        self.assertEqual(child.wait(DEADLINE_S), 0, self.log())
        self.assert_no_error()
        self.assertEqual(self.counts()["kick_exits"], 0)
        self.next_guest_works()

    def test_a_storm_of_configuration_writes_breaks_its_device_alone(self):
        said, counts = self.attack("storm=2000")
        self.assertEqual(self.number(said, "storm"), 2000)
        self.assertRegex(said[0], r"\Abroken [1-9]")
        self.assertGreater(counts["refused"], 0)

    def test_strings_and_locked_accesses_of_registers_are_harmless(self):
        said, counts = self.attack("odd")
        self.assertGreater(self.number(said, "odd"), 168)
        self.assertGreater(counts["refused"], 168)

    def test_a_processor_that_is_lost_in_a_device_ends_its_vm_in_one_line(self):
        for lost in range(4):  # it executes registers, has page tables, its stack, its gates there
            with self.subTest(lost):
                got = self.run_it(self.disk_config(f"lost={lost}"), 4)
                self.assertEqual(got.stdout, "lost\n")
                ends = [line for line in got.stderr.splitlines() if "error: " in line]
                self.assertEqual(len(ends), 1, got.stderr)
                self.assertRegex(ends[0], r"(triple fault|internal error of KVM .*) on vCPU 0: rip=")
        self.next_guest_works()

    def test_words_without_end_that_nobody_reads_keep_nobody_waiting(self):
        child = self.start(self.disk_config("babble=2"))
        ready, _, _ = select.select([child.stdout], [], [], DEADLINE_S)
        self.assertTrue(ready, self.log())
        brokers = [Broker(self.status()[0]["broker_pid"]) for _ in range(5)]
        self.assert_same_memory(brokers[-1], brokers[0])
        child.terminate()
        self.assertEqual(child.wait(DEADLINE_S), 0, self.log())
        self.assert_no_error()


if __name__ == "__main__":
    main()
