# Who is measured: bulkhead as it ships, in its real jails; Debian's qemu-storage-daemon in three ways; the all-mapped
# twin. All serve the same file, are placed on the CPUs by the same rule, and are told about polling alike.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess

from guest.backend import Bulkhead, Disk, listening
from guest.child import Child
from guest.deadline import wait_until

from .plan import OURS, TWIN, TWIN_MAPPED, WALKER

START_SECONDS = 30


class Absent(Exception):
    """This server cannot be had here; says why."""


class Wishes:
    """What is the same for all servers of a run."""

    def __init__(self, options, directory, file, queues=1, direct=False, spare=None):
        self.directory, self.file, self.queues, self.direct = directory, file, queues, direct
        self.build, self.programs = options.build, options.programs
        self.cpus, self.client_cpu, self.poll_us = options.server_cpus, options.client_cpu, options.poll_us
        self.keys = {**options.keys, **({"direct": "true"} if direct else {})}  # more keys of bulkhead's disk
        self.spare = spare  # makes a file on a disk when it is first wanted

    def prefix(self):
        return ["taskset", "-c", self.cpus] if self.cpus else []

    def own_file(self, name):
        """A copy beside the file: bulkhead locks what it serves, so no two can serve one."""
        copy = f"{self.file}.{name}"
        if not os.path.exists(copy):
            shutil.copyfile(self.file, copy)
        return copy

    def file_for(self, direct):
        """The file; where its file system knows no O_DIRECT (tmpfs before Linux 6.6) and that is wanted, the spare one,
        on a disk."""
        if not direct or takes_direct(self.file):
            return self.file
        if not self.spare or not takes_direct(self.spare()):
            raise Absent("no file system here knows O_DIRECT")
        return self.spare()


class Server:
    """One server: start(), then `socket` and `pid` (whose descendants count too), stop()."""

    polls = "nothing"

    def __init__(self, name, wishes):
        self.name, self.wishes = name, wishes
        self.socket = self.child = None

    def words(self):
        return f"polls {self.polls}"

    def prefix(self):
        return self.wishes.prefix()

    @property
    def pid(self):
        return self.child.pid

    def launch(self, argv, socket):
        self.socket = socket
        log = f"{self.wishes.directory}/{self.name}.log"
        self.child = Child(self.name, argv, log, prefix=self.prefix())
        wait_until(lambda: listening(socket), START_SECONDS, f"the socket of {self.name}", alive=self.child.must_run)
        return self

    def stop(self):
        if self.child and self.child.running():
            self.child.stop()


class OurServer(Server):
    """`bulkhead run`, one VM with one disk."""

    def __init__(self, name, wishes, programs=None):
        super().__init__(name, wishes)
        self.programs = programs or wishes.programs
        self.polls = f"up to {wishes.poll_us} us (poll_us)"
        if wishes.poll_us is None:
            self.polls = "as it ships (poll_us not given; a lane whose worker has a CPU to itself, for 50 us, and that worker, for 100)"

    def keys(self):
        return "".join(f", {key}: {value}" for key, value in self.wishes.keys.items())

    def start(self):
        directory = f"{self.wishes.directory}/{self.name}"
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        file = self.wishes.file if self.name == OURS else self.wishes.own_file(self.name)
        disk = Disk("disk0", file, queues=self.wishes.queues, extra=self.keys())
        vm = Bulkhead(directory, [disk], vm=f"{self.name}-{os.getpid()}", bin_dir=self.programs)
        if not os.path.exists(vm.program):
            raise Absent(f"there is no {vm.program}")
        checked = subprocess.run([vm.program, "check", vm.config], text=True, capture_output=True, check=False)
        if checked.returncode != 0:
            raise Absent(f"its configuration is refused: {last_line(checked.stderr).split('error: ')[-1]}")
        self.vm = vm
        vm.prefix = self.prefix()
        vm.start(START_SECONDS)
        self.child, self.socket = vm.child, vm.socket(disk)
        return self

    def words(self):
        """With how the bytes of large requests are moved, where it says so."""
        def ready():
            disk = self.vm.ps()["disk0"]
            return disk if disk["state"] == "ready" else None

        # Behind a session its successor's worker is being started.
        copies = wait_until(ready, START_SECONDS, "a worker that is ready", alive=self.child.must_run).get("copy")
        return super().words() + (f"; copies: {copies}" if copies else "")


class Reference(Server):
    """qemu-storage-daemon: unjailed, all of guest memory mapped."""

    AIO = {"qsd-threads": ("threads", False), "qsd-io_uring": ("io_uring", False), "qsd-native": ("native", True)}

    def start(self):
        program = shutil.which("qemu-storage-daemon")
        if not program:
            raise Absent("qemu-storage-daemon is not installed (qemu-system-common)")
        wishes = self.wishes
        aio, direct = self.AIO[self.name]
        direct = direct or wishes.direct
        file = wishes.file_for(direct)
        node = (f"driver=file,node-name=file,filename={file},locking=off,discard=unmap,aio={aio},"
                f"cache.direct={'on' if direct else 'off'}")
        socket = f"{wishes.directory}/{self.name}.sock"
        export = (f"type=vhost-user-blk,id=disk,node-name=file,addr.type=unix,addr.path={socket},writable=on,"
                  f"num-queues={wishes.queues}")
        thread = []
        if wishes.poll_us is not None:  # only its I/O threads know how to poll
            thread = ["--object", f"iothread,id=io,poll-max-ns={wishes.poll_us * 1000}"]
            export += ",iothread=io"
            self.polls = f"up to {wishes.poll_us} us (an I/O thread with poll-max-ns)"
        return self.launch([program, *thread, "--blockdev", node, "--export", export], socket)


class Twin(Server):
    """One process and one thread that maps guest memory, and the image too if told so, and walks with the product's own walker; or
    cut in two, of which the one without guest memory walks by messages."""

    WAYS = {TWIN: [], TWIN_MAPPED: ["--map-image"], WALKER: ["--messages", "--batch", "32"]}

    def start(self):
        wishes = self.wishes
        program = os.path.join(wishes.build, "bin", "bulkhead-twin")
        if not os.path.exists(program):
            raise Absent("bulkhead-twin is not built")
        socket = f"{wishes.directory}/{self.name}.sock"
        argv = [program, "--socket", socket, "--file", wishes.file, "--queues", str(wishes.queues)]
        argv += self.WAYS[self.name]
        if wishes.poll_us is not None and self.name != WALKER:  # which cannot
            argv += ["--poll-us", str(wishes.poll_us)]
            self.polls = f"up to {wishes.poll_us} us"
        return self.launch(argv, socket)

    def prefix(self):
        """Two processes that wait for each other at every access are fastest on one CPU, and on the client's."""
        if self.name == WALKER and not self.wishes.cpus:
            return ["taskset", "-c", self.wishes.client_cpu]
        return super().prefix()

    def words(self):
        return super().words() + ("; on the client's CPU" if self.name == WALKER and not self.wishes.cpus else "")


def last_line(text):
    return (text.strip().splitlines() or ["no word"])[-1]


def takes_direct(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def make(name, wishes, others=()):
    """The server of that name. others: {name: programs} of further builds of bulkhead."""
    if name == OURS:
        return OurServer(name, wishes)
    if name in Twin.WAYS:
        return Twin(name, wishes)
    if name in Reference.AIO:
        return Reference(name, wishes)
    return OurServer(name, wishes, others[name])
