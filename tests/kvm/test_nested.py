# The machine on a real KVM: a host with SVM, which is itself a guest of QEMU's TCG.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import whole_run
from guest.backend import BUILD
from guest.claims import TOP, claim, guest_image, main, needs, newest_qemu, require
from guest.machine import Binary
from guest.nested import Nested

QUICK = ("console=ttyS0 acpi=off reboot=k panic=-1 nokaslr noxsave mitigations=off tsc=reliable "
         "initcall_blacklist=i8042_init,cmos_init bh.scenario=probe")


PROGRAMS = [f"bin/{name}" for name in whole_run.PROGRAMS]
OWN_WORDS = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.wait bh.scenario=disk"


def host(t, *names, files=None, binary=None):
    needs(binary or Binary.host(), "no qemu-system-x86_64: apt-get install qemu-system-x86")
    image = guest_image()
    programs = {os.path.basename(name): f"{BUILD}/{name}" for name in names}
    machine = Nested(image, t.directory, {**programs, **(files or {}), "vmlinuz": f"{image}/vmlinuz", "initrd": f"{image}/initrd"},
                     binary=binary)
    t.undo.callback(machine.kill)
    machine.wait_host()
    t.stage("a host with /dev/kvm is up")
    return machine


@claim(seconds=180)
def linux_boots_and_uses_its_jailed_disk_on_a_real_kvm(t):
    whole_run.linux_uses_its_devices(t, host(t, *PROGRAMS), whole_run.config(OWN_WORDS))


# The kernel says where it puts its pool, and init hands that on; with the same words it is at the same place each time.
BOUNCES = ("console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off swiotlb=4096,force movablecore=128M memblock=debug "
           "log_buf_len=1M bh.wait bh.scenario=disk")
POOL = re.compile(r"memblock_alloc_try_nid: (\d+) bytes [^\n]*swiotlb_init[^\n]*\n[^\n]*memblock_reserve: \[0x([0-9a-f]+)-0x([0-9a-f]+)\]")
LOW = "{start: 0, size: 128M}"
OUTSIDE = "has posted a buffer outside of the device's windows"


def windows(words, device, *ranges):
    """The configuration, with one of its devices held to these."""
    return re.sub(rf"(name: {device}, [^}}]*)}}", rf"\1, memory: {{windows: [{', '.join(ranges)}]}}}}", words)


def first_refusal(machine, run, device, pool):
    """Waits until it is said. Of the pool, told and counted once."""
    run.wait_said(f"{OUTSIDE}: dev={device} ", 120)
    line, = [line for line in run.said().splitlines() if OUTSIDE in line]
    at = int(re.search(r" at=0x([0-9a-f]+) ", line)[1], 16)
    require(pool[0] <= at <= pool[1], f"not of the pool {pool[0]:#x}-{pool[1]:#x}: {line}")
    status = json.loads(machine.run("cd /host && ./bulkhead ps --json"))["vms"][0]["devices"]
    found, = [(d["state"], d["window_refused"]) for d in status if d["device"] == device]
    require(found == ("broken", 1), f"{device} is {found}")
    return line.split(": ", 2)[-1]


