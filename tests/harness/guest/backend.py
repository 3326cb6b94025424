# What serves a guest's devices: bulkhead, or Debian's qemu-storage-daemon standing in for it. The stand-in proves the
# harness itself: a claim that fails on both is a fault of the harness or of the guest.
# Chosen by BULKHEAD_BACKEND: bulkhead (default) or stand-in. BULKHEAD_BUILD: the build, with the programs in bin/ or
# in BULKHEAD_PROGRAMS.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import shutil
import subprocess

from .child import Child
from .deadline import wait_until

ACCEPTS_CONNECTIONS = 0x10000  # __SO_ACCEPTCON in the flags column of /proc/net/unix
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.path.abspath(os.environ.get("BULKHEAD_BUILD") or os.path.join(TOP, "build"))
PROGRAMS = os.environ.get("BULKHEAD_PROGRAMS") or os.path.join(BUILD, "bin")
SANITIZER = re.compile(r"(Address|Leak|Thread)Sanitizer|runtime error:")


def listening(path, pid="self"):
    """Is somebody listening there, in that process's network namespace? Told without connecting: the first connection is the
    front-end's."""
    with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="replace") as table:
        for line in table:
            words = line.split(maxsplit=7)
            if len(words) == 8 and words[7].rstrip("\n") == path and int(words[3], 16) & ACCEPTS_CONNECTIONS:
                return True
    return False


class Disk:
    """extra: more keys of the configuration. qemu_extra: more properties of QEMU's device."""

    def __init__(self, name, path, read_only=False, queues=1, extra="", qemu_extra=""):
        self.name, self.path, self.read_only, self.queues, self.extra = name, path, read_only, queues, extra
        self.qemu_extra = qemu_extra

    def yaml(self):
        words = f"name: {self.name}, type: blk, path: {self.path}, read_only: {'true' if self.read_only else 'false'}"
        if self.queues != 1:
            words += f", queues: {self.queues}"
        return f"  - {{{words}{self.extra}}}\n"

    def qemu(self, sock):
        queues = f",num-queues={self.queues}"
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-blk-pci,id={self.name}-pci,chardev={self.name}{queues}{self.qemu_extra}"]


class Entropy:
    def __init__(self, name="rng0", qemu_extra=""):
        self.name, self.qemu_extra = name, qemu_extra

    def yaml(self):
        return f"  - {{name: {self.name}, type: rng}}\n"

    def qemu(self, sock):
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-rng-pci,id={self.name}-pci,chardev={self.name}{self.qemu_extra}"]


class Console:
    """Only with the newest QEMU, whose test device is any device that a back-end says; the guest is booted with bh.devices."""

    def __init__(self, name="con0", ports=("console",), extra=""):
        self.name, self.ports, self.extra = name, ports, extra

    def yaml(self):
        return f"  - {{name: {self.name}, type: console, ports: [{', '.join(self.ports)}]{self.extra}}}\n"

    def qemu(self, sock):
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-test-device-pci,id={self.name}-pci,chardev={self.name},virtio-id=3,"
                f"num_vqs={2 * len(self.ports) + 2},vq_size=64,config_size=12"]


class Sample:
    """A device with a shared memory region; only with the newest QEMU, as Console."""

    def __init__(self, name="sample0", size="1M", extra=""):
        self.name, self.size, self.extra = name, size, extra

    def yaml(self):
        return f"  - {{name: {self.name}, type: sample, size: {self.size}, shmem: map{self.extra}}}\n"

    def qemu(self, sock):
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-test-device-pci,id={self.name}-pci,chardev={self.name},virtio-id=22,"
                "num_vqs=1,vq_size=64,config_size=0"]


