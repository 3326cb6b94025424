# Workers that die or hang by what they are asked, or always, or a thousand times: who notices, and who does not.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.backend import BUILD, Disk, Entropy
from guest.claims import claim, main, needs_bulkhead, require
from guest.deadline import wait_until
from load import churn_counts, end_churn, no_io_errors, start_churn, wait_for_traffic

MIB = 1 << 20
LOAD_MIB = 64  # of the disk; what is poisoned lies behind
REQUEST_TIMEOUT = 2  # seconds that a worker may hold a request in these claims
RSS_GROWTH = 1 * MIB  # a broker may be so much larger after a thousand workers


def faulty(kind):
    """The programs with a disk worker that has a fault (tests/integration/workers)."""
    return f"{BUILD}/tests/faulty/{kind}"


def write_word(guest, word, mib):
    """Writes one block that begins with the word, past the guest's cache: dd's exit status."""
    return guest.ask(f"printf {word} | dd of=/dev/vda bs=4096 conv=sync,notrunc oflag=direct seek={mib * MIB // 4096} "
                     "2>/dev/null", 60).status


def broker_pid(serving):
    document = json.loads(serving.tool("ps", "--json").stdout)
    return next(vm["broker_pid"] for vm in document["vms"] if vm["vm"] == serving.vm)


