# The bench does what it says: every byte is right on bulkhead and on its peer, a wrong one is found, and the runner makes
# its table, its file and its picture. No claim here is about speed.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]
from guest.backend import BUILD, Bulkhead, Disk, StandIn  # noqa: E402
from guest.child import Child  # noqa: E402
from guest.claims import claim, main, needs, require  # noqa: E402
from runner import pace, parts, plan, stolen, table  # noqa: E402

CLIENT = os.path.join(BUILD, "tests", "bulkhead_bench_blk")
CASES = ["read:4k:1", "write:4k:32", "mixed:4k:128", "mixed:64k:8", "read:1M:4", "write:1M:4", "mixed:512:256:seq",
         "mixed:4k:16:queues=2"]


def disk(t, queues=1):
    return Disk("disk0", t.disk_file(mib=64), queues=queues)


def client(*words, seconds=60):
    return subprocess.run([CLIENT, *words], text=True, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False)


def verified(t, serving, device, cases, *more):
    """Every case, with every byte judged; the answer's rows by name."""
    answer = f"{t.directory}/answer.json"
    words = [word for case in cases for word in ("--case", case)]
    done = client("--server", f"it={serving.socket(device)},{os.getpid()}", *words, "--verify", "--rounds", "2", "--slices", "1", "--seconds",
                  "0.05", "--warm-up", "0.01", "--area", "16M", "--json", answer, *more)
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    with open(answer, encoding="utf-8") as file:
        return {row["name"]: row["servers"][0] for row in json.load(file)["cases"]}


def all_measured(rows):
    for name, figures in rows.items():
        require("iops" in figures, f"{name}: {figures}")
        require(figures["iops"]["min"] > 0 and figures["p99_us"]["median"] >= figures["p50_us"]["median"], f"{name}: {figures}")
        require(figures["server_cpu_us_per_request"]["min"] >= 0, f"{name}: {figures}")


@claim(seconds=60)
def bench_verifies_bulkhead(t):
    device = disk(t, queues=2)
    serving = Bulkhead(t.directory, [device])
    t.undo.callback(serving.stop)
    serving.start()
    all_measured(verified(t, serving, device, CASES))
    t.stage(f"{len(CASES)} cases are right")
    # A client that spins has one of two CPUs to itself: beside other tests the rest may wait a while for the other.
    all_measured(verified(t, serving, device, ["mixed:4k:32"], "--client", "poll", "--seconds", "0.5"))
    all_measured(verified(t, serving, device, ["mixed:64k:8"], "--segment", "4k"))
    t.stage("so they are for a client that spins, and in pages")
    for words in (["--without", "indirect"], ["--without", "event-idx"], ["--without", "indirect", "--without", "event-idx"]):
        all_measured(verified(t, serving, device, ["mixed:4k:64", "mixed:64k:4"], *words))
    rows = verified(t, serving, device, ["mixed:4k:32:packed", "write:1M:4:packed"])
    for name, figures in rows.items():
        require("iops" in figures or "no packed ring" in figures["skipped"], f"{name}: {figures}")
    t.stage("and for a driver that lacks indirect descriptors, the event index, or both, or has a packed ring")


@claim(seconds=60)
def bench_verifies_its_peer(t):
    needs(shutil.which("qemu-storage-daemon"), "qemu-storage-daemon is not installed")
    device = disk(t, queues=2)
    serving = StandIn(t.directory, [device])
    t.undo.callback(serving.stop)
    serving.start()
    all_measured(verified(t, serving, device, CASES))
    t.stage(f"{len(CASES)} cases are right")


@claim(seconds=60)
def bench_verifies_who_walks_by_messages(t):
    device = disk(t, queues=2)
    path = f"{t.directory}/twin.sock"
    twin = Child("bulkhead-twin", [os.path.join(BUILD, "bin", "bulkhead-twin"), "--socket", path, "--file", device.path, "--queues", "2", "--messages"],
                 f"{t.directory}/twin.log")
    t.undo.callback(twin.stop)
    twin.wait_for_line("serving", 20)
    little = ["--area", "4M", "--rounds", "1"]
    serving = types.SimpleNamespace(socket=lambda _: path)
    all_measured(verified(t, serving, device, ["read:4k:1", "mixed:4k:32", "mixed:1M:2", "mixed:2M:1"], *little))
    all_measured(verified(t, serving, device, ["mixed:64k:8"], "--segment", "4k", *little))
    for words in (["--without", "indirect"], ["--without", "event-idx"]):
        all_measured(verified(t, serving, device, ["mixed:4k:64", "mixed:64k:4"], *words, *little))
    require("no packed ring" in verified(t, serving, device, ["mixed:4k:32:packed"], *little)["mixed:4k:32:packed"]["skipped"], "it has packed rings")
    t.stage("requests of more than a message, in pages, without indirect descriptors, and without the event index")


