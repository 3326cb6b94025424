# A VM gets exactly the bits of guest-physical address that it needs, or is refused in words before there is one: on the
# KVM of emulated arm64 hosts of 32 to 48 bits. A guest writes the last bytes of every VM that is made.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import arm64_machine
from guest.claims import claim, main, require

GIB = 1024  # in MiB, as all sizes here
SMALL = 512
RAM_AT = GIB


@claim(seconds=400)
def arm64_is_at_hand(t):
    t.stage(arm64_machine.fetch())
    t.stage(f"built {arm64_machine.build()}")
    t.stage(arm64_machine.make_image())


def described(memory, shmem=0):
    """Where such a VM ends, in MiB: RAM from 1 GiB on, shared memory regions at the next GiB."""
    end = RAM_AT + memory
    return -(-end // GIB) * GIB + shmem if shmem else end


def made(memory, shmem=0):
    end = described(memory, shmem)
    bits = max(32, ((end << 20) - 1).bit_length())
    return (f"memory={memory} shmem={shmem} end={end << 20:#x} bits={bits} made "
            f"slot=ok touch=ok beyond=EFAULT")


def refused(memory, shmem, width, remedy):
    end = described(memory, shmem)
    bits = ((end << 20) - 1).bit_length()
    what = "the shared memory regions end" if shmem else "RAM ends"
    return (f"memory={memory} shmem={shmem} end={end << 20:#x} refused: the VM needs {bits} bits of guest-physical "
            f"address ({what} at {end << 20:#x}), and this host has {width}; {remedy}")


def expectations(width):
    """Pairs of an argument and the line that it must cause."""
    limit = 1 << (width - 20)
    most = limit - RAM_AT
    yield f"memory={SMALL}", made(SMALL)
    if width > 36:
        yield f"memory={33 * GIB}", made(33 * GIB)
    if width < 47:  # more than an address space of the host holds
        yield f"memory={most}", made(most)
    yield f"memory={most + 1}", refused(most + 1, 0, width, f"give the VM at most {most} MiB of memory")
    yield f"memory={SMALL},shmem={limit - 2 * GIB}", made(SMALL, limit - 2 * GIB)
    yield (f"memory={SMALL},shmem={limit - 2 * GIB + 1}",
           refused(SMALL, limit - 2 * GIB + 1, width,
                   f"give it smaller shared memory regions, or run it on a host that has {width + 1}"))


def judge(t, width, processor, binary=arm64_machine.QEMU):
    wanted = list(expectations(width))
    program = f"{arm64_machine.ROOT}/build/tests/kvm_probe"
    lines = arm64_machine.boot(t.directory, program, [argument for argument, _ in wanted], processor, binary)
    require(any(line.startswith(f'kvm_probe: kind="arm64" width={width} known=1 ') for line in lines),
            f"the host does not say that it has {width} bits: {lines[:3]}")
    for argument, line in wanted:
        require(line in lines, f"{argument}: \"{line}\" is not among {lines}")
    require("kvm_probe: done" in lines, f"it did not come to its end: {lines[-3:]}")
    t.stage(f"{len(wanted)} VMs made or refused on a host of {width} bits")


def judge_changed(t, width):
    binary = arm64_machine.qemu_with_width(width, t.directory)
    judge(t, width, "cortex-a53", binary)


@claim(seconds=90)
def vm_fits_a_host_of_32_bits_or_is_refused(t):
    judge_changed(t, 32)


@claim(seconds=90)
def vm_fits_a_host_of_36_bits_or_is_refused(t):
    judge_changed(t, 36)


@claim(seconds=90)
def vm_fits_a_host_of_40_bits_or_is_refused(t):
    judge(t, 40, "cortex-a53")


@claim(seconds=90)
def vm_fits_a_host_of_44_bits_or_is_refused(t):
    judge(t, 44, "cortex-a57")


@claim(seconds=90)
def vm_fits_a_host_of_48_bits_or_is_refused(t):
    judge(t, 48, "neoverse-n1")


if __name__ == "__main__":
    sys.exit(main())
