# A guest gets out of its share by no way: the attempts of tests/files (escapes.h), while the host exchanges, moves and
# mounts what they go through. What lies outside is looked at after each: bytes, modes, owners, attributes and all times,
# so that a read would show too.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import ctypes
import os
import re
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import claim, guest_image, main, needs, require
from guest.share import OWNER, SCENARIO, VIRTIOFSD, Share, make_folder, ours
from load import no_io_errors

CANARY = b"CANARY".ljust(4242, b".")
ATTEMPTS_MIN = 60
DISTURBED_MIN = 1000
# What virtiofsd, served by root and told of all mounts, does when it stands in for ours.
STAND_IN_ALLOWS = {"character_device_is_not_made", "block_device_is_not_made", "whiteout_is_not_made",
                   "capability_of_a_program_is_refused", "set_user_program_is_not_roots",
                   "file_is_given_to_nobody_else", "security_attribute_is_refused", "trusted_attribute_is_refused",
                   "hidden_attributes_are_not_told", "access_list_is_refused", "mount_made_later_is_not_entered"}
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, flags):
    if _libc.mount(source.encode(), target.encode(), None, flags, None) != 0:
        error = ctypes.get_errno()
        needs(False, f"cannot bind-mount here: {os.strerror(error)}")


def bind(t, source, target, read_only=False):
    mount(source, target, MS_BIND)
    t.undo.callback(_libc.umount2, target.encode(), MNT_DETACH)
    if read_only:
        mount("none", target, MS_REMOUNT | MS_BIND | MS_RDONLY)


class Outside:
    """What must not be touched, and how it was when all was planted."""

    def __init__(self, *folders):
        self.folders = folders
        for folder in folders:
            make_folder(folder)
            make_folder(f"{folder}/folder")
            for name in ("secret", "canary-entry"):
                with open(f"{folder}/{name}", "wb") as file:
                    file.write(CANARY)
                os.setxattr(f"{folder}/{name}", "user.canary", CANARY[:40])
                os.setxattr(f"{folder}/{name}", "trusted.canary", CANARY[:40])
                os.chown(f"{folder}/{name}", OWNER, OWNER)
                # Open to all: it is the walls that have to hold, not the modes. Times that the next read would change.
                os.chmod(f"{folder}/{name}", 0o666)
                os.utime(f"{folder}/{name}", (1, 2))
            os.chmod(folder, 0o777)
            os.utime(f"{folder}/folder", (1, 2))
        self.planted = self.look()

    def look(self):
        seen = {}
        for folder in self.folders:
            for path in (folder, f"{folder}/folder", f"{folder}/secret", f"{folder}/canary-entry"):
                with contextlib.suppress(FileNotFoundError):
                    seen[path] = self._look_at(path)
        return seen

    def _look_at(self, path):
        st = os.lstat(path)
        told = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid]
        file = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW)
        try:
            if stat.S_ISDIR(st.st_mode):
                # The leaver goes in and out of one of them: that moves its times.
                told += [sorted(set(os.listdir(file)) - {"leaver"})]
            else:
                told += [st.st_nlink, st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns, os.read(file, 8192),
                         sorted((name, os.getxattr(file, name)) for name in os.listxattr(file))]
        finally:
            os.close(file)
        return told

    def differs(self):
        """In words; "" if all is as it was."""
        now = self.look()
        wrong = [f"{path}: {before!r:.200} is now {now.get(path)!r:.200}" for path, before in self.planted.items()
                 if now.get(path) != before]
        return "; ".join(wrong)


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


def plant(share, outside):
    os.makedirs(f"{share}/deep/a/b/c/d")
    for folder in ("race/folder", "leaver/sub", "bind"):
        os.makedirs(f"{share}/{folder}")
    for name in ("race/secret", "bait", "leaver/file", "attributes"):
        put(f"{share}/{name}", b"inside")
    os.setxattr(f"{share}/attributes", "trusted.canary", b"x")
    for name, target in (("link-to-secret", f"{outside}/secret"), ("way-out", outside), ("race-decoy", outside),
                         ("bait-decoy", f"{outside}/secret"), ("up-and-out", "../outside/secret"),
                         ("far-up", "../" * 30 + f"{outside[1:]}/secret"), ("dangling-out", f"{outside}/new")):
        os.symlink(target, f"{share}/{name}")
    os.mkfifo(f"{share}/pipe")


def plant_read_only(share):
    os.makedirs(f"{share}/folder")
    os.mkdir(f"{share}/empty")
    put(f"{share}/file", b"text")
    put(f"{share}/folder/file", b"text")
    os.setxattr(f"{share}/file", "user.kept", b"1")
    os.symlink("file", f"{share}/link")


def give(path):
    for folder, folders, files in os.walk(path):
        for name in ("", *folders, *files):
            os.lchown(os.path.join(folder, name), OWNER, OWNER)


class Listeners:
    """Processes of the host that wait at the planted pipe and socket: us. Nothing may come."""

    def __init__(self, t, share):
        self.pipe = os.open(f"{share}/pipe", os.O_RDONLY | os.O_NONBLOCK)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(f"{share}/socket")
        os.chown(f"{share}/socket", OWNER, OWNER)
        self.socket.listen()
        self.socket.setblocking(False)
        t.undo.callback(self.close)

    def close(self):
        os.close(self.pipe)
        self.socket.close()

    def require_silence(self):
        require(os.read(self.pipe, 100) == b"", "the guest has written to a pipe of the host's")
        try:
            self.socket.accept()
        except BlockingIOError:
            return
        require(False, "the guest has reached a socket of the host's")


