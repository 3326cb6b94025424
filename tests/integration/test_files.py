# Files on a share under load: random operations against a mirror that the guest has elsewhere, and a tree as of source
# code that is unpacked, compared, renamed and deleted; the host sees what the guest sees.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import Disk
from guest.claims import claim, guest_image, main, needs, require
from guest.share import SCENARIO, VIRTIOFSD, Share, make_folder, ours
from load import no_io_errors


def share_of(t, name="ours", **options):
    needs(os.path.exists(VIRTIOFSD), "no virtiofsd: apt-get install qemu-system-common")
    return Share(name, make_folder(f"{t.directory}/{name}"), **options)


def on_host(*words):
    run = subprocess.run([f"{guest_image()}/guest_files", *words], text=True, capture_output=True)
    require(run.returncode == 0, f"guest_files {' '.join(words)}: {run.stdout}{run.stderr}")
    return run.stdout.strip()


def random_operations(t, guest, where, mirror, seconds, seed):
    guest.run(f"mkdir -p {where}/random {mirror}")
    answer = guest.ask(f"guest_files random {where}/random {mirror} {seconds} {seed}", seconds + 60)
    require(answer.status == 0 and "wrong=0" in answer.output, f"not alike: {answer.output}")
    t.stage(answer.output.strip().splitlines()[-1])
    guest.run(f"rmdir {where}/random")


def tree_lives(t, guest, share, where, entries):
    """Made and packed on the guest's own memory, then all that is done to a tree is done on the share."""
    guest.run(f"mkdir /run/tree && guest_files plant /run/tree {entries} 7", 240)
    wanted = guest.run("guest_files tell /run/tree", 120).strip()
    guest.run("tar cf /run/tree.tar -C /run tree && rm -r /run/tree", 240)
    t.stage(f"planted: {wanted}")
    guest.run(f"tar xf /run/tree.tar -C {where} && rm /run/tree.tar", 600)
    t.stage("unpacked")
    guest.run("echo 3 >/proc/sys/vm/drop_caches")
    require(guest.run(f"guest_files tell {where}/tree", 600).strip() == wanted, "the guest reads another tree")
    require(on_host("tell", f"{share.path}/tree") == wanted, "the host sees another tree")
    t.stage("guest and host read the same")
    # Each folder gets another name and its old one back, those deepest first; then the whole tree does. Listed before: who
    # renames while he lists may be told of the new names, too.
    list_of = "find {} -mindepth 1 -depth -type d >/run/folders"
    guest.run(f"cd {where}; {list_of.format('tree')}; while read -r f; do mv $f $f.new; done </run/folders; mv tree moved",
              600)
    require(not os.path.exists(f"{share.path}/tree"), "the host still sees the old name")
    guest.run(f"cd {where}; {list_of.format('moved')}; while read -r f; do mv $f ${{f%.new}}; done </run/folders", 600)
    require(guest.run(f"guest_files tell {where}/moved", 600).strip() == wanted, "not the same tree after renaming")
    require(on_host("tell", f"{share.path}/moved") == wanted, "the host sees another tree after renaming")
    t.stage("renamed there and back")
    guest.run(f"rm -r {where}/moved", 600)
    require(os.listdir(share.path) == [], f"the host still has {os.listdir(share.path)}")
    t.stage("deleted")


@claim(seconds=120)
def share_and_mirror_stay_alike_and_a_tree_lives(t):
    share = share_of(t)
    serving = ours(t, [share])
    guest = t.boot(serving, scenario=SCENARIO)
    where = share.mount(guest)
    random_operations(t, guest, where, "/run/mirror", 5, 1)
    tree_lives(t, guest, share, where, 300)
    no_io_errors(guest)


@claim(seconds=700, long=True)
def share_and_a_mirror_on_a_disk_stay_alike_for_five_minutes(t):
    share, disk = share_of(t), Disk("disk0", t.disk_file(mib=128))
    serving, disks = ours(t, [share]), t.backend([disk], vm=f"{os.path.basename(t.directory)}-d")
    guest = t.boot(serving, arguments=serving.qemu_arguments() + disks.qemu_arguments(), scenario=SCENARIO)
    guest.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt")
    random_operations(t, guest, share.mount(guest), "/mnt/mirror", 300, random.randrange(1 << 32))
    no_io_errors(guest)


@claim(seconds=900, long=True)
def tree_of_twenty_thousand_files_lives(t):
    share = share_of(t)
    serving = ours(t, [share])
    guest = t.boot(serving, scenario=SCENARIO, memory_mib=1024)
    tree_lives(t, guest, share, share.mount(guest), 20000)
    no_io_errors(guest)


@claim(seconds=300, long=True)
def share_and_mirror_stay_alike_in_each_cache_mode(t):
    # Not with none: that has no shared maps.
    shares = [share_of(t, cache, cache=cache) for cache in ("auto", "always")]
    guest = t.boot(ours(t, shares), scenario=SCENARIO)
    for share in shares:
        random_operations(t, guest, share.mount(guest), f"/run/{share.name}", 60, random.randrange(1 << 32))
    no_io_errors(guest)


if __name__ == "__main__":
    sys.exit(main())
