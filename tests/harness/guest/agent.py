# The host's side of the agent in the guest (the file `agent` beside this one): shell commands in, exit status and
# output back, over a serial line.
# SPDX-License-Identifier: Apache-2.0
import base64
import re

from .deadline import Deadline

_LINE = re.compile(rb"(READY|END) ([^\r\n]*)\r?$")


class GuestRebooted(Exception):
    pass


class CommandFailed(Exception):
    pass


class Answer:
    def __init__(self, status, output):
        self.status = status
        self.output = output


class Agent:
    """Over a connected socket. Owns it. `alive` is called while waiting and raises when there is no more guest."""

    def __init__(self, sock, alive):
        self._sock = sock
        self._alive = alive
        self._buffer = b""
        self._last_id = 0
        self.boot_id = None

    def _next(self, deadline):
        """The next line that is ours: (verb, rest). Firmware and a dying kernel may leave scraps on the line."""
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                match = _LINE.search(line)
                if match:
                    return match[1].decode(), match[2].decode("ascii", "replace")
            self._sock.settimeout(min(0.5, deadline.left()))
            try:
                data = self._sock.recv(1 << 20)
            except TimeoutError:
                self._alive()
                continue
            if not data:
                self._alive()
                raise GuestRebooted("the guest's serial line was closed")
            self._buffer += data

    def wait_ready(self, seconds=60):
        """Until the guest's user space is up (again). Returns its boot id, new at each boot."""
        deadline = Deadline(seconds, "the guest's user space")
        while True:
            verb, rest = self._next(deadline)
            if verb == "READY" and rest.strip() != self.boot_id:
                self.boot_id = rest.strip()
                return self.boot_id

    def start(self, command):
        """Sends a command and does not wait. Give the token to finish(); one at a time runs in the guest."""
        self._last_id += 1
        text = base64.b64encode(command.encode()).decode()
        self._sock.settimeout(20)
        self._sock.sendall(f"RUN {self._last_id} {text}\n".encode())
        return self._last_id

    def finish(self, token, seconds=60, what="the command"):
        deadline = Deadline(seconds, f"the end of {what} in the guest")
        while True:
            verb, rest = self._next(deadline)
            if verb == "READY":
                self.boot_id = rest.strip()
                raise GuestRebooted(f"the guest booted again during {what}")
            words = rest.split(" ")
            if int(words[0]) == token:
                output = base64.b64decode(words[2]) if len(words) > 2 else b""
                return Answer(int(words[1]), output.decode("utf-8", "backslashreplace"))

    def run(self, command, seconds=60):
        """The output of a command that must succeed."""
        answer = self.ask(command, seconds)
        if answer.status != 0:
            raise CommandFailed(f"in the guest, status {answer.status}: {command}\n{answer.output.rstrip()}")
        return answer.output

    def ask(self, command, seconds=60):
        """Status and output of a command that may fail."""
        return self.finish(self.start(command), seconds, f'"{command.strip().splitlines()[0][:60]}"')

    def close(self):
        self._sock.close()
