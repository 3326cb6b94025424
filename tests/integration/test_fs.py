# A shared directory: guest and host see each other's changes, a killed worker is hardly noticed, a read-only share stays as it is.
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import claim, main, needs_bulkhead, require
from guest.deadline import wait_until
from guest.share import SCENARIO, Share, make_folder
from load import no_io_errors

KILLS = 12  # with work under way
ROUNDS = 2  # between two of them
FIRST, OWNERS = 1200000, 65536  # a range that nobody has


def folder(t, name):
    path = f"{t.directory}/{name}"
    os.mkdir(path)
    return path


def share_one(t, **options):
    needs_bulkhead()
    share = Share("share0", folder(t, "share"), **options)
    serving = t.backend([share])
    guest = t.boot(serving, scenario=SCENARIO)
    return share, serving, guest, share.mount(guest)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def kill_worker(serving, name):
    pid = serving.ps()[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: serving.ps()[name]["pid"] not in (0, pid), 10, "the next worker", alive=serving.child.must_run)


def rounds(share):
    """What the guest says of its progress; nothing yet, or in the middle of saying it: 0."""
    try:
        return int(read(f"{share.path}/round") or 0)
    except FileNotFoundError:
        return 0


@claim(seconds=90)
def guest_and_host_see_each_others_changes(t):
    share, _, guest, where = share_one(t)
    write(f"{share.path}/of_host", "one\n")
    require(guest.run(f"cat {where}/of_host") == "one\n", "the guest reads another text")
    guest.run(f"mkdir -p {where}/a/b && echo two >{where}/a/b/of_guest")
    require(read(f"{share.path}/a/b/of_guest") == "two\n", "the host reads another text")
    require(guest.run(f"stat -c %u:%g {where}/of_host").strip() == "0:0", "the owner is not shown as root")
    os.rename(f"{share.path}/a", f"{share.path}/z")
    os.unlink(f"{share.path}/of_host")
    seen = guest.run(f"sleep 1.1; ls {where}; cat {where}/z/b/of_guest; test ! -e {where}/of_host")
    require(seen == "z\ntwo\n", f"after a change on the host the guest sees {seen!r}")
    guest.run(f"mv {where}/z/b {where}/c && rm -r {where}/z && ln -s of_guest {where}/c/link")
    require(sorted(os.listdir(f"{share.path}/c")) == ["link", "of_guest"], "a move is not seen on the host")
    t.stage("names, contents, moves and removals are seen on the other side")
    guest.run(f"umount {where} && mount -t virtiofs share0 {where} && cat {where}/c/link")
    guest.reboot()
    share.mount(guest)
    require(guest.run(f"cat {where}/c/of_guest") == "two\n", "not the same after a reboot")
    t.stage("and after another mount, and a reboot")
    no_io_errors(guest)


@claim(seconds=150)
def work_on_a_share_goes_on_when_its_worker_is_killed(t):
    share, serving, guest, where = share_one(t)
    serving.errors_expected = "share0"
    guest.run(f"cd {where} && mkdir here && exec 7>>log && exec 8<log && mv log renamed && echo before >&7")
    # What is begun once too often says so; all else is to be done, and to be right.
    token = guest.agent.start(
        f"cd {where}/here; failed=0; i=0; while [ ! -e ../stop ]; do i=$((i + 1)); mkdir d$i && echo $i >d$i/f && "
        "mv d$i e$i && [ \"$(cat e$i/f)\" = $i ] && rm -r e$i || failed=$((failed + 1)); echo $i >../round; done; "
        "echo rounds=$i failed=$failed")
    for _ in range(KILLS):
        wanted = rounds(share) + ROUNDS
        wait_until(lambda w=wanted: rounds(share) >= w, 30, "some rounds of work", alive=serving.child.must_run)
        kill_worker(serving, "share0")
    t.stage(f"{KILLS} workers killed")
    write(f"{share.path}/stop", "")
    answer = guest.agent.finish(token, 60, "the work")
    words = dict(word.split("=") for word in answer.output.split()[-2:])
    require(answer.status == 0 and int(words["rounds"]) >= ROUNDS * KILLS, f"too little was done: {answer.output}")
    require(int(words["failed"]) <= KILLS, f"more failed than workers died: {answer.output}")
    t.stage(f"{words['rounds']} rounds of work, {words['failed']} of them met the death of a worker")
    require(serving.ps()["share0"]["restarts"] >= KILLS, "no worker was replaced")
    no_io_errors(guest)


@claim(seconds=120)
def open_files_and_directories_outlive_their_worker(t):
    share, serving, guest, where = share_one(t)
    serving.errors_expected = "share0"
    token = guest.agent.start(
        f"mkdir {where}/d && cd {where}/d && exec 7>log && echo before >&7 && mv log renamed && echo ready >{where}/ready; "
        f"while [ ! -e {where}/go ]; do usleep 50000; done; echo after >&7 && echo here >new && cat renamed")
    wait_until(lambda: os.path.exists(f"{share.path}/ready"), 30, "the guest's open file")
    kill_worker(serving, "share0")
    write(f"{share.path}/go", "")
    answer = guest.agent.finish(token, 60, "what is open")
    require(answer.status == 0 and answer.output.split() == ["before", "after"], f"the guest says {answer}")
    require(read(f"{share.path}/d/renamed") == "before\nafter\n", "the host sees another file")
    require(read(f"{share.path}/d/new") == "here\n", "the guest's working directory was another one")
    no_io_errors(guest)


