# `bulkhead run` with Linux as its guest, on a host that is a guest itself: what it is given, what both must say.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import require

PROGRAMS = tuple(f"bulkhead{part}" for part in ("", "-broker", "-worker-blk", "-worker-rng", "-worker-loader"))
DISK_BYTES = 4 << 20
RING_PACKED = 34  # the bit of virtio 1.3, 6
CHANGED_BYTES = 256 << 10


def config(cmdline, more="", memory="256M", kernel="vmlinuz", initrd="initrd"):
    """more: lines of YAML. Without initrd: its name is empty."""
    return (f"vm: own\nfrontend: kvm\nmemory: {memory}\nkernel: /host/{kernel}\n"
            f"{f'initrd: /host/{initrd}' if initrd else ''}\ncmdline: {cmdline}\n{more}\n"
            "devices:\n  - {name: disk0, type: blk, path: /host/disk.img}\n  - {name: rng0, type: rng}\n")


def prepare(machine, words):
    """The configuration and a disk. Returns the sum of what is on it."""
    machine.run(f"cat >/host/own.yaml <<'END'\n{words}END\ncd /host && yes bulkhead | head -c {DISK_BYTES} >disk.img && "
                "chmod 666 disk.img && chmod 755 . /host")
    return machine.run("sha256sum </host/disk.img").split()[0]


class Run:
    """A `bulkhead run` in the background of the host. Its standard input is a pipe, what it says a file; through a pipe
    comes the line by which its guest says that it waits, and the exit status."""

    SCRIPT = """cd /host && rm -f in news said && mkfifo in news && : >said && {
        { ./bulkhead run own.yaml <>in 2>&1; echo STATUS $?; } | while read -r line; do
                echo "$line" >>said
                case $line in WAITING*|STATUS*) echo "$line" >news ;; esac
        done & }"""

    def __init__(self, machine):
        self.machine = machine
        machine.run(self.SCRIPT)

    def _news(self, seconds):
        return self.machine.run("read -r line </host/news; echo $line", seconds)

    def wait_guest(self, seconds):
        """Until the guest waits for words."""
        require("WAITING" in self._news(seconds), f"its guest never waited: {self.said()}")

    def type(self, words):
        self.machine.run(f"echo {words} >/host/in")

    def wait(self, seconds):
        """Its exit status."""
        return int(self._news(seconds).removeprefix("STATUS"))

    def stop(self):
        """By its operator."""
        vm = json.loads(self.machine.run("cd /host && ./bulkhead ps --json", 60))["vms"][0]
        self.machine.run(f"kill {vm['spawner_pid']}")
        status = self.wait(90)
        require(status == 0, f"status {status}: {self.said()}")

    def wait_said(self, words, seconds):
        """Until these words are said, which grep finds."""
        script = f"n=0; until grep -q \"{words}\" /host/said; do n=$((n + 1)); [ $n -lt {10 * seconds} ] || exit 1; usleep 100000; done"
        require(self.machine.ask(script, 3 * seconds).status == 0, f"nobody says \"{words}\": {self.said()}")

    def said(self):
        return self.machine.run("cat /host/said")


def linux_uses_its_devices(t, machine, words, processors=1):
    """Linux boots, waits while its broker and workers are audited, and uses disk and entropy. Returns what was said.
    words: the configuration, whose command line ends with bh.wait bh.scenario=disk."""
    before = prepare(machine, words)
    run = Run(machine)
    run.wait_guest(120)
    t.stage("its Linux is up, and waits for us")
    audit = machine.ask("cd /host && ./bulkhead audit", 90)
    require(audit.status == 0 and "Nothing is looser than its policy." in audit.output, audit.output)
    for fact in ("disk0 seccomp filters 2", "rng0 seccomp filters 2", "broker seccomp mode 2"):
        require(fact in " ".join(audit.output.split()), f"no \"{fact}\" in {audit.output}")
    t.stage("nothing is looser than its policy")
    run.type("go on")
    status, said = run.wait(120), run.said()
    require(status == 0, f"status {status}: {said}")
    require("HEARD go on" in said, f"it did not hear us: {said}")
    require(f"MACHINE {processors} processors" in said, f"not with {processors} processors: {said}")
    require(f"DISK {before}" in said, f"not the disk that it has: {said}")
    require(f"BACK {CHANGED_BYTES}" in said, f"it does not read what it wrote: {said}")
    require("ENTROPY 16" in said, f"no entropy: {said}")
    features = re.search(r"FEATURES ([01]{64})", said)
    require(features and features[1][RING_PACKED] == "1", f"its rings are not packed, as they were offered: {said}")
    t.stage("it has used disk and entropy, and switched itself off")
    left = machine.run(f"head -c {CHANGED_BYTES} /host/disk.img | tr -d w | wc -c").strip()
    require(left == "0", f"{left} bytes of what it wrote are not on the disk")
    kicks = [line for line in said.splitlines() if "kick_exits=" in line]
    require(len(kicks) == 2 and all("kick_exits=0" in line for line in kicks), f"kicks left the kernel: {kicks}")
    return said
