# A console behind a real Linux guest: its terminal, its ports, who comes and goes, and workers that die.
# SPDX-License-Identifier: Apache-2.0
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Console
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import FACTOR, wait_until

MIB = 1 << 20
DEADLINE_S = 30 * FACTOR
LOG_MAX = 64 << 10
# What udev does on a whole system.
LINKS = ("mkdir -p /dev/virtio-ports; for p in /sys/class/virtio-ports/*; do "
         "ln -sf /dev/${p##*/} /dev/virtio-ports/$(cat $p/name); done; ls /dev/virtio-ports")


class Client:
    """Somebody at a port, by its socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)
        self.heard = b""

    def say(self, data):
        self.sock.sendall(data)

    def hear(self):
        """What has come next; b"" at the end."""
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""

    def wait_for(self, text):
        while text not in self.heard:
            data = self.hear()
            require(data, f"the port ends before it says {text}: {self.heard[-200:]}")
            self.heard += data
        before, _, self.heard = self.heard.partition(text)
        return before

    def close(self):
        self.sock.close()


class Terminal:
    """`bulkhead console` on a terminal of its own."""

    def __init__(self, serving, name, columns, rows):
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = b""
        self.child = subprocess.Popen(serving.argv("console", name), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def wait_for(self, pattern):
        end = time.monotonic() + DEADLINE_S
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            require(ready, f"the screen never shows {pattern}: {self.seen[-300:]}")
            self.seen += os.read(self.master, 65536)
        self.seen = self.seen[found.end():]
        return found

    def ends(self, code):
        """With this code, and the terminal is as it was."""
        got = self.child.wait(DEADLINE_S)
        require(got == code, f"bulkhead console ends with {got} instead of {code}")
        require(termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was")


def start(t, ports, extra=""):
    needs_bulkhead()
    binary = newest_qemu()
    t.stage(f"QEMU {binary.version()}")
    device = Console(ports=ports, extra=extra)
    serving = t.backend([device])
    guest = t.boot(serving, binary=binary, scenario="agent bh.devices")
    wait_until(lambda: len(guest.run("ls /sys/class/virtio-ports").split()) == len(ports), DEADLINE_S, "the guest's ports")
    require(sorted(guest.run(LINKS).split()) == sorted(ports), "the guest has other ports")
    return serving, device, guest


def behind(guest, command):
    """In the background, away from the harness's own line."""
    guest.run(f"({command}) </dev/null >/dev/null 2>&1 &")


def log_in(guest):
    """Somebody to talk to on hvc0."""
    behind(guest, "(while printf 'login: ' && read -r name; do echo \"welcome $name\"; done) </dev/hvc0 >/dev/hvc0 2>&1")


@claim(seconds=60)
def a_terminal_talks_to_a_guest_and_tells_it_its_size(t):
    serving, device, guest = start(t, ["console", "agent"])
    terminal = Terminal(serving, f"{serving.vm}/{device.name}", 100, 40)
    terminal.wait_for(rb"Ctrl-A x leaves")
    wait_until(lambda: guest.run("stty size </dev/hvc0").strip() == "40 100", DEADLINE_S, "the size of the terminal")
    log_in(guest)
    terminal.wait_for(rb"login: ")
    terminal.type(b"alice\r")
    terminal.wait_for(rb"welcome alice\r+\n")
    t.stage("somebody has logged in")
    terminal.resize(132, 50)
    wait_until(lambda: guest.run("stty size </dev/hvc0").strip() == "50 132", DEADLINE_S, "its new size")
    t.stage("the guest knows the terminal's size, and its next")

    second = Terminal(serving, f"{serving.vm}/{device.name}:console", 80, 24)
    second.wait_for(rb"somebody else is there")
    second.ends(1)
    terminal.type(b"\x01x")
    terminal.ends(0)
    third = Terminal(serving, f"{serving.vm}/{device.name}", 80, 24)
    third.wait_for(rb"Ctrl-A x leaves")
    third.type(b"\rbob\r")
    third.wait_for(rb"welcome bob\r+\n")
    t.stage("it was left, and somebody else has come")

    os.kill(serving.ps()[device.name]["pid"], signal.SIGKILL)
    third.wait_for(rb"waiting for the next")
    wait_until(lambda: serving.ps()[device.name]["restarts"] == 1 and serving.ps()[device.name]["pid"], DEADLINE_S, "the next worker")
    # What is typed before the next worker is there waits in its socket.
    third.type(b"\rcarol\r")
    third.wait_for(rb"welcome carol\r+\n")
    require(len(guest.run("ls /sys/class/virtio-ports").split()) == 2, "ports were added twice")
    third.type(b"\x01x")
    third.ends(0)
    t.stage("and talks to the next worker")
    guest.reboot()
    wait_until(lambda: len(guest.run("ls /sys/class/virtio-ports").split()) == 2, DEADLINE_S, "the ports after a reset")
    t.stage("the next boot has the same ports")


