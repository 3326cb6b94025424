"""`bulkhead run` with a VM of its own, for tests: configurations, kernels that are none, children and what they leave.

A test that imports it is called with BULKHEAD TEST_GUEST [-k CLAIM...].
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BULKHEAD, TEST_GUEST = map(os.path.abspath, sys.argv[1:3])
DEADLINE_S = 60 * float(os.environ.get("BULKHEAD_TIME_FACTOR", "1"))
NAME = f"own{os.getpid()}"  # on this host nobody else's: control groups go by it
NOBODY = 65534
PR_SET_CHILD_SUBREAPER = 36


def doctor(config=None, before=(), **more):
    """What `bulkhead doctor` finds: its rows by name (none if the configuration has mistakes), and the process."""
    got = subprocess.run([*before, BULKHEAD, "doctor", "--json", *([config] if config else [])], capture_output=True,
                         text=True, timeout=DEADLINE_S, **more)
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
            f.write(f"vm: {NAME}\nfrontend: kvm\n{more}\nkernel: {kernel}\ncmdline: \"{cmdline}\"\n"
                    "devices:\n- {name: rng0, type: rng}\n")
        return path

    def file(self, name, content):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def programs_with(self, faulty):
        """The command among programs of its own, of which one has a fault: tests/faulty/..."""
        programs = os.path.join(self.dir, "programs")
        shutil.copytree(os.path.dirname(BULKHEAD), programs)
        os.chmod(programs, 0o755)
        shutil.copy(os.path.join(os.path.dirname(TEST_GUEST), "faulty", faulty), programs)
        return os.path.join(programs, "bulkhead")

    def argv(self, config, bulkhead=BULKHEAD):
        return [bulkhead, "run", "--run-dir", self.run_dir, config]

    def run_it(self, config, code, before=(), typed="", **more):
        got = subprocess.run([*before, *self.argv(config)], input=typed, capture_output=True, text=True,
                             timeout=DEADLINE_S, **more)
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        return got

    def start(self, config, bulkhead=BULKHEAD):
        child = subprocess.Popen(self.argv(config, bulkhead), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, bufsize=1)
        self.children.append(child)
        return child

    def ask(self, *words):
        return json.loads(subprocess.run([BULKHEAD, *words, "--json", "--run-dir", self.run_dir], capture_output=True,
                                         text=True, timeout=DEADLINE_S).stdout)

    def status(self):
        """What `ps` says of the VM; None: there is none yet."""
        vms = self.ask("ps")["vms"] if os.path.isdir(self.run_dir) else []
        return vms[0] if vms else None

    def until(self, holds):
        """Asks until the VM's status is so, and returns it."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            vm = self.status()
            if vm and vm["state"] == "alive" and holds(vm):
                return vm
        self.fail(f"it never comes to that: {vm}")

    def line(self, child):
        ready, _, _ = select.select([child.stdout], [], [], DEADLINE_S)
        self.assertTrue(ready, "the guest says nothing")
        return child.stdout.readline()

    def end_of_children(self):
        """Waits until nobody is left whom we or a child of ours have started."""
        def late(*_):
            with open(f"/proc/self/task/{os.getpid()}/children") as left:
                self.fail(f"processes are left: {left.read()}")

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def assert_nothing_left(self):
        """No process, no socket, and no file but locks that nobody holds."""
        self.end_of_children()
        for folder, _, names in os.walk(self.run_dir):
            for name in names:
                path = os.path.join(folder, name)
                self.assertTrue(name.endswith("lock"), f"{path} is left")
                with open(path) as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def assert_one_error(self, got, pattern):
        """Whatever else is logged, one line is an error, and it says what to do."""
        errors = [line for line in got.stderr.splitlines() if "error: " in line]
        self.assertEqual(len(errors), 1, got.stderr)
        self.assertRegex(errors[0], pattern)
        self.assertEqual(got.stdout, "")


def main():
    checks, _ = doctor()
    # A command under the thread sanitizer has threads, and cannot try a user namespace.
    for needed in ("/dev/kvm", "KVM", *(() if "BULKHEAD_SANITIZED" in os.environ else ("user namespaces",))):
        if checks[needed]["verdict"] in ("missing", "unknown") or os.geteuid() != 0:
            print(f"skipped: needs root, and {needed}: {checks[needed]['found']}")
            sys.exit(1 if os.environ.get("MUST_RUN") else 77)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whoever is left behind becomes ours
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
