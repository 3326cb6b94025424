#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What outlives workers, and their companions: real spawner, real broker, real jails, nobody attached.

    test_held.py BIN    BIN: the folder of the programs
"""
import functools
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BIN = os.path.abspath(sys.argv[1])
BULKHEAD = os.path.join(BIN, "bulkhead")
SECONDS = 30
PASST = shutil.which("passt")


class VM:
    """A VM of these devices, with nobody attached, until the block ends."""

    def __init__(self, dir, devices, **process):
        self.run_dir = os.path.join(dir, "run")
        os.makedirs(self.run_dir, exist_ok=True)
        self.path = os.path.join(dir, "vm.yaml")
        self.log, self.rest = [], ""
        with open(self.path, "w") as file:
            json.dump({"vm": "v", "frontend": "vhost-user", "run_dir": self.run_dir, "devices": devices}, file)
        self.child = subprocess.Popen([BULKHEAD, "run", self.path], stderr=subprocess.PIPE, text=True,
                                      env={**os.environ, "XDG_RUNTIME_DIR": self.run_dir}, **process)

    def __enter__(self):
        try:
            self.await_line("ready vm=v")
        except BaseException:
            self.child.kill()
            raise
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.log.append(self.child.communicate(timeout=SECONDS)[1])
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise

    def await_line(self, text):
        """What has come is taken out whole: a line that waited in a buffer of ours would not be seen by select."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            while "\n" in self.rest:
                line, self.rest = self.rest.split("\n", 1)
                self.log.append(line + "\n")
                if text in line:
                    return line
            if select.select([self.child.stderr], [], [], 1)[0]:
                more = os.read(self.child.stderr.fileno(), 65536).decode(errors="replace")
                if not more:
                    break
                self.rest += more
        raise AssertionError(f"no \"{text}\" in:\n" + "".join(self.log) + self.rest)

    def ask(self, verb):
        got = subprocess.run([BULKHEAD, verb, "--json", "--run-dir", self.run_dir], capture_output=True, timeout=SECONDS)
        return got.returncode, json.loads(got.stdout)["vms"]

    def device(self, name):
        return next(d for d in self.ask("ps")[1][0]["devices"] if d["device"] == name)

    def await_device(self, name, holds):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            device = self.device(name)
            if holds(device):
                return device
            select.select([], [], [], 0.01)
        raise AssertionError(f"{device}\n" + "".join(self.log))


def has_ended(pid):
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], SECONDS)[0])
    finally:
        os.close(fd)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="bulkhead-held-")
        os.chmod(self.dir, 0o755)

    def tearDown(self):
        shutil.rmtree(self.dir)

    def refused(self, device, *words):
        """The VM does not start, and says why in one line."""
        vm = VM(self.dir, [device])
        try:
            log = vm.child.communicate(timeout=SECONDS)[1]
        except subprocess.TimeoutExpired:
            vm.child.kill()
            raise
        self.assertNotEqual(vm.child.returncode, 0)
        self.assertNotIn("ready", log)
        for word in words:
            self.assertIn(word, log)
        self.assertNotIn("companion", log)
        return log


