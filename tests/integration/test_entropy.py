# An entropy device behind a real Linux guest delivers.
# SPDX-License-Identifier: Apache-2.0
import base64
import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Entropy
from guest.claims import claim, main, newest_qemu, require
from guest.machine import Binary

LEN = 64 << 10


def hwrng_delivers(t, binary):
    t.stage(f"QEMU {binary.version()}")
    guest = t.boot(t.backend([Entropy()]), binary=binary)
    current = guest.run("cat /sys/class/misc/hw_random/rng_current").strip()
    require(current.startswith("virtio_rng"), f"/dev/hwrng is served by {current}")
    read = f"dd if=/dev/hwrng bs=4096 count={LEN // 4096} iflag=fullblock 2>/dev/null | base64 | tr -d '\\n'"
    first, second = (base64.b64decode(guest.run(read)) for _ in range(2))
    require(len(first) == len(second) == LEN, f"read {len(first)} and {len(second)} of {LEN} bytes")
    require(first != second, "the same bytes came twice")
    # Of 65536 fair bytes each value comes 256 times, give or take 16; this is ten times that.
    counts = collections.Counter(first)
    worst = max(abs(counts[value] - LEN // 256) for value in range(256))
    require(worst < 160, f"a byte value is {worst} away from its due {LEN // 256} times")
    t.stage(f"/dev/hwrng gave twice {LEN // 1024} KiB that look random")
    guest.reboot()
    require(len(base64.b64decode(guest.run(read))) == LEN, "nothing after a reboot")
    t.stage("and again after a reboot")


@claim(seconds=90)
def hwrng_delivers_random_bytes(t):
    hwrng_delivers(t, Binary.host())


@claim(seconds=90)
def hwrng_delivers_on_the_newest_qemu(t):
    hwrng_delivers(t, newest_qemu())


if __name__ == "__main__":
    sys.exit(main())
