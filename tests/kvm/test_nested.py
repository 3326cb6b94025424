# The machine on a real KVM: a host with SVM, which is itself a guest of QEMU's TCG.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import whole_run
from guest.backend import BUILD
from guest.claims import claim, guest_image, main, needs, require
from guest.machine import Binary
from guest.nested import Nested

QUICK = ("console=ttyS0 acpi=off reboot=k panic=-1 nokaslr noxsave mitigations=off tsc=reliable "
         "initcall_blacklist=i8042_init,cmos_init bh.scenario=probe")


PROGRAMS = [f"bin/{name}" for name in whole_run.PROGRAMS]
OWN_WORDS = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.wait bh.scenario=disk"


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
    whole_run.linux_uses_its_devices(t, host(t, *PROGRAMS), whole_run.config(OWN_WORDS))


@claim(seconds=180, long=True)
def guest_of_our_own_drives_jailed_devices_on_a_real_kvm(t):
    machine = host(t, *PROGRAMS, "tests/bulkhead-test-guest")
    whole_run.prepare(machine, whole_run.config("hello cpus=1 real blk rounds=20 blocks=8 rng=20 console=ttyS0",
                                                kernel="bulkhead-test-guest", initrd=None))
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
