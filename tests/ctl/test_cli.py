#!/usr/bin/env python3
"""The operator's command as a whole: exit codes, outputs, and brokers that answer well, badly or not at all.

    test_cli.py BULKHEAD FAKE_BROKER
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from cli import EXAMPLE, Case, main

VERBS = ["run", "check", "attach", "ps", "console", "set", "audit", "doctor", "attack-demo", "help"]
POLL_US = 0 if os.sysconf("SC_NPROCESSORS_ONLN") < 4 else 50  # where no poll_us is given
ANSWER_S = 2.0  # LIMIT_CTL_ANSWER_MS


class Words(Case):
    def test_help_is_short_and_names_every_verb(self):
        out = self.run_it("--help").stdout
        for verb in VERBS:
            self.assertIn(f"\n  {verb}", out)
        self.assertLess(len(out.splitlines()), 20)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)
        self.assertEqual(out, self.run_it("help").stdout)
        self.assertEqual(out, self.run_it("-h").stdout)

    def test_every_verb_explains_itself_in_two_ways(self):
        for verb in VERBS:
            by_help = self.run_it("help", verb).stdout
            self.assertTrue(by_help.startswith(f"usage: bulkhead {verb}"))
            self.assertIn("--help", by_help)
            self.assertEqual(by_help, self.run_it(verb, "--help").stdout)

    def test_version_is_one_line(self):
        self.assertRegex(self.run_it("--version").stdout, r"\Abulkhead \d+\.\d+\.\d+\n\Z")

    def test_what_is_not_understood_is_one_line_with_a_hint_and_exit_2(self):
        for words in ([], ["fly"], ["--fly"], ["help", "fly"], ["check"], ["check", "a", "b"], ["ps", "x"],
                      ["ps", "--memory", "1G"], ["check", "a", "--run-dir"], ["audit", "--json=yes"],
                      ["set"], ["set", "demo/net0"], ["set", "demo", "link=up"], ["set", "demo/", "link=up"],
                      ["set", "/net0", "link=up"], ["set", "a/b/c", "link=up"], ["set", "n" * 64 + "/d", "link=up"],
                      ["set", "demo/net0", "link"], ["set", "demo/net0", "link=on"], ["set", "demo/net0", "mtu=9"],
                      ["set", "demo/c", "size=0x25"], ["set", "demo/c", "size=80x65536"], ["set", "demo/c", "size=80"],
                      ["set", "demo/c", "size=80x25", "--port", "31"], ["set", "demo/n", "link=up", "--port", "0"],
                      ["set", "demo/c", "link=up", "more"],
                      ["attach", "a"], ["attach", "a", "--print", "xen"],
                      ["attach", "a", "--print", "qemu", "--memory", "0"],
                      ["attach", "a", "--print", "qemu", "--memory", "1K"],
                      ["attach", "a", "--print", "qemu", "--qemu-version", "new"],
                      ["attach", "a", "--print", "qemu", "--qemu-version", "9"],
                      ["attach", "a", "--print", "qemu", "--qemu-version", "9.100"],
                      ["attach", "a", "--print", "qemu", "--qemu-version", "9.2x"]):
            with self.subTest(words):
                got = self.run_it(*words, code=2)
                self.assertEqual(got.stdout, "")
                self.assertEqual(len(got.stderr.splitlines()), 1)
                self.assertRegex(got.stderr, r"\Abulkhead: .*(try: bulkhead|needs a value|give it once)")

    def test_a_full_disk_is_not_a_good_answer(self):
        with open("/dev/full", "w") as full:
            got = subprocess.run([self.bulkhead, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(got.returncode, 1)
        self.assertIn("could not be written", got.stderr)


class Doctor(Case):
    """What this host has cannot be chosen here: the rules are judged by test_doctor."""

    OWN = ("vm: own\nfrontend: kvm\nkernel: kernel\n%s\ndevices:\n- {name: r, type: rng}\n")

    def kernel(self, head=b""):
        with open(os.path.join(self.dir, "kernel"), "wb") as f:
            f.write(head.ljust(4096, b"\0"))

    def doctor(self, *args):
        got = subprocess.run([self.bulkhead, "doctor", *args], capture_output=True, text=True, timeout=30)
        self.assertIn(got.returncode, (0, 1), got.stderr)
        return got

    def test_lines_and_json_say_the_same(self):
        lines = self.doctor()
        tree = self.doctor("--json")
        self.assertEqual(lines.returncode, tree.returncode)
        checks = json.loads(tree.stdout)
        self.assertEqual(set(checks), {"ok", "missing", "checks"})
        self.assertEqual(checks["ok"], lines.returncode == 0)
        self.assertEqual(len(checks["checks"]), len(lines.stdout.splitlines()))
        for check, line in zip(checks["checks"], lines.stdout.splitlines()):
            self.assertEqual(set(check), {"check", "verdict", "found", "remedy", "needed_by"})
            self.assertTrue(line.startswith(check["verdict"]))
            self.assertIn(check["found"], line)
            self.assertIn(check["remedy"], line)
        names = [check["check"] for check in checks["checks"]]
        for name in ("kernel", "user namespaces", "seccomp", "Landlock", "control groups", "memfds", "huge pages",
                     "/dev/kvm", "KVM", "address width"):
            self.assertIn(name, names)

    def test_only_what_the_vm_needs_counts(self):
        checks = json.loads(self.doctor("--json").stdout)
        missing = [c for c in checks["checks"] if c["verdict"] == "missing"]
        self.assertEqual(checks["missing"], sum(c["needed_by"] == "all" for c in missing))
        self.kernel()
        checks = json.loads(self.doctor("--json", self.config(self.OWN % "")).stdout)
        self.assertEqual(checks["missing"], sum(c["verdict"] == "missing" for c in checks["checks"]))
        self.assertGreaterEqual(checks["missing"], 1)  # four KiB of zeros are no kernel

    def test_a_vm_of_our_own_is_looked_at(self):
        self.kernel()
        got = self.doctor(self.config(self.OWN % "memory: 64M"))
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stdout, r"(?m)^missing  its kernel +no kernel.*: name ")
        self.assertRegex(got.stdout, r"(?m)^ok       this VM +1 vCPUs, 64M of memory, 1 devices$")

    def test_a_configuration_with_mistakes_is_no_good_answer(self):
        got = self.doctor(self.config(self.OWN % "vcpus: 0"))
        self.assertEqual(got.returncode, 1)
        self.assertIn("vcpus is 0", got.stderr)
        self.assertIn("Landlock", got.stdout)


class Pages(Case):
    """The manual pages name what there is."""

    @staticmethod
    def page(name):
        docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "man")
        with open(os.path.join(docs, name + ".scd")) as f:
            return f.read()

    def test_every_verb_and_option_is_in_its_page(self):
        page = self.page("bulkhead.1")
        for verb in VERBS:
            self.assertIn(f"*{verb}*", page)
            for line in self.run_it("help", verb).stdout.splitlines():
                if line.startswith("  --"):
                    self.assertIn(f"*{line.split()[0]}*", page)

    def test_every_key_is_in_its_page(self):
        page = self.page("bulkhead.yaml.5")
        got = self.run_it("check", self.config("x: 1\nsocket: {x: 1}\nuids: {x: 1}\nlimits: {x: 1}\n"
                                               "devices: [{x: 1, type: x}]\n"), code=1)
        types = re.search('unknown type "x": known are (.*)', got.stderr).group(1).split(", ")
        devices = "".join(f"- {{name: d{t}, type: {t}, x: 1}}\n" for t in types)
        more = self.run_it("check", self.config("vm: a\nfrontend: kvm\ndevices:\n" + devices), code=1)
        keys = [key for line in (got.stderr + more.stderr).splitlines() if "known here are" in line
                for key in line.split("known here are ")[1].split(", ")]
        self.assertGreater(len(keys), 15 + 10 * len(types))
        for key in keys:
            self.assertRegex(page, rf"\*{key}\*")

    def test_every_fact_is_in_its_page(self):
        self.broker("a", devices=("rng0:rng:1",))
        page = self.page("bulkhead.1")
        out = json.loads(self.run_it("audit", "--json", "--run-dir", self.run_dir, code=1).stdout)
        for row in out["vms"][0]["processes"][2]["rows"]:
            self.assertIn(row["fact"].split()[-1], page)


class Check(Case):
    def test_a_good_file_is_printed_with_its_defaults(self):
        got = self.run_it("check", self.config(), "--run-dir", "/r")
        self.assertEqual(got.stderr, "")
        self.assertEqual(got.stdout, f"""# effective configuration of demo; programs in {self.bin}