@claim(seconds=60)
def bench_finds_a_byte_that_changed(t):
    device = disk(t)
    serving = Bulkhead(t.directory, [device])
    t.undo.callback(serving.stop)
    serving.start()
    process = subprocess.Popen([CLIENT, "--server", f"it={serving.socket(device)}", "--case", "read:4k:4", "--verify", "--area", "1M",
                                "--rounds", "1", "--seconds", "30"], text=True, stdout=subprocess.PIPE)
    t.undo.callback(process.kill)
    with open(device.path, "r+b") as file:
        while process.poll() is None:  # also what it has not yet written: it is given again and again
            file.seek(123 * 4096 + 1000)
            file.write(b"????????")
            file.flush()
    words = process.stdout.read()
    require(process.returncode == 1, f"status {process.returncode}: {words}")
    require(f"not what was last written to sector {123 * 8 + 1}" in words, words)
    t.stage("it names the sector")


@claim(seconds=30)
def bench_tells_what_it_cannot_do(t):
    device = disk(t)
    serving = Bulkhead(t.directory, [device])
    t.undo.callback(serving.stop)
    serving.start()
    rows = verified(t, serving, device, ["read:4k:4:queues=16", "read:4k:4"])
    require("fewer queues: 1" in rows["read:4k:4:queues=16"].get("skipped", ""), f"{rows}")
    require("iops" in rows["read:4k:4"], f"{rows}")
    for words in (["--case", "read"], ["--server", "x"], ["--rounds", "0"], ["--seconds", "-1"], ["--slices", "101"], ["--client", "naps"], ["--without", "sense"], ["more"], []):
        done = client(*words)
        require(done.returncode == 2 and len(done.stderr.splitlines()) == 1, f"{words}: {done}")
    done = client("--server", f"gone={t.directory}/nobody.sock", "--case", "read:4k:1")
    require(done.returncode == 1 and "No such file" in done.stdout, f"{done}")
    t.stage("skipped, refused and failed, each with its words")


@claim(seconds=120)
def bench_run_makes_its_table(t):
    needs(os.path.isdir("/dev/shm"), "there is no /dev/shm")
    answer = f"{t.directory}/bench.json"
    done = subprocess.run([os.path.join(HERE, "run"), "--build", BUILD, "--no-build", "--part", "disk", "--case", "^read:(4k:1|64k:8)$",
                           "--rounds", "2", "--seconds", "0.05", "--file-size", "64", "--json", answer, "--compare", "/dev/stdin"],
                          text=True, capture_output=True, timeout=110, check=False, input='{"rows": []}')
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    with open(answer, encoding="utf-8") as file:
        result = json.load(file)
    require([row["case"] for row in result["rows"]] == ["read:4k:1", "read:64k:8"], f"{result['rows']}")
    for row in result["rows"]:
        require(row["servers"]["bulkhead"]["iops"]["median"] > 0, f"{row}")
        require(0 <= row["stolen"] < 1, f"{row}")
        require(0 < row["pace"]["call_us"] < row["pace"]["wake_same_us"], f"{row}")
        for bar in row["bars"]:
            require(bar["verdict"] in ("met", "aim met", "MISSED", "not measured"), f"{bar}")
        if shutil.which("qemu-storage-daemon"):
            require(row["bars"][0]["verdict"] != "not measured", f"{row}")
        walks = [bar for bar in row["bars"] if bar["against"] == plan.WALKER]
        require(len(walks) == 1 and walks[0]["ratio"]["median"] > 0, f"{row}")
    require("twin-messages polls nothing; on the client's CPU" in done.stdout, done.stdout)
    require("the host kept " in done.stdout and "a system call took " in done.stdout, done.stdout)
    require("4 KiB random read, depth 1 " in done.stdout and "bars: " in done.stdout, done.stdout)
    require(not shutil.which("gnuplot") or os.path.getsize(f"{t.directory}/bench.svg") > 0, "there is no picture")
    t.stage("table, file and picture are there")


