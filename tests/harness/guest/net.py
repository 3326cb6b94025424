# Network devices for guests, and who is on the other end of the wire: a peer of our own, a server, or a network namespace.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import threading

from .deadline import wait_until

SCENARIO = "agent bh.devices"  # for t.boot: the guest loads the driver
ETHERNET = 14


class Net:
    """options: keys of the configuration, without `type`. mtu: told to QEMU, too. qemu_extra: more properties of QEMU's device."""

    def __init__(self, name, options, pairs=1, mtu=1500, mac="52:54:00:12:34:56", qemu_extra=""):
        self.name, self.options, self.pairs, self.mtu, self.mac = name, options, pairs, mtu, mac
        self.qemu_extra = qemu_extra

    def yaml(self):
        return f"  - {{name: {self.name}, type: net, queues: {2 * self.pairs}, mtu: {self.mtu}, {self.options}}}\n"

    def qemu(self, sock):
        many = ",mq=on" if self.pairs > 1 else ""
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-netdev", f"vhost-user,id={self.name}-net,chardev={self.name},queues={self.pairs}",
                "-device", f"virtio-net-pci,id={self.name}-pci,netdev={self.name}-net,mac={self.mac},host_mtu={self.mtu},romfile=,vectors=0{many}{self.qemu_extra}"]


def address(guest, words, link="eth0"):
    guest.run(f"ip addr add {words} dev {link} && ip link set {link} up")


class Peer:
    """Listens at a path and is one host behind a stream: answers ARP and pings for ADDRESS, and keeps what else comes."""

    ADDRESS = "10.9.0.1"
    MAC = bytes.fromhex("0200000000fe")

    def __init__(self, path):
        self.path = path
        self.pings, self.longest, self.frames = 0, 0, 0
        self.come()

    def come(self):
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(1)
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def go(self):
        """As if it had died: nobody listens, and no connection is left."""
        os.unlink(self.path)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def say(self, *frames):
        """Any bytes, behind their length."""
        for frame in frames:
            self.connections[-1].sendall(struct.pack(">I", len(frame)) + frame)

    def _serve(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _take(self, connection, n):
        data = b""
        while len(data) < n:
            more = connection.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _converse(self, connection):
        try:
            while True:
                frame = self._take(connection, struct.unpack(">I", self._take(connection, 4))[0])
                self.frames += 1
                answer = self._answer(frame)
                if answer:
                    connection.sendall(struct.pack(">I", len(answer)) + answer)
        except (EOFError, OSError):
            return

    def _answer(self, frame):
        kind, payload = frame[12:14], frame[ETHERNET:]
        head = frame[6:12] + self.MAC + kind
        own = socket.inet_aton(self.ADDRESS)
        if kind == b"\x08\x06" and payload[24:28] == own and payload[7] == 1:
            return head + payload[:6] + b"\0\2" + self.MAC + own + payload[8:18]
        if kind == b"\x08\0" and payload[9] == 1 and payload[16:20] == own and payload[20] == 8:
            self.pings += 1
            self.longest = max(self.longest, len(frame))
            return head + payload[:12] + own + payload[12:16] + b"\0\0" + self._sum(payload)
        return None

    @staticmethod
    def _sum(payload):
        """The echo with its sum: 8 for the kind is gone."""
        total = struct.unpack(">H", payload[22:24])[0] + 0x0800
        return struct.pack(">H", (total & 0xffff) + (total >> 16)) + payload[24:]

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


UDHCPC = r"""#!/bin/sh
case $1 in
deconfig) ip link set $interface up ;;
bound | renew)
        ip addr flush dev $interface
        ip addr add $ip/${mask:-24} dev $interface
        ip route replace default via $router dev $interface
        ;;
esac
"""


def dhcp(guest, link="eth0"):
    """The guest asks, and takes what it is told. Returns its address."""
    guest.run("mkdir -p /tmp && cat >/tmp/udhcpc.sh <<'END' && chmod 755 /tmp/udhcpc.sh\n" + UDHCPC + "END")
    guest.run(f"udhcpc -i {link} -n -q -t 10 -T 1 -s /tmp/udhcpc.sh")
    return guest.run(f"ip -4 -o addr show dev {link} | sed 's/.*inet \\([0-9.]*\\).*/\\1/'").strip()


class Server:
    """HTTP on a port of its own: gives the files of a directory."""

    def __init__(self, directory, bind="127.0.0.1"):
        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def __init__(self, *words):
                super().__init__(*words, directory=directory)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((bind, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sink:
    """Takes all of one connection at a time: how much it was, and its digest."""

    def __init__(self, bind="127.0.0.1"):
        self.listener = socket.create_server((bind, 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            digest, length = hashlib.sha256(), 0
            with connection:
                while data := connection.recv(1 << 20):
                    digest.update(data)
                    length += len(data)
                self.taken.append((length, digest.hexdigest()))

    def await_taken(self, n, seconds=30):
        wait_until(lambda: len(self.taken) >= n, seconds, f"connection {n} to its end")
        return self.taken[n - 1]

    def close(self):
        self.listener.close()


class Namespace:
    """A network namespace with a bridge, for taps. `prefix` runs a command in it."""

    ADDRESS = "10.9.1.1"

    def __init__(self, name, mtu=1500):
        self.name, self.mtu = name, mtu
        self.prefix = ["ip", "netns", "exec", name]
        self._ip("netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "br0", "type", "bridge")
        self.run("ip", "addr", "add", f"{self.ADDRESS}/24", "dev", "br0")
        self.run("ip", "link", "set", "br0", "up")

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    def run(self, *words):
        done = subprocess.run([*self.prefix, *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def tap(self, name, many=False):
        self.run("ip", "tuntap", "add", name, "mode", "tap", *(["multi_queue"] if many else []))
        self.run("ip", "link", "set", name, "mtu", str(self.mtu), "master", "br0", "up")
        return name

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


def worker_of(serving, device):
    """The pid of a device's worker."""
    return serving.ps()[device]["pid"]