@claim(seconds=90)
def read_only_share_is_read_and_not_written(t):
    needs_bulkhead()
    path = folder(t, "share")
    write(f"{path}/f", "text\n")
    share = Share("share0", path, read_only=True)
    guest = t.boot(t.backend([share]), scenario=SCENARIO)
    where = share.mount(guest)
    require(guest.run(f"cat {where}/f") == "text\n", "not what the host wrote")
    for command in (f"echo x >{where}/f", f"mkdir {where}/d", f"rm {where}/f", f"mv {where}/f {where}/g", f"chmod 777 {where}/f",
                    f"ln -s f {where}/l", f"touch {where}/f", f"echo x >>{where}/f"):
        answer = guest.ask(command)
        require(answer.status != 0 and "ead-only" in answer.output, f"{command}: {answer}")
    require(os.listdir(path) == ["f"] and read(f"{path}/f") == "text\n", "something has changed on the host")
    no_io_errors(guest)


# A request may take a second here; one that waits for a lock may take longer, and nobody else waits with it.
@claim(seconds=90)
def who_waits_for_a_lock_waits_as_long_as_it_takes(t):
    share, serving, guest, where = share_one(t, locks=True, request_timeout=1)
    write(f"{share.path}/f", "")
    pid = serving.ps()["share0"]["pid"]
    with open(f"{share.path}/f", "r+", encoding="utf-8") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        guest.run(f"cd {where} && touch g; guest_files lock g held go </dev/null >/dev/null 2>&1 & "
                  f"cd {where} && while [ ! -e held ]; do usleep 50000; done; "
                  "guest_files lock g got_g </dev/null >/dev/null 2>&1 & guest_files range f got_f </dev/null >/dev/null 2>&1 &")
        guest.run(f"cd {where}; for i in 1 2 3 4; do sleep 1; echo $i >alive; done; test ! -e got_f && test ! -e got_g")
        t.stage("four seconds have passed, with others at work")
    wait_until(lambda: os.path.exists(f"{share.path}/got_f"), 30, "the lock that the host had", alive=serving.child.must_run)
    require(not os.path.exists(f"{share.path}/got_g"), "two have one lock")
    write(f"{share.path}/go", "")
    wait_until(lambda: os.path.exists(f"{share.path}/got_g"), 30, "the lock that another in the guest had",
               alive=serving.child.must_run)
    require(serving.ps()["share0"]["pid"] == pid, "the worker was taken for one that hangs")
    no_io_errors(guest)


def owner_of(path):
    found = os.lstat(path)
    return found.st_uid, found.st_gid


@claim(seconds=90)
def users_of_a_guest_own_their_files_on_the_host_in_their_range_alone(t):
    needs_bulkhead()
    path = make_folder(f"{t.directory}/share", FIRST)
    os.chmod(path, 0o777)
    share = Share("share0", path, owners=f"{FIRST}+{OWNERS}")
    write(f"{path}/roots", "of the host\n")
    os.chmod(f"{path}/roots", 0o666)
    serving = t.backend([share])
    guest = t.boot(serving, scenario=SCENARIO)
    where = share.mount(guest)
    for user, group in ((0, 0), (5, 6), (1000, 100), (OWNERS - 1, OWNERS - 1)):
        guest.run(f"cd {where} && mkdir of{user} && chown {user}:{group} of{user} && echo {user} >of{user}/f && "
                  f"ln -s f of{user}/l && chown {user}:{group} of{user}/f && chown -h {user}:{group} of{user}/l && "
                  f"chmod 4755 of{user}/f")
        require(guest.run(f"stat -c %u:%g:%a {where}/of{user}/f").strip() == f"{user}:{group}:4755",
                "the guest sees another owner")
        for name in ("", "/f", "/l"):
            require(owner_of(f"{path}/of{user}{name}") == (FIRST + user, FIRST + group),
                    f"of{user}{name} belongs to {owner_of(f'{path}/of{user}{name}')} on the host")
    guest.run(f"cd {where} && guest_files as 7 8 made_by_7")
    require(owner_of(f"{path}/made_by_7") == (FIRST + 7, FIRST + 8), f"belongs to {owner_of(f'{path}/made_by_7')}")
    t.stage("what a user of the guest makes, and is given, is his on the host")
    require(guest.run(f"stat -c %u {where}/roots").strip() == "65534", "a file of the host's root has an owner here")
    for command in (f"chown {OWNERS} {where}/of5/f", f"chown 0 {where}/roots", f"chmod 4777 {where}/roots",
                    f"echo x >{where}/roots"):
        answer = guest.ask(command)
        require(answer.status != 0, f"{command} works: {answer}")
    require(owner_of(f"{path}/roots") == (0, 0) and read(f"{path}/roots") == "of the host\n", "the host's file has changed")
    t.stage("what is nobody's of the range stays as it is")
    table = serving.tool("audit")
    require(table.returncode == 0, f"audit: status {table.returncode}\n{table.stdout}{table.stderr}")
    said = [line for line in table.stdout.splitlines() if "weaker" in line and f"{FIRST}+{OWNERS}" in line]
    require(any("chown, dac_override, fowner, setgid, setuid" in line for line in said) and len(said) == 2,
            f"audit does not say what that costs: {table.stdout}")
    t.stage("audit says what it costs")
    kill_worker(serving, "share0")
    guest.run(f"cd {where} && guest_files as 9 9 made_by_9")
    require(owner_of(f"{path}/made_by_9") == (FIRST + 9, FIRST + 9), "not so with the next worker")
    no_io_errors(guest)


if __name__ == "__main__":
    sys.exit(main())
