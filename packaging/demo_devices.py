# What packaging/demo shows of each device beside the disk: one function each, which makes guest and host talk by it and
# says in a few words what was seen. Owns what it starts on the host, to the end of the function.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "harness"))
from guest.backend import PROGRAMS
from guest.deadline import wait_until
from guest.nested import Nested
from guest.net import Server, dhcp
from guest.vsock import in_background, receive_pattern

MIB = 1 << 20
NET_MIB = 8
PORT = 52  # of the host, that the guest connects to
SERVE = 7  # of the guest


def wrong(words):
    raise ValueError(words)


def why_no_net():
    """What passt lacks here, or nothing."""
    if not shutil.which("passt"):
        return "passt is not installed"
    with open("/proc/net/route", encoding="ascii") as table:
        defaults = [line for line in table if line.split()[1] == "00000000"]
    return "" if defaults else "this host has no default route, whose address passt would give"


def show_net(guest, directory):
    """passt gives an address, and a file comes from a server on this host's loopback."""
    folder = f"{directory}/www"
    os.mkdir(folder)
    data = os.urandom(NET_MIB * MIB)
    with open(f"{folder}/file", "wb") as file:
        file.write(data)
    with contextlib.closing(Server(folder)) as server:
        got = dhcp(guest)
        host = guest.run("ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'").strip()
        found = guest.run(f"wget -q -O - http://{host}:{server.port}/file | sha256sum", 120).split()[0]
    if found != hashlib.sha256(data).hexdigest():
        wrong(f"the file that the guest fetched is another one: sha256 {found}")
    return f"DHCP gave {got}; {NET_MIB} MiB fetched by TCP are right"


def answer(listener):
    with listener.accept()[0] as sock:
        sock.settimeout(60)
        came = receive_pattern(sock, MIB)
        sock.sendall(b"k")
        sock.recv(1)  # until the guest has closed
        return came


def show_vsock(guest, vsock):
    """The guest connects to a Unix socket of the host, the host to a port of the guest."""
    with vsock.listen(PORT) as listener:
        came = in_background(answer, listener)
        guest.run(f"guest_vsock send {PORT} {MIB}")
        if came() != MIB:
            wrong("not all of it came to the host")
    guest.run(f"guest_vsock serve {SERVE} >/run/serve 2>&1 </dev/null & until grep -q serving /run/serve; do :; done")
    words = b"hello guest"
    with vsock.connect(SERVE) as sock:
        sock.sendall(b"e" + words)  # "e": everything comes back
        back = b""
        while len(back) < len(words):
            back += sock.recv(64) or wrong("the guest has closed the connection")
    if back != words:
        wrong(f"the guest answers {back!r}")
    return f"1 MiB to a Unix socket; \"{words.decode()}\" and back"


def show_share(guest, share):
    """Each side sees the other's file."""
    with open(f"{share.path}/of-host", "w", encoding="ascii") as file:
        file.write("from the host\n")
    where = share.mount(guest)
    seen = guest.run(f"cat {where}/of-host && echo from the guest >{where}/of-guest")
    with open(f"{share.path}/of-guest", encoding="ascii") as file:
        back = file.read()
    if (seen, back) != ("from the host\n", "from the guest\n"):
        wrong(f"the guest reads {seen!r}, the host {back!r}")
    return "virtiofs: each side reads the other's file"


def has_console(binary):
    """Does this QEMU have a device for a console by vhost-user?"""
    told = subprocess.run([*binary.argv, "-device", "vhost-user-test-device-pci,help"], env={**os.environ, **binary.env},
                          text=True, capture_output=True, timeout=30)
    return "virtio-id=" in told.stdout


def show_console(guest, serving, device):
    """`bulkhead console` talks to whoever is at the guest's port."""
    wait_until(lambda: guest.ask("grep -qx hello /sys/class/virtio-ports/*/name").status == 0, 30, "the console's ports")
    guest.run("port=/dev/$(basename $(dirname $(grep -lx hello /sys/class/virtio-ports/*/name))); "
              "(exec 3<>$port; until read -r words <&3; do :; done; echo \"you said $words\" >&3) </dev/null >/dev/null 2>&1 &")
    told = subprocess.run(serving.argv("console", f"{serving.vm}/{device.name}:hello"), input="hello guest\n", text=True,
                          capture_output=True, timeout=60)
    if told.stdout != "you said hello guest\n":
        wrong(f"bulkhead console: {told.stdout!r}, {told.stderr!r}")
    return "bulkhead console: \"hello guest\" was heard, and answered"


# A VM whose only terminal is its console, with persistent memory: what Debian 12's QEMU cannot attach, or its kernel not use there.
OWN_VM = """vm: own
frontend: kvm
memory: 256M
kernel: /host/vmlinuz
initrd: /host/initrd
cmdline: console=hvc0 quiet panic=-1 nokaslr noxsave mitigations=off ipv6.disable=1 cryptomgr.notests bh.devices bh.scenario=shell
serial: none
devices:
  - {name: con0, type: console}
  - {name: pmem0, type: pmem, path: pmem.img, size: 32M, shmem: map}
"""
KEPT = "kept by persistent memory"
SAY = f"""echo I am $(uname -s) $(uname -r) at $(tty).
until [ -b /dev/pmem0 ]; do usleep 50000; done; mkfs.ext4 -q -b 4096 /dev/pmem0; mkdir -p /m; mount -t ext4 -o dax /dev/pmem0 /m
echo {KEPT} >/m/words; sync; grep pmem0 /proc/mounts; poweroff -f
"""
# What is said waits in the console's socket until somebody in the guest reads it. Then the file is looked at.
TALK = f"""cd /host && chmod 755 . && truncate -s 32M pmem.img && chmod 666 pmem.img && ./bulkhead run own.yaml </dev/null >log 2>&1 & run=$!
cd /host; until ./bulkhead ps 2>/dev/null | grep -q running; do kill -0 $run || {{ cat log; exit 1; }}; usleep 100000; done
timeout 100 ./bulkhead console own/con0 <<'END'
{SAY}END
wait $run || {{ cat log; exit 1; }}
grep -q "{KEPT}" pmem.img && echo THERE
"""


def talk_on_kvm(image, directory):
    """What the guest of the KVM front end has said, on an emulated host that has KVM, whatever this one has."""
    names = [f"bulkhead{part}" for part in ("", "-broker", "-worker-console", "-worker-loader", "-worker-pmem")]
    config = f"{directory}/own.yaml"
    with open(config, "w", encoding="ascii") as file:
        file.write(OWN_VM)
    host = Nested(image, directory, {**{name: f"{PROGRAMS}/{name}" for name in names}, "own.yaml": config,
                                     "vmlinuz": f"{image}/vmlinuz", "initrd": f"{image}/initrd"})
    try:
        host.wait_host()
        return host.run(TALK, 150)
    finally:
        host.kill()


def show_console_on_kvm(told):
    """Its device is as the others are there."""
    if " at /dev/hvc0." not in told:  # its echo has "at $(tty)."
        wrong(f"bulkhead console: {told!r}")
    return "on a KVM in QEMU: a shell answered at /dev/hvc0"


def show_pmem_on_kvm(told):
    """A file system that the guest has mapped, and what is in the file when it has gone."""
    if not re.search(r"^/dev/pmem0 /m ext4 .*dax", told, re.M) or not told.rstrip().endswith("THERE"):
        wrong(f"persistent memory: {told!r}")
    return "on a KVM in QEMU: ext4 with dax, synced, and in the file"
