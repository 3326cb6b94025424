# Initial file systems: cpio archives (newc) as the kernel unpacks them, one behind the other if there are several. No root
# is needed: owner and devices are records.
#
#   archive.py DIRECTORY FILE       all that is below DIRECTORY
#
# SPDX-License-Identifier: Apache-2.0
import os
import stat
import sys


class Archive:
    """Appends to the file at `path`; close() ends it."""

    def __init__(self, path):
        self._file = open(path, "ab")
        self._n = 0
        self._folders = set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        raw = name.encode() + b"\0"
        fields = [self._n, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0]
        self._n += 1
        self._file.write(b"070701" + b"".join(b"%08x" % field for field in fields))
        for part, head in ((raw, 110), (data, 0)):
            self._file.write(part + b"\0" * (-(head + len(part)) % 4))

    def folder(self, name):
        """It and the folders above it. What an earlier archive has there stays."""
        if name and name not in self._folders:
            self.folder(os.path.dirname(name))
            self._folders.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def add(self, path, name):
        """A regular file; links are followed."""
        self.folder(os.path.dirname(name))
        with open(path, "rb") as file:
            self._entry(name, stat.S_IFREG | stat.S_IMODE(os.stat(path).st_mode), file.read())

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        """A character device."""
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def tree(self, directory):
        for path, folders, files in os.walk(directory):
            folders.sort()
            inside = os.path.relpath(path, directory)
            for name in sorted(files + folders):
                full, at = os.path.join(path, name), os.path.normpath(os.path.join(inside, name))
                if os.path.islink(full):
                    self.link(at, os.readlink(full))
                elif os.path.isdir(full):
                    self.folder(at)
                else:
                    self.add(full, at)

    def close(self):
        self._entry("TRAILER!!!", 0)
        self._file.write(b"\0" * (-self._file.tell() % 4))
        self._file.close()


def main():
    directory, path = sys.argv[1:]
    if os.path.exists(path):
        os.unlink(path)
    archive = Archive(path)
    archive.tree(directory)
    archive.close()


if __name__ == "__main__":
    main()