def holdings(pid):
    """What a process holds: kinds of descriptors, number of mappings and of threads, resident bytes."""
    kinds = sorted(re.sub(r"[0-9]+", "N", os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd"))
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        n_maps = sum(1 for _ in maps)
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        words = dict(line.split(":", 1) for line in status)
    # Not VmRSS: that counts what it has touched of the guest's memory.
    return {"fds": kinds, "maps": n_maps, "threads": int(words["Threads"]),
            "rss": int(words["RssAnon"].split()[0]) * 1024}


def same_holdings(before, after):
    for key in ("fds", "maps", "threads"):
        require(before[key] == after[key], f"{key} of the broker: {before[key]} before, {after[key]} after")
    require(after["rss"] - before["rss"] <= RSS_GROWTH, f"the broker grew from {before['rss']} to {after['rss']} bytes")


def next_worker(serving, name, dead, seconds=10):
    def look():
        pid = serving.ps()[name]["pid"]
        return pid if pid not in (0, dead) else None
    return wait_until(look, seconds, f"a new worker for {name}", alive=serving.child.must_run)


@claim(seconds=90)
def worker_that_dies_at_start_is_quarantined_and_entropy_goes_on(t):
    needs_bulkhead()
    disk, entropy = Disk("disk0", t.disk_file(mib=LOAD_MIB)), Entropy()
    serving = t.backend([disk, entropy], bin_dir=faulty("stillborn"), start=False)
    serving.errors_expected = "quarantined|disk0"
    serving.start()
    wait_until(lambda: serving.ps()["disk0"]["state"] == "quarantined", 30, "disk0 in quarantine",
               alive=serving.child.must_run)
    t.stage(f"disk0 is quarantined after {serving.ps()['disk0']['restarts']} restarts")
    guest = t.boot(serving, arguments=entropy.qemu(serving.socket(entropy)))
    guest.run("dd if=/dev/hwrng of=/dev/null bs=1k count=64 2>/dev/null")
    require(serving.ps()["disk0"]["state"] == "quarantined", "disk0 left quarantine by itself")
    t.stage("rng0 serves a guest")


def one_bad_request(t, word, words_for_people):
    disk = Disk("disk0", t.disk_file(mib=2 * LOAD_MIB), extra=f", request_timeout: {REQUEST_TIMEOUT}")
    serving = t.backend([disk], bin_dir=faulty("poison"))
    serving.errors_expected = "poison|held a request"
    guest = t.boot(serving)
    start_churn(guest, mib=LOAD_MIB)
    wait_for_traffic(guest, 50)
    for at in (LOAD_MIB + 8, LOAD_MIB + 16):
        restarts = serving.ps()["disk0"]["restarts"]
        require(write_word(guest, word, at) != 0, "the request was not failed")
        restarts = serving.ps()["disk0"]["restarts"] - restarts
        require(serving.ps()["disk0"]["state"] == "running", f"disk0 is {serving.ps()['disk0']['state']}")
        wait_for_traffic(guest, 50)
        t.stage(f"{words_for_people} was failed alone, {restarts} workers died of it")
    counts = end_churn(guest)
    errors = guest.ask("dmesg | grep -c 'I/O error'").output.strip()
    require(errors == "2", f"the guest's kernel counts {errors} I/O errors, not 2")
    t.stage(f"its neighbours completed: {counts['writes']} writes, {counts['reads']} reads, no wrong byte")
    guest.run(f"guest_load fill /dev/vda {LOAD_MIB}M 8M 2 direct && guest_load check /dev/vda {LOAD_MIB}M 8M 2 direct")


@claim(seconds=120)
def poison_request_is_found_and_failed_alone(t):
    needs_bulkhead()
    one_bad_request(t, "POISON!", "a request that kills its worker")


@claim(seconds=180)
def request_that_hangs_its_worker_is_failed_alone(t):
    needs_bulkhead()
    one_bad_request(t, "ENDLESS", "a request that hangs its worker")


@claim(seconds=180)
def two_lanes_outlive_pauses_deaths_and_a_poisoned_request(t):
    needs_bulkhead()
    disk = Disk("disk0", t.disk_file(mib=2 * LOAD_MIB), queues=2, extra=", lanes: 2")
    serving = t.backend([disk], bin_dir=faulty("poison"))
    serving.errors_expected = "poison"
    guest = t.boot(serving, processors=2)
    require(len(guest.run("ls /sys/block/vda/mq").split()) == 2, "the driver does not use two queues")
    start_churn(guest, mib=LOAD_MIB)
    wait_for_traffic(guest, 100)
    require((serving.ps()["disk0"]["lanes"], serving.ps()["disk0"]["queues_running"]) == (2, 2), "not two queues on two lanes")
    for _ in range(5):
        guest.qmp.command("stop")
        guest.qmp.wait_event("STOP")
        require(serving.ps()["disk0"]["inflight"] == 0, "a worker holds requests of a paused guest")
        guest.qmp.command("cont")
        guest.qmp.wait_event("RESUME")
        wait_for_traffic(guest, 50)
    t.stage("paused and resumed five times")
    pid = next_worker(serving, "disk0", 0)
    for _ in range(20):
        os.kill(pid, signal.SIGKILL)
        pid = next_worker(serving, "disk0", pid)
        wait_for_work(serving, "disk0")
    t.stage("twenty workers killed")
    require(write_word(guest, "POISON!", LOAD_MIB + 8) != 0, "the request was not failed")
    require(serving.ps()["disk0"]["state"] == "running", f"disk0 is {serving.ps()['disk0']['state']}")
    wait_for_traffic(guest, 50)
    counts = end_churn(guest)
    errors = guest.ask("dmesg | grep -c 'I/O error'").output.strip()
    require(errors == "1", f"the guest's kernel counts {errors} I/O errors, not 1")
    t.stage(f"one request was failed; {counts['writes']} writes, {counts['reads']} reads, no wrong byte")
    require(guest.power_off() == 0, "QEMU did not end well")


def wait_for_work(serving, name, n=20):
    """Until n more requests are completed. Killed before, it would count as one that never completes anything."""
    def completed():
        device = serving.ps()[name]
        return device["requests"] - device["inflight"]
    first = completed()
    wait_until(lambda: completed() >= first + n, 30, f"{n} more requests of {name}", alive=serving.child.must_run)


def kill_under_load(t, kills):
    serving = t.backend([Disk("disk0", t.disk_file(mib=LOAD_MIB))])
    guest = t.boot(serving)
    start_churn(guest)
    wait_for_traffic(guest, 50)
    pid = next_worker(serving, "disk0", 0)
    broker = broker_pid(serving)
    before, restarts = None, serving.ps()["disk0"]["restarts"]
    for kill in range(1, kills + 1):
        os.kill(pid, signal.SIGKILL)
        pid = next_worker(serving, "disk0", pid)
        if kill == 10:  # what is allocated once has been
            wait_for_traffic(guest, 50)
            before = holdings(broker)
        wait_for_work(serving, "disk0")
        if kill % 100 == 0:
            t.stage(f"{kill} workers killed, {churn_counts(guest)['writes']} writes so far")
    wait_for_traffic(guest, 50)
    same_holdings(before, holdings(broker))
    counted = serving.ps()["disk0"]["restarts"] - restarts
    require(counted >= kills, f"ps counts {counted} restarts")
    counts = end_churn(guest)
    no_io_errors(guest)
    t.stage(f"{counts['writes']} writes, {counts['reads']} reads: no I/O error, no wrong byte; the broker holds what it held")
    require(guest.power_off() == 0, "QEMU did not end well")


@claim(seconds=120)
def worker_killed_a_hundred_times_under_load_costs_no_byte(t):
    needs_bulkhead()
    kill_under_load(t, 100)


@claim(seconds=600, long=True)
def worker_killed_a_thousand_times_under_load_costs_no_byte(t):
    needs_bulkhead()
    kill_under_load(t, 1000)


if __name__ == "__main__":
    sys.exit(main())
