# The machine on a real KVM: a host with SVM, which is itself a guest of QEMU's TCG.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import BUILD
from guest.claims import claim, guest_image, main, needs, require
from guest.machine import Binary
from guest.nested import Nested

QUICK = ("console=ttyS0 acpi=off reboot=k panic=-1 nokaslr noxsave mitigations=off tsc=reliable "
         "initcall_blacklist=i8042_init,cmos_init bh.scenario=probe")


PROGRAMS = [f"bin/bulkhead{part}" for part in ("", "-broker", "-worker-blk", "-worker-rng", "-worker-loader")]

CONFIG = """vm: own
frontend: kvm
memory: 256M
kernel: /host/vmlinuz
initrd: /host/initrd
cmdline: console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.scenario=disk
devices:
  - {name: disk0, type: blk, path: /host/disk.img}
  - {name: rng0, type: rng}
"""


def host(t, *names):
    needs(Binary.host(), "no qemu-system-x86_64: apt-get install qemu-system-x86")
    image = guest_image()
    files = {os.path.basename(name): f"{BUILD}/{name}" for name in names}
    machine = Nested(image, t.directory, {**files, "vmlinuz": f"{image}/vmlinuz", "initrd": f"{image}/initrd"})
    t.undo.callback(machine.kill)
    machine.wait_host()
    t.stage("a host with /dev/kvm is up")
    return machine


@claim(seconds=180)
def linux_boots_and_uses_its_jailed_disk_on_a_real_kvm(t):
    machine = host(t, *PROGRAMS)
    machine.run(f"cat >/host/own.yaml <<'END'\n{CONFIG}END\n"
                "cd /host && yes bulkhead | head -c 4194304 >disk.img && chmod 666 disk.img && chmod 755 . /host")
    before = machine.run("sha256sum </host/disk.img").split()[0]
    answer = machine.ask("cd /host && ./bulkhead run own.yaml </dev/null", 150)
    require(answer.status == 0, f"status {answer.status}: {answer.output}")
    require(f"DISK {before}" in answer.output, f"not the disk that it has: {answer.output}")
    require("ENTROPY 16" in answer.output, f"no entropy: {answer.output}")
    t.stage("the guest has read its disk, and switched itself off")
    written = machine.run("head -c 262144 /host/disk.img | tr -d w | wc -c").strip()
    require(written == "0", f"{written} bytes of what it wrote are not on the disk")
    kicks = [line for line in answer.output.splitlines() if "kick_exits=" in line]
    require(len(kicks) == 2 and all("kick_exits=0" in line for line in kicks), f"kicks left the kernel: {kicks}")


@claim(seconds=180, long=True)
def guest_of_our_own_drives_jailed_devices_on_a_real_kvm(t):
    machine = host(t, *PROGRAMS, "tests/bulkhead-test-guest")
    config = CONFIG.replace("/host/vmlinuz", "/host/bulkhead-test-guest").replace("initrd: /host/initrd\n", "")
    config = config.replace("console=ttyS0", "hello cpus=1 real blk rounds=20 blocks=8 rng=20 console=ttyS0")
    machine.run(f"cat >/host/own.yaml <<'END'\n{config}END\ncd /host && head -c 4194304 /dev/zero >disk.img && "
                "chmod 666 disk.img")
    answer = machine.ask("cd /host && ./bulkhead run own.yaml </dev/null", 150)
    require(answer.status == 0 and "FAIL" not in answer.output, f"status {answer.status}: {answer.output}")
    require("ok blk 160" in answer.output and "ok rng 20" in answer.output, answer.output)


@claim(seconds=180, long=True)
def machine_holds_on_a_real_kvm(t):
    machine = host(t, "tests/test_machine", "tests/bulkhead-test-guest")
    answer = machine.ask("cd /host && MUST_RUN=1 REAL_KVM=1 BULKHEAD_TEST_GUEST=/host/bulkhead-test-guest ./test_machine", 120)
    require(answer.status == 0, answer.output)
    t.stage(answer.output.strip().splitlines()[-1])


@claim(seconds=180, long=True)
def memory_holds_on_a_real_kvm(t):
    """Its processors walk nested tables: slots, logs and cut files as they are on hardware; 40 bits, and enforced."""
    machine = host(t, "tests/test_kvm_vm", "tests/test_kvm_slots", "tests/kvm_probe")
    answer = machine.ask("cd /host && MUST_RUN=1 ./test_kvm_vm 2>&1 && MUST_RUN=1 ./test_kvm_slots 2>&1", 120)
    require(answer.status == 0, answer.output)
    most = (1 << 20) - 1024  # MiB of RAM that end at 2^40: the hole of a PC is 1 GiB
    answer = machine.ask(f"cd /host && ./kvm_probe memory={most} memory={most + 1}", 60)
    require("end=0x10000000000 bits=40 made slot=ok touch=not here beyond=EINVAL" in answer.output, answer.output)
    require(f"and this host has 40; give the VM at most {most} MiB of memory" in answer.output, answer.output)
    t.stage("slots, logs and widths hold")


@claim(seconds=240, long=True)
def linux_reaches_init_on_the_bare_machine(t):
    machine = host(t, "tests/linux_boot", "tests/bulkhead-test-guest")
    answer = machine.ask("cd /host && BULKHEAD_TEST_GUEST=/host/bulkhead-test-guest "
                         f"./linux_boot vmlinuz initrd '{QUICK}' 'PROBE '", 180)
    require(answer.status == 0, answer.output)
    t.stage([line for line in answer.output.splitlines() if "PROBE" in line][-1])


if __name__ == "__main__":
    sys.exit(main())