@unittest.skipUnless(PASST, "needs passt")
class Passt(Case):
    DEVICE = {"name": "net0", "type": "net", "backend": "passt"}

    def test_it_is_listed_measured_and_gone_with_the_vm(self):
        with VM(self.dir, [self.DEVICE]) as vm:
            device = vm.device("net0")
            self.assertEqual((device["companion"], device["companion_starts"]), ("passt", 1))
            self.assertNotIn(device["companion_uid"], (0, device["uid"]))
            code, audit = vm.ask("audit")
            loose = [r for p in audit[0]["processes"] for r in p["rows"] if r["verdict"] in ("loose", "unknown")]
            self.assertEqual((code, loose), (0, []))
            self.assertIn("net0:passt", [p["process"] for p in audit[0]["processes"]])
            pid = device["companion_pid"]
            self.assertEqual(os.stat(f"/proc/{pid}/fd").st_uid, 0)  # nobody may look into it
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(os.listdir(vm.run_dir + "/uids"), [])

    def test_it_outlives_its_worker(self):
        with VM(self.dir, [self.DEVICE]) as vm:
            before = vm.device("net0")
            os.kill(before["pid"], signal.SIGKILL)
            after = vm.await_device("net0", lambda d: d["restarts"] == 1 and d["pid"] not in (0, before["pid"]))
            self.assertEqual(after["companion_pid"], before["companion_pid"])
            self.assertEqual(after["companion_starts"], 1)

    def test_one_that_dies_comes_anew_with_a_new_worker(self):
        with VM(self.dir, [self.DEVICE]) as vm:
            for starts in (2, 3):
                before = vm.device("net0")
                os.kill(before["companion_pid"], signal.SIGKILL)
                vm.await_line("companion was killed by signal 9: it is started anew, and its worker with it dev=net0")
                after = vm.await_device("net0", lambda d: d["companion_starts"] == starts and d["restarts"] == starts - 1
                                        and d["pid"] != 0 and d["state"] == "ready")
                self.assertNotEqual(after["companion_pid"], before["companion_pid"])
            self.assertEqual(vm.ask("audit")[0], 0)

    def test_it_ends_by_itself_when_all_who_have_its_socket_are_dead(self):
        vm = VM(self.dir, [self.DEVICE])
        vm.await_line("ready vm=v")
        status = vm.ask("ps")[1][0]
        pid = status["devices"][0]["companion_pid"]
        os.kill(status["spawner_pid"], signal.SIGKILL)
        os.kill(status["broker_pid"], signal.SIGKILL)
        self.assertTrue(has_ended(pid))
        vm.__exit__()

    def test_what_it_says_is_logged_and_it_is_tried_again(self):
        with socket.socket(socket.AF_INET6) as taken:
            taken.bind(("::", 0))
            taken.listen()
            port = taken.getsockname()[1]
            device = dict(self.DEVICE, forward=[f"tcp/{port}"])
            vm = VM(self.dir, [device])
            vm.await_line("companion says dev=net0 companion=passt: ")
            vm.await_line("companion ended with status 1: it is started anew")
            vm.__exit__()

    def test_a_plain_user_has_it_too(self):
        os.chown(self.dir, 12345, 12345)
        os.mkdir(self.dir + "/run")
        os.chown(self.dir + "/run", 12345, 12345)
        with VM(self.dir, [self.DEVICE], user=12345, group=12345, extra_groups=[]) as vm:
            self.assertEqual(vm.device("net0")["companion_uid"], 12345)
            before = vm.device("net0")
            os.kill(before["companion_pid"], signal.SIGKILL)
            vm.await_device("net0", lambda d: d["companion_starts"] == 2 and d["restarts"] == 1 and d["pid"] != 0)


