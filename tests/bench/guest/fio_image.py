# The tests' guest with Debian's fio in it: the kernel as it is, and an initrd that is the guest's own with one more archive
# behind it (the kernel unpacks both). fio and the libraries that the host lacks are downloaded and unpacked, not installed.
# SPDX-License-Identifier: Apache-2.0
import glob
import os
import re
import shutil
import subprocess
import zlib

LIBRARIES = "lib/x86_64-linux-gnu"  # where the guest's loader looks


class Lacking(Exception):
    """The image cannot be made here; says why."""


def call(*argv, cwd=None, env=None):
    done = subprocess.run(argv, text=True, capture_output=True, cwd=cwd, env={**os.environ, **(env or {})}, check=False)
    if done.returncode != 0:
        raise Lacking(f"{argv[0]}: {((done.stderr or done.stdout).strip().splitlines() or ['no word'])[-1]}")
    return done.stdout


def packages():
    """fio and what of its dependencies is not installed, by apt's own judgement."""
    plan = call("apt-get", "-s", "--no-install-recommends", "install", "fio", env={"LC_ALL": "C"})
    return re.findall(r"^Inst (\S+)", plan, re.M)


def unpack(directory):
    """The tree of those packages, the kept downloads beside it."""
    tree, debs = os.path.join(directory, "tree"), os.path.join(directory, "debs")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(debs, exist_ok=True)
    names = packages()
    lacking = [name for name in names if not glob.glob(f"{debs}/{name}_*.deb")]
    if lacking:
        call("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *lacking, cwd=debs)
    for name in names:
        call("dpkg-deb", "-x", max(glob.glob(f"{debs}/{name}_*.deb"), key=os.path.getmtime), tree)
    return tree


def files_of(tree):
    """Path in the guest -> file here: fio and every library that it names."""
    program = os.path.join(tree, "usr/bin/fio") if os.path.exists(f"{tree}/usr/bin/fio") else shutil.which("fio")
    if not program:
        raise Lacking("there is no fio")
    folders = [folder for folder, _, names in os.walk(tree) if any(".so" in name for name in names)]
    named = call("ldd", program, env={"LD_LIBRARY_PATH": ":".join(folders)})
    if "not found" in named:
        raise Lacking("fio lacks " + ", ".join(re.findall(r"(\S+) => not found", named)))
    libraries = re.findall(r"(?:=> )?(/\S+) \(0x", named)
    files = {"bin/fio": program}
    for path in libraries:
        place = path.lstrip("/") if "ld-linux" in path else f"{LIBRARIES}/{os.path.basename(path)}"
        files[place] = os.path.realpath(path)
    return files


def entry(name, mode, data):
    """One member of an archive of the "newc" kind (docs of the kernel: initramfs buffer format)."""
    head = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    text = b"070701" + b"".join(b"%08x" % number for number in head) + name.encode() + b"\0"
    text += b"\0" * (-len(text) % 4)
    return text + data + b"\0" * (-len(data) % 4)


def archive(files):
    folders = sorted({os.path.dirname(name)[:end] for name in files for end in
                      [m.start() for m in re.finditer("/", name)] if end})
    yield from (entry(folder, 0o040755, b"") for folder in folders)
    for name, path in files.items():
        with open(path, "rb") as file:
            yield entry(name, 0o100755, file.read())
    yield entry("TRAILER!!!", 0, b"")


def make(base, directory):
    """A folder with vmlinuz and initrd, made again when its base or this recipe has changed."""
    stamp = os.path.join(directory, "stamp")
    with open(os.path.join(base, "stamp"), encoding="utf-8") as file, open(__file__, "rb") as recipe:
        wanted = f"{file.read()} {zlib.crc32(recipe.read())}"
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted:
        return directory
    os.makedirs(directory, exist_ok=True)
    files = files_of(unpack(directory))
    shutil.copy(os.path.join(base, "vmlinuz"), directory)
    shutil.copy(os.path.join(base, "initrd"), f"{directory}/initrd.new")
    with open(f"{directory}/initrd.new", "ab") as file:
        file.write(b"\0" * (-file.tell() % 512))
        file.writelines(archive(files))
    os.rename(f"{directory}/initrd.new", f"{directory}/initrd")
    shutil.rmtree(f"{directory}/tree", ignore_errors=True)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)
    return directory