class Bulkhead:
    """`bulkhead run` in the foreground, one VM. `prefix` runs it as somebody else (setpriv ...)."""

    name = "bulkhead"

    def __init__(self, directory, devices, vm=None, prefix=(), bin_dir=None, run_dir=None, env=None):
        self.errors_expected = None  # a regular expression: the errors that a claim provokes
        # Claims run side by side: a name of its own tells whose a process is.
        self.devices, self.vm = devices, vm or os.path.basename(directory)
        self.run_options = []  # of `bulkhead run`
        self.prefix, self.env = list(prefix), env or {}
        self.directory = directory
        self.run_dir = run_dir or f"{directory}/run"
        self.program = os.path.join(bin_dir or PROGRAMS, "bulkhead")
        self.config = f"{directory}/{self.vm}.yaml"
        self.child = None
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.yaml())

    def yaml(self):
        return f"vm: {self.vm}\nfrontend: vhost-user\ndevices:\n" + "".join(d.yaml() for d in self.devices)

    def argv(self, *words):
        """words: a verb and what belongs to it."""
        return [self.program, words[0], "--run-dir", self.run_dir, *words[1:]]

    def socket(self, device):
        return f"{self.run_dir}/{self.vm}/{device.name}.sock"

    def start(self, seconds=20):
        """Until every device's socket listens."""
        self.child = Child("bulkhead run", self.argv("run", *self.run_options, self.config), f"{self.directory}/{self.vm}-broker.log",
                           prefix=self.prefix, env=self.env)
        wait_until(lambda: all(listening(self.socket(d), self.child.pid) for d in self.devices), seconds,
                   "the sockets of bulkhead", alive=self.child.must_run)
        return self

    def port(self, device, port):
        """The socket of a console's port."""
        return f"{self.run_dir}/{self.vm}/{device.name}.{port}.sock"

    def qemu_arguments(self):
        return [word for device in self.devices for word in device.qemu(self.socket(device))]

    def tool(self, *words, seconds=20):
        """Any other verb of the command: the finished process with stdout and stderr."""
        return subprocess.run([*self.prefix, *self.argv(*words)], text=True, capture_output=True,
                              timeout=seconds, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL)

    def ps(self):
        """This VM's devices by name, as `ps --json` tells them."""
        answer = self.tool("ps", "--json")
        if answer.returncode != 0:
            raise RuntimeError(f"bulkhead ps --json: status {answer.returncode}: {answer.stderr.strip()}")
        for vm in json.loads(answer.stdout)["vms"]:
            if vm["vm"] == self.vm and "devices" in vm:
                return {device["device"]: device for device in vm["devices"]}
        raise RuntimeError(f"bulkhead ps does not show {self.vm}: {answer.stdout}")

    def unexpected_errors(self):
        """What the broker has said as an error and the claim did not provoke."""
        return [line for line in (self.child.lines if self.child else ())
                if SANITIZER.search(line) or
                (": error: " in line and not (self.errors_expected and re.search(self.errors_expected, line)))]

    def stop(self):
        if self.child and self.child.running():
            return self.child.stop()
        return None


class StandIn:
    """One qemu-storage-daemon a disk. It has no entropy device: QEMU's own is given instead."""

    name = "stand-in"

    def __init__(self, directory, devices, vm=None, **_):
        self.directory, self.devices, self.vm = directory, devices, vm
        self.children = []

    def socket(self, device):
        return f"{self.directory}/{device.name}.sock"

    def start(self, seconds=20):
        for disk in (d for d in self.devices if isinstance(d, Disk)):
            node = f"driver=file,node-name=f,filename={disk.path},discard=unmap"
            argv = [shutil.which("qemu-storage-daemon"), "--blockdev",
                    node + (",read-only=on" if disk.read_only else ""),
                    "--export", f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={self.socket(disk)},"
                    f"num-queues={disk.queues},writable={'off' if disk.read_only else 'on'}"]
            child = Child(f"stand-in {disk.name}", argv, f"{self.directory}/{disk.name}-stand-in.log")
            self.children.append(child)
            wait_until(lambda d=disk: listening(self.socket(d)), seconds, "the stand-in's socket",
                       alive=child.must_run)
        return self

    def qemu_arguments(self):
        arguments = []
        for device in self.devices:
            if isinstance(device, Disk):
                arguments += device.qemu(self.socket(device))
            else:
                arguments += ["-object", f"rng-random,id={device.name}-source,filename=/dev/urandom",
                              "-device", f"virtio-rng-pci,rng={device.name}-source"]
        return arguments

    def unexpected_errors(self):
        return []

    def tool(self, verb, *_, **__):
        return subprocess.CompletedProcess([], 0, f"(the stand-in has no {verb})", "")

    def stop(self):
        for child in self.children:
            child.stop()


def backend_class():
    return StandIn if os.environ.get("BULKHEAD_BACKEND") == "stand-in" else Bulkhead
