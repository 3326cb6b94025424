# A child process of the harness: its output goes line by line to a file and can be waited for; it dies with us.
# SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import re
import signal
import subprocess
import threading

from .deadline import Deadline

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Died(Exception):
    """A process ended that had to live; says how, and its last words."""


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Child:
    """Runs argv at once. stdout and stderr are one stream: `lines`, and the file `log`."""

    def __init__(self, name, argv, log, env=None, prefix=(), cwd=None):
        self.name = name
        self.log = log
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*prefix, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent, cwd=cwd)
        self.pid = self.process.pid
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with open(self.log, "ab", buffering=0) as log:
            for raw in self.process.stdout:
                log.write(raw)
                with self._changed:
                    self.lines.append(raw.decode("utf-8", "backslashreplace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for_line(self, pattern, seconds, start=0):
        """The first match of the pattern in any line from number `start` on. Died if the stream ends first."""
        expression = re.compile(pattern)
        deadline = Deadline(seconds, f"a line of {self.name} that matches /{pattern}/")
        at = start
        with self._changed:
            while True:
                for line in self.lines[at:]:
                    match = expression.search(line)
                    if match:
                        return match
                at = len(self.lines)
                if self._ended:
                    raise Died(f"{self.name} ended without a line that matches /{pattern}/; {self.last_words()}")
                self._changed.wait(deadline.left())

    def last_words(self, n=5):
        return "its last lines: " + " | ".join(self.lines[-n:]) if self.lines else "it said nothing"

    def running(self):
        return self.process.poll() is None

    def must_run(self):
        if not self.running():
            raise Died(f"{self.name} ended with status {self.process.returncode}; {self.last_words()}")

    def wait(self, seconds):
        """Its exit status (negative: the signal)."""
        deadline = Deadline(seconds, f"the end of {self.name}")
        try:
            status = self.process.wait(deadline.left())
        except subprocess.TimeoutExpired:
            deadline.end = 0
            deadline.left()
        with self._changed:
            while not self._ended:
                # A grandchild may hold the stream open; what our child wrote is in by then.
                if not self._changed.wait(0.5):
                    break
        return status

    def kill(self):
        if self.running():
            self.process.kill()
        return self.wait(10)

    def stop(self, seconds=10):
        """SIGTERM and a clean end; SIGKILL when it does not come. Returns the exit status."""
        if self.running():
            self.process.terminate()
        try:
            return self.wait(seconds)
        except Exception:
            self.kill()
            raise
