# The machine on a real KVM: a host with SVM, which is itself a guest of QEMU's TCG.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import whole_run
from guest.backend import BUILD
from guest.claims import TOP, claim, guest_image, main, needs, require
from guest.machine import Binary
from guest.nested import Nested

QUICK = ("console=ttyS0 acpi=off reboot=k panic=-1 nokaslr noxsave mitigations=off tsc=reliable "
         "initcall_blacklist=i8042_init,cmos_init bh.scenario=probe")


PROGRAMS = [f"bin/{name}" for name in whole_run.PROGRAMS]
OWN_WORDS = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.wait bh.scenario=disk"


def host(t, *names, files=None):
    needs(Binary.host(), "no qemu-system-x86_64: apt-get install qemu-system-x86")
    image = guest_image()
    programs = {os.path.basename(name): f"{BUILD}/{name}" for name in names}
    machine = Nested(image, t.directory, {**programs, **(files or {}), "vmlinuz": f"{image}/vmlinuz", "initrd": f"{image}/initrd"})
    t.undo.callback(machine.kill)
    machine.wait_host()
    t.stage("a host with /dev/kvm is up")
    return machine


@claim(seconds=180)
def linux_boots_and_uses_its_jailed_disk_on_a_real_kvm(t):
    whole_run.linux_uses_its_devices(t, host(t, *PROGRAMS), whole_run.config(OWN_WORDS))


# Waits for the prompt, then types.
AT_THE_PROMPT = """mkfifo keys screen
./bin/bulkhead run packaging/demo-kvm.yaml <keys >screen 2>log & pid=$!
exec 3>keys 4<screen
seen=
while IFS= read -r -n 1 c <&4; do
        printf %s "$c"; seen="$seen$c"
        case $seen in *"# ") break ;; esac
done
cp log log.booted; ./bin/bulkhead ps >ps.booted
printf 'echo "A SHELL $((6 * 7)) $(ls /sys/bus/virtio/devices) $(uptime)"; poweroff -f\n' >&3
cat <&4; wait $pid; status=$?
cat log ps.booted; exit $status
"""


@claim(seconds=180, long=True)
def demo_reaches_a_shell_on_a_real_kvm(t):
    """packaging/demo-kvm.yaml as it lies there, but for `noxsave`, which is for this host alone."""
    machine = host(t, *PROGRAMS, files={"packaging/demo-kvm.yaml": f"{TOP}/packaging/demo-kvm.yaml"})
    machine.run("cd /host && chmod 755 . && mkdir -p bin build/guest && mv bulkhead* bin && mv vmlinuz initrd build/guest && "
                "sed -i 's/^cmdline: /&noxsave /' packaging/demo-kvm.yaml")
    machine.run(f"cat >/host/at-the-prompt <<'END'\n{AT_THE_PROMPT}END")
    require("missing" not in machine.ask("cd /host && ./bin/bulkhead doctor packaging/demo-kvm.yaml", 60).output,
            "doctor finds something missing")
    answer = machine.ask("cd /host && sh at-the-prompt", 150)
    require(answer.status == 0, f"status {answer.status}: {answer.output}")
    require("A SHELL 42 virtio0" in answer.output, f"no shell with its device: {answer.output}")
    require(re.search(r"demo-kvm +- +kvm +running", answer.output), f"ps does not say that it runs: {answer.output}")
    require("the guest has switched itself off" in answer.output, answer.output)
    t.stage("its shell has answered, and switched it off")


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
