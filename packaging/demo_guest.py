# The part of packaging/demo that has a guest in it: broker, QEMU, the guest's work, what ps and audit say, a shell. What is
# shown of each device is in demo_devices.py.
# Owns a directory under /tmp and the processes; leaves none of them behind.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import select
import shutil
import sys
import tempfile
import termios
import time
import tty

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))
import demo_devices
from guest.backend import BUILD, Bulkhead, Console, Disk, Entropy
from guest.claims import newest_qemu
from guest.deadline import Late
from guest.machine import Binary, Machine, accelerator
from guest.net import Net
from guest.share import OWNER, Share
from guest.vsock import Vsock

DISK_MIB = 256
DATA_MIB = 64
LEAVE = b"\x1d"  # Ctrl-]
FACTS = re.compile(r"^\S+ +\S+ +(guest memory|capabilities|seccomp filters|root) {2,}")
WELL = re.compile(r" (ok|claimed)$")
LIVE = sys.stdout.isatty()


class Stages:
    """The same lines as progress.sh."""

    def __init__(self):
        start = os.environ.get("PROGRESS_START")
        self.start = int(start) / 100 if start else self.now()

    @staticmethod
    def now():
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def run(self, name, words, act):
        """act() returns words to show in place of ours, or nothing."""
        begin = self.now()
        if LIVE:
            print(f"  {name:<10} {words} ...", end="", flush=True)
        try:
            said = act()
        except BaseException:
            print(f"{self.wipe()}  {name:<10} {words:<54} {self.now() - begin:>7.1f} s  FAILED", flush=True)
            raise
        print(f"{self.wipe()}  {name:<10} {said or words:<54} {self.now() - begin:>7.1f} s", flush=True)

    @staticmethod
    def note(name, words):
        print(f"  {name:<10} {words}", flush=True)

    @staticmethod
    def wipe():
        return "\r\033[K" if LIVE else ""

    def elapsed(self):
        return self.now() - self.start


