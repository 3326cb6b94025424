# Parts of the bench that are programs of their own, tests/bench/<part>/run. Each is started with --build DIR --json -, and
# prints a JSON object a line, whose rows join the table:
#
#   {"row": "spawn to ready, p99", "value": 4.2, "unit": "ms", "bar": 10, "better": "less"}
#
# row and value are needed; min, max, aim and note may stand there too, and `judged`, where another number than the value
# is held against the bar.
# Exit status 77: skipped, its last line says why.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.dirname(HERE)
SKIPPED = 77
SECONDS = 1800  # for a part that does not end itself

# part: what it measures
PARTS = {
    "host": "starts, deaths, memory and idleness of workers; the round trip of a frame",
    "micro": "instructions of a request",
    "flood": "a disk beside one that its guest floods",
    "guest": "a Linux guest in QEMU, on a disk of bulkhead's and one of qemu-storage-daemon's",
    "net": "TCP with a Linux guest in QEMU, by bulkhead's network devices and by QEMU's own",
    "shmem": "the same records by messages and by a shared memory region",
    "raw": "the same requests off a ring that the broker walks, and off one that the worker walks by messages",
}
QUICK = {name: ["--quick"] for name in ("host", "guest", "net", "shmem", "raw")}  # what makes a part short; micro is


def judge(row):
    bar, value = row.get("bar"), row.get("judged", row["value"])
    if bar is None:
        return ""
    less = row.get("better", "less") == "less"
    aim = row.get("aim")
    if not (value <= bar if less else value >= bar):
        return "MISSED"
    return "aim met" if aim is not None and (value <= aim if less else value >= aim) else "met"


def rows_of(text):
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "row" in row and isinstance(row.get("value"), (int, float)):
            yield {**row, "verdict": judge(row)}


def listen(process):
    """Its words, as they come, for whoever looks on; the last one may say why it skips."""
    last = "it did not say why"
    for line in process.stderr:
        print(f"  {line}", end="", file=sys.stderr, flush=True)
        last = line.strip() or last
    return last


def run(name, build, quick):
    """{"rows": [...]} or {"skipped": why}; "error" when it did not end well."""
    program = os.path.join(BENCH, name, "run")
    if not os.path.exists(program):
        return {"skipped": f"tests/bench/{name}/run is not there"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        argv = [program, "--build", build, "--json", "-", *(QUICK.get(name, []) if quick else [])]
        process = subprocess.Popen(argv, text=True, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE)
        clock = threading.Timer(SECONDS, process.kill)
        clock.start()
        try:
            last = listen(process)
            status = process.wait()
        finally:
            clock.cancel()
            process.kill()
        output.seek(0)
        result = {"rows": list(rows_of(output.read()))}
    if status == SKIPPED:
        return {"skipped": last.removeprefix("skipped: ")}
    if status != 0:
        result["error"] = f"status {status}: {last}"
    return result