class Adversary:
    """guest_files swap or move on the host, until stopped."""

    def __init__(self, t, verb, a, b):
        # Nice: it is to be there between any two calls of the worker's, not in place of them.
        self.process = subprocess.Popen(["nice", f"{guest_image()}/guest_files", verb, a, b], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        t.undo.callback(self.process.kill)

    def stop(self):
        """How often it has disturbed."""
        said = self.process.communicate(timeout=20)[0]
        match = re.search(r"disturbed (\d+) times", said)
        require(match, f"the adversary failed: {said}")
        return int(match[1])


def digest(path):
    told = subprocess.run([f"{guest_image()}/guest_files", "tell", path], text=True, capture_output=True)
    return told.stdout


def strange_things_in(share):
    """What a guest has left that means something to a host."""
    found = []
    for folder, folders, files in os.walk(share):
        for name in folders + files:
            st = os.lstat(f"{folder}/{name}")
            if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
                found.append(f"{name} is a device")
            if st.st_uid != OWNER or st.st_gid != OWNER:
                found.append(f"{name} belongs to {st.st_uid}:{st.st_gid}")
            names = () if stat.S_ISLNK(st.st_mode) else os.listxattr(f"{folder}/{name}", follow_symlinks=False)
            # "attributes" has one of the host's, whatever names the guest has given it.
            if any(not key.startswith("user.") and key != "trusted.canary" for key in names):
                found.append(f"{name} has {names}")
    return found


def attempt_all(t, guest, names, where, look):
    """Each by itself, so that it is told of which attempt anything changed."""
    failed = {}
    for name in names:
        answer = guest.ask(f"cd / && guest_files escapes {where} {name}", 60)
        if f"ok {name}" not in answer.output:
            failed[name] = answer.output.strip().splitlines()[0] if answer.output.strip() else "no answer"
        wrong = look()
        require(not wrong, f"{name} has changed what is outside: {wrong}")
    return failed


def judge(t, serving, failed, n):
    excused = STAND_IN_ALLOWS if serving.name == "virtiofsd" else set()
    for name in sorted(set(failed) & excused):
        t.stage(f"  the stand-in allows it: {failed[name]}")
    wrong = [words for name, words in sorted(failed.items()) if name not in excused]
    require(not wrong, f"{len(wrong)} of {n} attempts did not fail: {'; '.join(wrong)}")


@claim(seconds=150)
def guest_gets_out_of_its_share_by_no_way(t):
    needs(os.geteuid() == 0, "needs root: other owners, mounts")
    needs(os.path.exists(VIRTIOFSD), "no virtiofsd: apt-get install qemu-system-common")
    outside = Outside(f"{t.directory}/outside", f"{t.directory}/elsewhere")
    # Nothing remembered by the guest: each name is looked up anew, which is what the host races with.
    share = Share("open", make_folder(f"{t.directory}/open"), cache="none")
    closed = Share("closed", make_folder(f"{t.directory}/closed"), read_only=True)
    plant(share.path, outside.folders[0])
    plant_read_only(closed.path)
    give(share.path)
    give(closed.path)
    bind(t, closed.path, closed.path, read_only=True)
    listeners = Listeners(t, share.path)
    serving = ours(t, [share, closed])
    bind(t, outside.folders[0], f"{share.path}/bind")
    guest = t.boot(serving, scenario=SCENARIO)
    share.mount(guest)
    closed.mount(guest)

    names = guest.run("guest_files list-escapes").split()
    require(len(names) >= ATTEMPTS_MIN, f"only {len(names)} attempts")
    read_only = [name for name in names if "read_only" in name]
    race = names[names.index("swapped_folder_is_not_read_through"):names.index(read_only[0])]
    plain = [name for name in names if name not in read_only and name not in race]

    failed = attempt_all(t, guest, plain, share.mounted, outside.differs)
    listeners.require_silence()
    t.stage(f"{len(plain)} attempts without haste")
    adversaries = [Adversary(t, "swap", f"{share.path}/race", f"{share.path}/race-decoy"),
                   Adversary(t, "swap", f"{share.path}/bait", f"{share.path}/bait-decoy"),
                   Adversary(t, "move", f"{share.path}/leaver", f"{outside.folders[1]}/leaver")]
    failed |= attempt_all(t, guest, race, share.mounted, outside.differs)
    disturbed = [adversary.stop() for adversary in adversaries]
    require(min(disturbed) >= DISTURBED_MIN, f"the host has hardly disturbed: {disturbed}")
    wrong = outside.differs()
    require(not wrong, f"the races have changed what is outside: {wrong}")
    t.stage(f"{len(race)} attempts in races with the host: {', '.join(map(str, disturbed))} times disturbed")
    before = digest(closed.path)
    failed |= attempt_all(t, guest, read_only, closed.mounted, outside.differs)
    require(digest(closed.path) == before, "what is shared for reading only has changed")
    t.stage(f"{len(read_only)} attempts to change what is read-only")

    _libc.umount2(f"{share.path}/bind".encode(), MNT_DETACH)
    strange = strange_things_in(share.path)
    if serving.name != "virtiofsd":
        require(not strange, f"on the host there is now: {strange}")
    judge(t, serving, failed, len(names))
    no_io_errors(guest)
    if not os.statvfs(outside.folders[0]).f_flag & os.ST_NOATIME:
        put("/dev/null", open(f"{outside.folders[0]}/secret", "rb").read())
        require(outside.differs(), "a file was read outside, and the look has not seen it")


if __name__ == "__main__":
    sys.exit(main())
