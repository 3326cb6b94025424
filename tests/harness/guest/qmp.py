# QEMU's monitor: one command, one answer; events are kept until they are asked for.
# SPDX-License-Identifier: Apache-2.0
import json

from .deadline import Deadline


class QmpError(Exception):
    pass


class Qmp:
    """Over a connected socket. Owns it."""

    def __init__(self, sock, seconds=20):
        self._sock = sock
        self._buffer = b""
        self.events = []
        self._next(Deadline(seconds, "QEMU's greeting"), lambda message: "QMP" in message)
        self.command("qmp_capabilities")

    def _next(self, deadline, wanted):
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                message = json.loads(line)
                if wanted(message):
                    return message
                if "event" in message:
                    self.events.append(message)
            self._sock.settimeout(deadline.left())
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise QmpError("QEMU closed its monitor")
            self._buffer += data

    def command(self, name, seconds=20, **arguments):
        """Returns the command's value; raises QmpError with QEMU's own words."""
        question = {"execute": name}
        if arguments:
            question["arguments"] = arguments
        self._sock.sendall(json.dumps(question).encode() + b"\n")
        answer = self._next(Deadline(seconds, f"QEMU's answer to {name}"), lambda m: "return" in m or "error" in m)
        if "error" in answer:
            raise QmpError(f"{name}: {answer['error'].get('desc')}")
        return answer["return"]

    def wait_event(self, name, seconds=20):
        """The oldest event of that name that nobody has taken."""
        for i, event in enumerate(self.events):
            if event["event"] == name:
                return self.events.pop(i)
        return self._next(Deadline(seconds, f"QEMU's event {name}"), lambda m: m.get("event") == name)

    def close(self):
        self._sock.close()
