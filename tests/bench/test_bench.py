# The bench does what it says: every byte is right on bulkhead and on its peer, a wrong one is found, and the runner makes
# its table, its file and its picture. No claim here is about speed.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))
from guest.backend import BUILD, Bulkhead, Disk, StandIn  # noqa: E402
from guest.claims import claim, main, needs, require  # noqa: E402

CLIENT = os.path.join(BUILD, "tests", "bulkhead_bench_blk")
CASES = ["read:4k:1", "write:4k:32", "mixed:4k:128", "mixed:64k:8", "read:1M:4", "write:1M:4", "mixed:512:16:seq",
         "mixed:4k:16:queues=2"]


def disk(t, queues=1):
    return Disk("disk0", t.disk_file(mib=64), queues=queues)


def client(*words, seconds=60):
    return subprocess.run([CLIENT, *words], text=True, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False)


def verified(t, serving, device, cases, *more):
    """Every case, with every byte judged; the answer's rows by name."""
    answer = f"{t.directory}/answer.json"
    words = [word for case in cases for word in ("--case", case)]
    done = client("--server", f"it={serving.socket(device)},{os.getpid()}", *words, "--verify", "--rounds", "2", "--seconds", "0.05",
                  "--warm-up", "0.01", "--area", "16M", "--json", answer, *more)
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
    all_measured(verified(t, serving, device, ["mixed:4k:32"], "--client", "poll"))
    all_measured(verified(t, serving, device, ["mixed:64k:8"], "--segment", "4k"))
    t.stage("so they are for a client that spins, and in pages")


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
    for words in (["--case", "read"], ["--server", "x"], ["--rounds", "0"], ["--seconds", "-1"], ["--client", "naps"], ["more"], []):
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
        for bar in row["bars"]:
            require(bar["verdict"] in ("met", "aim met", "MISSED", "not measured"), f"{bar}")
        if shutil.which("qemu-storage-daemon"):
            require(row["bars"][0]["verdict"] != "not measured", f"{row}")
    require("4 KiB random read, depth 1 " in done.stdout and "bars: " in done.stdout, done.stdout)
    require(not shutil.which("gnuplot") or os.path.getsize(f"{t.directory}/bench.svg") > 0, "there is no picture")
    t.stage("table, file and picture are there")


if __name__ == "__main__":
    sys.exit(main())