class Demo:
    def __init__(self, directory, shell, newest):
        self.directory, self.shell = directory, shell
        self.newest, self.binary = newest, Binary.host()
        self.has_console = False
        self.why_no_net = demo_devices.why_no_net()
        self.stages = Stages()
        self.serving = self.guest = None
        self.sum = self.told = None

    def look_at_qemu(self):
        if self.newest:
            self.binary = newest_qemu()
        self.has_console = demo_devices.has_console(self.binary)
        return f"QEMU {self.binary.version()}"

    def make_devices(self):
        """All that there can be; what only newer QEMUs can attach is served all the same."""
        image, folder = f"{self.directory}/disk.img", f"{self.directory}/share"
        with open(image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        os.mkdir(folder)
        if os.geteuid() == 0:
            os.chown(folder, OWNER, OWNER)  # root's files cannot be lent to a worker on every file system
        self.share, self.vsock = Share("share0", folder, xattr=False), Vsock(self.directory)
        self.console = Console(ports=("console", "hello"))
        devices = [Disk("disk0", image), Entropy(), self.vsock, self.share, self.console]
        return devices if self.why_no_net else [*devices, Net("net0", "backend: passt")]

    def serve(self):
        devices = self.make_devices()
        self.serving = Bulkhead(self.directory, devices, vm="demo")
        self.serving.start()
        return "serves " + ", ".join(device.name for device in devices)

    def qemu_arguments(self):
        """For what this QEMU can attach."""
        return [word for device in self.serving.devices if self.has_console or device is not self.console
                for word in device.qemu(self.serving.socket(device))]

    def boot(self):
        accel = accelerator()
        while True:
            self.guest = Machine(f"{BUILD}/guest", self.directory, self.qemu_arguments(), binary=self.binary, accel=accel,
                                 scenario=f"{'shell' if self.shell else 'agent'} bh.devices")
            try:
                self.guest.wait_ready(20 if accel == "kvm" else 120)
            except Late:
                if accel == "tcg":
                    raise
                self.guest.kill()
                accel = "tcg"
                continue
            how = "KVM" if accel == "kvm" else "emulated"
            return f"Linux {self.guest.run('uname -r').strip()} in QEMU ({how})"

    def make(self):
        self.guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt")

    def write(self):
        self.guest.run(f"dd if=/dev/urandom of=/mnt/data bs=1M count={DATA_MIB} conv=fsync", 120)

    def checksum(self):
        self.guest.run("echo 3 >/proc/sys/vm/drop_caches")
        return self.guest.run("sha256sum /mnt/data", 120).split()[0]

    def remember(self):
        self.sum = self.checksum()
        return f"read back from the disk: sha256 {self.sum[:16]}..."

    def reboot(self):
        self.guest.reboot()
        self.guest.run("mount /dev/vda /mnt")

    def verify(self):
        found = self.checksum()
        if found != self.sum:
            raise ValueError(f"the data is wrong: sha256 {found}")
        return f"all {DATA_MIB} MiB are right: sha256 {found[:16]}..."

    def entropy(self):
        who = self.guest.run("cat /sys/class/misc/hw_random/rng_current").strip()
        self.guest.run("dd if=/dev/hwrng of=/dev/null bs=1k count=16")
        return f"/dev/hwrng delivers ({who})"

    def net(self):
        return demo_devices.show_net(self.guest, self.directory)

    def streams(self):
        return demo_devices.show_vsock(self.guest, self.vsock)

    def files(self):
        return demo_devices.show_share(self.guest, self.share)

    def terminal(self):
        if self.has_console:
            return demo_devices.show_console(self.guest, self.serving, self.console)
        return demo_devices.show_console_on_kvm(self.on_kvm())

    def on_kvm(self):
        """What the guest of a VM of the broker's own has said: once."""
        self.told = self.told or demo_devices.talk_on_kvm(f"{BUILD}/guest", self.directory)
        return self.told

    def memory(self):
        return demo_devices.show_pmem_on_kvm(self.on_kvm())

    def work(self):
        for name, words, act in (
                ("qemu", "the newest, of Debian sid" if self.newest else "this host's", self.look_at_qemu),
                ("broker", "serves", self.serve),
                ("boot", "Linux in QEMU", self.boot),
                ("format", f"ext4 on a disk of {DISK_MIB} MiB", self.make),
                ("write", f"{DATA_MIB} MiB of random bytes, synced", self.write),
                ("checksum", "read back from the disk", self.remember),
                ("reboot", "reset without unmounting, mounted again", self.reboot),
                ("verify", f"{DATA_MIB} MiB", self.verify),
                ("entropy", "/dev/hwrng", self.entropy),
                ("net", "passt", self.net),
                ("vsock", "both ways", self.streams),
                ("files", "a shared directory", self.files),
                ("console", "bulkhead console", self.terminal),
                ("pmem", "persistent memory", self.memory)):
            if name == "net" and self.why_no_net:
                self.stages.note(name, f"left out: {self.why_no_net}")
                continue
            if name == "console" and not self.has_console:
                self.stages.note(name, "not attached: QEMU can have it by vhost-user since 10.2.")
            self.stages.run(name, words, act)

    def show(self):
        """What the tools say, as they say it; of what is well in an audit only the facts that say most."""
        worst = 0
        for verb in ("ps", "audit"):
            result = self.serving.tool(verb)
            print(f"\n  $ bulkhead {verb}")
            said = (result.stdout + result.stderr).rstrip().splitlines()
            shown = [line for line in said if verb != "audit" or FACTS.search(line) or not WELL.search(line)]
            for line in shown:
                print(f"  {line}")
            if len(shown) < len(said):
                print(f"  ({len(said) - len(shown)} rows more, all ok or claimed, are not shown here.)")
            worst = max(worst, result.returncode)
        return worst

    def person(self):
        """The guest's console is the terminal until the guest ends or Ctrl-] is pressed."""
        print("\n  A shell in the guest follows; the disk is on /mnt. Leave it with Ctrl-] or `poweroff -f`.\n", flush=True)
        size = os.get_terminal_size()
        if size.lines and size.columns:
            self.guest.run(f"stty -F /dev/ttyS0 rows {size.lines} cols {size.columns}")
        before = termios.tcgetattr(0)
        tty.setraw(0)
        try:
            self.guest.on_console = lambda data: os.write(1, data)
            self.guest.console_write(b"\n")
            while self.guest.child.running():
                if not select.select([0], [], [], 0.1)[0]:
                    continue
                typed = os.read(0, 4096)
                if not typed or LEAVE in typed:
                    break
                self.guest.console_write(typed)
        finally:
            self.guest.on_console = None
            termios.tcsetattr(0, termios.TCSADRAIN, before)
            print()

    def end(self):
        if self.guest:
            self.guest.kill()
        if self.serving:
            self.serving.stop()


def tell_failure(demo, error):
    kept = f"{BUILD}/demo-logs"
    shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(kept)
    for name in sorted(os.listdir(demo.directory)):
        if name.endswith((".log", ".yaml")):
            shutil.copy(f"{demo.directory}/{name}", kept)
    print(f"\n  {error}\n", file=sys.stderr)
    for name in ("demo-broker.log", "guest-console.log", "guest-qemu.log"):
        if os.path.exists(f"{kept}/{name}"):
            with open(f"{kept}/{name}", encoding="utf-8", errors="replace") as log:
                for line in log.read().splitlines()[-6:]:
                    clean = re.sub(r"[^\x20-\x7e]", "", line)[:110]
                    print(f"    {name.removesuffix('.log')} | {clean}", file=sys.stderr)
    print(f"\n  The logs: {kept}", file=sys.stderr)


def main():
    keep, shell = "--keep" in sys.argv, "--shell" in sys.argv
    directory = tempfile.mkdtemp(prefix="bulkhead-demo-", dir="/tmp")
    os.chmod(directory, 0o755)
    demo = Demo(directory, shell, "--newest" in sys.argv)
    status = 1
    try:
        demo.work()
        status = demo.show()
        print(f"\n  {'Done' if status == 0 else 'bulkhead audit found something'}: {demo.stages.elapsed():.0f} s in all.",
              flush=True)
        if shell:
            demo.person()
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        status = 1
        tell_failure(demo, error)
    finally:
        demo.end()
        if keep:
            print(f"  Kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