@claim(seconds=240, long=True)
def linux_is_held_to_its_bounce_pool_on_a_real_kvm(t):
    """One that uses its DMA API because a device has windows: they cover its pool, or not."""
    machine = host(t, *PROGRAMS)
    words = whole_run.config(BOUNCES)
    whole_run.prepare(machine, words)
    run = whole_run.Run(machine)
    run.wait_guest(120)
    said = POOL.search(run.said())
    require(said, f"its kernel does not say where its pool lies: {run.said()}")
    pool = int(said[2], 16), int(said[3], 16)
    t.stage(f"its pool lies at {said[2]}-{said[3]}")
    run.stop()

    covers = f"{{start: {pool[0]:#x}, size: {(pool[1] + 1 - pool[0]) >> 10}K}}"
    said = whole_run.linux_uses_its_devices(t, machine, windows(words, "disk0", LOW, covers))
    require(OUTSIDE not in said and re.search(r"FEATURES [01]{33}1", said), f"refused, or without its DMA API: {said}")
    t.stage("with a window that covers its pool the disk works")

    whole_run.prepare(machine, windows(words, "rng0", LOW))
    run = whole_run.Run(machine)
    run.wait_guest(120)
    t.stage(first_refusal(machine, run, "rng0", pool))
    states = re.search(r"STATES (\w+) (\w+)", run.said())
    require(states and [int(state, 16) & 0x40 for state in states.groups()] == [0, 0x40], f"its driver does not see NEEDS_RESET: {states}")
    t.stage("its driver sees NEEDS_RESET, and the disk's does not")
    run.stop()

    whole_run.prepare(machine, windows(words, "disk0", LOW))
    run = whole_run.Run(machine)  # its kernel waits for the disk for ever
    t.stage(first_refusal(machine, run, "disk0", pool))
IOMMU = """
devices:
  - {name: disk0, type: blk, path: /host/disk.img, memory: {iotlb: true}}
  - {name: iommu0, type: iommu}
  - {name: rng0, type: rng, memory: {iotlb: true}}
"""
ACCESS_PLATFORM = 33


def newer_linux():
    """The directory of a guest whose kernel has a driver for a virtio IOMMU: Debian 12's own has none."""
    made = os.environ.get("BULKHEAD_GUEST_BACKPORTS", f"{BUILD}/guest-backports")
    if not os.path.exists(f"{made}/stamp"):
        done = subprocess.run([f"{TOP}/packaging/guest-image", "--backports", "--out", made], text=True, capture_output=True)
        needs(done.returncode == 0, f"no Linux with a driver for a virtio IOMMU: {(done.stderr or done.stdout).strip()}")
    return made


@claim(seconds=300, long=True)
def linux_has_its_disk_behind_an_iommu_on_a_real_kvm(t):
    """Strict: each request's pages are mapped for it and unmapped after it. Its IOMMU's worker is killed meanwhile.

    On the newest QEMU: emulated by 7.2's this kernel ends in its allocator, behind a cmpxchg16b, with flags that nothing leaves so."""
    image = newer_linux()
    machine = host(t, *PROGRAMS, "bin/bulkhead-worker-iommu",
                   files={"linux": f"{image}/vmlinuz", "linux-initrd": f"{image}/initrd"}, binary=newest_qemu())
    words = whole_run.config(f"{OWN_WORDS} iommu.strict=1 iommu.passthrough=0", kernel="linux", initrd="linux-initrd")
    before = whole_run.prepare(machine, words.split("devices:")[0] + IOMMU)
    run = whole_run.Run(machine)
    run.wait_guest(240)
    audit = machine.ask("cd /host && ./bulkhead audit", 90)
    require(audit.status == 0 and "Nothing is looser than its policy." in audit.output, audit.output)
    t.stage("its Linux is up, and waits for us")
    machine.run("kill -9 $(pidof bulkhead-worker-iommu)")
    run.type("go on")
    status, said = run.wait(200), run.said()
    require(status == 0, f"status {status}: {said}")
    require(f"DISK {before}" in said, f"not the disk that it has: {said}")
    require(f"BACK {whole_run.CHANGED_BYTES}" in said and "ENTROPY 16" in said, f"not what it wrote, or no entropy: {said}")
    features = re.search(r"FEATURES ([01]{64})", said)
    require(features and features[1][ACCESS_PLATFORM] == "1", f"its driver does not use its DMA API: {said}")
    require("is not mapped" not in said and "broken" not in said, f"something was not mapped: {said}")
    t.stage("it has used disk and entropy by what it has mapped, through the death of its IOMMU's worker")
    left = machine.run(f"head -c {whole_run.CHANGED_BYTES} /host/disk.img | tr -d w | wc -c").strip()
    require(left == "0", f"{left} bytes of what it wrote are not on the disk")


