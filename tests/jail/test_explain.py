#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the broker's log says of workers that die: real spawner, real broker, real jails, a worker that errs.

    test_explain.py BIN ROGUE    BIN: the folder of the programs; ROGUE: the worker that does one wrong thing
"""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

BIN, ROGUE = (os.path.abspath(path) for path in sys.argv[1:3])
SECONDS = 60


class Explain(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="bulkhead-explain-")
        os.chmod(self.dir, 0o755)
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        for name in ("bulkhead", "bulkhead-broker"):
            shutil.copy(os.path.join(BIN, name), self.bin)
        shutil.copy(ROGUE, os.path.join(self.bin, "bulkhead-worker-rng"))

    def tearDown(self):
        shutil.rmtree(self.dir)

    def companion_end(self, act, *options):
        """What the spawner says of a vsock device's proxy, which is the rogue this time."""
        shutil.copy(ROGUE, os.path.join(self.bin, "bulkhead-vsock-proxy"))
        shutil.copy(os.path.join(BIN, "bulkhead-worker-vsock"), self.bin)
        os.mkdir(self.dir + "/sockets")
        command = [os.path.join(self.bin, "bulkhead"), "run", *options,
                   self.config(act, type="vsock", cid=3, path=self.dir + "/sockets/v")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
            watch = threading.Timer(SECONDS, child.terminate)
            watch.start()
            said = []
            for line in child.stderr:
                if "companion was" in line or "companion ended" in line:
                    said.append(line)
                    child.terminate()
            watch.cancel()
        self.assertTrue(said, "no word of its companion")
        return said[0].rstrip()

    def config(self, act, type="rng", **keys):
        path = os.path.join(self.dir, "vm.yaml")
        os.makedirs(os.path.join(self.dir, "run"), exist_ok=True)
        with open(path, "w") as file:
            file.write(f"vm: v\nfrontend: vhost-user\nrun_dir: {self.dir}/run\n"
                       f"devices:\n  - {json.dumps({'name': act, 'type': type, **keys})}\n")
        return path

    def log(self, act, *options):
        """Runs until the device is quarantined; the log's lines."""
        command = [os.path.join(self.bin, "bulkhead"), "run", *options, self.config(act)]
        got = subprocess.run(command, capture_output=True, timeout=SECONDS)
        self.assertNotEqual(got.returncode, 0)
        lines = got.stderr.decode("ascii").splitlines()  # ASCII: everything else was escaped
        self.assertTrue(any("quarantined" in line for line in lines), got.stderr)
        return lines

    def one(self, lines, pattern):
        found = [line for line in lines if re.search(pattern, line)]
        self.assertTrue(found, f"no {pattern} in:\n" + "\n".join(lines))
        return found[0]

    def test_forbidden_call_is_named_with_arguments_gate_and_what_follows(self):
        lines = self.log("open")
        self.one(lines, r"error: worker was killed for a forbidden system call: openat\(0xabcd, 0x1234, 0x80002, 0x0, "
                        r"0x[0-9a-f]+, 0x[0-9a-f]+\) nr=\d+ arch=\w+ ip=0x[0-9a-f]+: no row of sandbox/policy/rng.c "
                        r"names it in the run gate; it is restarted (at once|in \d+ ms) dev=open worker=\d+$")
        self.one(lines, r"forbidden system call: openat.*; it is restarted in \d+ ms dev=open")

    def test_call_before_the_second_gate_is_the_start_gate_s(self):
        self.one(self.log("early-open"), r"forbidden system call: openat\(0xabcd, .* in the start gate; ")

    def test_wrong_argument_is_told_apart_from_an_unknown_call(self):
        self.one(self.log("write"), r"system call: write\(0x0, .*rng.c and base.c allow it in the run gate with other "
                                    r"arguments only; ")

    @unittest.skipUnless(os.uname().machine == "x86_64", "has no other calls")
    def test_another_architecture_s_call_is_named_so(self):
        self.one(self.log("int80"), r"system call: getpid\(0x11, 0x22, .* nr=20 arch=i386 .*: no policy allows another ")

    def test_assertion_is_seen(self):
        lines = self.log("assert")
        self.one(lines, r"worker stderr dev=assert worker=\d+: .*as a real one would say it")
        self.one(lines, r"worker's last words dev=assert worker=\d+ bytes=\d+ held_back=0 of=\d+$")
        self.one(lines, r"worker's last words dev=assert worker=\d+: .*act_assert.*as a real one would say it")

    def test_words_of_the_c_library_are_seen(self):
        self.one(self.log("heap"), r"worker stderr dev=heap worker=\d+: .*(free|malloc|corrupt)")

    def test_other_deaths_are_said(self):
        self.one(self.log("fault"), r"worker died of SIGSEGV ip=0x[0-9a-f]+; it is restarted (at once|in \d+ ms) dev=fault")
        self.one(self.log("exit"), r"worker ended by itself status=3; it is restarted (at once|in \d+ ms) dev=exit")

    def test_nothing_that_a_worker_writes_can_forge_a_line(self):
        lines = self.log("forge")
        for line in lines:
            self.assertRegex(line, r"^bulkhead-broker\[v\]: ")
        self.one(lines, r"worker stderr dev=forge worker=\d+: bulkhead-broker\[x\]: error: forged dev=disk9$")
        self.one(lines, r"worker stderr dev=forge worker=\d+: \\x1b\[2J\\x1b\[H\\x0dforged$")

    def test_flood_costs_a_bounded_amount(self):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [os.path.join(self.bin, "bulkhead"), "run", self.config("flood")]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
            written, floods = 0, 0
            for line in child.stderr:
                written += len(line)
                floods += b"no Hello in time" in line
                if floods == 2:  # each has written all the time that a Hello may take
                    child.terminate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(written, 1 << 19)
        self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 10)
        self.assertLess(after.ru_maxrss, 64 << 10)  # of the largest process, in KiB

    def test_rootless_worker_is_explained_too(self):
        os.chown(self.dir, 12345, 12345)
        path = self.config("open")
        os.chmod(os.path.join(self.dir, "run"), 0o777)
        got = subprocess.run([os.path.join(self.bin, "bulkhead"), "run", path], capture_output=True, timeout=SECONDS,
                             user=12345, group=12345, extra_groups=[],
                             env={**os.environ, "XDG_RUNTIME_DIR": self.dir + "/run"})
        self.one(got.stderr.decode("ascii").splitlines(),
                 r"forbidden system call: openat\(0xabcd, 0x1234, 0x80002, .* in the run gate; ")

    def test_without_a_tracer_the_death_is_said_and_not_the_call(self):
        self.one(self.log("open", "--no-trace"), r"worker was killed for a forbidden system call: the rows are in "
                                                 r"sandbox/policy/rng.c and base.c; ")

    def test_forbidden_call_of_a_companion_is_named_with_arguments(self):
        self.assertRegex(self.companion_end("open"),
                         r"warning: companion was killed for a forbidden system call: openat\(0xabcd, 0x1234, 0x80002, 0x0, "
                         r"0x[0-9a-f]+, 0x[0-9a-f]+\) nr=\d+: it is started anew, and its worker with it dev=open "
                         r"companion=vsock-proxy pid=\d+$")

    def test_without_a_tracer_a_companions_call_is_not_known(self):
        self.assertRegex(self.companion_end("open", "--no-trace"), r"companion was killed for a forbidden system call: it is")

    def test_log_mode_is_loud_and_lets_the_call(self):
        lines = self.log("open", "--seccomp", "open=log")
        self.one(lines, r"bulkhead: run: WARNING: the worker of open may make any system call")
        self.one(lines, r"warning: SECCOMP ONLY LOGS: .* dev=open")
        self.one(lines, r"worker ended by itself status=7; ")
        lines = self.log("early-open", "--seccomp", "early-open=log")
        self.one(lines, r"worker ended by itself status=7; ")

    def test_log_mode_is_seen_by_ps_and_fails_audit(self):
        shutil.copy(os.path.join(BIN, "bulkhead-worker-rng"), self.bin)
        bulkhead = os.path.join(self.bin, "bulkhead")
        for options, shown in (((), False), (("--seccomp", "rng0=log"), True)):
            with subprocess.Popen([bulkhead, "run", *options, self.config("rng0")], stderr=subprocess.PIPE) as child:
                for line in child.stderr:
                    if b"ready vm=v" in line:
                        break
                ps, audit = (subprocess.run([bulkhead, verb, "--run-dir", self.dir + "/run"], capture_output=True,
                                            timeout=SECONDS) for verb in ("ps", "audit"))
                child.terminate()
                child.stderr.read()
            self.assertEqual(b"LOGS-ONLY" in ps.stdout, shown)
            self.assertEqual(audit.returncode, 1 if shown else 0, audit.stdout)
            self.assertEqual(b"ONLY LOGS what it forbids" in audit.stdout, shown)
            self.assertIn(b"spawner or none", audit.stdout)

    @unittest.skipUnless(os.uname().machine == "x86_64", "has no other calls")
    def test_log_mode_still_kills_other_architectures(self):
        self.one(self.log("int80", "--seccomp", "int80=log"), r"system call: getpid\(0x11, 0x22, .* arch=i386 ")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root, to make workers of other users")
        sys.exit(1 if os.environ.get("MUST_RUN") else 77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
