#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own: how it ends and what it says.

    test_run.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from own_vm import BULKHEAD, DEADLINE_S, NAME, TEST_GUEST, Case, main


class Endings(Case):
    def test_off_is_0(self):
        got = self.run_it(self.config("hello=7"), 0)
        self.assertEqual(got.stdout.splitlines(), ["ok hello 7", "end"])
        self.assertIn("switched itself off", got.stderr)
        self.assertNotIn("error", got.stderr)

    def test_reset_is_3_and_no_error(self):
        for word in ("reset", "reset_acpi"):
            with self.subTest(word):
                got = self.run_it(self.config(word), 3)
                self.assertIn("asks for a reset", got.stderr)
                self.assertNotIn("error", got.stderr)

    def test_a_crash_is_4_and_says_where(self):
        got = self.run_it(self.config("triple"), 4)
        self.assert_one_error(got, r"triple fault on vCPU 0: .*rip=0x")

    def test_the_operator_s_end_is_0_and_leaves_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                child = self.start(self.config("spin"))
                self.assertEqual(self.line(child), "spinning\n")
                self.assertEqual(sorted(os.listdir(os.path.join(self.run_dir, NAME))), ["admin.sock", "lock"])
                child.send_signal(number)
                self.assertEqual(child.wait(DEADLINE_S), 0)
                self.assertNotIn("admin.sock", os.listdir(os.path.join(self.run_dir, NAME)))

    def test_a_second_broker_of_that_name_is_refused(self):
        child = self.start(self.config("spin"))
        self.assertEqual(self.line(child), "spinning\n")
        self.assert_one_error(self.run_it(self.config("hello"), 1), "is running already.*choose another name")
        child.terminate()
        self.assertEqual(child.wait(DEADLINE_S), 0)


class Serial(Case):
    def test_what_is_typed_comes_to_the_guest(self):
        child = self.start(self.config("echo"))
        self.assertEqual(self.line(child), "echo\n")
        child.stdin.write("abc.")
        child.stdin.flush()
        self.assertEqual(self.line(child), "abc.\n")
        self.assertEqual(self.line(child), "ok echo 4\n")
        self.assertEqual(child.wait(DEADLINE_S), 0)

    def test_none_is_none(self):
        got = self.run_it(self.config("hello", more="memory: 64M\nserial: none"), 0, typed="x")
        self.assertEqual(got.stdout, "")
        self.assertIn("switched itself off", got.stderr)

    def test_a_reader_that_is_gone_ends_no_vm(self):
        read, write = os.pipe()
        os.close(read)
        child = subprocess.Popen(self.argv(self.config("hello")), stdin=subprocess.DEVNULL, stdout=write,
                                 stderr=subprocess.PIPE, text=True)
        os.close(write)
        self.children.append(child)
        self.assertEqual(child.wait(DEADLINE_S), 0)