class Network(Case):
    def test_stream_that_nobody_listens_at_is_told_before_the_start(self):
        device = {"name": "net0", "type": "net", "backend": "stream", "path": self.dir + "/peer"}
        self.refused(device, "net0", self.dir + "/peer", "start what listens there first")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.dir + "/peer")
            self.refused(device, "nobody listens there any more")

    def test_path_that_is_too_long_is_told_so(self):
        path = self.dir + "/" + "p" * 100
        self.refused({"name": "net0", "type": "net", "backend": "stream", "path": path}, "at most 107 bytes")

    def test_stream_is_one_connection_for_all_workers(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(self.dir + "/peer")
            peer.listen()
            device = {"name": "net0", "type": "net", "backend": "stream", "path": self.dir + "/peer"}
            with VM(self.dir, [device]) as vm:
                connection = peer.accept()[0]
                before = vm.device("net0")
                os.kill(before["pid"], signal.SIGKILL)
                vm.await_device("net0", lambda d: d["restarts"] == 1 and d["pid"] != 0 and d["state"] == "ready")
                self.assertEqual(select.select([peer, connection], [], [], 0)[0], [])  # neither another nor an end
                self.assertEqual(vm.ask("audit")[0], 0)
            self.assertEqual(connection.recv(1), b"")
            connection.close()

    def listen(self):
        peer = socket.socket(socket.AF_UNIX)
        peer.bind(self.dir + "/peer")
        peer.listen()
        peer.settimeout(SECONDS)
        return peer

    def test_stream_whose_peer_goes_away_is_connected_to_again(self):
        device = {"name": "net0", "type": "net", "backend": "stream", "path": self.dir + "/peer"}
        peer = self.listen()
        with VM(self.dir, [device]) as vm:
            connection = peer.accept()[0]
            for times in range(1, 7):  # more often than a worker may die with nothing done
                before = vm.device("net0")
                peer.close()
                os.unlink(self.dir + "/peer")
                connection.close()  # it is gone, and nobody listens
                vm.await_line("the peer of its stream is gone")
                vm.await_line("its stream is down until its peer is back")
                self.assertEqual((vm.device("net0")["pid"], vm.ask("audit")[0]), (before["pid"], 0))
                if times == 1:  # a worker that is started meanwhile finds the cable out, and is no worse
                    os.kill(before["pid"], signal.SIGKILL)
                    before = vm.await_device("net0", lambda d: d["restarts"] == 1 and d["state"] == "ready")
                peer = self.listen()
                connection = peer.accept()[0]
                vm.await_line("the peer of its stream is there again: its worker is replaced dev=net0")
                vm.await_device("net0", lambda d: d["restarts"] == 1 + times and d["pid"] not in (0, before["pid"])
                                and d["state"] == "ready")
                self.assertEqual(select.select([peer, connection], [], [], 0)[0], [])
        self.assertEqual(connection.recv(1), b"")
        connection.close()
        peer.close()

    def test_stream_that_one_direction_or_sense_has_left_is_connected_to_again(self):
        device = {"name": "net0", "type": "net", "backend": "stream", "path": self.dir + "/peer"}
        with self.listen() as peer, VM(self.dir, [device]) as vm:
            old = peer.accept()[0]
            old.shutdown(socket.SHUT_WR)
            new = peer.accept()[0]
            old.close()
            vm.await_line("the peer of its stream is there again")
            new.close()  # and one that takes us and leaves is not taken for the worker's fault
            for _ in range(6):
                peer.accept()[0].close()
            self.assertNotEqual(vm.device("net0")["state"], "quarantined")
            last = peer.accept()[0]
            vm.await_device("net0", lambda d: d["state"] == "ready")
            last.close()

    @unittest.skipUnless(os.path.exists("/dev/net/tun"), "needs /dev/net/tun")
    def test_tap_that_is_none_or_is_taken_is_told_before_the_start(self):
        self.refused({"name": "net0", "type": "net", "backend": "tap", "tap": "lo"}, "lo", "ip tuntap add lo mode tap")

    def test_capture_is_no_fifo_and_no_link(self):
        device = {"name": "net0", "type": "net", "backend": "stream", "path": self.dir + "/peer", "pcap": self.dir + "/cap"}
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(self.dir + "/peer")
            peer.listen()
            os.mkfifo(self.dir + "/cap")
            self.refused(device, self.dir + "/cap", "no regular file")
            os.unlink(self.dir + "/cap")
            os.symlink("/etc/passwd", self.dir + "/cap")
            self.refused(device, self.dir + "/cap", "no regular file")


class Share(Case):
    def share(self, **keys):
        path = self.dir + "/share"
        os.mkdir(path)
        os.chown(path, 12345, 12346)
        return {"name": "fs0", "type": "fs", "path": path, **keys}

    def test_folder_is_the_workers_root_and_gone_with_the_vm(self):
        device = self.share()
        open(device["path"] + "/there", "w").close()
        mounts = open("/proc/self/mountinfo").read()
        with VM(self.dir, [device]) as vm:
            pid = vm.device("fs0")["pid"]
            self.assertEqual(os.listdir(f"/proc/{pid}/root/"), ["there"])
            own = open(f"/proc/{pid}/mountinfo").read().splitlines()
            self.assertEqual(len(own), 1, own)  # one mount, and what it may be
            for word in ("nosuid", "nodev", "noexec", "rw"):
                self.assertIn(word, own[0].split()[5].split(","))
            self.assertNotIn(os.stat(f"/proc/{pid}/root/there").st_uid, (0, 12345))  # by the mount it is the worker's
            self.assertEqual(vm.ask("audit")[0], 0, vm.ask("audit")[1])
            self.assertEqual(open("/proc/self/mountinfo").read(), mounts)  # nothing of it is seen outside
            os.kill(pid, signal.SIGKILL)
            after = vm.await_device("fs0", lambda d: d["restarts"] == 1 and d["pid"] != 0)
            self.assertEqual(os.listdir(f"/proc/{after['pid']}/root/"), ["there"])

    def test_nothing_of_it_is_left_when_the_vm_has_ended(self):
        with VM(self.dir, [self.share()]) as vm:
            vm.device("fs0")
        self.assertEqual(sorted(os.listdir(vm.run_dir)), ["uids", "v"])
        self.assertEqual((os.listdir(vm.run_dir + "/uids"), os.listdir(vm.run_dir + "/v")), ([], ["lock"]))

    def test_read_only_share_is_a_read_only_mount(self):
        with VM(self.dir, [self.share(read_only=True)]) as vm:
            own = open(f"/proc/{vm.device('fs0')['pid']}/mountinfo").read().splitlines()
            self.assertIn("ro", own[0].split()[5].split(","))

    def test_two_devices_share_one_folder(self):
        device = self.share()
        with VM(self.dir, [device, dict(device, name="fs1", read_only=True)]) as vm:
            self.assertEqual(vm.ask("audit")[0], 0, vm.ask("audit")[1])
            self.assertNotEqual(vm.device("fs0")["uid"], vm.device("fs1")["uid"])

    def test_what_is_no_folder_is_told_before_the_start(self):
        device = self.share()
        self.refused(dict(device, path=self.dir + "/nowhere"), "fs0", self.dir + "/nowhere", "name another directory")
        open(self.dir + "/file", "w").close()
        self.refused(dict(device, path=self.dir + "/file"), "is no directory")

    def test_a_plain_user_shares_a_folder_of_its_own(self):
        device = self.share()
        os.chown(self.dir, 12345, 12345)
        os.mkdir(self.dir + "/run")
        os.chown(self.dir + "/run", 12345, 12345)
        with VM(self.dir, [device], user=12345, group=12346, extra_groups=[]) as vm:
            self.assertEqual(vm.device("fs0")["uid"], 12345)
            self.assertEqual(os.listdir(f"/proc/{vm.device('fs0')['pid']}/root/"), [])


class Files(Case):
    def devices(self):
        """Those that hold most of what there is to hold."""
        os.mkdir(self.dir + "/logs")
        os.mkdir(self.dir + "/share")
        ports = [f"port{i}" for i in range(8)]
        devices = [{"name": f"con{i}", "type": "console", "ports": ports, "log_dir": self.dir + f"/logs{i}"} for i in range(4)]
        for i in range(4):
            os.mkdir(self.dir + f"/logs{i}")
            devices.append({"name": f"v{i}", "type": "vsock", "cid": 3 + i, "path": self.dir + f"/logs/v{i}"})
            devices.append({"name": f"fs{i}", "type": "fs", "path": self.dir + "/share"})
        return devices

    def test_what_doctor_asks_for_is_enough_for_all_that_is_held(self):
        """Every worker starts, and once more, where the VM's processes may have as many open files and no more."""
        devices = self.devices()
        with VM(self.dir, devices) as vm:
            told = subprocess.run([BULKHEAD, "doctor", vm.path], capture_output=True, text=True, timeout=SECONDS).stdout
            needed = int(re.search(r"(\d+) at most", told).group(1))
        limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (needed, needed))
        with VM(self.dir, devices, preexec_fn=limit) as vm:
            spawner = vm.ask("ps")[1][0]["spawner_pid"]
            held = len(os.listdir(f"/proc/{spawner}/fd"))
            self.assertLess(2 * held, needed)  # the other half is for starts
            for name in ("con3", "v3", "fs3"):
                os.kill(vm.device(name)["pid"], signal.SIGKILL)
            for name in ("con3", "v3", "fs3"):
                vm.await_device(name, lambda d: d["restarts"] == 1 and d["pid"] != 0 and d["state"] == "ready")
            self.assertEqual(len(os.listdir(f"/proc/{spawner}/fd")), held)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: needs root, to make workers of other users")
        sys.exit(1 if os.environ.get("MUST_RUN") else 77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
