# What an operator gets wrong is told in one line that names the remedy, with an exit status that is not 0.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import BUILD, Bulkhead, Disk, Entropy
from guest.claims import claim, guest_image, main, needs, needs_bulkhead, require
from guest.deadline import wait_until

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", "KILL")


def run(serving, seconds=20, prefix=None):
    return subprocess.run([*(serving.prefix if prefix is None else prefix), *serving.argv("run", serving.config)],
                          text=True, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL,
                          env={**os.environ, **serving.env})


def one_line(result, *words):
    """Refused, on one line, and each of the words is in it."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    require(result.returncode != 0, f"not refused: {result.stdout}{result.stderr}")
    require(result.returncode > 0, f"ended by signal {-result.returncode}: {result.stderr}")
    require(len(lines) == 1, f"{len(lines)} lines, not one:\n{result.stderr}")
    for word in words:
        require(word in lines[0], f"\"{word}\" is not in: {lines[0]}")
    return lines[0]


def config(t, text, name="wrong"):
    serving = Bulkhead(t.directory, [], vm=name)
    with open(serving.config, "w", encoding="utf-8") as file:
        file.write(text)
    return serving


@claim(seconds=60)
def wrong_configuration_is_told_with_its_place(t):
    needs_bulkhead()
    image = t.disk_file(mib=1)
    head = "vm: wrong\nfrontend: vhost-user\ndevices:\n"
    for text, *words in (
            (head + f"  - {{name: disk0, type: blk, path: {image}, colour: red}}\n", ":4:", "colour"),
            (head + f"  - {{name: disk0, type: tape, path: {image}}}\n", ":4:", "tape"),
            (head + "  - {name: disk0, type: blk}\n", ":4:", "path"),
            (head + "  - {name: ../disk0, type: rng}\n", ":4:", "name"),
            (head + "  - {name: rng0, type: rng}\n  - {name: rng0, type: rng}\n", ":5:", "rng0"),
            ("vm: wrong\nfrontend: vhost-user\ndevices: [\n", ":"),
            ("", "wrong.yaml")):
        serving = config(t, text)
        t.stage(one_line(run(serving), *words))
        checked = serving.tool("check", serving.config)
        require(checked.returncode != 0, f"check finds nothing wrong: {text}")
    one_line(serving.tool("check", f"{t.directory}/absent.yaml"), "absent.yaml")


@claim(seconds=60)
def missing_image_is_told(t):
    needs_bulkhead()
    serving = Bulkhead(t.directory, [Disk("disk0", f"{t.directory}/absent.img")])
    t.stage(one_line(run(serving), "absent.img"))


@claim(seconds=60)
def image_in_use_is_told(t):
    needs_bulkhead()
    disk = Disk("disk0", t.disk_file(mib=1))
    first = t.backend([disk])
    second = Bulkhead(t.directory, [disk], vm=f"{first.vm}-2")
    t.stage(one_line(run(second), "disk.img", "in use"))


@claim(seconds=60)
def vm_that_runs_already_is_told(t):
    needs_bulkhead()
    first = t.backend([Entropy()])
    t.stage(one_line(run(first), first.vm, "running already"))
    require(first.child.running() and "rng0" in first.ps(), "the first one was disturbed")


@claim(seconds=60)
def too_few_open_files_are_told(t):
    """By run and doctor alike; where only the soft limit is too small it is raised."""
    needs_bulkhead()
    serving = Bulkhead(t.directory, [Entropy()])
    for hard in (40, 183):
        serving.prefix = ("sh", "-c", f'ulimit -n {hard}; exec "$@"', "sh")
        t.stage(one_line(run(serving), f"{hard} open files", "184", "ulimit -Hn 184"))
        told = serving.tool("doctor", serving.config)
        require(told.returncode == 1 and "missing  its open files" in told.stdout, told.stdout)
    serving = t.backend([Entropy()], prefix=("sh", "-c", 'ulimit -Sn 40; exec "$@"', "sh"))
    wait_until(lambda: serving.ps()["rng0"]["state"] == "ready", 20, "a worker", alive=serving.child.must_run)
    require(serving.tool("doctor", serving.config).stdout.count("ok       its open files") == 1, "doctor says otherwise")
    t.stage("a soft limit of 40 is raised")


@claim(seconds=60)
def setting_that_a_device_has_not_is_told_by_its_worker(t):
    needs_bulkhead()
    serving = t.backend([Entropy()])
    wait_until(lambda: serving.ps()["rng0"]["state"] == "ready", 20, "a worker", alive=serving.child.must_run)
    t.stage(one_line(serving.tool("set", f"{serving.vm}/rng0", "link=down"), "rng0: link: the device has no such setting"))
    t.stage(one_line(serving.tool("set", f"{serving.vm}/net9", "link=down"), "net9: link: there is no such device"))
    require(serving.ps()["rng0"]["restarts"] == 0, "the worker was replaced for it")


def nobody_can_run(t):
    """The programs and a directory of his own, wherever the build is."""
    needs(os.geteuid() == 0, "only root can become another user")
    bin_dir, home = f"{t.directory}/bin", f"{t.directory}/home"
    os.mkdir(bin_dir)
    for name in os.listdir(os.path.join(BUILD, "bin")):
        shutil.copy(os.path.join(BUILD, "bin", name), bin_dir)
    os.mkdir(home)
    os.chown(home, NOBODY, NOBODY)
    return bin_dir, home


@claim(seconds=60)
def image_without_permission_is_told(t):
    needs_bulkhead()
    bin_dir, home = nobody_can_run(t)
    disk = Disk("disk0", t.disk_file(mib=1))
    os.chmod(disk.path, 0o600)
    serving = Bulkhead(t.directory, [disk], prefix=AS_NOBODY, bin_dir=bin_dir, run_dir=f"{home}/run")
    t.stage(one_line(run(serving), "disk.img"))


@claim(seconds=60)
def run_directory_that_cannot_be_written_is_told(t):
    needs_bulkhead()
    bin_dir, _ = nobody_can_run(t)
    closed = f"{t.directory}/closed"
    os.mkdir(closed, 0o755)
    serving = Bulkhead(t.directory, [Entropy()], prefix=AS_NOBODY, bin_dir=bin_dir, run_dir=closed)
    t.stage(one_line(run(serving), "closed"))
    serving = Bulkhead(t.directory, [Entropy()], run_dir=f"{t.disk_file('file', 0)}/run")
    t.stage(one_line(run(serving), "run"))


@claim(seconds=60)
def missing_user_namespaces_are_told(t):
    needs_bulkhead()
    bin_dir, home = nobody_can_run(t)
    limit = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\""
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh")
    probe = subprocess.run([*AS_NOBODY, *prefix, "true"], text=True, capture_output=True)
    needs(probe.returncode == 0, f"user namespaces cannot be limited here: {probe.stderr.strip()}")
    serving = Bulkhead(t.directory, [Entropy()], prefix=(*AS_NOBODY, *prefix), bin_dir=bin_dir, run_dir=f"{home}/run")
    t.stage(one_line(run(serving), "user namespace"))


@claim(seconds=90)
def memory_that_is_not_shared_is_told(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=16))])
    guest = t.boot(serving, share="off", ready=False)
    line = serving.child.wait_for_line("share=on", 60).string
    t.stage(line.strip())
    require(serving.child.running(), "the broker ended")
    guest.kill()
    guest = t.boot(serving, name="shared")
    guest.run("guest_load fill /dev/vda 0 1M 1 direct && guest_load check /dev/vda 0 1M 1 direct")
    said = [text for text in serving.child.lines if "share=on" in text]
    require(len(said) == 1, f"said {len(said)} times")
    t.stage("and with share=on the same broker serves")


@claim(seconds=120)
def ordinary_user_runs_a_vm(t):
    needs_bulkhead()
    bin_dir, home = nobody_can_run(t)
    disk = Disk("disk0", t.disk_file(mib=64))
    os.chown(disk.path, NOBODY, NOBODY)
    os.chmod(disk.path, 0o600)
    for name in ("vmlinuz", "initrd"):
        shutil.copy(f"{guest_image()}/{name}", home)
    serving = t.backend([disk, Entropy()], prefix=AS_NOBODY, bin_dir=bin_dir, run_dir=f"{home}/run")
    guest = t.boot(serving, prefix=AS_NOBODY, image=home)
    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && guest_load fill /mnt/data 0 16M 1")
    guest.run("echo 3 >/proc/sys/vm/drop_caches; guest_load check /mnt/data 0 16M 1; umount /mnt")
    guest.run("dd if=/dev/hwrng of=/dev/null bs=1k count=4 2>/dev/null")
    require(serving.ps()["disk0"]["copy"] == "direct", f"ps says copy {serving.ps()}")
    t.stage("a guest of an ordinary user has a disk and entropy")
    own = serving.tool("audit")
    require(own.returncode == 0, f"audit by the user: status {own.returncode}\n{own.stdout}{own.stderr}")
    t.stage("audit by the user passes")
    audit = subprocess.run(serving.argv("audit"), text=True, capture_output=True, timeout=20)
    require(audit.returncode == 0, f"audit by root: status {audit.returncode}\n{audit.stdout}{audit.stderr}")
    require("rootless" in audit.stdout, f"audit does not say what rootless costs:\n{audit.stdout}")
    t.stage("audit by root passes, and says what rootless costs")


def arguments_as_printed(serving, memory):
    printed = serving.tool("attach", serving.config, "--print", "qemu", "--memory", memory)
    require(printed.returncode == 0, f"attach: {printed.stderr}")
    return printed.stdout.split("\n")[:-1]


@claim(seconds=60)
def printed_arguments_boot_a_guest(t):
    needs_bulkhead()
    serving = t.backend([Disk("disk0", t.disk_file(mib=16)), Entropy()])
    guest = t.boot(serving, arguments=arguments_as_printed(serving, "512M"), memory_arguments=[])
    guest.run("guest_load fill /dev/vda 0 1M 1 direct && guest_load check /dev/vda 0 1M 1 direct")
    t.stage("the arguments of `bulkhead attach` are all that QEMU needs")


@claim(seconds=60)
def stale_sockets_are_no_obstacle(t):
    """A spawner that dies leaves its broker at work, so both are killed here: nobody is left to tidy up."""
    needs_bulkhead()
    serving = t.backend([Entropy()])
    serving.errors_expected = "the spawner is dead"
    socket = serving.socket(serving.devices[0])
    vm = next(vm for vm in json.loads(serving.tool("ps", "--json").stdout)["vms"] if vm["vm"] == serving.vm)
    serving.child.kill()
    again = serving.tool("run", serving.config)
    require(again.returncode != 0 and "is running already" in again.stderr,
            f"beside a broker that is at work: status {again.returncode}\n{again.stderr}")
    os.kill(vm["broker_pid"], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{vm['broker_pid']}"), 5, "the end of the killed broker")
    require(os.path.exists(socket), "who has removed the socket of the killed broker?")
    serving.start()
    serving.child.wait_for_line(": ready ", 10)
    require(serving.ps()["rng0"]["state"] == "ready", "the new broker does not serve")
    t.stage("a broker starts where one was killed")


if __name__ == "__main__":
    sys.exit(main())