class Working(Case):
    """A guest that writes blocks and reads them again, by interrupts, while somebody of ours dies."""

    def working(self, words):
        disk = os.path.join(self.dir, "disk.img")
        with open(disk, "wb") as f:
            f.truncate(16 << 20)
        os.chmod(disk, 0o666)
        config = self.config(f"hello {words}")
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {disk}}}\n")
        child = self.start(config)
        self.assertEqual(self.line(child), "ok hello 1\n")
        return child

    def worker(self, but=None):
        """The disk's worker, when another than `but` serves."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            disk = [d for d in self.status()["devices"] if d["device"] == "disk0"][0]
            if disk["state"] in ("ready", "running") and disk["pid"] not in (but, 0, None):
                return disk["pid"]
        self.fail("the disk has no worker")

    def gone(self, *pids):
        end = time.monotonic() + DEADLINE_S
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            self.assertLess(time.monotonic(), end, "a process outlives its broker")

    def test_it_uses_its_devices_twenty_times_without_an_exit_for_a_kick(self):
        child = self.working("blk rounds=20 blocks=8 rng=20")
        said, log = child.communicate(timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok blk 160", "ok rng 20", "end"]), log)
        counts = [line for line in log.splitlines() if "kick_exits=" in line]
        self.assertEqual(len(counts), 2, log)
        for line in counts:
            self.assertIn(" kick_exits=0 refused=0 ", line)
            self.assertNotIn(" interrupts=0 ", line)

    def test_a_driver_that_asks_for_no_packed_ring_has_split_ones(self):
        child = self.working("blk rounds=1 blocks=100000")
        vm = self.until(lambda vm: all(d["requests"] > 0 for d in vm["devices"] if d["device"] == "disk0"))
        disk, = [d for d in vm["devices"] if d["device"] == "disk0"]
        self.assertEqual(int(disk["features"], 16) >> 32 & 7, 1, disk)  # VERSION_1, and not RING_PACKED
        child.terminate()
        self.assertEqual(child.wait(DEADLINE_S), 0)

    def test_workers_that_are_killed_are_a_stall_only(self):
        child = self.working("blk rounds=1 blocks=2000")
        last = None
        for _ in range(8):
            last = self.worker(but=last)
            os.kill(last, signal.SIGKILL)
        said, log = child.communicate(timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok blk 2000", "end"]), log)
        self.assertEqual(log.count("worker was killed"), 8, log)
        self.assert_nothing_left()

    def test_a_spawner_that_is_killed_ends_no_vm_and_leaves_no_process(self):
        child = self.working("blk rounds=1 blocks=1500")
        os.kill(self.status()["spawner_pid"], signal.SIGKILL)
        said = child.stdout.read()
        self.assertEqual(said.splitlines(), ["ok blk 1500", "end"], child.stderr.read())
        self.assertEqual(child.wait(DEADLINE_S), -signal.SIGKILL)
        self.end_of_children()

    def test_a_spawner_that_is_killed_leaves_a_socket_that_is_known_as_dead_until_the_next_run(self):
        child = self.working("blk rounds=1 blocks=100000")
        status = self.status()
        os.kill(status["spawner_pid"], signal.SIGKILL)
        child.wait(DEADLINE_S)
        os.kill(status["broker_pid"], signal.SIGTERM)
        self.end_of_children()  # workers, too, and nobody who could remove a file
        self.assertEqual(self.status()["state"], "dead")
        self.run_it(self.config("hello"), 0)
        self.assert_nothing_left()

    def test_a_broker_that_is_killed_takes_its_workers_along_and_leaves_no_lock(self):
        child = self.working("blk rounds=1 blocks=100000")
        status = self.status()
        workers = [device["pid"] for device in status["devices"]]
        os.kill(status["broker_pid"], signal.SIGKILL)
        self.assertNotEqual(child.wait(DEADLINE_S), 0)
        self.gone(*workers, status["broker_pid"])
        self.assert_nothing_left()
        self.run_it(self.config("hello"), 0)


class Incomplete(Case):
    def test_a_device_whose_workers_crash_is_missing_and_the_vm_runs(self):
        bulkhead = self.programs_with("stillborn/bulkhead-worker-blk")
        disk = self.file("disk.img", bytes(1 << 20))
        os.chmod(disk, 0o666)
        config = self.config("hello rng=3")
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {disk}}}\n")
        got = subprocess.run(self.argv(config, bulkhead), input="", capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual((got.returncode, got.stdout.splitlines()), (0, ["ok hello 1", "ok rng 3", "end"]), got.stderr)
        self.assertIn("the VM starts without one of its devices dev=disk0", got.stderr)


class Booting(Case):
    """While the loader is at work: one that has written all, and does not say so."""

    def setUp(self):
        super().setUp()
        self.child = self.start(self.config("spin"), self.programs_with("held/bulkhead-worker-loader"))
        self.vm = self.until(lambda vm: vm["stage"] == "booting" and vm["loaded"] > 0)

    def loader(self):
        """As the kernel has it: the one child of the spawner that is neither broker nor worker."""
        known = [self.vm["broker_pid"], *(device["pid"] for device in self.vm["devices"])]
        spawner = self.vm["spawner_pid"]
        with open(f"/proc/{spawner}/task/{spawner}/children") as children:
            pid, = [int(pid) for pid in children.read().split() if int(pid) not in known]
        return pid

    def test_ps_says_that_it_boots(self):
        got = subprocess.run([BULKHEAD, "ps", "--run-dir", self.run_dir], capture_output=True, text=True, check=True,
                             timeout=DEADLINE_S)
        own, device = got.stdout.splitlines()[1:]
        self.assertEqual(own.split()[:4], [NAME, "-", "kvm", "booting"])
        self.assertRegex(own.split()[-1], r"^[1-9][0-9.]*K$")
        self.assertEqual(device.split()[:4], [NAME, "rng0", "rng", "ready"])

    def test_audit_measures_the_loader_as_every_worker(self):
        answer = self.ask("audit")
        self.assertTrue(answer["ok"], answer)
        loader, = [p for p in answer["vms"][0]["processes"] if p["process"] == "loader"]
        self.assertEqual((loader["role"], loader["pid"]), ("worker", self.loader()))
        rows = {row["fact"]: row for row in loader["rows"]}
        for fact, measured in (("program", "bulkhead-worker-loader"), ("guest memory", "0 bytes mapped"),
                               ("capabilities", "0 in 5 sets"), ("seccomp mode", "2 (filter)"), ("seccomp filters", "2"),
                               ("namespaces", "7 of its own"), ("root", "0 entries, read-only"),
                               ("descriptors", "2 null, 1 pipes, 3 sockets, 1 files")):
            self.assertEqual((rows[fact]["measured"], rows[fact]["verdict"]), (measured, "ok"))
        self.assertEqual(rows["seccomp content"]["wanted"], "policy loader")

    def test_a_loader_that_is_killed_is_a_boot_that_failed(self):
        os.kill(self.loader(), signal.SIGKILL)
        _, log = self.child.communicate(timeout=DEADLINE_S)
        self.assertEqual(self.child.returncode, 1)
        self.assertRegex(log, "error: cannot boot: the kernel's loader (hung up and )?was killed.*: try another kernel")
        self.assert_nothing_left()

    def test_the_operator_can_end_it(self):
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(DEADLINE_S), 0)
        self.assert_nothing_left()


class Operator(Case):
    def setUp(self):
        super().setUp()
        self.child = self.start(self.config("spin", more="memory: 64M\nvcpus: 2"))
        self.assertEqual(self.line(self.child), "spinning\n")

    def test_ps_lists_it(self):
        vm, = self.ask("ps")["vms"]
        self.assertEqual((vm["vm"], vm["state"], vm["stage"]), (NAME, "alive", "running"))
        self.assertGreater(vm["loaded"], 0)
        device, = vm["devices"]
        self.assertEqual((device["device"], device["state"], device["attached"]), ("rng0", "ready", False))

    def test_audit_finds_nothing_loose_and_the_loader_gone(self):
        answer = self.ask("audit")
        self.assertTrue(answer["ok"], answer)
        processes = {p["role"]: {row["fact"]: row for row in p["rows"]} for p in answer["vms"][0]["processes"]}
        self.assertEqual(set(processes), {"spawner", "broker", "worker"})
        self.assertEqual(processes["broker"]["seccomp content"]["wanted"], "policy broker-kvm")
        self.assertEqual(processes["broker"]["guest memory"]["measured"], f"{64 << 20} bytes mapped, 2 vCPUs")
        self.assertEqual(processes["worker"]["guest memory"]["measured"], "0 bytes mapped")
        self.assertEqual(processes["spawner"]["descendants"]["measured"], "0 not listed")


if __name__ == "__main__":
    main()