NET = """
devices:
  - {name: net0, type: net, backend: stream, path: /host/net.sock, mtu: 1400, mac: 52:54:00:77:66:55}
"""
# In the guest of the guest.
NET_WORDS = """cd /sys/class/net/eth0; ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
echo "SEES $(cat mtu) $(cat address) $(cat carrier)"
ping -c 3 -i 0.2 -s 1372 10.9.0.1 | grep received
ip link set eth0 promisc on; ip link add link eth0 name v5 type vlan id 5 2>/dev/null; ip link set eth0 promisc off
ip link set eth0 down; ip link set eth0 address 52:54:00:77:66:56; ip link set eth0 up
ping -c 3 -i 0.2 10.9.0.1 | grep received
echo PULL; while [ "$(cat carrier)" = 1 ]; do usleep 50000; done
echo PUT; while [ "$(cat carrier)" = 0 ]; do usleep 50000; done
ping -c 3 -i 0.2 10.9.0.1 | grep received
echo FEATURES $(cat device/features)
echo DIE; until dmesg | grep -q 'able promisc mode'; do ip link set eth0 promisc on; ip link set eth0 promisc off; usleep 50000; done
ping -c 1 -W 1 10.9.0.1 | grep received; echo LIVES; poweroff -f
"""
# On the host of that: obeys its guest's words.
NET_HOST = """cd /host
./net_peer net.sock >peer.log & peer=$!
until [ -S net.sock ]; do usleep 50000; done
mkfifo keys; ./bulkhead run own.yaml <keys >screen 2>log & pid=$!
exec 3>keys
until grep -q ' # ' screen; do kill -0 $pid || break; usleep 100000; done
cat words >&3
until grep -q '^PULL' screen; do kill -0 $pid || break; usleep 100000; done
./bulkhead set own/net0 link=down
until grep -q '^PUT' screen; do kill -0 $pid || break; usleep 100000; done
./bulkhead set own/net0 link=up
until grep -q '^DIE' screen; do kill -0 $pid || break; usleep 100000; done
until ./bulkhead ps | grep -q quarantined; do kill -0 $pid || break; kill -9 $(pidof bulkhead-worker-net); done
wait $pid; echo "STATUS $?"; kill $peer
cat screen log
"""


@claim(seconds=180, long=True)
def driver_sees_its_network_card_on_a_real_kvm(t):
    """What a VMM has itself elsewhere is the worker's here: config space, link, control queue."""
    machine = host(t, "bin/bulkhead", "bin/bulkhead-broker", "bin/bulkhead-worker-net", "bin/bulkhead-worker-loader", "tests/net_peer")
    words = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off ipv6.disable=1 bh.devices bh.scenario=shell"
    whole_run.prepare(machine, whole_run.config(words).split("devices:")[0] + NET)
    for name, text in (("words", NET_WORDS), ("run", NET_HOST)):
        machine.run(f"cat >/host/{name} <<'END'\n{text}END")
    answer = machine.ask("cd /host && ./bulkhead check own.yaml && sh run", 170)
    require("STATUS 0" in answer.output, answer.output)
    require("SEES 1400 52:54:00:77:66:55 1" in answer.output, f"MTU, address and link: {answer.output}")
    require(answer.output.count("3 packets received") == 3, f"pings: {answer.output}")
    features = re.search(r"FEATURES ([01]+)", answer.output).group(1)
    wrong = [bit for bit in (3, 5, 15, 16, 17, 18, 19, 21, 23) if features[bit] != "1"]
    require(not wrong, f"not negotiated: {wrong}")
    t.stage("MTU and address at the probe, commands, link down and up, and pings in between")
    require("\nLIVES" in answer.output and "0 packets received" in answer.output, f"without a worker: {answer.output}")
    t.stage("with no worker any more commands fail and frames are lost, and Linux goes on")