vm: demo
frontend: vhost-user
run_dir: /r
socket:
  mode: 0660
uids:
  first: 1879048192
  count: 65536
limits:
  worker_memory: 64M
devices:
- name: disk0
  type: blk
  path: {self.dir}/demo.img
  read_only: false
  direct: false
  serial: "disk0"
  block_size: 512
  queues: 2
  lanes: 1
  request_timeout: 60
  copy: auto
  poll_us: {POLL_US}
  placement: auto
- name: rng0
  type: rng
  queues: 1
  lanes: 1
  request_timeout: 60
  copy: auto
  poll_us: {POLL_US}
  placement: auto
""")

    def test_every_mistake_has_its_line_and_column(self):
        path = self.config("vm: -x\nfrontend: xen\ndevices:\n- {name: a, type: blk, path: demo.img, red: 1}\n")
        got = self.run_it("check", path, code=1)
        self.assertEqual(got.stdout, "")
        self.assertEqual([line[len(path):line.index(" error")] for line in got.stderr.splitlines()],
                         [":1:5:", ":2:11:", ":4:40:"])

    def test_attach_has_nothing_to_say_of_a_vm_of_our_own(self):
        path = self.config("vm: own\nfrontend: kvm\nkernel: demo.img\ndevices:\n- {name: r, type: rng}\n")
        got = self.run_it("attach", "--print", "qemu", path, code=1)
        self.assertEqual(got.stdout, "")
        self.assertIn("has frontend kvm and needs no VMM: start it with bulkhead run", got.stderr)

    def test_what_a_vm_of_our_own_names_is_looked_at(self):
        path = self.config("vm: own\nfrontend: kvm\nkernel: none\nmemory: 65536G\ndevices:\n"
                           "- {name: r, type: rng}\n")
        got = self.run_it("check", path, code=1)
        self.assertRegex(got.stderr, rf"(?m)^{path}:3:9: error: kernel .*/none cannot be opened for reading: No such file")
        self.assertRegex(got.stderr, rf"(?m)^{path}:4:9: error: memory is 65536G: this host has ")

    def test_a_vm_of_our_own_needs_the_loader_and_no_other_does(self):
        os.unlink(os.path.join(self.bin, "bulkhead-worker-loader"))
        path = self.config("vm: own\nfrontend: kvm\nkernel: demo.img\ndevices:\n- {name: r, type: rng}\n")
        got = self.run_it("check", path, code=1)
        self.assertRegex(got.stderr, r"\A[^\n]*bulkhead-worker-loader: No such file[^\n]*install bulkhead whole[^\n]*\n\Z")
        self.run_it("check", self.config())

    def test_images_are_looked_at(self):
        for image, word in ((None, "No such file"), (0, "is empty"), (1000, "not a multiple of 512")):
            with self.subTest(word):
                path = self.config(image=image)
                got = self.run_it("check", path, code=1)
                self.assertRegex(got.stderr, rf"\A{path}:4:36: error: image .*{word}.*\n\Z")

    def test_a_program_that_is_not_there_is_told(self):
        os.unlink(os.path.join(self.bin, "bulkhead-worker-rng"))
        got = self.run_it("check", self.config(), code=1)
        self.assertIn("bulkhead-worker-rng: No such file", got.stderr)

    def test_a_missing_file_and_a_missing_run_dir_are_one_line_each(self):
        got = self.run_it("check", "/nonexistent.yaml", code=1)
        self.assertEqual(len(got.stderr.splitlines()), 1)
        if os.geteuid() == 0 and shutil.which("setpriv"):
            os.chmod(self.dir, 0o755)
            got = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", self.bulkhead, "ps"],
                                 capture_output=True, text=True, env={})
            self.assertEqual(got.returncode, 1)
            self.assertIn("XDG_RUNTIME_DIR", got.stderr)


class Run(Case):
    def test_the_broker_gets_the_configuration_and_nothing_else(self):
        self.program("bulkhead-broker", """#!/bin/sh
