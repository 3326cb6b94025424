# Shared directories for guests, and who serves them: bulkhead, or QEMU's own virtiofsd (Debian's qemu-system-common),
# which is also what ours is compared with.
# SPDX-License-Identifier: Apache-2.0
import os

from .backend import PROGRAMS, Bulkhead, backend_class, listening
from .child import Child
from .deadline import wait_until

VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
SCENARIO = "agent bh.devices"  # for t.boot: the guest loads the driver
MOUNTS = "/run/shares"  # in the guest
OWNER = 4242  # whose the shared directories are on the host: nobody's that is there, and not root's


class Share:
    """cache: none, auto or always (None: whoever serves it decides). The tag is the device's name."""

    def __init__(self, name, path, read_only=False, cache=None, xattr=True, locks=False, owners=None,
                 request_timeout=None):
        self.name, self.path, self.read_only, self.cache = name, path, read_only, cache
        self.xattr, self.locks, self.owners, self.request_timeout = xattr, locks, owners, request_timeout
        self.mounted = f"{MOUNTS}/{name}"

    def yaml(self):
        words = f"name: {self.name}, type: fs, path: {self.path}, tag: {self.name}"
        for key in ("read_only", "xattr", "locks"):
            if getattr(self, key):
                words += f", {key}: true"
        for key in ("cache", "owners", "request_timeout"):
            if getattr(self, key):
                words += f", {key}: {getattr(self, key)}"
        return f"  - {{{words}}}\n"

    def qemu(self, sock):
        return ["-chardev", f"socket,id={self.name},path={sock}",
                "-device", f"vhost-user-fs-pci,id={self.name}-pci,chardev={self.name},tag={self.name}"]

    def mount(self, guest, options=""):
        """In the guest; returns where."""
        guest.run(f"mkdir -p {self.mounted} && mount -t virtiofs {options} {self.name} {self.mounted}")
        return self.mounted


def make_folder(path, owner=OWNER):
    os.mkdir(path)
    os.chown(path, owner, owner)
    return path


class Virtiofsd:
    """One virtiofsd a share."""

    name = "virtiofsd"

    def __init__(self, directory, shares):
        self.directory, self.shares, self.children = directory, shares, []

    def socket(self, share):
        return f"{self.directory}/{share.name}-virtiofsd.sock"

    def start(self, seconds=20):
        for share in self.shares:
            options = [f"source={share.path}", f"cache={share.cache or 'auto'}",
                       "xattr" if share.xattr else "no_xattr"]
            if share.locks:
                options += ["posix_lock", "flock"]
            argv = [VIRTIOFSD, "-f", f"--socket-path={self.socket(share)}", "-o", ",".join(options)]
            child = Child(f"virtiofsd {share.name}", argv, f"{self.directory}/{share.name}-virtiofsd.log")
            self.children.append(child)
            wait_until(lambda s=share: listening(self.socket(s)), seconds, "the socket of virtiofsd",
                       alive=child.must_run)
        return self

    def qemu_arguments(self):
        return [word for share in self.shares for word in share.qemu(self.socket(share))]

    def unexpected_errors(self):
        return []

    def stop(self):
        # It ends with its front end; until then it takes no SIGTERM.
        for child in self.children:
            child.kill()


def reference(t, shares):
    """QEMU's own virtiofsd serves them."""
    made = Virtiofsd(t.directory, shares).start()
    t.undo.callback(made.stop)
    return made


def ours(t, shares):
    """Bulkhead serves them, or with BULKHEAD_BACKEND=stand-in virtiofsd: what fails then is a fault of the tests."""
    has_worker = os.path.exists(os.path.join(PROGRAMS, "bulkhead-worker-fs"))
    if backend_class() is Bulkhead and has_worker:
        return t.backend(shares)
    return reference(t, shares)