OLD = """
devices:
  - {name: net0, type: net, backend: stream, path: /host/net.sock, mtu: 1400}
  - {name: disk0, type: blk, path: /host/disk.img, block_size: 4096}
  - {name: old0, type: blk, path: /host/old.img, block_size: 4096, legacy: only}
  - {name: small0, type: blk, path: /host/small.img, legacy: only, copy: socket}
  - {name: rng0, type: rng, legacy: only}
  - {name: con0, type: console, log_dir: /host/logs, legacy: only}
"""
# In the guest of the guest. Bit 32: VERSION_1; 29: EVENT_IDX; 6: the block size; 3 of the network: its MTU.
OLD_WORDS = """bit() { cut -c$(($2 + 1)) $1/device/features; }
echo "SEES eth0 $(cat /sys/class/net/eth0/mtu) $(bit /sys/class/net/eth0 3)"
for d in vda vdb vdc; do
        s=/sys/block/$d; echo "SEES $d $(cat $s/queue/logical_block_size) $(cat $s/size) $(bit $s 32) $(bit $s 29) $(bit $s 6)"
        guest_load fill /dev/$d 0 2M 5 direct && guest_load check /dev/$d 0 2M 5 direct && echo "CHECKED $d"
done
mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && guest_load fill /mnt/data 0 4M 6 && umount /mnt && e2fsck -fn /dev/vdb && mount /dev/vdb /mnt &&
        guest_load check /mnt/data 0 4M 6 && echo "MOUNTED vdb"
echo "ENTROPY $(dd if=/dev/hwrng bs=16 count=1 2>/dev/null | wc -c)"
echo "from an old driver" >/dev/hvc0
poweroff -f
"""
OLD_HOST = """cd /host
./net_peer net.sock >peer.log & peer=$!
until [ -S net.sock ]; do usleep 50000; done
mkfifo keys; ./bulkhead run own.yaml <keys >screen 2>log & pid=$!
exec 3>keys
until grep -q ' # ' screen; do kill -0 $pid || break; usleep 100000; done
cat words >&3
wait $pid; echo "STATUS $?"; kill $peer
cat screen log; grep -h old logs/*
"""


@claim(seconds=240, long=True)
def linux_drives_legacy_devices_beside_modern_ones_on_a_real_kvm(t):
    """Its virtio-mmio finds version 1 and goes by it; what both kinds of drivers read before they have features is right."""
    machine = host(t, *PROGRAMS, "bin/bulkhead-worker-net", "bin/bulkhead-worker-console", "tests/net_peer")
    words = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off ipv6.disable=1 bh.devices bh.scenario=shell"
    whole_run.prepare(machine, whole_run.config(words).split("devices:")[0] + OLD)
    machine.run("cd /host && mkdir logs && for d in disk old small; do truncate -s 16M $d.img; chmod 666 $d.img; done")
    for name, text in (("words", OLD_WORDS), ("run", OLD_HOST)):
        machine.run(f"cat >/host/{name} <<'END'\n{text}END")
    answer = machine.ask("cd /host && ./bulkhead check own.yaml && sh run", 230)
    said = answer.output
    require("STATUS 0" in said, said)
    for seen in ("eth0 1400 1", "vda 4096 32768 1 1 1", "vdb 4096 32768 0 1 1", "vdc 512 32768 0 1 1"):
        require(f"SEES {seen}" in said, f"not \"{seen}\": {said}")
    t.stage("MTU and block sizes are right, with VERSION_1 and without")
    for words in ("CHECKED vda", "CHECKED vdb", "CHECKED vdc", "MOUNTED vdb", "ENTROPY 16"):
        require(words in said, f"no \"{words}\" in {said}")
    require(re.search("^from an old driver", said.split("the VM has ended")[-1], re.M), f"not in the console's log: {said}")
    refused = [line for line in said.splitlines() if "refused=" in line and "refused=0 " not in line]
    require(not refused, f"registers that it may not reach: {refused}")
    t.stage("legacy disks, entropy and console were used as modern ones are")


