# What programs may expect of a directory, on our share and on that of QEMU's own virtiofsd, in one guest side by side:
# the cases of tests/files. Nothing that the other passes fails on ours, unless one owner for all files explains it.
# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import claim, main, needs, require
from guest.share import SCENARIO, VIRTIOFSD, Share, make_folder, ours, reference
from load import no_io_errors

CASES_MIN = 300
FIRST = 1200000  # of a range that nobody has
# Ours shows all files as one owner's, is no more than that owner on the host, and makes no device nodes.
SQUASHING = {
    "owner_is_changed",
    "owner_of_a_symlink_is_changed",
    "owner_change_takes_the_user_bit",
    "owner_of_a_new_file_is_its_maker",
    "owner_of_a_new_file_may_set_its_times",
    "owner_alone_takes_from_a_sticky_folder",
    "owner_group_comes_from_a_group_folder",
    "owner_of_a_closed_file_reads_it",
    "owner_of_nothing_is_root_who_reads_all",
    "device_node_has_its_number",
}
NO_DEVICES = {"device_node_has_its_number"}  # all that is left where the guest has users of its own


def results(output):
    """What each case's line says: name -> (ok, no or skip, the words)."""
    found = {}
    for line in output.splitlines():
        verdict, _, rest = line.partition(" ")
        name, _, words = rest.partition(": ")
        if verdict in ("ok", "no", "skip"):
            found[name] = (verdict, words)
    return found


def run_cases(guest, where):
    answer = guest.ask(f"mkdir {where}/cases && cd / && guest_files cases {where}/cases", 240)
    found = results(answer.output)
    names = guest.run("guest_files list").split()
    require(set(found) == set(names), f"not all cases were run: {answer.output[-500:]}")
    for left in guest.run(f"ls {where}/cases").split():
        found[left] = ("no", "what it made cannot be removed")
    return found


def compare(mine, other, explained):
    """The cases that the other passes and ours does not, with what was seen."""
    return [f"{name}: {words or verdict}" for name, (verdict, words) in sorted(mine.items())
            if verdict != "ok" and other[name][0] == "ok" and name not in explained]


def judge(t, name, mine, other, explained):
    """One of ours against the other."""
    require(len(mine) >= CASES_MIN, f"{name}: only {len(mine)} cases")
    for case, (verdict, words) in sorted(mine.items()):
        if verdict != "ok":
            t.stage(f"  {name}, {verdict} {case}: {words} (the other: {other[case][0]})")
    worse = compare(mine, other, explained)
    require(not worse, f"{len(worse)} cases hold on the other share and not on {name}: {'; '.join(worse)}")


def side_by_side(t, many=False, **options):
    needs(os.path.exists(VIRTIOFSD), "no virtiofsd: apt-get install qemu-system-common")
    mine = [Share("ours", make_folder(f"{t.directory}/ours"), **options)]
    if many:
        mine.append(Share("many", make_folder(f"{t.directory}/many", FIRST), owners=f"{FIRST}+65536", **options))
    # Ours shows its owner as the guest's root; the other shows who it is.
    other = Share("other", make_folder(f"{t.directory}/other", 0), **options)
    serving, peer = ours(t, mine), reference(t, [other])
    guest = t.boot(serving, arguments=serving.qemu_arguments() + peer.qemu_arguments(), scenario=SCENARIO)
    found = {}
    for share in [*mine, other]:
        found[share.name] = run_cases(guest, share.mount(guest))
        passed = [name for name, (verdict, _) in found[share.name].items() if verdict == "ok"]
        t.stage(f"{share.name}: {len(passed)} of {len(found[share.name])} cases hold")
    no_io_errors(guest)
    judge(t, "ours", found["ours"], found["other"], SQUASHING)
    if many:
        judge(t, "many", found["many"], found["other"], NO_DEVICES)


@claim(seconds=150)
def share_of_one_owner_or_many_holds_what_another_servers_holds(t):
    side_by_side(t, many=True)


@claim(seconds=120, long=True)
def share_without_a_cache_holds_what_another_servers_holds(t):
    side_by_side(t, cache="none")


@claim(seconds=120, long=True)
def share_with_every_cache_and_locks_holds_what_another_servers_holds(t):
    side_by_side(t, cache="always", locks=True)


if __name__ == "__main__":
    sys.exit(main())