@claim(seconds=30)
def bench_knows_what_the_host_kept(t):
    looks = []
    for fields in ("100 10 50 1000 7 1 2 20 3 0", "160 10 80 5000 9 2 3 45 3 0"):  # busy 163 and 255
        with open(f"{t.directory}/stat", "w", encoding="ascii") as file:
            file.write(f"cpu  {fields}\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
        looks.append(stolen.times(f"{t.directory}/stat"))
    require(looks == [(163, 20), (255, 45)], f"{looks}")
    require(abs(stolen.share(*looks) - 25 / 117) < 1e-9, f"{stolen.share(*looks)}")
    require(stolen.share(looks[0], looks[0]) == 0, "nothing was wanted, and some of it was kept")
    require("2% (1%..30%)" in stolen.words([0.3, 0.01, 0.02]), stolen.words([0.3, 0.01, 0.02]))
    with open(f"{t.directory}/stat", "w", encoding="ascii") as file:
        file.write("cpu  1 2 3 4\n")  # a kernel from before there was any
    require(stolen.times(f"{t.directory}/stat") == (6, 0), "an old kernel's line")
    t.stage("what the host kept is counted by what was wanted")


@claim(seconds=30)
def bench_knows_how_fast_the_machine_is(t):
    looks = [pace.look(BUILD) for _ in range(2)]
    for look in looks:
        require(0 < look["call_us"] < look["wake_same_us"], f"{look}")
        require(("wake_other_us" in look) == (len(os.sched_getaffinity(0)) > 1), f"{look}")
    said = pace.words([{"call_us": 0.2, "wake_same_us": 4}, {"call_us": 0.1, "wake_same_us": 2}, {"call_us": 0.3, "wake_same_us": 3}])
    require(said.startswith("a system call took 0.2 (0.1..0.3) us, to wake a process on the same CPU 3 (2..4): "), said)
    require(pace.look(t.directory) == {} and pace.words([{}]) is None, "a build without it")
    t.stage("a call and two ways to wake somebody have a price")


def part(t, name, *lines, status=0):
    """What is made of a part that says this."""
    parts.BENCH = t.directory
    os.makedirs(f"{t.directory}/{name}")
    path = f"{t.directory}/{name}/run"
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + "\n".join(lines) + f"\nexit {status}\n")
    os.chmod(path, 0o755)
    return parts.run(name, BUILD, True)


@claim(seconds=30)
def bench_parts_are_heard_and_judged(t):
    heard = part(t, "good", 'echo \'{"row": "a", "value": 9, "bar": 10}\'; echo words; echo "{not json"',
                 'echo \'{"row": "b", "value": 9, "bar": 10, "better": "more", "unit": "ms"}\'',
                 'echo \'{"row": "c", "value": 12, "bar": 10, "aim": 12, "better": "more"}\'; echo \'{"row": "d", "value": 1}\'',
                 'echo \'{"row": "e", "value": 9, "judged": 11, "bar": 10, "better": "more"}\'',
                 '[ "$1 $3 $4" = "--build --json -" ] || echo \'{"row": "called wrongly", "value": 1}\'')
    verdicts = [(row["row"], row["verdict"]) for row in heard["rows"]]
    require(verdicts == [("a", "met"), ("b", "MISSED"), ("c", "aim met"), ("d", ""), ("e", "met")], f"{verdicts}")
    require("≥ 10 ms" in table.parts_table({"good": heard}), table.parts_table({"good": heard}))
    lacking = part(t, "lacking", "echo skipped: it lacks a kernel >&2", status=77)
    require(lacking == {"skipped": "it lacks a kernel"}, f"{lacking}")
    failing = part(t, "failing", "echo it broke >&2", status=3)
    require(failing == {"rows": [], "error": "status 3: it broke"}, f"{failing}")
    require("skipped" in parts.run("absent", BUILD, True), "an absent part is not skipped")


@claim(seconds=240, long=True)
def bench_in_a_guest_gives_an_interval(t):
    done = subprocess.run([os.path.join(HERE, "guest", "run"), "--build", BUILD, "--quick", "--json", "-"], text=True,
                          capture_output=True, timeout=230, check=False)
    needs(done.returncode != 77, done.stderr.strip().split("\n")[-1])
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    rows = list(parts.rows_of(done.stdout))
    require(len(rows) == 4, f"{len(rows)} rows: {done.stdout}")
    for row in rows:
        require(0 < row["min"] <= row["value"] <= row["max"] and row["verdict"], f"{row}")
    t.stage("four jobs, each with its interval")


@claim(seconds=180, long=True)
def bench_of_tcp_gives_rates_and_ratios(t):
    done = subprocess.run([os.path.join(HERE, "net", "run"), "--build", BUILD, "--quick", "--json", "-"], text=True,
                          capture_output=True, timeout=170, check=False)
    needs(done.returncode != 77, done.stderr.strip().split("\n")[-1])
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    rows = list(parts.rows_of(done.stdout))
    rates, ratios = ([row for row in rows if (row.get("unit") == "MB/s") == is_rate] for is_rate in (True, False))
    require((len(rates), len(ratios)) == (6, 4), f"{len(rates)} rates, {len(ratios)} ratios: {done.stdout}")
    for row in rows:
        require(0 < row["min"] <= row["value"] <= row["max"] and len(row["rounds"]) == 1, f"{row}")
    for row in rates:
        # The kernel counts in hundredths of a second, of which the others may have had none.
        require(row["rounds"][0]["qemu_cpu_s_per_gb"] > 0 and row["rounds"][0]["own_cpu_s_per_gb"] >= 0, f"{row}")
    seen = {row["row"].removeprefix("TCP "): row["value"] for row in rates}
    for row in ratios:
        way, ours = row["row"].removeprefix("TCP ").split(", ")
        ours, peer = ours.split(" by ")
        require(abs(row["value"] - seen[f"{way}, {ours}"] / seen[f"{way}, {peer}"]) < 1e-9, f"{row} is not the ratio of {seen}")
    t.stage("three links, both ways, each of ours by QEMU's")