PMEM = """
devices:
  - {name: pmem0, type: pmem, path: /host/pmem.img, size: 64M, shmem: map}
"""
# In the guest of the guest, in two lives: the first ends by a power cut. The last words come when its worker is another one.
PMEM_FIRST = """until [ -b /dev/pmem0 ]; do usleep 50000; done
mkfs.ext4 -q -b 4096 /dev/pmem0 && mkdir -p /m && mount -t ext4 -o dax /dev/pmem0 /m && grep pmem /proc/mounts
guest_load fill /m/kept 0 8M 7 && sync && echo SUM $(sha256sum </m/kept) && echo KEPT
"""
PMEM_SECOND = """until [ -b /dev/pmem0 ]; do usleep 50000; done
e2fsck -fy /dev/pmem0 >/dev/null; mkdir -p /m && mount -t ext4 -o dax /dev/pmem0 /m
echo SUM $(sha256sum </m/kept); echo AGAIN >/m/again; sync; echo WORKER
"""
PMEM_THIRD = """guest_load fill /m/more 0 4M 9 && sync && guest_load check /m/more 0 4M 9 && echo CHECKED
poweroff -f
"""
# On the host of that.
PMEM_HOST = """cd /host
truncate -s 64M pmem.img; chmod 666 pmem.img
begin() {
        rm -f keys; mkfifo keys; ./bulkhead run own.yaml <keys >screen$1 2>log$1 & pid=$!
        exec 3>keys
        until grep -q ' # ' screen$1; do kill -0 $pid || break; usleep 100000; done
        cat words$1 >&3
}
until_said() { until grep -q "^$2" screen$1; do kill -0 $pid || break; usleep 100000; done; }
begin 1; until_said 1 KEPT
kill -9 $(pidof bulkhead bulkhead-broker bulkhead-worker-pmem); wait $pid
begin 2; until_said 2 WORKER
kill -9 $(pidof bulkhead-worker-pmem)
until ./bulkhead ps | grep -q "pmem0 .* running .* 1 "; do kill -0 $pid || break; usleep 100000; done; cat words3 >&3
wait $pid; echo "STATUS $?"
cat screen1 log1 screen2 log2
"""


@claim(seconds=240, long=True)
def persistent_memory_outlives_a_power_cut_on_a_real_kvm(t):
    """mkfs and mount -o dax in Linux; every process killed; the data of a sync are there. Then its worker dies under it."""
    machine = host(t, "bin/bulkhead", "bin/bulkhead-broker", "bin/bulkhead-worker-pmem", "bin/bulkhead-worker-loader")
    words = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.devices bh.scenario=shell"
    whole_run.prepare(machine, whole_run.config(words).split("devices:")[0] + PMEM)
    for name, text in (("words1", PMEM_FIRST), ("words2", PMEM_SECOND), ("words3", PMEM_THIRD), ("run", PMEM_HOST)):
        machine.run(f"cat >/host/{name} <<'END'\n{text}END")
    answer = machine.ask("cd /host && ./bulkhead check own.yaml && sh run", 230)
    require("STATUS 0" in answer.output, answer.output)
    require(re.search(r"/dev/pmem0 /m ext4 .*dax", answer.output), f"not mounted with dax: {answer.output}")
    sums = re.findall(r"^SUM (\w{64})", answer.output, re.M)
    require(len(sums) == 2 and sums[0] == sums[1], f"not what was there before: {answer.output}")
    t.stage("what was synced is there after everything was killed")
    require("CHECKED" in answer.output, f"not with another worker: {answer.output}")
    t.stage("its worker was killed, and the next one flushes as well")


