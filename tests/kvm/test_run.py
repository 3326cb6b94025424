#!/usr/bin/env python3
"""`bulkhead run` with a VM of its own: how it ends and what it says, and what doctor has said before.

    test_run.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

BULKHEAD, TEST_GUEST = map(os.path.abspath, sys.argv[1:3])
DEADLINE_S = 60 * float(os.environ.get("BULKHEAD_TIME_FACTOR", "1"))
NOBODY = 65534


def host_checks(*args):
    got = subprocess.run([BULKHEAD, "doctor", "--json", *args], capture_output=True, text=True, timeout=DEADLINE_S)
    return {check["check"]: check for check in json.loads(got.stdout)["checks"]}, got


def bzimage():
    """As much of a kernel as it takes to be loaded: Documentation/arch/x86/boot.rst."""
    image = bytearray(16384)
    image[0x1f1] = 1  # one more sector of setup

    def put(at, value, size):
        image[at:at + size] = value.to_bytes(size, "little")

    put(0x1f4, (len(image) - 1024) // 16, 4)  # syssize
    put(0x1fe, 0xaa55, 2)
    image[0x200:0x202] = b"\xeb\x6a"  # the header ends behind handover_offset
    image[0x202:0x206] = b"HdrS"
    put(0x206, 0x020f, 2)
    image[0x211] = 1  # loaded high
    put(0x214, 0x100000, 4)
    put(0x22c, 0x7fffffff, 4)  # initrd_addr_max
    put(0x230, 0x200000, 4)  # kernel_alignment
    image[0x234] = 1  # relocatable
    put(0x236, 1, 2)  # a 64-bit entry
    put(0x238, 2047, 4)  # cmdline_size
    put(0x258, 0x1000000, 8)  # pref_address
    put(0x260, 0x100000, 4)  # init_size
    return bytes(image)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="bulkhead-test-")
        os.chmod(self.dir, 0o755)
        self.run_dir = os.path.join(self.dir, "run")
        self.children = []
        self.addCleanup(self.undo)  # also when a class's own preparation fails

    def undo(self):
        for child in self.children:
            if child.poll() is None:
                child.terminate()  # a spawner that is killed leaves its VM running
                try:
                    child.wait(DEADLINE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream and not stream.closed:
                    stream.close()
        shutil.rmtree(self.dir)

    def config(self, cmdline="", kernel=TEST_GUEST, more="memory: 64M"):
        path = os.path.join(self.dir, "own.yaml")
        with open(path, "w") as f:
            f.write(f"vm: own\nfrontend: kvm\n{more}\nkernel: {kernel}\ncmdline: \"{cmdline}\"\n"
                    "devices:\n- {name: rng0, type: rng}\n")
        return path

    def file(self, name, content):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def argv(self, config):
        return [BULKHEAD, "run", "--run-dir", self.run_dir, config]

    def run_it(self, config, code, before=(), typed="", **more):
        got = subprocess.run([*before, *self.argv(config)], input=typed, capture_output=True, text=True,
                             timeout=DEADLINE_S, **more)
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        return got

    def start(self, config):
        child = subprocess.Popen(self.argv(config), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, bufsize=1)
        self.children.append(child)
        return child

    def line(self, child):
        ready, _, _ = select.select([child.stdout], [], [], DEADLINE_S)
        self.assertTrue(ready, "the guest says nothing")
        return child.stdout.readline()

    def assert_one_error(self, got, pattern):
        """Whatever else is logged, one line is an error, and it says what to do."""
        errors = [line for line in got.stderr.splitlines() if "error: " in line]
        self.assertEqual(len(errors), 1, got.stderr)
        self.assertRegex(errors[0], pattern)
        self.assertEqual(got.stdout, "")


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
                self.assertEqual(sorted(os.listdir(os.path.join(self.run_dir, "own"))), ["admin.sock", "lock"])
                child.send_signal(number)
                self.assertEqual(child.wait(DEADLINE_S), 0)
                self.assertNotIn("admin.sock", os.listdir(os.path.join(self.run_dir, "own")))

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

    def status(self):
        got = subprocess.run([BULKHEAD, "ps", "--json", "--run-dir", self.run_dir], capture_output=True, text=True,
                             timeout=DEADLINE_S)
        vms = json.loads(got.stdout)["vms"]
        return vms[0] if vms else None

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

    def test_workers_that_are_killed_are_a_stall_only(self):
        child = self.working("blk rounds=1 blocks=2000")
        last = None
        for _ in range(8):
            last = self.worker(but=last)
            os.kill(last, signal.SIGKILL)
        said, log = child.communicate(timeout=DEADLINE_S)
        self.assertEqual((child.returncode, said.splitlines()), (0, ["ok blk 2000", "end"]), log)
        self.assertEqual(log.count("worker was killed"), 8, log)

    def test_a_spawner_that_is_killed_ends_no_vm(self):
        child = self.working("blk rounds=1 blocks=1500")
        os.kill(self.status()["spawner_pid"], signal.SIGKILL)
        said = child.stdout.read()
        self.assertEqual(said.splitlines(), ["ok blk 1500", "end"], child.stderr.read())

    def test_a_broker_that_is_killed_takes_its_workers_along_and_leaves_no_lock(self):
        child = self.working("blk rounds=1 blocks=100000")
        status = self.status()
        workers = [device["pid"] for device in status["devices"]]
        os.kill(status["broker_pid"], signal.SIGKILL)
        self.assertNotEqual(child.wait(DEADLINE_S), 0)
        self.gone(*workers, status["broker_pid"])
        self.assertNotIn("admin.sock", os.listdir(os.path.join(self.run_dir, "own")))
        self.run_it(self.config("hello"), 0)


class Incomplete(Case):
    def test_a_device_whose_workers_crash_is_missing_and_the_vm_runs(self):
        workers = os.path.join(self.dir, "workers")
        shutil.copytree(os.path.dirname(BULKHEAD), workers)
        os.chmod(workers, 0o755)
        shutil.copy(os.path.join(os.path.dirname(TEST_GUEST), "faulty", "stillborn", "bulkhead-worker-blk"),
                    os.path.join(workers, "bulkhead-worker-blk"))
        disk = self.file("disk.img", bytes(1 << 20))
        os.chmod(disk, 0o666)
        config = self.config("hello rng=3")
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {disk}}}\n")
        got = subprocess.run([os.path.join(workers, "bulkhead"), "run", "--run-dir", self.run_dir, config], input="",
                             capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual((got.returncode, got.stdout.splitlines()), (0, ["ok hello 1", "ok rng 3", "end"]), got.stderr)
        self.assertIn("the VM starts without one of its devices dev=disk0", got.stderr)


class Operator(Case):
    def setUp(self):
        super().setUp()
        self.child = self.start(self.config("spin", more="memory: 64M\nvcpus: 2"))
        self.assertEqual(self.line(self.child), "spinning\n")

    def ask(self, *words):
        return json.loads(subprocess.run([BULKHEAD, *words, "--json", "--run-dir", self.run_dir], check=True,
                                         capture_output=True, text=True, timeout=DEADLINE_S).stdout)

    def test_ps_lists_it(self):
        vm, = self.ask("ps")["vms"]
        self.assertEqual((vm["vm"], vm["state"]), ("own", "alive"))
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


class Refusals(Case):
    """Each is one line with the remedy, before there is a VM, and doctor has said it in advance."""

    def assert_doctor_says(self, config, check, pattern):
        checks, got = host_checks(config)
        self.assertEqual(got.returncode, 1)
        self.assertEqual(checks[check]["verdict"], "missing", checks[check])
        self.assertRegex(checks[check]["found"] + ": " + checks[check]["remedy"], pattern)

    def test_a_file_that_is_no_kernel(self):
        config = self.config(kernel=self.file("text", b"a text and no kernel\n" * 500))
        self.assert_one_error(self.run_it(config, 1), r"(?i)kernel.*bzImage")
        self.assert_doctor_says(config, "its kernel", "no kernel: name a bzImage")

    def test_a_kernel_of_another_architecture(self):
        image = bytearray(8192)
        image[0x38:0x3c] = b"ARM\x64"
        config = self.config(kernel=self.file("Image", image))
        self.assert_one_error(self.run_it(config, 1), r"(?i)arm64|x86|bzImage")
        self.assert_doctor_says(config, "its kernel", "arm64: name one of x86_64")

    def test_linux_on_a_kvm_that_cannot_run_it(self):
        if "software" not in host_checks()[0]["KVM"]["found"]:
            self.skipTest("this KVM has a processor's help")
        config = self.config(kernel=self.file("bzImage", bzimage()))
        self.assert_one_error(self.run_it(config, 1), r"this KVM \(.*software.*\) cannot run Linux; use a host")
        self.assert_doctor_says(config, "its kernel", "cannot run Linux; use a host with vmx or svm")
        self.assertIn("no ordinary Linux", self.run_it(self.config("hello"), 0).stderr)

    def test_more_memory_than_the_host_has(self):
        config = self.config(more="memory: 60000G")
        got = self.run_it(config, 1)
        self.assertRegex(got.stderr, r"\A[^\n]*memory is 60000G: this host has [^\n]*: give the VM less\n\Z")

    def test_more_devices_than_interrupts(self):
        path = self.config()
        with open(path, "a") as f:
            f.writelines(f"- {{name: more{i}, type: rng}}\n" for i in range(40))
        self.assert_one_error(self.run_it(path, 1), r"devices.*")
        self.assert_doctor_says(path, "this VM", "devices")

    def no_kvm(self, command):
        return ["unshare", "--mount", "sh", "-c", f"{command} || exit 99; exec \"$@\"", "sh"]

    def test_no_kvm_at_all(self):
        before = self.no_kvm("mkdir -p $0.dev && mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3")
        before[-1] = os.path.join(self.dir, "sh")
        self.assert_one_error(self.run_it(self.config(), 1, before), "there is no /dev/kvm; .*kvm_intel or kvm_amd")

    def test_something_else_in_its_place(self):
        before = self.no_kvm("mount --bind /dev/null /dev/kvm")
        self.assert_one_error(self.run_it(self.config(), 1, before), "/dev/kvm is not KVM")

    def test_no_permission(self):
        if os.stat("/dev/kvm").st_mode & stat.S_IROTH:
            self.skipTest("everybody may open /dev/kvm here")
        os.mkdir(self.run_dir)
        os.chown(self.run_dir, NOBODY, NOBODY)
        kernel = shutil.copy(TEST_GUEST, os.path.join(self.dir, "guest"))
        got = self.run_it(self.config(kernel=kernel), 1, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assert_one_error(got, f"no permission to open /dev/kvm for user {NOBODY}; .*usermod -aG")


def main():
    checks, _ = host_checks()
    for needed in ("/dev/kvm", "KVM", "user namespaces"):
        if checks[needed]["verdict"] in ("missing", "unknown") or os.geteuid() != 0:
            print(f"skipped: needs root, and {needed}: {checks[needed]['found']}")
            sys.exit(1 if os.environ.get("MUST_RUN") else 77)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
