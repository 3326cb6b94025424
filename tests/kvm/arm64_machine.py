# Emulated arm64 machines in which KVM works: Debian's kernel at EL2, and either one static program that is all of its
# user space, or the guest image with programs of ours beside it.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import whole_run
from guest.archive import Archive
from guest.child import Child
from guest.claims import BUILD, TOP, needs
from guest.machine import Binary
from guest.nested import ARM64, Nested

ROOT = os.path.join(BUILD, "arm64")
TARGETS = ("kvm_probe", *whole_run.PROGRAMS, "bulkhead-worker-pmem")
QEMU = "qemu-system-aarch64"
COMPILER = "aarch64-linux-gnu-gcc"
KERNEL_WORDS = "console=ttyAMA0 quiet panic=-1"
PARANGE_A53 = 0x1122  # ID_AA64MMFR0_EL1 of a Cortex-A53; its lowest four bits are the physical width
ISAR0_A53 = 0x11120  # its ID_AA64ISAR0_EL1, which is stored right before
PARANGES = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5, 52: 6}


def last_line(done):
    return ((done.stderr or "") + (done.stdout or "")).strip().split("\n")[-1]


def fetch():
    """Libraries and a kernel of arm64 are in ROOT."""
    needs(shutil.which(QEMU), f"no {QEMU}: apt-get install qemu-system-arm")
    needs(shutil.which(COMPILER), f"no {COMPILER}: apt-get install gcc-aarch64-linux-gnu")
    done = subprocess.run([f"{TOP}/packaging/foreign", "arm64", ROOT], text=True, capture_output=True)
    needs(done.returncode == 0, last_line(done))
    return last_line(done)


def build(*more):
    """Builds this tree for arm64, what is used of it, and more targets. Returns the directory of the build."""
    directory = f"{ROOT}/build"
    for argv in ([["cmake", "-S", TOP, "-B", directory, "-G", "Ninja", "--toolchain", f"{TOP}/cmake/aarch64.cmake",
                   f"-DBULKHEAD_SYSROOT={ROOT}/sysroot", "-DBULKHEAD_WERROR=ON"],
                  ["cmake", "--build", directory, "--target", *TARGETS, *more]]):
        done = subprocess.run(argv, text=True, capture_output=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(argv[:2])}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return directory


def make_image():
    """The guest image of arm64: Linux as a host, and as its guest."""
    done = subprocess.run([f"{TOP}/packaging/guest-image", "--foreign", ROOT], text=True, capture_output=True)
    needs(done.returncode == 0, last_line(done))
    return last_line(done)


def at_hand():
    """All of it, where the claim that makes it (arm64_is_at_hand) was not run before."""
    if not all(os.path.exists(f"{ROOT}/{made}") for made in ("stamp", "build/build.ninja", "guest/stamp")):
        fetch()
        build()
        make_image()


def restricted_kernel():
    """A kernel of Debian's source with CONFIG_DMA_RESTRICTED_POOL, which Debian's own are built without. Made once; takes minutes."""
    done = subprocess.run([f"{TOP}/tests/kvm/restricted_kernel", f"{ROOT}/restricted"], text=True, capture_output=True)
    needs(done.returncode == 0, last_line(done))
    return f"{ROOT}/restricted/Image"


def qemu_with_width(width, directory):
    """A copy of QEMU whose Cortex-A53 has another physical width: no processor that it has goes below 40 bits.

    The place is the operand of the instruction that stores the register (movq $imm32, disp32(reg)), right behind the
    one that stores another of the same processor's. Where it is not there exactly once, the copy cannot be made."""
    original = shutil.which(QEMU)
    with open(original, "rb") as file:
        code = bytearray(file.read())
    places, value = [], PARANGE_A53.to_bytes(4, "little")
    at = code.find(value)
    while at >= 0:
        is_store = code[at - 7:at - 5] == b"\x48\xc7" and 0x80 <= code[at - 5] <= 0x87
        if is_store and code[at - 11:at - 7] == ISAR0_A53.to_bytes(4, "little"):
            places.append(at)
        at = code.find(value, at + 1)
    needs(len(places) == 1, f"this {QEMU} holds a Cortex-A53's width in {len(places)} places, not one: "
                            f"no host of {width} bits can be made of it")
    code[places[0]] = PARANGE_A53 & 0xF0 | PARANGES[width]
    copy = f"{directory}/{QEMU}-{width}"
    with open(copy, "wb") as file:
        file.write(code)
    os.chmod(copy, 0o755)
    return copy


def archive(program, path):
    """An initial file system: the program as /init, a console and /dev/kvm."""
    made = Archive(path)
    made.device("dev/console", 5, 1)
    made.device("dev/kvm", 10, 232)
    made.add(program, "init")
    made.close()


def boot(directory, program, arguments, processor, binary=QEMU, seconds=60):
    """Runs the program to its end as all there is of a machine. Returns its lines."""
    at_hand()
    archive(program, f"{directory}/initrd")
    argv = [binary, "-M", "virt,virtualization=on,gic-version=3", "-cpu", processor, "-m", "512", "-display", "none",
            "-nodefaults", "-serial", "stdio", "-no-reboot", "-kernel", f"{ROOT}/vmlinuz", "-initrd",
            f"{directory}/initrd", "-append", f"{KERNEL_WORDS} -- {' '.join(arguments)}"]
    machine = Child("machine", argv, f"{directory}/machine.log")
    try:
        status = machine.wait(seconds)
    finally:
        machine.kill()
    if status != 0:
        raise AssertionError(f"QEMU ended with {status}; {machine.last_words()}")
    return [line.rstrip("\r") for line in machine.lines]


def host(t, files, gic=3, processor="cortex-a57", binary=None, processors=1, arguments=()):
    """A host that is up, with Linux and these files ({name: path}) in /host."""
    image = f"{ROOT}/guest"
    board = dataclasses.replace(ARM64, words=("-M", f"virt,virtualization=on,gic-version={gic}"), processor=processor)
    machine = Nested(image, t.directory, {**files, "vmlinuz": f"{image}/vmlinuz", "initrd": f"{image}/initrd"},
                     binary=binary and Binary([binary]), board=board, sysroot=f"{ROOT}/sysroot", processors=processors,
                     arguments=arguments)
    t.undo.callback(machine.kill)
    machine.wait_host()
    t.stage(f"a host ({processor}, GICv{gic}) is up")
    return machine