DAX = """
devices:
  - {name: share0, type: fs, path: /host/share, shmem: map, dax_window: 16M}
"""
# In the guest of the guest.
DAX_WORDS = """mkdir -p /m; mount -t virtiofs -o dax share0 /m && grep virtiofs /proc/mounts
cd /m; echo SUM $(sha256sum <big); guest_files map big 4194304; guest_files map big 8388608 guest-was-here; guest_files map small 0 short
guest_files race raced 20
echo KILL; until [ -e go1 ]; do usleep 50000; done
echo SUM $(sha256sum <big); guest_files map small 0; guest_files map big 6291456 and-the-guest-as-well
echo AGAIN; until [ -e go3 ]; do usleep 50000; done
cd /; umount /m; echo UNMOUNTED; until [ -e /tmp/go ]; do usleep 50000; mount -t virtiofs -o dax share0 /m && : >/tmp/go; done
until [ -e /m/go2 ]; do usleep 50000; done
guest_files watch /m/cut /m/began
echo more >>/m/cut; sync; echo LIVES $(cat /m/cut); poweroff -f
"""
# On the host of that.
DAX_HOST = """cd /host
mkdir -p share && mount -t tmpfs share share && cd share
guest_load fill big 0 12M 3; printf beginning-of-it | dd of=big bs=1 seek=4194304 conv=notrunc 2>/dev/null
echo a-small-file >small; chown -R 1000:1000 .; echo "BIG $(sha256sum <big)"; cd ..
mkfifo keys; ./bulkhead run own.yaml <keys >screen 2>log & pid=$!
exec 3>keys
until_said() { until grep -q "^$1" screen; do kill -0 $pid || break; usleep 100000; done; }
until_said '.* # '; cat words >&3
until_said KILL
echo "SMALL $(cat share/small)"; dd if=share/big bs=1 skip=8388608 count=14 2>/dev/null; echo
kill -9 $(pidof bulkhead-worker-fs)
until ./bulkhead ps | grep -q "share0 .* running .* 1 "; do kill -0 $pid || break; usleep 100000; done
printf the-host-is-here | dd of=share/big bs=1 seek=6291456 conv=notrunc 2>/dev/null; echo "BIG $(sha256sum <share/big)"
: >share/go1; until_said AGAIN
dd if=share/big bs=1 skip=6291456 count=21 2>/dev/null; echo; echo "MAPPINGS $(./bulkhead ps --shmem | grep -c share0)"
: >share/go3; until_said UNMOUNTED
echo "LEFT $(./bulkhead ps --shmem | grep -c share0)"; ./bulkhead audit own/share0 | tail -3
yes | head -c 65536 >share/cut; chmod 666 share/cut; : >share/go2
until [ -e share/began ]; do kill -0 $pid || break; usleep 50000; done
: >share/cut
wait $pid; echo "STATUS $?"
cat screen log
"""


@claim(seconds=240, long=True)
def linux_maps_files_of_its_share_on_a_real_kvm(t):
    """mount -t virtiofs -o dax: what is mapped is the host's file, through a worker's death, a cut of its own and one of the host's."""
    machine = host(t, "bin/bulkhead", "bin/bulkhead-broker", "bin/bulkhead-worker-fs", "bin/bulkhead-worker-loader")
    words = "console=ttyS0 quiet panic=-1 nokaslr noxsave mitigations=off bh.devices bh.scenario=shell"
    whole_run.prepare(machine, whole_run.config(words).split("devices:")[0] + DAX)
    for name, text in (("words", DAX_WORDS), ("run", DAX_HOST)):
        machine.run(f"cat >/host/{name} <<'END'\n{text}END")
    answer = machine.ask("cd /host && mkdir -p share && ./bulkhead check own.yaml && sh run", 230)
    said = answer.output
    require("STATUS 0" in said, said)
    require("dax=always" in said, f"not mounted with dax: {said}")
    host_sums, guest_sums = (re.findall(rf"^{name} (\w{{64}})", said, re.M) for name in ("BIG", "SUM"))
    require(len(host_sums) == 2 and host_sums == guest_sums and host_sums[0] != host_sums[1], f"not what the host has: {said}")
    for words in ("MAPPED beginning-of-it", "SMALL short", "guest-was-here", "RACED 20"):
        require(words in said, f"no \"{words}\" in {said}")
    t.stage("what is mapped is the host's, in both directions, and cut short by the guest's own programs")
    for words in ("MAPPED short", "MAPPED the-host-is-here", "and-the-guest-as-well"):
        require(words in said, f"not with another worker: no \"{words}\" in {said}")
    t.stage("its worker was killed, and all is there as before")
    require(re.search("MAPPINGS [1-9]", said) and "LEFT 0" in said, f"what was mapped is left: {said}")
    t.stage("unmounted it has nothing mapped")
    require("WATCHED" in said and "LIVES more" in said, f"cut by the host: {said}")
    require("others have cut short" in said and "broken" not in said, f"the log: {said}")
    t.stage("cut short by the host under its guest's eyes, and share and guest go on")


