# One guest: a QEMU process with its monitor, its console and the agent in the guest.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import shutil
import socket
import subprocess
import threading

from .agent import Agent
from .child import Child
from .deadline import Deadline
from .qmp import Qmp

# Enough for the harness, quiet, and no pause after a panic: the harness sees the new boot and says so.
# What an emulated processor is slow at and no claim is about is left out: tests of the kernel's own ciphers, patching of
# locks, IPv6. That is a quarter of a boot.
KERNEL_WORDS = ("quiet loglevel=4 panic=-1 random.trust_cpu=on nokaslr mitigations=off "
                "cryptomgr.notests noreplace-smp ipv6.disable=1")


@dataclasses.dataclass(frozen=True)
class Board:
    """What machine QEMU makes, and where its serial lines are: for QEMU, and in the guest."""
    qemu: str
    words: tuple
    processor: str  # the best that can be emulated
    console: str
    agent: str
    agent_words: tuple


PC = Board("qemu-system-x86_64", ("-M", "q35"), "max", "ttyS0", "ttyS1", ("-serial", "chardev:agent"))


# QEMU 7.2 keeps what it has translated of a guest's code over a reset, and is slow at writing where such code was: the
# firmware and the next kernel. With so little room for it, most of it is gone by then, and a reboot takes half as long.
TRANSLATED_MIB = 16


class Binary:
    """A QEMU: the host's, or one inside a directory tree of another Debian release (run by that tree's loader).
    translated_mib: room for translated code, a processor; 0: its own choice."""

    def __init__(self, argv, env=None, label=None, translated_mib=0):
        self.argv = argv
        self.env = env or {}
        self.label = label
        self.translated_mib = translated_mib

    @staticmethod
    def host(board=PC):
        path = shutil.which(board.qemu)
        return Binary([path], translated_mib=TRANSLATED_MIB) if path else None

    def accelerator(self, accel, processors):
        return f"tcg,tb-size={self.translated_mib * processors}" if accel == "tcg" and self.translated_mib else accel

    @staticmethod
    def in_tree(root):
        """No chroot: the tree's loader, libraries, firmware and QEMU modules are named instead."""
        path = f"{root}/usr/bin/qemu-system-x86_64"
        loader = f"{root}/usr/lib64/ld-linux-x86-64.so.2"
        if not os.path.exists(loader):
            loader = f"{root}/lib64/ld-linux-x86-64.so.2"
        libraries = f"{root}/usr/lib/x86_64-linux-gnu"
        if not (os.path.exists(path) and os.path.exists(loader)):
            return None
        argv = [loader, "--library-path", libraries, path]
        for data in ("qemu", "seabios", "qemu-efi", "ipxe/qemu"):
            if os.path.isdir(f"{root}/usr/share/{data}"):
                argv += ["-L", f"{root}/usr/share/{data}"]
        return Binary(argv, {"QEMU_MODULE_DIR": f"{libraries}/qemu"})

    def version(self):
        output = subprocess.run([*self.argv, "--version"], env={**os.environ, **self.env}, text=True,
                                capture_output=True, timeout=30, check=True).stdout
        return output.split("\n", 1)[0].removeprefix("QEMU emulator version ")


def accelerator():
    """Hardware virtualisation only: a /dev/kvm without it may be there and still not boot Linux."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
            flags = cpuinfo.read()
    except OSError:
        return "tcg"
    by_hardware = " vmx " in flags or " svm " in flags
    return "kvm" if by_hardware and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


class Machine:
    """Starts QEMU at once and waits for its monitor; wait_ready() waits for the guest. Owns the process and sockets.

    arguments: QEMU's for the devices, as Backend.qemu_arguments() makes them. memory_arguments: in place of our own.
    """

    def __init__(self, image, directory, arguments, binary=None, processors=1, memory_mib=512, share="on",
                 scenario="agent", name="guest", memory_arguments=None, accel="tcg", prefix=(), board=PC):
        binary = binary or Binary.host(board)
        self.name = name
        self._console_changed = threading.Condition()
        self.console = ""
        self.on_console = None  # called with each piece of console output, for a person's terminal
        listeners = {part: self._listen(directory, part) for part in ("qmp", "console", "agent")}
        if memory_arguments is None:
            memory_arguments = ["-m", str(memory_mib), "-object", f"memory-backend-memfd,id=mem,size={memory_mib}M,share={share}",
                                "-machine", "memory-backend=mem"]
        argv = [*binary.argv, *board.words, "-accel", binary.accelerator(accel, processors),
                "-cpu", board.processor if accel == "tcg" else "host",
                "-smp", str(processors), *memory_arguments,
                "-nodefaults", "-no-user-config", "-nographic",
                "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initrd",
                "-append", f"console={board.console} {KERNEL_WORDS} bh.agent={board.agent} bh.scenario={scenario}"]
        for part, words in (("console", ("-serial", "chardev:console")), ("agent", board.agent_words)):
            argv += ["-chardev", f"socket,id={part},path={directory}/{name}-{part}.sock", *words]
        argv += ["-chardev", f"socket,id=qmp,path={directory}/{name}-qmp.sock", "-mon", "chardev=qmp,mode=control"]
        self.argv = argv + list(arguments)
        self.console_log = f"{directory}/{name}-console.log"
        self.child = Child(f"QEMU ({name})", self.argv, f"{directory}/{name}-qemu.log", env=binary.env,
                           prefix=prefix)
        try:
            socks = self._accept(listeners)
            self.qmp = Qmp(socks["qmp"])
        except BaseException:
            self.child.kill()
            raise
        self._console_sock = socks["console"]
        threading.Thread(target=self._read_console, daemon=True).start()
        self.agent = Agent(socks["agent"], self.child.must_run)

    def _listen(self, directory, part):
        path = f"{directory}/{self.name}-{part}.sock"
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.chmod(path, 0o666)  # QEMU may run as somebody else
        listener.listen(1)
        return listener

    def _accept(self, listeners):
        """QEMU calls us, so that no byte of the first boot can be missed."""
        deadline = Deadline(30, "QEMU's start")
        socks = {}
        for part, listener in listeners.items():
            while part not in socks:
                listener.settimeout(min(0.1, deadline.left()))
                try:
                    socks[part] = listener.accept()[0]
                except TimeoutError:
                    self.child.must_run()
            listener.close()
        return socks

    def _read_console(self):
        with open(self.console_log, "ab", buffering=0) as log:
            while True:
                try:
                    data = self._console_sock.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    return
                log.write(data)
                with self._console_changed:
                    self.console += data.decode("utf-8", "backslashreplace")
                    self._console_changed.notify_all()
                if self.on_console:
                    self.on_console(data)

    def console_write(self, data):
        self._console_sock.sendall(data)

    def wait_ready(self, seconds=90):
        return self.agent.wait_ready(seconds)

    def run(self, command, seconds=60):
        return self.agent.run(command, seconds)

    def ask(self, command, seconds=60):
        return self.agent.ask(command, seconds)

    def reboot(self, seconds=90):
        """The guest resets itself without a clean shutdown; QEMU stays. Returns when it is up again."""
        self.agent.start("reboot -f")
        return self.agent.wait_ready(seconds)

    def power_off(self, seconds=60):
        """A clean end: QEMU leaves with status 0."""
        self.agent.start("sync; poweroff -f")
        return self.child.wait(seconds)

    def kill(self):
        """SIGKILL, as a host's out-of-memory killer would."""
        self.child.kill()
        self.agent.close()
        self.qmp.close()
