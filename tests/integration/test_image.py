# The things that the other claims stand on are at hand. They are made or fetched here, once, before the rest.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import GUEST, GUEST_BACKPORTS, claim, main, make_guest_image, needs, newest_qemu, require
from guest.machine import Binary


@claim(seconds=300)
def guest_image_is_made(t):
    t.stage(make_guest_image(GUEST))
    binary = Binary.host()
    needs(binary, "no qemu-system-x86_64: apt-get install qemu-system-x86")
    t.stage(f"QEMU {binary.version()}")


@claim(seconds=300)
def guest_image_of_backports_is_made(t):
    t.stage(make_guest_image(GUEST_BACKPORTS, "--backports"))


@claim(seconds=600)
def newest_qemu_is_at_hand(t):
    version = newest_qemu().version()
    t.stage(f"QEMU {version}")
    require(int(version.split(".")[0]) >= 11, f"QEMU {version} is not the newest: remove the tree to fetch it again")


if __name__ == "__main__":
    sys.exit(main())