# A medium without room: a file of holes, of which a few pages are there.
NO_ROOM = """mkdir full && mount -t tmpfs -o size=64k full full && chmod 755 full
yes | head -c 4096 >full/pmem.img; truncate -s 16M full/pmem.img; chmod 666 full/pmem.img
yes >full/rest 2>/dev/null; printf . | ./bulkhead run own.yaml"""


@claim(seconds=180, long=True)
def guest_of_our_own_survives_a_medium_that_fails_on_a_real_kvm(t):
    """KVM waits inside of KVM_RUN for each of its pages, and none ever comes: found by registers, or by trying all."""
    machine = host(t, *PROGRAMS, "bin/bulkhead-worker-pmem", "tests/bulkhead-test-guest")
    config = whole_run.config("pmem_medium console=ttyS0", kernel="bulkhead-test-guest", initrd=None)
    whole_run.prepare(machine, f"{config}  - {{name: pmem0, type: pmem, path: full/pmem.img, size: 16M, shmem: map}}\n")
    machine.run(f"cat >/host/no-room <<'END'\n{NO_ROOM}\nEND")
    answer = machine.ask("cd /host && sh no-room 2>&1", 150)
    require(answer.status == 0 and "ok pmem_medium 0" in answer.output, f"status {answer.status}: {answer.output}")
    require(answer.output.count("has gone under the guest's feet") == 1, answer.output)
    t.stage([line for line in answer.output.splitlines() if " exits=" in line][-1])


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


CONSOLE_VM = """vm: own
frontend: kvm
memory: 256M
serial: none
kernel: /host/vmlinuz
initrd: /host/initrd
cmdline: console=hvc0 quiet panic=-1 nokaslr noxsave mitigations=off bh.devices bh.wait bh.scenario=disk
devices:
  - {name: disk0, type: blk, path: /host/disk.img}
  - {name: con0, type: console, ports: [console, agent], log_dir: /host/logs}
"""

# Types when the guest waits for it; the connection ends with the VM.
AT_THE_CONSOLE = """./bulkhead run own.yaml </dev/null >log 2>&1 & pid=$!
until [ -S /run/bulkhead/own/con0.agent.sock ]; do kill -0 $pid || break; done
mkfifo keys
./bulkhead console own/con0 <keys 2>&1 | while read -r line; do
        echo "$line"
        case $line in WAITING*) echo go on >&3 ;; esac
done 3>keys
wait $pid; status=$?
cat log; exit $status
"""


@claim(seconds=180, long=True)
def linux_has_its_console_on_a_real_kvm(t):
    """All that its first process says, and hears, goes by hvc0: there is no serial port."""
    machine = host(t, *PROGRAMS, "bin/bulkhead-worker-console")
    before = whole_run.prepare(machine, CONSOLE_VM)
    machine.run(f"mkdir /host/logs; cat >/host/at-the-console <<'END'\n{AT_THE_CONSOLE}END")
    answer = machine.ask("cd /host && sh at-the-console", 150)
    said = answer.output
    require(answer.status == 0, f"status {answer.status}: {said}")
    for words in ("WAITING", "HEARD go on", f"DISK {before}", f"BACK {whole_run.CHANGED_BYTES}", "the VM has ended"):
        require(words in said, f"no \"{words}\" in {said}")
    log = machine.run("cat /host/logs/console.log")
    require("HEARD go on" in log and f"DISK {before}" in log, f"its log is {log}")
    t.stage("a guest without a serial port was talked to by its console")


if __name__ == "__main__":
    sys.exit(main())
