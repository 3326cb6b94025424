# Deadlines. Everything that waits takes one; a machine that is slow or shared stretches them all by
# BULKHEAD_TIME_FACTOR.
# SPDX-License-Identifier: Apache-2.0
import os
import time

FACTOR = float(os.environ.get("BULKHEAD_TIME_FACTOR", "1"))
POLL = 0.02  # between two looks at something that has no event to wait for


class Late(Exception):
    """The event did not come in time; says which."""


class Deadline:
    def __init__(self, seconds, what):
        self.seconds = seconds * FACTOR
        self.what = what
        self.end = time.monotonic() + self.seconds

    def left(self):
        """Seconds that are left; raises Late when there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Late(f"{self.what}: not within {self.seconds:.0f} s")
        return left


def wait_until(predicate, seconds, what, alive=None):
    """Looks until predicate() is true and returns its value. `alive` is called between looks and may raise."""
    deadline = Deadline(seconds, what)
    while True:
        value = predicate()
        if value:
            return value
        if alive:
            alive()
        time.sleep(min(POLL, deadline.left()))