def carry(t, serving, device, guest):
    """10 MiB each way at once: the guest says on one port what it hears on the other."""
    data = hashlib.shake_128(b"input").digest(10 * MIB)
    client, sender = Client(serving.port(device, "agent")), Client(serving.port(device, "data"))
    behind(guest, "dd if=/dev/virtio-ports/data bs=32k count=320 iflag=fullblock | tee /run/input >/dev/virtio-ports/agent")
    got, at = b"", 0
    sender.sock.setblocking(False)
    while len(got) < len(data):
        readable, writable, _ = select.select([client.sock], [sender.sock] if at < len(data) else [], [], DEADLINE_S)
        require(readable or writable, f"nothing moves, {len(got)} bytes out, {at} in")
        if readable:
            got += client.hear()
        if writable:
            at += sender.sock.send(data[at:at + 65536])
    require(got == data, "output is not what input was")
    require(guest.run("sha256sum </run/input").split()[0] == hashlib.sha256(data).hexdigest(), "input is not what was sent")
    t.stage("10 MiB have gone each way, on two ports at once")
    client.close()
    sender.close()
    return got


@claim(seconds=60)
def ports_carry_every_byte_and_keep_their_logs(t):
    logs = f"{t.directory}/logs"
    os.mkdir(logs)
    serving, device, guest = start(t, ["console", "agent", "data"], f", log_dir: {logs}, log_max: 64K")
    got = carry(t, serving, device, guest)
    old, now = (open(f"{logs}/agent.log{tail}", "rb").read() for tail in (".1", ""))
    require(len(old) == LOG_MAX and 0 < len(now) <= LOG_MAX, f"logs of {len(old)} and {len(now)} bytes")
    require(got.endswith(old + now), "the logs are not the end of what was written")
    t.stage("its log was begun anew whenever it was full")

    # A port that nobody is at takes nothing; who comes finds what was waiting.
    behind(guest, "echo held >/dev/virtio-ports/agent; echo done >/run/held")
    client = Client(serving.port(device, "data"))
    behind(guest, "echo other >/dev/virtio-ports/data")
    client.wait_for(b"other\n")
    client.close()
    require(guest.ask("cat /run/held").status != 0, "output went to nobody")
    client = Client(serving.port(device, "agent"))
    client.wait_for(b"held\n")
    client.close()
    t.stage("a guest waits for somebody at its port")

    behind(guest, "exec 3<>/dev/virtio-ports/agent; until read -r words <&3; do :; done; echo \"you said $words\" >&3")
    script = subprocess.run(serving.argv("console", f"{serving.vm}/{device.name}:agent"), input=b"question\n", capture_output=True,
                            timeout=DEADLINE_S)
    require(script.returncode == 0 and script.stdout == b"you said question\n", f"a script has {script}")
    t.stage("a script has asked and was answered")

    # What nobody reads on the console is in its log, and holds nobody up.
    client = Client(serving.port(device, "console"))
    guest.run("dd if=/dev/zero bs=64k count=8 2>/dev/null | tr '\\0' x >/dev/hvc0; echo the end >/dev/hvc0")
    require(open(f"{logs}/console.log", "rb").read().endswith(b"the end\r\n"), "the console's log has no end")
    client.close()
    t.stage("a console that is not read does not hold the guest up")


def connection(serving, device, client, last, kill):
    """All that one connection hears, up to the stream's last line. kill: its worker, when it has begun to hear."""
    got = b""
    while not got.endswith(last):
        data = client.hear()
        if not data:
            break
        if kill and not got:
            os.kill(serving.ps()[device.name]["pid"], signal.SIGKILL)
        got += data
    client.close()
    return got


@claim(seconds=60)
def no_byte_comes_twice_when_workers_die(t):
    n, deaths, at, lost = 40000, 5, 0, 0
    serving, device, guest = start(t, ["console", "agent"])
    path = serving.port(device, "agent")
    stream = b"".join(b"%08d\n" % i for i in range(1, n + 1))
    client = Client(path)
    behind(guest, f"awk 'BEGIN {{ for (i = 1; i <= {n}; i++) printf \"%08d\\n\", i }}' >/dev/virtio-ports/agent; echo $? >/run/status")
    for i in range(deaths + 1):
        got = connection(serving, device, client, stream[-9:], i < deaths)
        # Each connection has heard one piece of the stream, and it begins behind the last.
        found = stream.find(got, at)
        require(found >= 0, f"after {i} deaths bytes come twice, or others: {got[:40]} .. {got[-40:]}, after {stream[max(0, at - 20):at]}")
        lost += found - at
        at = found + len(got)
        client = Client(path)
    require(at == len(stream), f"{len(stream) - at} bytes are missing at the end")
    wait_until(lambda: guest.ask("cat /run/status").status == 0, DEADLINE_S, "the end of the guest's writing")
    require(guest.run("cat /run/status").strip() == "0", "writing fails in the guest")
    require(serving.ps()[device.name]["restarts"] == deaths, "a worker has died by itself")
    t.stage(f"{deaths} workers have died; of {len(stream)} bytes none came twice, and {lost} never, which dead workers had")
    behind(guest, "echo on >/dev/virtio-ports/agent")
    client.wait_for(b"on\n")
    client.close()
    t.stage("and the port goes on")


if __name__ == "__main__":
    sys.exit(main())