def regions(*words):
    return subprocess.run([os.path.join(HERE, "shmem", "run"), "--build", BUILD, "--quick", "--json", "-", *words], text=True,
                          capture_output=True, timeout=50, check=False)


@claim(seconds=60)
def bench_of_regions_gives_each_way_and_the_ratio(t):
    done = regions()
    needs(done.returncode != 77, done.stderr.strip().split("\n")[-1])
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    rows = list(parts.rows_of(done.stdout))
    require(len(rows) == 27, f"{len(rows)} rows: {done.stdout}")
    for messages, region, ratio in zip(rows[::3], rows[1::3], rows[2::3]):
        for row, way in ((messages, "messages"), (region, "region")):
            turn = row["rounds"][0]
            require(row["value"] > 0 and turn["way"] == way and turn["records"] % turn["batch"] == 0, f"{row}")
            require(turn["broker_cpu"] > 0 and turn["worker_cpu"] > 0, f"both have worked: {row}")
        require(abs(ratio["value"] - region["value"] / messages["value"]) < 1e-9, f"{ratio} is not {region} by {messages}")
    t.stage("nine cases, both ways")


@claim(seconds=60)
def bench_of_regions_ends_at_a_sum_that_is_wrong(t):
    for way in ("messages", "region"):
        done = regions("--spoil", way, "--case", "64:16")
        needs(done.returncode != 77, done.stderr.strip().split("\n")[-1])
        require(done.returncode == 1 and "64:16: a count or sum is wrong" in done.stderr, f"{way}: {done}")
        require('"row"' not in done.stdout, f"{way}: figures all the same: {done.stdout}")
    t.stage("by either way")


@claim(seconds=60)
def bench_of_own_rings_gives_each_way_and_the_ratio(t):
    done = subprocess.run([os.path.join(HERE, "raw", "run"), "--build", BUILD, "--quick", "--json", "-"], text=True,
                          capture_output=True, timeout=50, check=False)
    needs(done.returncode != 77, done.stderr.strip().split("\n")[-1])
    require(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
    rows = list(parts.rows_of(done.stdout))
    require(len(rows) == 18, f"{len(rows)} rows: {done.stdout}")
    for posted, raw, ratio in zip(rows[::3], rows[1::3], rows[2::3]):
        for row, way in ((posted, "posted"), (raw, "raw")):
            turn = row["rounds"][0]
            require(row["value"] > 0 and turn["way"] == way and turn["requests"] > 0, f"{row}")
            require(turn["broker_cpu"] > 0 and turn["worker_cpu"] > 0, f"both have worked: {row}")
        require(abs(ratio["value"] - raw["value"] / posted["value"]) < 1e-9, f"{ratio} is not {raw} by {posted}")
    t.stage("six cases, both ways")


@claim(seconds=30)
def bench_bars_are_judged_by_the_median_of_ratios(t):
    row = plan.Row("a row", "read:4k:1", [plan.Bar("peer", 2, 3), plan.Bar("nobody", 1), plan.Bar("constant", 3, constant=10)])

    def judged(ours, theirs):
        servers = {plan.OURS: {"iops": plan.spread(ours)}, "peer": {"iops": plan.spread(theirs)}}
        return [words["verdict"] for words in plan.judge(row, servers)]

    for ours, theirs, verdicts in (([20, 20, 20], [10, 10, 10], ["met", "not measured", "MISSED"]),
                                   ([19.9, 20, 30], [10, 10.1, 15], ["MISSED", "not measured", "MISSED"]),
                                   ([10, 60, 90], [10, 20, 30], ["aim met", "not measured", "met"]),
                                   ([0, 0, 0], [0, 0, 0], ["MISSED", "not measured", "MISSED"])):
        require(judged(ours, theirs) == verdicts, f"{ours} by {theirs}: {judged(ours, theirs)}")
    empty = plan.judge(row, {plan.OURS: {"skipped": "it cannot"}})
    require([words["verdict"] for words in empty] == ["not measured"] * 3, f"{empty}")
    require(len({bar.against for line in plan.ROWS for bar in line.bars}) == 6, "rows without their bars")
    for line in plan.ROWS:
        require([bar.least for bar in line.bars if bar.against == plan.WALKER] == [bar.least for bar in line.bars if bar.constant],
                f"{line.name}: one of its bars by messages that walk is another")


if __name__ == "__main__":
    sys.exit(main())
