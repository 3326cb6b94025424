# Claims: tests that drive a real guest. Each is a function whose name says what is true; ctest runs each by itself.
#
#   python3 test_disk.py --list          the names, the seconds each may take, default or long
#   python3 test_disk.py CLAIM...        run these (all without a name), one line a stage
#
# A claim that lacks something calls needs(): it is skipped with the reason (status 77), or fails if MUST_RUN=1.
# BULKHEAD_BUILD (default: build) holds bin/, guest/ (or BULKHEAD_GUEST is it), sid/ and test-logs/, where what a failed
# claim left is kept.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from . import backend
from .deadline import FACTOR
from .machine import Binary, Machine

TOP = backend.TOP
BUILD = backend.BUILD
GUEST = os.environ.get("BULKHEAD_GUEST") or os.path.join(BUILD, "guest")
GUEST_BACKPORTS = os.path.join(BUILD, "guest-backports")  # with a newer kernel
SKIPPED = 77
BUSY = 3  # times as slow is a machine that is shared; what a claim waits for has deadlines of its own
_claims = {}


class Skip(Exception):
    pass


def needs(condition, reason):
    if not condition:
        raise Skip(reason)


def require(condition, words):
    """The assertion of a claim: the words say what was wrong, with the values."""
    if not condition:
        raise AssertionError(words)


def claim(seconds, long=False):
    """The most it may take, thrice that where others use the machine too; `long` ones are run by tests/run --long only."""
    def register(function):
        _claims[function.__name__] = (function, seconds, long)
        return function
    return register


def guest_image():
    if not os.path.exists(f"{GUEST}/stamp"):
        make_guest_image(GUEST)
    return GUEST


def backports_image():
    if not os.path.exists(f"{GUEST_BACKPORTS}/stamp"):
        make_guest_image(GUEST_BACKPORTS, "--backports")
    return GUEST_BACKPORTS


def make_guest_image(directory, *words):
    made = subprocess.run([f"{TOP}/packaging/guest-image", "--out", directory, *words], text=True, capture_output=True)
    needs(made.returncode == 0, (made.stderr or made.stdout).strip().split("\n")[-1])
    return made.stdout.strip().split("\n")[-1]


def newest_qemu():
    """The QEMU of Debian sid: in BULKHEAD_SID_ROOT, or fetched once into sid/ of the build."""
    root = os.environ.get("BULKHEAD_SID_ROOT") or os.path.join(BUILD, "sid")
    binary = Binary.in_tree(root)
    if binary is None:
        fetched = subprocess.run([f"{TOP}/tests/harness/guest/fetch_sid", root], text=True, capture_output=True)
        needs(fetched.returncode == 0, (fetched.stderr or fetched.stdout).strip().split("\n")[-1])
        binary = Binary.in_tree(root)
    return binary


class Test:
    """What a claim works with: a directory of its own, things that are undone at the end, and stages that are shown."""

    def __init__(self, name):
        self.name = name
        self.begin = time.monotonic()
        self.undo = contextlib.ExitStack()
        self.backends = []
        # Short: a socket's path has 107 bytes. Open to others: workers run under uids of their own.
        self.directory = tempfile.mkdtemp(prefix="bh-", dir="/tmp")
        os.chmod(self.directory, 0o755)

    def stage(self, words):
        print(f"  {time.monotonic() - self.begin:6.1f} s  {words}", flush=True)

    def disk_file(self, name="disk.img", mib=256):
        path = f"{self.directory}/{name}"
        with open(path, "wb") as file:
            file.truncate(mib << 20)
        return path

    def backend(self, devices, start=True, **options):
        made = backend.backend_class()(self.directory, devices, **options)
        self.undo.callback(made.stop)
        self.backends.append(made)
        if start:
            made.start()
            self.stage(f"{made.name} serves {', '.join(d.name for d in devices)}")
        return made

    def boot(self, serving, name="guest", ready=True, **options):
        machine = Machine(options.pop("image", None) or guest_image(), self.directory, options.pop("arguments", None) or serving.qemu_arguments(),
                          name=name, **options)
        self.undo.callback(machine.kill)
        if ready:
            machine.wait_ready()
            self.stage(f"the guest is up (Linux {machine.run('uname -r').strip()})")
        return machine

    def keep_logs(self):
        where = os.path.join(BUILD, "test-logs", self.name)
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        for file in os.listdir(self.directory):
            if file.endswith((".log", ".yaml")):
                shutil.copy(os.path.join(self.directory, file), where)
        return where


def needs_bulkhead():
    needs(backend.backend_class() is backend.Bulkhead, "the stand-in back-end cannot show this")


def _late(_signal, _frame):
    raise TimeoutError("the claim took longer than it may")


def _tell_failure(test, error):
    print(f"\n  FAILED: {error or type(error).__name__}")
    for frame in traceback.extract_tb(error.__traceback__):
        if os.sep + "harness" + os.sep not in frame.filename:
            print(f"    at {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}")
    where = test.keep_logs()
    for file in sorted(os.listdir(where)):
        if file.endswith(".log"):
            with open(f"{where}/{file}", encoding="utf-8", errors="replace") as log:
                for line in log.read().splitlines()[-8:]:
                    print(f"    {file.removesuffix('.log')} | {line.strip()[:200]}")
    print(f"  Everything it left: {where}", flush=True)


def run_claim(name):
    function, seconds, _ = _claims[name]
    test = Test(name)
    print(f"{name}", flush=True)
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(int(BUSY * seconds * FACTOR))
    status = 0
    try:
        try:
            function(test)
            signal.alarm(0)
        except BaseException:
            signal.alarm(0)
            # What was running is ended before its logs are read.
            with contextlib.suppress(Exception):
                test.undo.close()
            raise
        test.undo.close()
        # To the last line: a broker that complains is not well, even if its guest is.
        for serving in test.backends:
            errors = serving.unexpected_errors()
            require(not errors, f"bulkhead complains, {len(errors)} times: {errors[:1]}")
        test.stage("true")
    except Skip as skip:
        status = 1 if os.environ.get("MUST_RUN") == "1" else SKIPPED
        print(f"  {'FAILED: MUST_RUN is set, but' if status == 1 else 'skipped:'} {skip}", flush=True)
    except Exception as error:
        status = 1
        _tell_failure(test, error)
    finally:
        shutil.rmtree(test.directory, ignore_errors=True)
    return status


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        for name, (_, seconds, long) in _claims.items():
            print(name, seconds, "long" if long else "default")
        return 0
    unknown = [name for name in names if name not in _claims]
    if unknown:
        print(f"no claim called {unknown[0]}; --list shows them", file=sys.stderr)
        return 2
    worst = 0
    for name in names or _claims:
        status = run_claim(name)
        worst = 1 if 1 in (worst, status) else max(worst, status)
    return worst
