# A vsock device for guests, and programs of the host: what listens for the guest, and what connects to it. The bytes are
# those of tests/integration/guest_vsock.c.
# SPDX-License-Identifier: Apache-2.0
import os
import selectors
import socket
import threading

SCENARIO = "agent bh.devices"  # for t.boot: the guest loads the driver
PERIOD = 65521
PIECE = 65536
_BLOCK = bytes((at * 167 + (at >> 7)) & 0xFF for at in range(PERIOD))
PATTERN = _BLOCK * 3
DEADLINE_S = 120


class Vsock:
    """Its socket is NAME in a directory of its own, which everybody may enter."""

    def __init__(self, directory, name="vsock0", cid=52, extra="", qemu_extra=""):
        self.name, self.cid, self.extra, self.qemu_extra = name, cid, extra, qemu_extra
        self.folder = f"{directory}/{name}"
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        self.path = f"{self.folder}/s"

    def yaml(self):
        return f"  - {{name: {self.name}, type: vsock, cid: {self.cid}, path: {self.path}{self.extra}}}\n"

    def qemu(self, sock):
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-vsock-pci,id={self.name}-pci,chardev={self.name}{self.qemu_extra}"]

    def listen(self, port, kind=socket.SOCK_STREAM, backlog=1024):
        path = f"{self.path}_{port}"
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(backlog)
        listener.settimeout(DEADLINE_S)
        return listener

    def connect(self, port, kind=socket.SOCK_STREAM):
        """To a port of the guest. ConnectionError: nobody answers there."""
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(DEADLINE_S)
        sock.connect(self.path + (".seqpacket" if kind == socket.SOCK_SEQPACKET else ""))
        sock.sendall(b"CONNECT %d\n" % port)
        answer = b""
        if kind == socket.SOCK_SEQPACKET:
            answer = sock.recv(64)
        else:
            while not answer.endswith(b"\n"):
                byte = sock.recv(1)
                if not byte:
                    break
                answer += byte
        if not answer.startswith(b"OK "):
            sock.close()
            raise ConnectionError(f"port {port} of the guest: {answer!r}")
        return sock


def send_pattern(sock, length):
    done = 0
    while done < length:
        at = done % PERIOD
        n = min(PIECE, length - done)
        sock.sendall(memoryview(PATTERN)[at:at + n])
        done += n


def receive_pattern(sock, length=None):
    """All of it, or to the end: how many bytes came. AssertionError: a wrong one."""
    done = 0
    while length is None or done < length:
        data = sock.recv(PIECE if length is None else min(PIECE, length - done))
        if not data:
            break
        at = done % PERIOD
        if data != PATTERN[at:at + len(data)]:
            raise AssertionError(f"a wrong byte in the {len(data)} behind {done}")
        done += len(data)
    return done


class Echo:
    """Everything that comes to a listener goes back, from any number of connections."""

    def __init__(self, listener):
        self.listener, self.peak, self.now = listener, 0, 0
        self.selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ)
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _accept(self):
        try:
            sock = self.listener.accept()[0]
        except BlockingIOError:
            return
        sock.settimeout(DEADLINE_S)
        self.selector.register(sock, selectors.EVENT_READ)
        self.now += 1
        self.peak = max(self.peak, self.now)

    def _echo(self, sock):
        try:
            data = sock.recv(2 * PIECE)
            if data:
                sock.sendall(data)
                return
        except OSError:
            pass
        self.selector.unregister(sock)
        sock.close()
        self.now -= 1

    def _run(self):
        while not self.ending:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    self._accept()
                else:
                    self._echo(key.fileobj)

    def stop(self):
        self.ending = True
        self.thread.join()
        self.listener.close()


def in_background(function, *arguments):
    """Runs it; the returned function waits for the end and gives the result, or raises what it raised."""
    answer = {}

    def run():
        try:
            answer["result"] = function(*arguments)
        except BaseException as error:
            answer["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result(seconds=DEADLINE_S):
        thread.join(seconds)
        if thread.is_alive():
            raise TimeoutError(f"{function.__name__} has not ended in {seconds} s")
        if "error" in answer:
            raise answer["error"]
        return answer["result"]
    return result