echo "$@"
ls /proc/self/fd
dd bs=1 count=6 status=none <&"$2" | od -c
dd if=/dev/zero "of=/proc/self/fd/$2" conv=notrunc bs=1 count=1 2>&1 | grep -o 'not permitted'
""")
        read, write = os.pipe()
        got = self.run_it("run", self.config(), "--run-dir", "/r", "--verbose", pass_fds=(read, write))
        os.close(read)
        os.close(write)
        words = got.stdout.split()
        self.assertEqual((words[0], words[2]), ("--config-fd", "--verbose"))
        self.assertNotIn(str(write), words[3:got.stdout.split().index("0000000")])
        self.assertIn("d   e   m   o", got.stdout)  # the message begins with the VM's name

    def test_seccomp_log_is_loud_and_of_this_device_only(self):
        self.program("bulkhead-broker", """#!/bin/sh
cat <&"$2" | od -An -v -tx1 | tr -d ' \\n'
""")
        plain = self.run_it("run", self.config())
        got = self.run_it("run", self.config(), "--seccomp", "rng0=log")
        self.assertIn("WARNING: the worker of rng0 may make any system call", got.stderr)
        self.assertNotIn("WARNING", plain.stderr)
        self.assertEqual(len(got.stdout), len(plain.stdout) + 4)  # one field more: 20 01
        both = self.run_it("run", self.config(), "--seccomp", "rng0=log", "--seccomp=disk0=log", "--no-trace")
        self.assertEqual(len(both.stdout), len(plain.stdout) + 8)

    def test_seccomp_of_nothing_starts_nothing(self):
        self.program("bulkhead-broker", "#!/bin/sh\necho started\n")
        for wish, code in (("rng0", 2), ("rng0=kill", 2), ("rng0=logs", 2), ("rng=log", 1), ("=log", 1),
                           ("rng00=log", 1), ("\x1b[2J=log", 1)):
            got = self.run_it("run", self.config(), "--seccomp", wish, code=code)
            self.assertEqual(got.stdout, "")
            self.assertNotIn("\x1b", got.stderr)

    def test_the_exit_code_is_the_brokers(self):
        self.program("bulkhead-broker", "#!/bin/sh\nexit 7\n")
        self.run_it("run", self.config(), code=7)

    def test_nothing_is_started_when_something_is_wrong(self):
        self.program("bulkhead-broker", "#!/bin/sh\necho started\n")
        self.assertEqual(self.run_it("run", self.config(image=None), code=1).stdout, "")
        os.unlink(os.path.join(self.bin, "bulkhead-broker"))
        got = self.run_it("run", self.config(), code=1)
        self.assertRegex(got.stderr, r"\Abulkhead: run: program .*bulkhead-broker: No such file.*\n\Z")
        os.unlink(os.path.join(self.bin, "bulkhead-worker-blk"))
        self.assertIn("bulkhead-worker-blk: No such file", self.run_it("run", self.config(), code=1).stderr)

    def test_an_image_in_use_stops_run_and_warns_check(self):
        import fcntl
        import struct
        path = self.config()
        self.program("bulkhead-broker", "#!/bin/sh\necho started\n")
        with open(os.path.join(self.dir, "demo.img"), "r+") as image:
            lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            fcntl.fcntl(image, 37, lock)  # F_OFD_SETLK
            got = self.run_it("run", path, code=1)
            self.assertRegex(got.stderr, rf"\A{path}:4:36: error: image .* is in use: .*\n\Z")
            self.assertEqual(got.stdout, "")
            self.assertRegex(self.run_it("check", path).stderr, r":4:36: warning: image .* is in use")


class AttackDemo(Case):
    def test_a_missing_program_is_one_line_with_a_remedy(self):
        for name in ("bulkhead-attack", "bulkhead-hostile-blk", "bulkhead-hostile-rng"):
            got = self.run_it("attack-demo", code=1)
            self.assertEqual(got.stdout, "")
            self.assertRegex(got.stderr, rf"\Abulkhead: attack-demo: program .*/{name}: No such .*: install .*\n\Z")
            self.program(name, "#!/bin/sh\necho \"$0 $*\"\n")
        self.assertEqual(self.run_it("attack-demo").stdout, f"{self.bin}/bulkhead-attack --explain\n")


class Ps(Case):
    DEVICES = ("disk0:blk:12345", "rng0:rng:0:log")

    def ps(self, *more, code=0):
        return self.run_it("ps", "--run-dir", self.run_dir, *more, code=code)

    def test_no_vm_is_said_and_is_no_failure(self):
        self.assertIn("no VM under", self.ps().stderr)
        self.assertEqual(json.loads(self.ps("--json").stdout), {"run_dir": self.run_dir, "vms": []})

    def test_the_table_has_a_line_a_device(self):
        self.broker("b", devices=self.DEVICES)
        self.broker("a", devices=("only:rng:1",))
        lines = [line.split() for line in self.ps().stdout.splitlines()]
        self.assertEqual(lines[0], ["VM", "DEVICE", "TYPE", "STATE", "SECCOMP", "PID", "UID", "RESTARTS", "QUEUES", "INFLIGHT",
                                    "REQUESTS", "THROTTLED", "DROPPED", "IN", "OUT"])
        self.assertEqual(lines[1][:4], ["a", "only", "rng", "running"])
        self.assertEqual(lines[2], ["b", "disk0", "blk", "running", "kills", "12345", "70000", "1", "2", "3", "4", "17", "-", "5.0M",
                                    "1.2K"])
        self.assertEqual(lines[3][:6], ["b", "rng0", "rng", "quarantined", "LOGS-ONLY", "-"])

    def test_json_has_stable_keys(self):
        child = self.broker("b", devices=self.DEVICES)
        vm = json.loads(self.ps("--json").stdout)["vms"][0]
        devices = vm.pop("devices")
        self.assertEqual(vm, {"vm": "b", "state": "alive", "stage": "serving", "loaded": 0, "version": "0.1.0", "broker_pid": child.pid,
                              "spawner_pid": os.getpid(), "spawner_alive": True, "rootless": False})
        self.assertEqual(devices[0], {
            "device": "disk0", "type": "blk", "state": "running", "seccomp": "kill", "attached": True, "pid": 12345, "uid": 70000,
            "restarts": 1, "queues_running": 2, "inflight": 3, "requests": 4, "bytes_from_guest": 5 << 20,
            "bytes_to_guest": 1234, "features": "0x0000000100000000",
            "features_offered": "0x0000000300000007", "features_agreed": "0x0000000300000005", "features_worker": "0x0000000000000005", "lanes": 1, "resources": 1,
            "rate_ops": 500, "rate_bytes": 0, "throttled": 17, "why": "", "copy": "direct",
            "companion": "", "companion_pid": 0, "companion_uid": 0, "companion_starts": 0, "regions": 0, "region_bytes": 0,
            "mappings": 0, "mapped_bytes": 0, "windows": 0, "window_bytes": 0, "window_refused": 0, "window_raw": False,
            "iotlb": None, "counters": {}})

    def test_what_a_device_counts_is_summed_up_and_named(self):
        self.broker("b", devices=("net0:net:12345",))
        self.assertEqual(self.ps().stdout.splitlines()[1].split()[-3], str(sum(range(18))))
        counters = json.loads(self.ps("--json").stdout)["vms"][0]["devices"][0]["counters"]
        self.assertEqual(len(counters), 18)
        self.assertEqual((counters["in_short"], counters["in_room"], counters["out_short"], counters["out_lost"]), (0, 4, 9, 17))

    def test_translations_are_shown_and_what_nobody_translates_is_said(self):
        self.broker("b", devices=("net0:net:12345",))
        self.assertIn("VM b: net0 has missed 3 pages that nobody translates", self.ps().stderr)
        self.assertEqual(json.loads(self.ps("--json").stdout)["vms"][0]["devices"][0]["iotlb"],
                         {"translating": True, "held": 9, "open": 2, "asked": 40, "refused": 3, "updates": 38, "invalidations": 29})

    def test_a_quarantine_is_said_with_its_reason(self):
        self.broker("b", devices=("disk0:blk:0:its worker keeps dying",))
        got = self.ps()
        self.assertIn("quarantined", got.stdout)
        self.assertEqual(got.stderr, "bulkhead: ps: VM b: disk0 is quarantined: its worker keeps dying\n")
        device = json.loads(self.ps("--json").stdout)["vms"][0]["devices"][0]
        self.assertEqual((device["state"], device["why"]), ("quarantined", "its worker keeps dying"))

    def test_a_dead_socket_is_shown_and_is_no_failure(self):
        child = self.broker("gone")
        child.kill()
        child.wait()
        self.broker("here", devices=self.DEVICES)
        got = self.ps()
        self.assertIn("gone -      -    dead", got.stdout)
        self.assertIn("disk0", got.stdout)
        self.assertEqual(json.loads(self.ps("--json").stdout)["vms"][0]["state"], "dead")

    def test_no_broker_holds_us_up(self):
        modes = ("silent", "drip", "deaf")
        for mode in modes:
            self.broker("vm-" + mode, mode)
        self.broker("z", devices=self.DEVICES)
        start = time.monotonic()
        got = self.ps(code=1)
        took = time.monotonic() - start
        self.assertLess(took, ANSWER_S * len(modes) + 1.5)
        self.assertGreater(took, ANSWER_S * len(modes) - 0.5)
        self.assertEqual(got.stderr.count("no answer in time"), len(modes))
        self.assertIn("disk0", got.stdout)  # and the others are shown

    def test_bad_answers_are_refused_and_the_others_shown(self):
        for mode in ("close", "garbage", "huge", "payload", "othervm"):
            self.broker("vm-" + mode, mode)
        self.broker("vm-error", "error")
        self.broker("z", devices=self.DEVICES)
        got = self.ps(code=1)
        self.assertEqual(got.stderr.count("not one of a broker"), 5)
        self.assertIn(r"busy\x1b[31m", got.stderr)
        self.assertIn("disk0", got.stdout)

    def test_a_run_dir_that_cannot_be_read_is_one_line(self):
        path = os.path.join(self.dir, "file")
        open(path, "w").close()
        got = self.run_it("ps", "--run-dir", path, code=1)
        self.assertEqual(len(got.stderr.splitlines()), 1)


class Set(Case):
    def test_what_is_set_arrives_and_nothing_is_said(self):
        broker = self.broker("demo")
        for words, told in ((["demo/net0", "link=down"], "net0 link 0 0"), (["demo/net0", "link=up"], "net0 link 0 1"),
                            (["demo/c", "size=80x25"], f"c size 0 {80 + (25 << 16)}"),
                            (["demo/c", "size=65535x1", "--port", "30"], f"c size 30 {65535 + (1 << 16)}")):
            got = self.run_it("set", *words, "--run-dir", self.run_dir)
            self.assertEqual(got.stdout + got.stderr, "")
            self.assertEqual(broker.stdout.readline(), told + "\n")

    def test_a_refusal_is_one_line_in_the_brokers_words(self):
        self.broker("demo", "error")
        got = self.run_it("set", "demo/net0", "link=up", "--run-dir", self.run_dir, code=1)
        self.assertEqual(got.stderr, "bulkhead: set: demo: busy\\x1b[31m\n")

    def test_an_answer_to_another_question_is_none(self):
        self.broker("demo", "othervm")
        got = self.run_it("set", "demo/net0", "link=up", "--run-dir", self.run_dir, code=1)
        self.assertIn("the answer is not one of a broker", got.stderr)

    def test_a_vm_that_is_not_there_is_told(self):
        got = self.run_it("set", "demo/net0", "link=up", "--run-dir", self.run_dir, code=1)
        self.assertEqual(got.stderr, "bulkhead: set: demo: nobody listens: the VM has ended\n")


class Audit(Case):
    def audit(self, *more, code=0):
        return self.run_it("audit", "--run-dir", self.run_dir, *more, code=code)

    def worker(self):
        child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE)
        self.children.append(child)
        return child

    def test_without_vms_there_is_nothing_loose(self):
        self.assertIn("no VM under", self.audit().stderr)
        self.assertEqual(json.loads(self.audit("--json").stdout)["ok"], True)

    def test_a_worker_without_a_jail_is_loose_in_nearly_everything(self):
        worker = self.worker()
        self.broker("a", devices=(f"rng0:rng:{worker.pid}",))
        out = json.loads(self.audit("--json", code=1).stdout)
        self.assertFalse(out["ok"])
        processes = {p["process"]: p for p in out["vms"][0]["processes"]}
        self.assertEqual(set(processes), {"spawner", "broker", "rng0"})
        self.assertEqual(processes["rng0"]["pid"], worker.pid)
        rows = {row["fact"]: row for row in processes["rng0"]["rows"]}
        for fact in ("capabilities", "seccomp mode", "seccomp filters", "no_new_privs", "namespaces", "root",
                     "descriptors", "uid", "program", "process limit"):
            if os.geteuid() != 0 and fact in ("capabilities", "uid"):
                continue
            self.assertIn(rows[fact]["verdict"], ("loose", "unknown"), rows[fact])
        self.assertEqual(rows["guest memory"]["measured"], "0 bytes mapped")
        self.assertEqual(rows["parent"]["verdict"], "ok")  # this test is its spawner
        self.assertEqual(rows["seccomp content"]["verdict"], "claimed")

    def test_a_process_that_the_broker_does_not_name_is_found(self):
        worker = self.worker()
        self.broker("a")
        out = json.loads(self.audit("--json", code=1).stdout)
        rows = {row["fact"]: row for row in out["vms"][0]["processes"][0]["rows"]}
        # The auditor is a child of this test too.
        self.assertEqual(rows["descendants"]["verdict"], "loose")
        self.assertIn("not listed", rows["descendants"]["measured"])
        self.assertTrue(worker.pid)

    def test_a_worker_that_is_gone_is_asked_for_again_and_then_unknown(self):
        worker = self.worker()
        worker.kill()
        worker.wait()
        self.broker("a", devices=(f"rng0:rng:{worker.pid}",))
        out = json.loads(self.audit("--json", code=1).stdout)
        rows = out["vms"][0]["processes"][2]["rows"]
        self.assertTrue(all(row["verdict"] in ("unknown", "claimed") for row in rows), rows)
        self.assertIn("No such process", rows[0]["measured"])

    def test_a_dead_vm_is_said_and_a_silent_one_fails(self):
        child = self.broker("gone")
        child.kill()
        child.wait()
        got = self.audit()
        self.assertIn("VM gone: nobody listens", got.stderr)
        self.broker("hung", "silent")
        got = self.audit(code=1)
        self.assertIn("VM hung: no answer in time", got.stderr)

    def test_the_table_ends_with_the_count_of_findings(self):
        self.broker("a", devices=(f"rng0:rng:{self.worker().pid}",))
        out = self.audit(code=1).stdout
        self.assertIn("VM PROCESS FACT", " ".join(out.split("\n")[0].split()))
        self.assertRegex(out, r"\n\d+ findings: looser than policy, or not to be measured\.\n\Z")


if __name__ == "__main__":
    main()
